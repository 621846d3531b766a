//! What is done to the plays, and what is answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::{
    super::model::{
        calls::Key,
        coming::{Coming, Reply},
        play::{Awaited, Gate, Open, Play},
        possible::Possible,
        script::{Move, Site},
        shown::Look,
    },
    driver::{Driver, Unborn, input_of, text},
    plan::{Action, Pick, Sent, What},
    view::Seen,
    world::{Answered, World},
};

/// No more plays than these are started by a sequence.
const PLAYS: usize = 8;

/// How something reaches a play.
enum Way {
    Call(&'static str, Value),
    /// The address, the answer.
    Post(String, Value),
    Gate(u32, Site, Gate),
    Kill(u32),
}

/// To which play.
type Parcel = (usize, Coming, Way);

impl<W: World> Driver<W> {
    /// Does it, and waits for what comes of it.
    ///
    /// # Panics
    /// Where what is seen is nothing that the model allows.
    pub async fn act(&mut self, action: &Action) {
        match &action.what {
            What::Start { script, plain, key } => self.start_play(script, *plain, *key).await,
            What::Come(sent) => self.send(sent).await,
            What::Retry { play, from_start } => {
                if let Some(at) = self.pick_origin(*play) {
                    self.retry(at, *from_start).await;
                }
            }
            What::Fork { play, from, script } => {
                if let Some(at) = self.pick_origin(*play) {
                    self.fork(at, *from, script.as_deref()).await;
                }
            }
            What::Preview { play } => self.preview(*play).await,
            What::Dies { play, times } => self.dies(*play, *times).await,
            What::LetTimePass => return self.settle(true).await,
            What::Restart { how, armed } => {
                let armed = armed.map(|(point, nth)| format!("{point}:{nth}"));
                self.restart(*how, armed).await;
            }
        }
        if !action.hurried {
            self.settle(false).await;
        }
    }

    /// Brings every play to its end.
    ///
    /// # Panics
    /// Where one does not come to it.
    pub async fn finish(&mut self) {
        loop {
            self.settle(true).await;
            let mut parcels = Vec::new();
            for at in 0..self.plays.len() {
                let Some(play) = self.plays[at].possible.iter().next().cloned() else {
                    continue;
                };
                for site in play.under_way() {
                    let gate = Gate::Returns(self.value());
                    parcels.push(opened(at, play.attempt, site, gate));
                }
                for open in &play.open {
                    parcels.extend(match open.what {
                        Awaited::Answer(_) => Some(self.answer_to(at, &open.key)),
                        Awaited::Signal(name) => Some(self.signal_of(at, name)),
                        Awaited::Child(_) => None,
                    });
                }
            }
            if parcels.is_empty() {
                let is_open = |play: &Play| !play.status.is_terminal();
                let plays = self.plays.iter().map(|known| &known.possible);
                let left: Vec<_> = plays.filter(|plays| plays.iter().any(is_open)).collect();
                assert!(left.is_empty(), "these wait for nothing: {left:?}");
                return;
            }
            self.dispatch(parcels, None).await;
        }
    }

    /// Starts a play, and waits for what comes of it; which one it is. One that was not made is started again.
    pub async fn start_with(&mut self, script: &[Move], key: Option<u8>) -> usize {
        let known = key.and_then(|key| self.keys.get(&key).copied());
        let before = self.plays.len();
        self.start_play(script, false, key).await;
        self.settle(false).await;
        if let Some(known) = known {
            return known;
        }
        if self.plays.len() == before {
            self.start_play(script, false, key).await;
            self.settle(false).await;
        }
        before
    }

    /// Lets the first step that is under way come to its end.
    pub async fn let_go(&mut self, at: usize, raises: bool) {
        let gate = gate(raises, self.value());
        let play = self.plays[at].possible.iter().next();
        let first = play.and_then(|play| Some((play.attempt, *play.under_way().first()?)));
        if let Some((attempt, site)) = first {
            self.dispatch(vec![opened(at, attempt, site, gate)], None)
                .await;
            self.settle(false).await;
        }
    }

