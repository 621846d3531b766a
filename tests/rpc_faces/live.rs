//! The live stream of a play: nothing lost, nothing twice, whatever the reader does.

use std::{sync::Arc, time::Duration};

use actors::{
    figures::Value,
    store::{ChangeBody, Store},
};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use protocol::{PlaySid, PlayStatus, SpanStatus};

use crate::{
    reader::{Known, Reader, rising},
    store::{SmallStore, log, play, span},
    support::{Server, get, send, within},
};

fn sid() -> PlaySid {
    "p".into()
}

/// The commits of a play's life, its spans changing again and again; the last one ends it.
fn life(commits: u64) -> Vec<Vec<ChangeBody>> {
    let mut all: Vec<_> = (0..commits)
        .map(|n| {
            let mut bodies = vec![span(n % 7, SpanStatus::Running), log(n.to_string())];
            if n % 3 == 0 {
                bodies.push(span(n % 5, SpanStatus::Ok));
            }
            bodies
        })
        .collect();
    // The play's row is not the last of its commit.
    all.push(vec![
        span(1, SpanStatus::Ok),
        play(&sid(), PlayStatus::Success),
        span(2, SpanStatus::Failed),
        log("last words"),
    ]);
    all
}

#[tokio::test]
async fn a_snapshot_then_what_changes_then_the_end() {
    let server = Server::start().await;
    server.store.write(
        &sid(),
        vec![
            play(&sid(), PlayStatus::Running),
            span(1, SpanStatus::Running),
        ],
    );
    let mut reader = Reader::open(&server, "p", None).await;
    let first = reader.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id), ("snapshot", Some(2)));
    assert_eq!(first.data["seq"], 2);
    assert_eq!(first.data["play"]["status"], "running");
    assert_eq!(first.data["spans"][0]["span_id"], "1.1");
    assert_eq!(first.data["logs"], serde_json::json!([]));

    server.store.write(&sid(), vec![log("two\nlines")]);
    // Another play's changes are not this one's.
    server.store.write(&"q".into(), vec![log("not mine")]);
    server.store.write(
        &sid(),
        vec![span(1, SpanStatus::Ok), play(&sid(), PlayStatus::Success)],
    );
    let rest = reader.rest().await;
    let seen: Vec<_> = rest.iter().map(|e| (e.name.as_str(), e.id)).collect();
    assert_eq!(
        seen,
        [
            ("log", Some(3)),
            ("span", Some(5)),
            ("play", Some(6)),
            ("end", None)
        ]
    );
    assert_eq!(rest[0].data["text"], "two\nlines");
    assert_eq!(rest[3].data["status"], "success");
    assert_eq!(server.store.feed().watched_plays(), 0);
}

/// Counted, not timed: each commit is written out once for all who follow.
#[tokio::test]
async fn a_commit_is_encoded_once_for_all_its_readers() {
    let server = Server::start().await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Running)]);
    let opening = (0..200).map(|_| Reader::open(&server, "p", None));
    let mut readers = join_all(opening).await;
    for reader in &mut readers {
        assert_eq!(reader.next().await.unwrap().name, "snapshot");
    }
    let (commits, encoded) = (life(40), || encoded_commits(&server));
    assert_eq!(encoded(), Value::Number(0.0), "nothing was committed since");
    let written = commits.len() as f64;
    // Few enough that nobody lags: who does reads the store, and has that written out for itself.
    for bodies in commits {
        server.store.write(&sid(), bodies);
    }
    let mut read = join_all(readers.into_iter().map(Reader::rest)).await;
    let first = read.pop().unwrap();
    rising(&first);
    assert_eq!(first.last().unwrap().name, "end");
    assert!(read.iter().all(|other| *other == first));
    assert_eq!(encoded(), Value::Number(written));
}

/// As `/metrics` tells it.
fn encoded_commits(server: &Server) -> Value {
    let families = server.store.feed().families();
    let family = families
        .iter()
        .find(|family| family.name == "feed_encoded_commits_total");
    family.unwrap().samples[0].value.clone()
}

#[tokio::test]
async fn an_ended_play_is_a_snapshot_and_the_end() {
    let server = Server::start().await;
    for bodies in life(3) {
        server.store.write(&sid(), bodies);
    }
    let events = Reader::open(&server, "p", None).await.rest().await;
    let names: Vec<_> = events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["snapshot", "end"]);
    assert_eq!(events[1].data["sid"], "p");
}

#[tokio::test]
async fn what_is_not_there_or_not_a_number_is_told() {
    let server = Server::start().await;
    let absent = server.get("/api/plays/nope/spans").await;
    assert_eq!(absent.status, 404);
    assert_eq!(
        absent.json()["error"]["data"],
        serde_json::json!({"kind": "not_found", "sid": "nope"})
    );
    let absent = server.get("/api/plays/nope/spans?last_event_id=0").await;
    assert_eq!(absent.status, 404);
    let malformed = server.get("/api/plays/nope/spans?last_event_id=x").await;
    assert_eq!(malformed.status, 400);
    assert_eq!(malformed.json()["error"]["data"]["kind"], "invalid_input");
    assert_eq!(server.store.feed().watched_plays(), 0);
}

