//! The words that every part of hero_logic shares.
//!
//! Types only: nothing here does IO, nothing here knows an actor, a database or a socket. Read in
//! this order: [`id`], [`play`], [`summary`], [`span`], [`tags`], [`event`] (the span wire), [`limits`], [`workflow`],
//! [`rpc`] (parameters and results of every method; [`reading`]: of those that look into a play; [`overview`]: of many at once),
//! [`error`] (codes and kinds).

pub mod error;
pub mod event;
pub mod id;
pub mod limits;
pub mod overview;
pub mod play;
pub mod prune;
pub mod reading;
pub mod rpc;
pub mod server;
pub mod span;
pub mod step;
pub mod summary;
pub mod tags;
pub mod time;
pub mod wait;
pub mod workflow;

pub use error::{Error, ErrorKind, Result};
pub use id::{PlaySid, ProcessId, SpanId, VersionSid, WorkflowSid};
pub use limits::{LimitHit, LimitName, Limits, ProcessShare};
pub use play::{
    Cause, CauseKind, Exception, Frame, LastSpan, Play, PlayStatus, Skipped, ThreadStack, Usage,
};
pub use span::{Log, LogStream, Span, SpanKind, SpanStatus};
pub use step::{Kept, Step, StepStart};
pub use summary::{CauseSummary, PlaySummary, WaitsFor};
pub use tags::Tags;
pub use time::EpochMs;
pub use wait::{Signal, Wait, WaitKind, WaitStart, WaitToken};
pub use workflow::{Edge, Node, OnInterrupt, Parameter, Signature, Workflow, WorkflowVersion};
