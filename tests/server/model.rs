//! The fixtures' model: what each flow of `tests/flows` that ends by itself must come to. The rows of
//! the outcome table that need somebody to intervene are in `stopping` and `interrupted`.

use serde_json::{Value, json};

use crate::support::{
    fixture,
    server::{Server, text},
};

/// Flow, input, further parameters of the call, and what must hold: `(pointer, value)` of the record.
type Row = (&'static str, Value, Value, Vec<(&'static str, Value)>);

fn ends(status: &str, kind: &str, more: Vec<(&'static str, Value)>) -> Vec<(&'static str, Value)> {
    let mut all = vec![("/status", json!(status)), ("/cause/kind", json!(kind))];
    all.extend(more);
    all
}

fn exception(type_name: &str, line: u32, function: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/cause/exception/type", json!(type_name)),
        ("/cause/exception/line", json!(line)),
        ("/cause/exception/function", json!(function)),
        ("/output_data", Value::Null),
    ]
}

fn rows() -> Vec<Row> {
    let none = || json!({});
    let exit = |code: i32| ends("failed", "exit", vec![("/cause/exit_code", json!(code))]);
    let signal = |name: &str| ends("failed", "signal", vec![("/cause/signal", json!(name))]);
    let success = |output: Value| {
        vec![
            ("/status", json!("success")),
            ("/cause", Value::Null),
            ("/output_data", json!(output.to_string())),
        ]
    };
    vec![
        ("ok", json!({"n": 3}), none(), success(json!({"n": 3}))),
        ("ok", none(), none(), success(json!({"n": 1}))),
        (
            "fail",
            none(),
            none(),
            ends("failed", "exception", exception("ValueError", 8, "work")),
        ),
        (
            "import_fails",
            none(),
            none(),
            ends(
                "failed",
                "exception",
                exception("RuntimeError", 8, "<module>"),
            ),
        ),
        (
            "failed_reason",
            none(),
            none(),
            ends(
                "failed",
                "exception",
                vec![
                    ("/cause/message", json!("the shop is closed")),
                    ("/cause/exception/traceback", Value::Null),
                ],
            ),
        ),
        (
            "exits",
            json!({"code": 0}),
            none(),
            vec![("/status", json!("success"))],
        ),
        ("exits", json!({"code": 3}), none(), exit(3)),
        ("exits", json!({"code": 7, "hard": true}), none(), exit(7)),
        ("exits", json!({"code": 75}), none(), exit(75)),
        (
            "no_flow",
            none(),
            none(),
            ends("failed", "exception", vec![("/cause/exit_code", json!(2))]),
        ),
        (
            "signals",
            json!({"name": "SIGSEGV"}),
            none(),
            signal("SIGSEGV"),
        ),
        (
            "signals",
            json!({"name": "SIGTERM"}),
            none(),
            signal("SIGTERM"),
        ),
        (
            "signals",
            json!({"name": "SIGABRT"}),
            none(),
            signal("SIGABRT"),
        ),
        (
            "signals",
            json!({"name": "SIGKILL"}),
            none(),
            ends(
                "failed",
                "killed",
                vec![("/cause/signal", json!("SIGKILL"))],
            ),
        ),
        (
            "limited",
            none(),
            none(),
            ends("timed_out", "timeout", vec![]),
        ),
        (
            "hang",
            none(),
            json!({"timeout_ms": 400}),
            ends("timed_out", "timeout", vec![]),
        ),
        (
            "ok",
            none(),
            json!({"python": "/no/such/python"}),
            ends("failed", "start", vec![]),
        ),
        (
            "ok",
            none(),
            json!({"python": "/bin/true"}),
            ends("failed", "start", vec![]),
        ),
    ]
}

#[test]
fn each_flow_comes_to_what_it_says() {
    let server = Server::start_in(crate::support::home::Home::new(), &["--max-plays", "6"]);
    let mut started = Vec::new();
    for (name, input, more, expected) in rows() {
        let known = server.call("workflow_list", &json!({"name": name}));
        let workflow = match known["items"].get(0) {
            Some(workflow) => text(&workflow["sid"]),
            None => server.add(name),
        };
        let sid = server.start_with(&workflow, &input, &more);
        started.push((name, input, sid, expected));
    }
    for (name, input, sid, expected) in started {
        let play = server.wait(&sid);
        for (pointer, value) in expected {
            let actual = play.pointer(pointer).unwrap_or(&Value::Null);
            assert_eq!(*actual, value, "{name} {input}: {pointer} of {play:#}");
        }
        if play["status"] != "success" {
            let message = text(&play["cause"]["message"]);
            assert!(!message.is_empty(), "{name} {input}: {play}");
        }
        for span in server.spans(&sid) {
            assert_ne!(span["status"], "running", "{name} {input}: {span}");
            assert!(span["end_ms"].is_number(), "{name} {input}: {span}");
        }
    }
    server.stop();
}

#[test]
fn an_exception_is_told_with_the_authors_file_and_traceback() {
    let server = Server::start();
    let play = server.play("fail", &json!({"what": "egg"}));
    let cause = &play["cause"];
    assert_eq!(cause["message"], "ValueError: bad egg");
    assert_eq!(cause["exception"]["message"], "bad egg");
    let file = fixture("fail").display().to_string();
    assert_eq!(cause["exception"]["file"], file);
    let traceback = text(&cause["exception"]["traceback"]);
    assert!(
        traceback.contains(&format!("File \"{file}\", line 8, in work")),
        "{traceback}"
    );
    assert!(
        traceback.contains("raise ValueError(f\"bad {what}\")"),
        "{traceback}"
    );
    assert!(
        !traceback.contains("hero_tracing"),
        "the SDK's frames are none of its business"
    );
    assert_eq!(cause["last_span"]["name"], "work");
    assert_eq!(cause["last_span"]["source_file"], file);
    assert!(play["usage"]["cpu_ms"].as_f64() > Some(0.0), "{play}");
    assert!(
        cause["peak_memory_bytes"].as_u64() > Some(1 << 20),
        "{play}"
    );
    server.stop();
}

#[test]
fn a_process_that_ends_without_a_word_still_tells_its_last_ones() {
    let server = Server::start();
    let play = server.play("exits", &json!({"code": 7, "hard": true}));
    let tail = text(&play["cause"]["stderr_tail"]);
    assert!(tail.contains("last words"), "{play}");
    let play = server.play("no_flow", &json!({}));
    let message = text(&play["cause"]["message"]);
    assert!(message.contains("marks no function with @flow"), "{play}");
    // Python itself can't start: what it says is there all the same.
    let workflow = server.add("ok");
    let broken = json!({"env": {"PYTHONHOME": "/no/such/home"}});
    let play = server.wait(&server.start_with(&workflow, &json!({}), &broken));
    assert_eq!(play["cause"]["kind"], "exit", "{play}");
    let tail = text(&play["cause"]["stderr_tail"]);
    assert!(tail.contains("Python"), "{play}");
    server.stop();
}
