//! The universe itself: it must not pass a test that leaves something behind.

use hero_logic_actors::{store::Store, testing::universe};
use protocol::PlaySid;

#[test]
#[should_panic(expected = "an actor is left")]
fn an_actor() {
    let mut kept = None;
    universe(async |universe| kept = Some(universe.runtime.clone()));
    drop(kept);
}

#[test]
#[should_panic(expected = "a subscription is left")]
fn a_subscription() {
    let mut kept = None;
    universe(async |universe| {
        kept = Some(universe.store.feed().subscribe(&PlaySid::fresh()));
    });
    drop(kept);
}

#[test]
#[should_panic(expected = "a waiter is left")]
fn a_waiter() {
    let mut kept = None;
    universe(async |universe| {
        let subscribe = hero_logic_actors::registry::Subscribe(PlaySid::fresh());
        kept = Some(universe.runtime.registry().send(subscribe).await.unwrap());
    });
    drop(kept);
}

#[test]
#[should_panic(expected = "a sink is left")]
fn a_sink() {
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = kept.clone();
    universe(async |universe| {
        universe.attempts.script("f", move |process| {
            *keep.lock().unwrap() = Some(process.clone());
            async move { process.hang().await }
        });
        universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
    });
    drop(kept);
}

#[test]
#[should_panic(expected = "never happens")]
fn a_test_that_waits_for_nothing() {
    universe(async |_| std::future::pending().await);
}
