//! What earlier attempts of a play have kept, as its next process reads it: a file of one JSON object a line.

use std::{io::Write, path::Path};

use protocol::{EpochMs, PlaySid, SpanId, Step};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::store::Store;

/// How many steps are read at once.
const PAGE: u32 = 1_000;

/// A step as it is told. Without `data` it has begun and not come to its end.
#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    parent: &'a str,
    name: &'a str,
    args: &'a str,
    position: u32,
    span_id: &'a SpanId,
    start_ms: EpochMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_ms: Option<EpochMs>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    raised: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// Writes the file.
///
/// # Errors
/// A sentence: what the store or the system says.
pub(super) async fn write(store: &dyn Store, play: &PlaySid, file: &Path) -> Result<(), String> {
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let page = store.steps(play, after.take(), PAGE).await;
        let page = page.map_err(|error| error.to_string())?;
        for step in &page {
            line(step, &mut lines).map_err(|error| error.to_string())?;
        }
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => after = Some(last.start.key.clone()),
            _ => break,
        }
    }
    let file = file.to_owned();
    let writing = tokio::task::spawn_blocking(move || std::fs::write(file, lines));
    match writing.await {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn line(step: &Step, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let kept = step.kept.as_ref();
    let data = kept
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
    };
    serde_json::to_writer(&mut *lines, &line)?;
    lines.write_all(b"\n").map_err(serde_json::Error::io)
}
