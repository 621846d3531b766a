//! The command line.
//!
//! In reading order: `args` is what can be said; `session` is how a verb reaches a runtime (a server
//! that answers, or one of its own); one file a verb (`run`, `serve`, `call`, `completions`, and the
//! rooms [`play`] and [`flow`]). What a person sees of a running play: `tree` knows it, `render`
//! draws it, `live` paints it, `plain` tells it in lines, `view` chooses, `follow` feeds it.
//!
//! Standard output carries results and nothing else; everything meant for people goes to standard
//! error. No verb may print text of a flow that `text` has not made safe.

mod args;
mod ask;
mod backup;
mod call;
mod caller;
mod completions;
mod context;
mod doctor;
mod exit;
mod explain;
mod flow;
mod follow;
mod global;
mod host;
mod input;
mod json;
mod limits;
mod live;
mod log;
mod notify;
mod outcome;
mod plain;
mod play;
mod prune;
mod render;
mod retain;
mod run;
mod serve;
mod session;
mod signals;
mod source;
mod style;
mod term;
mod text;
mod tree;
mod units;
mod view;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use args::{Cli, Verb};
use context::Context;
use exit::{Done, Failure};

/// Reads the arguments, does what they say, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let look = cli.global.err_look();
    match start(cli) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            complain(&failure, look);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Everything that can be said on the command line, as clap knows it: for whoever describes it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn start(cli: Cli) -> Done {
    let (global, verb) = (cli.global, cli.verb);
    if let Verb::Completions(args) = verb {
        return completions::run(args);
    }
    let _log = context::start_tracing(&global, matches!(verb, Verb::Serve(_)));
    let context = Context::new(global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("failed to start: {e}")))?;
    let done = runtime.block_on(async {
        match verb {
            Verb::Run(args) => run::run(&context, args).await,
            Verb::Serve(args) => serve::run(&context, args).await,
            Verb::Play(args) => play::run(&context, args).await,
            Verb::Flow(args) => flow::run(&context, args).await,
            Verb::Backup(args) => backup::backup(&context, args).await,
            Verb::Restore(args) => backup::restore(&context, args).await,
            Verb::Prune(args) => prune::run(&context, args).await,
            Verb::Call(args) => call::run(&context, args).await,
            Verb::Doctor(args) => doctor::run(&context, args).await,
            Verb::Completions(args) => completions::run(args),
        }
    });
    // Whatever still runs belongs to nobody any more.
    runtime.shutdown_background();
    done
}

fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => {}
        Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => {}
        Err(_) => return ExitCode::FAILURE,
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Says why it failed, on one line (and further, indented ones).
fn complain(failure: &Failure, look: term::Look) {
    let mut lines = failure.message.lines();
    let mut text = style::Line::new()
        .with(style::RED.bold(), "error")
        .with(style::PLAIN, ": ")
        .with(style::PLAIN, text::clean(lines.next().unwrap_or_default()))
        .to_text(look.color);
    for line in lines {
        text.push_str("\n  ");
        text.push_str(&text::clean(line));
    }
    text.push('\n');
    if io::stderr().lock().write_all(text.as_bytes()).is_err() {
        // There is nowhere left to say it; the exit code does.
    }
}
