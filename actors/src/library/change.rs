//! How the library is changed: one change at a time, each against what the store says then.
//!
//! A change takes the turn, reads, decides, commits, and hands the turn on with its answer; it is
//! given back when the index has followed. So nothing that was read can be outdated when
//! it is written (no lost updates), and the index sees the changes in the order of their commits.
//! Sources are inspected before the turn is taken: that can take seconds and depends on no state.
//!
//! It must never commit without the turn, and never be dropped half-way: it runs as a task of its
//! own ([`super::handle`]).

use std::sync::Arc;

use protocol::{
    Error, Result, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
    rpc::{
        VersionContent, WorkflowCreate, WorkflowRef, WorkflowUpdate, WorkflowVersionAdd,
        WorkflowVersionSetCurrent,
    },
    time::EpochMs,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::rules;
use crate::{
    process::inspect::{Inspection, Inspector},
    store::{Batch, LibraryChange, LibraryEntry, Seq, Store},
};

/// The right to change the library, or to read it for a new index.
pub(super) type Turn = OwnedMutexGuard<()>;

/// What the index has to follow.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Put(LibraryEntry),
    Gone(WorkflowSid),
}

/// A change that was made. The turn is over when this is dropped.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) answer: T,
    /// `None`: nothing was written.
    pub(super) effect: Option<Effect>,
    pub(super) turn: Turn,
}

/// What changes are made with; its clones share the turn.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    pub(super) store: Arc<dyn Store>,
    inspector: Arc<dyn Inspector>,
    turn: Arc<Mutex<()>>,
}

impl Changes {
    pub(super) fn new(store: Arc<dyn Store>, inspector: Arc<dyn Inspector>) -> Self {
        Self {
            store,
            inspector,
            turn: Arc::default(),
        }
    }

    /// Waits for the turn; first come, first served.
    pub(super) async fn turn(&self) -> Turn {
        self.turn.clone().lock_owned().await
    }

    pub(super) async fn create(self, p: WorkflowCreate) -> Result<Done<Workflow>> {
        let name = rules::name(&p.name)?;
        rules::description(&p.description)?;
        let tags = rules::tags(&p.tags)?;
        let inspection = self.inspected(&p.content).await?;
        let turn = self.turn().await;
        self.name_is_free(&name).await?;
        let (sid, now) = (WorkflowSid::fresh(), EpochMs::now());
        let (version, declared) = rules::version(p.content, &inspection, (&sid, &name), now)?;
        let workflow = Workflow {
            sid,
            name,
            description: match p.description {
                none if none.is_empty() => declared.unwrap_or_default(),
                given => given,
            },
            tags,
            current_version_sid: version.sid.clone(),
            created_at: now,
            updated_at: now,
        };
        let change = LibraryChange::Create {
            workflow: workflow.clone(),
            version,
        };
        let (seq, _) = self.commit(change).await?;
        Ok(put(workflow.clone(), workflow, seq, turn))
    }

    pub(super) async fn update(self, p: WorkflowUpdate) -> Result<Done<Workflow>> {
        let name = p.name.as_deref().map(rules::name).transpose()?;
        p.description
            .as_deref()
            .map_or(Ok(()), rules::description)?;
        let tags = p.tags.as_deref().map(rules::tags).transpose()?;
        let turn = self.turn().await;
        let old = self.workflow(&p.workflow_sid).await?;
        let new = Workflow {
            name: name.unwrap_or_else(|| old.name.clone()),
            description: p.description.unwrap_or_else(|| old.description.clone()),
            tags: tags.unwrap_or_else(|| old.tags.clone()),
            ..old.clone()
        };
        if new.name != old.name {
            self.name_is_free(&new.name).await?;
        }
        self.replace(&old, new, turn).await
    }

    pub(super) async fn delete(self, p: WorkflowRef) -> Result<Done<Workflow>> {
        let turn = self.turn().await;
        let workflow = self.workflow(&p.workflow_sid).await?;
        let sid = workflow.sid.clone();
        self.commit(LibraryChange::Delete(sid.clone())).await?;
        Ok(Done {
            answer: workflow,
            effect: Some(Effect::Gone(sid)),
            turn,
        })
    }

