//! A span's tags: a JSON object that is kept as its text.
//!
//! Most tags are written once and read never or as a whole, so they go from the wire to the store and
//! to whoever reads them without being taken apart.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, value::RawValue};

/// See the module. Any JSON reader takes the text: no key is there twice, no number is too large, no
/// nesting too deep.
#[derive(Clone, Default, JsonSchema)]
#[schemars(transparent)]
pub struct Tags(#[schemars(with = "Map<String, Value>")] Option<Box<RawValue>>);

impl Tags {
    /// Reads an object's text.
    ///
    /// # Errors
    /// It is something else, or nested too deep, or has what no text or number can be.
    pub fn read(text: &RawValue) -> serde_json::Result<Self> {
        if is_plain(text.get()) {
            return Ok(Self(Some(text.to_owned())));
        }
        serde_json::from_str::<Map<String, Value>>(text.get()).map(Self::from)
    }

    /// The text that [`Self::as_str`] gave.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn stored(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str::<&RawValue>(text).map(|text| Self(Some(text.to_owned())))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The object's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("{}", |text| text.get())
    }

    /// The tags, taken apart.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        // It was read before, so it can be again.
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl From<Map<String, Value>> for Tags {
    fn from(tags: Map<String, Value>) -> Self {
        if tags.is_empty() {
            return Self::default();
        }
        // A map whose keys are text can be written.
        Self(serde_json::value::to_raw_value(&tags).ok())
    }
}

impl PartialEq for Tags {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || self.to_map() == other.to_map()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(text) => text.serialize(to),
            None => to.serialize_map(Some(0))?.end(),
        }
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Map::<String, Value>::deserialize(from).map(Self::from)
    }
}

/// Keys of an object that is looked at without taking it apart.
const PLAIN_KEYS: usize = 16;

/// Whether a JSON text is an object, not empty and without blanks, with few keys, none of them twice,
/// and with values that are short numbers, words, and strings without `\u`.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut keys = [""; PLAIN_KEYS];
    let mut count = 0;
    let mut at = 0;
    // Before each key: the opening brace or a comma.
    while matches!((at, bytes.get(at)), (0, Some(b'{')) | (1.., Some(b','))) {
        let Some(end) = string_end(bytes, at + 1) else {
            return false;
        };
        let key = &text[at + 1..end];
        if count == PLAIN_KEYS || key.contains('\\') || keys[..count].contains(&key) {
            return false;
        }
        keys[count] = key;
        count += 1;
        if bytes.get(end) != Some(&b':') {
            return false;
        }
        let Some(next) = value_end(bytes, end + 1) else {
            return false;
        };
        at = next;
    }
    count > 0 && at + 1 == bytes.len() && bytes[at] == b'}'
}

/// Where a string that begins here ends, after its quote.
fn string_end(bytes: &[u8], begin: usize) -> Option<usize> {
    if bytes.get(begin) != Some(&b'"') {
        return None;
    }
    let mut at = begin + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where a plain value that begins here ends.
fn value_end(bytes: &[u8], begin: usize) -> Option<usize> {
    let rest = bytes.get(begin..)?;
    match rest.first()? {
        b'"' => string_end(bytes, begin),
        b'-' | b'0'..=b'9' => {
            let length = rest
                .iter()
                .take_while(|b| matches!(b, b'-' | b'.' | b'0'..=b'9'))
                .count();
            (length <= 17).then_some(begin + length)
        }
        _ => ["true", "false", "null"]
            .iter()
            .find(|word| rest.starts_with(word.as_bytes()))
            .map(|word| begin + word.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> serde_json::Result<Tags> {
        Tags::read(serde_json::from_str(text)?)
    }

    #[test]
    fn plain_ones_are_kept_as_written() {
        for text in [
            r#"{"k":5,"run":"abc"}"#,
            r#"{"a":-1.50,"ä":"𝄞 \"quoted\"\n","t":true,"n":null}"#,
        ] {
            let tags = read(text).unwrap();
            assert_eq!(tags.as_str(), text);
            assert_eq!(serde_json::to_string(&tags).unwrap(), text);
        }
        assert!(read("{}").unwrap().is_empty() && read(" { } ").unwrap().is_empty());
    }

    #[test]
    fn what_a_reader_could_not_take_is_refused_or_made_readable() {
        assert_eq!(read(r#"{"a":1,"a":2}"#).unwrap().as_str(), r#"{"a":2}"#);
        assert_eq!(
            read(r#"{"a":1,"\u0061":2}"#).unwrap().as_str(),
            r#"{"a":2}"#
        );
        assert_eq!(
            read(r#"{ "a" : [ 1 , {} ] }"#).unwrap().as_str(),
            r#"{"a":[1,{}]}"#
        );
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in [
            "3",
            "[]",
            "null",
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            deep.as_str(),
        ] {
            assert!(read(bad).is_err(), "{bad:.40}");
        }
    }

    #[test]
    fn many_keys_may_not_hide_a_second_one() {
        let keys: Vec<_> = (0..40).map(|n| format!("\"k{}\":{n}", n % 39)).collect();
        let tags = read(&format!("{{{}}}", keys.join(","))).unwrap();
        assert_eq!(tags.to_map().len(), 39);
    }

    proptest! {
        /// Whatever is taken reads as serde_json reads it, and is written so that it reads the same.
        #[test]
        fn reads_like_any_reader(text in r#"\{("[ab\\n]{0,2}":(-?[0-9]{1,3}(\.[0-9])?|"[a\\n"u0-9]{0,6}"|true|null|\[\]),?){0,3}\}"#) {
            let expected: Option<Map<String, Value>> = serde_json::from_str(&text).ok();
            let found = read(&text).ok();
            prop_assert_eq!(found.as_ref().map(Tags::to_map), expected);
            if let Some(tags) = found {
                let again = Tags::stored(tags.as_str()).unwrap();
                prop_assert_eq!(&again, &tags);
                let value: Tags = serde_json::from_value(serde_json::to_value(&tags).unwrap()).unwrap();
                prop_assert_eq!(&value, &tags);
            }
        }
    }
}
