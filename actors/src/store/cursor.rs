//! Where the next page of a list starts, as text. The same in every backend.
//!
//! A cursor names the last row of the page before by what never changes (a sid, an ordinal, a
//! number), so a list can change between two pages. The letter in front says which list it is of:
//! one list's cursor is never taken for another's.

use protocol::{PlaySid, overview::Question};

use super::{Seq, StoreError};

fn invalid(list: &str, text: &str) -> StoreError {
    StoreError::InvalidInput(format!(
        "{text:?} is no cursor of {list}; pass the next_cursor of the page before, or none for the first page"
    ))
}

fn parse<T>(
    list: &str,
    letter: &str,
    cursor: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    let Some(text) = cursor else { return Ok(None) };
    text.strip_prefix(letter)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(read)
        .map(Some)
        .ok_or_else(|| invalid(list, text))
}

/// Numbers are taken in the one form in which they are handed out, and as far as they are stored.
fn number(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|n: &u64| n.to_string() == text && i64::try_from(*n).is_ok())
}

pub(super) fn of_play(sid: &PlaySid) -> String {
    format!("p.{sid}")
}

/// The play after which a page of plays starts.
pub(super) fn play(cursor: Option<&str>) -> Result<Option<PlaySid>, StoreError> {
    parse("a list of plays", "p", cursor, |rest| {
        (!rest.is_empty()).then(|| rest.into())
    })
}

pub(super) fn of_span(ord: u64) -> String {
    format!("s.{ord}")
}

/// The ordinal after which a page of spans starts.
pub(super) fn span(cursor: Option<&str>) -> Result<Option<u64>, StoreError> {
    parse("a play's spans", "s", cursor, number)
}

pub(super) fn of_log(seq: Seq) -> String {
    format!("l.{seq}")
}

/// The number of the log behind which a page of logs starts.
pub(super) fn log(cursor: Option<&str>) -> Result<Option<Seq>, StoreError> {
    parse("a play's logs", "l", cursor, number)
}

pub(super) fn of_version(version: u32) -> String {
    format!("v.{version}")
}

/// The version number before which a page of versions starts.
pub(super) fn version(cursor: Option<&str>) -> Result<Option<u32>, StoreError> {
    parse("a workflow's versions", "v", cursor, |rest| {
        number(rest).and_then(|n| n.try_into().ok())
    })
}

pub(super) fn of_question(question: &Question) -> String {
    Asked {
        created_at: question.created_at.0,
        play: question.play_sid.clone(),
        key: question.id.clone(),
    }
    .text()
}

/// The place of a question among all of them: the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) created_at: f64,
    pub(super) play: PlaySid,
    /// Of its step.
    pub(super) key: String,
}

impl Asked {
    pub(super) fn text(&self) -> String {
        let bits = self.created_at.to_bits();
        format!("q.{bits}.{}.{}", self.play, self.key)
    }

    /// The question after which a page starts.
    pub(super) fn read(cursor: Option<&str>) -> Result<Option<Self>, StoreError> {
        parse("a list of questions", "q", cursor, |rest| {
            let (bits, rest) = rest.split_once('.')?;
            let (play, key) = rest.split_once('.')?;
            let created_at = f64::from_bits(bits.parse().ok()?);
            created_at.is_finite().then(|| Self {
                created_at,
                play: play.into(),
                key: key.to_owned(),
            })
        })
    }
}

/// A list of workflows is in the order of their latest change, which moves while somebody pages.
///
/// So a listing goes in rounds: the first over all that there was (`floor` 0), each further one over
/// what changed during the round before. No workflow that was there at the start and stayed is
/// missed, one that changed meanwhile can come twice, one that was made later is left to the next
/// listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workflows {
    /// The latest change when the listing began: what was created after it is not in the listing.
    pub(super) born: Seq,
    /// The latest change when this round began.
    pub(super) top: Seq,
    /// This round is over the changes after this one …
    pub(super) floor: Seq,
    /// … and, on this page, before this one.
    pub(super) below: Seq,
}

impl Workflows {
    /// The place a cursor names; without one the start, `now` being the latest change.
    pub(super) fn read(cursor: Option<&str>, now: Seq) -> Result<Self, StoreError> {
        let place = parse("a list of workflows", "w", cursor, |rest| {
            let mut parts = rest.split('.').map(number);
            let mut next = || parts.next().flatten();
            let place = Self {
                born: next()?,
                top: next()?,
                floor: next()?,
                below: next()?,
            };
            parts.next().is_none().then_some(place)
        })?;
        Ok(place.unwrap_or(Self {
            born: now,
            top: now,
            floor: 0,
            below: now.saturating_add(1),
        }))
    }

    /// After the workflow whose latest change is `last`.
    pub(super) fn after(self, last: Seq) -> Self {
        Self {
            below: last,
            ..self
        }
    }

    /// A further round, over what changed since this one began.
    pub(super) fn again(self, now: Seq) -> Self {
        Self {
            born: self.born,
            top: now,
            floor: self.top,
            below: now.saturating_add(1),
        }
    }

    pub(super) fn text(self) -> String {
        let Self {
            born,
            top,
            floor,
            below,
        } = self;
        format!("w.{born}.{top}.{floor}.{below}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_what_they_write() {
        let sid = PlaySid::fresh();
        assert_eq!(play(Some(&of_play(&sid))), Ok(Some(sid)));
        assert_eq!(span(Some(&of_span(17))), Ok(Some(17)));
        assert_eq!(log(Some(&of_log(18))), Ok(Some(18)));
        assert_eq!(version(Some(&of_version(3))), Ok(Some(3)));
        let asked = Asked {
            created_at: 1_790_000_000_123.457,
            play: PlaySid::fresh(),
            key: "a.b/2".to_owned(),
        };
        assert_eq!(Asked::read(Some(&asked.text())), Ok(Some(asked)));
        for broken in ["q.", "q.1", "q.1.p", "q.x.p.k", "q.9218868437227405312.p.k"] {
            assert!(Asked::read(Some(broken)).is_err(), "{broken}");
        }
        let place = Workflows::read(None, 9).unwrap().after(4).again(12);
        assert_eq!(Workflows::read(Some(&place.text()), 50), Ok(place));
    }

    #[test]
    fn what_was_not_handed_out_is_refused() {
        for broken in [
            "",
            "p",
            "p.",
            "s.1",
            "s.01",
            "s.-1",
            "s.1x",
            "l.01",
            "w.1.2.3",
            "v.99999999999",
        ] {
            let kinds = [
                play(Some(broken)).is_ok() && !broken.starts_with("p."),
                span(Some(broken)).is_ok() && broken != "s.1",
                log(Some(broken)).is_ok(),
                version(Some(broken)).is_ok(),
                Workflows::read(Some(broken), 1).is_ok(),
            ];
            assert_eq!(kinds, [false; 5], "{broken:?}");
        }
        assert!(play(Some("p.")).is_err());
    }
}
