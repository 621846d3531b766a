//! A store that fails for a while, or for good; and how much a play keeps in memory.

use std::time::Duration;

use hero_logic_actors::{
    ingest::Event,
    play::{limits::built_in, outcome::Exit, state::State, stop::StopReason},
    store::{Batch, PlayChange, StoreError},
    testing::{BIG_BANG, Happened, universe, until},
};
use protocol::{
    CauseKind, PlayStatus, SpanStatus,
    event::{Line, decode},
};
use serde_json::json;

#[test]
fn a_full_disk_loses_nothing_when_there_is_room_again() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            for n in 2..200 {
                process.start(&format!("1.{n}"), "1.1").await;
                process
                    .say(json!({"type": "span_log", "span_id": format!("1.{n}"), "text": "x"}))
                    .await;
                process.end(&format!("1.{n}")).await;
                process.sleep(Duration::from_millis(100)).await;
            }
            process.output(json!("done")).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("f").await;
        until("it is under way", async || {
            universe.spans(&sid).await.len() > 50
        })
        .await;
        universe.store.refuse(StoreError::Full("no space".into()));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let stuck = universe.spans(&sid).await.len();
        assert!(stuck < 100 && universe.store.refused() > 10);
        assert_eq!(universe.status(&sid).await, PlayStatus::Running);
        universe.store.heal();
        let play = universe.ended(&sid).await;
        assert_eq!(
            (play.status, play.output_data.as_deref()),
            (PlayStatus::Success, Some("\"done\""))
        );
        let spans = universe.spans(&sid).await;
        assert_eq!(spans.len(), 199);
        assert!(spans.iter().all(|span| span.span.status == SpanStatus::Ok));
        assert_eq!(spans.iter().map(|span| span.logs.len()).sum::<usize>(), 198);
        assert_eq!(play.skipped, None);
    });
}

#[test]
fn an_end_that_can_not_be_written_is_not_told() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(1)).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        universe
            .store
            .refuse(StoreError::Trouble("disk I/O error".into()));
        assert_eq!(
            universe.wait(&sid, 600_000).await.unwrap().status,
            PlayStatus::Running
        );
        assert_eq!(universe.counts().await.running, 1);
        universe.store.heal();
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert_eq!(universe.counts().await.running, 0);
    });
}

/// Trying it again would be in vain, for ever.
#[test]
fn a_batch_that_can_never_be_written_ends_its_play_and_no_other() {
    universe(async |universe| {
        for name in ["f", "g"] {
            universe.attempts.script(name, |process| async move {
                process.start("1.1", "").await;
                process
                    .say(json!({"type": "span_log", "span_id": "1.1", "text": "x"}))
                    .await;
                process.sleep(Duration::from_secs(10)).await;
                Exit::Code(0)
            });
        }
        let unwritable = |batch: &Batch| match batch {
            Batch::Play { changes, .. } => changes
                .iter()
                .any(|change| matches!(change, PlayChange::Log(_))),
            _ => false,
        };
        let bad = universe.play_of("f").await;
        let sid = bad.clone();
        universe.store.refuse_where(
            move |batch| {
                matches!(batch, Batch::Play { fence, .. } if fence.play == sid) && unwritable(batch)
            },
            StoreError::Backend("a row that does not fit".into()),
        );
        let good = universe.play_of("g").await;
        let play = universe.ended(&bad).await;
        let cause = play.cause.unwrap();
        assert_eq!(
            (play.status, cause.kind),
            (PlayStatus::Failed, CauseKind::Internal)
        );
        assert!(
            cause.message.contains("a row that does not fit"),
            "{cause:?}"
        );
        assert_eq!(universe.store.refused(), 1);
        assert_eq!(universe.ended(&good).await.status, PlayStatus::Success);
        assert_eq!(universe.counts().await.running, 0);
    });
}

/// A pushed event is answered when it is committed, not before.
#[test]
fn a_push_waits_for_its_commit() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        universe.store.refuse(StoreError::Full("no space".into()));
        let start = json!({"type": "span_start", "span_id": "1.1", "name": "a"});
        let (pushed, ()) = tokio::join!(universe.push(&sid, start), async {
            until("it is tried", async || universe.store.refused() > 3).await;
            assert!(universe.spans(&sid).await.is_empty());
            universe.store.heal();
        });
        assert!(pushed.unwrap());
        assert_eq!(universe.spans(&sid).await.len(), 1);
    });
}

