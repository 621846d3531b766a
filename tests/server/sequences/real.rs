//! A real server, with real processes and a real file.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use actors::testing::{
    model::{play::Gate, script::Site},
    sequences::{Answered, End, Notes, World},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::support::{
    fixture,
    home::Home,
    http, process,
    server::{Server, result},
    source,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Real {
    max_plays: u32,
    server: Option<Server>,
    /// While there is no server.
    home: Option<Home>,
    /// Where plays note what they do, and look for their gates.
    place: PathBuf,
    workflows: BTreeMap<bool, String>,
}

impl Real {
    pub(super) fn new(max_plays: u32) -> Self {
        let home = Home::new();
        let place = home.files();
        for directory in ["notes", "gates"] {
            fs::create_dir(place.join(directory)).unwrap();
        }
        Self {
            max_plays,
            server: None,
            home: Some(home),
            place,
            workflows: BTreeMap::new(),
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Blocks a thread that nobody else waits for.
    async fn answered(
        call: impl FnOnce() -> io::Result<Result<Value, Value>> + Send + 'static,
    ) -> Answered {
        match spawn_blocking(call).await.unwrap() {
            Err(_) => Answered::Lost,
            Ok(Ok(result)) => Answered::Result(result),
            Ok(Err(error)) => match error["data"]["kind"].as_str().unwrap() {
                "unavailable" => Answered::Lost,
                kind => Answered::Refused(kind.to_owned()),
            },
        }
    }
}

impl World for Real {
    async fn begins(&mut self, armed: Option<&str>) -> Result<(), ()> {
        let home = self.home.take().unwrap().without_env();
        let home = match armed {
            Some(at) => home.env("HERO_LOGIC_CRASH_POINT", at),
            None => home,
        };
        let slots = self.max_plays.to_string();
        match Server::try_start_in(home, &["--max-plays", &slots]) {
            Ok(server) => self.server = Some(server),
            Err((status, home, log)) => {
                assert!(armed.is_some(), "no server: {status}, {log}");
                self.home = Some(home);
                return Err(());
            }
        }
        if self.workflows.is_empty() {
            for (plain, name) in [(false, "follow"), (true, "follow_now")] {
                let flow = json!({"name": name, "flow_name": name, "python_source": source("follow"),
                                  "source_file": fixture("follow")});
                let sid = self.server().create(&flow);
                self.workflows.insert(plain, sid);
            }
        }
        Ok(())
    }

    async fn goes(&mut self, how: End) -> bool {
        let server = self.server.take().unwrap();
        if how == End::Killed {
            self.home = Some(server.crash());
            return false;
        }
        process::signal(server.pid(), Signal::TERM);
        let (status, home, log) = server.died();
        if let Some(code) = status.code() {
            assert_eq!(code, 0, "{log}");
            home.assert_clean();
        }
        self.home = Some(home);
        status.code().is_some()
    }

    async fn died(&mut self) {
        let (_, home, _) = self.server.take().unwrap().died();
        self.home = Some(home);
    }

    async fn kills_the_server(&self, after: Duration) {
        // The moment is what is random here: there is nothing to wait for.
        tokio::time::sleep(after).await;
        process::signal(self.server().pid(), Signal::KILL);
    }

    fn workflow(&self, plain: bool) -> String {
        self.workflows[&plain].clone()
    }

    fn options(&self) -> Value {
        json!({"env": {"PLACE": self.place}})
    }

    async fn call(&self, method: &'static str, params: &Value) -> Answered {
        let socket = self.server().home().socket();
        let request = http::request(method, params);
        Self::answered(move || http::try_call_by_line(&socket, &request).map(result)).await
    }

    async fn post(&self, webhook: &str, payload: &Value) -> Answered {
        let address = self.server().address.clone();
        let (webhook, payload) = (webhook.to_owned(), payload.to_string());
        let post = move || {
            let (status, text) = http::try_post(&address, &webhook, &payload)?;
            let mut answer: Value = serde_json::from_str(&text)?;
            Ok(match status {
                200 => Ok(answer),
                _ => Err(answer["error"].take()),
            })
        };
        Self::answered(post).await
    }

    fn opens(&self, play: &str, attempt: u32, site: Site, gate: Gate) {
        let outcome = match gate {
            Gate::Returns(value) => json!(["returns", value]),
            Gate::Raises(value) => json!(["raises", value]),
        };
        let beside = self.place.join(format!("new-{outcome}"));
        let gate = format!("{play}.{site}.{attempt}");
        fs::write(&beside, outcome.to_string()).unwrap();
        fs::rename(beside, self.place.join("gates").join(gate)).unwrap();
    }

    fn kills(&self, play: &str, attempt: u32) {
        let Some(pid) = self.notes(play).pids.get(&attempt).copied() else {
            return;
        };
        if is_of(&self.place, pid) {
            process::signal(pid, Signal::KILL);
        }
    }

    fn notes(&self, play: &str) -> Notes {
        let notes = self.place.join("notes").join(play);
        Notes::read(&fs::read_to_string(notes).unwrap_or_default())
    }

    fn check_what_is_left(mut self) {
        let home = self.server.take().unwrap().stop();
        let spools = fs::read_dir(home.data.join("spool")).into_iter().flatten();
        let spools: Vec<_> = spools.map(|spool| spool.unwrap().path()).collect();
        assert!(spools.is_empty(), "{spools:?} are left");
        let file = rusqlite::Connection::open(home.data.join("hero_logic.db")).unwrap();
        for table in ["waits", "signals"] {
            let sql = format!("SELECT count(*) FROM {table}");
            let left: u32 = file.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "{table} are left");
        }
        let sound: String = file
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }
}

/// Whether this is a process of this home, and not another one that has its pid by now.
fn is_of(place: &Path, pid: u32) -> bool {
    let home = place.parent().unwrap().display().to_string();
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environ).contains(&home)
}
