//! Plays that wait: who comes with what when.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    registry::messages::Panic,
    store::{Batch, PlayChange, StoreError},
    testing::{BIG_BANG, Happened, Universe, universe, until},
};
use protocol::{
    CauseKind, EpochMs, ErrorKind, Play, PlaySid, PlayStatus,
    rpc::{PlayRef, PlayResume, PlaySignal},
};
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400 / 2);

/// A flow of this name pauses with this, until it was settled.
fn pauses(universe: &Universe, name: &str, wait: Value) {
    universe.attempts.script(name, move |process| {
        let wait = wait.clone();
        async move {
            let attempt = process.brief.attempt;
            let root = format!("{attempt}.0");
            process.start(&root, "").await;
            let store = process.brief.kept.clone();
            let kept = match &store {
                Some(store) => store.step(&process.brief.play, "k").await.unwrap(),
                None => None,
            };
            if let Some(kept) = kept.and_then(|step| step.kept) {
                process
                    .output(serde_json::from_str(&kept.data).unwrap())
                    .await;
                process.end(&root).await;
                return Exit::Code(0);
            }
            let span = format!("{attempt}.1");
            let start =
                json!({"type": "span_start", "span_id": span, "name": "w", "step": {"key": "k"}});
            process.say(start).await;
            process
                .say(json!({"type": "pause", "span_id": span, "wait": wait}))
                .await;
            Exit::Code(75)
        }
    });
}

async fn awaits(universe: &Universe, sid: &PlaySid) {
    until("it does not wait", async || {
        universe.status(sid).await == PlayStatus::AwaitingResume
    })
    .await;
}

async fn resume(universe: &Universe, sid: &PlaySid, payload: Value) -> protocol::Result<()> {
    let resume = PlayResume {
        play_sid: sid.clone(),
        resume_id: "k".into(),
        payload,
    };
    universe.runtime.play_resume(resume).await.map(drop)
}

fn started(universe: &Universe) -> Vec<u32> {
    let log = universe.attempts.log().into_iter();
    log.filter_map(|happened| match happened {
        Happened::Started { attempt, .. } => Some(attempt),
        _ => None,
    })
    .collect()
}

/// The record of a play that is about to wait.
fn leaves_to_wait(batch: &Batch) -> bool {
    let awaits = |play: &Play| play.status == PlayStatus::AwaitingResume;
    matches!(batch, Batch::Play { changes, .. }
        if changes.iter().any(|c| matches!(c, PlayChange::Play(play) if awaits(play))))
}

fn ask() -> Value {
    json!({"kind": "ask", "name": "ok?"})
}

#[test]
fn an_answer_that_comes_while_the_pause_is_being_recorded_is_not_lost() {
    universe(async |universe| {
        pauses(universe, "f", ask());
        universe
            .store
            .refuse_where(leaves_to_wait, StoreError::Trouble("disk I/O error".into()));
        let sid = universe.play_of("f").await;
        until("its end is not recorded", async || {
            universe.store.refused() > 1
        })
        .await;
        let heals = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(universe.status(&sid).await, PlayStatus::Running);
            universe.store.heal();
        };
        let (answered, ()) = tokio::join!(resume(universe, &sid, json!(7)), heals);
        assert_eq!(answered, Ok(()));
        let play = universe.ended(&sid).await;
        assert_eq!((play.output_data.as_deref(), play.attempt), (Some("7"), 2));
    });
}

#[test]
fn an_answer_that_comes_while_it_is_tidied_up_is_not_lost() {
    universe(async |universe| {
        pauses(universe, "f", ask());
        universe.attempts.tidy_late(Duration::from_secs(10));
        let sid = universe.play_of("f").await;
        awaits(universe, &sid).await;
        assert_eq!(universe.counts().await.running, 1, "its actor is leaving");
        resume(universe, &sid, json!(7)).await.unwrap();
        assert_eq!(universe.status(&sid).await, PlayStatus::Pending);
        assert_eq!(universe.counts().await.running, 1, "nobody waits for that");
        let again = resume(universe, &sid, json!(8)).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
        let play = universe.ended(&sid).await;
        assert_eq!(play.output_data.as_deref(), Some("7"));
        assert_eq!(started(universe), [1, 2]);
    });
}

