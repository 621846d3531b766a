//! A figure, not a promise: run with `--release -- --ignored --nocapture speed`.

use std::time::Instant;

use protocol::Span;

use super::*;
use crate::store::{
    PlayChange,
    conformance::sample::{create, new_play, record, running, span, write},
};

/// How long the writer has been on a CPU, nanoseconds.
async fn cpu_ns(store: &SqliteStore) -> f64 {
    let stat = store
        .on_writer(|_| std::fs::read_to_string("/proc/thread-self/schedstat").unwrap())
        .await;
    stat.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn span_rows_a_second() {
    for (tags, name) in [
        ("{}", "bare"),
        (r#"{"n": 1, "url": "https://example.org/a/b"}"#, "tagged"),
    ] {
        let dir = dir();
        let store = open(dir.path());
        let play = running(&store).await;
        let with_tags = |ord| Span {
            tags: serde_json::from_str(tags).unwrap(),
            source_file: Some("flow.py".to_owned()),
            source_line: Some(17),
            parent_id: "1.0".to_owned(),
            ..span(ord)
        };
        let batches: Vec<Vec<PlayChange>> = (0..200_u64)
            .map(|batch| {
                // Each span starts in one row and ends in another, as a play's do.
                let spans = (0..500).flat_map(|n| {
                    let ord = batch * 500 + n;
                    [None, Some(protocol::EpochMs(1.0))].map(|end_ms| {
                        let span = Span {
                            end_ms,
                            ..with_tags(ord)
                        };
                        PlayChange::Span {
                            ord,
                            span: Arc::new(span),
                        }
                    })
                });
                spans.collect()
            })
            .collect();
        let (start, cpu) = (Instant::now(), cpu_ns(&store).await);
        for changes in batches {
            write(&store, &play, changes).await;
        }
        let seconds = start.elapsed().as_secs_f64();
        let cpu = cpu_ns(&store).await - cpu;
        println!(
            "{name}: {:.0} span rows/s in batches of 1,000; {:.2} µs of CPU a row",
            200_000.0 / seconds,
            cpu / 200_000.0 / 1e3
        );

        let start = Instant::now();
        let last = store.last_seq().await.unwrap();
        let mut after = 0;
        while after < last {
            let changes = store.changes(&play.sid, after, 1_000).await.unwrap();
            let Some(change) = changes.last() else { break };
            after = change.seq;
        }
        println!(
            "{name}: all changes in {:.0} ms",
            start.elapsed().as_secs_f64() * 1e3
        );

        let start = Instant::now();
        for _ in 0..500 {
            write(
                &store,
                &play,
                vec![PlayChange::Play(Arc::new(play.clone()))],
            )
            .await;
        }
        println!(
            "{name}: one row and its fsync in {:.0} µs",
            start.elapsed().as_secs_f64() * 2e3
        );
        store.close().await.unwrap();
    }
}

/// Commits of others beside outputs of 63 MiB.
#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn commits_beside_long_values() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    for what in ["nothing", "63 MiB"] {
        let mut large = play.clone();
        large.output_data = (what != "nothing").then(|| "x".repeat(63 << 20));
        let large = record(&large);
        let done = std::cell::Cell::new(false);
        let begun = Instant::now();
        let long = async {
            for _ in 0..3 {
                write(&store, &play, vec![large.clone()]).await;
                if what == "nothing" {
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
            }
            done.set(true);
        };
        let others = async {
            let mut times = Vec::new();
            while !done.get() {
                let begun = Instant::now();
                create(&store, new_play()).await;
                times.push(begun.elapsed());
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            times.sort();
            times
        };
        let ((), times) = futures_util::join!(long, others);
        let at = |of: usize| times[(times.len() * of / 100).min(times.len() - 1)];
        println!(
            "beside {what}: {} commits in {:?}; p50 {:?}, p95 {:?}, p99 {:?}, longest {:?}",
            times.len(),
            begun.elapsed(),
            at(50),
            at(95),
            at(99),
            at(100)
        );
    }
    store.close().await.unwrap();
}
