//! How the processes of plays were started, as their records say.

use std::collections::BTreeMap;

use crate::{client::Ended, report::Line};

#[derive(Debug, Default)]
pub(crate) struct StartedAs(BTreeMap<String, usize>);

impl StartedAs {
    pub(crate) fn note(&mut self, ended: &Ended) {
        let how = ended.start().unwrap_or("not told").to_owned();
        *self.0.entry(how).or_default() += 1;
    }

    /// The line with what was noted, if anything was.
    pub(crate) fn tell(&self, line: Line) -> Line {
        if self.0.is_empty() {
            return line;
        }
        let told = self.0.iter().map(|(how, count)| format!("{how} {count}"));
        let told = told.collect::<Vec<_>>().join(", ");
        line.remark(format!("how the processes were started: {told}"))
    }
}
