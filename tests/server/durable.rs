//! Durable steps: what was acknowledged is there for the next attempt.

use serde_json::{Value, json};

use crate::support::server::{Server, text};

/// Speaks the wire itself: keeps one step, begins another, dies; the next attempt tells what it was given.
const DIES: &str = r#"
import json, os, signal, socket
from hero_tracing import flow

@flow
def dies():
    if "HERO_FLOW_KEPT" in os.environ:
        with open(os.environ["HERO_FLOW_KEPT"]) as file:
            steps = [json.loads(line) for line in file]
        return [os.environ["HERO_FLOW_ATTEMPT"], [[step["key"], step["name"], step.get("data")] for step in steps]]
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
    lines = [
        {"type": "span_start", "span_id": "1.s1", "name": "pay", "kind": "step", "step": {"key": "k1", "args": "a"}},
        {"jsonrpc": "2.0", "id": 7, "type": "step_output", "span_id": "1.s1", "data": {"paid": 3}},
        {"type": "span_start", "span_id": "1.s2", "name": "ship", "kind": "step", "step": {"key": "k2", "position": 1}},
        {"jsonrpc": "2.0", "id": 8, "type": "span_tag", "span_id": "1.s2", "tags": {}},
        {"jsonrpc": "2.0", "id": 9, "type": "step_output", "span_id": "1.none", "data": 1},
    ]
    for line in lines:
        wire.sendall(json.dumps(line).encode() + b"\n")
    answers = {}
    reader = wire.makefile()
    while len(answers) < 3:
        answer = json.loads(reader.readline())
        answers[answer["id"]] = answer["result"]
    assert answers == {7: True, 8: True, 9: False}, answers
    os.kill(os.getpid(), signal.SIGKILL)
"#;

#[test]
fn what_was_acknowledged_is_there_for_the_next_attempt() {
    let server = Server::start();
    let flow = server.create(&json!({"name": "dies", "python_source": DIES}));
    let play = server.wait(&server.start_play(&flow, &json!({})));
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["attempt"], 2);
    let output: Value = serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap();
    let kept = json!([["k1", "pay", {"paid": 3}], ["k2", "ship", null]]);
    assert_eq!(output, json!(["2", kept]));
    let spans = server.spans(&text(&play["sid"]));
    let of = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(of("pay")["status"], "ok");
    assert_eq!(of("ship")["status"], "cancelled");
    server.stop().assert_clean();
}

/// Written as authors write it.
const STEPS: &str = r#"
import os, signal
from dataclasses import dataclass
from hero_tracing import flow

@dataclass(frozen=True)
class Paid:
    amount: int
    tags: frozenset

@flow.step
def pay(amount):
    with open(os.environ["TALLY"], "a") as file:
        file.write(f"pay {amount}\n")
    return Paid(amount, frozenset({"a", "b"}))

@flow
def nested(n):
    return [pay(n), pay(n + 1)]

@flow(env=["TALLY"])
def steps():
    paid = [*nested(1), pay(7)]
    if os.environ["HERO_FLOW_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    assert all(isinstance(one, Paid) for one in paid), paid
    return [one.amount for one in paid + [pay(9)]]
"#;

#[test]
fn steps_that_are_kept_are_not_done_again() {
    let server = Server::start();
    let tally = server.home().files().join("tally");
    let flow = server.create(&json!({"name": "steps", "python_source": STEPS}));
    let more = json!({"env": {"TALLY": tally}});
    let play = server.wait(&server.start_with(&flow, &json!({}), &more));
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["attempt"], 2);
    assert_eq!(play["output_data"], "[1,2,7,9]");
    let tally = std::fs::read_to_string(tally).unwrap();
    assert_eq!(tally, "pay 1\npay 2\npay 7\npay 9\n");
    let spans = server.spans(&text(&play["sid"]));
    let of = |name: &str, status: &str| {
        let count = spans
            .iter()
            .filter(|span| span["name"] == name && span["status"] == status);
        count.count()
    };
    // Those within `nested` are not come to again.
    assert_eq!((of("nested", "ok"), of("nested", "replayed")), (1, 1));
    assert_eq!((of("pay", "ok"), of("pay", "replayed")), (4, 1));
    server.stop().assert_clean();
}