    /// Answers the question of this name, if it is open.
    pub async fn answer(&mut self, at: usize, name: u8) {
        let is_meant = |open: &&Open| open.question() == Some(name);
        let plays = &self.plays[at].possible;
        let open = plays
            .iter()
            .find_map(|play| play.open.iter().find(is_meant).cloned());
        if let Some(open) = open {
            let answer = self.answer_to(at, &open.key);
            self.dispatch(vec![answer], None).await;
            self.settle(false).await;
        }
    }

    /// A signal of this name.
    pub async fn signal(&mut self, at: usize, name: u8) {
        let signal = self.signal_of(at, name);
        self.dispatch(vec![signal], None).await;
        self.settle(false).await;
    }

    /// Cancels it.
    pub async fn cancel(&mut self, at: usize) {
        let cancel = self.cancel_of(at);
        self.dispatch(vec![cancel], None).await;
        self.settle(false).await;
    }

    fn answer_to(&mut self, at: usize, key: &Key) -> Parcel {
        let value = self.value();
        let known = &self.plays[at];
        let id = &known.questions[key].id;
        let params = json!({"play_sid": known.sid, "resume_id": id, "payload": value});
        let coming = Coming::Answer(key.clone(), Some(value));
        (at, coming, Way::Call("play_resume", params))
    }

    fn signal_of(&mut self, at: usize, name: u8) -> Parcel {
        let value = self.value();
        let sid = &self.plays[at].sid;
        let params = json!({"play_sid": sid, "name": name.to_string(), "payload": value});
        (
            at,
            Coming::Signal(name, value),
            Way::Call("play_signal", params),
        )
    }

    fn cancel_of(&self, at: usize) -> Parcel {
        let params = json!({"play_sid": self.plays[at].sid, "grace_ms": 3_000});
        (at, Coming::Cancel, Way::Call("play_cancel", params))
    }

    async fn start_play(&mut self, script: &[Move], plain: bool, key: Option<u8>) {
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
        match (self.world.call("play_run_async", &params).await, before) {
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
                self.mourn().await;
            }
        }
    }

    fn pick(&self, play: Pick) -> Option<usize> {
        (!self.plays.is_empty()).then(|| play.among(self.plays.len()))
    }

    fn pick_origin(&self, play: Pick) -> Option<usize> {
        self.pick(play).filter(|_| self.plays.len() < PLAYS)
    }

