//! `flow add`: a file into the library.

use std::path::PathBuf;

use protocol::{Workflow, rpc::WorkflowUpdate};
use serde_json::json;

use super::register;
use crate::cli::{
    context::Context,
    exit::{Done, Exit},
    session::{Need, within},
    source::Source,
    style::{BOLD, DIM, Line, PLAIN},
};

/// Add a flow to the library, or a new version of one that is there
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Python file
    file: PathBuf,
    /// The workflow's name [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag, several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let source = Source::read(&args.file)?;
    let name = args.name.as_deref().unwrap_or(&source.stem);
    let content = register::content(&source, None);
    let added = within(context, Need::Read, async |session| {
        let mut added = match register::named(session, name).await? {
            Some(workflow) => register::add(session, workflow, content).await?,
            None => {
                let description = args.description.as_deref().unwrap_or_default();
                register::create(session, name, description, &args.tags, content).await?
            }
        };
        let changes = WorkflowUpdate {
            workflow_sid: added.workflow.sid.clone(),
            name: None,
            description: args
                .description
                .filter(|d| *d != added.workflow.description),
            tags: Some(args.tags).filter(|t| !t.is_empty() && *t != added.workflow.tags),
        };
        if changes.description.is_some() || changes.tags.is_some() {
            let what = format!("describe {name}");
            added.workflow = session
                .call::<Workflow>(&what, "workflow_update", &changes)
                .await?;
        }
        Ok(added)
    })
    .await?;
    if context.json {
        context.print_json(&json!({"workflow": added.workflow, "version": added.version}))?;
    } else {
        let line = Line::new()
            .with(BOLD, crate::cli::text::clean(&added.workflow.name))
            .with(PLAIN, format!("  version {}", added.version.number))
            .with(DIM, format!("  {}", added.workflow.sid));
        context.print(&[line])?;
    }
    Ok(Exit::Success)
}
