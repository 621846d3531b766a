//! A server under test: the program as users get it, on a fresh data directory.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    Done,
    client::Client,
    started::{self, Started},
};

/// How long a server may take to stop in order.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) data_dir: PathBuf,
    socket: PathBuf,
}

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start(
        binary: &Path,
        data_dir: PathBuf,
        python: &Path,
        more: &[&str],
    ) -> Done<Self> {
        std::fs::create_dir_all(&data_dir)?;
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(data_dir.with_extension("log"))?;
        let socket = data_dir.join("bench.sock");
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data_dir)
            .arg("--socket")
            .arg(&socket)
            .arg("--python")
            .arg(python)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        started::add(Started::Server(child.id()));
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.is_empty() {
            let status = child.wait()?;
            return Err(format!("{} serve left at its start: {status}", binary.display()).into());
        }
        Ok(Self {
            child,
            data_dir,
            socket,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Done<Client> {
        Ok(Client::connect(&self.socket)?)
    }

    /// Puts a flow into the library; its sid.
    pub(crate) fn add(&self, name: &str, source: &str) -> Done<String> {
        let params = json!({"name": name, "description": "bench", "python_source": source});
        let workflow: Value = self.client()?.call("workflow_create", &params)?;
        Ok(workflow["sid"]
            .as_str()
            .ok_or("workflow_create answered no sid")?
            .to_owned())
    }

    /// Kills it, as a crash would; its data directory.
    pub(crate) fn kill(mut self) -> Done<PathBuf> {
        self.child.kill()?;
        self.child.wait()?;
        started::remove(Started::Server(self.pid()));
        Ok(self.data_dir.clone())
    }

    /// Tells it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Done<()> {
        Started::Server(self.pid()).signal(Signal::TERM)?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                started::remove(Started::Server(self.pid()));
                return match status.success() {
                    true => Ok(()),
                    false => Err(format!("the server left with {status}").into()),
                };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err("the server did not stop".into())
    }
}

impl Drop for Server {
    /// One that was not stopped in order (something failed) is killed; its guard ends its plays.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok();
            self.child.wait().ok();
            started::remove(Started::Server(self.pid()));
        }
    }
}
