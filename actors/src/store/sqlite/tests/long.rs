//! Values that are written in parts, several turns of the writer each.

use std::sync::mpsc as std_mpsc;

use futures_util::future::join_all;

use super::{super::parts::PART_BYTES, *};
use crate::store::{
    NewPlay, PlayChange,
    conformance::sample::{
        create, ended, logged, new_play, ok, record, running, with_status, write, write_as,
    },
};

fn with_output(play: &Play, output: Option<&str>) -> PlayChange {
    record(&Play {
        output_data: output.map(str::to_owned),
        ..play.clone()
    })
}

/// So many bytes, of characters that end at no border of a part.
fn long(bytes: usize) -> String {
    let mut text = "x".to_owned();
    let character = ["é", "€", "😀"][bytes % 3];
    while text.len() + character.len() <= bytes {
        text.push_str(character);
    }
    text.push_str(&"y".repeat(bytes - text.len()));
    text
}

/// Values that are referred to and parts of all; each of the former is checked to be there.
async fn in_the_file(store: &SqliteStore) -> (i64, i64) {
    let referred: i64 = store
        .asked(
            "SELECT count(*) FROM (SELECT value FROM play_inputs UNION ALL SELECT value FROM play_outputs) \
             WHERE value IS NOT NULL AND value IN (SELECT value FROM parts)",
        )
        .await;
    let all: i64 = store
        .asked(
            "SELECT (SELECT count(value) FROM play_inputs) + (SELECT count(value) FROM play_outputs)",
        )
        .await;
    assert_eq!(referred, all, "what is referred to is there");
    (referred, store.asked("SELECT count(*) FROM parts").await)
}

async fn swept(store: &SqliteStore) {
    loop {
        let swept = ok(store.sweep(Vec::new()).await);
        if !swept.more {
            break;
        }
    }
}

#[tokio::test]
async fn texts_of_every_length_come_back() {
    let dir = dir();
    let store = open(dir.path());
    for bytes in [
        PART_BYTES - 1,
        PART_BYTES,
        PART_BYTES + 1,
        2 * PART_BYTES,
        2 * PART_BYTES + 1,
        5 * PART_BYTES + 7,
    ] {
        let mut new = new_play();
        new.play.input_data = long(bytes);
        new.play.output_data = Some(long(bytes + 1));
        let play = new.play.clone();
        create(&store, new).await;
        assert_eq!(ok(store.play(&play.sid).await), Some(play.clone()));
        let stored = ok(store.stored_play(&play.sid).await).unwrap();
        assert_eq!(stored.play, play);
        let listed = ok(store.plays(protocol::rpc::PlayList::default()).await);
        assert_eq!(listed.items[0], play, "{bytes}");
    }
    let play = running(&store).await;
    for bytes in [7, PART_BYTES + 1, 3 * PART_BYTES, 3 * PART_BYTES, 5] {
        let text = long(bytes);
        write(&store, &play, vec![with_output(&play, Some(&text))]).await;
        let found = ok(store.play(&play.sid).await).unwrap();
        assert_eq!(found.output_data, Some(text));
    }
    let twice = [2, 3].map(|n| with_output(&play, Some(&long(n * PART_BYTES))));
    write(&store, &play, twice.to_vec()).await;
    let found = ok(store.play(&play.sid).await).unwrap();
    assert_eq!(found.output_data, Some(long(3 * PART_BYTES)));
    write(&store, &play, vec![with_output(&play, None)]).await;
    assert_eq!(ok(store.play(&play.sid).await).unwrap().output_data, None);
    let (referred, parts) = in_the_file(&store).await;
    swept(&store).await;
    let (still, fewer) = in_the_file(&store).await;
    assert_eq!(referred, still);
    assert!(fewer < parts, "what was replaced is swept away");
    let loose: i64 = store.asked("SELECT count(*) FROM loose").await;
    assert_eq!(loose, 0);
    store.close().await.unwrap();
}

/// Polls each once, in this order, while the writer is busy; then lets it go on.
async fn queued<T>(
    store: &SqliteStore,
    commits: Vec<crate::store::Answer<T>>,
) -> Vec<Result<T, StoreError>> {
    let (release, busy) = std_mpsc::channel::<()>();
    let holding = store.on_writer(move |_| busy.recv().unwrap());
    let queueing = async {
        let mut commits = commits;
        for commit in &mut commits {
            assert!(futures_util::poll!(commit).is_pending());
        }
        release.send(()).unwrap();
        join_all(commits).await
    };
    futures_util::join!(holding, queueing).1
}

