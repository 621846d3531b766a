//! Splits a byte stream into lines, in bounded memory.
//!
//! Pure. A line over the bound is reported once and its rest is dropped up to the next newline.

use protocol::event::MAX_LINE;

/// How much is shown of a line that is too long, bytes.
const BEGINNING: usize = 4 << 10;

/// The unfinished line of one connection.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    skipping: bool,
}

/// One line, or the place of one that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Line(&'a [u8]),
    /// How it begins.
    TooLong(&'a [u8]),
}

impl Lines {
    /// Takes the next bytes; calls `each` for every line that they complete. Empty lines are none.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (head, rest) = bytes.split_at(at);
            bytes = &rest[1..];
            if self.skipping {
                self.skipping = false;
            } else if self.partial.is_empty() {
                emit(head, &mut each);
            } else {
                self.partial.extend_from_slice(head);
                emit(&self.partial, &mut each);
            }
            self.partial.clear();
        }
        if self.skipping {
            return;
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > MAX_LINE {
            each(Piece::TooLong(&self.partial[..BEGINNING]));
            self.skipping = true;
            self.partial = Vec::new();
        }
    }

    /// The stream has ended: what is left is a line too.
    pub fn finish(&mut self, mut each: impl FnMut(Piece<'_>)) {
        if !self.skipping {
            emit(&self.partial, &mut each);
        }
        self.partial = Vec::new();
    }
}

fn emit(line: &[u8], each: &mut impl FnMut(Piece<'_>)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_LINE {
        each(Piece::TooLong(&line[..BEGINNING]));
    } else if !line.is_empty() {
        each(Piece::Line(line));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut take = |piece: Piece<'_>| {
            out.push(match piece {
                Piece::Line(line) => Some(line.to_vec()),
                Piece::TooLong(beginning) => {
                    assert_eq!(beginning.len(), BEGINNING);
                    None
                }
            });
        };
        for chunk in chunks {
            lines.push(chunk, &mut take);
        }
        lines.finish(&mut take);
        out
    }

    #[test]
    fn a_long_line_costs_only_itself() {
        let long = vec![b'x'; MAX_LINE + 10];
        let got = split(&[b"a\n", &long, &long, b"xx\nb\nc"]);
        assert_eq!(
            got,
            [
                Some(b"a".to_vec()),
                None,
                Some(b"b".to_vec()),
                Some(b"c".to_vec())
            ]
        );
        let mut whole = long.clone();
        whole.extend_from_slice(b"\nz\n");
        assert_eq!(split(&[&whole]), [None, Some(b"z".to_vec())]);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[ab\n]{0,60}", cut in 0usize..60) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let expected: Vec<_> = text.split('\n').filter(|l| !l.is_empty()).map(|l| Some(l.as_bytes().to_vec())).collect();
            prop_assert_eq!(split(&[&bytes[..cut], &bytes[cut..]]), expected);
        }
    }
}
