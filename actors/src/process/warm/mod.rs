//! Warm start: plays become processes that were forked ahead and wait for them.
//!
//! For an interpreter, an environment and a set of imports there is one fork server (`keeper`), a Python that
//! has them loaded. It runs no code of a play, only forks: each spare is handed on to this process, a
//! subreaper, which is its real parent and so learns its end and its usage for certain, whether the fork
//! server lives or not. A play takes a [`Spare`] that waits already; where there is none it starts cold.
//! Must never run a play in a process that another play has run in, and never keep a play from starting.

mod frame;
mod keeper;
mod spare;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use protocol::server::WarmKind;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot, watch},
    time::timeout,
};

pub(crate) use frame::Told;
pub(super) use spare::Adopted;
pub use spare::{Learned, Spare};

use super::{known, mark::Mark};

/// How long a play waits beside a fork server that hands out no spare at all. One that does is waited for,
/// however many others wait: a cold start would take longer, and hold up those others.
const MOMENT: Duration = Duration::from_millis(500);
/// What a play that is to be started warm waits for its fork server.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many plays start cold beside a fork server that is only being started. Further ones wait for it: it is there sooner
/// than they would be, all at once on the same cores (after a restart, a thousand of them).
const COLD_AT_ONCE: usize = 2;
/// For so long.
const STARTING: Duration = Duration::from_secs(5);

/// How long fork servers may take to leave at the end.
const CLOSING: Duration = Duration::from_secs(3);
/// Who was asked so lately makes no room for another.
const IN_USE: Duration = Duration::from_secs(10);
/// How many kinds of plays are remembered at most.
const KINDS: usize = 1_000;

/// How many, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many spares wait in each pool. More than two are no faster, and take memory.
    pub spares: usize,
    /// How long a fork server stays that nobody asks for a spare.
    pub idle: Duration,
    /// How many fork servers there can be at once.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spares: 2,
            idle: Duration::from_secs(300),
            most: 8,
        }
    }
}

/// What plays have in common that can come of one fork server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The interpreter.
    pub python: PathBuf,
    /// The whole environment, but for what belongs to one play.
    pub env: BTreeMap<OsString, OsString>,
    /// Modules that are loaded before the fork: `module`, or `module:name,name`.
    pub imports: Vec<String>,
}

/// The fork servers of one runtime. Cheap to clone; all clones are the same ones.
#[derive(Clone, Debug)]
pub struct Warm(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    io: Handle,
    mark: Option<Mark>,
    pools: Mutex<Pools>,
    /// How many fork servers are kept.
    keepers: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Pools {
    by_key: HashMap<Key, Pool>,
    /// Modules that can't be loaded ahead, by interpreter, and why.
    refused: HashMap<(PathBuf, String), String>,
    /// The kinds of which one play has started cold.
    seen: HashSet<Key>,
    closed: bool,
}

#[derive(Debug)]
struct Pool {
    spares: VecDeque<Spare>,
    /// Who waits for the next one, the first who came first.
    waiting: VecDeque<Waiting>,
    state: State,
    used: Instant,
    /// When its fork server last handed out a spare.
    gave: Instant,
    /// How many plays have started cold beside the fork server that is being started.
    cold: usize,
    /// When the first of its fork servers was started.
    began: Instant,
    /// Wakes the keeper.
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    tell: oneshot::Sender<Spare>,
    /// Waits for a fork server that is only being started, too.
    patient: bool,
}

/// For which fork server a play waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// One that forks.
    Forking,
    /// One that is being started for the first time, too, where others start cold already.
    Crowd,
    /// One that is being started, too.
    Starting,
}

/// How the fork server of a pool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is being started, for the first time or again.
    Starting,
    /// It forks.
    Ready,
    /// It could not be started; that is tried again after a pause.
    Failed,
}

impl Warm {
    /// None is started yet. `None`: this process is no subreaper, so it could not be a spare's parent.
    #[must_use]
    pub fn new(settings: Settings, io: Handle, mark: Option<Mark>) -> Option<Self> {
        known::before()?;
        Some(Self(Arc::new(Shared {
            settings,
            io,
            mark,
            pools: Mutex::default(),
            keepers: watch::Sender::new(0),
        })))
    }

