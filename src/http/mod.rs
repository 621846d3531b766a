//! The faces over a socket: `POST /rpc`, `GET /api/plays`, `/api/plays/{sid}/spans` (live) and `…/outline`,
//! `POST /api/resume/{token}`, `GET /healthz`, `GET /metrics` and the page, on TCP and on a Unix socket that also speaks
//! newline-framed JSON-RPC.
//!
//! In reading order: [`listen`] opens and closes the doors; `guard` says who may come in; `routes`
//! is what there is; `call` is JSON-RPC over HTTP, `lines` the same without HTTP; `sse` follows a
//! play, `list` the lists of plays and workflows; `outline` tells all spans of a play at once, `artifact` hands out what
//! it left; `page` is the web page; `resume` takes answers from whoever has a question's token; `unix` is about socket files.
//!
//! Only this room and [`crate::rpc`] know HTTP and JSON-RPC. It must never send a CORS header, never
//! log what a call carries, and never keep what a slow reader has not fetched.

mod artifact;
mod call;
mod connection;
mod guard;
mod lines;
mod list;
pub mod listen;
mod metrics;
mod outline;
mod page;
mod prefixed;
mod reply;
mod resume;
mod routes;
mod shared;
mod sse;
mod stopping;
#[cfg(unix)]
mod unix;

pub use guard::Token;
pub use listen::{ListenConfig, Serving, serve, serve_faces};
pub use shared::{Faces, Limits};
#[cfg(unix)]
pub use unix::connect;
