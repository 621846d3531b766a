//! The verbs `play`, `flow` and `call`: the same with a server and without one.

use serde_json::{Value, json};

use crate::support::{
    cli::Ran,
    fixture,
    home::Home,
    server::{Server, text},
};

fn lines(ran: Ran) -> Vec<Value> {
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every verb once, on this home: with or without somebody who serves it.
fn use_verbs(home: &Home) {
    let json = |args: &[&str]| {
        let mut all = vec!["--json"];
        all.extend(args);
        home.run(&all).exits(0).json()
    };
    let file = |name: &str| fixture(name).display().to_string();

    // The library.
    let added = json(&[
        "flow",
        "add",
        &file("ok"),
        "--description",
        "Counting sheep",
        "--tag",
        "farm",
    ]);
    assert_eq!(added["version"]["number"], 1, "{added}");
    let ok = text(&added["workflow"]["sid"]);
    home.run(&["flow", "add", &file("fail")]).exits(0);
    let listed = json(&["flow", "ls", "--tag", "farm"]);
    assert_eq!(listed["items"][0]["sid"], ok.as_str(), "{listed}");
    let found = json(&["flow", "search", "SHEEP"]);
    assert!(found.to_string().contains(&ok), "{found}");
    let shown = json(&["flow", "show", "ok"]);
    assert_eq!(shown["workflow"]["sid"], ok.as_str(), "{shown}");
    let source = home.run(&["flow", "show", "ok", "--source"]).exits(0);
    assert_eq!(source.stdout, crate::support::source("ok"));
    for args in [
        &["flow", "ls"][..],
        &["flow", "search", "sheep"],
        &["flow", "show", "ok"],
    ] {
        let ran = home.run(args).exits(0);
        assert!(ran.stdout.contains("Counting sheep"), "{args:?}: {ran:?}");
    }
    let ran = home.run(&["flow", "run", "ok", "-i", "n=6"]).exits(0);
    assert_eq!(ran.json(), json!({"n": 6}));
    home.run(&["flow", "run", "fail"]).exits(1);
    home.run(&["flow", "run", "nobody"]).exits(2);

    // Plays.
    let plays = json(&["play", "ls"]);
    let [failed, counted] = [0, 1].map(|n| text(&plays["items"][n]["sid"]));
    let table = home
        .run(&["play", "ls", "--status", "failed"])
        .exits(0)
        .stdout;
    assert!(table.contains("fail") && !table.contains("ok "), "{table}");
    let shown = json(&["play", "show", &counted]);
    assert_eq!(shown["output_data"], "{\"n\":6}", "{shown}");
    let shown = home.run(&["play", "show", "last"]).exits(0).stdout;
    assert!(
        shown.contains("ValueError") && shown.contains("bad thing"),
        "{shown}"
    );
    let beginning = &counted[..counted.len() - 2];
    let waited = home.run(&["play", "wait", beginning]).exits(0);
    assert_eq!(waited.json(), json!({"n": 6}));
    home.run(&["play", "wait", &failed]).exits(1);
    let logs = lines(home.run(&["--json", "play", "logs", &counted]).exits(0));
    assert_eq!(
        (&logs[0]["span"], &logs[0]["text"]),
        (&json!("first"), &json!("counting"))
    );
    let retried = home.run(&["play", "retry", &counted]).exits(0);
    assert_eq!(retried.json(), json!({"n": 6}));
    let cancelled = json(&["play", "cancel", &failed]);
    assert_eq!(
        cancelled["status"], "failed",
        "terminal is final: {cancelled}"
    );
    for verb in ["show", "wait", "cancel", "retry", "logs"] {
        home.run(&["play", verb, "no-such-play"]).exits(2);
    }

    // Calls.
    let got = home
        .run(&["call", "play_get", &format!("[\"{counted}\"]")])
        .exits(0);
    assert_eq!(got.json()["sid"], counted.as_str());
    let refused = home
        .run(&["call", "play_get", "{\"play_sid\": \"x\"}"])
        .exits(1);
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!(error["data"]["kind"], "not_found");
    assert_eq!(refused.stdout, "");

    home.run(&["flow", "rm", "fail"]).exits(0);
    assert_eq!(json(&["flow", "ls"])["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        json(&["play", "show", &failed])["sid"],
        failed.as_str(),
        "its plays stay"
    );
}

#[test]
fn verbs_work_without_a_server() {
    let home = Home::new();
    use_verbs(&home);
    home.assert_clean();
}

#[test]
fn verbs_work_with_a_server() {
    let server = Server::start();
    use_verbs(server.home());
    let sid = server.start_play(&server.add("hang"), &json!({}));
    server.span(&sid, "hanging");
    let home = server.home();
    let waited = home
        .run(&["play", "wait", &sid, "--timeout", "50ms"])
        .exits(124);
    assert_eq!(waited.stdout, "");
    let cancelled = home
        .run(&["--json", "play", "cancel", &sid, "--now"])
        .exits(0)
        .json();
    assert_eq!(cancelled["status"], "cancelled");
    home.run(&["play", "wait", &sid]).exits(130);
    server.stop();
}
