//! Which span ids were seen, in little memory.
//!
//! Pure: no actix, no tokio. The SDK counts (`1.17`, in a forked process `1.4711.3`), so for each
//! prefix the numbers are kept as intervals, however many there are. Ids of another form are kept as
//! 128-bit fingerprints. Both are bounded together: a play that exhausts the bound gets no new spans.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// How many intervals and fingerprints are kept for one play.
pub const BOUND: usize = 1_000_000;

/// A set of span ids.
#[derive(Debug, Default)]
pub struct Seen {
    /// By prefix (`1`, `1.4711`): first number of an interval -> last number.
    counters: HashMap<Box<str>, BTreeMap<u64, u64>>,
    others: HashSet<u128>,
    size: usize,
}

/// What [`Seen::insert`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    New,
    Known,
    /// The bound is reached; the id was not remembered.
    Full,
}

impl Seen {
    /// Whether this id was seen.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        match counted(id) {
            Some((prefix, number)) => self
                .counters
                .get(prefix)
                .and_then(|intervals| intervals.range(..=number).next_back())
                .is_some_and(|(_, last)| *last >= number),
            None => self.others.contains(&fingerprint(id)),
        }
    }

    /// Remembers an id.
    pub fn insert(&mut self, id: &str) -> Inserted {
        if self.contains(id) {
            return Inserted::Known;
        }
        let Some((prefix, number)) = counted(id) else {
            if self.size >= BOUND {
                return Inserted::Full;
            }
            self.others.insert(fingerprint(id));
            self.size += 1;
            return Inserted::New;
        };
        let before = self.counters.get(prefix).and_then(|intervals| {
            intervals
                .range(..number)
                .next_back()
                .filter(|(_, last)| **last + 1 == number)
                .map(|(first, _)| *first)
        });
        let after = number.checked_add(1).and_then(|next| {
            self.counters
                .get(prefix)?
                .get(&next)
                .copied()
                .map(|last| (next, last))
        });
        if before.is_none() && after.is_none() && self.size >= BOUND {
            return Inserted::Full;
        }
        if !self.counters.contains_key(prefix) {
            self.counters.insert(prefix.into(), BTreeMap::new());
        }
        let Some(intervals) = self.counters.get_mut(prefix) else {
            return Inserted::Full;
        };
        let mut last = number;
        if let Some((next, end)) = after {
            intervals.remove(&next);
            self.size -= 1;
            last = end;
        }
        if before.is_none() {
            self.size += 1;
        }
        intervals.insert(before.unwrap_or(number), last);
        Inserted::New
    }

    /// How many intervals and fingerprints are kept.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

/// `1.17` -> `("1", 17)`; only where the number is written as the SDK writes it, so that `1.017`
/// and `1.17` stay different ids.
fn counted(id: &str) -> Option<(&str, u64)> {
    let (prefix, digits) = id.rsplit_once('.')?;
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = plain.then(|| digits.parse().ok()).flatten()?;
    (!prefix.is_empty() && number < u64::MAX).then_some((prefix, number))
}

fn fingerprint(id: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        id.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_is_one_interval() {
        let mut seen = Seen::default();
        for n in 1..=100_000 {
            assert_eq!(seen.insert(&format!("1.{n}")), Inserted::New);
        }
        assert_eq!(seen.size(), 1);
        assert_eq!(seen.insert("1.5"), Inserted::Known);
        assert!(!seen.contains("2.5") && !seen.contains("1.05"));
    }

    proptest! {
        #[test]
        fn is_a_set(ids in proptest::collection::vec(
            prop_oneof!["[12]\\.[0-9]{1,2}", "1\\.7\\.[0-9]", "[ab.]{0,3}", Just("1.18446744073709551615".to_owned())], 0..200)) {
            let mut seen = Seen::default();
            let mut model = HashSet::new();
            for id in ids {
                prop_assert_eq!(seen.contains(&id), model.contains(&id));
                let expected = if model.insert(id.clone()) { Inserted::New } else { Inserted::Known };
                prop_assert_eq!(seen.insert(&id), expected);
                prop_assert!(seen.contains(&id));
            }
            prop_assert!(seen.size() <= model.len());
        }
    }
}
