//! The live stream over the real store: its transactions, its threads, its feed.

use std::sync::Arc;

use actors::store::{
    Store,
    conformance::sample::{ended, logged, record, running, span, spanned, write},
    sqlite::SqliteStore,
};
use protocol::SpanStatus;

use crate::{
    reader::{Known, Reader, rising},
    store::SmallStore,
    support::{Server, within},
};

const COMMITS: u64 = 150;

/// Readers that stay, readers that come back again and again, a writer at full speed: each knows in
/// the end what the store knows, and was told nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_reader_ends_with_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let server =
        Arc::new(Server::over(store.clone(), Arc::new(SmallStore::default()), |_| {}).await);
    let play = running(&*store).await;
    let sid = play.sid.clone();

    let readers: Vec<_> = (0..6_usize)
        .map(|patience| tokio::spawn(read(server.clone(), sid.to_string(), patience)))
        .collect();
    let writer = tokio::spawn({
        let (store, play) = (store.clone(), play.clone());
        async move {
            for n in 0..COMMITS {
                let mut again = span(n / 2);
                again.status = [SpanStatus::Running, SpanStatus::Ok][usize::from(n % 2 == 1)];
                let changes = vec![spanned(n / 2, again), logged("1.1", &n.to_string())];
                write(&*store, &play, changes).await;
            }
            let last = vec![record(&ended(&play)), logged("1.1", "last words")];
            write(&*store, &play, last).await;
        }
    });
    within(writer).await.unwrap();
    let stored = Known::of_store(&*store, &sid).await;
    assert_eq!(stored.logs.len() as u64, COMMITS + 1);
    for reader in readers {
        assert_eq!(within(reader).await.unwrap(), stored);
    }
    // And from every id, afterwards.
    let last = store.last_seq().await.unwrap();
    for from in (0..=last).step_by(7) {
        let back = Reader::open(&server, sid.as_str(), Some(from))
            .await
            .rest()
            .await;
        rising(&back);
        assert!(
            back.iter().all(|e| e.id.is_none_or(|id| id > from)),
            "from {from}"
        );
        assert_eq!(back.last().unwrap().name, "end", "from {from}");
    }
    store.close().await.unwrap();
}

/// Reads to the end; with a patience, breaks off after so many events and comes back.
async fn read(server: Arc<Server>, sid: String, patience: usize) -> Known {
    let (mut known, mut events, mut last) = (Known::default(), Vec::new(), None);
    loop {
        let mut reader = Reader::open(&server, &sid, last).await;
        let mut left = if patience == 0 {
            usize::MAX
        } else {
            patience * 3
        };
        while left > 0 {
            let event = reader.next().await.unwrap();
            known.learn(&event);
            last = event.id.or(last);
            events.push(event.clone());
            if event.name == "end" {
                rising(&events);
                return known;
            }
            left -= 1;
        }
    }
}
