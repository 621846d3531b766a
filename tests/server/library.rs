//! The library as its callers see it: search, what is refused and how it is told.

use serde_json::{Value, json};

use crate::support::server::{Server, text};

fn add(server: &Server, name: &str, description: &str) -> String {
    server.create(&json!({
        "name": name, "description": description,
        "python_source": "from hero_tracing import flow\n\n\n@flow\ndef f():\n    pass\n"
    }))
}

fn search(server: &Server, query: &str, limit: u32) -> Vec<String> {
    let found = server.call(
        "flow_library_search",
        &json!({"query": query, "limit": limit}),
    );
    found.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn search_ranks_name_above_description() {
    let server = Server::start();
    let named = add(&server, "invoice", "sends letters");
    let described = add(&server, "letters", "about an invoice");
    let both = add(&server, "invoice_mail", "mails the invoice");
    assert_eq!(search(&server, "invoice", 10), [both, named, described]);
    server.stop();
}

#[test]
fn search_ignores_case() {
    let server = Server::start();
    let plain = add(&server, "Import CSV", "");
    let folded = add(&server, "straße", "");
    assert_eq!(search(&server, "iMPORT csv", 10), [plain]);
    assert_eq!(search(&server, "STRASSE", 10), [folded]);
    server.stop();
}

#[test]
fn search_honours_limit() {
    let server = Server::start();
    let all: Vec<_> = (0..5)
        .map(|n| add(&server, &format!("job {n}"), ""))
        .collect();
    assert_eq!(
        search(&server, "job", 2),
        [all[4].clone(), all[3].clone()],
        "newest first"
    );
    assert_eq!(search(&server, "job", 0), [""; 0]);
    assert_eq!(search(&server, "job", 100).len(), 5);
    server.stop();
}

#[test]
fn search_with_empty_query_matches_everything() {
    let server = Server::start();
    assert_eq!(search(&server, "", 10), [""; 0]);
    let first = add(&server, "first", "");
    let second = add(&server, "second", "");
    assert_eq!(search(&server, "", 10), [second.clone(), first.clone()]);
    // The latest change counts, not the creation.
    server.call(
        "workflow_update",
        &json!({"workflow_sid": first, "tags": ["x"]}),
    );
    assert_eq!(search(&server, "", 10), [first, second]);
    server.stop();
}

#[test]
fn search_leaves_out_non_matches() {
    let server = Server::start();
    let one = add(&server, "one", "about apples");
    add(&server, "two", "about pears");
    assert_eq!(search(&server, "apple", 10), std::slice::from_ref(&one));
    assert_eq!(search(&server, "%", 10), [""; 0], "a substring, no pattern");
    server.call("workflow_delete", &json!({"workflow_sid": one}));
    assert_eq!(search(&server, "apple", 10), [""; 0]);
    server.stop();
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    let server = Server::start();
    let wrong = json!({"name": "wrong", "python_source": "x = 1\ndef f(:\n    pass\n"});
    let refused = server.refusal("workflow_create", &wrong);
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    assert_eq!(refused["data"]["line"], 2, "{refused}");
    assert_eq!(refused["data"]["column"], 7, "{refused}");
    assert_eq!(server.call("workflow_list", &json!({}))["items"], json!([]));
    server.stop();
}

#[test]
fn arguments_that_do_not_fit_are_named_before_a_process_starts() {
    let server = Server::start();
    let ok = server.add("ok");
    let exits = server.add("exits");
    let refuse = |workflow: &str, input: Value| {
        let params = json!({"workflow_sid": workflow, "input_data": input, "parent_span_id": ""});
        let refused = server.refusal("play_run_async", &params);
        assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
        text(&refused["message"])
    };
    let message = refuse(&ok, json!({"m": 1}));
    assert!(
        message.contains("`m`") && message.contains("takes (n)"),
        "{message}"
    );
    let message = refuse(&exits, json!({}));
    assert!(message.contains("lacks `code`"), "{message}");
    for no_object in [json!("[1]"), json!("{"), json!("3")] {
        refuse(&ok, no_object);
    }
    assert_eq!(server.call("play_list", &json!({}))["items"], json!([]));

    // A signature that only running the source tells: a failed play that names them.
    let source =
        "from hero_tracing import flow\n\n\ndef plain(n):\n    pass\n\n\nlate = flow(plain)\n";
    let late = server.create(&json!({"name": "late", "python_source": source}));
    let input = json!({"workflow_sid": late, "input_data": "{\"m\": 1}", "parent_span_id": ""});
    let message = match server.try_call("play_run_async", &input) {
        Ok(sid) => {
            let play = server.wait(&text(&sid));
            assert_eq!(play["status"], "failed", "{play}");
            text(&play["cause"]["message"])
        }
        Err(refused) => text(&refused["message"]),
    };
    assert!(message.contains('n') && message.contains('m'), "{message}");
    server.stop();
}

#[test]
fn a_version_of_nodes_and_edges_is_no_flow_to_run() {
    let server = Server::start();
    let ok = server.add("ok");
    let dag = server.create(&json!({
        "name": "dag", "nodes": [{"id": "a", "workflow_sid": ok}], "edges": []
    }));
    let run = json!({"workflow_sid": dag, "input_data": "{}", "parent_span_id": ""});
    let refused = server.refusal("play_run_async", &run);
    assert_eq!(refused["data"]["kind"], "invalid_input", "{refused}");
    server.stop();
}

#[test]
fn what_names_nothing_is_not_found_and_what_is_there_a_conflict() {
    let server = Server::start();
    for (method, params) in [
        ("play_get", json!({"play_sid": "x"})),
        ("play_status", json!({"play_sid": ""})),
        ("play_wait", json!({"play_sid": "x", "timeout_ms": 0})),
        ("play_spans", json!({"play_sid": "x"})),
        ("play_cancel", json!({"play_sid": "x"})),
        ("play_retry", json!({"play_sid": "x"})),
        ("span_push", json!({"play_sid": "x", "event_json": "{"})),
        (
            "play_start",
            json!({"workflow_sid": "x", "input_data": "{}"}),
        ),
        ("workflow_get", json!({"workflow_sid": "x"})),
        ("workflow_version_get", json!({"version_sid": "x"})),
        ("workflow_delete", json!({"workflow_sid": "x"})),
    ] {
        let refused = server.refusal(method, &params);
        assert_eq!(refused["data"]["kind"], "not_found", "{method}: {refused}");
    }
    server.add("ok");
    let again = server.refusal(
        "workflow_create",
        &json!({"name": "ok", "python_source": "x = 1"}),
    );
    assert_eq!(again["data"]["kind"], "conflict", "{again}");
    server.stop();
}
