//! Rules about plays that go.

use std::sync::Arc;

use protocol::{EpochMs, Play, PlaySid, PlayStatus, rpc::PlayList};

use super::sample::{
    TIME, create, ended, logged, new_play, ok, record, running, span, spanned, write, write_as,
};
use crate::store::{Batch, EndedTree, NewPlay, Store, StoreError};

type S = Arc<dyn Store>;

/// A play that ended so much after [`TIME`], in milliseconds; with a span and a log.
async fn ended_at(store: &dyn Store, parent: Option<&Play>, ms: f64) -> Play {
    let mut new = new_play();
    new.play.parent_play_sid = parent.map(|parent| parent.sid.clone());
    started(store, new, Some(ms)).await
}

/// Runs it, and ends it then; without a time it goes on.
async fn started(store: &dyn Store, new: NewPlay, end: Option<f64>) -> Play {
    let play = Play {
        status: PlayStatus::Running,
        attempt: 1,
        ..new.play.clone()
    };
    create(store, new).await;
    ok(write_as(store, &play.sid, 0, vec![record(&play)]).await);
    write(store, &play, vec![spanned(0, span(0)), logged("1.0", "x")]).await;
    let Some(ms) = end else { return play };
    let over = Play {
        completed_at: Some(EpochMs(TIME.0 + ms)),
        ..ended(&play)
    };
    write(store, &play, vec![record(&over)]).await;
    over
}

async fn trees(store: &dyn Store) -> Vec<EndedTree> {
    ok(store.ended_trees(None, true, 100).await).trees
}

fn sids(plays: &[&Play]) -> Vec<PlaySid> {
    plays.iter().map(|play| play.sid.clone()).collect()
}

/// Forgets and sweeps until there is nothing left to do; those that were forgotten.
async fn go(store: &dyn Store, plays: Vec<PlaySid>) -> Vec<PlaySid> {
    let (mut gone, mut left) = (Vec::new(), plays);
    while !left.is_empty() {
        let mut turn = ok(store.forget(left).await);
        gone.append(&mut turn.gone);
        left = turn.left;
    }
    let mut cleaned = Vec::new();
    loop {
        let swept = ok(store.sweep(cleaned).await);
        if swept.emptied.is_empty() && !swept.more {
            return gone;
        }
        cleaned = swept.emptied;
    }
}

pub(super) async fn ended_trees_are_oldest_first(store: S) {
    let late = ended_at(&*store, None, 300.0).await;
    let early = ended_at(&*store, None, 100.0).await;
    running(&*store).await;
    create(&*store, new_play()).await;
    let listed = trees(&*store).await;
    let plays: Vec<_> = listed.iter().map(|tree| tree.plays.clone()).collect();
    assert_eq!(plays, [sids(&[&early]), sids(&[&late])]);
    assert_eq!(listed[0].ended_at, EpochMs(TIME.0 + 100.0));
    assert_eq!(listed[0].workflow_name, "flow");
    assert!(listed[0].bytes > 1_000, "{}", listed[0].bytes);
    // In pages.
    let first = ok(store.ended_trees(None, false, 1).await);
    assert_eq!(
        (first.trees[0].plays.clone(), first.trees[0].bytes),
        (sids(&[&early]), 0)
    );
    let second = ok(store.ended_trees(first.next, false, 1).await);
    assert_eq!(second.trees[0].plays, sids(&[&late]));
    let third = ok(store.ended_trees(second.next, false, 1).await);
    assert_eq!((third.trees.len(), third.next), (0, None));
}

pub(super) async fn a_tree_is_ended_when_all_of_it_is(store: S) {
    let root = ended_at(&*store, None, 100.0).await;
    let child = ended_at(&*store, Some(&root), 500.0).await;
    let grandchild = ended_at(&*store, Some(&child), 200.0).await;
    let listed = trees(&*store).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].plays, sids(&[&grandchild, &child, &root]));
    assert_eq!(listed[0].ended_at, EpochMs(TIME.0 + 500.0));
    let mut late = new_play();
    late.play.parent_play_sid = Some(grandchild.sid.clone());
    started(&*store, late, None).await;
    assert_eq!(trees(&*store).await, []);
}

pub(super) async fn a_forgotten_play_is_gone(store: S) {
    let mut new = new_play();
    new.idempotency_key = Some("k".to_owned());
    let play = started(&*store, new, Some(1.0)).await;
    let other = ended_at(&*store, None, 2.0).await;
    let before = ok(store.last_seq().await);
    let size = ok(store.size().await);
    assert_eq!(size.ended, 2);
    assert_eq!(ok(store.forget(sids(&[&play])).await).gone, sids(&[&play]));
    assert_eq!(ok(store.play(&play.sid).await), None);
    assert!(ok(store.stored_play(&play.sid).await).is_none());
    assert!(ok(store.snapshot(&play.sid).await).is_none());
    assert!(ok(store.spans(&play.sid, None, 10).await).is_none());
    assert!(ok(store.changes(&play.sid, 0, 10).await).is_empty());
    let listed = ok(store.plays(PlayList::default()).await).items;
    assert_eq!(listed, std::slice::from_ref(&other));
    assert_eq!(ok(store.size().await).ended, 1);
    assert_eq!(ok(store.last_seq().await), before, "it takes no number");
    // Its key is free again.
    let mut again = new_play();
    again.idempotency_key = Some("k".to_owned());
    assert_eq!(create(&*store, again).await.existing, None);
    // Its directory is known until it is said to be gone; then nothing is left.
    assert_eq!(go(&*store, Vec::new()).await, []);
    let swept = ok(store.sweep(Vec::new()).await);
    assert_eq!((swept.emptied.len(), swept.more), (0, false));
    let there = ok(store.snapshot(&other.sid).await).expect("it is not forgotten");
    assert_eq!(there.logs.len(), 1);
}

