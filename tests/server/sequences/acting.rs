//! What is done to the plays, and what is answered.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use actors::testing::model::{
    calls::Key,
    coming::{Coming, Reply},
    play::{Gate, Open, Play},
    possible::Possible,
    script::Move,
    shown::Look,
};
use proptest::sample::Index;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    driver::{Answered, Driver, Unborn},
    plan::{Action, Sent, What},
    view::Seen,
};
use crate::support::{http, process, server::text};

/// No more plays than these are started by a sequence.
const PLAYS: usize = 8;

/// How something reaches a play.
enum Way {
    Call(&'static str, Value),
    /// The path, the body.
    Post(String, String),
    /// The gate's name, the outcome.
    Gate(String, Value),
    Kill(u32),
}

impl Driver {
    /// Does it, and waits for what comes of it.
    pub(super) fn act(&mut self, action: &Action) {
        match &action.what {
            What::Start { script, plain, key } => self.start_play(script, *plain, *key),
            What::Come(sent) => self.send(sent),
            What::Retry { play, from_start } => self.retry(play, *from_start),
            What::Fork { play, from, script } => self.fork(play, from.as_ref(), script.as_deref()),
            What::Preview { play } => self.preview(play),
            What::LetTimePass => return self.settle(true),
            What::Restart { how, armed } => {
                let armed = armed.map(|(point, nth)| format!("{point}:{nth}"));
                self.restart(*how, armed);
            }
        }
        if !action.hurried {
            self.settle(false);
        }
    }

    /// Brings every play to its end.
    pub(super) fn finish(&mut self) {
        loop {
            self.settle(true);
            let mut sent = Vec::new();
            for at in 0..self.plays.len() {
                let Some(play) = self.plays[at].possible.iter().next().cloned() else {
                    continue;
                };
                for site in play.under_way() {
                    let value = self.value();
                    let gate = json!(["returns", value]);
                    let coming = Coming::Open(play.attempt, site, Gate::Returns(value));
                    let name = format!("{site}.{}", play.attempt);
                    sent.push((at, coming, Way::Gate(name, gate)));
                }
                for open in &play.open {
                    let value = self.value();
                    let sid = &self.plays[at].sid;
                    sent.push(if open.asks {
                        let id = &self.plays[at].questions[&open.key].id;
                        let params = json!({"play_sid": sid, "resume_id": id, "payload": value});
                        let coming = Coming::Answer(open.key.clone(), Some(value));
                        (at, coming, Way::Call("play_resume", params))
                    } else {
                        let name = open.name.to_string();
                        let params = json!({"play_sid": sid, "name": name, "payload": value});
                        let coming = Coming::Signal(open.name, value);
                        (at, coming, Way::Call("play_signal", params))
                    });
                }
            }
            if sent.is_empty() {
                let open = |play: &Play| !play.status.is_terminal();
                let plays = self.plays.iter().map(|known| &known.possible);
                let left: Vec<_> = plays.filter(|plays| plays.iter().any(open)).collect();
                assert!(left.is_empty(), "these wait for nothing: {left:?}");
                return;
            }
            self.dispatch(sent, None);
        }
    }

    /// Starts a play, and waits for what comes of it; which it is. One that died unborn is started again.
    pub(super) fn start_with(&mut self, script: &[Move], key: Option<u8>) -> usize {
        let before = self.plays.len();
        let known = key.and_then(|key| self.keys.get(&key).copied());
        self.start_play(script, false, key);
        self.settle(false);
        if let Some(known) = known {
            return known;
        }
        if self.plays.len() == before {
            self.start_play(script, false, key);
            self.settle(false);
        }
        before
    }

    /// Sends it, and waits for what comes of it.
    fn sends(&mut self, at: usize, coming: Coming, way: Way) {
        self.dispatch(vec![(at, coming, way)], None);
        self.settle(false);
    }

