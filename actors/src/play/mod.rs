//! A play while it has a process: one actor that owns its child process and its live span tree.
//!
//! [`actor`] is a thin shell around pure parts: [`state`] (the reducer: events to rows), [`tree`]
//! and [`seen`] (the span tree), [`outcome`] (the outcome table), [`stop`] (why and how it is being
//! stopped), [`limits`] (those that nobody set), [`outbox`] and [`pace`] (what is to be committed, and when),
//! [`dag`] (nodes and edges). [`attempt`] is the port to
//! the process, [`python`] the real one behind it, with [`sockets`] (where its socket is bound), `driver` (the tasks around one process) and
//! `orders` (when it is to stop); [`dag_attempt`] runs nodes and edges, which have no process of their
//! own; [`composed`] puts their inputs and outputs together.
//!
//! Pending and ended plays are rows, not actors. This room never speaks JSON-RPC and never looks at
//! another play: what a play asks for goes up to its registry.

pub mod actor;
pub mod attempt;
pub mod composed;
pub mod dag;
pub mod dag_attempt;
mod driver;
mod kept;
pub mod learned;
pub mod limits;
pub mod messages;
mod orders;
pub mod outbox;
pub mod outcome;
pub mod pace;
pub mod python;
pub mod resting;
mod room;
pub mod seen;
pub mod sockets;
pub mod stacks;
pub mod state;
pub mod stop;
pub mod tree;
pub mod waits;

pub use actor::{PlayActor, Surroundings};
