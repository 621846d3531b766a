//! What earlier attempts of a play have kept, as its next process reads it: a file of one JSON object a line.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use protocol::{EpochMs, PlaySid, SpanId, Step};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::store::{StepPage, Store};

/// How many steps are read at once.
const PAGE: u32 = 1_000;
/// So many are written at once, where they are short.
const FEW: usize = 100;
/// A result of more bytes has a file of its own: the process reads it when it comes to it.
const INLINE: usize = 256 << 10;

/// A step as it is told. Without `data` and `file` it has begun and not come to its end.
#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    parent: &'a str,
    name: &'a str,
    args: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    span_id: &'a SpanId,
    start_ms: EpochMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ms: Option<EpochMs>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    raised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    /// Where the data is, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// What there is to be written first; nearly always all of it.
///
/// # Errors
/// What the store says.
pub(super) async fn first(store: &dyn Store, play: &PlaySid) -> io::Result<StepPage> {
    page(store, play, None).await
}

async fn page(store: &dyn Store, play: &PlaySid, after: Option<Box<str>>) -> io::Result<StepPage> {
    let page = store.steps(play, after, PAGE).await;
    page.map_err(io::Error::other)
}

/// Writes the file; results that are long into files of their own beside it.
///
/// # Errors
/// What the store or the system says.
pub(super) async fn write(
    store: &dyn Store,
    play: &PlaySid,
    first: Option<StepPage>,
    file: &Path,
) -> io::Result<()> {
    let mut next = first;
    let mut after = None;
    let mut pages = 0;
    loop {
        let StepPage { steps, more } = match next.take() {
            Some(page) => page,
            None => page(store, play, after.take()).await?,
        };
        after = steps.last().map(|last| last.start.key.clone());
        if steps.len() <= FEW && bytes(&steps) <= INLINE {
            append(file, &steps, pages)?;
        } else {
            // Where it holds up no other play.
            let (file, number) = (file.to_owned(), pages);
            let writing = tokio::task::spawn_blocking(move || append(&file, &steps, number));
            writing.await.map_err(io::Error::other)??;
        }
        pages += 1;
        if !more {
            return Ok(());
        }
    }
}

fn bytes(steps: &[Step]) -> usize {
    let kept = steps.iter().filter_map(|step| step.kept.as_ref());
    kept.map(|kept| kept.data.len()).sum()
}

fn append(file: &Path, steps: &[Step], page: u32) -> io::Result<()> {
    let mut lines = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let name = match &step.kept {
            Some(kept) if kept.data.len() > INLINE => {
                let long = file.with_file_name(format!("kept-{page}-{at}.json"));
                fs::write(&long, &*kept.data)?;
                Some(long)
            }
            _ => None,
        };
        line(step, name, &mut lines)?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).write(true);
    if page == 0 {
        options.truncate(true);
    } else {
        options.append(true);
    }
    options.open(file)?.write_all(&lines)
}

fn line(step: &Step, file: Option<PathBuf>, lines: &mut Vec<u8>) -> io::Result<()> {
    let kept = step.kept.as_ref();
    let data = kept
        .filter(|_| file.is_none())
        .map(|kept| serde_json::from_str(&kept.data))
        .transpose()?;
    let line = Line {
        key: &step.start.key,
        parent: &step.start.parent,
        name: &step.name,
        args: &step.start.args,
        position: step.start.position,
        span_id: &step.span_id,
        start_ms: step.start_ms,
        end_ms: step.end_ms,
        raised: kept.is_some_and(|kept| kept.raised),
        data,
        strict: step.strict,
        file,
    };
    serde_json::to_writer(&mut *lines, &line)?;
    lines.write_all(b"\n")
}
