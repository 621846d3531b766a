//! A disk that fills under plays and comes back, step by step.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Done, neighbour, start, wait};
use crate::{
    checks,
    disk::SmallDisk,
    server::{Server, Unanswered},
};

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

/// Fills the disk while plays run, and gives the space back. `Err` of the inner result: it can't be
/// tried here, and why.
pub(crate) async fn full_disk(dir: &Path) -> Done<Result<FullDisk, String>> {
    const MIB: u32 = 24;
    let disk = match SmallDisk::mount(dir.join("small"), MIB) {
        Ok(disk) => disk,
        Err(why) => return Ok(Err(why)),
    };
    let mut server = Server::new(&disk.path.join("data"), 4);
    std::fs::create_dir_all(&server.data_dir)?;
    server.start().await?;
    let reach = server.reach();
    let flows = reach.register().await?;
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
    let filler = disk.fill()?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let call = json!({"workflow_sid": flows.get("quick"), "input_data": {}, "parent_span_id": ""});
    let refused =
        match tokio::time::timeout(Duration::from_secs(20), reach.call("play_run_async", &call))
            .await
        {
            Ok(Ok(_)) => "accepted".to_owned(),
            Ok(Err(Unanswered::Refused(error))) => {
                format!("{} ({error})", error.kind.as_str())
            }
            Ok(Err(Unanswered::Lost)) => return Err("the server is gone".into()),
            Err(_) => "no answer in 20 s".to_owned(),
        };
    drop(filler);
    let began = Instant::now();
    let mut ends = Vec::new();
    for sid in &sids {
        let end = tokio::time::timeout(Duration::from_secs(60), wait(&reach, sid)).await;
        ends.push(end.map_err(|_| format!("{sid} is stuck after the disk came back"))??);
    }
    let recovered = began.elapsed();
    server.stop().await?;
    let said = checks::left::integrity(&server.data_dir)?;
    if !said.is_empty() {
        return Err(format!("after a full disk: {said:?}").into());
    }
    ends.sort();
    ends.dedup();
    Ok(Ok(FullDisk {
        bytes: disk.bytes,
        plays: sids.len(),
        refused,
        ends,
        recovered,
    }))
}
