//! A server and the model of its plays, side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actors::testing::model::{
    calls::{Kept, Key},
    coming::{Coming, Reply},
    play::{Ends, Play, Status},
    possible::{Came, Possible},
    script::{Move, Site},
};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    notes::Notes,
    plan::End,
    view::{Question, Seen},
};
use crate::support::{
    fixture,
    home::Home,
    http, process,
    server::{Server, result, text},
    source,
};

/// How long it may take until a play is as the model has it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon it is looked again: the first time, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(25));

/// What came of a call.
#[derive(Clone, Debug)]
pub(super) enum Answered {
    Result(Value),
    /// The kind of the error.
    Refused(String),
    /// The server is gone or going.
    Lost,
}

/// A play that is known of.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) sid: String,
    pub(super) plain: bool,
    pub(super) possible: Possible,
    /// What it was told to do.
    pub(super) script: Arc<[Move]>,
    /// The play that started it, and its id there.
    pub(super) parent: Option<(usize, u8)>,
    /// All questions that were seen.
    pub(super) questions: BTreeMap<Key, Question>,
    /// As it was seen when it was at rest.
    pub(super) seen: Option<Seen>,
}

/// A play that was to be made when the server died.
#[derive(Debug)]
pub(super) struct Unborn {
    pub(super) plain: bool,
    pub(super) key: Option<u8>,
    pub(super) retry_of: Option<String>,
    pub(super) script: Arc<[Move]>,
    pub(super) possible: Possible,
}

pub(super) struct Driver {
    server: Option<Server>,
    max_plays: u32,
    /// What plays note and wait for.
    place: PathBuf,
    workflows: BTreeMap<bool, String>,
    pub(super) plays: Vec<Known>,
    pub(super) unborn: Vec<Unborn>,
    /// Which play has which idempotency key.
    pub(super) keys: BTreeMap<u8, usize>,
    next_value: i64,
    /// It may die by itself.
    armed: Option<String>,
    /// Where it did.
    pub(super) died_at: Vec<String>,
    /// How servers went since all children of plays were known.
    ends: Vec<Coming>,
    /// What was done, for whoever reads of a failure.
    story: Vec<String>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("what happened:\n    {}", self.story.join("\n    "));
        }
    }
}

