//! The runtime inside a program of one's own: no server, no socket, one dependency.
//!
//! ```text
//! cargo run --example embed
//! ```
//!
//! It starts a runtime in a temporary directory, puts a workflow into its library, runs it, follows
//! its spans while they happen, prints what the flow returned, and stops everything in order. One
//! sees each span as it starts and as it ends, on standard error; the result is on standard output.

use std::error::Error;

use hero_logic::{
    Config, Runtime,
    feed::{Change, ChangeBody, Heard, Seq, Store},
    protocol::{
        Play, PlaySid, Span, SpanStatus,
        rpc::{InputData, PlayRunAsync, StartOptions, VersionContent, WorkflowCreate},
    },
    tokio,
};

const SOURCE: &str = r#"
from hero_tracing import flow

@flow
def squares(upto: int):
    total = 0
    for number in range(1, upto + 1):
        with flow.step(f"square {number}") as span:
            total += number * number
            span.tag(total=total)
    return {"upto": upto, "total": total}
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = TemporaryDirectory::new()?;
    let runtime = Runtime::start(Config::new(&directory.0)).await?;
    let done = work(&runtime).await;
    // Whatever came of it: live plays end, the store is written out, threads are joined.
    runtime.stop().await?;
    println!("{}", done?);
    Ok(())
}

async fn work(runtime: &Runtime) -> Result<String, Box<dyn Error>> {
    let workflow = runtime
        .workflow_create(WorkflowCreate {
            name: "squares".to_owned(),
            description: "Sums up squares".to_owned(),
            tags: Vec::new(),
            content: VersionContent {
                python_source: SOURCE.to_owned(),
                ..VersionContent::default()
            },
        })
        .await?;
    let sid = runtime
        .play_run_async(PlayRunAsync {
            workflow_sid: workflow.sid,
            input_data: InputData::Text(r#"{"upto": 5}"#.to_owned()),
            parent_span_id: String::new(),
            options: StartOptions::default(),
        })
        .await?;
    let play = follow(&**runtime.store(), &sid).await?;
    match (play.output_data, play.cause) {
        (Some(output), None) => Ok(output),
        (_, cause) => Err(format!("the play is {}: {cause:?}", play.status.as_str()).into()),
    }
}

/// Shows the play's spans until it has ended. Who only wants the end calls `runtime.play_wait`.
async fn follow(store: &dyn Store, sid: &PlaySid) -> Result<Play, Box<dyn Error>> {
    // Listening first, then reading: so nothing falls between the two.
    let mut feed = store.feed().subscribe(sid);
    let before = store.snapshot(sid).await?.ok_or("the play is gone")?;
    let mut seen: Seq = before.seq;
    for span in &before.spans {
        show(span);
    }
    let mut play = before.play;
    while !play.status.is_terminal() {
        let changes: Vec<Change> = match feed.next().await {
            Heard::Changes(changes) => changes.to_vec(),
            // We were too slow for the feed. The store still has all of it, as it now stands.
            Heard::Lagged(_) => missed(store, sid, seen).await?,
        };
        for change in changes {
            if change.seq <= seen {
                continue; // known from the snapshot, or from the store
            }
            seen = change.seq;
            match change.body {
                ChangeBody::Span(span) => show(&span),
                ChangeBody::Log(log) => eprintln!("{}", log.text.trim_end()),
                ChangeBody::Play(record) => play = Play::clone(&record),
            }
        }
    }
    Ok(play)
}

async fn missed(
    store: &dyn Store,
    sid: &PlaySid,
    after: Seq,
) -> Result<Vec<Change>, Box<dyn Error>> {
    const PAGE: u32 = 1_000;
    let mut all: Vec<Change> = Vec::new();
    loop {
        let after = all.last().map_or(after, |change| change.seq);
        let page = store.changes(sid, after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn show(span: &Span) {
    let state = match (span.status, span.end_ms) {
        (SpanStatus::Running, _) | (_, None) => "started".to_owned(),
        (status, Some(end)) => format!("{} {:.3} ms", status.as_str(), end.since(span.start_ms)),
    };
    eprintln!("{:<12} {state}", span.name);
}

/// A directory that is removed when it is dropped, made with the standard library alone.
struct TemporaryDirectory(std::path::PathBuf);

impl TemporaryDirectory {
    fn new() -> std::io::Result<Self> {
        let name = format!("hero_logic-embed-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("failed to remove {}: {error}", self.0.display());
        }
    }
}
