//! Durable steps: what was acknowledged is there for the next attempt.

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    server::{Server, text},
    until,
};

/// Speaks the wire itself: keeps one step, begins another, dies; the next attempt tells what it was given.
const DIES: &str = r#"
import json, os, signal, socket
from hero_tracing import flow

@flow
def dies():
    if "HERO_FLOW_KEPT" in os.environ:
        with open(os.environ["HERO_FLOW_KEPT"]) as file:
            steps = [json.loads(line) for line in file]
        return [os.environ["HERO_FLOW_ATTEMPT"], [[step["key"], step["name"], step.get("position"), step.get("data")] for step in steps]]
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
    let kept = json!([["k1", "pay", null, {"paid": 3}], ["k2", "ship", 1, null]]);
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

const FORKED: &str = r#"
import os
from hero_tracing import flow

def note(what):
    with open(os.environ["TALLY"], "a") as file:
        file.write(what + " ")

@flow.step
def load(n):
    note("load")
    return n + 1

@flow.step
def gone(n):
    note("gone")
    return n

@flow
def inner(n):
    return shape(n)

@flow.step
def shape(n):
    note("shape")
    return n * 10

@flow.step
def send(n):
    note("send")
    if not os.path.exists(os.environ["TALLY"] + ".ok"):
        raise ValueError("not yet")
    return n

@flow(env=["TALLY"])
def forked(n=1):
    a = load(n)
    gone(a)
    return send(inner(a))
"#;

/// The play has failed in its last step; it is retried, from where it failed and from the start, and
/// forked: from an earlier point, with other input, on another version.
#[test]
fn what_was_kept_is_reused_by_retries_and_forks() {
    let server = Server::start();
    let tally = server.home().files().join("tally");
    let read = || std::mem::take(&mut std::fs::read_to_string(&tally).unwrap());
    let clear = || std::fs::write(&tally, "").unwrap();
    let flow =
        server.create(&json!({"name": "forked", "flow_name": "forked", "python_source": FORKED}));
    let more = json!({"env": {"TALLY": tally}});
    let failed = server.wait(&server.start_with(&flow, &json!({}), &more));
    assert_eq!(failed["status"], "failed", "{failed}");
    let origin = &failed["sid"];
    assert_eq!(read(), "load gone shape send ");
    std::fs::write(tally.with_file_name("tally.ok"), "").unwrap();
    let run = |method: &str, more: Value| {
        clear();
        let mut params = json!({"play_sid": origin});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let play = server.call(method, &params);
        assert_eq!(&play["retry_of"], origin);
        let play = server.wait(&text(&play["sid"]));
        assert_eq!(play["status"], "success", "{play}");
        (text(&play["output_data"]), read())
    };
    let retried = run("play_retry", json!({}));
    assert_eq!(retried, ("20".into(), "send ".into()));
    let started = run("play_retry", json!({"from": "start"}));
    assert_eq!(started, ("20".into(), "load gone shape send ".into()));
    let at = server.span(&text(origin), "shape");
    let earlier = run("play_fork", json!({"from_span_id": at["span_id"]}));
    assert_eq!(earlier, ("20".into(), "shape send ".into()));
    // The same arguments at `gone` alone, and none at all in the steps after it.
    let other = run("play_fork", json!({"input_data": {"n": 2}}));
    assert_eq!(other, ("30".into(), "load gone shape send ".into()));

    let changed = FORKED
        .replace("return n * 10", "return n * 100")
        .replace("@flow.step\ndef gone", "def other")
        .replace("    gone(a)\n", "");
    let version = server.call(
        "workflow_version_add",
        &json!({"workflow_sid": flow, "flow_name": "forked", "python_source": changed}),
    );
    let preview = server.call(
        "play_resume_preview",
        &json!({"play_sid": origin, "version_sid": version["sid"]}),
    );
    let fates: Vec<_> = preview
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", text(&step["name"]), text(&step["fate"])))
        .collect();
    assert_eq!(
        fates,
        [
            "load reused",
            "gone orphaned",
            "inner changed",
            "shape changed",
            "send will_run_again"
        ]
    );
    let on_it = run("play_fork", json!({"version_sid": version["sid"]}));
    assert_eq!(on_it, ("200".into(), "shape send ".into()));
    let error = server.refusal(
        "play_fork",
        &json!({"play_sid": origin, "from_span_id": "9.9"}),
    );
    assert_eq!(error["data"]["kind"], "not_found", "{error}");
    // What they share is gone with the last of them only.
    server.stop().assert_clean();
}

