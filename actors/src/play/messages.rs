//! What a play's actor hears, and what it tells its supervisor.

use std::sync::{Arc, Weak};

use actix::Message;
use protocol::{EpochMs, Error, Play, PlaySid, Result, SpanId, event::SpanEvent};
use tokio::sync::watch;

use super::{stop::StopOrder, waits::Settling};
use crate::ingest::{Delivery, Request};

/// A batch from the process. Answered when the next one may come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Delivery);

/// One event from outside, through the same code path as the socket. Answered when it is
/// committed: whether it was taken.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool>")]
pub struct Push(pub SpanEvent);

/// Stop it. The first reason stays; later orders can only shorten the grace.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop(pub StopOrder);

/// One of its spans has started another play.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Link {
    pub span_id: SpanId,
    pub child: PlaySid,
}

/// Something that it waits for came. Answered when that is committed; `false`: its process is gone and
/// that is committed, nothing was done.
#[derive(Debug, Message)]
#[rtype(result = "Result<bool>")]
pub struct Settle(pub Settling);

/// Fault injection: the handler panics with this text.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Panic(pub String);

/// Up: the actor died before its play had ended.
#[derive(Clone, Debug)]
pub struct PlayDown {
    pub sid: PlaySid,
    pub attempt: u32,
    /// The panic's text.
    pub why: String,
    /// Turns true when the process and all that it started are gone; `None`: there was none.
    pub gone: Option<watch::Receiver<bool>>,
}

/// Who supervises plays, as a play needs it. Nothing that it is told may be lost.
pub trait Supervise: Send + Sync {
    /// The play has ended and that is committed; its actor is leaving.
    fn ended(&self, play: Arc<Play>);
    /// See [`PlayDown`].
    fn down(&self, down: PlayDown);
    /// A step of it waits until this time at the latest, and that is committed.
    fn wakes(&self, at: EpochMs);
    /// A step of it waits for the end of this child, and that is committed.
    fn waits_for(self: Arc<Self>, child: PlaySid);
    /// The play asks for something on its socket. The answer goes to `request.reply`, whose being
    /// closed says that nobody waits for it any more.
    fn asked(self: Arc<Self>, asker: PlaySid, request: Request);
}

/// Whom a play tells. Weak: a play never keeps its supervisor alive.
#[derive(Clone)]
pub struct Supervisor(Weak<dyn Supervise>);

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Supervisor")
    }
}

impl Supervisor {
    /// This one.
    pub fn new(supervisor: Weak<impl Supervise + 'static>) -> Self {
        Self(supervisor)
    }

    pub(super) fn tell_ended(&self, play: Arc<Play>) {
        match self.0.upgrade() {
            Some(supervisor) => supervisor.ended(play),
            None => tracing::debug!(play = %play.sid, "ended after its supervisor"),
        }
    }

    pub(super) fn tell_down(&self, down: PlayDown) {
        match self.0.upgrade() {
            Some(supervisor) => supervisor.down(down),
            None => {
                tracing::error!(play = %down.sid, why = down.why, "an actor died after its supervisor")
            }
        }
    }

    pub(super) fn tell_wakes(&self, at: EpochMs) {
        match self.0.upgrade() {
            Some(supervisor) => supervisor.wakes(at),
            None => tracing::debug!("a wait after its supervisor"),
        }
    }

    pub(super) fn tell_waits_for(&self, child: PlaySid) {
        match self.0.upgrade() {
            Some(supervisor) => supervisor.waits_for(child),
            None => tracing::debug!(%child, "a wait after its supervisor"),
        }
    }

    pub(super) fn ask(&self, asker: PlaySid, request: Request) {
        match self.0.upgrade() {
            Some(supervisor) => supervisor.asked(asker, request),
            None => drop(
                request
                    .reply
                    .send(Err(Error::unavailable("the server is stopping"))),
            ),
        }
    }
}
