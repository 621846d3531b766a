//! What the library actor is asked.

use actix::Message;
use protocol::{Result, WorkflowSid, rpc::FlowLibrarySearch};

use super::change::Effect;

/// Finds workflows by name and description, see [`super::index`]. Answered as soon as the index is
/// complete; `unavailable` where it can't be made.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Vec<WorkflowSid>>")]
pub struct Search(pub FlowLibrarySearch);

/// A change was committed: the index follows it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Follow(pub(super) Effect);

/// Fault injection: the handler panics with this text.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Panic(pub String);
