//! Wires the actors, and is what the faces hold: every operation of the contract as one method.

use std::{path::PathBuf, sync::Arc};

use protocol::{
    Error, Play, PlaySid, Result, Workflow, WorkflowSid, WorkflowVersion,
    play::PlayBrief,
    rpc::{
        FlowLibrarySearch, PlayCancel, PlayList, PlayPage, PlayRef, PlayRunAsync, PlaySpans,
        PlayStart, PlayWait, ServerInfo, SpanPage, SpanPush, VersionPage, VersionRef,
        WorkflowCreate, WorkflowList, WorkflowPage, WorkflowRef, WorkflowUpdate,
        WorkflowVersionAdd, WorkflowVersionList, WorkflowVersionSetCurrent,
    },
};

use crate::store::Store;

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How many plays may have a process at once; `None`: chosen by cores and memory.
    pub max_plays: Option<u32>,
    /// Whether plays are started; without it, pending ones stay pending (for reading only).
    pub dispatch: bool,
    /// The interpreter where neither the play nor its flow's directory names one.
    pub python: Option<PathBuf>,
}

/// A running runtime. Cheap to clone; [`Runtime::stop`] ends it for all clones.
#[derive(Clone, Debug)]
pub struct Runtime {
    store: Arc<dyn Store>,
}

fn todo<T>() -> Result<T> {
    Err(Error::internal("not wired yet"))
}

impl Runtime {
    /// Takes the data directory's lock, opens the store, tidies up after a crash, starts the actors.
    ///
    /// # Errors
    /// `conflict` where another process has the data directory (its message says who); whatever
    /// keeps the store from being opened.
    pub async fn start(_config: Config) -> Result<Self> {
        todo()
    }
    /// No new plays; live ones get SIGTERM, the grace, SIGKILL and are recorded; subscribers are
    /// told; the store is closed.
    pub async fn stop(&self) -> Result<()> {
        todo()
    }
    /// Where committed changes are read (snapshots, the feed).
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
    pub async fn server_info(&self) -> Result<ServerInfo> {
        todo()
    }
    pub async fn play_run_async(&self, _p: PlayRunAsync) -> Result<PlaySid> {
        todo()
    }
    pub async fn play_start(&self, _p: PlayStart) -> Result<Play> {
        todo()
    }
    pub async fn play_wait(&self, _p: PlayWait) -> Result<Play> {
        todo()
    }
    pub async fn play_get(&self, _p: PlayRef) -> Result<Play> {
        todo()
    }
    pub async fn play_status(&self, _p: PlayRef) -> Result<PlayBrief> {
        todo()
    }
    pub async fn play_spans(&self, _p: PlaySpans) -> Result<SpanPage> {
        todo()
    }
    pub async fn play_list(&self, _p: PlayList) -> Result<PlayPage> {
        todo()
    }
    pub async fn play_cancel(&self, _p: PlayCancel) -> Result<Play> {
        todo()
    }
    pub async fn play_retry(&self, _p: PlayRef) -> Result<Play> {
        todo()
    }
    pub async fn span_push(&self, _p: SpanPush) -> Result<bool> {
        todo()
    }
    pub async fn flow_library_search(&self, _p: FlowLibrarySearch) -> Result<Vec<WorkflowSid>> {
        todo()
    }
    pub async fn workflow_create(&self, _p: WorkflowCreate) -> Result<Workflow> {
        todo()
    }
    pub async fn workflow_get(&self, _p: WorkflowRef) -> Result<Workflow> {
        todo()
    }
    pub async fn workflow_list(&self, _p: WorkflowList) -> Result<WorkflowPage> {
        todo()
    }
    pub async fn workflow_update(&self, _p: WorkflowUpdate) -> Result<Workflow> {
        todo()
    }
    /// Takes it out of the library; its plays stay.
    pub async fn workflow_delete(&self, _p: WorkflowRef) -> Result<Workflow> {
        todo()
    }
    pub async fn workflow_version_add(&self, _p: WorkflowVersionAdd) -> Result<WorkflowVersion> {
        todo()
    }
    pub async fn workflow_version_get(&self, _p: VersionRef) -> Result<WorkflowVersion> {
        todo()
    }
    pub async fn workflow_version_list(&self, _p: WorkflowVersionList) -> Result<VersionPage> {
        todo()
    }
    pub async fn workflow_version_set_current(
        &self,
        _p: WorkflowVersionSetCurrent,
    ) -> Result<Workflow> {
        todo()
    }
}
