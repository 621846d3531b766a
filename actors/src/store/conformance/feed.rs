//! Rules about numbers, the feed and what can be read of changes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::Poll,
};

use futures_util::future::join_all;
use protocol::{Play, PlayStatus, Span, SpanStatus};

use super::sample::{
    create, ended, logged, new_play, ok, record, running, short, span, spanned, with_status, write,
    write_as,
};
use crate::store::{
    Batch, Change, Store,
    feed::{Heard, Subscription},
};

type S = Arc<dyn Store>;

/// What the listener hears next; it must be there already.
async fn heard(listener: &mut Subscription) -> Vec<Change> {
    let next = tokio::time::timeout(std::time::Duration::from_secs(5), listener.next());
    match next.await {
        Ok(Heard::Changes(changes)) => changes.to_vec(),
        other => panic!("a listener hears changes, not {other:?}"),
    }
}

/// What the listener has heard by now.
async fn by_now(listener: &mut Subscription) -> Poll<Heard> {
    let mut next = Box::pin(tokio::task::unconstrained(listener.next()));
    futures_util::poll!(&mut next)
}

async fn is_silent(listener: &mut Subscription) -> bool {
    by_now(listener).await.is_pending()
}

fn shorts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| short(&change.body)).collect()
}

pub(super) async fn commits_are_published_before_they_are_answered(store: S) {
    let new = new_play();
    let mut listener = store.feed().subscribe(&new.play.sid);
    let committed = create(&*store, new.clone()).await;
    let now = by_now(&mut listener).await;
    let Poll::Ready(Heard::Changes(changes)) = now else {
        panic!("the commit was answered, but not published: {now:?}");
    };
    assert_eq!(shorts(&changes), ["play pending"]);
    assert_eq!(changes[0].seq, committed.seq);
}

pub(super) async fn a_listener_hears_its_play_only(store: S) {
    let (one, two) = (running(&*store).await, running(&*store).await);
    let mut listener = store.feed().subscribe(&one.sid);
    write(&*store, &two, vec![logged("", "of two")]).await;
    write(
        &*store,
        &one,
        vec![spanned(0, span(0)), logged("", "of one")],
    )
    .await;
    assert_eq!(
        shorts(&heard(&mut listener).await),
        ["span 1.0 running", "log of one"]
    );
    assert!(is_silent(&mut listener).await);
    drop(listener);
    assert_eq!(store.feed().watched_plays(), 0);
}

pub(super) async fn a_slow_listener_is_told(store: S) {
    let play = running(&*store).await;
    let mut listener = store.feed().subscribe(&play.sid);
    let writes = (0..1_500).map(|n| {
        let (store, play) = (store.clone(), play.clone());
        async move { write(&*store, &play, vec![logged("", &n.to_string())]).await }
    });
    let committed = join_all(writes).await;
    let Heard::Lagged(missed) = listener.next().await else {
        panic!("1,500 commits do not fit into the queue");
    };
    assert!((1..1_500).contains(&missed), "{missed}");
    // It goes on with what is left in the queue, up to the end.
    let mut last = 0;
    while let Poll::Ready(next) = by_now(&mut listener).await {
        let Heard::Changes(changes) = next else {
            panic!("told once is enough: {next:?}");
        };
        last = changes.last().map_or(last, |change| change.seq);
    }
    assert_eq!(Some(last), committed.iter().map(|c| c.seq).max());
}

/// Few commits can be much memory.
pub(super) async fn a_queue_is_bounded_by_bytes(store: S) {
    let play = running(&*store).await;
    let mut listener = store.feed().subscribe(&play.sid);
    let large = "x".repeat(1 << 20);
    for _ in 0..20 {
        write(&*store, &play, vec![logged("", &large)]).await;
    }
    let Heard::Lagged(missed) = listener.next().await else {
        panic!("20 MiB do not fit into the queue");
    };
    let mut left = 0;
    while let Poll::Ready(next) = by_now(&mut listener).await {
        assert!(matches!(next, Heard::Changes(_)), "{next:?}");
        left += 1;
    }
    assert!(
        left <= 4 && missed + left == 20,
        "{missed} missed, {left} left"
    );
    // One that is larger than all of it is heard by who keeps up.
    let huge = "x".repeat(6 << 20);
    write(&*store, &play, vec![logged("", &huge)]).await;
    assert_eq!(shorts(&heard(&mut listener).await).len(), 1);
}