/// From every id that there is, at every moment of a play's life: what follows brings the reader
/// from what it knew to what is.
#[tokio::test]
async fn coming_back_from_any_id_loses_and_repeats_nothing() {
    let server = Server::start().await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Running)]);
    let whole = Reader::open(&server, "p", None).await;
    let commits = life(40);
    let writer = tokio::spawn({
        let store = server.store.clone();
        async move {
            for bodies in commits {
                store.write(&sid(), bodies);
                tokio::task::yield_now().await;
            }
        }
    });
    let whole = whole.rest().await;
    within(writer).await.unwrap();
    rising(&whole);
    let last = whole.iter().filter_map(|e| e.id).max().unwrap();
    let is = Known::of_store(&*server.store, &sid()).await;
    for from in 0..=last {
        let back = Reader::open(&server, "p", Some(from)).await.rest().await;
        assert!(back.iter().all(|e| e.name != "snapshot"), "from {from}");
        assert!(
            back.iter().all(|e| e.id.is_none_or(|id| id > from)),
            "from {from}"
        );
        assert_eq!(back.last().unwrap().name, "end", "from {from}");
        rising(&back);
        let mut known = Known::default();
        let before = whole.iter().filter(|e| e.id.is_some_and(|id| id <= from));
        before.chain(&back).for_each(|event| known.learn(event));
        if from == 0 {
            // Nothing was known before; the play's row has changed since.
            assert_eq!(known.play["status"], "success");
        }
        assert_eq!(known, is, "from {from}");
    }
}

/// The same while the play goes on: readers break off after each event and come back at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_break_off_again_and_again_see_everything_once() {
    let server = Server::start().await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Running)]);
    let store = server.store.clone();
    let writer = tokio::spawn(async move {
        for bodies in life(400) {
            store.write(&sid(), bodies);
            tokio::task::yield_now().await;
        }
    });
    let (mut known, mut events, mut last) = (Known::default(), Vec::new(), None);
    'play: for patience in (1..=5).cycle() {
        let mut reader = Reader::open(&server, "p", last).await;
        for _ in 0..patience {
            let event = reader.next().await.unwrap();
            known.learn(&event);
            last = event.id.or(last);
            events.push(event.clone());
            if event.name == "end" {
                break 'play;
            }
        }
    }
    within(writer).await.unwrap();
    rising(&events);
    assert_eq!(events.iter().filter(|e| e.name == "snapshot").count(), 1);
    assert_eq!(known, Known::of_store(&*server.store, &sid()).await);
}

/// What is committed around each read of the stream comes exactly once.
#[tokio::test]
async fn commits_during_a_read_come_once() {
    for (from, at_first) in [(None, 0), (Some(1), 0), (Some(2), 0), (None, 3)] {
        let server = Server::start().await;
        server.store.write(
            &sid(),
            vec![play(&sid(), PlayStatus::Running), log("before")],
        );
        let mut reader = Reader::open(&server, "p", from).await;
        let mut events = Vec::new();
        for _ in 0..at_first {
            server.store.write(&sid(), vec![log("more")]);
        }
        let meanwhile = (0..2).map(|n| log(format!("meanwhile {n}")));
        server.store.meanwhile.lock().unwrap().extend(meanwhile);
        // A second one, whose first read is interrupted; then both see the rest.
        let second = Reader::open(&server, "p", from).await;
        within(async {
            while !server.store.meanwhile.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server
            .store
            .write(&sid(), vec![play(&sid(), PlayStatus::Success)]);
        while let Some(event) = reader.next().await {
            events.push(event);
        }
        for events in [events, second.rest().await] {
            rising(&events);
            let mut known = Known::default();
            if from == Some(2) {
                known.logs.push("before".into());
            }
            events.iter().for_each(|event| known.learn(event));
            assert_eq!(
                known,
                Known::of_store(&*server.store, &sid()).await,
                "from {from:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_reader_that_lags_is_told_and_loses_nothing() {
    let server = Server::start().await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Running)]);
    let mut reader = Reader::open(&server, "p", None).await;
    let mut events = vec![reader.next().await.unwrap()];
    // Without a pause in between, the stream can't fetch any of it in time.
    for bodies in life(2_000) {
        server.store.write(&sid(), bodies);
    }
    events.extend(reader.rest().await);
    rising(&events);
    let lagged: Vec<_> = events.iter().filter(|e| e.name == "lagged").collect();
    assert_eq!(lagged.len(), 1);
    assert!(lagged[0].data["missed_commits"].as_u64().unwrap() > 900);
    assert_eq!(lagged[0].id, None);
    let mut known = Known::default();
    events.iter().for_each(|event| known.learn(event));
    assert_eq!(known, Known::of_store(&*server.store, &sid()).await);
    assert_eq!(events.last().unwrap().name, "end");
}

#[tokio::test]
async fn an_id_from_elsewhere_gets_a_snapshot() {
    let server = Server::start().await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Success)]);
    let events = Reader::open(&server, "p", Some(1_000)).await.rest().await;
    assert_eq!(
        (events[0].name.as_str(), events[0].id),
        ("snapshot", Some(1))
    );
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_a_reader_that_left_is_forgotten() {
    let server = Server::with(|config| config.limits.keep_alive = Duration::from_millis(5)).await;
    server
        .store
        .write(&sid(), vec![play(&sid(), PlayStatus::Running)]);
    let mut reader = Reader::open(&server, "p", None).await;
    reader.next().await.unwrap();
    let store: Arc<SmallStore> = server.store.clone();
    within(async {
        while reader.comments < 3 {
            let frame = reader
                .pending
                .response
                .body_mut()
                .frame()
                .await
                .unwrap()
                .unwrap();
            let data = frame.into_data().unwrap();
            assert_eq!(data, ": keep-alive\n\n");
            reader.comments += 1;
        }
    })
    .await;
    assert_eq!(store.feed().watched_plays(), 1);
    drop(reader);
    within(async {
        while store.feed().watched_plays() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The same for one without anything to be sent.
    drop(send(server.unix().await, get("/api/plays/p/spans")).await);
    within(async {
        while store.feed().watched_plays() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
