//! Retention: ended plays go when they are too old, too many or too large together, oldest first.
//!
//! Deletes by whole trees, in short turns with pauses between, so that no play waits for it. Must
//! never touch a play that has not ended, or one that belongs to a tree in which one has not. What a
//! crash interrupts, the next pass finishes: the store knows what it has forgotten.
//!
//! Only what can be deleted counts: the file of the store, and the directories of trees that have
//! ended, in blocks of the disk. The directory of an ended play is measured once and its size is
//! remembered by the store; before a tree goes for its bytes, its own directories are measured again,
//! so what somebody took away there stops counting then. A directory of which the store knows no play is
//! never removed: it is said, once a server and at each `prune`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use protocol::{
    EpochMs, PlaySid,
    prune::{MAX_LISTED, Prune, PruneReason, PruneReport, PrunedTree},
};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    clock::Clock,
    crash_point,
    process::{remove_tree, watch::held},
    store::{EndedTree, Store, StoreError},
};

type Result<T> = std::result::Result<T, StoreError>;

/// Between two passes of a server.
const EVERY: Duration = Duration::from_secs(600);
/// Trees that are looked at in one go.
const PAGE: u32 = 128;
/// Directories that are measured in one go.
const MEASURED: u32 = 4_096;
/// After a turn of the store, the pause is as long as the turn took, within these bounds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// Whatever the disk: so much is kept by default, bytes.
const LEAST_BYTES: u64 = 1 << 30;
/// Which part of the file system may be used by default.
const SHARE: u64 = 10;

/// What is kept. The largest value of each is «no limit».
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Plays that ended less than so long ago.
    pub age: Duration,
    /// At most so many ended plays.
    pub plays: u64,
    /// At most so many bytes, store and artifacts together; `None`: a tenth of the file system, but
    /// at least 1 GiB.
    pub bytes: Option<u64>,
}

impl Default for Retention {
    /// 30 days, 100,000 plays.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(30 * 86_400),
            plays: 100_000,
            bytes: None,
        }
    }
}

/// What passes have deleted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub plays: u64,
    /// About.
    pub bytes: u64,
    /// Passes that ended with an error.
    pub failed: u64,
}

/// Why there is a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// The server starts: no directory is measured, so that this is quick.
    Start,
    /// It is time again.
    Time,
    /// Somebody has asked for it, and wants to know what it did.
    Asked,
}

