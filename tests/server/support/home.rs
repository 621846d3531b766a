//! Where a server, or a command without one, lives: a data directory, a directory for temporary
//! files, and an environment that has nothing of the machine's but what is needed.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::process;

#[derive(Debug)]
pub(crate) struct Home {
    root: TempDir,
    pub(crate) data: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with_data("data")
    }

    /// With the data directory at this path below the home.
    pub(crate) fn with_data(path: impl AsRef<Path>) -> Self {
        let root = tempfile::Builder::new()
            .prefix("hl-")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::create_dir(root.path().join("t")).unwrap();
        std::fs::create_dir(root.path().join("files")).unwrap();
        Self {
            data: root.path().join(path),
            root,
            env: Vec::new(),
        }
    }

    /// Sets a variable for everything that is started here; an empty one is taken away.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Takes back what [`Home::env`] has set.
    pub(crate) fn without_env(mut self) -> Self {
        self.env.clear();
        self
    }

    /// A directory for a test's own files.
    pub(crate) fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    /// Writes a file of the test's own.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Where the server binds what needs a short path.
    pub(crate) fn temp(&self) -> PathBuf {
        self.root.path().join("t")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data.join("hero_logic.sock")
    }

    /// The binary, with this home's environment and data directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hero_logic"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("TMPDIR", self.temp())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("HERO_LOGIC_START", how_plays_start())
            .env("HERO_LOGIC_DATA_DIR", &self.data)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.files())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in self.env.iter().filter(|(_, value)| value.is_empty()) {
            command.env_remove(name);
        }
        command
    }

    /// Nothing that was started here is left: no process, no socket, no temporary file.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "processes are left: {left:?}");
        assert!(!self.socket().exists(), "the socket's file is left");
        let left: Vec<_> = std::fs::read_dir(self.temp())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "temporary files are left: {left:?}");
    }

    /// The processes with something of this home in their environment or arguments.
    pub(crate) fn processes(&self) -> Vec<process::Seen> {
        process::mentioning(&self.root.path().display().to_string())
    }
}

impl Drop for Home {
    /// What a failed test leaves is ended here.
    fn drop(&mut self) {
        for seen in self.processes() {
            process::signal(seen.pid, rustix::process::Signal::KILL);
        }
    }
}

/// `warm`, or as the tests themselves were told: all of them hold for both.
pub(crate) fn how_plays_start() -> String {
    std::env::var("HERO_LOGIC_START").unwrap_or_else(|_| "warm".to_owned())
}
