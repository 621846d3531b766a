//! What the registry is asked.

use std::{sync::Arc, time::Duration};

use actix::Message;
use protocol::{PlaySid, Result, WorkflowVersion, id::SpanRef};

use super::{queue::Ready, waiters::Waiter};
use crate::store::{Launch, PlayChange, Reuse};

/// Stores a new play and starts it as soon as there is a slot. Answers with its sid when it is
/// stored; with the sid of an earlier play where the idempotency key says so. Asked again, it names
/// the same play.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<PlaySid>")]
pub struct StartPlay {
    /// A fresh one, chosen by who asks.
    pub sid: PlaySid,
    pub version: Arc<WorkflowVersion>,
    pub workflow_name: String,
    /// Another flow of the source than the version names.
    pub flow_name: Option<String>,
    /// A JSON text, checked: an object that fits the flow.
    pub input: String,
    pub parent: Option<SpanRef>,
    pub launch: Launch,
    pub idempotency_key: Option<String>,
    pub retry_of: Option<PlaySid>,
    /// Who starts it.
    pub origin: String,
    pub reuse: Option<Reuse>,
}

/// A play that had no process has what it waited for: commits that, and starts its next attempt where there is a slot,
/// else leaves it pending. Answers whether it was committed; `false`: it was started, or settled by another,
/// meanwhile. Asked again after it was committed, it says `false`.
#[derive(Clone, Message)]
#[rtype(result = "Result<bool>")]
pub(super) struct GoOn {
    /// As it stands with these changes, pending.
    pub(super) ready: Ready,
    /// Without the record.
    pub(super) changes: Vec<PlayChange>,
}

/// Wants to hear of a play's end. The play need not be live, nor exist.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Waiter")]
pub struct Subscribe(pub PlaySid);

/// Stops a play and the plays that it started. Answers when that is ordered; a play that has ended
/// stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<()>")]
pub struct CancelPlay {
    pub sid: PlaySid,
    /// Between SIGTERM and SIGKILL; `None`: the configured one.
    pub grace: Option<Duration>,
    /// For the cause: `caller`, `parent {sid}`.
    pub by: String,
}

/// How many there are.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Counts")]
pub struct Census;

/// The answer of [`Census`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct Counts {
    /// Plays with a process.
    pub running: u32,
    /// Of these, those that wait for a child play and hold no slot.
    pub waiting: u32,
    /// Slots.
    pub limit: u32,
    pub waiters: usize,
}

/// No new plays; the live ones are stopped. Answers when none is live any more, or after the grace
/// and 10 s. `false`: the registry has died meanwhile, ask the next one.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub struct Shutdown {
    pub grace: Duration,
}

/// No new plays from now on, if none is live, being started or pending. Whether that is so.
#[derive(Clone, Debug, Message)]
#[rtype(result = "bool")]
pub struct RefuseIfIdle;

/// The actor of a live play, for fault injection.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Debug, Message)]
#[rtype(result = "Option<actix::Addr<crate::play::PlayActor>>")]
pub struct ActorOf(pub PlaySid);

/// How many plays have reported an end that nobody has dealt with.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Debug, Message)]
#[rtype(result = "usize")]
pub struct Unsettled;

/// A play's actor has told its end, see [`super::live`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Reported(pub(super) PlaySid);

/// A play begins or ends to wait for a child, see [`super::live`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct WaitsChanged(pub(super) PlaySid);

/// Fault injection: the handler panics with this text.
#[cfg(any(test, feature = "testing"))]
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Panic(pub String);
