//! hero_logic as a library: the whole runtime inside another program, and the faces of the binary.
//!
//! A program that embeds the runtime needs this crate only: [`Runtime`] starts, runs and stops
//! everything and has every operation of the RPC as a method, with the parameters and records of
//! [`protocol`]; [`feed`] is how plays are followed live; [`tokio`] is the one that all of it runs
//! on (a multi-thread runtime of it must be there). `examples/embed.rs` shows the whole of it.
//!
//! The faces: [`cli`] is the command line, [`client`] talks to a running server, [`http`] and
//! [`rpc`] are that server. None of them decides what a play is or does.

pub mod cli;
pub mod client;
pub mod http;
pub mod rpc;

pub use actors::{Config, Runtime};
pub use protocol;
pub use tokio;

/// Committed changes of a play, as they happen: subscribe with `runtime.store().feed()`, then read
/// what was before with `runtime.store().snapshot()`.
pub mod feed {
    pub use actors::store::{
        Change, ChangeBody, Feed, Seq, Snapshot, Store, StoreError, Subscription, feed::Heard,
    };
}
