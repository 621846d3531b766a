//! Supervision's tools: what a panic said, and who hears of a death.
//!
//! actix catches a panicking handler's task and drops the actor; it restarts nothing and tells
//! nobody. So each supervised actor carries an [`Obituary`]: dropped without having been disarmed,
//! it tells the supervisor, with the panic's text.

use std::{cell::RefCell, sync::Once};

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
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
            LAST_PANIC.with_borrow_mut(|last| *last = Some(format!("{text}{place}")));
            before(info);
        }));
    });
}

/// What the last panic on this thread said, once.
#[must_use]
pub fn last_words() -> Option<String> {
    LAST_PANIC.with_borrow_mut(Option::take)
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
