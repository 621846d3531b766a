//! What is done to a server and its plays.

use std::fmt;

use super::super::model::script::Move;

/// A whole sequence.
#[derive(Clone, Debug)]
pub struct Plan {
    pub max_plays: u32,
    pub actions: Vec<Action>,
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

/// One thing that is done.
#[derive(Clone, Debug)]
pub struct Action {
    pub what: What,
    /// The next one follows at once: it isn't waited for what comes of this one.
    pub hurried: bool,
}

/// Of those that there are then: the one with this number, counted round and round.
#[derive(Clone, Copy, Debug)]
pub struct Pick(pub u32);

impl Pick {
    /// Its place among so many, which are not none.
    #[must_use]
    pub fn among(self, many: usize) -> usize {
        self.0 as usize % many
    }
}

/// See [`Action`].
#[derive(Clone, Debug)]
pub enum What {
    Start {
        script: Vec<Move>,
        /// By the flow that does one thing after the other, without asyncio.
        plain: bool,
        key: Option<u8>,
    },
    /// All at once.
    Come(Vec<Sent>),
    Retry {
        play: Pick,
        from_start: bool,
    },
    Fork {
        play: Pick,
        /// From one of its spans.
        from: Option<Pick>,
        /// With other input.
        script: Option<Vec<Move>>,
    },
    Preview {
        play: Pick,
    },
    /// Its process is killed again and again.
    Dies {
        play: Pick,
        times: u8,
    },
    /// Until nothing waits any more that waits for a moment.
    LetTimePass,
    /// The server goes, and another one comes.
    Restart {
        how: End,
        /// At which crash point that one dies, and when it comes there for the how-manieth time.
        armed: Option<(&'static str, u8)>,
    },
}

/// How a server goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed,
    Stopped,
}

/// What can come to a play at any time.
#[derive(Clone, Debug)]
pub enum Sent {
    /// A step is let come to its end.
    Done {
        play: Pick,
        step: Pick,
        raises: bool,
    },
    Answer {
        play: Pick,
        question: Pick,
        /// Also to one that is not open any more.
        any: bool,
        fits: bool,
        by_webhook: bool,
    },
    /// To a question that nobody asked.
    Stray {
        play: Pick,
    },
    Signal {
        play: Pick,
        name: u8,
    },
    Cancel {
        play: Pick,
    },
    /// The play's process is killed.
    Kill {
        play: Pick,
    },
    /// The server is, so many microseconds after the others were sent.
    Crash {
        after: u32,
    },
}
