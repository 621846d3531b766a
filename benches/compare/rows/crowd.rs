//! A thousand plays at once, and what memory all of it takes.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Bench, Done,
    client::{Order, Start},
    contenders, proc,
    report::{Line, Role, Row},
    server::Server,
    stats::Rounds,
};

pub(crate) const BLOCK: &str = include_str!("../../flows/block.py");

/// How long until as many as were started have come to the gate.
const PATIENCE: Duration = Duration::from_secs(240);
const MIB: f64 = (1 << 20) as f64;

/// Where blocking programs say their pid, and wait until it is shut.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
    arrivals: mpsc::Receiver<(u32, UnixStream)>,
    inside: Mutex<Vec<(u32, UnixStream)>>,
}

impl Gate {
    pub(crate) fn open(path: &Path) -> Done<Self> {
        let listener = UnixListener::bind(path)?;
        let (sender, arrivals) = mpsc::channel();
        // It ends with the first arrival after the gate is gone, or with the benchmark.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                let Ok(read) = stream.try_clone() else { return };
                let pid = BufReader::new(read).read_line(&mut line);
                let pid = pid.ok().and_then(|_| line.trim().parse().ok());
                if sender.send((pid.unwrap_or_default(), stream)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            path: path.to_owned(),
            arrivals,
            inside: Mutex::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until so many have come in all; their pids.
    pub(crate) fn wait_for(&self, count: usize) -> Done<Vec<u32>> {
        let began = Instant::now();
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        while inside.len() < count {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let Ok(arrival) = self.arrivals.recv_timeout(left) else {
                let started = inside.len();
                return Err(format!("{started} of {count} programs that wait have started").into());
            };
            inside.push(arrival);
        }
        Ok(inside.iter().map(|(pid, _)| *pid).collect())
    }
}

/// What blocking plays or programs came to.
#[derive(Debug, Default)]
struct Scene {
    /// Until all of them ran, and until all had ended; seconds.
    up: f64,
    down: f64,
    /// Private memory of each process, MiB.
    each: Vec<f64>,
}

pub(crate) fn crowd(bench: &mut Bench) -> Done<Vec<Row>> {
    let count = bench.size(1_000, 10);
    let server = bench.fresh_server(&["--max-plays", &count.to_string()])?;
    // The library has one flow, and one play was there: what is loaded late is loaded.
    let workflow = server.add("block", BLOCK)?;
    let order = |gate: &Gate| Order::new(&workflow, json!({"path": gate.path()}), Start::Warm);
    let first = Gate::open(&bench.scratch().join("gate-0"))?;
    plays(&server, &order(&first), first, 1, |_| ())?;
    let idle = Idle::of(&server);
    let before = proc::memory(server.pid()).unwrap_or_default().private;
    let mut after = before;
    let gate = Gate::open(&bench.scratch().join("gate-1"))?;
    let hero = plays(&server, &order(&gate), gate, count, |_| {
        after = proc::memory(server.pid()).unwrap_or_default().private;
    })?;
    server.stop()?;
    let gate = Gate::open(&bench.scratch().join("gate-2"))?;
    let other = programs(&bench.python, gate, count)?;
    let in_server = after.saturating_sub(before) as f64 / count as f64 / MIB;
    let mut rows = vec![Row {
        name: "crowd",
        title: format!("{count} plays at once that wait for something"),
        unit: "s",
        lines: vec![
            Line::measured(
                "hero_logic, until all run",
                Role::Hero,
                vec![hero.up].into(),
            ),
            Line::measured(
                "subprocess, until all run",
                Role::Peer,
                vec![other.up].into(),
            ),
            Line::measured(
                "hero_logic, until all have ended",
                Role::Hero,
                vec![hero.down].into(),
            ),
            Line::measured(
                "subprocess, until all have ended",
                Role::Peer,
                vec![other.down].into(),
            ),
        ],
        method: String::new(),
    }];
    rows.extend(memory(bench, &idle, hero.each, in_server, other.each));
    Ok(rows)
}

/// Bytes of the parts of a server at rest.
#[derive(Debug)]
struct Idle {
    server_and_guard: u64,
    /// What else it keeps running: processes that plays are forked from.
    warm: Vec<u64>,
}

impl Idle {
    fn of(server: &Server) -> Self {
        let (guards, warm): (Vec<u32>, Vec<u32>) = proc::below(server.pid())
            .into_iter()
            .partition(|pid| proc::same_program(*pid, server.pid()));
        let proportional = |pid: &u32| proc::memory(*pid).map(|memory| memory.proportional);
        Self {
            server_and_guard: guards
                .iter()
                .chain([&server.pid()])
                .filter_map(proportional)
                .sum(),
            warm: warm.iter().filter_map(proportional).collect(),
        }
    }
}

fn memory(
    bench: &Bench,
    idle: &Idle,
    play: Vec<f64>,
    in_server: f64,
    program: Vec<f64>,
) -> Vec<Row> {
    let one = |bytes: u64| Rounds::from(vec![bytes as f64 / MIB]);
    let of_a_play = vec![
        Line::measured("hero_logic, its process", Role::Hero, play.into()),
        Line::measured(
            "a Python that waits, without a runtime",
            Role::Limit,
            program.into(),
        ),
        Line::measured(
            "hero_logic, in the server",
            Role::Hero,
            vec![in_server].into(),
        )
        .alone()
        .remark("growth of the server's private memory, divided by the plays"),
    ];
    let resting = Line::measured(
        "hero_logic, server and guard",
        Role::Hero,
        one(idle.server_and_guard),
    );
    let mut at_rest = vec![resting];
    for name in bench.contenders.names() {
        let (label, role) = bench.contenders.label(name);
        if role != Role::Peer {
            continue;
        }
        // Those that an earlier row started.
        if let Some(pid) = bench.contenders.pid(name) {
            at_rest.push(Line::measured(label, role, one(proc::memory_of_tree(pid))));
        }
    }
    if !idle.warm.is_empty() {
        let each = idle.warm.iter().map(|bytes| *bytes as f64 / MIB);
        let each = Rounds::from(each.collect::<Vec<_>>());
        let line = Line::measured(
            "hero_logic, processes that plays are forked from, each",
            Role::Hero,
            each,
        );
        at_rest.push(line.alone());
    }
    vec![
        Row {
            name: "memory-play",
            title: "Private memory of a play that waits".to_owned(),
            unit: "MiB",
            lines: of_a_play,
            method: "While all those of the row before wait.".to_owned(),
        },
        Row {
            name: "memory-idle",
            title: "Memory at rest".to_owned(),
            unit: "MiB",
            lines: at_rest,
            method: "Proportional memory of all processes. Peers as they stand after the rows before, with the \
                     benchmark's client where that is in the same process."
                .to_owned(),
        },
    ]
}

/// Plays that wait at the gate; what is looked at while all of them do.
fn plays(
    server: &Server,
    order: &Order,
    gate: Gate,
    count: usize,
    look: impl FnOnce(&[u32]),
) -> Done<Scene> {
    let mut client = server.client()?;
    let began = Instant::now();
    let started: Vec<String> = (0..count)
        .map(|_| client.start(order))
        .collect::<Done<_>>()?;
    let pids = gate.wait_for(count)?;
    let up = began.elapsed().as_secs_f64();
    look(&pids);
    let each = private(&pids);
    let ending = Instant::now();
    drop(gate);
    for play in &started {
        client.wait(play)?.expect_success()?;
    }
    Ok(Scene {
        up,
        down: ending.elapsed().as_secs_f64(),
        each,
    })
}

fn programs(python: &Path, gate: Gate, count: usize) -> Done<Scene> {
    let began = Instant::now();
    let start = |_| {
        Command::new(python)
            .arg("-I")
            .arg(contenders::script("block.py"))
            .arg(gate.path())
            .spawn()
    };
    let mut children = (0..count).map(start).collect::<Result<Vec<Child>, _>>()?;
    let pids = gate.wait_for(count)?;
    let up = began.elapsed().as_secs_f64();
    let each = private(&pids);
    let ending = Instant::now();
    drop(gate);
    for child in &mut children {
        child.wait()?;
    }
    Ok(Scene {
        up,
        down: ending.elapsed().as_secs_f64(),
        each,
    })
}

fn private(pids: &[u32]) -> Vec<f64> {
    let memory = pids.iter().filter_map(|pid| proc::memory(*pid));
    memory.map(|memory| memory.private as f64 / MIB).collect()
}
