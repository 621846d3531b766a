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
    /// By prefix (`1`, `1.4711`).
    counters: HashMap<Box<str>, Counter>,
    others: HashSet<u128>,
    size: usize,
}

/// The numbers of one prefix, as intervals.
#[derive(Debug)]
struct Counter {
    /// First and last of the highest interval: nearly every new number extends it.
    newest: (u64, u64),
    /// Those below: first number -> last number.
    older: BTreeMap<u64, u64>,
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
            Some((prefix, number)) => {
                let counter = self.counters.get(prefix);
                counter.is_some_and(|counter| counter.contains(number))
            }
            None => self.others.contains(&fingerprint(id)),
        }
    }

    /// Remembers an id.
    pub fn insert(&mut self, id: &str) -> Inserted {
        let full = self.size >= BOUND;
        let Some((prefix, number)) = counted(id) else {
            let fingerprint = fingerprint(id);
            if self.others.contains(&fingerprint) {
                return Inserted::Known;
            }
            if full {
                return Inserted::Full;
            }
            self.others.insert(fingerprint);
            self.size += 1;
            return Inserted::New;
        };
        let Some(counter) = self.counters.get_mut(prefix) else {
            if full {
                return Inserted::Full;
            }
            let counter = Counter {
                newest: (number, number),
                older: BTreeMap::new(),
            };
            self.counters.insert(prefix.into(), counter);
            self.size += 1;
            return Inserted::New;
        };
        if counter.contains(number) {
            return Inserted::Known;
        }
        if full && !counter.touches(number) {
            return Inserted::Full;
        }
        let before = counter.size();
        counter.insert(number);
        self.size = self.size + counter.size() - before;
        Inserted::New
    }

    /// How many intervals and fingerprints are kept.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Numbers stay below `u64::MAX`, see [`counted`].
impl Counter {
    fn size(&self) -> usize {
        1 + self.older.len()
    }

    /// The older interval that begins at `number` or before.
    fn older_at(&self, number: u64) -> Option<(u64, u64)> {
        let (first, last) = self.older.range(..=number).next_back()?;
        Some((*first, *last))
    }

    fn contains(&self, number: u64) -> bool {
        if number >= self.newest.0 {
            return number <= self.newest.1;
        }
        self.older_at(number)
            .is_some_and(|(_, last)| last >= number)
    }

    /// Whether a number that is not in it extends an interval.
    fn touches(&self, number: u64) -> bool {
        number == self.newest.1 + 1
            || number + 1 == self.newest.0
            || self.older.contains_key(&(number + 1))
            || self
                .older_at(number)
                .is_some_and(|(_, last)| last + 1 == number)
    }

    /// Adds a number that is not in it.
    fn insert(&mut self, number: u64) {
        if number == self.newest.1 + 1 {
            self.newest.1 = number;
            return;
        }
        if number > self.newest.1 {
            self.older.insert(self.newest.0, self.newest.1);
            self.newest = (number, number);
            return;
        }
        let first = match self.older_at(number) {
            Some((first, last)) if last + 1 == number => first,
            _ => number,
        };
        if number + 1 == self.newest.0 {
            self.older.remove(&first);
            self.newest.0 = first;
        } else {
            let last = self.older.remove(&(number + 1)).unwrap_or(number);
            self.older.insert(first, last);
        }
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
