//! Why a play did not succeed, told so that one knows at once what to mend. Pure.

use protocol::{Cause, CauseKind, Frame, Play, PlayStatus, ThreadStack};

use super::{
    style::{BOLD, DIM, Glyphs, Line, PLAIN, RED},
    text::{clean, clean_lines, first_line},
};

/// How many source lines are shown on either side.
const AROUND: usize = 2;

/// How much of a traceback is shown.
pub(crate) const TRACEBACK_LINES: usize = 40;

/// A place in the author's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) function: Option<&'a str>,
}

/// Where it went wrong, as far as that is known: where it was when it was stopped, else where the
/// exception was raised, else where the last span began.
pub(crate) fn place(cause: &Cause) -> Option<Place<'_>> {
    if let Some(frame) = stopped_at(cause) {
        return Some(Place {
            file: &frame.file,
            line: frame.line,
            function: Some(&frame.function),
        });
    }
    let raised = cause.exception.as_ref().and_then(|e| {
        Some(Place {
            file: e.file.as_deref()?,
            line: e.line?,
            function: e.function.as_deref(),
        })
    });
    raised.or_else(|| {
        let span = cause.last_span.as_ref()?;
        Some(Place {
            file: span.source_file.as_deref()?,
            line: span.source_line?,
            function: None,
        })
    })
}

/// One line: what kind of end it was, and its sentence.
pub(crate) fn headline(play: &Play) -> Option<Line> {
    let cause = play.cause.as_ref()?;
    let message = first_line(&cause.message);
    let mut line = Line::new().with(RED, message.clone());
    let mut more = |text: String| line.push(DIM, format!("  {text}"));
    match cause.kind {
        CauseKind::Cancelled => {
            if let Some(by) = cause.by.as_deref().filter(|by| !message.contains(by)) {
                more(format!("by {}", clean(by)));
            }
        }
        CauseKind::Exit | CauseKind::Exception => {
            if let Some(code) = cause.exit_code.filter(|code| *code != 1) {
                more(format!("exit code {code}"));
            }
        }
        _ => {}
    }
    if let Some(signal) = cause.signal.as_deref().filter(|s| !message.contains(s)) {
        more(clean(signal).into_owned());
    }
    Some(line)
}

/// The place and the source around it.
pub(crate) fn excerpt(place: Place<'_>, source: Option<&str>, glyphs: &Glyphs) -> Vec<Line> {
    let mut head = Line::new().with(BOLD, format!("{}:{}", clean(place.file), place.line));
    if let Some(function) = place.function {
        head.push(DIM, format!(" in {}", clean(function)));
    }
    let mut lines = vec![head];
    let at = place.line as usize;
    let first = at.saturating_sub(AROUND).max(1);
    let numbers = (at + AROUND).to_string().len();
    let mut around: Vec<_> = source
        .into_iter()
        .flat_map(str::lines)
        .enumerate()
        .map(|(index, text)| (index + 1, text))
        .skip(first - 1)
        .take(at + AROUND + 1 - first)
        .collect();
    if !around.iter().any(|(number, _)| *number == at) {
        return lines;
    }
    while around
        .pop_if(|(number, text)| *number > at && text.trim().is_empty())
        .is_some()
    {}
    for (number, text) in around {
        let here = number == at;
        let mark = if here { "> " } else { "  " };
        let text = clean_lines(text).next().unwrap_or_default().into_owned();
        lines.push(
            Line::new()
                .with(RED, mark)
                .with(DIM, format!("{number:>numbers$} {} ", glyphs.bar))
                .with(if here { PLAIN } else { DIM }, text),
        );
    }
    lines
}

/// The innermost call of the main thread in the author's file (as its spans name it), else the innermost
/// one in no library.
fn stopped_at(cause: &Cause) -> Option<&Frame> {
    let frames = &cause.stacks.first().filter(|s| s.thread == "main")?.frames;
    let own = cause
        .last_span
        .as_ref()
        .and_then(|s| s.source_file.as_ref());
    let innermost = |wanted: &dyn Fn(&Frame) -> bool| frames.iter().rev().find(|f| wanted(f));
    innermost(&|f| Some(&f.file) == own)
        .or_else(|| innermost(&|f| !f.file.contains("/lib/python") && !f.file.starts_with('<')))
}

