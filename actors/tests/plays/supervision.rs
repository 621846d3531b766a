//! Each child of the runtime is killed in its turn: nobody but the log notices.

use std::time::Duration;

use futures_util::future::join_all;
use hero_logic_actors::{
    guardian::Unanswered,
    library::messages::Panic as PanicInLibrary,
    play::{messages::Panic as PanicInPlay, outcome::Exit},
    registry::{
        Census,
        messages::{ActorOf, Panic},
    },
    store::{Store, StoreError},
    testing::{Happened, Setup, Universe, universe, until},
};
use protocol::{
    CauseKind, PlaySid, PlayStatus,
    rpc::{FlowLibrarySearch, StartOptions},
};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn slots(max_plays: u32) -> Setup {
    Setup {
        max_plays,
        ..Setup::default()
    }
}

/// A handler of the registry panics.
async fn kill_registry(universe: &Universe) {
    let killed = universe.runtime.registry().send(Panic("killed".into()));
    assert!(killed.await.is_err(), "it dies of it");
}

/// There is no registry for a while, and whatever is told to it meanwhile is in the mailbox of
/// another one that dies.
async fn without_registry(universe: &Universe, while_: Duration) {
    universe.store.count_late(while_);
    kill_registry(universe).await;
    universe.runtime.registry().tell(Panic("killed too".into()));
    // It is being rebuilt now.
    sleep(SECOND).await;
    universe.store.count_late(Duration::ZERO);
}

fn starts(universe: &Universe, sid: &PlaySid) -> usize {
    let log = universe.attempts.log();
    let started =
        |happened: &&Happened| matches!(happened, Happened::Started { play, .. } if play == sid);
    log.iter().filter(started).count()
}

fn scripted(universe: &Universe, flow: &str, seconds: u32) {
    universe.attempts.script(flow, move |process| async move {
        process.sleep(SECOND * seconds).await;
        Exit::Code(0)
    });
}

#[test]
fn a_rebuilt_registry_knows_the_live_plays_and_the_queue() {
    slots(2).run(async |universe| {
        universe.attempts.script("f", |process| async move {
            process.start("1.1", "").await;
            process.hang().await
        });
        let workflow = universe.flow("f").await;
        let mut sids = Vec::new();
        for _ in 0..4 {
            sids.push(universe.run(&workflow).await.unwrap());
        }
        until("two are under way", async || {
            universe.attempts.alive().len() == 2
        })
        .await;
        kill_registry(universe).await;

        let counts = universe.counts().await;
        assert_eq!((counts.running, counts.limit), (2, 2));
        assert_eq!(universe.pending().await, 2);
        let event = serde_json::json!({"type": "span_end", "span_id": "1.1"});
        assert!(universe.push(&sids[0], event).await.unwrap());
        // A slot that becomes free goes to the first of the queue, and to nobody else.
        let cancelled = universe.cancel(&sids[1]).await.unwrap();
        assert_eq!(cancelled.status, PlayStatus::Cancelled);
        until("the third runs", async || starts(universe, &sids[2]) == 1).await;
        assert_eq!(universe.status(&sids[3]).await, PlayStatus::Pending);
        assert_eq!(universe.attempts.alive().len(), 2);
        assert_eq!(starts(universe, &sids[0]), 1);
    });
}

#[test]
fn waiters_are_told_without_a_registry() {
    slots(1_000).run(async |universe| {
        scripted(universe, "slow", 10);
        let workflow = universe.flow("slow").await;
        let sids = join_all((0..1_000).map(|_| universe.run(&workflow))).await;
        let sids: Vec<_> = sids.into_iter().map(Result::unwrap).collect();
        let waits = join_all((0..10_000).map(|n| universe.wait(&sids[n % sids.len()], 0)));
        let kill = async {
            until("all wait", async || {
                universe.counts().await.waiters == 10_000
            })
            .await;
            without_registry(universe, SECOND * 600).await;
        };
        let began = Instant::now();
        let (waits, ()) = tokio::join!(waits, kill);
        for play in waits {
            assert_eq!(play.unwrap().status, PlayStatus::Success);
        }
        assert!(began.elapsed() < SECOND * 60, "before there is one again");
        // Its successor gives their slots back, and nobody waits for it.
        let counts = universe.runtime.registry().ask(Census).await.unwrap();
        assert_eq!((counts.running, counts.waiters), (0, 0));
    });
}

