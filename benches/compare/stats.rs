//! What samples come to. Pure: numbers in, numbers out.

/// Samples of one thing, in the rounds in which they were taken; each round has at least one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// One more round. One without samples is left out.
    pub(crate) fn push(&mut self, samples: Vec<f64>) {
        if !samples.is_empty() {
            self.0.push(samples);
        }
    }

    /// The same, each value multiplied: from seconds to milliseconds and the like.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        for sample in self.0.iter_mut().flatten() {
            *sample *= factor;
        }
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The smallest sample that at least this share (0 to 1) of all samples does not exceed; the median is
    /// that of 0.5. None where there is no sample.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        quantile(self.0.iter().flatten().copied().collect(), share)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// The median of each round.
    pub(crate) fn medians(&self) -> Vec<f64> {
        self.0
            .iter()
            .filter_map(|round| quantile(round.clone(), 0.5))
            .collect()
    }

    /// The lowest and the highest of the rounds' medians: how steady the machine was.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        let medians = self.medians();
        let low = medians.iter().copied().reduce(f64::min)?;
        Some((low, medians.iter().copied().fold(low, f64::max)))
    }

    /// How many times the other this is: the median over the rounds of the ratio of their medians, each
    /// round with the one that was taken beside it.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let ratios = self
            .medians()
            .into_iter()
            .zip(other.medians())
            .filter(|(_, other)| *other > 0.0)
            .map(|(own, other)| own / other);
        quantile(ratios.collect(), 0.5)
    }
}

impl From<Vec<f64>> for Rounds {
    fn from(samples: Vec<f64>) -> Self {
        let mut rounds = Self::default();
        rounds.push(samples);
        rounds
    }
}

/// Samples of several things, as they come: one of each, again and again. None where one is lacking.
pub(crate) fn columns(samples: &[f64], width: usize) -> Option<Vec<Vec<f64>>> {
    if width == 0 || !samples.len().is_multiple_of(width) {
        return None;
    }
    let column = |at| samples.iter().skip(at).step_by(width).copied().collect();
    Some((0..width).map(column).collect())
}

fn quantile(mut samples: Vec<f64>, share: f64) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let rank = (samples.len() as f64 * share).ceil() as usize;
    samples.get(rank.max(1) - 1).copied()
}
