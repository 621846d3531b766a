//! One spare: from the order for it until it is the root of a play.

use std::{
    collections::BTreeMap,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::Path,
    time::Duration,
};

use protocol::ProcessId;
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    pipe::{PipeFlags, pipe_with},
    process::Signal,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{ChildStderr, ChildStdout},
    time::timeout,
};

use super::frame::{Told, frame};
use crate::process::{
    child::Child,
    guard::Guard,
    known::{self, Expected},
    spawn::Spawned,
    sys,
};

/// How long a spare may take from the order until it speaks.
const BIRTH: Duration = Duration::from_secs(10);
/// How long it may read a source, and how much it may say of it, bytes.
const LEARNING: Duration = Duration::from_secs(30);
const LEARNED: u64 = 64 << 20;
/// What it says: its pid, in a line.
const HELLO: usize = 16;

/// Our ends of a spare that is to come.
#[derive(Debug)]
pub(super) struct Ordered {
    link: UnixStream,
    stdout: ChildStdout,
    stderr: ChildStderr,
    expected: Expected,
    fork_server: u32,
}

/// Makes what a spare needs: our ends, and its own, to be sent with the order.
pub(super) fn order(fork_server: u32) -> io::Result<(Ordered, [OwnedFd; 3])> {
    let (link, its_link) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let (stdout, its_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, its_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let link = StdUnixStream::from(link);
    link.set_nonblocking(true)?;
    let ordered = Ordered {
        link: UnixStream::from_std(link)?,
        stdout: ChildStdout::from_std(stdout.into())?,
        stderr: ChildStderr::from_std(stderr.into())?,
        expected: known::expects_spare(fork_server),
        fork_server,
    };
    Ok((ordered, [its_link, its_stdout, its_stderr]))
}

impl Ordered {
    /// Waits until it speaks. `None`: it will not.
    pub(super) async fn born(mut self) -> Option<Spare> {
        let pid = timeout(BIRTH, self.hello()).await.ok()??;
        let own = std::process::id();
        // Whoever has the other end of the link has it from the fork server; the pid is only its word.
        let stat = sys::stat(pid)?;
        if stat.parent != own || stat.session != self.fork_server || stat.zombie {
            return None;
        }
        self.expected.came(pid);
        // From here on it is ended and reaped wherever this is dropped.
        let root = Adopted {
            id: ProcessId {
                pid,
                started: stat.started,
            },
            inherited: sys::sample(pid).map_or(0, |sample| sample.resident_bytes),
            reaped: false,
        };
        Some(Spare {
            link: self.link,
            stdout: self.stdout,
            stderr: self.stderr,
            watch: sys::ExitWatch::new(pid).ok()?,
            root,
        })
    }

    async fn hello(&mut self) -> Option<u32> {
        let mut said = Vec::with_capacity(HELLO);
        while !said.ends_with(b"\n") {
            let mut piece = [0; HELLO];
            let read = self.link.read(&mut piece).await.ok()?;
            said.extend_from_slice(&piece[..read]);
            if read == 0 || said.len() > HELLO {
                return None;
            }
        }
        std::str::from_utf8(&said).ok()?.trim_ascii().parse().ok()
    }
}

/// A process that was forked ahead, and waits for its play. One that is not used ends when it is dropped.
#[derive(Debug)]
pub struct Spare {
    link: UnixStream,
    stdout: ChildStdout,
    stderr: ChildStderr,
    watch: sys::ExitWatch,
    root: Adopted,
}

impl Spare {
    /// Whether it is still there.
    pub(super) fn lives(&self) -> bool {
        sys::stat(self.root.id.pid).is_some_and(|stat| !stat.zombie)
    }

    /// Makes it the root of a play. The guard knows it before it runs anything.
    ///
    /// # Errors
    /// Where it has gone, or can't have that many open files: then it is no play's, and nothing has run.
    pub(crate) async fn become_play(
        self,
        told: Told<'_>,
        play_sid: &str,
        guard: Option<Guard>,
        open_files: Option<u64>,
    ) -> io::Result<Spawned> {
        let Self {
            mut link,
            stdout,
            stderr,
            watch,
            root,
        } = self;
        sys::limit_open_files(root.id.pid, open_files)?;
        let announced = Announced::to(guard.as_ref(), play_sid, root.id);
        let signal = if announced.heard {
            Signal::STOP
        } else {
            Signal::KILL
        };
        let frame = frame(&told, signal.as_raw())
            .ok_or_else(|| io::Error::other("what it is to be told is too long"))?;
        // Until it has all of it, it runs nothing.
        link.write_all(&frame).await?;
        announced.holds();
        Ok(Spawned {
            child: Child::adopted(root, watch, play_sid.to_owned(), guard),
            stdout,
            stderr,
            events: Some(link),
        })
    }
}

/// The guard was told of a play's root that has not been told its play yet. Taken back when it is
/// dropped: the play can be started otherwise, and is told of again then.
struct Announced<'a> {
    guard: Option<&'a Guard>,
    play_sid: &'a str,
    heard: bool,
}

