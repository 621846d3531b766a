//! What an acknowledged commit outlives.

/// What an acknowledged commit is sure to outlive. The death of a process or of the server loses nothing either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It was synced to the disk: a power failure or a crash of the system loses nothing.
    #[default]
    Fsync,
    /// It was handed to the operating system, which writes it some time later: a power failure or a crash of the
    /// system may lose the commits of the last while, the newest of them, and leaves a sound database.
    Os,
}
