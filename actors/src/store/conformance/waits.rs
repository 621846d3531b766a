//! Steps that wait, and signals.

use std::sync::Arc;

use protocol::{
    EpochMs, Kept, Play, PlaySid, PlayStatus, Signal, Step, StepStart, Wait, WaitKind, WaitStart,
    WaitToken,
};
use serde_json::json;

use super::sample::{TEXT, TIME, ended, logged, ok, record, running, with_status, write, write_as};
use crate::store::{PlayChange, Settled, Store, StoreError, Waiting, Wake};

type S = Arc<dyn Store>;

fn wait(key: &str) -> Wait {
    Wait {
        key: key.into(),
        start: WaitStart {
            kind: WaitKind::Ask,
            name: TEXT.into(),
            schema: None,
            ui: None,
            wake_at: None,
            default: None,
            child: None,
        },
        span_id: "1.2".into(),
        created_at: TIME,
        token: None,
    }
}

fn full_wait(key: &str) -> Wait {
    let plain = wait(key);
    Wait {
        start: WaitStart {
            kind: WaitKind::Event,
            schema: Some(json!({"z": 1, "a": [TEXT]})),
            ui: Some(json!(null)),
            wake_at: Some(EpochMs(TIME.0 + 0.25)),
            default: Some("1.10000000000000000001".into()),
            ..plain.start
        },
        token: Some(WaitToken::fresh()),
        ..plain
    }
}

fn step(key: &str, kept: Option<&str>) -> PlayChange {
    PlayChange::Step(Arc::new(Step {
        start: StepStart {
            function: "".into(),
            key: key.into(),
            parent: "".into(),
            args: "".into(),
            position: None,
        },
        name: TEXT.into(),
        span_id: "1.2".into(),
        start_ms: TIME,
        end_ms: kept.map(|_| TIME),
        kept: kept.map(|data| Kept {
            raised: false,
            data: data.into(),
        }),
        strict: false,
    }))
}

fn opened(wait: &Wait) -> PlayChange {
    PlayChange::Wait(Arc::new(wait.clone()))
}

fn settled(key: &str, data: &str) -> PlayChange {
    let kept = Kept {
        raised: true,
        data: data.into(),
    };
    let (key, kept, at) = (key.into(), Some(kept), EpochMs(TIME.0 + 7.0));
    PlayChange::Settled(Arc::new(Settled { key, kept, at }))
}

async fn waits(store: &S, sid: &PlaySid) -> Vec<Wait> {
    ok(store.waiting(sid).await).waits
}

async fn kept(store: &S, sid: &PlaySid, key: &str) -> Option<Kept> {
    ok(store.step(sid, key).await).expect("a step").kept
}

fn is_conflict<T: std::fmt::Debug>(refused: Result<T, StoreError>) {
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
}

/// A wait for the end of this play.
fn wait_for(key: &str, child: &PlaySid) -> Wait {
    let plain = wait(key);
    Wait {
        start: WaitStart {
            kind: WaitKind::Play,
            child: Some(child.clone()),
            ..plain.start
        },
        ..plain
    }
}

pub(super) async fn a_wait_for_a_child_is_found_by_it_and_comes_to_no_result(store: S) {
    let (play, child, other) = (
        running(&*store).await,
        running(&*store).await,
        running(&*store).await,
    );
    let [first, second] = [wait_for("a", &child.sid), wait_for("b", &other.sid)];
    let begun = ["a", "b"].map(|key| step(key, None)).to_vec();
    let open = [opened(&first), opened(&second)];
    write(&*store, &play, [begun, open.to_vec()].concat()).await;
    assert_eq!(waits(&store, &play.sid).await, [first.clone(), second]);
    let found = ok(store.wait_of_child(&child.sid).await);
    assert_eq!(found, Some((play.sid.clone(), "a".into())));
    assert_eq!(ok(store.wait_of_child(&play.sid).await), None);
    assert_eq!(ok(store.waits_for_ended(9).await), []);
    write(&*store, &child, vec![record(&ended(&child))]).await;
    let of_ended = [(play.sid.clone(), "a".into())];
    assert_eq!(ok(store.waits_for_ended(9).await), of_ended);
    assert_eq!(ok(store.waits_for_ended(0).await), []);
    let over = |key: &str| {
        let (key, kept, at) = (key.into(), None, TIME);
        PlayChange::Settled(Arc::new(Settled { key, kept, at }))
    };
    write(&*store, &play, vec![over("a")]).await;
    assert_eq!(kept(&store, &play.sid, "a").await, None);
    assert_eq!(ok(store.waits_for_ended(9).await), []);
    assert_eq!(ok(store.wait_of_child(&child.sid).await), None);
    is_conflict(write_as(&*store, &play.sid, 1, vec![over("a")]).await);
}

