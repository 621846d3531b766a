//! Styled lines as values, and the characters that pictures are made of. Pure.

use anstyle::{AnsiColor, Effects, Style};
use protocol::{PlayStatus, SpanStatus};

use super::{
    term::Look,
    text::{fit, width},
};

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().effects(Effects::BOLD);
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(crate) const BLUE: Style = AnsiColor::Blue.on_default();

/// A line in pieces, each with its style. The pieces hold no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Style, String)>);

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.push(style, text);
        self
    }

    pub(crate) fn push(&mut self, style: Style, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push((style, text));
        }
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.append(other);
        self
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// Fills up with blanks to this width.
    pub(crate) fn pad_to(&mut self, columns: usize) {
        let missing = columns.saturating_sub(self.width());
        self.push(PLAIN, " ".repeat(missing));
    }

    /// Cuts it to this width.
    pub(crate) fn cut(mut self, columns: usize, glyphs: &Glyphs) -> Self {
        let mut used = 0;
        for at in 0..self.0.len() {
            let room = columns.saturating_sub(used);
            let needed = width(&self.0[at].1);
            let last = at + 1 == self.0.len();
            if needed > room || (needed == room && !last) {
                let cut = match &self.0[at].1 {
                    text if needed == room => {
                        fit(text, room.saturating_sub(1), glyphs.ellipsis).into_owned()
                    }
                    text => fit(text, room, glyphs.ellipsis).into_owned(),
                };
                self.0[at].1 = cut;
                self.0.truncate(at + 1);
                break;
            }
            used += needed;
        }
        self
    }

    /// The text, with terminal sequences where colours are on, without blanks at its end.
    pub(crate) fn to_text(&self, color: bool) -> String {
        let mut out = String::new();
        for (at, (style, text)) in self.0.iter().enumerate() {
            let last = at + 1 == self.0.len();
            let text = if last { text.trim_end() } else { text };
            if color && *style != PLAIN {
                out.push_str(&format!("{style}{text}{style:#}"));
            } else {
                out.push_str(text);
            }
        }
        out
    }
}

/// The characters of pictures: one set for terminals that show more than ASCII, one for the rest.
#[derive(Debug)]
pub(crate) struct Glyphs {
    pub(crate) well: &'static str,
    pub(crate) failed: &'static str,
    pub(crate) timed_out: &'static str,
    pub(crate) cancelled: &'static str,
    pub(crate) replayed: &'static str,
    pub(crate) pending: &'static str,
    pub(crate) awaiting: &'static str,
    pub(crate) spinner: &'static [&'static str],
    pub(crate) branch: &'static str,
    pub(crate) last_branch: &'static str,
    pub(crate) trunk: &'static str,
    pub(crate) bar: &'static str,
    pub(crate) ellipsis: &'static str,
    pub(crate) into: &'static str,
    pub(crate) arrow: &'static str,
}

static UNICODE: Glyphs = Glyphs {
    well: "✓",
    failed: "✗",
    timed_out: "◷",
    cancelled: "⊘",
    replayed: "↺",
    pending: "○",
    awaiting: "‖",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    branch: "├─ ",
    last_branch: "└─ ",
    trunk: "│  ",
    bar: "│",
    ellipsis: "…",
    into: "›",
    arrow: "→",
};

static ASCII: Glyphs = Glyphs {
    well: "+",
    failed: "x",
    timed_out: "!",
    cancelled: "-",
    replayed: "~",
    pending: "o",
    awaiting: "=",
    spinner: &["|", "/", "-", "\\"],
    branch: "|- ",
    last_branch: "`- ",
    trunk: "|  ",
    bar: "|",
    ellipsis: "...",
    into: ">",
    arrow: "->",
};

impl Glyphs {
    pub(crate) fn of(look: Look) -> &'static Self {
        if look.unicode { &UNICODE } else { &ASCII }
    }

    /// The sign for a span; `tick` turns the spinner.
    pub(crate) fn span(&self, status: SpanStatus, tick: usize) -> (Style, &'static str) {
        match status {
            SpanStatus::Running => (CYAN, self.spinner[tick % self.spinner.len()]),
            SpanStatus::Ok => (GREEN, self.well),
            SpanStatus::Failed => (RED, self.failed),
            SpanStatus::TimedOut => (YELLOW, self.timed_out),
            SpanStatus::Cancelled => (YELLOW, self.cancelled),
            SpanStatus::Replayed => (BLUE, self.replayed),
        }
    }

    /// The sign for a play.
    pub(crate) fn play(&self, status: PlayStatus, tick: usize) -> (Style, &'static str) {
        match status {
            PlayStatus::Pending => (DIM, self.pending),
            PlayStatus::AwaitingResume => (BLUE, self.awaiting),
            PlayStatus::Running => self.span(SpanStatus::Running, tick),
            ended => self.span(SpanStatus::of_outcome(ended), tick),
        }
    }
}

/// A status in words for people.
pub(crate) fn words(status: PlayStatus) -> &'static str {
    match status {
        PlayStatus::Pending => "waiting for a slot",
        PlayStatus::Running => "running",
        PlayStatus::AwaitingResume => "awaiting input",
        PlayStatus::Success => "succeeded",
        PlayStatus::Failed => "failed",
        PlayStatus::TimedOut => "timed out",
        PlayStatus::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_by_columns() {
        let line = Line::new().with(BOLD, "abc").with(PLAIN, "defg");
        for (columns, expected) in [
            (7, "abcdefg"),
            (6, "abcde…"),
            (4, "abc…"),
            (3, "a…"),
            (1, "…"),
            (0, ""),
        ] {
            assert_eq!(
                line.clone().cut(columns, &UNICODE).to_text(false),
                expected,
                "{columns}"
            );
        }
    }

    #[test]
    fn every_sign_has_one_column() {
        for glyphs in [&UNICODE, &ASCII] {
            for status in PlayStatus::ALL {
                assert_eq!(width(glyphs.play(status, 3).1), 1, "{status:?}");
            }
        }
    }
}
