//! The load: callers that start plays of every kind, cancel some, wait for each, and write down what
//! they were told.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    rng::Rng,
    server::{Reach, Unanswered},
};

/// A kind of play: the flow, its input, its options, whether it is cancelled, and how it may end
/// when nobody does anything to it.
struct Kind {
    flow: &'static str,
    weight: u64,
    input: fn(&mut Rng) -> Value,
    options: fn() -> Value,
    cancel: bool,
    ends: &'static [&'static str],
}

/// Where durable plays note what they do.
pub(crate) static TALLIES: OnceLock<PathBuf> = OnceLock::new();

/// A new one.
fn tally() -> PathBuf {
    let dir = TALLIES.get().cloned().unwrap_or_default();
    dir.join(uuid::Uuid::now_v7().to_string())
}

fn nothing() -> Value {
    json!({})
}

const KINDS: &[Kind] = &[
    kind(
        "quick",
        20,
        |rng| json!({"n": rng.below(100)}),
        &["success"],
    ),
    kind("steps", 8, |_| json!({"count": 40}), &["success"]),
    kind("ledger", 12, |_| json!({"tally": tally()}), &["success"]),
    kind("awaits", 8, |_| json!({"tally": tally()}), &["success"]),
    kind("family", 5, |_| json!({"width": 3}), &["success"]),
    kind("chain", 4, |_| json!({"depth": 3}), &["success"]),
    kind(
        "naps",
        8,
        |rng| json!({"seconds": rng.below(500) as f64 / 1e3}),
        &["success"],
    ),
    kind("raises", 4, |_| json!({}), &["failed exception"]),
    kind("leaves", 3, |_| json!({"code": 3}), &["failed exit"]),
    kind("crashes", 3, |_| json!({}), &["failed signal"]),
    kind("escapes", 6, |_| json!({}), &["success"]),
    Kind {
        cancel: true,
        ..kind(
            "escapes",
            4,
            |_| json!({"hang": true}),
            &["cancelled cancelled"],
        )
    },
    Kind {
        cancel: true,
        ..kind("comet", 3, |_| json!({}), &["cancelled cancelled"])
    },
    Kind {
        options: || json!({"timeout_ms": 700}),
        ..kind("comet", 2, |_| json!({}), &["timed_out timeout"])
    },
    Kind {
        options: || json!({"timeout_ms": 500}),
        ..kind("stubborn", 3, |_| json!({}), &["timed_out timeout"])
    },
    Kind {
        cancel: true,
        ..kind("stubborn", 2, |_| json!({}), &["cancelled cancelled"])
    },
    kind("prints", 2, |_| json!({"mib": 4}), &["success"]),
    kind("babbles", 2, |_| json!({}), &["success"]),
    kind("dials", 1, |_| json!({"connections": 300}), &["success"]),
    kind("spans", 2, |_| json!({"count": 5000}), &["success"]),
    kind("large", 2, |_| json!({"mib": 2}), &["success"]),
    Kind {
        options: || json!({"limits": {"memory_bytes": 100 << 20}}),
        ..kind(
            "hogs",
            2,
            |_| json!({"mib": 1024}),
            &["failed out_of_memory"],
        )
    },
    Kind {
        options: || json!({"limits": {"processes": 20}}),
        ..kind(
            "multiplies",
            2,
            |_| json!({"processes": 200}),
            &["failed killed"],
        )
    },
    Kind {
        options: || json!({"limits": {"disk_bytes": 8 << 20}}),
        ..kind("fills", 1, |_| json!({"mib": 64}), &["failed killed"])
    },
];

const fn kind(
    flow: &'static str,
    weight: u64,
    input: fn(&mut Rng) -> Value,
    ends: &'static [&'static str],
) -> Kind {
    Kind {
        flow,
        weight,
        input,
        options: nothing,
        cancel: false,
        ends,
    }
}

/// How a play may end besides when processes are being killed around it: the chaos is named as what
/// it is, and never as the flow's own fault.
const BY_CHAOS: &[&str] = &[
    "failed interrupted",
    "failed killed",
    "failed recovery_exhausted",
];
/// The same for a play that waits for others.
const BY_CHAOS_BELOW: &[&str] = &["failed exception", "cancelled cancelled"];

/// What callers were told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    plays: Mutex<HashMap<String, Told>>,
    /// Ends that nothing explains.
    unexplained: Mutex<Vec<String>>,
    /// Requests refused for a reason that callers do not expect.
    refused: Mutex<Vec<String>>,
    pub(crate) asked_twice: AtomicU64,
}

#[derive(Clone, Debug)]
struct Told {
    flow: &'static str,
    end: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(crate) fn accepted(&self) -> usize {
        lock(&self.plays).len()
    }

