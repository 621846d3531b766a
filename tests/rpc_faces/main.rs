//! The faces from outside: over real sockets, with a small table of methods and a small store in
//! place of the runtime.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod list_speed;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod live;
#[cfg(test)]
mod live_sqlite;
#[cfg(test)]
mod page;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
