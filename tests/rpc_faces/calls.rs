//! JSON-RPC itself, over HTTP: forms, errors, batches, notifications.

use std::sync::Arc;

use hyper::Method;
use protocol::{
    Error,
    server::{PartHealth, ServerHealth},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    store::SmallStore,
    support::{Server, State, call, faces, get, rpc_request, send, within},
};

async fn ask(server: &Server, request: impl ToString) -> Value {
    let answer = server.post(request.to_string()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

#[tokio::test]
async fn a_call_by_name_and_by_position() {
    let server = Server::start().await;
    let named = ask(&server, call(1, "echo", json!({"value": {"a": null}}))).await;
    assert_eq!(
        named,
        json!({"jsonrpc": "2.0", "id": 1, "result": {"a": null}})
    );
    let placed = ask(&server, call(2, "echo", json!([null]))).await;
    assert_eq!(placed, json!({"jsonrpc": "2.0", "id": 2, "result": null}));
    for id in [json!("x"), json!(null), json!(1.5), json!(-3), json!("")] {
        let mut request = call(0, "echo", json!([1]));
        request["id"] = id.clone();
        let answer = ask(&server, request).await;
        assert_eq!(answer["id"], id);
        assert_eq!(answer["result"], 1);
    }
}

#[tokio::test]
async fn every_error_has_its_code_and_kind() {
    let server = Server::start().await;
    for (request, code, kind, id) in [
        ("{", -32700, "parse_error", json!(null)),
        ("", -32700, "parse_error", json!(null)),
        ("{} {}", -32700, "parse_error", json!(null)),
        ("\u{feff}{}", -32700, "parse_error", json!(null)),
        ("5", -32600, "invalid_request", json!(null)),
        ("[]", -32600, "invalid_request", json!(null)),
        ("{}", -32600, "invalid_request", json!(null)),
        (
            r#"{"id": 1, "method": "echo"}"#,
            -32600,
            "invalid_request",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "1.0", "id": 1, "method": "echo"}"#,
            -32600,
            "invalid_request",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1}"#,
            -32600,
            "invalid_request",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": 5}"#,
            -32600,
            "invalid_request",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": {}, "method": "echo"}"#,
            -32600,
            "invalid_request",
            json!(null),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": true, "method": "echo"}"#,
            -32600,
            "invalid_request",
            json!(null),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "echo"}"#,
            -32600,
            "invalid_request",
            json!(null),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "nope"}"#,
            -32601,
            "method_not_found",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "echo"}"#,
            -32602,
            "invalid_params",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": 5}"#,
            -32602,
            "invalid_params",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"x": 1, "value": 2}}"#,
            -32602,
            "invalid_params",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": [1, 2, 3]}"#,
            -32602,
            "invalid_params",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "boom"}"#,
            -32603,
            "internal",
            json!(1),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "fail", "params": ["conflict"]}"#,
            -32003,
            "conflict",
            json!(1),
        ),
    ] {
        let answer = ask(&server, request).await;
        assert_eq!(answer["error"]["code"], code, "{request}: {answer}");
        assert_eq!(answer["error"]["data"]["kind"], kind, "{request}");
        assert_eq!(answer["id"], id, "{request}");
        assert_eq!(answer["jsonrpc"], "2.0", "{request}");
        assert!(
            answer["error"]["message"]
                .as_str()
                .is_some_and(|m| !m.is_empty()),
            "{request}"
        );
        assert!(answer.get("result").is_none(), "{request}");
    }
    let failed = ask(&server, call(1, "fail", json!(["invalid_input"]))).await;
    assert_eq!(
        failed["error"]["data"],
        json!({"kind": "invalid_input", "line": 3})
    );
    let unknown = ask(&server, call(1, "echo", json!({"valeu": 1}))).await;
    let message = unknown["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("valeu") && message.contains("value, times?"),
        "{message}"
    );
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order_without_its_notifications() {
    let server = Server::start().await;
    let batch = json!([
        call(1, "hold", json!({})),
        {"jsonrpc": "2.0", "method": "note", "params": ["in a batch"]},
        5,
        call(2, "boom", json!({})),
        call(3, "echo", json!(["last"])),
    ]);
    let asked = server.post(batch.to_string());
    let released = async {
        // The others are not kept waiting by the first.
        assert_eq!(server.state.noted(1).await, ["in a batch"]);
        server.state.held(1).await;
        server.state.gate.send_replace(true);
    };
    let (answer, ()) = tokio::join!(asked, released);
    let answers = answer.json();
    let ids: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(null), json!(2), json!(3)]);
    assert_eq!(answers[0]["result"], "released");
    assert_eq!(answers[1]["error"]["code"], -32600);
    assert_eq!(answers[2]["error"]["code"], -32603);
    assert_eq!(answers[3]["result"], "last");
}

#[tokio::test]
async fn the_calls_of_a_batch_run_at_once() {
    let server = Server::start().await;
    let batch: Vec<_> = (0..1_000).map(|id| call(id, "hold", json!([]))).collect();
    let asked = server.post(json!(batch).to_string());
    let released = async {
        server.state.held(1_000).await;
        server.state.gate.send_replace(true);
    };
    let (answer, ()) = tokio::join!(asked, released);
    assert_eq!(answer.json().as_array().unwrap().len(), 1_000);
    let one_more: Vec<_> = (0..1_001).map(|id| call(id, "echo", json!([1]))).collect();
    let refused = ask(&server, json!(one_more)).await;
    assert_eq!(refused["error"]["data"]["kind"], "too_large");
}

