//! The random sequences of `tests/server/sequences`, in virtual time: many more of them, with the runtime as it is, and
//! without the SDK, SQLite and the system.

mod follow;
#[path = "../../../../tests/server/sequences/random.rs"]
mod random;
mod stage;

use hero_logic_actors::testing::{Setup, sequences};

use self::stage::Stage;

/// What `random` is made of.
mod testing {
    pub(super) use hero_logic_actors::testing::{model, sequences};

    /// A server that is no process does not die at one.
    pub(super) fn crash_points() -> &'static [&'static str] {
        &["none"]
    }
}

/// How many are played by default.
const SEQUENCES: u64 = 120;

#[test]
fn random_sequences_come_to_what_the_model_says() {
    random::play_all(SEQUENCES, 2, |plan| {
        let setup = Setup {
            max_plays: plan.max_plays,
            ..Setup::default()
        };
        // A thread for each: what a panic leaves is nobody's.
        let played = std::thread::scope(|scope| {
            let play = || {
                setup.run(async |universe| {
                    let stage = Stage::set(universe).await;
                    sequences::run(stage, plan).await;
                });
            };
            scope.spawn(play).join()
        });
        if let Err(panic) = played {
            std::panic::resume_unwind(panic);
        }
    });
}
