//! What a play waits for: questions, signals, times; and what is accepted as their result.
//!
//! Pure: no actix, no tokio, the time is an argument. The live play's state uses it, and whoever settles
//! a wait of a play that has no process, so that both decide alike.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use protocol::{
    EpochMs, Error, ErrorKind, Kept, PlayStatus, Result, Signal, SpanId, SpanStatus, Wait,
    WaitKind, WaitStart, WaitToken,
    rpc::{MAX_NAME, MAX_PAYLOAD},
};
use serde_json::{Map, Value, json};

use crate::store::{Launch, Waiting};

/// How many waits of a play can be open, and how many signals be kept.
pub const MOST: usize = 10_000;
/// How many bytes kept signals of a play can have in all, their names too.
const SIGNAL_BYTES: usize = 64 << 20;

/// What is to become of a wait, or of whichever fits.
#[derive(Clone, Debug)]
pub enum Settling {
    /// Somebody answers the question with this key; a JSON text.
    Answer { key: Box<str>, payload: Box<str> },
    /// A signal; a JSON text.
    Signal { name: Box<str>, payload: Box<str> },
    /// The time of the wait with this key is over.
    Over { key: Box<str> },
    /// The child play for which the wait with this key is has ended.
    Ended { key: Box<str> },
}

/// What [`Waits::settle`] did.
#[derive(Debug)]
pub enum Done {
    /// The wait is over, with this result.
    Settled(Arc<Wait>, Kept),
    /// Nobody waited for the signal: it is kept.
    Kept(Signal),
    /// The wait is over; what it came to, the next attempt asks the child.
    Over(Arc<Wait>),
}

/// What [`Waits::pause`] says.
#[derive(Debug)]
pub enum Paused {
    /// It waits.
    Open(Arc<Wait>),
    /// Its result was there already.
    Settled {
        kept: Kept,
        /// It had waited in an earlier attempt.
        was_open: bool,
        /// The kept signal that it got.
        signal: Option<Box<str>>,
    },
    /// It was settled in this attempt before it was asked.
    Told(Kept),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Waits {
    open: BTreeMap<Box<str>, Arc<Wait>>,
    signals: VecDeque<Signal>,
    signal_bytes: usize,
    prefill: Map<String, Value>,
    prefill_only: bool,
    /// Spans that paused in this attempt, and the keys of their steps: they end with their waits.
    spans: HashMap<SpanId, Box<str>>,
    /// The names of what was asked or settled in this attempt, by the keys.
    names: HashMap<Box<str>, Box<str>>,
    /// Settled in this attempt, and its process was not told.
    untold: HashMap<Box<str>, Kept>,
    /// Spans that wait for child plays, and the keys of their steps: their process ends them, if it is there.
    for_children: HashMap<SpanId, Box<str>>,
    /// Waits for children that ended, and their results have not come of the process.
    ended: HashSet<Box<str>>,
}

impl Waits {
    /// Of a play that waits for this.
    #[must_use]
    pub fn new(waiting: Waiting) -> Self {
        let waits = waiting.waits.into_iter();
        Self {
            open: waits
                .map(|wait| (wait.key.clone(), Arc::new(wait)))
                .collect(),
            signal_bytes: waiting.signals.iter().map(bytes).sum(),
            signals: waiting.signals.into(),
            ..Self::default()
        }
    }

    /// With the answers that were given ahead.
    #[must_use]
    pub fn with_answers_of(mut self, launch: &Launch) -> Self {
        self.prefill.clone_from(&launch.prefill);
        self.prefill_only = launch.prefill_only;
        self
    }

    /// Whether this span paused: its end is no matter of its process.
    #[must_use]
    pub fn has_span(&self, span: &SpanId) -> bool {
        self.spans.contains_key(span)
    }

    /// Whether the step of this key waits.
    #[must_use]
    pub fn is_open(&self, key: &str) -> bool {
        self.open.contains_key(key)
    }

    /// The spans of this attempt whose waits are open.
    #[must_use]
    pub fn open_spans(&self) -> HashSet<SpanId> {
        let spans = self.spans.iter().chain(&self.for_children);
        let open = spans.filter(|(_, key)| self.open.contains_key(*key));
        open.map(|(span, _)| span.clone()).collect()
    }

