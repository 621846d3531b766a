//! Scenes with a server each: floods beside a quiet neighbour, crowds of waiters and readers, a disk
//! that fills and comes back.

pub(crate) mod crowds;
pub(crate) mod floods;
pub(crate) mod full_disk;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{load::ledger::end_of, server::Reach};

pub(crate) type Done<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Times of one thing done many times.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// 0 to 100; zero where there are none.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let at = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).copied().unwrap_or_default()
    }
}

async fn start(
    reach: &Reach,
    flows: &HashMap<String, String>,
    flow: &str,
    more: Value,
) -> Done<String> {
    let mut params =
        json!({"workflow_sid": flows.get(flow), "input_data": {}, "parent_span_id": ""});
    if let (Value::Object(params), Value::Object(more)) = (&mut params, more) {
        params.extend(more);
    }
    let sid = reach.ask("play_run_async", &params).await?;
    Ok(sid.as_str().ok_or("no sid")?.to_owned())
}

async fn wait(reach: &Reach, sid: &str) -> Done<String> {
    let play = reach
        .ask("play_wait", &json!({"play_sid": sid, "timeout_ms": 0}))
        .await?;
    Ok(end_of(&play).ok_or("play_wait answered before the end")?)
}

/// A trivial play again and again; each from its start to the answer of `play_wait`.
async fn neighbour(reach: &Reach, flows: &HashMap<String, String>, plays: usize) -> Done<Times> {
    let mut times = Vec::new();
    for _ in 0..plays {
        let began = Instant::now();
        let sid = start(reach, flows, "quick", json!({})).await?;
        let end = wait(reach, &sid).await?;
        if end != "success" {
            return Err(format!("the neighbour {sid} ended as {end}").into());
        }
        times.push(began.elapsed());
    }
    Ok(Times::new(times))
}
