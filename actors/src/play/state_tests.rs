use proptest::prelude::*;
use protocol::{CauseKind, event::Line, event::decode};

use super::*;
use crate::play::{limits::built_in, outcome::Exit, stop::StopReason, waits::Settling};

const NOW: EpochMs = EpochMs(2_000.0);

fn running() -> Play {
    Play {
        sid: "p".into(),
        workflow_sid: "w".into(),
        workflow_name: "flow".into(),
        version_sid: "v".into(),
        flow_name: None,
        status: PlayStatus::Running,
        cause: None,
        input_data: "{}".into(),
        output_data: None,
        parent_play_sid: None,
        parent_span_id: String::new(),
        retry_of: None,
        origin: "rpc".into(),
        attempt: 1,
        created_at: EpochMs(500.0),
        started_at: Some(EpochMs(1_000.0)),
        completed_at: None,
        duration_ms: None,
        usage: None,
        skipped: None,
    }
}

fn wire(line: &str) -> Event {
    match decode(line.as_bytes()) {
        Ok(Line::Event(event)) => Event::Wire(event),
        Ok(other) => panic!("{other:?}"),
        Err(bad) => Event::Bad(bad),
    }
}

fn ended(exit: Exit) -> Ended {
    Ended {
        exit,
        stopped: None,
        usage: Usage {
            cpu_ms: 5.0,
            peak_memory_bytes: 7,
            processes: 1,
            start: None,
            killed: 0,
        },
        killed: 0,
        stacks: Vec::new(),
    }
}

/// The rows as a store would hold them.
#[derive(Default)]
struct Rows {
    spans: std::collections::BTreeMap<u64, Arc<protocol::Span>>,
    logs: Vec<Arc<Log>>,
    play: Option<Arc<Play>>,
}