#[test]
fn a_slot_that_became_free_without_a_registry_is_given_on() {
    slots(1).run(async |universe| {
        scripted(universe, "f", 10);
        let workflow = universe.flow("f").await;
        let first = universe.run(&workflow).await.unwrap();
        let second = universe.run(&workflow).await.unwrap();
        without_registry(universe, SECOND * 30).await;
        until("the first ends", async || {
            universe.status(&first).await == PlayStatus::Success
        })
        .await;
        let second = timeout(SECOND * 120, universe.ended(&second)).await;
        assert_eq!(second.expect("started").status, PlayStatus::Success);
    });
}

/// The actor of a play dies while there is no registry: its process is killed, the play recorded.
#[test]
fn an_actor_that_dies_without_a_registry_is_buried_by_the_next() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        let actor = universe.runtime.registry().send(ActorOf(sid.clone()));
        let actor = actor.await.unwrap().unwrap();
        without_registry(universe, SECOND * 30).await;
        assert!(actor.send(PanicInPlay("boom".into())).await.is_err());
        drop(actor);
        let play = universe.ended(&sid).await;
        assert_eq!(play.status, PlayStatus::Failed);
        let cause = play.cause.unwrap();
        assert_eq!(cause.kind, CauseKind::Internal);
        assert!(cause.message.contains("boom"), "{}", cause.message);
        assert_eq!(universe.counts().await.running, 0);
    });
}

/// The store would not record that an actor died: it can be cancelled, or the next registry records
/// it. It is not started a second time.
#[test]
fn a_play_whose_end_could_not_be_recorded_is_no_new_play() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        let mut sids = Vec::new();
        for _ in 0..2 {
            let sid = universe.run(&workflow).await.unwrap();
            until("it runs", async || starts(universe, &sid) == 1).await;
            let actor = universe.runtime.registry().send(ActorOf(sid.clone()));
            let actor = actor.await.unwrap().unwrap();
            let damaged = StoreError::Backend("damaged".into());
            universe.store.refuse_play(&sid, damaged);
            assert!(actor.send(PanicInPlay("boom".into())).await.is_err());
            until("it is given up", async || {
                universe.counts().await.running == 0
            })
            .await;
            universe.store.heal();
            assert_eq!(universe.status(&sid).await, PlayStatus::Running);
            sids.push(sid);
        }
        let cancelled = universe.cancel(&sids[0]).await.unwrap();
        assert_eq!(cancelled.status, PlayStatus::Cancelled);
        kill_registry(universe).await;
        let ended = universe.ended(&sids[1]).await;
        assert_eq!(ended.cause.unwrap().kind, CauseKind::Internal);
        assert!(sids.iter().all(|sid| starts(universe, sid) == 1));
    });
}

/// The play is stored, and the registry dies before it can say so or start it.
#[test]
fn a_start_whose_answer_is_lost_is_the_same_play() {
    for max_plays in [1, 8] {
        slots(max_plays).run(async |universe| {
            scripted(universe, "f", 60);
            let workflow = universe.flow("f").await;
            let first = universe.run(&workflow).await.unwrap();
            universe.attempts.a_play_of("f").await;
            universe.store.answer_late(SECOND);
            let kill = async {
                sleep(SECOND / 2).await;
                assert_eq!(universe.pending().await, u64::from(max_plays == 1));
                kill_registry(universe).await;
                universe.store.answer_late(Duration::ZERO);
            };
            let (second, ()) = tokio::join!(universe.run(&workflow), kill);
            let second = second.unwrap();
            assert_ne!(first, second);
            let page = universe
                .runtime
                .play_list(protocol::rpc::PlayList::default())
                .await;
            assert_eq!(page.unwrap().items.len(), 2, "it is there once");
            assert_eq!(universe.ended(&second).await.status, PlayStatus::Success);
            assert_eq!(starts(universe, &second), 1);
            assert_eq!(universe.play(&second).await.attempt, 1);
        });
    }
}

#[test]
fn a_start_with_a_key_whose_answer_is_lost_is_the_same_play() {
    universe(async |universe| {
        scripted(universe, "f", 60);
        let workflow = universe.flow("f").await;
        universe.store.answer_late(SECOND);
        let options = StartOptions {
            idempotency_key: Some("key".into()),
            ..StartOptions::default()
        };
        let kill = async {
            sleep(SECOND / 2).await;
            kill_registry(universe).await;
            universe.store.answer_late(Duration::ZERO);
        };
        let (sid, ()) = tokio::join!(universe.run_with(&workflow, options.clone(), ""), kill);
        let sid = sid.unwrap();
        assert_eq!(
            universe.run_with(&workflow, options, "").await.unwrap(),
            sid
        );
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert_eq!(starts(universe, &sid), 1);
    });
}

