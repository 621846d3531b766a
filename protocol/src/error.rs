//! Errors as callers see them: a stable code, a stable kind, and a sentence that says what to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of error, each with its JSON-RPC code. Codes and words never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request is no JSON.
    ParseError,
    /// The request is JSON, but no JSON-RPC 2.0 call.
    InvalidRequest,
    MethodNotFound,
    /// The parameters do not have the method's form: a name it does not know, a wrong type.
    InvalidParams,
    /// A sid that names nothing.
    NotFound,
    /// The parameters have the right form, but what they say can't be done.
    InvalidInput,
    /// It does not fit the present state: a name that exists, a play that has ended.
    Conflict,
    /// Not now: the server is stopping, Python is missing, the store does not answer.
    Unavailable,
    TooLarge,
    /// A token is required and was not given, or is wrong.
    Unauthorized,
    /// A fault of hero_logic.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the reference.
    pub const ALL: [Self; 11] = [
        Self::ParseError,
        Self::InvalidRequest,
        Self::MethodNotFound,
        Self::InvalidParams,
        Self::Internal,
        Self::NotFound,
        Self::InvalidInput,
        Self::Conflict,
        Self::Unavailable,
        Self::TooLarge,
        Self::Unauthorized,
    ];

    /// The JSON-RPC code: the standard's own where it has one, else from the server's range.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::NotFound => -32001,
            Self::InvalidInput => -32002,
            Self::Conflict => -32003,
            Self::Unavailable => -32004,
            Self::TooLarge => -32005,
            Self::Unauthorized => -32006,
        }
    }

    /// The word in `data.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParseError => "parse_error",
            Self::InvalidRequest => "invalid_request",
            Self::MethodNotFound => "method_not_found",
            Self::InvalidParams => "invalid_params",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
            Self::InvalidInput => "invalid_input",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// The longest message, bytes: what a caller has sent may be in it.
const MAX_MESSAGE: usize = 4 << 10;
/// How much is repeated of what should be a sid, bytes.
const MAX_SID: usize = 256;

/// A text of at most so many bytes: in the middle of a longer one something is left out.
#[must_use]
pub fn bounded(text: String, most: usize) -> String {
    const GAP: &str = " … ";
    if text.len() <= most {
        return text;
    }
    let half = most.saturating_sub(GAP.len()) / 2;
    let begin = &text[..text.floor_char_boundary(half)];
    let end = &text[text.ceil_char_boundary(text.len() - half)..];
    format!("{begin}{GAP}{end}")
}

/// An error that a caller gets.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    /// What failed, on what, and what to do.
    pub message: String,
    /// Further facts for programs (a syntax error's line and column), merged into `data`.
    pub details: Option<serde_json::Map<String, Value>>,
}

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: bounded(message.into(), MAX_MESSAGE),
            details: None,
        }
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => Value::String(bounded(text, MAX_MESSAGE)),
            other => other,
        };
        self.details
            .get_or_insert_default()
            .insert(key.to_owned(), value);
        self
    }

    /// No such thing: `what` is its kind (`play`), `sid` what was asked for.
    #[must_use]
    pub fn not_found(what: &str, sid: impl std::fmt::Display) -> Self {
        let sid = bounded(sid.to_string(), MAX_SID);
        Self::new(ErrorKind::NotFound, format!("there is no {what} {sid:?}")).with("sid", sid)
    }

    /// See [`ErrorKind::InvalidInput`].
    #[must_use]
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// See [`ErrorKind::Conflict`].
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// See [`ErrorKind::Unavailable`].
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// See [`ErrorKind::TooLarge`].
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// See [`ErrorKind::Internal`].
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

/// The result of everything that a caller can ask for.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_sent_is_not_repeated_without_bound() {
        for long in ["x".repeat(5 << 20), "ä€".repeat(1 << 20)] {
            let error = Error::not_found("play", &long);
            assert!(error.to_string().len() < 1_000, "{error}");
            let error = Error::invalid_input(format!("{long:?} is no number; give one"))
                .with("parameter", long.as_str());
            let said = error.message.len()
                + error
                    .details
                    .map_or(0, |d| Value::Object(d).to_string().len());
            assert!(said < 10_000, "{said}");
            assert!(error.message.ends_with("is no number; give one"));
        }
        assert_eq!(bounded("ab".into(), 2), "ab");
        assert_eq!(bounded("äöüäöü".repeat(2), 12), "ä … ü");
    }

    #[test]
    fn codes_and_words_are_unique() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|k| k.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        words.sort_unstable();
        words.dedup();
        assert_eq!(
            (codes.len(), words.len()),
            (ErrorKind::ALL.len(), ErrorKind::ALL.len())
        );
    }
}
