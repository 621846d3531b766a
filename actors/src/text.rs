//! In which form texts are compared where somebody searches. Pure.

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
