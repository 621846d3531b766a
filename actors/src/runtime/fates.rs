//! What becomes of each durable step in a retry or a fork.
//!
//! Pure. A step that came to a result is reused. One that raised is done again only where that may be why the
//! play ended: a failure that the flow has dealt with stays one, else a retry would do both what was tried and
//! what was done instead.

use std::collections::{BTreeMap, HashMap};

use protocol::{
    EpochMs, PlayStatus, Span, SpanId, SpanStatus, Step, Tags,
    rpc::StepFate::{self, Changed, Orphaned, Reused, WillRunAgain},
};
use serde::Deserialize;

/// Functions of a version by their qualified names, each with what tells its code from another's.
pub(super) type Functions = BTreeMap<String, String>;

/// What there is to decide by.
#[derive(Default)]
pub(super) struct Grounds<'a> {
    /// The code of the functions, as it was and as it is.
    pub(super) code: Option<(&'a Functions, &'a Functions)>,
    /// What came to its end until then can be reused.
    pub(super) until: Option<EpochMs>,
    /// All spans of the play, in the order in which they came; needed where a step raised.
    pub(super) spans: &'a [Span],
    pub(super) status: Option<PlayStatus>,
}

/// Whether the spans matter.
pub(super) fn needs_spans(steps: &[Step]) -> bool {
    steps.iter().any(raised)
}

fn raised(step: &Step) -> bool {
    step.kept.as_ref().is_some_and(|kept| kept.raised)
}

/// What becomes of each step.
pub(super) fn fates(steps: &[Step], grounds: &Grounds<'_>) -> Vec<StepFate> {
    let failures = Failures::new(steps, grounds.spans);
    let decided = all(steps, grounds, |step| failures.ended_the_play(step));
    let nothing_else = decided.iter().all(|fate| *fate == Reused);
    if nothing_else && grounds.until.is_none() && grounds.status == Some(PlayStatus::Failed) {
        // Whatever made it fail: reusing everything would make it fail once more.
        return all(steps, grounds, |_| true);
    }
    decided
}

fn all(
    steps: &[Step],
    grounds: &Grounds<'_>,
    ended_the_play: impl Fn(&Step) -> bool,
) -> Vec<StepFate> {
    let own = |step: &Step| {
        if let Some((old, new)) = grounds.code
            && !step.start.function.is_empty()
        {
            match (
                old.get(&*step.start.function),
                new.get(&*step.start.function),
            ) {
                (Some(_), None) => return Orphaned,
                (Some(before), Some(now)) if before != now => return Changed,
                (Some(_), Some(_)) => {}
                // It was made while the flow ran: nothing tells what it was.
                (None, _) => return WillRunAgain,
            }
        }
        let in_time = match (grounds.until, step.end_ms) {
            (Some(until), Some(end)) => end.0 <= until.0,
            (Some(_), None) => false,
            (None, _) => true,
        };
        match &step.kept {
            Some(kept) if in_time && !(kept.raised && ended_the_play(step)) => Reused,
            _ => WillRunAgain,
        }
    };
    let mut fates: Vec<_> = steps.iter().map(own).collect();
    let places = places(steps);
    // What is done again takes the steps around it with it.
    for at in 0..steps.len() {
        if fates[at] == Reused {
            continue;
        }
        let mut around = places.get(&*steps[at].start.parent);
        while let Some(&outer) = around {
            if fates[outer] != Reused {
                break;
            }
            fates[outer] = WillRunAgain;
            around = places.get(&*steps[outer].start.parent);
        }
    }
    fates
}

fn places(steps: &[Step]) -> HashMap<&str, usize> {
    let keys = steps.iter().enumerate();
    keys.map(|(at, step)| (&*step.start.key, at)).collect()
}

/// When a span began, so that it can be looked up.
type Began = u64;

fn began(at: EpochMs) -> Began {
    at.0.to_bits()
}

/// Which failures went up to the end of the play.
struct Failures<'a> {
    steps: &'a [Step],
    places: HashMap<&'a str, usize>,
    spans: HashMap<&'a SpanId, &'a Span>,
    /// What a later attempt showed of a step: its span, by the id and the start of the one that did it (of another
    /// play perhaps, so that the id alone may be another span's).
    replayed: HashMap<(SpanId, Began), &'a Span>,
    /// When the last span under a parent began.
    last_under: HashMap<&'a str, f64>,
}

