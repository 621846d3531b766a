//! Rules about what is told of the inside of a play: its outline, single spans, its logs, searches.

use std::{collections::HashSet, sync::Arc};

use protocol::{
    Log, LogStream, Play, PlaySid, Span, SpanKind, SpanStatus, Step, StepStart,
    reading::{LogPage, MatchPlace},
};

use super::sample::{
    TEXT, TIME, ended, full_span, log, logged, ok, record, running, span, spanned, write,
};
use crate::{
    matching::Matcher,
    store::{
        FindSpans, LogQuery, LogsOf, Outline, PlayChange, Progress, Store, StoreError,
        outline::{NONE, OPEN, flags},
    },
};

type S = Arc<dyn Store>;

/// Reads on until it is whole, so many spans at a time.
async fn read(store: &S, play: &PlaySid, mut outline: Outline, limit: u32) -> Outline {
    loop {
        outline = ok(store.outline(play, outline, limit).await).expect("the play is there");
        if matches!(outline.progress, Progress::Current(_)) {
            return outline;
        }
    }
}

fn below(ord: u64, parent: &str) -> PlayChange {
    let parent_id = parent.to_owned();
    spanned(
        ord,
        Span {
            parent_id,
            ..span(ord)
        },
    )
}

/// What is drawn of an outline, one line a span.
fn drawn(outline: &Outline) -> Vec<String> {
    let spans = (0..).take(outline.len());
    let line = |ord: u32| {
        let at = ord as usize;
        let parent = match outline.parents()[at] {
            NONE => "-".to_owned(),
            parent => outline.id(parent).to_owned(),
        };
        let end = match outline.ends()[at] {
            OPEN => "-".to_owned(),
            end => (end - outline.starts()[at]).to_string(),
        };
        format!(
            "{} {parent} {:?} {} {end} {}",
            outline.id(ord),
            outline.name_of(ord),
            outline.statuses()[at].as_str(),
            outline.flags()[at],
        )
    };
    spans.map(line).collect()
}

fn step(span_id: &str) -> PlayChange {
    PlayChange::Step(Arc::new(Step {
        start: StepStart {
            key: span_id.into(),
            parent: "".into(),
            position: Some(0),
            args: "".into(),
            function: "".into(),
        },
        name: "step".into(),
        span_id: span_id.into(),
        start_ms: TIME,
        end_ms: None,
        kept: None,
    }))
}

pub(super) async fn an_outline_is_the_shape_of_all_spans(store: S) {
    let play = running(&*store).await;
    let other = running(&*store).await;
    let full = Span {
        parent_id: "1.0".to_owned(),
        ..full_span(2)
    };
    let child = full.child_play_sid.clone().expect("a child play");
    let changes = vec![
        spanned(
            0,
            Span {
                parent_id: "p/9.9".to_owned(),
                ..span(0)
            },
        ),
        below(1, "1.0"),
        spanned(2, full),
        below(3, "1.1"),
        logged("", "early"),
        logged("1.3", "own"),
        logged("9.9", "of nobody"),
        step("1.3"),
    ];
    write(&*store, &play, changes).await;
    let foreign = vec![spanned(0, span(0)), logged("1.0", "foreign"), step("1.0")];
    let last = write(&*store, &other, foreign).await;
    let all = flags::TAGS | flags::ERROR | flags::CHILD_PLAY | flags::DURABLE;
    for limit in [1, 2, 100] {
        let outline = read(&store, &play.sid, Outline::default(), limit).await;
        assert_eq!(
            drawn(&outline),
            [
                "1.0 - \"step 0\" running - 1".to_owned(),
                "1.1 1.0 \"step 1\" running - 0".to_owned(),
                format!("1.2 1.0 {TEXT:?} replayed 250 {all}"),
                "1.3 1.1 \"step 3\" running - 17".to_owned(),
            ]
        );
        assert_eq!(outline.kinds()[2], SpanKind::Rpc);
        assert_eq!(outline.child_plays().get(&2), Some(&child));
        assert_eq!((outline.seq(), outline.expected), (last.seq, 4));
        assert_eq!(outline.play.as_ref().map(|play| &play.sid), Some(&play.sid));
    }
    let unknown = store
        .outline(&PlaySid::fresh(), Outline::default(), 9)
        .await;
    assert!(ok(unknown).is_none());
}

