//! `completions`: a script that completes hero_logic's arguments in a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{
    args::Cli,
    context::write_out,
    exit::{Done, Exit, Failure},
};

/// Print a completion script for a shell
///
/// For bash: `source <(hero_logic completions bash)`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run(args: Args) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hero_logic", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::failed(format!("failed to write the script: {error}")))?;
    write_out(&script)?;
    Ok(Exit::Success)
}