pub(super) async fn a_wait_is_settled_once(store: S) {
    let (play, other) = (running(&*store).await, running(&*store).await);
    assert_eq!(ok(store.waiting(&play.sid).await), Waiting::default());
    let before = ok(store.last_seq().await);
    let mut second = full_wait("b");
    second.created_at = EpochMs(TIME.0 - 1.0);
    let begun = ["a", "b"].map(|key| step(key, None)).to_vec();
    let open = [opened(&wait("a")), opened(&second)];
    write(&*store, &play, [begun, open.to_vec()].concat()).await;
    write(&*store, &other, vec![step("a", None), opened(&wait("a"))]).await;
    assert_eq!(
        waits(&store, &play.sid).await,
        [second, wait("a")],
        "oldest first"
    );
    let committed = write(&*store, &play, vec![settled("b", "[1]")]).await;
    assert_eq!(committed.seq, before, "they take no numbers");
    assert_eq!(waits(&store, &play.sid).await, [wait("a")]);
    let step = ok(store.step(&play.sid, "b").await).expect("a step");
    let result = Kept {
        raised: true,
        data: "[1]".into(),
    };
    assert_eq!(
        (step.kept, step.end_ms),
        (Some(result), Some(EpochMs(TIME.0 + 7.0)))
    );
    is_conflict(write_as(&*store, &play.sid, 1, vec![settled("b", "[2]")]).await);
    is_conflict(write_as(&*store, &play.sid, 1, vec![settled("never", "0")]).await);
    let kept = kept(&store, &play.sid, "b").await.expect("kept");
    assert_eq!(&*kept.data, "[1]");
    assert_eq!(waits(&store, &other.sid).await, [wait("a")]);
    assert_eq!(ok(store.step(&play.sid, "never").await), None);
    assert_eq!(ok(store.step(&"nobody".into(), "a").await), None);
    // At once, as a play writes it that is answered before it is written.
    let at_once = vec![opened(&wait("c")), settled("c", "1")];
    write(&*store, &other, at_once).await;
    assert_eq!(waits(&store, &other.sid).await, [wait("a")]);
}

pub(super) async fn one_that_is_asked_again_keeps_its_token_and_its_time(store: S) {
    let play = running(&*store).await;
    let first = full_wait("a");
    write(&*store, &play, vec![opened(&first)]).await;
    let mut again = full_wait("a");
    again.span_id = "2.9".into();
    again.created_at = EpochMs(TIME.0 + 99.0);
    again.start.schema = None;
    again.start.ui = Some(json!([1]));
    again.start.wake_at = None;
    write(&*store, &play, vec![opened(&again)]).await;
    let mut expected = first;
    expected.span_id = "2.9".into();
    expected.start.schema = None;
    expected.start.ui = Some(json!([1]));
    assert_eq!(waits(&store, &play.sid).await, [expected]);
}

pub(super) async fn a_refused_settlement_leaves_nothing(store: S) {
    let play = running(&*store).await;
    write(&*store, &play, vec![step("a", None), opened(&wait("a"))]).await;
    let before = ok(store.last_seq().await);
    let pending = with_status(&play, PlayStatus::Pending);
    let changes = vec![
        record(&pending),
        logged("1.1", "x"),
        settled("a", "1"),
        settled("b", "1"),
    ];
    is_conflict(write_as(&*store, &play.sid, 1, changes).await);
    assert_eq!(waits(&store, &play.sid).await, [wait("a")]);
    assert_eq!(kept(&store, &play.sid, "a").await, None);
    assert_eq!(ok(store.play(&play.sid).await), Some(play));
    assert_eq!(ok(store.last_seq().await), before);
}