    /// How the play stands whose process left to wait; `None`: there is nothing to wait for.
    #[must_use]
    pub fn status(&self) -> Option<PlayStatus> {
        if !self.untold.is_empty() || !self.ended.is_empty() {
            Some(PlayStatus::Pending)
        } else if !self.open.is_empty() {
            Some(PlayStatus::AwaitingResume)
        } else {
            None
        }
    }

    /// What a span is answered that pauses once more; `None`: it hasn't paused before.
    pub fn again(&mut self, span: &SpanId) -> Option<Value> {
        let key = self.spans.get(span)?;
        Some(match self.untold.remove(key) {
            Some(kept) => settled(&kept),
            None => unsettled(key),
        })
    }

    /// A step of this key pauses.
    ///
    /// # Errors
    /// `invalid_input`: what it asks for makes no sense, an answer given ahead does not fit, or none was
    /// given; `too_large`.
    pub fn pause(
        &mut self,
        key: &str,
        start: WaitStart,
        span: &SpanId,
        now: EpochMs,
    ) -> Result<Paused> {
        check(&start)?;
        let is_for_child = start.kind == WaitKind::Play;
        let name = start.name.clone();
        let paused = self.look(key, start, span, now)?;
        self.names.insert(key.into(), name);
        let spans = if is_for_child {
            &mut self.for_children
        } else {
            &mut self.spans
        };
        spans.insert(span.clone(), key.into());
        match &paused {
            Paused::Open(wait) => drop(self.open.insert(key.into(), wait.clone())),
            Paused::Settled { signal, .. } => {
                self.open.remove(key);
                if let Some(id) = signal {
                    self.take(id);
                }
            }
            Paused::Told(_) => drop(self.untold.remove(key)),
        }
        Ok(paused)
    }

    fn look(&self, key: &str, mut start: WaitStart, span: &SpanId, now: EpochMs) -> Result<Paused> {
        if let Some(kept) = self.untold.get(key) {
            return Ok(Paused::Told(kept.clone()));
        }
        let before = self.open.get(key);
        if let Some(before) = before {
            // The time counts from the first attempt that asked.
            start.wake_at = before.start.wake_at;
            start.default.clone_from(&before.start.default);
        }
        let settled = |kept, signal| Paused::Settled {
            kept,
            was_open: before.is_some(),
            signal,
        };
        if let Some(payload) = self.prefill.get(&*start.name)
            && matches!(start.kind, WaitKind::Ask | WaitKind::Event)
        {
            fits(&start, payload).map_err(|error| Error {
                message: format!("prefill: {}", error.message),
                ..error
            })?;
            return Ok(settled(answered(payload.to_string()), None));
        }
        if start.kind == WaitKind::Ask && self.prefill_only {
            return Err(Error::invalid_input(format!(
                "there is no answer to {:?} in prefill, and nobody is to be asked (prefill_only)",
                start.name
            )));
        }
        if start.kind == WaitKind::Event
            && let Some(signal) = self.signals.iter().find(|s| s.name == start.name)
        {
            let kept = answered(signal.data.clone());
            return Ok(settled(kept, Some(signal.id.clone())));
        }
        if start.wake_at.is_some_and(|at| at <= now) {
            return Ok(settled(over(&start), None));
        }
        if before.is_none() && self.open.len() >= MOST {
            return Err(Error::too_large(format!(
                "a play can wait for {MOST} things at once"
            )));
        }
        let token = match before {
            Some(before) => before.token.clone(),
            None => (start.kind == WaitKind::Ask).then(WaitToken::fresh),
        };
        Ok(Paused::Open(Arc::new(Wait {
            key: key.into(),
            start,
            span_id: span.clone(),
            created_at: before.map_or(now, |before| before.created_at),
            token,
        })))
    }

