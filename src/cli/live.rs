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
    hidden: bool,
}

impl Painter {
    pub(crate) fn new(color: bool) -> Self {
        Self {
            color,
            shown: Vec::new(),
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
        out.push_str(&erase(&self.shown, term::size().0));
        for line in stay.iter().chain(picture) {
            out.push_str(&line.to_text(self.color));
            out.push('\n');
        }
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

/// What takes the last picture away. Where the terminal has become narrower, its lines have wrapped.
fn erase(shown: &[usize], columns: usize) -> String {
    let columns = columns.max(1);
    let rows: usize = shown.iter().map(|w| w.div_ceil(columns).max(1)).sum();
    if rows == 0 {
        return String::new();
    }
    format!("\r\x1b[{rows}A\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_count_as_several() {
        assert_eq!(erase(&[], 80), "");
        assert_eq!(erase(&[80, 0, 10], 80), "\r\x1b[3A\x1b[J");
        assert_eq!(erase(&[80, 0, 10], 30), "\r\x1b[5A\x1b[J");
    }
}
