//! `play_run_async`, `play_start`, `play_retry`, idempotency keys.

use std::time::Duration;

use hero_logic_actors::{play::outcome::Exit, testing::universe};
use protocol::{
    ErrorKind, Node, PlayStatus, WorkflowSid,
    rpc::{
        InputData, PlayRetry, PlayStart, RetryFrom, StartOptions, VersionContent, WorkflowCreate,
    },
};
use serde_json::json;

fn play_start(workflow_sid: WorkflowSid) -> PlayStart {
    PlayStart {
        workflow_sid,
        input_data: InputData::default(),
        options: StartOptions::default(),
    }
}

#[test]
fn a_running_play_is_returned_before_its_flow_has_done_anything() {
    universe(async |universe| {
        universe.attempts.script("slow", |process| async move {
            process.sleep(Duration::from_secs(10)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("slow").await;
        let started = tokio::time::Instant::now();
        let sid = universe.run(&workflow).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1));
        let play = universe.play(&sid).await;
        assert_eq!((play.status, play.attempt), (PlayStatus::Running, 1));
        assert_eq!(play.workflow_sid, workflow);
        assert_eq!(
            (play.parent_play_sid, play.parent_span_id.as_str()),
            (None, "")
        );
        assert!(play.started_at.is_some() && play.completed_at.is_none());
        let ended = universe.ended(&sid).await;
        assert_eq!(
            ended
                .duration_ms
                .map(|ms| (9_990.0..10_010.0).contains(&ms)),
            Some(true)
        );
    });
}

async fn dag(universe: &hero_logic_actors::testing::Universe) -> WorkflowSid {
    let step = universe.flow("step").await;
    let create = WorkflowCreate {
        name: "dag".into(),
        description: String::new(),
        tags: Vec::new(),
        content: VersionContent {
            nodes: vec![Node {
                id: "only".into(),
                workflow_sid: step,
                inputs: None,
            }],
            ..VersionContent::default()
        },
    };
    universe.runtime.workflow_create(create).await.unwrap().sid
}

#[test]
fn nodes_and_edges_are_not_for_play_run_async() {
    universe(async |universe| {
        let workflow = dag(universe).await;
        let error = universe.run(&workflow).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("play_start"), "{error}");
        assert!(universe.attempts.started().is_empty());
    });
}

#[test]
fn play_start_goes_by_the_source() {
    universe(async |universe| {
        let python = universe.flow("python").await;
        let play = universe
            .runtime
            .play_start(play_start(python))
            .await
            .unwrap();
        assert_eq!(universe.ended(&play.sid).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.started(), ["python"]);

        // The source is there: nodes are not even looked at. Without it they are.
        let workflow = dag(universe).await;
        if let Err(error) = universe.runtime.play_start(play_start(workflow)).await {
            assert_ne!(error.kind, ErrorKind::NotFound, "{error}");
        }
        assert!(!universe.attempts.started().contains(&"dag".to_owned()));
    });
}

#[test]
fn what_can_not_start_says_why() {
    universe(async |universe| {
        let workflow = universe
            .source("f", "@flow\ndef f(url, n=1):\n    pass\n")
            .await;
        let start = |input| PlayStart {
            input_data: input,
            ..play_start(workflow.clone())
        };
        let object = |value: serde_json::Value| match value {
            serde_json::Value::Object(map) => InputData::Object(map),
            other => panic!("{other}"),
        };
        for (input, expected) in [
            (InputData::default(), "lacks `url`"),
            (object(json!({"url": 1, "m": 2})), "has `m`"),
            (InputData::Text("[1]".into()), "no JSON object"),
            (InputData::Text("{".into()), "no JSON object"),
        ] {
            let error = universe.runtime.play_start(start(input)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput);
            assert!(error.message.contains(expected), "{error}");
        }
        let error = universe.run(&"nothing".into()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        for parent in ["nobody/1.1", "nonsense"] {
            let quick = StartOptions::default();
            let any = universe.flow(&format!("child of {}", parent.len())).await;
            let error = universe.run_with(&any, quick, parent).await.unwrap_err();
            let expected = if parent == "nonsense" {
                ErrorKind::InvalidInput
            } else {
                ErrorKind::NotFound
            };
            assert_eq!(error.kind, expected, "{error}");
        }
        assert!(universe.attempts.started().is_empty());
        assert_eq!(universe.counts().await.running, 0);
    });
}

#[test]
fn the_same_key_names_the_same_play() {
    universe(async |universe| {
        let (one, other) = (universe.flow("one").await, universe.flow("other").await);
        let keyed = || StartOptions {
            idempotency_key: Some("k".into()),
            ..StartOptions::default()
        };
        let starts = (0..5).map(|_| universe.run_with(&one, keyed(), ""));
        let sids = futures_util::future::join_all(starts).await;
        let first = sids[0].clone().unwrap();
        assert!(sids.into_iter().all(|sid| sid.unwrap() == first));
        universe.ended(&first).await;
        assert_eq!(universe.run_with(&one, keyed(), "").await.unwrap(), first);
        assert_eq!(universe.attempts.started(), ["one"]);
        let error = universe.run_with(&other, keyed(), "").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        // The slots that were held ready for them are free again.
        assert_eq!(universe.counts().await.running, 0);
    });
}

#[test]
fn a_retry_is_a_new_play_with_a_link() {
    universe(async |universe| {
        universe
            .attempts
            .script("fail", |_| async { Exit::Code(3) });
        let sid = universe.play_of("fail").await;
        let old = universe.ended(&sid).await;
        let retry = || {
            universe.runtime.play_retry(PlayRetry {
                play_sid: sid.clone(),
                from: RetryFrom::Start,
                origin: None,
            })
        };
        let new = retry().await.unwrap();
        assert_ne!(new.sid, sid);
        assert_eq!(new.retry_of, Some(sid.clone()));
        assert_eq!(
            (&new.input_data, &new.version_sid),
            (&old.input_data, &old.version_sid)
        );
        universe.ended(&new.sid).await;
        assert_eq!(universe.play(&sid).await, old, "the old one stays as it is");

        universe
            .attempts
            .script("fail", |process| async move { process.hang().await });
        let live = retry().await.unwrap();
        let again = universe
            .runtime
            .play_retry(PlayRetry {
                play_sid: live.sid,
                from: RetryFrom::Failure,
                origin: None,
            })
            .await
            .unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
    });
}
