//! The registry: knows the live plays, starts and supervises their actors, answers who waits for
//! them, and decides who may start.
//!
//! [`state`] is pure; [`waiters`] are told where a commit is published; [`actor`] is the shell, with one file for each thing it is
//! asked: [`start`], [`queue`] (pending plays), [`cancel`], [`death`] (how actors end); [`closing`]
//! records the end of a play that has no actor. [`office`] is where others find the registry, also
//! its successor when it died: that one is made by [`rebuild`], from the store and from [`live`].
//! `waits` settles what plays wait for, and starts those that have it. [`asks`] (what plays ask on their sockets) are tasks of their own. Pending, paused and ended plays are rows: the registry
//! keeps their waiters and pages the queue from the store, so any number of them costs no memory.
//!
//! This room never touches a process and never reads a span: plays do.

pub mod actor;
pub mod asks;
pub mod cancel;
pub mod closing;
pub mod death;
pub mod live;
pub mod messages;
pub mod office;
pub mod queue;
pub mod rebuild;
pub mod start;
pub mod state;
pub mod waiters;
mod waits;

pub use actor::{Registry, RegistryParts};
pub use messages::{CancelPlay, Census, Counts, RefuseIfIdle, Shutdown, StartPlay, Subscribe};
pub use office::Office;
pub use waiters::Record;
