//! The client against a server that behaves as a test tells it to.

use std::time::Duration;

use crate::support::{FakeServer, event, play, snapshot, span};
use hero_logic::client::{CallError, Client, Record, Watch, WatchError};
use serde_json::json;

#[tokio::test]
async fn calls_at_once_get_their_own_answers() {
    let server = FakeServer::start(|_, params| Ok(params["n"].clone()), |_, _| None);
    let client = Client::connect(&server.socket()).await.unwrap();
    let calls = (0..100).map(|n| client.call("echo", json!({"n": n})));
    let answers = futures_util::future::join_all(calls).await;
    let expected: Vec<_> = (0..100).map(|n| Ok(json!(n))).collect();
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn a_refusal_keeps_kind_and_message() {
    let refuse = |_: &str, _: &serde_json::Value| {
        Err(
            json!({"code": -32003, "message": "it exists", "data": {"kind": "conflict", "name": "etl"}}),
        )
    };
    let server = FakeServer::start(refuse, |_, _| None);
    let client = Client::connect(&server.socket()).await.unwrap();
    let error = client.call("workflow_create", json!({})).await.unwrap_err();
    let expected = protocol::Error::conflict("it exists").with("name", "etl");
    assert_eq!(error, CallError::Refused(expected));
}

#[tokio::test]
async fn a_lost_connection_is_told_to_all_who_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let client = Client::connect(&path).await.unwrap();
    let leaves = tokio::task::spawn_blocking(move || drop(listener.accept().unwrap()));
    let first = client.call("a", json!({})).await;
    leaves.await.unwrap();
    let second = client.call("b", json!({})).await;
    for answer in [first, second] {
        assert!(matches!(answer, Err(CallError::Lost(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_goes_on_after_the_last_event() {
    let stream = |sid: &str, last: Option<&str>| {
        Some(match last {
            None => {
                let begin = event(4, "snapshot", &snapshot(&play(sid, "running")));
                let step = event(5, "span", &span("1", "a", "running"));
                format!(
                    "{begin}{step}event: lagged\ndata: {{}}\n\nid: 6\nevent: span\ndata: {{\"cut"
                )
            }
            Some("5") => {
                let step = event(6, "span", &span("1", "a", "ok"));
                let done = event(7, "play", &play(sid, "success"));
                format!(": keep-alive\n\n{step}{done}event: end\ndata: {{}}\n\n")
            }
            Some(other) => panic!("resumed after {other}"),
        })
    };
    let server = FakeServer::start(|_, _| Ok(json!(null)), stream);
    let mut watch = Watch::new(&server.socket());
    watch.follow(&"play-1".into());
    let mut told = Vec::new();
    loop {
        let (sid, record) = watch.next().await;
        assert_eq!(sid.as_str(), "play-1");
        told.push(match record.unwrap() {
            Record::Snapshot(snapshot) => format!("snapshot {}", snapshot.play.status.as_str()),
            Record::Span(span) => format!("span {}", span.status.as_str()),
            Record::Play(play) => format!("play {}", play.status.as_str()),
            Record::Log(_) => "log".to_owned(),
            Record::Lagged => "lagged".to_owned(),
            Record::End => break,
        });
    }
    let expected = [
        "snapshot running",
        "span running",
        "lagged",
        "span ok",
        "play success",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_server_that_stays_away_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let mut watch = Watch::new(&directory.path().join("nobody"));
    watch.follow(&"play-1".into());
    let told = tokio::time::timeout(Duration::from_secs(30), watch.next()).await;
    assert!(matches!(told.unwrap().1, Err(WatchError::Gone(_))));
}
