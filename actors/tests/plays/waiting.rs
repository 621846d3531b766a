//! `play_wait`.

use std::time::Duration;

use futures_util::future::join_all;
use hero_logic_actors::{
    play::outcome::Exit,
    testing::{universe, until},
};
use protocol::{ErrorKind, PlayStatus};
use tokio::time::Instant;

#[test]
fn a_terminal_play_is_answered_at_once() {
    universe(async |universe| {
        let sid = universe.play_of("quick").await;
        let ended = universe.ended(&sid).await;
        assert_eq!(ended.status, PlayStatus::Success);
        let asked = Instant::now();
        assert_eq!(universe.ended(&sid).await, ended);
        assert_eq!(asked.elapsed(), Duration::ZERO);
    });
}

#[test]
fn the_timeout_bounds_it_and_the_play_is_told_as_it_stands() {
    universe(async |universe| {
        universe.attempts.script("slow", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("slow").await;
        let asked = Instant::now();
        let play = universe.wait(&sid, 1_500).await.unwrap();
        assert_eq!(play.status, PlayStatus::Running);
        // Tokio's timers have milliseconds.
        assert!(asked.elapsed() >= Duration::from_millis(1_500));
        assert!(asked.elapsed() <= Duration::from_millis(1_502));
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert!(asked.elapsed() <= Duration::from_millis(10_005));
    });
}

#[test]
fn an_unknown_play_is_not_found() {
    universe(async |universe| {
        let error = universe.wait(&"no such play".into(), 0).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    });
}

#[test]
fn ten_thousand_waiters_all_wake() {
    universe(async |universe| {
        universe.attempts.script("slow", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("slow").await;
        let (waits, counted) = tokio::join!(
            join_all((0..10_000).map(|_| universe.wait(&sid, 0))),
            async {
                until("10,000 wait", async || {
                    universe.counts().await.waiters == 10_000
                })
                .await;
                universe.attempts.alive().len()
            }
        );
        assert_eq!(counted, 1, "they waited for a live play");
        for play in waits {
            assert_eq!(play.unwrap().status, PlayStatus::Success);
        }
        until("all are forgotten", async || {
            universe.counts().await.waiters == 0
        })
        .await;
    });
}

#[test]
fn a_waiter_that_leaves_is_forgotten() {
    universe(async |universe| {
        universe
            .attempts
            .script("hang", |process| async move { process.hang().await });
        let sid = universe.play_of("hang").await;
        let mut waits = Box::pin(join_all((0..10_000).map(|_| universe.wait(&sid, 0))));
        tokio::select! {
            _ = &mut waits => panic!("it hangs"),
            () = until("10,000 wait", async || universe.counts().await.waiters == 10_000) => {}
        }
        drop(waits);
        until("all are forgotten", async || {
            universe.counts().await.waiters == 0
        })
        .await;
    });
}

/// The end is published before the play's actor hears that it is committed: who subscribes in
/// between must not wait for ever.
#[test]
fn who_comes_between_the_end_and_its_report_is_answered() {
    universe(async |universe| {
        universe.attempts.script("slow", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("slow").await;
        universe.store.answer_late(Duration::from_secs(1));
        universe.ended(&sid).await;
        let again = tokio::time::timeout(Duration::from_secs(5), universe.ended(&sid)).await;
        assert_eq!(again.expect("answered").status, PlayStatus::Success);
    });
}
