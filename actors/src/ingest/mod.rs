//! The span socket of a play, and what comes out of it: decoded batches, with back-pressure.
//!
//! This room reads and decodes; it never decides what an event means (the reducer in `play` does)
//! and never answers a request itself. A sink that does not take a delivery yet stops the reading,
//! so a flooding process is slowed down by its own socket.

pub mod capture;
pub mod event;
pub mod lines;
pub mod socket;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use event::{Acknowledgement, Delivery, Event, Request};

/// How long the reading goes on after the process is gone, for a connection or a pipe that someone
/// still holds.
const DRAIN: Duration = Duration::from_secs(2);

/// Takes what a process says.
pub trait Sink: Send + Sync + 'static {
    /// Hands over a batch; done when the next one may come. Never fails: what can't be taken any
    /// more, because the play is gone, is dropped.
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()>;
}
