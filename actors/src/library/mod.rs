//! The library: the named workflows, their versions, and the search over them.
//!
//! Read in this order: [`handle`] (what can be asked), [`actor`] (who holds the index), `change` (how
//! a change is made, one at a time), `rules` (what is accepted), [`index`] (the search), [`known`] (what
//! is started again and again).
//!
//! The truth is in the store. The index is made from it when the actor starts and follows each
//! commit before the caller hears of it, so a search after an answer sees the change. Plain reads
//! (get, list, versions) go to the store directly and need no message.
//!
//! This room must never run a flow or import anything of a source, and never answer a search from
//! an index that is not complete.

pub mod actor;
mod change;
pub mod handle;
pub mod index;
pub mod known;
pub mod messages;
pub(crate) mod rules;

pub use actor::LibraryActor;
pub use handle::Library;
pub use index::Index;

#[cfg(test)]
mod tests;
