//! The server's side: starts the guard, tells it what is going on, replaces it when it is gone or stuck.
//!
//! Nobody ever waits for the guard: what the pipe does not take is kept, and a guard that has not read
//! for a while is ended and replaced. A new guard is told of all plays anew.

use std::{
    collections::HashMap,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use protocol::ProcessId;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
};

use super::{GuardProgram, JSON, NAME, Report, VERB, Word};
use crate::process::{Mark, sys};

/// A guard that leaves what it was told unread for so long is stuck.
const STUCK: Duration = Duration::from_secs(2);
/// The first and the longest pause before another guard is started, where the last one lived less than
/// [`SHORT_LIFE`]; after a longer life there is none.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// How long a guard may take to leave when it is told to.
const LAST_WORK: Duration = Duration::from_secs(5);

/// The guard of one runtime. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the thread: one byte is enough, more are not waited for.
    wake: OwnedFd,
    mark: Option<Mark>,
    restarts: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Plays with processes, and their roots.
    roots: HashMap<String, ProcessId>,
    /// To the guard that there is, if there is one.
    pipe: Option<Arc<OwnedFd>>,
    /// What the pipe did not take.
    unsent: Vec<u8>,
    /// How many bytes the pipe has taken.
    sent: u64,
    closing: bool,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    /// Starts the guard, and the thread that looks after it. Blocks until the guard was started.
    ///
    /// # Errors
    /// Where the system gives no pipe or no thread. That the program can't be started is logged, and
    /// tried again.
    pub fn start(program: GuardProgram, mark: Option<Mark>) -> io::Result<Self> {
        let (hear, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake,
            mark,
            restarts: AtomicU64::new(0),
        });
        let keeper = shared.clone();
        let (began, first) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(NAME.into())
            .spawn(move || {
                let life = Life::begin(&keeper, &program);
                // An error says that its start was given up.
                began.send(()).ok();
                keep(&keeper, &program, life, &hear);
            })?;
        shared.state().thread = Some(thread);
        if first.recv().is_err() {
            return Err(io::Error::other("the start of the guard panicked"));
        }
        Ok(Self(shared))
    }

    /// How often a guard had to be replaced.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.0.restarts.load(Ordering::Relaxed)
    }

    /// Whether there is one just now.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.state().pipe.is_some()
    }

    /// Where a process that is becoming the root of a play says so itself; `None` while there is no
    /// guard.
    pub(in crate::process) fn pipe(&self) -> Option<Arc<OwnedFd>> {
        self.0.state().pipe.clone()
    }

    /// What that process says before it says its pid.
    pub(in crate::process) fn announcement(play: &str) -> String {
        Word::announcement(play)
    }

    /// A play's process was started.
    pub(in crate::process) fn root(&self, play: &str, process: ProcessId) {
        let mut state = self.0.state();
        state.roots.insert(play.to_owned(), process);
        state.say(&Word::root(play, process));
        self.0.wake_if_unsent(state);
    }

    /// A process is about to become a play's root. Whether the guard hears of it whatever happens to
    /// this process.
    pub(in crate::process) fn hears(&self, play: &str, process: ProcessId) -> bool {
        self.root(play, process);
        let state = self.0.state();
        state.pipe.is_some() && state.unsent.is_empty()
    }

    /// Nothing of a play is left.
    pub(in crate::process) fn gone(&self, play: &str) {
        let mut state = self.0.state();
        state.roots.remove(play);
        state.say(&Word::gone(play));
        self.0.wake_if_unsent(state);
    }

    /// Tells the guard that all is over: it ends what could not be ended, if anything, and leaves.
    /// Waits until it has. Can be called again.
    pub fn close(&self) {
        let mut state = self.0.state();
        state.closing = true;
        let thread = state.thread.take();
        drop(state);
        self.0.wake();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that looks after the guard ended with a panic");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread sends what is left as soon as the pipe takes it.
    fn wake_if_unsent(&self, state: MutexGuard<'_, State>) {
        let waits = !state.unsent.is_empty();
        drop(state);
        if waits {
            self.wake();
        }
    }

    fn wake(&self) {
        // An error says that it has been woken often enough already.
        rustix::io::write(&self.wake, b".").ok();
    }
}

impl State {
    fn say(&mut self, word: &Word) {
        if self.pipe.is_some() {
            self.unsent.extend_from_slice(word.line().as_bytes());
            self.send();
        }
    }

    /// Writes what the pipe takes; whole lines, as a process that speaks for itself may come between.
    fn send(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        while !self.unsent.is_empty() {
            let end = self
                .unsent
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(self.unsent.len(), |at| at + 1);
            match rustix::io::write(pipe, &self.unsent[..end]) {
                Ok(n) => {
                    self.sent += n as u64;
                    self.unsent.drain(..n);
                }
                // Full, or nobody reads it any more: the thread sees to both.
                Err(_) => return,
            }
        }
    }
}

/// One guard.
struct Life {
    child: Child,
    pipe: Arc<OwnedFd>,
    began: Instant,
    reading: Reading,
}

/// Whether the guard reads what it is told.
#[derive(Default)]
struct Reading {
    /// How many bytes it had read when it was looked at last.
    read: u64,
    /// Since when it has had something to read and has read nothing.
    waits_since: Option<Instant>,
}

