use proptest::prelude::*;
use protocol::{EpochMs, SpanId, SpanKind};

use super::*;
use crate::store::outline::OutlineRow;

/// Spans `0`, `1`, …, each below the one that is named, with its times in milliseconds.
fn outline(spans: &[(Option<u32>, f64, Option<f64>, SpanStatus)]) -> Outline {
    let mut outline = Outline::default();
    outline.created(EpochMs(0.0));
    for (ord, (parent, start_ms, end_ms, status)) in (0_u64..).zip(spans) {
        let (id, parent) = (ord.to_string(), parent.map(|parent| parent.to_string()));
        outline.put(&OutlineRow {
            ord,
            span_id: &id,
            parent_id: parent.as_deref().unwrap_or_default(),
            name: "n",
            kind: SpanKind::Step,
            status: *status,
            start_ms: *start_ms,
            end_ms: *end_ms,
            has_tags: false,
            has_error: false,
            child_play: None,
        });
    }
    outline.settle();
    outline
}

fn wanted(open: &[u32], first_row: u64, rows: u32) -> PlayWindow {
    PlayWindow {
        play_sid: "p".into(),
        open: open.iter().map(|ord| ord.to_string().into()).collect(),
        first_row,
        rows,
        from_ms: 0.0,
        to_ms: 10.0,
        pixels: 10,
        reveal: None,
    }
}

fn window(outline: &Outline, wanted: &PlayWindow, now_ms: i64) -> Rows {
    let mut tree = Tree::default();
    tree.follow(outline);
    rows(outline, &tree, wanted, now_ms * 1_000)
}

fn shown(rows: &Rows) -> Vec<(u32, String)> {
    let rows = rows.rows.iter();
    rows.map(|row| (row.depth, row.span_id.to_string()))
        .collect()
}

#[test]
fn only_what_is_open_shows_what_is_below() {
    use SpanStatus::{Failed, Ok, TimedOut};
    let spans = [
        (None, 0.0, Some(9.0), Ok),
        (Some(0), 1.0, Some(2.0), Ok),
        (Some(1), 1.0, Some(2.0), Failed),
        (Some(0), 3.0, Some(4.0), TimedOut),
        (Some(2), 1.0, Some(2.0), TimedOut),
        (Some(0), 5.0, None, SpanStatus::Running),
    ];
    let outline = outline(&spans);
    let all = window(&outline, &wanted(&[0, 1, 2, 3, 4], 0, 99), 9);
    let expected = [(0, "0"), (1, "1"), (2, "2"), (3, "4"), (1, "3"), (1, "5")];
    assert_eq!(
        shown(&all),
        expected.map(|(depth, id)| (depth, id.to_owned()))
    );
    assert_eq!(all.total, 6);
    // What is open below a closed one is not seen.
    let closed = window(&outline, &wanted(&[0, 2], 0, 99), 9);
    let expected = [(0, "0"), (1, "1"), (1, "3"), (1, "5")];
    assert_eq!(
        shown(&closed),
        expected.map(|(depth, id)| (depth, id.to_owned()))
    );
    let row = &closed.rows[1];
    assert_eq!((row.children, row.descendants, row.failed), (1, 2, 2));
    assert!(row.buckets.is_some());
    // Neither an open row nor one without children has a sum.
    assert!(closed.rows[0].buckets.is_none() && closed.rows[2].buckets.is_none());
    let last = &closed.rows[3];
    assert_eq!((last.start, last.end), (5.0, -1.0));
}

#[test]
fn a_column_shows_the_worst_and_how_much_of_it_is_filled() {
    use SpanStatus::{Cancelled, Failed, Ok, Replayed, Running};
    let spans = [
        (None, 0.0, Some(10.0), Ok),
        (Some(0), 0.5, Some(2.25), Ok),
        (Some(0), 1.0, Some(1.5), Replayed),
        (Some(0), 3.0, Some(3.0), Failed),
        (Some(0), 4.0, Some(6.0), Cancelled),
        (Some(0), 5.5, None, Running),
        (Some(0), -5.0, Some(-1.0), Failed),
        (Some(0), 10.0, Some(11.0), Failed),
    ];
    let outline = outline(&spans);
    let sums = window(&outline, &wanted(&[], 0, 1), 8);
    let buckets = sums.rows[0].buckets.clone().unwrap();
    let found: Vec<_> = buckets.iter().map(|b| (b.status, b.coverage)).collect();
    let expected = [
        (Some(Ok), 0.5),
        (Some(Ok), 1.0),
        (Some(Ok), 0.25),
        (Some(Failed), 0.01),
        (Some(Cancelled), 1.0),
        (Some(Running), 1.0),
        (Some(Running), 1.0),
        (Some(Running), 1.0),
        (None, 0.0),
        (None, 0.0),
    ];
    assert_eq!(found, expected);
    // Where only a part of the time is seen, what reaches beyond it is cut.
    let part = PlayWindow {
        from_ms: 1.0,
        to_ms: 2.0,
        pixels: 2,
        ..wanted(&[], 0, 1)
    };
    let sums = window(&outline, &part, 8);
    let buckets = sums.rows[0].buckets.clone().unwrap();
    let found: Vec<_> = buckets.iter().map(|b| (b.status, b.coverage)).collect();
    assert_eq!(found, [(Some(Ok), 1.0), (Some(Ok), 1.0)]);
}

