//! The shape of a play's spans in columns: who is below whom, when, and how it ended. What it takes to
//! draw all of a play, and to find a span in it, at about 50 bytes a span.
//!
//! A store fills it ([`super::Store::outline`]) some rows at a time and brings it up to date later; in
//! between it is not whole, and nobody else gets to see it. Pure; it never holds tags, errors or logs.

mod ids;

use std::collections::{BTreeMap, HashMap};

use protocol::{Cause, EpochMs, PlaySid, SpanKind, SpanStatus, play::PlayBrief};

use self::ids::Ids;
use super::Seq;

/// No span: of one without a parent in its play.
pub const NONE: u32 = u32::MAX;
/// The end of a span that is running.
pub const OPEN: i64 = i64::MIN;

/// What a span has besides, as bits.
pub mod flags {
    pub const LOGS: u8 = 1;
    pub const TAGS: u8 = 2;
    pub const ERROR: u8 = 4;
    pub const CHILD_PLAY: u8 = 8;
    pub const DURABLE: u8 = 16;
}

/// One span as the store has it.
#[derive(Clone, Copy, Debug)]
pub struct OutlineRow<'r> {
    pub ord: u64,
    pub span_id: &'r str,
    pub parent_id: &'r str,
    pub name: &'r str,
    pub kind: SpanKind,
    pub status: SpanStatus,
    pub start_ms: f64,
    pub end_ms: Option<f64>,
    pub has_tags: bool,
    pub has_error: bool,
    pub child_play: Option<&'r str>,
}

/// How far a store has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    #[default]
    New,
    /// Spans are read in start order; what changes after this number is read afterwards.
    Loading(Seq),
    /// All are there; what changed after this number is still to be read.
    Behind(Seq),
    /// Everything up to this number is in it.
    Current(Seq),
}

/// See the module. By ordinal, in start order.
#[derive(Debug, Default)]
pub struct Outline {
    pub progress: Progress,
    pub play: Option<PlayBrief>,
    /// How many spans the play had when its outline was begun.
    pub expected: u64,
    revision: u64,
    created: f64,
    ids: Ids,
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, u32>,
    spans: Columns,
    child_plays: BTreeMap<u32, PlaySid>,
    /// Spans whose parent was not there yet, with its id.
    strays: Vec<(u32, Box<str>)>,
    /// What is known of spans that were not there yet.
    early: Vec<(Box<str>, u8)>,
}

#[derive(Debug, Default)]
struct Columns {
    parent: Vec<u32>,
    name: Vec<u32>,
    kind: Vec<SpanKind>,
    status: Vec<SpanStatus>,
    flags: Vec<u8>,
    /// Microseconds since the play was created.
    start: Vec<i64>,
    end: Vec<i64>,
}

impl Outline {
    /// It is of this play, as it now stands; of its cause only what is short.
    pub fn of(&mut self, mut play: PlayBrief) {
        self.created(play.created_at);
        play.cause = play
            .cause
            .map(|cause| Cause::new(cause.kind, cause.message));
        self.play = Some(play);
    }

    /// Times are counted from the creation of the play.
    pub fn created(&mut self, at: EpochMs) {
        self.created = at.0;
    }

    /// Adds a span, or brings it up to date. Its id and its parent never change.
    ///
    /// A play of more spans than a `u32` counts has no outline; its further ones are left out.
    pub fn put(&mut self, row: &OutlineRow<'_>) {
        let Some(ord) = u32::try_from(row.ord).ok().filter(|ord| *ord < NONE) else {
            return;
        };
        let at = ord as usize;
        self.revision += 1;
        self.grow(at + 1);
        if self.ids.set(ord, row.span_id) {
            self.spans.parent[at] = self.parent(ord, row.parent_id);
        }
        let name = self.name(row.name);
        let start = self.micros(row.start_ms);
        let end = row.end_ms.map_or(OPEN, |end| self.micros(end).max(0));
        let spans = &mut self.spans;
        spans.name[at] = name;
        spans.kind[at] = row.kind;
        spans.status[at] = row.status;
        (spans.start[at], spans.end[at]) = (start, end);
        let such = [
            (flags::TAGS, row.has_tags),
            (flags::ERROR, row.has_error),
            (flags::CHILD_PLAY, row.child_play.is_some()),
            (flags::DURABLE, row.status == SpanStatus::Replayed),
        ];
        let such = such.iter().filter(|(_, such)| *such);
        let such = such.fold(0, |all, (flag, _)| all | flag);
        spans.flags[at] = such | (spans.flags[at] & (flags::LOGS | flags::DURABLE));
        if let Some(sid) = row.child_play {
            self.child_plays.insert(ord, sid.into());
        }
    }

    fn grow(&mut self, count: usize) {
        let spans = &mut self.spans;
        if spans.parent.len() < count {
            spans.parent.resize(count, NONE);
            spans.name.resize(count, 0);
            spans.kind.resize(count, SpanKind::Other);
            spans.status.resize(count, SpanStatus::Running);
            spans.flags.resize(count, 0);
            spans.start.resize(count, 0);
            spans.end.resize(count, OPEN);
        }
    }

