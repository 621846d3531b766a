//! The registry: knows the live plays, starts and supervises their actors, answers who waits for
//! them, and decides who may start.
//!
//! [`state`] and [`waiters`] are pure; [`actor`] is the shell, with one file for each thing it is
//! asked: [`start`], [`queue`] (pending plays), [`cancel`], [`asks`] (what plays ask on their
//! sockets), [`death`] (an actor that died). Pending, paused and ended plays are rows: the registry
//! keeps their waiters and pages the queue from the store, so any number of them costs no memory.
//!
//! This room never touches a process and never reads a span: plays do.

pub mod actor;
pub mod asks;
pub mod cancel;
pub mod death;
pub mod messages;
pub mod queue;
pub mod start;
pub mod state;
pub mod waiters;

pub use actor::{Registry, RegistryParts};
pub use messages::{
    CancelPlay, Census, Counts, PushSpan, RefuseIfIdle, Shutdown, StartPlay, Subscribe,
};
