//! The server is killed at a point between "received" and "answered", and started again.
//!
//! Each point is named in `actors::crash_point`; a list here says when it is reached in the workload
//! below. What is asserted does not depend on the point: see [`witness`].

mod random;
mod witness;

use std::{
    collections::{BTreeSet, VecDeque},
    os::unix::process::ExitStatusExt,
    sync::Mutex,
    thread,
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    sequences,
    support::{fixture, home::Home, process, server::Server, source},
};
use witness::{Lost, Witness};

/// Where, and at the how-manieth time. Several times for what is reached on several ways.
const POINTS: &[&str] = &[
    "library_received:1",
    "library_received:4",
    "library_committed:1",
    "library_committed:3",
    "library_committed:4",
    "library_committed:5",
    "library_following:2",
    "library_followed:1",
    "library_followed:5",
    "start_received:1",
    "start_received:6",
    "start_committed:1",
    "start_committed:3",
    "start_committed:5",
    "start_launched:1",
    "start_launched:2",
    "queue_taken:1",
    "queue_taken:2",
    "play_started:1",
    "play_started:3",
    "play_prepared:1",
    "play_prepared:4",
    "play_spawned:1",
    "play_spawned:2",
    "play_spawned:4",
    "play_begun:1",
    "play_begun:3",
    "store_began:8",
    "store_began:20",
    "store_committing:3",
    "store_committing:12",
    "store_committing:25",
    "store_committed:3",
    "store_committed:12",
    "store_committed:25",
    "store_part_committed:1",
    "store_part_committed:2",
    "store_published:9",
    "store_published:24",
    "play_delivered:1",
    "play_delivered:9",
    "play_committed:2",
    "play_committed:10",
    "ask_received:1",
    "ask_received:2",
    "ask_answered:1",
    "ask_answered:2",
    "cancel_received:1",
    "cancel_received:2",
    "cancel_ordered:1",
    "root_ended:1",
    "root_ended:3",
    "play_gone:1",
    "play_gone:3",
    "play_recorded:1",
    "play_recorded:4",
    "play_told:1",
    "play_told:3",
    "play_tidied:1",
    "play_tidied:3",
    "waiters_waking:1",
    "waiters_waking:4",
    "report_taken:1",
    "report_taken:3",
    "stop_received:1",
    "stop_drained:1",
    "stop_closed:1",
];

#[test]
fn every_point_is_in_the_list() {
    let named: BTreeSet<_> = POINTS
        .iter()
        .filter_map(|at| at.split(':').next())
        .chain(sequences::names())
        .collect();
    let all: BTreeSet<_> = actors::crash_point::POINTS
        .iter()
        .copied()
        // See the tests of backups, and of retention.
        .filter(|point| {
            let elsewhere = ["restore_", "retention_"];
            !elsewhere.iter().any(|which| point.starts_with(which))
        })
        .collect();
    assert_eq!(named, all);
}

#[test]
fn a_server_that_is_killed_anywhere_is_right_when_it_is_back() {
    let left = Mutex::new(POINTS.iter().collect::<VecDeque<_>>());
    let wrong = Mutex::new(Vec::new());
    // Most of the time is spent waiting for processes.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(at) = left.lock().unwrap().pop_front() else {
                        return;
                    };
                    if std::panic::catch_unwind(|| killed_at(at)).is_err() {
                        wrong.lock().unwrap().push(at);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "see above: {wrong:?}");
}

fn killed_at(at: &str) {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", at);
    let server = Server::start_in(home, &["--max-plays", "2"]);
    let witness = Witness::of(server.home(), &server.address);
    let lost = workload(&witness, server.pid());
    let (status, home, _) = server.died();
    assert_eq!(status.signal(), Some(9), "{at} was not reached: {lost:?}");
    witness.check(at, home.without_env());
}

/// Everything that is received and answered, until the server is gone.
fn workload(witness: &Witness, pid: u32) -> Result<(), Lost> {
    let workflow = |name: &str| {
        let (source, file) = (source(name), fixture(name));
        witness.create(&json!({"name": name, "python_source": source, "source_file": file}))
    };
    let (ok, nested, hang) = (workflow("ok")?, workflow("nested")?, workflow("hang")?);
    let big = workflow("big")?;
    witness.change(
        "workflow_update",
        &json!({"workflow_sid": ok, "description": "what it does"}),
    )?;
    witness.change(
        "workflow_version_add",
        &json!({"workflow_sid": ok, "python_source": source("ok") + "\n# the second\n"}),
    )?;
    let first = witness.start(&ok, &json!({"n": 1}), json!({}))?;
    witness.follow(&first);
    witness.wait(&first)?;
    let hanging = witness.start(&hang, &json!({}), json!({}))?;
    witness.follow(&hanging);
    let parent = witness.start(&nested, &json!({"n": 1}), json!({}))?;
    witness.follow(&parent);
    let mut queued = Vec::new();
    for n in 0..3 {
        queued.push(witness.start(
            &ok,
            &json!({"n": n}),
            json!({"idempotency_key": format!("k{n}")}),
        )?);
    }
    for sid in [&parent].into_iter().chain(&queued) {
        witness.wait(sid)?;
    }
    // Its input is written in parts, and so is its output.
    let long = json!({"text": "é".repeat(1 << 20), "size": 3 << 20});
    let large = witness.start(&big, &long, json!({}))?;
    witness.wait(&large)?;
    witness.cancel(&hanging)?;
    let last: Vec<_> = (0..3)
        .map(|_| witness.start(&hang, &json!({}), json!({})))
        .collect::<Result<_, _>>()?;
    witness.cancel(&last[2])?;
    process::signal(pid, Signal::TERM);
    witness.wait(&last[0])
}
