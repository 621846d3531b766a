//! The verbs about plays: `play ls|show|wait|cancel|answer|signal|retry|logs`.

mod answer;
mod cancel;
mod logs;
mod ls;
mod retry;
mod show;
mod sid;
mod signal;
mod wait;

use clap::Subcommand;

use super::{context::Context, exit::Done};

/// Look at plays, wait for them, cancel, answer and retry them
///
/// A SID can be given by its beginning (at least 4 characters) or as `last`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Ls(ls::Args),
    Show(show::Args),
    Wait(wait::Args),
    Cancel(cancel::Args),
    Answer(answer::Args),
    Signal(signal::Args),
    Retry(retry::Args),
    Logs(logs::Args),
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    match args.verb {
        Verb::Ls(args) => ls::run(context, args).await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Wait(args) => wait::run(context, args).await,
        Verb::Cancel(args) => cancel::run(context, args).await,
        Verb::Answer(args) => answer::run(context, args).await,
        Verb::Signal(args) => signal::run(context, args).await,
        Verb::Retry(args) => retry::run(context, args).await,
        Verb::Logs(args) => logs::run(context, args).await,
    }
}
