//! What the process of an attempt knows and does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    calls::{Kept, Key, Row, Rows},
    play::{Awaited, Child, Gate, Open, Play, Stands, Status, Why, over},
    rules::Cut,
    script::{Limit, Move},
    walk::Call,
};

/// The process of an attempt.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// It has read what earlier attempts kept.
    pub loaded: bool,
    /// What it has heard since.
    pub known: BTreeMap<Key, Kept>,
    pub begun: BTreeSet<Key>,
    pub asked: BTreeSet<Key>,
    /// What came for it, and it has not heard of.
    pub untold: BTreeSet<Key>,
    pub has_kept: bool,
    /// It was killed, which nobody has noticed; whether it was still then.
    pub killed: Option<bool>,
    pub given: Arc<Rows>,
}

/// Without what it was given.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            loaded,
            given: _,
            known,
            begun,
            asked,
            untold,
            has_kept,
            killed,
        } = self;
        write!(
            f,
            "a process, loaded {loaded}, known {known:?}, begun {begun:?}, asked {asked:?}, untold {untold:?}, \
             has kept {has_kept}, killed {killed:?}"
        )
    }
}

impl Play {
    /// What its process may do next, without what comes of those children of which this is so.
    pub(super) fn works(&self, ignored: impl Fn(&Stands) -> bool) -> Vec<Self> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        if process.killed.is_some() {
            return vec![self.cut(Cut::Process)];
        }
        let Some(walk) = self.walk() else {
            return vec![self.changed(Self::load)];
        };
        match &walk.end {
            Some(Ok(output)) => return vec![self.ended(Status::Success(output.clone()))],
            Some(Err(_)) => return vec![self.ended(Status::Failed(Why::Exception))],
            None => {}
        }
        let mut next = Vec::new();
        let mut first = true;
        let mut leaves = true;
        for call in walk.open() {
            let is_wait = matches!(call.what, Move::Ask { .. } | Move::Event { .. });
            let may_rest = is_wait || matches!(call.what, Move::Child { .. });
            leaves &= may_rest && process.asked.contains(&call.key);
            if !process.begun.contains(&call.key) {
                // In their order.
                if std::mem::take(&mut first) {
                    next.push(self.changed(|play| play.begin(call)));
                }
            } else if !is_wait {
                next.extend(self.comes_to_its_end(call, &ignored));
                next.extend(self.rests(call, &ignored));
            } else if !process.asked.contains(&call.key) {
                next.extend(self.asks(call));
            }
        }
        if leaves {
            next.push(self.left());
        }
        next
    }

    fn load(&mut self) {
        let given = Arc::new(self.rows.clone());
        if let Some(process) = &mut self.process {
            process.given = given;
            process.loaded = true;
        }
    }

    fn begin(&mut self, call: &Call<'_>) {
        let row = Row {
            position: call.position,
            kept: None,
            kept_in: 0,
            foreign: false,
        };
        self.rows.entry(call.key.clone()).or_insert(row);
        if let Some(process) = &mut self.process {
            process.begun.insert(call.key.clone());
        }
    }

    fn comes_to_its_end(&self, call: &Call<'_>, ignored: impl Fn(&Stands) -> bool) -> Vec<Self> {
        let kept = match (call.what, self.gates.get(&(self.attempt, call.site))) {
            (Move::Child { id, .. }, _) => {
                let ends = self.stands(*id, ignored).filter_map(|stands| match stands {
                    Child::Ended(kept) => Some(kept.clone()),
                    _ => None,
                });
                ends.collect()
            }
            (_, Some(Gate::Returns(value))) => vec![Kept::Value(*value)],
            (_, Some(Gate::Raises(value))) => vec![Kept::Raised(*value)],
            (_, None) => Vec::new(),
        };
        let ends = kept.into_iter().map(|kept| {
            self.changed(|play| {
                play.open.retain(|open| open.key != call.key);
                play.keep(&call.key, kept.clone());
                play.hears(&call.key, kept);
            })
        });
        ends.collect()
    }

    /// How this child may stand, unless that is ignored.
    fn stands(
        &self,
        id: u8,
        ignored: impl Fn(&Stands) -> bool,
    ) -> impl Iterator<Item = &Child> + Clone {
        let stands = self.children.get(&id);
        stands
            .filter(|stands| !ignored(stands))
            .into_iter()
            .flatten()
    }

    /// The child that it waits for awaits something: its process is not needed for this. That child has ended: it is
    /// not to leave any more, or its next attempt follows at once.
    fn rests(&self, call: &Call<'_>, ignored: impl Fn(&Stands) -> bool) -> Option<Self> {
        let (Move::Child { id, .. }, Some(process)) = (call.what, &self.process) else {
            return None;
        };
        let mut stands = self.stands(*id, ignored);
        if !process.asked.contains(&call.key) {
            return stands.any(|stands| *stands == Child::Awaits).then(|| {
                self.changed(|play| {
                    play.open.push(Open {
                        key: call.key.clone(),
                        what: Awaited::Child(*id),
                        limit: Limit::Never,
                    });
                    if let Some(process) = &mut play.process {
                        process.asked.insert(call.key.clone());
                        process.has_kept = true;
                    }
                })
            });
        }
        let is_open = self.open.iter().any(|open| open.key == call.key);
        let has_ended = stands.any(|stands| matches!(stands, Child::Ended(_)));
        (is_open && has_ended).then(|| {
            self.changed(|play| {
                play.hears_of_end(&call.key, *id);
                if let Some(process) = &mut play.process {
                    process.untold.insert(call.key.clone());
                }
            })
        })
    }

    /// It has no process, and waits for children, one of which has ended: it goes on.
    pub(super) fn hears_of_ends(&self, ignored: impl Fn(&Stands) -> bool) -> Vec<Self> {
        let has_ended = |id| {
            let mut stands = self.stands(id, &ignored);
            stands.any(|stands| matches!(stands, Child::Ended(_)))
        };
        let waits = self.open.iter();
        let waits = waits.filter_map(|open| Some((&open.key, open.child()?)));
        let over = waits.filter(|(_, id)| has_ended(*id));
        let goes_on = over.map(|(key, id)| {
            self.changed(|play| {
                play.hears_of_end(key, id);
                play.status = Status::Pending;
            })
        });
        goes_on.collect()
    }

    /// The wait for this child is over: that awaits nothing any more.
    fn hears_of_end(&mut self, key: &Key, id: u8) {
        self.open.retain(|open| open.key != *key);
        if let Some(stands) = self.children.get_mut(&id) {
            stands.retain(|stands| matches!(stands, Child::Ended(_)));
        }
    }

    /// It pauses with this call: its result is there, or it waits, unless the time for that is over by now.
    fn asks(&self, call: &Call<'_>) -> Vec<Self> {
        let (what, limit) = match call.what {
            Move::Ask { name, limit } => (Awaited::Answer(*name), *limit),
            Move::Event { name, limit } => (Awaited::Signal(*name), *limit),
            _ => return Vec::new(),
        };
        let there = self.rows.get(&call.key).and_then(|row| row.kept.clone());
        if let Some(kept) = there {
            return vec![self.changed(|play| play.hears(&call.key, kept))];
        }
        let comes_to = |kept: Kept| {
            self.changed(|play| {
                play.open.retain(|open| open.key != call.key);
                play.keep(&call.key, kept.clone());
                play.hears(&call.key, kept);
            })
        };
        let mut signals = self.signals.iter();
        if let Some(at) = signals.position(|(name, _)| what == Awaited::Signal(*name)) {
            let mut play = comes_to(Kept::Value(self.signals[at].1));
            play.signals.remove(at);
            return vec![play];
        }
        let waits = self.changed(|play| {
            if let Some(process) = &mut play.process {
                process.asked.insert(call.key.clone());
            }
            if !play.open.iter().any(|open| open.key == call.key) {
                let key = call.key.clone();
                play.open.push(Open { key, what, limit });
                play.progresses();
            }
        });
        let mut next = vec![waits];
        if limit.is_short() {
            next.push(comes_to(over(limit)));
        }
        next
    }

    fn hears(&mut self, key: &Key, kept: Kept) {
        if let Some(process) = &mut self.process {
            process.asked.insert(key.clone());
            process.untold.remove(key);
            process.known.insert(key.clone(), kept);
        }
    }
}
