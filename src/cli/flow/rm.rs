//! `flow rm`: a workflow out of the library.

use protocol::{Workflow, rpc::WorkflowRef};

use super::find;
use crate::cli::{
    context::Context,
    exit::{Done, Exit},
    session::{Need, within},
    style::{BOLD, DIM, Line, PLAIN},
    text::clean,
};

/// Take a workflow out of the library; its plays stay
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "NAME|SID")]
    workflow: String,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let removed = within(context, Need::Read, async |session| {
        let found = find(session, &args.workflow).await?;
        let query = WorkflowRef {
            workflow_sid: found.sid,
        };
        let what = format!("remove {}", found.name);
        let removed: Workflow = session.call(&what, "workflow_delete", &query).await?;
        Ok(removed)
    })
    .await?;
    if context.json {
        context.print_json(&removed)?;
    } else {
        let line = Line::new()
            .with(PLAIN, "removed ")
            .with(BOLD, clean(&removed.name))
            .with(DIM, format!("  {}", removed.sid));
        context.print(&[line])?;
    }
    Ok(Exit::Success)
}
