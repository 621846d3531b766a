//! Wires the actors, and is what the faces hold: every operation of the contract as one method.
//!
//! [`setup`] starts and stops everything in order; [`recovery`] tidies up after a server that died;
//! [`lock`] keeps a data directory to one process; [`plays`] and [`library`] are the operations,
//! each of which checks its parameters, sends one message, and returns the result.

mod condition;
mod library;
pub mod lock;
mod plays;
pub mod recovery;
pub mod setup;

use std::{path::PathBuf, sync::Arc, time::Duration};

use actix::Addr;
use protocol::{EpochMs, Error, PlayStatus, Result, rpc::ServerInfo};

use crate::{
    library::LibraryActor,
    registry::{Census, RefuseIfIdle, Registry, Shutdown},
    store::Store,
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
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// This process is a hero_logic server and nothing else: it inherits what plays leave behind.
    /// Not for programs that embed the runtime and have children of their own.
    pub own_process: bool,
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
            grace: Duration::from_secs(5),
            own_process: false,
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
    registry: Addr<Registry>,
    library: Addr<LibraryActor>,
    store: Arc<dyn Store>,
    data_dir: PathBuf,
    grace: Duration,
    started_at: EpochMs,
    /// What is to be joined and removed at the end; `None` in the universe for tests.
    house: std::sync::Mutex<Option<setup::House>>,
}

impl Runtime {
    /// Where committed changes are read: snapshots, the feed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The registry's address, for actor messages.
    #[must_use]
    pub fn registry(&self) -> &Addr<Registry> {
        &self.inner.registry
    }

    /// The library's address, for actor messages.
    #[must_use]
    pub fn library(&self) -> &Addr<LibraryActor> {
        &self.inner.library
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
        })
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
        if self.inner.registry.send(Shutdown { grace }).await.is_err() {
            tracing::debug!("the registry had stopped before");
        }
        self.inner.store.close().await?;
        let house = self
            .inner
            .house
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(house) = house {
            house.close().await;
        }
        Ok(())
    }

    async fn ask<M>(&self, message: M) -> Result<M::Result>
    where
        M: actix::Message + Send + 'static,
        M::Result: Send,
        Registry: actix::Handler<M>,
    {
        self.inner
            .registry
            .send(message)
            .await
            .map_err(|_| Error::unavailable("the server is stopping"))
    }

    async fn ask_library<M, T>(&self, message: M) -> Result<T>
    where
        M: actix::Message<Result = Result<T>> + Send + 'static,
        T: Send + 'static,
        LibraryActor: actix::Handler<M>,
    {
        self.inner
            .library
            .send(message)
            .await
            .map_err(|_| Error::unavailable("the server is stopping"))?
    }
}