pub(super) async fn every_change_of_a_record_is_heard(store: S) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = heard.clone();
    store.feed().on_play(Box::new(move |play: &Arc<Play>| {
        sink.lock().expect("not poisoned").push(play.status);
    }));
    let play = running(&*store).await;
    write(&*store, &play, vec![logged("", "no record")]).await;
    write(&*store, &play, vec![logged("", "x"), record(&ended(&play))]).await;
    let heard = heard.lock().expect("not poisoned").clone();
    assert_eq!(
        heard,
        [PlayStatus::Pending, PlayStatus::Running, PlayStatus::Failed]
    );
}

pub(super) async fn what_was_refused_is_not_published(store: S) {
    let play = running(&*store).await;
    let mut keyed = new_play();
    keyed.idempotency_key = Some("k".to_owned());
    create(&*store, keyed.clone()).await;
    let mut listeners = [&play.sid, &keyed.play.sid].map(|sid| store.feed().subscribe(sid));
    assert!(
        write_as(&*store, &play.sid, 9, vec![logged("", "late")])
            .await
            .is_err()
    );
    assert!(create(&*store, keyed.clone()).await.existing.is_some());
    write(&*store, &play, vec![]).await;
    for listener in &mut listeners {
        assert!(is_silent(listener).await);
    }
    let mut duplicate = new_play();
    duplicate.play.sid = play.sid.clone();
    assert!(
        store
            .commit(Batch::Create(Box::new(duplicate)))
            .await
            .is_err()
    );
    assert!(is_silent(&mut listeners[0]).await);
}

pub(super) async fn numbers_rise_in_the_order_of_the_feed(store: S) {
    let play = running(&*store).await;
    let mut listener = store.feed().subscribe(&play.sid);
    let mut last = ok(store.last_seq().await);
    for n in 0..20 {
        let changes = vec![spanned(n, span(n)), logged("1.0", "x"), record(&play)];
        let committed = write(&*store, &play, changes).await;
        running(&*store).await;
        let changes = heard(&mut listener).await;
        assert_eq!(changes.len(), 3);
        for change in &changes {
            assert!(change.seq > last, "{} after {last}", change.seq);
            last = change.seq;
        }
        assert_eq!(committed.seq, last);
        assert!(ok(store.last_seq().await) > last);
    }
}

/// A reader's view: rows by what they are, each with its latest number.
#[derive(Debug, Default, PartialEq)]
struct View(BTreeMap<String, (String, u64)>);

impl View {
    fn take(&mut self, change: &Change) {
        let text = short(&change.body);
        let key = match text.split(' ').collect::<Vec<_>>()[..] {
            ["span", id, _] => format!("span {id}"),
            ["play", _] => "play".to_owned(),
            _ => text.clone(),
        };
        let before = self.0.insert(key, (text, change.seq));
        let before = before.map_or(0, |(_, seq)| seq);
        assert!(before < change.seq, "{} came again or too late", change.seq);
    }
}

