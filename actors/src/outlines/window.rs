//! A window of a play's tree: the rows that are seen where only some spans are opened, and for each that is
//! closed a sum of what is below it over the time that is seen. Pure.
//!
//! What it takes grows with the rows asked for, the spans below them and the opened ones; not with the spans
//! of the play.

use protocol::{
    SpanStatus,
    reading::{Bucket, PlayWindow, Reveal, Revealed, Toward, WindowRow},
};

use super::tree::{Below, Tree};
use crate::store::{
    Outline,
    outline::{NONE, OPEN},
};

/// The rows of a window, and how many rows there are in all.
#[derive(Debug, Default)]
pub struct Rows {
    pub total: u64,
    pub rows: Vec<WindowRow>,
    pub revealed: Option<Revealed>,
}

/// The rows that a window asks for. `now`: microseconds since the play was created, up to which what is
/// running has lasted.
#[must_use]
pub fn rows(outline: &Outline, tree: &Tree, wanted: &PlayWindow, now: i64) -> Rows {
    let reveal = wanted.reveal.as_ref();
    let shown = reveal.and_then(|reveal| named(outline, tree, reveal));
    let above: Vec<u32> = shown.map_or_else(Vec::new, |ord| ancestors(outline, ord));
    let open = Opened::new(outline, tree, wanted, &above);
    let mut sums = Sums::new(wanted, now);
    let mut visit = Visit {
        tree,
        open: &open,
        first: wanted.first_row,
        end: wanted.first_row.saturating_add(wanted.rows.into()),
        row: 0,
        seen: Vec::new(),
    };
    visit.all();
    let rows = visit.seen.iter().map(|(ord, depth)| {
        let at = *ord as usize;
        let children = tree.children(*ord).len();
        let is_closed = children > 0 && !open.has(*ord);
        WindowRow {
            span_id: outline.id(*ord).into(),
            depth: *depth,
            name: outline.name_of(*ord).to_owned(),
            status: outline.statuses()[at],
            kind: outline.kinds()[at],
            start: millis(outline.starts()[at]),
            end: match outline.ends()[at] {
                OPEN => -1.0,
                end => millis(end),
            },
            flags: outline.flags()[at],
            children: children as u64,
            descendants: tree.descendants(*ord).into(),
            failed: tree.failed(*ord).into(),
            buckets: is_closed.then(|| sums.of(tree.below(*ord))),
        }
    });
    let rows = rows.collect();
    let id = |ord: &u32| outline.id(*ord).into();
    Rows {
        total: visit.row,
        rows,
        revealed: shown.map(|ord| Revealed {
            span_id: id(&ord),
            row: open.row_of(outline, tree, ord),
            open: above.iter().map(id).collect(),
        }),
    }
}

/// The span that is to be seen.
fn named(outline: &Outline, tree: &Tree, reveal: &Reveal) -> Option<u32> {
    let span = match &reveal.span_id {
        Some(id) => Some(outline.find(id.as_str())?),
        None => None,
    };
    let Some(toward) = reveal.failure else {
        return span;
    };
    let count = u32::try_from(outline.len()).unwrap_or(u32::MAX);
    let began = |ord: &u32| {
        let status = outline.statuses()[*ord as usize];
        matches!(status, SpanStatus::Failed | SpanStatus::TimedOut) && tree.failed(*ord) == 0
    };
    match toward {
        Toward::Next => (span.map_or(0, |ord| ord + 1)..count).find(began),
        Toward::Previous => (0..span.unwrap_or(count)).rev().find(began),
    }
}