#[test]
fn who_lost_the_right_to_write_stops_its_process() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(1)).await;
            process.start("1.1", "").await;
            process.hang().await
        });
        let sid = universe.play_of("f").await;
        let fenced = StoreError::Fenced {
            play: sid.clone(),
            attempt: 1,
        };
        universe.attempts.a_play_of("f").await;
        until("its process is recorded", async || {
            use hero_logic_actors::store::Store;
            universe
                .store
                .stored_play(&sid)
                .await
                .unwrap()
                .unwrap()
                .process
                .is_some()
        })
        .await;
        universe.store.refuse_play(&sid, fenced);
        until("it has given up", async || {
            universe.counts().await.running == 0
        })
        .await;
        assert_eq!(universe.attempts.exit_of(&sid), Some(Exit::Signal(9)));
        let abandoned = universe.attempts.log().into_iter().any(|happened| {
            matches!(happened, Happened::Ordered { order, .. } if matches!(order.reason, StopReason::Abandoned { .. }))
        });
        assert!(abandoned);
        universe.store.heal();
        let other = universe.play_of("g").await;
        assert_eq!(universe.ended(&other).await.status, PlayStatus::Success);
    });
}

/// A queue that can't be read is tried again, also when no play is left whose end would be an
/// occasion.
#[test]
fn the_queue_is_tried_again() {
    let setup = hero_logic_actors::testing::Setup {
        max_plays: 1,
        ..Default::default()
    };
    setup.run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.sleep(Duration::from_secs(1)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let first = universe.run(&workflow).await.unwrap();
        let second = universe.run(&workflow).await.unwrap();
        universe
            .store
            .refuse_play(&second, StoreError::Full("no space".into()));
        universe.ended(&first).await;
        until("it is tried", async || universe.store.refused() > 3).await;
        universe.store.heal();
        assert_eq!(universe.ended(&second).await.status, PlayStatus::Success);
    });
}

#[test]
fn a_store_that_fails_refuses_new_plays_and_holds_no_slot() {
    universe(async |universe| {
        let workflow = universe.flow("f").await;
        universe.store.refuse(StoreError::Full("no space".into()));
        for _ in 0..20 {
            let error = universe.run(&workflow).await.unwrap_err();
            assert_eq!(error.kind, protocol::ErrorKind::Unavailable);
        }
        universe.store.heal();
        let sid = universe.run(&workflow).await.unwrap();
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
    });
}

#[test]
fn a_hundred_thousand_spans_leave_one_in_memory() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        let mut state = State::new(
            universe.play(&sid).await,
            hero_logic_actors::store::Past::default(),
            built_in(),
        );
        let mut apply = |event: serde_json::Value| {
            let Ok(Line::Event(event)) = decode(event.to_string().as_bytes()) else {
                panic!("{event}")
            };
            state.apply([Event::Wire(event)], BIG_BANG).len()
        };
        apply(json!({"type": "span_start", "span_id": "1.0", "name": "root"}));
        for n in 1..100_000 {
            let id = format!("1.{n}");
            assert_eq!(
                apply(
                    json!({"type": "span_start", "span_id": id, "name": "s", "parent_id": "1.0"})
                ),
                1
            );
            assert_eq!(apply(json!({"type": "span_end", "span_id": id})), 1);
        }
        assert_eq!(
            (state.tree().open_spans(), state.tree().spans()),
            (1, 100_000)
        );
        assert_eq!(
            state.tree().remembered(),
            1,
            "what was seen is one interval"
        );
    });
}

#[test]
fn a_play_of_many_spans_arrives_whole() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.0", "").await;
            for batch in 0..20 {
                process
                    .say_all((1..=500).flat_map(|n| {
                        let id = format!("1.{}", batch * 500 + n);
                        [
                            json!({"type": "span_start", "span_id": id, "name": "s", "parent_id": "1.0"}),
                            json!({"type": "span_end", "span_id": id}),
                        ]
                    }))
                    .await;
            }
            Exit::Code(0)
        });
        let sid = universe.play_of("f").await;
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        use hero_logic_actors::store::Store;
        assert_eq!(
            universe
                .store
                .stored_play(&sid)
                .await
                .unwrap()
                .unwrap()
                .past
                .spans,
            10_001
        );
    });
}
