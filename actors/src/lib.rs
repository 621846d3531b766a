//! The runtime of hero_logic, floor by floor from the top.
//!
//! [`runtime`] wires everything and is what the faces hold. [`registry`] knows the live plays, starts
//! and supervises them. [`play`] is the actor of one play, [`library`] that of the flow library.
//! [`doctor`] looks whether the world is fit for all of it. [`process`], [`ingest`] and [`store`] touch the world: child processes, span sockets, SQLite.
//! [`guardian`], [`clock`], [`figures`] and [`matching`] stand below all of them. An import never runs upward.
//! `testing` (for tests only) is a universe without a world.

pub mod clock;
pub mod crash_point;
pub mod doctor;
pub mod figures;
pub mod guardian;
pub mod ingest;
pub mod library;
pub mod matching;
pub mod outlines;
pub mod play;
pub mod process;
pub mod registry;
pub mod runtime;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use runtime::{Config, Runtime};
