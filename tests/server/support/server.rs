//! A server that a test starts, calls and stops.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ExitStatus},
    thread::{self, JoinHandle},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    fixture,
    home::Home,
    http::{self, call_by_line},
    process, source,
    sse::Events,
    until,
};

/// A running `hero_logic serve`.
#[derive(Debug)]
pub(crate) struct Server {
    /// `None` once it was stopped.
    child: Option<Child>,
    home: Option<Home>,
    log: Option<JoinHandle<String>>,
    /// The one line that it printed.
    pub(crate) line: String,
    /// Where HTTP is served: `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_in(Home::new(), &[])
    }

    /// Starts in this home, with these further arguments, and waits for its line.
    pub(crate) fn start_in(home: Home, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(args);
        let mut child = home.command(&all).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            panic!("no server: {status}, {}", log.join().unwrap());
        }
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split([' ', '"', '\n']).next().unwrap().to_owned();
        Self {
            child: Some(child),
            home: Some(home),
            log: Some(log),
            line,
            address,
        }
    }

    pub(crate) fn home(&self) -> &Home {
        self.home.as_ref().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Calls a method by a line on the Unix socket: the result, or the error object.
    pub(crate) fn try_call(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let stream = http::unix(&self.home().socket());
        result(call_by_line(stream, &http::request(method, params)))
    }

    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: &Value) -> Value {
        match self.try_call(method, params) {
            Ok(result) => result,
            Err(error) => panic!("{method} {params}: {error}"),
        }
    }

    /// The error of a call that must fail.
    #[track_caller]
    pub(crate) fn refusal(&self, method: &str, params: &Value) -> Value {
        self.try_call(method, params).unwrap_err()
    }

    /// Puts a flow of `tests/flows` into the library, with its file; the workflow's sid.
    pub(crate) fn add(&self, name: &str) -> String {
        let file = fixture(name);
        self.create(&json!({"name": name, "python_source": source(name), "source_file": file}))
    }

    /// As [`Self::add`]; its plays fail where they are interrupted, and do not go on.
    pub(crate) fn add_unresumed(&self, name: &str) -> String {
        let source = source(name).replace("@flow\ndef", "@flow(on_interrupt='fail')\ndef");
        let file = fixture(name);
        self.create(&json!({"name": name, "python_source": source, "source_file": file}))
    }

    /// Creates a workflow; its sid.
    pub(crate) fn create(&self, params: &Value) -> String {
        text(&self.call("workflow_create", params)["sid"])
    }

    /// Starts a play; its sid.
    pub(crate) fn start_play(&self, workflow: &str, input: &Value) -> String {
        self.start_with(workflow, input, &json!({}))
    }

    /// Starts a play with further parameters; its sid.
    pub(crate) fn start_with(&self, workflow: &str, input: &Value, more: &Value) -> String {
        let mut params = json!({
            "workflow_sid": workflow, "input_data": input.to_string(), "parent_span_id": ""
        });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        text(&self.call("play_run_async", &params))
    }

    /// Adds a flow, plays it to its end: the record.
    pub(crate) fn play(&self, name: &str, input: &Value) -> Value {
        let workflow = self.add(name);
        self.wait(&self.start_play(&workflow, input))
    }

    /// Waits for the end of a play: its record.
    #[track_caller]
    pub(crate) fn wait(&self, sid: &str) -> Value {
        let play = self.call("play_wait", &json!({"play_sid": sid, "timeout_ms": 50_000}));
        let status = play["status"].as_str().unwrap();
        assert!(
            ["success", "failed", "timed_out", "cancelled"].contains(&status),
            "not at its end: {play}"
        );
        assert!(
            play["completed_at"].is_f64() || play["completed_at"].is_u64(),
            "{play}"
        );
        assert!(play["duration_ms"].is_number(), "{play}");
        play
    }

    pub(crate) fn get(&self, sid: &str) -> Value {
        self.call("play_get", &json!({"play_sid": sid}))
    }

    /// All spans of a play, in the order of their start.
    pub(crate) fn spans(&self, sid: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut query = json!({"play_sid": sid});
        loop {
            let page = self.call("play_spans", &query);
            all.extend(page["spans"].as_array().unwrap().iter().cloned());
            if page["next_cursor"].is_null() {
                return all;
            }
            query["cursor"] = page["next_cursor"].clone();
        }
    }

    /// The span of this name, once it is there.
    #[track_caller]
    pub(crate) fn span(&self, sid: &str, name: &str) -> Value {
        until(&format!("a span {name:?} of play {sid}"), || {
            self.spans(sid)
                .into_iter()
                .find(|span| span["name"] == name)
        })
    }

    /// The pid that a flow tells in the tag `pid` of its span of this name.
    #[track_caller]
    pub(crate) fn pid_in(&self, sid: &str, name: &str) -> u32 {
        u32::try_from(self.span(sid, name)["tags"]["pid"].as_u64().unwrap()).unwrap()
    }

    /// Everything that a play wrote to one stream (`stdout`, `stderr`, `log`).
    pub(crate) fn written(&self, sid: &str, stream: &str) -> String {
        self.spans(sid)
            .iter()
            .flat_map(|span| span["logs"].as_array().unwrap().clone())
            .filter(|log| log["stream"] == stream)
            .map(|log| text(&log["text"]))
            .collect()
    }

    /// The live stream of a play.
    pub(crate) fn events(&self, sid: &str, last: Option<u64>) -> Events {
        Events::open(http::tcp(&self.address), sid, last)
    }

    /// The live stream of the lists.
    pub(crate) fn following_lists(&self, last: Option<u64>) -> Events {
        Events::open_at(http::tcp(&self.address), "/api/plays", last)
    }

    /// Stops it in order: exit code 0, and nothing is left.
    #[track_caller]
    pub(crate) fn stop(self) -> Home {
        self.stop_with_log().0
    }

    /// As [`Server::stop`], with what it wrote to standard error.
    #[track_caller]
    pub(crate) fn stop_with_log(mut self) -> (Home, String) {
        let status = self.end(Signal::TERM);
        let log = self.log.take().unwrap().join().unwrap();
        assert_eq!(status.code(), Some(0), "{log}");
        let home = self.home.take().unwrap();
        home.assert_clean();
        (home, log)
    }

    /// Kills it, as a crash would. Nothing is promised about what is left.
    pub(crate) fn crash(mut self) -> Home {
        self.end(Signal::KILL);
        self.home.take().unwrap()
    }

    /// As [`Server::crash`], with what it and its guard wrote to standard error, once both are gone.
    pub(crate) fn crash_with_log(mut self) -> (Home, String) {
        self.end(Signal::KILL);
        let log = self.log.take().unwrap().join().unwrap();
        (self.home.take().unwrap(), log)
    }

    /// Waits until it has ended by itself; with what it wrote to standard error.
    pub(crate) fn died(mut self) -> (ExitStatus, Home, String) {
        let mut child = self.child.take().unwrap();
        let status = until_or_none(|| child.try_wait().unwrap());
        let status = status.unwrap_or_else(|| {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the server did not end");
        });
        let log = self.log.take().unwrap().join().unwrap();
        (status, self.home.take().unwrap(), log)
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        process::signal(child.id(), signal);
        let pid = child.id();
        let gone = until_or_none(|| child.try_wait().unwrap());
        gone.unwrap_or_else(|| {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the server {pid} did not end after {signal:?}");
        })
    }
}

impl Drop for Server {
    /// For a test that failed; [`Home`] ends what else is left.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn until_or_none<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = std::time::Instant::now() + super::PATIENCE;
    while std::time::Instant::now() < deadline {
        if let Some(seen) = look() {
            return Some(seen);
        }
        thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}

/// The result of an answer, or its error.
pub(crate) fn result(mut answer: Value) -> Result<Value, Value> {
    assert_eq!(answer["jsonrpc"], "2.0");
    match answer.get_mut("error") {
        Some(error) => Err(error.take()),
        None => Ok(answer["result"].take()),
    }
}

/// The text of a JSON string.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => panic!("no text: {other}"),
    }
}
