//! How a play is to be seen from outside.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::{
    calls::{Kept, Key},
    play::{Open, Play, Status, Why},
    script::Move,
    walk,
};

/// What the server shows of a play.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    pub status: String,
    /// The kind of its cause.
    pub cause: Option<String>,
    pub attempt: u32,
    pub output: Option<Value>,
    /// The names of its questions. Those that were asked at once have no order.
    pub questions: Vec<String>,
    /// Of each attempt the names and statuses of its spans, in the order of their start.
    pub spans: BTreeMap<u32, Vec<(String, String)>>,
}

/// The spans of an attempt.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Else it was cut off, and perhaps not all of them were recorded.
    pub is_known: bool,
    pub spans: Vec<Shown>,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known {
            write!(f, "{:?}", self.spans)
        } else {
            f.write_str("unknown")
        }
    }
}

/// A span.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    pub name: String,
    /// Of its call; the root has none.
    pub key: Option<Key>,
    pub look: Look,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}", self.name, self.look)
    }
}

/// Its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    Running,
    Ok,
    Failed,
    TimedOut,
    Cancelled,
    Replayed,
    /// Its process was told to stop: it said so itself, or was too late.
    Stopped,
}

impl Look {
    fn is(self, status: &str) -> bool {
        match self {
            Self::Running => status == "running",
            Self::Ok => status == "ok",
            Self::Failed => status == "failed",
            Self::TimedOut => status == "timed_out",
            Self::Cancelled => status == "cancelled",
            Self::Replayed => status == "replayed",
            Self::Stopped => status == "cancelled" || status == "failed",
        }
    }
}

/// How the span of a call looks that came to this, the first time.
#[must_use]
pub fn look_of(kept: &Kept, is_wait: bool) -> Look {
    match kept {
        Kept::Late if is_wait => Look::TimedOut,
        kept if kept.raises() => Look::Failed,
        _ => Look::Ok,
    }
}

/// The spans of the attempt that is under way.
#[must_use]
pub fn spans(play: &Play) -> Vec<Shown> {
    let (Some(process), Some(walk)) = (&play.process, play.walk()) else {
        return Vec::new();
    };
    let mut spans = vec![Shown {
        name: "root".to_owned(),
        key: None,
        look: Look::Running,
    }];
    for call in &walk.calls {
        let given = process.given.get(&call.key);
        let look = if given.is_some_and(|row| row.kept.is_some()) {
            Look::Replayed
        } else if process.begun.contains(&call.key) {
            let is_wait = matches!(call.what, Move::Ask { .. } | Move::Event { .. });
            let kept = play.rows.get(&call.key).and_then(|row| row.kept.as_ref());
            kept.map_or(Look::Running, |kept| look_of(kept, is_wait))
        } else {
            continue;
        };
        spans.push(Shown {
            name: walk::name(call.what).to_owned(),
            key: Some(call.key.clone()),
            look,
        });
    }
    spans
}

impl Attempt {
    /// What is open is closed.
    pub(super) fn close(&mut self, look: Look) {
        self.close_but(&[], look);
    }

    /// What is open and does not wait for these is closed.
    pub(super) fn close_but(&mut self, waits: &[Open], look: Look) {
        for span in &mut self.spans {
            let waits = waits
                .iter()
                .any(|open| span.key.as_ref() == Some(&open.key));
            if span.look == Look::Running && !waits {
                span.look = look;
            }
        }
    }

    /// The call's span ends, if it is open.
    pub(super) fn end(&mut self, key: &Key, look: Look) {
        for span in &mut self.spans {
            if span.look == Look::Running && span.key.as_ref() == Some(key) {
                span.look = look;
            }
        }
    }

    fn is_shown_by(&self, seen: &[(String, String)]) -> bool {
        if !self.is_known {
            // Nothing of it is open any more.
            return seen.iter().all(|(_, status)| status != "running");
        }
        self.spans.len() == seen.len()
            && self
                .spans
                .iter()
                .zip(seen)
                .all(|(span, (name, status))| span.name == *name && span.look.is(status))
    }
}

impl Play {
    /// Whether this is how it looks.
    #[must_use]
    pub fn is_shown_by(&self, view: &View) -> bool {
        let (status, cause) = self.status.words();
        let questions = self.open.iter().filter_map(Open::question);
        let mut questions: Vec<_> = questions.map(|name| name.to_string()).collect();
        let mut seen = view.questions.clone();
        questions.sort();
        seen.sort();
        let current = self.process.is_some().then(|| self.current(true));
        let none = Vec::new();
        let mut attempts = self.past.iter().chain(&current).zip(1..);
        status == view.status
            && cause == view.cause.as_deref()
            && self.attempt == view.attempt
            && self.has_output(view.output.as_ref())
            && questions == seen
            && attempts.all(|(attempt, number)| {
                attempt.is_shown_by(view.spans.get(&number).unwrap_or(&none))
            })
    }
}

impl Play {
    /// Whether this is its output. One that was ended while its process was leaving may have had it already.
    fn has_output(&self, seen: Option<&Value>) -> bool {
        let read = |text: &String| serde_json::from_str::<Value>(text).ok();
        match &self.status {
            Status::Success(text) => read(text).as_ref() == seen,
            Status::Failed(_) | Status::Cancelled if seen.is_some() => {
                self.returned.as_ref().and_then(read).as_ref() == seen
            }
            _ => seen.is_none(),
        }
    }
}

impl Status {
    /// The word for it, and the kind of the cause.
    #[must_use]
    pub fn words(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Pending => ("pending", None),
            Self::Running => ("running", None),
            Self::Awaiting => ("awaiting_resume", None),
            Self::Success(_) => ("success", None),
            Self::Cancelled => ("cancelled", Some("cancelled")),
            Self::Failed(why) => {
                let kind = match why {
                    Why::Exception => "exception",
                    Why::Interrupted => "interrupted",
                    Why::Killed => "killed",
                    Why::Exhausted => "recovery_exhausted",
                };
                ("failed", Some(kind))
            }
        }
    }
}
