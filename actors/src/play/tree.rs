//! The live span tree of a play: the open spans, and which ids were ever seen.
//!
//! Pure: no actix, no tokio; the time is an argument. A closed span leaves memory; its row is in the
//! store. It stays a tree by construction: a span's parent must have been seen before the span
//! itself, and whatever names another parent hangs under the root.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use protocol::{
    EpochMs, LastSpan, PlaySid, Span, SpanId, SpanKind, SpanStatus, Tags,
    event::{SpanEnd, SpanStart},
};
use serde_json::{Map, Value};

use super::seen::{Inserted, Seen};

/// What the open spans of one play may take, bytes of text.
pub const OPEN_BYTES: usize = 64 << 20;
/// The longest span id, bytes.
pub const MAX_ID: usize = 256;

/// A span that has ended, ready for the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub ord: u64,
    pub span: Arc<Span>,
    /// What was [noted](Tree::note) with it.
    pub note: Option<usize>,
}

/// Why an event changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    Duplicate,
    UnknownSpan,
    OverLimit,
}

#[derive(Debug)]
struct Open {
    span: Arc<Span>,
    /// The tags, taken apart, where some were added that are not in `span` yet.
    tags: Option<Map<String, Value>>,
    /// What it takes without its tags, and these.
    bytes: usize,
    tag_bytes: usize,
    note: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub struct Tree {
    /// The calling span of another play, `{play_sid}/{span_id}`, or `""`.
    outer_parent: String,
    /// In start order.
    open: BTreeMap<u64, Open>,
    /// Which of them has an id.
    ords: HashMap<SpanId, u64>,
    seen: Seen,
    root: Option<SpanId>,
    next_ord: u64,
    last: Option<Arc<Span>>,
    /// The parent of the span that ended last, where that one did not end well: if it ends so too, the
    /// inner one stays the place to look at.
    unwinding: Option<String>,
    bytes: usize,
}

impl Tree {
    /// An empty tree. `next_ord` is the number of spans that the play has from earlier attempts.
    #[must_use]
    pub fn new(outer_parent: &str, next_ord: u64) -> Self {
        Self {
            outer_parent: outer_parent.to_owned(),
            open: BTreeMap::new(),
            ords: HashMap::new(),
            seen: Seen::default(),
            root: None,
            next_ord,
            last: None,
            unwinding: None,
            bytes: 0,
        }
    }

    /// The play's root span, once it started.
    #[must_use]
    pub fn root(&self) -> Option<&SpanId> {
        self.root.as_ref()
    }

    /// How many spans are open.
    #[must_use]
    pub fn open_spans(&self) -> usize {
        self.open.len()
    }

    /// How many spans ever started.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.next_ord
    }