/// Taken from the queue and marked as running, and the registry dies before it starts them.
#[test]
fn plays_that_were_just_taken_from_the_queue_are_started_once_and_in_order() {
    slots(1).run(async |universe| {
        scripted(universe, "f", 10);
        let workflow = universe.flow("f").await;
        let mut sids = Vec::new();
        for _ in 0..5 {
            sids.push(universe.run(&workflow).await.unwrap());
        }
        universe.attempts.a_play_of("f").await;
        sleep(SECOND * 9).await;
        universe.store.answer_late(SECOND * 5);
        until("the second is taken", async || {
            universe.status(&sids[1]).await == PlayStatus::Running
        })
        .await;
        assert_eq!(starts(universe, &sids[1]), 0);
        kill_registry(universe).await;
        universe.store.answer_late(Duration::ZERO);
        for sid in &sids {
            let play = universe.ended(sid).await;
            assert_eq!((play.status, play.attempt), (PlayStatus::Success, 1));
            assert_eq!(starts(universe, sid), 1);
        }
        let log = universe.attempts.log();
        let order: Vec<_> = log
            .iter()
            .filter_map(|happened| match happened {
                Happened::Started { play, .. } => Some(play.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(order, sids);
    });
}

/// A parent waits for a child that waits for a slot: it holds none, also with the next registry.
#[test]
fn a_waiting_parent_holds_no_slot_with_the_next_registry() {
    slots(1).run(async |universe| {
        scripted(universe, "child", 10);
        scripted(universe, "other", 10);
        universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            process.sleep(SECOND).await;
            let child = process.invoke("child", "1.1").await.unwrap();
            process.wait(&child).await.unwrap();
            Exit::Code(0)
        });
        let parent = universe.play_of("parent").await;
        let other = universe.play_of("other").await;
        universe.attempts.a_play_of("other").await;
        assert_eq!(universe.pending().await, 1, "the child");
        kill_registry(universe).await;
        assert_eq!(universe.counts().await.running, 2);
        assert_eq!(universe.pending().await, 1, "the slot is taken");
        assert_eq!(universe.ended(&other).await.status, PlayStatus::Success);
        let ended = timeout(SECOND * 60, universe.ended(&parent)).await;
        assert_eq!(ended.expect("no deadlock").status, PlayStatus::Success);
    });
}

/// A parent that fails while there is no registry takes its children with it.
#[test]
fn children_of_a_parent_that_failed_meanwhile_are_cancelled() {
    universe(async |universe| {
        universe
            .attempts
            .script("child", |process| async move { process.hang().await });
        universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            process.invoke("child", "1.1").await.unwrap();
            process.sleep(SECOND * 10).await;
            Exit::Code(1)
        });
        let parent = universe.play_of("parent").await;
        let child = universe.attempts.a_play_of("child").await;
        without_registry(universe, SECOND * 60).await;
        let ended = universe.ended(&child).await;
        assert_eq!(ended.status, PlayStatus::Cancelled);
        assert_eq!(ended.cause.unwrap().by.unwrap(), format!("parent {parent}"));
    });
}

#[test]
fn a_stop_that_was_under_way_goes_on() {
    universe(async |universe| {
        universe.attempts.script("deaf", |process| async move {
            process.ignore_term();
            process.hang().await
        });
        let deaf = universe.play_of("deaf").await;
        universe.attempts.a_play_of("deaf").await;
        let late = universe.flow("late").await;
        let stop = universe.runtime.stop_within(SECOND * 5);
        let kill = async {
            sleep(SECOND).await;
            kill_registry(universe).await;
            let refused = universe.run(&late).await.unwrap_err();
            assert_eq!(refused.kind, protocol::ErrorKind::Unavailable);
        };
        let began = Instant::now();
        let (stopped, ()) = tokio::join!(stop, kill);
        stopped.unwrap();
        assert!(began.elapsed() < SECOND * 6, "{:?}", began.elapsed());
        assert_eq!(universe.attempts.exit_of(&deaf), Some(Exit::Signal(9)));
        universe.store.reopen();
        let play = universe.store.play(&deaf).await.unwrap().unwrap();
        assert_eq!((play.status, play.attempt), (PlayStatus::Pending, 1));
    });
}

