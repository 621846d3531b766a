//! A figure, not a promise: run with `--release -- --ignored --nocapture speed`.

use std::time::{Duration, Instant};

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

/// Ten thousand branches of ten spans each, or a hundred thousand: what a reader of a large play waits for.
#[tokio::test]
#[ignore = "measures, and asserts nothing"]
async fn outlines_and_windows() {
    for spans in [100_000_u64, 1_000_000] {
        let dir = dir();
        let store: Arc<dyn Store> = Arc::new(open(dir.path()));
        let play = running(&*store).await;
        for batch in (0..spans).collect::<Vec<_>>().chunks(1_000) {
            let changes = batch.iter().map(|ord| {
                let parent = match ord % 1_000 {
                    0 => 0,
                    n if n % 10 == 0 => ord - n,
                    n => ord - n % 10,
                };
                let span = Span {
                    parent_id: match ord {
                        0 => String::new(),
                        _ => format!("1.{parent}"),
                    },
                    name: format!("step {}", ord % 100),
                    start_ms: protocol::EpochMs(play.created_at.0 + *ord as f64),
                    end_ms: Some(protocol::EpochMs(play.created_at.0 + *ord as f64 + 1.5)),
                    status: protocol::SpanStatus::Ok,
                    tags: serde_json::from_str(r#"{"n": 1}"#).unwrap(),
                    ..span(*ord)
                };
                PlayChange::Span {
                    ord: *ord,
                    span: Arc::new(span),
                }
            });
            write(&*store, &play, changes.collect()).await;
        }
        let outlines = crate::outlines::Outlines::new(store.clone());
        let timed = |what: &str, start: Instant| {
            println!(
                "{spans} spans: {what} {:.1} ms",
                start.elapsed().as_secs_f64() * 1e3
            );
        };
        let start = Instant::now();
        drop(outlines.get(&play.sid, u64::MAX).await.unwrap());
        timed("read", start);
        let start = Instant::now();
        drop(outlines.get(&play.sid, u64::MAX).await.unwrap());
        timed("looked at again", start);
        let start = Instant::now();
        let held = outlines.get(&play.sid, u64::MAX).await.unwrap();
        let text = crate::outlines::text::write(&held.outline).unwrap();
        timed(&format!("written as {} bytes in", text.len()), start);
        println!("{spans} spans: {} bytes in memory", held.outline.bytes());
        drop(held);
        let first = ["1.0".into()].to_vec();
        let branches: Vec<protocol::SpanId> = (0..spans / 1_000)
            .map(|n| format!("1.{}", n * 1_000).into())
            .collect();
        let mut window = protocol::reading::PlayWindow {
            play_sid: play.sid.clone(),
            open: Vec::new(),
            first_row: 0,
            rows: 100,
            from_ms: 0.0,
            to_ms: spans as f64,
            pixels: 1_000,
            reveal: None,
        };
        for (what, open) in [
            ("first window, all closed,", Vec::new()),
            ("window, all closed,", Vec::new()),
            ("window, the root open,", first),
            ("window, a hundred branches open,", branches[..100].to_vec()),
            ("window, all branches open,", branches),
        ] {
            window.open = open;
            let start = Instant::now();
            let mut held = outlines.get(&play.sid, u64::MAX).await.unwrap();
            let (outline, tree) = held.with_tree();
            let rows = crate::outlines::window::rows(outline, tree, &window, 0);
            let bytes = serde_json::to_vec(&rows.rows).unwrap().len();
            timed(
                &format!(
                    "{what} {} of {} rows, {bytes} bytes,",
                    rows.rows.len(),
                    rows.total
                ),
                start,
            );
        }
        window.first_row = spans / 2;
        // A play that goes on: one span more before each window.
        let mut slowest = Duration::ZERO;
        for n in 0..20 {
            let more = PlayChange::Span {
                ord: spans + n,
                span: Arc::new(span(spans + n)),
            };
            write(&*store, &play, vec![more]).await;
            let start = Instant::now();
            let mut held = outlines.get(&play.sid, u64::MAX).await.unwrap();
            let (outline, tree) = held.with_tree();
            drop(crate::outlines::window::rows(outline, tree, &window, 0));
            slowest = slowest.max(start.elapsed());
        }
        println!("{spans} spans: slowest window after a change {slowest:?}");
        let start = Instant::now();
        drop(store.span(&play.sid, spans / 2).await.unwrap());
        timed("one span", start);
        store.close().await.unwrap();
    }
}
