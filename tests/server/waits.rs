//! Plays that wait: for answers, signals, times.

use std::{path::PathBuf, thread};

use serde_json::{Value, json};

use crate::support::{
    http,
    server::{Server, text},
    until,
};

/// Speaks the wire itself. Pauses with each of `waits`, then leaves if one of them is not settled, else
/// returns what they came to; before it leaves it waits for the file `gate`, where one is named.
const WAITS: &str = r#"
import json, os, socket, time
from hero_tracing import flow

@flow
def waits(waits, gate=None):
    attempt = os.environ["HERO_FLOW_ATTEMPT"]
    kept = {}
    if "HERO_FLOW_KEPT" in os.environ:
        with open(os.environ["HERO_FLOW_KEPT"]) as file:
            kept = {step["key"]: step for step in map(json.loads, file)}
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(os.environ["HERO_FLOW_SPAN_SOCK"])
    reader = wire.makefile()
    results, open_ones = {}, 0
    for number, wait in enumerate(waits):
        key = wait["name"] + "-key"
        step = kept.get(key, {})
        if "data" in step:
            results[key] = [step.get("raised", False), step["data"]]
            continue
        span = f"{attempt}.w{number}"
        for line in (
            {"type": "span_start", "span_id": span, "name": wait["name"], "kind": "step", "step": {"key": key}},
            {"jsonrpc": "2.0", "id": number, "type": "pause", "span_id": span, "wait": wait},
        ):
            wire.sendall(json.dumps(line).encode() + b"\n")
        answer = json.loads(reader.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        answer = answer["result"]
        if answer["settled"]:
            results[key] = ["raised" in answer, answer.get("raised", answer.get("payload"))]
        else:
            assert answer["id"] == key, answer
            open_ones += 1
    if open_ones:
        while gate and not os.path.exists(gate):
            time.sleep(0.01)
        os._exit(75)
    return [attempt, results]
"#;

fn workflow(server: &Server) -> String {
    server.create(&json!({"name": "waits", "python_source": WAITS}))
}

fn start(server: &Server, waits: &Value) -> String {
    server.start_play(&workflow(server), &json!({"waits": waits}))
}

/// Waits until the play stands like this.
#[track_caller]
fn stands(server: &Server, sid: &str, status: &str) -> Value {
    until(&format!("play {sid} being {status}"), || {
        let play = server.get(sid);
        (play["status"] == status).then_some(play)
    })
}

fn pending(server: &Server, sid: &str) -> Vec<Value> {
    let pending = server.call("play_pending_resumes", &json!({"play_sid": sid}));
    pending.as_array().unwrap().clone()
}

fn resume(server: &Server, sid: &str, id: &str, payload: Value) -> Result<Value, Value> {
    let params = json!({"play_sid": sid, "resume_id": id, "payload": payload});
    server.try_call("play_resume", &params)
}

fn kind(result: &Result<Value, Value>) -> String {
    text(&result.as_ref().unwrap_err()["data"]["kind"])
}

/// What the flow returned.
#[track_caller]
fn output(server: &Server, sid: &str) -> Value {
    let play = server.wait(sid);
    assert_eq!(play["status"], "success", "{play}");
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

#[test]
fn a_question_is_answered_and_the_play_goes_on() {
    let server = Server::start();
    let schema = json!({"type": "integer", "minimum": 3});
    let ask = json!({"kind": "ask", "name": "how many", "schema": schema, "ui": {"as": "slider"}});
    let sid = start(&server, &json!([ask]));
    let play = stands(&server, &sid, "awaiting_resume");
    assert_eq!(
        (&play["cause"], &play["completed_at"], &play["attempt"]),
        (&Value::Null, &Value::Null, &json!(1))
    );
    let waited = json!({"play_sid": sid, "timeout_ms": 1});
    assert_eq!(
        server.call("play_wait", &waited)["status"],
        "awaiting_resume"
    );
    let questions = pending(&server, &sid);
    assert_eq!(questions.len(), 1);
    let question = &questions[0];
    assert_eq!(
        (&question["name"], &question["schema"], &question["ui"]),
        (&json!("how many"), &schema, &json!({"as": "slider"}))
    );
    let span = server.span(&sid, "how many");
    assert_eq!(
        (&span["status"], &span["span_id"]),
        (&json!("running"), &question["span_id"])
    );
    assert_eq!(server.span(&sid, "waits")["status"], "cancelled");
    let id = text(&question["id"]);
    let wrong = resume(&server, &sid, &id, json!(2));
    assert_eq!(kind(&wrong), "invalid_input", "{wrong:?}");
    assert_eq!(pending(&server, &sid), questions, "it stays open");
    resume(&server, &sid, &id, json!(3)).unwrap();
    assert_eq!(
        output(&server, &sid),
        json!(["2", {"how many-key": [false, 3]}])
    );
    assert_eq!(server.span(&sid, "how many")["status"], "ok");
    let none = pending(&server, &sid);
    assert!(none.is_empty(), "{none:?}");
    server.stop();
}
