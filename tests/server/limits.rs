//! Limits of a play: each is enforced and named, over the whole tree of its processes.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    fixture,
    home::Home,
    process::is_alive,
    server::{Server, text},
    source,
};

const MIB: u64 = 1 << 20;

/// Plays a flow of `tests/flows` with these limits, as a workflow of its own: the record.
pub(crate) fn limited(server: &Server, flow: &str, input: &Value, limits: &Value) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{flow}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let workflow = server.create(&json!({"name": name, "python_source": source(flow)}));
    let sid = server.start_with(&workflow, input, &json!({ "limits": limits }));
    // A long one needs longer than a single wait.
    let waited = until_or(LONG, || {
        let wait = json!({"play_sid": sid, "timeout_ms": 10_000});
        server.call("play_wait", &wait)["completed_at"].is_number()
    });
    assert!(waited, "not at its end: {}", server.get(&sid));
    server.wait(&sid)
}

/// The flows of the long variants take minutes on a slow machine.
const LONG: Duration = Duration::from_secs(600);

fn until_or(patience: Duration, mut look: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if look() {
            return true;
        }
    }
    false
}

/// It failed for this limit, and the proof is there. The measured figure.
#[track_caller]
pub(crate) fn hit(play: &Value, kind: &str, name: &str, limit: u64) -> u64 {
    let cause = &play["cause"];
    assert_eq!(
        (&play["status"], &cause["kind"]),
        (&json!("failed"), &json!(kind)),
        "{play}"
    );
    assert_eq!(cause["limit"]["name"], name, "{cause}");
    assert_eq!(cause["limit"]["limit"], limit, "{cause}");
    let measured = cause["limit"]["measured"].as_u64().unwrap();
    assert!(measured > limit, "{cause}");
    let message = text(&cause["message"]);
    assert!(message.contains(&format!("`{name}`")), "{message}");
    measured
}

#[test]
fn memory_is_limited_and_the_proof_is_told() {
    let server = Server::start();
    let limits = json!({"memory_bytes": 100 * MIB});
    let play = limited(&server, "hog", &json!({"mib": 400, "children": 1}), &limits);
    let measured = hit(&play, "out_of_memory", "memory", 100 * MIB);
    let cause = &play["cause"];
    assert_eq!(cause["signal"], "SIGKILL");
    let first = &cause["limit"]["largest"][0];
    assert!(
        first["pid"].as_u64() > Some(1) && !text(&first["name"]).is_empty(),
        "{cause}"
    );
    assert_eq!(first["memory_bytes"], measured, "it was alone: {cause}");
    assert!(
        play["usage"]["peak_memory_bytes"].as_u64() >= Some(measured),
        "{play}"
    );
    assert!(!is_alive(
        u32::try_from(first["pid"].as_u64().unwrap()).unwrap()
    ));
    server.stop();
}

#[test]
fn memory_is_that_of_the_whole_tree() {
    let server = Server::start();
    let limits = json!({"memory_bytes": 150 * MIB});
    let input = json!({"mib": 60, "children": 4, "own": true});
    let play = limited(&server, "hog", &input, &limits);
    hit(&play, "out_of_memory", "memory", 150 * MIB);
    let largest = play["cause"]["limit"]["largest"].as_array().unwrap();
    assert!(largest.len() >= 3, "{largest:?}");
    assert!(
        play["cause"]["processes_killed"].as_u64() >= Some(3),
        "{play}"
    );
    server.stop();
}

/// Forked children have their parent's memory in common until they write to it.
#[test]
fn what_processes_share_counts_once() {
    let server = Server::start();
    let limits = json!({"memory_bytes": 150 * MIB});
    let play = limited(&server, "hog", &json!({"mib": 80, "children": 4}), &limits);
    assert_eq!(play["status"], "success", "{play}");
    let peak = play["usage"]["peak_memory_bytes"].as_u64().unwrap();
    assert!((80 * MIB..150 * MIB).contains(&peak), "{peak}");
    assert!(play["usage"]["processes"].as_u64() >= Some(2), "{play}");
    server.stop();
}

#[test]
fn cpu_time_is_that_of_the_whole_tree() {
    let server = Server::start();
    for waited in [false, true] {
        let input = json!({"seconds": 0.4, "children": 3, "waited": waited});
        let play = limited(&server, "burns", &input, &json!({}));
        assert_eq!(play["status"], "success", "{play}");
        let used = play["usage"]["cpu_ms"].as_f64().unwrap();
        // Who is not waited for counts as it was last seen.
        let least = if waited { 1_150.0 } else { 600.0 };
        assert!(
            (least..4_000.0).contains(&used),
            "{used} ms, waited for: {waited}"
        );
    }
    let input = json!({"seconds": 60, "children": 2});
    let play = limited(&server, "burns", &input, &json!({"cpu_ms": 700}));
    hit(&play, "killed", "cpu", 700);
    assert!(text(&play["cause"]["message"]).contains("CPU time"));
    server.stop();
}

#[test]
fn processes_are_limited() {
    let server = Server::start();
    let fits = limited(
        &server,
        "forks",
        &json!({"count": 5, "seconds": 0.2}),
        &json!({"processes": 6}),
    );
    assert_eq!(fits["status"], "success", "{fits}");
    for (storm, limit) in [(false, 20), (true, 100)] {
        let input = json!({"count": 1_000, "storm": storm});
        let play = limited(&server, "forks", &input, &json!({"processes": limit}));
        hit(&play, "killed", "processes", limit);
        assert!(
            play["cause"]["processes_killed"].as_u64() > Some(limit),
            "{play}"
        );
    }
    // Nothing is left of them.
    server.stop();
}

