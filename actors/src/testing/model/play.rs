//! One play: what is committed of it, what its process is about, and what it does by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    calls::{Kept, Key, Row, Rows},
    process::Process,
    rules::{self, Cut, RECOVERIES},
    script::{Limit, Move, Site},
    shown::{self, Attempt, Look},
    walk::Walk,
};

/// How a child play stands, for the one that started it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Child {
    Works,
    /// It waits itself, and has no process.
    Awaits,
    Ended(Kept),
}

/// How a child play may stand.
pub type Stands = BTreeSet<Child>;

/// A play that a script tells what to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Play {
    pub status: Status,
    pub attempt: u32,
    /// How often it was cut off since it kept anything.
    pub recoveries: u32,
    /// Somebody has ordered its end.
    pub cancelling: bool,
    pub process: Option<Process>,
    /// Oldest first.
    pub open: Vec<Open>,
    /// Signals that nobody has waited for, oldest first.
    pub signals: Vec<(u8, i64)>,
    /// Which steps are let go on, in which attempt, and how.
    pub gates: BTreeMap<(u32, Site), Gate>,
    /// How its child plays may stand, by their ids.
    pub children: BTreeMap<u8, Stands>,
    pub rows: Rows,
    /// How its attempts look that are over.
    pub past: Vec<Attempt>,
    /// What its flow had returned when it was ended nevertheless, as JSON.
    pub returned: Option<String>,
    /// Last, since it is the same in all that are compared.
    pub script: Arc<[Move]>,
}

/// In a line, without its script.
impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            script: _,
            status,
            attempt,
            recoveries,
            rows,
            open,
            signals,
            process,
            cancelling,
            past,
            gates,
            children,
            returned,
        } = self;
        write!(
            f,
            "{status:?} in attempt {attempt}, recoveries {recoveries}, cancelling {cancelling}, rows {rows:?}, \
             open {open:?}, signals {signals:?}, gates {gates:?}, children {children:?}, returned {returned:?}, past {past:?}, {process:?}"
        )
    }
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Pending,
    Running,
    Awaiting,
    /// With this output, as JSON.
    Success(String),
    Failed(Why),
    Cancelled,
}

/// Why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Exception,
    Interrupted,
    Killed,
    Exhausted,
}

/// Something that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    pub key: Key,
    pub what: Awaited,
    pub limit: Limit,
}

/// What comes for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// An answer to the question of this name.
    Answer(u8),
    /// A signal of this name.
    Signal(u8),
    /// The end of the child play of this id, which itself awaits something.
    Child(u8),
}

/// How a step comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    Returns(i64),
    Raises(i64),
}

impl Open {
    /// The name of the question.
    #[must_use]
    pub fn question(&self) -> Option<u8> {
        match self.what {
            Awaited::Answer(name) => Some(name),
            _ => None,
        }
    }

    /// The name of the signal.
    #[must_use]
    pub fn signal(&self) -> Option<u8> {
        match self.what {
            Awaited::Signal(name) => Some(name),
            _ => None,
        }
    }

    /// The id of the child play.
    #[must_use]
    pub fn child(&self) -> Option<u8> {
        match self.what {
            Awaited::Child(id) => Some(id),
            _ => None,
        }
    }
}

impl Status {
    /// Whether it has ended.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Success(_) | Self::Failed(_) | Self::Cancelled)
    }
}

impl Play {
    /// A new one.
    #[must_use]
    pub fn new(script: Arc<[Move]>) -> Self {
        Self {
            script,
            status: Status::Pending,
            attempt: 0,
            recoveries: 0,
            rows: Rows::new(),
            open: Vec::new(),
            signals: Vec::new(),
            process: None,
            cancelling: false,
            past: Vec::new(),
            gates: BTreeMap::new(),
            children: BTreeMap::new(),
            returned: None,
        }
    }

