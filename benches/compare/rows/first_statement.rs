//! How long until the flow's own code runs, with what it imports.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::{
    Bench, Done,
    client::{Client, Order},
    clock::epoch,
    report::{Found, Line, Role, Row},
    stats::Rounds,
};

const BARE: &str = include_str!("../../flows/moment.py");
const IMPORTS: &str = include_str!("../../flows/moment_imports.py");

pub(crate) fn imports(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(3);
    let count = bench.size(10, 2);
    let python = bench.python.clone();
    let mut lines = Vec::new();
    let plain = ("no imports", "moment", BARE, python);
    let data = bench.contenders.environment("data");
    let heavy = data.map(|python| ("numpy, pandas, httpx", "moment_imports", IMPORTS, python));
    let missing = heavy.is_none();
    for (what, name, source, python) in [Some(plain), heavy].into_iter().flatten() {
        lines.extend(one(bench, (what, name, source), &python, rounds, count)?);
    }
    if missing {
        let why = "benches/install-peers data".to_owned();
        let what = "numpy, pandas, httpx";
        lines.push(Line::new(what, Role::Peer, Found::Absent(why)));
    }
    Ok(vec![Row {
        name: "imports",
        title: "From the request to the flow's first statement after its imports".to_owned(),
        unit: "ms",
        lines,
        method: "Clocks of two processes on one machine; the first two plays of each flow are not counted."
            .to_owned(),
    }])
}

fn one(
    bench: &mut Bench,
    (what, name, source): (&str, &str, &str),
    python: &Path,
    rounds: usize,
    count: usize,
) -> Done<Vec<Line>> {
    let starts = bench.starts.clone();
    let server = bench.server()?;
    let mut client = server.client()?;
    let workflow = server.add(name, source)?;
    let mut figures = vec![Rounds::default(); starts.len()];
    let mut subprocess = Rounds::default();
    let script = PathBuf::from(bench.scratch()).join("moment.py");
    // Without the SDK: what a program of its own would be.
    let alone: Vec<_> = source
        .lines()
        .take_while(|line| !line.starts_with('@'))
        .filter(|line| !line.contains("hero_tracing"))
        .collect();
    std::fs::write(&script, alone.join("\n") + "\nprint(FIRST)\n")?;
    for _ in 0..rounds {
        for (start, figures) in starts.iter().zip(&mut figures) {
            let order = Order::new(&workflow, json!({}), *start).python(python);
            figures.push(hero(&mut client, &order, count)?);
        }
        let mut samples = Vec::new();
        for _ in 0..count {
            let began = epoch();
            let output = Command::new(python).arg("-I").arg(&script).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let first: f64 = text.trim().parse().map_err(|_| {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                format!("{}: {said}", script.display())
            })?;
            samples.push(first - began);
        }
        subprocess.push(samples);
    }
    let heroes = starts.iter().zip(figures).map(|(start, figures)| {
        let label = format!("hero_logic, {what}, {}", start.word());
        Line::measured(label, Role::Hero, figures.scaled(1e3))
    });
    let other = Line::measured(
        format!("subprocess, {what}"),
        Role::Peer,
        subprocess.scaled(1e3),
    );
    Ok(heroes.chain([other]).collect())
}

fn hero(client: &mut Client, order: &Order, count: usize) -> Done<Vec<f64>> {
    let mut samples = Vec::new();
    for number in 0..count + 2 {
        let began = epoch();
        let (_, ended) = client.play(order)?;
        let first: f64 = ended.output()?;
        if number >= 2 {
            samples.push(first - began);
        }
    }
    Ok(samples)
}
