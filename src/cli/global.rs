//! The options of every verb.

use std::path::PathBuf;

use clap::{ArgAction, Args, builder::FalseyValueParser};

use super::{
    log::LogFormat,
    term::{ColorChoice, Look},
};

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
    /// How much is logged: error, warn, info, debug, trace, or a filter (hero_logic_actors=debug)
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        env = "HERO_LOGIC_LOG_LEVEL",
        hide_env = true
    )]
    pub(crate) log_level: Option<String>,
    /// The form of the log
    #[arg(
        long,
        global = true,
        value_name = "FORM",
        env = "HERO_LOGIC_LOG_FORMAT",
        hide_env = true,
        value_enum,
        default_value_t
    )]
    pub(crate) log_format: LogFormat,
}

impl Global {
    pub(crate) fn err_look(&self) -> Look {
        Look::of_stderr(self.color)
    }
}
