//! A process that follows a script, as `tests/flows/follow.py` does, and speaks the wire as the SDK does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hero_logic_actors::{
    clock::Clock,
    play::outcome::Exit,
    testing::{
        Process,
        model::{
            calls::{Kept, Key, Row, Rows},
            play::Gate,
            process::Process as Knowing,
            script::{DEFAULT, Limit, MOMENT, Move, from_json, to_json},
            walk::{self, Call, Walk},
        },
    },
};
use protocol::{EpochMs, SpanId, Step};
use serde_json::{Value, json};

use super::stage::Outside;

/// Nothing has happened for so long: it leaves to wait.
const STILL: Duration = Duration::from_millis(20);

/// What came of a call.
enum Came {
    Kept(Key, Kept),
    Waits,
    /// Its child awaits something, and so does it.
    Rests(Key, String, Child),
}

/// The sid of a child play.
type Child = String;

/// When a call began and came to its end, and the span of that.
struct Done {
    began: EpochMs,
    ended: Option<EpochMs>,
    by: SpanId,
}

#[derive(Clone)]
struct Me {
    process: Process,
    outside: Arc<Outside>,
    clock: Clock,
    attempt: u32,
}

pub(super) async fn follow(process: Process, outside: Arc<Outside>, clock: Clock) -> Exit {
    let attempt = process.brief.attempt;
    let me = Me {
        process,
        outside,
        clock,
        attempt,
    };
    me.note(&format!("pid {attempt} 1"));
    let input: Value = serde_json::from_str(&me.process.brief.input).unwrap();
    let script = from_json(&input["moves"]).unwrap();
    let root = me.span(0);
    let start =
        json!({"type": "span_start", "span_id": root, "name": "follow", "kind": "flow_root"});
    me.process.say(start).await;
    let (given, done) = me.given().await;
    let mut knowing = Knowing {
        loaded: true,
        given: Arc::new(given),
        ..Knowing::default()
    };
    let mut spans = 0;
    let mut noted = BTreeSet::new();
    let mut under_way = FuturesUnordered::<BoxFuture<'_, Came>>::new();
    // What waits for children that themselves await something.
    let mut resting = FuturesUnordered::<BoxFuture<'_, (Key, String, Value)>>::new();
    loop {
        let walk = Walk::of(&script, &knowing, attempt);
        for call in walk.calls {
            let given = knowing.given.get(&call.key);
            let given = given.is_some_and(|row| row.kept.is_some());
            if knowing.begun.insert(call.key.clone()) {
                spans += 1;
                let span = me.span(spans);
                if given {
                    me.replays(&call, &span, &done[&call.key]).await;
                } else {
                    me.begins(&call, &span).await;
                    under_way.push(me.clone().does(call.clone(), span).boxed());
                }
            }
            if let Some(kept) = &call.kept
                && noted.insert(call.key.clone())
            {
                let (site, data) = (call.site, encode(kept).1);
                me.note(&format!("kept {site} {attempt} {data}"));
            }
        }
        match walk.end {
            Some(Ok(output)) => {
                let output: Value = serde_json::from_str(&output).unwrap();
                me.process.output(output).await;
                me.process.end(&root).await;
                return Exit::Code(0);
            }
            Some(Err(raised)) => {
                let exception = json!({"type": "RuntimeError", "message": raised.to_string()});
                let end = json!({"type": "span_end", "span_id": root, "error": "RuntimeError",
                                 "exception": exception});
                me.process.say(end).await;
                return Exit::Code(1);
            }
            None => {}
        }
        let is_still = under_way.is_empty();
        tokio::select! {
            biased;
            Some(came) = under_way.next() => match came {
                Came::Kept(key, kept) => {
                    knowing.known.insert(key, kept);
                }
                Came::Waits => {}
                Came::Rests(key, span, child) => {
                    let me = me.clone();
                    let ended = async move { (key, span, me.end_of(&child).await) };
                    resting.push(ended.boxed());
                }
            },
            Some((key, span, child)) = resting.next() => {
                let me = me.clone();
                let kept = async move { me.comes_to(key, &span, outcome_of(&child)).await };
                under_way.push(kept.boxed());
            }
            () = me.process.sleep(STILL), if is_still => return Exit::Code(75),
        }
    }
}

