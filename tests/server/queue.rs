//! Many plays wait for a slot.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    http,
    server::{Server, text},
    until,
};

/// Resident memory, bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1_024
}

/// Starts so many plays; their sids.
fn start_many(server: &Server, workflow: &str, count: usize) -> Vec<String> {
    let mut stream = UnixStream::connect(server.home().socket()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let params = json!({"workflow_sid": workflow, "input_data": "{}", "parent_span_id": ""});
    let mut sids = Vec::with_capacity(count);
    while sids.len() < count {
        let page = 500.min(count - sids.len());
        let batch = vec![http::request("play_run_async", &params); page];
        writeln!(stream, "{}", json!(batch)).unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let answers: Vec<Value> = serde_json::from_str(&line).unwrap();
        sids.extend(answers.iter().map(|answer| text(&answer["result"])));
    }
    // A batch is answered in any order; sids sort by creation.
    sids.sort();
    sids
}

fn running(server: &Server) -> Vec<String> {
    let page = server.call("play_list", &json!({"status": "running"}));
    let items = page["items"].as_array().unwrap();
    items.iter().map(|play| text(&play["sid"])).collect()
}

fn pending(server: &Server) -> u64 {
    server.call("server_info", &json!({}))["pending"]
        .as_u64()
        .unwrap()
}

fn wait_in_order(count: usize) {
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let hang = server.add_unresumed("hang");
    let first = server.start_play(&hang, &json!({}));
    server.span(&first, "hanging");
    let before = memory(server.pid());
    let began = Instant::now();
    let mut sids = start_many(&server, &hang, count);
    let took = began.elapsed();
    let after = memory(server.pid());
    eprintln!("{count} pending plays in {took:?}: resident {before} -> {after} bytes");
    assert_eq!(pending(&server), count as u64);
    assert!(
        after.saturating_sub(before) < (64 << 20),
        "{before} -> {after}: rows, not memory"
    );
    // Any of them can be cancelled.
    for at in [count - 1, count / 2, 1, 0] {
        let sid = sids.remove(at);
        let began = Instant::now();
        let play = server.call("play_cancel", &json!({"play_sid": sid}));
        eprintln!("cancelled one in {:?}", began.elapsed());
        assert_eq!(play["status"], "cancelled", "{play}");
    }
    let home = server.crash();
    let began = Instant::now();
    let server = Server::start_in(home, &["--max-plays", "1"]);
    let (took, resident) = (began.elapsed(), memory(server.pid()));
    eprintln!("started again after {took:?}: resident {resident} bytes");
    // The oldest one runs, then the next.
    for sid in &sids[..3] {
        until("the next one runs", || {
            (running(&server) == [sid.clone()]).then_some(())
        });
        server.call("play_cancel", &json!({"play_sid": sid, "grace_ms": 0}));
    }
    assert_eq!(server.get(&first)["cause"]["kind"], "interrupted");
    let left = pending(&server);
    assert!(
        (count as u64 - 8..=count as u64 - 7).contains(&left),
        "{left}"
    );
    let home = server.stop();
    // In order, too.
    let server = Server::start_in(home, &["--max-plays", "1"]);
    until("the next one runs", || {
        let running = running(&server);
        (running.len() == 1 && sids[3..5].contains(&running[0])).then_some(())
    });
    server.stop();
}

#[test]
fn two_thousand_plays_wait_in_order() {
    wait_in_order(2_000);
}

#[test]
#[ignore = "takes minutes; measures"]
fn a_hundred_thousand_plays_wait_in_order() {
    wait_in_order(100_000);
}

/// With real processes and one slot: each waits for the next.
#[test]
fn a_chain_of_nested_plays_finishes_with_one_slot() {
    let server = Server::start_in(Home::new(), &["--max-plays", "1"]);
    let nested = server.add("nested");
    let deep = server.start_with(&nested, &json!({"child": "deep", "n": 10}), &json!({}));
    assert_eq!(server.wait(&deep)["status"], "success");
    server.stop();
}
