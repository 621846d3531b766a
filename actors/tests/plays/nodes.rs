//! Plays of nodes and edges: what they carry is bounded as everybody's data is.

use std::time::Duration;

use hero_logic_actors::{
    ingest::{Delivery, Event},
    play::outcome::Exit,
    testing::{Setup, Universe, universe},
};
use protocol::{
    Edge, ErrorKind, Node, Play, PlayStatus, WorkflowSid,
    event::{Output, SpanEvent},
    rpc::{MAX_DATA, PlayStart, StartOptions, VersionContent, WorkflowCreate},
};
use serde_json::{Value, json, value::RawValue};

/// Two of these are more than is kept, one is not.
const LARGE: usize = MAX_DATA / 2 + 1;

#[expect(clippy::unwrap_used, reason = "a test that can't start has failed")]
async fn ended(universe: &Universe, nodes: &[(&str, &WorkflowSid)], edges: &[[&str; 2]]) -> Play {
    let nodes = nodes.iter().map(|(id, workflow)| Node {
        id: (*id).into(),
        workflow_sid: (*workflow).clone(),
        inputs: None,
    });
    let edges = edges.iter().map(|[from, to]| Edge {
        from: (*from).into(),
        to: (*to).into(),
        map: None,
    });
    let create = WorkflowCreate {
        name: "dag".into(),
        description: String::new(),
        tags: Vec::new(),
        content: VersionContent {
            nodes: nodes.collect(),
            edges: edges.collect(),
            ..VersionContent::default()
        },
    };
    let workflow_sid = universe.runtime.workflow_create(create).await.unwrap().sid;
    let start = PlayStart {
        workflow_sid,
        input_data: protocol::rpc::InputData::default(),
        options: StartOptions::default(),
    };
    let play = universe.runtime.play_start(start).await.unwrap();
    universe.ended(&play.sid).await
}

#[expect(clippy::unwrap_used, reason = "a test that can't start has failed")]
async fn large(universe: &Universe) -> WorkflowSid {
    universe.attempts.script("large", |process| async move {
        process.start("1.1", "").await;
        let text = Value::String("x".repeat(LARGE)).to_string();
        // A real one comes in a file.
        let output = Output::Data(RawValue::from_string(text).unwrap());
        let output = Event::Wire(SpanEvent::Output(output));
        process
            .deliver(Delivery {
                events: vec![output],
                ..Delivery::default()
            })
            .await;
        process.end("1.1").await;
        Exit::Code(0)
    });
    universe.flow("large").await
}

#[test]
fn inputs_that_are_too_large_fail_their_node() {
    universe(async |universe| {
        let (large, small) = (large(universe).await, universe.flow("small").await);
        let nodes = [("one", &large), ("two", &large), ("join", &small)];
        let play = ended(universe, &nodes, &[["one", "join"], ["two", "join"]]).await;
        assert_eq!(play.status, PlayStatus::Failed);
        let message = play.cause.unwrap().message;
        for said in ["node \"join\" failed", "inputs", "67108864", "a file"] {
            assert!(message.contains(said), "{said:?}: {message}");
        }
        assert!(!universe.attempts.started().contains(&"small".to_owned()));
    });
}

#[test]
fn an_output_that_is_too_large_fails_the_play() {
    universe(async |universe| {
        let large = large(universe).await;
        let play = ended(universe, &[("one", &large), ("two", &large)], &[]).await;
        assert_eq!(play.status, PlayStatus::Failed);
        assert_eq!(play.output_data, None);
        let message = play.cause.unwrap().message;
        for said in ["node \"two\"", "the play's output", "67108864", "a file"] {
            assert!(message.contains(said), "{said:?}: {message}");
        }
    });
}

#[test]
fn what_just_fits_is_kept() {
    universe(async |universe| {
        let large = large(universe).await;
        let play = ended(universe, &[("one", &large)], &[]).await;
        assert_eq!(play.status, PlayStatus::Success);
        let kept = play.output_data.unwrap().len();
        assert_eq!(kept, LARGE + r#"{"one":""}"#.len());
    });
}

/// Each node's play has a timeout; that of nodes and edges only where somebody says one.
#[test]
fn nodes_may_take_longer_together_than_one_play_may() {
    let setup = Setup {
        default_timeout: Duration::from_secs(7),
        ..Setup::default()
    };
    setup.run(async |universe| {
        universe.attempts.script("long", |_| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Exit::Code(0)
        });
        let long = universe.flow("long").await;
        let play = ended(
            universe,
            &[("one", &long), ("two", &long)],
            &[["one", "two"]],
        )
        .await;
        assert_eq!(play.status, PlayStatus::Success, "{play:?}");
        assert_eq!(play.output_data.as_deref(), Some("{\"two\":null}"));
    });
}

#[test]
fn inputs_of_a_child_play_that_are_too_large_are_refused() {
    universe(async |universe| {
        universe.flow("child").await;
        universe.attempts.script("parent", |process| async move {
            process.start("1.1", "").await;
            let inputs = json!({"x": "x".repeat(MAX_DATA)});
            let invoke = json!({"name": "child", "span_id": "1.1", "inputs": inputs});
            let error = process.ask("flow_invoke", invoke).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::TooLarge, "{error}");
            assert!(error.message.contains("\"child\""), "{error}");
            Exit::Code(0)
        });
        let parent = universe.play_of("parent").await;
        assert_eq!(universe.ended(&parent).await.status, PlayStatus::Success);
        assert_eq!(universe.attempts.started(), ["parent"]);
    });
}
