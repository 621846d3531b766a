//! Span ids of one play, by ordinal and back. A million of them take some 20 MB: their texts stand in one
//! string, and what finds them again is a table of ordinals.

use std::hash::{BuildHasher, RandomState};

use super::NONE;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ids {
    texts: String,
    /// Where each text is; an empty range for an ordinal that has none yet.
    places: Vec<(u32, u32)>,
    /// Open addressing: ordinals, [`NONE`] where a place is free. A power of two, at least half free.
    table: Vec<u32>,
    used: usize,
    hasher: RandomState,
}

impl Ids {
    /// Sets the id of a span, once. Whether it was new.
    pub(super) fn set(&mut self, ord: u32, id: &str) -> bool {
        let at = ord as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, (0, 0));
        }
        let (begin, end) = self.places[at];
        let (Ok(from), Ok(to)) = (
            u32::try_from(self.texts.len()),
            u32::try_from(self.texts.len() + id.len()),
        ) else {
            return false;
        };
        if begin != end || from == to {
            return false;
        }
        self.texts.push_str(id);
        self.places[at] = (from, to);
        self.used += 1;
        if self.used * 2 > self.table.len() {
            self.rebuild();
        } else {
            self.insert(ord);
        }
        true
    }

    pub(super) fn get(&self, ord: u32) -> &str {
        let place = self.places.get(ord as usize).copied();
        let (begin, end) = place.unwrap_or_default();
        self.texts
            .get(begin as usize..end as usize)
            .unwrap_or_default()
    }

    pub(super) fn find(&self, id: &str) -> Option<u32> {
        if self.table.is_empty() || id.is_empty() {
            return None;
        }
        let mut at = self.home(id);
        loop {
            match self.table[at] {
                NONE => return None,
                ord if self.get(ord) == id => return Some(ord),
                _ => at = (at + 1) & (self.table.len() - 1),
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.capacity() + self.places.capacity() * 8 + self.table.capacity() * 4
    }

    #[expect(clippy::cast_possible_truncation, reason = "of a hash any bits do")]
    fn home(&self, id: &str) -> usize {
        self.hasher.hash_one(id) as usize & (self.table.len() - 1)
    }

    fn insert(&mut self, ord: u32) {
        let mut at = self.home(self.get(ord));
        while self.table[at] != NONE {
            at = (at + 1) & (self.table.len() - 1);
        }
        self.table[at] = ord;
    }

    fn rebuild(&mut self) {
        let room = (self.used * 4).next_power_of_two().max(16);
        self.table = vec![NONE; room];
        let known = self.places.iter().enumerate();
        let known = known.filter(|(_, (begin, end))| begin != end);
        let known: Vec<u32> = known.filter_map(|(at, _)| at.try_into().ok()).collect();
        for ord in known {
            self.insert(ord);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_was_set(all in proptest::collection::vec((0_u32..60, "[ab1.]{0,3}"), 0..200)) {
            let mut ids = Ids::default();
            let mut by_ord: HashMap<u32, String> = HashMap::new();
            for (ord, id) in all {
                let new = !id.is_empty() && !by_ord.contains_key(&ord);
                prop_assert_eq!(ids.set(ord, &id), new);
                if new {
                    by_ord.insert(ord, id);
                }
            }
            for ord in 0..60 {
                let id = by_ord.get(&ord).map_or("", String::as_str);
                prop_assert_eq!(ids.get(ord), id);
                let found = ids.find(id);
                prop_assert_eq!(found.map(|found| ids.get(found).to_owned()), (!id.is_empty()).then(|| id.to_owned()));
            }
            prop_assert_eq!(ids.find("zz"), None);
        }
    }
}