#[tokio::test]
async fn notifications_are_run_and_not_answered() {
    let server = Server::start().await;
    let note = json!({"jsonrpc": "2.0", "method": "note", "params": {"text": "alone"}});
    let answer = server.post(note.to_string()).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    // Those that fail are not answered either.
    for failing in ["boom", "nope", "note"] {
        let note = json!([{"jsonrpc": "2.0", "method": failing}]);
        assert_eq!(server.post(note.to_string()).await.status, 204, "{failing}");
    }
    assert_eq!(server.state.noted(1).await, ["alone"]);
}

#[tokio::test]
async fn what_http_gets_wrong_is_told_in_http() {
    let server = Server::start().await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
        "application/jsonx",
    ] {
        let mut request = rpc_request()
            .body(call(1, "echo", json!([1])).to_string().into())
            .unwrap();
        request
            .headers_mut()
            .insert("content-type", content_type.parse().unwrap());
        let answer = send(server.tcp().await, request).await.whole().await;
        assert_eq!(answer.status, 415, "{content_type}");
        assert_eq!(answer.json()["error"]["data"]["kind"], "invalid_request");
    }
    let mut request = rpc_request()
        .body(call(1, "echo", json!([1])).to_string().into())
        .unwrap();
    request.headers_mut().remove("content-type");
    assert_eq!(
        send(server.tcp().await, request.clone())
            .await
            .whole()
            .await
            .status,
        415
    );
    let utf8 = "application/JSON; charset=utf-8".parse().unwrap();
    request.headers_mut().insert("content-type", utf8);
    assert_eq!(
        send(server.tcp().await, request).await.whole().await.status,
        200
    );

    assert_eq!(server.get("/rpc").await.status, 405);
    assert_eq!(server.get("/api/nowhere").await.status, 404);
    let mut request = get("/healthz");
    *request.method_mut() = Method::DELETE;
    assert_eq!(
        send(server.tcp().await, request).await.whole().await.status,
        405
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_told_so() {
    let server = Server::with(|config| config.limits.request_bytes = 100_000).await;
    let fits = call(1, "echo", json!(["x".repeat(99_000)])).to_string();
    assert_eq!(
        server.post(fits).await.json()["result"]
            .as_str()
            .unwrap()
            .len(),
        99_000
    );
    let large = call(1, "echo", json!(["x".repeat(20_000_000)])).to_string();
    let answer = server.post(large.clone()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"]["code"], -32005);
    assert_eq!(
        answer.json()["error"]["data"],
        json!({"kind": "too_large", "limit": 100_000})
    );
    // Far beyond what the system's buffers hold: one that sends it all before it reads gets to read
    // the answer; announced or not.
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    for (framing, body) in [
        (format!("content-length: {}", large.len()), &large),
        ("transfer-encoding: chunked".to_owned(), &chunk),
    ] {
        let mut stream = server.tcp().await;
        let head = format!(
            "POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             connection: close\r\n{framing}\r\n\r\n"
        );
        within(stream.write_all(head.as_bytes())).await.unwrap();
        within(stream.write_all(body.as_bytes())).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
        assert!(answer.contains("too_large"), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_is_forgotten() {
    let server = Server::start().await;
    let request = rpc_request()
        .body(call(1, "hold", json!({})).to_string().into())
        .unwrap();
    let asked = tokio::spawn(send(server.tcp().await, request));
    server.state.held(1).await;
    asked.abort();
    server.state.held(0).await;
}

#[tokio::test]
async fn the_document_and_the_figures_are_served() {
    let server = Server::start().await;
    let document = ask(&server, call(1, "rpc.discover", json!([]))).await;
    let names: Vec<_> = document["result"]["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].clone())
        .collect();
    assert_eq!(names.last().unwrap(), "rpc.discover");
    assert!(names.contains(&json!("echo")));

    let health = server.get("/healthz").await;
    assert_eq!(
        health.json(),
        json!({"ok": true, "version": "1.2.3", "parts": []})
    );
    let figures = server.get("/metrics").await;
    assert_eq!(
        figures.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = String::from_utf8(figures.body.to_vec()).unwrap();
    for line in [
        "hero_logic_plays{status=\"running\"} 3",
        "hero_logic_connections 1",
        "hero_logic_rpc_calls_total{method=\"rpc.discover\",outcome=\"ok\"} 1",
        "hero_logic_rpc_calls_total{method=\"echo\",outcome=\"error\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("# TYPE hero_logic_rpc_calls_total counter\n"));
}

#[tokio::test]
async fn who_is_not_well_answers_503_and_says_why() {
    let (state, store) = (State::new(), Arc::new(SmallStore::default()));
    let mut faces = faces(&state, store.clone());
    let health = ServerHealth {
        ok: false,
        version: "1.2.3".into(),
        parts: vec![PartHealth {
            name: "store_writes".into(),
            ok: false,
            reason: Some("the disk is full".into()),
        }],
    };
    faces.health = Arc::new(move || Box::pin(std::future::ready(health.clone())));
    faces.figures = Arc::new(|| Box::pin(std::future::ready(Err(Error::unavailable("gone")))));
    let server = Server::of(state, faces, store, |_| {}).await;
    let answer = server.get("/healthz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["parts"][0]["reason"], "the disk is full");
    assert_eq!(server.get("/metrics").await.status, 503);
}

#[tokio::test]
async fn refusals_have_the_form_of_their_path() {
    let server = Server::start().await;
    let answer = server.get("/rpc").await;
    assert_eq!(answer.status, 405);
    let body = answer.json();
    assert_eq!(
        (&body["jsonrpc"], &body["id"]),
        (&json!("2.0"), &json!(null)),
        "{body}"
    );
    assert_eq!(body["error"]["data"]["kind"], "invalid_request");
    let answer = server.get("/api/plays/%ff/spans").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["data"]["kind"], "not_found");
}
