//! The ordered start and stop of everything.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use actix_rt::{ArbiterHandle, System};
use protocol::{Error, Result, rpc::StartMode};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    Config, Inner, Listening, Runtime,
    lock::{self, DirLock},
    pulse::Pulse,
    recovery,
    retention::{self, Keeper},
};
use crate::{
    clock::Clock,
    doctor,
    guardian::{self, Alarm},
    library::Library,
    outlines::Outlines,
    play::{
        attempt::Attempts,
        limits,
        python::{Environment, PythonAttempts},
        sockets::{self, Sockets},
    },
    process::{
        self, Guard, GuardProgram, Mark, Spawner,
        inspect::{Inspector, PythonInspector},
        python::{Interpreters, Places},
        sdk::Sdk,
        tree,
        warm::Warm,
        watch::Watch,
    },
    registry::{Office, RegistryParts, office::Opening},
    store::{Store, sqlite::SqliteStore},
};

/// What is given back at the end.
#[derive(Debug)]
pub struct House {
    system: System,
    thread: JoinHandle<()>,
    kept: Kept,
}

/// What a runtime has of the world, in the order in which it is given back.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Gets the first fork server ready.
    warming: Option<tokio::task::JoinHandle<()>>,
    warm: Option<Warm>,
    guard: Option<Guard>,
    _sockets: Option<sockets::Held>,
    _lock: Option<DirLock>,
}

impl Kept {
    /// Of who only reads.
    pub(super) fn only(lock: Option<DirLock>) -> Self {
        Self {
            _lock: lock,
            ..Self::default()
        }
    }
}

impl House {
    pub(super) async fn close(self) {
        self.system.stop();
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the actors' thread ended with a panic");
        }
        if let Some(warming) = self.kept.warming {
            warming.abort();
            // An error says that it was aborted: then what it had started is ended.
            warming.await.ok();
        }
        if let Some(warm) = self.kept.warm {
            warm.close().await;
        }
        // Whatever of the plays could not be ended in time is the guard's, which leaves with that.
        if let Some(guard) = self.kept.guard {
            close_guard(guard).await;
        }
    }
}

/// The world as actors are given it, so that tests can give another.
pub struct World {
    pub store: Arc<dyn Store>,
    pub attempts: Arc<dyn Attempts>,
    pub inspector: Arc<dyn Inspector>,
    pub clock: Clock,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

/// With fewer open files than this, even an idle runtime can't start its threads.
const LEAST_OPEN_FILES: u64 = 48;

fn enough_open_files() -> Result<()> {
    match rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        Some(limit) if limit < LEAST_OPEN_FILES => Err(Error::unavailable(format!(
            "only {limit} files can be open at once, and at least {LEAST_OPEN_FILES} are needed; raise the \
             limit (ulimit -n, or LimitNOFILE= in the systemd unit)"
        ))),
        _ => Ok(()),
    }
}

impl Runtime {
    /// Takes the data directory's lock, opens the store, tidies up after a crash, starts the actors.
    /// Must be called within a multi-thread tokio runtime, which watches sockets and processes.
    ///
    /// # Errors
    /// `conflict` where another process has the data directory (its message says who); whatever
    /// keeps the store from being opened.
    pub async fn start(config: Config) -> Result<Self> {
        guardian::listen_to_panics();
        process::raise_open_files_limit();
        process::outlive_file_size_limit();
        enough_open_files()?;
        if config.own_process {
            process::adopt_orphans();
        }
        let mark = Mark::new();
        let lock = DirLock::take(&config.data_dir)?;
        let dir = std::path::absolute(&config.data_dir).map_err(|error| {
            Error::unavailable(format!("failed to find the data directory: {error}"))
        })?;
        let guard = match config.guard.clone() {
            Some(program) => Some(start_guard(program, mark).await?),
            None => None,
        };
        let started = Self::start_guarded(config, dir, lock, (guard.clone(), mark)).await;
        if let (Err(_), Some(guard)) = (&started, guard) {
            close_guard(guard).await;
        }
        started
    }

