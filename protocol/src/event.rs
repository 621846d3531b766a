//! The span wire: what a play says on its socket, one JSON object a line.
//!
//! [`decode`] is the only reader of that form: the span socket, `span_push` and the tests use it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::{
    EpochMs, Exception, LogStream, SpanId, SpanKind, SpanStatus, StepStart, Tags, WaitStart,
};

/// The longest line that is read, bytes, without its newline.
pub const MAX_LINE: usize = 1 << 20;

/// One event of a play's span tree.
#[derive(Clone, Debug)]
pub enum SpanEvent {
    Start(SpanStart),
    Tag { span_id: SpanId, tags: Tags },
    Log(SpanLog),
    End(SpanEnd),
    Output(Output),
    StepOutput(StepOutput),
    Pause(Pause),
}

/// `span_start`.
#[derive(Clone, Debug)]
pub struct SpanStart {
    pub span_id: SpanId,
    pub name: String,
    /// `""` where there was none.
    pub parent_id: String,
    pub start_ms: Option<EpochMs>,
    pub kind: SpanKind,
    pub tags: Tags,
    pub source_file: Option<String>,
    pub source_line: Option<u32>,
    /// It is a durable step.
    pub step: Option<Box<StepStart>>,
}

/// `step_output`: what a durable step came to, and the end of its span.
#[derive(Clone, Debug)]
pub struct StepOutput {
    pub span_id: SpanId,
    pub end_ms: Option<EpochMs>,
    /// It ended with this error, and `output` is its exception.
    pub error: Option<String>,
    pub output: Output,
}

/// `pause`: a durable step waits for its result, which comes from outside.
#[derive(Clone, Debug)]
pub struct Pause {
    pub span_id: SpanId,
    pub wait: Box<WaitStart>,
}

/// `span_log`.
#[derive(Clone, Debug)]
pub struct SpanLog {
    pub span_id: SpanId,
    pub text: String,
    pub ts_ms: Option<EpochMs>,
    pub stream: LogStream,
}

/// `span_end`.
#[derive(Clone, Debug)]
pub struct SpanEnd {
    pub span_id: SpanId,
    pub end_ms: Option<EpochMs>,
    pub status: SpanStatus,
    pub error: Option<String>,
    pub tags: Tags,
    /// What the SDK adds for the play's cause.
    pub exception: Option<Box<Exception>>,
}

/// `output`: the flow's return value, or the name of a file in the play's spool directory with it.
#[derive(Clone, Debug)]
pub enum Output {
    Data(Box<RawValue>),
    File(String),
}

/// A JSON-RPC request that a play makes on its socket.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlayRequest {
    pub jsonrpc: String,
    #[serde(default)]
    pub id: Value,
    pub method: String,
    #[serde(default)]
    pub params: Value,
}

/// A line that was understood.
#[derive(Clone, Debug)]
pub enum Line {
    Event(SpanEvent),
    /// An event that is answered once it is committed: a line with `jsonrpc` and `type`.
    Acknowledged {
        id: Value,
        event: SpanEvent,
    },
    Request(PlayRequest),
}

/// A line that was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    #[error("not an event: {0}")]
    Broken(String),
    #[error("unknown event type {0:?}")]
    UnknownType(String),
    #[error("a line over 1 MiB")]
    TooLong,
}

/// What a line may have. Borrowed from it: most of it is looked at and not kept.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow, default)]
    event: Option<Text<'a>>,
    #[serde(default)]
    jsonrpc: Option<String>,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(borrow, default)]
    span_id: Option<Text<'a>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    parent_id: Option<String>,
    #[serde(default)]
    start_ms: Option<EpochMs>,
    #[serde(borrow, default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
    #[serde(default)]
    source_file: Option<String>,
    #[serde(default)]
    source_line: Option<u32>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    ts_ms: Option<EpochMs>,
    #[serde(borrow, default)]
    stream: Option<Text<'a>>,
    #[serde(default)]
    end_ms: Option<EpochMs>,
    #[serde(borrow, default)]
    status: Option<Text<'a>>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    exception: Option<Box<Exception>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    step: Option<Box<StepStart>>,
    #[serde(default)]
    wait: Option<Box<WaitStart>>,
}