pub(super) async fn an_outline_is_brought_up_to_date(store: S) {
    let play = running(&*store).await;
    write(&*store, &play, vec![spanned(0, span(0)), below(1, "1.0")]).await;
    let mut outline = read(&store, &play.sid, Outline::default(), 1).await;
    let mut begun = ok(store.outline(&play.sid, Outline::default(), 1).await).expect("begun");
    let rounds = [
        // The parent changes last, so it comes behind its child.
        vec![
            below(2, "1.0"),
            below(3, "1.2"),
            logged("1.3", "x"),
            below(2, "1.0"),
        ],
        vec![
            step("1.3"),
            spanned(
                3,
                Span {
                    parent_id: "1.2".to_owned(),
                    ..full_span(3)
                },
            ),
        ],
        vec![logged("", "stray")],
        vec![record(&ended(&play))],
    ];
    for changes in rounds {
        write(&*store, &play, changes).await;
        outline = read(&store, &play.sid, outline, 2).await;
        let anew = read(&store, &play.sid, Outline::default(), 100).await;
        assert_eq!(drawn(&outline), drawn(&anew));
        assert_eq!(outline.child_plays(), anew.child_plays());
        assert_eq!(outline.seq(), anew.seq());
        assert_eq!(outline.play, anew.play);
    }
    let cause = outline.play.as_ref().and_then(|play| play.cause.as_ref());
    let cause = cause.expect("it has failed");
    assert_eq!((cause.message.as_str(), &cause.stderr_tail), (TEXT, &None));
    // One whose reading was under way all the time.
    begun = read(&store, &play.sid, begun, 1).await;
    assert_eq!(drawn(&begun), drawn(&outline));
}

pub(super) async fn a_span_tells_how_much_it_has_logged(store: S) {
    let play = running(&*store).await;
    let full = full_span(1);
    let changes = vec![
        spanned(0, span(0)),
        spanned(1, full.clone()),
        logged("", "early"),
        logged("1.0", "é"),
        logged("1.1", TEXT),
    ];
    write(&*store, &play, changes).await;
    let root = ok(store.span(&play.sid, 0).await).expect("the root");
    assert_eq!((root.log_count, root.log_bytes), (2, 7));
    let found = ok(store.span(&play.sid, 1).await).expect("the span");
    assert_eq!(found.span, full);
    assert_eq!((found.log_count, found.log_bytes), (1, TEXT.len() as u64));
    assert_eq!(ok(store.span(&play.sid, 2).await), None);
    assert_eq!(ok(store.span(&PlaySid::fresh(), 0).await), None);
}

fn wanted(of: LogsOf, limit: u32) -> LogQuery {
    LogQuery {
        of,
        stream: None,
        text: None,
        cursor: None,
        limit,
        backwards: false,
    }
}

/// The texts of all pages, and the total that the first one tells.
async fn texts(store: &S, play: &Play, mut query: LogQuery) -> (Vec<String>, Option<u64>) {
    let (mut all, mut total) = (Vec::new(), None);
    let mut last = None;
    loop {
        let page = store.logs(&play.sid, query.clone()).await;
        let LogPage {
            items,
            next_cursor,
            total: told,
        } = ok(page).expect("the play is there");
        assert!(items.len() <= query.limit as usize);
        for entry in items {
            let onward = last.is_none_or(|last| (entry.seq > last) != query.backwards);
            assert!(onward, "{} after {last:?}", entry.seq);
            last = Some(entry.seq);
            all.push(entry.log.text);
        }
        total = total.or(told);
        if next_cursor.is_none() {
            return (all, total);
        }
        query.cursor = next_cursor;
    }
}

pub(super) async fn logs_are_read_both_ways(store: S) {
    let play = running(&*store).await;
    let other = running(&*store).await;
    let mut changes = vec![
        logged("", "early"),
        spanned(0, span(0)),
        spanned(1, span(1)),
    ];
    changes.extend((0..5).map(|n| logged(&format!("1.{}", n % 2), &format!("t{n}"))));
    write(&*store, &play, changes).await;
    write(
        &*store,
        &other,
        vec![spanned(0, span(0)), logged("1.1", "foreign")],
    )
    .await;
    for (of, expected, total) in [
        (
            LogsOf::Play,
            vec!["early", "t0", "t1", "t2", "t3", "t4"],
            Some(6),
        ),
        (LogsOf::Span("1.1".into()), vec!["t1", "t3"], Some(2)),
        (
            LogsOf::Root("1.0".into()),
            vec!["early", "t0", "t2", "t4"],
            Some(4),
        ),
        (
            LogsOf::Such(Arc::new(|id| id == "1.1")),
            vec!["t1", "t3"],
            None,
        ),
        (LogsOf::Span("9.9".into()), vec![], Some(0)),
    ] {
        for limit in [1, 2, 100] {
            let forwards = wanted(of.clone(), limit);
            let found = texts(&store, &play, forwards.clone()).await;
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(found, (expected.clone(), total), "{of:?} {limit}");
            let backwards = LogQuery {
                backwards: true,
                ..forwards
            };
            let (mut found, _) = texts(&store, &play, backwards).await;
            found.reverse();
            assert_eq!(found, expected, "{of:?} {limit}");
        }
    }
    let none = ok(store.logs(&play.sid, wanted(LogsOf::Play, 0)).await).expect("a page");
    assert_eq!((none.items, none.next_cursor), (vec![], None));
    let unknown = store.logs(&PlaySid::fresh(), wanted(LogsOf::Play, 1)).await;
    assert_eq!(ok(unknown), None);
    let foreign = LogQuery {
        cursor: Some("s.1".to_owned()),
        ..wanted(LogsOf::Play, 1)
    };
    let refused = store.logs(&play.sid, foreign).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidInput(_))),
        "{refused:?}"
    );
}