#[test]
fn its_directory_is_limited() {
    let server = Server::start();
    let fits = limited(
        &server,
        "fills",
        &json!({"mib": 1, "seconds": 0}),
        &json!({"disk_bytes": 4 * MIB}),
    );
    assert_eq!(fits["status"], "success", "{fits}");
    let play = limited(
        &server,
        "fills",
        &json!({"mib": 40}),
        &json!({"disk_bytes": 10 * MIB}),
    );
    let measured = hit(&play, "killed", "disk", 10 * MIB);
    assert!(measured < 45 * MIB, "{measured}");
    server.stop();
}

#[test]
fn the_flow_itself_sees_that_it_has_too_many_files_open() {
    let server = Server::start();
    let play = server.play("opens", &json!({}));
    let output: Value = serde_json::from_str(&text(&play["output_data"])).unwrap();
    assert_eq!(
        (&output["limit"], &output["error"]),
        (&json!(100), &json!("EMFILE")),
        "{output}"
    );
    assert!(output["opened"].as_u64() < Some(100), "{output}");
    server.stop();
}

#[test]
fn output_and_spans_are_cut_and_the_play_goes_on() {
    let server = Server::start();
    let play = limited(
        &server,
        "flood",
        &json!({"mib": 1}),
        &json!({"output_bytes": 1_000}),
    );
    assert_eq!(
        (&play["status"], &play["skipped"]["log_bytes"]),
        (&json!("success"), &json!(MIB - 1_000))
    );
    assert_eq!(server.written(&text(&play["sid"]), "stdout").len(), 1_000);
    let play = limited(
        &server,
        "many_spans",
        &json!({"count": 50}),
        &json!({"spans": 10}),
    );
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["skipped"]["over_limit"], 41, "{play}");
    let spans = server.spans(&text(&play["sid"]));
    assert_eq!(spans.len(), 10);
    // What was said in the others is at the root.
    let logs: usize = spans
        .iter()
        .map(|span| span["logs"].as_array().unwrap().len())
        .sum();
    assert_eq!(logs, 50);
    server.stop();
}

/// The call, the flow, the server: the first that says something decides.
#[test]
fn the_call_goes_before_the_flow_and_the_flow_before_the_server() {
    let server = Server::start_in(Home::new(), &["--open-files", "70"]);
    let source = source("opens");
    let create = |flow: &str| {
        server.create(&json!({"name": flow, "python_source": source, "flow_name": flow}))
    };
    let (own, none, spawns) = (create("opens"), create("unlimited"), create("spawns"));
    let limit = |play: &Value| -> Value {
        let output: Value = serde_json::from_str(&text(&play["output_data"])).unwrap();
        output.get("limit").cloned().unwrap_or(output)
    };
    let of_call = json!({"limits": {"open_files": 50}});
    for (workflow, more, expected) in [
        (&own, json!({}), 100),
        (&own, of_call.clone(), 50),
        (&none, json!({}), 70),
        (&none, of_call.clone(), 50),
        // A child play of the same source is given what its parent was given.
        (&spawns, of_call, 50),
        (&spawns, json!({}), 70),
    ] {
        let play = server.wait(&server.start_with(workflow, &json!({}), &more));
        assert_eq!(limit(&play), expected, "{play}");
        // It is kept with the play.
        let again = server.call("play_retry", &json!({"play_sid": play["sid"]}));
        assert_eq!(limit(&server.wait(&text(&again["sid"]))), expected);
    }
    let version = server.call("workflow_version_list", &json!({"workflow_sid": own}));
    assert_eq!(version["items"][0]["limits"], json!({"open_files": 100}));
    server.stop();
}

#[test]
fn limits_that_make_no_sense_are_refused_by_name() {
    let server = Server::start();
    let workflow = server.add("ok");
    for (limits, kind, named) in [
        (json!({"memory_bytes": 0}), "invalid_input", "memory"),
        (json!({"open_files": 3}), "invalid_input", "open_files"),
        (json!({"memory_bytes": -1}), "invalid_params", "limits"),
        (json!({"memory": "1GiB"}), "invalid_params", "memory_bytes"),
        (json!({"processes": "many"}), "invalid_params", "limits"),
    ] {
        let params = json!({"workflow_sid": workflow, "limits": limits});
        let error = server.refusal("play_start", &params);
        assert_eq!(error["data"]["kind"], kind, "{limits}: {error}");
        assert!(text(&error["message"]).contains(named), "{limits}: {error}");
    }
    let source = "from hero_tracing import flow\n@flow(limits={'memory': '512M'})\ndef f(): pass";
    let error = server.refusal(
        "workflow_create",
        &json!({"name": "f", "python_source": source}),
    );
    assert_eq!(error["data"]["kind"], "invalid_input");
    assert!(text(&error["message"]).contains("memory"), "{error}");
    server.stop();
}

#[test]
fn the_command_line_sets_them_too() {
    let home = Home::new();
    let file = fixture("hog");
    let file = file.to_str().unwrap();
    let ran = home
        .run(&[
            "run",
            file,
            "-i",
            "mib=300",
            "-i",
            "children=1",
            "--memory",
            "64MiB",
            "--json",
        ])
        .exits(1);
    hit(&ran.json(), "out_of_memory", "memory", 64 * MIB);
    for (option, value) in [
        ("--memory", "64M"),
        ("--processes", "0"),
        ("--disk", "lots"),
        ("--cpu", "-1"),
        ("--open-files", "3"),
    ] {
        let ran = home
            .run(&["run", file, &format!("{option}={value}")])
            .exits(2);
        assert!(ran.stderr.contains(option), "{}", ran.stderr);
    }
    home.assert_clean();
}