/// How many threads are shown.
const THREADS: usize = 8;

/// Where each thread was when the play was stopped: its name, and its calls as a traceback has them.
pub(crate) fn threads(cause: &Cause) -> Vec<(String, Vec<Line>)> {
    let mut shown: Vec<_> = cause.stacks.iter().take(THREADS).map(thread).collect();
    let more = cause.stacks.len().saturating_sub(THREADS);
    if more > 0 {
        let hint = Line::new().with(DIM, "see them with --json");
        shown.push((format!("{more} more threads"), vec![hint]));
    }
    shown
}

fn thread(stack: &ThreadStack) -> (String, Vec<Line>) {
    let title = match stack.thread.as_str() {
        "main" => "main thread".to_owned(),
        other => format!("thread {}", clean(other)),
    };
    let skip = stack.frames.len().saturating_sub(TRACEBACK_LINES);
    let cut = (skip > 0 || stack.cut).then(|| Line::new().with(DIM, "…"));
    let frames = stack.frames.iter().skip(skip).map(|frame| {
        Line::new()
            .with(PLAIN, format!("{}:{}", clean(&frame.file), frame.line))
            .with(DIM, format!(" in {}", clean(&frame.function)))
    });
    (title, cut.into_iter().chain(frames).collect())
}

/// How it got to the place where it went wrong: the traceback or the main thread's stack, where that
/// has more to tell than the place.
pub(crate) fn way_there(cause: &Cause) -> Vec<Line> {
    if let Some(main) = cause.stacks.first().filter(|s| s.thread == "main") {
        return match &main.frames[..] {
            [_] => Vec::new(),
            _ => thread(main).1,
        };
    }
    let traceback = cause
        .exception
        .as_ref()
        .and_then(|e| e.traceback.as_deref());
    let traceback = traceback.unwrap_or_default().trim_end();
    let frames = traceback.lines().filter(|l| l.starts_with("  File "));
    if frames.count() < 2 {
        return Vec::new();
    }
    tail(traceback, TRACEBACK_LINES)
}

/// What can be done next.
pub(crate) fn next_steps(play: &Play) -> Vec<String> {
    let sid = &play.sid;
    match play.status {
        PlayStatus::Failed | PlayStatus::TimedOut | PlayStatus::Cancelled => {
            vec![
                format!("hero_logic play retry {sid}"),
                format!("hero_logic play logs {sid}"),
            ]
        }
        PlayStatus::Pending | PlayStatus::Running => {
            vec![
                format!("hero_logic play wait {sid}"),
                format!("hero_logic play cancel {sid}"),
            ]
        }
        PlayStatus::AwaitingResume => vec![format!("hero_logic play cancel {sid}")],
        PlayStatus::Success => Vec::new(),
    }
}