/// Reads a snapshot while somebody writes, then changes from there, and from the feed: both come to
/// what is in the store at the end.
pub(super) async fn a_snapshot_and_what_follows_are_everything(store: S) {
    let play = running(&*store).await;
    let writing = async {
        for n in 0..60 {
            let touched = Span {
                status: SpanStatus::Ok,
                ..span(0)
            };
            // Most rows never change again, so that one that is lost stays lost.
            let mut changes = vec![
                spanned(n, span(n)),
                logged("1.0", &format!("l{n}")),
                spanned(0, touched),
            ];
            changes.rotate_left((n % 3) as usize);
            write(&*store, &play, changes).await;
        }
        write(
            &*store,
            &play,
            vec![record(&with_status(&play, PlayStatus::Success))],
        )
        .await;
    };
    let reading = async {
        let (mut views, mut reached) = (Vec::new(), Vec::new());
        for round in 0..12 {
            let mut listener = store.feed().subscribe(&play.sid);
            let snapshot = ok(store.snapshot(&play.sid).await).expect("snapshot");
            let seq = snapshot.seq;
            let mut view = View::default();
            for (ord, span) in snapshot.spans.iter().enumerate() {
                assert_eq!(span.span_id.as_str(), format!("1.{ord}"));
                let text = format!("span {} {}", span.span_id, span.status.as_str());
                view.0.insert(format!("span {}", span.span_id), (text, 0));
            }
            for log in &snapshot.logs {
                view.0.insert(
                    format!("log {}", log.text),
                    (format!("log {}", log.text), 0),
                );
            }
            let status = format!("play {}", snapshot.play.status.as_str());
            view.0.insert("play".to_owned(), (status, 0));
            // Half of the rounds follow the feed, half the store.
            let mut from = seq;
            let mut over = snapshot.play.status.is_terminal();
            while !over {
                let changes = if round % 2 == 0 {
                    heard(&mut listener).await
                } else {
                    tokio::task::yield_now().await;
                    ok(store.changes(&play.sid, from, 7).await)
                };
                for change in changes.iter().filter(|change| change.seq > seq) {
                    view.take(change);
                    from = change.seq;
                    over |= short(&change.body) == "play success";
                }
                if round < 10 && from > seq {
                    break;
                }
            }
            reached.push((from, over));
            views.push(view);
        }
        (views, reached)
    };
    let ((), (mut views, reached)) = futures_util::join!(writing, reading);
    let mut expected = View::default();
    for change in &ok(store.changes(&play.sid, 0, u32::MAX).await) {
        expected.take(change);
    }
    for (view, (from, _)) in views.iter_mut().zip(reached) {
        for change in &ok(store.changes(&play.sid, from, u32::MAX).await) {
            view.take(change);
        }
        let texts = |view: &View| {
            view.0
                .values()
                .map(|(text, _)| text.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(view), texts(&expected));
    }
}

pub(super) async fn changes_are_in_order_and_bounded(store: S) {
    let play = running(&*store).await;
    let mut expected = vec!["play running".to_owned()];
    for n in 0..8 {
        let changes = vec![
            logged("1.0", &n.to_string()),
            spanned(n, span(n)),
            logged("1.0", "x"),
        ];
        write(&*store, &play, changes).await;
        running(&*store).await;
        expected.extend([
            format!("log {n}"),
            format!("span 1.{n} running"),
            "log x".to_owned(),
        ]);
    }
    for limit in [1, 2, 3, 5, 7, 24, 25, 26, 1_000] {
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let changes = ok(store.changes(&play.sid, after, limit).await);
            assert!(changes.len() <= limit as usize);
            let Some(last) = changes.last() else { break };
            assert!(changes[0].seq > after && changes.is_sorted_by_key(|change| change.seq));
            after = last.seq;
            found.extend(shorts(&changes));
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    assert!(ok(store.changes(&play.sid, u64::MAX, 10).await).is_empty());
    assert!(ok(store.changes(&play.sid, 0, 0).await).is_empty());
}

pub(super) async fn a_row_is_in_the_changes_once(store: S) {
    let play = running(&*store).await;
    write(
        &*store,
        &play,
        vec![spanned(0, span(0)), spanned(1, span(1))],
    )
    .await;
    let seen = ok(store.last_seq().await);
    let closed = Span {
        status: SpanStatus::Ok,
        ..span(0)
    };
    write(
        &*store,
        &play,
        vec![
            record(&with_status(&play, PlayStatus::AwaitingResume)),
            record(&play),
        ],
    )
    .await;
    write(
        &*store,
        &play,
        vec![spanned(0, span(0)), logged("1.0", "x"), spanned(0, closed)],
    )
    .await;
    let all = ok(store.changes(&play.sid, 0, 100).await);
    assert_eq!(
        shorts(&all),
        ["span 1.1 running", "play running", "log x", "span 1.0 ok"]
    );
    let later = ok(store.changes(&play.sid, seen, 100).await);
    assert_eq!(shorts(&later), ["play running", "log x", "span 1.0 ok"]);
}

pub(super) async fn concurrent_commits_get_numbers_of_their_own(store: S) {
    let play = running(&*store).await;
    let before = ok(store.last_seq().await);
    let writes = (0..200).map(|n: u32| {
        let (store, play) = (store.clone(), play.clone());
        async move {
            // Every fifth is refused and takes none.
            let attempt = if n.is_multiple_of(5) { 7 } else { 1 };
            let changes = vec![logged("", "x"), logged("", "y")];
            write_as(&*store, &play.sid, attempt, changes).await
        }
    });
    let answers = join_all(writes).await;
    let mut seqs: Vec<_> = answers.into_iter().flatten().map(|c| c.seq).collect();
    seqs.sort_unstable();
    let expected: Vec<_> = (1..=160).map(|n| before + 2 * n).collect();
    assert_eq!(seqs, expected);
    assert_eq!(ok(store.last_seq().await), before + 320);
}
