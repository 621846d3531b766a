//! The real attempts: a Python child with tier 0, its span socket, its output, its directories.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    io::Read,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{LimitName, LogStream, PlaySid, ProcessId, SpanStatus, Usage, rpc::MAX_DATA};
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    attempt::{Attempt, Attempts, Brief},
    outcome::{Ended, Exit},
    stop::{StopOrder, StopReason},
};
use crate::{
    ingest::{Delivery, Event, Sink, capture::capture, socket::SpanSocket},
    process::{
        self, Child, End, Program, Spawner,
        python::{Interpreters, Wanted},
        sdk::Sdk,
        stacks, tree,
        watch::{Seen, Watch, Watching},
    },
};

/// Inputs up to this size go into the environment, larger ones into a file, bytes.
const INPUT_IN_ENVIRONMENT: usize = 32 << 10;

/// Starts plays as Python processes.
#[derive(Clone, Debug)]
pub struct PythonAttempts {
    pub spawner: Spawner,
    pub interpreters: Arc<Interpreters>,
    pub sdk: Sdk,
    /// One directory a play below it.
    pub plays_dir: PathBuf,
    /// One directory a live play below it: whatever a crash leaves is found without a look at all plays.
    pub spool_dir: PathBuf,
    /// Where span sockets are bound: short, because socket paths are limited to 107 bytes.
    pub sockets_dir: PathBuf,
    /// Sockets, pipes and deadlines are watched here.
    pub io: Handle,
    pub watch: Watch,
    /// What of the server's environment plays may get.
    pub environment: Environment,
}

/// The server's environment, as it was at its start.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v)))
                .collect(),
        )
    }

    /// What every play inherits.
    fn inherited(&self) -> impl Iterator<Item = (&String, &OsString)> {
        const NAMES: [&str; 6] = [
            "PATH",
            "HOME",
            "LANG",
            "TZ",
            "PYTHONPATH",
            "PYTHONDONTWRITEBYTECODE",
        ];
        self.0.iter().filter(|(name, _)| {
            NAMES.contains(&name.as_str())
                || name.starts_with("LC_")
                || name.starts_with("HERO_FLOW_") && !OURS.contains(&name.as_str())
        })
    }
}

/// What the runtime itself says to a play: never inherited from a play that it runs in.
const OURS: [&str; 10] = [
    tree::PLAY_SID,
    "HERO_FLOW_ATTEMPT",
    "HERO_FLOW_INPUT",
    "HERO_FLOW_INPUT_FILE",
    "HERO_FLOW_LAUNCH",
    "HERO_FLOW_PARENT_SPAN",
    "HERO_FLOW_ROOT_PID",
    "HERO_FLOW_SPAN_SOCK",
    "HERO_FLOW_SPOOL",
    "HERO_FLOW_VERSION_SID",
];

impl PythonAttempts {
    fn dir(&self, play: &PlaySid) -> PathBuf {
        self.plays_dir.join(play.as_str())
    }

    fn spool(&self, play: &PlaySid) -> PathBuf {
        self.spool_dir.join(play.as_str())
    }