/// What a fork keeps itself is its own when it goes on, whatever its arguments say by then; what it has from a play
/// with another input is not.
#[test]
fn a_fork_with_other_input_does_nothing_twice_either() {
    const DRIFTS: &str = r#"
import os, signal
from hero_tracing import flow

def note(what):
    with open(os.environ["TALLY"], "a") as file:
        file.write(what + " ")

@flow.step
def load():
    note("load")
    return 1

@flow.step
def send(n, attempt):
    note(f"send{n}")
    return [n, attempt]

@flow(env=["TALLY"])
def drifts(n=1):
    attempt = os.environ["HERO_FLOW_ATTEMPT"]
    sent = [load(), send(n, f"at {n}/{attempt}")]
    if n == 2 and attempt == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return sent
"#;
    let server = Server::start();
    let tally = server.home().files().join("tally");
    let flow = server.create(&json!({"name": "drifts", "python_source": DRIFTS}));
    let more = json!({"env": {"TALLY": tally}});
    let origin = server.start_with(&flow, &json!({}), &more);
    server.wait(&origin);
    let fork = json!({"play_sid": origin, "input_data": {"n": 2}});
    let fork = server.call("play_fork", &fork);
    let play = server.wait(&text(&fork["sid"]));
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["attempt"], 2);
    assert_eq!(play["output_data"], r#"[1,[2,"at 2/1"]]"#);
    assert_eq!(
        std::fs::read_to_string(&tally).unwrap(),
        "load send1 send2 "
    );
    server.stop().assert_clean();
}

