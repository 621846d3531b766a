//! What is shown of a running play where standard error is no terminal: one line for each thing that
//! has happened. Pure.

use protocol::{EpochMs, PlaySid, PlayStatus, SpanStatus};

use super::{
    style::{DIM, Glyphs, Line, PLAIN, RED},
    term::Look,
    text::{clean_lines, fit},
    tree::{Forest, News, Tree},
    units,
};

/// How many names of a path are shown, from the innermost outward.
const PATH: usize = 4;

/// The lines that news of one play make; the children's are shown like its own.
pub(crate) fn lines(forest: &Forest, play: &PlaySid, news: &[News], look: Look) -> Vec<Line> {
    let Some(tree) = forest.tree(play) else {
        return Vec::new();
    };
    let glyphs = Glyphs::of(look);
    news.iter()
        .flat_map(|news| match news {
            News::Ended(at) => vec![ended(tree, *at, glyphs)],
            News::Output { span, text, .. } => output(tree, *span, text, glyphs),
            _ => Vec::new(),
        })
        .collect()
}

fn ended(tree: &Tree, at: usize, glyphs: &Glyphs) -> Line {
    let node = &tree.nodes[at];
    let waits = node.waits();
    let (style, glyph) = if waits {
        glyphs.play(PlayStatus::AwaitingResume, 0)
    } else {
        glyphs.span(node.status, 0)
    };
    let took = node.duration(node.end_ms.unwrap_or(EpochMs(0.0)));
    let mut line = Line::new()
        .with(style, format!("{glyph} "))
        .with(PLAIN, path(tree, at, glyphs))
        .with(DIM, format!("  {}", units::duration(took)));
    match node.status {
        _ if waits => line.push(DIM, "  waits"),
        SpanStatus::TimedOut => line.push(style, "  timed out"),
        SpanStatus::Cancelled => line.push(style, "  cancelled"),
        SpanStatus::Replayed => line.push(DIM, "  replayed"),
        _ => {}
    }
    if let Some(error) = node.error.as_ref().filter(|_| !waits) {
        line.push(RED, format!("  {error}"));
    }
    line
}

/// A piece of output, each line with the name of its span.
pub(crate) fn output(tree: &Tree, span: Option<usize>, text: &str, glyphs: &Glyphs) -> Vec<Line> {
    let name = span
        .or_else(|| tree.root())
        .map(|at| fit(&tree.nodes[at].name, 40, glyphs.ellipsis).into_owned());
    clean_lines(text)
        .map(|line| {
            Line::new()
                .with(
                    DIM,
                    format!("{} {} ", name.as_deref().unwrap_or(""), glyphs.bar).trim_start(),
                )
                .with(PLAIN, line.into_owned())
        })
        .collect()
}

/// `etl › load › row`.
fn path(tree: &Tree, at: usize, glyphs: &Glyphs) -> String {
    let mut names = Vec::new();
    let mut next = Some(at);
    while let Some(at) = next {
        if names.len() == PATH {
            names.push(glyphs.ellipsis);
            break;
        }
        names.push(&tree.nodes[at].name);
        next = tree.nodes[at].parent;
    }
    names.reverse();
    names.join(&format!(" {} ", glyphs.into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::tree::tests::{ended, log, play, span},
        client::Record,
    };

    #[test]
    fn one_line_for_each_event() {
        let sid = PlaySid::from("play-1");
        let mut forest = Forest::new(sid.clone());
        let look = Look {
            color: false,
            unicode: true,
            terminal: false,
        };
        let root = span("1", "", "etl", 0.0);
        let load = span("2", "1", "load", 10.0);
        let records = [
            Record::Play(Box::new(play(PlayStatus::Running))),
            Record::Span(Box::new(root.clone())),
            Record::Span(Box::new(load.clone())),
            Record::Log(Box::new(log("2", "row 1\nrow \x1b[31m2\n"))),
            Record::Log(Box::new(log("", "early\n"))),
            Record::Span(Box::new(ended(
                load,
                22.0,
                SpanStatus::Failed,
                Some("ValueError: no\nx"),
            ))),
            Record::Span(Box::new(ended(
                span("3", "1", "ask", 10.0),
                22.0,
                SpanStatus::Cancelled,
                Some("waits"),
            ))),
            Record::Span(Box::new(ended(root, 3_200.0, SpanStatus::Cancelled, None))),
        ];
        let shown: Vec<_> = records
            .into_iter()
            .flat_map(|record| {
                let news = forest.apply(&sid, record);
                lines(&forest, &sid, &news, look)
            })
            .map(|line| line.to_text(false))
            .collect();
        assert_eq!(
            shown,
            [
                "load │ row 1",
                "load │ row 2",
                "etl │ early",
                "✗ etl › load  12 ms  ValueError: no",
                "‖ etl › ask  12 ms  waits",
                "⊘ etl  3.2 s  cancelled",
            ]
        );
    }
}