/// A string, copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    fn get(text: &Option<Self>) -> Option<&str> {
        text.as_ref().map(|text| &*text.0)
    }
}

/// A `null` that is there differs from nothing at all: a flow may return `None`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

fn required<T>(field: Option<T>, name: &str) -> Result<T, BadLine> {
    field.ok_or_else(|| BadLine::Broken(format!("`{name}` is missing")))
}

/// The id of a request, or of an event that is to be answered, of which only the beginning is there. `None`: it is
/// neither, as far as can be seen, or wants no answer.
#[must_use]
pub fn id_of_cut(beginning: &[u8]) -> Option<Value> {
    #[derive(Default)]
    struct Seen {
        jsonrpc: bool,
        id: Option<Value>,
    }
    impl<'de> Visitor<'de> for &mut Seen {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                match &*name {
                    "jsonrpc" => {
                        map.next_value::<IgnoredAny>()?;
                        self.jsonrpc = true;
                    }
                    "id" => self.id = Some(map.next_value()?),
                    _ => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(())
        }
    }
    let mut seen = Seen::default();
    let mut reader = serde_json::Deserializer::from_slice(beginning);
    // It ends in an error where the text is cut; what was read before counts.
    reader.deserialize_map(&mut seen).ok();
    seen.id.filter(|id| seen.jsonrpc && !id.is_null())
}

