//! Nodes and edges: the legacy path of `play_start`.

use serde_json::{Value, json};

use super::support::{
    server::{Server, text},
    until,
};

/// Gives its arguments back.
const ECHO: &str = "from hero_tracing import flow\n@flow\ndef echo(**kw):\n    return kw\n";
/// Is done only when `peer` runs at the same time.
const MEET: &str = r#"
import os, time
from hero_tracing import flow

@flow
def meet(dir: str, own: str, peer: str):
    open(os.path.join(dir, own), "w").close()
    deadline = time.monotonic() + 50
    while not os.path.exists(os.path.join(dir, peer)):
        assert time.monotonic() < deadline, "alone"
        time.sleep(0.01)
    return len(own)
"#;

fn flow(server: &Server, name: &str, source: &str) -> String {
    server.create(&json!({"name": name, "python_source": source}))
}

fn start(server: &Server, nodes: Value, edges: Value, more: Value) -> String {
    let name = format!(
        "dag-{}",
        server.call("workflow_list", &json!({}))["items"]
            .as_array()
            .unwrap()
            .len()
    );
    let workflow = server.create(&json!({"name": name, "nodes": nodes, "edges": edges}));
    let mut params = json!({"workflow_sid": workflow});
    for (key, value) in more.as_object().unwrap() {
        params[key] = value.clone();
    }
    text(&server.call("play_start", &params)["sid"])
}

fn children(server: &Server, sid: &str) -> Vec<Value> {
    let page = server.call("play_list", &json!({"parent_play_sid": sid}));
    page["items"].as_array().unwrap().clone()
}

#[test]
fn values_flow_along_the_edges_and_independent_nodes_run_side_by_side() {
    let server = Server::start();
    let (echo, meet) = (flow(&server, "echo", ECHO), flow(&server, "meet", MEET));
    let dir = server.home().files();
    let meeting = |id: &str, own: &str, peer: &str| json!({"id": id, "workflow_sid": meet, "inputs": {"own": own, "peer": peer}});
    let nodes = json!([
        {"id": "join", "workflow_sid": echo, "inputs": {"fixed": 1, "renamed": 0}},
        meeting("left", "l", "right"),
        meeting("right", "right", "l"),
        {"id": "alone", "workflow_sid": echo},
    ]);
    let edges = json!([
        {"from": "left", "to": "join", "map": {"left": "renamed"}},
        {"from": "right", "to": "join"},
    ]);
    let input = json!({"dir": dir.to_str().unwrap()});
    let sid = start(&server, nodes, edges, json!({"input_data": input}));
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    // By the order of the nodes: the same each time.
    let expected = json!({
        "join": {"fixed": 1, "renamed": 1, "right": 5},
        "alone": {"dir": dir.to_str().unwrap()},
    });
    assert_eq!(play["output_data"].as_str().unwrap(), expected.to_string());
    assert_eq!(children(&server, &sid).len(), 4);
    server.stop();
}

#[test]
fn a_failed_node_stops_what_depends_on_it_and_names_itself() {
    let server = Server::start();
    let echo = flow(&server, "echo", ECHO);
    let fails = flow(
        &server,
        "fails",
        "from hero_tracing import flow\n@flow\ndef fails():\n    raise ValueError('no rows')\n",
    );
    let nodes = json!([
        {"id": "load", "workflow_sid": fails},
        {"id": "after", "workflow_sid": echo},
        {"id": "beside", "workflow_sid": echo},
    ]);
    let edges = json!([{"from": "load", "to": "after"}]);
    let sid = start(&server, nodes, edges, json!({}));
    let play = server.wait(&sid);
    assert_eq!(play["status"], "failed", "{play}");
    let message = text(&play["cause"]["message"]);
    assert!(
        message.contains("\"load\"") && message.contains("no rows"),
        "{message}"
    );
    let spans = server.spans(&sid);
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).cloned();
    assert_eq!(named("load").unwrap()["status"], "failed");
    assert_eq!(named("beside").unwrap()["status"], "ok");
    assert_eq!(named("after"), None, "it was never started");
    assert_eq!(children(&server, &sid).len(), 2);
    server.stop();
}

#[test]
fn cancel_and_timeout_go_down_to_the_nodes() {
    let server = Server::start();
    let hang = server.add("hang");
    for timeout in [None, Some(1_500)] {
        let nodes = json!([{"id": "a", "workflow_sid": hang}, {"id": "b", "workflow_sid": hang}]);
        let sid = start(&server, nodes, json!([]), json!({"timeout_ms": timeout}));
        let running = until("both nodes to run", || {
            let children = children(&server, &sid);
            (children.len() == 2).then_some(children)
        });
        if timeout.is_none() {
            server.call("play_cancel", &json!({"play_sid": sid}));
        }
        let play = server.wait(&sid);
        let expected = if timeout.is_none() {
            "cancelled"
        } else {
            "timed_out"
        };
        assert_eq!(play["status"], expected, "{play}");
        assert_eq!(play["output_data"], Value::Null);
        for child in running {
            let child = server.wait(child["sid"].as_str().unwrap());
            assert_eq!(child["status"], "cancelled", "{child}");
            assert_eq!(child["cause"]["by"], format!("parent {sid}"));
        }
    }
    server.stop();
}

