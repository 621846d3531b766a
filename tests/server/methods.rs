//! Every method, once by every way in, and the document that describes them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    http::{self, call_by_line, call_by_post, request},
    server::{Server, result, text},
    source,
};

/// Calls by one way, and notes what was called.
struct Caller<'a> {
    call: Box<dyn Fn(&Value) -> Value + 'a>,
    called: BTreeSet<String>,
}

impl Caller<'_> {
    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.called.insert(method.to_owned());
        match result((self.call)(&request(method, &params))) {
            Ok(result) => result,
            Err(error) => panic!("{method} {params}: {error}"),
        }
    }
}

fn method_names(document: &Value) -> BTreeSet<String> {
    let methods = document["methods"].as_array().unwrap();
    methods.iter().map(|method| text(&method["name"])).collect()
}

/// What is in a play: `first` is its span of this name, with its logs.
fn look_inside(caller: &mut Caller<'_>, play: &Value, first: &Value) {
    let by_id = json!({"play_sid": play, "span_id": first["span_id"]});
    let mut span = caller.call("span_get", by_id.clone());
    assert_eq!(
        (&span["log_count"], &span["log_bytes"]),
        (&json!(1), &json!(8))
    );
    span["logs"] = first["logs"].clone();
    for field in ["log_count", "log_bytes"] {
        span.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(span, *first);
    let logs = caller.call("play_logs", by_id);
    assert_eq!(
        (&logs["items"][0]["text"], &logs["total"]),
        (&json!("counting"), &json!(1))
    );
    assert_eq!(logs["next_cursor"], Value::Null);
    let window = json!([play, [], 0, 10, 0, 60_000, 10]);
    let window = caller.call("play_window", window);
    assert_eq!(
        (&window["total_rows"], &window["rows"][0]["descendants"]),
        (&json!(1), &json!(2))
    );
    let artifacts = caller.call("artifact_list", json!({"play_sid": play}));
    assert_eq!(artifacts, json!([]));
    let found = caller.call("play_find", json!({"play_sid": play, "query": "COUNT"}));
    assert_eq!(found, json!([{"span_id": first["span_id"], "in": "log"}]));
}

/// One use of each method.
fn use_all(caller: &mut Caller<'_>) {
    let kept = caller.call("prune", json!({"dry_run": true}));
    assert_eq!(
        (&kept["dry_run"], &kept["plays"]),
        (&json!(true), &json!(0)),
        "{kept}"
    );
    let doctor = caller.call("server_doctor", json!({}));
    assert_eq!(doctor["ok"], json!(true), "{doctor}");
    let info = caller.call("server_info", json!({}));
    assert!(info["pid"].is_number(), "{info}");

    let status = caller.call("server_status", json!({}));
    assert_eq!(status["started_at"], info["started_at"], "{status}");

    // The library.
    let workflow = caller.call(
        "workflow_create",
        json!({"name": "ok", "description": "d", "tags": ["t"], "python_source": source("ok")}),
    );
    let sid = text(&workflow["sid"]);
    let first = text(&workflow["current_version_sid"]);
    let get = json!({"workflow_sid": sid});
    assert_eq!(caller.call("workflow_get", get.clone()), workflow);
    let list = caller.call("workflow_list", json!({"tag": "t"}));
    assert_eq!(list, json!({"items": [workflow], "next_cursor": null}));
    assert_eq!(
        caller.call("flow_library_search", json!(["OK", 10])),
        json!([sid])
    );
    let updated = caller.call(
        "workflow_update",
        json!({"workflow_sid": sid, "description": "e"}),
    );
    assert_eq!(updated["description"], "e");
    let second = caller.call(
        "workflow_version_add",
        json!({"workflow_sid": sid, "python_source": source("many_spans"), "set_current": false}),
    );
    assert_eq!(second["number"], 2);
    let report = caller.call("source_check", json!([source("ok")]));
    assert_eq!(report["flows"][0]["name"], "ok");
    let versions = caller.call("workflow_version_list", get.clone());
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    let version = json!({"version_sid": first});
    assert_eq!(
        caller.call("workflow_version_get", version)["python_source"],
        source("ok")
    );
    let set = json!({"workflow_sid": sid, "version_sid": second["sid"]});
    assert_eq!(
        caller.call("workflow_version_set_current", set)["current_version_sid"],
        second["sid"]
    );
    let back = json!({"workflow_sid": sid, "version_sid": first});
    caller.call("workflow_version_set_current", back);

    // Plays: by position, by name.
    let play_sid = caller.call("play_run_async", json!([sid, "{\"n\": 7}", ""]));
    let play = caller.call("play_wait", json!([play_sid, 50_000]));
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["output_data"], "{\"n\":7}");
    let by_sid = json!({"play_sid": play_sid});
    assert_eq!(caller.call("play_get", by_sid.clone()), play);
    let brief = caller.call("play_status", by_sid.clone());
    for field in [
        "sid",
        "status",
        "cause",
        "created_at",
        "started_at",
        "completed_at",
    ] {
        assert_eq!(brief[field], play[field], "{field}");
    }
    let page = caller.call("play_spans", json!({"play_sid": play_sid, "limit": 2}));
    let rest = caller.call(
        "play_spans",
        json!({"play_sid": play_sid, "cursor": page["next_cursor"]}),
    );
    let spans: Vec<_> = [&page, &rest]
        .iter()
        .flat_map(|page| page["spans"].as_array().unwrap())
        .map(|span| text(&span["name"]))
        .collect();
    assert_eq!(spans, ["ok", "first", "second"]);
    assert_eq!(page["spans"][1]["logs"][0]["text"], "counting");
    look_inside(caller, &play_sid, &page["spans"][1]);
    let started = caller.call(
        "play_start",
        json!({"workflow_sid": sid, "input_data": {"n": 8}}),
    );
    let started = text(&started["sid"]);
    caller.call("play_wait", json!({"play_sid": started, "timeout_ms": 0}));
    let retried = caller.call("play_retry", json!({"play_sid": started}));
    assert_eq!(retried["retry_of"], json!(started));
    let retried = caller.call("play_wait", json!([retried["sid"], 0]));
    assert_eq!(retried["output_data"], "{\"n\":8}");
    let list = caller.call("play_list", json!({"workflow_sid": sid, "limit": 2}));
    assert_eq!(list["items"][0], retried);
    let preview = caller.call("play_resume_preview", json!([started]));
    assert_eq!(preview, json!([]));
    let forked = caller.call(
        "play_fork",
        json!({"play_sid": started, "input_data": {"n": 9}}),
    );
    assert_eq!(forked["retry_of"], json!(started));
    let forked = caller.call("play_wait", json!([forked["sid"], 0]));
    assert_eq!(forked["output_data"], "{\"n\":9}");
    assert!(list["next_cursor"].is_string());
    let overview = caller.call("play_overview", json!([[], sid]));
    assert_eq!(overview["by_status"], json!({"success": 4}), "{overview}");
    let stats = caller.call("workflow_stats", json!([sid, null, 3]));
    assert_eq!(stats["success"], 4, "{stats}");

    // A live one.
    let hang = caller.call(
        "workflow_create",
        json!({"name": "hang", "python_source": source("hang")}),
    );
    let hanging = caller.call("play_run_async", json!([hang["sid"], "{}", ""]));
    crate::support::until("its span", || {
        let page = caller.call("play_spans", json!({"play_sid": hanging}));
        (page["spans"].as_array().unwrap().len() == 2).then_some(())
    });
    let push = |event: Value| json!({"play_sid": hanging, "event_json": event.to_string()});
    let start = push(json!({"type": "span_start", "span_id": "mine", "name": "pushed"}));
    assert_eq!(caller.call("span_push", start.clone()), json!(true));
    assert_eq!(
        caller.call("span_push", start.clone()),
        json!(false),
        "a duplicate"
    );
    let page = caller.call("play_spans", json!({"play_sid": hanging}));
    assert_eq!(page["spans"][2]["name"], "pushed");
    for broken in ["{", "{\"type\": \"gibberish\"}"] {
        let params = json!({"play_sid": hanging, "event_json": broken});
        let refused = result((caller.call)(&request("span_push", &params))).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    }
    // It asks something.
    let step = json!({"type": "span_start", "span_id": "ask", "name": "ok?", "step": {"key": "k"}});
    let wait = json!({"kind": "ask", "name": "ok?", "schema": {"type": "boolean"}});
    let pause = json!({"type": "pause", "span_id": "ask", "wait": wait});
    for event in [step, pause] {
        assert_eq!(caller.call("span_push", push(event)), json!(true));
    }
    let pending = caller.call("play_pending_resumes", json!([hanging]));
    assert_eq!(pending[0]["schema"], wait["schema"], "{pending}");
    let questions = caller.call("question_list", json!([null, 10]));
    assert_eq!(questions["items"][0]["play_sid"], hanging, "{questions}");
    let wrong = request("play_resume", &json!([hanging, "k", "yes"]));
    let refused = result((caller.call)(&wrong)).unwrap_err();
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    let resumed = caller.call("play_resume", json!([hanging, "k", true]));
    assert_eq!(resumed["status"], "running");
    let pending = caller.call("play_pending_resumes", json!({"play_sid": hanging}));
    assert_eq!(pending, json!([]));
    let signalled = caller.call("play_signal", json!([hanging, "go", {"a": 1}]));
    assert_eq!(signalled["sid"], hanging);
    let cancelled = caller.call("play_cancel", json!({"play_sid": hanging}));
    assert_eq!(cancelled["status"], "cancelled");
    let refused = result((caller.call)(&request("span_push", &start))).unwrap_err();
    assert_eq!(refused["data"]["kind"], "conflict", "{refused}");
    assert_eq!(caller.call("workflow_delete", get)["sid"], json!(sid));
}

