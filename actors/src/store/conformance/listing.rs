//! Rules about what is told of many plays: summaries, searches, facts to be counted, what changed, open questions.

use std::sync::Arc;

use protocol::{
    Cause, CauseKind, EpochMs, Play, PlaySid, PlayStatus, PlaySummary, Wait, WaitKind, WaitStart,
    WaitToken, Workflow, overview::QuestionList, rpc::PlayList,
};
use serde_json::json;

use super::sample::{
    TEXT, TIME, create, ended, library, new_play, ok, record, running, stored_workflow,
    with_status, write,
};
use crate::store::{LibraryChange, ListBody, NewPlay, PlayChange, PlayFacts, Store, StoreError};

type S = Arc<dyn Store>;

fn wait(key: &str, created_at: f64, kind: WaitKind) -> Wait {
    Wait {
        key: key.into(),
        start: WaitStart {
            kind,
            name: TEXT.into(),
            schema: Some(json!({"type": "string"})),
            ui: None,
            wake_at: Some(EpochMs(created_at + 0.5)),
            default: Some("null".into()),
            child: None,
        },
        span_id: "1.2".into(),
        created_at: EpochMs(created_at),
        token: (kind == WaitKind::Ask).then(WaitToken::fresh),
    }
}

async fn waits(store: &S, play: &Play, waits: &[Wait]) {
    let opened = waits.iter().cloned().map(Arc::new).map(PlayChange::Wait);
    write(&**store, play, opened.collect()).await;
}

/// Follows the cursors to the end.
async fn summaries(store: &S, query: PlayList) -> Vec<PlaySummary> {
    let (mut found, mut cursor) = (Vec::new(), query.cursor.clone());
    loop {
        let query = query.clone();
        let page = ok(store.play_summaries(PlayList { cursor, ..query }).await);
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

pub(super) async fn a_summary_is_the_record_without_what_is_long(store: S) {
    let failed = ended(&running(&*store).await);
    write(
        &*store,
        &Play {
            attempt: 1,
            ..failed.clone()
        },
        vec![record(&failed)],
    )
    .await;
    let play = running(&*store).await;
    let asked: Vec<_> = (0..6_u32)
        .map(|n| wait(&format!("k{n}"), TIME.0 - f64::from(n), WaitKind::Event))
        .collect();
    waits(&store, &play, &asked).await;
    let awaiting = with_status(&play, PlayStatus::AwaitingResume);
    write(&*store, &play, vec![record(&awaiting)]).await;
    let mut oldest: Vec<_> = asked.iter().rev().collect();
    let expected = [
        PlaySummary::new(&awaiting, oldest.iter().copied()),
        PlaySummary::new(&failed, []),
    ];
    assert_eq!(expected[0].waits_for.len(), 5);
    assert_eq!(summaries(&store, PlayList::default()).await, expected);
    // What it waited for is told of no other status.
    oldest.clear();
    write(&*store, &awaiting, vec![record(&play)]).await;
    let now = summaries(&store, PlayList::default()).await;
    assert_eq!(now[0], PlaySummary::new(&play, oldest));
}

/// Twenty plays that differ in all that lists filter by.
async fn various(store: &S) -> Vec<NewPlay> {
    let mut made: Vec<NewPlay> = Vec::new();
    for n in 0..20_usize {
        let mut new = new_play();
        new.play.created_at = EpochMs(TIME.0 + n as f64);
        new.play.status = PlayStatus::ALL[n % 7];
        new.play.workflow_name = format!("Flow {}", n % 2);
        new.play.workflow_sid = if n % 2 == 0 { "even" } else { "odd" }.into();
        new.play.flow_name = (n % 5 == 0).then(|| "Straße".to_owned());
        new.play.duration_ms = (n % 3 == 0).then_some(n as f64);
        if n % 7 == 4 {
            let cause = Cause::new(CauseKind::Exception, format!("row {n} has no PRICE"));
            new.play.cause = Some(cause);
        }
        if n > 0 && n % 4 == 0 {
            new.play.parent_play_sid = Some(made[0].play.sid.clone());
            new.depth = 2;
        }
        create(&**store, new.clone()).await;
        made.push(new);
    }
    made
}

pub(super) async fn lists_can_be_searched_and_filtered_together(store: S) {
    let made = various(&store).await;
    let list = PlayList::default;
    let text = |text: &str| Some(text.to_owned());
    let beginning = text(&made[3].play.sid.as_str().to_uppercase());
    let failed = vec![PlayStatus::Failed, PlayStatus::Pending];
    type Wanted = fn(usize) -> bool;
    let cases: [(PlayList, Wanted); 10] = [
        (
            PlayList {
                statuses: failed.clone(),
                ..list()
            },
            |n| n % 7 == 4 || n % 7 == 0,
        ),
        (
            PlayList {
                statuses: failed.clone(),
                status: Some(PlayStatus::Failed),
                ..list()
            },
            |n| n % 7 == 4,
        ),
        (
            PlayList {
                statuses: failed.clone(),
                status: Some(PlayStatus::Success),
                ..list()
            },
            |_| false,
        ),
        (
            PlayList {
                top_level: true,
                ..list()
            },
            |n| n == 0 || n % 4 != 0,
        ),
        (
            PlayList {
                query: text("FLOW 1"),
                ..list()
            },
            |n| n % 2 == 1,
        ),
        (
            PlayList {
                query: text("strasse"),
                ..list()
            },
            |n| n % 5 == 0,
        ),
        (
            PlayList {
                query: text("no price"),
                ..list()
            },
            |n| n % 7 == 4,
        ),
        (
            PlayList {
                query: beginning,
                ..list()
            },
            |n| n == 3,
        ),
        (
            PlayList {
                query: text("%"),
                ..list()
            },
            |_| false,
        ),
        (
            PlayList {
                query: text("flow"),
                top_level: true,
                statuses: failed,
                workflow_sid: Some("odd".into()),
                created_from: Some(EpochMs(TIME.0 + 5.0)),
                created_before: Some(EpochMs(TIME.0 + 18.0)),
                ..list()
            },
            |n| [7, 11].contains(&n),
        ),
    ];
    for (query, wanted) in cases {
        let expected: Vec<_> = (0..20).rev().filter(|n| wanted(*n)).collect();
        let plays = expected.iter().map(|n| &made[*n].play);
        let brief: Vec<_> = plays
            .clone()
            .map(|play| PlaySummary::new(play, []))
            .collect();
        assert_eq!(summaries(&store, query.clone()).await, brief, "{query:?}");
        let paged = PlayList {
            limit: Some(1),
            ..query.clone()
        };
        assert_eq!(summaries(&store, paged).await, brief, "{query:?}");
        let facts: Vec<_> = plays
            .map(|play| PlayFacts {
                created_at: play.created_at,
                status: play.status,
                duration_ms: play.duration_ms,
            })
            .collect();
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let query = PlayList {
                cursor,
                ..query.clone()
            };
            let page = ok(store.play_facts(query).await);
            found.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, facts, "{query:?}");
    }
    let long = PlayList {
        query: Some("x".repeat(1_001)),
        ..list()
    };
    let refused = store.play_summaries(long).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidInput(_))),
        "{refused:?}"
    );
}

