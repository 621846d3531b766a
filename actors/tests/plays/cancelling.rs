//! Down the tree of plays.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    store::StoreError,
    testing::{Setup, Universe, universe, until},
};
use protocol::{
    CauseKind, ErrorKind, PlaySid, PlayStatus,
    rpc::{PlayList, StartOptions},
};

/// `parent` starts two of `middle`, each of which starts one `leaf`; then they do as `parent` says.
async fn family(
    universe: &Universe,
    parent_ends: impl Fn() -> Option<Exit> + Send + Sync + 'static,
) -> PlaySid {
    for flow in ["middle", "leaf"] {
        universe.flow(flow).await;
    }
    universe
        .attempts
        .script("leaf", |process| async move { process.hang().await });
    universe.attempts.script("middle", |process| async move {
        process.start("1.1", "").await;
        process.invoke("leaf", "1.1").await.unwrap();
        process.hang().await
    });
    let ends = std::sync::Arc::new(parent_ends);
    universe.attempts.script("parent", move |process| {
        let ends = ends.clone();
        async move {
            process.start("1.1", "").await;
            process.invoke("middle", "1.1").await.unwrap();
            process.invoke("middle", "1.1").await.unwrap();
            process.sleep(Duration::from_secs(20)).await;
            match ends() {
                Some(exit) => exit,
                None => process.hang().await,
            }
        }
    });
    let workflow = universe.flow("parent").await;
    let options = StartOptions {
        timeout_ms: Some(60_000),
        ..StartOptions::default()
    };
    universe.run_with(&workflow, options, "").await.unwrap()
}

async fn all_below(universe: &Universe, parent: &PlaySid) -> Vec<protocol::Play> {
    let plays = universe
        .runtime
        .play_list(PlayList::default())
        .await
        .unwrap()
        .items;
    let mut below: Vec<_> = plays
        .into_iter()
        .filter(|play| play.sid != *parent)
        .collect();
    for play in &mut below {
        *play = universe.ended(&play.sid).await;
    }
    assert_eq!(below.len(), 4);
    below
}

fn assert_cancelled(plays: &[protocol::Play]) {
    for play in plays {
        let cause = play.cause.as_ref().expect("a cause");
        assert_eq!(
            (play.status, cause.kind),
            (PlayStatus::Cancelled, CauseKind::Cancelled)
        );
        let by = cause.by.as_deref().expect("by whom");
        let parent = play.parent_play_sid.as_ref().expect("a parent");
        assert!(
            by.starts_with("parent ") && by.contains(parent.as_str()),
            "{by}"
        );
    }
}

#[test]
fn a_cancelled_parent_takes_them_with_it() {
    universe(async |universe| {
        let parent = family(universe, || None).await;
        until("all five run", async || {
            universe.attempts.alive().len() == 5
        })
        .await;
        let cancelled = universe.cancel(&parent).await.unwrap();
        assert_eq!(cancelled.status, PlayStatus::Cancelled);
        assert_cancelled(&all_below(universe, &parent).await);
        until("none is left", async || {
            universe.attempts.alive().is_empty()
        })
        .await;
    });
}

#[test]
fn pending_children_too() {
    let setup = Setup {
        max_plays: 2,
        ..Setup::default()
    };
    setup.run(async |universe| {
        let parent = family(universe, || None).await;
        until("one child waits for a slot", async || {
            universe.counts().await.pending == 2
        })
        .await;
        universe.cancel(&parent).await.unwrap();
        let plays = universe
            .runtime
            .play_list(PlayList::default())
            .await
            .unwrap()
            .items;
        for play in plays.iter().filter(|play| play.sid != parent) {
            let ended = universe.ended(&play.sid).await;
            assert_eq!(ended.status, PlayStatus::Cancelled);
        }
        assert_eq!(
            universe
                .attempts
                .started()
                .iter()
                .filter(|flow| *flow == "leaf")
                .count(),
            0
        );
    });
}

#[test]
fn a_parent_that_is_out_of_time_takes_them_with_it() {
    universe(async |universe| {
        let parent = family(universe, || None).await;
        assert_eq!(universe.ended(&parent).await.status, PlayStatus::TimedOut);
        assert_cancelled(&all_below(universe, &parent).await);
    });
}

#[test]
fn a_parent_that_fails_takes_them_with_it() {
    universe(async |universe| {
        let parent = family(universe, || Some(Exit::Code(1))).await;
        assert_eq!(universe.ended(&parent).await.status, PlayStatus::Failed);
        assert_cancelled(&all_below(universe, &parent).await);
    });
}

#[test]
fn a_parent_that_succeeds_lets_them_go_on() {
    universe(async |universe| {
        let parent = family(universe, || Some(Exit::Code(0))).await;
        assert_eq!(universe.ended(&parent).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.alive().len(), 4);
    });
}

#[test]
fn the_first_reason_stays_and_the_shorter_grace_holds() {
    universe(async |universe| {
        universe.attempts.script("deaf", |process| async move {
            process.ignore_term();
            process.hang().await
        });
        let sid = universe.play_of("deaf").await;
        universe.attempts.a_play_of("deaf").await;
        let asked = tokio::time::Instant::now();
        let hurry = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let cancel = protocol::rpc::PlayCancel {
                play_sid: sid.clone(),
                grace_ms: Some(0),
            };
            universe.runtime.play_cancel(cancel).await
        };
        let (first, second) = tokio::join!(universe.cancel(&sid), hurry);
        assert_eq!(first.unwrap(), second.unwrap());
        assert!(
            (1_000..1_010).contains(&asked.elapsed().as_millis()),
            "{:?}",
            asked.elapsed()
        );
    });
}

#[test]
fn who_has_ended_badly_starts_no_children() {
    universe(async |universe| {
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            Exit::Code(1)
        });
        let parent = universe.play_of("parent").await;
        universe.ended(&parent).await;
        let child = universe.flow("child").await;
        let above = format!("{parent}/1.1");
        let refused = universe
            .run_with(&child, StartOptions::default(), &above)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict);
        assert!(
            universe
                .cancel(&"nobody".into())
                .await
                .is_err_and(|e| e.kind == ErrorKind::NotFound)
        );
    });
}

/// The parent is cancelled after its child was asked for, and before it is stored.
#[test]
fn a_child_that_comes_too_late_is_cancelled() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        let parent = universe.run(&workflow).await.unwrap();
        universe.attempts.a_play_of("f").await;
        universe.store.write_late(Duration::from_secs(60));
        let above = format!("{parent}/1.1");
        let (child, ()) = tokio::join!(
            universe.run_with(&workflow, StartOptions::default(), &above),
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                universe.store.write_late(Duration::ZERO);
                universe.cancel(&parent).await.unwrap();
            }
        );
        let child = child.unwrap();
        let play = tokio::time::timeout(Duration::from_secs(600), universe.ended(&child)).await;
        assert_eq!(play.expect("it ends").status, PlayStatus::Cancelled);
    });
}

#[test]
fn a_store_that_refuses_is_told_to_the_caller() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        universe.run(&workflow).await.unwrap();
        let pending = universe.run(&workflow).await.unwrap();
        universe
            .store
            .refuse_play(&pending, StoreError::Full("no space".into()));
        let error = universe.cancel(&pending).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(universe.status(&pending).await, PlayStatus::Pending);
        universe.store.heal();
        assert_eq!(
            universe.cancel(&pending).await.unwrap().status,
            PlayStatus::Cancelled
        );
    });
}
