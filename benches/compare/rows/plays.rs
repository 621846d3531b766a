//! A play that does nothing: one after another, after a while of idleness, many at once.

use std::time::Duration;

use serde_json::json;

use crate::{
    Bench, Done,
    client::{Client, Order, Start},
    report::{Line, Role, Row},
    started_as::StartedAs,
    stats::Rounds,
    tally::Tally,
};

const SOURCE: &str = include_str!("../../flows/trivial.py");

/// hero_logic's side of a row of trivial plays.
struct Hero {
    start: Start,
    order: Order,
    rounds: Rounds,
    started_as: StartedAs,
}

impl Hero {
    fn all(bench: &mut Bench) -> Done<(Client, Vec<Self>)> {
        let starts = bench.starts.clone();
        let server = bench.server()?;
        let workflow = workflow(server)?;
        let heroes = starts.into_iter().map(|start| Self {
            start,
            order: Order::new(&workflow, json!({"x": 1}), start),
            rounds: Rounds::default(),
            started_as: StartedAs::default(),
        });
        Ok((server.client()?, heroes.collect()))
    }

    fn line(self, factor: f64) -> Line {
        self.started_as.tell(Line::measured(
            format!("hero_logic, {}", self.start.word()),
            Role::Hero,
            self.rounds.scaled(factor),
        ))
    }
}

/// The trivial workflow, made where it is not there yet.
pub(crate) fn workflow(server: &crate::server::Server) -> Done<String> {
    let page: serde_json::Value = server
        .client()?
        .call("workflow_list", &json!({"name": "trivial"}))?;
    match page["items"][0]["sid"].as_str() {
        Some(sid) => Ok(sid.to_owned()),
        None => server.add("trivial", SOURCE),
    }
}

pub(crate) fn trivial(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(8);
    let count = bench.size(40, 3);
    let (lines, _) = one_by_one(bench, rounds, count, 0)?;
    Ok(vec![Row {
        name: "trivial",
        title: "Trivial play, one after another".to_owned(),
        unit: "ms",
        lines,
        method: "From the request to start it until the answer that it has ended; hero_logic: \
                 `play_run_async` and `play_wait` over the Unix socket."
            .to_owned(),
    }])
}

pub(crate) fn after_idleness(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(5);
    let count = bench.size(20, 2);
    let (lines, _) = one_by_one(bench, rounds, count, 20)?;
    Ok(vec![Row {
        name: "idle",
        title: "Trivial play, each after 20 ms of idleness".to_owned(),
        unit: "ms",
        lines,
        method: String::new(),
    }])
}

fn one_by_one(
    bench: &mut Bench,
    rounds: usize,
    count: usize,
    pause_ms: u64,
) -> Done<(Vec<Line>, usize)> {
    let (mut client, mut heroes) = Hero::all(bench)?;
    let mut others = tallies(bench);
    for _ in 0..rounds {
        for hero in &mut heroes {
            let mut samples = Vec::new();
            for number in 0..count + 2 {
                if pause_ms > 0 {
                    std::thread::sleep(Duration::from_millis(pause_ms));
                }
                let (took, ended) = client.play(&hero.order)?;
                // The first two are not counted, as with the others.
                if number >= 2 {
                    samples.push(took.as_secs_f64());
                    hero.started_as.note(&ended);
                }
            }
            hero.rounds.push(samples);
        }
        for other in &mut others {
            // Who needs a second for each gets fewer turns.
            let slow = other.name.starts_with("prefect");
            let count = if slow { count.div_ceil(20) } else { count };
            other.turn(
                &mut bench.contenders,
                ("trivial", &[count as u64, pause_ms]),
            );
        }
    }
    Ok((lines(bench, heroes, others, 1e3), count))
}

fn tallies(bench: &Bench) -> Vec<Tally> {
    bench
        .contenders
        .names()
        .into_iter()
        .map(Tally::new)
        .collect()
}

fn lines(bench: &Bench, heroes: Vec<Hero>, others: Vec<Tally>, factor: f64) -> Vec<Line> {
    let heroes = heroes.into_iter().map(|hero| hero.line(factor));
    let others = others
        .into_iter()
        .filter_map(|other| other.line(&bench.contenders, factor));
    heroes.chain(others).collect()
}

pub(crate) fn burst(bench: &mut Bench) -> Done<Vec<Row>> {
    let count = bench.size(200, 8);
    let rounds = bench.rounds(3);
    let lines = at_once(bench, rounds, count, count, 15)?;
    Ok(vec![Row {
        name: "burst",
        title: format!("{count} trivial plays at once"),
        unit: "plays/s",
        lines,
        method: "All are asked for at once on one connection; until the last has ended.".to_owned(),
    }])
}

pub(crate) fn sustained(bench: &mut Bench) -> Done<Vec<Row>> {
    let count = bench.size(10_000, 12);
    let rounds = bench.rounds(1);
    let seconds = bench.size(15, 5);
    let lines = at_once(bench, rounds, count, 64, seconds)?;
    Ok(vec![Row {
        name: "sustained",
        title: format!("{count} trivial plays, 64 in flight"),
        unit: "plays/s",
        lines,
        method: format!("Or as many as are started within {seconds} s."),
    }])
}

fn at_once(
    bench: &mut Bench,
    rounds: usize,
    count: usize,
    in_flight: usize,
    seconds: usize,
) -> Done<Vec<Line>> {
    let (mut client, mut heroes) = Hero::all(bench)?;
    let mut others = tallies(bench);
    let limit = Duration::from_secs(seconds as u64);
    for _ in 0..rounds {
        for hero in &mut heroes {
            let (done, took) = client.many(&hero.order, count, in_flight, limit)?;
            hero.rounds.push(vec![done as f64 / took.as_secs_f64()]);
        }
        for other in &mut others {
            let numbers = [count as u64, in_flight as u64, seconds as u64];
            other.turn(&mut bench.contenders, ("many", &numbers));
        }
    }
    Ok(lines(bench, heroes, others, 1.0))
}
