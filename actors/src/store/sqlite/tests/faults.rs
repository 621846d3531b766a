//! What happens when something goes wrong below or beside the store, and how it is written in groups.

use std::{fs, sync::mpsc as std_mpsc, time::Duration};

use futures_util::future::join_all;

use super::*;
use crate::store::conformance::sample::{create, logged, new_play, ok, running, write, write_as};

#[tokio::test]
async fn what_is_queued_becomes_one_transaction() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let before = store.stats();
    // The writer is busy until all have been queued.
    let (release, busy) = std_mpsc::channel::<()>();
    let holding = store.on_writer(move |_| busy.recv().unwrap());
    let queueing = async {
        let commits = (0..200_u32).map(|n| {
            // Every tenth is refused, and none of the others suffers.
            let attempt = if n.is_multiple_of(10) { 9 } else { 1 };
            write_as(&store, &play.sid, attempt, vec![logged("", &n.to_string())])
        });
        let mut commits: Vec<_> = commits.map(Box::pin).collect();
        for commit in &mut commits {
            assert!(
                tokio::task::unconstrained(async { futures_util::poll!(commit) })
                    .await
                    .is_pending()
            );
        }
        release.send(()).unwrap();
        join_all(commits).await
    };
    let ((), answers) = futures_util::join!(holding, queueing);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 180);
    let after = store.stats();
    assert_eq!(after.transactions - before.transactions, 1);
    assert_eq!(after.batches - before.batches, 200);
    assert_eq!(after.rows - before.rows, 180);
    let logs = ok(store.snapshot(&play.sid).await).unwrap().logs;
    let texts: Vec<_> = logs.iter().map(|log| log.text.clone()).collect();
    let expected: Vec<_> = (0..200)
        .filter(|n| n % 10 != 0)
        .map(|n| n.to_string())
        .collect();
    assert_eq!(texts, expected, "in the order in which they were queued");
    store.close().await.unwrap();
}

