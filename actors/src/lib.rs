//! The runtime of hero_logic, floor by floor from the top: [`runtime`] wires everything and is what
//! the faces hold; `registry` knows the live plays; `play` and [`library`] are the actors; `process`,
//! `ingest` and [`store`] touch the world; `guardian` supervises.

pub mod library;
pub mod process;
pub mod runtime;
pub mod store;

pub use runtime::{Config, Runtime};