pub(super) async fn logs_are_filtered_by_stream_and_text(store: S) {
    let play = running(&*store).await;
    let said = |stream, text: &str| {
        let log = log("1.0", text);
        PlayChange::Log(Arc::new(Log { stream, ..log }))
    };
    let changes = vec![
        spanned(0, span(0)),
        said(LogStream::Stdout, "Straße"),
        said(LogStream::Stderr, "STRASSE"),
        said(LogStream::Log, "way"),
    ];
    write(&*store, &play, changes).await;
    let text = |text| LogQuery {
        text: Some(Matcher::new(text)),
        ..wanted(LogsOf::Play, 1)
    };
    let found = texts(&store, &play, text("strasse")).await;
    assert_eq!(found, (vec!["Straße".into(), "STRASSE".into()], None));
    let only = LogQuery {
        stream: Some(LogStream::Stderr),
        ..text("s")
    };
    assert_eq!(texts(&store, &play, only).await.0, ["STRASSE"]);
}

pub(super) async fn spans_are_found_by_what_they_hold(store: S) {
    let play = running(&*store).await;
    let with = |ord, name: &str, tags: &str, error: Option<&str>| {
        let (name, error) = (name.to_owned(), error.map(str::to_owned));
        let tags = serde_json::from_str(tags).expect("tags");
        spanned(
            ord,
            Span {
                name,
                tags,
                error,
                status: SpanStatus::Failed,
                ..span(ord)
            },
        )
    };
    let changes = vec![
        with(0, "main", "{}", None),
        with(1, "Load ORDERS", r#"{"orders":1}"#, None),
        with(2, "x", r#"{"k":"the Orders"}"#, Some("orders")),
        with(3, "x", "{}", Some("no orders")),
        with(4, "x", "{}", None),
        with(5, "x", "{}", None),
    ];
    write(&*store, &play, changes).await;
    let find = async |logged: &[&str], limit| {
        let mut wanted = FindSpans {
            text: Matcher::new("orders"),
            logged: Arc::new(logged.iter().map(|id| (*id).into()).collect::<HashSet<_>>()),
            after: None,
            limit,
        };
        let mut all = Vec::new();
        loop {
            let found = ok(store.find_spans(&play.sid, wanted.clone()).await);
            assert!(found.matches.len() <= limit as usize);
            all.extend(
                found
                    .matches
                    .into_iter()
                    .map(|m| (m.span_id.to_string(), m.place)),
            );
            wanted.after = found.next;
            if found.next.is_none() {
                return all;
            }
        }
    };
    use MatchPlace::{Error, Log, Name, Tag};
    for limit in [1, 100] {
        let expected = [("1.1", Name), ("1.2", Tag), ("1.3", Error)];
        let expected = expected.map(|(id, place)| (id.to_owned(), place));
        assert_eq!(find(&[], limit).await, expected);
        let found = find(&["", "1.1", "1.5"], limit).await;
        assert_eq!(found.first(), Some(&("1.0".to_owned(), Log)));
        assert_eq!(found.last(), Some(&("1.5".to_owned(), Log)));
        assert_eq!(found.len(), 5);
    }
    let wanted = FindSpans {
        text: Matcher::new("x"),
        logged: Arc::default(),
        after: None,
        limit: 1,
    };
    let unknown = ok(store.find_spans(&PlaySid::fresh(), wanted).await);
    assert!(unknown.matches.is_empty() && unknown.next.is_none());
}
