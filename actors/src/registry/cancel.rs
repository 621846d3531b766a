//! Cancel: down the tree of plays.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use protocol::{Cause, CauseKind, Error, Play, PlaySid, PlayStatus, Result};

use super::{Registry, actor::then, closing::close, messages::CancelPlay};
use crate::{
    crash_point,
    play::{
        actor::RETRY,
        messages::Stop,
        stop::{StopOrder, StopReason},
    },
    store::StoreError,
};

impl Handler<CancelPlay> for Registry {
    type Result = ResponseActFuture<Self, Result<()>>;

    fn handle(&mut self, cancel: CancelPlay, ctx: &mut Self::Context) -> Self::Result {
        crash_point::reached("cancel_received");
        if self.stop_live(&cancel, ctx) {
            return Box::pin(std::future::ready(Ok(())).into_actor(self));
        }
        let stored = self.parts.store.play(&cancel.sid);
        Box::pin(stored.into_actor(self).then(move |stored, registry, ctx| {
            let work: ResponseActFuture<Self, Result<()>> = match stored {
                Err(error) => {
                    registry.try_again(cancel, &error, ctx);
                    done(registry, Err(error.into()))
                }
                Ok(None) => {
                    registry.parts.live.carried_out(&cancel);
                    done(registry, Err(Error::not_found("play", &cancel.sid)))
                }
                Ok(Some(play)) if play.status.is_terminal() => {
                    registry.parts.live.carried_out(&cancel);
                    done(registry, Ok(()))
                }
                Ok(Some(_)) if registry.stop_live(&cancel, ctx) => done(registry, Ok(())),
                // It is just being started: ordered as soon as it has an actor.
                Ok(Some(play))
                    if play.status == PlayStatus::Running && registry.roster.starting() > 0 =>
                {
                    registry.parts.live.hold(cancel);
                    done(registry, Ok(()))
                }
                Ok(Some(play)) => Box::pin(registry.cancel_row(play, cancel)),
            };
            work
        }))
    }
}

fn done(registry: &Registry, result: Result<()>) -> ResponseActFuture<Registry, Result<()>> {
    Box::pin(std::future::ready(result).into_actor(registry))
}

impl Registry {
    /// Orders a live play to stop, and its children with it. Whether it was live.
    fn stop_live(&mut self, cancel: &CancelPlay, ctx: &mut Context<Self>) -> bool {
        let Some(actor) = self.parts.live.actor(&cancel.sid) else {
            return false;
        };
        self.parts.live.cancels(cancel);
        let grace = cancel.grace.unwrap_or(self.parts.grace);
        actor.do_send(Stop(StopOrder {
            reason: StopReason::Cancelled {
                by: cancel.by.clone(),
            },
            grace,
        }));
        crash_point::reached("cancel_ordered");
        self.cancel_children(
            cancel.sid.clone(),
            cancel.grace,
            format!("parent {}", cancel.sid),
            ctx,
        );
        self.parts.live.carried_out(cancel);
        true
    }

    /// A cancel that was answered already is not given up while the store may come back.
    fn try_again(&self, cancel: CancelPlay, error: &StoreError, ctx: &mut Context<Self>) {
        if !self.parts.live.holds(&cancel) {
            return;
        }
        tracing::error!(play = %cancel.sid, %error, "failed to cancel a play that was being started");
        if error.may_pass() {
            ctx.run_later(RETRY.1, move |_, ctx| ctx.notify(cancel));
        } else {
            self.parts.live.carried_out(&cancel);
        }
    }

    /// A play without a process is cancelled in its row.
    fn cancel_row(
        &mut self,
        play: Play,
        cancel: CancelPlay,
    ) -> impl actix::ActorFuture<Self, Output = Result<()>> + 'static + use<> {
        let by = &cancel.by;
        let message = match play.status {
            PlayStatus::Pending => format!("cancelled by {by} before it had started"),
            _ => format!("cancelled by {by}"),
        };
        let mut cause = Cause::new(CauseKind::Cancelled, message);
        cause.by = Some(by.clone());
        let (store, clock) = (self.parts.store.clone(), self.parts.clock);
        async move {
            let status = PlayStatus::Cancelled;
            close(&*store, clock, &play.sid, play.attempt, status, cause).await
        }
        .into_actor(self)
        .map(move |closed, registry, ctx| match closed {
            Ok(_) => {
                crash_point::reached("cancel_recorded");
                registry.parts.live.carried_out(&cancel);
                // Plays can be put under one that never ran.
                let by = format!("parent {}", cancel.sid);
                registry.cancel_children(cancel.sid, cancel.grace, by, ctx);
                Ok(())
            }
            // It was started meanwhile, or has ended.
            Err(StoreError::Fenced { .. }) => {
                registry.parts.live.hold(cancel.clone());
                ctx.notify(cancel);
                Ok(())
            }
            Err(error) => {
                registry.try_again(cancel, &error, ctx);
                Err(error.into())
            }
        })
    }

    /// Cancels the plays that this one started and that have not ended, live and pending ones.
    pub(super) fn cancel_children(
        &mut self,
        parent: PlaySid,
        grace: Option<Duration>,
        by: String,
        ctx: &mut Context<Self>,
    ) {
        let cancel = move |sid: PlaySid| CancelPlay {
            sid,
            grace,
            by: by.clone(),
        };
        for child in self.roster.live_children(&parent) {
            ctx.notify(cancel(child));
        }
        then(
            ctx,
            self,
            self.parts.store.open_children(&parent),
            move |children, registry, ctx| match children {
                Ok(children) => {
                    for child in children
                        .into_iter()
                        .filter(|child| !registry.parts.live.has(child))
                    {
                        ctx.notify(cancel(child));
                    }
                }
                Err(error) => {
                    tracing::error!(play = %parent, %error, "failed to find the children of a play to cancel")
                }
            },
        );
    }
}
