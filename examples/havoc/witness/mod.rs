//! The witnesses: what the server publishes, and what plays say outside.

pub(crate) mod feed;
pub(crate) mod tally;
