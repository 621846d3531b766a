//! Waits: durable steps whose result comes from outside: an answer, a signal, a time.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{EpochMs, PlaySid, SpanId};

/// What a play waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// Somebody's answer.
    Ask,
    /// A signal of this name.
    Event,
    /// A time.
    Sleep,
    /// The end of a child play that itself awaits something.
    Play,
}

impl WaitKind {
    /// The word on the wire and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Event => "event",
            Self::Sleep => "sleep",
            Self::Play => "play",
        }
    }

    /// The kind that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Ask, Self::Event, Self::Sleep, Self::Play]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What a play says when it pauses.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WaitStart {
    pub kind: WaitKind,
    pub name: Box<str>,
    /// The JSON Schema of the answer to an ask.
    #[serde(default)]
    pub schema: Option<Value>,
    /// For whoever shows the question.
    #[serde(default)]
    pub ui: Option<Value>,
    /// When the waiting is over, whether an answer came or not.
    #[serde(default)]
    pub wake_at: Option<EpochMs>,
    /// A JSON text: the answer where none has come by then.
    #[serde(default, deserialize_with = "text")]
    pub default: Option<Box<str>>,
    /// The play whose end is waited for, by a wait of that kind.
    #[serde(default)]
    pub child: Option<PlaySid>,
}

/// A `null` that is there is a default, too.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<str>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(|raw| Some(raw.into()))
}

/// A wait that is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The key of its step, the same on every attempt: by it the wait is named.
    pub key: Box<str>,
    pub start: WaitStart,
    /// Of the attempt that asked last.
    pub span_id: SpanId,
    pub created_at: EpochMs,
    /// Who has it may answer: only asks have one.
    pub token: Option<WaitToken>,
}

/// Lets whoever has it answer one question. Never printed, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct WaitToken(Box<str>);

impl WaitToken {
    /// A new one: 244 random bits, as 64 hexadecimal digits.
    #[must_use]
    pub fn fresh() -> Self {
        let half = || uuid::Uuid::new_v4().simple();
        Self(format!("{}{}", half(), half()).into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for WaitToken {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for WaitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WaitToken(…)")
    }
}

/// A signal that came before anybody waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Ids sort by when they came.
    pub id: Box<str>,
    pub name: Box<str>,
    /// A JSON text.
    pub data: Box<str>,
}

impl Signal {
    /// One that came just now.
    #[must_use]
    pub fn new(name: &str, data: &str) -> Self {
        Self {
            id: uuid::Uuid::now_v7().to_string().into(),
            name: name.into(),
            data: data.into(),
        }
    }
}
