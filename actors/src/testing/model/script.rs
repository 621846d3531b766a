//! What a play is told to do: a list of moves, which one and the same flow follows.

use std::fmt;

use serde_json::{Value, json};

/// One move of a script. Steps and waits are durable; those of the same name and arguments are told apart
/// by how many came before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Move {
    /// A step, which comes to its end when it is let: with a number, or with an exception that is caught
    /// or not.
    Step { id: u8, caught: bool },
    /// A step whose arguments are others in each attempt.
    Drift { id: u8 },
    /// A question that a number answers.
    Ask { name: u8, limit: Limit },
    /// A signal is waited for.
    Event { name: u8, limit: Limit },
    /// A child play with a script of its own. Its `id` is no other child's.
    Child { id: u8, moves: Vec<Move> },
    /// All at once; no two events of one name.
    Together(Vec<Move>),
}

/// How long is waited at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    Never,
    /// For a moment, then the default is taken.
    Default,
    /// For a moment, then there is an exception, which is caught.
    Raise,
}

/// How long a moment is, seconds.
pub const MOMENT: f64 = 0.25;

/// What a wait with a default comes to that nothing came for.
pub const DEFAULT: i64 = -1;

impl Move {
    /// As the flow reads it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Step { id, caught } => json!(["step", id, caught]),
            Self::Drift { id } => json!(["drift", id]),
            Self::Ask { name, limit } => json!(["ask", name.to_string(), limit.options()]),
            Self::Event { name, limit } => json!(["event", name.to_string(), limit.options()]),
            Self::Child { id, moves } => json!(["child", id, to_json(moves)]),
            Self::Together(moves) => json!(["together", to_json(moves)]),
        }
    }
}

/// The moves as the flow reads them.
#[must_use]
pub fn to_json(moves: &[Move]) -> Value {
    Value::Array(moves.iter().map(Move::to_json).collect())
}

impl Limit {
    fn options(self) -> Value {
        match self {
            Self::Never => json!({}),
            Self::Default => json!({"timeout": MOMENT, "default": DEFAULT}),
            Self::Raise => json!({"timeout": MOMENT}),
        }
    }

    /// Whether it is over after a moment.
    #[must_use]
    pub fn is_short(self) -> bool {
        self != Self::Never
    }
}

/// Where in its script a play is: the number of the move, and of the one within it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    pub at: usize,
    pub within: Option<usize>,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at)?;
        self.within.map_or(Ok(()), |within| write!(f, ".{within}"))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The moves that are written like this.
#[must_use]
pub fn from_json(moves: &Value) -> Option<Vec<Move>> {
    moves.as_array()?.iter().map(move_of).collect()
}

fn move_of(one: &Value) -> Option<Move> {
    let small = |value: &Value| u8::try_from(value.as_u64()?).ok();
    let name = || one[1].as_str()?.parse().ok();
    let limit = match (&one[2]["timeout"], &one[2]["default"]) {
        (Value::Null, _) => Limit::Never,
        (_, Value::Null) => Limit::Raise,
        _ => Limit::Default,
    };
    Some(match one[0].as_str()? {
        "step" => Move::Step {
            id: small(&one[1])?,
            caught: one[2].as_bool()?,
        },
        "drift" => Move::Drift {
            id: small(&one[1])?,
        },
        "ask" => Move::Ask {
            name: name()?,
            limit,
        },
        "event" => Move::Event {
            name: name()?,
            limit,
        },
        "child" => Move::Child {
            id: small(&one[1])?,
            moves: from_json(&one[2])?,
        },
        "together" => Move::Together(from_json(&one[1])?),
        _ => return None,
    })
}
