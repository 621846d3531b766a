//! A runtime on a directory of its own, and flows whose processes can be watched from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hero_logic_actors::{Config, Runtime, process::process_id};
use protocol::{
    Play, PlaySid, ProcessId,
    rpc::{InputData, PlayRunAsync, PlayWait, StartOptions, VersionContent, WorkflowCreate},
};
use serde_json::{Map, Value};

/// No test takes nearly as long; whatever does is stuck.
const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, what).await.expect("stuck")
}

/// What every flow of these tests can do. `pids` is where its processes write who they are.
const PRELUDE: &str = r#"
import os, signal, sys, time
from hero_tracing import flow

def note(pids):
    name = os.path.join(pids, str(os.getpid()))
    with open(name + ".part", "w") as file:
        file.write(open("/proc/self/stat").read())
    os.rename(name + ".part", name)

def daemon(pids, deaf=False):
    """A grandchild that has left the group and the session."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            note(pids)
            while True:
                time.sleep(60)
        os._exit(0)
    os.wait()

def until(pids, count):
    while len([name for name in os.listdir(pids) if name.isdigit()]) < count:
        time.sleep(0.01)
"#;

/// A directory with the data of a runtime and the pids of what it starts.
pub(crate) struct Site {
    path: PathBuf,
    /// `None`: it is another's.
    own: Option<tempfile::TempDir>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Self {
            path: dir.path().to_owned(),
            own: Some(dir),
        };
        fs::create_dir(site.pids_dir()).unwrap();
        site
    }

    /// That of another process.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, own: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(crate) fn work_dir(&self, play: &PlaySid) -> PathBuf {
        self.data_dir()
            .join("plays")
            .join(play.as_str())
            .join("work")
    }

    fn pids_dir(&self) -> PathBuf {
        self.path.join("pids")
    }

    pub(crate) async fn runtime(&self) -> Runtime {
        self.runtime_with(|_| {}).await
    }

    pub(crate) async fn runtime_with(&self, change: impl FnOnce(&mut Config)) -> Runtime {
        let mut config = Config::new(self.data_dir());
        config.max_plays = Some(4);
        change(&mut config);
        within(Runtime::start(config)).await.unwrap()
    }

    /// Starts a play of this flow's body; `pids` is its argument. One that is interrupted has failed.
    pub(crate) async fn play(
        &self,
        runtime: &Runtime,
        body: &str,
        timeout: Option<Duration>,
    ) -> PlaySid {
        self.play_with(runtime, body, |start| {
            start.timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap());
        })
        .await
    }

    pub(crate) async fn play_with(
        &self,
        runtime: &Runtime,
        body: &str,
        change: impl FnOnce(&mut StartOptions),
    ) -> PlaySid {
        let mut source = format!("{PRELUDE}\n@flow(on_interrupt='fail')\ndef f(pids):\n");
        for line in body.lines() {
            source.push_str(&format!("    {line}\n"));
        }
        let create = WorkflowCreate {
            name: "f".into(),
            description: String::new(),
            tags: Vec::new(),
            content: VersionContent {
                python_source: source,
                ..VersionContent::default()
            },
        };
        let workflow = within(runtime.workflow_create(create)).await.unwrap();
        let mut input = Map::new();
        input.insert(
            "pids".into(),
            Value::from(self.pids_dir().to_str().unwrap()),
        );
        let mut options = StartOptions::default();
        change(&mut options);
        let run = PlayRunAsync {
            workflow_sid: workflow.sid,
            input_data: InputData::Object(input),
            parent_span_id: String::new(),
            options,
        };
        within(runtime.play_run_async(run)).await.unwrap()
    }

    /// Waits until so many spans are in the store of a server that is another process: what it has only been told is
    /// lost with it.
    pub(crate) async fn spans_are_stored(&self, count: i64) {
        let path = self.data_dir().join(hero_logic_actors::store::sqlite::FILE);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let store = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let stored =
            || store.query_row("SELECT count(*) FROM spans", [], |row| row.get::<_, i64>(0));
        within(async {
            while stored().unwrap() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until so many processes have said who they are.
    pub(crate) async fn processes(&self, count: usize) -> Vec<ProcessId> {
        within(async {
            loop {
                let found = known(&self.pids_dir());
                if found.len() >= count {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Those of them that still run.
    pub(crate) fn alive(&self) -> Vec<ProcessId> {
        let mut known = known(&self.pids_dir());
        known.retain(|process| runs(*process));
        known
    }
}

/// A zombie does not run any more.
fn runs(process: ProcessId) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", process.pid));
    let zombie = state.is_ok_and(|stat| stat.rsplit(") ").next().unwrap().starts_with('Z'));
    !zombie && process_id(process.pid) == Some(process)
}

fn known(dir: &Path) -> Vec<ProcessId> {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_none());
    let known = files.map(|path| {
        let stat = fs::read_to_string(&path).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        ProcessId {
            pid: path.file_name().unwrap().to_str().unwrap().parse().unwrap(),
            started: fields[19].parse().unwrap(),
        }
    });
    known.collect()
}

pub(crate) async fn ended(runtime: &Runtime, sid: &PlaySid) -> Play {
    let wait = PlayWait {
        play_sid: sid.clone(),
        timeout_ms: 0,
    };
    within(runtime.play_wait(wait)).await.unwrap()
}

impl Drop for Site {
    /// Whatever a failing test leaves is ended.
    fn drop(&mut self) {
        if self.own.is_none() {
            return;
        }
        for process in self.alive() {
            let pid = process.pid.to_string();
            drop(
                std::process::Command::new("kill")
                    .args(["-9", &pid])
                    .status(),
            );
        }
    }
}
