//! Rules about lists and counts of plays.

use std::sync::Arc;

use protocol::{EpochMs, PlaySid, PlayStatus, VersionSid, WorkflowSid, rpc::PlayList};

use super::sample::{TIME, create, new_play, ok, record, running, with_status, write};
use crate::store::Store;

type S = Arc<dyn Store>;

async fn sids(store: &S, query: PlayList) -> Vec<PlaySid> {
    let page = ok(store.plays(query).await);
    page.items.into_iter().map(|play| play.sid).collect()
}

/// Follows the cursors to the end.
async fn all(store: &S, query: PlayList, mut between: impl AsyncFnMut()) -> Vec<PlaySid> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = ok(store
            .plays(PlayList {
                cursor,
                ..query.clone()
            })
            .await);
        found.extend(page.items.into_iter().map(|play| play.sid));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
        between().await;
    }
}

pub(super) async fn a_list_is_newest_first(store: S) {
    let mut plays: Vec<_> = (0..5).map(|_| new_play()).collect();
    // The order is that of the sids, not that of the commits.
    plays.swap(1, 3);
    for new in &plays {
        create(&*store, new.clone()).await;
    }
    plays.sort_by(|a, b| b.play.sid.cmp(&a.play.sid));
    let page = ok(store.plays(PlayList::default()).await);
    let expected: Vec<_> = plays.into_iter().map(|new| new.play).collect();
    assert_eq!(page.items, expected);
    assert_eq!(page.next_cursor, None);
}

pub(super) async fn a_list_can_be_filtered(store: S) {
    let mut first = new_play();
    first.play.created_at = EpochMs(0.0);
    first.play.status = PlayStatus::AwaitingResume;
    let parent = first.play.sid.clone();
    create(&*store, first).await;
    let mut made = Vec::new();
    for n in 0..12_u32 {
        let mut new = new_play();
        new.play.created_at = EpochMs(TIME.0 + f64::from(n));
        new.play.workflow_sid = WorkflowSid::from(if n % 2 == 0 { "even" } else { "odd" });
        new.play.version_sid = VersionSid::from("v");
        new.play.parent_play_sid = (n % 3 == 0).then(|| parent.clone());
        new.play.status = PlayStatus::ALL[n as usize % 2];
        create(&*store, new.clone()).await;
        made.push(new.play);
    }
    let list = PlayList::default;
    let at = |n: u32| Some(EpochMs(TIME.0 + f64::from(n)));
    type Wanted = fn(u32) -> bool;
    let cases: [(PlayList, Wanted); 6] = [
        (
            PlayList {
                status: Some(PlayStatus::Pending),
                ..list()
            },
            |n| n % 2 == 0,
        ),
        (
            PlayList {
                status: Some(PlayStatus::Failed),
                ..list()
            },
            |_| false,
        ),
        (
            PlayList {
                workflow_sid: Some("odd".into()),
                ..list()
            },
            |n| n % 2 == 1,
        ),
        (
            PlayList {
                parent_play_sid: Some(parent.clone()),
                ..list()
            },
            |n| n % 3 == 0,
        ),
        (
            PlayList {
                created_from: at(3),
                created_before: at(7),
                ..list()
            },
            |n| (3..7).contains(&n),
        ),
        (
            PlayList {
                workflow_sid: Some("even".into()),
                parent_play_sid: Some(parent),
                status: Some(PlayStatus::Pending),
                created_from: at(1),
                ..list()
            },
            |n| n % 6 == 0 && n >= 1,
        ),
    ];
    for (query, wanted) in cases {
        let expected: Vec<_> = (0..12_u32)
            .rev()
            .filter(|n| wanted(*n))
            .map(|n| made[n as usize].sid.clone())
            .collect();
        assert_eq!(sids(&store, query.clone()).await, expected, "{query:?}");
        let query = PlayList {
            limit: Some(1),
            ..query
        };
        assert_eq!(
            all(&store, query.clone(), async || {}).await,
            expected,
            "{query:?}"
        );
    }
}

pub(super) async fn pages_hold_while_plays_are_made(store: S) {
    let mut expected = Vec::new();
    for _ in 0..10 {
        expected.push(running(&*store).await.sid);
    }
    expected.reverse();
    let query = PlayList {
        limit: Some(3),
        ..PlayList::default()
    };
    let inserting = || async {
        running(&*store).await;
    };
    assert_eq!(
        all(&store, query.clone(), async || inserting().await).await,
        expected
    );
    // A page that is full to the last row is the last.
    let query = PlayList {
        limit: Some(13),
        ..query
    };
    assert_eq!(ok(store.plays(query).await).next_cursor, None);
}

pub(super) async fn a_page_ends_at_its_bytes(store: S) {
    let mut expected = Vec::new();
    for megabytes in [20, 20, 12, 40] {
        let mut new = new_play();
        new.play.input_data = "x".repeat(megabytes << 20);
        expected.push(new.play.sid.clone());
        create(&*store, new).await;
    }
    let mut sizes = Vec::new();
    let mut cursor = None;
    loop {
        let query = PlayList {
            cursor,
            ..PlayList::default()
        };
        let page = ok(store.plays(query).await);
        sizes.push(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    // Newest first: 40 | 12 + 20 | 20.
    assert_eq!(sizes, [1, 2, 1]);
}

pub(super) async fn counts_follow_the_status(store: S) {
    let play = running(&*store).await;
    create(&*store, new_play()).await;
    for (status, count) in [
        (PlayStatus::Running, 1),
        (PlayStatus::Pending, 1),
        (PlayStatus::Success, 0),
    ] {
        assert_eq!(ok(store.count_plays(status).await), count, "{status:?}");
    }
    write(
        &*store,
        &play,
        vec![record(&with_status(&play, PlayStatus::Success))],
    )
    .await;
    for (status, count) in [
        (PlayStatus::Running, 0),
        (PlayStatus::Pending, 1),
        (PlayStatus::Success, 1),
    ] {
        assert_eq!(ok(store.count_plays(status).await), count, "{status:?}");
    }
}

pub(super) async fn pending_plays_are_in_order(store: S) {
    let mut expected = Vec::new();
    for _ in 0..5 {
        let new = new_play();
        expected.push(new.play.sid.clone());
        create(&*store, new).await;
        running(&*store).await;
    }
    let page = |after: Option<&PlaySid>, limit| {
        let page = store.plays_with_status(PlayStatus::Pending, after.cloned(), limit);
        async { ok(page.await) }
    };
    assert_eq!(page(None, 100).await, expected);
    assert_eq!(page(None, 2).await, expected[..2]);
    assert_eq!(page(Some(&expected[1]), 2).await, expected[2..4]);
    assert!(page(Some(&expected[4]), 2).await.is_empty());
    assert!(page(None, 0).await.is_empty());
}

pub(super) async fn open_children_are_those_not_ended(store: S) {
    let first = new_play();
    let parent = first.play.sid.clone();
    create(&*store, first).await;
    let mut expected = Vec::new();
    for status in PlayStatus::ALL {
        let mut child = new_play();
        child.play.parent_play_sid = Some(parent.clone());
        child.play.status = status;
        if !status.is_terminal() {
            expected.push(child.play.sid.clone());
        }
        create(&*store, child).await;
    }
    create(&*store, new_play()).await;
    assert_eq!(ok(store.open_children(&parent).await), expected);
}
