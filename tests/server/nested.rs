//! Plays that start plays.

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    process::is_alive,
    server::{Server, text},
    until,
};

fn output(play: &Value) -> Value {
    assert_eq!(play["status"], "success", "{play}");
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

/// The play that the span of this name called, once it is known.
fn called(server: &Server, sid: &str, span: &str) -> String {
    text(
        &until("the child", || {
            let span = server.span(sid, span);
            span["child_play_sid"].is_string().then_some(span)
        })["child_play_sid"],
    )
}

#[test]
fn a_child_play_is_linked_both_ways() {
    let server = Server::start();
    let sid = server.start_play(&server.add("nested"), &json!({}));
    let parent = server.wait(&sid);
    let spans = server.spans(&sid);
    let calling = spans.iter().find(|span| span["name"] == "good").unwrap();
    assert_eq!(calling["kind"], "subflow");
    let step = spans.iter().find(|span| span["name"] == "calling").unwrap();
    assert_eq!(calling["parent_id"], step["span_id"]);

    let child = server.get(&text(&calling["child_play_sid"]));
    let place = format!("{sid}/{}", text(&calling["span_id"]));
    assert_eq!(child["parent_play_sid"], json!(sid));
    assert_eq!(child["parent_span_id"], json!(place));
    let root = &server.spans(&text(&child["sid"]))[0];
    assert_eq!(root["parent_id"], json!(place));
    assert_eq!(root["kind"], "flow_root");
    assert_eq!(output(&parent), json!({"twice": 42, "parent_span": place}));
    assert_eq!(output(&child), output(&parent));
    let children = server.call("play_list", &json!({"parent_play_sid": sid}));
    assert_eq!(children["items"], json!([child]));
    server.stop();
}

#[test]
fn a_flow_of_the_library_runs_as_a_child_or_in_process() {
    let server = Server::start();
    server.add("ok");
    let workflow = server.add("asks_library");
    for (spawn, children) in [(true, 1), (false, 0)] {
        let play =
            server.wait(&server.start_play(&workflow, &json!({"name": "ok", "spawn": spawn})));
        assert_eq!(output(&play), json!({"n": 4}));
        let found = server.call("play_list", &json!({"parent_play_sid": play["sid"]}));
        assert_eq!(found["items"].as_array().unwrap().len(), children);
    }
    let play = server.wait(&server.start_play(&workflow, &json!({"name": "nobody"})));
    let message = text(&play["cause"]["message"]);
    assert!(message.contains("there is no flow \"nobody\""), "{play}");
    server.stop();
}

#[test]
fn a_failing_child_raises_in_its_parent_with_its_reason() {
    let server = Server::start();
    let sid = server.create(&json!({
        "name": "catches", "python_source": crate::support::source("nested")
    }));
    let play = server.wait(&server.start_play(&sid, &json!({"child": "bad"})));
    let caught = output(&play);
    assert_eq!(caught["type"], "ChildFailed");
    assert!(text(&caught["text"]).contains("1 is no good"), "{caught}");

    let sid = server.start_play(&server.add("nested"), &json!({"child": "bad", "n": 5}));
    let play = server.wait(&sid);
    assert_eq!(play["cause"]["kind"], "exception", "{play}");
    let message = text(&play["cause"]["message"]);
    assert!(message.contains("5 is no good"), "{message}");
    let child = server.get(&called(&server, &sid, "bad"));
    assert_eq!(child["cause"]["message"], "5 is no good");
    server.stop();
}

#[test]
fn cancel_and_timeout_go_down() {
    // One slot is enough: a play that waits for its child holds none.
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let workflow = server.add("nested");
    for (options, status) in [
        (json!({}), "cancelled"),
        (json!({"timeout_ms": 5_000}), "timed_out"),
    ] {
        let sid = server.start_with(&workflow, &json!({"child": "hangs"}), &options);
        let child = called(&server, &sid, "hangs");
        let pid = server.pid_in(&child, "hanging");
        if status == "cancelled" {
            server.call("play_cancel", &json!({"play_sid": sid}));
        }
        assert_eq!(server.wait(&sid)["status"], status);
        let play = server.wait(&child);
        assert_eq!(play["status"], "cancelled", "{play}");
        assert_eq!(play["cause"]["kind"], "cancelled");
        assert_eq!(play["cause"]["by"], json!(format!("parent {sid}")));
        assert!(!is_alive(pid));
    }
    server.stop();
}

const DEAF_BELOW: &str = "
import signal, time
from hero_tracing import flow

@flow
def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with flow.step('hears nothing'):
        while True:
            time.sleep(60)

@flow
def above():
    flow.invoke('deaf', spawn=True)
";

#[test]
fn a_cancel_answers_when_all_below_has_ended() {
    let server = Server::start();
    let workflow = server.create(&json!({"name": "above", "python_source": DEAF_BELOW}));
    let sid = server.start_play(&workflow, &json!({}));
    let child = called(&server, &sid, "deaf");
    server.span(&child, "hears nothing");
    let play = server.call("play_cancel", &json!({"play_sid": sid, "grace_ms": 700}));
    assert_eq!(play["status"], "cancelled", "{play}");
    assert_eq!(server.get(&child)["status"], "cancelled");
    server.stop().assert_clean();
}

#[test]
fn plays_nest_deeper_than_there_are_slots() {
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let workflow = server.create(&json!({
        "name": "deep", "python_source": crate::support::source("nested")
    }));
    let play = server.wait(&server.start_play(&workflow, &json!({"n": 4})));
    assert_eq!(output(&play), json!(0));
    server.stop();
}

#[test]
fn nesting_has_a_limit() {
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let workflow = server.add("hang");
    // All but the first one wait for its slot: no process is needed to go deep.
    let first = server.start_play(&workflow, &json!({}));
    let mut last = first.clone();
    for _ in 1..100 {
        last = server.start_with(
            &workflow,
            &json!({}),
            &json!({"parent_span_id": format!("{last}/x")}),
        );
    }
    let refused = server.refusal(
        "play_run_async",
        &json!({"workflow_sid": workflow, "input_data": "{}", "parent_span_id": format!("{last}/x")}),
    );
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    assert!(text(&refused["message"]).contains("100"), "{refused}");
    server.call("play_cancel", &json!({"play_sid": first}));
    assert_eq!(
        server.wait(&last)["status"],
        "cancelled",
        "cancelled to the bottom"
    );
    server.stop();
}

#[test]
fn a_parent_can_be_named_from_outside() {
    let server = Server::start();
    let parent = server.start_play(&server.add("hang"), &json!({}));
    let span = text(&server.span(&parent, "hanging")["span_id"]);
    let place = format!("{parent}/{span}");
    let workflow = server.add("env");
    let child =
        server.wait(&server.start_with(&workflow, &json!({}), &json!({"parent_span_id": place})));
    assert_eq!(output(&child)["env"]["HERO_FLOW_PARENT_SPAN"], json!(place));
    assert_eq!(child["parent_play_sid"], json!(parent));
    assert_eq!(child["parent_span_id"], json!(place));
    assert_eq!(called(&server, &parent, "hanging"), text(&child["sid"]));
    assert_eq!(
        server.spans(&text(&child["sid"]))[0]["parent_id"],
        json!(place)
    );

    for (wrong, kind) in [
        ("nothing", "invalid_input"),
        ("no-such-play/1.1", "not_found"),
    ] {
        let refused = server.refusal(
            "play_run_async",
            &json!({"workflow_sid": workflow, "input_data": "{}", "parent_span_id": wrong}),
        );
        assert_eq!(refused["data"]["kind"], kind, "{refused}");
    }
    server.stop();
}
