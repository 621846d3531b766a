//! Slots, and the plays that wait for one.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    testing::{Happened, Setup, until},
};
use protocol::{CauseKind, PlayStatus};
use tokio::time::sleep;

fn one_slot() -> Setup {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
}

#[test]
fn pending_plays_start_in_the_order_of_their_creation() {
    one_slot().run(async |universe| {
        let mut sids = Vec::new();
        let mut expected = Vec::new();
        for number in 0..100 {
            let flow = format!("f{number}");
            universe.attempts.script(&flow, |process| async move {
                process.sleep(Duration::from_millis(10)).await;
                Exit::Code(0)
            });
            sids.push(universe.play_of(&flow).await);
            expected.push(flow);
        }
        assert_eq!(universe.status(&sids[99]).await, PlayStatus::Pending);
        assert_eq!(universe.ended(&sids[99]).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.started(), expected);
        for sid in &sids {
            let play = universe.ended(sid).await;
            assert_eq!((play.status, play.attempt), (PlayStatus::Success, 1));
        }
        assert_eq!(universe.pending().await, 0);
    });
}

#[test]
fn never_more_than_the_slots_run() {
    let setup = Setup {
        max_plays: 3,
        ..Setup::default()
    };
    setup.run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(1)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let mut last = None;
        for _ in 0..30 {
            last = Some(universe.run(&workflow).await.unwrap());
        }
        let mut most = 0;
        let attempts = universe.attempts.clone();
        let last = last.unwrap();
        let began = tokio::time::Instant::now();
        until("all ended", async || {
            most = most.max(attempts.alive().len());
            universe.status(&last).await.is_terminal()
        })
        .await;
        assert_eq!(most, 3);
        assert!(
            began.elapsed() < Duration::from_secs(11),
            "and all of them are used"
        );
    });
}

#[test]
fn a_pending_play_is_cancelled_in_its_row() {
    one_slot().run(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        let live = universe.run(&workflow).await.unwrap();
        let pending = universe.run(&workflow).await.unwrap();
        let next = universe.run(&workflow).await.unwrap();
        assert_eq!(universe.status(&pending).await, PlayStatus::Pending);
        assert_eq!(universe.play(&pending).await.attempt, 0);
        let (waited, cancelled) = tokio::join!(universe.ended(&pending), universe.cancel(&pending));
        let play = cancelled.unwrap();
        assert_eq!(waited, play);
        let cause = play.cause.unwrap();
        assert_eq!(
            (play.status, cause.kind, cause.by.as_deref()),
            (PlayStatus::Cancelled, CauseKind::Cancelled, Some("caller"))
        );
        assert!(play.started_at.is_none() && play.duration_ms.is_some());
        assert_eq!(universe.pending().await, 1);

        universe.cancel(&live).await.unwrap();
        until("the next one runs", async || {
            universe.status(&next).await == PlayStatus::Running
        })
        .await;
        assert_eq!(universe.attempts.started().len(), 2);
    });
}

/// More than are kept in memory, some cancelled before their turn, others coming all the time.
#[test]
fn a_long_queue_is_started_in_its_order() {
    one_slot().run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_millis(100)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let mut created = Vec::new();
        for _ in 0..600 {
            created.push(universe.run(&workflow).await.unwrap());
        }
        let cancelled: Vec<_> = created.iter().skip(3).step_by(7).cloned().collect();
        for sid in &cancelled {
            universe.cancel(sid).await.unwrap();
        }
        for _ in 0..300 {
            sleep(Duration::from_millis(130)).await;
            created.push(universe.run(&workflow).await.unwrap());
        }
        let last = created.last().unwrap();
        assert_eq!(universe.ended(last).await.status, PlayStatus::Success);
        created.retain(|sid| !cancelled.contains(sid));
        let log = universe.attempts.log();
        let started = log.into_iter().filter_map(|happened| match happened {
            Happened::Started { play, .. } => Some(play),
            _ => None,
        });
        assert_eq!(started.collect::<Vec<_>>(), created);
    });
}

/// One more comes while the one before it is being started.
#[test]
fn a_play_that_comes_while_the_queue_is_read_is_not_forgotten() {
    one_slot().run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let first = universe.run(&workflow).await.unwrap();
        let second = universe.run(&workflow).await.unwrap();
        universe.store.answer_late(Duration::from_secs(1));
        universe.ended(&first).await;
        // The second is taken from the queue, which is empty then.
        until("it is taken", async || {
            universe.status(&second).await == PlayStatus::Running
        })
        .await;
        let third = universe.run(&workflow).await.unwrap();
        assert_eq!(universe.status(&third).await, PlayStatus::Pending);
        let third = tokio::time::timeout(Duration::from_secs(60), universe.ended(&third)).await;
        assert_eq!(third.expect("it was started").status, PlayStatus::Success);
    });
}

#[test]
fn without_dispatch_plays_wait_for_another_server() {
    let setup = Setup {
        dispatch: false,
        ..Setup::default()
    };
    setup.run(async |universe| {
        let sid = universe.play_of("f").await;
        let waited = universe.wait(&sid, 3_600_000).await.unwrap();
        assert_eq!(waited.status, PlayStatus::Pending);
        assert!(universe.attempts.started().is_empty());
        assert_eq!(
            universe.cancel(&sid).await.unwrap().status,
            PlayStatus::Cancelled
        );
    });
}
