//! `flow run`: a flow of the library, followed to its end.

use protocol::{
    WorkflowVersion,
    rpc::{PlayStart, VersionRef},
};

use super::find;
use crate::cli::{
    context::Context,
    exit::Done,
    input::{CLI, PlayArgs},
    run::{Start, play},
};

/// Run a flow of the library, and print what it returns as JSON
///
/// Exit codes as for `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "NAME|SID")]
    workflow: String,
    #[command(flatten)]
    play: PlayArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let (input, options) = args.play.read(CLI)?;
    let what = format!("run {}", args.workflow);
    let hosting = args.play.hosting(&options);
    play(context, hosting, &what, async |session| {
        let workflow = find(session, &args.workflow).await?;
        let current = VersionRef {
            version_sid: workflow.current_version_sid,
        };
        let version: WorkflowVersion = session
            .call(&what, "workflow_version_get", &current)
            .await?;
        let (input_data, options) = (input.clone(), options.clone());
        Ok(if version.python_source.is_empty() {
            Start::Nodes(PlayStart {
                workflow_sid: workflow.sid,
                input_data,
                options,
            })
        } else {
            Start::flow(workflow.sid, input_data, options)
        })
    })
    .await
}