    /// A new one that has from this one what `reuses` says of what came to its end, in each way that is right: what
    /// raised is done again if that may be why the play ended, which the model does not know of all.
    #[must_use]
    pub fn forks(&self, script: Option<&Arc<[Move]>>, reuses: impl Fn(&Key) -> bool) -> Vec<Self> {
        let mut first = Self::new(script.unwrap_or(&self.script).clone());
        let mut unsure = Vec::new();
        for (key, row) in &self.rows {
            let Some(kept) = row.kept.as_ref().filter(|_| reuses(key)) else {
                continue;
            };
            let row = Row {
                kept_in: 0,
                foreign: true,
                ..row.clone()
            };
            if kept.raises() && !self.has_dealt_with(key) {
                unsure.push((key, row));
            } else {
                first.rows.insert(key.clone(), row);
            }
        }
        unsure.into_iter().fold(vec![first], |forks, (key, row)| {
            let reusing =
                |fork: &Self| fork.changed(|fork| drop(fork.rows.insert(key.clone(), row.clone())));
            let reused: Vec<_> = forks.iter().map(reusing).collect();
            [forks, reused].concat()
        })
    }

    /// Whether its flow came to a good end with this failure.
    fn has_dealt_with(&self, key: &Key) -> bool {
        let last = self.past.last().filter(|last| last.is_known);
        let shows = last.is_some_and(|last| {
            let mut spans = last.spans.iter();
            spans.any(|span| span.key.as_ref() == Some(key))
        });
        shows && matches!(self.status, Status::Success(_))
    }

