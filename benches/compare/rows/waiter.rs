//! From the commit of a play's end to the answer of whoever waits for it, beside how long a message and its
//! answer take on a Unix socket.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

use serde_json::json;

use super::{crowd::Gate, plays};
use crate::{
    Bench, Done,
    client::{Client, Order, Start, wait_params},
    report::{Line, Role, Row},
    server::Server,
    stats::Rounds,
    wal::Watcher,
};

/// As many requests as one connection may have under way, with room for others.
const A_CONNECTION: usize = 1_000;

pub(crate) fn wake_up(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(5);
    let count = bench.size(200, 5);
    let crowd = bench.size(10_000, 20);
    let server = bench.fresh_server(&[])?;
    let workflow = plays::workflow(&server)?;
    let order = Order::new(&workflow, json!({"x": 1}), Start::Warm);
    let mut client = server.client()?;
    client.play(&order)?;
    let watcher = Watcher::start(&server.data_dir)?;
    let (mut alone, mut beside) = <(Rounds, Rounds)>::default();
    let mut trips = Trips::default();
    for _ in 0..rounds {
        trips.push(count * 10)?;
        alone.push(wake_ups(&mut client, &order, &watcher, count)?);
    }
    let gate = Gate::open(&bench.scratch().join("waiters.sock"))?;
    let waiters = Waiters::wait(&server, &gate, crowd)?;
    for _ in 0..rounds {
        trips.push(count * 10)?;
        beside.push(wake_ups(&mut client, &order, &watcher, count)?);
    }
    drop(gate);
    waiters.answered()?;
    drop(watcher);
    server.stop()?;
    let mut lines = vec![
        Line::measured("hero_logic", Role::Hero, alone.scaled(1e3)),
        Line::measured(
            format!("hero_logic, {crowd} others wait"),
            Role::Hero,
            beside.scaled(1e3),
        ),
    ];
    lines.extend(trips.lines());
    Ok(vec![Row {
        name: "waiter",
        title: "From the commit of a play's end to its waiter's answer".to_owned(),
        unit: "ms",
        lines,
        method: format!(
            "The commit is seen from outside, in the index of SQLite's log, up to 50 µs late; it is the last one \
             before the answer. Of {} plays each; those whose commit was not seen that well are left out.",
            rounds * count
        ),
    }])
}

fn wake_ups(client: &mut Client, order: &Order, watcher: &Watcher, count: usize) -> Done<Vec<f64>> {
    let mut samples = Vec::new();
    let mut plays = 0;
    // On a busy machine it may take more until one commit is seen well.
    while plays < count || samples.is_empty() && plays < count + 200 {
        client.play(order)?;
        plays += 1;
        let answered = Instant::now();
        if let Some(committed) = watcher.last_before(answered) {
            samples.push((answered - committed).as_secs_f64());
        }
    }
    Ok(samples)
}

/// A message of 64 bytes and its answer on a Unix socket, between two threads that block.
#[derive(Debug, Default)]
struct Trips {
    anywhere: Rounds,
    /// Each thread kept on a core of its own: waking another core costs most of it.
    apart: Rounds,
}

impl Trips {
    fn push(&mut self, count: usize) -> Done<()> {
        self.anywhere.push(round_trips(count, None)?);
        if cfg!(target_os = "linux") && std::thread::available_parallelism()?.get() > 1 {
            self.apart.push(round_trips(count, Some((0, 1)))?);
        }
        Ok(())
    }

    fn lines(self) -> Vec<Line> {
        let mut lines = Vec::new();
        let ways = [
            ("wherever the kernel puts them", self.anywhere),
            ("two cores", self.apart),
        ];
        for (way, rounds) in ways {
            if rounds.count() > 0 {
                let label = format!("Unix socket, there and back, {way}");
                lines.push(Line::measured(label, Role::Limit, rounds.scaled(1e3)));
            }
        }
        lines
    }
}

fn round_trips(count: usize, cores: Option<(usize, usize)>) -> Done<Vec<f64>> {
    let (mut here, mut there) = UnixStream::pair()?;
    let echo = std::thread::spawn(move || {
        keep_on(cores.map(|(_, other)| other));
        let mut message = [0; 64];
        while there.read_exact(&mut message).is_ok() && there.write_all(&message).is_ok() {}
    });
    // A thread of its own, since it may be kept on a core.
    let asking = std::thread::spawn(move || {
        keep_on(cores.map(|(one, _)| one));
        let mut message = [7; 64];
        let mut samples = Vec::new();
        for _ in 0..count {
            let began = Instant::now();
            here.write_all(&message)?;
            here.read_exact(&mut message)?;
            samples.push(began.elapsed().as_secs_f64());
        }
        Ok::<_, std::io::Error>(samples)
    });
    let samples = asking.join().map_err(|_| "the asking thread panicked")??;
    echo.join().map_err(|_| "the echo panicked")?;
    Ok(samples)
}

/// Keeps this thread on a core, where that is possible.
#[cfg(target_os = "linux")]
fn keep_on(core: Option<usize>) {
    if let Some(core) = core {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores).ok();
    }
}

#[cfg(not(target_os = "linux"))]
fn keep_on(_: Option<usize>) {}

/// Many who wait for one play that does not end until its gate is shut.
#[derive(Debug)]
struct Waiters {
    clients: Vec<(Client, usize)>,
}

impl Waiters {
    fn wait(server: &Server, gate: &Gate, count: usize) -> Done<Self> {
        let workflow = server.add("block", super::crowd::BLOCK)?;
        let order = Order::new(&workflow, json!({"path": gate.path()}), Start::Warm);
        let play = server.client()?.start(&order)?;
        gate.wait_for(1)?;
        let params = wait_params(&play);
        let mut clients = Vec::new();
        let mut left = count;
        while left > 0 {
            let mut client = server.client()?;
            let these = left.min(A_CONNECTION);
            for _ in 0..these {
                client.send("play_wait", &params)?;
            }
            // Answered after all before it were read.
            client.send("server_info", &json!({}))?;
            client.receive::<serde_json::Value>()?;
            clients.push((client, these));
            left -= these;
        }
        Ok(Self { clients })
    }

    /// All are told of the end.
    fn answered(self) -> Done<()> {
        for (mut client, count) in self.clients {
            for _ in 0..count {
                client
                    .receive::<crate::client::Ended>()?
                    .1
                    .expect_success()?;
            }
        }
        Ok(())
    }
}
