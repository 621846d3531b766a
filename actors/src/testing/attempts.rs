//! Processes that follow scripts, with the orders, deadlines and endings of real ones.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{PlaySid, ProcessId, Usage};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::process::{Process, Shared};
use crate::{
    ingest::Sink,
    play::{
        attempt::{Attempt, Attempts, Brief},
        outcome::{Ended, Exit},
        stop::{StopOrder, StopReason},
    },
};

/// What one process used up.
const USAGE: Usage = Usage {
    cpu_ms: 10.0,
    peak_memory_bytes: 1 << 20,
    processes: 1,
    start: None,
    killed: 0,
};

/// One thing that was done to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    Started {
        flow: String,
        play: PlaySid,
        attempt: u32,
    },
    /// The order that it got first, or that changed it.
    Ordered {
        play: PlaySid,
        order: StopOrder,
    },
    Ended {
        play: PlaySid,
        exit: Exit,
    },
    Tidied {
        play: PlaySid,
    },
    /// What an earlier server had left was ended.
    EndedRemembered {
        play: PlaySid,
        process: Option<ProcessId>,
    },
}

type Script = Arc<dyn Fn(Process) -> BoxFuture<'static, Exit> + Send + Sync>;

/// See the module. A flow without a script leaves at once with exit code 0.
pub struct FakeAttempts {
    scripts: Mutex<HashMap<String, Result<Script, String>>>,
    spool: Mutex<HashMap<(PlaySid, String), String>>,
    log: watch::Sender<Vec<Happened>>,
    sinks: Mutex<Vec<Weak<dyn Sink>>>,
    alive: watch::Sender<Vec<PlaySid>>,
    next_pid: AtomicU32,
    /// How long it takes to tidy.
    tidying: Mutex<Duration>,
    /// All processes are to die at once.
    killed: watch::Sender<bool>,
}

impl Default for FakeAttempts {
    fn default() -> Self {
        Self {
            scripts: Mutex::default(),
            spool: Mutex::default(),
            log: watch::Sender::new(Vec::new()),
            sinks: Mutex::default(),
            alive: watch::Sender::new(Vec::new()),
            next_pid: AtomicU32::new(1_000),
            tidying: Mutex::default(),
            killed: watch::Sender::new(false),
        }
    }
}

impl FakeAttempts {
    /// What processes of this flow do, and how they leave.
    pub fn script<F>(&self, flow: &str, script: impl Fn(Process) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Exit> + Send + 'static,
    {
        let script: Script = Arc::new(move |process| script(process).boxed());
        lock(&self.scripts).insert(flow.to_owned(), Ok(script));
    }

    /// Processes of this flow can't be started, and why.
    pub fn refuse(&self, flow: &str, why: &str) {
        lock(&self.scripts).insert(flow.to_owned(), Err(why.to_owned()));
    }

    /// From now on it takes so long to tidy up after a play.
    pub fn tidy_late(&self, takes: Duration) {
        *lock(&self.tidying) = takes;
    }

    /// Puts a file into a play's spool directory.
    pub fn spool(&self, play: &PlaySid, name: &str, text: &str) {
        lock(&self.spool).insert((play.clone(), name.to_owned()), text.to_owned());
    }

    /// Every process dies at once, without another step, as the guard sees to it when a server is killed.
    pub fn kill_all(&self) {
        self.killed.send_replace(true);
    }

    /// Those of another server, which follow the same scripts.
    #[must_use]
    pub fn of_another(&self) -> Self {
        Self {
            scripts: Mutex::new(lock(&self.scripts).clone()),
            ..Self::default()
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn log(&self) -> Vec<Happened> {
        self.log.borrow().clone()
    }

    /// The flows in the order in which they were started.
    #[must_use]
    pub fn started(&self) -> Vec<String> {
        let log = self.log.borrow();
        let started = log.iter().filter_map(|happened| match happened {
            Happened::Started { flow, .. } => Some(flow.clone()),
            _ => None,
        });
        started.collect()
    }

    /// How a play's process left, if it has.
    #[must_use]
    pub fn exit_of(&self, play: &PlaySid) -> Option<Exit> {
        self.log
            .borrow()
            .iter()
            .find_map(|happened| match happened {
                Happened::Ended { play: ended, exit } if ended == play => Some(exit.clone()),
                _ => None,
            })
    }

    /// Waits until a play of this flow has been started; its sid.
    ///
    /// # Panics
    /// Never: the log lives as long as `self`.
    #[expect(clippy::expect_used, reason = "see above")]
    pub async fn a_play_of(&self, wanted: &str) -> PlaySid {
        let find = |log: &Vec<Happened>| {
            log.iter().find_map(|happened| match happened {
                Happened::Started { flow, play, .. } if flow == wanted => Some(play.clone()),
                _ => None,
            })
        };
        let mut log = self.log.subscribe();
        let log = log
            .wait_for(|log| find(log).is_some())
            .await
            .expect("a log");
        find(&log).expect("found before")
    }

    /// Plays that have a process.
    #[must_use]
    pub fn alive(&self) -> Vec<PlaySid> {
        self.alive.borrow().clone()
    }

    /// # Panics
    /// Where a process lives.
    pub fn assert_none_alive(&self) {
        let alive = self.alive();
        assert!(alive.is_empty(), "processes are left: {alive:?}");
    }

    /// How many sinks are still held by someone.
    #[must_use]
    pub fn sinks(&self) -> usize {
        let mut sinks = lock(&self.sinks);
        sinks.retain(|sink| sink.strong_count() > 0);
        sinks.len()
    }
}

impl Attempts for FakeAttempts {
    fn begin(
        &self,
        brief: Brief,
        sink: Arc<dyn Sink>,
        orders: watch::Receiver<Option<StopOrder>>,
    ) -> Attempt {
        lock(&self.sinks).push(Arc::downgrade(&sink));
        let flow = brief
            .flow_name
            .clone()
            .unwrap_or_else(|| brief.workflow_name.clone());
        let script = lock(&self.scripts).get(&flow).cloned();
        let script =
            script.unwrap_or_else(|| Ok(Arc::new(|_| std::future::ready(Exit::Code(0)).boxed())));
        let life = script.map(|script| {
            let life = Life {
                play: brief.play.clone(),
                log: self.log.clone(),
                alive: self.alive.clone(),
                exit: Exit::Signal(libc::SIGKILL),
            };
            life.begins(flow, brief.attempt);
            (life, script)
        });
        let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
        let killed = self.killed.subscribe();
        Attempt::drive(&Handle::current(), |started| async move {
            match life {
                Ok((life, script)) => {
                    started.send(ProcessId { pid, started: 1 }).ok();
                    drive(life, brief, sink, script, (orders, killed)).await
                }
                Err(why) => Ended::without_process(Exit::NotStarted(why), None),
            }
        })
    }

    fn read_spool(&self, play: &PlaySid, name: &str) -> BoxFuture<'static, Result<String, String>> {
        let found = lock(&self.spool)
            .get(&(play.clone(), name.to_owned()))
            .cloned();
        let read = found.ok_or_else(|| format!("there is no file {name:?}"));
        std::future::ready(read).boxed()
    }

    fn tidy(&self, play: &PlaySid) -> BoxFuture<'static, ()> {
        let (log, play) = (self.log.clone(), play.clone());
        let takes = *lock(&self.tidying);
        async move {
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            log.send_modify(|log| log.push(Happened::Tidied { play }));
        }
        .boxed()
    }

    fn end_remembered(&self, plays: Vec<(PlaySid, Option<ProcessId>)>) -> BoxFuture<'static, ()> {
        let log = self.log.clone();
        let ended = plays.into_iter();
        let ended = ended.map(|(play, process)| Happened::EndedRemembered { play, process });
        async move { log.send_modify(|log| log.extend(ended)) }.boxed()
    }
}