    /// Lets the first step that is under way come to its end.
    pub(super) fn let_go(&mut self, at: usize, raises: bool) {
        let value = self.value();
        let play = self.plays[at].possible.iter().next().cloned();
        let Some((play, site)) =
            play.and_then(|play| Some((play.clone(), *play.under_way().first()?)))
        else {
            return;
        };
        let (outcome, gate) = outcome_of(raises, value);
        let name = format!("{site}.{}", play.attempt);
        let coming = Coming::Open(play.attempt, site, gate);
        self.sends(at, coming, Way::Gate(name, outcome));
    }

    /// Answers the question of this name, if it is open.
    pub(super) fn answer(&mut self, at: usize, name: u8) {
        let value = self.value();
        let known = &self.plays[at];
        let is_meant = |open: &&Open| open.asks && open.name == name;
        let key = known
            .possible
            .iter()
            .find_map(|play| Some(play.open.iter().find(is_meant)?.key.clone()));
        let Some(key) = key else { return };
        let id = &known.questions[&key].id;
        let params = json!({"play_sid": known.sid, "resume_id": id, "payload": value});
        let way = Way::Call("play_resume", params);
        self.sends(at, Coming::Answer(key, Some(value)), way);
    }

    pub(super) fn signal(&mut self, at: usize, name: u8) {
        let value = self.value();
        let params =
            json!({"play_sid": self.plays[at].sid, "name": name.to_string(), "payload": value});
        let way = Way::Call("play_signal", params);
        self.sends(at, Coming::Signal(name, value), way);
    }

    pub(super) fn cancel(&mut self, at: usize) {
        let params = json!({"play_sid": self.plays[at].sid});
        self.sends(at, Coming::Cancel, Way::Call("play_cancel", params));
    }

    pub(super) fn fork_of(&mut self, at: usize) {
        self.fork_at(at, None, None);
        self.settle(false);
    }

    pub(super) fn retry_of(&mut self, at: usize) {
        self.retry_at(at, false);
        self.settle(false);
    }

    fn start_play(&mut self, script: &[Move], plain: bool, key: Option<u8>) {
        if self.plays.len() >= PLAYS {
            return;
        }
        let script: Arc<[Move]> = script.into();
        let new = Unborn {
            plain,
            key,
            retry_of: None,
            possible: Possible::any([Play::new(script.clone())]),
            script,
        };
        let params = self.start_params(&new.script, plain, key);
        let before = key.and_then(|key| self.keys.get(&key).copied());
        match (self.call("play_run_async", &params), before) {
            (Answered::Result(sid), None) => drop(self.born(text(&sid), new)),
            (Answered::Result(sid), Some(at)) => {
                assert_eq!(sid, self.plays[at].sid, "the same key is another play");
                assert_eq!(
                    plain, self.plays[at].plain,
                    "that is another workflow's key"
                );
            }
            (Answered::Refused(kind), Some(at)) => {
                assert!(
                    kind == "conflict" && plain != self.plays[at].plain,
                    "{kind}"
                );
            }
            (Answered::Refused(kind), None) => panic!("no play: {kind}"),
            (Answered::Lost, _) => {
                if before.is_none() {
                    self.unborn.push(new);
                }
                self.mourn();
            }
        }
    }

    fn pick(&self, play: &Index) -> Option<usize> {
        (!self.plays.is_empty()).then(|| play.index(self.plays.len()))
    }

    /// Makes a play of another one; `possible`: what it may be, in whatever state that one is.
    fn make(
        &mut self,
        at: usize,
        method: &str,
        params: &Value,
        script: Option<Arc<[Move]>>,
        possible: Possible,
    ) {
        let old = &self.plays[at];
        let new = Unborn {
            plain: old.plain,
            key: None,
            retry_of: Some(old.sid.clone()),
            script: script.unwrap_or_else(|| old.script.clone()),
            possible,
        };
        match self.call(method, params) {
            Answered::Result(play) => {
                assert_eq!(play["retry_of"].as_str(), new.retry_of.as_deref());
                assert!(play["parent_play_sid"].is_null(), "{play}");
                self.born(text(&play["sid"]), new);
            }
            Answered::Refused(kind) => {
                // A retry of one that may not have ended.
                let old = &self.plays[at].possible.from_now_on();
                let open: Vec<_> = old
                    .iter()
                    .filter(|play| !play.status.is_terminal())
                    .cloned()
                    .collect();
                assert!(
                    kind == "conflict" && method == "play_retry" && !open.is_empty(),
                    "{kind}"
                );
                self.plays[at].possible = Possible::any(open);
            }
            Answered::Lost => {
                self.unborn.push(new);
                self.mourn();
            }
        }
    }