    /// Makes a play of another one; `possible`: what it may be, in whatever state that one is.
    async fn make(
        &mut self,
        at: usize,
        (method, params): (&'static str, Value),
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
        match self.world.call(method, &params).await {
            Answered::Result(play) => {
                assert_eq!(play["retry_of"].as_str(), new.retry_of.as_deref());
                assert!(play["parent_play_sid"].is_null(), "{play}");
                self.born(text(&play["sid"]), new);
            }
            Answered::Refused(kind) => {
                // A retry of one that may not have ended.
                let old = self.plays[at].possible.from_now_on();
                let open = old.iter().filter(|play| !play.status.is_terminal());
                let open = Possible::any(open.cloned());
                let is_right = kind == "conflict" && method == "play_retry" && !open.is_empty();
                assert!(is_right, "{method} of play {at}: {kind}");
                self.plays[at].possible = open;
            }
            Answered::Lost => {
                self.unborn.push(new);
                self.mourn().await;
            }
        }
    }

    /// Retries it; from where it failed, or from the start.
    pub async fn retry(&mut self, at: usize, from_start: bool) {
        let from = if from_start { "start" } else { "failure" };
        let params = json!({"play_sid": self.plays[at].sid, "from": from});
        let now = self.plays[at].possible.from_now_on();
        let ended = now.iter().filter(|play| play.status.is_terminal());
        let possible = Possible::any(ended.flat_map(|play| play.forks(None, |_| !from_start)));
        self.make(at, ("play_retry", params), None, possible).await;
    }

    /// Forks it; from one of its spans, with another script.
    pub async fn fork(&mut self, at: usize, from: Option<Pick>, script: Option<&[Move]>) {
        // The flow that does one thing after the other does nothing at once.
        let is_plain = |script: &[Move]| !script.iter().any(|one| matches!(one, Move::Together(_)));
        let script: Option<Arc<[Move]>> = script
            .filter(|script| !self.plays[at].plain || is_plain(script))
            .map(Into::into);
        let mut params = json!({"play_sid": self.plays[at].sid});
        if let Some(script) = &script {
            params["input_data"] = input_of(script);
        }
        let possible = match from {
            None => {
                let now = self.plays[at].possible.from_now_on();
                Possible::any(
                    now.iter()
                        .flat_map(|play| play.forks(script.as_ref(), |_| true)),
                )
            }
            Some(from) => {
                self.settle(false).await;
                let Some((span, possible)) = self.fork_from(at, from, script.as_ref()) else {
                    return;
                };
                params["from_span_id"] = span;
                possible
            }
        };
        self.make(at, ("play_fork", params), script, possible).await;
    }

    /// What a fork from one of its spans is; where it is known when everything was kept.
    fn fork_from(
        &self,
        at: usize,
        from: Pick,
        script: Option<&Arc<[Move]>>,
    ) -> Option<(Value, Possible)> {
        let known = &self.plays[at];
        let seen = known.seen.as_ref().filter(|seen| !seen.spans.is_empty())?;
        let span = &seen.spans[from.among(seen.spans.len())];
        let until = span["start_ms"].as_f64()?;
        let forks: Option<Vec<_>> = known
            .possible
            .iter()
            .map(|play| {
                let ends = ends_of_calls(play, seen)?;
                let in_time = |key: &Key| ends.get(key).is_some_and(|end| *end <= until);
                Some(play.forks(script, in_time))
            })
            .collect();
        Some((
            span["span_id"].clone(),
            Possible::any(forks?.into_iter().flatten()),
        ))
    }

    async fn preview(&mut self, play: Pick) {
        let Some(at) = self.pick(play) else { return };
        self.settle(false).await;
        let params = json!({"play_sid": self.plays[at].sid});
        let Some(steps) = self.ask("play_resume_preview", &params).await else {
            return self.mourn().await;
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
        let comes_to = |play: &Play, fork: &Play| {
            let fates = play.rows.keys().map(|key| {
                let reused = fork.rows.contains_key(key);
                let fate = if reused { "reused" } else { "will_run_again" };
                (key.name.to_string(), fate.to_owned())
            });
            let mut fates: Vec<_> = fates.collect();
            fates.sort();
            fates == told
        };
        let is_told = |play: &&Play| {
            let forks = play.forks(None, |_| true);
            forks.iter().any(|fork| comes_to(play, fork))
        };
        let now = self.plays[at].possible.from_now_on();
        let possible = Possible::any(now.iter().filter(is_told).cloned());
        assert!(
            !possible.is_empty(),
            "play {at}: the preview is {told:?}; it is one of {now:?}"
        );
        self.plays[at].possible = possible;
    }

    async fn dies(&mut self, play: Pick, times: u8) {
        for _ in 0..times {
            self.send(&[Sent::Kill { play }]).await;
            self.settle(false).await;
        }
    }

    async fn send(&mut self, all: &[Sent]) {
        let mut parcels = Vec::new();
        let mut crash = None;
        for one in all {
            if let Sent::Crash { after } = one {
                crash = Some(Duration::from_micros((*after).into()));
            }
            parcels.extend(self.resolve(one));
        }
        self.dispatch(parcels, crash).await;
    }

    /// What is sent to which play, as things are.
    fn resolve(&mut self, sent: &Sent) -> Option<Parcel> {
        Some(match *sent {
            Sent::Done { play, step, raises } => {
                let at = self.pick(play)?;
                let now = self.plays[at].possible.from_now_on();
                let play = now.iter().find(|play| !play.under_way().is_empty())?;
                let sites = play.under_way();
                let site = sites[step.among(sites.len())];
                opened(at, play.attempt, site, gate(raises, self.value()))
            }
            Sent::Answer {
                play,
                question,
                any,
                fits,
                by_webhook,
            } => {
                let at = self.pick(play)?;
                let value = self.value();
                let known = &self.plays[at];
                let is_open = |key: &Key| {
                    let mut plays = known.possible.iter();
                    plays.any(|play| play.open.iter().any(|open| open.key == *key))
                };
                let asked = known.questions.iter();
                let asked: Vec<_> = asked.filter(|(key, _)| any || is_open(key)).collect();
                let at_most = asked.len();
                let (key, asked) = (at_most > 0).then(|| asked[question.among(at_most)])?;
                let answer = fits.then_some(value);
                let payload = answer.map_or_else(|| json!("no number"), |value| json!(value));
                let way = if by_webhook {
                    Way::Post(asked.webhook.clone(), payload)
                } else {
                    let params =
                        json!({"play_sid": known.sid, "resume_id": asked.id, "payload": payload});
                    Way::Call("play_resume", params)
                };
                (at, Coming::Answer(key.clone(), answer), way)
            }
            Sent::Stray { play } => {
                let at = self.pick(play)?;
                let sid = &self.plays[at].sid;
                let params = json!({"play_sid": sid, "resume_id": "none", "payload": 1});
                (at, Coming::Stray, Way::Call("play_resume", params))
            }
            Sent::Signal { play, name } => {
                let at = self.pick(play)?;
                self.signal_of(at, name)
            }
            Sent::Cancel { play } => self.cancel_of(self.pick(play)?),
            Sent::Kill { play } => {
                let at = self.pick(play)?;
                let (attempt, _) = self.world.notes(&self.plays[at].sid).pids.pop_last()?;
                (at, Coming::Kill(attempt), Way::Kill(attempt))
            }
            Sent::Crash { .. } => return None,
        })
    }

    /// Sends all at once, and the server dies so long after that.
    async fn dispatch(&mut self, parcels: Vec<Parcel>, crash: Option<Duration>) {
        let calls = parcels.iter().map(|(at, _, way)| self.deliver(*at, way));
        let killed = async {
            if let Some(after) = crash {
                self.world.kills_the_server(after).await;
            }
        };
        let (replies, ()) = join(join_all(calls), killed).await;
        let lost = replies.iter().any(Option::is_none);
        let mut came: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for ((at, coming, _), reply) in parcels.into_iter().zip(replies) {
            came.entry(at).or_default().push((coming, reply));
        }
        for (at, came) in came {
            self.comes_to(at, &came);
        }
        if crash.is_some() {
            self.bury().await;
        } else if lost {
            self.mourn().await;
        }
    }

    /// `None`: nobody has answered.
    async fn deliver(&self, at: usize, way: &Way) -> Option<Reply> {
        let sid = &self.plays[at].sid;
        let answered = match way {
            Way::Call(method, params) => self.world.call(method, params).await,
            Way::Post(webhook, payload) => self.world.post(webhook, payload).await,
            Way::Gate(attempt, site, gate) => {
                self.world.opens(sid, *attempt, *site, *gate);
                Answered::Result(Value::Null)
            }
            Way::Kill(attempt) => {
                self.world.kills(sid, *attempt);
                Answered::Result(Value::Null)
            }
        };
        match answered {
            Answered::Result(_) => Some(Reply::Done),
            Answered::Lost => None,
            Answered::Refused(kind) => Some(match (kind.as_str(), way) {
                ("conflict", _) => Reply::Conflict,
                // There was such a question.
                ("not_found", Way::Post(..)) => Reply::Conflict,
                ("not_found", _) => Reply::NotFound,
                ("invalid_input", _) => Reply::InvalidInput,
                _ => panic!("to play {at}: {kind}"),
            }),
        }
    }
}

fn opened(at: usize, attempt: u32, site: Site, gate: Gate) -> Parcel {
    let coming = Coming::Open(attempt, site, gate);
    (at, coming, Way::Gate(attempt, site, gate))
}

fn gate(raises: bool, value: i64) -> Gate {
    if raises {
        Gate::Raises(value)
    } else {
        Gate::Returns(value)
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