    /// How much is kept to know which ones did: intervals and fingerprints.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.seen.size()
    }

    /// Whether this span ever started.
    #[must_use]
    pub fn knows(&self, id: &SpanId) -> bool {
        self.seen.contains(id.as_str())
    }

    /// The span that is open and started last; where none is open, none.
    #[must_use]
    pub fn newest_open(&self) -> Option<&SpanId> {
        let (_, open) = self.open.last_key_value()?;
        Some(&open.span.span_id)
    }

    /// The open span with this number, as it now stands.
    pub fn open_span(&mut self, ord: u64) -> Option<&Arc<Span>> {
        let open = self.open.get_mut(&ord)?;
        open.write_tags();
        Some(&open.span)
    }

    /// Notes something with an open span; what was noted before.
    pub fn note(&mut self, ord: u64, note: Option<usize>) -> Option<usize> {
        std::mem::replace(&mut self.open.get_mut(&ord)?.note, note)
    }

    /// Where the play was last: the newest open span, else the one that ended last. Where a failure
    /// went up from span to span, that is the one where it began.
    #[must_use]
    pub fn last_span(&self) -> Option<LastSpan> {
        self.newest().map(|span| last_of(span))
    }

    fn newest(&self) -> Option<&Arc<Span>> {
        let open = self.open.last_key_value().map(|(_, open)| &open.span);
        open.or(self.last.as_ref())
    }

    /// A span starts; its number.
    ///
    /// # Errors
    /// [`Skip`] where its id was seen, or a bound is reached.
    pub fn start(&mut self, start: SpanStart, now: EpochMs) -> Result<u64, Skip> {
        let (bytes, tag_bytes) = (cost(&start), text_cost(&start.tags));
        if start.span_id.as_str().len() > MAX_ID
            || start.span_id.as_str().is_empty()
            || self.bytes + bytes + tag_bytes > OPEN_BYTES
        {
            return Err(Skip::OverLimit);
        }
        // Looked at before the span itself is seen: nothing is its own parent.
        let within = self.root.is_some() && self.seen.contains(&start.parent_id);
        match self.seen.insert(start.span_id.as_str()) {
            Inserted::New => {}
            Inserted::Known => return Err(Skip::Duplicate),
            Inserted::Full => return Err(Skip::OverLimit),
        }
        let parent_id = match &self.root {
            None => self.outer_parent.clone(),
            Some(_) if within => start.parent_id,
            Some(root) => root.to_string(),
        };
        let (rpc_service, rpc_method) = rpc_parts(start.kind, &start.name);
        let span = Arc::new(Span {
            span_id: start.span_id.clone(),
            parent_id,
            name: start.name,
            kind: start.kind,
            status: SpanStatus::Running,
            start_ms: start.start_ms.map_or(now, |t| t.sane_or(now)),
            end_ms: None,
            tags: start.tags,
            error: None,
            source_file: start.source_file,
            source_line: start.source_line,
            rpc_service,
            rpc_method,
            child_play_sid: None,
        });
        let ord = self.next_ord;
        self.next_ord += 1;
        self.bytes += bytes + tag_bytes;
        self.root.get_or_insert_with(|| start.span_id.clone());
        self.ords.insert(start.span_id, ord);
        let open = Open {
            span,
            tags: None,
            bytes,
            tag_bytes,
            note: None,
        };
        self.open.insert(ord, open);
        Ok(ord)
    }

    /// Tags are merged into an open span; its number.
    ///
    /// # Errors
    /// [`Skip`] where the span is not open.
    pub fn tag(&mut self, id: &SpanId, tags: &Tags) -> Result<u64, Skip> {
        let taken = self.bytes;
        let (ord, open) = self.open_mut(id)?;
        let others = taken - open.tag_bytes;
        let before = match open.tags.take() {
            Some(before) => before,
            None => {
                let before = open.span.tags.to_map();
                open.tag_bytes = tags_cost(&before);
                before
            }
        };
        let before = open.tags.insert(before);
        let tags = tags.to_map();
        // What is written over makes room for itself.
        let over = tags.keys().filter_map(|key| Some((key, before.get(key)?)));
        let removed: usize = over.map(|(key, value)| tag_cost(key, value)).sum();
        let bytes = open.tag_bytes + tags_cost(&tags) - removed;
        let fits = others + bytes <= OPEN_BYTES || bytes <= open.tag_bytes;
        if fits {
            open.tag_bytes = bytes;
            before.extend(tags);
        }
        self.bytes = others + open.tag_bytes;
        if fits { Ok(ord) } else { Err(Skip::OverLimit) }
    }

    /// A span is linked to the play that it started; its number.
    ///
    /// # Errors
    /// [`Skip`] where the span is not open.
    pub fn link(&mut self, id: &SpanId, child: PlaySid) -> Result<u64, Skip> {
        let (ord, open) = self.open_mut(id)?;
        Arc::make_mut(&mut open.span).child_play_sid = Some(child);
        Ok(ord)
    }

    /// A span ends and leaves memory.
    ///
    /// # Errors
    /// [`Skip`] where the span is not open.
    pub fn end(&mut self, end: SpanEnd, now: EpochMs) -> Result<Ended, Skip> {
        let removed = self.ords.remove(&end.span_id);
        let removed = removed.and_then(|ord| Some((ord, self.open.remove(&ord)?)));
        let Some((ord, mut open)) = removed else {
            return Err(self.not_open(&end.span_id));
        };
        self.bytes -= open.bytes + open.tag_bytes;
        if !end.tags.is_empty() {
            let before = open.tags.take();
            let mut tags = before.unwrap_or_else(|| open.span.tags.to_map());
            tags.extend(end.tags.to_map());
            open.tags = Some(tags);
        }
        open.write_tags();
        let span = Arc::make_mut(&mut open.span);
        span.status = end.status;
        span.error = end.error;
        span.end_ms = Some(
            end.end_ms
                .map_or(now, |t| t.sane_or(now))
                .max(span.start_ms),
        );
        let well = matches!(open.span.status, SpanStatus::Ok | SpanStatus::Replayed);
        let passed_up = !well && self.unwinding.as_deref() == Some(open.span.span_id.as_str());
        if !passed_up {
            self.last = Some(open.span.clone());
        }
        self.unwinding = (!well).then(|| open.span.parent_id.clone());
        Ok(Ended {
            ord,
            span: open.span,
            note: open.note,
        })
    }

    /// Ends everything that is open, the newest first, with the outcome of the play.
    pub fn end_all(&mut self, status: SpanStatus, error: Option<&str>, now: EpochMs) -> Vec<Ended> {
        self.end_others(&HashSet::new(), status, error, now)
    }

    /// As [`Self::end_all`], but for these.
    pub fn end_others(
        &mut self,
        but: &HashSet<SpanId>,
        status: SpanStatus,
        error: Option<&str>,
        now: EpochMs,
    ) -> Vec<Ended> {
        let newest_first = self.open.values().rev();
        let ids: Vec<_> = newest_first
            .map(|open| open.span.span_id.clone())
            .filter(|id| !but.contains(id))
            .collect();
        let last = self.newest().cloned();
        let ended = ids
            .into_iter()
            .filter_map(|span_id| {
                let end = SpanEnd {
                    span_id,
                    end_ms: Some(now),
                    status,
                    error: error.map(str::to_owned),
                    tags: Tags::default(),
                    exception: None,
                };
                self.end(end, now).ok()
            })
            .collect();
        self.last = last;
        ended
    }

    fn open_mut(&mut self, id: &SpanId) -> Result<(u64, &mut Open), Skip> {
        let Some(ord) = self.ords.get(id).copied() else {
            return Err(self.not_open(id));
        };
        let open = self.open.get_mut(&ord);
        open.map(|open| (ord, open)).ok_or(Skip::UnknownSpan)
    }

    fn not_open(&self, id: &SpanId) -> Skip {
        if self.knows(id) {
            Skip::Duplicate
        } else {
            Skip::UnknownSpan
        }
    }
}

