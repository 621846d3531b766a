//! The word that the server stops, for everything that serves a connection.

use tokio::sync::watch;

/// Says it.
#[derive(Debug)]
pub(super) struct Stop(watch::Sender<bool>);

/// Hears it.
#[derive(Clone, Debug)]
pub(super) struct Stopping(watch::Receiver<bool>);

pub(super) fn stop() -> (Stop, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Stopping(receiver))
}

impl Stop {
    pub(super) fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Waits until the server stops. A [`Stop`] that is gone counts as said.
    pub(super) async fn wait(&self) {
        let mut receiver = self.0.clone();
        // The error only says that the other side is gone.
        drop(receiver.wait_for(|stopping| *stopping).await);
    }
}