    /// A spare for such a play: with its imports loaded where there is one, else without. `None`: it
    /// starts cold. Who is patient waits for a fork server that is only being started.
    pub async fn spare(&self, key: &Key, patient: bool) -> Option<Spare> {
        let patience = if patient {
            Patience::Starting
        } else {
            Patience::Crowd
        };
        if key.imports.is_empty() {
            return self.exactly(key, patience).await;
        }
        if let Some(spare) = self.exactly(key, Patience::Forking).await {
            return Some(spare);
        }
        let bare = Key {
            imports: Vec::new(),
            ..key.clone()
        };
        self.exactly(&bare, patience).await
    }

    /// A spare of this very kind; `None`: it starts cold.
    async fn exactly(&self, key: &Key, patience: Patience) -> Option<Spare> {
        let patient = patience == Patience::Starting;
        let (key, came) = {
            let mut pools = self.0.pools();
            let key = pools.allowed(key);
            let pool = self.pool(&mut pools, &key, patient)?;
            pool.used = Instant::now();
            pool.wake.notify_one();
            if let Some(spare) = pool.take() {
                return Some(spare);
            }
            let waits = match pool.state {
                State::Ready => true,
                State::Starting => pool.is_waited_for(patience),
                State::Failed => false,
            };
            if !waits {
                return None;
            }
            let came = pool.wait(patient);
            (key, came)
        };
        let gives = || {
            let pools = self.0.pools();
            let pool = pools.by_key.get(&key);
            pool.is_some_and(|pool| pool.gave.elapsed() < MOMENT || pool.is_young())
        };
        first(came, if patient { PATIENCE } else { MOMENT }, gives).await
    }

    /// A spare without imports of this interpreter, for whatever plays its fork server is kept. None is started
    /// for this.
    pub async fn any_spare(&self, python: &Path) -> Option<Spare> {
        let came = {
            let mut pools = self.0.pools();
            let (_, pool) = pools.by_key.iter_mut().find(|(key, pool)| {
                key.python == python && key.imports.is_empty() && pool.state != State::Failed
            })?;
            pool.wake.notify_one();
            if let Some(spare) = pool.take() {
                return Some(spare);
            }
            pool.wait(true)
        };
        first(came, PATIENCE, || false).await
    }

    /// Starts a fork server for such plays, where there is none yet.
    pub fn prepare(&self, key: &Key) {
        let mut pools = self.0.pools();
        let key = pools.allowed(key);
        self.pool(&mut pools, &key, true);
    }

    /// The pool for such plays; its fork server is started where there is none.
    fn pool<'a>(&self, pools: &'a mut Pools, key: &Key, insist: bool) -> Option<&'a mut Pool> {
        if pools.closed {
            return None;
        }
        if !pools.by_key.contains_key(key) {
            // The only one of its kind, perhaps: each play can have an environment of its own.
            if !insist && pools.is_first(key) {
                return None;
            }
            if pools.by_key.len() >= self.0.settings.most {
                let oldest = pools.least_used()?;
                self.0.end(pools, &oldest);
            }
            let wake = Arc::new(Notify::new());
            let pool = Pool {
                spares: VecDeque::new(),
                waiting: VecDeque::new(),
                state: State::Starting,
                used: Instant::now(),
                gave: Instant::now(),
                cold: 0,
                began: Instant::now(),
                wake: wake.clone(),
            };
            pools.by_key.insert(key.clone(), pool);
            self.0.keepers.send_modify(|keepers| *keepers += 1);
            let (shared, keeper) = (
                self.0.clone(),
                keeper::keep(self.0.clone(), key.clone(), wake),
            );
            self.0.io.spawn(async move {
                keeper.await;
                shared.keepers.send_modify(|keepers| *keepers -= 1);
            });
        }
        pools.by_key.get_mut(key)
    }

    /// Ends all fork servers and spares; none is started any more.
    pub async fn close(&self) {
        let ended: Vec<Pool> = {
            let mut pools = self.0.pools();
            pools.closed = true;
            pools.by_key.drain().map(|(_, pool)| pool).collect()
        };
        for pool in ended {
            pool.wake.notify_one();
        }
        let mut keepers = self.0.keepers.subscribe();
        let gone = keepers.wait_for(|keepers| *keepers == 0);
        if timeout(CLOSING, gone).await.is_err() {
            tracing::warn!("fork servers did not leave in time; they end with this process");
        }
    }
}