impl Driver {
    /// With a server that dies at a point, if it is `armed`.
    pub(super) fn start(max_plays: u32, armed: Option<String>) -> Self {
        let mut driver = Self {
            server: None,
            max_plays,
            place: PathBuf::new(),
            workflows: BTreeMap::new(),
            plays: Vec::new(),
            unborn: Vec::new(),
            keys: BTreeMap::new(),
            next_value: 0,
            armed: None,
            died_at: Vec::new(),
            ends: Vec::new(),
            story: Vec::new(),
        };
        driver.begin(Home::new(), armed);
        driver
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    /// A number that nothing else has.
    pub(super) fn value(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn begin(&mut self, home: Home, armed: Option<String>) {
        let slots = self.max_plays.to_string();
        let args = ["--max-plays", &slots];
        let mut home = match &armed {
            Some(at) => home.without_env().env("HERO_LOGIC_CRASH_POINT", at),
            None => home.without_env(),
        };
        let place = home.files().join("place");
        self.armed = armed;
        let server = loop {
            match Server::try_start_in(home, &args) {
                Ok(server) => break server,
                Err((status, back, log)) => {
                    let at = self.armed.take();
                    let at = at.unwrap_or_else(|| panic!("no server: {status}, {log}"));
                    self.died_at.push(at);
                    // It may have started some already.
                    self.all_come_to(&[(Coming::Crash, Some(Reply::Done))]);
                    home = back.without_env();
                }
            }
        };
        self.server = Some(server);
        self.tell(format!("a server, armed {:?}", self.armed));
        if self.workflows.is_empty() {
            for directory in ["notes", "gates"] {
                fs::create_dir_all(place.join(directory)).unwrap();
            }
            self.place = place;
            for (plain, name) in [(false, "follow"), (true, "follow_now")] {
                let flow = json!({"name": name, "flow_name": name, "python_source": source("follow"),
                                  "source_file": fixture("follow")});
                let sid = self.server().create(&flow);
                self.workflows.insert(plain, sid);
            }
        }
        self.find_unborn();
    }

    /// The server goes, in this way, and another one comes.
    pub(super) fn restart(&mut self, how: End, armed: Option<String>) {
        let server = self.server.take().unwrap();
        let (crash, stop) = (
            (Coming::Crash, Some(Reply::Done)),
            (Coming::Stop, Some(Reply::Done)),
        );
        let home = match how {
            End::Killed => {
                self.all_come_to(&[crash]);
                server.crash()
            }
            End::Stopped => {
                process::signal(server.pid(), Signal::TERM);
                let (status, home, log) = server.died();
                match status.code() {
                    Some(code) => {
                        assert_eq!(code, 0, "{log}");
                        home.assert_clean();
                        self.all_come_to(&[stop]);
                    }
                    None => {
                        let at = self.armed.take();
                        self.died_at
                            .push(at.unwrap_or_else(|| panic!("{status}: {log}")));
                        for known in &mut self.plays {
                            let (stopped, _) = known.possible.after(std::slice::from_ref(&stop));
                            let either = known.possible.iter().chain(stopped.iter()).cloned();
                            known.possible = Possible::any(either);
                        }
                        self.all_come_to(&[crash]);
                    }
                }
                home
            }
        };
        self.begin(home, armed);
    }

    /// The server was found dead.
    pub(super) fn mourn(&mut self) {
        self.mourn_for(false);
    }

    /// The server is dead, perhaps because it was `killed` from outside.
    pub(super) fn mourn_for(&mut self, killed: bool) {
        let (status, home, log) = self.server.take().unwrap().died();
        let at = self.armed.take();
        if !killed {
            let at = at.unwrap_or_else(|| panic!("{status}: {log}"));
            self.died_at.push(at);
        }
        self.all_come_to(&[(Coming::Crash, Some(Reply::Done))]);
        self.begin(home, None);
    }

    fn all_come_to(&mut self, came: &[Came]) {
        let ends = came.iter().map(|(coming, _)| coming.clone());
        self.ends
            .extend(ends.filter(|coming| coming.ends_the_server()));
        for at in 0..self.plays.len() {
            self.comes_to(at, came);
        }
    }

    /// This came to a play, and nothing else.
    pub(super) fn comes_to(&mut self, at: usize, came: &[Came]) -> Possible {
        self.hear_of_children(at);
        self.tell(format!("to play {at}: {came:?}"));
        let known = &mut self.plays[at];
        let (after, seen) = known.possible.after(came);
        assert!(
            !after.is_empty(),
            "play {at}: that can't be answered: {came:?}; it was {:?}",
            known.possible
        );
        known.possible = after;
        seen
    }

    pub(super) fn call(&self, method: &str, params: &Value) -> Answered {
        let socket = self.server().home().socket();
        match http::try_call_by_line(&socket, &http::request(method, params)).map(result) {
            Err(_) => Answered::Lost,
            Ok(Ok(result)) => Answered::Result(result),
            Ok(Err(error)) => match error["data"]["kind"].as_str() {
                Some("unavailable") => Answered::Lost,
                Some(kind) => Answered::Refused(kind.to_owned()),
                None => panic!("{method} {params}: {error}"),
            },
        }
    }

    /// A call that is not refused. `None`: the server is gone.
    fn ask(&self, method: &str, params: &Value) -> Option<Value> {
        match self.call(method, params) {
            Answered::Result(result) => Some(result),
            Answered::Refused(kind) => panic!("{method} {params}: {kind}"),
            Answered::Lost => None,
        }
    }

    pub(super) fn start_params(&self, script: &[Move], plain: bool, key: Option<u8>) -> Value {
        let input = json!({"moves": actors::testing::model::script::to_json(script)});
        let mut params = json!({
            "workflow_sid": self.workflows[&plain], "input_data": input, "env": {"PLACE": self.place},
        });
        if let Some(key) = key {
            params["idempotency_key"] = json!(format!("key-{key}"));
        }
        params
    }

    /// A play that the server has made.
    pub(super) fn born(&mut self, sid: String, new: Unborn) -> usize {
        let at = self.plays.len();
        self.tell(format!(
            "play {at} is {sid}, with the key {:?}, of {:?}: {:?}",
            new.key, new.retry_of, new.script
        ));
        self.plays.push(Known {
            sid,
            plain: new.plain,
            possible: new.possible,
            script: new.script,
            parent: None,
            questions: BTreeMap::new(),
            seen: None,
        });
        if let Some(key) = new.key {
            self.keys.insert(key, at);
        }
        at
    }

    /// What was to be made when the server died was made, or was not.
    fn find_unborn(&mut self) {
        if self.unborn.is_empty() {
            return;
        }
        let Some(found) = self.ask("play_list", &json!({"limit": 10_000})) else {
            return self.mourn();
        };
        let mut unborn = std::mem::take(&mut self.unborn);
        for play in found["items"].as_array().unwrap() {
            let known = self.plays.iter().any(|known| play["sid"] == known.sid);
            if known || !play["parent_play_sid"].is_null() {
                continue;
            }
            let made = unborn.iter().position(|new| {
                let input = json!({"moves": actors::testing::model::script::to_json(&new.script)});
                play["retry_of"].as_str() == new.retry_of.as_deref()
                    && play["workflow_sid"] == self.workflows[&new.plain]
                    && play["input_data"] == input.to_string()
            });
            let made = made.unwrap_or_else(|| panic!("nobody has started {play}"));
            let mut new = unborn.remove(made);
            // It was there when the server died.
            let crash = [(Coming::Crash, Some(Reply::Done))];
            new.possible = new.possible.after(&crash).0;
            self.born(text(&play["sid"]), new);
        }
    }

    /// Child plays that have begun since.
    fn find_children(&mut self) -> Option<()> {
        let has_children = |one: &Move| matches!(one, Move::Child { .. });
        for at in 0..self.plays.len() {
            let script = self.plays[at].script.clone();
            let ended = self.plays[at].seen.as_ref().is_some_and(Seen::has_ended);
            if ended || !script.iter().any(has_children) {
                continue;
            }
            let query = json!({"parent_play_sid": self.plays[at].sid});
            let found = self.ask("play_list", &query)?;
            for play in found["items"].as_array().unwrap() {
                if self.plays.iter().any(|known| play["sid"] == known.sid) {
                    continue;
                }
                let input: Value = serde_json::from_str(&text(&play["input_data"])).unwrap();
                let child = script.iter().find_map(|one| match one {
                    Move::Child { id, moves } if input["id"] == *id => Some((*id, moves)),
                    _ => None,
                });
                let (id, moves) = child.unwrap();
                let before = self.plays.iter().filter(|k| k.parent == Some((at, id)));
                for before in before {
                    let lost = |play: &Play| play.status.words().1 == Some("interrupted");
                    assert!(
                        before.possible.from_now_on().iter().any(lost),
                        "play {at}: its child {id} was started twice"
                    );
                }
                let script: Arc<[Move]> = moves.clone().into();
                let mut possible = Possible::any([Play::new(script.clone())]);
                for end in &self.ends {
                    // It was there before that, or not.
                    let (after, _) = possible.after(&[(end.clone(), None)]);
                    possible = Possible::any(possible.iter().chain(after.iter()).cloned());
                }
                self.plays.push(Known {
                    sid: text(&play["sid"]),
                    plain: self.plays[at].plain,
                    possible,
                    script,
                    parent: Some((at, id)),
                    questions: BTreeMap::new(),
                    seen: None,
                });
            }
        }
        Some(())
    }

    /// What the children of a play may have come to.
    fn hear_of_children(&mut self, at: usize) {
        let mut ends: BTreeMap<u8, Ends> = BTreeMap::new();
        for child in &self.plays {
            let Some((_, id)) = child.parent.filter(|(parent, _)| *parent == at) else {
                continue;
            };
            let ends = ends.entry(id).or_default();
            ends.extend(child.possible.from_now_on().iter().map(end_of));
        }
        if ends.is_empty() {
            return;
        }
        let plays = self.plays[at].possible.iter().map(|play| {
            let mut play = play.clone();
            for (id, ends) in &ends {
                let known = play.children.entry(*id).or_default();
                known.clear();
                known.extend(ends.iter().cloned());
            }
            play
        });
        self.plays[at].possible = Possible::any(plays.collect::<Vec<_>>());
    }

    /// Whatever can happen now.
    fn widen(&mut self) {
        for at in 0..self.plays.len() {
            self.hear_of_children(at);
            let known = &mut self.plays[at];
            known.possible = known.possible.from_now_on();
            let fails = |play: &Play| matches!(play.status, Status::Failed(_) | Status::Cancelled);
            let fails = self.plays[at].possible.iter().any(fails);
            for child in 0..self.plays.len() {
                if fails && self.plays[child].parent.is_some_and(|(p, _)| p == at) {
                    self.comes_to(child, &[(Coming::Cancel, None)]);
                }
            }
        }
    }

    pub(super) fn look(&self, at: usize) -> Option<Seen> {
        let sid = json!({"play_sid": self.plays[at].sid});
        let play = self.ask("play_get", &sid)?;
        let pending = self.ask("play_pending_resumes", &sid)?;
        let spans = self.ask("play_spans", &sid)?;
        let spans = spans["spans"].as_array().unwrap().clone();
        Some(Seen::of(&play, &pending, spans))
    }

    pub(super) fn notes(&self, at: usize) -> Notes {
        let path = self.place.join("notes").join(&self.plays[at].sid);
        Notes::read(&fs::read_to_string(path).unwrap_or_default())
    }

    /// Lets a step go on.
    pub(super) fn open_gate(&self, at: usize, name: &str, outcome: &Value) {
        let gate = self
            .place
            .join("gates")
            .join(format!("{}.{name}", self.plays[at].sid));
        let beside = self.place.join(format!("new-{outcome}"));
        fs::write(&beside, outcome.to_string()).unwrap();
        fs::rename(beside, gate).unwrap();
    }

    /// Waits until all plays are as the model has them when nothing more happens by itself.
    pub(super) fn settle(&mut self, a_moment_later: bool) {
        self.widen();
        let until = Instant::now() + PATIENCE;
        let mut left = self.unsettled();
        let mut pause = LOOK_AGAIN.0;
        while !left.is_empty() {
            let Some(wrong) = self.try_settle(&mut left, a_moment_later) else {
                self.mourn();
                self.widen();
                left = self.unsettled();
                continue;
            };
            if left.is_empty() {
                self.look_at_parents(&mut left, a_moment_later);
            }
            if let Some(why) = wrong {
                assert!(Instant::now() < until, "{why}");
                thread::sleep(pause);
                pause = (pause * 2).min(LOOK_AGAIN.1);
            }
        }
        self.ends.clear();
        for at in 0..self.plays.len() {
            self.learn_questions(at);
        }
    }

    /// What the children of a play have come to is known only when they are at rest.
    fn look_at_parents(&mut self, left: &mut BTreeSet<usize>, a_moment_later: bool) {
        for at in 0..self.plays.len() {
            self.hear_of_children(at);
            let known = &mut self.plays[at];
            let is_pending = |play: &Play| play.status == Status::Pending;
            let no_slot = known.possible.iter().any(is_pending);
            if known.possible.at_rest(no_slot, a_moment_later).is_empty() {
                known.possible = known.possible.from_now_on();
                left.insert(at);
            }
        }
    }

    /// What has ended and was seen then stays so.
    fn unsettled(&self) -> BTreeSet<usize> {
        let has_ended = |known: &Known| {
            let ended = |play: &Play| play.status.is_terminal();
            known.seen.as_ref().is_some_and(Seen::has_ended) && known.possible.iter().all(ended)
        };
        let plays = self.plays.iter().enumerate();
        plays
            .filter(|(_, known)| !has_ended(known))
            .map(|(at, _)| at)
            .collect()
    }

    /// Looks at those that are left; why one of them is left still. `None`: the server is gone.
    fn try_settle(
        &mut self,
        left: &mut BTreeSet<usize>,
        a_moment_later: bool,
    ) -> Option<Option<String>> {
        let before = self.plays.len();
        self.find_children()?;
        if self.plays.len() > before {
            self.widen();
            *left = self.unsettled();
        }
        for at in &*left {
            self.plays[*at].seen = Some(self.look(*at)?);
        }
        // Those that are pending stay so only where all others are at rest, in all slots.
        let (pending, others): (BTreeSet<_>, BTreeSet<_>) = left.iter().partition(|at| {
            let seen = self.plays[**at].seen.as_ref();
            seen.is_some_and(|seen| seen.view.status == "pending")
        });
        let mut wrong = self.settle_each(left, others, false, a_moment_later);
        if wrong.is_none() {
            let seen = self.plays.iter().filter_map(|known| known.seen.as_ref());
            let slots = seen.filter(|seen| seen.holds_slot()).count();
            let no_slot = slots >= self.max_plays as usize;
            wrong = self.settle_each(left, pending, no_slot, a_moment_later);
        }
        Some(wrong)
    }

    fn settle_each(
        &mut self,
        left: &mut BTreeSet<usize>,
        plays: BTreeSet<usize>,
        no_slot: bool,
        a_moment_later: bool,
    ) -> Option<String> {
        let mut wrong = None;
        for at in plays {
            match self.settled(at, no_slot, a_moment_later) {
                Ok(now) => {
                    self.plays[at].possible = now;
                    left.remove(&at);
                }
                Err(why) => wrong = Some(why),
            }
        }
        wrong
    }

    /// What a play may be that was seen at rest.
    fn settled(&self, at: usize, no_slot: bool, a_moment_later: bool) -> Result<Possible, String> {
        let known = &self.plays[at];
        let Some(seen) = &known.seen else {
            return Err(format!("play {at} was not seen"));
        };
        let rests = known.possible.at_rest(no_slot, a_moment_later);
        let now = rests.shown_by(&seen.view);
        if now.is_empty() {
            return Err(format!(
                "play {at} is {:?}; it should be one of {rests:?}\nof {} that are possible",
                seen.view,
                known.possible.iter().count()
            ));
        }
        let notes = self.notes(at);
        if let Err(wrong) = notes.check() {
            panic!("play {at}: {wrong}");
        }
        if let Some(site) = not_begun(&now, &notes) {
            return Err(format!(
                "play {at}: step {site} has not noted that it was begun: {notes:?}"
            ));
        }
        let is_there = |id: &u8| {
            let mut plays = self.plays.iter();
            plays.any(|known| known.parent == Some((at, *id)))
        };
        let missing = now
            .iter()
            .flat_map(Play::waits_for)
            .find(|id| !is_there(id));
        match missing {
            Some(child) => Err(format!("play {at} has not started its child {child}")),
            None => Ok(now),
        }
    }

    /// Which question is whose; it is the same one on each attempt.
    fn learn_questions(&mut self, at: usize) {
        let known = &mut self.plays[at];
        let Some(seen) = &known.seen else { return };
        for question in &seen.questions {
            let open = known.possible.iter().flat_map(|play| &play.open);
            let same = open.filter(|open| open.asks && open.name.to_string() == question.name);
            let keys: BTreeSet<_> = same.map(|open| open.key.clone()).collect();
            let Some(key) = keys.first().filter(|_| keys.len() == 1) else {
                continue;
            };
            let before = known.questions.entry(key.clone());
            let before = before.or_insert_with(|| question.clone());
            assert_eq!(before, question, "play {at}: {key:?}");
        }
    }

    /// Stops the server, and looks at what it leaves.
    pub(super) fn stop(mut self) {
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

/// A step that is under way for certain, and has not noted that.
fn not_begun(possible: &Possible, notes: &Notes) -> Option<Site> {
    let mut plays = possible.iter();
    let first = plays.next()?;
    let mut sites = first.under_way();
    sites.retain(|site| plays.clone().all(|play| play.under_way().contains(site)));
    sites
        .into_iter()
        .find(|site| !notes.has_begun(*site, first.attempt))
}

/// What a play's end is to the one that started it. One that was interrupted is started anew.
fn end_of(play: &Play) -> Option<Kept> {
    match &play.status {
        Status::Success(output) => Some(Kept::Output(output.clone())),
        status if status.words().1 == Some("interrupted") => None,
        status if status.is_terminal() => Some(Kept::ChildFailed(status.words().0.to_owned())),
        _ => None,
    }
}