impl Open {
    fn write_tags(&mut self) {
        if let Some(tags) = self.tags.take() {
            Arc::make_mut(&mut self.span).tags = tags.into();
        }
    }
}

fn last_of(span: &Span) -> LastSpan {
    LastSpan {
        span_id: span.span_id.clone(),
        name: span.name.clone(),
        source_file: span.source_file.clone(),
        source_line: span.source_line,
    }
}

/// `rpc:{service}.{method}` -> its parts.
fn rpc_parts(kind: SpanKind, name: &str) -> (Option<String>, Option<String>) {
    let parts = (kind == SpanKind::Rpc)
        .then(|| name.strip_prefix("rpc:")?.rsplit_once('.'))
        .flatten();
    match parts {
        Some((service, method)) => (Some(service.to_owned()), Some(method.to_owned())),
        None => (None, None),
    }
}

fn cost(start: &SpanStart) -> usize {
    let file = start.source_file.as_ref().map_or(0, String::len);
    256 + start.name.len() + start.parent_id.len() + file
}

fn text_cost(tags: &Tags) -> usize {
    if tags.is_empty() {
        0
    } else {
        tags.as_str().len()
    }
}

fn tags_cost(tags: &Map<String, Value>) -> usize {
    tags.iter().map(|(key, value)| tag_cost(key, value)).sum()
}

