//! What only this backend promises.

mod checkpoint;
mod faults;
mod files;
mod long;
mod model;
mod speed;

use std::{path::Path, sync::Arc};

use tempfile::TempDir;

use super::*;
use crate::store::conformance;

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).unwrap()
}

impl SqliteStore {
    /// Runs something on the writer's thread, after what is queued.
    async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = oneshot::channel();
        let work = move |connection: &Connection| assert!(answer.send(work(connection)).is_ok());
        let sent = self.shared.writer.send(Job::Run(Box::new(work))).await;
        assert!(sent.is_ok());
        answered.await.unwrap()
    }

    /// Sets a pragma of the writer's connection.
    async fn pragma(&self, sql: &str) {
        let sql = format!("PRAGMA {sql}");
        self.on_writer(move |c| c.query_row(&sql, [], |_| Ok(())).ok())
            .await;
    }

    async fn asked<T: FromSql + Send + 'static>(&self, sql: &str) -> T {
        let sql = sql.to_owned();
        self.on_writer(move |c| c.query_row(&sql, [], |row| row.get(0)).unwrap())
            .await
    }
}

use rusqlite::types::FromSql;

#[tokio::test]
async fn it_conforms() {
    let dir = dir();
    let count = std::cell::Cell::new(0);
    conformance::run(|| {
        count.set(count.get() + 1);
        let dir = dir.path().join(count.get().to_string());
        std::fs::create_dir(&dir).unwrap();
        Arc::new(open(&dir))
    })
    .await;
}