impl Reading {
    /// How long it has left unread what it was told, as far as can be seen: `sent` bytes in all, of
    /// which `unread` are in the pipe. `None`: there is nothing to be read.
    fn look(&mut self, sent: u64, unread: u64, now: Instant) -> Option<Duration> {
        // What processes said for themselves is not counted as sent.
        let read = sent.saturating_sub(unread);
        if unread == 0 {
            self.waits_since = None;
        } else if self.waits_since.is_none() || read != self.read {
            self.waits_since = Some(now);
        }
        self.read = read;
        self.waits_since.map(|since| now.duration_since(since))
    }
}

impl Life {
    fn begin(shared: &Shared, program: &GuardProgram) -> Option<Self> {
        match Self::try_begin(shared, program) {
            Ok(life) => Some(life),
            Err(error) => {
                tracing::error!(%error, program = %program.path.display(), "failed to start the guard; a server that is killed now leaves processes behind until it is started again");
                None
            }
        }
    }

    fn try_begin(shared: &Shared, program: &GuardProgram) -> io::Result<Self> {
        let (input, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let pipe = Arc::new(pipe);
        let mut command = Command::new(&program.path);
        command
            .arg0(NAME)
            .args(&program.args)
            .arg(VERB)
            .arg(std::process::id().to_string())
            .args((program.report == Report::Json).then_some(JSON))
            .env_clear()
            .stdin(input)
            .stdout(Stdio::null());
        sys::detach(&mut command);
        let child = command.spawn()?;
        let mut state = shared.state();
        state.pipe = Some(pipe.clone());
        (state.unsent, state.sent) = (Vec::new(), 0);
        let roots = state
            .roots
            .iter()
            .map(|(play, root)| Word::root(play, *root));
        let words: Vec<_> = shared
            .mark
            .map(Word::Mark)
            .into_iter()
            .chain(roots)
            .collect();
        for word in &words {
            state.unsent.extend_from_slice(word.line().as_bytes());
        }
        state.send();
        Ok(Self {
            child,
            pipe,
            began: Instant::now(),
            reading: Reading::default(),
        })
    }

    /// Looks after it until it is gone or stuck (then it is killed), or all is over.
    fn watch(&mut self, shared: &Shared, hear: &OwnedFd) {
        loop {
            let mut state = shared.state();
            if state.closing {
                return;
            }
            state.send();
            let waits = !state.unsent.is_empty();
            let sent = state.sent;
            drop(state);
            let unread = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
            let waited = self.reading.look(sent, unread, Instant::now());
            if waited.is_some_and(|waited| waited > STUCK) {
                tracing::error!(
                    pid = self.child.id(),
                    "the guard does not read what it is told; it is replaced"
                );
                return;
            }
            let mut fds = [
                // Without a reader there is an error to be seen, whatever is asked for.
                PollFd::new(
                    &self.pipe,
                    if waits {
                        PollFlags::OUT
                    } else {
                        PollFlags::empty()
                    },
                ),
                PollFd::new(hear, PollFlags::IN),
            ];
            // Who says something does not wake this thread for it.
            let patience = timespec(STUCK / 2);
            if let Err(error) = poll(&mut fds, Some(&patience))
                && error != rustix::io::Errno::INTR
            {
                tracing::error!(%error, "failed to watch the guard");
                return;
            }
            if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                tracing::error!(
                    pid = self.child.id(),
                    "the guard is gone; another one is started"
                );
                return;
            }
            drain(hear);
        }
    }

    /// All is over: it may take its time to end what is left.
    fn leave(mut self, shared: &Shared) {
        let mut state = shared.state();
        state.say(&Word::Over);
        state.pipe = None;
        drop(state);
        drop(self.pipe);
        let deadline = Instant::now() + LAST_WORK;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        tracing::error!("the guard does not leave; it is killed");
        kill(&mut self.child);
    }

    /// Killed before its pipe is closed: a closed pipe would tell it to end the plays.
    fn replaced(mut self, shared: &Shared) {
        shared.state().pipe = None;
        kill(&mut self.child);
    }
}

fn kill(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, "failed to end the guard");
    }
}

fn keep(shared: &Shared, program: &GuardProgram, first: Option<Life>, hear: &OwnedFd) {
    let mut life = first;
    let mut pause = BACK_OFF.0;
    loop {
        let lived = match life {
            Some(mut life) => {
                life.watch(shared, hear);
                if shared.state().closing {
                    life.leave(shared);
                    return;
                }
                let lived = life.began.elapsed();
                life.replaced(shared);
                lived
            }
            None => Duration::ZERO,
        };
        if lived >= SHORT_LIFE {
            pause = BACK_OFF.0;
        } else {
            wait(shared, hear, pause);
            pause = (pause * 2).min(BACK_OFF.1);
        }
        if shared.state().closing {
            return;
        }
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        life = Life::begin(shared, program);
    }
}

/// Until the time is up, or all is over.
fn wait(shared: &Shared, hear: &OwnedFd, pause: Duration) {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || shared.state().closing {
            return;
        }
        if let Err(error) = poll(
            &mut [PollFd::new(hear, PollFlags::IN)],
            Some(&timespec(left)),
        ) && error != rustix::io::Errno::INTR
        {
            std::thread::sleep(left);
        }
        drain(hear);
    }
}

fn drain(hear: &OwnedFd) {
    let mut bytes = [0; 64];
    while matches!(rustix::io::read(hear, &mut bytes), Ok(1..)) {}
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests;