/// The last lines of a text that has several.
pub(crate) fn tail(text: &str, lines: usize) -> Vec<Line> {
    if text.is_empty() {
        return Vec::new();
    }
    let all: Vec<_> = clean_lines(text).collect();
    let left_out = all.len().saturating_sub(lines);
    all.into_iter()
        .skip(left_out)
        .map(|line| Line::new().with(PLAIN, line.into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use protocol::Exception;

    use super::*;
    use crate::cli::{style::Glyphs, term::Look, tree::tests::play};

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.to_text(false)).collect()
    }

    #[test]
    fn the_source_is_shown_around_the_line() {
        let glyphs = Glyphs::of(Look {
            color: false,
            unicode: true,
            terminal: false,
        });
        let source = "1st\n2nd\n\tthird\x1b[2J\n4th\n5th\n6th";
        let at = |line| Place {
            file: "/f/etl.py",
            line,
            function: Some("load"),
        };
        assert_eq!(
            texts(&excerpt(at(3), Some(source), glyphs)),
            [
                "/f/etl.py:3 in load",
                "  1 │ 1st",
                "  2 │ 2nd",
                "> 3 │         third",
                "  4 │ 4th",
                "  5 │ 5th"
            ]
        );
        assert_eq!(
            texts(&excerpt(at(1), Some(source), glyphs)),
            [
                "/f/etl.py:1 in load",
                "> 1 │ 1st",
                "  2 │ 2nd",
                "  3 │         third"
            ]
        );
        assert_eq!(
            texts(&excerpt(at(1), Some("last\n\n\n"), glyphs)),
            ["/f/etl.py:1 in load", "> 1 │ last"],
            "nothing is shown of blank lines below it"
        );
        for (line, source) in [(9, Some(source)), (0, Some(source)), (3, None)] {
            assert_eq!(excerpt(at(line), source, glyphs).len(), 1, "{line}");
        }
    }

    #[test]
    fn a_traceback_is_told_where_it_says_more_than_the_place() {
        let mut cause = Cause::new(CauseKind::Exception, "ValueError: no");
        assert_eq!(way_there(&cause), []);
        let frame = |line| format!("  File \"a.py\", line {line}, in load\n    read()\n");
        for (frames, lines) in [(1, 0), (2, 6)] {
            let frames: String = (0..frames).map(frame).collect();
            let text = format!("Traceback (most recent call last):\n{frames}ValueError: no\n");
            cause.exception = Some(Exception {
                type_name: "ValueError".to_owned(),
                message: "no".to_owned(),
                traceback: Some(text),
                file: None,
                line: None,
                function: None,
            });
            assert_eq!(way_there(&cause).len(), lines);
        }
    }

    #[test]
    fn the_headline_says_it_once() {
        let mut failed = play(PlayStatus::Failed);
        let mut cause = Cause::new(CauseKind::Signal, "ended by SIGSEGV\nmore");
        cause.signal = Some("SIGSEGV".to_owned());
        failed.cause = Some(cause);
        assert_eq!(
            headline(&failed).unwrap().to_text(false),
            "ended by SIGSEGV"
        );
        let mut cause = Cause::new(CauseKind::Exit, "the process left early");
        cause.exit_code = Some(3);
        failed.cause = Some(cause);
        assert_eq!(
            headline(&failed).unwrap().to_text(false),
            "the process left early  exit code 3"
        );
    }

    #[test]
    fn the_place_is_where_it_was_stopped() {
        let mut cause = Cause::new(CauseKind::Timeout, "too long");
        let frame = |file: &str, line| Frame {
            file: file.to_owned(),
            line,
            function: "f".to_owned(),
        };
        let stack = |thread: &str, frames| ThreadStack {
            thread: thread.to_owned(),
            frames,
            cut: true,
        };
        let main = vec![
            frame("etl.py", 1),
            frame("own.py", 5),
            frame("/usr/lib/python3.11/queue.py", 9),
        ];
        cause.stacks = vec![
            stack("main", main),
            stack("w\x1b[2J", vec![frame("etl.py", 8)]),
        ];
        assert_eq!(place(&cause).map(|p| (p.file, p.line)), Some(("own.py", 5)));
        cause.last_span = Some(protocol::LastSpan {
            span_id: "1".into(),
            name: "load".to_owned(),
            source_file: Some("etl.py".to_owned()),
            source_line: Some(4),
        });
        assert_eq!(place(&cause).map(|p| (p.file, p.line)), Some(("etl.py", 1)));
        let told = threads(&cause);
        assert_eq!(told[0].0, "main thread");
        assert_eq!(
            texts(&told[0].1),
            [
                "…",
                "etl.py:1 in f",
                "own.py:5 in f",
                "/usr/lib/python3.11/queue.py:9 in f"
            ]
        );
        assert!(!told[1].0.contains('\x1b'), "{told:?}");
        assert_eq!(way_there(&cause).len(), 4);
    }

    #[test]
    fn the_place_is_where_it_was_raised() {
        let mut cause = Cause::new(CauseKind::Exception, "ValueError: no");
        assert_eq!(place(&cause), None);
        cause.last_span = Some(protocol::LastSpan {
            span_id: "1".into(),
            name: "load".to_owned(),
            source_file: Some("a.py".to_owned()),
            source_line: Some(4),
        });
        assert_eq!(place(&cause).unwrap().line, 4);
        cause.exception = Some(Exception {
            type_name: "ValueError".to_owned(),
            message: "no".to_owned(),
            traceback: None,
            file: Some("b.py".to_owned()),
            line: Some(7),
            function: None,
        });
        assert_eq!(place(&cause).unwrap().file, "b.py");
    }
}
