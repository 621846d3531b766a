//! Rules about the store as a whole.

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::{
    PlaySid, PlayStatus, VersionSid, WorkflowSid,
    rpc::{PlayList, WorkflowList, WorkflowVersionList},
};

use super::sample::{
    logged, new_play, ok, running, span, spanned, stored_workflow, write, write_as,
};
use crate::store::{Batch, Store, StoreError};

type S = Arc<dyn Store>;

fn versions(
    workflow: WorkflowSid,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> WorkflowVersionList {
    WorkflowVersionList {
        workflow_sid: workflow,
        cursor: cursor.map(str::to_owned),
        limit,
    }
}

pub(super) async fn foreign_cursors_are_refused(store: S) {
    let play = running(&*store).await;
    for cursor in ["", "1", "x.1", "p.", "s.", "s.x", "v.-1", "w.1"] {
        let plays = PlayList {
            cursor: Some(cursor.to_owned()),
            ..PlayList::default()
        };
        let workflows = WorkflowList {
            cursor: Some(cursor.to_owned()),
            ..WorkflowList::default()
        };
        let answers = [
            store.plays(plays).await.map(drop),
            store.workflows(workflows).await.map(drop),
            store
                .versions(versions("w".into(), Some(cursor), None))
                .await
                .map(drop),
            store
                .spans(&play.sid, Some(cursor.to_owned()), 10)
                .await
                .map(drop),
        ];
        for answer in answers {
            assert!(
                matches!(answer, Err(StoreError::InvalidInput(_))),
                "{cursor:?}: {answer:?}"
            );
        }
    }
}

pub(super) async fn an_empty_page_is_empty(store: S) {
    let play = running(&*store).await;
    write(&*store, &play, vec![spanned(0, span(0))]).await;
    let workflow = stored_workflow(&*store, "one").await;
    let plays = PlayList {
        limit: Some(0),
        ..PlayList::default()
    };
    let workflows = WorkflowList {
        limit: Some(0),
        ..WorkflowList::default()
    };
    let plays = ok(store.plays(plays).await);
    assert!(plays.items.is_empty() && plays.next_cursor.is_none());
    let workflows = ok(store.workflows(workflows).await);
    assert!(workflows.items.is_empty() && workflows.next_cursor.is_none());
    let versions = ok(store.versions(versions(workflow.sid, None, Some(0))).await);
    assert!(versions.items.is_empty() && versions.next_cursor.is_none());
    let spans = ok(store.spans(&play.sid, None, 0).await).expect("the play is there");
    assert!(spans.spans.is_empty() && spans.next_cursor.is_none());
}

pub(super) async fn a_dropped_answer_stops_nothing(store: S) {
    let play = running(&*store).await;
    for n in 0..50 {
        let text = n.to_string();
        let mut commit = Box::pin(write(&*store, &play, vec![logged("", &text)]));
        drop(futures_util::poll!(&mut commit));
        drop(commit);
        let mut read = store.snapshot(&play.sid);
        drop(futures_util::poll!(&mut read));
        drop(read);
    }
    write(&*store, &play, vec![logged("", "last")]).await;
    let snapshot = ok(store.snapshot(&play.sid).await).expect("snapshot");
    assert_eq!(snapshot.logs.len(), 51, "a commit that was begun is done");
}

pub(super) async fn a_closed_store_says_so(store: S) {
    let play = running(&*store).await;
    let closing = [store.close(), store.close()];
    assert_eq!(join_all(closing).await, [Ok(()), Ok(())]);
    assert_eq!(store.close().await, Ok(()));
    let sid = &play.sid;
    let workflow = WorkflowSid::fresh();
    let answers = [
        store
            .commit(Batch::Create(Box::new(new_play())))
            .await
            .map(drop),
        write_as(&*store, sid, 1, vec![logged("", "late")])
            .await
            .map(drop),
        store.play(sid).await.map(drop),
        store.stored_play(sid).await.map(drop),
        store.plays(PlayList::default()).await.map(drop),
        store
            .plays_with_status(PlayStatus::Pending, None, 1)
            .await
            .map(drop),
        store.count_plays(PlayStatus::Pending).await.map(drop),
        store.open_children(sid).await.map(drop),
        store.spans(sid, None, 1).await.map(drop),
        store.snapshot(sid).await.map(drop),
        store.changes(sid, 0, 1).await.map(drop),
        store.last_seq().await.map(drop),
        store.workflow(&workflow).await.map(drop),
        store.workflow_named("x").await.map(drop),
        store.workflows(WorkflowList::default()).await.map(drop),
        store.version(&VersionSid::fresh()).await.map(drop),
        store
            .versions(versions(workflow, None, None))
            .await
            .map(drop),
        store.library().await.map(drop),
    ];
    for answer in answers {
        assert_eq!(answer, Err(StoreError::Closed));
    }
    // Who listens is not cut off: the feed outlives the files.
    drop(store.feed().subscribe(&PlaySid::fresh()));
}

pub(super) async fn what_was_queued_is_written_at_the_close(store: S) {
    let mut commits: Vec<_> = (0..100)
        .map(|_| store.commit(Batch::Create(Box::new(new_play()))))
        .collect();
    let mut answered = Vec::new();
    for commit in &mut commits {
        answered.push(futures_util::poll!(commit).is_ready());
    }
    ok(store.close().await);
    for (commit, answered) in commits.into_iter().zip(answered) {
        assert!(answered || commit.await.is_ok());
    }
    assert_eq!(
        store
            .commit(Batch::Create(Box::new(new_play())))
            .await
            .map(drop),
        Err(StoreError::Closed)
    );
}