/// Those above a span, from the root on.
fn ancestors(outline: &Outline, ord: u32) -> Vec<u32> {
    let parent = |ord: &u32| Some(outline.parents()[*ord as usize]).filter(|above| *above != NONE);
    let mut above: Vec<u32> = std::iter::successors(parent(&ord), parent).collect();
    above.reverse();
    above
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a play are exact in a float"
)]
fn millis(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// The spans that are open and have children.
struct Opened {
    /// In start order.
    spans: Vec<u32>,
    /// Of each, how many rows are below it.
    rows: Vec<u64>,
    /// Each behind its parent, by parents.
    by_parent: Vec<(u32, u32)>,
}

impl Opened {
    fn new(outline: &Outline, tree: &Tree, wanted: &PlayWindow, also: &[u32]) -> Self {
        let named = wanted
            .open
            .iter()
            .filter_map(|id| outline.find(id.as_str()));
        let mut spans: Vec<u32> = named
            .chain(also.iter().copied())
            .filter(|ord| !tree.children(*ord).is_empty())
            .collect();
        spans.sort_unstable();
        spans.dedup();
        let children = |ord: &u32| tree.children(*ord).len() as u64;
        let mut rows: Vec<u64> = spans.iter().map(children).collect();
        let parent = |ord: u32| outline.parents()[ord as usize];
        // Parents stand before their children. What is open below a closed one adds rows to nobody who is seen.
        for at in (0..spans.len()).rev() {
            if let Ok(above) = spans.binary_search(&parent(spans[at])) {
                rows[above] += rows[at];
            }
        }
        let mut by_parent: Vec<_> = spans.iter().map(|ord| (parent(*ord), *ord)).collect();
        by_parent.sort_unstable();
        Self {
            spans,
            rows,
            by_parent,
        }
    }

    fn has(&self, ord: u32) -> bool {
        self.spans.binary_search(&ord).is_ok()
    }

    /// How many rows are below it.
    fn rows(&self, ord: u32) -> u64 {
        self.spans.binary_search(&ord).map_or(0, |at| self.rows[at])
    }

    /// The row of a span above which everything is open.
    fn row_of(&self, outline: &Outline, tree: &Tree, ord: u32) -> u64 {
        let (mut row, mut at) = (0, ord);
        loop {
            let parent = outline.parents()[at as usize];
            let siblings = match parent {
                NONE => tree.roots(),
                parent => tree.children(parent),
            };
            row += siblings.partition_point(|sibling| *sibling < at) as u64;
            let before = self.children_of(parent).iter().map(|(_, open)| *open);
            let before = before.take_while(|open| *open < at);
            row += before.map(|open| self.rows(open)).sum::<u64>();
            if parent == NONE {
                return row;
            }
            (row, at) = (row + 1, parent);
        }
    }

    /// The open ones among the children of a span.
    fn children_of(&self, parent: u32) -> &[(u32, u32)] {
        let begin = self.by_parent.partition_point(|(above, _)| *above < parent);
        let end = self
            .by_parent
            .partition_point(|(above, _)| *above <= parent);
        &self.by_parent[begin..end]
    }
}

/// Goes through the rows, and keeps those of the window.
struct Visit<'t> {
    tree: &'t Tree,
    open: &'t Opened,
    first: u64,
    end: u64,
    /// The next one.
    row: u64,
    /// With their depths.
    seen: Vec<(u32, u32)>,
}

/// Siblings that are still to come, and those of them that are open.
struct Level<'t> {
    siblings: &'t [u32],
    opened: &'t [(u32, u32)],
}

impl<'t> Visit<'t> {
    /// Without recursion: a play can be nested as deep as it likes.
    fn all(&mut self) {
        let mut levels = vec![Level {
            siblings: self.tree.roots(),
            opened: self.open.children_of(NONE),
        }];
        while let Some(level) = levels.last_mut() {
            let Some(((_, ord), further)) = level.opened.split_first() else {
                let rest = level.siblings;
                self.pass(rest, levels.len());
                levels.pop();
                continue;
            };
            // An open one is among its siblings.
            let through = level.siblings.partition_point(|sibling| sibling <= ord);
            let (passed, rest) = level.siblings.split_at(through);
            (level.siblings, level.opened) = (rest, further);
            self.pass(passed, levels.len());
            let below = self.open.rows(*ord);
            if self.row + below <= self.first || self.row >= self.end {
                // Nothing of it is seen.
                self.row += below;
            } else {
                levels.push(Level {
                    siblings: self.tree.children(*ord),
                    opened: self.open.children_of(*ord),
                });
            }
        }
    }

