//! A model of durable plays, on plain values: what holds whatever dies.
//!
//! A [`Play`](play::Play) follows a script of steps and waits. It says what is kept, what is done again, what a
//! play waits for and how all that looks. It knows no actor, no store and no time; it does no IO. Tests drive it
//! beside the real thing and compare.

pub mod calls;
pub mod coming;
pub mod play;
pub mod possible;
pub mod process;
pub mod rules;
pub mod script;
pub mod shown;
pub mod walk;