    /// How far its process has come. `None`: there is none, or it has not begun.
    #[must_use]
    pub fn walk(&self) -> Option<Walk<'_>> {
        let process = self.process.as_ref().filter(|process| process.loaded)?;
        Some(Walk::of(&self.script, process, self.attempt))
    }

    /// The steps that are under way.
    #[must_use]
    pub fn under_way(&self) -> Vec<Site> {
        let (Some(process), Some(walk)) = (&self.process, self.walk()) else {
            return Vec::new();
        };
        let steps = walk.open().filter(|call| {
            matches!(call.what, Move::Step { .. } | Move::Drift { .. })
                && process.begun.contains(&call.key)
        });
        steps.map(|call| call.site).collect()
    }

    /// The child plays that it waits for, by their ids.
    #[must_use]
    pub fn waits_for(&self) -> Vec<u8> {
        let (Some(process), Some(walk)) = (&self.process, self.walk()) else {
            return Vec::new();
        };
        let children = walk.open().filter_map(|call| match call.what {
            Move::Child { id, .. } if process.begun.contains(&call.key) => Some(*id),
            _ => None,
        });
        children.collect()
    }

    /// Whether it does nothing more unless something comes, or the time of a wait is over.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.next_but(works).is_empty()
    }

    /// Whether it waits for something that is over in a moment.
    #[must_use]
    pub fn waits_a_moment(&self) -> bool {
        self.open.iter().any(|open| open.limit.is_short())
    }

    /// What it may do next by itself.
    #[must_use]
    pub fn next(&self) -> Vec<Self> {
        self.next_but(|_| false)
    }

    /// As [`Play::next`], without what comes of those children of which this is so.
    fn next_but(&self, ignored: impl Fn(&Stands) -> bool) -> Vec<Self> {
        let mut next = match self.status {
            Status::Pending => vec![self.started()],
            Status::Running => self.works(ignored),
            Status::Awaiting => self.hears_of_ends(ignored),
            _ => Vec::new(),
        };
        if self.cancelling && !self.status.is_terminal() {
            next.push(self.ended(Status::Cancelled));
        }
        next
    }

    /// As it is when the time of one of its waits is over, of each.
    #[must_use]
    pub fn later(&self) -> Vec<Self> {
        let short = self.open.iter().filter(|open| open.limit.is_short());
        let over = short.map(|open| {
            let mut play = self.clone();
            play.settle(&open.key, over(open.limit));
            play
        });
        over.collect()
    }

    pub(super) fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut play = self.clone();
        change(&mut play);
        play
    }

    fn started(&self) -> Self {
        self.changed(|play| {
            play.status = Status::Running;
            play.attempt += 1;
            let attempt = play.attempt;
            play.gates.retain(|(opened, _), _| *opened >= attempt);
            play.past
                .iter_mut()
                .for_each(|past| past.close(Look::Cancelled));
            // It looks for its children itself.
            play.open.retain(|open| open.child().is_none());
            play.process = Some(Process {
                has_kept: !play.rows.is_empty(),
                ..Process::default()
            });
        })
    }

    pub(super) fn keep(&mut self, key: &Key, kept: Kept) {
        let attempt = self.attempt;
        if let Some(row) = self.rows.get_mut(key) {
            row.kept = Some(kept);
            row.kept_in = attempt;
        }
        self.progresses();
    }

    pub(super) fn progresses(&mut self) {
        self.recoveries = 0;
        if let Some(process) = &mut self.process {
            process.has_kept = true;
        }
    }

    /// Something came for a wait that is open.
    pub(super) fn settle(&mut self, key: &Key, kept: Kept) {
        self.open.retain(|open| open.key != *key);
        let look = shown::look_of(&kept, true);
        for past in &mut self.past {
            past.end(key, look);
        }
        self.keep(key, kept);
        if let Some(process) = &mut self.process {
            process.untold.insert(key.clone());
        }
        if self.status == Status::Awaiting {
            self.status = Status::Pending;
        }
    }

    /// Its process leaves to wait.
    pub(super) fn left(&self) -> Self {
        self.changed(|play| {
            let mut attempt = play.current(true);
            let untold = play.process.take().is_some_and(|p| !p.untold.is_empty());
            if untold {
                play.status = Status::Pending;
                attempt.close(Look::Cancelled);
            } else {
                play.status = Status::Awaiting;
                attempt.close_but(&play.open, Look::Cancelled);
            }
            play.past.push(attempt);
        })
    }

    /// As it is when it has ended like this.
    #[must_use]
    pub fn ended(&self, status: Status) -> Self {
        self.changed(|play| {
            let look = match status {
                Status::Success(_) => Look::Ok,
                Status::Cancelled => Look::Cancelled,
                _ => Look::Failed,
            };
            if play.process.is_some() {
                let end = play.walk().and_then(|walk| walk.end);
                // One that is ended while it leaves may have told that, or not.
                let by_itself = matches!(
                    (&end, &status),
                    (Some(Ok(_)), Status::Success(_))
                        | (Some(Err(_)), Status::Failed(Why::Exception))
                );
                play.returned = end.and_then(Result::ok);
                let attempt = play.current(by_itself || play.is_still());
                play.past.push(attempt);
            }
            play.past.iter_mut().for_each(|past| past.close(look));
            play.process = None;
            play.cancelling = false;
            play.open.clear();
            play.signals.clear();
            play.gates.clear();
            play.status = status;
        })
    }

    /// As it is when it was cut off.
    #[must_use]
    pub fn cut(&self, cut: Cut) -> Self {
        if self.status != Status::Running {
            return self.changed(|play| play.cancelling &= cut == Cut::Process);
        }
        let recoveries = self.recoveries + u32::from(cut.counts());
        let goes_on = rules::goes_on(self, cut);
        if !goes_on || recoveries > RECOVERIES {
            let why = match cut {
                _ if goes_on => Why::Exhausted,
                Cut::Process => Why::Killed,
                Cut::Server | Cut::Stop => Why::Interrupted,
            };
            return self.ended(Status::Failed(why));
        }
        self.changed(|play| {
            let mut attempt = play.current(play.is_still());
            attempt.close(match cut {
                Cut::Stop => Look::Stopped,
                Cut::Process | Cut::Server => Look::Cancelled,
            });
            play.past.push(attempt);
            play.process = None;
            play.recoveries = recoveries;
            play.cancelling &= cut == Cut::Process;
            play.status = Status::Pending;
        })
    }

    /// Whether its process does nothing.
    fn is_still(&self) -> bool {
        let killed = self.process.as_ref().and_then(|process| process.killed);
        killed.unwrap_or_else(|| self.works(works).is_empty())
    }

    /// Its process is killed.
    pub(super) fn kill(&mut self) {
        let is_still = self.is_still();
        if let Some(process) = &mut self.process {
            process.killed.get_or_insert(is_still);
        }
    }

    /// How its attempt looks that is under way. What it says can be lost where it is cut off, unless it was still.
    #[must_use]
    pub fn current(&self, is_known: bool) -> Attempt {
        let spans = if is_known {
            shown::spans(self)
        } else {
            Vec::new()
        };
        Attempt { is_known, spans }
    }
}

/// Nothing need come of a child that may still work.
fn works(stands: &Stands) -> bool {
    stands.contains(&Child::Works)
}

pub(super) fn over(limit: Limit) -> Kept {
    match limit {
        Limit::Default => Kept::Default,
        Limit::Never | Limit::Raise => Kept::Late,
    }
}