pub(super) async fn changes_of_the_lists_are_in_order_and_bounded(store: S) {
    let first = running(&*store).await;
    let workflow = stored_workflow(&*store, "a").await;
    let second = running(&*store).await;
    let done = with_status(&first, PlayStatus::Success);
    write(&*store, &first, vec![record(&done)]).await;
    let brief = |play: &Play| ListBody::Play(Box::new(PlaySummary::new(play, [])));
    let of = |workflow: &Workflow, deleted| ListBody::Workflow {
        workflow: Box::new(workflow.clone()),
        deleted,
    };
    let all = ok(store.list_changes(0, 100).await);
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq), "{all:?}");
    let bodies: Vec<_> = all.iter().map(|change| change.body.clone()).collect();
    assert_eq!(bodies, [of(&workflow, false), brief(&second), brief(&done)]);
    for (at, change) in all.iter().enumerate() {
        assert_eq!(ok(store.list_changes(change.seq, 100).await), all[at + 1..]);
        assert_eq!(ok(store.list_changes(0, at as u32).await), all[..at]);
    }
    let last = ok(store.last_seq().await);
    ok(library(&*store, LibraryChange::Delete(workflow.sid.clone())).await);
    let after = ok(store.list_changes(last, 100).await);
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].body, of(&workflow, true));
    assert_eq!(ok(store.list_changes(u64::MAX, 100).await), []);
}

pub(super) async fn followers_of_the_lists_hear_of_plays_and_workflows(store: S) {
    let mut heard = store.feed().follow_lists();
    let play = running(&*store).await;
    assert_eq!(heard.next().await, None);
    stored_workflow(&*store, "a").await;
    assert_eq!(heard.next().await, None);
    // More than a follower can be behind without being told.
    let many = (0..1_025).map(|_| write(&*store, &play, vec![record(&play)]));
    futures_util::future::join_all(many).await;
    assert_eq!(heard.next().await, Some(1_025));
    write(&*store, &play, vec![record(&play)]).await;
    assert_eq!(heard.next().await, None);
}

pub(super) async fn questions_are_oldest_first(store: S) {
    let mut plays = Vec::new();
    for _ in 0..2 {
        plays.push(running(&*store).await);
    }
    plays.sort_by(|a, b| a.sid.cmp(&b.sid));
    let ask = |key: &str, at: f64| wait(key, at, WaitKind::Ask);
    let of_first = [ask("b", 20.0), ask("a.1/x", 20.0), ask("late", 40.0)];
    let of_second = [
        ask("a", 20.0),
        ask("early", 10.25),
        wait("no", 5.0, WaitKind::Sleep),
    ];
    waits(&store, &plays[0], &of_first).await;
    waits(&store, &plays[1], &of_second).await;
    let (first, second) = (&plays[0].sid, &plays[1].sid);
    let expected: [(&PlaySid, &str); 5] = [
        (second, "early"),
        (first, "a.1/x"),
        (first, "b"),
        (second, "a"),
        (first, "late"),
    ];
    for limit in [1, 2, 100] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let limit = Some(limit);
            let page = ok(store.questions(QuestionList { cursor, limit }).await);
            found.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let places: Vec<_> = found.iter().map(|q| (&q.play_sid, q.id.as_str())).collect();
        assert_eq!(places, expected);
        let early = &found[0];
        assert_eq!(
            (early.created_at, early.wake_at),
            (EpochMs(10.25), Some(EpochMs(10.75)))
        );
        assert_eq!(
            (early.name.as_str(), early.workflow_name.as_str()),
            (TEXT, "flow")
        );
        assert_eq!(early.schema, Some(json!({"type": "string"})));
        assert_eq!(
            (early.ui.as_ref(), early.default.as_deref()),
            (None, Some("null"))
        );
    }
    let over = with_status(&plays[0], PlayStatus::Success);
    write(&*store, &plays[0], vec![record(&over)]).await;
    let left = ok(store.questions(QuestionList::default()).await);
    assert_eq!(left.items.len(), 2, "who has ended asks nothing");
    let foreign = QuestionList {
        cursor: Some("p.x".to_owned()),
        limit: None,
    };
    let refused = store.questions(foreign).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidInput(_))),
        "{refused:?}"
    );
}
