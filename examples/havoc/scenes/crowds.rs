//! Crowds: waiters on one play and on many, readers that never read.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hero_logic::client::Client;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::UnixStream, task::JoinSet};

use super::{Done, Times, neighbour, start, wait};
use crate::{
    http,
    load::ledger::end_of,
    processes,
    server::{Reach, Server},
};

/// What the crowds cost.
#[derive(Debug)]
pub(crate) struct Crowds {
    pub(crate) waiters: usize,
    /// From the end of the one play until the last of its waiters had heard.
    pub(crate) one_play: Duration,
    pub(crate) one_play_memory: u64,
    /// From the order to cancel the first of as many pending plays until all their waiters had heard.
    pub(crate) many_plays: Duration,
    pub(crate) many_plays_memory: u64,
    pub(crate) memory_before: u64,
    pub(crate) readers: usize,
    /// While many dead readers follow a flood of spans.
    pub(crate) beside_dead_readers: Times,
    pub(crate) dead_readers_memory: u64,
}

const PER_CONNECTION: usize = 500;

/// Waiters on one play and on as many plays; readers of a stream that never read.
pub(crate) async fn crowds(dir: &Path, waiters: usize) -> Done<Crowds> {
    let mut server = Server::new(&dir.join("crowds"), 2);
    std::fs::create_dir_all(&server.data_dir)?;
    server.start().await?;
    let reach = server.reach();
    let pid = server.pid().ok_or("no server")?;
    let flows = reach.register().await?;
    neighbour(&reach, &flows, 1).await?;
    let memory_before = processes::memory(pid);
    let mut clients = Vec::new();
    for _ in 0..waiters.div_ceil(PER_CONNECTION) {
        clients.push(Arc::new(Client::connect(&server.socket).await?));
    }
    let waiting = |sids: Vec<String>| {
        let mut calls = JoinSet::new();
        for (n, sid) in sids.into_iter().enumerate() {
            let client = clients[n / PER_CONNECTION % clients.len()].clone();
            calls.spawn(async move {
                client
                    .call("play_wait", json!({"play_sid": sid, "timeout_ms": 0}))
                    .await
            });
        }
        calls
    };
    let cancel = async |sid: &str| reach.ask("play_cancel", &json!({"play_sid": sid})).await;

    let sid = start(
        &reach,
        &flows,
        "naps",
        json!({"input_data": {"seconds": 3600}}),
    )
    .await?;
    let calls = waiting(vec![sid.clone(); waiters]);
    all_wait(&reach, waiters).await?;
    let one_play_memory = processes::memory(pid);
    cancel(&sid).await?;
    let began = Instant::now();
    all_told(calls).await?;
    let one_play = began.elapsed();

    let blockers = [
        start(
            &reach,
            &flows,
            "naps",
            json!({"input_data": {"seconds": 3600}}),
        )
        .await?,
        start(
            &reach,
            &flows,
            "naps",
            json!({"input_data": {"seconds": 3600}}),
        )
        .await?,
    ];
    let mut starting = JoinSet::new();
    for client in &clients {
        let client = client.clone();
        let sid = flows.get("quick").cloned();
        starting.spawn(async move {
            let mut sids = Vec::new();
            for _ in 0..PER_CONNECTION {
                let params = json!({"workflow_sid": sid, "input_data": {}, "parent_span_id": ""});
                let sid = client.call("play_run_async", params).await?;
                sids.push(sid.as_str().unwrap_or_default().to_owned());
            }
            Ok::<_, hero_logic::client::CallError>(sids)
        });
    }
    let mut sids = Vec::new();
    while let Some(started) = starting.join_next().await {
        sids.extend(started??);
    }
    let count = sids.len();
    let calls = waiting(sids.clone());
    all_wait(&reach, count).await?;
    let many_plays_memory = processes::memory(pid);
    let began = Instant::now();
    let mut cancelling = JoinSet::new();
    for (n, sid) in sids.into_iter().enumerate() {
        let client = clients[n % clients.len()].clone();
        cancelling.spawn(async move { client.call("play_cancel", json!({"play_sid": sid})).await });
    }
    all_told(calls).await?;
    all_told(cancelling).await?;
    let many_plays = began.elapsed();
    for sid in &blockers {
        cancel(sid).await?;
    }

    let readers = 200;
    let flood = start(
        &reach,
        &flows,
        "spans",
        json!({"input_data": {"count": 60_000}}),
    )
    .await?;
    let mut dead = Vec::new();
    for _ in 0..readers {
        let mut stream = UnixStream::connect(&server.socket).await?;
        let request = format!("GET /api/plays/{flood}/spans HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        dead.push(stream);
    }
    let beside_dead_readers = neighbour(&reach, &flows, 15).await?;
    let end = wait(&reach, &flood).await?;
    if end != "success" {
        return Err(format!("the flood beside dead readers ended as {end}").into());
    }
    let dead_readers_memory = processes::memory(pid);
    drop(dead);
    server.stop().await?;
    Ok(Crowds {
        waiters,
        one_play,
        one_play_memory,
        many_plays,
        many_plays_memory,
        memory_before,
        readers,
        beside_dead_readers,
        dead_readers_memory,
    })
}

async fn all_wait(reach: &Reach, waiters: usize) -> Done<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = http::get(&reach.socket, "/metrics").await?;
        let now = text
            .lines()
            .find_map(|line| {
                line.strip_prefix("hero_logic_waiters ")?
                    .parse::<f64>()
                    .ok()
            })
            .ok_or("no hero_logic_waiters in /metrics")?;
        if now >= waiters as f64 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{now} of {waiters} wait").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn all_told(mut calls: JoinSet<Result<Value, hero_logic::client::CallError>>) -> Done<()> {
    while let Some(told) = calls.join_next().await {
        let play = told??;
        end_of(&play).ok_or("an answer before the end")?;
    }
    Ok(())
}