/// Reads one line (without its newline).
///
/// # Errors
/// [`BadLine`] where it is too long, no JSON object of a known type, or lacks a required field.
pub fn decode(line: &[u8]) -> Result<Line, BadLine> {
    if line.len() > MAX_LINE {
        return Err(BadLine::TooLong);
    }
    let broken = |error: serde_json::Error| BadLine::Broken(error.to_string());
    let wire: Wire<'_> = serde_json::from_slice(line).map_err(broken)?;
    let read = |tags: Option<&RawValue>| tags.map(Tags::read).transpose().map_err(broken);
    if wire.event.is_none()
        && let Some(jsonrpc) = wire.jsonrpc
    {
        return Ok(Line::Request(PlayRequest {
            jsonrpc,
            id: wire.id,
            method: required(wire.method, "method")?,
            params: wire.params,
        }));
    }
    let tags = read(wire.tags)?;
    let acknowledged = wire.jsonrpc.is_some().then_some(wire.id);
    let event = required(Text::get(&wire.event), "type")?;
    let span_id = || required(Text::get(&wire.span_id).map(SpanId::from), "span_id");
    let output = |data: Option<&RawValue>, file| match (data, file) {
        (_, Some(file)) => Ok(Output::File(file)),
        (Some(data), None) => Ok(Output::Data(data.to_owned())),
        (None, None) => Err(BadLine::Broken("`data` is missing".into())),
    };
    let event = match event {
        "span_start" => SpanEvent::Start(SpanStart {
            span_id: span_id()?,
            name: required(wire.name, "name")?,
            parent_id: wire.parent_id.unwrap_or_default(),
            start_ms: wire.start_ms,
            kind: Text::get(&wire.kind).map_or(SpanKind::Other, SpanKind::parse),
            tags: tags.unwrap_or_default(),
            source_file: wire.source_file,
            source_line: wire.source_line,
            step: wire.step,
        }),
        "span_tag" => SpanEvent::Tag {
            span_id: span_id()?,
            tags: required(tags, "tags")?,
        },
        "span_log" => SpanEvent::Log(SpanLog {
            span_id: span_id()?,
            text: required(wire.text, "text")?,
            ts_ms: wire.ts_ms,
            stream: Text::get(&wire.stream).map_or(LogStream::Log, LogStream::parse),
        }),
        "span_end" => SpanEvent::End(SpanEnd {
            span_id: span_id()?,
            end_ms: wire.end_ms,
            status: match Text::get(&wire.status) {
                None if wire.error.is_some() => SpanStatus::Failed,
                None => SpanStatus::Ok,
                Some(word) => SpanStatus::parse(word)
                    .filter(|s| *s != SpanStatus::Running)
                    .ok_or_else(|| BadLine::Broken(format!("unknown status {word:?}")))?,
            },
            error: wire.error,
            tags: tags.unwrap_or_default(),
            exception: wire.exception,
        }),
        "output" => SpanEvent::Output(output(wire.data, wire.file)?),
        "step_output" => SpanEvent::StepOutput(StepOutput {
            span_id: span_id()?,
            end_ms: wire.end_ms,
            error: wire.error,
            output: output(wire.data, wire.file)?,
        }),
        "pause" => SpanEvent::Pause(Pause {
            span_id: span_id()?,
            wait: required(wire.wait, "wait")?,
        }),
        _ => return Err(BadLine::UnknownType(event.chars().take(64).collect())),
    };
    Ok(match acknowledged {
        Some(id) => Line::Acknowledged { id, event },
        None => Line::Event(event),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(text: &str) -> SpanEvent {
        match decode(text.as_bytes()).unwrap() {
            Line::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_every_type() {
        let SpanEvent::Start(start) = event(
            r#"{"type":"span_start","span_id":"1.1","name":"a","kind":"step","start_ms":1.5,"new":1}"#,
        ) else {
            panic!()
        };
        assert_eq!(
            (start.kind, start.start_ms),
            (SpanKind::Step, Some(EpochMs(1.5)))
        );
        let SpanEvent::End(end) = event(r#"{"type":"span_end","span_id":"1.1","error":"boom"}"#)
        else {
            panic!()
        };
        assert_eq!(end.status, SpanStatus::Failed);
        let SpanEvent::Output(Output::Data(data)) = event(r#"{"type":"output","data": null}"#)
        else {
            panic!()
        };
        assert_eq!(data.get(), "null");
        let SpanEvent::Output(Output::Data(data)) =
            event(r#"{"type":"output","data":1.10000000000000000001}"#)
        else {
            panic!()
        };
        assert_eq!(
            data.get(),
            "1.10000000000000000001",
            "numbers are kept as written"
        );
        let wait = |more: &str| {
            let text = format!(
                r#"{{"type":"pause","span_id":"1.1","wait":{{"kind":"ask","name":"ok?"{more}}}}}"#
            );
            let SpanEvent::Pause(pause) = event(&text) else {
                panic!()
            };
            pause.wait
        };
        assert_eq!(wait("").default, None);
        assert_eq!(wait(r#","default":null"#).default.as_deref(), Some("null"));
        assert_eq!(
            wait(r#","schema":{"a":1},"wake_at":2"#).wake_at,
            Some(EpochMs(2.0))
        );
        assert!(matches!(
            decode(br#"{"jsonrpc":"2.0","id":1,"method":"flow_invoke"}"#),
            Ok(Line::Request(_))
        ));
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, expected) in [
            (
                r#"{"type":"span_start","name":"a"}"#,
                "not an event: `span_id` is missing",
            ),
            (
                r#"{"type":"span_tag","span_id":"1"}"#,
                "not an event: `tags` is missing",
            ),
            (
                r#"{"type":"gibberish"}"#,
                r#"unknown event type "gibberish""#,
            ),
            (
                r#"{"type":"span_end","span_id":"1","status":"odd"}"#,
                r#"not an event: unknown status "odd""#,
            ),
            (r#"{"type":"output"}"#, "not an event: `data` is missing"),
            (
                r#"{"type":"pause","span_id":"1"}"#,
                "not an event: `wait` is missing",
            ),
        ] {
            assert_eq!(decode(line.as_bytes()).unwrap_err().to_string(), expected);
        }
        for broken in [
            "",
            "null",
            "[]",
            "{",
            "nonsense",
            r#"{"type":"span_tag","span_id":"1","tags":3}"#,
        ] {
            assert!(
                matches!(decode(broken.as_bytes()), Err(BadLine::Broken(_))),
                "{broken}"
            );
        }
        assert_eq!(
            decode(&vec![b' '; MAX_LINE + 1]).unwrap_err(),
            BadLine::TooLong
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&bytes));
        }
    }
}
