//! Starts the processes of plays.

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, process::Stdio};

use rustix::process::{Resource, getrlimit};
use tokio::{
    process::{ChildStderr, ChildStdout, Command},
    runtime::Handle,
};

use super::{child::Child, guard::Guard, starter, sys};

/// What to start.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment: nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    pub cwd: PathBuf,
    /// The play it is part of, for finding what it leaves behind.
    pub play_sid: String,
    /// How many files it, and what it starts, can have open at once; `None`: as this process was
    /// started with.
    pub open_files: Option<u64>,
}

/// A child with the reading ends of its output.
#[derive(Debug)]
pub struct Spawned {
    pub child: Child,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

/// Starts processes, each known to the guard before it is what was asked for.
#[derive(Clone, Debug)]
pub struct Spawner {
    /// Where the children's pipes and ends are watched.
    pub io: Handle,
    pub guard: Option<Guard>,
}

impl Spawner {
    /// Starts a program. If nobody waits for it any more when it has started, it is ended.
    ///
    /// # Errors
    /// What the system says: no such file, no permission, no more processes or descriptors.
    pub async fn spawn(&self, program: Program) -> io::Result<Spawned> {
        let guard = self.guard.clone();
        starter::start(self.io.clone(), move || spawn(&program, guard)).await
    }
}

fn spawn(program: &Program, guard: Option<Guard>) -> io::Result<Spawned> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env_clear()
        .envs(&program.env)
        .current_dir(&program.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let pipe = guard.as_ref().and_then(Guard::pipe);
    sys::harden(
        &mut command,
        pipe.map(|pipe| sys::Announcement {
            pipe,
            words: Guard::announcement(&program.play_sid),
        }),
        program.open_files,
    );
    let resident = sys::own_resident_bytes();
    let started = command.spawn().map_err(|error| explained(error, program));
    let started = started.and_then(|mut child| {
        let none = |what: &str| io::Error::other(format!("the process has no {what}"));
        let pid = child.id().ok_or_else(|| none("pid"))?;
        let stdout = child.stdout.take().ok_or_else(|| none("stdout"))?;
        let stderr = child.stderr.take().ok_or_else(|| none("stderr"))?;
        Ok(Spawned {
            child: Child::new(
                child,
                pid,
                program.play_sid.clone(),
                guard.clone(),
                resident,
            ),
            stdout,
            stderr,
        })
    });
    if let (Err(_), Some(guard)) = (&started, &guard) {
        guard.gone(&program.play_sid);
    }
    started
}

/// Says which limit it was that the system did not let us set.
fn explained(error: io::Error, program: &Program) -> io::Error {
    let most = getrlimit(Resource::Nofile).maximum;
    match (program.open_files, most) {
        (Some(wanted), Some(most))
            if wanted > most && error.kind() == io::ErrorKind::PermissionDenied =>
        {
            io::Error::other(format!(
                "failed to set the limit of {wanted} open files: this server itself may have {most}; raise that \
                 (ulimit -Hn, or LimitNOFILE= in the systemd unit) or ask for less"
            ))
        }
        _ => error,
    }
}
