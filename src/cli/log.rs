//! The log: where it goes, in what form, and that it never holds anything up.
//!
//! A line is handed to a thread of its own, which writes it to standard error: a reader that is slow or
//! has gone delays nobody, lines that find no room are counted and said. Nothing here may panic, since
//! a log line can be written anywhere.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actors::process::Report;
use clap::ValueEnum;
use protocol::EpochMs;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::Context, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How many lines may wait to be written.
const QUEUE: usize = 8_192;
/// How long the end of the process waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// `--log-format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

impl From<LogFormat> for Report {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Writes what is left when it is dropped.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Lines,
    writing: Option<JoinHandle<()>>,
}

impl Log {
    /// Starts logging to standard error.
    ///
    /// # Errors
    /// Where something logs already, or there is no thread.
    pub(crate) fn start(
        filter: EnvFilter,
        format: LogFormat,
        color: bool,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (to, from) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let lines = Lines {
            to: Arc::new(Mutex::new(Some(to))),
            lost: lost.clone(),
        };
        let writing = thread::Builder::new()
            .name("hero-log".into())
            .spawn(move || write(&from, &lost))?;
        let registry = tracing_subscriber::registry().with(filter);
        match format {
            LogFormat::Json => registry.with(JsonLayer(lines.clone())).try_init()?,
            LogFormat::Text => {
                let text = tracing_subscriber::fmt::layer()
                    .with_writer(lines.clone())
                    .with_ansi(color)
                    .log_internal_errors(false);
                registry.with(text).try_init()?;
            }
        }
        Ok(Self {
            lines,
            writing: Some(writing),
        })
    }
}

impl Drop for Log {
    /// Waits for the last lines, but not for a reader that does not read.
    fn drop(&mut self) {
        self.lines.close();
        let Some(writing) = self.writing.take() else {
            return;
        };
        let deadline = Instant::now() + LAST_LINES;
        while !writing.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn write(from: &Receiver<Vec<u8>>, lost: &AtomicU64) {
    let mut stderr = io::stderr();
    while let Ok(line) = from.recv() {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let said = format!("{missing} lines of the log found no room and are lost\n");
            // Nobody may be there: then the next line tells as little.
            stderr.write_all(said.as_bytes()).ok();
        }
        stderr.write_all(&line).ok();
    }
}

/// Where lines are handed over.
#[derive(Clone, Debug)]
struct Lines {
    to: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn hand_over(&self, line: Vec<u8>) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to) = &*to
            && let Err(TrySendError::Full(_)) = to.try_send(line)
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn close(&self) {
        *self.to.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// One line of text in the making.
struct TextLine<'a> {
    lines: &'a Lines,
    text: Vec<u8>,
}

impl Write for TextLine<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for TextLine<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.lines.hand_over(std::mem::take(&mut self.text));
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = TextLine<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        TextLine {
            lines: self,
            text: Vec::new(),
        }
    }
}

/// `{"time", "level", "target", "message", …}`: the fields of the line, over those of the spans that it
/// stands in.
struct JsonLayer(Lines);

/// The fields of a span.
struct SpanFields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut said = Fields::default();
        event.record(&mut said);
        let mut around = Map::new();
        for span in ctx
            .event_scope(event)
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            if let Some(SpanFields(fields)) = span.extensions().get() {
                around.extend(fields.clone());
            }
        }
        let about = event.metadata();
        let message = said.0.remove("message").unwrap_or_default();
        let mut line = Map::from_iter([
            ("time".to_owned(), Value::from(EpochMs::now().rfc3339())),
            (
                "level".to_owned(),
                about.level().as_str().to_lowercase().into(),
            ),
            ("target".to_owned(), about.target().into()),
            ("message".to_owned(), message),
        ]);
        around.extend(said.0);
        for (name, value) in around {
            // What every line has can't be taken by a field.
            line.entry(name).or_insert(value);
        }
        let mut text = Value::Object(line).to_string().into_bytes();
        text.push(b'\n');
        self.0.hand_over(text);
    }
}

/// Reads fields as JSON.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_is_one_object_with_the_fields_of_its_spans() {
        let (to, from) = sync_channel(8);
        let lines = Lines {
            to: Arc::new(Mutex::new(Some(to))),
            lost: Arc::default(),
        };
        let subscriber = tracing_subscriber::registry().with(JsonLayer(lines));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!("play", play = %"sid-1", attempt = 2);
            let _in = span.enter();
            tracing::warn!(attempt = 3, error = %"no\nroom", ok = false, level = "x", "failed");
        });
        let line: Value = serde_json::from_slice(&from.recv().unwrap()).unwrap();
        let fields: BTreeMap<_, _> = line.as_object().unwrap().iter().collect();
        assert_eq!(line["play"], "sid-1");
        assert_eq!(line["attempt"], 3, "its own goes before the span's");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "failed");
        assert_eq!(line["error"], "no\nroom");
        assert_eq!(line["ok"], false);
        assert_eq!(fields.len(), 8, "{line}");
    }

    #[test]
    fn a_reader_that_does_not_read_delays_nobody() {
        let (to, from) = sync_channel(2);
        let lines = Lines {
            to: Arc::new(Mutex::new(Some(to))),
            lost: Arc::default(),
        };
        for _ in 0..5 {
            lines.hand_over(vec![b'x']);
        }
        assert_eq!(lines.lost.load(Ordering::Relaxed), 3);
        drop(from);
        lines.hand_over(vec![b'x']);
        lines.close();
        lines.hand_over(vec![b'x']);
    }
}
