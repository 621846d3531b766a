//! The reader threads: each has a read-only connection and takes the next question from one queue.
//!
//! A question that panics is answered with an error, and its thread goes on: reading leaves nothing
//! behind.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::StoreError,
    Shared,
    failure::{Context, Outcome},
};

/// What a reader is sent.
pub(super) enum Task {
    Read(Work),
    /// Nothing more is taken; what is queued is answered.
    Close,
}

/// What a reader does with its connection.
type Work = Box<dyn FnOnce(&Connection) + Send>;

/// A question, made into a task that answers.
pub(super) fn task<T: Send + 'static>(
    shared: Arc<Shared>,
    question: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    answer: oneshot::Sender<Result<T, StoreError>>,
) -> Task {
    Task::Read(Box::new(move |connection| {
        if answer.is_closed() {
            return;
        }
        let result = in_transaction(connection, question).map_err(|failure| {
            match Context::new("read from", &shared.path).store_error(failure) {
                // One damaged page does not keep others from being read or written.
                StoreError::Failed(why) => {
                    let error = StoreError::Backend(why);
                    tracing::error!(%error, "what was read is damaged");
                    shared.vitals.damaged(&error);
                    error
                }
                error => error,
            }
        });
        if answer.send(result).is_err() {
            tracing::trace!("nobody waits for this read any more");
        }
    }))
}

fn in_transaction<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    let transaction = connection.unchecked_transaction()?;
    let answer = question(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}

/// Until everybody who could ask is gone, or [`Task::Close`].
pub(super) fn run(connection: &Connection, queue: &Mutex<mpsc::Receiver<Task>>) {
    while let Some(work) = next(queue) {
        if catch_unwind(AssertUnwindSafe(|| work(connection))).is_err() {
            tracing::error!("a read of the store panicked");
        }
    }
}

/// Who holds the lock waits for the next task, the others for the lock.
fn next(queue: &Mutex<mpsc::Receiver<Task>>) -> Option<Work> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match queue.blocking_recv()? {
            Task::Read(work) => return Some(work),
            // Under the same lock: who came next would wait with it for ever.
            Task::Close => queue.close(),
        }
    }
}