pub(super) async fn wakes_are_in_their_order(store: S) {
    let (first, second) = (running(&*store).await, running(&*store).await);
    assert!(ok(store.wakes(10).await).is_empty());
    let timed = |key: &str, at: f64| {
        let mut wait = wait(key);
        wait.start.wake_at = Some(EpochMs(at));
        opened(&wait)
    };
    let changes = vec![timed("a", 5.0), opened(&wait("b")), timed("c", 1.0)];
    write(&*store, &first, changes).await;
    write(&*store, &second, vec![timed("a", 3.0)]).await;
    let wake = |at: f64, play: &Play, key: &str| Wake {
        at: EpochMs(at),
        play: play.sid.clone(),
        key: key.into(),
    };
    let all = [
        wake(1.0, &first, "c"),
        wake(3.0, &second, "a"),
        wake(5.0, &first, "a"),
    ];
    assert_eq!(ok(store.wakes(10).await), all);
    assert_eq!(ok(store.wakes(2).await), all[..2]);
    write(&*store, &first, vec![settled("c", "1")]).await;
    assert_eq!(ok(store.wakes(10).await), all[1..]);
}

pub(super) async fn a_token_names_one_wait(store: S) {
    let (first, second) = (running(&*store).await, running(&*store).await);
    let mut tokens = Vec::new();
    for play in [&first, &second] {
        let wait = full_wait("a");
        tokens.extend(wait.token.clone());
        write(&*store, play, vec![opened(&wait)]).await;
    }
    write(&*store, &first, vec![opened(&wait("no token"))]).await;
    let named = |play: &Play| Some((play.sid.clone(), "a".into()));
    assert_eq!(ok(store.wait_of_token(&tokens[0]).await), named(&first));
    assert_eq!(ok(store.wait_of_token(&tokens[1]).await), named(&second));
    for nobody in ["", "x", "%"] {
        assert_eq!(ok(store.wait_of_token(&nobody.into()).await), None);
    }
    write(&*store, &second, vec![settled("a", "1")]).await;
    assert_eq!(ok(store.wait_of_token(&tokens[1]).await), None);
}

pub(super) async fn signals_are_kept_in_their_order(store: S) {
    let play = running(&*store).await;
    let all: Vec<_> = (0..4).map(|n| Signal::new(TEXT, &n.to_string())).collect();
    let kept = |signal: &Signal| PlayChange::Signal(Arc::new(signal.clone()));
    for signal in [2, 0, 1, 3] {
        write(&*store, &play, vec![kept(&all[signal])]).await;
    }
    let other = running(&*store).await;
    assert_eq!(ok(store.waiting(&play.sid).await).signals, all);
    let taken = PlayChange::SignalTaken(all[1].id.clone());
    write(&*store, &other, vec![taken.clone()]).await;
    assert_eq!(ok(store.waiting(&play.sid).await).signals, all);
    write(&*store, &play, vec![taken]).await;
    let left = [0, 2, 3].map(|at| all[at].clone());
    assert_eq!(ok(store.waiting(&play.sid).await).signals, left);
}

pub(super) async fn what_has_ended_waits_for_nothing(store: S) {
    let (play, other) = (running(&*store).await, running(&*store).await);
    let wait = full_wait("a");
    for play in [&play, &other] {
        let signal = PlayChange::Signal(Arc::new(Signal::new("go", "1")));
        let mut wait = wait.clone();
        wait.token = (play.sid == other.sid).then(WaitToken::fresh);
        write(&*store, play, vec![opened(&wait), signal]).await;
    }
    let paused = with_status(&play, PlayStatus::AwaitingResume);
    write(&*store, &play, vec![record(&paused)]).await;
    assert_eq!(waits(&store, &play.sid).await.len(), 1);
    let ended = with_status(&play, PlayStatus::Cancelled);
    write(&*store, &play, vec![record(&ended)]).await;
    assert_eq!(ok(store.waiting(&play.sid).await), Waiting::default());
    let wakes = ok(store.wakes(10).await);
    assert!(wakes.iter().all(|wake| wake.play == other.sid) && wakes.len() == 1);
    let left = ok(store.waiting(&other.sid).await);
    assert_eq!((left.waits.len(), left.signals.len()), (1, 1));
    let late = write_as(&*store, &play.sid, 1, vec![settled("a", "1")]).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
}

pub(super) async fn what_is_kept_stays_kept(store: S) {
    let play = running(&*store).await;
    write(&*store, &play, vec![step("a", Some("1"))]).await;
    write(&*store, &play, vec![step("a", None)]).await;
    let before = kept(&store, &play.sid, "a").await.expect("kept");
    assert_eq!(&*before.data, "1", "it is begun again, and was done before");
    write(&*store, &play, vec![step("a", Some("2"))]).await;
    let after = kept(&store, &play.sid, "a").await.expect("kept");
    assert_eq!(&*after.data, "2");
}