impl Me {
    fn note(&self, words: &str) {
        self.outside.note(self.process.brief.play.as_str(), words);
    }

    fn span(&self, number: u32) -> String {
        format!("{}.{number}", self.attempt)
    }

    /// What earlier attempts kept, and when that was.
    async fn given(&self) -> (Rows, BTreeMap<Key, Done>) {
        let brief = &self.process.brief;
        let (mut rows, mut done) = (Rows::new(), BTreeMap::new());
        let mut after = None;
        while let Some(store) = &brief.kept {
            let Ok(page) = store.steps(&brief.play, after.take(), 1_000).await else {
                self.process.hang().await;
            };
            after = page.steps.last().map(|last| last.start.key.clone());
            for step in &page.steps {
                let (key, row) = row_of(step);
                let of = Done {
                    began: step.start_ms,
                    ended: step.end_ms,
                    by: step.span_id.clone(),
                };
                done.insert(key.clone(), of);
                rows.insert(key, row);
            }
            if !page.more {
                break;
            }
        }
        (rows, done)
    }

    async fn replays(&self, call: &Call<'_>, span: &str, done: &Done) {
        let name = walk::name(call.what);
        let start = json!({"type": "span_start", "span_id": span, "name": name, "kind": kind(call.what),
                           "parent_id": self.span(0), "start_ms": done.began, "tags": {"kept_by": done.by}});
        let end = json!({"type": "span_end", "span_id": span, "status": "replayed", "end_ms": done.ended});
        self.process.say_all([start, end]).await;
    }

    async fn begins(&self, call: &Call<'_>, span: &str) {
        let Key { name, args, same } = &call.key;
        let mut step =
            json!({"key": json!([**name, **args, same]).to_string(), "parent": "", "args": **args});
        if let Some(position) = call.position {
            step["position"] = json!(position);
        }
        let start = json!({"type": "span_start", "span_id": span, "name": **name, "kind": kind(call.what),
                           "parent_id": self.span(0), "start_ms": self.clock.now(), "step": step});
        self.process.say(start).await;
        if matches!(call.what, Move::Step { .. } | Move::Drift { .. }) {
            self.note(&format!("begun {} {}", call.site, self.attempt));
        }
    }

    /// Done when that is acknowledged; never, where the server does not answer any more.
    async fn acknowledged(&self, event: Value) -> Value {
        match self.process.acknowledged(event).await {
            Ok(answer) => answer,
            Err(_) => self.process.hang().await,
        }
    }

    async fn does(self, call: Call<'_>, span: String) -> Came {
        let kept = match call.what {
            Move::Ask { name, limit } => {
                return self.pauses(call.key, &span, "ask", *name, *limit).await;
            }
            Move::Event { name, limit } => {
                return self.pauses(call.key, &span, "event", *name, *limit).await;
            }
            Move::Child { id, moves } => {
                let (child, play) = self.child(&span, *id, moves).await;
                if play["status"] == "awaiting_resume" {
                    let wait = json!({"kind": "play", "name": "child", "child": child});
                    self.acknowledged(json!({"type": "pause", "span_id": span, "wait": wait}))
                        .await;
                    return Came::Rests(call.key, span, child);
                }
                outcome_of(&play)
            }
            _ => {
                let play = self.process.brief.play.as_str();
                match self.outside.gate(play, self.attempt, call.site).await {
                    Gate::Returns(value) => Kept::Value(value),
                    Gate::Raises(value) => Kept::Raised(value),
                }
            }
        };
        self.comes_to(call.key, &span, kept).await
    }

    async fn comes_to(&self, key: Key, span: &str, kept: Kept) -> Came {
        let (raised, data) = encode(&kept);
        let mut output = json!({"type": "step_output", "span_id": span, "data": data,
                                "end_ms": self.clock.now()});
        if raised {
            output["error"] = json!("raised");
        }
        assert_eq!(self.acknowledged(output).await, true);
        Came::Kept(key, kept)
    }

