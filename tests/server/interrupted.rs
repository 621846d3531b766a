//! The server goes: in order, or at once. The records are right when it is back.

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    process::is_alive,
    server::{Server, text},
    until,
};

#[test]
fn a_server_that_stops_in_order_records_its_plays_and_leaves_nothing() {
    let server = Server::start_in(Home::new(), &["--max-plays", "2"]);
    let workflow = server.add_unresumed("hang");
    let leak = server.add_unresumed("leak");
    let sid = server.start_play(&workflow, &json!({}));
    let leaking = server.start_play(&leak, &json!({"hang": true}));
    let waiting = server.start_play(&workflow, &json!({}));
    let pids = [
        server.pid_in(&sid, "hanging"),
        server.pid_in(&leaking, "leaking"),
    ];
    let home = server.stop();
    assert!(!pids.iter().any(|pid| is_alive(*pid)));

    let server = Server::start_in(home, &["--max-plays", "2"]);
    for (sid, open) in [(&sid, "hanging"), (&leaking, "leaking")] {
        let play = server.get(sid);
        assert_eq!(play["status"], "failed", "{play}");
        assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
        assert!(play["completed_at"].is_number() && play["duration_ms"].is_number());
        // Whether it ended its span itself in its grace, or had it closed: with the play's outcome.
        assert_eq!(server.span(sid, open)["status"], "failed");
    }
    assert_eq!(
        server.written(&sid, "stdout"),
        "cleaned up\n",
        "it had its grace"
    );
    // Who waited for a slot has one now.
    server.span(&waiting, "hanging");
    server.stop();
}

#[test]
fn after_a_crash_no_play_is_left_running() {
    let server = Server::start();
    let hang = server.start_play(&server.add_unresumed("hang"), &json!({}));
    let leak = server.start_play(&server.add_unresumed("leak"), &json!({"hang": true}));
    let nested = server.add_unresumed("nested");
    let nested = server.start_play(&nested, &json!({"child": "hangs"}));
    let done = server.play("ok", &json!({"n": 9}));
    let child = text(
        &until("the child", || {
            let span = server.span(&nested, "hangs");
            span["child_play_sid"].is_string().then_some(span)
        })["child_play_sid"],
    );
    let pids = [
        server.pid_in(&hang, "hanging"),
        server.pid_in(&leak, "leaking"),
        server.pid_in(&child, "hanging"),
    ];
    let home = server.crash();

    let server = Server::start_in(home, &[]);
    let running = server.call("play_list", &json!({"status": "running"}));
    assert_eq!(running["items"], json!([]));
    assert!(
        !pids.iter().any(|pid| is_alive(*pid)),
        "a process of a play is left"
    );
    for sid in [&hang, &leak, &nested, &child] {
        let play = server.get(sid);
        assert_eq!(play["status"], "failed", "{play}");
        assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
        assert!(
            play["completed_at"].is_number() && play["duration_ms"].is_number(),
            "{play}"
        );
        for span in server.spans(sid) {
            assert_eq!(span["status"], "failed", "{span}");
            assert!(span["end_ms"].is_number(), "{span}");
        }
    }
    assert_eq!(server.get(&text(&done["sid"])), done);
    // It goes on from there.
    let retried = server.call("play_retry", &json!({"play_sid": hang}));
    assert_eq!(retried["retry_of"], json!(hang));
    server.span(&text(&retried["sid"]), "hanging");
    server.stop();
}

#[test]
fn a_restart_keeps_everything() {
    let server = Server::start();
    let plays = [
        server.play("ok", &json!({"n": 2})),
        server.play("fail", &json!({})),
        server.play("prints", &json!({})),
    ];
    let all = |server: &Server| -> Vec<Value> {
        let mut seen = vec![
            server.call("play_list", &json!({})),
            server.call("workflow_list", &json!({})),
            server.call("flow_library_search", &json!({"query": "", "limit": 10})),
        ];
        for play in &plays {
            let sid = text(&play["sid"]);
            seen.push(server.get(&sid));
            seen.push(json!(server.spans(&sid)));
            seen.push(server.call(
                "workflow_version_list",
                &json!({"workflow_sid": play["workflow_sid"]}),
            ));
        }
        seen
    };
    let before = all(&server);
    let home = server.stop();
    let server = Server::start_in(home, &[]);
    assert_eq!(all(&server), before);
    let home = server.crash();
    let server = Server::start_in(home, &[]);
    assert_eq!(all(&server), before);
    server.stop();
}

/// It begins no durable step at all.
const PLAIN: &str = r#"
import os, time
from hero_tracing import flow

@flow
def plain(n: int = 0):
    with flow.step("hanging", pid=os.getpid()):
        while os.environ["HERO_FLOW_ATTEMPT"] == "1":
            time.sleep(60)
    return os.environ["HERO_FLOW_ATTEMPT"]
"#;

#[test]
fn whatever_ran_goes_on_in_a_further_attempt() {
    let kill: fn(Server) -> Home = Server::crash;
    for end in [kill, Server::stop] {
        let server = Server::start();
        let plain = server.create(&json!({"name": "plain", "python_source": PLAIN}));
        let sid = server.start_play(&plain, &json!({}));
        let pid = server.pid_in(&sid, "hanging");
        let home = end(server);
        assert!(!is_alive(pid) || home.data.exists());
        let server = Server::start_in(home, &[]);
        let play = server.wait(&sid);
        assert_eq!(
            (&play["status"], &play["attempt"]),
            (&json!("success"), &json!(2)),
            "{play}"
        );
        assert_eq!(play["output_data"], "\"2\"");
        server.stop().assert_clean();
    }
}

/// A play of nodes and edges has no process, and no durable steps: it finds the plays of its nodes again.
#[test]
fn a_play_of_nodes_goes_on_with_the_plays_of_its_nodes() {
    let server = Server::start();
    let ok = server.add("ok");
    let plain = server.create(&json!({"name": "plain", "python_source": PLAIN}));
    let dag = server.create(&json!({
        "name": "dag",
        "nodes": [{"id": "first", "workflow_sid": ok}, {"id": "then", "workflow_sid": plain}],
        "edges": [{"from": "first", "to": "then"}],
    }));
    let start = json!({"workflow_sid": dag, "input_data": "{}"});
    let sid = text(&server.call("play_start", &start)["sid"]);
    let child = text(
        &until("the second node", || {
            let children = server.call("play_list", &json!({"parent_play_sid": sid}));
            let newest = children["items"][0].clone();
            (newest["workflow_name"] == "plain").then_some(newest)
        })["sid"],
    );
    server.pid_in(&child, "hanging");
    let server = Server::start_in(server.crash(), &[]);
    let play = server.wait(&sid);
    assert_eq!(
        (&play["status"], &play["attempt"]),
        (&json!("success"), &json!(2)),
        "{play}"
    );
    assert_eq!(play["output_data"], r#"{"then":"2"}"#);
    let children = server.call("play_list", &json!({"parent_play_sid": sid}));
    assert_eq!(children["items"].as_array().unwrap().len(), 2, "{children}");
    server.stop().assert_clean();
}
