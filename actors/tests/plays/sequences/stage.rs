//! Actors in virtual time as a world for sequences.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use hero_logic_actors::{
    play::outcome::Exit,
    testing::{
        Universe,
        model::{play::Gate, script::Site},
        sequences::{Answered, End, Notes, World},
    },
};
use protocol::{Error, ErrorKind};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{sync::watch, task::yield_now};

use super::follow::follow;

/// What plays see and are seen by, beside the server.
#[derive(Debug, Default)]
pub(super) struct Outside {
    notes: Mutex<HashMap<String, String>>,
    gates: Mutex<BTreeMap<(String, u32, Site), Gate>>,
    killed: Mutex<BTreeSet<(String, u32)>>,
    /// Something of that has changed.
    changed: watch::Sender<()>,
}

impl Outside {
    pub(super) fn note(&self, play: &str, words: &str) {
        let mut notes = self.notes.lock().unwrap();
        let notes = notes.entry(play.to_owned()).or_default();
        notes.push_str(words);
        notes.push('\n');
    }

    /// Waits until a step may go on.
    pub(super) async fn gate(&self, play: &str, attempt: u32, site: Site) -> Gate {
        let gate = (play.to_owned(), attempt, site);
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(gate) = self.gates.lock().unwrap().get(&gate) {
                return *gate;
            }
            // It can't fail: `self` is there.
            changed.changed().await.unwrap();
        }
    }

    /// Waits until the process is killed.
    pub(super) async fn killed(&self, play: &str, attempt: u32) {
        let process = (play.to_owned(), attempt);
        let mut changed = self.changed.subscribe();
        while !self.killed.lock().unwrap().contains(&process) {
            changed.changed().await.unwrap();
        }
    }
}

/// See the module.
pub(super) struct Stage<'a> {
    universe: &'a mut Universe,
    outside: Arc<Outside>,
    workflows: BTreeMap<bool, String>,
    /// Whether the server is there.
    alive: watch::Sender<bool>,
    /// For how long calls are held up: another time for each.
    turns: Cell<u64>,
}

impl<'a> Stage<'a> {
    pub(super) async fn set(universe: &'a mut Universe) -> Self {
        let outside = Arc::<Outside>::default();
        let mut workflows = BTreeMap::new();
        for (plain, name) in [(false, "follow"), (true, "follow_now")] {
            let (outside, clock) = (outside.clone(), universe.clock);
            universe.attempts.script(name, move |process| {
                let outside = outside.clone();
                async move {
                    let brief = &process.brief;
                    let killed = outside.killed(brief.play.as_str(), brief.attempt);
                    tokio::select! {
                        biased;
                        () = killed => Exit::Signal(9),
                        exit = follow(process.clone(), outside.clone(), clock) => exit,
                    }
                }
            });
            workflows.insert(plain, universe.flow(name).await.to_string());
        }
        Self {
            universe,
            outside,
            workflows,
            alive: watch::Sender::new(true),
            turns: Cell::new(0),
        }
    }

    /// Others go first, some times.
    async fn held_up(&self) {
        let turn = self
            .turns
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.turns.set(turn);
        for _ in 0..(turn >> 60) {
            yield_now().await;
        }
    }

    async fn answered(&self, call: impl Future<Output = protocol::Result<Value>>) -> Answered {
        let mut alive = self.alive.subscribe();
        let work = async {
            self.held_up().await;
            call.await
        };
        tokio::select! {
            biased;
            // It can't fail: `self` is there.
            _ = alive.wait_for(|alive| !alive) => Answered::Lost,
            answer = work => match answer {
                Ok(result) => Answered::Result(result),
                Err(error) if error.kind == ErrorKind::Unavailable => Answered::Lost,
                Err(error) => Answered::Refused(error.kind.as_str().to_owned()),
            }
        }
    }

    fn crash(&self) {
        self.universe.crash();
        self.alive.send_replace(false);
    }

    async fn done(&self, method: &str, params: Value) -> protocol::Result<Value> {
        let runtime = &self.universe.runtime;
        match method {
            "play_run_async" => told(runtime.play_run_async(read(params)).await),
            "play_get" => told(runtime.play_get(read(params)).await),
            "play_list" => told(runtime.play_list(read(params)).await),
            "play_spans" => told(runtime.play_spans(read(params)).await),
            "play_cancel" => told(runtime.play_cancel(read(params)).await),
            "play_retry" => told(runtime.play_retry(read(params)).await),
            "play_fork" => told(runtime.play_fork(read(params)).await),
            "play_resume" => told(runtime.play_resume(read(params)).await),
            "play_signal" => told(runtime.play_signal(read(params)).await),
            "play_pending_resumes" => told(runtime.play_pending_resumes(read(params)).await),
            "play_resume_preview" => told(runtime.play_resume_preview(read(params)).await),
            _ => panic!("nobody calls {method}"),
        }
    }
}

fn read<T: DeserializeOwned>(params: Value) -> T {
    serde_json::from_value(params).unwrap()
}

fn told<T: Serialize>(result: Result<T, Error>) -> Result<Value, Error> {
    result.map(|result| serde_json::to_value(result).unwrap())
}

impl World for Stage<'_> {
    async fn begins(&mut self, _: Option<&str>) -> Result<(), ()> {
        if !*self.alive.borrow() {
            self.universe.recover().await;
            self.alive.send_replace(true);
        }
        Ok(())
    }

    async fn goes(&mut self, how: End) -> bool {
        match how {
            End::Killed => self.crash(),
            End::Stopped => self.universe.restart().await,
        }
        how == End::Stopped
    }

    async fn died(&mut self) {
        assert!(!*self.alive.borrow(), "nobody killed it");
    }

    async fn kills_the_server(&self, after: Duration) {
        for _ in 0..after.as_micros() / 64 {
            yield_now().await;
        }
        self.crash();
    }

    fn workflow(&self, plain: bool) -> String {
        self.workflows[&plain].clone()
    }

    fn options(&self) -> Value {
        json!({})
    }

    async fn call(&self, method: &'static str, params: &Value) -> Answered {
        let call = Box::pin(self.done(method, params.clone()));
        self.answered(call).await
    }

    async fn post(&self, webhook: &str, payload: &Value) -> Answered {
        let token = webhook.rsplit('/').next().unwrap_or_default();
        let answer = Box::pin(self.universe.runtime.resume_by_token(token, payload));
        self.answered(async { told(answer.await) }).await
    }

    fn opens(&self, play: &str, attempt: u32, site: Site, gate: Gate) {
        let mut gates = self.outside.gates.lock().unwrap();
        gates.insert((play.to_owned(), attempt, site), gate);
        self.outside.changed.send_replace(());
    }

    fn kills(&self, play: &str, attempt: u32) {
        let mut killed = self.outside.killed.lock().unwrap();
        killed.insert((play.to_owned(), attempt));
        self.outside.changed.send_replace(());
    }

    fn notes(&self, play: &str) -> Notes {
        let notes = self.outside.notes.lock().unwrap();
        Notes::read(notes.get(play).map_or("", String::as_str))
    }

    fn check_what_is_left(self) {}
}
