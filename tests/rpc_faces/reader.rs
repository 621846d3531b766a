//! A reader of live streams, and what it knows.

use std::collections::BTreeMap;

use actors::store::{Seq, Store};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, header::HOST};
use protocol::PlaySid;
use serde_json::Value;

use crate::support::{Pending, Server, send, within};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<Seq>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// Reads a stream event by event; keep-alive comments are counted.
pub(crate) struct Reader {
    pub(crate) pending: Pending,
    buffer: Vec<u8>,
    pub(crate) comments: usize,
}

impl Reader {
    pub(crate) async fn open(server: &Server, sid: &str, last: Option<Seq>) -> Self {
        Self::open_at(server, &format!("/api/plays/{sid}/spans"), last).await
    }

    /// The stream at this path.
    pub(crate) async fn open_at(server: &Server, path: &str, last: Option<Seq>) -> Self {
        let mut request = Request::get(path).header(HOST, "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let pending = send(server.tcp().await, request).await;
        assert_eq!(pending.response.status(), 200);
        assert_eq!(
            pending.response.headers()["content-type"],
            "text/event-stream"
        );
        Self {
            pending,
            buffer: Vec::new(),
            comments: 0,
        }
    }

    /// The next event; `None` when the stream is over.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..at + 2).collect();
                match parse(std::str::from_utf8(&block).unwrap()) {
                    Some(event) => return Some(event),
                    None => self.comments += 1,
                }
                continue;
            }
            match within(self.pending.response.body_mut().frame()).await {
                Some(frame) => self
                    .buffer
                    .extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => {
                    assert!(self.buffer.is_empty(), "cut in the middle");
                    return None;
                }
            }
        }
    }

    /// Takes what comes next, comments as well.
    pub(crate) async fn frame(&mut self) {
        let frame = within(self.pending.response.body_mut().frame()).await;
        let data = frame.unwrap().unwrap().into_data().unwrap();
        self.comments += usize::from(data.starts_with(b":"));
        assert!(data.starts_with(b":"), "a comment: {data:?}");
    }

    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let mut of = block.lines().filter_map(|line| line.strip_prefix(name));
        let first = of.next();
        assert_eq!(of.next(), None, "{block}");
        first
    };
    if block.starts_with(':') {
        return None;
    }
    Some(Event {
        id: field("id: ").map(|id| id.parse().unwrap()),
        name: field("event: ").unwrap().to_owned(),
        data: serde_json::from_str(field("data: ").unwrap()).unwrap(),
    })
}

/// What a reader knows after its events: every row as it last stood.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Known {
    pub(crate) play: Value,
    pub(crate) spans: BTreeMap<String, Value>,
    pub(crate) logs: Vec<String>,
}

impl Known {
    pub(crate) fn learn(&mut self, event: &Event) {
        let id = |span: &Value| span["span_id"].as_str().unwrap().to_owned();
        let text = |log: &Value| log["text"].as_str().unwrap().to_owned();
        let data = &event.data;
        match event.name.as_str() {
            "snapshot" => {
                self.play = data["play"].clone();
                let spans = data["spans"].as_array().unwrap();
                self.spans = spans.iter().map(|s| (id(s), s.clone())).collect();
                self.logs = data["logs"].as_array().unwrap().iter().map(text).collect();
            }
            "play" => self.play = data.clone(),
            "span" => drop(self.spans.insert(id(data), data.clone())),
            "log" => self.logs.push(text(data)),
            _ => {}
        }
    }

    pub(crate) async fn of_store(store: &dyn Store, sid: &PlaySid) -> Self {
        let whole = store.snapshot(sid).await.unwrap().unwrap();
        let spans = whole.spans.iter();
        Self {
            play: serde_json::to_value(&whole.play).unwrap(),
            spans: spans
                .map(|s| (s.span_id.to_string(), serde_json::to_value(s).unwrap()))
                .collect(),
            logs: whole.logs.into_iter().map(|log| log.text).collect(),
        }
    }
}

pub(crate) fn rising(events: &[Event]) {
    let ids: Vec<_> = events.iter().filter_map(|event| event.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}