    /// Something came from outside.
    ///
    /// # Errors
    /// `not_found`: there is no such wait, and was none in this attempt; `invalid_input`: it is no question, or
    /// the answer does not fit, and it stays open; `conflict`: answered before, or its time is not over; `too_large`.
    pub fn settle(&mut self, settling: Settling, now: EpochMs) -> Result<Done> {
        let (key, kept) = match settling {
            Settling::Answer { key, payload } => {
                let wait = self.wait(&key)?;
                if wait.start.kind != WaitKind::Ask {
                    return Err(Error::invalid_input(format!(
                        "{:?} is no question; send a signal of that name to what waits for one",
                        wait.start.name
                    )));
                }
                small("the answer", &payload)?;
                let value: Value = serde_json::from_str(&payload)
                    .map_err(|error| Error::invalid_input(format!("no JSON: {error}")))?;
                fits(&wait.start, &value)?;
                (key, answered(payload))
            }
            Settling::Signal { name, payload } => {
                check_name("a signal", &name)?;
                small("the payload", &payload)?;
                let events = self.open.values();
                let events = events
                    .filter(|wait| wait.start.kind == WaitKind::Event && wait.start.name == name);
                let oldest = events.min_by(|a, b| a.created_at.0.total_cmp(&b.created_at.0));
                match oldest {
                    Some(wait) => (wait.key.clone(), answered(payload)),
                    None => return self.keep(&name, &payload),
                }
            }
            Settling::Over { key } => {
                let wait = self.wait(&key)?;
                if wait.start.wake_at.is_none_or(|at| at > now) {
                    return Err(Error::conflict("its time is not over"));
                }
                let kept = over(&wait.start);
                (key, kept)
            }
            Settling::Ended { key } => {
                let is_for_child = |wait: &Arc<Wait>| wait.start.kind == WaitKind::Play;
                let wait = self.open.get(&key).filter(|wait| is_for_child(wait));
                let wait = wait.cloned().ok_or_else(|| not_open(&key))?;
                self.open.remove(&key);
                self.ended.insert(key);
                return Ok(Done::Over(wait));
            }
        };
        let wait = self.open.remove(&key).ok_or_else(|| not_open(&key))?;
        self.names.insert(key.clone(), wait.start.name.clone());
        self.untold.insert(key, kept.clone());
        Ok(Done::Settled(wait, kept))
    }

    /// A step whose result has come does not wait for its child any more. Whether it was waiting.
    pub fn has_come(&mut self, span: &SpanId) -> bool {
        let Some(key) = self.for_children.remove(span) else {
            return false;
        };
        self.ended.remove(&key);
        self.open.remove(&key).is_some()
    }

    /// A further attempt begins: it looks for its children itself. The keys of the waits for them.
    pub fn take_waits_for_children(&mut self) -> Vec<Box<str>> {
        let open = std::mem::take(&mut self.open).into_iter();
        let (left, kept): (Vec<_>, Vec<_>) =
            open.partition(|(_, wait)| wait.start.kind == WaitKind::Play);
        self.open = kept.into_iter().collect();
        left.into_iter().map(|(key, _)| key).collect()
    }

    fn wait(&self, key: &str) -> Result<&Arc<Wait>> {
        self.open.get(key).ok_or_else(|| {
            let name = self.names.get(key);
            name.map_or_else(|| not_open(key), |name| answered_before(name))
        })
    }

    fn keep(&mut self, name: &str, payload: &str) -> Result<Done> {
        let signal = Signal::new(name, payload);
        let more = bytes(&signal);
        if self.signals.len() >= MOST || self.signal_bytes + more > SIGNAL_BYTES {
            return Err(Error::too_large(format!(
                "the play has not waited for its signals yet, and keeps no more than {MOST}, of {SIGNAL_BYTES} bytes in all"
            )));
        }
        self.signal_bytes += more;
        self.signals.push_back(signal.clone());
        Ok(Done::Kept(signal))
    }