impl Warm {
    /// What there is of each kind.
    #[must_use]
    pub fn census(&self) -> Vec<WarmKind> {
        let pools = self.0.pools();
        let kinds = pools.by_key.iter().map(|(key, pool)| WarmKind {
            python: key.python.display().to_string(),
            imports: key.imports.clone(),
            ready: u32::try_from(pool.spares.len()).unwrap_or(u32::MAX),
            forks: pool.state == State::Ready,
        });
        let mut kinds: Vec<_> = kinds.collect();
        kinds.sort_by(|a, b| (&a.python, &a.imports).cmp(&(&b.python, &b.imports)));
        kinds
    }
}

impl Shared {
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a pool. Its spares are waited for elsewhere, not under the lock.
    fn end(&self, pools: &mut Pools, key: &Key) {
        if let Some(pool) = pools.by_key.remove(key) {
            pool.wake.notify_one();
            self.io.spawn_blocking(move || drop(pool));
        }
    }
}

impl Pools {
    /// Without the imports that can't be loaded ahead.
    fn allowed(&self, key: &Key) -> Key {
        let mut key = key.clone();
        let python = key.python.clone();
        let refused = |name: &String| self.refused.contains_key(&(python.clone(), name.clone()));
        // Not beyond the first: it may do what a later one needs.
        if let Some(first) = key.imports.iter().position(refused) {
            key.imports.truncate(first);
        }
        key
    }

    /// Whether there was no such play before, as far as it is remembered.
    fn is_first(&mut self, key: &Key) -> bool {
        if self.seen.len() >= KINDS {
            self.seen.clear();
        }
        self.seen.insert(key.clone())
    }

    /// The fork server that was asked longest ago, unless that was just now.
    fn least_used(&self) -> Option<Key> {
        let pools = self.by_key.iter();
        let (key, pool) = pools.min_by_key(|(_, pool)| pool.used)?;
        (pool.used.elapsed() > IN_USE).then(|| key.clone())
    }
}

/// The first spare that comes in this time, and again in this time as long as `more`.
async fn first(
    mut came: oneshot::Receiver<Spare>,
    patience: Duration,
    more: impl Fn() -> bool,
) -> Option<Spare> {
    loop {
        if let Ok(spare) = timeout(patience, &mut came).await {
            return spare.ok();
        }
        if !more() {
            came.close();
            return came.try_recv().ok();
        }
    }
}

impl Pool {
    /// One that waits.
    fn take(&mut self) -> Option<Spare> {
        while let Some(spare) = self.spares.pop_front() {
            if spare.lives() {
                return Some(spare);
            }
        }
        None
    }

    /// Whether its first fork server is being started, and that has not taken long.
    fn is_young(&self) -> bool {
        self.state == State::Starting && self.began.elapsed() < STARTING
    }

    /// Whether a play waits for the fork server that is being started.
    fn is_waited_for(&mut self, patience: Patience) -> bool {
        match patience {
            Patience::Forking => false,
            Patience::Starting => true,
            Patience::Crowd if self.cold < COLD_AT_ONCE => {
                self.cold += 1;
                false
            }
            Patience::Crowd => self.is_young(),
        }
    }

    /// For the next spare.
    fn wait(&mut self, patient: bool) -> oneshot::Receiver<Spare> {
        let (tell, came) = oneshot::channel();
        self.waiting.push_back(Waiting { tell, patient });
        came
    }
}
