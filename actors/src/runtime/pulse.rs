//! How much happened lately: what the store has counted, looked at every few seconds.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use protocol::server::Throughput;
use tokio::time::Instant;

use crate::store::{Store, Totals};

/// Over this time it is told …
const WINDOW: Duration = Duration::from_secs(60);
/// … and this often it is looked.
const EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Instant,
    totals: Totals,
    commits: u64,
}

/// The looks of the last minute.
#[derive(Debug)]
pub(super) struct Pulse {
    store: Arc<dyn Store>,
    beats: Mutex<VecDeque<Beat>>,
}

impl Pulse {
    /// Nothing has happened yet.
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let pulse = Self {
            store,
            beats: Mutex::default(),
        };
        pulse.look();
        pulse
    }

    /// Looks again and again, until it is dropped.
    pub(super) async fn keep(pulse: Weak<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(pulse) = pulse.upgrade() else { return };
            pulse.look();
        }
    }

    fn look(&self) -> Beat {
        let beat = Beat {
            at: Instant::now(),
            totals: self.store.feed().totals(),
            commits: self.store.commits(),
        };
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push_back(beat);
        // The newest that is old enough is kept, to be compared with.
        while beats.get(1).is_some_and(|next| beat.at - next.at >= WINDOW) {
            beats.pop_front();
        }
        beat
    }

    /// What happened in the last minute, or since the start; what was counted since then.
    pub(super) fn read(&self) -> (Throughput, Totals) {
        let oldest = {
            let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
            beats.front().copied()
        };
        let now = self.look();
        (throughput(oldest.unwrap_or(now), now), now.totals)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact figure")]
fn throughput(before: Beat, now: Beat) -> Throughput {
    let seconds = (now.at - before.at).as_secs_f64();
    let per_second = |before: u64, now: u64| match seconds {
        0.0 => 0.0,
        seconds => now.saturating_sub(before) as f64 / seconds,
    };
    let (then, totals) = (before.totals, now.totals);
    let failed = |totals: Totals| totals.ended.failed + totals.ended.timed_out;
    Throughput {
        over_ms: seconds * 1e3,
        plays_started: per_second(then.created, totals.created),
        plays_ended: per_second(then.ended.total(), totals.ended.total()),
        plays_failed: per_second(failed(then), failed(totals)),
        spans: per_second(then.spans, totals.spans),
        commits: per_second(before.commits, now.commits),
    }
}

#[cfg(test)]
mod tests {
    use protocol::PlayStatus;

    use super::*;
    use crate::store::{
        conformance::sample::{ended, running, span, spanned, with_status, write},
        memory::MemoryStore,
    };

    #[tokio::test(start_paused = true)]
    async fn rates_are_of_the_last_minute() {
        let store = Arc::new(MemoryStore::new());
        let pulse = Arc::new(Pulse::new(store.clone()));
        let keeping = tokio::spawn(Pulse::keep(Arc::downgrade(&pulse)));
        let record = crate::store::conformance::sample::record;
        let play = running(&*store).await;
        write(
            &*store,
            &play,
            vec![spanned(0, span(0)), spanned(1, span(1))],
        )
        .await;
        write(&*store, &play, vec![record(&ended(&play))]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (rates, totals) = pulse.read();
        let close = |value: f64, to: f64| (value - to).abs() < 0.01;
        assert!(close(rates.plays_started, 0.1), "{rates:?}");
        assert!(close(rates.plays_failed, 0.1), "{rates:?}");
        assert!(close(rates.spans, 0.2), "{rates:?}");
        assert_eq!((totals.created, totals.ended.failed), (1, 1));

        tokio::time::sleep(Duration::from_secs(120)).await;
        let play = running(&*store).await;
        let done = with_status(&play, PlayStatus::Success);
        write(&*store, &play, vec![record(&done)]).await;
        let (rates, totals) = pulse.read();
        assert!(rates.over_ms <= 66_000.0, "{rates:?}");
        assert!(close(rates.plays_ended, 1.0 / 60.0), "{rates:?}");
        assert!(
            close(rates.plays_failed, 0.0) && close(rates.spans, 0.0),
            "{rates:?}"
        );
        assert_eq!((totals.created, totals.ended.total()), (2, 2));
        drop(pulse);
        keeping.await.unwrap();
    }
}
