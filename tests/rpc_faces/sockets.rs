//! Socket files, connections, and closing the doors.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hero_logic::http::{ListenConfig, Serving, connect, serve_faces};
use protocol::{Error, ErrorKind, PlaySid, PlayStatus};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    store::{SmallStore, play},
    support::{LONG, Server, State, call, faces, get, rpc_request, send, within},
};

async fn at(path: &Path) -> Result<Serving, Error> {
    let config = ListenConfig {
        socket: Some(path.to_owned()),
        ..ListenConfig::default()
    };
    serve_faces(
        faces(&State::new(), Arc::new(SmallStore::default())),
        config,
    )
    .await
}

async fn answers(path: &Path) -> bool {
    let Ok(mut stream) = connect(path).await else {
        return false;
    };
    let request = call(1, "echo", json!([1])).to_string();
    within(stream.write_all(request.as_bytes())).await.unwrap();
    within(stream.shutdown()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    answer.contains("\"result\":1")
}

#[tokio::test]
async fn a_socket_is_private_and_gone_afterwards() {
    let server = Server::start().await;
    let path = server.serving.socket().unwrap().to_owned();
    let there = std::fs::symlink_metadata(&path).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o600);
    assert!(server.serving.stop(LONG).await);
    assert!(!path.exists());
    assert_eq!(
        std::fs::read_dir(server.directory.path()).unwrap().count(),
        0
    );
}

#[tokio::test]
async fn a_path_that_is_too_long_for_the_system_works() {
    let root = tempfile::tempdir().unwrap();
    let mut deep = root.path().to_owned();
    for _ in 0..5 {
        deep.push("d".repeat(60));
    }
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("hero_logic.sock");
    assert!(path.as_os_str().len() > 300);
    let serving = at(&path).await.unwrap();
    assert!(answers(&path).await);
    assert_eq!(at(&path).await.unwrap_err().kind, ErrorKind::Conflict);
    assert!(serving.stop(LONG).await);
    assert!(!path.exists());
}

#[tokio::test]
async fn only_a_stale_socket_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("s.sock");
    let serving = at(&path).await.unwrap();
    let refused = at(&path).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(answers(&path).await, "the first one still answers");
    drop(serving);

    let stale = root.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    let serving = at(&stale).await.unwrap();
    assert!(answers(&stale).await);
    drop(serving);

    let file = root.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert_eq!(at(&file).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let nowhere = at(&root.path().join("no/such/s.sock")).await.unwrap_err();
    assert_eq!(nowhere.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_socket_that_is_another_servers_by_now_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("s.sock");
    let first = at(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = at(&path).await.unwrap();
    assert!(first.stop(LONG).await);
    assert!(answers(&path).await);
    drop(second);
}

#[tokio::test]
async fn stopping_lets_calls_in_flight_be_answered() {
    let server = Server::start().await;
    let address = server.serving.tcp().unwrap();
    let mut lines = server.lines().await;
    lines.send(&call(1, "hold", json!({})).to_string()).await;
    let request = rpc_request()
        .body(call(2, "hold", json!({})).to_string().into())
        .unwrap();
    let over_http = tokio::spawn(send(server.tcp().await, request));
    let idle = server.tcp().await;
    server.state.held(2).await;

    let stopped = tokio::spawn(server.serving.stop(LONG));
    // The socket file goes once nobody is let in any more.
    let path = server.directory.path().join("s.sock");
    within(async {
        while path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!stopped.is_finished());
    server.state.gate.send_replace(true);
    assert_eq!(lines.next().await.unwrap()["result"], "released");
    assert_eq!(lines.next().await, None);
    let answer = within(over_http).await.unwrap().whole().await;
    assert_eq!(answer.json()["result"], "released");
    assert!(within(stopped).await.unwrap(), "all were answered in time");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left() {
    let server = Server::start().await;
    let mut lines = server.lines().await;
    lines.send(&call(1, "hold", json!({})).to_string()).await;
    server.state.held(1).await;
    assert!(!within(server.serving.stop(Duration::from_millis(50))).await);
    assert_eq!(lines.next().await, None);
    server.state.held(0).await;
}

#[tokio::test]
async fn stopping_ends_live_streams_with_a_word() {
    let server = Server::start().await;
    let sid = PlaySid::from("p");
    server
        .store
        .write(&sid, vec![play(&sid, PlayStatus::Running)]);
    let stream = send(server.tcp().await, get("/api/plays/p/spans")).await;
    let (stopped, answer) = tokio::join!(server.serving.stop(LONG), stream.whole());
    assert!(stopped);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("event: stopping\ndata: {}\n\n"), "{text}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let server = Server::with(|config| config.limits.connections = 2).await;
    let mut first = server.lines().await;
    let mut second = server.lines().await;
    for lines in [&mut first, &mut second] {
        lines.send(&call(1, "echo", json!([1])).to_string()).await;
        assert!(lines.next().await.is_some());
    }
    let mut third = server.lines().await;
    third
        .send(&call(1, "note", json!(["third"])).to_string())
        .await;
    first.send(&call(2, "echo", json!([1])).to_string()).await;
    assert!(first.next().await.is_some());
    assert!(
        server.state.notes.borrow().is_empty(),
        "the third one has no place yet"
    );
    drop(second);
    assert_eq!(third.next().await.unwrap()["id"], 1);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Server::with(|config| config.limits.head = Duration::from_millis(50)).await;
    let mut stream = server.tcp().await;
    within(stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc"))
        .await
        .unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
}
