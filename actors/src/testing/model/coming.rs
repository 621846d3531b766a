//! What comes to a play from outside, and what whoever sent it is answered.

use super::{
    calls::{Kept, Key},
    play::{Gate, Play, Status},
    rules::Cut,
    script::Site,
};

/// Something that comes.
#[derive(Clone, Debug)]
pub enum Coming {
    /// An answer to the question of this call. `None`: one that does not fit.
    Answer(Key, Option<i64>),
    /// An answer to a question that was never asked.
    Stray,
    Signal(u8, i64),
    Cancel,
    /// A step of this attempt is let go on.
    Open(u32, Site, Gate),
    /// The process of this attempt is killed.
    Kill(u32),
    Crash,
    Stop,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Done,
    NotFound,
    Conflict,
    InvalidInput,
}

impl Coming {
    /// Whether nobody answers any more from then on.
    #[must_use]
    pub fn ends_the_server(&self) -> bool {
        matches!(self, Self::Crash | Self::Stop)
    }
}

impl Play {
    /// As it is when this came, and what that is answered.
    #[must_use]
    pub fn takes(&self, coming: &Coming) -> (Self, Reply) {
        let mut play = self.clone();
        let reply = match coming {
            Coming::Answer(key, value) => play.answer(key, *value),
            Coming::Stray if self.status.is_terminal() => Reply::Conflict,
            Coming::Stray => Reply::NotFound,
            Coming::Signal(name, value) => play.signal(*name, *value),
            Coming::Cancel => {
                play.cancelling |= !play.status.is_terminal();
                Reply::Done
            }
            Coming::Open(attempt, site, gate) => {
                if play.attempt <= *attempt && !play.status.is_terminal() {
                    play.gates.insert((*attempt, *site), *gate);
                }
                Reply::Done
            }
            Coming::Kill(attempt) => {
                if play.attempt == *attempt {
                    play.kill();
                }
                Reply::Done
            }
            Coming::Crash => {
                play = play.cut(Cut::Server);
                Reply::Done
            }
            Coming::Stop => {
                play = play.cut(Cut::Stop);
                Reply::Done
            }
        };
        (play, reply)
    }

    fn answer(&mut self, key: &Key, value: Option<i64>) -> Reply {
        if self.status.is_terminal() {
            return Reply::Conflict;
        }
        if self.open.iter().any(|open| open.key == *key) {
            let Some(value) = value else {
                return Reply::InvalidInput;
            };
            self.settle(key, Kept::Value(value));
            return Reply::Done;
        }
        match self.rows.get(key) {
            Some(row) if row.kept.is_some() => Reply::Conflict,
            _ => Reply::NotFound,
        }
    }

    fn signal(&mut self, name: u8, value: i64) -> Reply {
        if self.status.is_terminal() {
            return Reply::Conflict;
        }
        let waits = self.open.iter().find(|open| open.signal() == Some(name));
        match waits.map(|open| open.key.clone()) {
            Some(key) => self.settle(&key, Kept::Value(value)),
            None => self.signals.push((name, value)),
        }
        Reply::Done
    }
}

impl Status {
    /// Whether it has a process.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self == Self::Running
    }
}
