//! The end of an actor, as it reported it: one that died ends its play, everything else goes on.

use std::sync::Arc;

use actix::{Context, Handler};
use protocol::{Cause, CauseKind, PlaySid, PlayStatus};

use super::{Registry, actor::then, closing::close_surely, live::Report, messages::Reported};
use crate::{crash_point, play::messages::PlayDown};

impl Handler<Reported> for Registry {
    type Result = ();

    fn handle(&mut self, Reported(sid): Reported, ctx: &mut Self::Context) {
        self.take_report(&sid, ctx);
    }
}

impl Registry {
    /// Deals with what a play's actor has told of its end. What was dealt with before is no report.
    pub(super) fn take_report(&mut self, sid: &PlaySid, ctx: &mut Context<Self>) {
        match self.parts.live.reported(sid) {
            Some(Report::Ended(play)) => {
                crash_point::reached("report_taken");
                self.left(&play, ctx);
            }
            Some(Report::Down(down)) if self.closing.insert(sid.clone()) => self.bury(down, ctx),
            Some(Report::Down(_)) | None => {}
        }
    }

    fn bury(&mut self, down: PlayDown, ctx: &mut Context<Self>) {
        tracing::error!(play = %down.sid, why = down.why, "a play's actor died");
        let PlayDown {
            sid,
            attempt,
            why,
            gone,
        } = down;
        let (store, clock) = (self.parts.store.clone(), self.parts.clock);
        let closing = sid.clone();
        let work = async move {
            if let Some(mut gone) = gone {
                // An error says that the watch over the process has ended, and so has the process.
                drop(gone.wait_for(|gone| *gone).await);
            }
            let why = format!("the play's actor died: {why}");
            let cause = Cause::new(CauseKind::Internal, why);
            close_surely(&*store, clock, &closing, attempt, PlayStatus::Failed, cause).await
        };
        then(
            ctx,
            self,
            work,
            move |closed, registry, ctx: &mut Context<Self>| {
                registry.closing.remove(&sid);
                match closed {
                    Ok(play) => registry.left(&Arc::new(play), ctx),
                    Err(error) => {
                        tracing::error!(play = %sid, %error, "failed to record the end of a play whose actor died");
                        registry.parts.live.leave_unrecorded(sid.clone());
                        registry.forget_live(&sid, ctx);
                    }
                }
            },
        );
    }
}