#[tokio::test]
async fn concurrent_commits_share_transactions() {
    let dir = dir();
    let store = open(dir.path());
    let before = store.stats();
    join_all((0..400).map(|_| create(&store, new_play()))).await;
    let after = store.stats();
    assert_eq!(after.batches - before.batches, 400);
    assert!(after.transactions - before.transactions < 100, "{after:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_transaction_is_bounded() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let before = store.stats();
    let (release, busy) = std_mpsc::channel::<()>();
    let holding = store.on_writer(move |_| busy.recv().unwrap());
    let text = "x".repeat(1 << 20);
    let queueing = async {
        let commits = (0..40).map(|_| write(&store, &play, vec![logged("", &text)]));
        let mut commits: Vec<_> = commits.map(Box::pin).collect();
        for commit in &mut commits {
            assert!(futures_util::poll!(commit).is_pending());
        }
        release.send(()).unwrap();
        join_all(commits).await;
    };
    futures_util::join!(holding, queueing);
    let transactions = store.stats().transactions - before.transactions;
    assert_eq!(transactions, 5, "40 MiB, 8 at a time");
    store.close().await.unwrap();
}

/// The play's logs, in short.
async fn texts(store: &SqliteStore, play: &Play) -> Vec<String> {
    let snapshot = ok(store.snapshot(&play.sid).await).unwrap();
    snapshot.logs.into_iter().map(|log| log.text).collect()
}

#[tokio::test]
async fn a_full_disk_loses_what_did_not_fit_and_nothing_else() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let mut listener = store.feed().subscribe(&play.sid);
    let pages: u32 = store.asked("PRAGMA page_count").await;
    store
        .pragma(&format!("max_page_count = {}", pages + 10))
        .await;
    let large = "x".repeat(1 << 20);
    let refused = write_as(
        &store,
        &play.sid,
        1,
        vec![logged("", "y"), logged("", &large)],
    )
    .await;
    let Err(StoreError::Full(message)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        message.contains(FILE) && message.contains("free some space"),
        "{message}"
    );
    let before = ok(store.last_seq().await);
    // In one transaction with one that does not fit.
    let (release, busy) = std_mpsc::channel::<()>();
    let holding = store.on_writer(move |_| busy.recv().unwrap());
    let queueing = async {
        let texts = ["a", &large, "b"];
        let commits = texts.map(|text| write_as(&store, &play.sid, 1, vec![logged("", text)]));
        let mut commits: Vec<_> = commits.into_iter().map(Box::pin).collect();
        for commit in &mut commits {
            assert!(futures_util::poll!(commit).is_pending());
        }
        release.send(()).unwrap();
        join_all(commits).await
    };
    let ((), answers) = futures_util::join!(holding, queueing);
    let seqs: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().map(|c| c.seq).ok())
        .collect();
    assert_eq!(seqs, [Some(before + 1), None, Some(before + 2)]);
    assert!(matches!(answers[1], Err(StoreError::Full(_))));
    // With room again, the same batch goes in.
    store.pragma("max_page_count = 1000000").await;
    assert_eq!(
        write(&store, &play, vec![logged("", &large)]).await.seq,
        before + 3
    );
    assert_eq!(texts(&store, &play).await, ["a", "b", &large]);
    for seq in before + 1..=before + 3 {
        let crate::store::feed::Heard::Changes(changes) = listener.next().await else {
            panic!("the listener hears what was written");
        };
        assert_eq!(
            changes.iter().map(|change| change.seq).collect::<Vec<_>>(),
            [seq]
        );
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_that_fails_only_at_the_commit_spares_the_others() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let mut listener = store.feed().subscribe(&play.sid);
    let before = ok(store.last_seq().await);
    // A reference that is checked at COMMIT and does not hold.
    store
        .on_writer(|c| {
            c.execute_batch(
                "CREATE TABLE broken (a REFERENCES plays (id) DEFERRABLE INITIALLY DEFERRED); \
                 CREATE TRIGGER breaking AFTER INSERT ON logs WHEN new.text = 'bad' \
                 BEGIN INSERT INTO broken VALUES (-1); END;",
            )
            .unwrap();
        })
        .await;
    let (release, busy) = std_mpsc::channel::<()>();
    let holding = store.on_writer(move |_| busy.recv().unwrap());
    let queueing = async {
        let commits =
            ["a", "bad", "b"].map(|text| write_as(&store, &play.sid, 1, vec![logged("", text)]));
        let mut commits: Vec<_> = commits.into_iter().map(Box::pin).collect();
        for commit in &mut commits {
            assert!(futures_util::poll!(commit).is_pending());
        }
        release.send(()).unwrap();
        join_all(commits).await
    };
    let ((), answers) = futures_util::join!(holding, queueing);
    let [a, bad, b] = <[_; 3]>::try_from(answers).unwrap();
    assert!(matches!(bad, Err(StoreError::Backend(_))), "{bad:?}");
    assert_eq!((a.unwrap().seq, b.unwrap().seq), (before + 1, before + 2));
    assert_eq!(texts(&store, &play).await, ["a", "b"]);
    for seq in before + 1..=before + 2 {
        let crate::store::feed::Heard::Changes(changes) = listener.next().await else {
            panic!("the listener hears what was written");
        };
        assert_eq!(changes[0].seq, seq);
    }
    assert_eq!(*store.health().borrow(), Health::Sound);
    store.close().await.unwrap();
}

/// An error that concerns one batch's rows alone takes back that batch alone.
#[tokio::test]
async fn a_row_that_sqlite_refuses_spares_the_others() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let mut broken = new_play();
    broken.play.created_at = protocol::EpochMs(f64::NAN);
    let (good, bad) = futures_util::join!(
        write_as(&store, &play.sid, 1, vec![logged("", "a")]),
        store.commit(Batch::Create(Box::new(broken)))
    );
    assert!(good.is_ok());
    assert!(matches!(bad, Err(StoreError::Backend(_))), "{bad:?}");
    assert_eq!(texts(&store, &play).await, ["a"]);
    store.close().await.unwrap();
}

/// Answers, or says that it hangs.
async fn soon<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), answer)
        .await
        .expect("an answer, not a hang")
}

