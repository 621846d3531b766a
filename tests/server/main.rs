//! The binary as a black box: a real server with a real data directory, real sockets, a real SQLite
//! file and real Python, called as users call it.
//!
//! Nothing here looks inside: a test that needs to know more than the contract says belongs into the
//! room concerned. What a test starts has ended when it ends, and each server that is stopped in order
//! is looked at for what it left behind.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod backup;
mod cli_run;
mod cli_verbs;
mod crashes;
mod dag;
mod data;
mod deep;
mod disk;
mod doctor;
mod durable;
mod environment;
mod floods;
mod guarded;
mod guests;
mod inside;
mod interrupted;
mod library;
mod limits;
mod lists;
mod live;
mod methods;
mod model;
mod nested;
mod operating;
mod output;
mod queue;
mod resting;
mod retention;
mod stopping;
mod supervision;
mod support;
mod waits;
mod warm;