    async fn start_guarded(
        config: Config,
        dir: PathBuf,
        mut lock: DirLock,
        (guard, mark): (Option<Guard>, Option<Mark>),
    ) -> Result<Self> {
        let (sockets, held) = Sockets::make(&dir)
            .map_err(|error| lock::failed("make the sockets of", &dir, &error))?;
        let warm = (config.warm)
            .filter(|_| config.dispatch && config.start != Some(StartMode::Cold))
            .and_then(|settings| Warm::new(settings, Handle::current(), mark));
        let spawner = Spawner {
            io: Handle::current(),
            guard: guard.clone(),
            mark,
        };
        let (store, inspector, attempts) =
            real_world(&config, &dir, sockets, (spawner, warm.clone())).await?;
        let warming = attempts.clone();
        let world = World {
            store,
            attempts: Arc::new(attempts),
            inspector,
            clock: Clock::System,
        };
        let left = lock.left().map(<[Mark]>::to_vec);
        let interrupted =
            recovery::tidy_up(&*world.store, &world.attempts, world.clock, left.is_some()).await?;
        for mark in left.into_iter().flatten() {
            end_marked(mark).await;
        }
        lock.settle(mark);
        if interrupted > 0 {
            tracing::warn!(
                interrupted,
                "plays were running when the server went down; they go on, or are recorded as interrupted"
            );
        }
        recovery::tidy_spools(&dir.join("spool"), &world.attempts).await;
        let config = Config {
            data_dir: dir,
            ..config
        };
        let (dispatch, early) = (config.dispatch, config.warm_up);
        let warming =
            (dispatch && early).then(|| tokio::spawn(async move { warming.warm_up().await }));
        let kept = Kept {
            warming,
            warm,
            guard,
            _sockets: Some(held),
            _lock: Some(lock),
        };
        let runtime = Self::housed(world, config, kept).await?;
        if dispatch {
            tokio::spawn(retention::keep(Arc::downgrade(&runtime.inner.keeper)));
            tokio::spawn(Pulse::keep(Arc::downgrade(&runtime.inner.pulse)));
        }
        Ok(runtime)
    }

    /// Starts the actors' threads and the actors in this world; what is given back at the end is kept.
    pub(super) async fn housed(world: World, config: Config, kept: Kept) -> Result<Self> {
        let (system, thread, arbiters) = actor_threads().await?;
        let mut runtime = Self::wire(world, &config, arbiters)?;
        let (guard, warm) = (kept.guard.clone(), kept.warm.clone());
        let house = House {
            system,
            thread,
            kept,
        };
        let inner = Arc::get_mut(&mut runtime.inner)
            .ok_or_else(|| Error::internal("the runtime was shared before it was complete"))?;
        inner.guard = guard;
        inner.warm = warm;
        inner.house = std::sync::Mutex::new(Some(house));
        Ok(runtime)
    }

    /// Starts the actors in this world. The first arbiter has the registry and the library.
    ///
    /// # Errors
    /// What the store says.
    pub fn wire(world: World, config: &Config, arbiters: Vec<ArbiterHandle>) -> Result<Self> {
        let World {
            store,
            attempts,
            inspector,
            clock,
        } = world;
        let first = arbiters.first().cloned();
        let first = first.ok_or_else(|| Error::internal("no arbiter"))?;
        let alarm = Alarm::default();
        let library = Library::open(store.clone(), inspector.clone(), first, alarm.clone());
        let parts = RegistryParts {
            store: store.clone(),
            attempts,
            clock,
            live: Arc::default(),
            arbiters,
            max_plays: config.max_plays.unwrap_or_else(process::default_max_plays),
            dispatch: config.dispatch,
            default_timeout: config.default_timeout,
            default_limits: config.default_limits.or(limits::built_in()),
            grace: config.grace,
            io: Handle::current(),
        };
        let office = Office::open(Opening {
            parts,
            library,
            alarm: alarm.clone(),
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                office,
                _listening: Listening::to(&*store, alarm.clone()),
                alarm,
                keeper: Arc::new(Keeper::new(
                    store.clone(),
                    config.data_dir.join("plays"),
                    clock,
                    config.retention,
                )),
                pulse: Arc::new(Pulse::new(store.clone())),
                outlines: Outlines::new(store.clone()),
                store,
                inspector,
                data_dir: config.data_dir.clone(),
                grace: config.grace,
                started_at: clock.now(),
                guard: None,
                warm: None,
                subject: doctor::Subject {
                    data_dir: config.data_dir.clone(),
                    python: config.python.clone(),
                    max_plays: config.max_plays,
                    limits: config.default_limits.or(limits::built_in()),
                    own: true,
                },
                notes: std::sync::Mutex::default(),
                house: std::sync::Mutex::new(None),
            }),
        })
    }
}

