//! The binary from outside: arguments, exit codes, and verbs against a server that behaves as a test
//! tells it to.

use std::{
    fs,
    process::{Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::support::{FakeServer, event, play, snapshot, span};
use serde_json::{Value, json};

const SID: &str = "019ab3c4-7a10-7b3c-8d4e-5f6071829304";
const SOURCE: &str = "def load():\n    raise ValueError('no')\n";

fn hero_logic(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hero_logic"));
    command.args(arguments).env_clear().env("LANG", "C.UTF-8");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ends_with(output: &Output, code: i32) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {out}\nstderr: {err}"
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &[][..],
        &["dance"],
        &["run"],
        &["run", "/no/such/flow.py"],
        &["run", "flow.py", "--timeout", "soon"],
        &["run", "flow.py", "--max-plays", "0"],
        &["play", "ls", "--status", "odd"],
        &["call", "play_get", "{"],
        &["call", "play_get", "3"],
        &["play", "ls"], // neither HOME nor a data directory
    ] {
        let output = hero_logic(arguments).output().unwrap();
        ends_with(&output, 2);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["play", "--help"],
        &["run", "-h"],
    ] {
        let output = hero_logic(arguments).output().unwrap();
        ends_with(&output, 0);
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let output = hero_logic(&["completions", shell]).output().unwrap();
        ends_with(&output, 0);
        assert!(text(&output.stdout).contains("retry"), "{shell}");
    }
}

fn server_info() -> Value {
    json!({
        "version": "0", "pid": 1, "data_dir": "/", "started_at": 1, "running": 0, "pending": 0,
        "max_plays": 4
    })
}

fn workflow(name: &str) -> Value {
    json!({
        "sid": "w", "name": name, "description": "", "tags": [], "current_version_sid": "v",
        "created_at": 1, "updated_at": 1
    })
}

fn version() -> Value {
    json!({
        "sid": "v", "workflow_sid": "w", "number": 1, "python_source": SOURCE,
        "nodes": [], "edges": [], "inputs": null, "outputs": null,
        "source_file": "/flows/etl.py", "flow_name": "etl", "signature": null,
        "timeout_ms": null, "env": [], "created_at": 1
    })
}

/// A server with one workflow, of `flow.py` in its directory, whose play ends like this.
fn server(last: impl Fn() -> Value + Send + Sync + 'static) -> FakeServer {
    let answer = move |method: &str, params: &Value| {
        Ok(match method {
            "server_info" => server_info(),
            "workflow_list" => json!({"items": [], "next_cursor": null}),
            "workflow_create" => workflow(params["name"].as_str().unwrap()),
            "workflow_version_get" => version(),
            "play_run_async" => json!(SID),
            "play_pending_resumes" => {
                json!([{"id": "k", "name": "sure", "schema": null, "ui": null, "span_id": "1.2", "created_at": 1.0, "webhook": "/api/resume/t"}])
            }
            "play_list" => json!({"items": [play(SID, "success")], "next_cursor": null}),
            _ => {
                return Err(
                    json!({"code": -32001, "message": "there is none", "data": {"kind": "not_found"}}),
                );
            }
        })
    };
    FakeServer::start(answer, move |sid, _| {
        Some(
            [
                event(1, "snapshot", &snapshot(&play(sid, "running"))),
                event(2, "span", &span("1", "load\u{1b}[2J", "ok")),
                event(
                    3,
                    "log",
                    &json!({"span_id": "1", "ts_ms": 1, "stream": "stdout", "text": "hello\n"}),
                ),
                event(4, "play", &last()),
                "event: end\ndata: {}\n\n".to_owned(),
            ]
            .concat(),
        )
    })
}

fn ended(status: &str, change: Value) -> Value {
    let mut play = play(SID, status);
    for (key, value) in change.as_object().unwrap() {
        play[key] = value.clone();
    }
    play
}

fn run(server: &FakeServer, arguments: &[&str]) -> Output {
    let file = server.data_dir().join("flow.py");
    fs::write(&file, SOURCE).unwrap();
    hero_logic(&["run", file.to_str().unwrap()])
        .args(arguments)
        .env("HERO_LOGIC_DATA_DIR", server.data_dir())
        .output()
        .unwrap()
}

#[test]
fn run_prints_what_the_flow_returns() {
    let server = server(|| {
        ended(
            "success",
            json!({"output_data": r#"{"n":1.10000000000000000001}"#}),
        )
    });
    let output = run(&server, &["-i", "n=3", "--env", "A=b", "--timeout", "1m"]);
    ends_with(&output, 0);
    assert_eq!(text(&output.stdout), "{\"n\":1.10000000000000000001}\n");
    assert_eq!(text(&output.stderr), "✓ load  12 ms\nload │ hello\n");
    let call = &server.calls("play_run_async")[0];
    assert_eq!(call["input_data"], r#"{"n":3}"#);
    assert_eq!(call["env"], json!({"A": "b"}));
    assert_eq!(call["timeout_ms"], 60_000);
    assert_eq!(call["version_sid"], "v");
    let created = &server.calls("workflow_create")[0];
    assert_eq!(created["name"], "flow");
    let file = server.data_dir().canonicalize().unwrap().join("flow.py");
    assert_eq!(created["source_file"], file.to_str().unwrap());
}

#[test]
fn run_with_json_prints_the_record() {
    let server = server(|| ended("cancelled", json!({})));
    let output = run(&server, &["--json", "--quiet"]);
    ends_with(&output, 130);
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["sid"], SID);
}

#[test]
fn run_tells_every_outcome_by_its_exit_code() {
    for (status, code) in [
        ("failed", 1),
        ("awaiting_resume", 75),
        ("timed_out", 124),
        ("cancelled", 130),
    ] {
        let server = server(move || ended(status, json!({})));
        let output = run(&server, &[]);
        ends_with(&output, code);
        assert_eq!(text(&output.stdout), "", "{status}");
    }
}

#[test]
fn run_shows_where_it_failed() {
    let server = server(|| {
        let exception = json!({
            "type": "ValueError", "message": "no", "file": "/flows/etl.py", "line": 2,
            "function": "load"
        });
        ended(
            "failed",
            json!({
                "cause": {"kind": "exception", "message": "ValueError: no", "exception": exception}
            }),
        )
    });
    let output = run(&server, &["--quiet"]);
    ends_with(&output, 1);
    assert_eq!(
        text(&output.stderr),
        format!(
            "\
error: etl failed: ValueError: no
  /flows/etl.py:2 in load
    1 │ def load():
  > 2 │     raise ValueError('no')
  all about it: hero_logic play show {SID}
"
        )
    );
}

#[test]
fn one_signal_cancels_and_a_second_kills() {
    let (stopped, stops) = std::sync::mpsc::channel();
    let (stopped, stops) = (Mutex::new(stopped), Mutex::new(stops));
    let answer = move |method: &str, _: &Value| {
        Ok(match method {
            "server_info" => server_info(),
            "workflow_list" => json!({"items": [workflow("etl")], "next_cursor": null}),
            "workflow_version_get" => version(),
            "play_run_async" => json!(SID),
            "play_cancel" => {
                stopped.lock().unwrap().send(()).unwrap();
                play(SID, "running")
            }
            _ => return Err(json!({"code": -32001, "message": "there is none"})),
        })
    };
    let server = FakeServer::start(answer, move |sid, _| {
        let stops = stops.lock().unwrap();
        stops.recv().unwrap();
        stops.recv().unwrap();
        let ended = play(sid, "cancelled");
        Some(event(1, "snapshot", &snapshot(&ended)) + "event: end\ndata: {}\n\n")
    });
    let child = hero_logic(&["flow", "run", "etl"])
        .env("HERO_LOGIC_DATA_DIR", server.data_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let until = |method: &str, calls: usize| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.calls(method).len() < calls {
            assert!(Instant::now() < deadline, "{method} was not called");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    until("play_run_async", 1);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    until("play_cancel", 1);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    ends_with(&output, 130);
    let cancels = server.calls("play_cancel");
    assert_eq!(
        cancels,
        [
            json!({"play_sid": SID}),
            json!({"play_sid": SID, "grace_ms": 0})
        ]
    );
}

#[test]
fn call_prints_the_result_or_the_error() {
    let server = server(|| json!(null));
    let socket = server.socket();
    let call = |arguments: &[&str]| {
        hero_logic(arguments)
            .env("HERO_LOGIC_SOCKET", &socket)
            .env("HOME", server.data_dir())
            .output()
            .unwrap()
    };
    let output = call(&["call", "play_run_async", "{}"]);
    ends_with(&output, 0);
    assert_eq!(text(&output.stdout), format!("\"{SID}\"\n"));
    let output = call(&["call", "nothing"]);
    ends_with(&output, 1);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["data"]["kind"], "not_found");
}

#[test]
fn a_play_can_be_named_by_its_beginning() {
    let server = server(|| json!(null));
    let found = |sid: &str| {
        hero_logic(&["play", "show", sid])
            .env("HERO_LOGIC_DATA_DIR", server.data_dir())
            .output()
            .unwrap()
    };
    // The fake knows no spans: what counts is which play was looked for.
    for sid in ["last", "019ab3c4"] {
        let output = found(sid);
        assert!(
            text(&output.stderr).contains(&format!("the spans of play {SID}")),
            "{sid}"
        );
    }
    for wrong in ["019", "nonsense", "019ab3c5"] {
        let output = found(wrong);
        ends_with(&output, 2);
        assert!(
            text(&output.stderr).contains("failed to find the play"),
            "{wrong}"
        );
    }
}