    async fn start(self, brief: Brief, sink: Arc<dyn Sink>) -> Result<Attempt, String> {
        let source_file = brief.version.source_file.clone();
        let interpreter = self
            .interpreters
            .resolve(&Wanted {
                explicit: brief.launch.python.as_ref().map(PathBuf::from),
                source_file: source_file.map(PathBuf::from),
            })
            .await
            .map_err(|error| error.to_string())?;
        let prepared = self.clone();
        let (program, brief) = tokio::task::spawn_blocking(move || {
            prepared
                .prepare(&brief, interpreter.path)
                .map(|program| (program, brief))
        })
        .await
        .map_err(|error| format!("failed to prepare the process: {error}"))?
        .map_err(|error| format!("failed to prepare the play's directory: {error}"))?;
        let socket_path = self.socket_path(&brief);
        let socket = SpanSocket::bind(&socket_path).map_err(|error| {
            format!(
                "failed to bind the span socket {}: {error}",
                socket_path.display()
            )
        })?;
        let path = program.path.clone();
        let spawned = self
            .spawner
            .spawn(program)
            .await
            .map_err(|error| format!("failed to start {}: {error}", path.display()))?;
        let root = spawned.child.id();
        if let Some(limit) = brief.limits.open_files {
            // Dropping the child ends it.
            process::limit_open_files(root, limit).map_err(|error| {
                format!("failed to set the limit of {limit} open files: {error}")
            })?;
        }
        let watching = self.watch.over(
            root,
            brief.limits,
            vec![self.dir(&brief.play), self.spool(&brief.play)],
        );
        let (writers_gone, gone_signal) = oneshot::channel();
        let (process_gone, output_ends) = watch::channel(false);
        let (out, err, ends) = (spawned.stdout, spawned.stderr, output_ends);
        let spool = self.spool(&brief.play);
        let driver = Driver {
            watching,
            stacks: (stacks::file(&spool), self.sdk.path().to_owned()),
            reading: tokio::spawn(socket.run(sink.clone(), gone_signal)),
            sink: sink.clone(),
            output: [
                tokio::spawn(capture(out, LogStream::Stdout, sink.clone(), ends.clone())),
                tokio::spawn(capture(err, LogStream::Stderr, sink, ends)),
            ],
            process_gone,
            writers_gone,
        };
        let (stop, orders) = watch::channel(None);
        let (gone_tx, gone) = watch::channel(false);
        let driving = tokio::spawn(async move {
            let ended = driver
                .run(spawned.child, orders, brief.timeout, brief.grace)
                .await;
            gone_tx.send_replace(true);
            ended
        });
        let ended = driving.map(|ended| {
            ended.unwrap_or_else(|error| Ended {
                exit: Exit::Unknown(format!("the watch over the process failed: {error}")),
                stopped: None,
                usage: Usage::default(),
                killed: 0,
                stacks: Vec::new(),
            })
        });
        Ok(Attempt {
            process: Some(root),
            stop,
            gone,
            ended: ended.boxed(),
        })
    }

    fn socket_path(&self, brief: &Brief) -> PathBuf {
        self.sockets_dir
            .join(format!("{}-{}", brief.play, brief.attempt))
    }

    /// Writes what the child reads at its start.
    fn prepare(&self, brief: &Brief, python: PathBuf) -> io::Result<Program> {
        let work = self.dir(&brief.play).join("work");
        let spool = self.spool(&brief.play);
        for dir in [&work, &spool] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let file = brief
            .version
            .source_file
            .clone()
            .unwrap_or_else(|| format!("{}.py", brief.workflow_name));
        let launch = spool.join("launch.json");
        write_private(
            &launch,
            &json!({
                "source": brief.version.python_source,
                "file": file,
                "flow": brief.flow_name,
                "workflow_name": brief.workflow_name,
                "stacks": {"signal": stacks::SIGNAL, "file": stacks::file(&spool)},
            })
            .to_string(),
        )?;
        let mut env: BTreeMap<OsString, OsString> = self
            .environment
            .inherited()
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        for wanted in &brief.version.env {
            match wanted.split_once('=') {
                Some((name, value)) => drop(env.insert(name.into(), value.into())),
                None => drop(
                    self.environment
                        .0
                        .get(wanted)
                        .map(|value| env.insert(wanted.into(), value.clone())),
                ),
            }
        }
        env.extend(
            brief
                .launch
                .env
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let mut path = self.sdk.path().as_os_str().to_owned();
        if let Some(more) = env
            .get(std::ffi::OsStr::new("PYTHONPATH"))
            .filter(|more| !more.is_empty())
        {
            path.push(":");
            path.push(more);
        }
        let mut say =
            |name: &str, value: &std::ffi::OsStr| drop(env.insert(name.into(), value.to_owned()));
        say("PYTHONPATH", &path);
        say(tree::PLAY_SID, brief.play.as_str().as_ref());
        say("HERO_FLOW_VERSION_SID", brief.version.sid.as_str().as_ref());
        say("HERO_FLOW_ATTEMPT", brief.attempt.to_string().as_ref());
        say("HERO_FLOW_SPAN_SOCK", self.socket_path(brief).as_ref());
        say("HERO_FLOW_PARENT_SPAN", brief.parent_span_id.as_ref());
        say("HERO_FLOW_SPOOL", spool.as_ref());
        say("HERO_FLOW_LAUNCH", launch.as_ref());
        if brief.input.len() <= INPUT_IN_ENVIRONMENT && !brief.input.contains('\0') {
            say("HERO_FLOW_INPUT", brief.input.as_ref());
        } else {
            let input = spool.join("input.json");
            write_private(&input, &brief.input)?;
            say("HERO_FLOW_INPUT_FILE", input.as_ref());
        }
        Ok(Program {
            path: python,
            args: vec![
                "-c".into(),
                "from hero_tracing._child import main; main()".into(),
            ],
            env,
            cwd: work,
            play_sid: brief.play.to_string(),
        })
    }
}

impl Attempts for PythonAttempts {
    fn begin(
        &self,
        brief: Brief,
        sink: Arc<dyn Sink>,
    ) -> BoxFuture<'static, Result<Attempt, String>> {
        let starting = self.io.spawn(self.clone().start(brief, sink));
        async {
            starting
                .await
                .unwrap_or_else(|error| Err(format!("failed to start the process: {error}")))
        }
        .boxed()
    }

