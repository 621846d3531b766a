//! The real attempts: a Python child with tier 0, its span socket, its output, its directories.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    future::ready,
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, OptionFuture, join},
};
use protocol::{
    PlaySid, ProcessId,
    rpc::{MAX_DATA, StartMode},
};
use serde_json::json;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::Instant,
};
use tracing::Instrument;

use super::{
    attempt::{Attempt, Attempts, Brief},
    driver::Driver,
    kept,
    learned::{Learning, in_reach},
    orders::Orders,
    outcome::{Ended, Exit},
    room::Room,
    sockets::Sockets,
    stop::StopOrder,
};
use crate::{
    crash_point,
    ingest::Sink,
    process::{
        self, Program, Spawner,
        python::{Interpreters, Wanted},
        sdk::Sdk,
        spawn::Spawned,
        stacks, tree,
        warm::{Key, Learned, Spare, Told, Warm},
        watch::Watch,
    },
};

/// How long beyond its grace a stop waits for a start that hangs.
const HUNG: Duration = Duration::from_secs(5);
/// Inputs up to this size go into the environment, larger ones into a file, bytes.
const INPUT_IN_ENVIRONMENT: usize = 32 << 10;

/// Starts plays as Python processes.
#[derive(Clone, Debug)]
pub struct PythonAttempts {
    pub spawner: Spawner,
    /// `None`: every play starts cold.
    pub warm: Option<Warm>,
    /// What is known of versions that were played before.
    pub learning: Learning,
    /// How a play starts that does not say it.
    pub start: Option<StartMode>,
    pub interpreters: Arc<Interpreters>,
    pub sdk: Sdk,
    /// One directory a play below it.
    pub plays_dir: PathBuf,
    /// One directory a live play below it: whatever a crash leaves is found without a look at all plays.
    pub spool_dir: PathBuf,
    /// Where span sockets are bound.
    pub sockets: Sockets,
    /// Sockets, pipes and deadlines are watched here.
    pub io: Handle,
    pub watch: Watch,
    /// What of the server's environment plays may get.
    pub environment: Environment,
}

