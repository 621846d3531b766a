//! What is told of many plays: lists that are searched and followed, counts, open questions; who started a play.

use serde_json::{Value, json};

use crate::support::{
    fixture,
    home::Home,
    server::{Server, text},
    until,
};

fn items(server: &Server, method: &str, params: &Value) -> Vec<Value> {
    let page = server.call(method, params);
    assert_eq!(page["next_cursor"], Value::Null, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn sids(plays: &[Value]) -> Vec<String> {
    plays.iter().map(|play| text(&play["sid"])).collect()
}

#[test]
fn who_started_a_play_is_told() {
    let server = Server::start();
    let ok = server.add("ok");
    let started = |method: &str, more: Value| {
        let mut params = json!({"workflow_sid": ok});
        for (name, value) in more.as_object().unwrap() {
            params[name] = value.clone();
        }
        match server.call(method, &params) {
            Value::String(sid) => server.wait(&sid),
            play => server.wait(&text(&play["sid"])),
        }
    };
    let play = started("play_run_async", json!({}));
    assert_eq!(play["origin"], "rpc");
    let page = started("play_start", json!({"origin": "page"}));
    assert_eq!(page["origin"], "page");
    let retried = server.call("play_retry", &json!({"play_sid": page["sid"]}));
    assert_eq!(retried["origin"], "rpc");
    let forked = json!({"play_sid": page["sid"], "origin": "it's me"});
    assert_eq!(server.call("play_fork", &forked)["origin"], "it's me");
    for wrong in [String::new(), "x".repeat(65)] {
        let params = json!({"workflow_sid": ok, "origin": wrong});
        let refused = server.refusal("play_start", &params);
        assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    }
    // A child over RPC, a node.
    let hang = server.add("hang");
    let parent = server.start_play(&hang, &json!({}));
    let span = until("its span", || server.spans(&parent).first().cloned());
    let above = format!("{parent}/{}", text(&span["span_id"]));
    let child = started("play_run_async", json!({"parent_span_id": above}));
    assert_eq!(child["origin"], "flow");
    let nodes = json!([{"id": "a", "workflow_sid": ok}]);
    let dag = server.create(&json!({"name": "dag", "nodes": nodes}));
    let dag = text(&server.call("play_start", &json!({"workflow_sid": dag}))["sid"]);
    server.wait(&dag);
    let node = items(&server, "play_list", &json!({"parent_play_sid": dag}));
    assert_eq!(node[0]["origin"], "nodes");
    // The command line.
    let home = server.home();
    let file = fixture("ok").display().to_string();
    home.run(&["run", &file]).exits(0);
    home.run(&["flow", "run", "ok"]).exits(0);
    let params = json!({"workflow_sid": ok}).to_string();
    let called = home.run(&["call", "play_start", &params]).exits(0).json();
    assert_eq!(called["origin"], "cli");
    let params = json!({"workflow_sid": ok, "origin": "cron"}).to_string();
    let called = home.run(&["call", "play_start", &params]).exits(0).json();
    assert_eq!(called["origin"], "cron");
    let newest = items(&server, "play_list", &json!({"brief": true}));
    let origins: Vec<_> = newest.iter().map(|play| text(&play["origin"])).collect();
    assert_eq!(origins[..4], ["cron", "cli", "cli", "run"]);
    server.call("play_cancel", &json!({"play_sid": parent, "grace_ms": 0}));
    server.stop();
}

#[test]
fn plays_are_searched_counted_and_told_in_brief() {
    let server = Server::start();
    let (ok, fail) = (server.add("ok"), server.add("fail"));
    let mut good = Vec::new();
    for _ in 0..3 {
        let sid = server.start_play(&ok, &json!({}));
        good.insert(0, text(&server.wait(&sid)["sid"]));
    }
    let sid = server.start_play(&fail, &json!({}));
    let failed = server.wait(&sid);

    let brief = items(
        &server,
        "play_list",
        &json!({"brief": true, "top_level": true}),
    );
    assert_eq!(sids(&brief).len(), 4);
    let first = brief[0].as_object().unwrap();
    for long in ["input_data", "output_data", "waits_for"] {
        assert!(!first.contains_key(long), "{long}");
    }
    let message = &failed["cause"]["message"];
    assert_eq!(
        first["cause"],
        json!({"kind": "exception", "message": message})
    );
    for field in [
        "sid",
        "workflow_name",
        "attempt",
        "created_at",
        "duration_ms",
        "usage",
    ] {
        assert_eq!(first[field], failed[field], "{field}");
    }

    let found = |query: Value| sids(&items(&server, "play_list", &query));
    assert_eq!(found(json!({"query": "OK"})), good);
    let some_words = text(message).to_uppercase();
    assert_eq!(found(json!({"query": some_words})), [text(&failed["sid"])]);
    assert_eq!(found(json!({"query": good[1]})), [good[1].clone()]);
    assert_eq!(
        found(json!({"statuses": ["failed", "timed_out"]})),
        [text(&failed["sid"])]
    );
    assert!(found(json!({"query": "nowhere"})).is_empty());
    let refused = server.refusal("play_list", &json!({"query": "x".repeat(1_001)}));
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");

    let overview = server.call("play_overview", &json!({"buckets": 7}));
    assert_eq!(overview["total"], 4);
    assert_eq!(overview["by_status"], json!({"success": 3, "failed": 1}));
    let buckets = overview["buckets"].as_array().unwrap();
    let counted: u64 = (buckets.iter())
        .flat_map(|bucket| bucket["by_status"].as_object().unwrap().values())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!((buckets.len(), counted), (7, 4));
    assert_eq!(overview["complete"], true);
    let of_ok = server.call(
        "play_overview",
        &json!({"query": "ok", "statuses": ["failed"]}),
    );
    assert_eq!(
        (&of_ok["total"], &of_ok["by_status"]),
        (&json!(0), &json!({}))
    );
    for buckets in [0, 1_001] {
        let refused = server.refusal("play_overview", &json!({"buckets": buckets}));
        assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    }

    let stats = server.call("workflow_stats", &json!({"workflow_sid": ok}));
    assert_eq!((&stats["plays"], &stats["success"]), (&json!(3), &json!(3)));
    assert_eq!(stats["buckets"].as_array().unwrap().len(), 60);
    assert!(stats["p50_ms"].as_f64() > Some(0.0), "{stats}");
    assert!(stats["p50_ms"].as_f64() <= stats["p95_ms"].as_f64());
    let refused = server.refusal("workflow_stats", &json!({"workflow_sid": "nope"}));
    assert_eq!(refused["data"]["kind"], "not_found", "{refused}");
    // Of one that was deleted there are the plays.
    server.call("workflow_delete", &json!({"workflow_sid": fail}));
    let stats = server.call(
        "workflow_stats",
        &json!({"workflow_sid": fail, "buckets": 1}),
    );
    assert_eq!(stats["buckets"][0]["by_status"], json!({"failed": 1}));

    let status = server.call("server_status", &json!({}));
    assert_eq!(status["store"]["plays"], 4, "{status}");
    assert!(status["store"]["bytes"].as_u64() > Some(0));
    assert_eq!(
        status["since_start"]["plays_ended"],
        json!({"success": 3, "failed": 1})
    );
    assert!(
        status["last_minute"]["plays_ended"].as_f64() > Some(0.0),
        "{status}"
    );
    assert!(
        status["last_minute"]["commits"].as_f64() > Some(0.0),
        "{status}"
    );
    assert_eq!(status["slots"]["running"], 0);
    assert_eq!(status["trouble"], Value::Null);
    server.stop();
}

#[test]
fn what_plays_wait_for_is_told_in_lists_and_questions() {
    let server = Server::start();
    let source = "from hero_tracing import flow\n@flow\ndef asks(name: str):\n    \
                  return flow.pause(name, schema={\"type\": \"boolean\"})\n";
    let workflow = server.create(&json!({"name": "asks", "python_source": source}));
    let mut following = server.following_lists(None);
    assert_eq!(following.next().unwrap().name, "hello");
    let mut asked = Vec::new();
    for name in ["first", "second"] {
        let sid = server.start_play(&workflow, &json!({"name": name}));
        until("its question", || {
            (server.get(&sid)["status"] == "awaiting_resume").then_some(())
        });
        asked.push(sid);
    }
    let waits = |name: &str| json!([{"kind": "ask", "name": name}]);
    let brief = items(
        &server,
        "play_list",
        &json!({"brief": true, "status": "awaiting_resume"}),
    );
    assert_eq!(brief[0]["waits_for"], waits("second"), "{brief:?}");
    // So are those who follow.
    let told = following.find(|event| event.data["status"] == "awaiting_resume");
    assert_eq!(told.unwrap().data["waits_for"], waits("first"));

    let questions = items(&server, "question_list", &json!({}));
    let of: Vec<_> = questions.iter().map(|q| text(&q["play_sid"])).collect();
    assert_eq!(of, asked);
    let first = &questions[0];
    assert_eq!(first["schema"], json!({"type": "boolean"}));
    assert_eq!(first["workflow_name"], "asks");
    assert!(
        !first.to_string().contains("/api/resume"),
        "no secret: {first}"
    );
    let page = server.call("question_list", &json!({"limit": 1}));
    let cursor = &page["next_cursor"];
    let rest = items(
        &server,
        "question_list",
        &json!({"cursor": cursor, "limit": 1}),
    );
    assert_eq!(rest, questions[1..]);
    let refused = server.refusal("question_list", &json!({"cursor": "p.1"}));
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    for (sid, question) in asked.iter().zip(&questions) {
        let answer = json!({"play_sid": sid, "resume_id": question["id"], "payload": true});
        server.call("play_resume", &answer);
        assert_eq!(server.wait(sid)["status"], "success");
    }
    assert!(items(&server, "question_list", &json!({})).is_empty());
    drop(following);
    server.stop();
}

/// Without a server, a verb that is the host of its own play.
#[test]
fn a_play_of_its_own_host_was_run() {
    let home = Home::new();
    home.run(&["run", &fixture("ok").display().to_string()])
        .exits(0);
    let page = home.run(&["call", "play_list", "{}"]).exits(0).json();
    assert_eq!(page["items"][0]["origin"], "run");
}