    fn retry(&mut self, play: &Index, from_start: bool) {
        if let Some(at) = self.pick(play).filter(|_| self.plays.len() < PLAYS) {
            self.retry_at(at, from_start);
        }
    }

    fn retry_at(&mut self, at: usize, from_start: bool) {
        let from = if from_start { "start" } else { "failure" };
        let params = json!({"play_sid": self.plays[at].sid, "from": from});
        let now = self.plays[at].possible.from_now_on();
        let ended = now.iter().filter(|play| play.status.is_terminal());
        let possible = Possible::any(ended.map(|play| play.fork(None, |_| !from_start)));
        self.make(at, "play_retry", &params, None, possible);
    }

    fn fork(&mut self, play: &Index, from: Option<&Index>, script: Option<&[Move]>) {
        if let Some(at) = self.pick(play).filter(|_| self.plays.len() < PLAYS) {
            self.fork_at(at, from, script);
        }
    }

    fn fork_at(&mut self, at: usize, from: Option<&Index>, script: Option<&[Move]>) {
        // The flow that does one thing after the other does nothing at once.
        let is_plain = |script: &[Move]| !script.iter().any(|one| matches!(one, Move::Together(_)));
        let script: Option<Arc<[Move]>> = script
            .filter(|script| !self.plays[at].plain || is_plain(script))
            .map(Into::into);
        let mut params = json!({"play_sid": self.plays[at].sid});
        if let Some(script) = &script {
            params["input_data"] =
                json!({"moves": actors::testing::model::script::to_json(script)});
        }
        let possible = match from {
            None => {
                let now = self.plays[at].possible.from_now_on();
                Possible::any(now.iter().map(|play| play.fork(script.clone(), |_| true)))
            }
            Some(from) => {
                self.settle(false);
                let Some((span, possible)) = self.fork_from(at, from, script.clone()) else {
                    return;
                };
                params["from_span_id"] = span;
                possible
            }
        };
        self.make(at, "play_fork", &params, script, possible);
    }

    /// What a fork from one of its spans is; where it is known when everything was kept.
    fn fork_from(
        &self,
        at: usize,
        from: &Index,
        script: Option<Arc<[Move]>>,
    ) -> Option<(Value, Possible)> {
        let known = &self.plays[at];
        let seen = known.seen.as_ref().filter(|seen| !seen.spans.is_empty())?;
        let span = &seen.spans[from.index(seen.spans.len())];
        let until = span["start_ms"].as_f64()?;
        let forks: Option<Vec<_>> = known
            .possible
            .iter()
            .map(|play| {
                let ends = ends_of_calls(play, seen)?;
                let kept = |key: &Key| ends.get(key).is_some_and(|end| *end <= until);
                Some(play.fork(script.clone(), kept))
            })
            .collect();
        Some((span["span_id"].clone(), Possible::any(forks?)))
    }

