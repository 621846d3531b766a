//! Runs a short program to its end: something on its stdin, its answer on stdout, and no more.
//!
//! For questions to an interpreter, not for plays: no limits but time and size. A program that is
//! not done in time is killed with everything in its process group, and so it is where the question
//! is dropped. It must never leave a process behind or hold more than the stated bytes.

use std::{
    io::{self, ErrorKind},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    runtime::Handle,
    time::{sleep, timeout},
};

use crate::process::{starter, sys};

/// Bytes of stderr that are kept, from its end.
const STDERR: usize = 4 << 10;
/// A file that is being written can't be executed; it may be complete in a moment.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What a program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// The last 4 KiB.
    pub(crate) stderr: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("can't be started: {0}")]
    Start(io::Error),
    #[error("gave no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("answered more than {0} bytes")]
    TooMuch(usize),
    #[error("talking to it failed: {0}")]
    Io(io::Error),
}

/// Runs `command` with `input` on its stdin; its answer, of at most `most` bytes, within `within`.
pub(crate) async fn ask(
    mut command: Command,
    input: &[u8],
    within: Duration,
    most: usize,
) -> Result<Answer, AskError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    sys::end_with_this_process(&mut command);
    // Its group is killed on every way out but the good one.
    let (mut group, child) = start(command).await.map_err(AskError::Start)?;
    let answer = timeout(within, talk(child, input, most))
        .await
        .unwrap_or(Err(AskError::Timeout(within)));
    if answer.is_ok() {
        group.0 = None;
    }
    answer
}

/// The group comes with the child: who no longer waits for them by then kills both.
async fn start(mut command: Command) -> io::Result<(Group, Child)> {
    let io = Handle::current();
    let spawn = |command: &mut Command| -> io::Result<_> {
        let child = command.spawn()?;
        Ok((Group::of(&child), child))
    };
    for _ in 0..BUSY_TRIES {
        let (again, started) = starter::start(io.clone(), move || {
            let started = spawn(&mut command);
            Ok((command, started))
        })
        .await?;
        match started {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => sleep(BUSY_PAUSE).await,
            done => return done,
        }
        command = again;
    }
    starter::start(io, move || spawn(&mut command)).await
}

/// The child is waited for last, when nobody has its pipes any more: until then its pid, which
/// names the group, can't be another's.
async fn talk(mut child: Child, input: &[u8], most: usize) -> Result<Answer, AskError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        let Some(mut stdin) = stdin else {
            return Ok(());
        };
        match stdin.write_all(input).await {
            // It need not read what it is told: its answer says why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => done.map_err(AskError::Io),
        }
    };
    let read = async {
        let mut all = Vec::new();
        if let Some(stdout) = stdout {
            let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            let mut stdout = stdout.take(bound);
            stdout.read_to_end(&mut all).await.map_err(AskError::Io)?;
        }
        if all.len() > most {
            return Err(AskError::TooMuch(most));
        }
        Ok(all)
    };
    let ((), stdout, stderr) = futures_util::try_join!(write, read, tail(stderr))?;
    let status = child.wait().await.map_err(AskError::Io)?;
    Ok(Answer {
        status,
        stdout,
        stderr,
    })
}

/// The end of what comes.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> Result<String, AskError> {
    let mut end = Vec::new();
    if let Some(mut stream) = stream {
        let mut piece = [0; STDERR];
        loop {
            let n = stream.read(&mut piece).await.map_err(AskError::Io)?;
            if n == 0 {
                break;
            }
            end.extend_from_slice(&piece[..n]);
            end.drain(..end.len().saturating_sub(STDERR));
        }
    }
    Ok(String::from_utf8_lossy(&end).trim().to_owned())
}

/// The process group of a child that has not been waited for; killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a process that answered badly had gone already");
        }
    }
}
