//! What only this backend promises.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::store::conformance;

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

#[tokio::test]
async fn it_conforms() {
    let dir = dir();
    let count = std::cell::Cell::new(0);
    conformance::run(|| {
        count.set(count.get() + 1);
        let dir = dir.path().join(count.get().to_string());
        std::fs::create_dir(&dir).unwrap();
        Arc::new(SqliteStore::open(&dir).unwrap())
    })
    .await;
}
