//! `play signal`: hands a signal to a play, and follows the play to its end.

use protocol::{play::PlayBrief, rpc::PlaySignal};
use serde_json::Value;

use super::sid;
use crate::cli::{
    context::Context,
    exit::{Done, Failure},
    host::Hosting,
    run::see_to_end,
    session::{Need, within},
    signals::Signals,
};

/// Hand a signal to a play that waits for it, or will, and follow the play to its end
///
/// Exit codes as for `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    name: String,
    /// JSON; null without it
    payload: Option<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let payload = match &args.payload {
        None => Value::Null,
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("the payload {text:?} is no JSON: {error}")))?,
    };
    let mut signals = Signals::listen()?;
    within(context, Need::Host(Hosting::default()), async |session| {
        let sid = sid::find(session, &args.sid).await?.sid;
        let signal = PlaySignal {
            play_sid: sid.clone(),
            name: args.name.clone(),
            payload: payload.clone(),
        };
        let what = format!("signal play {sid}");
        let _: PlayBrief = session.call(&what, "play_signal", &signal).await?;
        see_to_end(context, session, &sid, &mut signals).await
    })
    .await
}
