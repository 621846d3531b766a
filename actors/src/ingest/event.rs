//! What reaches a play from its process, decoded.

use protocol::{
    Error, LogStream, PlaySid, SpanId, SpanStatus,
    event::{BadLine, PlayRequest, SpanEvent},
};
use serde_json::Value;
use tokio::sync::oneshot;

/// One thing that happened in or around a process, for the reducer.
#[derive(Clone, Debug)]
pub enum Event {
    /// An event of the span wire.
    Wire(SpanEvent),
    /// A line that could not be read.
    Bad(BadLine),
    /// Text written to a raw descriptor.
    Raw { stream: LogStream, text: String },
    /// A span has started this play.
    Linked { span_id: SpanId, child: PlaySid },
    /// The process is being told to stop: what it ends as `cancelled` from now on ends so.
    Stopping(SpanStatus),
    /// Something was refused because a bound is reached; the sentence says what.
    OverLimit(String),
}

/// What was read in one go: first the events are applied, then the requests are answered.
#[derive(Debug, Default)]
pub struct Delivery {
    pub events: Vec<Event>,
    /// Whoever waits until one of them is committed, in their order.
    pub acknowledgements: Vec<Acknowledgement>,
    pub requests: Vec<Request>,
}

/// Where it is told that an event is committed. Its receiver being gone means that the connection is.
#[derive(Debug)]
pub struct Acknowledgement {
    /// Its place among the delivery's events.
    pub event: usize,
    pub reply: oneshot::Sender<Result<Value, Error>>,
}

impl Delivery {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.requests.is_empty()
    }
}

/// A request that a play makes on its socket, and where the answer goes. The answer's receiver
/// being gone means that the connection is.
#[derive(Debug)]
pub struct Request {
    pub call: PlayRequest,
    pub reply: oneshot::Sender<Result<Value, Error>>,
}