    fn preview(&mut self, play: &Index) {
        let Some(at) = self.pick(play) else { return };
        self.settle(false);
        let params = json!({"play_sid": self.plays[at].sid});
        let steps = match self.call("play_resume_preview", &params) {
            Answered::Result(steps) => steps,
            Answered::Refused(kind) => panic!("no preview: {kind}"),
            Answered::Lost => return self.mourn(),
        };
        let steps = steps.as_array().unwrap().iter();
        let name = |step: &Value| match step["name"].as_str() {
            Some("follow" | "follow_now") => "child".to_owned(),
            name => name.unwrap_or_default().to_owned(),
        };
        let mut told: Vec<_> = steps
            .map(|step| (name(step), text(&step["fate"])))
            .collect();
        told.sort();
        let is_told = |play: &&Play| {
            let mut fates: Vec<_> = play
                .rows
                .iter()
                .map(|(key, row)| {
                    let reused = row.kept.as_ref().is_some_and(|kept| !kept.raises());
                    let fate = if reused { "reused" } else { "will_run_again" };
                    (key.name.clone(), fate.to_owned())
                })
                .collect();
            fates.sort();
            fates == told
        };
        let now = self.plays[at].possible.from_now_on();
        let possible = Possible::any(now.iter().filter(is_told).cloned());
        assert!(
            !possible.is_empty(),
            "play {at}: the preview is {told:?}; it is one of {now:?}"
        );
        self.plays[at].possible = possible;
    }

    fn send(&mut self, all: &[Sent]) {
        let mut sent = Vec::new();
        let mut crash = None;
        for one in all {
            match self.resolve(one) {
                Some(resolved) => sent.push(resolved),
                None => {
                    if let Sent::Crash { after } = one {
                        crash = Some(Duration::from_micros((*after).into()));
                    }
                }
            }
        }
        self.dispatch(sent, crash);
    }

    /// What is sent to which play, as things are.
    fn resolve(&mut self, sent: &Sent) -> Option<(usize, Coming, Way)> {
        let value = self.value();
        Some(match sent {
            Sent::Done { play, step, raises } => {
                let at = self.pick(play)?;
                let now = self.plays[at].possible.from_now_on();
                let play = now.iter().find(|play| !play.under_way().is_empty())?;
                let sites = play.under_way();
                let site = sites[step.index(sites.len())];
                let (outcome, gate) = outcome_of(*raises, value);
                let name = format!("{site}.{}", play.attempt);
                let way = Way::Gate(name, outcome);
                (at, Coming::Open(play.attempt, site, gate), way)
            }
            Sent::Answer {
                play,
                question,
                any,
                fits,
                by_webhook,
            } => {
                let at = self.pick(play)?;
                let known = &self.plays[at];
                let is_open = |key: &Key| {
                    let mut plays = known.possible.iter();
                    plays.any(|play| play.open.iter().any(|open| open.key == *key))
                };
                let questions: Vec<_> = known
                    .questions
                    .iter()
                    .filter(|(key, _)| *any || is_open(key))
                    .collect();
                if questions.is_empty() {
                    return None;
                }
                let (key, question) = questions[question.index(questions.len())];
                let answer = fits.then_some(value);
                let payload = answer.map_or_else(|| json!("no number"), |value| json!(value));
                let coming = Coming::Answer(key.clone(), answer);
                if *by_webhook {
                    let way = Way::Post(question.webhook.clone(), payload.to_string());
                    return Some((at, coming, way));
                }
                let params =
                    json!({"play_sid": known.sid, "resume_id": question.id, "payload": payload});
                (at, coming, Way::Call("play_resume", params))
            }
            Sent::Stray { play } => {
                let at = self.pick(play)?;
                let params =
                    json!({"play_sid": self.plays[at].sid, "resume_id": "none", "payload": 1});
                (at, Coming::Stray, Way::Call("play_resume", params))
            }
            Sent::Signal { play, name } => {
                let at = self.pick(play)?;
                let params = json!({"play_sid": self.plays[at].sid, "name": name.to_string(), "payload": value});
                (
                    at,
                    Coming::Signal(*name, value),
                    Way::Call("play_signal", params),
                )
            }
            Sent::Cancel { play } => {
                let at = self.pick(play)?;
                let params = json!({"play_sid": self.plays[at].sid, "grace_ms": 3_000});
                (at, Coming::Cancel, Way::Call("play_cancel", params))
            }
            Sent::Kill { play } => {
                let at = self.pick(play)?;
                let (attempt, pid) = self.notes(at).pids.pop_last()?;
                (at, Coming::Kill(attempt), Way::Kill(pid))
            }
            Sent::Crash { .. } => return None,
        })
    }

