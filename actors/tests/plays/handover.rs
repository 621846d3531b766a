//! What one registry began is not lost with it, and nothing is done twice.

use std::time::Duration;

use hero_logic_actors::{
    play::messages::Panic as PanicInPlay,
    registry::messages::{ActorOf, Panic, Unsettled},
    store::{Batch, Store, StoreError},
    testing::{Happened, Universe, universe, until},
};
use protocol::{CauseKind, ErrorKind, PlaySid, PlayStatus};
use serde_json::json;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

async fn kill_registry(universe: &Universe) {
    let killed = universe.runtime.registry().send(Panic("killed".into()));
    assert!(killed.await.is_err(), "it dies of it");
}

fn starts(universe: &Universe, sid: &PlaySid) -> usize {
    let log = universe.attempts.log();
    let started =
        |happened: &&Happened| matches!(happened, Happened::Started { play, .. } if play == sid);
    log.iter().filter(started).count()
}

/// The only play there is.
async fn the_play(universe: &Universe) -> PlaySid {
    let page = universe
        .runtime
        .play_list(protocol::rpc::PlayList::default());
    page.await.expect("the list").items[0].sid.clone()
}

/// Stored as running, no actor yet: the cancel is answered, and the registry dies.
#[test]
fn a_cancel_of_a_play_that_is_being_started_outlives_the_registry() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        universe.store.answer_late(SECOND);
        let cancel = async {
            sleep(SECOND / 4).await;
            let sid = the_play(universe).await;
            assert_eq!(universe.status(&sid).await, PlayStatus::Running);
            assert_eq!(starts(universe, &sid), 0);
            universe.cancel(&sid).await
        };
        let kill = async {
            sleep(SECOND / 2).await;
            kill_registry(universe).await;
            universe.store.answer_late(Duration::ZERO);
        };
        let (sid, cancelled, ()) = tokio::join!(universe.run(&workflow), cancel, kill);
        let cancelled = cancelled.unwrap();
        assert_eq!(cancelled.sid, sid.unwrap());
        assert_eq!(cancelled.status, PlayStatus::Cancelled, "{cancelled:?}");
        assert_eq!(cancelled.cause.unwrap().by.as_deref(), Some("caller"));
    });
}

#[test]
fn an_event_is_applied_once_though_the_registry_dies_meanwhile() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            process.hang().await
        });
        let sid = universe.play_of("f").await;
        until("it runs", async || universe.spans(&sid).await.len() == 1).await;
        universe.store.write_late(SECOND);
        let log = json!({"type": "span_log", "span_id": "1.1", "text": "once"});
        let kill = async {
            sleep(SECOND / 2).await;
            kill_registry(universe).await;
        };
        let (pushed, ()) = tokio::join!(universe.push(&sid, log), kill);
        assert!(pushed.unwrap());
        universe.store.write_late(Duration::ZERO);
        let tag = json!({"type": "span_tag", "span_id": "1.1", "tags": {"later": 1}});
        assert!(universe.push(&sid, tag).await.unwrap());
        let [span] = &universe.spans(&sid).await[..] else {
            panic!("one span")
        };
        let said: Vec<_> = span.logs.iter().map(|log| log.text.as_str()).collect();
        assert_eq!(said, ["once"]);
    });
}

/// Whether it was taken is not known then, and that is said.
#[test]
fn an_event_whose_play_dies_with_it_is_unavailable() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            process.hang().await
        });
        let sid = universe.play_of("f").await;
        until("it runs", async || universe.spans(&sid).await.len() == 1).await;
        let actor = universe.runtime.registry().send(ActorOf(sid.clone()));
        let actor = actor.await.unwrap().unwrap();
        universe.store.write_late(SECOND);
        let log = json!({"type": "span_log", "span_id": "1.1", "text": "lost"});
        let kill = async {
            sleep(SECOND / 2).await;
            assert!(actor.send(PanicInPlay("boom".into())).await.is_err());
        };
        let (pushed, ()) = tokio::join!(universe.push(&sid, log.clone()), kill);
        let error = pushed.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("before it had answered"), "{error}");
        universe.ended(&sid).await;
        let error = universe.push(&sid, log).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    });
}

#[test]
fn a_play_that_is_being_started_takes_no_event_yet() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        universe.store.answer_late(SECOND);
        let push = async {
            sleep(SECOND / 2).await;
            let sid = the_play(universe).await;
            let start = json!({"type": "span_start", "span_id": "1.1", "name": "s"});
            let error = universe.push(&sid, start).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
            assert!(error.message.contains("being started"), "{error}");
            universe.store.answer_late(Duration::ZERO);
        };
        let (sid, ()) = tokio::join!(universe.run(&workflow), push);
        sid.unwrap();
    });
}

/// Its process ran, and not even which one could be recorded, nor its end: its row is that of a play
/// that was never started.
#[test]
fn a_play_of_which_nothing_could_be_recorded_is_no_new_play() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let damaged = StoreError::Backend("damaged".into());
        let of_a_play = |batch: &Batch| matches!(batch, Batch::Play { .. });
        universe.store.refuse_where(of_a_play, damaged);
        let sid = universe.play_of("f").await;
        until("it is given up", async || {
            starts(universe, &sid) == 1 && universe.counts().await.running == 0
        })
        .await;
        universe.store.heal();
        let stored = universe.store.stored_play(&sid).await.unwrap().unwrap();
        assert_eq!(stored.play.status, PlayStatus::Running);
        assert!(stored.process.is_none() && stored.past.spans == 0);
        kill_registry(universe).await;
        let ended = universe.ended(&sid).await;
        assert_eq!(ended.cause.unwrap().kind, CauseKind::Internal);
        assert_eq!(starts(universe, &sid), 1);
    });
}

/// The play has ended and that was dealt with, when its actor dies.
#[test]
fn an_actor_that_dies_after_its_play_reports_nothing() {
    universe(async |universe| {
        let workflow = universe.flow("f").await;
        universe.attempts.script("f", |process| async move {
            process.sleep(SECOND).await;
            hero_logic_actors::play::outcome::Exit::Code(0)
        });
        universe.attempts.tidy_late(SECOND * 10);
        let sid = universe.run(&workflow).await.unwrap();
        let actor = universe.runtime.registry().send(ActorOf(sid.clone()));
        let actor = actor.await.unwrap().unwrap();
        universe.ended(&sid).await;
        until("it is no live play any more", async || {
            universe.counts().await.running == 0
        })
        .await;
        assert!(actor.connected(), "it tidies up");
        assert!(actor.send(PanicInPlay("boom".into())).await.is_err());
        drop(actor);
        assert_eq!(universe.counts().await.running, 0);
        let left = universe.runtime.registry().send(Unsettled).await;
        assert_eq!(left.unwrap(), 0);
        assert_eq!(universe.play(&sid).await.status, PlayStatus::Success);
    });
}
