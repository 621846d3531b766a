//! Several commands on one data directory: the first serves, the others are its guests.

use serde_json::{Value, json};

use crate::support::{cli::Running, fixture, home::Home, server::Server, until};

fn start(home: &Home, name: &str, args: &[&str]) -> Running {
    let file = fixture(name).display().to_string();
    let mut all = vec!["run", &*file];
    all.extend(args);
    Running::start(&mut home.command(&all))
}

fn plays(home: &Home, status: &str) -> Vec<Value> {
    let listed = home
        .run(&["--json", "play", "ls", "--status", status])
        .exits(0)
        .json();
    listed["items"].as_array().unwrap().clone()
}

#[test]
fn the_second_run_is_a_guest_of_the_first() {
    let home = Home::new();
    let (first_gate, second_gate) = (home.files().join("first"), home.files().join("second"));
    let path = |gate: &std::path::Path| format!("path={}", gate.display());
    let first = start(&home, "gate", &["-i", &path(&first_gate)]);
    until("the first play", || {
        (plays(&home, "running").len() == 1).then_some(())
    });
    let info = home.run(&["call", "server_info"]).exits(0).json();
    let second = start(&home, "gate", &["-i", &path(&second_gate)]);
    until("the second play", || {
        (plays(&home, "running").len() == 2).then_some(())
    });
    assert_eq!(
        home.run(&["call", "server_info"]).exits(0).json()["pid"],
        info["pid"]
    );
    // The host's own play ends first: it stays for its guest.
    std::fs::write(&first_gate, "").unwrap();
    until("the first play's end", || {
        (plays(&home, "success").len() == 1).then_some(())
    });
    assert_eq!(plays(&home, "running").len(), 1);
    std::fs::write(&second_gate, "").unwrap();
    for running in [first, second] {
        assert_eq!(running.end().exits(0).stdout, "\"open\"\n");
    }
    assert_eq!(plays(&home, "success").len(), 2);
    home.assert_clean();
}

#[test]
fn several_at_once_all_come_through() {
    let home = Home::new();
    let all: Vec<_> = (0..6)
        .map(|n| start(&home, "ok", &["-i", &format!("n={n}")]))
        .collect();
    for (n, running) in all.into_iter().enumerate() {
        let ran = running.end().exits(0);
        assert_eq!(ran.json(), json!({"n": n}), "{ran:?}");
    }
    assert_eq!(plays(&home, "success").len(), 6);
    home.assert_clean();
}

#[test]
fn a_run_is_a_guest_of_a_server_and_a_second_server_is_refused() {
    let server = Server::start();
    let flow = fixture("ok").display().to_string();
    let ran = server.home().run(&["run", &flow, "-i", "n=3"]).exits(0);
    assert_eq!(ran.json(), json!({"n": 3}));
    let listed = server.call("play_list", &json!({}));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let second = server
        .home()
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .exits(1);
    assert!(
        second.stderr.contains(&format!("process {}", server.pid())),
        "{second:?}"
    );
    server.stop();
}
