//! What is known of the plays on screen, fed with the records of their streams. Pure: no IO, no
//! clock. Records may come twice (after a gap there is a new snapshot): only news is reported.

use std::collections::{BTreeSet, HashMap, HashSet};

use protocol::{EpochMs, Log, LogStream, Play, PlaySid, Span, SpanId, SpanStatus, Tags};
use serde_json::Value;

use super::text::{clean, first_line, fit};
use crate::client::{Record, watch::Snapshot};

/// A span as it is shown. Names and texts are safe to print.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) status: SpanStatus,
    pub(crate) start_ms: EpochMs,
    pub(crate) end_ms: Option<EpochMs>,
    /// The first line of the error.
    pub(crate) error: Option<String>,
    /// The tags, in brief.
    pub(crate) note: String,
    pub(crate) parent: Option<usize>,
    pub(crate) child_play: Option<PlaySid>,
    pub(crate) children: Children,
}

impl Node {
    /// Its process left because it waits, or some that it had called does: it was not stopped by anybody.
    pub(crate) fn waits(&self) -> bool {
        self.status == SpanStatus::Cancelled && self.error.as_deref() == Some("waits")
    }

    pub(crate) fn duration(&self, now: EpochMs) -> f64 {
        self.end_ms.unwrap_or(now).since(self.start_ms)
    }
}

/// Spans under one parent, in start order, with what a folded picture needs at hand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    pub(crate) all: Vec<usize>,
    pub(crate) running: BTreeSet<usize>,
    /// Neither running nor well.
    pub(crate) bad: BTreeSet<usize>,
    /// How long those that are well took, together.
    pub(crate) well_ms: f64,
}

impl Children {
    pub(crate) fn well(&self) -> usize {
        self.all.len() - self.running.len() - self.bad.len()
    }
}

/// What a record brought that was not known before.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// The play's record changed.
    Play,
    /// A span is known now.
    Started(usize),
    /// A span has ended.
    Ended(usize),
    /// A piece of output, with its span where that is known.
    Output {
        span: Option<usize>,
        stream: LogStream,
        text: String,
    },
    /// A span waits for this play.
    Child(PlaySid),
    /// All of the play was told.
    End,
}

/// The span tree of one play.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) play: Option<Play>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Children,
    index: HashMap<SpanId, usize>,
    children_named: HashSet<PlaySid>,
    /// How many pieces of output were told: a second snapshot brings the same ones again.
    outputs: usize,
}

impl Tree {
    /// Takes a record in, and says what is new.
    pub(crate) fn apply(&mut self, record: Record) -> Vec<News> {
        match record {
            Record::Snapshot(snapshot) => self.snapshot(*snapshot),
            Record::Span(span) => self.span(*span),
            Record::Log(log) => {
                self.outputs += 1;
                vec![self.output(*log)]
            }
            Record::Play(play) => self.play(*play),
            Record::Lagged => Vec::new(),
            Record::End => vec![News::End],
        }
    }