pub(super) async fn what_is_not_over_is_not_forgotten(store: S) {
    let pending = new_play();
    create(&*store, pending.clone()).await;
    let live = running(&*store).await;
    let parent = ended_at(&*store, None, 1.0).await;
    let child = ended_at(&*store, Some(&parent), 2.0).await;
    let unknown = PlaySid::fresh();
    let asked = vec![
        pending.play.sid.clone(),
        live.sid.clone(),
        unknown,
        parent.sid.clone(),
    ];
    assert_eq!(go(&*store, asked.clone()).await, []);
    for sid in [&pending.play.sid, &live.sid, &parent.sid] {
        assert!(ok(store.play(sid).await).is_some());
    }
    // Children first.
    let both = sids(&[&child, &parent]);
    assert_eq!(go(&*store, both.clone()).await, both);
}

pub(super) async fn a_play_needs_its_parent(store: S) {
    let parent = ended_at(&*store, None, 1.0).await;
    go(&*store, sids(&[&parent])).await;
    let mut child = new_play();
    child.play.parent_play_sid = Some(parent.sid.clone());
    let refused = store.commit(Batch::Create(Box::new(child))).await;
    assert!(
        matches!(refused, Err(StoreError::NotFound { .. })),
        "{refused:?}"
    );
}

/// Also with more rows than one turn takes, and with a new play in between.
pub(super) async fn what_was_a_forgotten_plays_is_no_other_plays(store: S) {
    let play = running(&*store).await;
    for part in 0..20 {
        let spans = (0..100).map(|n| spanned(part * 100 + n, span(part * 100 + n)));
        let logs = (0..100).map(|n| logged("1.0", &n.to_string()));
        write(&*store, &play, spans.chain(logs).collect()).await;
    }
    write(&*store, &play, vec![record(&ended(&play))]).await;
    assert_eq!(ok(store.forget(sids(&[&play])).await).gone.len(), 1);
    let next = running(&*store).await;
    write(
        &*store,
        &next,
        vec![spanned(0, span(0)), logged("1.0", "mine")],
    )
    .await;
    go(&*store, Vec::new()).await;
    let there = ok(store.snapshot(&next.sid).await).expect("it is not forgotten");
    assert_eq!((there.spans.len(), there.logs.len()), (1, 1));
    assert_eq!(there.logs[0].text, "mine");
}

/// What can go counts: not the directories of a tree in which a play has not ended.
pub(super) async fn sizes_of_directories_are_remembered(store: S) {
    let alone = ended_at(&*store, None, 1.0).await;
    let root = running(&*store).await;
    let child = ended_at(&*store, Some(&root), 2.0).await;
    let grandchild = ended_at(&*store, Some(&child), 3.0).await;
    assert_eq!(ok(store.unmeasured(10).await).len(), 3);
    assert_eq!(ok(store.unmeasured(2).await).len(), 2);
    let sizes = [
        (&alone, 5),
        (&child, 70),
        (&grandchild, 800),
        (&root, 9_000),
    ];
    let sizes = sizes.map(|(play, bytes)| (play.sid.clone(), bytes));
    ok(store.measured(sizes.to_vec()).await);
    assert_eq!(ok(store.unmeasured(10).await), []);
    assert_eq!(ok(store.size().await).artifact_bytes, 5);
    assert_eq!(trees(&*store).await[0].artifact_bytes, 5);
    write(&*store, &root, vec![record(&ended(&root))]).await;
    assert_eq!(ok(store.unmeasured(10).await), sids(&[&root]));
    assert_eq!(ok(store.size().await).artifact_bytes, 875);
    ok(store.measured(vec![(alone.sid.clone(), 6)]).await);
    assert_eq!(ok(store.size().await).artifact_bytes, 876);
    let stranger = PlaySid::fresh();
    let asked = vec![alone.sid.clone(), stranger.clone()];
    assert_eq!(
        ok(store.unknown_plays(asked.clone()).await),
        std::slice::from_ref(&stranger)
    );
    // Until it is swept away, it is known.
    ok(store.forget(sids(&[&alone])).await);
    assert_eq!(ok(store.size().await).artifact_bytes, 870);
    assert_eq!(ok(store.unknown_plays(asked.clone()).await), [stranger]);
    go(&*store, Vec::new()).await;
    assert_eq!(ok(store.unknown_plays(asked.clone()).await), asked);
}
