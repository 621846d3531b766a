//! Starts processes, all from one thread that never ends: a child's death signal is tied to the
//! thread that started it, not to the process.

use std::{collections::BTreeMap, ffi::OsString, io, path::PathBuf, process::Stdio, sync::mpsc};

use tokio::{
    process::{ChildStderr, ChildStdout, Command},
    runtime::Handle,
    sync::oneshot,
};

use super::{child::Child, known, sys};

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
}

/// A child with the reading ends of its output.
#[derive(Debug)]
pub struct Spawned {
    pub child: Child,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

struct Job {
    program: Program,
    reply: oneshot::Sender<io::Result<Spawned>>,
}

/// The thread that starts processes.
#[derive(Clone, Debug)]
pub struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    /// Starts the thread. `io` is where the children's pipes and ends are watched.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(io: Handle) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("hero-spawner".into())
            .spawn(move || {
                let _reactor = io.enter();
                while let Ok(job) = queue.recv() {
                    if let Err(Ok(mut unwanted)) = job.reply.send(spawn(&job.program)) {
                        unwanted.child.kill_now();
                    }
                }
                // This thread's end would be the end of its children; it is reached only after all
                // that could wait for one is gone.
            })?;
        Ok(Self { jobs })
    }

    /// Starts a program.
    ///
    /// # Errors
    /// What the system says: no such file, no permission, no more processes or descriptors.
    pub async fn spawn(&self, program: Program) -> io::Result<Spawned> {
        let (reply, spawned) = oneshot::channel();
        let stopped = || io::Error::other("the runtime is stopping");
        self.jobs
            .send(Job { program, reply })
            .map_err(|_| stopped())?;
        spawned.await.map_err(|_| stopped())?
    }
}

fn spawn(program: &Program) -> io::Result<Spawned> {
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
    sys::harden(&mut command);
    // Held until the pid is known, so that a search for leftovers never takes it for one.
    let mut known = known::hold();
    let resident = sys::own_resident_bytes();
    let mut child = command.spawn()?;
    let pid = child
        .id()
        .ok_or_else(|| io::Error::other("the process ended at once"))?;
    known.insert(pid);
    drop(known);
    let missing = || io::Error::other("the process has no output pipe");
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    Ok(Spawned {
        child: Child::new(child, pid, program.play_sid.clone(), resident),
        stdout,
        stderr,
    })
}
