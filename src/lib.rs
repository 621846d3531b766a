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

pub use actors::{
    Config, Runtime,
    process::{GuardProgram, Report},
    store::Durability,
};
pub use protocol;
pub use tokio;

/// All that the binary does, for a program that wants to be one: reads this process' arguments, does
/// what they say, and returns the exit code. To be called before any thread is started.
#[must_use]
pub fn main() -> std::process::ExitCode {
    guard().unwrap_or_else(cli::main)
}

/// Where this process was started as the guard of a runtime ([`Config::guard`]): is it until that is
/// gone, and returns the exit code. `None` at once where it was not. A program that embeds the runtime
/// and names itself as the guard calls it first of all, before any thread is started.
#[must_use]
pub fn guard() -> Option<std::process::ExitCode> {
    actors::process::guard::asked_for(std::env::args_os()).map(actors::process::guard::run)
}

/// Committed changes of a play, as they happen: subscribe with `runtime.store().feed()`, then read
/// what was before with `runtime.store().snapshot()`.
pub mod feed {
    pub use actors::store::{
        Change, ChangeBody, Feed, Seq, Snapshot, Store, StoreError, Subscription, feed::Heard,
    };
}
