//! The life of one fork server: starts it, has it fork, replaces it, and lets it go when nobody asks.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, ChildStderr, Command},
    sync::Notify,
    time::{interval, sleep, timeout},
};

use super::{
    Key, Pool, Shared, Spare, State,
    spare::{order, send},
};
use crate::process::{starter, sys, tree};

/// How long a fork server may take to load what it is asked for.
const LOADING: Duration = Duration::from_secs(60);
/// The first and the longest pause before another is started, where the last one lived less than
/// [`SHORT_LIFE`].
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
const SHORT_LIFE: Duration = Duration::from_secs(10);
/// So many that never got ready, one after another, and what they were to load is left to the plays.
const STILLBORN: u32 = 2;
/// How often one is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How many spares are ordered at once: more forks in flight are no faster.
const IN_FLIGHT: usize = 2;
/// It holds only what it has loaded: more than this beyond, and something is wrong with it, bytes.
const GROWTH: u64 = 64 << 20;
/// How long it may take to leave when its line is closed.
const LEAVING: Duration = Duration::from_secs(1);

/// Why a fork server's life is over.
enum Over {
    /// Nobody needs it any more.
    Unused,
    /// It can't load this module for its plays, and why.
    Refused(String, String),
    /// It died, hangs, or is not what it should be.
    Broken(String),
}