#[tokio::test]
async fn others_are_written_between_the_parts_and_what_is_the_plays_after_them() {
    let dir = dir();
    let store = open(dir.path());
    let (play, other) = (running(&store).await, running(&store).await);
    let before = store.stats();
    let batch = |play: &Play, changes| {
        store.commit(Batch::Play {
            fence: crate::store::Fence {
                play: play.sid.clone(),
                attempt: 1,
            },
            changes,
        })
    };
    let text = long(4 * PART_BYTES + 1);
    let answers = queued(
        &store,
        vec![
            batch(&play, vec![with_output(&play, Some(&text))]),
            batch(&play, vec![logged("", "a")]),
            batch(&play, vec![with_output(&play, Some(&long(2 * PART_BYTES)))]),
            batch(&play, vec![logged("", "b")]),
            batch(&other, vec![logged("", "c")]),
        ],
    )
    .await;
    let seqs: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().seq)
        .collect();
    let least = seqs[4];
    assert_eq!(
        seqs,
        [1, 2, 3, 4, 0].map(|n| least + n),
        "the other's is the first, those of the play in their order"
    );
    let transactions = store.stats().transactions - before.transactions;
    assert!(
        transactions >= 5 + 2,
        "a turn for each part: {transactions}"
    );
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_leaves_no_parts() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let text = long(3 * PART_BYTES);
    let fenced = write_as(&store, &play.sid, 9, vec![with_output(&play, Some(&text))]).await;
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
    assert_eq!(in_the_file(&store).await, (0, 0));
    let keyed = || NewPlay {
        idempotency_key: Some("k".to_owned()),
        play: Play {
            input_data: text.clone(),
            workflow_sid: play.workflow_sid.clone(),
            ..new_play().play
        },
        ..new_play()
    };
    let first = keyed();
    let sid = first.play.sid.clone();
    assert_eq!(create(&store, first).await.existing, None);
    let parts = in_the_file(&store).await;
    assert_eq!(parts.0, 1);
    assert_eq!(create(&store, keyed()).await.existing, Some(sid));
    assert_eq!(in_the_file(&store).await, parts);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_full_between_the_parts_has_none_of_them_in_the_end() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let pages: u32 = store.asked("PRAGMA page_count").await;
    store
        .pragma(&format!("max_page_count = {}", pages + 800))
        .await;
    let text = long(6 * PART_BYTES);
    let batch = |changes| {
        store.commit(Batch::Play {
            fence: crate::store::Fence {
                play: play.sid.clone(),
                attempt: 1,
            },
            changes,
        })
    };
    let other = store.commit(Batch::Create(Box::new(new_play())));
    let answers = queued(
        &store,
        vec![
            batch(vec![with_output(&play, Some(&text))]),
            other,
            batch(vec![logged("", "behind")]),
        ],
    )
    .await;
    assert!(
        matches!(answers[0], Err(StoreError::Full(_))),
        "{answers:?}"
    );
    assert!(answers[1].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert_eq!(in_the_file(&store).await, (0, 0));
    let loose: i64 = store.asked("SELECT count(*) FROM loose").await;
    assert_eq!(loose, 0);
    store.pragma("max_page_count = 1000000").await;
    write(&store, &play, vec![with_output(&play, Some(&text))]).await;
    let found = ok(store.play(&play.sid).await).unwrap();
    assert_eq!(found.output_data, Some(text));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_forgotten_plays_parts_are_swept_away_and_others_stay() {
    let dir = dir();
    let store = open(dir.path());
    let text = long(2 * PART_BYTES);
    let mut plays = Vec::new();
    for _ in 0..2 {
        let play = running(&store).await;
        let end = Play {
            output_data: Some(text.clone()),
            ..ended(&play)
        };
        write(&store, &play, vec![record(&end)]).await;
        plays.push(play);
    }
    let weighed = ok(store.ended_trees(None, true, 10).await);
    for tree in weighed.trees {
        assert!(tree.bytes > 2 * PART_BYTES as u64, "{tree:?}");
    }
    swept(&store).await;
    assert_eq!(
        in_the_file(&store).await,
        (2, 3),
        "the same text is kept once"
    );
    ok(store.forget(vec![plays[0].sid.clone()]).await);
    swept(&store).await;
    assert_eq!(in_the_file(&store).await, (1, 3));
    let found = ok(store.play(&plays[1].sid).await).unwrap();
    assert_eq!(found.output_data, Some(text));
    ok(store.forget(vec![plays[1].sid.clone()]).await);
    swept(&store).await;
    assert_eq!(in_the_file(&store).await, (0, 0));
    for table in ["blobs", "loose"] {
        let left: i64 = store.asked(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(left, 0, "{table}");
    }
    store.close().await.unwrap();
}

/// Inputs, outputs and results of steps, in any order of coming and going.
#[tokio::test]
async fn what_is_the_same_is_kept_once_as_long_as_anything_refers_to_it() {
    let dir = dir();
    let store = open(dir.path());
    let text = long(2 * PART_BYTES + 5);
    let mut new = new_play();
    new.play = Play {
        input_data: text.clone(),
        ..running(&store).await
    };
    new.play.sid = protocol::PlaySid::fresh();
    let play = new.play.clone();
    create(&store, new).await;
    let step = |key: &str, data: &str| {
        PlayChange::Step(Arc::new(protocol::Step {
            start: protocol::StepStart {
                key: key.into(),
                parent: "".into(),
                args: "".into(),
                function: "".into(),
                position: Some(0),
            },
            name: "s".into(),
            span_id: "1.1".into(),
            start_ms: protocol::EpochMs(1.0),
            end_ms: Some(protocol::EpochMs(2.0)),
            strict: false,
            kept: Some(protocol::Kept {
                raised: false,
                data: data.into(),
            }),
        }))
    };
    let both = vec![step("a", &text), with_output(&play, Some(&text))];
    write(&store, &play, both).await;
    let other = long(2 * PART_BYTES + 6);
    write(&store, &play, vec![step("b", &other)]).await;
    swept(&store).await;
    let parts = async || -> i64 { store.asked("SELECT count(*) FROM parts").await };
    assert_eq!(parts().await, 3 + 3);
    write(&store, &play, vec![with_output(&play, None)]).await;
    swept(&store).await;
    assert_eq!(parts().await, 3 + 3);
    let read = ok(store.step(&play.sid, "a").await).unwrap();
    assert_eq!(*read.kept.unwrap().data, *text);

    // What was changed in the file is no result.
    store
        .on_writer(|c| {
            c.execute_batch("UPDATE parts SET data = 'z' || substr(data, 2) WHERE ord = 1")
                .unwrap();
        })
        .await;
    let read = store.step(&play.sid, "a").await;
    assert!(matches!(read, Err(StoreError::Backend(_))), "{read:?}");
    store.close().await.unwrap();
}

/// As after a crash: parts that nothing refers to are known as such, and numbers are not used twice.
#[tokio::test]
async fn parts_that_were_left_are_swept_away_and_not_mixed_with_others() {
    let dir = dir();
    let store = open(dir.path());
    store
        .on_writer(|c| {
            c.execute_batch(
                "INSERT INTO loose (value) VALUES (7); INSERT INTO parts (value, ord, data) VALUES (7, 0, 'left')",
            )
            .unwrap();
        })
        .await;
    store.close().await.unwrap();
    let store = open(dir.path());
    let play = running(&store).await;
    let text = long(2 * PART_BYTES);
    let end = Play {
        output_data: Some(text.clone()),
        ..with_status(&play, PlayStatus::Success)
    };
    write(&store, &play, vec![record(&end)]).await;
    swept(&store).await;
    let left: i64 = store
        .asked("SELECT count(*) FROM parts WHERE data = 'left'")
        .await;
    assert_eq!(left, 0);
    assert_eq!(in_the_file(&store).await.0, 1);
    let found = ok(store.play(&play.sid).await).unwrap();
    assert_eq!(found.output_data, Some(text));
    store.close().await.unwrap();
}

/// What a crash between two parts leaves: the files as they are then.
#[tokio::test]
async fn a_crash_between_the_parts_leaves_nothing_and_loses_nothing() {
    let dir = dir();
    let store = open(dir.path());
    let (before, play) = (running(&store).await, running(&store).await);
    let kept = long(2 * PART_BYTES);
    write(&store, &before, vec![with_output(&before, Some(&kept))]).await;
    let (_, of_kept) = in_the_file(&store).await;
    let text = long(4 * PART_BYTES + 1);
    let long_one = store.commit(Batch::Play {
        fence: crate::store::Fence {
            play: play.sid.clone(),
            attempt: 1,
        },
        changes: vec![with_output(&play, Some(&text))],
    });
    // Each batch lets the writer take another turn.
    let (release, busy) = std_mpsc::channel::<()>();
    let mut steps: Vec<futures_util::future::BoxFuture<'_, ()>> = Vec::new();
    steps.push(store.on_writer(move |_| busy.recv().unwrap()).boxed());
    steps.push(long_one.map(|answer| drop(answer.unwrap())).boxed());
    for crash in 0..8 {
        let (from, to) = (dir.path().to_owned(), dir.path().join(crash.to_string()));
        let copy = move |_: &Connection| {
            std::fs::create_dir(&to).unwrap();
            for name in [FILE.to_owned(), format!("{FILE}-wal")] {
                std::fs::copy(from.join(&name), to.join(&name)).unwrap();
            }
        };
        steps.push(store.on_writer(copy).boxed());
        let other = store.commit(Batch::Create(Box::new(new_play())));
        steps.push(other.map(|answer| drop(answer.unwrap())).boxed());
    }
    for step in &mut steps {
        assert!(futures_util::poll!(step).is_pending());
    }
    release.send(()).unwrap();
    join_all(steps).await;
    store.close().await.unwrap();
    let mut between = Vec::new();
    for crash in 0..8 {
        let store = open(&dir.path().join(crash.to_string()));
        let found = ok(store.play(&before.sid).await).unwrap();
        assert_eq!(found.output_data.as_ref(), Some(&kept));
        let output = ok(store.play(&play.sid).await).unwrap().output_data;
        let (referred, parts) = in_the_file(&store).await;
        if output.is_none() {
            between.push(parts - of_kept);
        } else {
            assert_eq!(output.as_ref(), Some(&text));
        }
        swept(&store).await;
        let (still, left) = in_the_file(&store).await;
        assert_eq!(still, referred);
        assert_eq!(left, if output.is_none() { of_kept } else { parts });
        let loose: i64 = store.asked("SELECT count(*) FROM loose").await;
        assert_eq!(loose, 0);
        store.close().await.unwrap();
    }
    assert_eq!(between, [1, 2, 3, 4, 5]);
}
