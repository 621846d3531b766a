//! `play logs`: what a play wrote, in its order; with `-f` as it comes.

use std::collections::HashMap;

use protocol::{
    Log, PlaySid, SpanId,
    rpc::{PlaySpans, SpanPage},
};
use serde_json::json;

use super::sid;
use crate::cli::{
    context::{Context, write_out},
    exit::{Done, Exit, Failure},
    session::{Need, Session, within},
    style::{DIM, Line, PLAIN},
    text::{clean_lines, first_line, fit},
};
use crate::client::{Record, Watch, WatchError};

/// Print what a play wrote
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// Go on as it comes, until the play has ended
    #[arg(short, long)]
    follow: bool,
    /// The text as it was written, without span names, control characters too
    #[arg(long)]
    raw: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    within(context, Need::Read, async |session| {
        let play = sid::find(session, &args.sid).await?;
        let mut printer = Printer {
            context,
            raw: args.raw,
            names: HashMap::new(),
        };
        // Without a server nothing runs: there is nothing to wait for.
        if args.follow && session.server().is_some() && !play.status.is_terminal() {
            follow(session, &play.sid, &mut printer).await
        } else {
            print_all(session, &play.sid, &mut printer).await
        }
    })
    .await
}

async fn follow(session: &Session, sid: &PlaySid, printer: &mut Printer<'_>) -> Done {
    let mut watch = Watch::new(session.socket());
    watch.follow(sid);
    let mut printed = 0;
    loop {
        match watch.next().await.1 {
            Ok(Record::Snapshot(snapshot)) => {
                for span in snapshot.spans {
                    printer.learn(&span.span_id, &span.name);
                }
                let known = printed.min(snapshot.logs.len());
                printed = printed.max(snapshot.logs.len());
                printer.print(&snapshot.logs[known..])?;
            }
            Ok(Record::Span(span)) => printer.learn(&span.span_id, &span.name),
            Ok(Record::Log(log)) => {
                printed += 1;
                printer.print(&[*log])?;
            }
            Ok(Record::End) => return Ok(Exit::Success),
            Ok(Record::Play(_) | Record::Lagged) => {}
            Err(WatchError::Refused(error)) => {
                return Err(Failure::of(format!("follow play {sid}"), error));
            }
            Err(gone @ WatchError::Gone(_)) => {
                return Err(Failure::failed(format!(
                    "failed to follow play {sid}: {gone}"
                )));
            }
        }
    }
}

async fn print_all(session: &Session, sid: &PlaySid, printer: &mut Printer<'_>) -> Done {
    let mut logs = Vec::new();
    for span in spans(session, sid).await? {
        printer.learn(&span.span.span_id, &span.span.name);
        logs.extend(span.logs);
    }
    // Each span brings its own; over all of them they go by time.
    logs.sort_by(|a, b| a.ts_ms.0.total_cmp(&b.ts_ms.0));
    printer.print(&logs)?;
    Ok(Exit::Success)
}

/// All spans of a play with their logs.
pub(super) async fn spans(
    session: &Session,
    sid: &PlaySid,
) -> Result<Vec<protocol::span::SpanWithLogs>, Failure> {
    let mut query = PlaySpans {
        play_sid: sid.clone(),
        cursor: None,
        limit: None,
    };
    let mut all = Vec::new();
    loop {
        let page: SpanPage = session
            .call(
                &format!("read the spans of play {sid}"),
                "play_spans",
                &query,
            )
            .await?;
        all.extend(page.spans);
        if page.next_cursor.is_none() {
            return Ok(all);
        }
        query.cursor = page.next_cursor;
    }
}

struct Printer<'a> {
    context: &'a Context,
    raw: bool,
    names: HashMap<SpanId, String>,
}

impl Printer<'_> {
    fn learn(&mut self, span: &SpanId, name: &str) {
        self.names
            .entry(span.clone())
            .or_insert_with(|| name.to_owned());
    }

    fn print(&self, logs: &[Log]) -> Result<(), Failure> {
        let glyphs = self.context.glyphs();
        let mut lines = Vec::new();
        for log in logs {
            let name = self.names.get(&log.span_id).map_or("", String::as_str);
            if self.context.json {
                self.context.print_json_line(&json!({
                    "span_id": log.span_id, "span": name, "ts_ms": log.ts_ms,
                    "stream": log.stream, "text": log.text,
                }))?;
                continue;
            }
            if self.raw {
                write_out(&log.text)?;
                continue;
            }
            let name = first_line(name);
            let name = fit(&name, 40, glyphs.ellipsis);
            lines.extend(clean_lines(&log.text).map(|text| {
                Line::new()
                    .with(DIM, format!("{name} {} ", glyphs.bar).trim_start())
                    .with(PLAIN, text)
            }));
        }
        self.context.print(&lines)
    }
}
