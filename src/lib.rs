//! The faces of hero_logic: what the outside talks to. The runtime itself is the crate `actors`.
//!
//! [`cli`] is the command line, [`client`] talks to a running server, [`http`] and [`rpc`] are that
//! server.

pub mod cli;
pub mod client;
pub mod http;
pub mod rpc;
