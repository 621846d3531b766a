//! The log is moved beside the commits, and stays short.

use std::time::{Duration, Instant};

use super::*;
use crate::store::conformance::sample::{logged, running, write};

const MIB: u64 = 1 << 20;

fn size(dir: &TempDir, file: &str) -> u64 {
    std::fs::metadata(dir.path().join(file)).map_or(0, |file| file.len())
}

#[tokio::test]
async fn the_log_is_moved_while_the_store_is_open() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let text = "x".repeat(64 << 10);
    for _ in 0..10 {
        write(&store, &play, vec![logged("1.0", &text); 16]).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    // What is left of a log that was begun anew, less than 4 MiB, stays in it.
    while size(&dir, FILE) < 6 * MIB {
        assert!(Instant::now() < deadline, "{} bytes", size(&dir, FILE));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.close().await.unwrap();
}

/// Without a pause the thread alone never comes to the log's end.
#[tokio::test]
async fn the_log_stays_short_under_a_load_without_a_pause() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let text = "x".repeat(16 << 10);
    for _ in 0..80 {
        write(&store, &play, vec![logged("1.0", &text); 64]).await;
    }
    let log = size(&dir, &format!("{FILE}-wal"));
    assert!((4 * MIB..40 * MIB).contains(&log), "{log} bytes");
    store.close().await.unwrap();
}
