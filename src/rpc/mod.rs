//! JSON-RPC 2.0, without a transport: bytes of a request in, bytes of the answer out.
//!
//! In reading order: [`mod@methods`] is the contract's table; [`table`] is how such a table is made from
//! typed functions; [`params`] reads parameters by name and by position; [`dispatch`] takes single
//! calls, batches and notifications; [`answer`] writes results and errors; [`openrpc`] describes the
//! table from its types.
//!
//! This room must never know a socket, and must never log a parameter's value: environments carry
//! secrets. Nothing below `src/` knows JSON-RPC.

pub mod answer;
pub mod dispatch;
pub mod methods;
pub mod openrpc;
pub mod params;
pub mod table;

pub use dispatch::{Answering, MAX_BATCH};
pub use methods::methods;
pub use table::{Methods, Rpc};
