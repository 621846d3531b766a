//! The search index of the library: folded names and descriptions in one contiguous buffer.
//!
//! Pure: plain values in, plain values out. It must never import an actor framework or an async
//! runtime, never do IO, never look at a clock; what "newest" means is told by the caller's
//! sequence numbers.
//!
//! # What matches
//!
//! Query and text are brought into the same form, see [`fold`], and compared as substrings. A hit
//! in the name weighs 3, one in the description 1; however often it is found there. The empty query
//! matches everything, with the same score. Blank space counts: `"a b"` is no two words.
//!
//! # How it is kept
//!
//! Per workflow `name 0xFF description 0xFF`: that byte occurs in no UTF-8 text, so no match can
//! cross it. A workflow that is removed or changes its text is overwritten with it (so it can't be
//! found) and the buffer is compacted once more than half of it is garbage: changes cost amortised
//! constant time per byte, and a search never reads more than twice the living text.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use memchr::memmem::Finder;
use protocol::WorkflowSid;

pub use crate::matching::fold;
use crate::store::{LibraryEntry, Seq};

/// Ends a name and a description; no byte of any UTF-8 text.
const END: u8 = 0xFF;
/// What a hit in the name counts, and one in the description.
const IN_NAME: u8 = 3;
const IN_DESCRIPTION: u8 = 1;
/// Bytes. A longer query can't match: no text of the library, folded, comes near.
const MAX_QUERY: usize = 1 << 20;

/// Where a workflow's text is in the buffer.
#[derive(Clone, Copy)]
struct Slot {
    start: usize,
    /// Where the name's end mark is.
    name_end: usize,
    /// After the description's end mark.
    end: usize,
    seq: Seq,
    live: bool,
}

/// The names and descriptions of all workflows, to be searched.
#[derive(Default)]
pub struct Index {
    text: Vec<u8>,
    /// In the order of the buffer.
    slots: Vec<Slot>,
    /// Of each slot.
    sids: Vec<WorkflowSid>,
    /// The living slots.
    by_sid: HashMap<WorkflowSid, usize>,
    /// Bytes of slots that live no more.
    garbage: usize,
}

impl Index {
    /// An index of these entries; of several with one sid the last counts.
    #[must_use]
    pub fn rebuild(entries: impl IntoIterator<Item = LibraryEntry>) -> Self {
        let mut index = Self::default();
        for entry in entries {
            index.upsert(entry);
        }
        index
    }