#[test]
fn a_span_is_revealed_wherever_it_is_and_failures_are_gone_through() {
    use SpanStatus::{Failed, Ok, TimedOut};
    let spans = [
        (None, 0.0, Some(9.0), Failed),
        (Some(0), 1.0, Some(2.0), Ok),
        (Some(1), 1.0, Some(2.0), Ok),
        (Some(0), 3.0, Some(4.0), Failed),
        (Some(3), 3.0, Some(4.0), TimedOut),
        (Some(3), 3.0, Some(4.0), Failed),
        (Some(4), 3.0, Some(4.0), Ok),
    ];
    let outline = outline(&spans);
    let reveal = |open: &[u32], span_id: Option<&str>, failure| {
        let reveal = Reveal {
            span_id: span_id.map(Into::into),
            failure,
        };
        let wanted = PlayWindow {
            reveal: Some(reveal),
            ..wanted(open, 0, 99)
        };
        let found = window(&outline, &wanted, 9);
        let revealed = found.revealed.clone()?;
        // It says of itself where it is.
        let row = &found.rows[usize::try_from(revealed.row).unwrap()];
        assert_eq!(row.span_id, revealed.span_id);
        let open: Vec<_> = revealed.open.iter().map(SpanId::as_str).collect();
        Some((revealed.span_id.to_string(), revealed.row, open.join(" ")))
    };
    let told = |id: &str, row, open: &str| Some((id.to_owned(), row, open.to_owned()));
    assert_eq!(reveal(&[], Some("0"), None), told("0", 0, ""));
    assert_eq!(reveal(&[], Some("6"), None), told("6", 4, "0 3 4"));
    // What is open before it counts.
    assert_eq!(reveal(&[0, 1], Some("6"), None), told("6", 5, "0 3 4"));
    assert_eq!(reveal(&[], Some("7"), None), None);
    // A failure began where nothing below has failed.
    assert_eq!(reveal(&[], None, Some(Toward::Next)), told("4", 3, "0 3"));
    assert_eq!(
        reveal(&[], Some("4"), Some(Toward::Next)),
        told("5", 4, "0 3")
    );
    assert_eq!(reveal(&[], Some("5"), Some(Toward::Next)), None);
    assert_eq!(
        reveal(&[], None, Some(Toward::Previous)),
        told("5", 4, "0 3")
    );
    assert_eq!(
        reveal(&[], Some("5"), Some(Toward::Previous)),
        told("4", 3, "0 3")
    );
}

/// All rows, the plain way.
fn plainly(
    parents: &[Option<u32>],
    open: &[u32],
    at: Option<u32>,
    depth: u32,
    out: &mut Vec<(u32, String)>,
) {
    for (ord, parent) in (0..).zip(parents) {
        if *parent == at {
            out.push((depth, ord.to_string()));
            if open.contains(&ord) {
                plainly(parents, open, Some(ord), depth + 1, out);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_window_is_a_part_of_all_rows(
        parents in proptest::collection::vec(any::<proptest::sample::Index>(), 0..30),
        open in proptest::collection::vec(0_u32..30, 0..20),
        first in 0_u64..35,
        count in 0_u32..35,
    ) {
        // The first is a root, so is whoever draws itself.
        let parents: Vec<Option<u32>> = (0..).zip(&parents).map(|(ord, index)| {
            let drawn = u32::try_from(index.index(ord as usize + 1)).unwrap();
            (drawn != ord).then_some(drawn)
        }).collect();
        let spans: Vec<_> = parents.iter().map(|parent| (*parent, 1.0, Some(2.0), SpanStatus::Failed)).collect();
        let outline = outline(&spans);
        let found = window(&outline, &wanted(&open, first, count), 0);
        let mut all = Vec::new();
        plainly(&parents, &open, None, 0, &mut all);
        prop_assert_eq!(found.total, all.len() as u64);
        let part: Vec<_> = all.iter().skip(usize::try_from(first).unwrap()).take(count as usize).cloned().collect();
        prop_assert_eq!(shown(&found), part);
        for row in &found.rows {
            let ord: u32 = row.span_id.as_str().parse().unwrap();
            let mut below = Vec::new();
            let everything: Vec<u32> = (0..30).collect();
            plainly(&parents, &everything, Some(ord), 0, &mut below);
            prop_assert_eq!((row.descendants, row.failed), (below.len() as u64, below.len() as u64));
            let direct = parents.iter().filter(|parent| **parent == Some(ord)).count();
            prop_assert_eq!(row.children, direct as u64);
        }
    }
}
