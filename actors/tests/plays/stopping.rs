//! The stop of a server, and its next start.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    store::{Store, StoreError},
    testing::{Setup, universe, until},
};
use protocol::{ErrorKind, PlayStatus, SpanStatus};

#[test]
fn live_plays_are_recorded_and_new_ones_refused() {
    universe(async |universe| {
        universe.attempts.script("polite", |process| async move {
            process.start("1.1", "").await;
            process.hang().await
        });
        universe.attempts.script("deaf", |process| async move {
            process.ignore_term();
            process.hang().await
        });
        let polite = universe.play_of("polite").await;
        let deaf = universe.play_of("deaf").await;
        let late = universe.flow("late").await;
        until("it speaks", async || {
            universe.spans(&polite).await.len() == 1
        })
        .await;
        let began = tokio::time::Instant::now();
        let (refused, ()) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                universe.run(&late).await
            },
            universe.stop(Duration::from_secs(5)),
        );
        assert_eq!(refused.unwrap_err().kind, ErrorKind::Unavailable);
        assert!(
            (5_000..5_050).contains(&began.elapsed().as_millis()),
            "{:?}",
            began.elapsed()
        );

        // They go on in a further attempt, when there is a server again.
        universe.store.reopen();
        for sid in [&polite, &deaf] {
            let play = universe.play(sid).await;
            assert_eq!((play.status, play.attempt), (PlayStatus::Pending, 1));
        }
        assert_eq!(
            universe.spans(&polite).await[0].span.status,
            SpanStatus::Cancelled
        );
    });
}

#[test]
fn pending_plays_wait_for_the_next_server() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        let live = universe.run(&workflow).await.unwrap();
        let pending = universe.run(&workflow).await.unwrap();
        universe.attempts.a_play_of("f").await;
        universe.attempts.script("f", |_| async { Exit::Code(0) });
        universe.restart().await;
        assert_eq!(universe.ended(&pending).await.status, PlayStatus::Success);
        let live = universe.ended(&live).await;
        assert_eq!((live.status, live.attempt), (PlayStatus::Success, 2));
    });
}

/// A pending child of a play that was interrupted is not started without its parent.
#[test]
fn but_not_those_whose_parent_was_stopped() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        let child = universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            process.invoke("child", "1.1").await.unwrap();
            process.hang().await
        });
        universe.play_of("parent").await;
        until("it is stored", async || universe.pending().await == 1).await;
        let children = protocol::rpc::PlayList {
            workflow_sid: Some(child),
            ..Default::default()
        };
        let children = universe.runtime.play_list(children).await.unwrap().items;
        // The server goes down before it comes to cancelling it.
        let full = StoreError::Full("no space".into());
        universe.store.refuse_play(&children[0].sid, full);
        universe.restart().await;
        let ended = universe.ended(&children[0].sid).await;
        assert_eq!(ended.status, PlayStatus::Cancelled);
        assert!(!universe.attempts.started().contains(&"child".to_owned()));
    });
}

/// The disk is full for good: the stop does not hang on it.
#[test]
fn a_store_that_fails_does_not_hold_it_up() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        universe.store.refuse(StoreError::Full("no space".into()));
        let began = tokio::time::Instant::now();
        universe.stop(Duration::from_secs(5)).await;
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            began.elapsed()
        );
        universe.store.reopen();
        // What the next server finds, and tidies up.
        assert_eq!(
            universe.store.play(&sid).await.unwrap().unwrap().status,
            PlayStatus::Running
        );
    });
}

#[test]
fn it_can_be_stopped_again() {
    universe(async |universe| {
        universe.stop(Duration::ZERO).await;
        universe.stop(Duration::ZERO).await;
        let error = universe
            .runtime
            .play_get(protocol::rpc::PlayRef {
                play_sid: "x".into(),
            })
            .await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Unavailable);
    });
}

/// Marked as running, and the server stops before it is started: it waits for the next server.
#[test]
fn a_play_that_was_just_taken_from_the_queue_is_pending_again() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let first = universe.run(&workflow).await.unwrap();
        let second = universe.run(&workflow).await.unwrap();
        universe.attempts.a_play_of("f").await;
        tokio::time::sleep(Duration::from_secs(9)).await;
        universe.store.answer_late(Duration::from_secs(5));
        until("the second is taken", async || {
            universe.status(&second).await == PlayStatus::Running
        })
        .await;
        universe.stop(Duration::from_secs(1)).await;
        universe.store.reopen();
        let stored = async |sid| universe.store.play(sid).await.unwrap().unwrap();
        assert_eq!(stored(&first).await.status, PlayStatus::Success);
        let waits = stored(&second).await;
        assert_eq!((waits.status, waits.attempt), (PlayStatus::Pending, 1));
        assert!(waits.started_at.is_none() && waits.cause.is_none());
        universe.restart().await;
        let ended = universe.ended(&second).await;
        assert_eq!((ended.status, ended.attempt), (PlayStatus::Success, 2));
        assert_eq!(universe.attempts.started().len(), 2);
    });
}

/// The same of one that was just being created: it was accepted, so it is not lost.
#[test]
fn a_play_that_was_just_created_is_pending_again() {
    universe(async |universe| {
        universe.attempts.script("f", |_| async { Exit::Code(0) });
        let workflow = universe.flow("f").await;
        universe.store.answer_late(Duration::from_secs(2));
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            universe.stop(Duration::from_secs(1)).await;
        };
        let (sid, ()) = tokio::join!(universe.run(&workflow), stop);
        let sid = sid.unwrap();
        universe.store.reopen();
        let waits = universe.store.play(&sid).await.unwrap().unwrap();
        assert_eq!((waits.status, waits.attempt), (PlayStatus::Pending, 1));
        assert!(universe.attempts.started().is_empty());
        universe.restart().await;
        let ended = universe.ended(&sid).await;
        assert_eq!((ended.status, ended.attempt), (PlayStatus::Success, 2));
    });
}