/// Does it.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Store>,
    plays_dir: PathBuf,
    clock: Clock,
    pub(super) retention: Retention,
    /// One pass at a time.
    busy: Mutex<()>,
    /// Whether directories without a play have been looked for.
    looked: AtomicBool,
    plays: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl Keeper {
    pub(super) fn new(
        store: Arc<dyn Store>,
        plays_dir: PathBuf,
        clock: Clock,
        retention: Retention,
    ) -> Self {
        Self {
            store,
            plays_dir,
            clock,
            retention,
            busy: Mutex::new(()),
            looked: AtomicBool::new(false),
            plays: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            plays: self.plays.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// One pass, with these limits where they are given.
    pub(super) async fn prune(&self, wanted: &Prune) -> protocol::Result<PruneReport> {
        self.looked.store(false, Ordering::Relaxed);
        Ok(self.pass(wanted, Occasion::Asked).await?)
    }

    async fn pass(&self, wanted: &Prune, occasion: Occasion) -> Result<PruneReport> {
        let _one = self.busy.lock().await;
        let artifacts = occasion != Occasion::Start;
        if artifacts && !self.looked.swap(true, Ordering::Relaxed) {
            self.look_for_strangers().await?;
        }
        if !wanted.dry_run {
            self.sweep().await?;
        }
        if artifacts {
            self.measure().await?;
        }
        let mut excess = self.excess(wanted).await?;
        let mut report = PruneReport {
            dry_run: wanted.dry_run,
            left_plays: excess.plays,
            ..PruneReport::default()
        };
        let mut after = None;
        loop {
            // Who asks is told how much it is; weighing costs more than deleting.
            let weigh = occasion == Occasion::Asked || excess.bytes > excess.keep_bytes;
            let page = self.store.ended_trees(after, weigh, PAGE).await?;
            let mut due = Vec::new();
            for tree in page.trees {
                if excess.reason(tree.ended_at).is_none() {
                    continue;
                }
                let artifacts = if weigh {
                    self.measure_again(&tree).await?
                } else {
                    0
                };
                excess.correct(tree.artifact_bytes, artifacts);
                let Some(reason) = excess.reason(tree.ended_at) else {
                    continue;
                };
                let bytes = tree.bytes + artifacts;
                excess.take(tree.plays.len() as u64, bytes);
                due.push((tree, reason, bytes));
            }
            let due = self.carry_out(due, &mut report).await?;
            for (tree, reason, bytes) in due {
                note(&mut report, &tree, reason, bytes);
            }
            match page.next {
                Some(next) if excess.reason(next.at).is_some() => after = Some(next),
                _ => break,
            }
        }
        if report.plays > 0 && !report.dry_run {
            self.plays.fetch_add(report.plays, Ordering::Relaxed);
            self.bytes.fetch_add(report.bytes, Ordering::Relaxed);
            tracing::info!(
                plays = report.plays,
                bytes = report.bytes,
                left = report.left_plays,
                "retention deleted plays that had ended"
            );
        }
        Ok(report)
    }

    /// How many bytes are kept at most.
    pub(super) fn keep_bytes(&self, wanted: Option<u64>) -> u64 {
        wanted
            .or(self.retention.bytes)
            .unwrap_or_else(|| default_bytes(&self.plays_dir))
    }

    async fn excess(&self, wanted: &Prune) -> Result<Excess> {
        let size = self.store.size().await?;
        let age = wanted
            .retain_age_ms
            .map_or(self.retention.age, Duration::from_millis);
        let keep_bytes = self.keep_bytes(wanted.retain_bytes);
        Ok(Excess {
            ended_before: EpochMs(self.clock.now().0 - age.as_secs_f64() * 1_000.0),
            plays: size.ended,
            keep_plays: wanted.retain_plays.unwrap_or(self.retention.plays),
            bytes: size.used_bytes.saturating_add(size.artifact_bytes),
            keep_bytes,
        })
    }

    /// Measures the directories of plays that have ended since the last time.
    async fn measure(&self) -> Result<()> {
        loop {
            let plays = self.store.unmeasured(MEASURED).await?;
            if plays.is_empty() {
                return Ok(());
            }
            let sizes = self.sizes(plays).await?;
            for some in sizes.chunks(PAGE as usize) {
                self.turn(self.store.measured(some.to_vec())).await?;
            }
        }
    }

    /// The bytes of a tree's directories, as they are now.
    async fn measure_again(&self, tree: &EndedTree) -> Result<u64> {
        let sizes = self.sizes(tree.plays.clone()).await?;
        let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
        if bytes != tree.artifact_bytes {
            for some in sizes.chunks(PAGE as usize) {
                self.turn(self.store.measured(some.to_vec())).await?;
            }
        }
        Ok(bytes)
    }

    async fn sizes(&self, plays: Vec<PlaySid>) -> Result<Vec<(PlaySid, u64)>> {
        let dir = self.plays_dir.clone();
        let size = move |sid: PlaySid| {
            let bytes = held(&dir.join(sid.as_str()));
            (sid, bytes)
        };
        blocking(move || plays.into_iter().map(size).collect()).await
    }

    /// Says which directories belong to no play that the store knows. They stay: after a restore they
    /// are all that is left of the plays that the copy did not have.
    async fn look_for_strangers(&self) -> Result<()> {
        let dir = self.plays_dir.clone();
        // Before the store is asked: a play is there before its directory is.
        let found: Vec<_> = blocking(move || {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.map(PlaySid::from).collect()
        })
        .await?;
        let mut strangers = Vec::new();
        for some in found.chunks(MEASURED as usize) {
            strangers.extend(self.store.unknown_plays(some.to_vec()).await?);
        }
        // What was swept away meanwhile is not one.
        strangers.retain(|sid| self.dir(sid).exists());
        if let Some(first) = strangers.first() {
            tracing::warn!(
                directories = strangers.len(),
                first = %self.dir(first).display(),
                "there are directories of plays that the store does not know; they count for nothing and are \
                 never removed: if nobody needs them, remove them by hand"
            );
        }
        Ok(())
    }

    fn dir(&self, sid: &PlaySid) -> PathBuf {
        self.plays_dir.join(sid.as_str())
    }

    /// Forgets these trees, unless it is only asked what would be; those that are gone.
    async fn carry_out(&self, due: Vec<Due>, report: &mut PruneReport) -> Result<Vec<Due>> {
        if report.dry_run || due.is_empty() {
            return Ok(due);
        }
        let all = due.iter().flat_map(|(tree, ..)| tree.plays.iter().cloned());
        let mut left: Vec<_> = all.collect();
        let mut gone = std::collections::HashSet::new();
        while !left.is_empty() {
            let turn = self.turn(self.store.forget(left)).await?;
            gone.extend(turn.gone);
            left = turn.left;
        }
        crash_point::reached("retention_forgotten");
        self.sweep().await?;
        // A play that was started below it meanwhile keeps its root.
        let whole = |tree: &EndedTree| tree.plays.iter().all(|sid| gone.contains(sid));
        Ok(due.into_iter().filter(|(tree, ..)| whole(tree)).collect())
    }

    /// Until nothing is left of forgotten plays.
    async fn sweep(&self) -> Result<()> {
        let mut cleaned = Vec::new();
        loop {
            let swept = self.turn(self.store.sweep(cleaned)).await?;
            if swept.emptied.is_empty() && !swept.more {
                return Ok(());
            }
            let dirs: Vec<_> = swept.emptied.iter().map(|sid| self.dir(sid)).collect();
            blocking(move || dirs.iter().for_each(|dir| remove(dir))).await?;
            cleaned = swept.emptied;
        }
    }

    /// Others' commits come first: whoever waits behind this turn has a pause as long.
    async fn turn<T>(&self, turn: crate::store::Answer<T>) -> Result<T> {
        let begun = Instant::now();
        let answer = turn.await?;
        tokio::time::sleep(begun.elapsed().clamp(PAUSE.0, PAUSE.1)).await;
        Ok(answer)
    }
}

/// A tree that is to go, why, and about how many bytes it takes.
type Due = (EndedTree, PruneReason, u64);

fn note(report: &mut PruneReport, tree: &EndedTree, reason: PruneReason, bytes: u64) {
    let plays = tree.plays.len() as u64;
    report.plays += plays;
    report.bytes += bytes;
    report.left_plays = report.left_plays.saturating_sub(plays);
    match tree.plays.last() {
        Some(root) if report.trees.len() < MAX_LISTED => report.trees.push(PrunedTree {
            play_sid: root.clone(),
            workflow_name: tree.workflow_name.clone(),
            ended_at: tree.ended_at,
            plays,
            bytes,
            reason,
        }),
        _ => report.more_trees += 1,
    }
}

/// How much there is beyond what is kept. Pure.
#[derive(Clone, Copy, Debug)]
struct Excess {
    ended_before: EpochMs,
    plays: u64,
    keep_plays: u64,
    bytes: u64,
    keep_bytes: u64,
}

impl Excess {
    /// Why the oldest tree, which ended then, is not kept.
    fn reason(&self, ended_at: EpochMs) -> Option<PruneReason> {
        if ended_at < self.ended_before {
            Some(PruneReason::Age)
        } else if self.plays > self.keep_plays {
            Some(PruneReason::Plays)
        } else if self.bytes > self.keep_bytes {
            Some(PruneReason::Bytes)
        } else {
            None
        }
    }

    /// The directories of a tree hold other than was counted.
    fn correct(&mut self, counted: u64, found: u64) {
        self.bytes = self.bytes.saturating_sub(counted).saturating_add(found);
    }

    fn take(&mut self, plays: u64, bytes: u64) {
        self.plays = self.plays.saturating_sub(plays);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Passes of a server, until it is gone: one at once, then again and again.
pub(super) async fn keep(keeper: Weak<Keeper>) {
    let mut occasion = Occasion::Start;
    loop {
        let Some(keeper) = keeper.upgrade() else {
            return;
        };
        match keeper.pass(&Prune::default(), occasion).await {
            Ok(_) => {}
            Err(StoreError::Closed) => return,
            Err(error) => {
                keeper.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "retention did not finish; it is tried again later");
            }
        }
        drop(keeper);
        occasion = Occasion::Time;
        tokio::time::sleep(EVERY).await;
    }
}

fn default_bytes(dir: &Path) -> u64 {
    // The directory is made with the first play.
    let system = dir
        .ancestors()
        .find_map(|dir| rustix::fs::statvfs(dir).ok());
    let total = system.map_or(0, |system| system.f_blocks.saturating_mul(system.f_frsize));
    (total / SHARE).max(LEAST_BYTES)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Backend(format!("retention failed: {error}")))
}

/// Removes what a play left. What can't be removed stays, and is said.
fn remove(dir: &Path) {
    if let Err(error) = remove_tree(dir) {
        tracing::warn!(dir = %dir.display(), %error, "failed to remove the directory of a deleted play; remove it by hand");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_too_many_or_too_large_goes() {
        let mut excess = Excess {
            ended_before: EpochMs(100.0),
            plays: 5,
            keep_plays: 3,
            bytes: 1_000,
            keep_bytes: 500,
        };
        assert_eq!(excess.reason(EpochMs(99.0)), Some(PruneReason::Age));
        assert_eq!(excess.reason(EpochMs(100.0)), Some(PruneReason::Plays));
        excess.take(2, 100);
        assert_eq!(excess.reason(EpochMs(100.0)), Some(PruneReason::Bytes));
        excess.take(1, 400);
        assert_eq!(excess.reason(EpochMs(100.0)), None);
        excess.take(9, 9_999);
        assert_eq!((excess.plays, excess.bytes), (0, 0));
    }
}
