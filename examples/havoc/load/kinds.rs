//! The kinds of plays: what is played how often, what its caller does, and how it may end.

use serde_json::{Value, json};

use crate::rng::Rng;

/// A kind of play.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) flow: &'static str,
    pub(crate) input: fn(&mut Rng) -> Value,
    pub(crate) options: fn() -> Value,
    pub(crate) role: Role,
    /// How it may end when nobody does anything to it.
    pub(crate) ends: &'static [&'static str],
    /// It is of `durable.py`: it says outside what it does.
    pub(crate) durable: bool,
}

/// What its caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Waits for its end.
    Waits,
    /// Cancels it after a while.
    Cancels,
    /// Answers all that it asks, or that its child plays ask.
    Answers,
    /// Answers so many questions, and never the others.
    Leaves(usize),
    /// Sends signals until so many were taken.
    Signals(usize),
}

impl Kind {
    /// It is run on no account after a death.
    pub(crate) fn fails_when_interrupted(&self) -> bool {
        matches!(self.flow, "fragile" | "brittle")
    }

    /// It ends as its child plays do.
    pub(crate) fn is_parent(&self) -> bool {
        let parents = ["family", "chain", "parent", "parent_at_once"];
        parents.contains(&self.flow)
    }
}

/// Plays that keep what they do, each with how often it is played of all times.
pub(crate) const DURABLE: &[(u64, Kind)] = &[
    (12, durable("straight", |_| json!({}), Role::Waits)),
    (8, durable("gathers", |_| json!({}), Role::Waits)),
    (8, durable("threads", |_| json!({}), Role::Waits)),
    (6, durable("nested", |_| json!({}), Role::Waits)),
    (
        4,
        durable("nested", |_| json!({"asks": true}), Role::Answers),
    ),
    (5, durable("parent", |_| json!({}), Role::Waits)),
    (4, durable("parent_at_once", |_| json!({}), Role::Waits)),
    (
        3,
        durable(
            "parent",
            |_| json!({"children": 1, "child": "asks"}),
            Role::Answers,
        ),
    ),
    (
        9,
        durable(
            "asks",
            |rng| json!({"questions": 1 + rng.below(4)}),
            Role::Answers,
        ),
    ),
    (6, durable("asks_at_once", |_| json!({}), Role::Answers)),
    (2, durable("asks", |_| json!({}), Role::Leaves(1))),
    (2, durable("asks_at_once", |_| json!({}), Role::Leaves(1))),
    (
        5,
        durable(
            "asks_in_time",
            |rng| json!({"seconds": rng.below(800) as f64 / 1e3}),
            Role::Answers,
        ),
    ),
    (7, durable("signalled", |_| json!({}), Role::Signals(3))),
    (3, durable("sleeps", |_| json!({}), Role::Waits)),
    (4, durable("fragile", |_| json!({}), Role::Waits)),
    (
        4,
        Kind {
            ends: &["failed exception"],
            ..durable("stumbles", |_| json!({}), Role::Waits)
        },
    ),
];

/// Plays that keep nothing.
pub(crate) const PLAIN: &[(u64, Kind)] = &[
    (
        20,
        plain("quick", |rng| json!({"n": rng.below(100)}), SUCCESS),
    ),
    (8, plain("steps", |_| json!({"count": 40}), SUCCESS)),
    (5, plain("family", |_| json!({"width": 3}), SUCCESS)),
    (4, plain("chain", |_| json!({"depth": 3}), SUCCESS)),
    (8, plain("naps", nap, SUCCESS)),
    (4, plain("brittle", nap, SUCCESS)),
    (4, plain("raises", |_| json!({}), &["failed exception"])),
    (3, plain("leaves", |_| json!({"code": 3}), &["failed exit"])),
    (3, plain("crashes", |_| json!({}), &["failed signal"])),
    (6, plain("escapes", |_| json!({}), SUCCESS)),
    (4, cancelled("escapes", |_| json!({"hang": true}))),
    (3, cancelled("comet", |_| json!({}))),
    (
        2,
        Kind {
            options: || json!({"timeout_ms": 700}),
            ..plain("comet", |_| json!({}), &["timed_out timeout"])
        },
    ),
    (
        3,
        Kind {
            options: || json!({"timeout_ms": 500}),
            ..plain("stubborn", |_| json!({}), &["timed_out timeout"])
        },
    ),
    (2, cancelled("stubborn", |_| json!({}))),
    (2, plain("prints", |_| json!({"mib": 4}), SUCCESS)),
    (2, plain("babbles", |_| json!({}), SUCCESS)),
    (1, plain("dials", |_| json!({"connections": 300}), SUCCESS)),
    (2, plain("spans", |_| json!({"count": 5000}), SUCCESS)),
    (2, plain("large", |_| json!({"mib": 2}), SUCCESS)),
    (
        2,
        Kind {
            options: || json!({"limits": {"memory_bytes": 100 << 20}}),
            ..plain("hogs", |_| json!({"mib": 1024}), &["failed out_of_memory"])
        },
    ),
    (
        2,
        Kind {
            options: || json!({"limits": {"processes": 20}}),
            ..plain(
                "multiplies",
                |_| json!({"processes": 200}),
                &["failed killed"],
            )
        },
    ),
    (
        1,
        Kind {
            options: || json!({"limits": {"disk_bytes": 8 << 20}}),
            ..plain("fills", |_| json!({"mib": 64}), &["failed killed"])
        },
    ),
];

const SUCCESS: &[&str] = &["success"];

fn nap(rng: &mut Rng) -> Value {
    json!({"seconds": rng.below(500) as f64 / 1e3})
}

fn nothing() -> Value {
    json!({})
}

const fn durable(flow: &'static str, input: fn(&mut Rng) -> Value, role: Role) -> Kind {
    Kind {
        role,
        durable: true,
        ..plain(flow, input, SUCCESS)
    }
}

const fn cancelled(flow: &'static str, input: fn(&mut Rng) -> Value) -> Kind {
    Kind {
        role: Role::Cancels,
        ..plain(flow, input, &["cancelled cancelled"])
    }
}

const fn plain(
    flow: &'static str,
    input: fn(&mut Rng) -> Value,
    ends: &'static [&'static str],
) -> Kind {
    Kind {
        flow,
        input,
        options: nothing,
        role: Role::Waits,
        ends,
        durable: false,
    }
}