/// Whatever a server before has left beside the trees of its plays, if both it and its guard were killed.
async fn end_marked(mark: Mark) {
    match tokio::task::spawn_blocking(move || tree::kill_marked(mark)).await {
        Ok(0) => {}
        Ok(killed) => tracing::warn!(killed, "ended processes that an earlier server had left"),
        Err(error) => tracing::error!(%error, "failed to end what an earlier server has left"),
    }
}

async fn start_guard(program: GuardProgram, mark: Option<Mark>) -> Result<Guard> {
    tokio::task::spawn_blocking(move || Guard::start(program, mark))
        .await
        .map_err(|error| Error::internal(format!("failed to start the guard: {error}")))?
        .map_err(|error| Error::unavailable(format!("failed to start the guard: {error}")))
}

async fn close_guard(guard: Guard) {
    if let Err(error) = tokio::task::spawn_blocking(move || guard.close()).await {
        tracing::error!(%error, "failed to wait for the guard");
    }
}

async fn real_world(
    config: &Config,
    dir: &Path,
    sockets: Sockets,
    (spawner, warm): (Spawner, Option<Warm>),
) -> Result<(Arc<dyn Store>, Arc<dyn Inspector>, PythonAttempts)> {
    let (opening, durability) = (dir.to_owned(), config.durability);
    let store = tokio::task::spawn_blocking(move || SqliteStore::open_with(&opening, durability))
        .await
        .map_err(|error| Error::internal(format!("failed to open the store: {error}")))??;
    let failed = |what: &'static str| {
        move |error: std::io::Error| Error::unavailable(format!("failed to {what}: {error}"))
    };
    let sdk = Sdk::install(&dir.join("sdk")).map_err(failed("write out the Python SDK"))?;
    let interpreters = Arc::new(Interpreters::new(Places::of_this_process(
        config.python.clone(),
    )));
    let inspector = PythonInspector::new(interpreters.clone(), sdk.inspect_script());
    let attempts = PythonAttempts {
        spawner,
        warm,
        learning: crate::play::learned::Learning::default(),
        start: config.start,
        interpreters,
        sdk,
        plays_dir: dir.join("plays"),
        spool_dir: dir.join("spool"),
        sockets,
        io: Handle::current(),
        watch: Watch::start().map_err(failed("start a thread"))?,
        environment: Environment::of_this_process(),
    };
    Ok((Arc::new(store), Arc::new(inspector), attempts))
}

/// One thread with the registry and the library, and one for play actors on each core.
async fn actor_threads() -> Result<(System, JoinHandle<()>, Vec<ArbiterHandle>)> {
    let (tell, hear) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("hero-actors".into())
        .spawn(move || {
            let runner = System::new();
            runner.block_on(async {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let mut arbiters = vec![actix_rt::Arbiter::current()];
                arbiters.extend((1..cores).map(|_| actix_rt::Arbiter::new().handle()));
                // An error says that the start was given up.
                drop(tell.send((System::current(), arbiters)));
            });
            if let Err(error) = runner.run() {
                tracing::error!(%error, "the actors' thread failed");
            }
        });
    let thread =
        thread.map_err(|error| Error::unavailable(format!("failed to start a thread: {error}")))?;
    let (system, arbiters) = hear
        .await
        .map_err(|_| Error::unavailable("the actors' thread failed to start"))?;
    Ok((system, thread, arbiters))
}
