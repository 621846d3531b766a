//! Starts the processes of plays.

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, process::Stdio};

use tokio::{
    net::UnixStream,
    process::{ChildStderr, ChildStdout, Command},
    runtime::Handle,
};

use super::{child::Child, guard::Guard, mark::Mark, starter, sys};

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
    /// How many files it, and each process that it starts, can have open at once.
    pub open_files: Option<u64>,
}

/// A child with the reading ends of its output.
#[derive(Debug)]
pub struct Spawned {
    pub child: Child,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
    /// On which it sends its events, where it need not connect for that.
    pub events: Option<UnixStream>,
}

/// Starts processes, each known to the guard before it is what was asked for.
#[derive(Clone, Debug)]
pub struct Spawner {
    /// Where the children's pipes and ends are watched.
    pub io: Handle,
    pub guard: Option<Guard>,
    /// What they are marked with.
    pub mark: Option<Mark>,
}

impl Spawner {
    /// Starts a program. If nobody waits for it any more when it has started, it is ended.
    ///
    /// # Errors
    /// What the system says: no such file, no permission, no more processes or descriptors; more open
    /// files than this process itself may have.
    pub async fn spawn(&self, program: Program) -> io::Result<Spawned> {
        let (guard, mark) = (self.guard.clone(), self.mark);
        starter::start(self.io.clone(), move || spawn(&program, guard, mark)).await
    }
}

fn spawn(program: &Program, guard: Option<Guard>, mark: Option<Mark>) -> io::Result<Spawned> {
    if let (Some(wanted), Some(most)) = (program.open_files, sys::most_open_files())
        && wanted > most
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the limit of {wanted} open files is beyond the {most} that this server itself may have; set a lower one, or start the server with a higher hard limit"
            ),
        ));
    }
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
        mark.map(|mark| mark.0),
    );
    let resident = sys::own_resident_bytes();
    let started = command.spawn().and_then(|mut child| {
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
            events: None,
        })
    });
    if let (Err(_), Some(guard)) = (&started, &guard) {
        guard.gone(&program.play_sid);
    }
    started
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn shell(script: &str, open_files: Option<u64>) -> io::Result<Spawned> {
        let spawner = Spawner {
            io: Handle::current(),
            guard: None,
            mark: None,
        };
        let program = Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::new(),
            cwd: "/".into(),
            play_sid: "a-play".into(),
            open_files,
        };
        spawner.spawn(program).await
    }

    #[tokio::test]
    async fn open_files_are_limited_before_the_program_runs() {
        let mut spawned = shell("ulimit -Sn; ulimit -Hn", Some(50)).await.unwrap();
        let mut said = String::new();
        spawned.stdout.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "50\n50\n");
        let (_stop, orders) = tokio::sync::watch::channel(None);
        assert!(spawned.child.run(orders).await.status.unwrap().success());
    }

    /// Also to root, who could raise it.
    #[tokio::test]
    async fn more_open_files_than_the_servers_own_are_refused() {
        let Some(most) = sys::most_open_files() else {
            return;
        };
        let error = shell("true", Some(most + 1)).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(&format!("limit of {} open files", most + 1)),
            "{said}"
        );
        assert!(said.contains(&most.to_string()), "{said}");
    }
}
