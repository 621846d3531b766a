//! What can be said on the command line, and by which variable of the environment.

use clap::{Parser, Subcommand};

use super::{backup, call, completions, doctor, flow, global::Global, play, prune, run, serve};

/// Runs Python flows: observable, supervised, each in a process of its own
#[derive(Debug, Parser)]
#[command(
    name = "hero_logic",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(run::Args),
    Serve(serve::Args),
    Play(play::Args),
    Flow(flow::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Prune(prune::Args),
    Call(call::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_come_from_the_environment_too() {
        // What names one thing of one call (a filter, an input) has no variable.
        let without = [
            "input",
            "i",
            "env",
            "flow",
            "help",
            "version",
            "flow-name",
            "prefill",
            "prefill-only",
        ];
        let command = Cli::command();
        for name in ["run", "serve"] {
            let verb = command.find_subcommand(name).unwrap();
            for arg in verb.get_arguments().chain(command.get_arguments()) {
                let Some(long) = arg.get_long().filter(|long| !without.contains(long)) else {
                    continue;
                };
                let expected = format!("HERO_LOGIC_{}", long.replace('-', "_").to_uppercase());
                assert_eq!(
                    arg.get_env().and_then(|e| e.to_str()),
                    Some(expected.as_str())
                );
            }
        }
    }

    #[test]
    fn global_options_go_anywhere() {
        for line in [
            "hero_logic --json -q play ls",
            "hero_logic play ls --json -q",
            "hero_logic play --json ls -q",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.global.json && cli.global.quiet, "{line}");
        }
    }
}
