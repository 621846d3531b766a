//! The library actor and its index.
