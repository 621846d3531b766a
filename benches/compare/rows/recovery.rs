//! A thousand plays whose server is killed, and what the next server makes of them.

use std::path::Path;

use serde_json::json;

use super::crowd::Gate;
use crate::{
    Bench, Done,
    client::{Ended, Order, wait_params},
    clock::epoch,
    report::{Line, Role, Row},
    server::Server,
    stats::Rounds,
    tally::Tally,
};

const INTERRUPTED: &str = include_str!("../../flows/interrupted.py");

const MOMENTS: [&str; 3] = [
    "until it answers",
    "until all run again",
    "until all have ended",
];

pub(crate) fn recovery(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(3);
    let count = bench.size(1_000, 5);
    let mut hero: [Rounds; MOMENTS.len()] = Default::default();
    let names = ["dbos", "restate"];
    let mut others = names.map(|name| Tally::of(name, MOMENTS.len()));
    for round in 0..rounds {
        let gate = bench.scratch().join(format!("gate-recovery-{round}"));
        for (rounds, seconds) in hero.iter_mut().zip(interrupt(bench, &gate, count)?) {
            rounds.push(vec![seconds]);
        }
        for other in &mut others {
            other.turn(&mut bench.contenders, ("recovery", &[count as u64]));
        }
    }
    let mut lines = Vec::new();
    for (column, (what, rounds)) in MOMENTS.into_iter().zip(hero).enumerate() {
        lines.push(Line::measured(
            format!("hero_logic, {what}"),
            Role::Hero,
            rounds,
        ));
        let others = others.iter();
        lines
            .extend(others.filter_map(|other| other.line_of(column, what, &bench.contenders, 1.0)));
    }
    Ok(vec![Row {
        name: "recovery",
        title: format!("{count} plays with a kept step each go on after a SIGKILL of their server"),
        unit: "s",
        lines,
        method: format!(
            "From the start of the next one, at once after the kill. Until its line says that it answers; until the last \
             play's code runs again; until all have ended. hero_logic: `--max-plays {count}`, each play a process. DBOS: \
             killed and started anew is the process with the workflows, a thread each; it answers once it is launched. \
             Restate: the server and the service, both; it answers once its ingress has called a handler, and all are \
             invocations of one process."
        ),
    }])
}

/// Seconds from the start of the next server to each of the moments.
fn interrupt(bench: &mut Bench, gate: &Path, count: usize) -> Done<[f64; MOMENTS.len()]> {
    let slots = count.to_string();
    let options = ["--max-plays", slots.as_str()];
    let start = *bench.starts.first().ok_or("no start")?;
    let server = bench.fresh_server(&options)?;
    let workflow = server.add("interrupted", INTERRUPTED)?;
    let gate = Gate::open(gate)?;
    let order = Order::new(&workflow, json!({"path": gate.path()}), start);
    let mut client = server.client()?;
    let plays: Vec<String> = (0..count)
        .map(|_| client.start(&order))
        .collect::<Done<_>>()?;
    gate.wait_for(count)?;
    let data_dir = server.kill()?;
    let began = epoch();
    let server: Server = bench.server_in(data_dir, &options)?;
    let answers = epoch();
    let mut client = server.client()?;
    for play in &plays {
        client.send("play_wait", &wait_params(play))?;
    }
    let mut last = began;
    for _ in &plays {
        let ended = client.receive::<Ended>()?.1.expect_success()?;
        if ended.attempt != 2 {
            return Err(format!(
                "a play ended in attempt {}, not in the second",
                ended.attempt
            )
            .into());
        }
        last = last.max(ended.output()?);
    }
    let ended = epoch();
    server.stop()?;
    Ok([answers, last, ended].map(|moment| moment - began))
}
