//! A JSON object put together of parts of others, without copying them: how large it would be is
//! known before it is made.
//!
//! Pure: no actix, no tokio.

use std::{collections::HashMap, io};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// See the module. Keys stand in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Composed<'a> {
    entries: Vec<(&'a str, &'a Value)>,
    places: HashMap<&'a str, usize>,
}

/// The object's text is longer than it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// The entry with which it became too long.
    pub key: String,
}

impl<'a> Composed<'a> {
    /// Puts a value in the place of an earlier one of this key, or at the end.
    pub fn insert(&mut self, key: &'a str, value: &'a Value) {
        let next = self.entries.len();
        match self.places.entry(key) {
            std::collections::hash_map::Entry::Occupied(place) => {
                self.entries[*place.get()].1 = value;
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(next);
                self.entries.push((key, value));
            }
        }
    }

    /// Its JSON text.
    ///
    /// # Errors
    /// It has more than `most` bytes; no more than these are held meanwhile.
    pub fn text(&self, most: usize) -> Result<Vec<u8>, TooLarge> {
        let mut text = Vec::new();
        self.print(&mut text, most)?;
        Ok(text)
    }

    /// A copy of its own.
    ///
    /// # Errors
    /// Its JSON text has more than `most` bytes; nothing was copied then.
    pub fn object(&self, most: usize) -> Result<Map<String, Value>, TooLarge> {
        self.print(io::sink(), most)?;
        let entries = self.entries.iter();
        Ok(entries
            .map(|(key, value)| ((*key).to_owned(), (*value).clone()))
            .collect())
    }

    fn print(&self, into: impl io::Write, most: usize) -> Result<(), TooLarge> {
        let mut into = Bounded { into, left: most };
        let mut before = "{";
        for (key, value) in &self.entries {
            let printed = entry(&mut into, before, key, value);
            printed.map_err(|_| TooLarge {
                key: (*key).to_owned(),
            })?;
            before = ",";
        }
        let end = if self.entries.is_empty() { "{}" } else { "}" };
        io::Write::write_all(&mut into, end.as_bytes()).map_err(|_| TooLarge {
            key: self.entries.last().map_or("", |(key, _)| key).to_owned(),
        })
    }
}

fn entry(into: &mut impl io::Write, before: &str, key: &str, value: &Value) -> io::Result<()> {
    into.write_all(before.as_bytes())?;
    serde_json::to_writer(&mut *into, key)?;
    into.write_all(b":")?;
    serde_json::to_writer(into, value)?;
    Ok(())
}

impl Serialize for Composed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries.iter().copied())
    }
}

/// Takes so many bytes and refuses the next.
struct Bounded<W> {
    into: W,
    left: usize,
}

impl<W: io::Write> io::Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len());
        self.left = left.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.into.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        /// What is printed is what a map prints; the bound is exact to the byte.
        #[test]
        fn it_is_the_map_and_its_bound_is_exact(entries in proptest::collection::vec(("[a-c\"]{0,2}", "\\PC{0,6}"), 0..6)) {
            let values: Vec<(String, Value)> = entries.into_iter().map(|(key, text)| (key, json!([text]))).collect();
            let map: Map<String, Value> = values.iter().cloned().collect();
            let mut composed = Composed::default();
            for (key, value) in &values {
                composed.insert(key, value);
            }
            let text = Value::Object(map.clone()).to_string();
            prop_assert_eq!(composed.text(text.len()), Ok(text.clone().into_bytes()));
            prop_assert_eq!(composed.object(text.len()), Ok(map.clone()));
            prop_assert_eq!(json!(composed).to_string(), text.clone());
            let short = composed.text(text.len() - 1).unwrap_err();
            prop_assert_eq!(composed.object(text.len() - 1), Err(short.clone()));
            prop_assert_eq!(&short.key, map.keys().next_back().map_or("", String::as_str));
        }
    }
}
