//! What comes for plays that wait: answers, signals, the end of their time.
//!
//! A play with a process is told; of one without, the rows are changed, and it is pending again: whoever
//! looks after the queue hears of that by the feed. Nothing is kept here of plays that wait but one timer,
//! for the first of them.

use std::{sync::Arc, time::Duration};

use actix::{Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use futures_util::future::join_all;
use protocol::{
    EpochMs, Error, ErrorKind, Kept, Play, PlaySid, PlayStatus, Result, Span, SpanStatus, Wait,
};
use tokio::time::{Instant, sleep};

use super::{Registry, RegistryParts, actor::then, live::LivePlays};
use crate::{
    clock::Clock,
    crash_point,
    play::{
        actor::RETRY,
        messages::Settle,
        waits::{Done, Settling, Waits, answered_before, late},
    },
    store::{Batch, Fence, PlayChange, Settled, Store, StoreError},
};

/// How long something that came waits for a play that is just being started or ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long such a play is looked at again.
const AGAIN: Duration = Duration::from_millis(10);
/// How many waits that are over are seen to at once.
const PAGE: u32 = 256;
/// The clock may be set, or the machine have slept: it is looked at this often.
const LONGEST: Duration = Duration::from_secs(60);

/// Whom it takes to settle a wait.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) live: &'a LivePlays,
    pub(super) clock: Clock,
}

