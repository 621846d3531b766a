//! The file: who may read it, what it survives, what it must be.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{
    super::{
        read::sql, read_inside::sql as inside, read_list::sql as of_lists,
        read_waits::sql as of_waits,
    },
    *,
};
use crate::store::conformance::sample::{
    create, ended, full_span, log, logged, new_play, ok, record, running, spanned, stored_workflow,
    write,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_files_are_the_owners_alone() {
    let dir = dir();
    let store = open(dir.path());
    create(&store, new_play()).await;
    for file in [FILE, "hero_logic.db-wal", "hero_logic.db-shm"] {
        assert_eq!(mode(&dir.path().join(file)), 0o600, "{file}");
    }
    store.close().await.unwrap();
    fs::set_permissions(dir.path().join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(dir.path());
    assert_eq!(mode(&dir.path().join(FILE)), 0o600);
    store.close().await.unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "a closed store is one file: {left:?}");
}

#[tokio::test]
async fn what_was_chosen_is_set() {
    let dir = dir();
    let store = open(dir.path());
    assert_eq!(store.asked::<String>("PRAGMA journal_mode").await, "wal");
    assert_eq!(store.asked::<u32>("PRAGMA synchronous").await, 2);
    assert_eq!(store.asked::<u32>("PRAGMA auto_vacuum").await, 2);
    assert_eq!(store.asked::<u32>("PRAGMA foreign_keys").await, 1);
    assert_eq!(store.asked::<u32>("PRAGMA user_version").await, 1);
    store.close().await.unwrap();
    let store = SqliteStore::open_with(dir.path(), Durability::Os).unwrap();
    assert_eq!(store.asked::<String>("PRAGMA journal_mode").await, "wal");
    assert_eq!(store.asked::<u32>("PRAGMA synchronous").await, 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_keeps_everything_when_it_is_opened_again() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let workflow = stored_workflow(&store, "one").await;
    let over = ended(&play);
    let changes = vec![spanned(0, full_span(0)), logged("1.0", "x"), record(&over)];
    let last = write(&store, &play, changes).await.seq;
    let before = ok(store.snapshot(&play.sid).await).unwrap();
    store.close().await.unwrap();

    let store = open(dir.path());
    let after = ok(store.snapshot(&play.sid).await).unwrap();
    assert_eq!(after.play, over);
    assert_eq!(
        (after.spans, after.logs),
        (before.spans, vec![log("1.0", "x")])
    );
    assert_eq!(after.seq, last);
    assert_eq!(ok(store.workflow(&workflow.sid).await), Some(workflow));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_number_is_never_used_again() {
    let dir = dir();
    let store = open(dir.path());
    let play = running(&store).await;
    let last = write(&store, &play, vec![logged("", "x")]).await.seq;
    // Even where the rows that had the numbers are gone.
    store
        .on_writer(|c| {
            c.execute_batch("DELETE FROM logs; DELETE FROM plays;")
                .unwrap()
        })
        .await;
    // Nor without an orderly end.
    drop(store);
    let store = open(dir.path());
    assert_eq!(create(&store, new_play()).await.seq, last + 1);
    store.close().await.unwrap();
}

/// The file's bytes, and those beside it.
fn contents(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        // The shared memory is no content: it is made anew from the log.
        .filter(|file| !file.file_name().to_string_lossy().ends_with("-shm"))
        .map(|file| (file.file_name(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Opening is refused with these words, and leaves the files as they are.
fn assert_refused(dir: &Path, words: &[&str]) {
    fs::set_permissions(dir.join(FILE), fs::Permissions::from_mode(0o644)).unwrap();
    let before = contents(dir);
    let error = SqliteStore::open(dir).unwrap_err();
    let StoreError::Backend(message) = &error else {
        panic!("{error:?}");
    };
    for word in words.iter().chain(&[FILE]) {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    assert!(contents(dir) == before, "{message}");
    assert_eq!(mode(&dir.join(FILE)), 0o644);
}

#[tokio::test]
async fn a_newer_file_is_refused() {
    let dir = dir();
    let store = open(dir.path());
    create(&store, new_play()).await;
    store.pragma("user_version = 99").await;
    // As a crash leaves it: what was committed last is still beside the file.
    let crashed = TempDir::new().unwrap();
    for (name, bytes) in contents(dir.path()) {
        fs::write(crashed.path().join(name), bytes).unwrap();
    }
    assert_eq!(contents(crashed.path()).len(), 2);
    fs::set_permissions(crashed.path().join(FILE), fs::Permissions::from_mode(0o600)).unwrap();
    store.close().await.unwrap();
    let words = ["version 99", "up to 1", "nothing was changed"];
    assert_refused(dir.path(), &words);
    assert_refused(crashed.path(), &words);
}

#[tokio::test]
async fn a_file_of_a_version_in_the_making_is_refused() {
    let dir = dir();
    let store = open(dir.path());
    create(&store, new_play()).await;
    store.close().await.unwrap();
    let connection = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    connection
        .execute_batch("DROP INDEX plays_by_status")
        .unwrap();
    connection.close().unwrap();
    assert_refused(
        dir.path(),
        &[
            "never released",
            "nothing was changed",
            "another data directory",
        ],
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = dir();
    fs::write(dir.path().join(FILE), "not a database at all ".repeat(500)).unwrap();
    assert_refused(
        dir.path(),
        &[
            "damaged or no database",
            "nothing was changed",
            "put back a copy",
        ],
    );
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let dir = dir();
    let store = open(dir.path());
    create(&store, new_play()).await;
    store.close().await.unwrap();
    let path = dir.path().join(FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..2_000].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    assert_refused(dir.path(), &["damaged or no database"]);
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let dir = dir();
    let connection = Connection::open(dir.path().join(FILE)).unwrap();
    connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(connection);
    assert_refused(
        dir.path(),
        &["not one of hero_logic", "nothing was changed"],
    );
}

#[tokio::test]
async fn a_directory_that_is_missing_is_named() {
    let dir = dir();
    let missing = dir.path().join("missing");
    let error = SqliteStore::open(&missing).unwrap_err().to_string();
    assert!(
        error.contains("missing/hero_logic.db") && error.contains("check that"),
        "{error}"
    );
    assert!(!missing.exists());
}

/// The ways to rows that must not be looked for from end to end.
#[tokio::test]
async fn questions_use_their_index() {
    let dir = dir();
    let store = open(dir.path());
    let cases = [
        (sql::spans_after(), "PRIMARY KEY (play_id=? AND ord>?)"),
        (inside::outline_from(), "PRIMARY KEY (play_id=? AND ord>?)"),
        (
            inside::outline_changed(),
            "spans_by_change (play_id=? AND seq>?)",
        ),
        (
            inside::WHO_LOGGED.to_owned(),
            "COVERING INDEX logs_by_span (play_id=?)",
        ),
        (
            inside::WHO_LOGGED_SINCE.to_owned(),
            "PRIMARY KEY (play_id=? AND seq>? AND seq<?)",
        ),
        (
            inside::LOGGED.to_owned(),
            "logs_by_span (play_id=? AND span_id=?)",
        ),
        (
            sql::changed_spans(),
            "spans_by_change (play_id=? AND seq>?)",
        ),
        (
            sql::logs_of_span(),
            "logs_by_span (play_id=? AND span_id=?)",
        ),
        (
            sql::changed_logs(),
            "PRIMARY KEY (play_id=? AND seq>? AND seq<?)",
        ),
        (
            sql::WITH_STATUS.to_owned(),
            "plays_by_status (status=? AND sid>?)",
        ),
        (
            super::super::retention::ENDED_ROOTS.to_owned(),
            "plays_by_end ((completed_at,sid)>(?,?))",
        ),
        (
            sql::OPEN_CHILDREN.to_owned(),
            "plays_by_parent (parent_play_sid=?)",
        ),
        (of_lists::FLOOR.to_owned(), "plays_listed (sid<?)"),
        (of_lists::changed_plays(), "plays_by_change (seq>?)"),
        (of_waits::WAKES.to_owned(), "waits_by_time (wake_at>?)"),
        (of_waits::OF_TOKEN.to_owned(), "waits_by_token (token=?)"),
        (of_waits::OF_CHILD.to_owned(), "waits_by_child (child=?)"),
        (of_waits::FOR_ENDED.to_owned(), "waits_by_child (child>?)"),
    ];
    for (sql, index) in cases {
        let joins = sql.matches("JOIN plays").count();
        let plan = store.on_writer(move |c| {
            let mut statement = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = rusqlite::params_from_iter(vec![1; statement.parameter_count()]);
            let rows = statement.query_map(values, |row| row.get::<_, String>(3));
            rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
        });
        let plan = plan.await;
        assert!(
            plan.len() == 1 + joins && plan[0].ends_with(index),
            "{plan:?}"
        );
    }
    store.close().await.unwrap();
}

/// Where it could be written, too: a log that a crash left is read, and stays as it is.
#[tokio::test]
async fn opening_to_read_changes_nothing() {
    let (dir, copy) = (dir(), dir());
    let store = open(dir.path());
    let play = running(&store).await;
    for (name, bytes) in contents(dir.path()) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    store.close().await.unwrap();
    let before = contents(copy.path());
    assert_eq!(before.len(), 2, "the log is there");
    let reading = SqliteStore::open_to_read(copy.path(), "a test").unwrap();
    assert_eq!(ok(reading.play(&play.sid).await), Some(play));
    let refused = reading.commit(Batch::Create(Box::new(new_play()))).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    reading.close().await.unwrap();
    assert!(contents(copy.path()) == before, "it was changed");
}

/// A server that dies in the middle of deleting leaves rows and directories: the next one goes on.
#[tokio::test]
async fn what_is_half_swept_is_swept_after_the_next_opening() {
    let dir = dir();
    let mut store = open(dir.path());
    let play = running(&store).await;
    write(
        &store,
        &play,
        vec![spanned(0, full_span(0)), logged("1.0", "x")],
    )
    .await;
    write(&store, &play, vec![record(&ended(&play))]).await;
    let gone = ok(store.forget(vec![play.sid.clone()]).await).gone;
    assert_eq!(gone, std::slice::from_ref(&play.sid));
    // Forgotten and not swept; then swept, and its directory not removed: as often as it takes.
    for _ in 0..2 {
        store.close().await.unwrap();
        store = open(dir.path());
        assert_eq!(ok(store.play(&play.sid).await), None);
        while ok(store.sweep(Vec::new()).await).more {}
        let swept = ok(store.sweep(Vec::new()).await);
        assert_eq!(swept.emptied, std::slice::from_ref(&play.sid));
    }
    assert_eq!(ok(store.sweep(vec![play.sid.clone()]).await).emptied, []);
    for table in ["spans", "logs", "forgotten", "play_outputs"] {
        let rows: u32 = store.asked(&format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, 0, "{table}");
    }
    store.close().await.unwrap();
}

/// Makes a file with many free pages.
async fn freed(dir: &Path) -> SqliteStore {
    let store = open(dir);
    store
        .on_writer(|c| {
            c.execute_batch(
                "CREATE TABLE filler (text TEXT); \
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                 INSERT INTO filler SELECT hex(zeroblob(2000)) FROM n; DROP TABLE filler;",
            )
            .unwrap();
        })
        .await;
    store
}

/// How many turns it takes until there is nothing more to do.
async fn turns(store: &SqliteStore) -> u32 {
    let mut turns = 1;
    while store.sweep(Vec::new()).await.unwrap().more {
        turns += 1;
        assert!(turns < 10_000, "it never ends");
    }
    turns
}

#[tokio::test]
async fn free_pages_are_given_back_many_at_once() {
    let dir = dir();
    let store = freed(dir.path()).await;
    let free = || store.asked::<i64>("PRAGMA freelist_count");
    let before = free().await;
    assert!(before > 1_500, "{before}");
    store
        .on_writer(|c| assert!(super::super::retention::give_back(c).unwrap()))
        .await;
    assert_eq!(before - free().await, 32);
    turns(&store).await;
    assert!(free().await <= 256 + 32, "{}", free().await);
}

#[tokio::test]
async fn a_file_that_gives_no_pages_back_is_left_as_it_is() {
    let dir = dir();
    open(dir.path()).close().await.unwrap();
    // As a copy that another program made may be.
    let plain = Connection::open(dir.path().join(FILE)).unwrap();
    plain
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;")
        .unwrap();
    drop(plain);
    let store = freed(dir.path()).await;
    assert_eq!(store.asked::<u32>("PRAGMA auto_vacuum").await, 0);
    let before = store.asked::<i64>("PRAGMA freelist_count").await;
    assert_eq!(turns(&store).await, 1);
    assert_eq!(store.asked::<i64>("PRAGMA freelist_count").await, before);
}
