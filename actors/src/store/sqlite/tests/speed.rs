//! A figure, not a promise: run with `--release -- --ignored --nocapture speed`.

use std::time::Instant;

use protocol::Span;

use super::*;
use crate::store::{
    PlayChange,
    conformance::sample::{running, span, write},
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