impl<'a> Announced<'a> {
    fn to(guard: Option<&'a Guard>, play_sid: &'a str, root: ProcessId) -> Self {
        Self {
            guard,
            play_sid,
            heard: guard.is_some_and(|guard| guard.hears(play_sid, root)),
        }
    }

    /// It is the root of the play now.
    fn holds(mut self) {
        self.guard = None;
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if let Some(guard) = self.guard {
            guard.gone(self.play_sid);
        }
    }
}

/// What is known of a source without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Modules that can be loaded ahead, as [`super::Key::imports`].
    pub imports: Vec<String>,
    /// Compiled and marshalled, for the interpreter that was asked.
    pub code: Vec<u8>,
}

impl Spare {
    /// Has it read a source (which its author calls `file`) instead of becoming a play.
    ///
    /// # Errors
    /// Where it goes without an answer: the source was too much for it.
    pub(crate) async fn learn(mut self, source: &str, file: &str) -> io::Result<Learned> {
        let asked = serde_json::json!({"source": source, "file": file}).to_string();
        let told = Told {
            env: &BTreeMap::new(),
            cwd: Path::new(""),
            launch: &asked,
            code: &[],
        };
        let frame = frame(&told, 0).ok_or_else(|| io::Error::other("the source is too long"))?;
        let answer = async {
            self.link.write_all(&frame).await?;
            let mut answer = Vec::new();
            let mut link = (&mut self.link).take(LEARNED);
            link.read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        };
        let answer = timeout(LEARNING, answer)
            .await
            .map_err(|_| io::Error::other("it did not answer in time"))??;
        let end =
            memchr::memchr(b'\n', &answer).ok_or_else(|| io::Error::other("it gave no answer"))?;
        let imports = String::from_utf8_lossy(&answer[..end]);
        Ok(Learned {
            imports: imports
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            code: answer[end + 1..].to_vec(),
        })
    }
}

/// A process that a fork server has handed on: a child of this one that nobody else waits for. Ended and
/// reaped when it is dropped.
#[derive(Debug)]
pub(in crate::process) struct Adopted {
    pub(in crate::process) id: ProcessId,
    /// Resident memory that it was forked with, bytes.
    pub(in crate::process) inherited: u64,
    reaped: bool,
}

impl Adopted {
    /// Kills it, nothing that it started.
    pub(in crate::process) fn kill(&self) {
        sys::signal_process(self.id.pid, Signal::KILL.as_raw());
    }

    /// Its exit status; blocks until it has ended.
    pub(in crate::process) fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        let status = sys::wait_for(self.id.pid)?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        // Of a child that was not waited for, nobody else can have the pid.
        if sys::has_child(self.id.pid) {
            self.kill();
            // It was told nothing, or is a zombie: it is gone in a moment.
            if let Err(error) = sys::wait_for(self.id.pid) {
                tracing::error!(pid = self.id.pid, %error, "failed to wait for a spare");
            }
        }
        known::forget(self.id.pid);
    }
}

/// The line to the fork server takes an order with the spare's ends.
pub(super) fn send(line: impl AsFd, order: &[u8], ends: &[OwnedFd]) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let ends: Vec<_> = ends.iter().map(AsFd::as_fd).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut extra = SendAncillaryBuffer::new(&mut space);
    if !ends.is_empty() && !extra.push(SendAncillaryMessage::ScmRights(&ends)) {
        return Err(io::Error::other("no room for the descriptors of a spare"));
    }
    sendmsg(
        line,
        &[io::IoSlice::new(order)],
        &mut extra,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}
