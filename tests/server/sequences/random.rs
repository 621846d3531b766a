//! Sequences that are made at random, and made as short as can be where they fail. Whoever includes this says in what
//! world they are played.

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
    prelude::{Just, Strategy, any, prop_oneof},
    strategy::{Union, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::testing::{
    crash_points,
    model::script::{Limit, Move},
    sequences::{Action, End, Pick, Plan, Sent, What},
};

/// How long it is tried to make one shorter, seconds, unless `HERO_LOGIC_SHRINK` says otherwise.
const SHRINK: u64 = 240;

/// Plays so many sequences, `at_once` at the same time: the same in every run, so that a change that has nothing to do
/// with them is not held up by one that nobody has seen. With `HERO_LOGIC_SEQUENCES` so many that are new each time,
/// with `HERO_LOGIC_SEQUENCE` only the one of that seed.
pub(crate) fn play_all(sequences: u64, at_once: usize, play: impl Fn(&Plan) + Sync) {
    let (first, count) = match (
        number("HERO_LOGIC_SEQUENCE"),
        number("HERO_LOGIC_SEQUENCES"),
    ) {
        (Some(only), _) => (only, 1),
        (None, Some(count)) => (new_seed(), count),
        (None, None) => (0, sequences),
    };
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while failed.lock().unwrap().is_empty() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let seed = first + number;
                    if let Some(shortest) = fails(seed, &play) {
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

fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::from(now.unwrap().subsec_nanos()) << 20
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// The shortest sequence that fails, if the one of this seed does.
fn fails(seed: u64, play: &impl Fn(&Plan)) -> Option<Plan> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut tree = plans().new_tree(&mut runner).unwrap();
    let holds = |plan: &Plan| {
        let holds = catch_unwind(AssertUnwindSafe(|| play(plan))).is_ok();
        if !holds {
            println!("sequence {seed}: see above");
        }
        holds
    };
    if holds(&tree.current()) {
        return None;
    }
    println!("HERO_LOGIC_SEQUENCE={seed} fails: {}", tree.current());
    let longest = Duration::from_secs(number("HERO_LOGIC_SHRINK").unwrap_or(SHRINK));
    let (until, mut shortest) = (Instant::now() + longest, tree.current());
    let mut more = tree.simplify();
    while more && Instant::now() < until {
        more = if holds(&tree.current()) {
            tree.complicate()
        } else {
            shortest = tree.current();
            tree.simplify()
        };
    }
    Some(shortest)
}

/// Names of questions and signals.
const NAMES: u8 = 3;

fn pick() -> impl Strategy<Value = Pick> {
    (0..1_000_u32).prop_map(Pick)
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        6 => Just(Limit::Never),
        1 => Just(Limit::Default),
        1 => Just(Limit::Raise),
    ]
}

fn single() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..3_u8, any::<bool>()).prop_map(|(id, caught)| Move::Step { id, caught }),
        1 => (0..2_u8).prop_map(|id| Move::Drift { id }),
        3 => (0..NAMES, limit()).prop_map(|(name, limit)| Move::Ask { name, limit }),
        3 => (0..NAMES, limit()).prop_map(|(name, limit)| Move::Event { name, limit }),
    ]
}

/// Questions and events at once have names of their own: which of two is whose could not be seen.
fn apart(moves: Vec<Move>) -> Move {
    let mut kept: Vec<Move> = Vec::new();
    for one in moves {
        let same = |other: &Move| match (&one, other) {
            (Move::Ask { name: a, .. }, Move::Ask { name: b, .. })
            | (Move::Event { name: a, .. }, Move::Event { name: b, .. }) => a == b,
            _ => false,
        };
        if !kept.iter().any(same) {
            kept.push(one);
        }
    }
    Move::Together(kept)
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => single(),
        2 => proptest::collection::vec(single(), 2..4).prop_map(apart),
    ];
    proptest::collection::vec(one, 1..5)
}

