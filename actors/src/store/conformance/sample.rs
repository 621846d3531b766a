//! Plays, spans and workflows to try a store with.

use std::sync::Arc;

use protocol::{
    Cause, CauseKind, EpochMs, Exception, Frame, LastSpan, LimitHit, LimitName, Limits, Log,
    LogStream, Play, PlaySid, PlayStatus, ProcessShare, Skipped, Span, SpanKind, SpanStatus, Tags,
    ThreadStack, Usage, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
};
use serde_json::{Value, json};

use crate::store::{
    Batch, ChangeBody, Committed, Fence, Launch, LibraryChange, NewPlay, PlayChange, Store,
    StoreError,
};

/// Text that is easily broken on its way.
pub const TEXT: &str = "żółć 日本語 🦀 'quoted' \"twice\" \\ %_ line\nend\u{0}after";

/// A time with a fraction.
pub const TIME: EpochMs = EpochMs(1_790_000_000_123.457);

/// A play as it is created, waiting for a slot.
#[must_use]
pub fn new_play() -> NewPlay {
    let play = Play {
        sid: PlaySid::fresh(),
        workflow_sid: WorkflowSid::from("w"),
        workflow_name: "flow".to_owned(),
        version_sid: VersionSid::from("v"),
        flow_name: None,
        status: PlayStatus::Pending,
        cause: None,
        input_data: "{}".to_owned(),
        output_data: None,
        parent_play_sid: None,
        parent_span_id: String::new(),
        retry_of: None,
        origin: "rpc".into(),
        attempt: 0,
        created_at: TIME,
        started_at: None,
        completed_at: None,
        duration_ms: None,
        usage: None,
        skipped: None,
    };
    NewPlay {
        reuse: None,
        play,
        launch: Launch::default(),
        depth: 1,
        process: None,
        idempotency_key: None,
    }
}

/// A cause with every field set.
#[must_use]
pub fn full_cause() -> Cause {
    Cause {
        kind: CauseKind::Exception,
        message: TEXT.to_owned(),
        exit_code: Some(-1),
        signal: Some("SIGSEGV".to_owned()),
        exception: Some(Exception {
            type_name: "ValueError".to_owned(),
            message: TEXT.to_owned(),
            traceback: Some(TEXT.to_owned()),
            file: Some("flow.py".to_owned()),
            line: Some(7),
            function: Some("main".to_owned()),
        }),
        limit: Some(LimitHit {
            name: LimitName::Memory,
            limit: 1 << 20,
            measured: u64::MAX,
            largest: vec![ProcessShare {
                pid: 4,
                name: TEXT.to_owned(),
                memory_bytes: 5,
            }],
        }),
        by: Some("caller".to_owned()),
        last_span: Some(LastSpan {
            span_id: "1.2".into(),
            name: TEXT.to_owned(),
            source_file: Some("flow.py".to_owned()),
            source_line: Some(3),
        }),
        stacks: vec![ThreadStack {
            thread: "main".to_owned(),
            frames: vec![Frame {
                file: TEXT.to_owned(),
                line: 3,
                function: "load".to_owned(),
            }],
            cut: true,
        }],
        stderr_tail: Some(TEXT.to_owned()),
        peak_memory_bytes: Some(1 << 40),
        cpu_ms: Some(0.1 + 0.2),
        processes_killed: Some(3),
    }
}

/// The play, ended, with every field set.
#[must_use]
pub fn ended(play: &Play) -> Play {
    Play {
        status: PlayStatus::Failed,
        cause: Some(full_cause()),
        output_data: Some(json!({ "out": TEXT }).to_string()),
        started_at: Some(EpochMs(TIME.0 + 0.001)),
        completed_at: Some(EpochMs(TIME.0 + 1_234.567)),
        duration_ms: Some(1_234.566),
        usage: Some(Usage {
            cpu_ms: 1.0 / 3.0,
            peak_memory_bytes: u64::MAX,
            processes: 4,
            start: None,
            killed: 0,
        }),
        skipped: Some(Skipped {
            duplicates: u64::MAX,
            first: Some(TEXT.to_owned()),
            ..Skipped::default()
        }),
        ..play.clone()
    }
}

/// The play with another status.
#[must_use]
pub fn with_status(play: &Play, status: PlayStatus) -> Play {
    Play {
        status,
        ..play.clone()
    }
}

/// Takes what a store must be able to answer.
pub fn ok<T>(result: Result<T, StoreError>) -> T {
    result.expect("the store does what it is asked for")
}

/// Creates a play.
pub async fn create(store: &dyn Store, new: NewPlay) -> Committed {
    ok(store.commit(Batch::Create(Box::new(new))).await)
}

/// A play that runs its first attempt.
pub async fn running(store: &dyn Store) -> Play {
    let new = new_play();
    let pending = new.play.clone();
    create(store, new).await;
    let running = Play {
        status: PlayStatus::Running,
        attempt: 1,
        started_at: Some(TIME),
        ..pending
    };
    ok(write_as(store, &running.sid, 0, vec![record(&running)]).await);
    running
}