/// Counts a process as long as it lives.
struct Life {
    play: PlaySid,
    log: watch::Sender<Vec<Happened>>,
    alive: watch::Sender<Vec<PlaySid>>,
    exit: Exit,
}

impl Life {
    fn note(&self, happened: Happened) {
        self.log.send_modify(|log| log.push(happened));
    }

    fn begins(&self, flow: String, attempt: u32) {
        self.alive
            .send_modify(|alive| alive.push(self.play.clone()));
        self.note(Happened::Started {
            flow,
            play: self.play.clone(),
            attempt,
        });
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.alive
            .send_modify(|alive| alive.retain(|play| *play != self.play));
        self.note(Happened::Ended {
            play: self.play.clone(),
            exit: self.exit.clone(),
        });
    }
}

/// One process from its start to its end, with the rules of the real one.
async fn drive(
    mut life: Life,
    brief: Brief,
    sink: Arc<dyn Sink>,
    script: Script,
    (mut orders, mut dead): (watch::Receiver<Option<StopOrder>>, watch::Receiver<bool>),
) -> Ended {
    let (timeout, grace) = (brief.timeout, brief.grace);
    let shared = Arc::new(Shared {
        ignores_term: AtomicBool::new(false),
        termed: watch::Sender::new(false),
        left_behind: AtomicU32::new(0),
    });
    let mut running = script(Process {
        brief,
        sink,
        shared: shared.clone(),
    });
    let time_is_up = Instant::now() + timeout;
    let mut order: Option<StopOrder> = None;
    let mut kill_at: Option<Instant> = None;
    let mut abandoned = false;
    let (exit, mut killed) = loop {
        let next = tokio::select! {
            biased;
            // An error says that nobody can kill it any more.
            Ok(_) = dead.wait_for(|dead| *dead) => break (Exit::Signal(libc::SIGKILL), 0),
            changed = orders.changed(), if !abandoned => match changed {
                Ok(()) => orders.borrow_and_update().clone(),
                Err(_) => {
                    abandoned = true;
                    let reason = StopReason::Abandoned { why: "the play's actor is gone".into() };
                    Some(StopOrder { reason, grace: Duration::ZERO })
                }
            },
            () = tokio::time::sleep_until(kill_at.unwrap_or(time_is_up)), if kill_at.is_some() => {
                break (Exit::Signal(libc::SIGKILL), 1);
            }
            () = tokio::time::sleep_until(time_is_up), if order.is_none() => {
                let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                Some(StopOrder { reason: StopReason::Timeout { limit_ms }, grace })
            }
            exit = &mut running => break (exit, 0),
        };
        let Some(next) = next else { continue };
        life.note(Happened::Ordered {
            play: life.play.clone(),
            order: next.clone(),
        });
        let joined = match order.take() {
            Some(before) => before.joined_by(&next),
            None => next,
        };
        let at = Instant::now() + joined.grace;
        kill_at = Some(kill_at.map_or(at, |before| before.min(at)));
        if !joined.grace.is_zero() {
            shared.termed.send_replace(true);
            if !shared.ignores_term.load(Ordering::Relaxed) {
                order = Some(joined);
                break (Exit::Signal(libc::SIGTERM), 0);
            }
        }
        order = Some(joined);
    };
    drop(running);
    killed += shared.left_behind.load(Ordering::Relaxed);
    life.exit = exit.clone();
    drop(life);
    Ended {
        exit,
        stopped: order.map(|order| order.reason),
        usage: USAGE,
        killed,
        stacks: Vec::new(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for FakeAttempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeAttempts")
            .field("alive", &self.alive())
            .finish_non_exhaustive()
    }
}
