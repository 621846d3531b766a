//! A caller that notes what it was told, and later holds the server to it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

use crate::support::{
    PATIENCE,
    home::Home,
    http,
    server::{Server, text},
};

/// The server is gone, or said that it is going.
#[derive(Debug)]
#[expect(dead_code, reason = "shown where a test fails")]
pub(super) struct Lost(String);

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

#[derive(Debug, Default)]
struct Notes {
    /// Plays whose sid was answered.
    accepted: Vec<String>,
    /// Plays that were told as terminal.
    ended: BTreeMap<String, Value>,
    /// Workflows as they were last answered.
    workflows: BTreeMap<String, Value>,
    /// Versions that were answered.
    versions: Vec<String>,
    /// The highest number that a live stream showed.
    seen: u64,
    /// What the server must not have said at all.
    wrong: Vec<String>,
}

impl Notes {
    fn play(&mut self, play: &Value) {
        let status = play["status"].as_str().unwrap_or_default();
        if !is_terminal(status) {
            return;
        }
        let before = self.ended.insert(text(&play["sid"]), play.clone());
        if let Some(before) = before
            && &before != play
        {
            self.wrong.push(format!("{before} became {play}"));
        }
    }
}

fn is_terminal(status: &str) -> bool {
    ["success", "failed", "timed_out", "cancelled"].contains(&status)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Witness {
    socket: PathBuf,
    address: String,
    notes: Arc<Mutex<Notes>>,
    followers: Mutex<Vec<JoinHandle<()>>>,
}

impl Witness {
    pub(super) fn of(home: &Home, address: &str) -> Self {
        Self {
            socket: home.socket(),
            address: address.to_owned(),
            notes: Arc::default(),
            followers: Mutex::default(),
        }
    }

    /// The same notes, of a server that was started again.
    pub(super) fn again(self, address: &str) -> Self {
        self.join();
        Self {
            address: address.to_owned(),
            ..self
        }
    }

    fn join(&self) {
        for follower in self.followers.lock().unwrap().drain(..) {
            follower.join().unwrap();
        }
    }

    fn call(&self, method: &str, params: &Value) -> Result<Value, Lost> {
        let mut answer = http::try_call_by_line(&self.socket, &http::request(method, params))?;
        if answer["error"].is_null() {
            return Ok(answer["result"].take());
        }
        let error = &answer["error"];
        if error["data"]["kind"] != "unavailable" {
            let wrong = format!("{method} {params}: {error}");
            self.notes.lock().unwrap().wrong.push(wrong);
        }
        Err(Lost(error.to_string()))
    }

    pub(super) fn create(&self, params: &Value) -> Result<String, Lost> {
        let made = self.call("workflow_create", params)?;
        let sid = text(&made["sid"]);
        self.notes
            .lock()
            .unwrap()
            .workflows
            .insert(sid.clone(), made);
        Ok(sid)
    }

    /// Changes a workflow.
    pub(super) fn change(&self, method: &str, params: &Value) -> Result<(), Lost> {
        let answer = self.call(method, params)?;
        let mut notes = self.notes.lock().unwrap();
        if method == "workflow_version_add" {
            notes.versions.push(text(&answer["sid"]));
            let sid = text(&answer["workflow_sid"]);
            if let Some(workflow) = notes.workflows.get_mut(&sid) {
                workflow["current_version_sid"] = answer["sid"].clone();
                workflow["updated_at"] = Value::Null;
            }
        } else {
            notes.workflows.insert(text(&answer["sid"]), answer);
        }
        Ok(())
    }

    pub(super) fn start(&self, workflow: &str, input: &Value, more: Value) -> Result<String, Lost> {
        let mut params = more;
        params["workflow_sid"] = json!(workflow);
        params["input_data"] = json!(input.to_string());
        params["parent_span_id"] = json!("");
        let sid = text(&self.call("play_run_async", &params)?);
        self.notes.lock().unwrap().accepted.push(sid.clone());
        Ok(sid)
    }

    pub(super) fn wait(&self, sid: &str) -> Result<(), Lost> {
        self.note("play_wait", &json!({"play_sid": sid, "timeout_ms": 50_000}))
    }

    pub(super) fn cancel(&self, sid: &str) -> Result<(), Lost> {
        self.note("play_cancel", &json!({"play_sid": sid, "grace_ms": 3_000}))
    }

    fn note(&self, method: &str, params: &Value) -> Result<(), Lost> {
        let play = self.call(method, params)?;
        self.notes.lock().unwrap().play(&play);
        Ok(())
    }

    /// Reads the play's stream until it is over or the server is gone.
    pub(super) fn follow(&self, sid: &str) {
        let (notes, address, sid) = (self.notes.clone(), self.address.clone(), sid.to_owned());
        let follower = thread::spawn(move || {
            // An error says that the server is gone.
            drop(read_events(&address, &sid, &notes));
        });
        self.followers.lock().unwrap().push(follower);
    }

    /// What it was told is true: in the file that the server left, and for the next server, which
    /// brings every play to its end and leaves nothing behind.
    #[track_caller]
    pub(super) fn check(self, at: &str, home: Home) {
        self.join();
        self.check_file(at, &home);
        let server = Server::start_in(home, &["--max-plays", "2"]);
        self.check_records(at, &server);
        self.play_on(at, &server);
        let home = server.stop();
        self.check_file(at, &home);
        let spools = fs::read_dir(home.data.join("spool")).into_iter().flatten();
        let spools: Vec<_> = spools.map(|spool| spool.unwrap().path()).collect();
        assert!(spools.is_empty(), "{at}: {spools:?} are left");
        let wrong = &self.notes.lock().unwrap().wrong;
        assert!(wrong.is_empty(), "{at}: {wrong:?}");
    }

    /// Nothing was published that is not in the file, and the file is whole.
    #[track_caller]
    pub(super) fn check_file(&self, at: &str, home: &Home) {
        let copy = tempfile::tempdir().unwrap();
        for name in ["hero_logic.db", "hero_logic.db-wal"] {
            let from = home.data.join(name);
            if from.exists() {
                fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let (whole, last) = look_into(&copy.path().join("hero_logic.db"));
        assert_eq!(whole, "ok", "{at}");
        let seen = self.notes.lock().unwrap().seen;
        assert!(
            last >= seen,
            "{at}: {seen} was published, {last} is the last"
        );
    }

    /// What was answered is there, as it was answered.
    #[track_caller]
    pub(super) fn check_records(&self, at: &str, server: &Server) {
        let notes = self.notes.lock().unwrap();
        for sid in &notes.accepted {
            server.get(sid);
        }
        for (sid, before) in &notes.ended {
            assert_eq!(&server.get(sid), before, "{at}: taken back");
        }
        for (sid, before) in &notes.workflows {
            let mut now = server.call("workflow_get", &json!({"workflow_sid": sid}));
            if before["updated_at"].is_null() {
                now["updated_at"] = Value::Null;
            }
            // A change that was not answered may have been made, or not.
            if now != *before {
                let named = |play: &Value| (play["name"].clone(), play["created_at"].clone());
                assert_eq!(named(&now), named(before), "{at}");
            }
            let query = json!({"query": before["name"], "limit": 10});
            let found = server.call("flow_library_search", &query);
            assert!(
                found.as_array().unwrap().contains(&json!(sid)),
                "{at}: {found}"
            );
        }
        for sid in &notes.versions {
            server.call("workflow_version_get", &json!({"version_sid": sid}));
        }
    }

    /// Every play comes to an end, with a cause that a kill explains.
    #[track_caller]
    pub(super) fn play_on(&self, at: &str, server: &Server) {
        let plays = server.call("play_list", &json!({"limit": 10_000}))["items"].clone();
        let plays: Vec<Value> = plays.as_array().unwrap().clone();
        // First all that never end by themselves: the others wait for their places.
        for play in &plays {
            if play["workflow_name"] == "hang" && !is_terminal(play["status"].as_str().unwrap()) {
                server.call(
                    "play_cancel",
                    &json!({"play_sid": play["sid"], "grace_ms": 3_000}),
                );
            }
        }
        for play in plays {
            let play = server.wait(&text(&play["sid"]));
            let (status, cause) = (play["status"].clone(), play["cause"]["kind"].clone());
            let right = match status.as_str().unwrap() {
                "success" => cause.is_null() && play["workflow_name"] != "hang",
                "cancelled" => cause == "cancelled",
                "failed" => cause == "interrupted" || cause == "recovery_exhausted",
                _ => false,
            };
            assert!(right, "{at}: {play}");
        }
    }
}

/// What SQLite says of the file, and the number of its last change.
fn look_into(file: &Path) -> (String, u64) {
    if !file.exists() {
        return ("ok".into(), 0);
    }
    let database = rusqlite::Connection::open(file).unwrap();
    let ask = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0));
    let last = ask("SELECT CAST(seq AS TEXT) FROM meta").unwrap();
    (
        ask("PRAGMA integrity_check").unwrap(),
        last.parse().unwrap(),
    )
}

fn read_events(address: &str, sid: &str, notes: &Mutex<Notes>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /api/plays/{sid}/spans HTTP/1.0\r\nHost: localhost\r\n\r\n"
    )?;
    let mut event = String::new();
    let mut last = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let Some((field, value)) = line.split_once(": ") else {
            continue;
        };
        match field {
            "id" => {
                let id: u64 = value.parse().map_err(io::Error::other)?;
                let mut notes = notes.lock().unwrap();
                notes.seen = notes.seen.max(id);
                if id < last {
                    notes.wrong.push(format!("{sid}: {id} came after {last}"));
                }
                last = id;
            }
            "event" => value.clone_into(&mut event),
            "data" if event == "play" => {
                let play: Value = serde_json::from_str(value)?;
                notes.lock().unwrap().play(&play);
            }
            "data" if event == "end" => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}
