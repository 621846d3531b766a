//! Everything that starts or signals a process.
