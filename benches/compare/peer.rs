//! A contender in a process of its own: one of the scripts in `benches/peers`, spoken to line by line (see
//! `_peer.py`).
//!
//! It is stopped (SIGSTOP, with all that it started) while others are measured, since some of them work all
//! the time. It leads a process group, and what is left of that is killed in the end.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::Signal,
};

use crate::{
    Done,
    started::{self, Started},
};

/// How long a peer may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take for one answer: one that hangs is a finding, not a wait for ever.
const ANSWER: Duration = Duration::from_secs(600);

/// How a script is started.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) python: PathBuf,
    /// Before the script: `-I` and the like.
    pub(crate) options: &'static [&'static str],
    pub(crate) file: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) env: Vec<(&'static str, PathBuf)>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    log: PathBuf,
    /// What it says that it is: versions and settings.
    pub(crate) title: String,
}

/// What a peer is asked to do; the numbers mean what its script says.
pub(crate) type Job<'a> = (&'a str, &'a [u64]);

impl Peer {
    /// Starts it, waits until it is ready, and freezes it.
    pub(crate) fn start(script: &Script, dir: &Path) -> Done<Self> {
        use std::os::unix::process::CommandExt;

        std::fs::create_dir_all(dir)?;
        let log = dir.with_extension("log");
        let mut child = Command::new(&script.python)
            .args(script.options)
            .arg(scripts().join(script.file))
            .args(script.args)
            .envs(script.env.iter().map(|(key, value)| (key, value)))
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .map_err(|error| format!("{}: {error}", script.python.display()))?;
        started::add(Started::Peer(child.id()));
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut peer = Self {
            child,
            input,
            output: BufReader::new(output),
            log,
            title: String::new(),
        };
        let line = peer.read()?;
        peer.title = match line.strip_prefix("ready ") {
            Some(title) => title.to_owned(),
            None => return Err(format!("{} said {line:?}", script.file).into()),
        };
        peer.signal(Signal::STOP)?;
        Ok(peer)
    }

    /// What it answers to a job; None where it has no such job.
    pub(crate) fn ask(&mut self, (job, numbers): Job<'_>) -> Done<Option<Vec<f64>>> {
        self.signal(Signal::CONT)?;
        let answer = self.exchange(job, numbers);
        self.signal(Signal::STOP)?;
        let answer = answer?;
        let mut words = answer.split_ascii_whitespace();
        match words.next() {
            Some("ok") => Ok(Some(words.map(str::parse).collect::<Result<_, _>>()?)),
            Some("no") => Ok(None),
            _ => Err(format!("{answer} ({})", self.tail()).into()),
        }
    }

    /// The process that was started: all others of this peer are below it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_left(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn exchange(&mut self, job: &str, numbers: &[u64]) -> Done<String> {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let line = format!("{job} {}\n", numbers.join(" "));
        if let Some(input) = &mut self.input {
            input.write_all(line.as_bytes())?;
        }
        self.read()
    }

    fn read(&mut self) -> Done<String> {
        // It writes whole lines, so one that has begun is there.
        if self.output.buffer().is_empty() && !self.has_output()? {
            // Whatever it may say later would be taken for another answer.
            self.signal(Signal::KILL)?;
            self.child.wait()?;
            return Err(format!("no answer within {} s", ANSWER.as_secs()).into());
        }
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("it left: {}", self.tail()).into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits for something to read, or for its end.
    fn has_output(&self) -> std::io::Result<bool> {
        let until = Instant::now() + ANSWER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
            let mut watched = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
            match poll(&mut watched, Some(&left)) {
                Err(Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }

    /// The last line that it wrote to standard error.
    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("nothing on standard error")
            .trim()
            .to_owned()
    }

    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        Started::Peer(self.child.id()).signal(signal)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input is the order to leave.
        drop(self.input.take());
        self.signal(Signal::CONT).ok();
        let began = Instant::now();
        while began.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::KILL).ok();
        self.child.wait().ok();
        started::remove(Started::Peer(self.child.id()));
    }
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}
