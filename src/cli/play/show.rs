//! `play show`: all about one play. For one that failed: what to mend, first.

use protocol::{
    EpochMs, Play, PlaySid, PlayStatus, Skipped,
    rpc::{PlayList, PlayPage},
    span::SpanWithLogs,
};
use serde_json::Value;

use super::{logs, ls::table, sid};
use crate::{
    cli::{
        ask::{Question, described, questions},
        context::Context,
        exit::{Done, Exit, Failure},
        explain, outcome,
        render::{elapsed, play_name, render},
        session::{Need, Session, within},
        style::{BOLD, DIM, Glyphs, Line, PLAIN, words},
        term,
        text::{clean, fit},
        tree::Forest,
        units,
    },
    client::{Record, watch::Snapshot},
};

/// Show a play: how it went, why it failed, what to do next
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// With its spans
    #[arg(long)]
    spans: bool,
}

/// How much of the last output is shown, lines.
const TAIL: usize = 12;
/// How many child plays are shown.
const CHILDREN: u32 = 10;
/// How much of an input or output is shown, columns.
const DATA: usize = 400;

/// Everything that is shown, read before anything is.
struct Shown {
    play: Play,
    source: Option<String>,
    spans: Vec<SpanWithLogs>,
    children: PlayPage,
    questions: Vec<Question>,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let shown = within(context, Need::Read, async |session| {
        read(session, &args).await
    })
    .await?;
    if context.json {
        context.print_json(&document(&shown, args.spans)?)?;
        return Ok(Exit::Success);
    }
    let mut lines = describe(&shown, EpochMs::now(), context.glyphs());
    if args.spans {
        lines.push(Line::new());
        lines.extend(picture(shown, context));
    }
    context.print(&lines)?;
    Ok(Exit::Success)
}

async fn read(session: &Session, args: &Args) -> Result<Shown, Failure> {
    let play = sid::find(session, &args.sid).await?;
    let children = PlayList {
        parent_play_sid: Some(play.sid.clone()),
        limit: Some(CHILDREN),
        ..PlayList::default()
    };
    let questions = match play.status {
        // Of plays of nodes and edges it is always another that asks.
        PlayStatus::AwaitingResume | PlayStatus::Running => questions(session, &play.sid).await?,
        _ => Vec::new(),
    };
    Ok(Shown {
        questions,
        source: outcome::source_of(session, &play).await,
        spans: logs::spans(session, &play.sid).await?,
        children: session
            .call("list its child plays", "play_list", &children)
            .await?,
        play,
    })
}

fn document(shown: &Shown, with_spans: bool) -> Result<Value, Failure> {
    let unwritable =
        |error: serde_json::Error| Failure::failed(format!("failed to write the play: {error}"));
    let mut document = serde_json::to_value(&shown.play).map_err(unwritable)?;
    if let (true, Some(fields)) = (with_spans, document.as_object_mut()) {
        let spans = serde_json::to_value(&shown.spans).map_err(unwritable)?;
        fields.insert("spans".to_owned(), spans);
    }
    Ok(document)
}

fn describe(shown: &Shown, now: EpochMs, glyphs: &Glyphs) -> Vec<Line> {
    let Shown { play, .. } = shown;
    let mut page = Page::default();
    page.lines.push(head(play, now, glyphs));
    page.lines.extend(why(shown, glyphs));
    page.lines.push(Line::new());
    outcome_rows(&mut page, play);
    origin_rows(&mut page, play, now);
    if !shown.children.items.is_empty() {
        page.row("children", &child_count(&shown.children));
        for line in table(&shown.children.items, now, usize::MAX, glyphs) {
            page.lines.push(Line::new().with(PLAIN, "    ").and(line));
        }
    }
    for (at, question) in shown.questions.iter().enumerate() {
        page.question(if at == 0 { "asks" } else { "" }, question, &play.sid);
    }
    let mut next = explain::next_steps(play);
    if let [first, more @ ..] = &shown.questions[..] {
        next.insert(0, answer(&play.sid, first, !more.is_empty()));
    }
    for (at, step) in next.iter().enumerate() {
        page.row(if at == 0 { "next" } else { "" }, step);
    }
    page.lines
}

