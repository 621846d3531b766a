//! The operations on the library.

use protocol::{
    Error, Result, Signature, Workflow, WorkflowSid, WorkflowVersion,
    reading::{FlowFound, SourceCheck, SourceError, SourceReport},
    rpc::{
        FlowLibrarySearch, VersionPage, VersionRef, WorkflowCreate, WorkflowList, WorkflowPage,
        WorkflowRef, WorkflowUpdate, WorkflowVersionAdd, WorkflowVersionList,
        WorkflowVersionSetCurrent,
    },
};

use super::{Runtime, plays::page_limit};
use crate::library::rules;

impl Runtime {
    /// The workflows that match, best first.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn flow_library_search(&self, search: FlowLibrarySearch) -> Result<Vec<WorkflowSid>> {
        self.library().search(search).await
    }

    /// A new workflow with its first version.
    ///
    /// # Errors
    /// `conflict` where the name exists, `invalid_input` (name, source), `too_large`, `unavailable`.
    pub async fn workflow_create(&self, create: WorkflowCreate) -> Result<Workflow> {
        self.library().create(create).await
    }

    /// Name, description and tags, as far as they are given.
    ///
    /// # Errors
    /// `not_found`, `conflict`, `invalid_input`, `unavailable`.
    pub async fn workflow_update(&self, update: WorkflowUpdate) -> Result<Workflow> {
        self.library().update(update).await
    }

    /// Takes it out of the library; its plays and versions stay. Returns it as it was.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn workflow_delete(&self, wanted: WorkflowRef) -> Result<Workflow> {
        self.library().delete(wanted).await
    }

    /// A further version; the current one where nothing differs from it.
    ///
    /// # Errors
    /// `not_found`, `invalid_input`, `too_large`, `unavailable`.
    pub async fn workflow_version_add(&self, add: WorkflowVersionAdd) -> Result<WorkflowVersion> {
        self.library().add_version(add).await
    }

    /// Plays use this version from now on.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` where the version is another workflow's, `unavailable`.
    pub async fn workflow_version_set_current(
        &self,
        set: WorkflowVersionSetCurrent,
    ) -> Result<Workflow> {
        self.library().set_current(set).await
    }

    /// What a source holds, without running or keeping anything of it.
    ///
    /// # Errors
    /// `too_large`, `invalid_input` where Python does not survive reading it, `unavailable`.
    pub async fn source_check(&self, check: SourceCheck) -> Result<SourceReport> {
        rules::source_text(&check.python_source)?;
        let source = check.python_source.into();
        let found = self.inner.inspector.inspect(source, "").await?;
        let errors = found.syntax_error.into_iter().map(|error| SourceError {
            line: error.line.unwrap_or(1),
            column: error.column.unwrap_or(1),
            message: error.message,
        });
        let flows = found.flows.into_iter().map(|flow| FlowFound {
            name: flow.name,
            line: flow.line,
            description: flow.description,
            signature: Signature {
                parameters: flow.parameters,
                accepts_extra: flow.accepts_extra,
            },
        });
        Ok(SourceReport {
            flows: flows.collect(),
            errors: errors.collect(),
        })
    }

    /// The record.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn workflow_get(&self, wanted: WorkflowRef) -> Result<Workflow> {
        self.workflow(&wanted.workflow_sid).await
    }

    async fn workflow(&self, sid: &WorkflowSid) -> Result<Workflow> {
        self.store()
            .workflow(sid)
            .await?
            .ok_or_else(|| Error::not_found("workflow", sid))
    }

    /// A page of workflows, newest first.
    ///
    /// # Errors
    /// `invalid_input` (cursor, limit), `unavailable`.
    pub async fn workflow_list(&self, query: WorkflowList) -> Result<WorkflowPage> {
        let limit = Some(page_limit(query.limit)?);
        Ok(self
            .store()
            .workflows(WorkflowList { limit, ..query })
            .await?)
    }

    /// The record.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn workflow_version_get(&self, wanted: VersionRef) -> Result<WorkflowVersion> {
        let version = self.store().version(&wanted.version_sid).await?;
        version.ok_or_else(|| Error::not_found("workflow version", &wanted.version_sid))
    }

    /// A page of a workflow's versions, newest first.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` (cursor, limit), `unavailable`.
    pub async fn workflow_version_list(&self, query: WorkflowVersionList) -> Result<VersionPage> {
        self.workflow(&query.workflow_sid).await?;
        let limit = Some(page_limit(query.limit)?);
        Ok(self
            .store()
            .versions(WorkflowVersionList { limit, ..query })
            .await?)
    }
}