    /// How many workflows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_sid.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_sid.is_empty()
    }

    /// Adds a workflow, or replaces what was known of it. Where its text is the same, only its
    /// place among the newest changes.
    pub fn upsert(&mut self, entry: LibraryEntry) {
        let (name, description) = (fold(&entry.name), fold(&entry.description));
        let new = self.slots.len();
        let replaced = match self.by_sid.entry(entry.sid.clone()) {
            Entry::Occupied(mut place) => {
                let slot = &mut self.slots[*place.get()];
                if self.text[slot.start..slot.name_end] == *name.as_bytes()
                    && self.text[slot.name_end + 1..slot.end - 1] == *description.as_bytes()
                {
                    slot.seq = entry.seq;
                    return;
                }
                Some(place.insert(new))
            }
            Entry::Vacant(place) => {
                place.insert(new);
                None
            }
        };
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        let name_end = self.text.len();
        self.text.push(END);
        self.text.extend_from_slice(description.as_bytes());
        self.text.push(END);
        self.slots.push(Slot {
            start,
            name_end,
            end: self.text.len(),
            seq: entry.seq,
            live: true,
        });
        self.sids.push(entry.sid);
        if let Some(old) = replaced {
            self.bury(old);
        }
    }

    /// Takes a workflow out; whether it was there.
    pub fn remove(&mut self, sid: &WorkflowSid) -> bool {
        let Some(slot) = self.by_sid.remove(sid) else {
            return false;
        };
        self.bury(slot);
        true
    }

    /// The workflows that match, at most `limit`: highest score first, newest (highest sequence
    /// number) first within one score.
    #[must_use]
    pub fn search(&self, query: &str, limit: usize) -> Vec<WorkflowSid> {
        let limit = limit.min(self.len());
        if limit == 0 || query.len() > MAX_QUERY {
            return Vec::new();
        }
        let mut best = Best::of(limit);
        let query = fold(query);
        if query.is_empty() {
            for (i, slot) in self.slots.iter().enumerate().filter(|(_, s)| s.live) {
                best.offer(0, slot.seq, i);
            }
        } else {
            self.scan(&query, &mut best);
        }
        let found = best.in_order();
        found.map(|slot| self.sids[slot].clone()).collect()
    }

    /// Offers every slot that matches.
    fn scan(&self, query: &str, best: &mut Best) {
        let finder = Finder::new(query);
        let (mut at, mut from) = (0, 0);
        while let Some(found) = finder.find(&self.text[at..]) {
            let i = self.slot_of(at + found, from);
            let slot = &self.slots[i];
            let score = if at + found >= slot.name_end {
                IN_DESCRIPTION
            } else if finder.find(&self.text[slot.name_end..slot.end]).is_some() {
                IN_NAME + IN_DESCRIPTION
            } else {
                IN_NAME
            };
            best.offer(score, slot.seq, i);
            (at, from) = (slot.end, i + 1);
        }
    }

    /// The slot that has this byte, from slot `from` on: in strides that double, so that neither
    /// many matches nor few are slow.
    fn slot_of(&self, byte: usize, from: usize) -> usize {
        let rest = &self.slots[from..];
        let mut stride = 1;
        while stride < rest.len() && rest[stride - 1].end <= byte {
            stride *= 2;
        }
        let (low, high) = (stride / 2, stride.min(rest.len()));
        from + low + rest[low..high].partition_point(|slot| slot.end <= byte)
    }

    /// Makes a slot's text unfindable, and the buffer compact if it is time.
    fn bury(&mut self, slot: usize) {
        let dead = &mut self.slots[slot];
        dead.live = false;
        self.text[dead.start..dead.end].fill(END);
        self.garbage += dead.end - dead.start;
        let dead_slots = self.slots.len() - self.by_sid.len();
        if self.garbage > self.text.len() / 2 || dead_slots > self.slots.len() / 2 {
            self.compact();
        }
    }

    /// Moves what lives together.
    fn compact(&mut self) {
        let (mut to, mut kept) = (0, 0);
        for i in 0..self.slots.len() {
            let Slot { start, end, .. } = self.slots[i];
            if !self.slots[i].live {
                continue;
            }
            self.text.copy_within(start..end, to);
            let slot = &mut self.slots[i];
            let back = start - to;
            (slot.start, slot.name_end, slot.end) = (to, slot.name_end - back, end - back);
            to = slot.end;
            self.slots.swap(kept, i);
            self.sids.swap(kept, i);
            kept += 1;
        }
        self.text.truncate(to);
        self.slots.truncate(kept);
        self.sids.truncate(kept);
        self.text.shrink_to(2 * to);
        self.slots.shrink_to(2 * kept);
        self.sids.shrink_to(2 * kept);
        for (i, sid) in self.sids.iter().enumerate() {
            if let Some(place) = self.by_sid.get_mut(sid) {
                *place = i;
            }
        }
        self.garbage = 0;
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("workflows", &self.len())
            .field("bytes", &self.text.len())
            .field("garbage", &self.garbage)
            .finish_non_exhaustive()
    }
}

/// The best `limit` of what is offered, without keeping or sorting the rest.
struct Best {
    limit: usize,
    room: usize,
    /// Score, sequence number, slot.
    kept: Vec<(u8, Seq, usize)>,
    /// What is not greater has lost already.
    floor: Option<(u8, Seq, usize)>,
}

impl Best {
    /// `limit` is at least 1.
    fn of(limit: usize) -> Self {
        Self {
            limit,
            room: limit.saturating_mul(2).max(1_024),
            kept: Vec::new(),
            floor: None,
        }
    }

    fn offer(&mut self, score: u8, seq: Seq, slot: usize) {
        let hit = (score, seq, slot);
        if self.floor.is_some_and(|floor| hit <= floor) {
            return;
        }
        self.kept.push(hit);
        if self.kept.len() == self.room {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.kept.len() > self.limit {
            let last = self.limit - 1;
            let (_, floor, _) = self
                .kept
                .select_nth_unstable_by_key(last, |hit| Reverse(*hit));
            self.floor = Some(*floor);
            self.kept.truncate(self.limit);
        }
    }

    /// The slots, best first.
    fn in_order(mut self) -> impl Iterator<Item = usize> {
        self.prune();
        self.kept.sort_unstable_by_key(|hit| Reverse(*hit));
        self.kept.into_iter().map(|(_, _, slot)| slot)
    }
}

#[cfg(test)]
mod tests;
