//! Puts a flow's source into the library: a new workflow, or a further version of the one it is.

use protocol::{
    ErrorKind, Workflow, WorkflowVersion,
    rpc::{
        VersionContent, VersionRef, WorkflowCreate, WorkflowList, WorkflowPage, WorkflowVersionAdd,
    },
};

use crate::cli::{exit::Failure, session::Session, source::Source};

/// How often a name may be taken by somebody else between looking and creating.
const TRIES: u32 = 4;

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
    let longer = format!("{name} ({})", source.path);
    let content = content(source, flow);
    let mut tries = 0;
    loop {
        let mut free = name;
        if let Some(workflow) = named(session, name).await? {
            if version(session, &workflow).await?.source_file.as_deref() == Some(&source.path) {
                return add(session, workflow, content).await;
            }
            if let Some(workflow) = named(session, &longer).await? {
                return add(session, workflow, content).await;
            }
            free = &longer;
        }
        match create(session, free, "", &[], content.clone()).await {
            // Somebody else took the name meanwhile: look again whose it is.
            Err(failure) if failure.is(ErrorKind::Conflict) && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Creates a workflow with its first version. A name that exists is a conflict.
pub(crate) async fn create(
    session: &Session,
    name: &str,
    description: &str,
    tags: &[String],
    content: VersionContent,
) -> Result<Registered, Failure> {
    let create = WorkflowCreate {
        name: name.to_owned(),
        description: description.to_owned(),
        tags: tags.to_vec(),
        content,
    };
    let what = format!("add {name} to the library");
    let workflow = session.call(&what, "workflow_create", &create).await?;
    let version = version(session, &workflow).await?;
    Ok(Registered { workflow, version })
}

/// Adds a version to a workflow, and makes it the current one. The same content is the same version.
pub(crate) async fn add(
    session: &Session,
    workflow: Workflow,
    content: VersionContent,
) -> Result<Registered, Failure> {
    let what = format!("add a version to {}", workflow.name);
    let add = WorkflowVersionAdd {
        workflow_sid: workflow.sid.clone(),
        content,
        set_current: true,
    };
    let version = session.call(&what, "workflow_version_add", &add).await?;
    Ok(Registered { workflow, version })
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
