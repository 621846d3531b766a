//! The threads that start processes. They never end: a child's death signal is tied to the thread that
//! started it, and so is the list of children in which the kernel keeps it (see [`super::tree`]).
//!
//! One is enough, as long as no start hangs (a program on a file system that does not answer holds its
//! thread for ever): then the others are given to a further thread.

use std::{
    collections::VecDeque,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// A start that waits so long for its turn gets a further thread.
const HUNG: Duration = Duration::from_millis(500);
/// How many threads there can be.
const MOST: usize = 16;

static QUEUE: Queue = Queue {
    state: Mutex::new(State {
        jobs: VecDeque::new(),
        threads: 0,
        idle: 0,
    }),
    changed: Condvar::new(),
};

type Job = Box<dyn FnOnce() + Send>;

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// Does `work` on such a thread; what it starts is watched on the runtime `io`. Where nobody waits for
/// the result any more, it is dropped on that thread.
///
/// # Errors
/// What `work` says; that the system gives no thread.
pub(super) async fn start<T: Send + 'static>(
    io: Handle,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (reply, mut done) = oneshot::channel();
    QUEUE.push(Box::new(move || {
        let _reactor = io.enter();
        // An error gives the result back, which is dropped here.
        drop(reply.send(work()));
    }))?;
    loop {
        match timeout(HUNG, &mut done).await {
            Ok(done) => {
                return done.unwrap_or_else(|_| Err(io::Error::other("the start panicked")));
            }
            Err(_) => QUEUE.relieve()?,
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, job: Job) -> io::Result<()> {
        let mut state = self.state();
        if state.threads == 0 {
            self.add(&mut state)?;
        }
        state.jobs.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// A further thread, where starts wait and none takes them.
    fn relieve(&'static self) -> io::Result<()> {
        let mut state = self.state();
        if state.jobs.is_empty() || state.idle > 0 || state.threads >= MOST {
            return Ok(());
        }
        tracing::warn!(
            threads = state.threads,
            waiting = state.jobs.len(),
            "the start of a process hangs; a further thread starts the others"
        );
        self.add(&mut state)
    }

    fn add(&'static self, state: &mut State) -> io::Result<()> {
        std::thread::Builder::new()
            .name("hero-spawner".into())
            .spawn(|| self.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        let mut state = self.state();
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A panic must not end the thread: that would be the end of its children.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
                    tracing::error!("the start of a process panicked");
                }
                state = self.state();
            }
            state.idle += 1;
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_start_that_hangs_holds_up_no_other() {
        let (go, hold) = mpsc::channel::<()>();
        let hung = tokio::spawn(start(Handle::current(), move || {
            hold.recv().ok();
            Ok("late")
        }));
        let others = (0..8).map(|n| start(Handle::current(), move || Ok(n)));
        let others = futures_util::future::join_all(others);
        let answers = timeout(Duration::from_secs(60), others).await.unwrap();
        for (n, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), n);
        }
        go.send(()).unwrap();
        assert_eq!(hung.await.unwrap().unwrap(), "late");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let panics = start(Handle::current(), || -> io::Result<()> { panic!("oh") });
        assert!(panics.await.is_err());
        assert!(start(Handle::current(), || Ok(())).await.is_ok());
    }
}
