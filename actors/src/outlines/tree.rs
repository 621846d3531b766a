//! The tree of an outline, for questions about whole branches: who is below a span, in one stretch, and how
//! many of them failed. Pure; it is made anew when the outline has changed, in one way through all spans.

use protocol::SpanStatus;

use crate::store::{
    Outline,
    outline::{NONE, OPEN},
};

/// A span as sums of branches need it.
#[derive(Clone, Copy, Debug)]
pub struct Below {
    /// Microseconds since the play was created.
    pub start: i64,
    /// [`OPEN`] while it is running.
    pub end: i64,
    pub status: SpanStatus,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tree {
    /// Of which [`Outline::revision`] it is.
    revision: u64,
    /// Where the children of each span begin in `list`; those without a parent are behind all others.
    begin: Vec<u32>,
    /// Children, parent after parent, each one's in start order.
    list: Vec<u32>,
    descendants: Vec<u32>,
    /// How many of the descendants failed or timed out.
    failed: Vec<u32>,
    /// Where each span is in `depth_first`.
    place: Vec<u32>,
    /// A span is followed by all that is below it.
    depth_first: Vec<Below>,
}

impl Tree {
    /// Makes it the tree of this outline, unless it is.
    pub fn follow(&mut self, outline: &Outline) {
        if self.revision != outline.revision() || self.place.len() != outline.len() {
            *self = Self::of(outline);
        }
    }

    fn of(outline: &Outline) -> Self {
        let count = outline.len();
        let parents = outline.parents();
        let slot = |parent: u32| {
            if parent == NONE {
                count
            } else {
                parent as usize
            }
        };
        let mut begin = vec![0_u32; count + 2];
        for parent in parents {
            begin[slot(*parent) + 1] += 1;
        }
        for at in 1..begin.len() {
            begin[at] += begin[at - 1];
        }
        let mut next = begin.clone();
        let mut list = vec![0_u32; count];
        for (ord, parent) in (0..).zip(parents) {
            let place = &mut next[slot(*parent)];
            list[*place as usize] = ord;
            *place += 1;
        }
        // A parent stands before its children: from behind, all that is below a span comes before it.
        let (mut descendants, mut failed) = (vec![0_u32; count], vec![0_u32; count]);
        for at in (0..count).rev() {
            let parent = parents[at];
            if parent != NONE {
                let parent = parent as usize;
                descendants[parent] += descendants[at] + 1;
                failed[parent] += failed[at] + u32::from(is_failed(outline.statuses()[at]));
            }
        }
        // From the front, the place of a parent is known before those of its children.
        let mut place = vec![0_u32; count];
        let mut free = vec![0_u32; count + 1];
        for at in 0..count {
            let above = slot(parents[at]);
            place[at] = free[above];
            free[above] += descendants[at] + 1;
            free[at] = place[at] + 1;
        }
        let none = Below {
            start: 0,
            end: OPEN,
            status: SpanStatus::Ok,
        };
        let mut depth_first = vec![none; count];
        for at in 0..count {
            depth_first[place[at] as usize] = Below {
                start: outline.starts()[at],
                end: outline.ends()[at],
                status: outline.statuses()[at],
            };
        }
        Self {
            revision: outline.revision(),
            begin,
            list,
            descendants,
            failed,
            place,
            depth_first,
        }
    }

    /// Spans without a parent in the play, in start order: the root.
    #[must_use]
    pub fn roots(&self) -> &[u32] {
        self.children_at(self.place.len())
    }

    /// In start order.
    #[must_use]
    pub fn children(&self, ord: u32) -> &[u32] {
        self.children_at(ord as usize)
    }

    fn children_at(&self, at: usize) -> &[u32] {
        match (self.begin.get(at), self.begin.get(at + 1)) {
            (Some(begin), Some(end)) => &self.list[*begin as usize..*end as usize],
            _ => &[],
        }
    }

    #[must_use]
    pub fn descendants(&self, ord: u32) -> u32 {
        self.descendants[ord as usize]
    }

    #[must_use]
    pub fn failed(&self, ord: u32) -> u32 {
        self.failed[ord as usize]
    }

    /// All below a span.
    #[must_use]
    pub fn below(&self, ord: u32) -> &[Below] {
        let begin = self.place[ord as usize] as usize + 1;
        &self.depth_first[begin..begin + self.descendants[ord as usize] as usize]
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.place.len() * (20 + size_of::<Below>())
    }
}

/// Whether a span counts as failed in sums.
fn is_failed(status: SpanStatus) -> bool {
    matches!(status, SpanStatus::Failed | SpanStatus::TimedOut)
}
