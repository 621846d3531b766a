//! What is kept of ended plays, as the command line says it.

use std::time::Duration;

use actors::runtime::retention::Retention;
use protocol::prune::Prune;

use super::units::{millis, parse_bytes, parse_duration};

const UNLIMITED: &str = "unlimited";

/// Limits of retention.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Retention: what is kept of ended plays (or `unlimited`)")]
pub(crate) struct RetainArgs {
    /// Delete plays that ended longer ago [default: 30d]
    #[arg(long, value_name = "DURATION", env = "HERO_LOGIC_RETAIN_AGE", hide_env = true, value_parser = age)]
    retain_age: Option<Duration>,
    /// Keep at most so many, the newest [default: 100,000]
    #[arg(long, value_name = "N", env = "HERO_LOGIC_RETAIN_PLAYS", hide_env = true, value_parser = plays)]
    retain_plays: Option<u64>,
    /// Keep at most so much, store and artifacts together [default: a tenth of the disk, at least 1GiB]
    #[arg(long, value_name = "SIZE", env = "HERO_LOGIC_RETAIN_BYTES", hide_env = true, value_parser = bytes)]
    retain_bytes: Option<u64>,
}

impl RetainArgs {
    /// With the defaults for what was not said.
    pub(crate) fn retention(&self) -> Retention {
        let default = Retention::default();
        Retention {
            age: self.retain_age.unwrap_or(default.age),
            plays: self.retain_plays.unwrap_or(default.plays),
            bytes: self.retain_bytes.or(default.bytes),
        }
    }

    /// Only what was said.
    pub(crate) fn prune(&self, dry_run: bool) -> Prune {
        Prune {
            dry_run,
            retain_age_ms: self.retain_age.map(millis),
            retain_plays: self.retain_plays,
            retain_bytes: self.retain_bytes,
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    match text {
        UNLIMITED => Ok(Duration::MAX),
        "0" => Ok(Duration::ZERO),
        text => parse_duration(text),
    }
}

fn plays(text: &str) -> Result<u64, String> {
    match text {
        UNLIMITED => Ok(u64::MAX),
        text => text
            .replace([',', '_'], "")
            .parse()
            .map_err(|_| format!("{text:?} is no number; write it like 100000, or unlimited")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    match text {
        UNLIMITED => Ok(u64::MAX),
        text => parse_bytes(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_the_largest_number() {
        assert_eq!(age(UNLIMITED), Ok(Duration::MAX));
        assert_eq!(age("0"), Ok(Duration::ZERO));
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(plays(UNLIMITED), Ok(u64::MAX));
        assert_eq!(plays("100,000"), Ok(100_000));
        assert_eq!(bytes(UNLIMITED), Ok(u64::MAX));
        assert!(plays("some").is_err());
    }
}