impl<'a> Failures<'a> {
    fn new(steps: &'a [Step], spans: &'a [Span]) -> Self {
        let mut last_under: HashMap<&str, f64> = HashMap::new();
        for span in spans {
            let last = last_under.entry(&span.parent_id).or_insert(f64::MIN);
            *last = last.max(span.start_ms.0);
        }
        let replayed = spans
            .iter()
            .filter(|span| span.status == SpanStatus::Replayed)
            .filter_map(|span| Some(((kept_by(&span.tags)?, began(span.start_ms)), span)));
        Self {
            steps,
            places: places(steps),
            spans: spans.iter().map(|span| (&span.span_id, span)).collect(),
            replayed: replayed.collect(),
            last_under,
        }
    }

    /// Whether this step's failure may be why the play ended, as far as can be seen.
    fn ended_the_play(&self, step: &Step) -> bool {
        let mut step = step;
        loop {
            let shown = (step.span_id.clone(), began(step.start_ms));
            let own = self.spans.get(&step.span_id);
            let own = own.filter(|span| began(span.start_ms) == shown.1);
            if let Some(span) = self.replayed.get(&shown).or(own) {
                return self.went_up(span, &told(step));
            }
            // Shown is only the step around it: this one was not come to again.
            match self.places.get(&*step.start.parent) {
                Some(&around) => step = &self.steps[around],
                None => return true,
            }
        }
    }

    /// Whether a failure went from this span up to the root.
    fn went_up(&self, span: &Span, told: &str) -> bool {
        let (mut span, mut told) = (span, told);
        // A parent started before its children, so this comes to an end; whatever the play has said, it does.
        for _ in 0..=self.spans.len() {
            let Some(&parent) = self.spans.get(&SpanId::from(span.parent_id.clone())) else {
                return true;
            };
            let dealt_with = match parent.status {
                SpanStatus::Ok | SpanStatus::Replayed => true,
                _ => !(is_same(span, told, parent) || self.is_last(span)),
            };
            if dealt_with {
                return false;
            }
            let shown = (parent.span_id.clone(), began(parent.start_ms));
            span = self.replayed.get(&shown).copied().unwrap_or(parent);
            told = parent.error.as_deref().unwrap_or_default();
        }
        true
    }

    /// Whether nothing began beside it after it had ended.
    fn is_last(&self, span: &Span) -> bool {
        let last = self.last_under.get(&*span.parent_id);
        let end = span.end_ms.unwrap_or(span.start_ms);
        // What began and ended at the same time as another is not known to be later.
        last.is_none_or(|last| *last <= end.0.max(span.start_ms.0))
    }
}

/// Whether the parent ended with the failure of its child.
fn is_same(span: &Span, told: &str, parent: &Span) -> bool {
    let Some(error) = parent.error.as_deref() else {
        return false;
    };
    error == told || span.error.as_deref() == Some(error)
}

/// Of a span that is shown again: by which it was done.
fn kept_by(tags: &Tags) -> Option<SpanId> {
    #[derive(Deserialize)]
    struct KeptBy {
        kept_by: SpanId,
    }
    let kept_by: KeptBy = serde_json::from_str(tags.as_str()).ok()?;
    Some(kept_by.kept_by)
}

/// What an exception that was kept says as the error of a span; `""` where that can't be told.
fn told(step: &Step) -> String {
    #[derive(Deserialize)]
    struct Raised {
        #[serde(rename = "type")]
        of: String,
        #[serde(default)]
        message: String,
    }
    let kept = step.kept.as_ref().filter(|kept| kept.raised);
    let raised = kept.and_then(|kept| serde_json::from_str::<Raised>(&kept.data).ok());
    let Some(Raised { of, message }) = raised else {
        return String::new();
    };
    let (module, name) = of.split_once(':').unwrap_or(("", &of));
    let name = name.rsplit('.').next().unwrap_or(name);
    match (module, name) {
        ("hero_tracing" | "hero_tracing._errors", "Failed") => message,
        _ if message.is_empty() => name.to_owned(),
        _ => format!("{name}: {message}"),
    }
}

#[cfg(test)]
#[path = "fates_tests.rs"]
mod tests;
