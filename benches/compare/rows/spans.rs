//! What a span costs the flow, and how many events a second the server takes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    Bench, Done,
    client::{Order, Start},
    proc,
    report::{Found, Line, Role, Row},
    stats::Rounds,
};

const FLOOD: &str = include_str!("../../flows/flood.py");

pub(crate) fn cost(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(9);
    let count = bench.size(20_000, 200) as u64;
    let ways = [
        ("hero", "hero_tracing, sent", Role::Hero),
        ("opentelemetry", "OpenTelemetry SDK, in memory", Role::Peer),
        ("lines", "two f-string lines, sent", Role::Limit),
    ];
    let mut figures = vec![(Rounds::default(), None); ways.len()];
    for _ in 0..rounds {
        for ((job, ..), (figures, trouble)) in ways.iter().zip(&mut figures) {
            match bench.contenders.ask("spans", (job, &[count])) {
                Some(Ok(samples)) => figures.push(samples),
                Some(Err(found)) => *trouble = Some(found),
                None if *job == "opentelemetry" => {
                    *trouble = Some(Found::Absent("benches/install-peers otel".to_owned()));
                }
                None => {}
            }
        }
    }
    let lines = ways
        .into_iter()
        .zip(figures)
        .map(|((_, label, role), (rounds, trouble))| {
            Line::new(label, role, trouble.unwrap_or(Found::Measured(rounds)))
        });
    Ok(vec![Row {
        name: "span",
        title: "A span: start, two tags, end".to_owned(),
        unit: "µs",
        lines: lines.collect(),
        method: format!(
            "In one process, in turn, {count} each time; what is sent is drained by another process, and has \
             been handed to the kernel before the program goes on."
        ),
    }])
}

pub(crate) fn events(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(3);
    let plays = bench.size(10, 2);
    let spans = bench.size(50_000, 500);
    let events = (2 * plays * spans) as f64;
    let server = bench.fresh_server(&["--max-plays", "16"])?;
    let workflow = server.add("flood", FLOOD)?;
    let order = Order::new(&workflow, json!({"spans": spans}), Start::Warm);
    let mut client = server.client()?;
    let (mut together, mut alone) = (Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        let before = proc::cpu(server.pid()).unwrap_or_default();
        let began = Instant::now();
        let started: Vec<String> = (0..plays)
            .map(|_| client.start(&order))
            .collect::<Done<_>>()?;
        for play in &started {
            let record: Value = client.call("play_wait", &crate::client::wait_params(play))?;
            if record["status"] != "success" || !record["skipped"].is_null() {
                return Err(format!("a flood was not taken whole: {record}").into());
            }
        }
        together.push(vec![events / began.elapsed().as_secs_f64()]);
        let used = proc::cpu(server.pid()).unwrap_or_default() - before;
        let used = used.max(Duration::from_millis(10)).as_secs_f64();
        alone.push(vec![2.0 * events / used]);
    }
    server.stop()?;
    let rows = bench.size(200_000, 2_000);
    let mut raw = Rounds::default();
    for _ in 0..rounds {
        raw.push(vec![sqlite_rows(&bench.scratch().join("raw.db"), rows)?]);
    }
    Ok(vec![Row {
        name: "events",
        title: format!("Span events, socket to committed, {plays} plays sending"),
        unit: "events/s",
        lines: vec![
            Line::measured(
                "hero_logic, senders on the same cores",
                Role::Hero,
                together,
            ),
            Line::measured("hero_logic, were two cores its own", Role::Hero, alone)
                .remark("events for each second of CPU time of the server, times two"),
            Line::measured("SQLite, WAL FULL, 1,000 rows a commit", Role::Limit, raw)
                .remark("rows a second, one thread; an event of a span's end changes a row"),
        ],
        method: format!(
            "{spans} spans a play, lines made beforehand, without the SDK's cost; the plays' start and end \
             included, until the last end is committed."
        ),
    }])
}

fn sqlite_rows(file: &std::path::Path, rows: usize) -> Done<f64> {
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        std::fs::remove_file(name).ok();
    }
    let connection = rusqlite::Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT, body TEXT);",
    )?;
    let body = "x".repeat(180);
    let began = Instant::now();
    let mut written = 0;
    while written < rows {
        connection.execute_batch("BEGIN")?;
        let mut insert =
            connection.prepare_cached("INSERT INTO rows (name, body) VALUES (?1, ?2)")?;
        for number in 0..1_000.min(rows - written) {
            insert.execute((format!("row {}", written + number), &body))?;
        }
        drop(insert);
        connection.execute_batch("COMMIT")?;
        written += 1_000;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}
