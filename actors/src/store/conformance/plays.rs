//! Rules about plays.

use std::sync::Arc;

use protocol::{EpochMs, Limits, Play, PlaySid, PlayStatus, WorkflowSid, rpc::StartMode};

use super::sample::{
    TEXT, create, ended, logged, new_play, ok, record, running, span, spanned, with_status, write,
    write_as,
};
use protocol::ProcessId;

use crate::store::{Batch, Launch, NewPlay, PlayChange, Reuse, StepPage, Store, StoreError};

type S = Arc<dyn Store>;

fn full() -> NewPlay {
    let mut new = new_play();
    new.play = Play {
        workflow_name: TEXT.to_owned(),
        flow_name: Some(TEXT.to_owned()),
        input_data: format!("{{\"a\": {TEXT:?}}}"),
        parent_play_sid: Some(PlaySid::fresh()),
        parent_span_id: "p/1.1".to_owned(),
        retry_of: Some(PlaySid::fresh()),
        attempt: 3,
        ..ended(&new.play)
    };
    new.launch = Launch {
        timeout_ms: Some(u64::MAX),
        limits: Limits {
            memory_bytes: Some(u64::MAX),
            processes: Some(1),
            ..Limits::default()
        },
        env: [("KEY".to_owned(), TEXT.to_owned())].into(),
        python: Some("/usr/bin/python3".to_owned()),
        start: Some(StartMode::Cold),
        prefill: [(TEXT.to_owned(), serde_json::Value::Null)]
            .into_iter()
            .collect(),
        prefill_only: true,
        nodes_of: Some(PlaySid::fresh()),
    };
    new.depth = 7;
    new.process = Some(ProcessId {
        pid: 7,
        started: u64::MAX,
    });
    new
}

async fn stored(store: &S, sid: &PlaySid) -> Play {
    ok(store.play(sid).await).expect("the play is there")
}

pub(super) async fn every_field_comes_back(store: S) {
    let parent = running(&*store).await.sid;
    let mut new = full();
    new.play.parent_play_sid = Some(parent);
    create(&*store, new.clone()).await;
    assert_eq!(stored(&store, &new.play.sid).await, new.play);
    let stored = ok(store.stored_play(&new.play.sid).await).expect("stored");
    assert_eq!(stored.play, new.play);
    assert_eq!(stored.launch, new.launch);
    assert_eq!(
        (stored.depth, stored.process, stored.past.spans),
        (7, new.process, 0)
    );
}

pub(super) async fn numbers_of_any_size_come_back(store: S) {
    let play = running(&*store).await;
    for started in [0, 1, u64::MAX] {
        let process = ProcessId {
            pid: u32::MAX,
            started,
        };
        write(
            &*store,
            &play,
            vec![crate::store::PlayChange::Process(process)],
        )
        .await;
        let stored = ok(store.stored_play(&play.sid).await).expect("stored");
        assert_eq!(stored.process, Some(process));
    }
    for cpu_ms in [
        0.1 + 0.2,
        1.0 / 3.0,
        5e-324,
        f64::MAX,
        123_456_789.123_456_79,
    ] {
        let mut changed = ended(&with_status(&play, PlayStatus::Running));
        changed.status = PlayStatus::Running;
        changed.duration_ms = Some(cpu_ms);
        changed.usage = changed
            .usage
            .map(|usage| protocol::Usage { cpu_ms, ..usage });
        write(&*store, &changed, vec![record(&changed)]).await;
        assert_eq!(self::stored(&store, &play.sid).await, changed);
    }
}

pub(super) async fn a_change_leaves_the_origin_alone(store: S) {
    let new = new_play();
    create(&*store, new.clone()).await;
    let foreign = full().play;
    let changed = ended(&Play {
        sid: new.play.sid.clone(),
        attempt: 1,
        created_at: EpochMs(1.0),
        ..foreign
    });
    ok(write_as(&*store, &new.play.sid, 0, vec![record(&changed)]).await);
    let expected = Play {
        attempt: 1,
        ..ended(&new.play)
    };
    assert_eq!(stored(&store, &new.play.sid).await, expected);
}