/// Keeps the pool of `key` until nobody needs it; `wake`: somebody took a spare, or waits for one.
pub(super) async fn keep(shared: Arc<Shared>, key: Key, wake: Arc<Notify>) {
    let mut pause = BACK_OFF.0;
    let mut stillborn = 0;
    loop {
        let began = Instant::now();
        let started = tokio::select! {
            started = ForkServer::start(&shared, &key) => started,
            () = no_longer(&shared, &key, &wake) => Err(Over::Unused),
        };
        let forked = started.is_ok();
        let over = match started {
            Ok(server) => server.run(&shared, &key, &wake).await,
            Err(over) => over,
        };
        let still = shared.with(&key, &wake, |pool| {
            // Whoever is not patient starts cold; where the next one can't be started, everybody.
            pool.waiting.retain(|waiting| forked && waiting.patient);
            pool.state = if forked {
                State::Starting
            } else {
                State::Failed
            };
        });
        match over {
            Over::Unused => {
                shared.leave(&key, &wake);
                return;
            }
            Over::Refused(name, why) => {
                tracing::debug!(python = %key.python.display(), module = name, why, "not loaded ahead of plays");
                let python = key.python.clone();
                shared.pools().refused.insert((python, name), why);
                shared.leave(&key, &wake);
                return;
            }
            Over::Broken(why) => {
                stillborn = if forked { 0 } else { stillborn + 1 };
                if stillborn >= STILLBORN && !key.imports.is_empty() {
                    // An import may end the process, or never come to an end: then it is the plays' own.
                    let imports = key.imports.iter();
                    let refused =
                        imports.map(|name| ((key.python.clone(), name.clone()), why.clone()));
                    shared.pools().refused.extend(refused);
                    tracing::debug!(python = %key.python.display(), imports = ?key.imports, why, "not loaded ahead of plays");
                    shared.leave(&key, &wake);
                    return;
                }
                tracing::warn!(python = %key.python.display(), why, "a fork server is replaced; plays start cold meanwhile");
            }
        }
        if still.is_none() {
            return;
        }
        if began.elapsed() > SHORT_LIFE {
            pause = BACK_OFF.0;
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = no_longer(&shared, &key, &wake) => return,
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Resolves when this very pool is no longer kept.
async fn no_longer(shared: &Shared, key: &Key, wake: &Arc<Notify>) {
    while shared.with(key, wake, |_| ()).is_some() {
        wake.notified().await;
    }
}

impl Shared {
    /// Ends this very pool, where it is still kept.
    fn leave(&self, key: &Key, wake: &Arc<Notify>) {
        let mut pools = self.pools();
        let kept = pools.by_key.get(key);
        if kept.is_some_and(|pool| Arc::ptr_eq(&pool.wake, wake)) {
            self.end(&mut pools, key);
        }
    }

    /// Does something with this very pool, where it is still kept.
    fn with<T>(
        &self,
        key: &Key,
        wake: &Arc<Notify>,
        work: impl FnOnce(&mut Pool) -> T,
    ) -> Option<T> {
        let mut pools = self.pools();
        let pool = pools.by_key.get_mut(key)?;
        Arc::ptr_eq(&pool.wake, wake).then(|| work(pool))
    }
}

/// One process that forks.
struct ForkServer {
    child: Child,
    pid: u32,
    /// One byte for each spare, with its ends.
    orders: OwnedWriteHalf,
    said: Lines<BufReader<OwnedReadHalf>>,
    /// Resident when it had loaded all, bytes.
    resident: u64,
}

impl ForkServer {
    /// Starts it, and waits until it has loaded what it is asked for.
    async fn start(shared: &Shared, key: &Key) -> Result<Self, Over> {
        let broken = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| Over::Broken(format!("failed to {what}: {error}"))
        };
        let (line, its_line) = StdUnixStream::pair().map_err(broken("make its line"))?;
        line.set_nonblocking(true)
            .map_err(broken("make its line"))?;
        let mut command = Command::new(&key.python);
        command
            .args(["-c", "from hero_tracing._warm import main; main()"])
            .env_clear()
            .envs(&key.env)
            // Keeps the place where /proc/PID/environ tells a play's sid.
            .env(tree::PLAY_SID, "-".repeat(36))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(its_line)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        sys::harden_fork_server(&mut command, shared.mark.map(|mark| mark.0));
        let mut child = starter::start(shared.io.clone(), move || command.spawn())
            .await
            .map_err(broken("start it"))?;
        let pid = child.id().unwrap_or(0);
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(pass_on(stderr, pid));
        }
        let line = UnixStream::from_std(line).map_err(broken("watch its line"))?;
        let (said, mut orders) = line.into_split();
        orders
            .write_all(format!("{}\n", key.imports.join(" ")).as_bytes())
            .await
            .map_err(broken("tell it what to load"))?;
        let mut server = Self {
            child,
            pid,
            orders,
            said: BufReader::new(said).lines(),
            resident: 0,
        };
        let answer = timeout(LOADING, server.hear()).await;
        let answer = answer.map_err(|_| Over::Broken("it did not load in time".into()))?;
        let answer = answer.map_err(broken("hear whether it has loaded"))?;
        let mut words = answer.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("ready"), None, None) => {}
            (Some("refused"), Some(name), why) => {
                let why = why.unwrap_or_default();
                return Err(Over::Refused(name.to_owned(), why.to_owned()));
            }
            _ => return Err(Over::Broken(format!("it says {answer:?}"))),
        }
        server.resident = sys::sample(pid).map_or(0, |sample| sample.resident_bytes);
        Ok(server)
    }

    /// Its next line; an error when it is gone.
    async fn hear(&mut self) -> io::Result<String> {
        match self.said.next_line().await? {
            Some(line) => Ok(line),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn run(mut self, shared: &Shared, key: &Key, wake: &Arc<Notify>) -> Over {
        shared.with(key, wake, |pool| pool.state = State::Ready);
        let mut look = interval(LOOK);
        let mut coming = FuturesUnordered::new();
        let over = loop {
            let Some(wanted) = shared.with(key, wake, |pool| pool.wanted(shared.settings.spares))
            else {
                break Over::Unused;
            };
            while coming.len() < wanted.min(IN_FLIGHT) {
                match self.order() {
                    Ok(ordered) => coming.push(ordered),
                    Err(error) => {
                        // No descriptors, say: plays start cold, or try it themselves.
                        tracing::warn!(%error, "failed to order a spare");
                        break;
                    }
                }
            }
            tokio::select! {
                Some(born) = coming.next(), if !coming.is_empty() => match born {
                    Some(spare) => shared.give(key, wake, spare),
                    None => break Over::Broken("a spare never spoke".into()),
                },
                () = wake.notified() => {}
                said = self.hear() => break Over::Broken(match said {
                    Ok(words) => format!("it says {words:?}"),
                    Err(_) => "it is gone".into(),
                }),
                _ = look.tick() => if let Some(over) = self.look(shared, key, wake) {
                    break over;
                }
            }
        };
        // Those that are still to come are nobody's any more: their links are closed, and they leave.
        drop(coming);
        drop((self.orders, self.said));
        if timeout(LEAVING, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "a fork server does not leave; it is killed");
        }
        over
    }

    fn order(&self) -> io::Result<impl Future<Output = Option<Spare>> + use<>> {
        let (ordered, ends) = order(self.pid)?;
        send(self.orders.as_ref(), b"f", &ends)?;
        Ok(ordered.born())
    }

    /// Whether it is as it should be, and still needed.
    fn look(&self, shared: &Shared, key: &Key, wake: &Arc<Notify>) -> Option<Over> {
        let unused = shared.with(key, wake, |pool| {
            pool.waiting.is_empty() && pool.used.elapsed() > shared.settings.idle
        });
        if unused != Some(false) {
            return Some(Over::Unused);
        }
        let sample = sys::sample(self.pid)?;
        if sample.threads > 1 {
            return Some(Over::Broken(format!("it runs {} threads", sample.threads)));
        }
        if sample.resident_bytes > self.resident + GROWTH {
            return Some(Over::Broken(format!(
                "it has grown from {} to {} bytes",
                self.resident, sample.resident_bytes
            )));
        }
        None
    }
}

impl Shared {
    fn give(&self, key: &Key, wake: &Arc<Notify>, spare: Spare) {
        self.with(key, wake, |pool| {
            let mut spare = spare;
            pool.gave = Instant::now();
            while let Some(first) = pool.waiting.pop_front() {
                match first.tell.send(spare) {
                    Ok(()) => return,
                    Err(back) => spare = back,
                }
            }
            pool.spares.push_back(spare);
        });
    }
}

impl Pool {
    /// How many spares are to come.
    fn wanted(&mut self, kept: usize) -> usize {
        self.waiting.retain(|waiting| !waiting.tell.is_closed());
        (kept + self.waiting.len()).saturating_sub(self.spares.len())
    }
}

/// What it says on its standard error goes into the log.
async fn pass_on(stderr: ChildStderr, pid: u32) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(pid, line, "a fork server complains");
    }
}
