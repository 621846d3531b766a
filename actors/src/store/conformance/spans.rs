//! Rules about spans and logs.

use std::sync::Arc;

use protocol::{LogStream, Play, Span, SpanStatus, rpc::SpanPage};

use super::sample::{TEXT, full_span, log, logged, ok, running, span, spanned, write};
use crate::store::{PlayChange, Store};

type S = Arc<dyn Store>;

async fn page(store: &S, play: &Play, cursor: Option<String>, limit: u32) -> SpanPage {
    ok(store.spans(&play.sid, cursor, limit).await).expect("the play is there")
}

/// Each span's id with the texts of its logs.
fn short(page: &SpanPage) -> Vec<String> {
    let of_span = |span: &protocol::span::SpanWithLogs| {
        let logs: Vec<_> = span.logs.iter().map(|log| log.text.as_str()).collect();
        format!("{} [{}]", span.span.span_id, logs.join(" "))
    };
    page.spans.iter().map(of_span).collect()
}

pub(super) async fn every_field_comes_back(store: S) {
    let play = running(&*store).await;
    let (plain, full) = (span(0), full_span(1));
    let mut text = log("1.1", TEXT);
    text.stream = LogStream::Stderr;
    let changes = vec![
        spanned(0, plain.clone()),
        spanned(1, full.clone()),
        PlayChange::Log(Arc::new(text.clone())),
    ];
    write(&*store, &play, changes).await;
    let page = page(&store, &play, None, 10).await;
    assert_eq!((&page.spans[0].span, &page.spans[1].span), (&plain, &full));
    assert_eq!(page.spans[1].logs, [text]);
    let tags = page.spans[1].span.tags.to_map();
    let order: Vec<_> = tags.keys().collect();
    assert_eq!(order, ["z", "a", "n", "f", "o"]);
}

pub(super) async fn a_changed_span_keeps_its_place(store: S) {
    let play = running(&*store).await;
    let open = (0..3).map(|n| spanned(n, span(n))).collect();
    write(&*store, &play, open).await;
    let closed = Span {
        status: SpanStatus::Ok,
        ..full_span(1)
    };
    write(&*store, &play, vec![spanned(1, closed.clone())]).await;
    let spans: Vec<_> = page(&store, &play, None, 10).await.spans;
    let spans: Vec<_> = spans.into_iter().map(|span| span.span).collect();
    assert_eq!(spans, [span(0), closed, span(2)]);
    let stored = ok(store.stored_play(&play.sid).await).expect("stored");
    assert_eq!(stored.past.spans, 3);
}

pub(super) async fn pages_hold_while_spans_start(store: S) {
    let play = running(&*store).await;
    let other = running(&*store).await;
    let open = (0..10).map(|n| spanned(n, span(n))).collect();
    write(&*store, &play, open).await;
    write(&*store, &other, vec![spanned(0, span(99))]).await;
    let (mut found, mut cursor, mut next) = (Vec::new(), None, 10);
    loop {
        let page = page(&store, &play, cursor, 4).await;
        found.extend(short(&page));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        if next < 12 {
            write(
                &*store,
                &play,
                vec![spanned(next, span(next)), spanned(0, full_span(0))],
            )
            .await;
            next += 1;
        }
    }
    let expected: Vec<_> = (0..12).map(|n| format!("1.{n} []")).collect();
    assert_eq!(found, expected);
}

pub(super) async fn logs_are_with_their_span(store: S) {
    let play = running(&*store).await;
    let other = running(&*store).await;
    let changes = vec![
        spanned(0, span(0)),
        spanned(1, span(1)),
        logged("1.1", "a"),
        logged("1.0", "b"),
        logged("1.1", "c"),
    ];
    write(&*store, &play, changes).await;
    write(
        &*store,
        &other,
        vec![spanned(0, span(0)), logged("1.0", "foreign")],
    )
    .await;
    write(
        &*store,
        &play,
        vec![logged("1.1", "after its end"), logged("1.0", "d")],
    )
    .await;
    assert_eq!(
        short(&page(&store, &play, None, 10).await),
        ["1.0 [b d]", "1.1 [a c after its end]"]
    );
    let first = page(&store, &play, None, 1).await;
    let second = page(&store, &play, first.next_cursor, 1).await;
    assert_eq!(short(&second), ["1.1 [a c after its end]"]);
}

pub(super) async fn early_logs_are_with_the_first_span(store: S) {
    let play = running(&*store).await;
    write(&*store, &play, vec![logged("", "early")]).await;
    assert!(short(&page(&store, &play, None, 10).await).is_empty());
    let changes = vec![
        spanned(0, span(0)),
        logged("1.0", "own"),
        logged("", "stray"),
        spanned(1, span(1)),
        logged("1.0", "last"),
    ];
    write(&*store, &play, changes).await;
    let expected = ["1.0 [early own stray last]", "1.1 []"];
    assert_eq!(short(&page(&store, &play, None, 10).await), expected);
    let first = page(&store, &play, None, 1).await;
    let second = page(&store, &play, first.next_cursor, 1).await;
    assert_eq!(short(&second), ["1.1 []"]);
}

pub(super) async fn a_log_of_no_span_breaks_nothing(store: S) {
    let play = running(&*store).await;
    write(
        &*store,
        &play,
        vec![
            spanned(0, span(0)),
            logged("9.9", "lost"),
            logged("1.0", "kept"),
        ],
    )
    .await;
    assert_eq!(short(&page(&store, &play, None, 10).await), ["1.0 [kept]"]);
    let snapshot = ok(store.snapshot(&play.sid).await).expect("snapshot");
    assert_eq!(snapshot.logs.len(), 2);
}

pub(super) async fn a_snapshot_has_everything(store: S) {
    let play = running(&*store).await;
    let spans = vec![full_span(0), span(1)];
    let logs = vec![log("", "early"), log("1.1", "b"), log("1.0", "a")];
    let mut changes: Vec<_> = (0..)
        .zip(&spans)
        .map(|(n, s)| spanned(n, s.clone()))
        .collect();
    changes.extend(
        logs.iter()
            .map(|log| PlayChange::Log(Arc::new(log.clone()))),
    );
    write(&*store, &play, changes).await;
    let last = write(
        &*store,
        &running(&*store).await,
        vec![logged("", "of another")],
    )
    .await;
    let snapshot = ok(store.snapshot(&play.sid).await).expect("snapshot");
    assert_eq!(snapshot.play, play);
    assert_eq!(snapshot.spans, spans);
    assert_eq!(snapshot.logs, logs);
    assert_eq!(snapshot.seq, last.seq);
}