    /// Sends all at once, and the server dies so long after that.
    fn dispatch(&mut self, sent: Vec<(usize, Coming, Way)>, crash: Option<Duration>) {
        let start = Barrier::new(sent.len() + 1);
        let here = &*self;
        let pid = here.server().pid();
        let replies: Vec<Option<Reply>> = thread::scope(|scope| {
            let calls: Vec<_> = sent
                .iter()
                .map(|(at, _, way)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        here.deliver(*at, way)
                    })
                })
                .collect();
            start.wait();
            if let Some(after) = crash {
                // The moment is what is random here: there is nothing to wait for.
                thread::sleep(after);
                process::signal(pid, Signal::KILL);
            }
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let lost = replies.iter().any(Option::is_none);
        let mut came: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for ((at, coming, _), reply) in sent.into_iter().zip(replies) {
            came.entry(at).or_default().push((coming, reply));
        }
        for (at, came) in came {
            self.comes_to(at, &came);
        }
        if lost || crash.is_some() {
            self.mourn_for(crash.is_some());
        }
    }

    /// `None`: nobody has answered.
    fn deliver(&self, at: usize, way: &Way) -> Option<Reply> {
        match way {
            Way::Call(method, params) => match self.call(method, params) {
                Answered::Result(_) => Some(Reply::Done),
                Answered::Lost => None,
                Answered::Refused(kind) => Some(match kind.as_str() {
                    "conflict" => Reply::Conflict,
                    "not_found" => Reply::NotFound,
                    "invalid_input" => Reply::InvalidInput,
                    _ => panic!("{method} {params}: {kind}"),
                }),
            },
            Way::Post(path, body) => match http::try_post(&self.server().address, path, body) {
                Ok((200, _)) => Some(Reply::Done),
                Ok((400, _)) => Some(Reply::InvalidInput),
                // There was such a question.
                Ok((404, _)) => Some(Reply::Conflict),
                Ok((503, _)) | Err(_) => None,
                Ok((status, answer)) => panic!("{path}: {status} {answer}"),
            },
            Way::Gate(name, outcome) => {
                self.open_gate(at, name, outcome);
                Some(Reply::Done)
            }
            Way::Kill(pid) => {
                // Not another's, that has its pid now.
                let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let home = self.server().home().data.display().to_string();
                if String::from_utf8_lossy(&environ).contains(&home) {
                    process::signal(*pid, Signal::KILL);
                }
                Some(Reply::Done)
            }
        }
    }
}

/// What a step is told, and what that means.
fn outcome_of(raises: bool, value: i64) -> (Value, Gate) {
    if raises {
        (json!(["raises", value]), Gate::Raises(value))
    } else {
        (json!(["returns", value]), Gate::Returns(value))
    }
}

/// When each call came to its end, by the spans. `None`: not all of them are known.
fn ends_of_calls(play: &Play, seen: &Seen) -> Option<BTreeMap<Key, f64>> {
    let current = play.process.is_some().then(|| play.current(true));
    let attempts: Vec<_> = play.past.iter().chain(&current).collect();
    if !attempts.iter().all(|attempt| attempt.is_known) {
        return None;
    }
    let shown: Vec<_> = attempts.iter().flat_map(|attempt| &attempt.spans).collect();
    let mut ends = BTreeMap::new();
    for (shown, span) in shown.iter().zip(&seen.spans) {
        let ended = !matches!(shown.look, Look::Running | Look::Cancelled | Look::Stopped);
        if let (Some(key), true) = (&shown.key, ended) {
            ends.insert(key.clone(), span["end_ms"].as_f64()?);
        }
    }
    let kept = play.rows.iter().filter(|(_, row)| row.kept.is_some());
    let known = kept.map(|(key, _)| key).all(|key| ends.contains_key(key));
    (shown.len() == seen.spans.len() && known).then_some(ends)
}
