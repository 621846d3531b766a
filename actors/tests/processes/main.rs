//! The runtime with real processes: a data directory, SQLite, Python.

#[cfg(test)]
mod recovery;
#[cfg(test)]
mod stacks;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod support;
#[cfg(test)]
mod whole_tree;
