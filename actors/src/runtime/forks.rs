//! New plays that reuse the durable steps of others: retries and forks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use protocol::{
    EpochMs, Error, Play, PlaySid, Result, Step, WorkflowVersion,
    rpc::{
        InputData, PlayFork, PlayResumePreview, PlayRetry, RetryFrom, SpanIdText, StepFate,
        StepPreview,
    },
};

use super::{
    Runtime,
    plays::{EMBEDDED, checked_input, checked_origin},
};
use crate::{
    registry::StartPlay,
    store::{Reuse, StoredPlay},
};

/// How many steps or spans are read at once.
const PAGE: u32 = 1_000;

/// Functions of a version by their qualified names, each with what tells its code from another's.
type Functions = BTreeMap<String, String>;

/// What a fork is to be made of.
struct Original {
    stored: StoredPlay,
    version: Arc<WorkflowVersion>,
    steps: Vec<Step>,
    fates: Vec<StepFate>,
}

impl Runtime {
    /// A new play of the same version with the same input, linked to the old one. The durable steps that
    /// were kept are not done again, unless it is to run from the start.
    ///
    /// # Errors
    /// `not_found`, `conflict` where the play has not ended, `unavailable`.
    pub async fn play_retry(&self, retry: PlayRetry) -> Result<Play> {
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
    /// function has changed are done again; where version or input are others, steps match by equal
    /// arguments only.
    ///
    /// # Errors
    /// `not_found` (play, span, version), `invalid_input` (the version is of another workflow, or its source
    /// is no Python; the input), `too_large`, `unavailable`.
    pub async fn play_fork(&self, fork: PlayFork) -> Result<Play> {
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
        let fates = fates(&steps, code, until);
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
        let other_input = input.is_some();
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
        launch.strict |= other_input || version.sid != old.version_sid;
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
        self.play(&sid).await
    }

    /// All durable steps of a play, without what they came to.
    async fn steps_without_results(&self, sid: &PlaySid) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut after = None;
        loop {
            let page = self.store().steps(sid, after, PAGE).await?;
            after = page.steps.last().map(|last| last.start.key.clone());
            steps.extend(page.steps.into_iter().map(|mut step| {
                if let Some(kept) = &mut step.kept {
                    kept.data = Box::default();
                }
                step
            }));
            if !page.more {
                return Ok(steps);
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

/// What becomes of each step in a fork that keeps what came to its end `until` then, where the code of the
/// functions was this and is that.
fn fates(
    steps: &[Step],
    code: Option<(&Functions, &Functions)>,
    until: Option<EpochMs>,
) -> Vec<StepFate> {
    let own = |step: &Step| {
        if let Some((old, new)) = code
            && let Some(before) = old.get(&*step.start.function)
        {
            match new.get(&*step.start.function) {
                None => return StepFate::Orphaned,
                Some(now) if now != before => return StepFate::Changed,
                Some(_) => {}
            }
        }
        let in_time = match (until, step.end_ms) {
            (Some(until), Some(end)) => end.0 <= until.0,
            (Some(_), None) => false,
            (None, _) => true,
        };
        match &step.kept {
            Some(kept) if !kept.raised && in_time => StepFate::Reused,
            _ => StepFate::WillRunAgain,
        }
    };
    let mut fates: Vec<_> = steps.iter().map(own).collect();
    let places: HashMap<_, _> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| (&*step.start.key, at))
        .collect();
    // What is done again takes the steps around it with it.
    for at in 0..steps.len() {
        if fates[at] == StepFate::Reused {
            continue;
        }
        let mut around = places.get(&*steps[at].start.parent);
        while let Some(&outer) = around {
            if fates[outer] != StepFate::Reused {
                break;
            }
            fates[outer] = StepFate::WillRunAgain;
            around = places.get(&*steps[outer].start.parent);
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use protocol::{Kept, StepStart};

    use super::*;

    fn step(key: &str, parent: &str, end: Option<f64>) -> Step {
        Step {
            start: StepStart {
                key: key.into(),
                parent: parent.into(),
                args: "".into(),
                function: format!("f{key}").into(),
                position: None,
            },
            name: key.into(),
            span_id: key.into(),
            start_ms: EpochMs(0.0),
            end_ms: end.map(EpochMs),
            kept: end.map(|_| Kept {
                raised: false,
                data: "1".into(),
            }),
        }
    }

    fn functions(of: &[(&str, &str)]) -> Functions {
        let pairs = of
            .iter()
            .map(|(name, code)| ((*name).into(), (*code).into()));
        pairs.collect()
    }

    #[test]
    fn what_is_done_again_takes_what_is_around_it_with_it() {
        use StepFate::{Changed, Orphaned, Reused, WillRunAgain};
        let steps = [
            step("a", "", Some(9.0)),
            step("b", "a", Some(5.0)),
            step("c", "b", Some(3.0)),
            step("d", "a", Some(2.0)),
            step("e", "", None),
            step("f", "", Some(1.0)),
        ];
        let again = WillRunAgain;
        let until = |ms| fates(&steps, None, Some(EpochMs(ms)));
        assert_eq!(
            fates(&steps, None, None),
            [Reused, Reused, Reused, Reused, again, Reused]
        );
        assert_eq!(until(5.0), [again, Reused, Reused, Reused, again, Reused]);
        assert_eq!(until(1.0), [again, again, again, again, again, Reused]);
        let old = functions(&[
            ("fa", "1"),
            ("fb", "1"),
            ("fc", "1"),
            ("fd", "1"),
            ("ff", "1"),
        ]);
        let new = functions(&[("fa", "1"), ("fb", "1"), ("fc", "2"), ("fd", "1")]);
        assert_eq!(
            fates(&steps, Some((&old, &new)), None),
            [again, again, Changed, Reused, again, Orphaned]
        );
        let mut failed = steps.clone();
        if let Some(kept) = &mut failed[3].kept {
            kept.raised = true;
        }
        assert_eq!(
            fates(&failed, None, None)[..4],
            [again, Reused, Reused, again]
        );
    }
}
