//! What sequences are done to: a server in a world.

use std::time::Duration;

use serde_json::Value;

use super::{
    super::model::{play::Gate, script::Site},
    notes::Notes,
    plan::End,
};

/// What came of a call.
#[derive(Clone, Debug)]
pub enum Answered {
    Result(Value),
    /// The kind of the error.
    Refused(String),
    /// The server is gone or going: perhaps it was done.
    Lost,
}

/// A server with its plays, whose flows follow scripts.
pub trait World {
    /// A server comes, and has a workflow of this flow. `Err`: it was `armed`, and died before it answered.
    fn begins(&mut self, armed: Option<&str>) -> impl Future<Output = Result<(), ()>>;

    /// The server goes. Whether it was stopped in order: else it died, of what it was armed with.
    fn goes(&mut self, how: End) -> impl Future<Output = bool>;

    /// The server is dead, or about to die: done when it is gone.
    fn died(&mut self) -> impl Future<Output = ()>;

    /// Kills the server, so much later.
    fn kills_the_server(&self, after: Duration) -> impl Future<Output = ()>;

    /// The sid of the workflow of the one flow or of the other, which does one thing after the other.
    fn workflow(&self, plain: bool) -> String;

    /// What plays are started with besides.
    fn options(&self) -> Value;

    /// Calls a method of the RPC.
    fn call(&self, method: &'static str, params: &Value) -> impl Future<Output = Answered>;

    /// Answers at the address of a question.
    fn post(&self, webhook: &str, payload: &Value) -> impl Future<Output = Answered>;

    /// Lets a step of a play go on in this attempt.
    fn opens(&self, play: &str, attempt: u32, site: Site, gate: Gate);

    /// Kills the process of this attempt, if it is there.
    fn kills(&self, play: &str, attempt: u32);

    /// What a play has noted of what it did.
    fn notes(&self, play: &str) -> Notes;

    /// Looks at what is left when the server was stopped for the last time.
    fn check_what_is_left(self);
}