/// The server's environment, as it was at its start.
#[derive(Clone, Debug, Default)]
pub struct Environment(Arc<BTreeMap<String, OsString>>);

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let all = std::env::vars_os();
        let text = all.filter_map(|(k, v)| Some((k.into_string().ok()?, v)));
        Self(Arc::new(text.collect()))
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
const OURS: [&str; 12] = [
    tree::PLAY_SID,
    "HERO_FLOW_ATTEMPT",
    "HERO_FLOW_INPUT",
    "HERO_FLOW_INPUT_FILE",
    "HERO_FLOW_KEPT",
    "HERO_FLOW_KEPT_STRICT",
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

    /// Has processes ready for plays that ask for nothing special.
    pub async fn warm_up(&self) {
        let Some(warm) = &self.warm else { return };
        if let Ok(interpreter) = self.interpreters.resolve(&Wanted::default()).await {
            warm.prepare(&self.common(interpreter.path, &[], &BTreeMap::new()));
        }
    }

    /// From its beginning, before there is a process, until that is gone.
    async fn run(
        self,
        brief: Brief,
        sink: Arc<dyn Sink>,
        orders: watch::Receiver<Option<StopOrder>>,
        started: oneshot::Sender<ProcessId>,
    ) -> Ended {
        let mut orders = Orders::new(orders, brief.timeout, brief.grace);
        let not_started = |why: String, orders: Orders| {
            Ended::without_process(Exit::NotStarted(why), orders.into_reason())
        };
        let stopped = || "it was stopped before its process had been started".to_owned();
        let wanted = Wanted {
            explicit: brief.launch.python.as_ref().map(PathBuf::from),
            source_file: brief.version.source_file.as_ref().map(PathBuf::from),
        };
        let interpreter = tokio::select! {
            found = self.interpreters.resolve_for_play(&wanted) => match found {
                Ok(found) => found.path,
                Err(error) => return not_started(error.to_string(), orders),
            },
            // There is no process yet, and there will be none.
            _ = orders.next() => return not_started(stopped(), orders),
        };
        // Apart, so that it takes no memory while the play runs.
        let room = Room::default();
        let mut starting = Box::pin(self.start(brief, interpreter, sink, &room));
        let mut give_up: Option<Instant> = None;
        let driver = loop {
            tokio::select! {
                driver = &mut starting => break driver,
                order = orders.next() => {
                    if room.is_awaited() {
                        return not_started(stopped(), orders);
                    }
                    let at = Instant::now() + order.grace + HUNG;
                    give_up = Some(give_up.map_or(at, |before| before.min(at)));
                }
                () = tokio::time::sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    // Whatever still comes of it is ended where it is started.
                    return not_started(stopped(), orders);
                }
            }
        };
        drop(starting);
        match driver {
            Ok(driver) => {
                // An error says that the play's actor is gone: then it is stopped.
                started.send(driver.process()).ok();
                Box::pin(driver.run(orders)).await
            }
            Err(why) => not_started(why, orders),
        }
    }

    async fn start(
        &self,
        brief: Brief,
        interpreter: PathBuf,
        sink: Arc<dyn Sink>,
        room: &Room,
    ) -> Result<Driver, String> {
        let brief = Arc::new(brief);
        let key = self.key(&brief, interpreter);
        // The store reads while directories are made.
        let first = OptionFuture::from(
            (brief.kept.as_ref()).map(|store| kept::first(&**store, &brief.play)),
        );
        let (first, ((spare, learned), prepared)) = join(first, async {
            let spare = self.spare(&brief, &key).await;
            (spare, room.make(|| self.prepared(&brief)).await)
        })
        .await;
        let mut prepared =
            prepared.map_err(|error| format!("failed to prepare the play's directory: {error}"))?;
        if let Some((store, first)) = brief.kept.as_ref().zip(first) {
            let not_told =
                |error: io::Error| format!("failed to hand on what earlier attempts kept: {error}");
            let mut first = Some(first.map_err(not_told)?);
            let file = self.spool(&brief.play).join("kept.jsonl");
            let written = room.make(|| kept::write(&**store, &brief.play, first.take(), &file));
            written.await.map_err(not_told)?;
            prepared.env.insert("HERO_FLOW_KEPT".into(), file.into());
        }
        let socket = self.sockets.bind(&socket_name(&brief)).map_err(|error| {
            let path = self.sockets.path(&socket_name(&brief));
            format!("failed to bind the span socket {}: {error}", path.display())
        })?;
        crash_point::reached("play_prepared");
        let spawned = match spare {
            Some(spare) => {
                let code = learned.as_deref().map_or(&[][..], |learned| &learned.code);
                self.start_warm(&brief, &prepared, spare, code).await
            }
            None => None,
        };
        let spawned = match spawned {
            Some(spawned) => spawned,
            None => self.start_cold(&brief, prepared, key, room).await?,
        };
        crash_point::reached("play_spawned");
        let root = spawned.child.id();
        let spool = self.spool(&brief.play);
        let watching = self.watch.over(
            root,
            brief.limits,
            vec![self.dir(&brief.play), spool.clone()],
        );
        let stacks = stacks::file(&spool);
        let sdk = self.sdk.path().to_owned();
        Ok(Driver::new(spawned, socket, sink, watching, stacks, sdk))
    }

    /// A process that waits for such a play, where it may have one, and the play's code.
    async fn spare(&self, brief: &Brief, key: &Key) -> (Option<Spare>, Option<Arc<Learned>>) {
        let start = brief.launch.start.or(self.start);
        let Some(warm) = self
            .warm
            .as_ref()
            .filter(|_| start != Some(StartMode::Cold))
        else {
            return (None, None);
        };
        let patient = start == Some(StartMode::Warm);
        let file = file_of(brief);
        let Some(learned) = self.learning.of(&brief.version, &file, &key.python) else {
            let spare = warm.spare(key, patient).await;
            let learning = self.learning.clone();
            let (warm, key, version) = (warm.clone(), key.clone(), brief.version.clone());
            self.io.spawn(learning.learn(warm, key, version, file));
            return (spare, None);
        };
        let with_imports = Key {
            imports: in_reach(&learned, &file),
            ..key.clone()
        };
        let spare = warm.spare(&with_imports, patient).await;
        (spare, Some(learned))
    }

    /// In a process that was forked ahead; `None`: it has gone, and nothing has run.
    async fn start_warm(
        &self,
        brief: &Brief,
        prepared: &Prepared,
        spare: Spare,
        code: &[u8],
    ) -> Option<Spawned> {
        let told = Told {
            env: &prepared.env,
            cwd: &prepared.work,
            launch: &prepared.launch,
            code,
        };
        let guard = self.spawner.guard.clone();
        let (play, open_files) = (brief.play.as_str(), brief.limits.open_files);
        match spare.become_play(told, play, guard, open_files).await {
            Ok(spawned) => Some(spawned),
            Err(error) => {
                tracing::debug!(%error, "a spare could not be used; the play starts cold");
                None
            }
        }
    }

    /// In a process of its own from the beginning.
    async fn start_cold(
        &self,
        brief: &Brief,
        prepared: Prepared,
        key: Key,
        room: &Room,
    ) -> Result<Spawned, String> {
        let written = room.make(|| ready(write_private(&prepared.launch_file, &prepared.launch)));
        written
            .await
            .map_err(|error| format!("failed to prepare the play's directory: {error}"))?;
        let mut env = key.env;
        env.extend(prepared.env);
        let path = key.python;
        let program = Program {
            path: path.clone(),
            args: vec![
                "-c".into(),
                "from hero_tracing._child import main; main()".into(),
            ],
            env,
            cwd: prepared.work,
            play_sid: brief.play.to_string(),
            open_files: brief.limits.open_files,
        };
        let started = self.spawner.spawn(program).await;
        started.map_err(|error| format!("failed to start {}: {error}", path.display()))
    }

    /// What it has in common with other plays: the interpreter, and the environment without what is the
    /// play's own.
    fn key(&self, brief: &Brief, python: PathBuf) -> Key {
        self.common(python, &brief.version.env, &brief.launch.env)
    }

    fn common(&self, python: PathBuf, wanted: &[String], given: &BTreeMap<String, String>) -> Key {
        let mut env: BTreeMap<OsString, OsString> = self
            .environment
            .inherited()
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        for wanted in wanted {
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
            given
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let mut path = self.sdk.path().as_os_str().to_owned();
        if let Some(more) = env
            .get(OsStr::new("PYTHONPATH"))
            .filter(|more| !more.is_empty())
        {
            path.push(":");
            path.push(more);
        }
        env.insert("PYTHONPATH".into(), path);
        Key {
            python,
            env,
            imports: Vec::new(),
        }
    }

    /// As [`Self::prepare`]; what takes long is done where it holds up no other play.
    async fn prepared(&self, brief: &Arc<Brief>) -> io::Result<Prepared> {
        let long = brief.input.len().max(brief.version.python_source.len());
        if long <= INPUT_IN_ENVIRONMENT {
            return self.prepare(brief);
        }
        let (attempts, brief) = (self.clone(), brief.clone());
        tokio::task::spawn_blocking(move || attempts.prepare(&brief))
            .await
            .map_err(io::Error::other)?
    }

    /// Makes its directories, and what it is told.
    fn prepare(&self, brief: &Brief) -> io::Result<Prepared> {
        let work = self.dir(&brief.play).join("work");
        let spool = self.spool(&brief.play);
        for dir in [&work, &spool] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let file = file_of(brief);
        let launch_file = spool.join("launch.json");
        let launch = json!({
            "source": brief.version.python_source,
            "file": file,
            "flow": brief.flow_name,
            "workflow_name": brief.workflow_name,
            "stacks": {"signal": stacks::SIGNAL, "file": stacks::file(&spool)},
        })
        .to_string();
        let mut env = BTreeMap::new();
        let mut say = |name: &str, value: &OsStr| drop(env.insert(name.into(), value.to_owned()));
        say(tree::PLAY_SID, brief.play.as_str().as_ref());
        say("HERO_FLOW_VERSION_SID", brief.version.sid.as_str().as_ref());
        say("HERO_FLOW_ATTEMPT", brief.attempt.to_string().as_ref());
        say(
            "HERO_FLOW_SPAN_SOCK",
            self.sockets.path(&socket_name(brief)).as_ref(),
        );
        say("HERO_FLOW_PARENT_SPAN", brief.parent_span_id.as_ref());
        say("HERO_FLOW_SPOOL", spool.as_ref());
        say("HERO_FLOW_LAUNCH", launch_file.as_ref());
        if brief.input.len() <= INPUT_IN_ENVIRONMENT && !brief.input.contains('\0') {
            say("HERO_FLOW_INPUT", brief.input.as_ref());
        } else {
            let input = spool.join("input.json");
            write_private(&input, &brief.input)?;
            say("HERO_FLOW_INPUT_FILE", input.as_ref());
        }
        Ok(Prepared {
            env,
            work,
            launch,
            launch_file,
        })
    }
}

