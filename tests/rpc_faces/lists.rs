//! The live lists: every play and workflow as it last stood, whatever the reader does.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actors::store::{
    LibraryChange, Store,
    conformance::sample::{ended, library, record, running, stored_workflow, write},
    sqlite::SqliteStore,
};
use protocol::{PlaySid, PlayStatus};
use serde_json::{Value, json};

use crate::{
    reader::{Event, Reader, rising},
    store::{SmallStore, log, play},
    support::{Server, get, send, within},
};

const PATH: &str = "/api/plays";

async fn open(server: &Server, last: Option<u64>) -> Reader {
    Reader::open_at(server, PATH, last).await
}

fn set(server: &Server, sid: &str, status: PlayStatus) {
    let sid = PlaySid::from(sid);
    server.store.write(&sid, vec![play(&sid, status)]);
}

fn short(event: &Event) -> (&str, Option<u64>, &str, &str) {
    let text = |field: &str| event.data[field].as_str().unwrap_or_default();
    (&event.name, event.id, text("sid"), text("status"))
}

/// What a reader knows of the plays after these events.
fn known<'e>(events: impl IntoIterator<Item = &'e Event>) -> BTreeMap<String, Value> {
    let plays = events.into_iter().filter(|event| event.name == "play");
    let sid = |event: &Event| event.data["sid"].as_str().unwrap().to_owned();
    plays
        .map(|event| (sid(event), event.data.clone()))
        .collect()
}

#[tokio::test]
async fn a_greeting_then_every_play_that_changes() {
    let server = Server::start().await;
    set(&server, "before", PlayStatus::Success);
    let mut reader = open(&server, None).await;
    let hello = reader.next().await.unwrap();
    assert_eq!((hello.name.as_str(), hello.id), ("hello", Some(1)));
    assert_eq!(hello.data, json!({"seq": 1}));
    set(&server, "p", PlayStatus::Running);
    let first = reader.next().await.unwrap();
    assert_eq!(short(&first), ("play", Some(2), "p", "running"));
    assert!(first.data.get("input_data").is_none(), "{}", first.data);
    // Spans and logs are no news of the list.
    server.store.write(&"p".into(), vec![log("nothing")]);
    set(&server, "q", PlayStatus::Running);
    assert_eq!(
        short(&reader.next().await.unwrap()),
        ("play", Some(4), "q", "running")
    );
    set(&server, "p", PlayStatus::Failed);
    assert_eq!(
        short(&reader.next().await.unwrap()),
        ("play", Some(5), "p", "failed")
    );
}

