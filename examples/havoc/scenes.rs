//! Scenes with a server each: floods beside a quiet neighbour, crowds of waiters and readers, a disk
//! that fills and comes back.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use hero_logic::client::Client;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::UnixStream, task::JoinSet};

use crate::{
    load::end_of,
    processes,
    server::{Reach, Server},
};

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
    let flows: HashMap<_, _> = reach.register().await?.into_iter().collect();
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
    let flows: HashMap<_, _> = reach.register().await?.into_iter().collect();
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
        let text = http_get(&reach.socket, "/metrics").await?;
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

async fn http_get(socket: &Path, path: &str) -> Done<String> {
    use tokio::io::AsyncReadExt;
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

async fn all_told(mut calls: JoinSet<Result<Value, hero_logic::client::CallError>>) -> Done<()> {
    while let Some(told) = calls.join_next().await {
        let play = told??;
        end_of(&play).ok_or("an answer before the end")?;
    }
    Ok(())
}

/// What became of the plays whose disk was full for a while.
#[derive(Debug)]
pub(crate) struct FullDisk {
    pub(crate) bytes: u64,
    pub(crate) plays: usize,
    /// Calls that were refused while it was full, and how.
    pub(crate) refused: String,
    pub(crate) ends: Vec<String>,
    /// From the moment that there was space again until the last play had ended.
    pub(crate) recovered: Duration,
}

/// A tmpfs of this program's own; unmounted when dropped.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, mib: u32) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mib}m,mode=0700"),
                "none",
            ])
            .arg(&at)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            Ok(Self(at))
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned())
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg("-l").arg(&self.0).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("failed to unmount {}: {other:?}", self.0.display()),
        }
    }
}

/// Fills the disk while plays run, and gives the space back. `Err` of the inner result: it can't be
/// tried here, and why.
pub(crate) async fn full_disk(dir: &Path) -> Done<Result<FullDisk, String>> {
    const MIB: u32 = 24;
    let disk = match SmallDisk::mount(dir.join("small"), MIB) {
        Ok(disk) => disk,
        Err(why) => return Ok(Err(format!("a small tmpfs can't be mounted here: {why}"))),
    };
    let mut server = Server::new(&disk.0.join("data"), 4);
    std::fs::create_dir_all(&server.data_dir)?;
    server.start().await?;
    let reach = server.reach();
    let flows: HashMap<_, _> = reach.register().await?.into_iter().collect();
    neighbour(&reach, &flows, 1).await?;
    let mut sids = Vec::new();
    for (flow, input) in [
        ("naps", json!({"seconds": 2})),
        ("steps", json!({"count": 20_000})),
        ("naps", json!({"seconds": 3})),
        ("spans", json!({"count": 30_000})),
        ("quick", json!({})),
        ("naps", json!({"seconds": 1})),
    ] {
        sids.push(start(&reach, &flows, flow, json!({"input_data": input})).await?);
    }
    let filler = disk.0.join("filler");
    let mut file = std::fs::File::create(&filler)?;
    let block = vec![0; 64 << 10];
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        use std::io::Write;
        if file.write(&block).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    drop(file);
    let call = json!({"workflow_sid": flows.get("quick"), "input_data": {}, "parent_span_id": ""});
    let refused =
        match tokio::time::timeout(Duration::from_secs(20), reach.call("play_run_async", &call))
            .await
        {
            Ok(Ok(_)) => "accepted".to_owned(),
            Ok(Err(crate::server::Unanswered::Refused(error))) => {
                format!("{} ({error})", error.kind.as_str())
            }
            Ok(Err(crate::server::Unanswered::Lost)) => return Err("the server is gone".into()),
            Err(_) => "no answer in 20 s".to_owned(),
        };
    std::fs::remove_file(&filler)?;
    let began = Instant::now();
    let mut ends = Vec::new();
    for sid in &sids {
        let end = tokio::time::timeout(Duration::from_secs(60), wait(&reach, sid)).await;
        ends.push(end.map_err(|_| format!("{sid} is stuck after the disk came back"))??);
    }
    let recovered = began.elapsed();
    server.stop().await?;
    let said = crate::checks::integrity(&server.data_dir)?;
    if !said.is_empty() {
        return Err(format!("after a full disk: {said:?}").into());
    }
    ends.sort();
    ends.dedup();
    Ok(Ok(FullDisk {
        bytes: u64::from(MIB) << 20,
        plays: sids.len(),
        refused,
        ends,
        recovered,
    }))
}