    /// The play's own span: the first one without a parent.
    pub(crate) fn root(&self) -> Option<usize> {
        self.roots.all.first().copied()
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Vec<News> {
        let Snapshot { play, spans, logs } = snapshot;
        let mut news: Vec<_> = spans.into_iter().flat_map(|s| self.span(s)).collect();
        let known = self.outputs;
        self.outputs = known.max(logs.len());
        news.extend(logs.into_iter().skip(known).map(|log| self.output(log)));
        news.extend(self.play(play));
        news
    }

    fn play(&mut self, play: Play) -> Vec<News> {
        if self.play.as_ref() == Some(&play) {
            return Vec::new();
        }
        self.play = Some(play);
        vec![News::Play]
    }

    fn output(&self, log: Log) -> News {
        News::Output {
            span: self.index.get(&log.span_id).copied(),
            stream: log.stream,
            text: log.text,
        }
    }

    fn span(&mut self, span: Span) -> Vec<News> {
        let mut news = Vec::new();
        let at = match self.index.get(&span.span_id) {
            Some(&at) => at,
            None => {
                let at = self.add(&span);
                news.push(News::Started(at));
                at
            }
        };
        if let Some(child) = &span.child_play_sid
            && self.children_named.insert(child.clone())
        {
            news.push(News::Child(child.clone()));
        }
        if self.update(at, span) {
            news.push(News::Ended(at));
        }
        news
    }

    fn add(&mut self, span: &Span) -> usize {
        let at = self.nodes.len();
        let parent = self
            .index
            .get(&SpanId::from(span.parent_id.as_str()))
            .copied()
            // A further root hangs under the first one, as it does on the play's page.
            .or_else(|| self.root());
        self.nodes.push(Node {
            name: String::new(),
            status: SpanStatus::Running,
            start_ms: span.start_ms,
            end_ms: None,
            error: None,
            note: String::new(),
            parent,
            child_play: None,
            children: Children::default(),
        });
        self.index.insert(span.span_id.clone(), at);
        let siblings = self.siblings(parent);
        siblings.all.push(at);
        siblings.running.insert(at);
        at
    }

    /// Brings a node up to date; whether it has ended by that.
    fn update(&mut self, at: usize, span: Span) -> bool {
        let node = &mut self.nodes[at];
        let ends = node.status == SpanStatus::Running && span.status != SpanStatus::Running;
        node.name = name(&span.name);
        node.status = span.status;
        node.start_ms = span.start_ms;
        node.end_ms = span.end_ms;
        node.error = span.error.as_deref().map(|e| first_line(e).into_owned());
        node.note = note(&span.tags);
        node.child_play = span.child_play_sid;
        let (parent, took) = (node.parent, node.duration(node.start_ms));
        if ends {
            let siblings = self.siblings(parent);
            siblings.running.remove(&at);
            if matches!(span.status, SpanStatus::Ok | SpanStatus::Replayed) {
                siblings.well_ms += took;
            } else {
                siblings.bad.insert(at);
            }
        }
        ends
    }

    fn siblings(&mut self, parent: Option<usize>) -> &mut Children {
        match parent {
            Some(parent) => &mut self.nodes[parent].children,
            None => &mut self.roots,
        }
    }
}

/// A play and those that it started, as far as they are followed.
#[derive(Clone, Debug)]
pub(crate) struct Forest {
    pub(crate) root: PlaySid,
    trees: HashMap<PlaySid, Tree>,
}

impl Forest {
    pub(crate) fn new(root: PlaySid) -> Self {
        let trees = HashMap::from([(root.clone(), Tree::default())]);
        Self { root, trees }
    }

    /// Takes a record of a play in; see [`Tree::apply`].
    pub(crate) fn apply(&mut self, play: &PlaySid, record: Record) -> Vec<News> {
        self.trees.entry(play.clone()).or_default().apply(record)
    }

    pub(crate) fn tree(&self, play: &PlaySid) -> Option<&Tree> {
        self.trees.get(play)
    }

