//! The command line, run to its end.

use std::{
    io::Read,
    process::{Child, Command},
    thread,
};

use rustix::process::Signal;
use serde_json::Value;

use super::{home::Home, process, until};

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("no JSON on standard output ({error}): {self:?}"),
        }
    }

    /// Its exit code was this one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    output: Option<[thread::JoinHandle<String>; 2]>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = Some([
            read(child.stdout.take().unwrap()),
            read(child.stderr.take().unwrap()),
        ]);
        Self { child, output }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.child.id(), signal);
    }

    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let status = until("a command's end", || self.child.try_wait().unwrap());
        let [stdout, stderr] = self.output.take().unwrap().map(|text| text.join().unwrap());
        Ran {
            code: status.code(),
            stdout,
            stderr,
        }
    }
}

fn read(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

impl Drop for Running {
    /// For a test that failed.
    fn drop(&mut self) {
        if self.output.is_some() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

impl Home {
    /// Runs the binary to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Running::start(&mut self.command(args)).end()
    }
}
