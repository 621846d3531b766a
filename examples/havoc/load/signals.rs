//! Signals: some come before the play has begun, some while it waits for them.

use hero_logic::protocol::ErrorKind;
use serde_json::json;

use super::{AGAIN, Caller, ledger::Signal};
use crate::server::Unanswered;

impl Caller {
    /// Sends signals, one after another, until so many were taken, or the play has ended. Of one that may
    /// have been taken nobody is told again: the next one is another.
    pub(super) async fn signal(&mut self, sid: &str, count: usize) {
        let early = self.rng.below(2) == 0;
        let mut taken = 0;
        while taken < count {
            if !early {
                self.pause(200).await;
            }
            let payload = json!(self.rng.below(1 << 40));
            let at = self.ledger.write(|book| {
                let sent = book.signals.entry(sid.to_owned()).or_default();
                sent.push(Signal {
                    payload: payload.clone(),
                    acknowledged: false,
                });
                sent.len() - 1
            });
            let signal = json!({"play_sid": sid, "name": "go", "payload": payload});
            match self.reach.call("play_signal", &signal).await {
                Ok(_) => {
                    taken += 1;
                    self.ledger.write(|book| {
                        book.counts.signals += 1;
                        if let Some(sent) = book.signals.get_mut(sid) {
                            sent[at].acknowledged = true;
                        }
                    });
                }
                Err(Unanswered::Refused(error)) if error.kind == ErrorKind::Conflict => return,
                Err(Unanswered::Refused(error)) if error.kind != ErrorKind::Unavailable => {
                    return self.ledger.refused("play_signal", &error);
                }
                Err(unanswered) => {
                    if matches!(unanswered, Unanswered::Lost) {
                        self.ledger.count(|counts| counts.uncertain += 1);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
