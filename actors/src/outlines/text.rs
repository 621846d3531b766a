//! A whole outline as one JSON text, in columns. Written by hand: it is millions of small numbers.

use std::collections::BTreeMap;

use protocol::{PlaySid, SpanKind, SpanStatus, play::PlayBrief};
use serde::Serialize;

use crate::store::{
    Outline, Seq,
    outline::{NONE, OPEN},
};

/// What comes before the columns.
#[derive(Serialize)]
struct Head<'a> {
    play: &'a Option<PlayBrief>,
    seq: Seq,
    count: usize,
    names: &'a [Box<str>],
    child_plays: &'a BTreeMap<u32, PlaySid>,
}

/// The number of a kind, as the columns have it.
#[must_use]
pub fn kind_number(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::FlowRoot => 0,
        SpanKind::Step => 1,
        SpanKind::Rpc => 2,
        SpanKind::Subflow => 3,
        SpanKind::Other => 4,
    }
}

/// The number of a status, as the columns have it.
#[must_use]
pub fn status_number(status: SpanStatus) -> u8 {
    match status {
        SpanStatus::Running => 0,
        SpanStatus::Ok => 1,
        SpanStatus::Failed => 2,
        SpanStatus::TimedOut => 3,
        SpanStatus::Cancelled => 4,
        SpanStatus::Replayed => 5,
    }
}

/// The outline's text.
///
/// # Errors
/// The play's record can't be written as JSON.
pub fn write(outline: &Outline) -> serde_json::Result<Vec<u8>> {
    let head = Head {
        play: &outline.play,
        seq: outline.seq(),
        count: outline.len(),
        names: outline.names(),
        child_plays: outline.child_plays(),
    };
    let mut out = Vec::with_capacity(4_096 + outline.len() * 56);
    serde_json::to_writer(&mut out, &head)?;
    // The columns go before its closing brace.
    out.pop();
    out.extend_from_slice(b",\"ids\":[");
    for ord in (0..).take(outline.len()) {
        if ord > 0 {
            out.push(b',');
        }
        text(&mut out, outline.id(ord))?;
    }
    out.push(b']');
    let parent = |parent: &u32| match *parent {
        NONE => -1,
        parent => i64::from(parent),
    };
    column(&mut out, "parent", outline.parents(), |out, at| {
        number(out, parent(at))
    });
    column(&mut out, "name", outline.name_numbers(), |out, name| {
        number(out, i64::from(*name))
    });
    column(&mut out, "kind", outline.kinds(), |out, kind| {
        number(out, kind_number(*kind).into())
    });
    column(&mut out, "status", outline.statuses(), |out, status| {
        number(out, status_number(*status).into());
    });
    column(&mut out, "start", outline.starts(), |out, start| {
        millis(out, *start)
    });
    column(&mut out, "end", outline.ends(), |out, end| match *end {
        OPEN => out.extend_from_slice(b"-1"),
        end => millis(out, end),
    });
    column(&mut out, "flags", outline.flags(), |out, flags| {
        number(out, i64::from(*flags))
    });
    out.push(b'}');
    Ok(out)
}

fn column<T>(out: &mut Vec<u8>, name: &str, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":[");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

/// Ids are mostly digits and dots.
fn text(out: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return Ok(());
    }
    serde_json::to_writer(out, text)
}

fn number(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Microseconds as milliseconds, without needless digits.
fn millis(out: &mut Vec<u8>, micros: i64) {
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs();
    number(out, (micros / 1_000).cast_signed());
    let fraction = (micros % 1_000) as u16;
    if fraction > 0 {
        out.push(b'.');
        let digits = [fraction / 100, fraction / 10 % 10, fraction % 10];
        let shown = 1 + digits.iter().rposition(|digit| *digit > 0).unwrap_or(0);
        out.extend(digits[..shown].iter().map(|digit| b'0' + *digit as u8));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_as_they_were(micros in -9_000_000_000_000_i64..9_000_000_000_000, any: i64) {
            let mut out = Vec::new();
            millis(&mut out, micros);
            let read: f64 = serde_json::from_slice(&out).unwrap();
            prop_assert!((read * 1_000.0 - micros as f64).abs() < 0.01, "{micros} {read}");
            out.clear();
            number(&mut out, any);
            prop_assert_eq!(serde_json::from_slice::<i64>(&out).unwrap(), any);
        }
    }

    #[test]
    fn needless_digits_are_left_out() {
        for (micros, shown) in [
            (0, "0"),
            (1_000, "1"),
            (1_500, "1.5"),
            (-20, "-0.02"),
            (7, "0.007"),
        ] {
            let mut out = Vec::new();
            millis(&mut out, micros);
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
    }

    #[test]
    fn an_empty_one_is_json() {
        let text = write(&Outline::default()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read["count"], 0);
        assert_eq!(read["ids"], serde_json::json!([]));
        assert_eq!(read["flags"], serde_json::json!([]));
    }
}
