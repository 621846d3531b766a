//! Everything that starts or signals a process.

pub mod inspect;
pub mod python;
