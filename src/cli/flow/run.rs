//! `flow run`: a flow of the library, followed to its end.

use super::find;
use crate::cli::{
    context::Context,
    exit::Done,
    input::PlayArgs,
    run::{play, start_of},
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
    let (input, options) = args.play.read()?;
    let what = format!("run {}", args.workflow);
    let hosting = args.play.hosting(&options);
    play(context, hosting, &what, async |session| {
        let workflow = find(session, &args.workflow).await?;
        Ok(start_of(workflow.sid, input.clone(), options.clone()))
    })
    .await
}
