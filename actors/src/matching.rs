//! How texts are compared without regard to case. Pure.
//!
//! What it means is one and the same wherever something is searched for: the library, a play's spans and
//! logs.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// The form in which query and text are compared: Unicode's canonical caseless matching (NFD, then
/// full default case folding), composed again (NFC).
///
/// - Full folding: `STRASSE` equals `straße`, `ﬁ` equals `FI`, final `ς` equals `σ`.
/// - Canonical, not compatible: `é` written as one character or as `e` and an accent is the same,
///   but `²` is not `2` and `Ａ` (full width) is not `A`.
/// - Composed: a character with its accent, and a Hangul syllable, is one unit, so `e` is not found
///   in `é`. A mark for which Unicode has no composed character stays one of its own.
/// - No language: `I` folds to `i`, dotless `ı` stays what it is, and `İ` becomes `i` and the mark
///   U+0307, so `i` is found in it, `istanbul` in `İstanbul` is not.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfd().default_case_fold().nfc().collect()
    }
}

/// Looks for one text in others, without regard to case.
#[derive(Clone, Debug)]
pub struct Matcher {
    folded: String,
}

impl Matcher {
    /// The empty text is in every other.
    #[must_use]
    pub fn new(wanted: &str) -> Self {
        Self {
            folded: fold(wanted),
        }
    }

    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() {
            // What is ASCII folds to ASCII, so nothing else is in it.
            is_in_ascii(self.folded.as_bytes(), text.as_bytes())
        } else {
            fold(text).contains(&self.folded)
        }
    }
}

/// Without a copy of the text: most of what is searched is ASCII.
fn is_in_ascii(wanted: &[u8], text: &[u8]) -> bool {
    let Some(&first) = wanted.first() else {
        return true;
    };
    let Some(last) = text.len().checked_sub(wanted.len()) else {
        return false;
    };
    let starts = memchr::memchr2_iter(first, first.to_ascii_uppercase(), &text[..=last]);
    starts
        .into_iter()
        .any(|at| text[at..at + wanted.len()].eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_folding_finds(wanted in "[aAßsS\u{e9}e]{0,3}", text in "[aAßsS\u{e9}e ]{0,12}") {
            let found = Matcher::new(&wanted).is_in(&text);
            prop_assert_eq!(found, fold(&text).contains(&fold(&wanted)));
        }
    }
}