fn head(play: &Play, now: EpochMs, glyphs: &Glyphs) -> Line {
    let (style, glyph) = glyphs.play(play.status, 0);
    let mut head = Line::new()
        .with(style, format!("{glyph} "))
        .with(BOLD, play_name(play))
        .with(style, format!("  {}", words(play.status)));
    if let Some(ms) = elapsed(play, now) {
        head.push(PLAIN, format!("  {}", units::duration(ms)));
    }
    head.with(DIM, format!("  {}", play.sid))
}

/// What went wrong and where: the part to read first.
fn why(shown: &Shown, glyphs: &Glyphs) -> Vec<Line> {
    let Some(cause) = &shown.play.cause else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut block = |title: &str, block: Vec<Line>| {
        if block.is_empty() {
            return;
        }
        lines.push(Line::new());
        if !title.is_empty() {
            lines.push(Line::new().with(DIM, format!("  {title}")));
        }
        lines.extend(
            block
                .into_iter()
                .map(|l| Line::new().with(PLAIN, "  ").and(l)),
        );
    };
    block("", explain::headline(&shown.play).into_iter().collect());
    if let Some(place) = explain::place(cause) {
        block("", explain::excerpt(place, shown.source.as_deref(), glyphs));
    }
    let traceback = cause
        .exception
        .as_ref()
        .and_then(|e| e.traceback.as_deref());
    block(
        "traceback",
        explain::tail(
            traceback.unwrap_or_default().trim_end(),
            explain::TRACEBACK_LINES,
        ),
    );
    for (title, lines) in explain::threads(cause) {
        block(&title, lines);
    }
    if let Some(last) = &cause.last_span {
        let mut line = Line::new().with(PLAIN, clean(&last.name));
        if let (Some(file), Some(at)) = (&last.source_file, last.source_line) {
            line.push(DIM, format!("  {}:{at}", clean(file)));
        }
        block("last span", vec![line]);
    }
    block("last output", last_output(shown, glyphs));
    lines
}

/// The end of what was written: of all spans, or of standard error where that is all there is.
fn last_output(shown: &Shown, glyphs: &Glyphs) -> Vec<Line> {
    let mut logs: Vec<_> = shown.spans.iter().flat_map(|s| &s.logs).collect();
    logs.sort_by(|a, b| a.ts_ms.0.total_cmp(&b.ts_ms.0));
    let recent: Vec<_> = logs
        .iter()
        .skip(logs.len().saturating_sub(TAIL))
        .map(|log| log.text.trim_end_matches('\n'))
        .collect();
    let stderr = shown
        .play
        .cause
        .as_ref()
        .and_then(|c| c.stderr_tail.as_deref());
    let text = match recent.as_slice() {
        [] => stderr.unwrap_or_default().trim_end().to_owned(),
        recent => recent.join("\n"),
    };
    if text.is_empty() {
        return Vec::new();
    }
    let bar = format!("{} ", glyphs.bar);
    explain::tail(&text, TAIL)
        .into_iter()
        .map(|line| Line::new().with(DIM, bar.clone()).and(line))
        .collect()
}

/// Lines of the form `name  text`.
#[derive(Default)]
struct Page {
    lines: Vec<Line>,
}

impl Page {
    /// An open question, with what can be answered.
    fn question(&mut self, name: &str, question: &Question, shown: &PlaySid) {
        let Question { play, asked } = question;
        let mut line = Line::new().with(DIM, format!("  {name:<9} "));
        line.push(PLAIN, clean(&asked.name));
        if play != shown {
            line.push(DIM, format!("  of play {play}"));
        }
        self.lines.push(line);
        for line in described(asked) {
            let indented = Line::new().with(PLAIN, "              ").and(line);
            self.lines.push(indented);
        }
    }

    fn row(&mut self, name: &str, text: &str) {
        let line = Line::new()
            .with(DIM, format!("  {name:<9} "))
            .with(PLAIN, clean(text));
        self.lines.push(line);
    }
}