    /// All plays that were accepted, with the end that was told, if one was.
    pub(crate) fn all(&self) -> Vec<(String, Option<String>)> {
        let plays = lock(&self.plays);
        plays
            .iter()
            .map(|(sid, told)| (sid.clone(), told.end.clone()))
            .collect()
    }

    /// How many ended how, by flow.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
        let mut outcomes: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for told in lock(&self.plays).values() {
            let end = told.end.clone().unwrap_or_else(|| "not told".into());
            *outcomes
                .entry(end)
                .or_default()
                .entry(told.flow)
                .or_default() += 1;
        }
        outcomes
    }

    pub(crate) fn take_unexplained(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.unexplained))
    }

    pub(crate) fn take_refused(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.refused))
    }

    fn refused(&self, what: &str, error: &hero_logic::protocol::Error) {
        lock(&self.refused).push(format!("{what}: {error}"));
    }
}

/// `status`, or `status cause`.
pub(crate) fn end_of(play: &Value) -> Option<String> {
    let status = play["status"].as_str()?;
    if matches!(status, "pending" | "running" | "awaiting_resume") {
        return None;
    }
    Some(match play["cause"]["kind"].as_str() {
        Some(kind) => format!("{status} {kind}"),
        None => status.to_owned(),
    })
}

/// One caller: a play after another until it is told that it is enough.
pub(crate) async fn caller(
    reach: Reach,
    flows: Arc<HashMap<String, String>>,
    ledger: Arc<Ledger>,
    enough: Arc<AtomicBool>,
    mut rng: Rng,
) {
    let total: u64 = KINDS.iter().map(|kind| kind.weight).sum();
    while !enough.load(Ordering::Relaxed) {
        let mut at = rng.below(total);
        let Some(kind) = KINDS.iter().find(|kind| {
            let hit = at < kind.weight;
            at = at.saturating_sub(kind.weight);
            hit
        }) else {
            continue;
        };
        play(&reach, &flows, &ledger, kind, &mut rng).await;
    }
}

async fn play(
    reach: &Reach,
    flows: &HashMap<String, String>,
    ledger: &Ledger,
    kind: &Kind,
    rng: &mut Rng,
) {
    let mut params = json!({
        "workflow_sid": flows.get(kind.flow),
        "input_data": (kind.input)(rng),
        "parent_span_id": "",
        "idempotency_key": uuid::Uuid::now_v7().to_string(),
    });
    merge(&mut params, (kind.options)());
    let sid = match start(reach, ledger, &params).await {
        Ok(sid) => sid,
        Err(error) => return ledger.refused(kind.flow, &error),
    };
    lock(&ledger.plays).insert(
        sid.clone(),
        Told {
            flow: kind.flow,
            end: None,
        },
    );
    if kind.cancel {
        tokio::time::sleep(Duration::from_millis(rng.below(600))).await;
        if let Err(error) = reach.ask("play_cancel", &json!({"play_sid": sid})).await {
            ledger.refused("play_cancel", &error);
        }
    }
    if kind.flow == "awaits" {
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        let signal = json!({"play_sid": sid, "name": "go", "payload": 7});
        match reach.ask("play_signal", &signal).await {
            Ok(_) => {}
            // Its end came before.
            Err(error) if error.kind == hero_logic::protocol::ErrorKind::Conflict => {}
            Err(error) => ledger.refused("play_signal", &error),
        }
    }
    let wait = json!({"play_sid": sid, "timeout_ms": 0});
    let end = match reach.ask("play_wait", &wait).await {
        Ok(play) => end_of(&play),
        Err(error) => return ledger.refused("play_wait", &error),
    };
    let Some(end) = end else {
        lock(&ledger.unexplained).push(format!(
            "{} {sid}: play_wait answered before its end",
            kind.flow
        ));
        return;
    };
    let nested = matches!(kind.flow, "family" | "chain");
    let explained = kind.ends.contains(&end.as_str())
        || BY_CHAOS.contains(&end.as_str())
        || nested && BY_CHAOS_BELOW.contains(&end.as_str());
    if !explained {
        lock(&ledger.unexplained).push(format!("{} {sid}: {end}", kind.flow));
    }
    if let Some(told) = lock(&ledger.plays).get_mut(&sid) {
        told.end = Some(end);
    }
}

/// Starts a play; where the answer was lost, the same key is asked for again.
async fn start(
    reach: &Reach,
    ledger: &Ledger,
    params: &Value,
) -> Result<String, hero_logic::protocol::Error> {
    loop {
        match reach.call("play_run_async", params).await {
            Ok(sid) => return Ok(sid.as_str().unwrap_or_default().to_owned()),
            Err(Unanswered::Refused(error))
                if error.kind == hero_logic::protocol::ErrorKind::Unavailable => {}
            Err(Unanswered::Refused(error)) => return Err(error),
            Err(Unanswered::Lost) => {
                ledger.asked_twice.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