#[test]
fn a_play_sleeps_for_days_without_a_process_and_wakes_in_time() {
    universe(async |universe| {
        let ms = DAY.as_secs_f64() * 1_000.0;
        for (name, at) in [("late", 3.0), ("early", 1.0), ("later", 4.0)] {
            let at = BIG_BANG.0 + at * ms;
            pauses(
                universe,
                name,
                json!({"kind": "sleep", "name": "s", "wake_at": at}),
            );
        }
        let late = universe.play_of("late").await;
        awaits(universe, &late).await;
        let early = universe.play_of("early").await;
        awaits(universe, &early).await;
        until("an actor is left", async || {
            universe.counts().await.running == 0
        })
        .await;
        universe.attempts.assert_none_alive();
        let woke = |play: &Play, days: f64| {
            let at = play.completed_at.unwrap_or(EpochMs(0.0));
            let due = BIG_BANG.0 + days * ms;
            assert!(
                (0.0..5_000.0).contains(&(at.0 - due)),
                "{} after",
                at.0 - due
            );
        };
        woke(&universe.ended(&early).await, 1.0);
        // Another registry has the timer, too.
        let died = universe.runtime.registry().send(Panic("boom".into())).await;
        assert!(died.is_err());
        let later = universe.play_of("later").await;
        awaits(universe, &later).await;
        woke(&universe.ended(&late).await, 3.0);
        universe.restart().await;
        woke(&universe.ended(&later).await, 4.0);
    });
}

#[test]
fn a_stop_leaves_those_that_wait_as_they_are() {
    universe(async |universe| {
        pauses(universe, "f", json!({"kind": "event", "name": "go"}));
        let sid = universe.play_of("f").await;
        awaits(universe, &sid).await;
        universe.restart().await;
        assert_eq!(universe.status(&sid).await, PlayStatus::AwaitingResume);
        let asked = PlayRef {
            play_sid: sid.clone(),
        };
        let questions = universe.runtime.play_pending_resumes(asked).await;
        assert_eq!(questions, Ok(Vec::new()), "an event is no question");
        let signal = |name: &str| PlaySignal {
            play_sid: sid.clone(),
            name: name.into(),
            payload: json!([1]),
        };
        universe.runtime.play_signal(signal("other")).await.unwrap();
        universe.runtime.play_signal(signal("go")).await.unwrap();
        let play = universe.ended(&sid).await;
        assert_eq!(play.output_data.as_deref(), Some("[1]"));
        let late = universe
            .runtime
            .play_signal(signal("go"))
            .await
            .unwrap_err();
        assert_eq!(late.kind, ErrorKind::Conflict);
    });
}

#[test]
fn to_ask_again_is_no_progress() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            let root = format!("{}.0", process.brief.attempt);
            process.start(&root, "").await;
            let span = format!("{}.1", process.brief.attempt);
            let start =
                json!({"type": "span_start", "span_id": span, "name": "w", "step": {"key": "k"}});
            process.say(start).await;
            let pause = json!({"type": "pause", "span_id": span, "wait": ask()});
            process.say(pause).await;
            if process.brief.attempt > 9 {
                process.hang().await;
            }
            Exit::Signal(9)
        });
        let sid = universe.play_of("f").await;
        let play = universe.ended(&sid).await;
        let kind = play.cause.map(|cause| cause.kind);
        assert_eq!(kind, Some(CauseKind::RecoveryExhausted));
        assert_eq!(started(universe), [1, 2, 3, 4, 5, 6]);
    });
}

/// The play is started with what is kept then, not with what was read before somebody else kept something.
#[test]
fn a_signal_that_comes_with_an_answer_is_not_lost() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            let attempt = process.brief.attempt;
            let root = format!("{attempt}.0");
            process.start(&root, "").await;
            let (key, wait) = match attempt {
                1 => ("k", ask()),
                _ => ("e", json!({"kind": "event", "name": "go"})),
            };
            let span = format!("{attempt}.1");
            let start =
                json!({"type": "span_start", "span_id": span, "name": "w", "step": {"key": key}});
            process.say(start).await;
            let pause = json!({"type": "pause", "span_id": span, "wait": wait});
            let answer = process.acknowledged(pause).await.unwrap();
            if answer.get("payload").is_none() {
                return Exit::Code(75);
            }
            process.output(answer["payload"].clone()).await;
            process.end(&root).await;
            Exit::Code(0)
        });
        let sid = universe.play_of("f").await;
        awaits(universe, &sid).await;
        let signal = PlaySignal {
            play_sid: sid.clone(),
            name: "go".into(),
            payload: json!(2),
        };
        let signal = universe.runtime.play_signal(signal);
        let (answered, signalled) = tokio::join!(resume(universe, &sid, json!(1)), signal);
        assert!(answered.is_ok() && signalled.is_ok());
        let play = universe.ended(&sid).await;
        assert_eq!((play.output_data.as_deref(), play.attempt), (Some("2"), 2));
    });
}

#[test]
fn what_a_cancelled_parent_had_started_waits_no_more() {
    universe(async |universe| {
        pauses(universe, "child", ask());
        universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.0", "").await;
            let child = process.invoke("child", "1.0").await.unwrap();
            drop(process.wait(&child).await);
            Exit::Code(0)
        });
        let parent = universe.play_of("parent").await;
        let child = universe.attempts.a_play_of("child").await;
        awaits(universe, &child).await;
        universe.cancel(&parent).await.unwrap();
        assert_eq!(universe.ended(&child).await.status, PlayStatus::Cancelled);
        let late = resume(universe, &child, json!(1)).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::Conflict);
    });
}