/// How a question is answered.
fn answer(play: &PlaySid, question: &Question, several: bool) -> String {
    // Safe to be copied into a shell.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    let name = &question.asked.name;
    let name = match name.chars().all(plain) && !name.is_empty() {
        true => name.clone(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    };
    if several {
        format!("hero_logic play answer {play} --question {name} ANSWER")
    } else {
        format!("hero_logic play answer {play} ANSWER")
    }
}

fn outcome_rows(page: &mut Page, play: &Play) {
    let data =
        |text: &str| fit(&clean(text.get(..4 * DATA).unwrap_or(text)), DATA, "…").into_owned();
    page.row("input", &data(&play.input_data));
    if let Some(output) = &play.output_data {
        page.row("output", &data(output));
    }
    let usage = play.usage.map(|u| (u.cpu_ms, u.peak_memory_bytes));
    let cause = play.cause.as_ref();
    let cpu = usage.map(|u| u.0).or(cause.and_then(|c| c.cpu_ms));
    let memory = usage
        .map(|u| u.1)
        .or(cause.and_then(|c| c.peak_memory_bytes));
    let mut used = Vec::new();
    used.extend(cpu.map(|ms| format!("CPU {}", units::duration(ms))));
    used.extend(memory.map(|bytes| format!("peak memory {}", units::bytes(bytes))));
    let processes = play
        .usage
        .map(|u| u64::from(u.processes))
        .filter(|n| *n > 0);
    used.extend(processes.map(|n| units::count(n, "process", "processes")));
    let killed = cause.and_then(|c| c.processes_killed).filter(|n| *n > 0);
    used.extend(killed.map(|n| format!("{n} killed at the end")));
    if !used.is_empty() {
        page.row("used", &used.join(", "));
    }
    if let Some(skipped) = play.skipped.as_ref().filter(|s| s.any()) {
        page.row("skipped", &skipped_text(skipped));
    }
}

fn skipped_text(skipped: &Skipped) -> String {
    let counts = [
        (skipped.broken_lines, "broken line", "broken lines"),
        (skipped.long_lines, "line over 1 MiB", "lines over 1 MiB"),
        (skipped.unknown_types, "unknown event", "unknown events"),
        (
            skipped.unknown_spans,
            "event for an unknown span",
            "events for unknown spans",
        ),
        (skipped.duplicates, "duplicate", "duplicates"),
        (
            skipped.over_limit,
            "thing beyond a bound",
            "things beyond a bound",
        ),
    ];
    let mut parts: Vec<_> = counts
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| units::count(number, one, many))
        .collect();
    if skipped.log_bytes > 0 {
        parts.push(format!("{} of output", units::bytes(skipped.log_bytes)));
    }
    if let Some(first) = &skipped.first {
        parts.push(format!("the first: {}", fit(&clean(first), 80, "…")));
    }
    parts.join(", ")
}

fn origin_rows(page: &mut Page, play: &Play, now: EpochMs) {
    let mut created = units::ago(now.since(play.created_at));
    if play.attempt > 1 {
        created.push_str(&format!(", {} attempts", play.attempt));
    }
    page.row("created", &created);
    page.row(
        "workflow",
        &format!("{}  version {}", play.workflow_name, play.version_sid),
    );
    if let Some(parent) = &play.parent_play_sid {
        page.row("parent", parent.as_str());
    }
    if let Some(old) = &play.retry_of {
        page.row("retry of", old.as_str());
    }
}

fn child_count(children: &PlayPage) -> String {
    let number = children.items.len() as u64;
    let more = if children.next_cursor.is_some() {
        " and more"
    } else {
        ""
    };
    let failed = children
        .items
        .iter()
        .filter(|p| p.status.is_terminal() && p.status != PlayStatus::Success)
        .count();
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} not well"),
    };
    format!("{}{more}{failed}", units::count(number, "play", "plays"))
}

/// The whole span tree.
fn picture(shown: Shown, context: &Context) -> Vec<Line> {
    let sid = shown.play.sid.clone();
    let snapshot = Snapshot {
        play: shown.play,
        spans: shown.spans.into_iter().map(|s| s.span).collect(),
        logs: Vec::new(),
    };
    let mut forest = Forest::new(sid.clone());
    forest.apply(&sid, Record::Snapshot(Box::new(snapshot)));
    // Without a terminal no line is cut; names keep their column.
    let columns = term::stdout_columns().min(1_000);
    render(&forest, (columns, usize::MAX), EpochMs::now(), context.out)
}

