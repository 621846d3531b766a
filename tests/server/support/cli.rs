//! The command line, run to its end.

use std::{
    io::Read,
    process::{Child, Command},
    sync::{Arc, Mutex},
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
    stdout: Written,
    stderr: Written,
    ended: bool,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdout: Written::of(child.stdout.take().unwrap()),
            stderr: Written::of(child.stderr.take().unwrap()),
            child,
            ended: false,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.child.id(), signal);
    }

    /// Waits until this is on its standard error.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        until(text, || self.stderr.so_far().contains(text).then_some(()));
    }

    #[track_caller]
    pub(crate) fn end(mut self) -> Ran {
        let status = until("a command's end", || self.child.try_wait().unwrap());
        self.ended = true;
        Ran {
            code: status.code(),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }
}

impl Drop for Running {
    /// For a test that failed.
    fn drop(&mut self) {
        if !self.ended {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// What a command wrote, and writes.
#[derive(Debug)]
struct Written {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Written {
    fn of(mut from: impl Read + Send + 'static) -> Self {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let to = bytes.clone();
        let reading = thread::spawn(move || {
            let mut buffer = [0; 64 << 10];
            loop {
                match from.read(&mut buffer).unwrap() {
                    0 => return,
                    read => to.lock().unwrap().extend_from_slice(&buffer[..read]),
                }
            }
        });
        Self {
            bytes,
            reading: Some(reading),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn all(&mut self) -> String {
        self.reading.take().unwrap().join().unwrap();
        String::from_utf8(std::mem::take(&mut *self.bytes.lock().unwrap())).unwrap()
    }
}

impl Home {
    /// Runs the binary to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Running::start(&mut self.command(args)).end()
    }
}