    /// A parent starts before what is below it, so there is no circle.
    fn parent(&mut self, ord: u32, id: &str) -> u32 {
        // The root's parent, where it has one, is a span of another play.
        if id.is_empty() || id.contains('/') {
            return NONE;
        }
        match self.ids.find(id) {
            Some(parent) if parent < ord => parent,
            Some(_) => NONE,
            None => {
                self.strays.push((ord, id.into()));
                NONE
            }
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        // Each is of a span, so there are no more than those.
        let next = u32::try_from(self.names.len()).unwrap_or(NONE);
        self.names.push(name.into());
        self.by_name.insert(name.into(), next);
        next
    }

    /// Microseconds from the creation of the play to this time.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a time that far away saturates"
    )]
    #[must_use]
    pub fn micros(&self, ms: f64) -> i64 {
        ((ms - self.created) * 1_000.0).round() as i64
    }

    /// This span has one of [`flags`].
    pub fn flag(&mut self, span_id: &str, flag: u8) {
        // What was written before the first span is the root's.
        let ord = if span_id.is_empty() {
            (!self.is_empty()).then_some(0)
        } else {
            self.ids.find(span_id)
        };
        match ord {
            Some(ord) => self.spans.flags[ord as usize] |= flag,
            None => self.early.push((span_id.into(), flag)),
        }
    }

    /// All rows are there: what came before the span that it is about finds it now, or never.
    pub fn settle(&mut self) {
        for (id, flag) in std::mem::take(&mut self.early) {
            self.flag(&id, flag);
        }
        self.early.clear();
        for (ord, id) in std::mem::take(&mut self.strays) {
            self.revision += 1;
            if let Some(parent) = self.ids.find(&id).filter(|parent| *parent < ord) {
                self.spans.parent[ord as usize] = parent;
            }
        }
    }
}

/// Reading.
impl Outline {
    /// How many spans there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.parent.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything up to this change is in it.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self.progress {
            Progress::New => 0,
            Progress::Loading(seq) | Progress::Behind(seq) | Progress::Current(seq) => seq,
        }
    }

    /// Rises with each span that is new or has changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    #[must_use]
    pub fn id(&self, ord: u32) -> &str {
        self.ids.get(ord)
    }

    /// The span of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u32> {
        self.ids.find(id)
    }

    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    #[must_use]
    pub fn name_of(&self, ord: u32) -> &str {
        let name = self.spans.name[ord as usize];
        self.names.get(name as usize).map_or("", |name| name)
    }

    /// The index of each span's name.
    #[must_use]
    pub fn name_numbers(&self) -> &[u32] {
        &self.spans.name
    }

    /// Of each span the ordinal of its parent, which is smaller, or [`NONE`].
    #[must_use]
    pub fn parents(&self) -> &[u32] {
        &self.spans.parent
    }

    #[must_use]
    pub fn kinds(&self) -> &[SpanKind] {
        &self.spans.kind
    }

    #[must_use]
    pub fn statuses(&self) -> &[SpanStatus] {
        &self.spans.status
    }

    #[must_use]
    pub fn flags(&self) -> &[u8] {
        &self.spans.flags
    }

    /// Microseconds since the play was created.
    #[must_use]
    pub fn starts(&self) -> &[i64] {
        &self.spans.start
    }

    /// As [`Self::starts`]; [`OPEN`] while it is running.
    #[must_use]
    pub fn ends(&self) -> &[i64] {
        &self.spans.end
    }

    #[must_use]
    pub fn child_plays(&self) -> &BTreeMap<u32, PlaySid> {
        &self.child_plays
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| 2 * name.len() + 64).sum();
        self.spans.parent.capacity() * 27 + self.ids.bytes() + names + self.child_plays.len() * 96
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'r>(ord: u64, id: &'r str, parent: &'r str) -> OutlineRow<'r> {
        OutlineRow {
            ord,
            span_id: id,
            parent_id: parent,
            name: "step",
            kind: SpanKind::Step,
            status: SpanStatus::Running,
            start_ms: 1_000.25,
            end_ms: None,
            has_tags: false,
            has_error: false,
            child_play: None,
        }
    }

    #[test]
    fn a_parent_may_come_after_its_child_but_not_start_after_it() {
        let mut outline = Outline::default();
        for (ord, id, parent) in [(2, "1.3", "1.2"), (0, "1.1", "p/9.9"), (1, "1.2", "1.1")] {
            outline.put(&row(ord, id, parent));
        }
        outline.put(&row(3, "1.4", "1.5"));
        outline.put(&row(4, "1.5", "nobody"));
        outline.settle();
        assert_eq!(outline.parents(), [NONE, 0, 1, NONE, NONE]);
        assert_eq!(outline.find("1.3"), Some(2));
        assert_eq!((outline.id(2), outline.find("1.9")), ("1.3", None));
    }

    #[test]
    fn a_change_keeps_what_only_others_know() {
        let mut outline = Outline::default();
        outline.created(EpochMs(1_000.0));
        outline.put(&row(0, "1.1", ""));
        outline.flag("", flags::LOGS);
        outline.flag("1.1", flags::DURABLE);
        outline.put(&OutlineRow {
            name: "other",
            status: SpanStatus::Failed,
            end_ms: Some(1_001.5),
            has_error: true,
            child_play: Some("p"),
            ..row(0, "1.1", "")
        });
        let all = flags::LOGS | flags::DURABLE | flags::ERROR | flags::CHILD_PLAY;
        assert_eq!(outline.flags(), [all]);
        assert_eq!(
            (outline.starts(), outline.ends()),
            (&[250][..], &[1_500][..])
        );
        assert_eq!((outline.name_of(0), outline.len()), ("other", 1));
        assert_eq!(outline.child_plays()[&0].as_str(), "p");
    }
}