    /// The record of the play that all this is about.
    pub(crate) fn play(&self) -> Option<&Play> {
        self.tree(&self.root)?.play.as_ref()
    }
}

fn name(text: &str) -> String {
    match first_line(text) {
        name if name.is_empty() => "(no name)".to_owned(),
        name => fit(&name, 200, "…").into_owned(),
    }
}

/// `key=value` for the first few tags, cut short: a hint, not the record.
fn note(tags: &Tags) -> String {
    let mut out = String::new();
    for (key, value) in tags.to_map().iter().take(6) {
        if !out.is_empty() {
            out.push(' ');
        }
        let value = match value {
            Value::String(text) => clean(text.get(..200).unwrap_or(text)).into_owned(),
            other => clean(&other.to_string()).into_owned(),
        };
        out.push_str(&clean(key));
        out.push('=');
        out.push_str(&fit(&value, 40, "…"));
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::{PlayStatus, SpanKind};

    use super::*;

    pub(crate) fn play(status: PlayStatus) -> Play {
        serde_json::from_value(serde_json::json!({
            "sid": "play-1", "workflow_sid": "w", "workflow_name": "etl", "version_sid": "v",
            "flow_name": "etl", "status": status.as_str(), "cause": null, "input_data": "{}",
            "output_data": null, "parent_play_sid": null, "parent_span_id": "", "retry_of": null, "origin": "rpc",
            "attempt": 1, "created_at": 1000.0, "started_at": 1000.0, "completed_at": null,
            "duration_ms": null, "usage": null, "skipped": null
        }))
        .unwrap()
    }

    pub(crate) fn span(id: &str, parent: &str, name: &str, start: f64) -> Span {
        Span {
            span_id: id.into(),
            parent_id: parent.to_owned(),
            name: name.to_owned(),
            kind: SpanKind::Step,
            status: SpanStatus::Running,
            start_ms: EpochMs(start),
            end_ms: None,
            tags: Tags::default(),
            error: None,
            source_file: None,
            source_line: None,
            rpc_service: None,
            rpc_method: None,
            child_play_sid: None,
        }
    }

    pub(crate) fn ended(mut span: Span, end: f64, status: SpanStatus, error: Option<&str>) -> Span {
        span.end_ms = Some(EpochMs(end));
        span.status = status;
        span.error = error.map(str::to_owned);
        span
    }

    pub(crate) fn log(span: &str, text: &str) -> Log {
        Log {
            span_id: span.into(),
            ts_ms: EpochMs(1.0),
            stream: LogStream::Stdout,
            text: text.to_owned(),
        }
    }

    fn snapshot(spans: Vec<Span>, logs: Vec<Log>) -> Record {
        Record::Snapshot(Box::new(Snapshot {
            play: play(PlayStatus::Running),
            spans,
            logs,
        }))
    }

    #[test]
    fn only_news_is_told() {
        let mut tree = Tree::default();
        let root = span("1.1", "", "etl", 0.0);
        let step = span("1.2", "1.1", "fetch", 1.0);
        let output = |text: &str| News::Output {
            span: Some(1),
            stream: LogStream::Stdout,
            text: text.to_owned(),
        };
        assert_eq!(
            tree.apply(snapshot(
                vec![root.clone(), step.clone()],
                vec![log("1.2", "a")]
            )),
            [News::Started(0), News::Started(1), output("a"), News::Play]
        );
        assert_eq!(
            tree.apply(Record::Log(Box::new(log("1.2", "b")))),
            [output("b")]
        );
        let step = ended(step, 5.0, SpanStatus::Ok, None);
        assert_eq!(
            tree.apply(Record::Span(Box::new(step.clone()))),
            [News::Ended(1)]
        );
        assert_eq!(tree.apply(Record::Span(Box::new(step.clone()))), []);
        assert_eq!(tree.apply(Record::Lagged), []);
        let again = vec![log("1.2", "a"), log("1.2", "b"), log("1.2", "c")];
        let mut caller = span("1.3", "1.1", "call", 6.0);
        caller.child_play_sid = Some("play-2".into());
        assert_eq!(
            tree.apply(snapshot(vec![root, step, caller], again)),
            [News::Started(2), News::Child("play-2".into()), output("c")]
        );
        assert_eq!(tree.apply(Record::End), [News::End]);
        let children = &tree.nodes[0].children;
        assert_eq!((children.well(), children.well_ms), (1, 4.0));
        assert_eq!(children.running, BTreeSet::from([2]));
    }

    #[test]
    fn a_further_root_hangs_under_the_first() {
        let mut tree = Tree::default();
        let spans = vec![
            span("1.1", "play-0/1.7", "etl", 0.0),
            span("1.2", "nobody", "lost", 1.0),
        ];
        tree.apply(snapshot(spans, Vec::new()));
        assert_eq!(tree.roots.all, [0]);
        assert_eq!(tree.nodes[0].children.all, [1]);
    }

    #[test]
    fn what_flows_say_is_made_safe() {
        let mut tree = Tree::default();
        let mut odd = span("1", "", "\x1b[2Jname\nmore", 0.0);
        odd.tags =
            serde_json::from_value(serde_json::json!({"k\x07": "v\x1b]0;t\x07w", "n": 3})).unwrap();
        tree.apply(Record::Span(Box::new(ended(
            odd,
            1.0,
            SpanStatus::Failed,
            Some("\nbad\x1b[H\nrest"),
        ))));
        let node = &tree.nodes[0];
        assert_eq!(node.name, "name");
        assert_eq!(node.error.as_deref(), Some("bad"));
        assert_eq!(node.note, "k\\u{7}=vw n=3");
    }
}
