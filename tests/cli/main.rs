//! The command line and the client, from outside: against a server that behaves as a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client;
mod support;
mod verbs;
