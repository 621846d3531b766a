//! What one contender comes to in one row.

use crate::{
    contenders::Contenders,
    peer::Job,
    report::{Found, Line},
    stats::{Rounds, columns},
};

/// Figures of one contender as rounds are added to them; the first trouble is what is reported.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) name: &'static str,
    /// What it does otherwise than its label says, where that is so.
    how: &'static str,
    /// Its answers are figures of so many things, one of each, again and again.
    columns: Vec<Rounds>,
    trouble: Option<Found>,
}

impl Tally {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::of(name, 1)
    }

    pub(crate) fn of(name: &'static str, columns: usize) -> Self {
        Self {
            name,
            how: "",
            columns: vec![Rounds::default(); columns],
            trouble: None,
        }
    }

    pub(crate) fn how(self, how: &'static str) -> Self {
        Self { how, ..self }
    }

    /// One turn, unless it is out already.
    pub(crate) fn turn(&mut self, contenders: &mut Contenders, job: Job<'_>) {
        if self.trouble.is_some() {
            return;
        }
        match contenders.ask(self.name, job) {
            None => {}
            Some(Ok(samples)) => self.add(&samples),
            Some(Err(trouble)) => self.trouble = Some(trouble),
        }
    }

    fn add(&mut self, samples: &[f64]) {
        let Some(answered) = columns(samples, self.columns.len()) else {
            let what = format!(
                "{} figures, of {} things",
                samples.len(),
                self.columns.len()
            );
            self.trouble = Some(Found::Failed(what));
            return;
        };
        for (rounds, samples) in self.columns.iter_mut().zip(answered) {
            rounds.push(samples);
        }
    }

    /// None where it has no part in this row.
    pub(crate) fn line(&self, contenders: &Contenders, factor: f64) -> Option<Line> {
        self.line_of(0, "", contenders, factor)
    }

    /// Of one of the things that it answers, which are called so.
    pub(crate) fn line_of(
        &self,
        column: usize,
        what: &str,
        contenders: &Contenders,
        factor: f64,
    ) -> Option<Line> {
        let (label, role) = contenders.label(self.name);
        let found = match (&self.trouble, self.columns.get(column)?) {
            (Some(trouble), _) => trouble.clone(),
            (None, rounds) if rounds.count() == 0 => return None,
            (None, rounds) => Found::Measured(rounds.clone().scaled(factor)),
        };
        let words = [label, self.how, what];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        Some(Line::new(words.join(", "), role, found))
    }
}
