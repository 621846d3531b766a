//! Limits of plays as the command line says them.

use std::time::Duration;

use protocol::{Limits, limits::parse_bytes};

use super::units::{millis, parse_duration};

/// `--memory` and the like: of the one play for verbs that start one, the defaults for `serve`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits of a play")]
pub(crate) struct LimitArgs {
    /// Memory of all its processes together (512MiB, 2GiB) [default: none]
    #[arg(long, value_name = "SIZE", env = "HERO_LOGIC_MEMORY", hide_env = true, value_parser = parse_size)]
    memory: Option<u64>,
    /// CPU time of all its processes together (60s, 5m) [default: none]
    #[arg(long, value_name = "DURATION", env = "HERO_LOGIC_CPU", hide_env = true, value_parser = parse_duration)]
    cpu: Option<Duration>,
    /// Open files of each process [default: as this command was started with]
    #[arg(long, value_name = "N", env = "HERO_LOGIC_OPEN_FILES", hide_env = true, value_parser = clap::value_parser!(u64).range(16..))]
    open_files: Option<u64>,
    /// Processes at once [default: 1024]
    #[arg(long, value_name = "N", env = "HERO_LOGIC_PROCESSES", hide_env = true, value_parser = clap::value_parser!(u64).range(1..))]
    processes: Option<u64>,
    /// What is kept of its output and logs; the rest is cut [default: 16MiB]
    #[arg(long, value_name = "SIZE", env = "HERO_LOGIC_OUTPUT", hide_env = true, value_parser = parse_size)]
    output: Option<u64>,
    /// What its directory holds [default: half of what is free when it starts]
    #[arg(long, value_name = "SIZE", env = "HERO_LOGIC_DISK", hide_env = true, value_parser = parse_size)]
    disk: Option<u64>,
    /// Spans; the rest is skipped [default: 1000000]
    #[arg(long, value_name = "N", env = "HERO_LOGIC_SPANS", hide_env = true, value_parser = clap::value_parser!(u64).range(1..))]
    spans: Option<u64>,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory,
            cpu_ms: self.cpu.map(millis),
            open_files: self.open_files,
            processes: self.processes,
            output_bytes: self.output,
            disk_bytes: self.disk,
            spans: self.spans,
        }
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err(format!("{text:?} is too small; the least is 1 byte")),
        bytes => Ok(bytes),
    }
}
