//! A play's actor that panics takes nothing with it but its play.

use std::time::Duration;

use hero_logic_actors::{
    play::{messages::Panic, outcome::Exit},
    registry::messages::ActorOf,
    store::StoreError,
    testing::{Universe, universe, until},
};
use protocol::{CauseKind, PlaySid, PlayStatus, SpanStatus};

async fn panic_in(universe: &Universe, sid: &PlaySid, text: &str) {
    let actor = universe
        .runtime
        .registry()
        .send(ActorOf(sid.clone()))
        .await
        .unwrap();
    let actor = actor.expect("a live play");
    assert!(
        actor.send(Panic(text.into())).await.is_err(),
        "it dies of it"
    );
}

#[test]
fn only_its_own_play_ends() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            process.start("1.2", "1.1").await;
            process.hang().await
        });
        let workflow = universe.flow("f").await;
        let (doomed, other) = (
            universe.run(&workflow).await.unwrap(),
            universe.run(&workflow).await.unwrap(),
        );
        until("both are under way", async || {
            universe.spans(&doomed).await.len() + universe.spans(&other).await.len() == 4
        })
        .await;
        let (ended, ()) = tokio::join!(
            universe.ended(&doomed),
            panic_in(universe, &doomed, "on purpose, 4711")
        );
        let cause = ended.cause.unwrap();
        assert_eq!(
            (ended.status, cause.kind),
            (PlayStatus::Failed, CauseKind::Internal)
        );
        assert!(
            cause.message.contains("on purpose, 4711"),
            "{}",
            cause.message
        );
        assert_eq!(
            universe.attempts.exit_of(&doomed),
            Some(Exit::Signal(9)),
            "its process was killed first"
        );
        for span in universe.spans(&doomed).await {
            assert_eq!(span.span.status, SpanStatus::Failed);
            assert!(span.span.end_ms.is_some());
        }

        assert_eq!(universe.status(&other).await, PlayStatus::Running);
        assert_eq!(universe.attempts.alive(), std::slice::from_ref(&other));
        assert_eq!(universe.counts().await.running, 1, "the slot is free");
        let third = universe.run(&workflow).await.unwrap();
        assert_eq!(universe.status(&third).await, PlayStatus::Running);
    });
}

#[test]
fn its_children_end_with_it() {
    universe(async |universe| {
        universe.flow("child").await;
        universe
            .attempts
            .script("child", |process| async move { process.hang().await });
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            process.invoke("child", "1.1").await.unwrap();
            process.hang().await
        });
        let parent = universe.play_of("parent").await;
        let child = universe.attempts.a_play_of("child").await;
        panic_in(universe, &parent, "boom").await;
        let cause = universe.ended(&child).await.cause.unwrap();
        assert_eq!(cause.kind, CauseKind::Cancelled);
        assert!(cause.by.unwrap().contains(parent.as_str()));
    });
}

/// The disk is full as it dies: its end is recorded when there is room again.
#[test]
fn its_end_is_recorded_even_if_that_takes_a_while() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        universe.store.refuse(StoreError::Full("no space".into()));
        panic_in(universe, &sid, "boom").await;
        until("it is tried", async || universe.store.refused() > 3).await;
        assert_eq!(universe.status(&sid).await, PlayStatus::Running);
        universe.store.heal();
        let play = tokio::time::timeout(Duration::from_secs(60), universe.ended(&sid)).await;
        assert_eq!(
            play.expect("recorded").cause.unwrap().kind,
            CauseKind::Internal
        );
        assert_eq!(universe.counts().await.running, 0);
    });
}
