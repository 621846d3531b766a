//! The load: callers that start plays of every kind, do what is to be done with them, wait for each, and
//! write down what they were told.

mod answers;
pub(crate) mod kinds;
pub(crate) mod ledger;
mod signals;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use hero_logic::protocol::{Error, ErrorKind};
use serde_json::{Value, json};

use self::{
    kinds::{DURABLE, Kind, PLAIN, Role},
    ledger::{Ledger, end_of},
};
use crate::{
    rng::Rng,
    server::{Reach, Unanswered},
};

/// How soon what was not answered is asked again.
const AGAIN: Duration = Duration::from_millis(10);

/// Which plays there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    All,
    /// Those that keep what they do: plays that write to a full disk fail by themselves.
    Durable,
}

/// One caller: a play after another until it is told that it is enough.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) reach: Reach,
    /// The sids of the workflows, by name.
    pub(crate) flows: Arc<HashMap<String, String>>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) enough: Arc<AtomicBool>,
    pub(crate) mix: Mix,
    pub(crate) rng: Rng,
}

impl Caller {
    pub(crate) async fn run(mut self) {
        while !self.enough.load(Ordering::Relaxed) {
            let durable = self.mix == Mix::Durable || self.rng.below(3) < 2;
            let kinds = if durable { DURABLE } else { PLAIN };
            let kind = self.rng.weighted(kinds);
            self.play(kind).await;
        }
    }

    async fn play(&mut self, kind: &'static Kind) {
        let mut params = json!({
            "workflow_sid": self.flows.get(kind.flow),
            "input_data": (kind.input)(&mut self.rng),
            "parent_span_id": "",
            "idempotency_key": uuid::Uuid::now_v7().to_string(),
        });
        if let (Value::Object(params), Value::Object(more)) = (&mut params, (kind.options)()) {
            params.extend(more);
        }
        let sid = match self.start(&params).await {
            Ok(sid) => sid,
            Err(error) => return self.ledger.refused(kind.flow, &error),
        };
        self.ledger.accepted(&sid, kind);
        if let Role::Leaves(after) = kind.role {
            return self.leave(&sid, after).await;
        }
        let end = self.attend(&sid, kind).await;
        if kind.durable && end.is_some() && self.rng.below(5) == 0 {
            self.again(&sid, kind, end.as_deref()).await;
        }
        if self.rng.below(20) == 0 {
            // The key still names that play.
            match self.start(&params).await {
                Ok(again) => self.same(&[sid, again]),
                Err(error) => self.ledger.refused("a key asked for again", &error),
            }
        }
    }

    /// Does what is to be done with a play until it ends; how it did.
    async fn attend(&mut self, sid: &str, kind: &Kind) -> Option<String> {
        match kind.role {
            Role::Cancels => self.cancel(sid).await,
            Role::Answers => return self.answer(sid, kind.is_parent()).await,
            Role::Signals(count) => self.signal(sid, count).await,
            Role::Waits | Role::Leaves(_) => {}
        }
        self.wait(sid).await
    }

    /// Starts a play, sometimes as several callers who know the key.
    async fn start(&mut self, params: &Value) -> Result<String, Error> {
        if self.rng.below(6) > 0 {
            return self.start_once(params).await;
        }
        self.ledger.count(|counts| counts.raced += 1);
        let raced = join_all((0..3).map(|_| self.start_once(params))).await;
        let sids = raced.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.same(&sids);
        Ok(sids[0].clone())
    }

    /// Where the answer was lost, the same key is asked for again.
    async fn start_once(&self, params: &Value) -> Result<String, Error> {
        loop {
            match self.reach.call("play_run_async", params).await {
                Ok(sid) => return Ok(sid.as_str().unwrap_or_default().to_owned()),
                Err(Unanswered::Refused(error)) if error.kind == ErrorKind::Unavailable => {}
                Err(Unanswered::Refused(error)) => return Err(error),
                Err(Unanswered::Lost) => self.ledger.count(|counts| counts.asked_twice += 1),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn same(&self, sids: &[String]) {
        if sids.iter().any(|sid| *sid != sids[0]) {
            let told = sids.join(", ");
            self.ledger.write(|book| book.keys_of_two.push(told));
        }
    }

    async fn cancel(&mut self, sid: &str) {
        self.pause(600).await;
        let asked = json!({"play_sid": sid});
        if let Err(error) = self.reach.ask("play_cancel", &asked).await {
            self.ledger.refused("play_cancel", &error);
        }
    }

    async fn wait(&self, sid: &str) -> Option<String> {
        wait(&self.reach, &self.ledger, sid).await
    }

    /// A further play, that goes on from what the one that has ended had kept.
    async fn again(&mut self, sid: &str, kind: &'static Kind, end: Option<&str>) {
        let succeeded = end == Some("success");
        let method = if succeeded { "play_fork" } else { "play_retry" };
        let play = match self.reach.ask(method, &json!({"play_sid": sid})).await {
            Ok(play) => play,
            Err(error) => return self.ledger.refused(method, &error),
        };
        let further = play["sid"].as_str().unwrap_or_default();
        self.ledger.accepted(further, kind);
        if succeeded {
            self.ledger.count(|counts| counts.forks += 1);
            self.wait(further).await;
        } else {
            self.ledger.count(|counts| counts.retries += 1);
            self.attend(further, kind).await;
        }
    }

    async fn pause(&mut self, at_most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.below(at_most_ms))).await;
    }
}

/// Waits for a play's end, and writes it down.
async fn wait(reach: &Reach, ledger: &Ledger, sid: &str) -> Option<String> {
    let waiting = json!({"play_sid": sid, "timeout_ms": 0});
    match reach.ask("play_wait", &waiting).await {
        Ok(play) => {
            let end = end_of(&play);
            ledger.write(|book| match (&end, book.plays.get_mut(sid)) {
                (Some(end), Some(told)) => told.end = Some(end.clone()),
                _ => book
                    .refused
                    .push(format!("play_wait of {sid} answered before its end")),
            });
            end
        }
        Err(error) => {
            ledger.refused("play_wait", &error);
            None
        }
    }
}