pub(super) async fn an_output_can_be_set_changed_and_taken_away(store: S) {
    let play = running(&*store).await;
    for output in [Some("1"), Some("1"), Some("[2]"), None, Some("null")] {
        let changed = Play {
            output_data: output.map(str::to_owned),
            ..play.clone()
        };
        write(&*store, &play, vec![record(&changed)]).await;
        assert_eq!(stored(&store, &play.sid).await, changed);
    }
}

pub(super) async fn an_unknown_play_is_none(store: S) {
    for sid in ["", "nothing", "0193\u{0}", "%"].map(PlaySid::from) {
        assert_eq!(ok(store.play(&sid).await), None);
        assert!(ok(store.stored_play(&sid).await).is_none());
        assert!(ok(store.spans(&sid, None, 10).await).is_none());
        assert!(ok(store.snapshot(&sid).await).is_none());
        assert!(ok(store.changes(&sid, 0, 10).await).is_empty());
        assert!(ok(store.open_children(&sid).await).is_empty());
        let refused = write_as(&*store, &sid, 0, vec![logged("", "x")]).await;
        let expected = StoreError::NotFound {
            what: "play",
            sid: sid.to_string(),
        };
        assert_eq!(refused, Err(expected));
    }
}

pub(super) async fn a_sid_is_taken_once(store: S) {
    let new = new_play();
    create(&*store, new.clone()).await;
    let mut second = new.clone();
    second.play.workflow_name = "second".to_owned();
    let refused = store.commit(Batch::Create(Box::new(second))).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(stored(&store, &new.play.sid).await, new.play);
}

pub(super) async fn an_old_attempt_is_fenced(store: S) {
    let play = running(&*store).await;
    for attempt in [0, 2] {
        let refused = write_as(&*store, &play.sid, attempt, vec![logged("", "late")]).await;
        let expected = StoreError::Fenced {
            play: play.sid.clone(),
            attempt,
        };
        assert_eq!(refused, Err(expected));
    }
    // Nor can a batch take the attempt back.
    let back = Play {
        attempt: 0,
        ..play.clone()
    };
    let refused = write_as(&*store, &play.sid, 1, vec![record(&back)]).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })));
    assert_eq!(stored(&store, &play.sid).await, play);
}

pub(super) async fn a_holder_raises_the_attempt(store: S) {
    let play = running(&*store).await;
    let second = Play {
        attempt: 2,
        ..play.clone()
    };
    let changes = vec![record(&second), logged("", "of the second")];
    ok(write_as(&*store, &play.sid, 1, changes).await);
    let refused = write_as(&*store, &play.sid, 1, vec![logged("", "late")]).await;
    assert!(matches!(
        refused,
        Err(StoreError::Fenced { attempt: 1, .. })
    ));
    write(&*store, &second, vec![logged("", "in time")]).await;
    assert_eq!(stored(&store, &play.sid).await, second);
}

pub(super) async fn an_ended_play_takes_nothing_more(store: S) {
    let statuses = PlayStatus::ALL.into_iter().filter(|s| s.is_terminal());
    for status in statuses {
        let play = running(&*store).await;
        let over = with_status(&play, status);
        write(&*store, &play, vec![record(&over)]).await;
        for change in [
            record(&play),
            record(&over),
            logged("", "late"),
            spanned(0, span(0)),
        ] {
            let refused = write_as(&*store, &play.sid, 1, vec![change]).await;
            assert!(
                matches!(refused, Err(StoreError::Fenced { .. })),
                "{refused:?}"
            );
        }
        assert_eq!(stored(&store, &play.sid).await, over);
    }
}