    fn pass(&mut self, siblings: &[u32], depth: usize) {
        let count = siblings.len() as u64;
        let from = self.first.saturating_sub(self.row).min(count);
        let to = self.end.saturating_sub(self.row).min(count);
        let depth = u32::try_from(depth - 1).unwrap_or(u32::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "both are at most the length"
        )]
        if let Some(seen) = siblings.get(from as usize..to as usize) {
            self.seen.extend(seen.iter().map(|ord| (*ord, depth)));
        }
        self.row += count;
    }
}

/// From the best to the worst, as a column shows it.
const RANKED: [SpanStatus; 6] = [
    SpanStatus::Replayed,
    SpanStatus::Ok,
    SpanStatus::Cancelled,
    SpanStatus::Running,
    SpanStatus::TimedOut,
    SpanStatus::Failed,
];

fn rank(status: SpanStatus) -> usize {
    match status {
        SpanStatus::Replayed => 0,
        SpanStatus::Ok => 1,
        SpanStatus::Cancelled => 2,
        SpanStatus::Running => 3,
        SpanStatus::TimedOut => 4,
        SpanStatus::Failed => 5,
    }
}

/// Sums spans up by columns of the time that is seen. A span costs the same, however many columns it covers:
/// only where it begins and ends is noted, and summed up at the end.
struct Sums {
    /// Microseconds.
    from: f64,
    /// Columns in a microsecond.
    scale: f64,
    columns: usize,
    now: i64,
    /// By column, then rank: how many more spans there are than in the column before.
    steps: Vec<[i32; 6]>,
    /// By column: as `steps`, of spans that fill it.
    full: Vec<i32>,
    /// By column: which part of it is filled by spans that begin or end in it.
    parts: Vec<f64>,
}

impl Sums {
    fn new(wanted: &PlayWindow, now: i64) -> Self {
        let columns = wanted.pixels as usize;
        let micros = (wanted.to_ms - wanted.from_ms) * 1_000.0;
        Self {
            from: wanted.from_ms * 1_000.0,
            scale: f64::from(wanted.pixels) / micros,
            columns,
            now,
            steps: vec![[0; 6]; columns + 1],
            full: vec![0; columns + 1],
            parts: vec![0.0; columns + 1],
        }
    }

    fn of(&mut self, spans: &[Below]) -> Vec<Bucket> {
        self.steps.fill([0; 6]);
        self.full.fill(0);
        self.parts.fill(0.0);
        for span in spans {
            self.add(span);
        }
        let (mut there, mut full) = ([0; 6], 0);
        let columns = self.steps.iter().zip(&self.full).zip(&self.parts);
        let buckets = columns.take(self.columns).map(|((steps, fill), part)| {
            for (there, step) in there.iter_mut().zip(steps) {
                *there += step;
            }
            full += fill;
            let worst = there.iter().rposition(|count| *count > 0);
            Bucket {
                status: worst.map(|rank| RANKED[rank]),
                // A span of no length is seen, too.
                coverage: match worst {
                    Some(_) => ((f64::from(full) + part).clamp(0.01, 1.0) * 100.0).round() / 100.0,
                    None => 0.0,
                },
            }
        });
        buckets.collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "both are within the columns by then"
    )]
    fn add(&mut self, span: &Below) {
        let end = match span.end {
            OPEN => self.now.max(span.start),
            end => end,
        };
        let begin = (span.start as f64 - self.from) * self.scale;
        let end = (end as f64 - self.from) * self.scale;
        let columns = self.columns as f64;
        // What ends where the window begins is not in it, unless it begins there too.
        let before = end < 0.0 || (end <= 0.0 && begin < 0.0);
        if before || begin >= columns || end < begin {
            return;
        }
        let (begin, end) = (begin.max(0.0), end.min(columns));
        let first = begin as usize;
        // What ends where a column begins does not touch that one.
        let last = (end.ceil() as usize).max(first + 1) - 1;
        let rank = rank(span.status);
        self.steps[first][rank] += 1;
        self.steps[last + 1][rank] -= 1;
        if first == last {
            self.parts[first] += end - begin;
        } else {
            self.parts[first] += (first + 1) as f64 - begin;
            self.parts[last] += end - last as f64;
            self.full[first + 1] += 1;
            self.full[last] -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
