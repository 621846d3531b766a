//! Pictures as literal text.

use protocol::PlaySid;

use super::*;
use crate::{
    cli::tree::tests::{ended, play, span},
    client::Record,
};

const UTF8: Look = Look {
    color: false,
    unicode: true,
    terminal: true,
};

fn forest(status: PlayStatus, spans: Vec<protocol::Span>) -> Forest {
    let sid = PlaySid::from("play-1");
    let mut forest = Forest::new(sid.clone());
    forest.apply(&sid, Record::Play(Box::new(play(status))));
    for span in spans {
        forest.apply(&sid, Record::Span(Box::new(span)));
    }
    forest
}

fn well(id: &str, parent: &str, name: &str, start: f64, end: f64) -> protocol::Span {
    ended(span(id, parent, name, start), end, SpanStatus::Ok, None)
}

fn picture(forest: &Forest, size: (usize, usize), look: Look) -> String {
    render(forest, size, EpochMs(4_200.0), look)
        .iter()
        .map(|line| line.to_text(false))
        .collect::<Vec<_>>()
        .join("\n")
}

fn small() -> Forest {
    let mut fetch = well("2", "1", "fetch", 1_000.0, 1_120.0);
    fetch.tags = serde_json::from_value(serde_json::json!({"url": "https://example.org"})).unwrap();
    let failed = |id: &str, parent: &str, name: &str| {
        ended(
            span(id, parent, name, 2_000.0),
            2_012.0,
            SpanStatus::Failed,
            Some("ValueError: no"),
        )
    };
    forest(
        PlayStatus::Running,
        vec![
            span("1", "", "etl", 1_000.0),
            fetch,
            well("3", "2", "rpc:Store.get", 1_000.0, 1_050.0),
            failed("4", "1", "load"),
            failed("5", "4", "row"),
            span("6", "1", "transform", 3_000.0),
        ],
    )
}

#[test]
fn a_running_play() {
    assert_eq!(
        picture(&small(), (80, 24), UTF8),
        "\
⠹ etl                     3.2 s  running  play-1
├─ ✓ fetch               120 ms  url=https://example.org
│  └─ ✓ rpc:Store.get     50 ms
├─ ✗ load                 12 ms
│  └─ ✗ row               12 ms  ValueError: no
└─ ⠹ transform            1.2 s"
    );
}

#[test]
fn in_ascii_and_narrow() {
    let ascii = Look {
        unicode: false,
        ..UTF8
    };
    assert_eq!(
        picture(&small(), (36, 24), ascii),
        "\
- etl                     3.2 s  ...
|- + fetch               120 ms  ...
|  `- + rpc:Store.get     50 ms
|- x load                 12 ms
|  `- x row               12 ms  ...
`- - transform            1.2 s"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in 1..60 {
        for line in render(&small(), (columns, 24), EpochMs(4_200.0), UTF8) {
            assert!(line.width() <= columns, "{columns}: {line:?}");
        }
    }
}

/// 1,000 finished steps, each with a child; two that failed; three that run.
fn large() -> Forest {
    let mut spans = vec![span("1", "", "etl", 1_000.0)];
    for i in 0..1_000 {
        let id = format!("s{i}");
        let step = span(&id, "1", &format!("step {i}"), 1_000.0);
        spans.push(match i {
            100 | 500 => ended(step, 1_010.0, SpanStatus::Failed, Some("boom")),
            _ => ended(step, 1_010.0, SpanStatus::Ok, None),
        });
        spans.push(well(&format!("c{i}"), &id, "inner", 1_000.0, 1_001.0));
    }
    for i in 0..3 {
        spans.push(span(&format!("r{i}"), "1", &format!("worker {i}"), 4_000.0));
    }
    forest(PlayStatus::Running, spans)
}

#[test]
fn a_large_play_folds() {
    assert_eq!(
        picture(&large(), (60, 12), UTF8),
        "\
⠹ etl                3.2 s  running  play-1
├─ ✓ 995 more        9.9 s
├─ ✗ step 100        10 ms  boom
│  └─ ✓ inner         1 ms
├─ ✗ step 500        10 ms  boom
│  └─ ✓ inner         1 ms
├─ ✓ step 997        10 ms
├─ ✓ step 998        10 ms
├─ ✓ step 999        10 ms
├─ ⠹ worker 0       200 ms
├─ ⠹ worker 1       200 ms
└─ ⠹ worker 2       200 ms"
    );
    assert_eq!(
        picture(&large(), (60, 6), UTF8),
        "\
⠹ etl                3.2 s  running  play-1
├─ ✓ 998 more       10.0 s
├─ ✗ step 100        10 ms  boom
│  └─ ✓ 1 more        1 ms
├─ ⠹ worker 0       200 ms
… more below"
    );
}

#[test]
fn every_size_is_kept() {
    for forest in [small(), large()] {
        for rows in 2..40 {
            let lines = render(&forest, (80, rows), EpochMs(4_200.0), UTF8);
            assert!(lines.len() <= rows, "{rows}");
        }
    }
}

#[test]
fn a_child_play_unfolds_under_the_span_that_waits_for_it() {
    let mut call = span("2", "1", "clean", 3_000.0);
    call.child_play_sid = Some("play-2".into());
    let mut forest = forest(
        PlayStatus::Running,
        vec![span("1", "", "etl", 1_000.0), call],
    );
    let child = PlaySid::from("play-2");
    forest.apply(&child, Record::Play(Box::new(play(PlayStatus::Pending))));
    assert_eq!(
        picture(&forest, (80, 24), UTF8),
        "\
⠹ etl                3.2 s  running  play-1
└─ ⠹ clean           1.2 s  → play-2 waiting for a slot"
    );
    forest.apply(&child, Record::Play(Box::new(play(PlayStatus::Running))));
    for span in [
        span("1", "play-1/2", "clean", 3_100.0),
        span("2", "1", "chunk", 3_200.0),
    ] {
        forest.apply(&child, Record::Span(Box::new(span)));
    }
    assert_eq!(
        picture(&forest, (80, 24), UTF8),
        "\
⠹ etl                3.2 s  running  play-1
└─ ⠹ clean           1.2 s  → play-2
   └─ ⠹ chunk        1.0 s"
    );
}

#[test]
fn before_anything_is_known() {
    let forest = Forest::new("play-1".into());
    assert_eq!(picture(&forest, (80, 24), UTF8), "○ connecting");
}

#[test]
fn times_keep_their_column_when_a_long_name_has_gone() {
    let long = forest(
        PlayStatus::Running,
        vec![span("1", "", &"x".repeat(30), 0.0)],
    );
    let short = forest(PlayStatus::Running, vec![span("1", "", "x", 0.0)]);
    let mut names = 0;
    let mut column = |forest: &Forest| {
        let lines = render_steadily(forest, (80, 24), EpochMs(4_200.0), UTF8, &mut names);
        lines[0].to_text(false).find("3.2 s")
    };
    let first = column(&long);
    assert!(first.is_some());
    assert_eq!(column(&short), first);
}