/// What is ready for the process of one play.
struct Prepared {
    /// What it has besides the environment of its [`Key`].
    env: BTreeMap<OsString, OsString>,
    /// Its working directory.
    work: PathBuf,
    /// A JSON text: what to run.
    launch: String,
    /// Where it can read that, should it need it again.
    launch_file: PathBuf,
}

impl Attempts for PythonAttempts {
    fn begin(
        &self,
        brief: Brief,
        sink: Arc<dyn Sink>,
        orders: watch::Receiver<Option<StopOrder>>,
    ) -> Attempt {
        // Of a level that is never left out: what is logged within names the play.
        let span = tracing::error_span!("play", play = %brief.play);
        Attempt::drive(&self.io, |started| {
            self.clone()
                .run(brief, sink, orders, started)
                .instrument(span)
        })
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
        let (dir, spool, play) = (self.dir(play), self.spool(play), play.clone());
        let tidying = self.io.spawn_blocking(move || {
            if let Err(error) = process::remove_tree(&spool) {
                tracing::warn!(%play, dir = %spool.display(), %error, "failed to remove a play's spool directory");
            }
            // These two succeed only where the flow left no artifacts.
            drop(fs::remove_dir(dir.join("work")).and_then(|()| fs::remove_dir(&dir)));
        });
        async { drop(tidying.await) }.boxed()
    }

    fn end_remembered(&self, plays: Vec<(PlaySid, Option<ProcessId>)>) -> BoxFuture<'static, ()> {
        let plays = plays.into_iter();
        let plays: Vec<_> = plays.map(|(play, root)| (play.to_string(), root)).collect();
        let ending = self.io.spawn_blocking(move || {
            let killed = tree::kill_plays_of_earlier(&plays);
            if killed > 0 {
                let plays = plays.len();
                tracing::warn!(
                    plays,
                    killed,
                    "ended processes that an earlier server had left"
                );
            }
        });
        async { drop(ending.await) }.boxed()
    }
}

/// What its author calls the source.
fn file_of(brief: &Brief) -> String {
    let named = brief.version.source_file.clone();
    named.unwrap_or_else(|| format!("{}.py", brief.workflow_name))
}

fn socket_name(brief: &Brief) -> String {
    format!("{}-{}", brief.play, brief.attempt)
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