#[tokio::test]
async fn who_comes_back_gets_what_changed_since() {
    let server = Server::start().await;
    for sid in ["a", "b", "c"] {
        set(&server, sid, PlayStatus::Running);
    }
    set(&server, "a", PlayStatus::Success);
    for (last, expected) in [(1, &["b", "c", "a"][..]), (3, &["a"]), (4, &[])] {
        let mut reader = open(&server, Some(last)).await;
        let hello = reader.next().await.unwrap();
        assert_eq!(
            (hello.id, hello.data["seq"].as_u64()),
            (Some(last), Some(last))
        );
        for sid in expected {
            assert_eq!(reader.next().await.unwrap().data["sid"], *sid);
        }
        set(&server, "d", PlayStatus::Running);
        assert_eq!(
            reader.next().await.unwrap().data["sid"],
            "d",
            "after {last}"
        );
        set(&server, "d", PlayStatus::Pending);
        drop(reader);
    }
    // A number that this store never gave: greeted with another.
    let mut reader = open(&server, Some(1_000_000)).await;
    let seq = server.store.last_seq().await.unwrap();
    assert_eq!(reader.next().await.unwrap().data, json!({"seq": seq}));
    let malformed = server.get("/api/plays?last_event_id=x").await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn a_reader_that_lags_is_told_and_loses_nothing() {
    let server = Server::start().await;
    let mut reader = open(&server, None).await;
    let mut events = vec![reader.next().await.unwrap()];
    // Without a pause in between, the stream can't fetch any of it in time.
    for n in 0..2_000_u32 {
        set(
            &server,
            &format!("p{:03}", n % 600),
            PlayStatus::ALL[n as usize % 7],
        );
    }
    set(&server, "last", PlayStatus::Success);
    loop {
        let event = reader.next().await.unwrap();
        let last = event.data["sid"] == "last";
        events.push(event);
        if last {
            break;
        }
    }
    rising(&events);
    let lagged: Vec<_> = events.iter().filter(|e| e.name == "lagged").collect();
    assert_eq!(lagged.len(), 1);
    assert_eq!(
        (lagged[0].id, &lagged[0].data),
        (None, &json!({"missed_commits": 2_001}))
    );
    let known = known(&events);
    assert_eq!(known.len(), 601);
    for n in 1_400..2_000_u32 {
        let status = PlayStatus::ALL[n as usize % 7].as_str();
        assert_eq!(known[&format!("p{:03}", n % 600)]["status"], status);
    }
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_and_told_of_the_stop() {
    let server = Server::with(|config| config.limits.keep_alive = Duration::from_millis(5)).await;
    let reader = open(&server, None).await;
    let reading = tokio::spawn(async move {
        let mut reader = reader;
        let mut events = Vec::new();
        while let Some(event) = reader.next().await {
            events.push(event.name);
        }
        (events, reader.comments)
    });
    // Comments come before any other event.
    let mut second = open(&server, None).await;
    second.next().await.unwrap();
    within(async {
        while second.comments < 3 {
            second.frame().await;
        }
    })
    .await;
    assert!(server.serving.stop(Duration::from_secs(5)).await);
    let (events, _) = within(reading).await.unwrap();
    assert_eq!(events, ["hello", "stopping"]);
}

#[tokio::test]
async fn a_reader_that_left_is_forgotten() {
    let server = Server::start().await;
    let following = |server: &Server| {
        let families = server.store.feed().families();
        let family = families.iter().find(|f| f.name == "feed_subscriptions");
        family.unwrap().samples[0].value.clone()
    };
    let none = following(&server);
    let mut reader = open(&server, None).await;
    reader.next().await.unwrap();
    assert_ne!(following(&server), none);
    drop(reader);
    drop(send(server.unix().await, get(PATH)).await);
    within(async {
        while following(&server) != none {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Over the real store: readers that come back after each event know in the end what the store knows; workflows too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_ends_with_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let server = Server::over(store.clone(), Arc::new(SmallStore::default()), |_| {}).await;
    let mut first = open(&server, None).await;
    let hello = first.next().await.unwrap();
    let workflow = stored_workflow(&*store, "a").await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let mut plays = Vec::new();
            for n in 0..60 {
                let play = running(&*store).await;
                if n % 2 == 0 {
                    write(&*store, &play, vec![record(&ended(&play))]).await;
                }
                plays.push(play.sid);
            }
            let gone = LibraryChange::Delete(workflow.sid);
            library(&*store, gone).await.unwrap();
            plays
        }
    });
    let (mut events, mut last) = (Vec::new(), hello.id);
    'all: for patience in (1..=4).cycle() {
        let mut reader = open(&server, last).await;
        assert_eq!(reader.next().await.unwrap().name, "hello");
        for _ in 0..patience {
            let event = reader.next().await.unwrap();
            last = event.id.or(last);
            events.push(event.clone());
            if event.data["deleted"] == true {
                break 'all;
            }
        }
    }
    let plays = within(writer).await.unwrap();
    rising(&events);
    let known = known(&events);
    assert_eq!(known.len(), plays.len());
    for sid in plays {
        let stored = store.play(&sid).await.unwrap().unwrap();
        let summary = protocol::PlaySummary::new(&stored, []);
        assert_eq!(known[sid.as_str()], serde_json::to_value(summary).unwrap());
    }
    let of_workflow = events.iter().filter(|event| event.name == "workflow");
    assert!(of_workflow.clone().count() >= 1);
    assert!(of_workflow.clone().all(|event| event.data["name"] == "a"));
    store.close().await.unwrap();
}
