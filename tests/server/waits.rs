//! Plays that wait: for answers, signals, times.

use std::{collections::BTreeSet, fs, os::unix::process::ExitStatusExt, path::PathBuf, thread};

use serde_json::{Value, json};

use crate::support::{
    home::Home,
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
    let flow = json!({"name": "waits", "python_source": WAITS});
    match server.try_call("workflow_create", &flow) {
        Ok(flow) => text(&flow["sid"]),
        // It is there from before.
        Err(_) => text(&server.call("workflow_list", &json!({"name": "waits"}))["items"][0]["sid"]),
    }
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

fn ask(name: &str) -> Value {
    json!({"kind": "ask", "name": name})
}

/// So many milliseconds from now on, in those since 1970.
fn from_now(ms: u64) -> u64 {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + ms
}

#[test]
fn several_questions_can_be_open_at_once() {
    let server = Server::start();
    let sid = start(&server, &json!([ask("a"), ask("b")]));
    stands(&server, &sid, "awaiting_resume");
    let first = pending(&server, &sid);
    let names: Vec<_> = first.iter().map(|question| &question["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    resume(&server, &sid, "b-key", json!({"b": 1})).unwrap();
    until("the second attempt waits", || {
        let play = server.get(&sid);
        (play["attempt"] == 2 && play["status"] == "awaiting_resume").then_some(())
    });
    let second = pending(&server, &sid);
    assert_eq!(second.len(), 1);
    for same in ["id", "name", "webhook", "created_at"] {
        assert_eq!(second[0][same], first[0][same], "{same}");
    }
    assert_ne!(second[0]["span_id"], first[0]["span_id"]);
    assert_eq!(kind(&resume(&server, &sid, "b-key", json!(2))), "conflict");
    assert_eq!(kind(&resume(&server, &sid, "never", json!(2))), "not_found");
    assert_eq!(
        kind(&resume(&server, "never", "a-key", json!(2))),
        "not_found"
    );
    resume(&server, &sid, "a-key", json!(null)).unwrap();
    let results = json!({"a-key": [false, null], "b-key": [false, {"b": 1}]});
    assert_eq!(output(&server, &sid), json!(["3", results]));
    let spans = server.spans(&sid);
    let of = |name: &str| -> Vec<_> {
        let spans = spans.iter().filter(|span| span["name"] == name);
        spans.map(|span| text(&span["status"])).collect()
    };
    assert_eq!(of("a"), ["cancelled", "ok"]);
    assert_eq!(of("b"), ["ok"]);
    assert_eq!(kind(&resume(&server, &sid, "a-key", json!(2))), "conflict");
    server.stop();
}

fn gated(server: &Server, waits: &Value) -> (String, PathBuf) {
    let gate = server.home().files().join("gate");
    let input = json!({"waits": waits, "gate": gate});
    let sid = server.start_play(&workflow(server), &input);
    (sid, gate)
}

#[test]
fn an_answer_while_it_still_runs_starts_the_next_attempt_at_once() {
    let server = Server::start();
    let (sid, gate) = gated(&server, &json!([ask("a"), {"kind": "event", "name": "go"}]));
    until("the question", || {
        (!pending(&server, &sid).is_empty()).then_some(())
    });
    until("the event", || {
        let spans = server.spans(&sid);
        spans.iter().any(|span| span["name"] == "go").then_some(())
    });
    assert_eq!(
        kind(&resume(&server, &sid, "go-key", json!(2))),
        "invalid_input"
    );
    resume(&server, &sid, "a-key", json!("early")).unwrap();
    let twice = resume(&server, &sid, "a-key", json!("early")).unwrap_err();
    let message = text(&twice["message"]);
    assert!(
        message.starts_with("\"a\" is no open question"),
        "{message}"
    );
    let signal = json!({"play_sid": sid, "name": "go", "payload": 7});
    assert_eq!(server.call("play_signal", &signal)["status"], "running");
    assert_eq!(kind(&resume(&server, &sid, "a-key", json!(2))), "conflict");
    assert!(pending(&server, &sid).is_empty());
    assert_eq!(server.get(&sid)["attempt"], 1);
    fs::write(gate, "").unwrap();
    let results = json!({"a-key": [false, "early"], "go-key": [false, 7]});
    assert_eq!(output(&server, &sid), json!(["2", results]));
    assert_eq!(server.span(&sid, "a")["status"], "ok");
    server.stop();
}

#[test]
fn a_signal_that_came_early_is_kept() {
    let server = Server::start();
    let event = json!({"kind": "event", "name": "go"});
    let sid = start(&server, &json!([ask("a"), event]));
    stands(&server, &sid, "awaiting_resume");
    let signal = |name: &str| json!({"play_sid": sid, "name": name, "payload": {"name": name}});
    let stays = server.call("play_signal", &signal("other"));
    assert_eq!(
        stays["status"], "awaiting_resume",
        "nobody waits for that one"
    );
    // Nobody is there who takes this one, until the question is answered.
    server.call("play_signal", &signal("go"));
    resume(&server, &sid, "a-key", json!(1)).unwrap();
    let results = json!({"a-key": [false, 1], "go-key": [false, {"name": "go"}]});
    let attempts = output(&server, &sid);
    assert_eq!(attempts[1], results);
    let late = server.refusal("play_signal", &signal("go"));
    assert_eq!(late["data"]["kind"], "conflict");
    server.stop();
}

#[test]
fn a_signal_for_a_play_that_has_not_started_is_kept() {
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let (first, gate) = gated(&server, &json!([ask("a")]));
    until("the question", || {
        (!pending(&server, &first).is_empty()).then_some(())
    });
    let flow = server.get(&first)["workflow_sid"].clone();
    let input = json!({"waits": [{"kind": "event", "name": "go"}]});
    let sid = server.start_play(&text(&flow), &input);
    let signal = json!({"play_sid": sid, "name": "go"});
    assert_eq!(server.call("play_signal", &signal)["status"], "pending");
    fs::write(gate, "").unwrap();
    assert_eq!(
        output(&server, &sid),
        json!(["1", {"go-key": [false, null]}])
    );
    server.call("play_cancel", &json!({"play_sid": first}));
    server.stop();
}

#[test]
fn what_waits_for_a_time_goes_on_by_itself() {
    let server = Server::start();
    let at = from_now(300);
    let sid = start(
        &server,
        &json!([
            {"kind": "ask", "name": "with default", "wake_at": at, "default": null},
            {"kind": "ask", "name": "without", "wake_at": at},
            {"kind": "event", "name": "event", "wake_at": at + 200},
            {"kind": "sleep", "name": "sleep", "wake_at": at + 400},
            {"kind": "sleep", "name": "over", "wake_at": 1},
        ]),
    );
    let results = &output(&server, &sid)[1];
    let late = |message: &str| json!([true, {"type": "builtins:TimeoutError", "message": message}]);
    let expected = json!({
        "with default-key": [false, null],
        "without-key": late("nobody answered 'without' in time"),
        "event-key": late("no signal 'event' came in time"),
        "sleep-key": [false, null],
        "over-key": [false, null],
    });
    assert_eq!(results, &expected);
    assert_eq!(
        server.span(&sid, "without")["error"],
        "nobody answered 'without' in time"
    );
    server.stop();
}

#[test]
fn a_play_waits_while_the_server_is_away() {
    let server = Server::start();
    let flow = workflow(&server);
    let begin = |wait: Value| server.start_play(&flow, &json!({"waits": [wait]}));
    let asked = begin(ask("a"));
    let asleep = begin(json!({"kind": "sleep", "name": "s", "wake_at": from_now(6_000)}));
    let answered = begin(ask("a"));
    for sid in [&asked, &asleep, &answered] {
        stands(&server, sid, "awaiting_resume");
    }
    let before = pending(&server, &asked);
    let server = Server::start_in(server.stop(), &[]);
    assert_eq!(
        output(&server, &asleep),
        json!(["2", {"s-key": [false, null]}])
    );
    assert_eq!(server.get(&asked)["status"], "awaiting_resume");
    assert_eq!(pending(&server, &asked), before);
    resume(&server, &answered, "a-key", json!(1)).unwrap();
    // Killed at any moment: what was answered is there.
    let server = Server::start_in(server.crash(), &[]);
    resume(&server, &asked, "a-key", json!(2)).unwrap();
    assert_eq!(output(&server, &asked), json!(["2", {"a-key": [false, 2]}]));
    assert_eq!(output(&server, &answered)[1], json!({"a-key": [false, 1]}));
    server.stop();
}

#[test]
fn an_answer_that_a_crash_cuts_off_is_there_or_can_be_given_again() {
    // With a free slot it begins at once, without one it is pending.
    for (at, slots) in [
        ("wait_received:1", "1"),
        ("wait_committed:1", "2"),
        ("wait_settled:1", "1"),
    ] {
        let home = Home::new().env("HERO_LOGIC_CRASH_POINT", at);
        let server = Server::start_in(home, &["--max-plays", slots]);
        let sid = start(&server, &json!([ask("a")]));
        stands(&server, &sid, "awaiting_resume");
        // It can't begin before the end.
        let (other, _) = gated(&server, &json!([ask("a")]));
        stands(&server, &other, "running");
        let webhook = text(&pending(&server, &sid)[0]["webhook"]);
        let address = server.address.clone();
        let cut = thread::spawn(move || {
            std::panic::catch_unwind(|| http::post(http::tcp(&address), &webhook, "", "5"))
        });
        let (status, home, _) = server.died();
        assert_eq!(status.signal(), Some(9), "{at}");
        assert!(cut.join().unwrap().is_err(), "{at}");
        let server = Server::start_in(home.without_env(), &[]);
        if at.starts_with("wait_received") {
            resume(&server, &sid, "a-key", json!(5)).unwrap();
        }
        let play = server.wait(&sid);
        assert_eq!(play["status"], "success", "{at}: {play}");
        server.stop();
    }
}

#[test]
fn another_registry_goes_on_with_plays_that_wait() {
    for at in [
        "report_taken:1:panic",
        "wait_committed:1:panic",
        "queue_taken:1:panic",
    ] {
        another_registry_goes_on(at);
    }
}

fn another_registry_goes_on(at: &str) {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", at);
    let server = Server::start_in(home, &[]);
    let at = from_now(500);
    let sid = start(
        &server,
        &json!([ask("a"), {"kind": "sleep", "name": "s", "wake_at": at}]),
    );
    stands(&server, &sid, "awaiting_resume");
    resume(&server, &sid, "a-key", json!(1)).unwrap();
    let results = json!({"a-key": [false, 1], "s-key": [false, null]});
    assert_eq!(output(&server, &sid)[1], results);
    server.stop();
}

#[test]
fn answers_can_be_given_ahead() {
    let server = Server::start();
    let flow = workflow(&server);
    let number = json!({"kind": "ask", "name": "n", "schema": {"type": "integer"}});
    let begin =
        |waits: Value, more: Value| server.start_with(&flow, &json!({"waits": waits}), &more);
    let waits = json!([number, {"kind": "event", "name": "go"}]);
    let all = json!({"prefill": {"n": 3, "go": "now", "unused": 1}, "prefill_only": true});
    let sid = begin(waits, all);
    let results = json!({"n-key": [false, 3], "go-key": [false, "now"]});
    assert_eq!(output(&server, &sid), json!(["1", results]));
    let some = begin(json!([number, ask("b")]), json!({"prefill": {"n": 3}}));
    stands(&server, &some, "awaiting_resume");
    let left: Vec<_> = pending(&server, &some)
        .iter()
        .map(|q| text(&q["name"]))
        .collect();
    assert_eq!(left, ["b"]);
    resume(&server, &some, "b-key", json!(1)).unwrap();
    output(&server, &some);
    for (more, why) in [
        (
            json!({"prefill": {"n": "3"}}),
            "prefill: the answer to \"n\" does not fit",
        ),
        (
            json!({"prefill_only": true}),
            "there is no answer to \"n\" in prefill",
        ),
    ] {
        let play = server.wait(&begin(json!([number]), more));
        let message = text(&play["cause"]["message"]);
        assert!(
            play["status"] == "failed" && message.contains(why),
            "{play}"
        );
    }
    let huge = json!({"workflow_sid": flow, "input_data": {"waits": []}, "prefill": {"n": "x".repeat(1 << 20)}});
    assert_eq!(
        server.refusal("play_run_async", &huge)["data"]["kind"],
        "too_large"
    );
    server.stop();
}

#[test]
fn a_question_that_makes_no_sense_is_refused_where_it_is_asked() {
    let server = Server::start();
    let flow = workflow(&server);
    for (wait, why) in [
        (
            json!({"kind": "ask", "name": "n", "schema": {"type": "odd"}}),
            "no JSON Schema",
        ),
        (json!({"kind": "sleep", "name": "n"}), "needs wake_at"),
        (
            json!({"kind": "ask", "name": "n", "schema": {"enum": ["a"]}, "default": "zzz", "wake_at": 1}),
            "the default of \"n\" does not fit",
        ),
        (json!({"kind": "ask", "name": ""}), "1 to 1000 bytes"),
        (
            json!({"kind": "event", "name": "n".repeat(1_001)}),
            "1 to 1000 bytes",
        ),
    ] {
        let play = server.wait(&server.start_play(&flow, &json!({"waits": [wait]})));
        let message = text(&play["cause"]["message"]);
        assert!(
            play["status"] == "failed" && message.contains(why),
            "{play}"
        );
    }
    server.stop();
}

/// What callers name is bounded, and what is repeated of it.
#[test]
fn names_and_keys_have_bounds() {
    let server = Server::start();
    let flow = workflow(&server);
    let sid = start(
        &server,
        &json!([ask("a"), {"kind": "event", "name": "n".repeat(1_000)}]),
    );
    stands(&server, &sid, "awaiting_resume");
    for name in [String::new(), "n".repeat(1_001), "n".repeat(30 << 20)] {
        let signal = json!({"play_sid": sid, "name": name});
        let refused = server.refusal("play_signal", &signal);
        assert_eq!(refused["data"]["kind"], "invalid_params");
    }
    server.call(
        "play_signal",
        &json!({"play_sid": sid, "name": "n".repeat(1_000)}),
    );
    let huge = "k".repeat(5 << 20);
    let unknown = resume(&server, &sid, &huge, json!(1));
    assert_eq!(kind(&unknown), "not_found");
    assert!(unknown.unwrap_err().to_string().len() < 2_000);
    server.call("play_cancel", &json!({"play_sid": sid}));
    for method in ["play_run_async", "play_start"] {
        let begin = |key: &str| {
            let params =
                json!({"workflow_sid": flow, "input_data": {"waits": []}, "idempotency_key": key});
            server.try_call(method, &params)
        };
        assert_eq!(kind(&begin("")), "invalid_params");
        assert_eq!(kind(&begin(&"k".repeat(1_025))), "invalid_params");
        begin(&"k".repeat(1_024)).unwrap();
    }
    // By the name of the question, whether its play has a process or not.
    let asks = "from hero_tracing import ask_user, flow\n@flow\ndef asks():\n    return [ask_user.number('age'), ask_user.number('size')]\n";
    let flow = server.create(&json!({"name": "asks", "python_source": asks}));
    let sid = server.start_play(&flow, &json!({}));
    stands(&server, &sid, "awaiting_resume");
    let id = text(&pending(&server, &sid)[0]["id"]);
    resume(&server, &sid, &id, json!(7)).unwrap();
    let again = resume(&server, &sid, &id, json!(7)).unwrap_err();
    let message = text(&again["message"]);
    assert!(
        message.starts_with("\"age\" is no open question"),
        "{message}"
    );
    until("the next question", || {
        let open = pending(&server, &sid);
        (open.len() == 1 && open[0]["name"] == "size").then_some(())
    });
    stands(&server, &sid, "awaiting_resume");
    let again = resume(&server, &sid, &id, json!(7)).unwrap_err();
    let message = text(&again["message"]);
    assert!(
        message.starts_with("\"age\" is no open question"),
        "{message}"
    );
    server.stop();
}

#[test]
fn whoever_has_the_token_may_answer() {
    let home = Home::new();
    let token = home.file("token", "secret-token-0123456789");
    let server = Server::start_in(home, &["--token-file", token.to_str().unwrap()]);
    let schema = json!({"type": "integer"});
    let wait = json!([{"kind": "ask", "name": "n", "schema": schema}]);
    let sid = start(&server, &wait);
    stands(&server, &sid, "awaiting_resume");
    let webhook = text(&pending(&server, &sid)[0]["webhook"]);
    let secret = webhook.strip_prefix("/api/resume/").unwrap();
    assert!(secret.len() >= 32, "{secret:?}");
    let post = |path: &str, body: &str| {
        // As a page of somebody else's would, in a browser.
        let headers = "Origin: https://elsewhere.example\r\nContent-Type: text/plain\r\n";
        http::post(http::tcp(&server.address), path, headers, body)
    };
    let (mut wrong, last) = (secret.to_owned(), secret.ends_with('0'));
    wrong.pop();
    wrong.push(if last { '1' } else { '0' });
    for nobody in [&wrong, "", "%", "%ff", &secret[1..]] {
        let (status, answer) = post(&format!("/api/resume/{nobody}"), "3");
        assert_eq!(status, 404, "{answer}");
        assert!(nobody.len() < 2 || !answer.contains(nobody), "{answer}");
    }
    assert_eq!(http::get(http::tcp(&server.address), &webhook).0, 405);
    assert_eq!(post(&webhook, "three").0, 400);
    assert_eq!(post(&webhook, "\"three\"").0, 400);
    assert_eq!(post(&webhook, &"1".repeat(2 << 20)).0, 413);
    assert_eq!(pending(&server, &sid).len(), 1, "it is open still");
    assert_eq!(
        post(&webhook, " 3\n"),
        (200, r#"{"resumed":true}"#.to_owned())
    );
    assert_eq!(post(&webhook, "4").0, 404, "answered before");
    assert_eq!(output(&server, &sid)[1], json!({"n-key": [false, 3]}));
    let secret = secret.to_owned();
    let (_, log) = server.stop_with_log();
    assert!(!log.contains(&secret) && !log.contains(&wrong), "{log}");
}

#[test]
fn a_play_that_waits_can_be_cancelled() {
    let server = Server::start();
    let sid = start(
        &server,
        &json!([ask("a"), {"kind": "sleep", "name": "s", "wake_at": from_now(3_600_000)}]),
    );
    stands(&server, &sid, "awaiting_resume");
    let webhook = text(&pending(&server, &sid)[0]["webhook"]);
    let play = server.call("play_cancel", &json!({"play_sid": sid}));
    assert_eq!(
        (&play["status"], &play["cause"]["kind"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert!(pending(&server, &sid).is_empty());
    assert_eq!(kind(&resume(&server, &sid, "a-key", json!(1))), "conflict");
    assert_eq!(
        http::post(http::tcp(&server.address), &webhook, "", "1").0,
        404
    );
    for span in server.spans(&sid) {
        assert_eq!(span["status"], "cancelled", "{span}");
    }
    server.stop();
}

#[test]
fn of_many_who_answer_by_the_address_one_does() {
    let server = Server::start();
    let sid = start(&server, &json!([ask("a")]));
    stands(&server, &sid, "awaiting_resume");
    let webhook = text(&pending(&server, &sid)[0]["webhook"]);
    let mut answered: Vec<_> = thread::scope(|scope| {
        let (server, webhook) = (&server, &webhook);
        let post = |n: usize| http::post(http::tcp(&server.address), webhook, "", &n.to_string());
        let all: Vec<_> = (0..40).map(|n| scope.spawn(move || post(n).0)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    answered.sort_unstable();
    let expected: Vec<_> = std::iter::once(200).chain([404; 39]).collect();
    assert_eq!(answered, expected);
    server.wait(&sid);
    server.stop();
}

#[test]
fn of_many_who_answer_one_does() {
    let server = Server::start();
    for gate in [false, true] {
        let (sid, file) = if gate {
            gated(&server, &json!([ask("a")]))
        } else {
            (start(&server, &json!([ask("a")])), PathBuf::new())
        };
        until("the question", || {
            (!pending(&server, &sid).is_empty()).then_some(())
        });
        if !gate {
            stands(&server, &sid, "awaiting_resume");
        }
        let answered: Vec<_> = thread::scope(|scope| {
            let (server, sid) = (&server, &sid);
            let all: Vec<_> = (0..20)
                .map(|n| scope.spawn(move || resume(server, sid, "a-key", json!(n)).map(|_| n)))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let winners: Vec<_> = answered.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{answered:?}");
        let refused = answered.iter().filter_map(|one| one.as_ref().err());
        let kinds: BTreeSet<_> = refused.map(|error| text(&error["data"]["kind"])).collect();
        assert_eq!(kinds, BTreeSet::from(["conflict".to_owned()]));
        if gate {
            fs::write(file, "").unwrap();
        }
        assert_eq!(
            output(&server, &sid),
            json!(["2", {"a-key": [false, winners[0]]}])
        );
    }
    server.stop();
}

/// How much memory a process holds, MiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        >> 10
}

/// Copies of one that waits, made in the database: to play so many would take long.
#[test]
fn a_hundred_thousand_that_wait_take_no_process_and_no_memory() {
    const MANY: u32 = 100_000;
    let server = Server::start();
    let wait = json!({"kind": "ask", "name": "a", "wake_at": from_now(86_400_000)});
    let sid = start(&server, &json!([wait]));
    stands(&server, &sid, "awaiting_resume");
    let home = server.stop();
    let file = home.data.join("hero_logic.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let copies = format!(
        "CREATE TEMP TABLE n AS WITH RECURSIVE n (n) AS \
         (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY}) SELECT n FROM n; \
         CREATE TEMP TABLE one AS SELECT * FROM plays; \
         CREATE TEMP TABLE copies AS SELECT one.*, n.n FROM one, n; \
         UPDATE copies SET id = 1000000 + n, sid = 'copy-' || n; ALTER TABLE copies DROP COLUMN n; \
         INSERT INTO plays SELECT * FROM copies; \
         INSERT INTO play_inputs (play_id, data) SELECT 1000000 + n, data FROM play_inputs, n; \
         INSERT INTO waits SELECT 1000000 + n, key, kind, name, span_id, created_at, wake_at, \
         token || n, schema, ui, answer, child FROM waits, n; \
         INSERT INTO steps SELECT 1000000 + n, key, parent, position, name, args, function, span_id, \
         start_ms, end_ms, raised, strict, value, data FROM steps, n; \
         UPDATE meta SET seq = 2000000;"
    );
    database.execute_batch(&copies).unwrap();
    drop(database);
    let server = Server::start_in(home, &[]);
    let copy = format!("copy-{MANY}");
    assert_eq!(pending(&server, &copy).len(), 1);
    for sid in [&sid, "copy-1", &copy] {
        resume(&server, sid, "a-key", json!(1)).unwrap();
        assert_eq!(output(&server, sid)[1], json!({"a-key": [false, 1]}));
    }
    let waiting = json!({"status": "awaiting_resume", "limit": 1});
    assert_eq!(
        server.call("play_list", &waiting)["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let memory = memory(server.pid());
    assert!(memory < 300, "{memory} MiB");
    server.stop();
}

/// As authors write it: two questions at once beside a step, an event, a sleep that is over while it is
/// asked for, and a bad answer in between.
#[test]
fn a_flow_asks_and_comes_back_to_the_same_line() {
    const ASKS: &str = r#"
import asyncio
from hero_tracing import ask_user, flow

@flow.step
def draft():
    return {"title": "Draft", "tags": {"a", "b"}}

@flow
async def asks():
    text = draft()
    title, sure = await asyncio.gather(
        ask_user.text_async("title", f"Instead of {text['title']}?"),
        ask_user.confirm_async("sure"),
    )
    event = flow.wait_event("go")
    late = flow.pause("late", timeout=0.3, default="nobody")
    try:
        flow.wait_event("never", timeout=0.01)
    except TimeoutError:
        late += ", and nothing"
    flow.sleep(5.5)
    return [title, sure, event, late, sorted(text["tags"])]
"#;
    let server = Server::start();
    let flow = server.create(&json!({"name": "asks", "python_source": ASKS}));
    let sid = server.start_play(&flow, &json!({}));
    stands(&server, &sid, "awaiting_resume");
    let asked = pending(&server, &sid);
    let id = |name: &str| {
        let one = asked.iter().find(|one| one["name"] == name).unwrap();
        text(&one["id"])
    };
    assert_eq!(asked.len(), 2);
    resume(&server, &sid, &id("sure"), json!("yes")).unwrap_err();
    resume(&server, &sid, &id("sure"), json!(true)).unwrap();
    resume(&server, &sid, &id("title"), json!("Final")).unwrap();
    server.call(
        "play_signal",
        &json!({"play_sid": sid, "name": "go", "payload": {"n": 1}}),
    );
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    let output: Value = serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap();
    let expected = json!(["Final", true, {"n": 1}, "nobody, and nothing", ["a", "b"]]);
    assert_eq!(output, expected);
    server.stop();
}