    fn take(&mut self, id: &str) {
        if let Some(at) = self.signals.iter().position(|signal| *signal.id == *id)
            && let Some(signal) = self.signals.remove(at)
        {
            self.signal_bytes -= bytes(&signal);
        }
    }
}

/// What a process is answered whose wait has its result.
#[must_use]
pub fn settled(kept: &Kept) -> Value {
    // It was read as JSON before.
    let data: Value = serde_json::from_str(&kept.data).unwrap_or_default();
    if kept.raised {
        json!({"settled": true, "raised": data})
    } else {
        json!({"settled": true, "payload": data})
    }
}

/// What a process is answered that has to wait.
#[must_use]
pub fn unsettled(key: &str) -> Value {
    json!({"settled": false, "id": key})
}

fn answered(payload: impl Into<Box<str>>) -> Kept {
    Kept {
        raised: false,
        data: payload.into(),
    }
}

/// What it comes to where nothing came in time.
fn over(start: &WaitStart) -> Kept {
    match (&start.default, start.kind) {
        (Some(default), _) => answered(default.clone()),
        (None, WaitKind::Sleep) => answered("null"),
        (None, kind) => {
            let message = late(kind, &start.name);
            let raised = json!({"type": "builtins:TimeoutError", "message": message});
            Kept {
                raised: true,
                data: raised.to_string().into(),
            }
        }
    }
}

/// How the span of a wait ends that has this result.
#[must_use]
pub fn ending(start: &WaitStart, kept: &Kept) -> (SpanStatus, Option<String>) {
    if kept.raised {
        (SpanStatus::TimedOut, Some(late(start.kind, &start.name)))
    } else {
        (SpanStatus::Ok, None)
    }
}

/// Why a wait is over that has no result.
fn late(kind: WaitKind, name: &str) -> String {
    match kind {
        WaitKind::Ask => format!("nobody answered '{name}' in time"),
        WaitKind::Event | WaitKind::Sleep | WaitKind::Play => {
            format!("no signal '{name}' came in time")
        }
    }
}

fn not_open(key: &str) -> Error {
    Error::not_found("open question", key)
}

/// The question of this name is no more.
#[must_use]
pub fn answered_before(name: &str) -> Error {
    Error::conflict(format!(
        "{name:?} is no open question any more: it was answered, or its time is over"
    ))
}

/// How much a kept signal counts.
fn bytes(signal: &Signal) -> usize {
    signal.name.len() + signal.data.len()
}

fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Error::new(
            ErrorKind::InvalidParams,
            format!(
                "the name of {what} has 1 to {MAX_NAME} bytes, and this one {}",
                name.len()
            ),
        ));
    }
    Ok(())
}

fn small(what: &str, payload: &str) -> Result<()> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Error::too_large(format!(
            "{what} has {} bytes; at most {MAX_PAYLOAD} are taken",
            payload.len()
        )));
    }
    Ok(())
}

/// Whether it can be waited for at all.
fn check(start: &WaitStart) -> Result<()> {
    let name = &start.name;
    check_name("what is waited for", name)?;
    match start.wake_at {
        Some(at) if at.sane_or(EpochMs(f64::NAN)).0.is_nan() => {
            return Err(Error::invalid_input(format!(
                "{name:?}: wake_at is {}, which is no time in milliseconds since 1970",
                at.0
            )));
        }
        _ if (start.kind == WaitKind::Play) != start.child.is_some() => {
            return Err(Error::invalid_input(format!(
                "{name:?}: a wait of kind play names its child, and no other does"
            )));
        }
        None if start.kind == WaitKind::Sleep => {
            return Err(Error::invalid_input(format!(
                "{name:?}: a sleep needs wake_at"
            )));
        }
        _ => {}
    }
    let (Some(validator), Some(default)) = (validator(start)?, &start.default) else {
        return Ok(());
    };
    let value: Value = serde_json::from_str(default).map_err(|error| {
        Error::invalid_input(format!("the default of {name:?} is no JSON: {error}"))
    })?;
    fits_by(&validator, &format!("the default of {name:?}"), &value)
}

/// Only questions have one.
fn validator(start: &WaitStart) -> Result<Option<jsonschema::Validator>> {
    let schema = start
        .schema
        .as_ref()
        .filter(|_| start.kind == WaitKind::Ask);
    let compiled = schema.map(jsonschema::validator_for).transpose();
    compiled.map_err(|error| {
        Error::invalid_input(format!(
            "the schema of {:?} is no JSON Schema that can be used: {error}",
            start.name
        ))
    })
}

fn fits(start: &WaitStart, answer: &Value) -> Result<()> {
    match validator(start)? {
        Some(validator) => fits_by(
            &validator,
            &format!("the answer to {:?}", start.name),
            answer,
        ),
        None => Ok(()),
    }
}

fn fits_by(validator: &jsonschema::Validator, what: &str, value: &Value) -> Result<()> {
    let Err(error) = validator.validate(value) else {
        return Ok(());
    };
    let place = error.instance_path().to_string();
    let place = if place.is_empty() {
        String::new()
    } else {
        format!(" at {place}")
    };
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("{what} does not fit{place}: {error}"),
    ))
}

#[cfg(test)]
#[path = "waits_tests.rs"]
mod tests;
