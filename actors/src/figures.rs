//! What is counted: counters and histograms that cost an addition, and how they are told.
//!
//! Each room counts its own and tells it as [`Family`]s; the faces write those out. No label may have
//! values without end (a play's sid, a workflow's name), and nothing here may block.

use std::sync::atomic::{AtomicU64, Ordering};

/// Only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// At 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many values there were up to each of some bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above.
    counts: Box<[AtomicU64]>,
    sum_millionths: AtomicU64,
}

impl Histogram {
    /// With these upper bounds, rising.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_millionths: AtomicU64::new(0),
        }
    }

    /// Counts a value; one that is negative or no number counts as 0 (clocks can be set back).
    pub fn observe(&self, value: f64) {
        let value = if value > 0.0 { value } else { 0.0 };
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and a sum is no exact figure"
        )]
        let millionths = (value * 1e6) as u64;
        self.sum_millionths.fetch_add(millionths, Ordering::Relaxed);
    }

    /// As it stands.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let mut below = 0;
        let mut up_to = Vec::with_capacity(self.bounds.len());
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            below += count.load(Ordering::Relaxed);
            up_to.push((*bound, below));
        }
        let above = self.counts.last().map_or(0, |c| c.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a sum is no exact figure")]
        let sum = self.sum_millionths.load(Ordering::Relaxed) as f64 / 1e6;
        Distribution {
            up_to,
            count: below + above,
            sum,
        }
    }
}

/// What a histogram holds: for each bound how many values are not above it.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    pub up_to: Vec<(f64, u64)>,
    pub count: u64,
    pub sum: f64,
}

/// One figure, or several that differ by their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Without the prefix `hero_logic_`, unless it begins with `process_`; with its unit, and `_total` for a counter.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// What a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at the start.
    Counter,
    /// Rises and falls.
    Gauge,
    Histogram,
}

/// A value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

/// See [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Distribution(Distribution),
}

impl Family {
    fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    /// A counter; samples are added with [`Family::and`].
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge; samples are added with [`Family::and`].
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A histogram.
    #[must_use]
    pub fn histogram(name: &'static str, help: &'static str, histogram: &Histogram) -> Self {
        let mut family = Self::new(name, help, Kind::Histogram);
        family.samples.push(Sample {
            labels: Vec::new(),
            value: Value::Distribution(histogram.read()),
        });
        family
    }

    /// Its only value.
    #[must_use]
    pub fn of(self, value: impl Number) -> Self {
        self.and(&[], value)
    }

    /// A value with labels.
    #[must_use]
    pub fn and(mut self, labels: &[(&'static str, &str)], value: impl Number) -> Self {
        self.samples.push(Sample {
            labels: labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
            value: Value::Number(value.number()),
        });
        self
    }
}

/// What can be told as a figure.
pub trait Number {
    fn number(self) -> f64;
}

impl Number for f64 {
    fn number(self) -> f64 {
        self
    }
}

impl Number for u64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53, as the format has it"
    )]
    fn number(self) -> f64 {
        self as f64
    }
}

impl Number for u32 {
    fn number(self) -> f64 {
        f64::from(self)
    }
}

impl Number for usize {
    fn number(self) -> f64 {
        (self as u64).number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_at_the_first_bound_not_below_it() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for value in [0.05, 0.1, 0.5, 1.0, 7.5, -3.0, f64::NAN] {
            histogram.observe(value);
        }
        let read = histogram.read();
        assert_eq!(read.up_to, [(0.1, 4), (1.0, 6)]);
        assert_eq!(read.count, 7);
        assert!((read.sum - 9.15).abs() < 1e-5, "{}", read.sum);
    }
}