/// With child plays in it, at times. Each has an id of its own.
fn script() -> impl Strategy<Value = Vec<Move>> {
    let children = prop_oneof![
        5 => Just(Vec::new()),
        1 => proptest::collection::vec((pick(), proptest::collection::vec(single(), 1..3)), 1..3),
    ];
    (moves(), children).prop_map(|(mut moves, children)| {
        for (id, (at, script)) in (0..).zip(children) {
            let child = Move::Child { id, moves: script };
            moves.insert(at.among(moves.len() + 1), child);
        }
        moves
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let play = pick;
    prop_oneof![
        8 => (play(), pick(), proptest::bool::weighted(0.2))
            .prop_map(|(play, step, raises)| Sent::Done { play, step, raises }),
        6 => (play(), pick(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.85), any::<bool>())
            .prop_map(|(play, question, any, fits, by_webhook)| Sent::Answer { play, question, any, fits, by_webhook }),
        1 => play().prop_map(|play| Sent::Stray { play }),
        4 => (play(), 0..NAMES).prop_map(|(play, name)| Sent::Signal { play, name }),
        1 => play().prop_map(|play| Sent::Cancel { play }),
        2 => play().prop_map(|play| Sent::Kill { play }),
    ]
}

fn come() -> impl Strategy<Value = Vec<Sent>> {
    let crash = (0..20_000_u32).prop_map(|after| Sent::Crash { after });
    prop_oneof![
        6 => sent().prop_map(|sent| vec![sent]),
        2 => proptest::collection::vec(sent(), 2..4),
        // The same twice.
        1 => sent().prop_map(|sent| vec![sent.clone(), sent]),
        2 => (proptest::collection::vec(sent(), 1..3), crash).prop_map(|(mut sent, crash)| {
            sent.push(crash);
            sent
        }),
    ]
}

fn start() -> impl Strategy<Value = What> {
    let key = prop_oneof![2 => Just(None), 1 => (0..2_u8).prop_map(Some)];
    (script(), any::<bool>(), key).prop_map(|(script, plain, key)| {
        let plain = plain && !script.iter().any(|one| matches!(one, Move::Together(_)));
        What::Start { script, plain, key }
    })
}

/// The points that a server can come to without changes of the library, backups and retention.
fn points() -> impl Strategy<Value = &'static str> {
    let elsewhere = |point: &&str| {
        let mut rooms = ["library_", "restore_", "retention_"].iter();
        rooms.any(|room| point.starts_with(room))
    };
    let points = crash_points()
        .iter()
        .copied()
        .filter(|point| !elsewhere(point));
    proptest::sample::select(points.collect::<Vec<_>>())
}

fn what() -> impl Strategy<Value = What> {
    let armed = prop_oneof![
        1 => Just(None),
        2 => (points(), 1..6_u8).prop_map(Some),
    ];
    let how = prop_oneof![3 => Just(End::Killed), 1 => Just(End::Stopped)];
    Union::new_weighted(vec![
        (3, start().boxed()),
        (18, come().prop_map(What::Come).boxed()),
        (
            1,
            (pick(), any::<bool>())
                .prop_map(|(play, from_start)| What::Retry { play, from_start })
                .boxed(),
        ),
        (
            2,
            (
                pick(),
                proptest::option::of(pick()),
                proptest::option::of(script()),
            )
                .prop_map(|(play, from, script)| What::Fork { play, from, script })
                .boxed(),
        ),
        (1, pick().prop_map(|play| What::Preview { play }).boxed()),
        (
            1,
            (pick(), 4..9_u8)
                .prop_map(|(play, times)| What::Dies { play, times })
                .boxed(),
        ),
        (1, Just(What::LetTimePass).boxed()),
        (
            2,
            (how, armed)
                .prop_map(|(how, armed)| What::Restart { how, armed })
                .boxed(),
        ),
    ])
}

/// Any sequence that starts a play first.
fn plans() -> impl Strategy<Value = Plan> {
    let action = |what| {
        (what, proptest::bool::weighted(0.2)).prop_map(|(what, hurried)| Action { what, hurried })
    };
    let slots = prop_oneof![4 => Just(16_u32), 1 => 1..3_u32];
    let more = proptest::collection::vec(action(what().boxed()), 3..16);
    (slots, action(start().boxed()), more).prop_map(|(max_plays, first, mut actions)| {
        actions.insert(0, first);
        Plan { max_plays, actions }
    })
}
