//! The faces of hero_logic: what the outside talks to. The runtime itself is the crate `actors`.

pub mod http;
pub mod rpc;
