//! Each flood for itself, beside a neighbour that wants nothing but to run.

use std::path::Path;

use serde_json::{Value, json};

use super::{Done, Times, neighbour, start, wait};
use crate::{processes, server::Server};

/// A row of the table: what happened beside the neighbour, its times, how the flood ended.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) what: &'static str,
    pub(crate) times: Times,
    pub(crate) ends: Vec<String>,
    pub(crate) server_memory: u64,
}

/// Each flood for itself, beside a neighbour that wants nothing but to run.
pub(crate) async fn floods(dir: &Path, plays: usize, long: bool) -> Done<Vec<Beside>> {
    let mut server = Server::new(&dir.join("floods"), 8);
    std::fs::create_dir_all(&server.data_dir)?;
    server.start().await?;
    let reach = server.reach();
    let flows = reach.register().await?;
    neighbour(&reach, &flows, 3).await?;
    let mib = if long { 1_024 } else { 128 };
    let floods: &[(&'static str, &str, Value)] = &[
        ("nothing", "", Value::Null),
        (
            "a busy loop",
            "spins",
            json!({"input_data": {"seconds": 1.0}}),
        ),
        ("prints", "prints", json!({"input_data": {"mib": mib}})),
        (
            "broken lines",
            "babbles",
            json!({"input_data": {"lines": if long { 1_000_000 } else { 200_000 }}}),
        ),
        ("1,000 connections", "dials", json!({})),
        (
            "spans",
            "spans",
            json!({"input_data": {"count": if long { 1_000_000 } else { 50_000 }}}),
        ),
        (
            "64 MiB of output",
            "large",
            json!({"input_data": {"mib": 63}}),
        ),
        (
            "too much output",
            "large",
            json!({"input_data": {"mib": 65}}),
        ),
        (
            "forks without end",
            "multiplies",
            json!({"input_data": {"processes": 2000}, "limits": {"processes": 100}}),
        ),
        ("a runaway", "comet", json!({"timeout_ms": 1500})),
        (
            "fills its directory",
            "fills",
            json!({"limits": {"disk_bytes": 32 << 20}}),
        ),
        (
            "takes memory",
            "hogs",
            json!({"limits": {"memory_bytes": 200 << 20}}),
        ),
    ];
    let mut rows = Vec::new();
    for (what, flow, options) in floods {
        let flood = |options: Value| {
            let (reach, flows, flow) = (reach.clone(), flows.clone(), (*flow).to_owned());
            async move {
                let sid = start(&reach, &flows, &flow, options).await?;
                wait(&reach, &sid).await
            }
        };
        // As long as the neighbour has not finished, the flood goes on.
        let mut ends = Vec::new();
        let times = if flow.is_empty() {
            neighbour(&reach, &flows, plays).await?
        } else {
            let mut neighbour = std::pin::pin!(neighbour(&reach, &flows, plays));
            loop {
                let mut flooding = std::pin::pin!(flood(options.clone()));
                tokio::select! {
                    end = &mut flooding => ends.push(end?),
                    times = &mut neighbour => {
                        let times = times?;
                        ends.push(flooding.await?);
                        break times;
                    }
                }
            }
        };
        ends.sort();
        ends.dedup();
        let server_memory = server.pid().map_or(0, processes::memory);
        rows.push(Beside {
            what,
            times,
            ends,
            server_memory,
        });
    }
    server.stop().await?;
    Ok(rows)
}
