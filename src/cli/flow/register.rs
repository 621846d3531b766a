//! Puts a flow's source into the library: a new workflow, or a further version of the one it is.

use protocol::{
    ErrorKind, Workflow, WorkflowVersion,
    rpc::{
        VersionContent, VersionRef, WorkflowCreate, WorkflowList, WorkflowPage, WorkflowVersionAdd,
    },
};

use crate::cli::{exit::Failure, run::Source, session::Session};

/// Where a source now stands in the library.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) workflow: Workflow,
    pub(crate) version: WorkflowVersion,
}

/// Registers a file that is run: under the flow's or the file's name, where that is free or this
/// same file's; else under a name with its path, so that no file ever takes another one's place.
pub(crate) async fn file(
    session: &Session,
    source: &Source,
    flow: Option<&str>,
) -> Result<Registered, Failure> {
    let name = flow.unwrap_or(&source.stem);
    let content = content(source, flow);
    if let Some(workflow) = named(session, name).await? {
        let current = version(session, &workflow).await?;
        if current.source_file.as_deref() != Some(&source.path) {
            let longer = format!("{name} ({})", source.path);
            return put(session, &longer, content, None).await;
        }
    }
    put(session, name, content, None).await
}

/// Adds a version to the workflow of this name, or creates it.
pub(crate) async fn put(
    session: &Session,
    name: &str,
    content: VersionContent,
    about: Option<(&str, &[String])>,
) -> Result<Registered, Failure> {
    let what = format!("add {name} to the library");
    let mut tries = 0;
    loop {
        if let Some(workflow) = named(session, name).await? {
            let add = WorkflowVersionAdd {
                workflow_sid: workflow.sid.clone(),
                content,
                set_current: true,
            };
            let version = session.call(&what, "workflow_version_add", &add).await?;
            return Ok(Registered { workflow, version });
        }
        let (description, tags) = about.unwrap_or_default();
        let create = WorkflowCreate {
            name: name.to_owned(),
            description: description.to_owned(),
            tags: tags.to_vec(),
            content: content.clone(),
        };
        match session
            .call::<Workflow>(&what, "workflow_create", &create)
            .await
        {
            Ok(workflow) => {
                let version = version(session, &workflow).await?;
                return Ok(Registered { workflow, version });
            }
            // Somebody else created it meanwhile: then it is a version of that one.
            Err(failure) if failure.is(ErrorKind::Conflict) && tries < 3 => tries += 1,
            Err(failure) => return Err(failure),
        }
    }
}

pub(crate) fn content(source: &Source, flow: Option<&str>) -> VersionContent {
    VersionContent {
        python_source: source.text.clone(),
        source_file: Some(source.path.clone()),
        flow_name: flow.map(str::to_owned),
        ..VersionContent::default()
    }
}

/// The workflow of exactly this name.
pub(crate) async fn named(session: &Session, name: &str) -> Result<Option<Workflow>, Failure> {
    let query = WorkflowList {
        name: Some(name.to_owned()),
        limit: Some(1),
        ..WorkflowList::default()
    };
    let page: WorkflowPage = session
        .call("look into the library", "workflow_list", &query)
        .await?;
    Ok(page.items.into_iter().next())
}

/// The current version of a workflow.
pub(crate) async fn version(
    session: &Session,
    workflow: &Workflow,
) -> Result<WorkflowVersion, Failure> {
    let query = VersionRef {
        version_sid: workflow.current_version_sid.clone(),
    };
    let what = format!("read the version of {}", workflow.name);
    session.call(&what, "workflow_version_get", &query).await
}