/// The play's record, as a change.
#[must_use]
pub fn record(play: &Play) -> PlayChange {
    PlayChange::Play(Arc::new(play.clone()))
}

/// Writes in the name of an attempt.
pub async fn write_as(
    store: &dyn Store,
    play: &PlaySid,
    attempt: u32,
    changes: Vec<PlayChange>,
) -> Result<Committed, StoreError> {
    let fence = Fence {
        play: play.clone(),
        attempt,
    };
    store.commit(Batch::Play { fence, changes }).await
}

/// Writes in the name of the play's attempt.
pub async fn write(store: &dyn Store, play: &Play, changes: Vec<PlayChange>) -> Committed {
    ok(write_as(store, &play.sid, play.attempt, changes).await)
}

/// The span `1.{ord}`, open.
#[must_use]
pub fn span(ord: u64) -> Span {
    Span {
        span_id: format!("1.{ord}").into(),
        parent_id: String::new(),
        name: format!("step {ord}"),
        kind: SpanKind::Step,
        status: SpanStatus::Running,
        start_ms: TIME,
        end_ms: None,
        tags: Tags::default(),
        error: None,
        source_file: None,
        source_line: None,
        rpc_service: None,
        rpc_method: None,
        child_play_sid: None,
    }
}

/// The span with every field set.
#[must_use]
pub fn full_span(ord: u64) -> Span {
    let tags =
        json!({ "z": 1, "a": [0.1, null, TEXT], "n": u64::MAX, "f": 1e300, "o": { "é": -1 } });
    Span {
        parent_id: format!("{}/1.0", PlaySid::fresh()),
        name: TEXT.to_owned(),
        kind: SpanKind::Rpc,
        status: SpanStatus::Replayed,
        end_ms: Some(EpochMs(TIME.0 + 0.25)),
        tags: tags.as_object().cloned().unwrap_or_default().into(),
        error: Some(TEXT.to_owned()),
        source_file: Some("ö.py".to_owned()),
        source_line: Some(u32::MAX),
        rpc_service: Some("Store".to_owned()),
        rpc_method: Some("get".to_owned()),
        child_play_sid: Some(PlaySid::fresh()),
        ..span(ord)
    }
}

/// A span, as a change.
#[must_use]
pub fn spanned(ord: u64, span: Span) -> PlayChange {
    PlayChange::Span {
        ord,
        span: Arc::new(span),
    }
}

/// A log of a span.
#[must_use]
pub fn log(span: &str, text: &str) -> Log {
    Log {
        span_id: span.into(),
        ts_ms: TIME,
        stream: LogStream::Stdout,
        text: text.to_owned(),
    }
}

/// A log, as a change.
#[must_use]
pub fn logged(span: &str, text: &str) -> PlayChange {
    PlayChange::Log(Arc::new(log(span, text)))
}

/// A workflow and its first version.
#[must_use]
pub fn workflow(name: &str) -> (Workflow, WorkflowVersion) {
    let version = version(&WorkflowSid::fresh());
    let workflow = Workflow {
        sid: version.workflow_sid.clone(),
        name: name.to_owned(),
        description: String::new(),
        tags: Vec::new(),
        current_version_sid: version.sid.clone(),
        created_at: TIME,
        updated_at: TIME,
    };
    (workflow, version)
}

/// A further version.
#[must_use]
pub fn version(workflow: &WorkflowSid) -> WorkflowVersion {
    WorkflowVersion {
        sid: VersionSid::fresh(),
        workflow_sid: workflow.clone(),
        number: 1,
        python_source: "print()".to_owned(),
        nodes: Vec::new(),
        edges: Vec::new(),
        inputs: Value::Null,
        outputs: Value::Null,
        source_file: None,
        flow_name: None,
        signature: None,
        timeout_ms: None,
        limits: Limits::default(),
        on_interrupt: protocol::OnInterrupt::Fail,
        env: Vec::new(),
        created_at: TIME,
    }
}

/// Changes the library.
pub async fn library(store: &dyn Store, change: LibraryChange) -> Result<Committed, StoreError> {
    store.commit(Batch::Library(change)).await
}

/// A workflow of the library.
pub async fn stored_workflow(store: &dyn Store, name: &str) -> Workflow {
    let (workflow, version) = workflow(name);
    let change = LibraryChange::Create {
        workflow: workflow.clone(),
        version,
    };
    ok(library(store, change).await);
    workflow
}

/// What changed, in short: `play {status}`, `span {id} {status}`, `log {text}`.
#[must_use]
pub fn short(body: &ChangeBody) -> String {
    match body {
        ChangeBody::Play(play) => format!("play {}", play.status.as_str()),
        ChangeBody::Span(span) => format!("span {} {}", span.span_id, span.status.as_str()),
        ChangeBody::Log(log) => format!("log {}", log.text),
    }
}
