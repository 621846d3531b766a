//! Wires the actors, and is what the faces hold: every operation of the contract as one method.
//!
//! [`setup`] starts and stops everything in order; [`recovery`] tidies up after a server that died;
//! [`retention`] deletes what is not to be kept;
//! [`lock`] keeps a data directory to one process; [`plays`], `inside`, `artifacts` and [`library`] are the operations,
//! each of which checks its parameters, sends one message, and returns the result.

mod artifacts;
pub mod backup;
mod condition;
mod fates;
mod forks;
mod inside;
mod library;
mod lists;
pub mod lock;
mod plays;
mod pulse;
mod reading;
pub mod recovery;
mod retained;
pub mod retention;
pub mod setup;
mod tally;
mod waits;

use std::{path::PathBuf, sync::Arc, time::Duration};

use protocol::{
    EpochMs, Error, Limits, PlayStatus, Result,
    prune::{Prune, PruneReport},
    rpc::{ServerInfo, StartMode},
    server::Check,
};

use self::{
    pulse::Pulse,
    retention::{Keeper, Retention},
};
use crate::{
    crash_point, doctor,
    guardian::{Alarm, Seat},
    library::Library,
    outlines::Outlines,
    process::{Guard, GuardProgram, Warm, inspect::Inspector, warm},
    registry::{Census, Office, RefuseIfIdle, Registry},
    store::{Durability, Health, Store},
};

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How many plays may have a process at once; `None`: chosen by cores and memory.
    pub max_plays: Option<u32>,
    /// Whether plays are started; without it, pending ones stay pending (for reading only).
    pub dispatch: bool,
    /// The interpreter where neither the play nor its flow's directory names one.
    pub python: Option<PathBuf>,
    /// Wall-clock time of a play where neither it nor its flow says another.
    pub default_timeout: Duration,
    /// Limits of a play where neither it nor its flow says others; what is not given here is as
    /// [`crate::play::limits::built_in`] says.
    pub default_limits: Limits,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How a play starts that does not say it.
    pub start: Option<StartMode>,
    /// Whether processes are forked ahead before the first play asks for one.
    pub warm_up: bool,
    /// How processes are forked ahead; `None`: every play starts cold, as it does where this process is
    /// no server of its own.
    pub warm: Option<warm::Settings>,
    /// What an acknowledged commit is sure to outlive.
    pub durability: Durability,
    /// What is kept of ended plays.
    pub retention: Retention,
    /// This process is a hero_logic server and nothing else: it inherits what plays leave behind.
    /// Not for programs that embed the runtime and have children of their own.
    pub own_process: bool,
    /// The process that ends the plays where this one is killed; `None`: there is none, then the roots
    /// of plays are killed with this process, and what they had started is ended by the next start on
    /// the directory. The program must call `hero_logic::guard` first of all.
    pub guard: Option<GuardProgram>,
}

impl Config {
    /// The defaults, on this data directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            max_plays: None,
            dispatch: true,
            python: None,
            default_timeout: Duration::from_secs(3_600),
            default_limits: Limits::default(),
            grace: Duration::from_secs(5),
            start: None,
            warm_up: false,
            warm: Some(warm::Settings::default()),
            durability: Durability::default(),
            retention: Retention::default(),
            own_process: false,
            guard: None,
        }
    }
}

/// A running runtime. Cheap to clone; [`Runtime::stop`] ends it for all clones.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    office: Arc<Office>,
    alarm: Alarm,
    /// Ends with the runtime.
    _listening: Listening,
    store: Arc<dyn Store>,
    outlines: Outlines,
    inspector: Arc<dyn Inspector>,
    keeper: Arc<Keeper>,
    data_dir: PathBuf,
    grace: Duration,
    started_at: EpochMs,
    guard: Option<Guard>,
    warm: Option<Warm>,
    pulse: Arc<Pulse>,
    subject: doctor::Subject,
    /// What those who serve it have to say.
    notes: std::sync::Mutex<Vec<Check>>,
    /// What is to be joined and removed at the end; `None` in the universe for tests.
    house: std::sync::Mutex<Option<setup::House>>,
}

