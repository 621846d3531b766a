//! Supervision's tools: what a panic said, and who hears of a death.
//!
//! actix catches a panicking handler's task and drops the actor; it restarts nothing and tells
//! nobody. So each supervised actor carries an [`Obituary`]: dropped without having been disarmed,
//! it tells the supervisor, with the panic's text. A [`Seat`] is where an actor that is replaced
//! when it dies is found; [`intensity`] bounds how often; an [`Alarm`] says that the whole server
//! can't go on.

pub mod intensity;
mod seat;

pub use seat::{Seat, Unanswered};

use std::{
    cell::RefCell,
    sync::{Arc, Once},
};

use protocol::Error;
use tokio::{sync::watch, task};

/// What a panic said, and the task that it ended.
struct LastPanic {
    task: Option<task::Id>,
    text: String,
}

thread_local! {
    static LAST_PANIC: RefCell<Option<LastPanic>> = const { RefCell::new(None) };
}

/// From now on the text of a panic is kept for [`last_words`]. The hook that was there is still
/// called. Can be called again.
pub fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info
                .payload_as_str()
                .map_or_else(|| "a panic without a text".to_owned(), str::to_owned);
            let place = info
                .location()
                .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
            LAST_PANIC.with_borrow_mut(|last| {
                *last = Some(LastPanic {
                    task: task::try_id(),
                    text: format!("{text}{place}"),
                });
            });
            before(info);
        }));
    });
}

/// What the panic that ended the present task said, once. Told within the task, or where its future
/// is dropped; the panic of another task on this thread is not told.
#[must_use]
pub fn last_words() -> Option<String> {
    let here = task::try_id();
    LAST_PANIC
        .with_borrow_mut(|last| last.take_if(|last| last.task == here))
        .map(|last| last.text)
}

/// Tells somebody when it is dropped, unless it was disarmed: `tell` gets the last words of the
/// panic that dropped it, if it was one.
pub struct Obituary {
    tell: Option<Box<dyn FnOnce(Option<String>) + Send>>,
}

impl Obituary {
    /// Armed.
    #[must_use]
    pub fn new(tell: impl FnOnce(Option<String>) + Send + 'static) -> Self {
        Self {
            tell: Some(Box::new(tell)),
        }
    }

    /// The end is an orderly one: nobody needs to be told.
    pub fn disarm(&mut self) {
        self.tell = None;
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            tell(last_words());
        }
    }
}

impl std::fmt::Debug for Obituary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Obituary")
            .field("armed", &self.tell.is_some())
            .finish()
    }
}

/// The word that the server can't go on, with the reason. Its clones are one.
#[derive(Clone, Debug)]
pub struct Alarm(Arc<watch::Sender<Option<Error>>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Alarm {
    /// Says it. The first reason stays.
    pub fn raise(&self, why: Error) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            if first {
                tracing::error!(%why, "the server can't go on");
                *raised = Some(why);
            }
            first
        });
    }

    /// The reason, if it was raised.
    #[must_use]
    pub fn reason(&self) -> Option<Error> {
        self.0.borrow().clone()
    }

    /// Waits until it is raised.
    pub async fn raised(&self) -> Error {
        let mut hear = self.0.subscribe();
        match hear.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_else(|| Error::internal("an alarm")),
            // The sender lives as long as `self`.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A task that panics and one that is dropped in order, on one thread: the second did not say
    /// what the first did.
    #[test]
    fn the_panic_of_another_task_is_not_told() {
        listen_to_panics();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (tell, told) = mpsc::channel();
        let obituary = || {
            let tell = tell.clone();
            Obituary::new(move |words| tell.send(words).unwrap())
        };
        runtime.block_on(async {
            let other = tokio::spawn(async { panic!("the other, 4711") });
            assert!(other.await.is_err());
            let kept = obituary();
            drop(tokio::spawn(async move { drop(kept) }).await);
            assert_eq!(told.recv().unwrap(), None);
            let kept = obituary();
            let own = tokio::spawn(async move {
                let _kept = kept;
                panic!("its own, 4712")
            });
            assert!(own.await.is_err());
            let words = told.recv().unwrap().unwrap();
            assert!(words.starts_with("its own, 4712 ("), "{words}");
        });
    }
}
