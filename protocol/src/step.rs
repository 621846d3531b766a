//! Durable steps: calls whose results are kept, so that a later attempt gets them instead of doing them again.

use serde::{Deserialize, Serialize};

use crate::{EpochMs, SpanId};

/// Which call a step is, as its process tells it when the step starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStart {
    /// The same on every attempt, unique in its play.
    pub key: Box<str>,
    /// The key of the step around it; `""` for one of the flow itself.
    #[serde(default)]
    pub parent: Box<str>,
    /// What tells its arguments from others.
    #[serde(default)]
    pub args: Box<str>,
    /// The qualified name of its function, where that is of the flow's own source; else `""`.
    #[serde(default)]
    pub function: Box<str>,
    /// How many steps of this name came before it within the same parent, one after another. `None`: it was
    /// called beside what is around it, in another task or thread, where there is no such order.
    #[serde(default)]
    pub position: Option<u32>,
}

/// A step of a play, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub start: StepStart,
    pub name: Box<str>,
    /// Of the attempt that did it, or does it.
    pub span_id: SpanId,
    pub start_ms: EpochMs,
    pub end_ms: Option<EpochMs>,
    /// `None`: it has not come to its end.
    pub kept: Option<Kept>,
    /// It was kept by another play, of which this one is a fork: only a call with equal arguments is the same.
    pub strict: bool,
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// It ended with an exception.
    pub raised: bool,
    /// A JSON text.
    pub data: Box<str>,
}
