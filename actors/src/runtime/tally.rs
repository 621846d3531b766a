//! Counts plays over time. Pure: plain values in, plain values out.

use protocol::{
    EpochMs,
    overview::{Overview, OverviewBucket, StatsBucket, StatusCounts, WorkflowStats},
};

use crate::store::PlayFacts;

/// The plays to be counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) facts: Vec<PlayFacts>,
    /// There are no more.
    pub(super) complete: bool,
}

/// The time over which they are counted, and into how many stretches it is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from: EpochMs,
    pub(super) to: EpochMs,
    pub(super) buckets: u32,
}

impl Axis {
    /// From where it is asked for, else from the oldest of these plays, to where it is asked for, else to now.
    pub(super) fn of(
        facts: &[PlayFacts],
        (from, before): (Option<EpochMs>, Option<EpochMs>),
        now: EpochMs,
        buckets: u32,
    ) -> Self {
        let to = before.unwrap_or(now);
        let times = facts.iter().map(|play| play.created_at.0);
        let from = from.unwrap_or_else(|| EpochMs(times.fold(to.0, f64::min)));
        Self {
            from,
            to: EpochMs(to.0.max(from.0)),
            buckets,
        }
    }

    fn width(&self) -> f64 {
        (self.to.0 - self.from.0) / f64::from(self.buckets)
    }

    fn start(&self, bucket: u32) -> EpochMs {
        EpochMs(self.from.0 + f64::from(bucket) * self.width())
    }

    /// What is before or behind all of them (clocks can be set back) counts in the nearest.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "brought between the first and the last bucket before"
    )]
    fn bucket(&self, time: EpochMs) -> usize {
        let width = self.width();
        if width <= 0.0 {
            return 0;
        }
        let at = ((time.0 - self.from.0) / width).clamp(0.0, f64::from(self.buckets - 1));
        at as usize
    }
}

pub(super) fn overview(counted: &Counted, axis: Axis) -> Overview {
    let buckets = (0..axis.buckets).map(|bucket| OverviewBucket {
        start_ms: axis.start(bucket),
        by_status: StatusCounts::default(),
    });
    let mut overview = Overview {
        total: counted.facts.len() as u64,
        by_status: StatusCounts::default(),
        from_ms: axis.from,
        to_ms: axis.to,
        buckets: buckets.collect(),
        complete: counted.complete,
    };
    for play in &counted.facts {
        overview.by_status.add(play.status);
        if let Some(bucket) = overview.buckets.get_mut(axis.bucket(play.created_at)) {
            bucket.by_status.add(play.status);
        }
    }
    overview
}

pub(super) fn stats(counted: &Counted, axis: Axis) -> WorkflowStats {
    let mut by_status = StatusCounts::default();
    let mut buckets = vec![(StatusCounts::default(), Vec::new()); axis.buckets as usize];
    let mut durations = Vec::new();
    for play in &counted.facts {
        by_status.add(play.status);
        let taken = play.duration_ms.filter(|_| play.status.is_terminal());
        durations.extend(taken);
        if let Some((counts, own)) = buckets.get_mut(axis.bucket(play.created_at)) {
            counts.add(play.status);
            own.extend(taken);
        }
    }
    let (p50_ms, p95_ms) = quantiles(durations);
    let buckets = (0..).zip(buckets).map(|(bucket, (by_status, own))| {
        let (p50_ms, p95_ms) = quantiles(own);
        StatsBucket {
            start_ms: axis.start(bucket),
            by_status,
            p50_ms,
            p95_ms,
        }
    });
    WorkflowStats {
        plays: counted.facts.len() as u64,
        by_status,
        p50_ms,
        p95_ms,
        from_ms: axis.from,
        to_ms: axis.to,
        buckets: buckets.collect(),
        complete: counted.complete,
    }
}

/// The values that half of them, and 95 % of them, do not exceed; each is one of them.
fn quantiles(mut values: Vec<f64>) -> (Option<f64>, Option<f64>) {
    values.sort_unstable_by(f64::total_cmp);
    let up_to = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.checked_sub(1)?).copied()
    };
    (up_to(50), up_to(95))
}

#[cfg(test)]
mod tests {
    use protocol::PlayStatus;

    use super::*;

    fn play(at: f64, status: PlayStatus, duration_ms: Option<f64>) -> PlayFacts {
        PlayFacts {
            created_at: EpochMs(at),
            status,
            duration_ms,
        }
    }

    fn counted(facts: &[PlayFacts]) -> Counted {
        Counted {
            facts: facts.to_vec(),
            complete: true,
        }
    }

    #[test]
    fn each_play_counts_in_the_stretch_in_which_it_was_created() {
        let facts = [
            play(100.0, PlayStatus::Success, None),
            play(149.9, PlayStatus::Failed, None),
            play(150.0, PlayStatus::Success, None),
            // The last moment, and later than now.
            play(200.0, PlayStatus::Running, None),
            play(250.0, PlayStatus::Running, None),
        ];
        let axis = Axis::of(&facts, (None, None), EpochMs(200.0), 2);
        let overview = overview(&counted(&facts), axis);
        assert_eq!(
            (overview.from_ms, overview.to_ms),
            (EpochMs(100.0), EpochMs(200.0))
        );
        assert_eq!(overview.total, 5);
        let counts = |success, failed, running| StatusCounts {
            success,
            failed,
            running,
            ..StatusCounts::default()
        };
        assert_eq!(overview.by_status, counts(2, 1, 2));
        let of_buckets: Vec<_> = (overview.buckets.iter())
            .map(|bucket| (bucket.start_ms.0, bucket.by_status))
            .collect();
        assert_eq!(
            of_buckets,
            [(100.0, counts(1, 1, 0)), (150.0, counts(1, 0, 2))]
        );
    }

    #[test]
    fn no_plays_and_no_time_are_no_trouble() {
        let axis = Axis::of(&[], (None, None), EpochMs(7.0), 3);
        let empty = stats(&counted(&[]), axis);
        assert_eq!((empty.plays, empty.p50_ms), (0, None));
        assert_eq!(empty.buckets.len(), 3);
        let facts = [play(7.0, PlayStatus::Pending, None)];
        let backwards = Axis::of(
            &facts,
            (Some(EpochMs(9.0)), Some(EpochMs(3.0))),
            EpochMs(7.0),
            2,
        );
        assert_eq!(
            overview(&counted(&facts), backwards).buckets[0]
                .by_status
                .pending,
            1
        );
    }

    #[test]
    fn quantiles_are_values_of_plays_that_have_ended() {
        let ended = |at: u32| play(f64::from(at), PlayStatus::Success, Some(f64::from(at)));
        let mut facts: Vec<_> = (1..=100).rev().map(ended).collect();
        facts.push(play(3.0, PlayStatus::Running, Some(1e9)));
        let axis = Axis::of(&facts, (Some(EpochMs(0.0)), None), EpochMs(200.0), 2);
        let stats = stats(&counted(&facts), axis);
        assert_eq!((stats.p50_ms, stats.p95_ms), (Some(50.0), Some(95.0)));
        assert_eq!(stats.by_status.running, 1);
        let first = &stats.buckets[0];
        assert_eq!((first.p50_ms, first.p95_ms), (Some(50.0), Some(95.0)));
        assert_eq!(quantiles(vec![3.0]), (Some(3.0), Some(3.0)));
        assert_eq!(quantiles(vec![2.0, 1.0]), (Some(1.0), Some(2.0)));
    }
}
