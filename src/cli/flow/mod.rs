//! The library's verbs: `flow add|ls|show|search|run|rm`.

mod add;
mod ls;
pub(crate) mod register;
mod rm;
mod run;
mod show;

use clap::Subcommand;
use protocol::{
    Workflow,
    rpc::{FlowLibrarySearch, WorkflowRef},
};

use super::{
    context::Context,
    exit::{Done, Failure},
    session::Session,
};

/// Look into the library of flows, and change it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(add::Args),
    Ls(ls::Args),
    Show(show::Args),
    Search(ls::SearchArgs),
    Run(Box<run::Args>),
    Rm(rm::Args),
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    match args.verb {
        Verb::Add(args) => add::run(context, args).await,
        Verb::Ls(args) => ls::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Search(args) => ls::search(context, args).await,
        Verb::Run(args) => run::run(context, *args).await,
        Verb::Rm(args) => rm::run(context, args).await,
    }
}

/// The workflow of this name or sid; else an error that names what was probably meant.
pub(crate) async fn find(session: &Session, asked: &str) -> Result<Workflow, Failure> {
    if let Some(workflow) = register::named(session, asked).await? {
        return Ok(workflow);
    }
    match get(session, asked).await {
        Err(failure) if failure.is(protocol::ErrorKind::NotFound) => {}
        other => return other,
    }
    let query = FlowLibrarySearch {
        query: asked.to_owned(),
        limit: 5,
    };
    let similar: Vec<String> = session
        .call("search the library", "flow_library_search", &query)
        .await?;
    let mut message =
        format!("failed to find the workflow {asked:?}: there is none of this name or sid");
    if similar.is_empty() {
        message.push_str("; see `hero_logic flow ls`");
    } else {
        message.push_str("; perhaps one of these:");
    }
    for sid in similar {
        message.push_str(&format!("\n{}", get(session, &sid).await?.name));
    }
    Err(Failure::usage(message))
}

/// The workflow with this sid.
async fn get(session: &Session, sid: &str) -> Result<Workflow, Failure> {
    let query = WorkflowRef {
        workflow_sid: sid.into(),
    };
    session
        .call(&format!("read the workflow {sid}"), "workflow_get", &query)
        .await
}
