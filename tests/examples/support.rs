//! Runs an example and gives it back its end, within a time that only something stuck exceeds.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const STUCK: Duration = Duration::from_secs(240);

pub(crate) fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(file)
}

/// A data directory, and a place to run in.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for part in ["data", "here"] {
            fs::create_dir(directory.path().join(part)).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn here(&self) -> PathBuf {
        self.directory.path().join("here")
    }

    /// `hero_logic …` on this data directory.
    pub(crate) fn hero_logic(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_hero_logic"));
        command.env("HERO_LOGIC_DATA_DIR", self.directory.path().join("data"));
        finish(command.args(arguments))
    }

    /// `hero_logic run examples/FILE …`.
    pub(crate) fn run(&self, file: &str, more: &[&str]) -> Output {
        let path = example(file).into_os_string().into_string().unwrap();
        self.hero_logic(&[&["run", &path], more].concat())
    }

    /// `python3 examples/FILE …`.
    pub(crate) fn python(&self, file: &str, more: &[&str]) -> Output {
        finish(self.command("python3").arg(example(file)).args(more))
    }

    /// `python3 -c CODE`: what it prints.
    pub(crate) fn ask_python(&self, code: &str) -> String {
        let output = finish(self.command("python3").args(["-c", code]));
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout).trim_end().to_owned()
    }

    /// What the binary of an example of Cargo does. `cargo test` builds it; `cargo test --test examples`
    /// takes the one that is there.
    pub(crate) fn built(&self, name: &str) -> Output {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_hero_logic"));
        let built = binary.parent().unwrap().join("examples").join(name);
        assert!(built.exists(), "build it first: cargo build --examples");
        finish(&mut self.command(built))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let ours = |name: &String| name.starts_with("HERO_");
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
            .current_dir(self.here())
            .env("TMPDIR", self.directory.path())
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn finish(command: &mut Command) -> Output {
    let piped = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = piped.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (tell, hear) = mpsc::channel();
    let waiting = thread::spawn(move || tell.send(child.wait_with_output()));
    let Ok(output) = hear.recv_timeout(STUCK) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{command:?} did not end");
    };
    waiting.join().unwrap().unwrap();
    output.unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a run that succeeded printed.
pub(crate) fn result(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