/// Five within ten seconds are forgiven, and forgotten after that.
#[test]
fn a_registry_that_dies_now_and_then_is_replaced_for_ever() {
    universe(async |universe| {
        scripted(universe, "f", 100);
        let sid = universe.play_of("f").await;
        for _ in 0..20 {
            kill_registry(universe).await;
            assert_eq!(universe.counts().await.running, 1);
            sleep(SECOND * 3).await;
        }
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
    });
}

#[test]
fn a_registry_that_dies_too_often_ends_the_runtime_in_order() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        for death in 0..6 {
            let running = timeout(SECOND, universe.runtime.failed()).await;
            assert!(running.is_err(), "after {death} deaths");
            kill_registry(universe).await;
        }
        let why = timeout(SECOND, universe.runtime.failed()).await.unwrap();
        assert!(
            why.message.contains("registry") && why.message.contains("killed"),
            "{why}"
        );
        let refused = universe.wait(&sid, 0).await.unwrap_err();
        assert_eq!(refused.kind, protocol::ErrorKind::Unavailable);
        universe.runtime.stop_within(SECOND).await.unwrap();
        universe.attempts.assert_none_alive();
        universe.store.reopen();
        let play = universe.store.play(&sid).await.unwrap().unwrap();
        assert_eq!(play.status, PlayStatus::Pending);
        universe.restart().await;
        until("its next attempt", async || {
            universe.counts().await.running == 1
        })
        .await;
    });
}

/// What kills every registry that it is delivered to is given up, the server is not.
#[test]
fn a_message_that_kills_does_not_bring_the_server_down() {
    universe(async |universe| {
        let answer = universe.runtime.registry().ask(Panic("poison".into()));
        assert_eq!(answer.await.unwrap_err(), Unanswered::Died);
        let answer = universe.runtime.library().seat();
        let answer = answer.ask(PanicInLibrary("poison".into())).await;
        assert_eq!(answer.unwrap_err(), Unanswered::Died);
        let running = timeout(SECOND, universe.runtime.failed()).await;
        assert!(running.is_err());
        let sid = universe.play_of("f").await;
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
    });
}

#[test]
fn a_library_that_dies_is_rebuilt() {
    universe(async |universe| {
        let one = universe.flow("one").await;
        let killed = universe.runtime.library().seat();
        let killed = killed.send(PanicInLibrary("killed".into())).await;
        assert!(killed.is_err(), "it dies of it");
        let two = universe.flow("two").await;
        let search = |query: &str| FlowLibrarySearch {
            query: query.into(),
            limit: 10,
        };
        let found = universe.runtime.flow_library_search(search("")).await;
        assert_eq!(found.unwrap(), [two, one.clone()]);
        let found = universe.runtime.flow_library_search(search("ONE")).await;
        assert_eq!(found.unwrap(), [one]);
    });
}

/// The store has failed for good: whoever runs the runtime hears of it, and stopping it is no
/// matter of waiting.
#[test]
fn a_store_that_has_failed_ends_the_runtime() {
    universe(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        universe.play_of("f").await;
        universe.attempts.a_play_of("f").await;
        universe.store.fail("the disk is gone");
        let why = timeout(SECOND, universe.runtime.failed()).await.unwrap();
        assert!(why.message.contains("the disk is gone"), "{why}");
        let began = Instant::now();
        universe.runtime.stop_within(SECOND).await.unwrap();
        assert!(began.elapsed() < SECOND * 5, "{:?}", began.elapsed());
        universe.attempts.assert_none_alive();
        universe.store.reopen();
    });
}

#[test]
#[ignore = "a measurement, to be read by people"]
fn rebuild_time() {
    slots(1_000).run(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let workflow = universe.flow("f").await;
        let sids = join_all((0..1_000).map(|_| universe.run(&workflow))).await;
        let sids: Vec<_> = sids.into_iter().map(Result::unwrap).collect();
        let waits = join_all((0..10_000).map(|n| universe.wait(&sids[n % sids.len()], 0)));
        let measured = async {
            until("all wait", async || {
                universe.counts().await.waiters == 10_000
            })
            .await;
            let began = std::time::Instant::now();
            kill_registry(universe).await;
            assert_eq!(universe.counts().await.running, 1_000);
            let answered = began.elapsed();
            until("all wait again", async || {
                universe.counts().await.waiters == 10_000
            })
            .await;
            let all = began.elapsed();
            eprintln!("1,000 plays: answers after {answered:?}, 10,000 waiters after {all:?}");
        };
        tokio::select! {
            _ = waits => {}
            () = measured => {}
        }
    });
}
