//! Random sequences of what can come to durable plays, on a real server and on a model of it: starts, steps,
//! answers, signals, cancels, forks, retries, kills of plays and of the server, also at each crash point.
//!
//! After each action the server shows what the model says (`actors::testing::model`), and in the end every play has
//! come to the end that it should, and has done nothing outside twice that was acknowledged. What fails is told with
//! its seed: `HERO_LOGIC_SEQUENCE=SEED` plays only that one, `HERO_LOGIC_SEQUENCES=N` plays so many new ones.

mod points;
mod random;
mod real;

use actors::testing::sequences;

pub(crate) use self::points::names;
use self::real::Real;

/// What `random` is made of.
mod testing {
    pub(super) use actors::testing::{model, sequences};

    pub(super) fn crash_points() -> &'static [&'static str] {
        actors::crash_point::POINTS
    }
}

/// How many are played by default.
const SEQUENCES: u64 = 6;
/// At once: most of the time is spent waiting for processes.
const AT_ONCE: usize = 4;

#[test]
fn random_sequences_come_to_what_the_model_says() {
    random::play_all(SEQUENCES, AT_ONCE, |plan| {
        on_a_thread(async {
            let world = Real::new(plan.max_plays);
            sequences::run(world, plan).await;
        });
    });
}

fn on_a_thread(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(work);
}
