//! A runtime on a data directory that can't be written (a full disk, a read-only file system): its
//! records can be read, and nothing else can be done.

use std::{path::Path, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{Error, ErrorKind, PlaySid, ProcessId, Result};
use tokio::sync::watch;

use super::{
    Config, Runtime,
    lock::DirLock,
    setup::{Kept, World},
};
use crate::{
    clock::Clock,
    ingest::Sink,
    play::{
        attempt::{Attempt, Attempts, Brief},
        outcome::{Ended, Exit},
        stop::StopOrder,
    },
    process::inspect::{InspectError, Inspection, Inspector},
    store::sqlite::{FILE, SqliteStore},
};

impl Runtime {
    /// Opens the data directory only to read it; `why` is what its callers are told who want to
    /// write. Plays that were running when its last server died are still `running` in it.
    ///
    /// # Errors
    /// `conflict` where another process has the data directory; `not_found` where there is nothing
    /// in it; whatever keeps it from being read.
    pub async fn open_to_read(config: Config, why: &str) -> Result<Self> {
        let config = Config {
            dispatch: false,
            ..config
        };
        if !config.data_dir.join(FILE).exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no store in {}", config.data_dir.display()),
            ));
        }
        let lock = DirLock::take_to_read(&config.data_dir)?;
        let (dir, reason) = (config.data_dir.clone(), why.to_owned());
        let store = tokio::task::spawn_blocking(move || open(&dir, &reason))
            .await
            .map_err(|error| Error::internal(format!("failed to open the store: {error}")))??;
        let world = World {
            store: Arc::new(store),
            attempts: Arc::new(Nothing),
            inspector: Arc::new(Nothing),
            clock: Clock::System,
        };
        Self::housed(world, config, Kept::only(lock)).await
    }
}

fn open(dir: &Path, why: &str) -> Result<SqliteStore> {
    Ok(SqliteStore::open_to_read(dir, why)?)
}

/// Starts nothing, inspects nothing, removes nothing.
#[derive(Debug)]
struct Nothing;

const REFUSED: &str = "the data directory is open for reading only";

impl Attempts for Nothing {
    fn begin(&self, _: Brief, _: Arc<dyn Sink>, _: watch::Receiver<Option<StopOrder>>) -> Attempt {
        let refused = Ended::without_process(Exit::NotStarted(REFUSED.to_owned()), None);
        Attempt {
            process: std::future::ready(None).boxed(),
            gone: watch::channel(true).1,
            ended: std::future::ready(refused).boxed(),
        }
    }

    fn read_spool(
        &self,
        _: &PlaySid,
        _: &str,
    ) -> BoxFuture<'static, std::result::Result<String, String>> {
        std::future::ready(Err(REFUSED.to_owned())).boxed()
    }

    fn tidy(&self, _: &PlaySid) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }

    fn end_remembered(&self, _: Vec<(PlaySid, Option<ProcessId>)>) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

impl Inspector for Nothing {
    fn inspect(
        &self,
        _: Arc<str>,
        _: &str,
    ) -> BoxFuture<'static, std::result::Result<Inspection, InspectError>> {
        std::future::ready(Err(InspectError::Failed(REFUSED.to_owned()))).boxed()
    }
}
