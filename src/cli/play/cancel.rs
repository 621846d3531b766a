//! `play cancel`.

use protocol::{EpochMs, Play, rpc::PlayCancel};

use super::{ls::table, sid};
use crate::cli::{
    context::Context,
    exit::{Done, Exit},
    session::{Need, within},
    term,
};

/// Cancel a play and everything that it started
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// Kill it, without the grace to clean up
    #[arg(long)]
    now: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    // Without a server nothing runs: only the records of pending and paused plays are concerned.
    let play = within(context, Need::Read, async |session| {
        let sid = sid::find(session, &args.sid).await?.sid;
        let cancel = PlayCancel {
            play_sid: sid.clone(),
            grace_ms: args.now.then_some(0),
        };
        let what = format!("cancel play {sid}");
        let play: Play = session.call(&what, "play_cancel", &cancel).await?;
        Ok(play)
    })
    .await?;
    if context.json {
        context.print_json(&play)?;
    } else {
        let lines = table(
            &[play],
            EpochMs::now(),
            term::stdout_columns(),
            context.glyphs(),
        );
        context.print(&lines)?;
    }
    Ok(Exit::Success)
}
