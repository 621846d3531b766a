//! A parent whose child awaits something awaits it too: neither holds a process.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    process::is_alive,
    server::{Server, text},
    until,
};

/// `parent` waits for a child that asks, as its input says: by itself, in a thread, or under asyncio beside another that
/// is busy until the file `gate` is there. Each process says in a span who it is.
const FLOWS: &str = r#"
import asyncio, os, threading, time
from hero_tracing import ask_user, flow

@flow
def asks(name: str):
    with flow.span("asking", pid=os.getpid()):
        return ask_user.number(name)

@flow
def busy(gate: str):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "done"

@flow
def grandparent():
    return flow.invoke("parent", spawn=True) + 1

@flow
def parent(way: str = "alone", gate: str = ""):
    with flow.span("calling", pid=os.getpid()):
        attempt = int(os.environ["HERO_FLOW_ATTEMPT"])
        if way == "thread":
            got = []
            thread = threading.Thread(target=lambda: got.append(flow.invoke("asks", spawn=True, name="n")))
            thread.start()
            thread.join()
            return [attempt, *got]
        if way == "asyncio":
            async def both():
                return await asyncio.gather(
                    flow.invoke_async("asks", spawn=True, name="n"), flow.invoke_async("busy", spawn=True, gate=gate))
            return [attempt, *asyncio.run(both())]
        if way == "caught":
            try:
                return flow.invoke("asks", spawn=True, name="n")
            except Exception as error:
                return [attempt, str(error)]
        return attempt * 10 + flow.invoke("asks", spawn=True, name="n")
"#;

fn start(server: &Server, flow: &str, input: &Value) -> String {
    let params = json!({"name": flow, "python_source": FLOWS, "flow_name": flow});
    let workflow = server.create(&params);
    server.start_play(&workflow, input)
}

fn rests(server: &Server, sid: &str) {
    until("a play that awaits", || {
        (server.get(sid)["status"] == "awaiting_resume").then_some(())
    });
}

fn child(server: &Server, sid: &str, flow: &str) -> String {
    until("the child", || {
        let children = server.call("play_list", &json!({"parent_play_sid": sid}));
        let children = children["items"].as_array().unwrap().clone();
        let found = children.iter().find(|child| child["flow_name"] == flow);
        found.map(|child| text(&child["sid"]))
    })
}

fn answer(server: &Server, sid: &str, payload: i32) {
    let asked = server.call("play_pending_resumes", &json!({"play_sid": sid}));
    let params = json!({"play_sid": sid, "resume_id": asked[0]["id"], "payload": payload});
    server.call("play_resume", &params);
}

