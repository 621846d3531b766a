//! The chaos: what dies, and when; and a disk that fills and empties meanwhile.

mod deaths;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    disk::{Filler, SmallDisk},
    rng::Rng,
    server::Server,
};

/// How soon everything that a killed server's plays had started must be gone.
const GUARD_LIMIT: Duration = Duration::from_secs(1);

/// How long a server takes to start on a machine that has nothing else to do. Where it takes longer, so may
/// its guard, and so do the pauses: else nothing would come to its end.
const STARTED: Duration = Duration::from_millis(70);
/// How much longer at most.
const SLOWEST: f64 = 6.0;

/// What was done, and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) server: u64,
    pub(crate) guard: u64,
    pub(crate) both: u64,
    pub(crate) stopped: u64,
    pub(crate) of_plays: u64,
    pub(crate) fork_servers: u64,
    pub(crate) spares: u64,
    /// How often the disk was filled, and for how long in all.
    pub(crate) filled: u64,
    pub(crate) full_for: Duration,
    /// Deaths of the server on a full disk, …
    pub(crate) server_while_full: u64,
    /// … and starts that had to wait for space.
    pub(crate) starts_without_space: u64,
    /// Whatever ends attempts of plays, in the order of time.
    pub(crate) deaths: Vec<Death>,
    /// From the server's end to the end of the last process of its plays.
    pub(crate) swept: Vec<Duration>,
    /// Where that took longer than it may, or a process was left.
    pub(crate) left: Vec<String>,
    /// Where a guard that was killed was not replaced.
    pub(crate) unguarded: u64,
    pub(crate) errors: Vec<String>,
}

impl Tally {
    pub(crate) fn server_kills(&self) -> u64 {
        self.server + self.both
    }
}

/// What died, so that attempts ended; in milliseconds since 1970, as plays note their times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) of: Victim,
    pub(crate) from: u64,
    /// When all was well again.
    pub(crate) to: u64,
}

/// See [`Death`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// And with it whatever ran.
    Server,
    Process(u32),
}

fn epoch_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) until: Instant,
    /// At least as many deaths of the server.
    pub(crate) server_kills: u64,
}

/// Whoever does it.
#[derive(Debug)]
pub(crate) struct Chaos<'a> {
    server: &'a mut Server,
    disk: Option<&'a SmallDisk>,
    filler: Option<(Filler, Instant)>,
    rng: Rng,
    tally: Tally,
}

/// What may be done, and how often of all times.
const DEEDS: &[(u64, Deed)] = &[
    (7, Deed::KillServer),
    (2, Deed::KillGuard),
    (2, Deed::KillBoth),
    (1, Deed::StopServer),
    (6, Deed::KillPlays),
    (3, Deed::KillForkServers),
    (9, Deed::TurnDisk),
];

#[derive(Clone, Copy, Debug)]
enum Deed {
    KillServer,
    KillGuard,
    KillBoth,
    StopServer,
    KillPlays,
    KillForkServers,
    /// Fills the disk, or empties it.
    TurnDisk,
}

impl<'a> Chaos<'a> {
    pub(crate) fn new(server: &'a mut Server, disk: Option<&'a SmallDisk>, rng: Rng) -> Self {
        Self {
            server,
            disk,
            filler: None,
            rng,
            tally: Tally::default(),
        }
    }

    /// Goes on until it is enough; at the end a server runs, and there is space.
    pub(crate) async fn rage(mut self, bound: Bound, interrupted: &Arc<AtomicBool>) -> Tally {
        while (Instant::now() < bound.until || self.tally.server_kills() < bound.server_kills)
            && !interrupted.load(Ordering::Relaxed)
        {
            self.pause().await;
            if let Err(error) = self.deed().await {
                self.tally.errors.push(error.to_string());
                if self.server.pid().is_none() {
                    break;
                }
            }
        }
        self.empty_disk();
        self.tally
    }

    /// Mostly short, sometimes until much has gathered.
    async fn pause(&mut self) {
        let longest = if self.rng.below(3) == 0 { 2_500 } else { 600 };
        let pause = Duration::from_millis(self.rng.below(longest));
        tokio::time::sleep(pause.mul_f64(self.slowness())).await;
    }

    /// 1 where the machine has nothing else to do.
    fn slowness(&self) -> f64 {
        let started = self.server.starts.last().copied().unwrap_or(STARTED);
        started.div_duration_f64(STARTED).clamp(1.0, SLOWEST)
    }

    async fn deed(&mut self) -> std::io::Result<()> {
        match *self.rng.weighted(DEEDS) {
            Deed::KillServer => self.kill_server().await,
            Deed::KillGuard => self.kill_guard().await,
            Deed::KillBoth => self.kill_both().await,
            Deed::StopServer => self.stop_server().await,
            Deed::KillPlays => self.kill_plays(),
            Deed::KillForkServers => self.kill_fork_servers(),
            Deed::TurnDisk => self.turn_disk(),
        }
    }

    fn turn_disk(&mut self) -> std::io::Result<()> {
        if self.filler.is_some() {
            self.empty_disk();
        } else if let Some(disk) = self.disk {
            self.tally.filled += 1;
            self.filler = Some((disk.fill()?, Instant::now()));
        }
        Ok(())
    }

    fn empty_disk(&mut self) {
        if let Some((filler, since)) = self.filler.take() {
            drop(filler);
            self.tally.full_for += since.elapsed();
        }
    }
}
