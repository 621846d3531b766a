//! How the store is, for whoever waits for it or has to end with it.
//!
//! A store that can't write for the moment is in trouble and says why; what waits, waits. One that
//! can never write again has failed: that is final, and the system is to stop with its reason. Must
//! never call something failed that may pass.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::StoreError;

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It writes.
    #[default]
    Sound,
    /// What was last tried was not done, and may be possible again (a full disk), or damage was
    /// found in what was read.
    Troubled(StoreError),
    /// It will never write again: every commit is answered with [`StoreError::Failed`]. Final.
    Failed(StoreError),
}

impl Health {
    /// Why it is not sound.
    #[must_use]
    pub fn reason(&self) -> Option<&StoreError> {
        match self {
            Self::Sound => None,
            Self::Troubled(error) | Self::Failed(error) => Some(error),
        }
    }
}

/// Keeps the health, and tells it to whoever watches.
#[derive(Debug, Default)]
pub struct Vitals {
    now: watch::Sender<Health>,
    /// Found by a reader; no success of the writer takes it back.
    damage: Mutex<Option<StoreError>>,
}

impl Vitals {
    /// The health, as it is and as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.now.subscribe()
    }

    /// Why it has failed, where it has.
    #[must_use]
    pub fn failure(&self) -> Option<StoreError> {
        match &*self.now.borrow() {
            Health::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Whether it is in trouble that a success of the writer would end.
    #[must_use]
    pub fn trouble_may_pass(&self) -> bool {
        matches!(&*self.now.borrow(), Health::Troubled(error) if error.may_pass())
    }

    /// Something was written.
    pub fn wrote(&self) {
        if *self.now.borrow() == Health::Sound {
            return;
        }
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        self.set(damage.clone().map_or(Health::Sound, Health::Troubled));
    }

    /// Something was not written, and may be later.
    pub fn troubled(&self, error: &StoreError) {
        self.set(Health::Troubled(error.clone()));
    }

    /// What was read is damaged.
    pub fn damaged(&self, error: &StoreError) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        self.set(Health::Troubled(error.clone()));
    }

    /// It will never write again.
    pub fn failed(&self, error: &StoreError) {
        self.set(Health::Failed(error.clone()));
    }

    fn set(&self, health: Health) {
        self.now.send_if_modified(|now| {
            let changes = !matches!(now, Health::Failed(_)) && *now != health;
            if changes {
                *now = health;
            }
            changes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> StoreError {
        StoreError::Full(text.to_owned())
    }

    #[test]
    fn trouble_passes_damage_stays_and_failure_is_final() {
        let vitals = Vitals::default();
        let health = vitals.watch();
        let now = || health.borrow().clone();
        assert_eq!(now(), Health::Sound);
        vitals.troubled(&error("full"));
        assert_eq!(now().reason(), Some(&error("full")));
        assert!(vitals.trouble_may_pass());
        vitals.wrote();
        assert_eq!(now(), Health::Sound);
        vitals.damaged(&error("damaged"));
        vitals.troubled(&error("full"));
        vitals.wrote();
        assert_eq!(now(), Health::Troubled(error("damaged")));
        assert_eq!(vitals.failure(), None);
        vitals.failed(&error("dead"));
        vitals.wrote();
        vitals.troubled(&error("full"));
        assert_eq!(now(), Health::Failed(error("dead")));
        assert_eq!(vitals.failure(), Some(error("dead")));
    }
}