#[tokio::test]
async fn a_writer_that_panics_is_told_to_everybody() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let mut health = store.health();
    store
        .feed()
        .on_play(Box::new(|_| panic!("a listener's fault")));
    let commits = (0..10).map(|_| store.commit(Batch::Create(Box::new(new_play()))));
    for answer in soon(join_all(commits)).await {
        let Err(StoreError::Failed(message)) = answer else {
            panic!("{answer:?}");
        };
        assert!(message.contains(FILE), "{message}");
    }
    let failed = soon(health.wait_for(|health| matches!(health, Health::Failed(_)))).await;
    let why = failed.unwrap().reason().unwrap().to_string();
    assert!(why.contains("panicked") && why.contains(FILE), "{why}");
    let late = soon(write_as(&store, &play.sid, 1, vec![logged("", "x")])).await;
    assert!(matches!(late, Err(StoreError::Failed(_))), "{late:?}");
    assert!(soon(store.play(&play.sid)).await.is_ok(), "reading goes on");
    assert!(matches!(
        soon(store.close()).await,
        Err(StoreError::Failed(_))
    ));
    assert_eq!(soon(store.play(&play.sid)).await, Err(StoreError::Closed));
    assert_eq!(soon(store.close()).await, Ok(()));
}

/// Otherwise commits would be answered and lost.
#[tokio::test]
async fn a_file_that_was_taken_away_is_a_failure_and_its_bytes_stay() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let away = dir.path().join("away.db");
    fs::rename(dir.path().join(FILE), &away).unwrap();
    let answer = soon(write_as(&store, &play.sid, 1, vec![logged("", "x")])).await;
    let Err(StoreError::Failed(why)) = answer else {
        panic!("{answer:?}");
    };
    assert!(why.contains("moved") && why.contains(FILE), "{why}");
    assert!(matches!(*store.health().borrow(), Health::Failed(_)));
}

/// What the writer finds ends it; what a reader finds is told, and writing goes on.
#[tokio::test]
async fn damage_that_is_found_by_the_writer_ends_the_store() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    // The rows of a table that the writer needs and has not in its cache any more.
    store
        .on_writer(|c| {
            c.execute_batch(
                "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'logs'; \
                 PRAGMA writable_schema = RESET;",
            )
            .unwrap();
        })
        .await;
    let answer = soon(write_as(&store, &play.sid, 1, vec![logged("", "x")])).await;
    let Err(StoreError::Failed(why)) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        why.contains("damaged") && why.contains("put back a copy"),
        "{why}"
    );
    let next = soon(write_as(&store, &play.sid, 1, Vec::new())).await;
    assert_eq!(next, Err(StoreError::Failed(why)));
}

#[tokio::test]
async fn a_read_that_panics_is_told_and_the_next_one_answered() {
    let dir = dir();
    let store = open(dir.path());
    for _ in 0..2 * READERS {
        let answer = soon(store.read::<()>(|_| panic!("a fault"))).await;
        assert!(matches!(answer, Err(StoreError::Backend(_))), "{answer:?}");
    }
    assert_eq!(soon(store.last_seq()).await, Ok(0));
    soon(store.close()).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_writes_what_was_queued() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let mut commits: Vec<_> = (0..50)
        .map(|_| store.commit(Batch::Create(Box::new(new_play()))))
        .collect();
    for commit in &mut commits {
        drop(futures_util::poll!(commit));
    }
    drop(commits);
    drop(store);
    soon(async {
        loop {
            let store = open(dir.path());
            let count = ok(store.count_plays(protocol::PlayStatus::Pending).await);
            store.close().await.unwrap();
            if count == 50 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(ok(open(dir.path()).play(&play.sid).await).is_some());
}

#[tokio::test]
async fn a_full_queue_waits_without_blocking() {
    let dir = dir();
    let store = open(dir.path());
    let (release, busy) = std_mpsc::channel::<()>();
    let mut holding = Box::pin(store.on_writer(move |_| busy.recv().unwrap()));
    assert!(futures_util::poll!(&mut holding).is_pending());
    let commits = join_all((0..3 * WRITER_QUEUE).map(|_| create(&store, new_play())));
    // On this one thread, which goes on meanwhile.
    let releasing = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(ok(store.last_seq().await), 0);
        release.send(()).unwrap();
    };
    let ((), made, ()) = soon(async { futures_util::join!(holding, commits, releasing) }).await;
    assert_eq!(made.len(), 3 * WRITER_QUEUE);
    store.close().await.unwrap();
}