/// Keeps a step, then hangs until its attempt is `resumes_in`.
const HANGS: &str = r#"
import os, time
from hero_tracing import flow

@flow.step
def once():
    return os.environ["HERO_FLOW_ATTEMPT"]

@flow
def hangs(resumes_in=2):
    kept = once()
    if int(os.environ["HERO_FLOW_ATTEMPT"]) < resumes_in:
        with flow.step("hanging", pid=os.getpid()):
            time.sleep(600)
    return kept
"#;

/// Starts it, and waits until it hangs.
fn hangs(server: &Server, source: &str, resumes_in: u32) -> String {
    let flow = server.create(&json!({"name": "hangs", "python_source": source}));
    let sid = server.start_play(&flow, &json!({"resumes_in": resumes_in}));
    server.pid_in(&sid, "hanging");
    sid
}

#[test]
fn a_killed_server_goes_on_with_what_was_kept() {
    let server = Server::start();
    let sid = hangs(&server, HANGS, 2);
    let server = Server::start_in(server.crash(), &[]);
    let play = server.wait(&sid);
    assert_eq!(
        (&play["status"], &play["attempt"], &play["output_data"]),
        (&json!("success"), &json!(2), &json!("\"1\"")),
        "{play}"
    );
    let hanging = server.span(&sid, "hanging");
    assert_eq!(hanging["status"], "cancelled");
    server.stop().assert_clean();
}

#[test]
fn a_server_that_stops_in_order_goes_on_with_what_was_kept() {
    let server = Server::start();
    let sid = hangs(&server, HANGS, 2);
    let home = server.stop();
    let server = Server::start_in(home, &[]);
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["output_data"], "\"1\"");
    server.stop().assert_clean();
}

#[test]
fn a_play_that_takes_its_server_with_it_each_time_is_given_up() {
    let mut server = Server::start();
    let sid = hangs(&server, HANGS, 99);
    for attempt in 2..=6 {
        server = Server::start_in(server.crash(), &[]);
        crate::support::until("the next attempt to hang", || {
            let spans = server.spans(&sid);
            let mut hanging = spans.iter().filter(|span| span["name"] == "hanging");
            hanging
                .any(|span| {
                    span["status"] == "running"
                        && span["span_id"]
                            .as_str()
                            .is_some_and(|id| id.starts_with(&format!("{attempt}.")))
                })
                .then_some(())
        });
    }
    let server = Server::start_in(server.crash(), &[]);
    let play = server.wait(&sid);
    assert_eq!(play["status"], "failed", "{play}");
    assert_eq!(play["cause"]["kind"], "recovery_exhausted", "{play}");
    assert_eq!(play["attempt"], 6);
    server.stop().assert_clean();
}

#[test]
fn who_says_so_is_not_resumed() {
    let server = Server::start();
    let source = HANGS.replace("@flow\ndef", "@flow(on_interrupt='fail')\ndef");
    let sid = hangs(&server, &source, 2);
    let server = Server::start_in(server.crash(), &[]);
    let play = server.wait(&sid);
    assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
    server.stop().assert_clean();
}

#[test]
fn who_dies_again_and_again_and_keeps_nothing_is_given_up() {
    let server = Server::start();
    let source = DIES.replace(r#"if "HERO_FLOW_KEPT" in os.environ:"#, "if 0:")
        .replace("lines = [", "if os.environ['HERO_FLOW_ATTEMPT'] != '1': os.kill(os.getpid(), signal.SIGKILL)\n    lines = [");
    let flow = server.create(&json!({"name": "dies", "python_source": source}));
    let play = server.wait(&server.start_play(&flow, &json!({})));
    assert_eq!(play["status"], "failed", "{play}");
    assert_eq!(play["cause"]["kind"], "recovery_exhausted", "{play}");
    assert_eq!(play["attempt"], 6);
    let never = source.replace("@flow", "@flow(on_interrupt=\"fail\")");
    let flow =
        server.create(&json!({"name": "never", "python_source": never, "flow_name": "dies"}));
    let play = server.wait(&server.start_play(&flow, &json!({})));
    assert_eq!(
        (&play["cause"]["kind"], &play["attempt"]),
        (&json!("killed"), &json!(1)),
        "{play}"
    );
    server.stop().assert_clean();
}
