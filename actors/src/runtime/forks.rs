//! New plays that reuse the durable steps of others: retries and forks.

use std::sync::Arc;

use protocol::{
    EpochMs, Error, Play, PlaySid, Result, Span, Step, WorkflowVersion,
    rpc::{
        InputData, PlayFork, PlayResumePreview, PlayRetry, RetryFrom, SpanIdText, StepFate,
        StepPreview,
    },
};

use super::{
    Runtime,
    fates::{Functions, Grounds, fates, needs_spans},
    plays::{EMBEDDED, checked_input, checked_origin},
};
use crate::{
    crash_point,
    registry::StartPlay,
    store::{Reuse, StoredPlay},
};

/// How many steps or spans are read at once.
const PAGE: u32 = 1_000;

/// The longest exception that is compared with how spans ended, bytes of JSON.
const TOLD: usize = 64 << 10;

/// What a fork is to be made of.
struct Original {
    stored: StoredPlay,
    version: Arc<WorkflowVersion>,
    steps: Vec<Step>,
    fates: Vec<StepFate>,
}

impl Runtime {
    /// A new play of the same version with the same input, linked to the old one. The durable steps that
    /// were kept are not done again, nor the nodes that have succeeded, unless it is to run from the start.
    ///
    /// # Errors
    /// `not_found`, `conflict` where the play has not ended, `unavailable`.
    pub async fn play_retry(&self, retry: PlayRetry) -> Result<Play> {
        crash_point::reached("fork_received");
        let original = self.original(&retry.play_sid, None, None).await?;
        let old = &original.stored.play;
        if !old.status.is_terminal() {
            return Err(Error::conflict(format!(
                "play {} is {}; only a play that has ended can be retried (cancel it first)",
                old.sid,
                old.status.as_str()
            )));
        }
        let by = checked_origin(retry.origin, EMBEDDED)?;
        self.start_from(original, None, retry.from == RetryFrom::Failure, by)
            .await
    }

    /// A new play that reuses the durable steps of another, which may still be running: all that were kept,
    /// or those that had come to their end when a span began. Where the version is another one, steps whose
    /// function has changed are done again. They match by equal arguments only.
    ///
    /// # Errors
    /// `not_found` (play, span, version), `invalid_input` (the version is of another workflow, or its source
    /// is no Python; the input), `too_large`, `unavailable`.
    pub async fn play_fork(&self, fork: PlayFork) -> Result<Play> {
        crash_point::reached("fork_received");
        let original = self
            .original(
                &fork.play_sid,
                fork.version_sid.as_ref(),
                fork.from_span_id.as_ref(),
            )
            .await?;
        let by = checked_origin(fork.origin, EMBEDDED)?;
        self.start_from(original, fork.input_data, true, by).await
    }

    /// What a fork would make of each durable step, in start order.
    ///
    /// # Errors
    /// As [`Runtime::play_fork`].
    pub async fn play_resume_preview(&self, asked: PlayResumePreview) -> Result<Vec<StepPreview>> {
        let original = self
            .original(
                &asked.play_sid,
                asked.version_sid.as_ref(),
                asked.from_span_id.as_ref(),
            )
            .await?;
        let steps = original.steps.into_iter().zip(original.fates);
        let mut previews: Vec<_> = steps
            .map(|(step, fate)| StepPreview {
                span_id: step.span_id,
                name: step.name.into(),
                fate,
                start_ms: step.start_ms,
                end_ms: step.end_ms,
            })
            .collect();
        previews.sort_by(|a, b| a.start_ms.0.total_cmp(&b.start_ms.0));
        Ok(previews)
    }