    pub(super) async fn add_version(self, p: WorkflowVersionAdd) -> Result<Done<WorkflowVersion>> {
        let inspection = self.inspected(&p.content).await?;
        let turn = self.turn().await;
        let mut workflow = self.workflow(&p.workflow_sid).await?;
        let current = self.version(&workflow.current_version_sid).await?;
        let now = EpochMs::now();
        let names = (&workflow.sid, workflow.name.as_str());
        let (mut version, _) = rules::version(p.content, &inspection, names, now)?;
        if rules::same_content(&current, &version) {
            return Ok(Done {
                answer: current,
                effect: None,
                turn,
            });
        }
        workflow.updated_at = now.max(workflow.updated_at);
        if p.set_current {
            workflow.current_version_sid = version.sid.clone();
        }
        let change = LibraryChange::AddVersion {
            workflow: workflow.clone(),
            version: version.clone(),
        };
        let (seq, number) = self.commit(change).await?;
        version.number = number.ok_or_else(|| {
            Error::internal(format!("the store gave version {} no number", version.sid))
        })?;
        Ok(put(version, workflow, seq, turn))
    }

    pub(super) async fn set_current(self, p: WorkflowVersionSetCurrent) -> Result<Done<Workflow>> {
        let turn = self.turn().await;
        let old = self.workflow(&p.workflow_sid).await?;
        let version = self.version(&p.version_sid).await?;
        if version.workflow_sid != old.sid {
            return Err(Error::invalid_input(format!(
                "version {} belongs to workflow {}, not to {}",
                version.sid, version.workflow_sid, old.sid
            )));
        }
        let new = Workflow {
            current_version_sid: version.sid,
            ..old.clone()
        };
        self.replace(&old, new, turn).await
    }

    async fn replace(
        &self,
        old: &Workflow,
        mut new: Workflow,
        turn: Turn,
    ) -> Result<Done<Workflow>> {
        if new == *old {
            return Ok(Done {
                answer: new,
                effect: None,
                turn,
            });
        }
        new.updated_at = EpochMs::now().max(old.updated_at);
        let (seq, _) = self.commit(LibraryChange::Update(new.clone())).await?;
        Ok(put(new.clone(), new, seq, turn))
    }

    async fn commit(&self, change: LibraryChange) -> Result<(Seq, Option<u32>)> {
        let committed = self.store.commit(Batch::Library(change)).await?;
        Ok((committed.seq, committed.version_number))
    }

    /// Accepts the content, and finds out what its source contains.
    async fn inspected(&self, content: &VersionContent) -> Result<Inspection> {
        rules::content(content)?;
        if content.python_source.is_empty() {
            return Ok(Inspection::default());
        }
        let file = content.source_file.as_deref().unwrap_or_default();
        let source = content.python_source.as_str().into();
        let inspection = self.inspector.inspect(source, file).await?;
        match &inspection.syntax_error {
            Some(error) => Err(rules::syntax_error(error)),
            None => Ok(inspection),
        }
    }

    async fn name_is_free(&self, name: &str) -> Result<()> {
        match self.store.workflow_named(name).await? {
            None => Ok(()),
            Some(other) => Err(Error::conflict(format!(
                "there is a workflow named {name:?} already: {}; add a version to it, or choose \
                 another name",
                other.sid
            ))
            .with("sid", other.sid.as_str())),
        }
    }

    async fn workflow(&self, sid: &WorkflowSid) -> Result<Workflow> {
        let found = self.store.workflow(sid).await?;
        found.ok_or_else(|| Error::not_found("workflow", sid))
    }

    async fn version(&self, sid: &VersionSid) -> Result<WorkflowVersion> {
        let found = self.store.version(sid).await?;
        found.ok_or_else(|| Error::not_found("version", sid))
    }
}

fn put<T>(answer: T, workflow: Workflow, seq: Seq, turn: Turn) -> Done<T> {
    Done {
        answer,
        effect: Some(Effect::Put(LibraryEntry {
            sid: workflow.sid,
            name: workflow.name,
            description: workflow.description,
            seq,
        })),
        turn,
    }
}
