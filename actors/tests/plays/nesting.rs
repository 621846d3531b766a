//! Plays that start plays, and the slots they hold.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    testing::{Setup, universe},
};
use protocol::{ErrorKind, PlayStatus, SpanKind, rpc::PlayList};
use serde_json::json;
use tokio::sync::mpsc;

const CHAIN: usize = 50;

#[test]
fn a_chain_of_plays_needs_only_one_slot() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        for level in 0..CHAIN {
            let flow = format!("level {level}");
            universe.attempts.script(&flow, move |process| async move {
                process.start("1.1", "").await;
                if level + 1 < CHAIN {
                    let child = process
                        .invoke(&format!("level {}", level + 1), "1.1")
                        .await
                        .unwrap();
                    let child = process.wait(&child).await.unwrap();
                    assert_eq!(child["status"], json!("success"));
                }
                process.output(json!(level)).await;
                Exit::Code(0)
            });
            universe.flow(&flow).await;
        }
        let top = universe.runtime.workflow_list(protocol::rpc::WorkflowList {
            name: Some("level 0".into()),
            ..Default::default()
        });
        let sid = universe
            .run(&top.await.unwrap().items[0].sid)
            .await
            .unwrap();
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.started().len(), CHAIN);
        let all = universe
            .runtime
            .play_list(PlayList::default())
            .await
            .unwrap()
            .items;
        assert!(all.iter().all(|play| play.status == PlayStatus::Success));
    });
}

#[test]
fn parent_and_child_are_linked_both_ways() {
    universe(async |universe| {
        universe.flow("child").await;
        universe.attempts.script("child", |process| async move {
            let above = process.brief.parent_span_id.clone();
            process.start("1.1", &above).await;
            Exit::Code(0)
        });
        universe.attempts.script("parent", |process| async move {
            process.say(json!({"type": "span_start", "span_id": "1.1", "name": "calls", "kind": "subflow"})).await;
            let child = process.invoke("child", "1.1").await.unwrap();
            process.wait(&child).await.unwrap();
            Exit::Code(0)
        });
        let parent = universe.play_of("parent").await;
        universe.ended(&parent).await;
        let child = universe.attempts.a_play_of("child").await;
        let record = universe.play(&child).await;
        assert_eq!(record.parent_play_sid, Some(parent.clone()));
        assert_eq!(record.parent_span_id, format!("{parent}/1.1"));
        let calling = &universe.spans(&parent).await[0].span;
        assert_eq!(
            (calling.kind, &calling.child_play_sid),
            (SpanKind::Subflow, &Some(child.clone()))
        );
        assert_eq!(
            universe.spans(&child).await[0].span.parent_id,
            format!("{parent}/1.1")
        );
        let children = PlayList {
            parent_play_sid: Some(parent),
            ..PlayList::default()
        };
        let children = universe.runtime.play_list(children).await.unwrap().items;
        assert_eq!(children.len(), 1);
    });
}

#[test]
fn plays_nest_a_hundred_deep_and_no_deeper() {
    universe(async |universe| {
        let (tell, mut told) = mpsc::unbounded_channel();
        universe.attempts.script("endless", move |process| {
            let tell = tell.clone();
            async move {
                process.start("1.1", "").await;
                match process.invoke("endless", "1.1").await {
                    Ok(child) => drop(process.wait(&child).await.unwrap()),
                    Err(error) => tell.send(error).unwrap(),
                }
                Exit::Code(0)
            }
        });
        let sid = universe.play_of("endless").await;
        assert_eq!(universe.ended(&sid).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.started().len(), 100);
        let error = told.recv().await.unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("nested 100 deep"), "{error}");
        assert!(told.is_empty());
    });
}

#[test]
fn a_play_sees_only_what_is_its_own() {
    universe(async |universe| {
        universe
            .attempts
            .script("hang", |process| async move { process.hang().await });
        let stranger = universe.play_of("hang").await;
        let (tell, mut told) = mpsc::unbounded_channel();
        let other = stranger.to_string();
        universe.attempts.script("asks", move |process| {
            let (tell, other) = (tell.clone(), other.clone());
            async move {
                let play = json!({"play_sid": other});
                for method in ["play_wait", "play_cancel", "workflow_delete"] {
                    tell.send(process.ask(method, play.clone()).await.unwrap_err().kind)
                        .unwrap();
                }
                let bad = process.ask("flow_invoke", json!({"nonsense": 1})).await;
                tell.send(bad.unwrap_err().kind).unwrap();
                let unknown = process.invoke("no such flow", "1.1").await;
                tell.send(unknown.unwrap_err().kind).unwrap();
                Exit::Code(0)
            }
        });
        let sid = universe.play_of("asks").await;
        universe.ended(&sid).await;
        let kinds: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        use ErrorKind::{InvalidParams, MethodNotFound, NotFound};
        assert_eq!(
            kinds,
            [NotFound, NotFound, MethodNotFound, InvalidParams, NotFound]
        );
        assert_eq!(universe.status(&stranger).await, PlayStatus::Running);
    });
}

/// A parent that waits gives its slot away, and is not stopped from going on when it is taken.
#[test]
fn a_waiting_parent_lets_others_run() {
    Setup {
        max_plays: 1,
        ..Setup::default()
    }
    .run(async |universe| {
        for flow in ["child", "other"] {
            universe.attempts.script(flow, |process| async move {
                process.sleep(Duration::from_secs(60)).await;
                Exit::Code(0)
            });
        }
        universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            let child = process.invoke("child", "1.1").await.unwrap();
            process.wait(&child).await.unwrap();
            Exit::Code(0)
        });
        let parent = universe.play_of("parent").await;
        universe.attempts.a_play_of("child").await;
        let other = universe.play_of("other").await;
        assert_eq!(
            universe.status(&other).await,
            PlayStatus::Pending,
            "the child has the slot"
        );
        let (parent, other) = tokio::join!(universe.ended(&parent), universe.ended(&other));
        assert_eq!(
            (parent.status, other.status),
            (PlayStatus::Success, PlayStatus::Success)
        );
        assert!(parent.duration_ms < Some(61_000.0));
    });
}

/// 20 parents, each with 20 children at once, and slots for 3.
#[test]
fn many_parents_with_many_children_finish_with_few_slots() {
    Setup {
        max_plays: 3,
        ..Setup::default()
    }
    .run(async |universe| {
        universe.flow("child").await;
        universe.attempts.script("child", |process| async move {
            process.sleep(Duration::from_millis(10)).await;
            Exit::Code(0)
        });
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            let mut children = Vec::new();
            for _ in 0..20 {
                children.push(process.invoke("child", "1.1").await.unwrap());
            }
            let waits = children.iter().map(|child| process.wait(child));
            for child in futures_util::future::join_all(waits).await {
                assert_eq!(child.unwrap()["status"], json!("success"));
            }
            Exit::Code(0)
        });
        let workflow = universe.flow("parent").await;
        let mut parents = Vec::new();
        for _ in 0..20 {
            parents.push(universe.run(&workflow).await.unwrap());
        }
        for parent in &parents {
            assert_eq!(universe.ended(parent).await.status, PlayStatus::Success);
        }
        let started = universe.attempts.started();
        let children = started.iter().filter(|flow| *flow == "child").count();
        assert_eq!((started.len(), children), (420, 400));
    });
}
