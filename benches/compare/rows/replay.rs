//! A play with many kept steps goes on: how long until it is behind them.

use serde_json::json;

use crate::{
    Bench, Done,
    client::Order,
    clock::epoch,
    report::{Line, Role, Row},
    stats::Rounds,
    tally::Tally,
};

const REPLAY: &str = include_str!("../../flows/replay.py");

const PARTS: [&str; 2] = ["from the order", "from its first statement"];

/// What is their order to go on.
const PEERS: [(&str, &str); 2] = [("dbos", "started anew"), ("restate", "answered")];

pub(crate) fn replay(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(5);
    let count = bench.size(10_000, 20);
    let start = *bench.starts.first().ok_or("no start")?;
    let server = bench.fresh_server(&[])?;
    let workflow = server.add("replay", REPLAY)?;
    let order = Order::new(&workflow, json!({"count": count}), start);
    let mut client = server.client()?;
    let mut hero: [Rounds; PARTS.len()] = Default::default();
    let mut others = PEERS.map(|(name, how)| Tally::of(name, PARTS.len()).how(how));
    for _ in 0..rounds {
        let play = client.start(&order)?;
        let question = client.question(&play)?;
        let sent = epoch();
        client.resume(&play, &question)?;
        let ended = client.wait(&play)?.expect_success()?;
        let [began, behind]: [f64; 2] = ended.output()?;
        for (rounds, from) in hero.iter_mut().zip([sent, began]) {
            rounds.push(vec![behind - from]);
        }
        for other in &mut others {
            other.turn(&mut bench.contenders, ("replay", &[count as u64]));
        }
    }
    server.stop()?;
    let mut lines = Vec::new();
    for (column, (what, rounds)) in PARTS.into_iter().zip(hero).enumerate() {
        let label = format!("hero_logic, answered, {what}");
        lines.push(Line::measured(label, Role::Hero, rounds.scaled(1e3)));
        let others = others.iter();
        lines
            .extend(others.filter_map(|other| other.line_of(column, what, &bench.contenders, 1e3)));
    }
    Ok(vec![Row {
        name: "replay",
        title: format!("A flow with {count} kept steps goes on: until it is behind them"),
        unit: "ms",
        lines,
        method: "hero_logic's play and Restate's invocation, suspended, are answered a question that stands behind the \
                 steps. DBOS's workflow was killed behind them and goes on when its process is started anew: its start is in \
                 the first figure."
            .to_owned(),
    }])
}
