//! Identifiers: sids (UUID v7, so that they sort by creation) and span ids.
//!
//! A sid from outside is any string at all: one that names nothing is `not_found`, whatever its form.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident) => {
        string_id!($(#[$doc])* $name);

        impl $name {
            /// A new sid, greater than every sid that this process made before.
            #[must_use]
            pub fn fresh() -> Self {
                Self(uuid::Uuid::now_v7().to_string().into())
            }
        }
    };
}

sid!(
    /// Names a play.
    PlaySid
);
sid!(
    /// Names a workflow of the library.
    WorkflowSid
);
sid!(
    /// Names one immutable version of a workflow.
    VersionSid
);
string_id!(
    /// Names a span within its play. The SDK counts, with the attempt in front: `1.17`.
    SpanId
);

/// A span as seen from another play: `{play_sid}/{span_id}`, what `parent_span_id` carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanRef {
    pub play: PlaySid,
    pub span: SpanId,
}

impl SpanRef {
    /// Reads `{play_sid}/{span_id}`; `None` where the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (play, span) = text.split_once('/')?;
        (!play.is_empty() && !span.is_empty()).then(|| Self {
            play: play.into(),
            span: span.into(),
        })
    }
}

impl fmt::Display for SpanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.play, self.span)
    }
}

/// Which process: the pid alone is reused by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks since boot (`/proc/PID/stat`); 0 where the platform does not tell.
    pub started: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_sort_by_creation() {
        let sids: Vec<_> = (0..10_000).map(|_| PlaySid::fresh()).collect();
        assert!(sids.is_sorted());
    }

    #[test]
    fn span_refs_read_what_they_write() {
        let text = "0193/1.17";
        assert_eq!(SpanRef::parse(text).unwrap().to_string(), text);
        for broken in ["", "/", "a/", "/1", "plain"] {
            assert_eq!(SpanRef::parse(broken), None, "{broken}");
        }
    }
}
