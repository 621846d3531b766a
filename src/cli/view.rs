//! What a person sees of a play while it is followed: a live picture, plain lines, or nothing.

use std::{
    io::{self, Write},
    time::Duration,
};

use protocol::{EpochMs, PlaySid};

use super::{
    live::Painter,
    plain,
    render::render_steadily,
    style::{DIM, Glyphs, Line},
    term::{self, Look},
    tree::{Forest, News},
    units,
};

/// Between two pictures.
pub(crate) const FRAME: Duration = Duration::from_millis(90);
/// How many lines of output one picture lets through; a flood is counted instead.
const OUTPUT_LINES: usize = 200;
/// The last picture may be taller than the screen: it scrolls.
const FINAL_ROWS: usize = 40;

/// Shows what happens on standard error.
#[derive(Debug)]
pub(crate) enum View {
    Live(Live),
    Plain(Look),
    /// Errors only.
    Quiet,
}

/// A picture in place.
#[derive(Debug)]
pub(crate) struct Live {
    look: Look,
    painter: Painter,
    /// Output and messages since the last picture.
    stay: Vec<Line>,
    left_out: usize,
    dirty: bool,
    /// How wide the names were so far.
    names: usize,
}

impl View {
    /// The view that fits: `plain` forces lines where a picture would be possible.
    pub(crate) fn new(look: Look, quiet: bool, plain: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if look.terminal && !plain && std::env::var_os("TERM").is_none_or(|t| t != "dumb") {
            Self::Live(Live {
                look,
                painter: Painter::new(look.color),
                stay: Vec::new(),
                left_out: 0,
                dirty: true,
                names: 0,
            })
        } else {
            Self::Plain(look)
        }
    }

    /// Shows news of a play.
    pub(crate) fn news(&mut self, forest: &Forest, play: &PlaySid, news: &[News]) {
        match self {
            Self::Quiet => {}
            Self::Plain(look) => print(&plain::lines(forest, play, news, *look), *look),
            Self::Live(live) => live.news(forest, play, news),
        }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, text: &str) {
        let line = Line::new().with(DIM, text);
        match self {
            Self::Quiet => {}
            Self::Plain(look) => print(&[line], *look),
            Self::Live(live) => {
                live.stay.push(line);
                live.dirty = true;
            }
        }
    }

    /// Draws the next picture, where something has changed or runs.
    pub(crate) fn frame(&mut self, forest: &Forest, now: EpochMs) {
        if let Self::Live(live) = self {
            let runs = forest.play().is_none_or(|play| !play.status.is_terminal());
            if live.dirty || runs {
                let (columns, rows) = term::size();
                live.paint(forest, (columns, rows.saturating_sub(1)), now);
            }
        }
    }

    /// Draws the last picture and leaves it there.
    pub(crate) fn finish(&mut self, forest: &Forest, now: EpochMs) {
        if let Self::Live(live) = self {
            let (columns, rows) = term::size();
            live.names = 0; // the last one is looked at for itself
            live.paint(
                forest,
                (columns, rows.saturating_sub(1).max(FINAL_ROWS)),
                now,
            );
            self.leave();
        }
    }

    /// Gives the terminal back, for now or for good.
    pub(crate) fn leave(&mut self) {
        if let Self::Live(live) = self {
            note(live.painter.leave());
            live.dirty = true;
        }
    }
}

impl Live {
    fn news(&mut self, forest: &Forest, play: &PlaySid, news: &[News]) {
        self.dirty |= !news.is_empty();
        let Some(tree) = forest.tree(play) else {
            return;
        };
        for news in news {
            if let News::Output { span, text, .. } = news {
                let lines = plain::output(tree, *span, text, Glyphs::of(self.look));
                let room = OUTPUT_LINES.saturating_sub(self.stay.len());
                self.left_out += lines.len().saturating_sub(room);
                self.stay.extend(lines.into_iter().take(room));
            }
        }
    }

    fn paint(&mut self, forest: &Forest, size: (usize, usize), now: EpochMs) {
        let glyphs = Glyphs::of(self.look);
        if self.left_out > 0 {
            let count = units::count(self.left_out as u64, "line", "lines");
            let text = format!(
                "{} {count} not shown here; hero_logic play logs {} shows all",
                glyphs.ellipsis, forest.root
            );
            self.stay.push(Line::new().with(DIM, text));
            self.left_out = 0;
        }
        let picture = render_steadily(forest, size, now, self.look, &mut self.names);
        note(self.painter.paint(&self.stay, &picture));
        self.stay.clear();
        self.dirty = false;
    }
}

fn print(lines: &[Line], look: Look) {
    let mut out = String::new();
    for line in lines {
        out.push_str(&line.to_text(look.color));
        out.push('\n');
    }
    note(io::stderr().lock().write_all(out.as_bytes()));
}

/// A terminal that is gone is no reason to stop a play.
fn note(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(%error, "standard error could not be written to");
    }
}
