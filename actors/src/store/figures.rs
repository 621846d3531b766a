//! What is counted of what is committed, since the store was opened: in one place for every backend.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{CauseKind, EpochMs, LogStream, Play, PlaySid, PlayStatus, overview::StatusCounts};

use super::{Batch, PlayChange};
use crate::figures::{Counter, Family, Histogram};

/// Seconds; a start takes milliseconds, a queue can take hours.
const WAITS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3_600.0,
];
/// Seconds; from a trivial play to one of a day.
const DURATIONS: &[f64] = &[
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0,
];

/// Some of it, for who looks how much happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Plays that were accepted.
    pub created: u64,
    /// Plays that ended.
    pub ended: StatusCounts,
    /// Spans that began.
    pub spans: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Figures {
    created: Counter,
    ended: Mutex<HashMap<(PlayStatus, Option<CauseKind>), u64>>,
    queue: Histogram,
    first_event: Histogram,
    duration: Histogram,
    spans: Counter,
    logs: [(LogStream, Counter, Counter); 3],
    skipped: [(&'static str, Counter); 7],
    killed: Counter,
    /// Plays that run: since when, and the number of their next span.
    running: Mutex<HashMap<PlaySid, (EpochMs, u64)>>,
    pub(super) subscriptions: AtomicU64,
    pub(super) encoded: Counter,
    pub(super) lagged: Counter,
    pub(super) missed: Counter,
}

impl Default for Figures {
    fn default() -> Self {
        let log = |stream| (stream, Counter::new(), Counter::new());
        Self {
            created: Counter::new(),
            ended: Mutex::default(),
            queue: Histogram::new(WAITS),
            first_event: Histogram::new(WAITS),
            duration: Histogram::new(DURATIONS),
            spans: Counter::new(),
            logs: [LogStream::Log, LogStream::Stdout, LogStream::Stderr].map(log),
            skipped: [
                "broken_line",
                "long_line",
                "unknown_type",
                "unknown_span",
                "duplicate",
                "log_bytes",
                "over_limit",
            ]
            .map(|why| (why, Counter::new())),
            killed: Counter::new(),
            running: Mutex::default(),
            subscriptions: AtomicU64::new(0),
            encoded: Counter::new(),
            lagged: Counter::new(),
            missed: Counter::new(),
        }
    }
}

impl Figures {
    /// A batch was committed; a creation only where it was no repetition.
    pub(super) fn committed(&self, batch: &Batch) {
        match batch {
            Batch::Create(new) => {
                self.created.add(1);
                self.record(&new.play);
            }
            Batch::Play { fence, changes } => {
                self.spans(&fence.play, changes);
                for change in changes {
                    match change {
                        PlayChange::Play(play) => self.record(play),
                        PlayChange::Log(log) => {
                            if let Some((_, pieces, bytes)) =
                                self.logs.iter().find(|(stream, ..)| *stream == log.stream)
                            {
                                pieces.add(1);
                                bytes.add(log.text.len() as u64);
                            }
                        }
                        PlayChange::Process(_)
                        | PlayChange::Span { .. }
                        | PlayChange::Step(_)
                        | PlayChange::Recoveries(_)
                        | PlayChange::Wait(_)
                        | PlayChange::Settled(_)
                        | PlayChange::Signal(_)
                        | PlayChange::SignalTaken(_) => {}
                    }
                }
            }
            Batch::Library(_) => {}
        }
    }

    fn record(&self, play: &Play) {
        let mut running = lock(&self.running);
        if play.status == PlayStatus::Running
            && let Some(started) = play.started_at
        {
            running.entry(play.sid.clone()).or_insert_with(|| {
                self.queue.observe(started.since(play.created_at) / 1e3);
                (started, 0)
            });
        }
        if !play.status.is_terminal() {
            return;
        }
        running.remove(&play.sid);
        drop(running);
        let cause = play.cause.as_ref();
        let row = (play.status, cause.map(|cause| cause.kind));
        *lock(&self.ended).entry(row).or_default() += 1;
        self.duration.observe(play.duration_ms.unwrap_or(0.0) / 1e3);
        let left_behind = play
            .usage
            .map_or(0, |usage| usage.processes.saturating_sub(1));
        let killed = cause.map_or(left_behind, |cause| cause.processes_killed.unwrap_or(0));
        self.killed.add(killed.into());
        if let Some(skipped) = &play.skipped {
            let counts = [
                skipped.broken_lines,
                skipped.long_lines,
                skipped.unknown_types,
                skipped.unknown_spans,
                skipped.duplicates,
                skipped.log_bytes,
                skipped.over_limit,
            ];
            for ((_, counter), count) in self.skipped.iter().zip(counts) {
                counter.add(count);
            }
        }
    }

    /// Counts the spans that are new.
    fn spans(&self, play: &PlaySid, changes: &[PlayChange]) {
        let spans = changes.iter().filter_map(|change| match change {
            PlayChange::Span { ord, span } => Some((*ord, span)),
            _ => None,
        });
        let mut running = lock(&self.running);
        let Some((started, next)) = running.get_mut(play) else {
            return;
        };
        let mut new = 0;
        for (ord, span) in spans {
            if ord < *next {
                continue;
            }
            if ord == 0 {
                self.first_event
                    .observe(span.start_ms.since(*started) / 1e3);
            }
            *next = ord + 1;
            new += 1;
        }
        self.spans.add(new);
    }

    pub(super) fn totals(&self) -> Totals {
        let mut ended = StatusCounts::default();
        for ((status, _), count) in lock(&self.ended).iter() {
            ended.add_many(*status, *count);
        }
        Totals {
            created: self.created.get(),
            ended,
            spans: self.spans.get(),
        }
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let mut ended = Family::counter(
            "plays_ended_total",
            "Plays that ended, by status and kind of cause.",
        );
        let mut rows: Vec<_> = lock(&self.ended).iter().map(|(k, n)| (*k, *n)).collect();
        // Every status is there from the start, so that rates can be taken.
        for status in PlayStatus::ALL.into_iter().filter(|s| s.is_terminal()) {
            if !rows.iter().any(|((s, _), _)| *s == status) {
                rows.push(((status, None), 0));
            }
        }
        rows.sort_by_key(|((status, cause), _)| (status.as_str(), cause.map(CauseKind::as_str)));
        for ((status, cause), count) in rows {
            let cause = cause.map_or("", CauseKind::as_str);
            ended = ended.and(&[("status", status.as_str()), ("cause", cause)], count);
        }
        let mut pieces = Family::counter("log_pieces_total", "Pieces of output and logs kept.");
        let mut bytes = Family::counter("log_bytes_total", "Bytes of output and logs kept.");
        for (stream, number, size) in &self.logs {
            let labels = [("stream", stream.as_str())];
            pieces = pieces.and(&labels, number.get());
            bytes = bytes.and(&labels, size.get());
        }
        let mut skipped = Family::counter(
            "skipped_total",
            "What ended plays sent and was skipped: events, lines and bytes, by reason.",
        );
        for (why, count) in &self.skipped {
            skipped = skipped.and(&[("reason", why)], count.get());
        }
        vec![
            Family::counter("plays_created_total", "Plays that were accepted.")
                .of(self.created.get()),
            ended,
            Family::histogram(
                "play_queue_seconds",
                "From a play's acceptance to its being started.",
                &self.queue,
            ),
            Family::histogram(
                "play_first_event_seconds",
                "From a play's being started to its first span.",
                &self.first_event,
            ),
            Family::histogram(
                "play_duration_seconds",
                "From a play's start to its end.",
                &self.duration,
            ),
            Family::counter("spans_total", "Spans that began.").of(self.spans.get()),
            pieces,
            bytes,
            skipped,
            Family::counter(
                "processes_killed_total",
                "Processes that had to be killed at the end of plays.",
            )
            .of(self.killed.get()),
            Family::gauge("feed_subscriptions", "Who follows a play, or the lists, live.")
                .of(self.subscriptions.load(Ordering::Relaxed)),
            Family::counter(
                "feed_encoded_commits_total",
                "Commits that were written out for those who follow; each once, however many follow.",
            )
            .of(self.encoded.get()),
            Family::counter("feed_lagged_total", "How often a follower was too slow.")
                .of(self.lagged.get()),
            Family::counter(
                "feed_missed_commits_total",
                "Commits that slow followers had to re-read from the store.",
            )
            .of(self.missed.get()),
        ]
    }
}

/// A panic elsewhere leaves these maps whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
