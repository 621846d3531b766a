//! A server under test: this program itself, started again as `hero_logic serve`.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use hero_logic::client::{CallError, Client};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    sync::watch,
};

use crate::{
    http,
    processes::{self, Role},
};

/// Set in a process that is to be hero_logic, not havoc.
pub(crate) const ROLE: &str = "HAVOC_IS_HERO_LOGIC";

const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server is reached; callers survive its restarts.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    clients: watch::Receiver<Option<Arc<Client>>>,
    pub(crate) socket: PathBuf,
}

/// A call that came to an end other than its result.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The server's own refusal.
    Refused(hero_logic::protocol::Error),
    /// It was killed meanwhile: whether the call was carried out is not known.
    Lost,
}

impl Reach {
    /// Calls once, as soon as there is a server.
    pub(crate) async fn call(&self, method: &str, params: &Value) -> Result<Value, Unanswered> {
        let mut clients = self.clients.clone();
        let Ok(client) = clients.wait_for(Option::is_some).await.map(|c| c.clone()) else {
            return Err(Unanswered::Lost);
        };
        let Some(client) = client else {
            return Err(Unanswered::Lost);
        };
        match client.call(method, params.clone()).await {
            Ok(value) => Ok(value),
            Err(CallError::Refused(error)) => Err(Unanswered::Refused(error)),
            Err(CallError::Lost(_)) => Err(Unanswered::Lost),
        }
    }

    /// Calls until there is an answer: for calls that may be repeated.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: &Value,
    ) -> Result<Value, hero_logic::protocol::Error> {
        loop {
            match self.call(method, params).await {
                Ok(value) => return Ok(value),
                // It is stopping, or its disk is full: the next one will answer, or it itself later.
                Err(Unanswered::Refused(error))
                    if error.kind == hero_logic::protocol::ErrorKind::Unavailable => {}
                Err(Unanswered::Refused(error)) => return Err(error),
                Err(Unanswered::Lost) => {}
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Posts JSON to a path, as soon as there is a server; the status, and what was answered.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), Unanswered> {
        let mut clients = self.clients.clone();
        if clients.wait_for(Option::is_some).await.is_err() {
            return Err(Unanswered::Lost);
        }
        let answered = http::post(&self.socket, path, body).await;
        answered.map_err(|_| Unanswered::Lost)
    }

    /// Puts the flows of havoc into the library; their sids by name.
    pub(crate) async fn register(&self) -> Result<HashMap<String, String>, String> {
        const SOURCES: [&str; 2] = [include_str!("flows.py"), include_str!("durable.py")];
        let mut sids = HashMap::new();
        for source in SOURCES {
            for name in flows_of(source) {
                let params = json!({"name": name, "description": "havoc", "python_source": source});
                let made = self.ask("workflow_create", &params).await;
                let made = made.map_err(|error| format!("{name}: {error}"))?;
                let sid = made["sid"].as_str().unwrap_or_default().to_owned();
                sids.insert(name.to_owned(), sid);
            }
        }
        Ok(sids)
    }
}

/// The functions that `@flow` marks.
fn flows_of(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().zip(source.lines().skip(1));
    let marked = lines.filter(|(mark, _)| *mark == "@flow" || mark.starts_with("@flow("));
    marked.filter_map(|(_, line)| {
        let line = line.trim_start_matches("async ").strip_prefix("def ")?;
        Some(line.split_once('(')?.0)
    })
}

/// A server process on one data directory, started again and again.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) data_dir: PathBuf,
    pub(crate) socket: PathBuf,
    /// What it says.
    log: PathBuf,
    max_plays: u32,
    env: Vec<(&'static str, PathBuf)>,
    child: Option<Child>,
    clients: watch::Sender<Option<Arc<Client>>>,
    /// How long each start took until calls were answered.
    pub(crate) starts: Vec<Duration>,
}

impl Server {
    /// None runs yet.
    pub(crate) fn new(data_dir: &Path, max_plays: u32) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            socket: data_dir.join("havoc.sock"),
            log: data_dir.with_extension("log"),
            max_plays,
            env: Vec::new(),
            child: None,
            clients: watch::Sender::new(None),
            starts: Vec::new(),
        }
    }

    /// What it says goes here instead of beside its directory.
    pub(crate) fn with_log(self, log: PathBuf) -> Self {
        Self { log, ..self }
    }

    pub(crate) fn with_env(mut self, name: &'static str, value: PathBuf) -> Self {
        self.env.push((name, value));
        self
    }

    pub(crate) fn reach(&self) -> Reach {
        Reach {
            clients: self.clients.subscribe(),
            socket: self.socket.clone(),
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let child = Command::new(std::env::current_exe()?)
            .env(ROLE, "1")
            .envs(self.env.iter().cloned())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--max-plays", &self.max_plays.to_string()])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--socket")
            .arg(&self.socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let child = self.child.insert(child);
        loop {
            if let Ok(client) = Client::connect(&self.socket).await
                && client.call("server_info", json!({})).await.is_ok()
            {
                self.starts.push(began.elapsed());
                self.clients.send_replace(Some(Arc::new(client)));
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the server left at its start: {status}"
                )));
            }
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("the server does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.clients.send_replace(None);
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Tells it to stop in order; an error where it did not leave with code 0.
    pub(crate) async fn stop(&mut self) -> io::Result<()> {
        self.clients.send_replace(None);
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(pid) = child.id() {
            processes::signal(pid, Signal::TERM);
        }
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(io::Error::other(format!("the server left with {status}"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the server does not stop")),
        }
    }

    /// Its guard, if it has one.
    pub(crate) fn guard(&self) -> Option<u32> {
        self.children(Role::Guard).first().copied()
    }

    /// Its processes that are there for this.
    pub(crate) fn children(&self, role: Role) -> Vec<u32> {
        let pid = self.pid();
        pid.map_or_else(Vec::new, |pid| processes::children_for(pid, role))
    }
}