    async fn original(
        &self,
        sid: &PlaySid,
        version_sid: Option<&protocol::VersionSid>,
        from: Option<&SpanIdText>,
    ) -> Result<Original> {
        let stored = self.store().stored_play(sid).await?;
        let stored = stored.ok_or_else(|| Error::not_found("play", sid))?;
        let known = self.library().known();
        let version_of = async |sid| {
            let version = known.version(sid).await?;
            version.ok_or_else(|| Error::not_found("workflow version", sid))
        };
        let own = version_of(&stored.play.version_sid).await?;
        let version = match version_sid {
            Some(other) if *other != own.sid => version_of(other).await?,
            _ => own.clone(),
        };
        if version.workflow_sid != own.workflow_sid {
            return Err(Error::invalid_input(format!(
                "version {} is of another workflow than play {sid}",
                version.sid
            )));
        }
        let until = match from {
            Some(_) if version.python_source.is_empty() => {
                return Err(Error::invalid_input(format!(
                    "play {sid} is one of nodes and edges, which has no durable steps to begin at: leave out \
                     from_span_id, and the nodes that have succeeded are not run again"
                )));
            }
            Some(span) => Some(self.start_of(sid, span).await?),
            None => None,
        };
        let steps = self.steps_without_results(sid).await?;
        let code = if version.sid == own.sid || steps.is_empty() {
            None
        } else {
            Some((self.functions(&own).await?, self.functions(&version).await?))
        };
        let code = code.as_ref().map(|(old, new)| (old, new));
        let spans = if needs_spans(&steps) {
            self.all_spans(sid).await?
        } else {
            Vec::new()
        };
        let grounds = Grounds {
            code,
            until,
            spans: &spans,
            status: Some(stored.play.status),
        };
        let fates = fates(&steps, &grounds);
        Ok(Original {
            stored,
            version,
            steps,
            fates,
        })
    }

    async fn start_from(
        &self,
        from: Original,
        input: Option<InputData>,
        reuses: bool,
        origin: String,
    ) -> Result<Play> {
        let Original {
            stored,
            version,
            steps,
            fates,
        } = from;
        let old = stored.play;
        let input = match input {
            Some(input) => checked_input(input, version.signature.as_ref())?,
            None => old.input_data,
        };
        let kept = steps.into_iter().zip(fates);
        let keys: Vec<_> = kept
            .filter(|(_, fate)| reuses && *fate == StepFate::Reused)
            .map(|(step, _)| step.start.key)
            .collect();
        let mut launch = stored.launch;
        let is_graph = version.python_source.is_empty();
        launch.nodes_of = (reuses && is_graph).then(|| old.sid.clone());
        // A flow that the other version does not have is found by its own rules.
        let flow_name = (version.sid == old.version_sid)
            .then_some(old.flow_name)
            .flatten();
        let start = StartPlay {
            sid: PlaySid::fresh(),
            version,
            workflow_name: old.workflow_name,
            flow_name,
            input,
            parent: None,
            launch,
            idempotency_key: None,
            retry_of: Some(old.sid.clone()),
            origin,
            reuse: (!keys.is_empty()).then_some(Reuse {
                from: old.sid,
                keys,
            }),
        };
        let sid = self.ask(start).await??;
        let play = self.play(&sid).await;
        crash_point::reached("fork_answered");
        play
    }

    /// All durable steps of a play, without what they returned.
    async fn steps_without_results(&self, sid: &PlaySid) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut after = None;
        loop {
            let page = self.store().steps(sid, after, PAGE).await?;
            after = page.steps.last().map(|last| last.start.key.clone());
            steps.extend(page.steps.into_iter().map(|mut step| {
                if let Some(kept) = &mut step.kept
                    && (!kept.raised || kept.data.len() > TOLD)
                {
                    kept.data = Box::default();
                }
                step
            }));
            if !page.more {
                return Ok(steps);
            }
        }
    }

    /// All spans of a play, without their logs.
    async fn all_spans(&self, sid: &PlaySid) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.store().spans(sid, cursor, PAGE).await?;
            let page = page.ok_or_else(|| Error::not_found("play", sid))?;
            spans.extend(page.spans.into_iter().map(|span| span.span));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(spans);
            }
        }
    }

    /// When a span of a play began.
    async fn start_of(&self, sid: &PlaySid, span: &SpanIdText) -> Result<EpochMs> {
        let wanted = protocol::SpanId::from(span.clone());
        let mut cursor = None;
        loop {
            let page = self.store().spans(sid, cursor, PAGE).await?;
            let page = page.ok_or_else(|| Error::not_found("play", sid))?;
            if let Some(span) = page.spans.iter().find(|span| span.span.span_id == wanted) {
                return Ok(span.span.start_ms);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Err(Error::not_found("span", &wanted));
            }
        }
    }

    async fn functions(&self, version: &WorkflowVersion) -> Result<Functions> {
        let file = version.source_file.clone().unwrap_or_default();
        let source = version.python_source.as_str().into();
        let inspection = self.inner.inspector.inspect(source, &file).await?;
        match inspection.syntax_error {
            Some(error) => Err(Error::invalid_input(format!(
                "version {} is no Python: {}",
                version.sid, error.message
            ))),
            None => Ok(inspection.functions),
        }
    }
}
