//! The operations on what plays wait for.

use protocol::{
    Error, ErrorKind, PlaySid, Result, WaitKind, WaitToken,
    play::PlayBrief,
    rpc::{PendingResume, PlayRef, PlayResume, PlaySignal},
};
use serde_json::Value;

use super::Runtime;
use crate::{crash_point, play::waits::Settling};

/// Where questions are answered over HTTP; a question's token comes behind it.
const WEBHOOK: &str = "/api/resume/";

impl Runtime {
    /// The questions that a play waits with, oldest first.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn play_pending_resumes(&self, wanted: PlayRef) -> Result<Vec<PendingResume>> {
        let waiting = self.store().waiting(&wanted.play_sid).await?;
        if waiting.waits.is_empty() {
            self.play(&wanted.play_sid).await?;
        }
        let asks = waiting
            .waits
            .into_iter()
            .filter(|wait| wait.start.kind == WaitKind::Ask);
        let pending = asks.map(|wait| PendingResume {
            id: wait.key.into(),
            name: wait.start.name.into(),
            schema: wait.start.schema,
            ui: wait.start.ui,
            span_id: wait.span_id,
            created_at: wait.created_at,
            wake_at: wait.start.wake_at,
            default: wait.start.default.map(Into::into),
            webhook: wait
                .token
                .map_or_else(String::new, |token| format!("{WEBHOOK}{}", token.as_str())),
        });
        Ok(pending.collect())
    }

    /// Answers a question. Done when that is committed; the play goes on as soon as there is a slot.
    ///
    /// # Errors
    /// `not_found`: no such play, or it never asked this; `conflict`: answered before, or the play has
    /// ended; `invalid_input`: the answer does not fit, and the question stays open; `too_large`;
    /// `unavailable`.
    pub async fn play_resume(&self, resume: PlayResume) -> Result<PlayBrief> {
        self.resume(&resume.play_sid, resume.resume_id.into(), &resume.payload)
            .await?;
        Ok(self.play(&resume.play_sid).await?.into())
    }

    /// Answers the question that has this token. As [`Runtime::play_resume`]; what is answered before is
    /// `not_found`.
    ///
    /// # Errors
    /// As [`Runtime::play_resume`].
    pub async fn resume_by_token(&self, token: &str, payload: &Value) -> Result<()> {
        let none = || {
            let message = "no open question has this address; it may have been answered";
            Error::new(ErrorKind::NotFound, message)
        };
        let found = self.store().wait_of_token(&WaitToken::from(token)).await?;
        let (sid, key) = found.ok_or_else(none)?;
        match self.resume(&sid, key, payload).await {
            // Somebody else was faster, or its play ended.
            Err(error) if error.kind == ErrorKind::Conflict => Err(none()),
            done => done,
        }
    }

    async fn resume(&self, sid: &PlaySid, key: Box<str>, payload: &Value) -> Result<()> {
        crash_point::reached("resume_received");
        let payload = payload.to_string().into();
        let answer = Settling::Answer { key, payload };
        let settled = self.inner.office.settle(sid, answer).await;
        crash_point::reached("resume_answered");
        settled
    }

    /// Hands a signal to whatever in the play has waited longest for one of this name; where nothing
    /// waits, it is kept. Done when that is committed.
    ///
    /// # Errors
    /// `not_found`; `conflict` where the play has ended; `too_large`; `unavailable`.
    pub async fn play_signal(&self, signal: PlaySignal) -> Result<PlayBrief> {
        crash_point::reached("signal_received");
        let settling = Settling::Signal {
            name: signal.name.into(),
            payload: signal.payload.to_string().into(),
        };
        self.inner.office.settle(&signal.play_sid, settling).await?;
        crash_point::reached("signal_answered");
        Ok(self.play(&signal.play_sid).await?.into())
    }
}
