//! The library actor and its index.

pub mod index;
