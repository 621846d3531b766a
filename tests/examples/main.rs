//! The examples as a newcomer runs them: by the binary, and on their own. What they return is
//! compared with what is found out another way.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod census;
mod flows;
mod python_source;
mod support;
