//! What is done to a server and its plays: sequences that are made at random, and made shorter where they fail.

use std::fmt;

use actors::{
    crash_point::POINTS,
    testing::model::script::{Limit, Move},
};
use proptest::{
    prelude::{Just, Strategy, any, prop_oneof},
    sample::Index,
    strategy::Union,
};

/// A whole sequence.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) max_plays: u32,
    pub(super) actions: Vec<Action>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} slots", self.max_plays)?;
        for Action { what, hurried } in &self.actions {
            let hurried = if *hurried { ", and at once" } else { "" };
            writeln!(f, "    {what:?}{hurried}")?;
        }
        Ok(())
    }
}

/// One thing that is done. Plays, steps and questions are chosen among those that there are then.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) what: What,
    /// The next one follows at once: it isn't waited for what comes of this one.
    pub(super) hurried: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Start {
        script: Vec<Move>,
        /// By the flow that does one thing after the other, without asyncio.
        plain: bool,
        key: Option<u8>,
    },
    /// All at once.
    Come(Vec<Sent>),
    Retry {
        play: Index,
        from_start: bool,
    },
    Fork {
        play: Index,
        from: Option<Index>,
        script: Option<Vec<Move>>,
    },
    Preview {
        play: Index,
    },
    /// Until nothing waits any more that waits for a moment.
    LetTimePass,
    /// The server goes, and another one comes.
    Restart {
        how: End,
        /// At which point that one dies, and when it comes there for the how-manieth time.
        armed: Option<(&'static str, u8)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    Stopped,
}

/// What can come to a play at any time.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Done {
        play: Index,
        step: Index,
        raises: bool,
    },
    Answer {
        play: Index,
        question: Index,
        /// Also to one that is not open any more.
        any: bool,
        fits: bool,
        by_webhook: bool,
    },
    /// To a question that nobody asked.
    Stray {
        play: Index,
    },
    Signal {
        play: Index,
        name: u8,
    },
    Cancel {
        play: Index,
    },
    /// The play's process is killed.
    Kill {
        play: Index,
    },
    /// The server is, so many microseconds after the others were sent.
    Crash {
        after: u32,
    },
}

/// Names of questions and signals.
const NAMES: u8 = 3;

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
        1 => proptest::collection::vec((any::<Index>(), proptest::collection::vec(single(), 1..3)), 1..3),
    ];
    (moves(), children).prop_map(|(mut moves, children)| {
        for (id, (at, script)) in (0..).zip(children) {
            let child = Move::Child { id, moves: script };
            moves.insert(at.index(moves.len() + 1), child);
        }
        moves
    })
}

fn sent() -> impl Strategy<Value = Sent> {
    let play = any::<Index>;
    prop_oneof![
        8 => (play(), any::<Index>(), proptest::bool::weighted(0.2))
            .prop_map(|(play, step, raises)| Sent::Done { play, step, raises }),
        6 => (play(), any::<Index>(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.85), any::<bool>())
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
    let points = POINTS.iter().copied().filter(|point| !elsewhere(point));
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
            (any::<Index>(), any::<bool>())
                .prop_map(|(play, from_start)| What::Retry { play, from_start })
                .boxed(),
        ),
        (
            2,
            (
                any::<Index>(),
                proptest::option::of(any::<Index>()),
                proptest::option::of(script()),
            )
                .prop_map(|(play, from, script)| What::Fork { play, from, script })
                .boxed(),
        ),
        (
            1,
            any::<Index>()
                .prop_map(|play| What::Preview { play })
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
pub(super) fn plans() -> impl Strategy<Value = Plan> {
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
