//! A thousand durable steps of one flow: synced to the disk, and left to the operating system.

use std::{path::Path, time::Instant};

use serde_json::json;

use crate::{
    Bench, Done,
    client::Order,
    report::{Line, Role, Row},
    stats::Rounds,
    tally::Tally,
};

const STEPS: &str = include_str!("../../flows/steps.py");

/// One of the two questions.
struct Question {
    name: &'static str,
    title: &'static str,
    /// Who makes its steps as durable, and of how many steps of hero_logic's it does one.
    peers: &'static [(&'static str, usize)],
    /// Of hero_logic's server.
    option: &'static str,
    /// Of SQLite.
    synchronous: &'static str,
    method: &'static str,
}

const QUESTIONS: [Question; 2] = [
    Question {
        name: "steps",
        title: "each synced to the disk before the next",
        // A step of DBOS with a rollback journal takes ten times as long.
        peers: &[("dbos", 1), ("dbos-shipped", 5), ("restate", 1)],
        option: "fsync",
        synchronous: "FULL",
        method: "hero_logic: WAL, FULL, its default. DBOS in-process: WAL, FULL; as shipped: a rollback journal, FULL. \
                 Restate: its log is synced, as it comes.",
    },
    Question {
        name: "steps-os",
        title: "each handed to the operating system before the next",
        peers: &[("dbos-os", 1), ("restate-os", 1)],
        option: "os",
        synchronous: "NORMAL",
        method: "A death of the process loses nothing, a power failure may. hero_logic: `--durability os`, which is \
                 WAL, NORMAL. DBOS: the same. Restate: `rocksdb-disable-wal-fsync` of its log.",
    },
];

pub(crate) fn steps(bench: &mut Bench) -> Done<Vec<Row>> {
    let rows = QUESTIONS.into_iter().map(|question| ask(bench, &question));
    rows.collect()
}

fn ask(bench: &mut Bench, question: &Question) -> Done<Row> {
    let rounds = bench.rounds(5);
    let count = bench.size(1_000, 20);
    // How its process was started makes no difference to so many steps.
    let start = *bench.starts.first().ok_or("no start")?;
    let server = bench.fresh_server(&["--durability", question.option])?;
    let order = Order::new(&server.add("steps", STEPS)?, json!({"count": count}), start);
    let mut client = server.client()?;
    let peer = |(name, one_of): &(&'static str, usize)| (Tally::new(name), count / one_of);
    let mut others: Vec<(Tally, usize)> = question.peers.iter().map(peer).collect();
    let (mut hero, mut limit) = <(Rounds, Rounds)>::default();
    client.play(&order)?;
    for _ in 0..rounds {
        let (took, _) = client.play(&order)?;
        hero.push(vec![took.as_secs_f64()]);
        for (other, count) in &mut others {
            other.turn(&mut bench.contenders, ("steps", &[*count as u64]));
        }
        let file = bench.scratch().join(format!("{}.db", question.name));
        limit.push(vec![commits(&file, question.synchronous, count)?]);
    }
    server.stop()?;
    let each = |count: usize| 1e3 / count as f64;
    let label = format!("hero_logic, {}", start.word());
    let limit = Line::measured(
        format!("SQLite, WAL {}, a row a commit", question.synchronous),
        Role::Limit,
        limit.scaled(each(count)),
    );
    let others = others
        .iter()
        .filter_map(|(other, count)| other.line(&bench.contenders, each(*count)));
    let lines = [Line::measured(label, Role::Hero, hero.scaled(each(count)))]
        .into_iter()
        .chain(others)
        .chain([limit]);
    Ok(Row {
        name: question.name,
        title: format!(
            "{count} durable steps of one flow, {}: a step",
            question.title
        ),
        unit: "ms",
        lines: lines.collect(),
        method: format!(
            "The whole flow, its start and end too, divided by the steps. {}",
            question.method
        ),
    })
}

/// Seconds of so many commits of a row each.
fn commits(file: &Path, synchronous: &str, count: usize) -> Done<f64> {
    let connection = rusqlite::Connection::open(file)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};
         CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, body TEXT);"
    ))?;
    let body = "x".repeat(180);
    let mut insert = connection.prepare("INSERT INTO rows (body) VALUES (?1)")?;
    let began = Instant::now();
    for _ in 0..count {
        insert.execute([&body])?;
    }
    Ok(began.elapsed().as_secs_f64())
}
