//! From an answer to the flow that goes on with it.

use std::time::Duration;

use serde_json::json;

use crate::{
    Bench, Done,
    client::{Client, Order, Start},
    clock::epoch,
    report::{Line, Role, Row},
    started_as::StartedAs,
    stats::Rounds,
    tally::Tally,
};

const ANSWER: &str = include_str!("../../flows/answer.py");

/// Before each answer: who is asked takes a while.
const IDLE: Duration = Duration::from_millis(20);
/// What is told of each answer: until the flow goes on, and until it is acknowledged.
const FIGURES: usize = 2;

/// What a peer is asked for.
struct Asked {
    peer: &'static str,
    job: &'static str,
    /// How it waits.
    waits: &'static str,
    /// It is given one answer for so many of hero_logic's.
    one_of: usize,
}

const PEERS: [Asked; 5] = [
    Asked::new("restate", "answer", "suspended"),
    Asked::new("restate", "answer-in-memory", "in memory"),
    Asked::new("dbos-prompt", "answer", "in memory"),
    // Half a second each.
    Asked::new("dbos", "answer", "in memory").one_of(5),
    Asked::new("dbos-shipped", "answer", "in memory").one_of(5),
];

impl Asked {
    const fn new(peer: &'static str, job: &'static str, waits: &'static str) -> Self {
        Self {
            peer,
            job,
            waits,
            one_of: 1,
        }
    }

    const fn one_of(self, one_of: usize) -> Self {
        Self { one_of, ..self }
    }
}

/// hero_logic's side, with one kind of start.
struct Way {
    start: Start,
    order: Order,
    figures: [Rounds; FIGURES],
    started_as: StartedAs,
}

impl Way {
    /// Plays that ask, one after another, and are answered.
    fn turn(&mut self, client: &mut Client, count: usize) -> Done<()> {
        let (mut resumed, mut acknowledged) = (Vec::new(), Vec::new());
        // The first two are not counted, as with the others.
        for number in 0..count + 2 {
            let play = client.start(&self.order)?;
            let question = client.question(&play)?;
            std::thread::sleep(IDLE);
            let sent = epoch();
            client.resume(&play, &question)?;
            let answered = epoch();
            let ended = client.wait(&play)?.expect_success()?;
            if number >= 2 {
                resumed.push(ended.output::<f64>()? - sent);
                acknowledged.push(answered - sent);
                self.started_as.note(&ended);
            }
        }
        let [until_resumed, until_acknowledged] = &mut self.figures;
        until_resumed.push(resumed);
        until_acknowledged.push(acknowledged);
        Ok(())
    }

    fn line(&self, column: usize) -> Line {
        let label = format!(
            "hero_logic, without a process meanwhile, {}",
            self.start.word()
        );
        let line = Line::measured(label, Role::Hero, self.figures[column].clone().scaled(1e3));
        self.started_as.tell(line)
    }
}

pub(crate) fn answer(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(5);
    let count = bench.size(40, 3);
    let starts = bench.starts.clone();
    let server = bench.server()?;
    let workflow = server.add("answer", ANSWER)?;
    let mut client = server.client()?;
    let way = |start| Way {
        start,
        order: Order::new(&workflow, json!({}), start),
        figures: Default::default(),
        started_as: StartedAs::default(),
    };
    let mut ways: Vec<Way> = starts.into_iter().map(way).collect();
    let tally = |asked: &Asked| Tally::of(asked.peer, FIGURES).how(asked.waits);
    let mut others: Vec<Tally> = PEERS.iter().map(tally).collect();
    for _ in 0..rounds {
        for way in &mut ways {
            way.turn(&mut client, count)?;
        }
        for (other, asked) in others.iter_mut().zip(&PEERS) {
            let count = count.div_ceil(asked.one_of) as u64;
            other.turn(&mut bench.contenders, (asked.job, &[count]));
        }
    }
    let lines = |column| {
        let heroes = ways.iter().map(|way| way.line(column));
        let others = others
            .iter()
            .filter_map(|other| other.line_of(column, "", &bench.contenders, 1e3));
        heroes.chain(others).collect()
    };
    Ok(vec![
        Row {
            name: "answer",
            title: "From an answer to the first statement behind the question".to_owned(),
            unit: "ms",
            lines: lines(0),
            method: "Clocks of two processes on one machine; each answer after 20 ms in which the flow waited. hero_logic's \
                     play has no process while it waits. Restate's invocation is suspended (its inactivity timeout is set to \
                     1 ms), or waits in its handler; DBOS's workflow waits in a thread, and its messages are looked for, each \
                     second as it comes."
                .to_owned(),
        },
        Row {
            name: "answer-acknowledged",
            title: "From an answer to its acknowledgement".to_owned(),
            unit: "ms",
            lines: lines(1),
            method: "Of the same answers; synced to the disk by all of them.".to_owned(),
        },
    ])
}
