//! Paints pictures onto the terminal behind standard error: in place, a few times a second, and
//! always leaving the terminal as it was found.

use std::io::{self, Write};

use super::{style::Line, term};

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Terminals that know it show what is between as one picture; the others ignore it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// What stands on the terminal. Dropping it gives the cursor back.
#[derive(Debug)]
pub(crate) struct Painter {
    color: bool,
    /// The widths of the lines of the last picture.
    shown: Vec<usize>,
    /// How wide the terminal was then.
    columns: usize,
    hidden: bool,
}

impl Painter {
    pub(crate) fn new(color: bool) -> Self {
        Self {
            color,
            shown: Vec::new(),
            columns: 0,
            hidden: false,
        }
    }

    /// Replaces the last picture: first lines that stay and scroll away, then the new picture.
    pub(crate) fn paint(&mut self, stay: &[Line], picture: &[Line]) -> io::Result<()> {
        let mut out = String::from(BEGIN);
        if !self.hidden {
            out.push_str(HIDE_CURSOR);
            self.hidden = true;
        }
        let lines = stay.iter().chain(picture);
        let lines: Vec<_> = lines.map(|l| (l.to_text(self.color), l.width())).collect();
        let columns = term::size().0;
        if std::mem::replace(&mut self.columns, columns) != columns {
            // The terminal has wrapped or joined what stood there: nothing to write over.
            out.push_str(&replace(&self.shown, &[], columns));
            self.shown.clear();
        }
        out.push_str(&replace(&self.shown, &lines, columns));
        out.push_str(END);
        self.shown = picture.iter().map(Line::width).collect();
        write(&out)
    }

    /// Leaves what is shown where it is, and gives the cursor back. The next picture starts below.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.shown.clear();
        if std::mem::take(&mut self.hidden) {
            write(SHOW_CURSOR)?;
        }
        Ok(())
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::debug!(%error, "the terminal could not be restored");
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()
}

/// What puts lines (each with its width) over the last picture, of lines this wide. Where the
/// terminal has become narrower, those have wrapped.
///
/// Line over line, and only what is left over is erased: erasing everything below the first column
/// of the first row would make some terminals keep what is erased, and fill their history with
/// every single picture.
fn replace(shown: &[usize], lines: &[(String, usize)], columns: usize) -> String {
    const ERASE_TO_THE_RIGHT: &str = "\x1b[K";
    const ERASE_BELOW: &str = "\x1b[J";
    let columns = columns.max(1);
    let rows_of = |width: usize| width.div_ceil(columns).max(1);
    let old: usize = shown.iter().map(|width| rows_of(*width)).sum();
    let mut out = match old {
        0 => String::new(),
        rows => format!("\r\x1b[{rows}A"),
    };
    let mut new = 0;
    for (text, width) in lines {
        out.push_str(text);
        // Of a full row the cursor still stands on the last column: nothing is left to erase.
        if new < old && (*width == 0 || !width.is_multiple_of(columns)) {
            out.push_str(ERASE_TO_THE_RIGHT);
        }
        out.push('\n');
        new += rows_of(*width);
    }
    if new < old {
        out.push_str(ERASE_BELOW);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<(String, usize)> {
        texts.iter().map(|t| ((*t).to_owned(), t.len())).collect()
    }

    #[test]
    fn the_first_picture_erases_nothing() {
        assert_eq!(replace(&[], &lines(&["ab", ""]), 80), "ab\n\n");
    }

    #[test]
    fn a_picture_goes_over_the_last_one_line_by_line() {
        assert_eq!(
            replace(&[2, 2], &lines(&["abc", "", "d"]), 3),
            "\r\x1b[2Aabc\n\x1b[K\nd\n",
            "a full row needs no erasing, nor does what is below the last picture"
        );
    }

    #[test]
    fn what_is_left_of_the_last_picture_is_erased_last() {
        let text = replace(&[5, 5, 5], &lines(&["a"]), 80);
        assert_eq!(text, "\r\x1b[3Aa\x1b[K\n\x1b[J");
    }

    #[test]
    fn wrapped_lines_count_as_several() {
        let moves = |columns| replace(&[80, 0, 10], &lines(&[]), columns);
        assert_eq!(moves(80), "\r\x1b[3A\x1b[J");
        assert_eq!(moves(30), "\r\x1b[5A\x1b[J");
        let text = replace(&[5, 5], &lines(&["abcd"]), 3);
        assert_eq!(text, "\r\x1b[4Aabcd\x1b[K\n\x1b[J");
    }
}
