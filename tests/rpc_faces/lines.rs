//! Newline-framed JSON-RPC on the Unix socket.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Lines, Server, call, get, send, within};

async fn ask(lines: &mut Lines, request: impl ToString) -> Value {
    lines.send(&request.to_string()).await;
    lines.next().await.expect("an answer")
}

#[tokio::test]
async fn a_line_in_a_line_out() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    assert_eq!(
        ask(&mut lines, call(1, "echo", json!(["ä\n"]))).await["result"],
        "ä\n"
    );
    let batch = json!([call(2, "echo", json!([2])), call(3, "echo", json!([3]))]);
    assert_eq!(ask(&mut lines, batch).await.as_array().unwrap().len(), 2);
    assert_eq!(
        ask(&mut lines, "\n  \r\n nonsense").await["error"]["code"],
        -32700
    );
    // A broken line costs nothing but itself; a notification has no answer.
    lines
        .send(&json!({"jsonrpc": "2.0", "method": "note", "params": ["n"]}).to_string())
        .await;
    assert_eq!(ask(&mut lines, call(4, "echo", json!([4]))).await["id"], 4);
    assert_eq!(server.state.noted(1).await, ["n"]);
}

#[tokio::test]
async fn the_same_socket_speaks_http() {
    let server = Server::start().await;
    let answer = send(server.unix().await, get("/healthz"))
        .await
        .whole()
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn white_space_may_come_first() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    lines.send("  \n\t").await;
    assert_eq!(
        ask(&mut lines, call(1, "echo", json!([1]))).await["result"],
        1
    );
}

#[tokio::test]
async fn a_waiting_call_does_not_block_the_others() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    lines.send(&call(1, "hold", json!({})).to_string()).await;
    assert_eq!(ask(&mut lines, call(2, "echo", json!([2]))).await["id"], 2);
    server.state.held(1).await;
    server.state.gate.send_replace(true);
    assert_eq!(lines.next().await.unwrap()["id"], 1);
}

#[tokio::test]
async fn reading_pauses_at_the_limit_and_goes_on() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    let sent = async {
        for id in 0..1_500 {
            let line = format!("{}\n", call(id, "hold", json!({})));
            within(lines.writer.write_all(line.as_bytes()))
                .await
                .unwrap();
        }
    };
    let released = async {
        server.state.held(1_024).await;
        server.state.gate.send_replace(true);
    };
    tokio::join!(sent, released);
    let mut ids = Vec::new();
    for _ in 0..1_500 {
        ids.push(lines.next().await.unwrap()["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..1_500).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_that_nobody_fetches_do_not_pile_up() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    let megabyte = 1 << 20;
    for id in 0..25 {
        lines
            .send(&call(id, "blob", json!([megabyte])).to_string())
            .await;
    }
    // Reading and running pause once a few answers wait, while others are served.
    let run = || {
        server
            .rpc
            .calls()
            .find(|(name, ..)| *name == "blob")
            .unwrap()
            .1
    };
    let mut other = server.lines().await;
    while run() < 4 {
        assert!(ask(&mut other, call(0, "echo", json!([0]))).await["id"] == 0);
    }
    for _ in 0..100 {
        assert!(ask(&mut other, call(0, "echo", json!([0]))).await["id"] == 0);
    }
    assert!(run() < 10, "{} answers nobody fetches", run());
    for _ in 0..25 {
        let answer = lines.next().await.unwrap();
        assert_eq!(answer["result"].as_str().unwrap().len(), megabyte);
    }
}

#[tokio::test]
async fn a_peer_that_has_only_sent_all_gets_its_answers() {
    let server = Server::start().await;
    let mut stream = server.unix().await;
    let request = format!(
        "{}\n{}",
        call(1, "hold", json!({})),
        call(2, "echo", json!(["without a line end"]))
    );
    within(stream.write_all(request.as_bytes())).await.unwrap();
    within(stream.shutdown()).await.unwrap();
    server.state.held(1).await;
    server.state.gate.send_replace(true);
    let mut answers = String::new();
    within(stream.read_to_string(&mut answers)).await.unwrap();
    assert_eq!(answers.lines().count(), 2, "{answers}");
    assert!(answers.contains("released") && answers.contains("without a line end"));
}

#[tokio::test]
async fn the_calls_of_a_peer_that_left_are_dropped() {
    let server = Server::start().await;
    for count in [1, 1_024] {
        let mut lines = server.lines().await;
        for id in 0..count {
            lines.send(&call(id, "hold", json!({})).to_string()).await;
        }
        server.state.held(usize::try_from(count).unwrap()).await;
        drop(lines);
        server.state.held(0).await;
    }
    // Also one that had sent all and waited.
    let mut stream = server.unix().await;
    within(stream.write_all(call(1, "hold", json!({})).to_string().as_bytes()))
        .await
        .unwrap();
    within(stream.shutdown()).await.unwrap();
    server.state.held(1).await;
    drop(stream);
    server.state.held(0).await;
}

#[tokio::test]
async fn notifications_are_run_even_if_their_sender_leaves_at_once() {
    let server = Server::start().await;
    let note = |n: usize| json!({"jsonrpc": "2.0", "method": "note", "params": [n.to_string()]});
    let mut lines = server.lines().await;
    lines.send(&note(0).to_string()).await;
    drop(lines);
    server.state.noted(1).await;
    // Behind so many waiting calls that nothing more was read.
    let mut lines = server.lines().await;
    for id in 0..1_024 {
        lines.send(&call(id, "hold", json!({})).to_string()).await;
    }
    server.state.held(1_024).await;
    for n in 1..=50 {
        lines.send(&note(n).to_string()).await;
    }
    drop(lines);
    assert_eq!(server.state.noted(51).await.len(), 51);
    server.state.held(0).await;
}

#[tokio::test]
async fn a_line_over_the_limit_is_answered_and_ends_the_connection() {
    let server = Server::with(|config| config.limits.request_bytes = 10_000).await;
    let mut lines = server.lines().await;
    let fits = call(1, "echo", json!(["x".repeat(9_900)])).to_string();
    assert!(ask(&mut lines, fits).await.get("result").is_some());
    let large = call(2, "echo", json!(["x".repeat(5_000_000)])).to_string();
    let refused = ask(&mut lines, large).await;
    assert_eq!(refused["error"]["data"]["kind"], "too_large");
    assert_eq!(refused["id"], json!(null));
    assert_eq!(lines.next().await, None);
    // The same where the line is whole, but too long.
    let mut lines = server.lines().await;
    let over = call(2, "echo", json!(["x".repeat(10_000)])).to_string();
    assert_eq!(
        ask(&mut lines, over).await["error"]["data"]["kind"],
        "too_large"
    );
    assert_eq!(lines.next().await, None);
}
