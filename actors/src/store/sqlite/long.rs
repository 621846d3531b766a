//! Batches on their way through several turns of the writer, because they have long values
//! ([`parts`]), and those that wait behind them.
//!
//! Pure but for [`Step::take`]: what was written is noted only after its COMMIT. Each step is one
//! part, and the batches take turns, so that a short one does not wait for a long one.

use std::collections::VecDeque;

use blake3::Hasher;
use protocol::PlaySid;
use rusqlite::Connection;

use super::{
    super::{Batch, Committed, StoreError},
    failure::Outcome,
    jobs::Pending,
    parts::{self, Value},
};

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    long: VecDeque<Long>,
    /// The number of the next value.
    next_value: i64,
}

struct Long {
    pending: Pending,
    stage: Stage,
    /// Later batches of the same play.
    behind: Vec<Pending>,
    /// Of what is written of the value at which it is.
    hasher: Hasher,
}

enum Stage {
    /// Of the value `at`, so many parts and bytes are written.
    Writing { at: usize, ord: u64, from: usize },
    /// The parts go again, those of the value `at` next; then this is answered.
    Removing {
        at: usize,
        answer: Result<Committed, StoreError>,
    },
}

/// What a turn does for one of them.
pub(super) enum Step<'a> {
    Write { value: i64, ord: u64, text: &'a str },
    Remove { value: i64 },
}

impl Step<'_> {
    /// Within the writer's transaction; whether there is more of the same.
    pub(super) fn take(&self, connection: &Connection) -> Outcome<bool> {
        match self {
            Self::Write { value, ord, text } => {
                parts::write(connection, *value, *ord, text)?;
                Ok(true)
            }
            Self::Remove { value } => parts::remove(connection, *value),
        }
    }
}

/// A batch, its answer, and those that waited for it.
type Removed = (Pending, Result<Committed, StoreError>, Vec<Pending>);

impl Queue {
    /// Values get numbers from this one on.
    pub(super) fn new(next_value: i64) -> Self {
        Self {
            long: VecDeque::new(),
            next_value,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.long.is_empty()
    }

    /// The values of which not all is written, or not all removed.
    pub(super) fn values(&self) -> Vec<i64> {
        let values = self.long.iter().flat_map(|long| &long.pending.values);
        values.map(|value| value.id).collect()
    }

    /// Takes a batch that has long values, or is of a play that has one here; else gives it back.
    pub(super) fn admit(&mut self, mut pending: Pending) -> Option<Pending> {
        if !self.long.is_empty() {
            let sid = play_of(&pending.batch);
            let before = self
                .long
                .iter_mut()
                .find(|long| sid.is_some() && play_of(&long.pending.batch) == sid);
            if let Some(before) = before {
                before.behind.push(pending);
                return None;
            }
        }
        let places = parts::long_texts(&pending.batch);
        if places.is_empty() {
            return Some(pending);
        }
        for place in places {
            pending.values.push(Value {
                place,
                id: self.next_value,
                hash: None,
            });
            self.next_value += 1;
        }
        self.long.push_back(Long {
            pending,
            stage: Stage::Writing {
                at: 0,
                ord: 0,
                from: 0,
            },
            behind: Vec::new(),
            hasher: Hasher::new(),
        });
        None
    }

    /// What is to be done next, in a transaction.
    pub(super) fn step(&self) -> Option<Step<'_>> {
        let Long { pending, stage, .. } = self.long.front()?;
        match stage {
            Stage::Writing { at, ord, from } => {
                let value = pending.values.get(*at)?;
                let text = parts::text_at(&pending.batch, value.place);
                Some(Step::Write {
                    value: value.id,
                    ord: *ord,
                    text: text.get(parts::part_from(text, *from))?,
                })
            }
            Stage::Removing { at, .. } => Some(Step::Remove {
                value: pending.values.get(*at)?.id,
            }),
        }
    }

    /// The step was committed.
    pub(super) fn stepped(&mut self, more: bool) {
        let Some(mut long) = self.long.pop_front() else {
            return;
        };
        match &mut long.stage {
            Stage::Writing { at, ord, from } => {
                if let Some(value) = long.pending.values.get_mut(*at) {
                    let text = parts::text_at(&long.pending.batch, value.place);
                    let part = parts::part_from(text, *from);
                    (*from, *ord) = (part.end, *ord + 1);
                    long.hasher.update(&text.as_bytes()[part]);
                    if *from == text.len() {
                        value.hash = Some(long.hasher.finalize());
                        long.hasher.reset();
                        (*at, *ord, *from) = (*at + 1, 0, 0);
                    }
                }
            }
            Stage::Removing { at, .. } if !more => *at += 1,
            Stage::Removing { .. } => {}
        }
        self.long.push_back(long);
    }

    /// The step failed: what was written goes again. What can't be removed is left to the sweep.
    pub(super) fn failed(&mut self, error: StoreError) {
        let Some(mut long) = self.long.pop_front() else {
            return;
        };
        long.stage = match long.stage {
            Stage::Writing { .. } => removing(Err(error)),
            Stage::Removing { answer, .. } => Stage::Removing {
                at: usize::MAX,
                answer,
            },
        };
        self.long.push_back(long);
    }

    /// One whose values are all written, to be written itself, and those that waited for it.
    pub(super) fn written(&mut self) -> Option<(Pending, Vec<Pending>)> {
        let at = self.long.iter().position(|long| {
            matches!(long.stage, Stage::Writing { at, .. } if at >= long.pending.values.len())
        })?;
        let long = self.long.remove(at)?;
        Some((long.pending, long.behind))
    }

    /// A batch to whose values nothing refers in the end: they go before it is answered.
    pub(super) fn remove(&mut self, pending: Pending, answer: Result<Committed, StoreError>) {
        self.long.push_back(Long {
            pending,
            stage: removing(answer),
            behind: Vec::new(),
            hasher: Hasher::new(),
        });
    }

    /// One of which nothing is left, with its answer and those that waited.
    pub(super) fn removed(&mut self) -> Option<Removed> {
        let at = self.long.iter().position(|long| {
            matches!(long.stage, Stage::Removing { at, .. } if at >= long.pending.values.len())
        })?;
        let long = self.long.remove(at)?;
        match long.stage {
            Stage::Removing { answer, .. } => Some((long.pending, answer, long.behind)),
            Stage::Writing { .. } => None,
        }
    }
}

fn removing(answer: Result<Committed, StoreError>) -> Stage {
    Stage::Removing { at: 0, answer }
}

fn play_of(batch: &Batch) -> Option<&PlaySid> {
    match batch {
        Batch::Create(new) => Some(&new.play.sid),
        Batch::Play { fence, .. } => Some(&fence.play),
        Batch::Library(_) => None,
    }
}
