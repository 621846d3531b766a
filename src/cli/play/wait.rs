//! `play wait`: until a play has ended, and then what it returned.

use std::time::Duration;

use protocol::{Play, PlayStatus, rpc::PlayWait};

use super::sid;
use crate::cli::{
    context::Context,
    exit::{Done, Exit, Failure},
    host::Hosting,
    outcome,
    session::{Need, Session, within},
    signals::{Asked, Signals},
    style::words,
    units::{millis, parse_duration},
};

/// Wait for a play to end, and print what it returned
///
/// Exit codes as for `run`; 124 also where the time is over first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let mut signals = Signals::listen()?;
    within(context, Need::Host(Hosting::default()), async |session| {
        wait(context, session, &args, &mut signals).await
    })
    .await
}

async fn wait(context: &Context, session: &Session, args: &Args, signals: &mut Signals) -> Done {
    let sid = sid::find(session, &args.sid).await?.sid;
    let wait = PlayWait {
        play_sid: sid.clone(),
        timeout_ms: args.timeout.map_or(0, millis),
    };
    let what = format!("wait for play {sid}");
    let waited = tokio::select! {
        waited = session.call::<Play>(&what, "play_wait", &wait) => waited,
        () = interrupted(signals) => return Ok(Exit::Cancelled),
    };
    match waited {
        Ok(play) if play.status.is_terminal() => outcome::report(context, session, &play).await,
        Ok(play) => {
            if context.json {
                context.print_json(&play)?;
            }
            Err(Failure {
                exit: if play.status == PlayStatus::AwaitingResume {
                    Exit::AwaitingInput
                } else {
                    Exit::TimedOut
                },
                ..Failure::failed(format!(
                    "failed to see play {sid} end: the time is over, and it is {}",
                    words(play.status)
                ))
            })
        }
        Err(failure) => Err(failure),
    }
}

async fn interrupted(signals: &mut Signals) {
    while signals.next().await == Asked::Suspend {
        if let Err(error) = crate::cli::signals::suspend() {
            tracing::debug!(%error, "could not be suspended");
        }
    }
}
