//! A server that says what a test tells it to, on a Unix socket: JSON-RPC by lines, and event
//! streams by HTTP.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

type Answer = dyn Fn(&str, &Value) -> Result<Value, Value> + Send + Sync;
/// The play and the `Last-Event-ID` in, the stream's text out. `None`: the connection is dropped.
type Stream = dyn Fn(&str, Option<&str>) -> Option<String> + Send + Sync;

pub(crate) struct FakeServer {
    directory: tempfile::TempDir,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl FakeServer {
    pub(crate) fn start(
        answer: impl Fn(&str, &Value) -> Result<Value, Value> + Send + Sync + 'static,
        stream: impl Fn(&str, Option<&str>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("hero_logic.sock")).unwrap();
        let calls: Arc<Mutex<Vec<_>>> = Arc::default();
        let (answer, stream): (Arc<Answer>, Arc<Stream>) = (Arc::new(answer), Arc::new(stream));
        let seen = calls.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (answer, stream, seen) = (answer.clone(), stream.clone(), seen.clone());
                thread::spawn(move || serve(connection.unwrap(), &*answer, &*stream, &seen));
            }
        });
        Self { directory, calls }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("hero_logic.sock")
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The parameters of every call of this method so far.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let of_method = calls.iter().filter(|(name, _)| name == method);
        of_method.map(|(_, params)| params.clone()).collect()
    }
}

fn serve(
    mut connection: UnixStream,
    answer: &Answer,
    stream: &Stream,
    calls: &Mutex<Vec<(String, Value)>>,
) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
        if !line.starts_with('{') {
            return follow(&line, reader, connection, stream);
        }
        let call: Value = serde_json::from_str(&line).unwrap();
        let method = call["method"].as_str().unwrap();
        calls
            .lock()
            .unwrap()
            .push((method.to_owned(), call["params"].clone()));
        let response = match answer(method, &call["params"]) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
            Err(error) => json!({"jsonrpc": "2.0", "id": call["id"], "error": error}),
        };
        if writeln!(connection, "{response}").is_err() {
            return;
        }
        line.clear();
    }
}

fn follow(first: &str, reader: impl BufRead, mut connection: UnixStream, stream: &Stream) {
    let sid = first.split('/').nth(3).unwrap().to_owned();
    let head: Vec<_> = reader
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let last_id = head
        .iter()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("last-event-id"))
        .map(|(_, id)| id);
    if let Some(text) = stream(&sid, last_id) {
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        // The reader may leave at any time.
        drop(connection.write_all(format!("{head}{text}").as_bytes()));
    }
}

pub(crate) fn event(id: u64, name: &str, data: &Value) -> String {
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

pub(crate) fn play(sid: &str, status: &str) -> Value {
    json!({
        "sid": sid, "workflow_sid": "w", "workflow_name": "etl", "version_sid": "v",
        "flow_name": "etl", "status": status, "cause": null, "input_data": "{}",
        "output_data": null, "parent_play_sid": null, "parent_span_id": "", "retry_of": null, "origin": "rpc",
        "attempt": 1, "created_at": 1000.0, "started_at": 1000.0, "completed_at": null,
        "duration_ms": null, "usage": null, "skipped": null
    })
}

pub(crate) fn span(id: &str, name: &str, status: &str) -> Value {
    let end = (status != "running").then_some(1_012.0);
    json!({
        "span_id": id, "parent_id": "", "name": name, "kind": "step", "status": status,
        "start_ms": 1000.0, "end_ms": end, "tags": {}, "error": null, "source_file": null,
        "source_line": null, "rpc_service": null, "rpc_method": null, "child_play_sid": null
    })
}

pub(crate) fn snapshot(play: &Value) -> Value {
    json!({"play": play, "spans": [], "logs": [], "seq": 1})
}