pub(super) async fn an_end_is_not_taken_back(store: S) {
    let play = running(&*store).await;
    let over = with_status(&play, PlayStatus::Success);
    for next in [PlayStatus::Running, PlayStatus::Failed] {
        let changes = vec![record(&over), record(&with_status(&play, next))];
        let refused = write_as(&*store, &play.sid, 1, changes).await;
        assert!(
            matches!(refused, Err(StoreError::Fenced { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(stored(&store, &play.sid).await, play);
    // What ends with it is written with it, before or after the record.
    let changes = vec![record(&over), logged("", "last"), record(&over)];
    write(&*store, &play, changes).await;
    assert_eq!(stored(&store, &play.sid).await, over);
}

pub(super) async fn a_record_of_another_play_is_refused(store: S) {
    let (one, two) = (running(&*store).await, running(&*store).await);
    let changes = vec![record(&with_status(&two, PlayStatus::Failed))];
    let refused = write_as(&*store, &one.sid, 1, changes).await;
    assert!(matches!(refused, Err(StoreError::InvalidInput(_))));
    assert_eq!(stored(&store, &one.sid).await, one);
    assert_eq!(stored(&store, &two.sid).await, two);
}

pub(super) async fn a_refused_batch_leaves_nothing(store: S) {
    let play = running(&*store).await;
    let before = ok(store.last_seq().await);
    let changes = vec![
        spanned(0, span(0)),
        logged("1.0", "x"),
        record(&with_status(&play, PlayStatus::AwaitingResume)),
        record(&Play {
            attempt: 0,
            ..play.clone()
        }),
    ];
    assert!(write_as(&*store, &play.sid, 1, changes).await.is_err());
    let snapshot = ok(store.snapshot(&play.sid).await).expect("snapshot");
    assert_eq!(snapshot.play, play);
    assert_eq!((snapshot.spans, snapshot.logs), (vec![], vec![]));
    assert_eq!(ok(store.last_seq().await), before);
}

pub(super) async fn a_process_belongs_to_its_attempt(store: S) {
    use crate::store::PlayChange::Process;
    let play = running(&*store).await;
    let process = ProcessId {
        pid: 42,
        started: 7,
    };
    let before = ok(store.last_seq().await);
    let committed = write(&*store, &play, vec![Process(process)]).await;
    assert_eq!(
        committed.seq, before,
        "no reader sees it, so it takes no number"
    );
    write(
        &*store,
        &play,
        vec![record(&with_status(&play, PlayStatus::AwaitingResume))],
    )
    .await;
    let stored = ok(store.stored_play(&play.sid).await).expect("stored");
    assert_eq!(stored.process, Some(process));
    let second = Play {
        attempt: 2,
        ..play.clone()
    };
    write(&*store, &play, vec![record(&second)]).await;
    let stored = ok(store.stored_play(&play.sid).await).expect("stored");
    assert_eq!(stored.process, None);
    let third = Play { attempt: 3, ..play };
    write(&*store, &second, vec![record(&third), Process(process)]).await;
    let stored = ok(store.stored_play(&third.sid).await).expect("stored");
    assert_eq!((stored.process, stored.play.attempt), (Some(process), 3));
}

pub(super) async fn steps_are_kept_by_their_key(store: S) {
    use crate::store::Past;
    use PlayChange::{Recoveries, Step};

    let step = |key: &str, kept: Option<(bool, &str)>| protocol::Step {
        start: protocol::StepStart {
            function: "".into(),
            key: key.into(),
            parent: "above".into(),
            args: "hash".into(),
            position: (key != "b").then_some(3),
        },
        name: "pay".into(),
        span_id: "1.2".into(),
        start_ms: EpochMs(1.5),
        end_ms: kept.map(|_| EpochMs(2.5)),
        kept: kept.map(|(raised, data)| protocol::Kept {
            raised,
            data: data.into(),
        }),
        strict: false,
    };
    let play = running(&*store).await;
    let before = ok(store.last_seq().await);
    let past = ok(store.stored_play(&play.sid).await).expect("stored").past;
    assert_eq!(past, Past::default());
    let begun = ["c", "a", "b"].map(|key| Step(Arc::new(step(key, None))));
    let committed = write(&*store, &play, begun.to_vec()).await;
    assert_eq!(
        committed.seq, before,
        "no reader sees it, so it takes no number"
    );
    let ended = [("b", (false, "null")), ("a", (true, "[1]"))];
    let ended = ended.map(|(key, kept)| Step(Arc::new(step(key, Some(kept)))));
    let mut changes = ended.to_vec();
    changes.push(Recoveries(2));
    write(&*store, &play, changes).await;
    let StepPage { steps, more } = ok(store.steps(&play.sid, None, 10).await);
    let expected = [
        step("a", Some((true, "[1]"))),
        step("b", Some((false, "null"))),
        step("c", None),
    ];
    assert_eq!((&steps[..], more), (&expected[..], false));
    let first = ok(store.steps(&play.sid, None, 1).await);
    assert_eq!((&first.steps[..], first.more), (&expected[..1], true));
    let behind = ok(store.steps(&play.sid, Some("a".into()), 10).await);
    assert_eq!(behind.steps, expected[1..]);
    let past = ok(store.stored_play(&play.sid).await).expect("stored").past;
    assert_eq!((past.durable, past.recoveries), (true, 2));
}

pub(super) async fn a_fork_has_what_it_reuses(store: S) {
    let step = |key: &str, strict| protocol::Step {
        start: protocol::StepStart {
            key: key.into(),
            parent: "".into(),
            args: "".into(),
            function: TEXT.into(),
            position: Some(1),
        },
        name: TEXT.into(),
        span_id: "1.2".into(),
        start_ms: EpochMs(1.0),
        end_ms: Some(EpochMs(2.0)),
        kept: Some(protocol::Kept {
            raised: false,
            data: "3".into(),
        }),
        strict,
    };
    let origin = running(&*store).await;
    let kept = ["a", "b", "c"].map(|key| PlayChange::Step(Arc::new(step(key, false))));
    write(&*store, &origin, kept.to_vec()).await;
    let fork = async |from: &PlaySid, keys: &[&str]| {
        let mut new = new_play();
        let keys = keys.iter().map(|key| (*key).into()).collect();
        let from = from.clone();
        new.reuse = Some(Reuse { from, keys });
        let sid = new.play.sid.clone();
        create(&*store, new).await;
        let past = ok(store.stored_play(&sid).await).expect("stored").past;
        assert!(past.durable);
        sid
    };
    // What another play kept is found by equal arguments only.
    let first = fork(&origin.sid, &["a", "c", "none"]).await;
    let expected = [step("a", true), step("c", true)];
    assert_eq!(ok(store.steps(&first, None, 10).await).steps, expected);
    let second = fork(&first, &["c"]).await;
    let expected = [step("c", true)];
    assert_eq!(ok(store.steps(&second, None, 10).await).steps, expected);
}

fn keyed(key: &str, workflow: &str) -> NewPlay {
    let mut new = new_play();
    new.play.workflow_sid = WorkflowSid::from(workflow);
    new.idempotency_key = Some(key.to_owned());
    new
}

pub(super) async fn a_key_names_one_play(store: S) {
    let first = keyed(TEXT, "w");
    let committed = create(&*store, first.clone()).await;
    assert_eq!(committed.existing, None);
    let second = keyed(TEXT, "w");
    let again = create(&*store, second.clone()).await;
    assert_eq!(again.existing, Some(first.play.sid.clone()));
    assert_eq!(ok(store.play(&second.play.sid).await), None);
    assert_eq!(again.seq, committed.seq);
    let found = ok(store.play_of_key(TEXT).await);
    assert_eq!(found.as_ref(), Some(&first.play.sid));
    assert_eq!(ok(store.play_of_key("other").await), None);
    // Asking again with the very same play, after a lost answer.
    let same = create(&*store, first.clone()).await;
    assert_eq!(same.existing, Some(first.play.sid));
    assert_eq!(create(&*store, keyed("other", "w")).await.existing, None);
}

pub(super) async fn a_key_of_another_workflow_is_a_conflict(store: S) {
    create(&*store, keyed("k", "w")).await;
    let other = keyed("k", "x");
    let refused = store.commit(Batch::Create(Box::new(other.clone()))).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(ok(store.play(&other.play.sid).await), None);
}
