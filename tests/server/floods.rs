//! Plays that flood: each ends in success with what was cut being said, or fails with the reason, and
//! the server's memory stays bounded. The sizes here are moderate; the full ones run with `--ignored`.

use std::fs;

use serde_json::{Value, json};

use crate::{
    limits::{hit, limited},
    support::server::{Server, text},
};

const MIB: u64 = 1 << 20;
/// What the server may have at most, whatever its plays do, bytes: 64 MiB of output are held a few times
/// over while they are read, checked and written.
const SERVER: u64 = 700 * MIB;

/// The most memory that the server had so far, bytes.
fn peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

#[track_caller]
fn is_bounded(server: &Server) {
    let peak = peak(server);
    assert!(peak < SERVER, "the server had {} MiB", peak / MIB);
}

fn prints(mib: u64) {
    let server = Server::start();
    let play = server.play("flood", &json!({"mib": mib}));
    assert_eq!(play["status"], "success", "{play}");
    let cut = play["skipped"]["log_bytes"].as_u64().unwrap();
    assert_eq!(cut, (mib - 16) * MIB, "{play}");
    is_bounded(&server);
    server.stop();
}

fn sends_broken_lines(count: u64) {
    let server = Server::start();
    let play = server.play("broken_lines", &json!({"count": count}));
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["skipped"]["broken_lines"], count, "{play}");
    is_bounded(&server);
    server.stop();
}

/// Open ones, all at once.
fn starts_spans(count: u64, open: bool) {
    let server = Server::start();
    let play = limited(
        &server,
        "span_flood",
        &json!({"count": count, "open": open}),
        &json!({"spans": count / 2}),
    );
    assert_eq!(play["status"], "success", "{play}");
    let over = play["skipped"]["over_limit"].as_u64().unwrap();
    assert!(over > count / 2, "{play}");
    is_bounded(&server);
    server.stop();
}

#[test]
fn who_prints_much_is_cut() {
    prints(100);
}

#[test]
#[ignore = "long: a gigabyte"]
fn who_prints_a_gigabyte_is_cut() {
    prints(1_024);
}

#[test]
fn broken_lines_are_counted() {
    sends_broken_lines(20_000);
}

#[test]
#[ignore = "long: a million lines"]
fn a_million_broken_lines_are_counted() {
    sends_broken_lines(1_000_000);
}

#[test]
fn spans_beyond_the_limit_are_counted() {
    starts_spans(2_000, false);
    starts_spans(2_000, true);
}

#[test]
#[ignore = "long: a million spans"]
fn a_million_spans_are_cut_at_the_limit() {
    starts_spans(1_000_000, false);
    starts_spans(1_000_000, true);
}

#[test]
fn connections_beyond_the_limit_are_refused_and_counted() {
    let server = Server::start();
    let play = server.play("connects", &json!({"count": 1_200}));
    assert_eq!(
        (&play["status"], &play["output_data"]),
        (&json!("success"), &json!("1200")),
        "{play}"
    );
    // The SDK has connections of its own.
    let over = play["skipped"]["over_limit"].as_u64().unwrap();
    assert!((176..=180).contains(&over), "{play}");
    assert!(text(&play["skipped"]["first"]).contains("1024"), "{play}");
    let spans = server.spans(&text(&play["sid"]));
    assert!(
        spans.iter().any(|span| span["name"] == "first"),
        "{spans:?}"
    );
    server.stop();
}

fn returns(bytes: u64) -> (Server, Value) {
    let server = Server::start();
    // The text's quotes, and the object around it.
    let size = bytes - r#"{"got": 0, "ends": "", "text": ""}"#.len() as u64;
    let play = server.play("big", &json!({"size": size}));
    (server, play)
}

#[test]
fn an_output_of_64_mib_is_taken_and_one_more_byte_is_not() {
    let (server, play) = returns(64 * MIB);
    assert_eq!(play["status"], "success", "{}", play["cause"]);
    let length = play["output_data"].as_str().unwrap().len() as u64;
    assert!(length <= 64 * MIB && length > 64 * MIB - 16, "{length}");
    is_bounded(&server);
    server.stop();
    let (server, play) = returns(64 * MIB + 20);
    assert_eq!(
        (&play["status"], &play["cause"]["kind"]),
        (&json!("failed"), &json!("exception"))
    );
    let message = text(&play["cause"]["message"]);
    assert!(message.contains("67108864"), "{message}");
    is_bounded(&server);
    server.stop();
}

#[test]
fn who_forks_without_end_is_killed_at_the_built_in_limit() {
    let server = Server::start();
    let play = limited(
        &server,
        "forks",
        &json!({"count": 1_500, "storm": true}),
        &json!({}),
    );
    hit(&play, "killed", "processes", 1_024);
    is_bounded(&server);
    server.stop();
}

#[test]
#[ignore = "long: fills a gigabyte"]
fn who_fills_its_directory_is_killed() {
    let server = Server::start();
    let limits = json!({"disk_bytes": 512 * MIB});
    let play = limited(&server, "fills", &json!({"mib": 1_024}), &limits);
    hit(&play, "killed", "disk", 512 * MIB);
    server.stop();
}
