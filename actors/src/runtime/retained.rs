//! How retention is doing, for those who operate a server. Only looks: deletes nothing.

use std::time::Duration;

use protocol::{prune::Prune, server::Check};

use super::retention::{Keeper, Retention};
use crate::{doctor::size, figures::Family};

impl Keeper {
    /// What passes have deleted since the start.
    pub(super) fn families(&self) -> [Family; 3] {
        let totals = self.totals();
        [
            Family::counter("pruned_plays_total", "Ended plays that retention deleted.")
                .of(totals.plays),
            Family::counter(
                "pruned_bytes_total",
                "About how many bytes of the store and of artifacts went with them.",
            )
            .of(totals.bytes),
            Family::counter(
                "prune_failures_total",
                "Passes of retention that ended with an error.",
            )
            .of(totals.failed),
        ]
    }

    /// What is kept, and how much of what is there would go now. Where that can't be told within this
    /// time (a pass is under way, or there is much to weigh), this is said instead.
    pub(super) async fn check(&self, patience: Duration) -> Check {
        let Retention { age, plays, .. } = self.retention;
        let bytes = self.keep_bytes(None);
        let kept = [
            (age < Duration::MAX).then(|| format!("ended less than {} ago", span(age))),
            (plays < u64::MAX).then(|| format!("at most {plays} plays")),
            (bytes < u64::MAX).then(|| format!("at most {}", size(bytes))),
        ];
        let kept: Vec<_> = kept.into_iter().flatten().collect();
        let kept = match kept.as_slice() {
            [] => "every ended play is kept".to_owned(),
            some => format!("kept of ended plays: {}", some.join(", ")),
        };
        let failed = self.totals().failed;
        let look = Prune {
            dry_run: true,
            ..Prune::default()
        };
        let check = match tokio::time::timeout(patience, self.prune(&look)).await {
            Ok(Ok(report)) => {
                let now = match report.plays {
                    0 => "nothing is beyond that".to_owned(),
                    more => format!("{more} plays ({}) are to go", size(report.bytes)),
                };
                Check::ok(
                    "retention",
                    format!(
                        "{kept}; {} are there, {now}",
                        report.left_plays + report.plays
                    ),
                )
                .fact("ended_plays", report.left_plays + report.plays)
                .fact("due_plays", report.plays)
                .fact("due_bytes", report.bytes)
            }
            Ok(Err(error)) => Check::warning(
                "retention",
                format!(
                    "{kept}; what is beyond that can't be told: {}",
                    error.message
                ),
            )
            .hint("see the check of the store"),
            Err(_) => Check::ok(
                "retention",
                format!(
                    "{kept}; a pass is under way, or there is more than can be weighed in {patience:?}"
                ),
            ),
        };
        let check = if failed > 0 {
            Check {
                status: protocol::server::CheckStatus::Warning,
                ..check.hint(format!(
                    "{failed} passes failed since the start: see the log"
                ))
            }
        } else {
            check
        };
        let limit = |value: u64| (value < u64::MAX).then_some(value);
        check
            .fact(
                "retain_age_ms",
                (age < Duration::MAX).then_some(age.as_secs_f64() * 1e3),
            )
            .fact("retain_plays", limit(plays))
            .fact("retain_bytes", limit(bytes))
            .fact("failed_passes", failed)
    }
}

/// A time for a person, in its largest whole unit.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{time:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_for_people() {
        for (seconds, text) in [
            (30 * 86_400, "30 d"),
            (36 * 3_600, "36 h"),
            (90 * 60, "90 min"),
            (61, "61s"),
            (0, "0ns"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
