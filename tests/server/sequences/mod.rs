//! Random sequences of what can come to durable plays, on a real server and on a model of it: starts, steps,
//! answers, signals, cancels, forks, retries, kills of plays and of the server, also at each crash point.
//!
//! After each action the server shows what the model says (`actors::testing::model`), and in the end every play has
//! come to the end that it should, and has done nothing outside twice that was acknowledged. A sequence that fails
//! is made as short as can be in a few minutes, and is told with its seed: `HERO_LOGIC_SEQUENCE=SEED` runs only that one,
//! `HERO_LOGIC_SEQUENCES=N` runs so many.

mod acting;
mod driver;
mod notes;
mod plan;
pub(crate) mod points;
mod view;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use driver::Driver;
use plan::{Plan, plans};

/// How many are run by default.
const SEQUENCES: u64 = 40;
/// At once: most of the time is spent waiting for processes.
const AT_ONCE: usize = 4;
/// How long it is tried to make one shorter, seconds, unless `HERO_LOGIC_SHRINK` says otherwise.
const SHRINK: u64 = 240;

#[test]
fn random_sequences_come_to_what_the_model_says() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let first = number("HERO_LOGIC_SEQUENCE");
    let count =
        number("HERO_LOGIC_SEQUENCES").unwrap_or(if first.is_some() { 1 } else { SEQUENCES });
    let first = first.unwrap_or_else(|| u64::from(now.unwrap().subsec_nanos()) << 20);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while failed.lock().unwrap().is_empty() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let seed = first + number;
                    if let Some(shortest) = fails(seed) {
                        failed.lock().unwrap().push((seed, shortest));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for (seed, shortest) in &failed {
        println!("HERO_LOGIC_SEQUENCE={seed} fails; the shortest that does is {shortest}");
    }
    assert!(failed.is_empty(), "see above");
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// The shortest sequence that fails, if the one of this seed does.
fn fails(seed: u64) -> Option<Plan> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut tree = plans().new_tree(&mut runner).unwrap();
    if holds(seed, &tree.current()) {
        return None;
    }
    println!("HERO_LOGIC_SEQUENCE={seed} fails: {}", tree.current());
    let longest = Duration::from_secs(number("HERO_LOGIC_SHRINK").unwrap_or(SHRINK));
    let (until, mut shortest) = (Instant::now() + longest, tree.current());
    let mut more = tree.simplify();
    while more && Instant::now() < until {
        more = if holds(seed, &tree.current()) {
            tree.complicate()
        } else {
            shortest = tree.current();
            tree.simplify()
        };
    }
    Some(shortest)
}

fn holds(seed: u64, plan: &Plan) -> bool {
    let run = AssertUnwindSafe(|| run(plan));
    match catch_unwind(run) {
        Ok(()) => true,
        Err(_) => {
            println!("sequence {seed}: see above");
            false
        }
    }
}

fn run(plan: &Plan) {
    let mut driver = Driver::start(plan.max_plays, None);
    for action in &plan.actions {
        driver.act(action);
    }
    driver.finish();
    driver.stop();
}