fn output(server: &Server, sid: &str) -> Value {
    let play = server.wait(sid);
    assert_eq!(play["status"], "success", "{play}");
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

#[test]
fn neither_holds_a_process() {
    let server = Server::start();
    for way in ["alone", "thread"] {
        let name = if way == "alone" { "parent" } else { "other" };
        let params = json!({"name": name, "python_source": FLOWS, "flow_name": "parent"});
        let sid = server.start_play(&server.create(&params), &json!({"way": way}));
        let caller = server.pid_in(&sid, "calling");
        let asks = child(&server, &sid, "asks");
        rests(&server, &sid);
        assert_eq!(server.get(&asks)["status"], "awaiting_resume");
        assert!(!is_alive(caller), "{way}");
        // The span that waits for it is open, and names it.
        let spans = server.spans(&sid);
        let waiting = spans.iter().find(|span| span["name"] == "asks").unwrap();
        assert_eq!(
            (&waiting["status"], &waiting["child_play_sid"]),
            (&json!("running"), &json!(asks))
        );
        assert_eq!(
            server.call("play_pending_resumes", &json!({"play_sid": sid})),
            json!([])
        );
        answer(&server, &asks, 7);
        let expected = if way == "alone" {
            json!(27)
        } else {
            json!([2, 7])
        };
        assert_eq!(output(&server, &sid), expected, "{way}");
        let children = server.call("play_list", &json!({"parent_play_sid": sid}));
        assert_eq!(children["items"].as_array().unwrap().len(), 1, "{children}");
        assert_eq!(server.get(&sid)["attempt"], 2);
        let ended = server.spans(&sid);
        assert!(
            ended.iter().all(|span| span["status"] != "running"),
            "{ended:?}"
        );
    }
    server.stop().assert_clean();
}

#[test]
fn nor_does_who_waits_for_the_parent() {
    let server = Server::start();
    let sid = start(&server, "grandparent", &json!({}));
    rests(&server, &sid);
    let parent = child(&server, &sid, "parent");
    let asks = child(&server, &parent, "asks");
    // Killed at any moment.
    let server = Server::start_in(server.crash(), &[]);
    assert_eq!(server.get(&sid)["status"], "awaiting_resume");
    answer(&server, &asks, 1);
    assert_eq!(output(&server, &sid), json!(22));
    server.stop().assert_clean();
}

/// While something else is under way in the process, it stays, and hears of the child's end there.
#[test]
fn who_has_something_else_to_do_stays() {
    let server = Server::start();
    let gate = server.home().files().join("gate");
    let sid = start(&server, "parent", &json!({"way": "asyncio", "gate": gate}));
    let asks = child(&server, &sid, "asks");
    until("the wait for it", || {
        let spans = server.spans(&asks);
        spans
            .iter()
            .any(|span| span["name"] == "asking")
            .then_some(())
    });
    rests(&server, &asks);
    let caller = server.pid_in(&sid, "calling");
    answer(&server, &asks, 3);
    output(&server, &asks);
    until("its result", || {
        let spans = server.spans(&sid);
        let span = spans.iter().find(|span| span["name"] == "asks")?.clone();
        (span["status"] == "ok").then_some(())
    });
    assert!(is_alive(caller));
    std::fs::write(gate, "").unwrap();
    assert_eq!(output(&server, &sid), json!([1, 3, "done"]));
    server.stop().assert_clean();
}

/// The busy child ends while the other one awaits: then nothing is under way any more.
#[test]
fn who_has_done_everything_else_leaves() {
    let server = Server::start();
    let gate = server.home().files().join("gate");
    let sid = start(&server, "parent", &json!({"way": "asyncio", "gate": gate}));
    let asks = child(&server, &sid, "asks");
    rests(&server, &asks);
    let caller = server.pid_in(&sid, "calling");
    std::fs::write(gate, "").unwrap();
    rests(&server, &sid);
    assert!(!is_alive(caller));
    answer(&server, &asks, 4);
    assert_eq!(output(&server, &sid), json!([2, 4, "done"]));
    server.stop().assert_clean();
}

#[test]
fn a_child_that_is_cancelled_wakes_its_parent_and_a_parent_takes_its_child_along() {
    let server = Server::start();
    let sid = start(&server, "parent", &json!({"way": "caught"}));
    rests(&server, &sid);
    let asks = child(&server, &sid, "asks");
    server.call("play_cancel", &json!({"play_sid": asks}));
    let told = output(&server, &sid);
    assert_eq!(told[0], 2);
    assert!(text(&told[1]).contains("cancelled"), "{told}");

    let params = json!({"workflow_sid": server.get(&sid)["workflow_sid"], "input_data": {}, "parent_span_id": ""});
    let other = text(&server.call("play_run_async", &params));
    rests(&server, &other);
    let asks = child(&server, &other, "asks");
    let cancelled = server.call("play_cancel", &json!({"play_sid": other}));
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(server.wait(&asks)["status"], "cancelled");
    server.stop().assert_clean();
}

/// The child has ended, and the parent was not told before the server died.
#[test]
fn the_next_server_wakes_who_was_not_told() {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", "child_ended:1");
    let server = Server::start_in(home, &[]);
    let sid = start(&server, "parent", &json!({}));
    rests(&server, &sid);
    answer(&server, &child(&server, &sid, "asks"), 5);
    let (status, home, _) = server.died();
    assert_eq!(status.signal(), Some(9));
    let server = Server::start_in(home.without_env(), &[]);
    assert_eq!(output(&server, &sid), json!(25));
    server.stop().assert_clean();
}

/// Answered ahead on the command line, or refused.
#[test]
fn a_question_can_be_answered_with_the_start() {
    let home = Home::new();
    let file = home.files().join("asks.py");
    std::fs::write(&file, FLOWS).unwrap();
    let run = [
        "run",
        file.to_str().unwrap(),
        "--flow",
        "asks",
        "-i",
        "name=n",
        "--prefill-only",
    ];
    let ran = home
        .run(&[&run[..], &["--prefill", "n=5"]].concat())
        .exits(0);
    assert_eq!(ran.stdout, "5\n");
    let ran = home.run(&run).exits(1);
    assert!(ran.stderr.contains("no answer to \"n\""), "{ran:?}");
}

/// Whoever follows the parent is asked what the child asks.
#[test]
fn the_child_is_answered_by_its_parents_name() {
    let home = Home::new();
    let file = home.files().join("grandparent.py");
    std::fs::write(&file, FLOWS).unwrap();
    let ran = home.run(&["run", file.to_str().unwrap()]).exits(75);
    assert!(ran.stderr.contains("hero_logic play answer"), "{ran:?}");
    let none = home
        .run(&["play", "answer", "last", "--question", "other", "1"])
        .exits(2);
    assert!(none.stderr.contains("\"n\" (n)"), "{none:?}");
    let plays = home.run(&["play", "ls", "--json"]).exits(0).json();
    let plays = plays["items"].as_array().unwrap();
    assert!(
        plays.iter().all(|play| play["status"] == "awaiting_resume"),
        "{plays:?}"
    );
    let top = plays
        .iter()
        .find(|play| play["parent_play_sid"].is_null())
        .unwrap();
    let ran = home
        .run(&["play", "answer", top["sid"].as_str().unwrap(), "2"])
        .exits(0);
    assert_eq!(ran.stdout, "23\n");
}
