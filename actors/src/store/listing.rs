//! What lists of plays are made of, the same in every backend: which plays are wanted, what is counted of them, what
//! changed of a list. Pure.

use protocol::{
    EpochMs, PlayStatus, PlaySummary, Workflow,
    rpc::{Page, PlayList},
};

use super::{Seq, StoreError};
use crate::matching::{Matcher, fold};

/// The longest text that can be searched for, bytes.
const LONGEST_QUERY: usize = 1_000;

/// What is counted of a play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayFacts {
    pub created_at: EpochMs,
    pub status: PlayStatus,
    pub duration_ms: Option<f64>,
}

/// Some plays of a list, newest first.
pub type FactPage = Page<PlayFacts>;

/// A play or a workflow that changed, as it now stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ListChange {
    pub seq: Seq,
    pub body: ListBody,
}

/// See [`ListChange`].
#[derive(Clone, Debug, PartialEq)]
pub enum ListBody {
    Play(Box<PlaySummary>),
    Workflow {
        workflow: Box<Workflow>,
        /// It is no longer in the library.
        deleted: bool,
    },
}

/// The statuses that are wanted; `None`: whatever they are.
pub(super) fn statuses(query: &PlayList) -> Option<Vec<PlayStatus>> {
    let named = |status: &PlayStatus| {
        (query.statuses.is_empty() || query.statuses.contains(status))
            && query.status.is_none_or(|one| one == *status)
    };
    let any = query.statuses.is_empty() && query.status.is_none();
    (!any).then(|| PlayStatus::ALL.into_iter().filter(named).collect())
}

/// A text that is searched for.
#[derive(Debug)]
pub(super) struct Sought {
    text: Matcher,
    beginning: String,
}

impl Sought {
    /// Of this list, where it searches for one.
    pub(super) fn of(query: &PlayList) -> Result<Option<Self>, StoreError> {
        let Some(text) = query.query.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if text.len() > LONGEST_QUERY {
            return Err(StoreError::InvalidInput(format!(
                "query has {} bytes; a text of at most {LONGEST_QUERY} can be searched for",
                text.len()
            )));
        }
        Ok(Some(Self {
            text: Matcher::new(text),
            beginning: fold(text),
        }))
    }

    /// Whether a play with this sid and these texts is one of those.
    pub(super) fn is_in<'t>(&self, sid: &str, texts: impl IntoIterator<Item = &'t str>) -> bool {
        sid.starts_with(&self.beginning) || texts.into_iter().any(|text| self.text.is_in(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_name_statuses_go_together() {
        let list = |status, named: &[PlayStatus]| {
            statuses(&PlayList {
                status,
                statuses: named.to_vec(),
                ..PlayList::default()
            })
        };
        let (failed, running) = (PlayStatus::Failed, PlayStatus::Running);
        assert_eq!(list(None, &[]), None);
        assert_eq!(list(Some(failed), &[]), Some(vec![failed]));
        assert_eq!(list(None, &[failed, running]), Some(vec![running, failed]));
        assert_eq!(list(Some(failed), &[failed, running]), Some(vec![failed]));
        assert_eq!(list(Some(failed), &[running]), Some(Vec::new()));
    }

    #[test]
    fn a_text_is_found_in_any_case_and_a_sid_by_its_beginning() {
        let sought = |text: &str| {
            let query = Some(text.to_owned());
            Sought::of(&PlayList {
                query,
                ..PlayList::default()
            })
        };
        let finds = |text: &str, sid: &str, texts: &[&str]| {
            let sought = sought(text).unwrap().unwrap();
            sought.is_in(sid, texts.iter().copied())
        };
        assert!(finds("STRASSE", "01", &["x", "die Straße"]));
        assert!(finds("01AB", "01ab-7", &[]));
        assert!(!finds("ab-7", "01ab-7", &["ab7"]));
        assert!(sought("").unwrap().is_none());
        assert!(sought(&"x".repeat(LONGEST_QUERY + 1)).is_err());
    }
}
