//! What those who operate a server look at: health, figures, logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{
    home::Home,
    http::{self, call_by_line},
    process,
    server::Server,
    source, until,
};

/// Samples by name and labels, as a reader of Prometheus' text format takes them.
#[derive(Debug, Default)]
struct Figures {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Figures {
    /// Strict: whatever is not of the format fails the test.
    fn read(text: &str) -> Self {
        let mut read = Self::default();
        assert!(text.ends_with('\n'));
        let mut helped = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(!words.is_empty(), "{line}");
                helped = name.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, helped, "help comes first");
                let before = read.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is there twice");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            } else {
                let (key, value) = line.rsplit_once(' ').unwrap();
                let name = key.split('{').next().unwrap();
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .filter_map(|end| name.strip_suffix(end))
                    .find(|base| *base == helped)
                    .unwrap_or(name);
                assert_eq!(base, helped, "a sample stands with its family: {line}");
                let value: f64 = value.parse().unwrap();
                let before = read.samples.insert(key.to_owned(), value);
                assert_eq!(before, None, "{key} is there twice");
            }
        }
        read
    }

    fn of(server: &Server) -> Self {
        let (status, text) = http::get(http::tcp(&server.address), "/metrics");
        assert_eq!(status, 200, "{text}");
        Self::read(&text)
    }

    #[track_caller]
    fn get(&self, key: &str) -> f64 {
        let found = self.samples.get(&format!("hero_logic_{key}"));
        *found.unwrap_or_else(|| panic!("{key} is not in {:#?}", self.samples))
    }
}

#[test]
fn figures_follow_what_happens() {
    let server = Server::start();
    let before = Figures::of(&server);
    assert!(before.get("plays_created_total") < 0.5);
    assert!(before.get("plays_ended_total{status=\"failed\",cause=\"\"}") < 0.5);
    server.play("ok", &json!({}));
    server.play("fail", &json!({}));
    let hang = server.add("hang");
    let sid = server.start_play(&hang, &json!({}));
    until("the play to run", || {
        let figures = Figures::of(&server);
        (figures.get("plays{status=\"running\"}") > 0.5
            && figures.get("play_first_event_seconds_count") > 2.5)
            .then_some(())
    });
    server.call("play_cancel", &json!({"play_sid": sid}));
    // Its actor leaves a moment after its end was told.
    let figures = until("the play to leave", || {
        let figures = Figures::of(&server);
        (figures.get("plays{status=\"running\"}") < 0.5).then_some(figures)
    });
    for (key, value) in [
        ("plays_created_total", 3.0),
        ("plays_ended_total{status=\"success\",cause=\"\"}", 1.0),
        (
            "plays_ended_total{status=\"failed\",cause=\"exception\"}",
            1.0,
        ),
        (
            "plays_ended_total{status=\"cancelled\",cause=\"cancelled\"}",
            1.0,
        ),
        ("play_duration_seconds_count", 3.0),
        ("play_queue_seconds_count", 3.0),
        ("play_first_event_seconds_count", 3.0),
        ("play_first_event_seconds_bucket{le=\"+Inf\"}", 3.0),
        ("plays{status=\"running\"}", 0.0),
        ("plays{status=\"pending\"}", 0.0),
        ("restarts_total{part=\"registry\"}", 0.0),
        ("store_sound", 1.0),
        (
            "rpc_calls_total{method=\"play_cancel\",outcome=\"ok\"}",
            1.0,
        ),
    ] {
        assert!(
            (figures.get(key) - value).abs() < 0.5,
            "{key}: {}",
            figures.get(key)
        );
    }
    for key in [
        "spans_total",
        "store_rows_total",
        "store_commit_seconds_count",
        "store_commit_batches_sum",
        "store_bytes{file=\"database\"}",
        "disk_free_bytes",
        "max_plays",
        "uptime_seconds",
        "connections",
    ] {
        assert!(figures.get(key) > 0.0, "{key}");
    }
    assert!(figures.samples["process_resident_memory_bytes"] > 1e6);
    assert!(figures.samples["process_open_fds"] > 5.0);
    // Each family is explained, and nothing else is.
    let reference = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/reference/metrics.md"
    ))
    .unwrap();
    let rows = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<_> = rows
        .map(|row| row.split(['`', '{']).next().unwrap().to_owned())
        .collect();
    let told: BTreeSet<_> = figures.kinds.keys().cloned().collect();
    assert_eq!(explained, told);
    server.stop();
}

#[test]
fn health_names_its_parts() {
    let server = Server::start();
    let (status, body) = http::get(http::tcp(&server.address), "/healthz");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["ok"]), (200, &json!(true)), "{health}");
    let parts: Vec<_> = health["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].clone())
        .collect();
    assert_eq!(
        parts,
        ["registry", "library", "store_reads", "store_writes"]
    );
    server.stop();
}