impl Desk<'_> {
    /// Settles what it is for, or keeps it. Done when it is committed.
    ///
    /// # Errors
    /// `not_found`: no such play, or it never asked this; `conflict`: answered before, or the play has
    /// ended; `invalid_input`: it does not fit, and the question stays open; `too_large`; `unavailable`.
    pub(super) async fn settle(self, sid: &PlaySid, settling: Settling) -> Result<()> {
        crash_point::reached("wait_received");
        let until = Instant::now() + PATIENCE;
        loop {
            let done = self.attempt(sid, &settling).await;
            let done = match done {
                Err(error) if error.kind == ErrorKind::NotFound => {
                    return Err(self.perhaps_answered(sid, &settling, error).await?);
                }
                done => done?,
            };
            if done {
                crash_point::reached("wait_settled");
                return Ok(());
            }
            if Instant::now() > until {
                return Err(Error::unavailable(format!(
                    "play {sid} is being started or ended, and that takes long; try again"
                )));
            }
        }
    }

    /// Whether it is done; else it is to be tried again.
    async fn attempt(self, sid: &PlaySid, settling: &Settling) -> Result<bool> {
        let actor = self.live.actor(sid).filter(Addr::connected);
        if let Some(actor) = actor
            && let Ok(told) = actor.send(Settle(settling.clone())).await
            && told?
        {
            return Ok(true);
        }
        let play = self.store.play(sid).await?;
        let play = play.ok_or_else(|| Error::not_found("play", sid))?;
        if play.status.is_terminal() {
            return Err(Error::conflict(format!(
                "play {sid} is {}; it waits for nothing any more",
                play.status.as_str()
            )));
        }
        if play.status == PlayStatus::Running {
            sleep(AGAIN).await;
            return Ok(false);
        }
        let fence = Fence {
            play: sid.clone(),
            attempt: play.attempt,
        };
        let changes = self.changes(play, settling.clone()).await?;
        match self.store.commit(Batch::Play { fence, changes }).await {
            Ok(_) => Ok(true),
            // It was started, or somebody else was faster.
            Err(StoreError::Fenced { .. } | StoreError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be written for a play that has no process.
    async fn changes(self, play: Play, settling: Settling) -> Result<Vec<PlayChange>> {
        let now = self.clock.now();
        let waiting = self.store.waiting(&play.sid).await?;
        let (wait, kept) = match Waits::new(waiting).settle(settling, now)? {
            Done::Kept(signal) => return Ok(vec![PlayChange::Signal(Arc::new(signal))]),
            Done::Settled(wait, kept) => (wait, kept),
        };
        let mut changes = Vec::new();
        let open = self.store.open_spans(&play.sid).await?;
        let mut open = open.into_iter();
        if let Some((ord, span)) = open.find(|(_, span)| span.span_id == wait.span_id) {
            let span = Arc::new(ended(span, &wait, &kept, now));
            changes.push(PlayChange::Span { ord, span });
        }
        let key = wait.key.clone();
        let settled = Settled { key, kept, at: now };
        changes.push(PlayChange::Settled(Arc::new(settled)));
        changes.push(PlayChange::Recoveries(0));
        if play.status == PlayStatus::AwaitingResume {
            let status = PlayStatus::Pending;
            changes.push(PlayChange::Play(Arc::new(Play { status, ..play })));
        }
        Ok(changes)
    }

    /// What is not open may have been.
    async fn perhaps_answered(
        self,
        sid: &PlaySid,
        settling: &Settling,
        unknown: Error,
    ) -> Result<Error> {
        let (Settling::Answer { key, .. } | Settling::Over { key }) = settling else {
            return Ok(unknown);
        };
        let step = self.store.step(sid, key).await?;
        Ok(match step.filter(|step| step.kept.is_some()) {
            Some(step) => answered_before(&step.name),
            None => unknown,
        })
    }
}

/// The span of a wait that is over.
fn ended(mut span: Span, wait: &Wait, kept: &Kept, now: EpochMs) -> Span {
    let start = &wait.start;
    (span.status, span.error) = if kept.raised {
        (SpanStatus::TimedOut, Some(late(start.kind, &start.name)))
    } else {
        (SpanStatus::Ok, None)
    };
    span.end_ms = Some(now.max(span.start_ms));
    span
}

/// A play waits until this time at the latest.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Wakes(pub(super) EpochMs);

/// A play that has no process is to be started again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Woken;

/// The one timer.
#[derive(Debug, Default)]
pub(super) struct Timer {
    armed: Option<(EpochMs, SpawnHandle)>,
    looking: bool,
    /// Something came meanwhile.
    again: bool,
}

impl Handler<Wakes> for Registry {
    type Result = ();

    fn handle(&mut self, Wakes(at): Wakes, ctx: &mut Self::Context) {
        if self.timer.looking {
            self.timer.again = true;
        } else {
            self.arm(at, ctx);
        }
    }
}

impl Handler<Woken> for Registry {
    type Result = ();

    fn handle(&mut self, _: Woken, ctx: &mut Self::Context) {
        self.queue.look_again();
        self.fill(ctx);
    }
}

impl Registry {
    fn arm(&mut self, at: EpochMs, ctx: &mut Context<Self>) {
        if let Some((before, timer)) = self.timer.armed {
            if before.0 <= at.0 {
                return;
            }
            ctx.cancel_future(timer);
        }
        let left = at.since(self.parts.clock.now()) / 1_000.0;
        let left = Duration::try_from_secs_f64(left).unwrap_or(LONGEST);
        let timer = ctx.run_later(left.min(LONGEST), |registry, ctx| {
            registry.timer.armed = None;
            registry.look_for_wakes(ctx);
        });
        self.timer.armed = Some((at, timer));
    }

    /// Sees to the waits that are over, and arms the timer for the first that is not.
    pub(super) fn look_for_wakes(&mut self, ctx: &mut Context<Self>) {
        if !self.parts.dispatch || self.parts.live.stopping().is_some() {
            return;
        }
        if self.timer.looking {
            self.timer.again = true;
            return;
        }
        self.timer.looking = true;
        let work = wake(self.parts.clone());
        then(ctx, self, work, |next, registry, ctx| {
            registry.timer.looking = false;
            let again = std::mem::take(&mut registry.timer.again);
            match next {
                Ok(Next::At(at)) => registry.arm(at, ctx),
                Ok(Next::Nothing) => {}
                Ok(Next::More) => return registry.look_for_wakes(ctx),
                Err(error) => {
                    tracing::error!(%error, "failed to see to waits that are over; trying again");
                    let now = registry.parts.clock.now();
                    registry.arm(EpochMs(now.0 + RETRY.1.as_secs_f64() * 1_000.0), ctx);
                    return;
                }
            }
            if again {
                registry.look_for_wakes(ctx);
            }
        });
    }
}

/// When there is more to do.
enum Next {
    More,
    At(EpochMs),
    Nothing,
}

async fn wake(parts: RegistryParts) -> Result<Next> {
    let desk = Desk {
        store: &*parts.store,
        live: &parts.live,
        clock: parts.clock,
    };
    let mut due = desk.store.wakes(PAGE).await?;
    let now = parts.clock.now();
    let later = due.iter().position(|wake| wake.at > now);
    let next = later.map(|at| due[at].at);
    due.truncate(later.unwrap_or(due.len()));
    if !due.is_empty() {
        crash_point::reached("timer_fired");
    }
    let all = due.len() == PAGE as usize;
    let settling = due.into_iter().map(async |wake| {
        let over = Settling::Over { key: wake.key };
        let settled = desk.settle(&wake.play, over).await;
        crash_point::reached("timer_settled");
        match settled {
            // It came to its result meanwhile, or its play to its end.
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
            done => done,
        }
    });
    for settled in join_all(settling).await {
        settled?;
    }
    Ok(match next {
        Some(at) => Next::At(at),
        None if all => Next::More,
        None => Next::Nothing,
    })
}
