//! Plays that somebody ends: a caller, the clock, a signal from outside. Whatever they started is
//! gone with them.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    home::Home,
    process::{is_alive, signal},
    server::{Server, text},
    until,
};

#[test]
fn a_cancelled_play_cleans_up_and_says_by_whom() {
    let server = Server::start();
    let sid = server.start_play(&server.add("hang"), &json!({}));
    let pid = server.pid_in(&sid, "hanging");
    let play = server.call("play_cancel", &json!({"play_sid": sid}));
    assert_eq!(play["status"], "cancelled", "{play}");
    assert_eq!(play["cause"]["kind"], "cancelled");
    assert_eq!(play["cause"]["by"], "caller");
    assert_eq!(
        play["cause"]["last_span"]["name"], "hanging",
        "where it was, not where it left"
    );
    assert!(!is_alive(pid));
    assert_eq!(server.span(&sid, "hanging")["status"], "cancelled");
    assert_eq!(server.written(&sid, "stdout"), "cleaned up\n");
    // Terminal is final: a further cancel changes nothing.
    let again = server.call("play_cancel", &json!({"play_sid": sid}));
    assert_eq!(again, server.get(&sid));
    assert_eq!(again, play);
    server.stop();
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace() {
    let server = Server::start();
    let workflow = server.add("ignore_sigterm");
    let sid = server.start_play(&workflow, &json!({}));
    let pid = server.pid_in(&sid, "hanging");
    let play = server.call("play_cancel", &json!({"play_sid": sid, "grace_ms": 100}));
    assert_eq!(play["status"], "cancelled", "{play}");
    assert_eq!(play["cause"]["signal"], "SIGKILL");
    assert_eq!(play["cause"]["processes_killed"], 1);
    assert!(!is_alive(pid));
    server.stop();
}

#[test]
fn a_kill_from_outside_is_told_as_one() {
    let server = Server::start();
    let sid = server.start_play(&server.add("hang"), &json!({}));
    signal(server.pid_in(&sid, "hanging"), Signal::KILL);
    let play = server.wait(&sid);
    assert_eq!(play["status"], "failed");
    assert_eq!(play["cause"]["kind"], "killed");
    assert_eq!(play["cause"]["last_span"]["name"], "hanging");
    let message = text(&play["cause"]["message"]);
    assert!(message.contains("possibly"), "{message}");
    assert_eq!(server.span(&sid, "hanging")["status"], "failed");
    server.stop();
}

#[test]
fn what_a_play_leaves_behind_is_killed_and_counted() {
    let server = Server::start();
    let workflow = server.add("leak");
    let play = server.wait(&server.start_play(&workflow, &json!({})));
    assert_eq!(play["status"], "success", "{play}");
    let pid = text(&play["output_data"]).parse().unwrap();
    assert!(!is_alive(pid), "its orphan lives on");
    assert!(play["usage"]["processes"].as_u64() >= Some(2), "{play}");

    let sid = server.start_play(&workflow, &json!({"hang": true}));
    let pid = server.pid_in(&sid, "leaking");
    let play = server.call("play_cancel", &json!({"play_sid": sid}));
    assert_eq!(play["status"], "cancelled");
    assert!(!is_alive(pid), "its orphan lives on");
    assert_eq!(play["cause"]["processes_killed"], 1, "{play}");
    assert!(play["usage"]["processes"].as_u64() >= Some(2), "{play}");
    server.stop();
}

#[test]
fn a_process_without_the_plays_session_and_environment_is_no_exception() {
    let server = Server::start();
    let play = server.play("stray", &json!({}));
    assert_eq!(play["status"], "success", "{play}");
    let pid = text(&play["output_data"]).parse().unwrap();
    assert!(!is_alive(pid), "its orphan lives on");
    assert!(play["usage"]["processes"].as_u64() >= Some(2), "{play}");
    server.stop();
}

#[test]
fn plays_that_hang_keep_nobody_from_starting_more() {
    let server = Server::start_in(Home::new(), &["--max-plays", "2"]);
    let workflow = server.add("hang");
    // None of these calls could return if it waited for a flow: none of them ever ends.
    let sids: Vec<_> = (0..8)
        .map(|_| server.start_play(&workflow, &json!({})))
        .collect();
    for sid in &sids[..2] {
        server.span(sid, "hanging");
    }
    let info = server.call("server_info", &json!({}));
    assert_eq!(info["running"], 2, "{info}");
    assert_eq!(info["pending"], 6, "{info}");
    let waiting = server.call("play_wait", &json!({"play_sid": sids[7], "timeout_ms": 1}));
    assert_eq!(waiting["status"], "pending");
    assert!(waiting["started_at"].is_null());

    // One that waits is cancelled without ever having run; then a slot goes to the next.
    let play = server.call("play_cancel", &json!({"play_sid": sids[2]}));
    assert_eq!(play["status"], "cancelled");
    assert!(
        play["started_at"].is_null() && server.spans(&sids[2]).is_empty(),
        "{play}"
    );
    server.call("play_cancel", &json!({"play_sid": sids[0]}));
    server.span(&sids[3], "hanging");
    for sid in sids.iter().rev() {
        let play = server.call("play_cancel", &json!({"play_sid": sid, "grace_ms": 0}));
        assert_eq!(play["status"], "cancelled", "{play}");
    }
    server.stop();
}

#[test]
fn a_waiter_hears_of_the_end_and_not_before() {
    let server = Server::start();
    let gate = server.home().files().join("open");
    let sid = server.start_play(&server.add("gate"), &json!({"path": gate}));
    server.span(&sid, "waiting");
    let still = server.call("play_wait", &json!({"play_sid": sid, "timeout_ms": 30}));
    assert_eq!(still["status"], "running");
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..20).map(|_| scope.spawn(|| server.wait(&sid))).collect();
        std::fs::write(&gate, "").unwrap();
        for waiter in waiters {
            let play = waiter.join().unwrap();
            assert_eq!(play["status"], "success");
            assert_eq!(
                play,
                server.get(&sid),
                "what a waiter hears is what is recorded"
            );
        }
    });
    server.stop();
}

#[test]
fn a_second_signal_leaves_the_records_right_too() {
    let server = Server::start();
    let workflow = server.add_unresumed("ignore_sigterm");
    // With its key, starting it once more only finds it again.
    let params = json!({
        "workflow_sid": workflow, "input_data": "{}", "parent_span_id": "", "idempotency_key": "k"
    });
    let sid = text(&server.call("play_run_async", &params));
    let pid = server.pid_in(&sid, "hanging");
    signal(server.pid(), Signal::TERM);
    until("the beginning of the stop", || {
        let refused = server.try_call("play_run_async", &params).err()?;
        assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
        Some(())
    });
    // The second one takes the grace away, not the order.
    let home = server.stop();
    assert!(!is_alive(pid));
    let server = Server::start_in(home, &[]);
    let cause = &server.get(&sid)["cause"];
    assert_eq!(cause["kind"], "interrupted", "{cause}");
    assert_eq!(cause["signal"], "SIGKILL", "{cause}");
    server.stop();
}