#[test]
fn every_method_answers_by_every_way_in() {
    let ways: [fn(&Server, &Value) -> Value; 3] = [
        |server, request| call_by_line(http::unix(&server.home().socket()), request),
        |server, request| call_by_post(http::unix(&server.home().socket()), request),
        |server, request| call_by_post(http::tcp(&server.address), request),
    ];
    for way in ways {
        let server = Server::start();
        let mut caller = Caller {
            call: Box::new(|request| way(&server, request)),
            called: BTreeSet::new(),
        };
        use_all(&mut caller);
        let described = method_names(&caller.call("rpc.discover", json!({})));
        assert_eq!(
            described, caller.called,
            "what is described, and what was used here"
        );
        drop(caller);
        server.stop();
    }
}

#[test]
fn the_document_describes_the_methods_that_answer() {
    let server = Server::start();
    let document = server.call("rpc.discover", &json!({}));
    assert!(text(&document["openrpc"]).starts_with("1."), "{document}");
    for method in document["methods"].as_array().unwrap() {
        let name = text(&method["name"]);
        // Known, and its parameters are checked by name.
        let refused = server.refusal(&name, &json!({"no_such_parameter": 1}));
        assert_eq!(refused["code"], -32602, "{name}: {refused}");
        assert!(
            text(&refused["message"]).contains("no_such_parameter"),
            "{name}: {refused}"
        );
        // Those that are described as required are.
        let required = method["params"].as_array().unwrap().iter();
        let required = required.filter(|param| param["required"] == json!(true));
        if let Some(first) = required.clone().next() {
            let refused = server.refusal(&name, &json!({}));
            assert_eq!(refused["code"], -32602, "{name}: {refused}");
            let named = text(&refused["message"]).contains(first["name"].as_str().unwrap());
            assert!(named, "{name}: {refused}");
        }
    }
    let refused = server.refusal("play_runn_async", &json!({}));
    assert_eq!(refused["code"], -32601, "{refused}");
    server.stop();
}

#[test]
fn health_is_served() {
    let server = Server::start();
    let (status, _) = http::get(http::tcp(&server.address), "/healthz");
    assert_eq!(status, 200);
    let socket = server.home().socket();
    assert!(
        server.line.contains(socket.to_str().unwrap()),
        "{}",
        server.line
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&socket.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    server.stop();
}

#[test]
fn an_input_of_another_kind_is_told_what_is_expected() {
    let server = Server::start();
    let workflow = server.add("ok");
    for input in [json!(null), json!(3), json!([1])] {
        let refused = server.refusal(
            "play_run_async",
            &json!({"workflow_sid": workflow, "input_data": input}),
        );
        let message = refused["message"].as_str().unwrap();
        assert!(
            message.contains("expected a JSON object, or the text of one, for `input_data`"),
            "{refused}"
        );
    }
    server.stop();
}