#[test]
fn the_log_is_lines_of_json_that_name_the_play_and_no_secret() {
    let home = Home::new().env("FROM_SERVER", "secret-of-the-server");
    let token = home.file("token", "secret-token-0123456789");
    let token = token.to_str().unwrap();
    let server = Server::start_in(
        home,
        &[
            "--log-format",
            "json",
            "--log-level",
            "trace",
            "--token-file",
            token,
        ],
    );
    let workflow = server.add("env");
    let more = json!({"env": {"GIVEN": "secret-of-the-caller"}});
    let sid = server.start_with(&workflow, &json!({}), &more);
    server.wait(&sid);
    let (_, log) = server.stop_with_log();
    let mut messages = Vec::new();
    let mut stages = Vec::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for name in ["time", "level", "target", "message"] {
            assert!(line[name].is_string(), "{line}");
        }
        if line["target"] == "hero_logic::stage" {
            stages.push(line["message"].as_str().unwrap().to_owned());
        }
        if line["play"] == json!(sid) {
            messages.push(line["message"].as_str().unwrap().to_owned());
        }
    }
    assert!(messages.contains(&"play starts".to_owned()), "{messages:?}");
    assert!(messages.contains(&"play ended".to_owned()), "{messages:?}");
    // The way of a play, as docs/performance.md shows it.
    for stage in ["start_committed", "play_spawned", "root_ended", "play_gone"] {
        assert!(
            stages.iter().any(|name| name == stage),
            "{stage}: {stages:?}"
        );
    }
    assert!(!log.contains("secret"), "{log}");
}

/// Who collects the log parses each line, also those that the guard adds when the server is gone.
#[test]
fn the_guard_reports_in_the_form_of_the_log() {
    let server = Server::start_in(Home::new(), &["--log-format", "json"]);
    let workflow = server.add("hang");
    let sid = server.start_play(&workflow, &json!({}));
    server.pid_in(&sid, "hanging");
    let (_home, log) = server.crash_with_log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    let reports: Vec<Value> = lines
        .filter(|line| line["target"] == "hero-guard")
        .collect();
    let [report] = reports.as_slice() else {
        panic!("{log}");
    };
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("is gone; ended"), "{report}");
    assert_eq!(report["level"], "WARN");
    assert!(report["time"].as_str().unwrap().ends_with('Z'), "{report}");
}

/// Standard error is a pipe, and whoever reads it has gone, or does not read: it is no reason to stop,
/// nor to be slow.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    for gone in [true, false] {
        let home = Home::new();
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0", "-vvv"]);
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let kept = if gone {
            drop(stderr);
            None
        } else {
            Some(stderr)
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let call = |method: &str, params: Value| {
            call_by_line(http::unix(&home.socket()), &http::request(method, &params))["result"]
                .clone()
        };
        let workflow = call(
            "workflow_create",
            json!({"name": "ok", "python_source": source("ok")}),
        );
        // Each is a line of the log; together far more than a pipe holds.
        let mut batch =
            vec![json!({"jsonrpc": "2.0", "method": "play_get", "params": ["no"]}); 900];
        batch.push(http::request("server_info", &json!({})));
        for _ in 0..3 {
            let answer = call_by_line(http::unix(&home.socket()), &Value::from(batch.clone()));
            assert!(answer[0]["result"].is_object(), "{answer}");
        }
        let sid = call(
            "play_run_async",
            json!({"workflow_sid": workflow["sid"], "input_data": "{}"}),
        );
        let play = call("play_wait", json!({"play_sid": sid, "timeout_ms": 50_000}));
        assert_eq!(play["status"], "success", "{play}");
        process::signal(child.id(), Signal::TERM);
        let status = until("the server's end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "gone: {gone}");
        drop(kept);
    }
}

#[test]
fn a_progress_bar_is_shown_as_it_stood_last_and_raw_as_it_was() {
    let server = Server::start();
    let source = "import sys\nfrom hero_tracing import flow\n@flow\ndef bar():\n    sys.stdout.write('10%\\r50%\\r100%\\n')\n";
    let workflow = server.create(&json!({"name": "bar", "python_source": source}));
    server.wait(&server.start_play(&workflow, &json!({})));
    let shown = server.home().run(&["play", "logs", "last"]).exits(0);
    assert!(
        shown.stdout.contains("100%") && !shown.stdout.contains("10%\r"),
        "{shown:?}"
    );
    let raw = server
        .home()
        .run(&["play", "logs", "last", "--raw"])
        .exits(0);
    assert_eq!(raw.stdout, "10%\r50%\r100%\n");
    server.stop();
}
