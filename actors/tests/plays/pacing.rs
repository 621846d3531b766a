//! When what a play says is committed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hero_logic_actors::{
    play::{outcome::Exit, pace::LINGER},
    store::{Batch, Store, StoreError},
    testing::{Universe, universe},
};
use protocol::{PlayStatus, SpanStatus};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// Counts the batches of plays that run from now on.
fn batches(universe: &Universe) -> Arc<AtomicUsize> {
    let count = Arc::<AtomicUsize>::default();
    let counted = count.clone();
    let look = move |batch: &Batch| {
        if matches!(batch, Batch::Play { fence, .. } if fence.attempt > 0) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        false
    };
    universe.store.refuse_where(look, StoreError::Closed);
    count
}

#[test]
fn all_that_a_short_play_says_is_one_commit_with_its_end() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            for n in 1..5 {
                process.start(&format!("1.{n}"), "").await;
                process.end(&format!("1.{n}")).await;
            }
            Exit::Code(0)
        });
        let batches = batches(universe);
        let sid = universe.play_of("f").await;
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert_eq!(batches.load(Ordering::Relaxed), 1);
        assert_eq!(universe.spans(&sid).await.len(), 4);
    });
}

#[test]
fn what_a_running_play_says_is_seen_a_moment_later() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            process.hang().await
        });
        let batches = batches(universe);
        let sid = universe.play_of("f").await;
        sleep(LINGER + Duration::from_millis(2)).await;
        let [span] = &universe.spans(&sid).await[..] else {
            panic!("one span")
        };
        assert_eq!(span.span.status, SpanStatus::Running);
        assert_eq!(batches.load(Ordering::Relaxed), 1, "with its process");
        // Nobody waits for nothing: what is pushed is committed, with what had gathered.
        let before = Instant::now();
        let event = json!({"type": "span_end", "span_id": "1.1"});
        assert!(universe.push(&sid, event).await.unwrap());
        assert_eq!(before.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_says_a_lot_is_written_at_once_and_never_waits() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            for n in 0..10_000 {
                process.start(&format!("1.{n}"), "").await;
                process.end(&format!("1.{n}")).await;
            }
            process.hang().await
        });
        let sid = universe.play_of("f").await;
        let began = Instant::now();
        let mut seen = 0;
        while seen < 10_000 {
            sleep(Duration::from_millis(1)).await;
            let stored = universe.store.stored_play(&sid).await.unwrap();
            seen = stored.unwrap().past.spans;
        }
        assert!(began.elapsed() <= LINGER + Duration::from_millis(2));
    });
}
