//! The client of a running hero_logic: newline-framed JSON-RPC and Server-Sent Events, both over the
//! Unix socket.
//!
//! [`rpc`] makes calls (many at once on one connection), [`sse`] reads the event stream's form,
//! [`watch`] follows a play and survives a lost connection. Nothing here prints, and nothing here
//! decides for the user: what goes wrong is returned.

pub mod rpc;
pub mod sse;
pub mod watch;

pub use rpc::{CallError, Client};
pub use watch::{Record, Update, Watch, WatchError};