/// An answer is of what was asked, and a result of the code that made it: a fork that would ask something else asks,
/// and one on a version with another lambda runs that.
#[test]
fn a_fork_takes_no_answer_of_another_question_and_no_result_of_another_lambda() {
    const ASKS: &str = r#"
from hero_tracing import flow, ask_user

@flow
def asks(files=["a"]):
    rate = flow.run("rate", lambda: 1)
    return [rate, [name for name in files if ask_user.confirm("delete", f"Delete {name}?")]]
"#;
    let server = Server::start();
    let flow = server.create(&json!({"name": "asks", "python_source": ASKS}));
    let origin = server.start_play(&flow, &json!({}));
    let fork = |more: Value| {
        let mut params = json!({"play_sid": origin});
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        text(&server.call("play_fork", &params)["sid"])
    };
    let asked = |sid: &str| {
        until("the question", || {
            let asked = server.call("play_pending_resumes", &json!({"play_sid": sid}));
            Some(asked[0]["id"].clone()).filter(|id| !id.is_null())
        })
    };
    let answer = |sid: &str, yes: bool| {
        let answer = json!({"play_sid": sid, "resume_id": asked(sid), "payload": yes});
        server.call("play_resume", &answer);
        text(&server.wait(sid)["output_data"])
    };
    assert_eq!(answer(&origin, true), r#"[1,["a"]]"#);
    let same = server.wait(&fork(json!({})));
    assert_eq!(same["output_data"], r#"[1,["a"]]"#);
    let other = fork(json!({"input_data": {"files": ["b"]}}));
    assert_eq!(answer(&other, false), "[1,[]]");
    let changed = ASKS.replace("lambda: 1", "lambda: 2");
    let version = json!({"workflow_sid": flow, "python_source": changed});
    let version = server.call("workflow_version_add", &version);
    let on_it = json!({"play_sid": origin, "version_sid": version["sid"]});
    let preview = server.call("play_resume_preview", &on_it);
    let mut preview = preview.as_array().unwrap().iter();
    let rate = preview.find(|step| step["name"] == "rate").unwrap();
    assert_eq!(rate["fate"], "changed");
    let on_it = server.wait(&fork(json!({"version_sid": version["sid"]})));
    assert_eq!(on_it["output_data"], r#"[2,["a"]]"#);
    server.stop().assert_clean();
}

/// A child play of a parent that goes on: the parent finds it again, and it has not been started twice.
#[test]
fn a_child_play_is_found_again() {
    const PARENT: &str = r#"
import os, signal, time
from hero_tracing import flow

@flow.step
def note(what):
    with open(os.environ["TALLY"], "a") as file:
        file.write(what + " ")

@flow
def steady(n):
    note(f"steady{n}")
    with flow.step("hanging", pid=os.getpid()):
        while not os.path.exists(os.environ["TALLY"] + ".go"):
            time.sleep(0.01)
    return n

@flow
def bare(n):
    with open(os.environ["TALLY"], "a") as file:
        file.write(f"bare{n} ")
    return n

@flow(env=["TALLY"])
def parent():
    note("parent")
    done = flow.invoke("bare", spawn=True, n=1)
    return [done, flow.invoke("steady", spawn=True, n=2)]
"#;
    let server = Server::start();
    let tally = server.home().files().join("tally");
    let flow =
        server.create(&json!({"name": "parent", "flow_name": "parent", "python_source": PARENT}));
    let more = json!({"env": {"TALLY": tally}});
    let sid = server.start_with(&flow, &json!({}), &more);
    let child = until("the child", || {
        let span = server
            .spans(&sid)
            .into_iter()
            .find(|span| span["name"] == "steady")?;
        span["child_play_sid"].as_str().map(str::to_owned)
    });
    server.pid_in(&child, "hanging");
    // Both go on: the child by itself, the parent until it comes to it.
    let server = Server::start_in(server.crash(), &[]);
    std::fs::write(tally.with_file_name("tally.go"), "").unwrap();
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["output_data"], "[1,2]");
    let child = server.get(&child);
    assert_eq!(
        (&child["status"], &child["attempt"]),
        (&json!("success"), &json!(2))
    );
    assert_eq!(
        std::fs::read_to_string(&tally).unwrap(),
        "parent bare1 steady2 "
    );
    let spans = server.spans(&sid);
    let links: Vec<_> = spans
        .iter()
        .filter(|span| span["name"] == "steady")
        .map(|span| &span["child_play_sid"])
        .collect();
    assert_eq!(links, [&child["sid"], &child["sid"]]);
    server.stop().assert_clean();
}

/// A parent that is stopped with its server gives up waiting for its child; both go on with the next server.
#[test]
fn a_child_play_that_waits_outlives_an_ordered_stop() {
    const PARENTS: &str = r#"
from hero_tracing import flow

@flow
def child():
    return flow.pause("what")

@flow
def plain():
    flow.now()
    return flow.invoke("child", spawn=True)

@flow
async def concurrent():
    flow.now()
    return await flow.invoke_async("child", spawn=True)
"#;
    let server = Server::start();
    let parents = ["plain", "concurrent"].map(|name| {
        let flow = json!({"name": name, "flow_name": name, "python_source": PARENTS});
        server.start_play(&server.create(&flow), &json!({}))
    });
    let children = parents.each_ref().map(|parent| {
        until("a child that waits", || {
            let query = json!({"parent_play_sid": parent, "status": "awaiting_resume"});
            let found = server.call("play_list", &query);
            found["items"][0]["sid"].as_str().map(str::to_owned)
        })
    });
    let server = Server::start_in(server.stop(), &[]);
    for (n, (parent, child)) in parents.iter().zip(&children).enumerate() {
        assert_eq!(server.get(child)["status"], "awaiting_resume");
        let question = server.call("play_pending_resumes", &json!({"play_sid": child}));
        let answer = json!({"play_sid": child, "resume_id": question[0]["id"], "payload": n});
        server.call("play_resume", &answer);
        let play = server.wait(parent);
        assert_eq!(play["output_data"], n.to_string(), "{play}");
    }
    server.stop().assert_clean();
}

/// The server stops while a child play is still pending: its parent is told to stop, and takes it along nowhere.
#[test]
fn a_child_that_has_not_begun_goes_on_after_an_ordered_stop() {
    const PARENT: &str = r#"
import os, time
from hero_tracing import flow

def gate(name):
    while not os.path.exists(os.environ["GATE"] + name):
        time.sleep(0.01)

@flow
def child():
    return 1

@flow(env=["GATE"])
def parent():
    gate("")
    return flow.invoke("child", spawn=True)

@flow(env=["GATE"])
def blocker():
    with flow.step("hanging"):
        gate(".go")
"#;
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let go = server.home().files().join("gate");
    let more = json!({"env": {"GATE": go}});
    let [parent, blocker] = ["parent", "blocker"].map(|name| {
        let flow = json!({"name": name, "flow_name": name, "python_source": PARENT});
        server.start_with(&server.create(&flow), &json!({}), &more)
    });
    std::fs::write(&go, "").unwrap();
    // The parent gives its slot to whoever has waited longest.
    server.span(&blocker, "hanging");
    let children = json!({"parent_play_sid": parent, "status": "pending"});
    let child = until("a pending child", || {
        let page = server.call("play_list", &children);
        page["items"][0]["sid"].as_str().map(str::to_owned)
    });
    let server = Server::start_in(server.stop(), &[]);
    let play = server.wait(&parent);
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["output_data"], "1");
    assert_eq!(server.get(&child)["status"], "success");
    std::fs::write(go.with_file_name("gate.go"), "").unwrap();
    assert_eq!(server.wait(&blocker)["status"], "success");
    server.stop().assert_clean();
}

/// More than a line holds, more than one part of a value, and several pages of what is kept.
#[test]
fn long_results_are_kept() {
    const LONG: &str = r#"
import os, signal
from hero_tracing import flow

@flow.step
def long(n):
    assert os.environ["HERO_FLOW_ATTEMPT"] == "1"
    return f"{n}" + "\u20ac" * n * 300_000

@flow
def longs():
    texts = [long(n) for n in range(9)]
    if os.environ["HERO_FLOW_ATTEMPT"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return [[text[0], len(text)] for text in texts]
"#;
    let server = Server::start();
    let flow = server.create(&json!({"name": "longs", "python_source": LONG}));
    let play = server.wait(&server.start_play(&flow, &json!({})));
    assert_eq!(play["status"], "success", "{play}");
    let output: Value = serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap();
    let expected: Vec<_> = (0..9)
        .map(|n| json!([n.to_string(), n * 300_000 + 1]))
        .collect();
    assert_eq!(output, Value::Array(expected));
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
        until("the next attempt to hang", || {
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

/// Keeps a hundred steps and stays until its file is there.
const KEEPS: &str = r#"
import os, time
from hero_tracing import flow

@flow.step
def keep(i):
    with open(os.environ["TALLY"], "a") as file:
        file.write(".")
    return i

@flow(env=["TALLY"])
def keeps():
    kept = sum(keep(i) for i in range(100))
    with flow.span("kept"):
        while os.environ["HERO_FLOW_ATTEMPT"] == "1":
            time.sleep(0.02)
    return kept
"#;

#[test]
fn what_was_only_handed_to_the_system_outlives_the_server_too() {
    let server = Server::start_in(Home::new(), &["--durability", "os"]);
    let tally = server.home().files().join("tally");
    let flow = server.create(&json!({"name": "keeps", "python_source": KEEPS}));
    let sid = server.start_with(&flow, &json!({}), &json!({"env": {"TALLY": tally}}));
    server.span(&sid, "kept");
    let (home, log) = server.crash_with_log();
    assert!(log.contains("commits are not synced"), "{log}");

    let server = Server::start_in(home, &[]);
    let play = server.wait(&sid);
    assert_eq!(play["output_data"], "4950", "{play}");
    assert_eq!(std::fs::read_to_string(tally).unwrap(), ".".repeat(100));
    let (home, log) = server.stop_with_log();
    assert!(!log.contains("commits are not synced"), "{log}");
    home.assert_clean();
}

/// The flow has dealt with one failure before it fails with another: a retry takes the same way as far as that one.
#[test]
fn a_failure_that_was_dealt_with_stays_one() {
    const HANDLES: &str = r#"
import os
from hero_tracing import flow

def note(what):
    with open(os.environ["TALLY"], "a") as file:
        file.write(what + " ")

def fails(what):
    note(what)
    if not os.path.exists(os.environ["TALLY"] + ".ok"):
        raise OSError(what)

@flow.step
def primary():
    fails("primary")

@flow.step
def secondary():
    note("secondary")

@flow.step
def mail():
    fails("mail")

@flow(env=["TALLY"])
def handles(kill=False, wraps=False):
    try:
        primary()
    except OSError:
        secondary()
    if kill and os.environ["HERO_FLOW_ATTEMPT"] == "1":
        os.kill(os.getpid(), 9)
    try:
        mail()
    except OSError as error:
        if wraps:
            raise RuntimeError("no mail") from error
        raise
"#;
    let server = Server::start();
    let tally = server.home().files().join("tally");
    let good = tally.with_file_name("tally.ok");
    let read = || std::mem::take(&mut std::fs::read_to_string(&tally).unwrap());
    let clear = || std::fs::write(&tally, "").unwrap();
    let flow = server.create(&json!({"name": "handles", "python_source": HANDLES}));
    let more = json!({"env": {"TALLY": tally}});
    for input in [json!({}), json!({"wraps": true}), json!({"kill": true})] {
        clear();
        drop(std::fs::remove_file(&good));
        let failed = server.wait(&server.start_with(&flow, &input, &more));
        assert_eq!(failed["status"], "failed", "{failed}");
        assert_eq!(read(), "primary secondary mail ");
        let origin = json!({"play_sid": failed["sid"]});
        let preview = server.call("play_resume_preview", &origin);
        let fates = preview.as_array().unwrap().iter();
        let fates: Vec<_> = fates.map(|step| text(&step["fate"])).collect();
        assert_eq!(fates, ["reused", "reused", "will_run_again"], "{input}");
        // It fails once more, and then not: what is kept goes from play to play.
        clear();
        let again = server.call("play_retry", &origin);
        let again = server.wait(&text(&again["sid"]));
        assert_eq!((&again["status"], &*read()), (&json!("failed"), "mail "));
        std::fs::write(&good, "").unwrap();
        clear();
        let again = server.call("play_retry", &json!({"play_sid": again["sid"]}));
        let again = server.wait(&text(&again["sid"]));
        assert_eq!((&again["status"], &*read()), (&json!("success"), "mail "));
    }
    server.stop().assert_clean();
}

/// While a child play runs, its flow is taken out of the library, and another one gets its name.
#[test]
fn a_child_play_is_found_again_whatever_the_library_has() {
    const PARENT: &str = r#"
from hero_tracing import flow

@flow
def parent():
    return flow.invoke("child", spawn=True, n=2)
"#;
    const CHILD: &str = r#"
import os, time
from hero_tracing import flow

@flow(env=["GATE"])
def child(n):
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    return n
"#;
    let home = Home::new();
    let gate = home.files().join("gate");
    let server = Server::start_in(home.env("GATE", &gate), &[]);
    let child = server.create(&json!({"name": "child", "python_source": CHILD}));
    let flow = server.create(&json!({"name": "parent", "python_source": PARENT}));
    let sid = server.start_play(&flow, &json!({}));
    let of_child = until("the child", || {
        let spans = server.spans(&sid).into_iter();
        let mut links = spans.filter_map(|span| span["child_play_sid"].as_str().map(str::to_owned));
        links.next()
    });
    server.call("workflow_delete", &json!({"workflow_sid": child}));
    let other = CHILD.replace("child(n)", "child(other)");
    server.create(&json!({"name": "child", "python_source": other}));
    let server = Server::start_in(server.crash(), &[]);
    std::fs::write(&gate, "").unwrap();
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(
        (&play["output_data"], &play["attempt"]),
        (&json!("2"), &json!(2))
    );
    assert_eq!(server.get(&of_child)["status"], "success");
    server.stop().assert_clean();
}