/// Notes its name, and fails where there is no file of that name.
const NOTES: &str = r#"
import os
from hero_tracing import flow

@flow
def notes(dir: str, name: str, **more):
    with open(os.path.join(dir, "tally"), "a") as file:
        file.write(name + " ")
    assert os.path.exists(os.path.join(dir, name)), "not yet"
    return {"dir": dir, "n": len(more)}
"#;

#[test]
fn a_retry_runs_only_the_nodes_that_have_not_succeeded() {
    let server = Server::start();
    let notes = flow(&server, "notes", NOTES);
    let dir = server.home().files();
    let node = |id: &str| json!({"id": id, "workflow_sid": notes, "inputs": {"name": id}});
    let nodes = json!([node("a"), node("b"), node("c")]);
    let edges = json!([{"from": "a", "to": "b"}, {"from": "b", "to": "c"}]);
    let good = |name: &str| std::fs::write(dir.join(name), "").unwrap();
    let ran = || {
        let tally = dir.join("tally");
        let text = std::fs::read_to_string(&tally).unwrap_or_default();
        drop(std::fs::remove_file(tally));
        text
    };
    let retry = |sid: &str, more: Value| {
        let mut params = json!({"play_sid": sid});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let play = server.call("play_retry", &params);
        server.wait(&text(&play["sid"]))
    };
    good("a");
    let input = json!({"input_data": {"dir": dir.to_str().unwrap()}});
    let first = start(&server, nodes, edges, input);
    assert_eq!(server.wait(&first)["status"], "failed");
    assert_eq!(ran(), "a b ");

    good("b");
    let second = retry(&first, json!({}));
    assert_eq!((&second["status"], &*ran()), (&json!("failed"), "b c "));
    let sid = text(&second["sid"]);
    let span = server.span(&sid, "a");
    let of_first = children(&server, &first);
    let done = of_first
        .iter()
        .find(|child| child["status"] == "success")
        .unwrap();
    assert_eq!(
        (&span["status"], &span["child_play_sid"]),
        (&json!("replayed"), &done["sid"])
    );
    assert_eq!(
        server.call("play_resume_preview", &json!({"play_sid": sid})),
        json!([])
    );

    // What it reused itself is reused once more.
    good("c");
    let third = retry(&sid, json!({}));
    assert_eq!(
        (&third["status"], &*ran()),
        (&json!("success"), "c "),
        "{third}"
    );
    assert_eq!(children(&server, &text(&third["sid"])).len(), 1);
    let fourth = retry(&text(&third["sid"]), json!({"from": "start"}));
    assert_eq!(
        (&fourth["output_data"], &*ran()),
        (&third["output_data"], "a b c ")
    );

    // Another version of a node is another program, and what comes after it has another input.
    let version = NOTES.replace("len(more)", "7");
    server.call(
        "workflow_version_add",
        &json!({"workflow_sid": notes, "python_source": version}),
    );
    assert_eq!(retry(&text(&third["sid"]), json!({}))["status"], "success");
    assert_eq!(ran(), "a b c ");
    let other =
        json!({"play_sid": third["sid"], "input_data": {"dir": dir.to_str().unwrap(), "x": 1}});
    let forked = server.call("play_fork", &other);
    assert_eq!(server.wait(&text(&forked["sid"]))["status"], "success");
    assert_eq!(ran(), "a b c ");
    let from = json!({"play_sid": third["sid"], "from_span_id": span["span_id"]});
    let refused = server.refusal("play_fork", &from);
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    assert!(
        text(&refused["message"]).contains("from_span_id"),
        "{refused}"
    );
    server.stop();
}

#[test]
fn what_is_wrong_is_named_before_anything_runs() {
    let server = Server::start();
    let echo = flow(&server, "echo", ECHO);
    let workflow = server.create(&json!({
        "name": "dag", "nodes": [{"id": "a", "workflow_sid": echo}, {"id": "b", "workflow_sid": "nowhere"}], "edges": []
    }));
    let refused = server.refusal("play_start", &json!({"workflow_sid": workflow}));
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    let message = text(&refused["message"]);
    assert!(
        message.contains("\"b\"") && message.contains("nowhere"),
        "{message}"
    );
    assert_eq!(server.call("play_list", &json!({}))["items"], json!([]));
    server.stop();
}

#[test]
fn flow_run_runs_it_too() {
    let server = Server::start();
    let echo = flow(&server, "echo", ECHO);
    server.create(&json!({
        "name": "graph", "nodes": [{"id": "a", "workflow_sid": echo}], "edges": []
    }));
    let ran = server
        .home()
        .run(&["flow", "run", "graph", "-i", "n=1"])
        .exits(0);
    assert_eq!(ran.json(), json!({"a": {"n": 1}}));
    server.stop();
}
