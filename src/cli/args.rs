//! What can be said on the command line, and by which variable of the environment.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, builder::FalseyValueParser};

use super::{
    call, completions, flow, play, run, serve,
    term::{ColorChoice, Look},
};

/// Runs Python flows: observable, resumable, each in a process of its own
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
    Call(call::Args),
    Completions(completions::Args),
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where plays and workflows are kept [default: $XDG_DATA_HOME/hero_logic]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HERO_LOGIC_DATA_DIR",
        hide_env = true
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// The server's Unix socket [default: DIR/hero_logic.sock]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HERO_LOGIC_SOCKET",
        hide_env = true
    )]
    pub(crate) socket: Option<PathBuf>,
    /// Print one JSON document (streams: JSON lines) on standard output
    #[arg(long, global = true, env = "HERO_LOGIC_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "HERO_LOGIC_COLOR",
        hide_env = true,
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) color: ColorChoice,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true, env = "HERO_LOGIC_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Say more of what happens inside (-vv: even more); HERO_LOGIC_LOG takes a filter
    #[arg(short, long, global = true, action = ArgAction::Count, env = "HERO_LOGIC_VERBOSE", hide_env = true)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn err_look(&self) -> Look {
        Look::of_stderr(self.color)
    }
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
        let without = ["input", "i", "env", "flow", "help", "version", "flow-name"];
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
