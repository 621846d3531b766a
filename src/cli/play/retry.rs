//! `play retry`: a new play with the same version and input, followed to its end.

use protocol::{
    Play,
    rpc::{PlayRetry, RetryFrom},
};

use super::sid;
use crate::cli::{
    context::Context,
    exit::Done,
    host::Hosting,
    input::CLI,
    run::see_to_end,
    session::{Need, within},
    signals::Signals,
    style::{DIM, Line},
};

/// Try a play again, as a new play, and print what it returns
///
/// Exit codes as for `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// Do everything again, also the durable steps that were kept
    #[arg(long)]
    from_start: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let mut signals = Signals::listen()?;
    within(context, Need::Host(Hosting::default()), async |session| {
        let old = sid::find(session, &args.sid).await?.sid;
        let query = PlayRetry {
            play_sid: old.clone(),
            from: if args.from_start {
                RetryFrom::Start
            } else {
                RetryFrom::Failure
            },
            origin: Some(CLI.to_owned()),
        };
        let what = format!("retry play {old}");
        let new: Play = session.call(&what, "play_retry", &query).await?;
        context.say(&Line::new().with(DIM, format!("retries {old} as {}", new.sid)));
        see_to_end(context, session, &new.sid, &mut signals).await
    })
    .await
}