fn tag_cost(key: &str, value: &Value) -> usize {
    64 + key.len() + value_cost(value)
}

fn value_cost(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 32 + value_cost(item)).sum(),
        Value::Object(map) => tags_cost(map),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn start(id: &str, parent: &str) -> SpanStart {
        SpanStart {
            span_id: id.into(),
            name: format!("span {id}"),
            parent_id: parent.to_owned(),
            start_ms: Some(EpochMs(10.0)),
            kind: SpanKind::Step,
            tags: Tags::default(),
            source_file: None,
            source_line: None,
            step: None,
        }
    }

    fn end(id: &str, at: f64) -> SpanEnd {
        SpanEnd {
            span_id: id.into(),
            end_ms: Some(EpochMs(at)),
            status: SpanStatus::Ok,
            error: None,
            tags: Tags::default(),
            exception: None,
        }
    }

    const NOW: EpochMs = EpochMs(1_000.0);

    /// Starts a span; its row.
    fn started(tree: &mut Tree, start: SpanStart) -> Span {
        let ord = tree.start(start, NOW).unwrap();
        Span::clone(tree.open_span(ord).unwrap())
    }

    fn parent_of(tree: &mut Tree, id: &str, parent: &str) -> String {
        started(tree, start(id, parent)).parent_id
    }

    #[test]
    fn the_root_hangs_under_the_calling_span() {
        let mut tree = Tree::new("play/1.7", 0);
        assert_eq!(parent_of(&mut tree, "1.1", "anything"), "play/1.7");
        assert_eq!(parent_of(&mut tree, "1.2", ""), "1.1", "a further root");
        assert_eq!(parent_of(&mut tree, "1.3", "never seen"), "1.1");
        assert_eq!(parent_of(&mut tree, "1.4", "1.4"), "1.1", "its own parent");
        assert_eq!(parent_of(&mut tree, "1.5", "1.2"), "1.2");
    }

    #[test]
    fn a_closed_span_can_still_be_a_parent_and_leaves_memory() {
        let mut tree = Tree::new("", 0);
        tree.start(start("1.1", ""), NOW).unwrap();
        tree.end(end("1.1", 20.0), NOW).unwrap();
        assert_eq!(tree.open_spans(), 0);
        assert_eq!(parent_of(&mut tree, "1.2", "1.1"), "1.1");
        assert_eq!(tree.end(end("1.1", 20.0), NOW), Err(Skip::Duplicate));
        assert_eq!(tree.end(end("1.9", 20.0), NOW), Err(Skip::UnknownSpan));
    }

    #[test]
    fn times_are_made_sane() {
        let mut tree = Tree::new("", 0);
        let odd = SpanStart {
            start_ms: Some(EpochMs(f64::MAX)),
            ..start("1.1", "")
        };
        assert_eq!(started(&mut tree, odd).start_ms, NOW);
        let ended = tree.end(end("1.1", 5.0), NOW).unwrap();
        assert_eq!(ended.span.end_ms, Some(NOW), "never before its start");
    }

    #[test]
    fn rpc_spans_tell_service_and_method() {
        let mut tree = Tree::new("", 0);
        let rpc = SpanStart {
            kind: SpanKind::Rpc,
            name: "rpc:Api.v2.get".into(),
            ..start("1.1", "")
        };
        let span = started(&mut tree, rpc);
        assert_eq!(
            (span.rpc_service.as_deref(), span.rpc_method.as_deref()),
            (Some("Api.v2"), Some("get"))
        );
    }

    #[test]
    fn open_spans_are_bounded_by_their_text() {
        let mut tree = Tree::new("", 0);
        let big = |n: u32| SpanStart {
            name: "x".repeat(1 << 20),
            ..start(&format!("1.{n}"), "")
        };
        let started = (1..200)
            .filter(|n| tree.start(big(*n), NOW).is_ok())
            .count();
        assert_eq!(started, 63);
        tree.end(end("1.1", 1.0), NOW).unwrap();
        assert!(tree.start(big(500), NOW).is_ok(), "an end makes room");
    }

    #[test]
    fn a_tag_that_is_written_over_takes_no_more_room() {
        let mut tree = Tree::new("", 0);
        tree.start(start("1.1", ""), NOW).unwrap();
        let text = "x".repeat(1 << 17);
        for _ in 0..1_000 {
            let tags = Map::from_iter([("progress".to_owned(), Value::from(text.as_str()))]);
            tree.tag(&"1.1".into(), &tags.into()).unwrap();
        }
        tree.end(end("1.1", 1.0), NOW).unwrap();
        assert_eq!(tree.bytes, 0);
    }

    #[test]
    fn tags_are_merged() {
        let mut tree = Tree::new("", 0);
        let tags = |tags: Value| Tags::from(tags.as_object().cloned().unwrap());
        let begun = SpanStart {
            tags: tags(json!({"a": 1, "b": 1})),
            ..start("1.1", "")
        };
        let ord = tree.start(begun, NOW).unwrap();
        tree.tag(&"1.1".into(), &tags(json!({"b": 2, "c": 2})))
            .unwrap();
        assert_eq!(
            tree.open_span(ord).unwrap().tags.as_str(),
            r#"{"a":1,"b":2,"c":2}"#
        );
        tree.tag(&"1.1".into(), &tags(json!({"a": "x"}))).unwrap();
        let ends = SpanEnd {
            tags: tags(json!({"d": 4})),
            ..end("1.1", 20.0)
        };
        let ended = tree.end(ends, NOW).unwrap();
        assert_eq!(ended.span.tags.as_str(), r#"{"a":"x","b":2,"c":2,"d":4}"#);
        assert_eq!(tree.bytes, 0);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Start(u8, u8),
        Tag(u8),
        End(u8),
        EndAll,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0..20u8, 0..25u8).prop_map(|(a, b)| Act::Start(a, b)),
            1 => (0..25u8).prop_map(Act::Tag),
            2 => (0..25u8).prop_map(Act::End),
            1 => Just(Act::EndAll),
        ]
    }

    proptest! {
        /// Any interleaving, duplicates, unknown spans: never a panic, the tree stays a tree.
        #[test]
        fn stays_a_tree(acts in proptest::collection::vec(act(), 0..120)) {
            let mut tree = Tree::new("outer/1", 0);
            let mut rows: BTreeMap<u64, Arc<Span>> = BTreeMap::new();
            for act in acts {
                let open = match act {
                    Act::Start(id, parent) =>
                        tree.start(start(&format!("1.{id}"), &format!("1.{parent}")), NOW).ok(),
                    Act::Tag(id) => tree.tag(&format!("1.{id}").into(), &Tags::default()).ok(),
                    _ => None,
                };
                if let Some(ord) = open {
                    rows.insert(ord, tree.open_span(ord).unwrap().clone());
                }
                let ended: Vec<Ended> = match act {
                    Act::End(id) => tree.end(end(&format!("1.{id}"), 50.0), NOW).into_iter().collect(),
                    Act::EndAll => tree.end_all(SpanStatus::Cancelled, None, NOW),
                    _ => Vec::new(),
                };
                rows.extend(ended.into_iter().map(|ended| (ended.ord, ended.span)));
                let running = rows.values().filter(|s| s.status == SpanStatus::Running).count();
                prop_assert_eq!(running, tree.open_spans());
            }
            // Ords have no gaps; ids are unique; each parent started earlier; one root.
            prop_assert!(rows.keys().copied().eq(0..rows.len() as u64));
            let ords: HashMap<_, _> = rows.iter().map(|(ord, s)| (s.span_id.to_string(), *ord)).collect();
            prop_assert_eq!(ords.len(), rows.len());
            for (ord, span) in &rows {
                match ords.get(&span.parent_id) {
                    Some(parent) => prop_assert!(parent < ord),
                    None => prop_assert!(*ord == 0 && span.parent_id == "outer/1"),
                }
            }
        }
    }
}