impl Rows {
    fn take(&mut self, changes: Vec<PlayChange>) {
        for change in changes {
            match change {
                PlayChange::Span { ord, span } => drop(self.spans.insert(ord, span)),
                PlayChange::Log(log) => self.logs.push(log),
                PlayChange::Play(play) => self.play = Some(play),
                PlayChange::Step(_)
                | PlayChange::Wait(_)
                | PlayChange::Settled(_)
                | PlayChange::Recoveries(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_life() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    rows.take(state.apply(
        [
            Event::Raw {
                stream: LogStream::Stderr,
                text: "early".into(),
            },
            wire(r#"{"type":"span_start","span_id":"1.1","name":"main","kind":"flow_root"}"#),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"step","parent_id":"1.1"}"#),
            Event::Raw {
                stream: LogStream::Stdout,
                text: "raw".into(),
            },
            wire(r#"{"type":"span_tag","span_id":"1.2","tags":{"a":1}}"#),
            wire(r#"{"type":"span_end","span_id":"1.2","tags":{"b":2}}"#),
            wire(r#"{"type":"span_log","span_id":"1.2","text":"after its end"}"#),
            wire(r#"{"type":"output","data":{"n": 1}}"#),
        ],
        NOW,
    ));
    let output = match state.take_output() {
        Some(Output::Data(data)) => data.get().to_owned(),
        other => panic!("{other:?}"),
    };
    rows.take(state.finish(
        &ended(Exit::Code(0)),
        Ok(Some(output)),
        OnInterrupt::default(),
        NOW,
    ));
    let play = rows.play.unwrap();
    assert_eq!(
        (play.status, play.duration_ms, play.output_data.as_deref()),
        (PlayStatus::Success, Some(1_000.0), Some("{\"n\": 1}"))
    );
    assert_eq!(
        rows.spans[&0].status,
        SpanStatus::Ok,
        "the root was open and is closed with the outcome"
    );
    assert_eq!(
        serde_json::to_string(&rows.spans[&1].tags).unwrap(),
        r#"{"a":1,"b":2}"#
    );
    let places: Vec<_> = rows
        .logs
        .iter()
        .map(|l| (l.span_id.as_str(), l.text.as_str()))
        .collect();
    assert_eq!(
        places,
        [("", "early"), ("1.2", "raw"), ("1.2", "after its end")]
    );
}

#[test]
fn what_ends_because_it_is_stopped_ends_with_the_outcome() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    let cancelled = |id: &str| {
        wire(&format!(
            r#"{{"type":"span_end","span_id":"{id}","status":"cancelled"}}"#
        ))
    };
    rows.take(state.apply(
        [
            wire(r#"{"type":"span_start","span_id":"1.1","name":"main"}"#),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"its own doing"}"#),
            wire(r#"{"type":"span_start","span_id":"1.3","name":"stopped"}"#),
            cancelled("1.2"),
            Event::Stopping(SpanStatus::TimedOut),
            cancelled("1.3"),
            cancelled("1.1"),
        ],
        NOW,
    ));
    let statuses: Vec<_> = rows.spans.values().map(|span| span.status).collect();
    assert_eq!(
        statuses,
        [
            SpanStatus::TimedOut,
            SpanStatus::Cancelled,
            SpanStatus::TimedOut
        ]
    );
}

#[test]
fn bad_lines_are_counted_reported_and_cost_nothing_else() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    rows.take(state.apply(
        [
            wire("garbage"),
            wire(r#"{"type":"gibberish"}"#),
            wire(r#"{"type":"span_start","span_id":"1.1","name":"main"}"#),
            wire(r#"{"type":"span_start","span_id":"1.1","name":"again"}"#),
            wire(r#"{"type":"span_end","span_id":"7"}"#),
            wire(r#"{"type":"span_log","span_id":"7","text":"x"}"#),
            Event::Bad(BadLine::TooLong),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"fine"}"#),
        ],
        NOW,
    ));
    let skipped = rows.play.as_ref().unwrap().skipped.clone().unwrap();
    assert_eq!(
        (
            skipped.broken_lines,
            skipped.unknown_types,
            skipped.duplicates,
            skipped.unknown_spans,
            skipped.long_lines
        ),
        (1, 1, 1, 2, 1)
    );
    assert!(skipped.first.unwrap().starts_with("not an event"));
    assert_eq!(rows.spans.len(), 2);
}

#[test]
fn output_is_bounded_and_the_cut_is_said() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    let chunk = "x".repeat(1 << 20);
    for _ in 0..20 {
        rows.take(state.apply(
            [Event::Raw {
                stream: LogStream::Stderr,
                text: chunk.clone(),
            }],
            NOW,
        ));
    }
    rows.take(state.apply(
        [Event::Raw {
            stream: LogStream::Stderr,
            text: "the end".into(),
        }],
        NOW,
    ));
    assert_eq!(rows.logs.len(), 16);
    rows.take(state.finish(&ended(Exit::Code(3)), Ok(None), OnInterrupt::default(), NOW));
    assert!(
        rows.logs
            .last()
            .unwrap()
            .text
            .contains("4194311 bytes of output were cut"),
        "{:?}",
        rows.logs.last().unwrap().text
    );
    let tail = rows
        .play
        .unwrap()
        .cause
        .clone()
        .unwrap()
        .stderr_tail
        .unwrap();
    assert!(tail.ends_with("the end") && tail.len() == STDERR_TAIL);
}

#[test]
fn a_play_that_said_nothing_has_a_root_span_with_the_outcome() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    rows.take(state.finish(
        &ended(Exit::NotStarted("no python".into())),
        Ok(None),
        OnInterrupt::default(),
        NOW,
    ));
    assert_eq!(
        (rows.spans[&0].name.as_str(), rows.spans[&0].status),
        ("flow", SpanStatus::Failed)
    );
    assert_eq!(rows.spans[&0].error.as_deref(), Some("no python"));
    assert_eq!(
        rows.play.unwrap().cause.clone().unwrap().kind,
        CauseKind::Start
    );
}

#[test]
fn only_the_roots_exception_is_the_plays() {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    let raised = |id: &str, name: &str| {
        wire(&format!(
            r#"{{"type":"span_end","span_id":"{id}","status":"failed","error":"{name}: x","exception":{{"type":"{name}","message":"x","line":3}}}}"#
        ))
    };
    rows.take(state.apply(
        [
            wire(r#"{"type":"span_start","span_id":"1.1","name":"main"}"#),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"step"}"#),
            raised("1.2", "Inner"),
            raised("1.1", "Outer"),
        ],
        NOW,
    ));
    rows.take(state.finish(&ended(Exit::Code(1)), Ok(None), OnInterrupt::default(), NOW));
    let cause = rows.play.unwrap().cause.clone().unwrap();
    assert_eq!(
        (cause.kind, cause.message.as_str()),
        (CauseKind::Exception, "Outer: x")
    );
    assert_eq!(cause.last_span.unwrap().name, "step", "where it began");
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = || (0..6u8).prop_map(|n| format!("1.{n}"));
    prop_oneof![
        3 => (id(), id()).prop_map(|(a, b)| wire(&format!(r#"{{"type":"span_start","span_id":"{a}","name":"n","parent_id":"{b}"}}"#))),
        1 => id().prop_map(|a| wire(&format!(r#"{{"type":"span_tag","span_id":"{a}","tags":{{"k":1}}}}"#))),
        2 => id().prop_map(|a| wire(&format!(r#"{{"type":"span_end","span_id":"{a}"}}"#))),
        1 => id().prop_map(|a| wire(&format!(r#"{{"type":"span_log","span_id":"{a}","text":"t"}}"#))),
        1 => id().prop_map(|a| Event::Linked { span_id: a.into(), child: "c".into() }),
        1 => Just(Event::Raw { stream: LogStream::Stdout, text: "r".into() }),
        1 => Just(Event::OverLimit("x".into())),
        1 => "[a-z{}\":]{0,20}".prop_map(|t| wire(&t)),
    ]
}

proptest! {
    /// However events are cut into batches, the rows are the same; every skipped one is counted; at
    /// the end nothing is open.
    #[test]
    fn batches_do_not_matter(events in proptest::collection::vec(any_event(), 0..60), cut in 0usize..60, code in 0..2i32) {
        let cut = cut.min(events.len());
        let run = |parts: [&[Event]; 2]| {
            let mut state = State::new(running(), Past::default(), built_in());
            let mut rows = Rows::default();
            for part in parts {
                rows.take(state.apply(part.iter().cloned(), NOW));
            }
            rows.take(state.finish(&Ended { stopped: Some(StopReason::Shutdown), ..ended(Exit::Code(code)) }, Ok(None), OnInterrupt::default(), NOW));
            rows
        };
        let (one, two) = (run([&events, &[]]), run([&events[..cut], &events[cut..]]));
        prop_assert_eq!(&one.spans, &two.spans);
        prop_assert_eq!(&one.logs, &two.logs);
        prop_assert_eq!(&one.play, &two.play);
        prop_assert!(one.spans.values().all(|s| s.status != SpanStatus::Running && s.end_ms.is_some()));
        let mut state = State::new(running(), Past::default(), built_in());
        let taken = events.iter().filter(|e| state.push((*e).clone(), NOW).0).count();
        let skipped = state.play().skipped.clone().unwrap_or_default();
        let counted = skipped.broken_lines + skipped.unknown_types + skipped.unknown_spans + skipped.duplicates + skipped.over_limit;
        prop_assert_eq!(taken as u64 + counted, events.len() as u64);
    }
}

#[test]
fn output_is_cut_at_its_limit() {
    let limits = Limits {
        output_bytes: Some(10),
        ..Limits::default()
    };
    let mut state = State::new(running(), Past::default(), limits);
    let mut rows = Rows::default();
    let raw = |text: &str| Event::Raw {
        stream: LogStream::Stdout,
        text: text.into(),
    };
    rows.take(state.apply([raw("12345678"), raw("9ß…"), raw("x")], NOW));
    rows.take(state.finish(&ended(Exit::Code(0)), Ok(None), OnInterrupt::default(), NOW));
    let texts: Vec<_> = rows.logs.iter().map(|l| l.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "12345678",
            "9",
            "[hero_logic] 6 bytes of output were cut: this play keeps 10 bytes"
        ]
    );
    let play = rows.play.unwrap();
    assert_eq!(play.status, PlayStatus::Success);
    assert_eq!(play.skipped.clone().unwrap().log_bytes, 6);
}

#[test]
fn spans_are_cut_at_their_limit_and_what_they_say_is_kept() {
    let limits = Limits {
        spans: Some(2),
        ..Limits::default()
    };
    let mut state = State::new(running(), Past::default(), limits);
    let mut rows = Rows::default();
    rows.take(state.apply(
        [
            wire(r#"{"type":"span_start","span_id":"1.1","name":"main"}"#),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"a"}"#),
            wire(r#"{"type":"span_end","span_id":"1.2"}"#),
            wire(r#"{"type":"span_start","span_id":"1.3","name":"b"}"#),
            wire(r#"{"type":"span_log","span_id":"1.3","text":"kept"}"#),
            wire(r#"{"type":"span_start","span_id":"1.2","name":"again"}"#),
        ],
        NOW,
    ));
    assert_eq!(rows.spans.len(), 2);
    assert_eq!(
        (rows.logs[0].span_id.as_str(), &*rows.logs[0].text),
        ("1.1", "kept")
    );
    let skipped = state.play().skipped.clone().unwrap();
    assert_eq!((skipped.over_limit, skipped.duplicates), (1, 1));
    assert!(skipped.first.unwrap().contains("limit of 2 spans"));
}

/// One that asks `a` and `b`, each in a span of its own.
fn asking() -> (State, Rows) {
    let mut state = State::new(running(), Past::default(), built_in());
    let mut rows = Rows::default();
    let begin = |key: &str| {
        wire(&format!(
            r#"{{"type":"span_start","span_id":"1.{key}","name":"{key}","step":{{"key":"{key}"}}}}"#
        ))
    };
    let main = wire(r#"{"type":"span_start","span_id":"1.0","name":"main"}"#);
    rows.take(state.apply([main, begin("a"), begin("b")], NOW));
    for key in ["a", "b"] {
        let (answer, changes) = state.answer(pausing(key), NOW);
        assert_eq!(answer, Ok(serde_json::json!({"settled": false, "id": key})));
        rows.take(changes);
    }
    (state, rows)
}

fn pausing(key: &str) -> Event {
    wire(&format!(
        r#"{{"type":"pause","span_id":"1.{key}","wait":{{"kind":"ask","name":"{key}"}}}}"#
    ))
}

fn answering(key: &str) -> Settling {
    let (key, payload) = (key.into(), "7".into());
    Settling::Answer { key, payload }
}

fn left(mut state: State, rows: &mut Rows, ended: &Ended) -> Play {
    rows.take(state.finish(ended, Ok(None), OnInterrupt::default(), NOW));
    Play::clone(state.play())
}

#[test]
fn who_leaves_to_wait_is_awaiting_and_its_questions_stay_open() {
    for stopped in [None, Some(StopReason::Shutdown)] {
        let (mut state, mut rows) = asking();
        // The process unwinds.
        let ends = ["a", "b", "0"].map(|id| {
            wire(&format!(
                r#"{{"type":"span_end","span_id":"1.{id}","status":"cancelled"}}"#
            ))
        });
        rows.take(state.apply(ends, NOW));
        let mut ended = ended(Exit::Code(75));
        ended.stopped = stopped;
        let play = left(state, &mut rows, &ended);
        assert_eq!(play.status, PlayStatus::AwaitingResume);
        assert_eq!(
            (play.cause, play.skipped, play.completed_at),
            (None, None, None)
        );
        let open = rows.spans.values().map(|span| span.status);
        assert_eq!(
            open.collect::<Vec<_>>(),
            [
                SpanStatus::Cancelled,
                SpanStatus::Running,
                SpanStatus::Running
            ]
        );
    }
}

#[test]
fn who_was_answered_before_it_left_goes_on_at_once() {
    let (mut state, mut rows) = asking();
    rows.take(state.settle(answering("b"), NOW).unwrap());
    assert_eq!(rows.spans[&2].status, SpanStatus::Ok);
    let again = state.settle(answering("b"), NOW).unwrap_err();
    assert_eq!(again.kind, protocol::ErrorKind::Conflict);
    let play = left(state, &mut rows, &ended(Exit::Code(75)));
    assert_eq!(play.status, PlayStatus::Pending);
    assert_eq!(
        rows.spans[&1].status,
        SpanStatus::Cancelled,
        "it is asked again"
    );
    // It was told of the answer: it waits for the other one.
    let (mut state, mut rows) = asking();
    rows.take(state.settle(answering("b"), NOW).unwrap());
    let (answer, changes) = state.answer(pausing("b"), NOW);
    assert_eq!(
        answer,
        Ok(serde_json::json!({"settled": true, "payload": 7}))
    );
    rows.take(changes);
    let play = left(state, &mut rows, &ended(Exit::Code(75)));
    assert_eq!(play.status, PlayStatus::AwaitingResume);
}

#[test]
fn who_does_not_leave_to_wait_ends_as_ever() {
    let (state, mut rows) = asking();
    let play = left(state, &mut rows, &ended(Exit::Code(3)));
    assert_eq!(play.status, PlayStatus::Failed);
    assert!(
        rows.spans
            .values()
            .all(|span| span.status == SpanStatus::Failed)
    );
    let (state, mut rows) = asking();
    let mut cancelled = ended(Exit::Code(75));
    cancelled.stopped = Some(StopReason::Cancelled {
        by: "caller".into(),
    });
    let play = left(state, &mut rows, &cancelled);
    assert_eq!(play.status, PlayStatus::Cancelled);
    let state = State::new(running(), Past::default(), built_in());
    let play = left(state, &mut Rows::default(), &ended(Exit::Code(75)));
    assert_eq!(play.status, PlayStatus::Failed);
    assert!(play.cause.unwrap().message.contains("had asked nothing"));
}
