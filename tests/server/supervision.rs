//! Parts of a server die: it goes on, or stops and says why.

use serde_json::{Value, json};

use crate::support::{
    cli::Running,
    home::Home,
    http,
    server::{Server, text},
};

fn server(at: &str) -> Server {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", at);
    Server::start_in(home, &["--max-plays", "2"])
}

fn sids(plays: &Value) -> Vec<String> {
    let plays = plays["items"].as_array().unwrap();
    plays.iter().map(|play| text(&play["sid"])).collect()
}

/// How often this part was replaced.
fn restarts(server: &Server, part: &str) -> u32 {
    let (status, text) = http::get(http::tcp(&server.address), "/metrics");
    assert_eq!(status, 200, "{text}");
    let key = format!("hero_logic_restarts_total{{part=\"{part}\"}} ");
    let sample = text.lines().find_map(|line| line.strip_prefix(&key));
    sample
        .unwrap_or_else(|| panic!("{key} in {text}"))
        .parse()
        .unwrap()
}

/// The registry dies when it has stored a play and not started it.
#[test]
fn a_registry_that_dies_is_not_noticed() {
    for at in [
        "start_committed:2:panic",
        "start_launched:2:panic",
        "start_received:2:panic",
        "cancel_ordered:1:panic",
        "report_taken:1:panic",
        "queue_taken:1:panic",
    ] {
        let server = server(at);
        let (ok, hang) = (server.add("ok"), server.add("hang"));
        let first = server.start_play(&hang, &json!({}));
        let second = server.start_play(&ok, &json!({"n": 2}));
        let third = server.start_play(&ok, &json!({"n": 3}));
        assert_eq!(server.wait(&second)["status"], "success", "{at}");
        assert_eq!(server.wait(&third)["status"], "success", "{at}");
        let cancelled = server.call("play_cancel", &json!({"play_sid": first}));
        assert_eq!(cancelled["status"], "cancelled", "{at}: {cancelled}");
        let all = server.call("play_list", &json!({}));
        assert_eq!(sids(&all), [third, second, first], "{at}: none twice");
        assert!(
            all["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|play| play["attempt"] == 1)
        );
        assert_eq!(restarts(&server, "registry"), 1, "{at}: it died");
        server.stop();
    }
}

#[test]
fn a_library_that_dies_is_not_noticed() {
    let server = server("library_following:2:panic");
    let (ok, hang) = (server.add("ok"), server.add("hang"));
    let found = server.call("flow_library_search", &json!({"query": "", "limit": 10}));
    assert_eq!(found, json!([hang, ok]));
    let renamed = json!({"workflow_sid": ok, "name": "renamed"});
    server.call("workflow_update", &renamed);
    let found = server.call(
        "flow_library_search",
        &json!({"query": "renamed", "limit": 10}),
    );
    assert_eq!(found, json!([ok]));
    assert_eq!(restarts(&server, "library"), 1, "it died");
    server.stop();
}

#[test]
fn a_server_whose_store_dies_stops_and_says_why() {
    let server = server("store_began:15:panic");
    let hang = server.add_unresumed("hang");
    let sid = server.start_play(&hang, &json!({}));
    let pid = server.pid_in(&sid, "hanging");
    // Each of these writes: at one of them the writer dies.
    let mut refused = None;
    for _ in 0..50 {
        let start = json!({"workflow_sid": hang, "input_data": "{}", "parent_span_id": ""});
        if let Err(error) = server.try_call("play_run_async", &start) {
            refused = Some(error);
            break;
        }
    }
    assert!(refused.is_some(), "the store is dead");
    let (status, home, log) = server.died();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.contains("failed to go on serving"), "{log}");
    assert!(
        !crate::support::process::is_alive(pid),
        "its process is gone"
    );
    let server = Server::start_in(home.without_env(), &["--max-plays", "2"]);
    let cause = server.wait(&sid)["cause"]["kind"].clone();
    assert_eq!(cause, "interrupted");
    server.stop();
}

/// What panics each time is answered as an error; what does so all the time ends the server.
#[test]
fn a_server_whose_registry_dies_again_and_again_stops_and_says_why() {
    let server = server("start_received:2:panics");
    let (ok, hang) = (server.add("ok"), server.add_unresumed("hang"));
    let sid = server.start_play(&hang, &json!({}));
    server.span(&sid, "hanging");
    let start = json!({"workflow_sid": ok, "input_data": "{}", "parent_span_id": ""});
    let error = server.refusal("play_run_async", &start);
    assert_eq!(error["data"]["kind"], "internal", "{error}");
    assert_eq!(server.get(&sid)["status"], "running");
    let again = server.refusal("play_run_async", &start);
    assert!(["internal", "unavailable"].contains(&again["data"]["kind"].as_str().unwrap()));
    let (status, home, log) = server.died();
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("failed to go on serving") && last.contains("registry died"),
        "{log}"
    );
    home.assert_clean();
    let server = Server::start_in(home.without_env(), &[]);
    let play = server.get(&sid);
    assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
    server.stop();
}

#[test]
fn a_run_whose_store_dies_stops_and_says_why() {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", "store_began:3:panic");
    let file = crate::support::fixture("hang");
    let run = Running::start(&mut home.command(&["run", file.to_str().unwrap()]));
    let ran = run.end().exits(1);
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.contains("failed to"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("store") || ran.stderr.contains("hero_logic.db"),
        "{}",
        ran.stderr
    );
    home.assert_clean();
}
