//! What retention asks of a store: which plays could go, and that they go, piece by piece.
//!
//! Plays go by whole trees: a play with all that it started, and only where every one of them has
//! ended. First the plays themselves are forgotten (from then on there are none), then what was
//! theirs is swept away in short turns, so that no commit waits for it. What is not swept yet when a
//! server dies is known to the next one.

use protocol::{EpochMs, PlaySid};

/// A play that no other started, with all plays below it; all of them have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTree {
    /// Children before their parents; the last one is the root.
    pub plays: Vec<PlaySid>,
    pub workflow_name: String,
    /// When the last of them ended.
    pub ended_at: EpochMs,
    /// About how many bytes they take in the store; 0 where it was not asked for.
    pub bytes: u64,
    /// How many bytes their directories hold, as far as they have been measured; 0 where it was not
    /// asked for.
    pub artifact_bytes: u64,
}

/// The place of a tree among the ended ones: they are in the order in which their roots ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedPlace {
    pub at: EpochMs,
    pub root: PlaySid,
}

/// A page of [`EndedTree`]s, those left out of which a play has not ended yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndedPage {
    pub trees: Vec<EndedTree>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<EndedPlace>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Plays that have ended.
    pub ended: u64,
    /// Bytes that the directories of plays hold, as far as they have been measured: of those in trees
    /// that have ended, which can go.
    pub artifact_bytes: u64,
    /// Bytes of the file that hold something.
    pub used_bytes: u64,
    /// Bytes of the file that hold nothing and will be used again.
    pub free_bytes: u64,
}

/// What became of plays that were to be forgotten. Those in neither list were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub gone: Vec<PlaySid>,
    /// Not looked at: the turn was over.
    pub left: Vec<PlaySid>,
}

/// What there is to do after a turn of sweeping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Plays of which the store has nothing more (at most 256): their directories can go, and then
    /// they are named to the next turn, which forgets that they were here.
    pub emptied: Vec<PlaySid>,
    /// Whether a further turn would find something to do in the store.
    pub more: bool,
}