    fn read_spool(&self, play: &PlaySid, name: &str) -> BoxFuture<'static, Result<String, String>> {
        let (dir, name) = (self.spool(play), name.to_owned());
        let reading = self.io.spawn_blocking(move || read_json(&dir, &name));
        async {
            reading
                .await
                .unwrap_or_else(|error| Err(format!("failed to read the file: {error}")))
        }
        .boxed()
    }

    fn tidy(&self, play: &PlaySid) -> BoxFuture<'static, ()> {
        let (dir, spool) = (self.dir(play), self.spool(play));
        let tidying = self.io.spawn_blocking(move || {
            let removed = match fs::remove_dir_all(&spool) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
            if let Err(error) = removed {
                tracing::warn!(dir = %spool.display(), %error, "failed to remove a play's spool directory");
            }
            // These two succeed only where the flow left no artifacts.
            drop(fs::remove_dir(dir.join("work")).and_then(|()| fs::remove_dir(&dir)));
        });
        async { drop(tidying.await) }.boxed()
    }

    fn end_remembered(&self, play: &PlaySid, process: Option<ProcessId>) -> BoxFuture<'static, ()> {
        let play = play.to_string();
        let ending = self.io.spawn_blocking(move || {
            let killed =
                process.map_or(0, tree::kill_remembered) + tree::kill_leftovers_of_earlier(&play);
            if killed > 0 {
                tracing::warn!(%play, killed, "ended processes that an earlier server had left");
            }
        });
        async { drop(ending.await) }.boxed()
    }
}

/// The tasks around one process.
struct Driver {
    watching: Watching,
    sink: Arc<dyn Sink>,
    reading: JoinHandle<()>,
    output: [JoinHandle<()>; 2],
    /// Where its stacks are written to, and where the SDK stands.
    stacks: (PathBuf, PathBuf),
    process_gone: watch::Sender<bool>,
    writers_gone: oneshot::Sender<()>,
}