#[cfg(test)]
mod tests {
    use protocol::{Cause, CauseKind, Exception};

    use super::*;
    use crate::cli::{
        term::Look,
        tree::tests::{ended, log, play, span},
    };

    #[test]
    fn what_it_asks_is_shown() {
        let asked = |name: &str, ui| Question {
            play: "play-1".into(),
            asked: protocol::rpc::PendingResume {
                id: "k".into(),
                name: name.into(),
                schema: None,
                ui: Some(ui),
                span_id: "1.2".into(),
                created_at: EpochMs(0.0),
                wake_at: None,
                default: None,
                webhook: String::new(),
            },
        };
        let colors =
            serde_json::json!({"kind": "choice", "question": "Which?", "options": ["red", 7]});
        let mut shown = Shown {
            play: play(PlayStatus::AwaitingResume),
            source: None,
            spans: Vec::new(),
            children: PlayPage {
                items: Vec::new(),
                next_cursor: None,
            },
            questions: vec![asked("it's\x1b[2J", colors)],
        };
        let glyphs = Glyphs::of(Look {
            color: false,
            unicode: true,
            terminal: false,
        });
        let text = |shown: &Shown| {
            let lines = describe(shown, EpochMs(2_000.0), glyphs);
            let lines = lines.iter().map(|line| line.to_text(false));
            lines.collect::<Vec<_>>().join("\n")
        };
        let one = text(&shown);
        let expected = "  asks      it's
              Which?  (a number of the list)
                1  red
                2  7
  next      hero_logic play answer play-1 ANSWER
            hero_logic play cancel play-1";
        assert!(one.ends_with(expected), "{one}");
        let ok = serde_json::json!({"kind": "confirm"});
        shown.questions.push(asked("ok", ok));
        let two = text(&shown);
        assert!(
            two.contains("            ok\n              ok  (yes or no)\n"),
            "{two}"
        );
        assert!(
            two.contains(r"play answer play-1 --question 'it'\''s"),
            "{two}"
        );
    }

    #[test]
    fn a_failure_is_explained() {
        let mut failed = play(PlayStatus::Failed);
        failed.duration_ms = Some(3_200.0);
        let mut cause = Cause::new(CauseKind::Exception, "ValueError: bad row 17");
        cause.exception = Some(Exception {
            type_name: "ValueError".to_owned(),
            message: "bad row 17".to_owned(),
            traceback: Some("File \"etl.py\", line 2, in load\n    raise ValueError\n".to_owned()),
            file: Some("etl.py".to_owned()),
            line: Some(2),
            function: Some("load".to_owned()),
        });
        failed.cause = Some(cause);
        failed.skipped = Some(Skipped {
            broken_lines: 3,
            ..Skipped::default()
        });
        let load = ended(
            span("1", "", "load", 0.0),
            5.0,
            protocol::SpanStatus::Failed,
            None,
        );
        let shown = Shown {
            play: failed,
            source: Some("def load(rows):\n    raise ValueError\n".to_owned()),
            spans: vec![SpanWithLogs {
                span: load,
                logs: vec![log("1", "row 16\n"), log("1", "row 17\n")],
            }],
            children: PlayPage {
                items: Vec::new(),
                next_cursor: None,
            },
            questions: Vec::new(),
        };
        let glyphs = Glyphs::of(Look {
            color: false,
            unicode: true,
            terminal: false,
        });
        let text: Vec<_> = describe(&shown, EpochMs(181_000.0), glyphs)
            .iter()
            .map(|line| line.to_text(false))
            .collect();
        assert_eq!(
            text.join("\n"),
            "\
✗ etl  failed  3.2 s  play-1

  ValueError: bad row 17

  etl.py:2 in load
    1 │ def load(rows):
  > 2 │     raise ValueError

  traceback
  File \"etl.py\", line 2, in load
      raise ValueError

  last output
  │ row 16
  │ row 17

  input     {}
  skipped   3 broken lines
  created   3 m ago
  workflow  etl  version v
  next      hero_logic play retry play-1
            hero_logic play logs play-1"
        );
    }
}
