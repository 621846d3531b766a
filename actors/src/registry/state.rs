//! Who is live, whose child is whose, and how many slots are taken.
//!
//! Pure: no actix, no tokio. A play holds a slot from the moment that it is being started until it
//! has ended, but none while it waits for a child play: so nesting can't deadlock. A parent whose
//! child has ended goes on at once; until one more play has ended, the limit may then be exceeded by
//! it, and nothing new is started.

use std::collections::{HashMap, HashSet};

use protocol::PlaySid;

/// See the module.
#[derive(Debug)]
pub struct Roster {
    limit: u32,
    live: HashMap<PlaySid, Entry>,
    children: HashMap<PlaySid, HashSet<PlaySid>>,
    /// Slots taken for plays that are being started.
    reserved: u32,
    /// Live plays that wait for a child.
    waiting: u32,
}

#[derive(Debug)]
struct Entry {
    parent: Option<PlaySid>,
    waiting: bool,
}

impl Roster {
    /// With this many slots, at least one.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            live: HashMap::new(),
            children: HashMap::new(),
            reserved: 0,
            waiting: 0,
        }
    }

    /// How many slots there are.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many plays are live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// How many live plays wait for a child, and hold no slot.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether nothing is live or being started.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.reserved == 0
    }

    /// How many slots are free.
    #[must_use]
    pub fn room(&self) -> u32 {
        let live = u32::try_from(self.live.len()).unwrap_or(u32::MAX);
        self.limit
            .saturating_sub((live - self.waiting).saturating_add(self.reserved))
    }

    /// Takes up to `wanted` slots for plays that are about to start; how many it got.
    pub fn reserve(&mut self, wanted: u32) -> u32 {
        let got = wanted.min(self.room());
        self.reserved += got;
        got
    }

    /// How many slots are reserved for plays that are being started.
    #[must_use]
    pub fn starting(&self) -> u32 {
        self.reserved
    }

    /// Takes a slot even where none is free: for a play that had one before.
    pub fn take_one(&mut self) {
        self.reserved += 1;
    }

    /// Gives back slots that were reserved and not used.
    pub fn release(&mut self, unused: u32) {
        self.reserved = self.reserved.saturating_sub(unused);
    }

    /// A play is live. A slot that was reserved for it is to be released.
    pub fn enter(&mut self, sid: PlaySid, parent: Option<PlaySid>) {
        if let Some(parent) = &parent {
            self.children
                .entry(parent.clone())
                .or_default()
                .insert(sid.clone());
        }
        let waiting = false;
        self.live.insert(sid, Entry { parent, waiting });
    }

    /// A play has ended. Whether it was live.
    pub fn leave(&mut self, sid: &PlaySid) -> bool {
        let Some(entry) = self.live.remove(sid) else {
            return false;
        };
        if entry.waiting {
            self.waiting -= 1;
        }
        if let Some(siblings) = entry
            .parent
            .as_ref()
            .and_then(|parent| self.children.get_mut(parent))
        {
            siblings.remove(sid);
            if siblings.is_empty()
                && let Some(parent) = &entry.parent
            {
                self.children.remove(parent);
            }
        }
        true
    }

    /// Whether a play waits for a child; while it does, its slot is free.
    pub fn set_waiting(&mut self, sid: &PlaySid, waiting: bool) {
        if let Some(entry) = self.live.get_mut(sid)
            && entry.waiting != waiting
        {
            entry.waiting = waiting;
            if waiting {
                self.waiting += 1;
            } else {
                self.waiting -= 1;
            }
        }
    }

    /// The live children of a play.
    #[must_use]
    pub fn live_children(&self, sid: &PlaySid) -> Vec<PlaySid> {
        self.children
            .get(sid)
            .map(|children| children.iter().cloned().collect())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_waiting_parent_holds_no_slot() {
        let mut roster = Roster::new(1);
        for depth in 0..50 {
            assert_eq!(roster.reserve(1), 1, "depth {depth}");
            let sid = PlaySid::from(depth.to_string());
            roster.release(1);
            roster.enter(
                sid.clone(),
                (depth > 0).then(|| (depth - 1).to_string().into()),
            );
            assert_eq!(roster.reserve(1), 0);
            roster.set_waiting(&sid, true);
        }
        assert_eq!(roster.live_children(&"7".into()), ["8".into()]);
        for depth in (0..50).rev() {
            let sid = PlaySid::from(depth.to_string());
            roster.set_waiting(&sid, false);
            assert!(roster.leave(&sid));
        }
        assert!(roster.is_empty() && roster.room() == 1 && roster.children.is_empty());
    }

    proptest! {
        /// Whatever happens in whatever order, slots are neither lost nor made up.
        #[test]
        fn slots_add_up(acts in proptest::collection::vec((0..5u8, 0..6u8), 0..200), limit in 1..4u32) {
            let mut roster = Roster::new(limit);
            for (act, n) in acts {
                let sid = PlaySid::from(n.to_string());
                match act {
                    0 => if !roster.live.contains_key(&sid) && roster.reserve(1) == 1 {
                        roster.release(1);
                        roster.enter(sid, (n > 0).then(|| (n - 1).to_string().into()));
                    },
                    1 => drop(roster.leave(&sid)),
                    2 => roster.set_waiting(&sid, true),
                    3 => roster.set_waiting(&sid, false),
                    _ => { let got = roster.reserve(2); roster.release(got); }
                }
                let waiting = roster.live.values().filter(|e| e.waiting).count();
                prop_assert_eq!(waiting as u32, roster.waiting);
                prop_assert_eq!(roster.reserved, 0);
            }
            for n in 0..6u8 { roster.leave(&n.to_string().into()); }
            prop_assert!(roster.is_empty() && roster.children.is_empty());
            prop_assert_eq!(roster.room(), limit);
        }
    }
}
