//! Sequences of what can come to durable plays, done to a server and to the [model](super::model) of its plays.
//!
//! After each action the server must show what the model says, and in the end every play must have come to the end
//! that it should. The server is a [`World`]: a real one, or actors in virtual time. Nothing here knows which.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod acting;
mod driver;
mod notes;
mod plan;
mod settling;
mod view;
mod world;

pub use self::{
    driver::Driver,
    notes::Notes,
    plan::{Action, End, Pick, Plan, Sent, What},
    world::{Answered, World},
};

/// Does all of it, and brings every play to its end.
///
/// # Panics
/// Where what is seen is nothing that the model allows.
pub async fn run(world: impl World, plan: &Plan) {
    let mut driver = Driver::start(world, plan.max_plays, None).await;
    for action in &plan.actions {
        // Else all that is called within is on the stack of an unoptimised test at once.
        Box::pin(driver.act(action)).await;
    }
    Box::pin(driver.finish()).await;
    Box::pin(driver.close()).await;
}
