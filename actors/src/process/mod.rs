//! Everything that starts or signals a process, and nothing that knows what a play is for.
//!
//! A child is started by [`spawn::Spawner`] with tier 0 of the contract (clean environment, own
//! session, no core dumps, no new privileges, its end tied to ours), watched by [`child::Child`],
//! and ended with everything that it started by [`tree`]; where the server can't any more, by
//! [`guard`]. [`python`] finds interpreters, [`inspect`] asks one what a source holds, [`stacks`] asks
//! a play where its threads are, [`sdk`] writes out what a child imports, [`artifacts`] reads and
//! [`remove_tree`] removes what it left on disk. What the platform must
//! offer is in `sys`, the only place with `unsafe` code. Nothing outside this room signals a process.

pub mod artifacts;
mod cgroup;
pub mod child;
pub mod guard;
pub mod inspect;
mod known;
mod mark;
pub mod python;
mod removal;
pub mod sdk;
pub mod spawn;
pub mod stacks;
mod starter;
pub mod tree;
pub mod warm;

pub mod watch;

mod sys;

pub use cgroup::delegated_cgroup;
pub use child::{Child, End};
pub use guard::{Guard, GuardProgram, Report};
pub use known::adopt_orphans;
pub use mark::Mark;
pub use removal::remove_tree;
pub use spawn::{Program, Spawner};
pub use sys::{
    OwnUsage, default_max_plays, own_usage, process_id, raise_open_files_limit, total_memory,
    tree_kill_lacks,
};
pub use warm::Warm;

/// A write beyond the limit of a file's size fails from now on, and does not kill this process (the
/// default of SIGXFSZ). Needs a tokio runtime; those that it starts have the default again.
pub fn outlive_file_size_limit() {
    let signal = tokio::signal::unix::SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays, whoever listens.
    if let Err(error) = tokio::signal::unix::signal(signal) {
        tracing::debug!(%error, "a limit of file sizes would end this process");
    }
}
