//! The server goes: in order, or at once. The records are right when it is back.

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    process::is_alive,
    server::{Server, text},
    source, until,
};

#[test]
fn a_server_that_stops_in_order_records_its_plays_and_leaves_nothing() {
    let server = Server::start_in(Home::new(), &["--max-plays", "2"]);
    let workflow = server.add("hang");
    let leak = server.add("leak");
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
    let hang = server.start_play(&server.add("hang"), &json!({}));
    let leak = server.start_play(&server.add("leak"), &json!({"hang": true}));
    // It has kept nothing, but has begun a durable step.
    let source = source("nested").replace(
        "@flow\ndef parent",
        "@flow(on_interrupt='fail')\ndef parent",
    );
    let nested =
        server.create(&json!({"name": "nested", "python_source": source, "flow_name": "parent"}));
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