    async fn pauses(&self, key: Key, span: &str, kind: &str, name: u8, limit: Limit) -> Came {
        let mut wait =
            json!({"kind": kind, "name": name.to_string(), "schema": {"type": "integer"}});
        if limit.is_short() {
            wait["wake_at"] = json!(self.clock.now().0 + MOMENT * 1_000.0);
        }
        if limit == Limit::Default {
            wait["default"] = json!(DEFAULT);
        }
        let pause = json!({"type": "pause", "span_id": span, "wait": wait});
        let answer = self.acknowledged(pause).await;
        let kept = match (answer.get("payload"), answer.get("raised")) {
            (Some(payload), _) => decode(&key.name, false, payload),
            (_, Some(raised)) => decode(&key.name, true, raised),
            _ => return Came::Waits,
        };
        Came::Kept(key, kept)
    }

    /// The child play, and how it stands when it has ended or awaits something.
    async fn child(&self, span: &str, id: u8, moves: &[Move]) -> (Child, Value) {
        let params = json!({
            "name": self.process.brief.workflow_name, "span_id": span, "key": format!("{id}"),
            "inputs": {"id": id, "moves": to_json(moves)},
        });
        let invoked = self.asked("flow_invoke", params).await;
        let child = invoked["play_sid"].as_str().unwrap().to_owned();
        let wait = json!({"play_sid": child, "or_awaiting": true});
        let play = self.asked("play_wait", wait).await;
        (child, play)
    }

    async fn end_of(&self, child: &str) -> Value {
        self.asked("play_wait", json!({"play_sid": child})).await
    }

    /// As [`Self::acknowledged`].
    async fn asked(&self, method: &str, params: Value) -> Value {
        match self.process.ask(method, params).await {
            Ok(answer) => answer,
            Err(_) => self.process.hang().await,
        }
    }
}

fn outcome_of(child: &Value) -> Kept {
    match child["status"].as_str().unwrap() {
        "success" => Kept::Output(child["output_data"].as_str().unwrap().to_owned()),
        status => Kept::ChildFailed(status.to_owned()),
    }
}

fn kind(what: &Move) -> &str {
    match what {
        Move::Step { .. } | Move::Drift { .. } => "step",
        Move::Child { .. } => "subflow",
        _ => "other",
    }
}

fn row_of(step: &Step) -> (Key, Row) {
    let (name, args, same): (String, String, u32) = serde_json::from_str(&step.start.key).unwrap();
    let kept = step.kept.as_ref().map(|kept| {
        let data = serde_json::from_str(&kept.data).unwrap();
        decode(&name, kept.raised, &data)
    });
    let (name, args) = (name.into(), args.into());
    let row = Row {
        position: step.start.position,
        kept,
        kept_in: 0,
        foreign: step.strict,
    };
    (Key { name, args, same }, row)
}

/// Whether it is an exception, and its data.
fn encode(kept: &Kept) -> (bool, Value) {
    let data = match kept {
        Kept::Value(value) => json!(value),
        Kept::Raised(value) => json!({"raised": value}),
        Kept::Default => json!(DEFAULT),
        Kept::Late => json!({"type": "builtins:TimeoutError"}),
        Kept::Output(text) => serde_json::from_str(text).unwrap(),
        Kept::ChildFailed(status) => json!({"child": status}),
    };
    (kept.raises(), data)
}

fn decode(name: &str, raised: bool, data: &Value) -> Kept {
    match (raised, data) {
        (true, data) if data["raised"].is_i64() => Kept::Raised(data["raised"].as_i64().unwrap()),
        (true, data) if data["child"].is_string() => {
            Kept::ChildFailed(data["child"].as_str().unwrap().to_owned())
        }
        (true, _) => Kept::Late,
        (false, data) if name == "child" => Kept::Output(data.to_string()),
        (false, Value::Number(value)) => Kept::Value(value.as_i64().unwrap()),
        (false, _) => Kept::Default,
    }
}
