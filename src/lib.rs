//! hero_logic: runs Python flows, keeps what they did, shows it live.
//!
//! The faces of the runtime: [`cli`] is the command line, [`client`] talks to a running server.

pub mod cli;
pub mod client;