/// Raises the alarm when the store has failed for good. Dropped, it listens no more.
#[derive(Debug)]
struct Listening(tokio::task::JoinHandle<()>);

impl Listening {
    fn to(store: &dyn Store, alarm: Alarm) -> Self {
        let mut health = store.health();
        Self(tokio::spawn(async move {
            let failed = health.wait_for(|health| matches!(health, Health::Failed(_)));
            if let Ok(Health::Failed(why)) = failed.await.as_deref() {
                alarm.raise(why.clone().into());
            }
        }))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Runtime {
    /// Where committed changes are read: snapshots, the feed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Where the registry is found, for actor messages.
    #[must_use]
    pub fn registry(&self) -> &Seat<Registry> {
        self.inner.office.registry()
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> &Library {
        self.inner.office.library()
    }

    /// Resolves when the runtime can't go on, with the reason: the store has failed for good, or the
    /// registry or the library died again and again. It is to be stopped then.
    pub async fn failed(&self) -> Error {
        self.inner.alarm.raised().await
    }

    /// Who answers, and how much there is to do.
    ///
    /// # Errors
    /// `unavailable` where the runtime is stopping.
    pub async fn server_info(&self) -> Result<ServerInfo> {
        let counts = self.ask(Census).await?;
        let pending = self.store().count_plays(PlayStatus::Pending).await?;
        Ok(ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            data_dir: self.inner.data_dir.display().to_string(),
            started_at: self.inner.started_at,
            running: counts.running,
            pending: u32::try_from(pending).unwrap_or(u32::MAX),
            max_plays: counts.limit,
            trouble: self.trouble(),
        })
    }

    /// Deletes ended plays beyond what is kept, or tells which.
    ///
    /// # Errors
    /// `unavailable`: what the store says.
    pub async fn prune(&self, wanted: Prune) -> Result<PruneReport> {
        self.inner.keeper.prune(&wanted).await
    }

    /// What retention has deleted since the start.
    #[must_use]
    pub fn pruned(&self) -> retention::Totals {
        self.inner.keeper.totals()
    }

    /// How often the guard had to be replaced; `None` where there is none.
    #[must_use]
    pub fn guard_restarts(&self) -> Option<u64> {
        self.inner.guard.as_ref().map(Guard::restarts)
    }

    /// No new plays; live ones get SIGTERM, the grace, SIGKILL and are recorded; then the store is
    /// written out and closed, and the threads are joined. Can be called again.
    ///
    /// # Errors
    /// What the store says to being closed.
    pub async fn stop(&self) -> Result<()> {
        self.stop_within(self.inner.grace).await
    }

    /// As [`Runtime::stop`], but only if nothing is live, being started or pending; from that moment
    /// on new plays are refused. Whether it stopped.
    ///
    /// # Errors
    /// What the store says to being closed.
    pub async fn stop_if_idle(&self) -> Result<bool> {
        if !self.ask(RefuseIfIdle).await? {
            return Ok(false);
        }
        self.stop().await.map(|()| true)
    }

    /// As [`Runtime::stop`], with another grace; zero kills at once.
    ///
    /// # Errors
    /// What the store says to being closed.
    pub async fn stop_within(&self, grace: Duration) -> Result<()> {
        self.inner.office.stop_plays(grace).await;
        crash_point::reached("stop_drained");
        // Whatever the store says to it: everything else is given back too.
        let closed = self.inner.store.close().await;
        crash_point::reached("stop_closed");
        let house = self
            .inner
            .house
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(house) = house {
            self.inner.office.close();
            house.close().await;
        }
        Ok(closed?)
    }

    /// Why nothing can be written just now; `None` when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let health = self.store().health().borrow().clone();
        health.reason().map(ToString::to_string)
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result>
    where
        M: actix::Message + Clone + Send + 'static,
        M::Result: Send,
        Registry: actix::Handler<M>,
    {
        Ok(self.registry().ask(message).await?)
    }
}