impl Driver {
    /// From the start of the process until everything it said was delivered.
    async fn run(
        mut self,
        child: Child,
        mut orders: watch::Receiver<Option<StopOrder>>,
        timeout: Duration,
        grace: Duration,
    ) -> Ended {
        let (stop, stop_signal) = watch::channel(None);
        let mut order: Option<StopOrder> = None;
        let pid = child.id().pid;
        let mut running = std::pin::pin!(child.run(stop_signal));
        let mut sampled = None;
        let time_is_up = Instant::now() + timeout;
        let (mut abandoned, mut limit_hit) = (false, false);
        let end = loop {
            let next = tokio::select! {
                end = &mut running => break end,
                changed = orders.changed(), if !abandoned => match changed {
                    Ok(()) => orders.borrow_and_update().clone(),
                    Err(_) => {
                        abandoned = true;
                        Some(StopOrder {
                            reason: StopReason::Abandoned { why: "the play's actor is gone".into() },
                            grace: Duration::ZERO,
                        })
                    }
                },
                hit = self.watching.hit(), if !limit_hit => {
                    limit_hit = true;
                    // Only who uses up CPU time can be waited for.
                    let grace = if hit.name == LimitName::Cpu { grace } else { Duration::ZERO };
                    Some(StopOrder { reason: StopReason::Limit(hit), grace })
                }
                () = tokio::time::sleep_until(time_is_up), if order.is_none() => {
                    let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                    Some(StopOrder { reason: StopReason::Timeout { limit_ms }, grace })
                }
            };
            if let Some(next) = next {
                let joined = match order.take() {
                    Some(before) => before.joined_by(&next),
                    None => {
                        // Told ahead of the signal, but not waited for: a stop waits for nobody.
                        let status = SpanStatus::of_outcome(next.reason.status());
                        tokio::spawn(self.sink.deliver(Delivery {
                            events: vec![Event::Stopping(status)],
                            requests: Vec::new(),
                        }));
                        // Before the first signal, which changes what is seen. But who has no grace is
                        // not asked anything.
                        let kill_at_once =
                            matches!(next.reason, StopReason::Limit(_)) && next.grace.is_zero();
                        if !kill_at_once {
                            tokio::select! {
                                mut end = &mut running => {
                                    // By itself, unless the question was too much for it.
                                    end.stopped |= end.status.as_ref().is_ok_and(|s| s.signal().is_some());
                                    order = Some(next);
                                    break end;
                                }
                                text = stacks::sample(pid, &self.stacks.0) => sampled = text,
                            }
                        }
                        next
                    }
                };
                stop.send_replace(Some(joined.grace));
                order = Some(joined);
            }
        };
        let seen = self.watching.seen();
        let sdk = self.stacks.1.clone();
        self.drain().await;
        let mut ended = ended(end, order, seen);
        ended.stacks = sampled.map_or_else(Vec::new, |text| super::stacks::stacks(&text, &sdk));
        ended
    }

    async fn drain(self) {
        self.process_gone.send_replace(true);
        for reading in self.output {
            if let Err(error) = reading.await {
                tracing::error!(%error, "the reading of a play's output failed");
            }
        }
        // An error only says that the reading has ended by itself.
        self.writers_gone.send(()).ok();
        if let Err(error) = self.reading.await {
            tracing::error!(%error, "the reading of a span socket failed");
        }
    }
}

fn ended(end: End, order: Option<StopOrder>, seen: Seen) -> Ended {
    let exit = match end.status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown(format!("the process ended as {status}")),
        },
        Err(why) => Exit::Unknown(why),
    };
    Ended {
        exit,
        stopped: order.filter(|_| end.stopped).map(|order| order.reason),
        usage: Usage {
            cpu_ms: (end.cpu + seen.lost_cpu).max(seen.cpu).as_secs_f64() * 1_000.0,
            peak_memory_bytes: if end.peak_is_its_own || seen.peak_memory_bytes == 0 {
                end.peak_memory_bytes.max(seen.peak_memory_bytes)
            } else {
                seen.peak_memory_bytes
            },
            processes: end.processes.max(seen.peak_processes),
        },
        killed: end.killed,
        stacks: Vec::new(),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// A file of the flow's making: it must be a plain file in that directory, of a size that can be
/// kept, and hold JSON.
fn read_json(dir: &Path, name: &str) -> Result<String, String> {
    let plain = Path::new(name).file_name().is_some_and(|only| only == name);
    if !plain {
        return Err(format!("{name:?} is no file name"));
    }
    let failed = |error: io::Error| {
        format!("failed to read {name:?} from the play's spool directory: {error}")
    };
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(dir.join(name))
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(format!(
            "{name:?} in the play's spool directory is no plain file"
        ));
    }
    let mut text = String::new();
    file.take(MAX_DATA as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > MAX_DATA {
        return Err(format!(
            "it has {} bytes; at most {MAX_DATA} are kept",
            about.len()
        ));
    }
    serde_json::from_str::<serde::de::IgnoredAny>(&text)
        .map_err(|error| format!("it is no JSON: {error}"))?;
    Ok(text)
}
