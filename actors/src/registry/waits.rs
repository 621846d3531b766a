//! What comes for plays that wait: answers, signals, the end of their time.
//!
//! A play with a process is told; of one without, the rows are changed. It is started at once where there is a slot for it
//! ([`GoOn`]), else it is pending again, and whoever looks after the queue hears of that by the feed. Nothing is kept here
//! of plays that wait but one timer, for the first of them.

use std::{sync::Arc, time::Duration};

use actix::{
    ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseActFuture, SpawnHandle,
    WrapFuture,
};
use futures_util::future::join_all;
use protocol::{EpochMs, Error, ErrorKind, Play, PlaySid, PlayStatus, Result};
use tokio::time::{Instant, sleep};

use super::{
    Registry, RegistryParts,
    actor::then,
    live::LivePlays,
    messages::GoOn,
    queue::{Ready, open_of, outlived},
};
use crate::{
    clock::Clock,
    crash_point,
    guardian::Seat,
    library::Library,
    play::{
        actor::RETRY,
        messages::Settle,
        resting::settle,
        waits::{Settling, answered_before},
    },
    store::{Batch, Committed, Fence, PlayChange, Store, StoreError, StoredPlay},
};

/// How long something that came waits for a play that is just being started or ended.
const PATIENCE: Duration = Duration::from_secs(30);
/// After how long such a play is looked at again.
const AGAIN: Duration = Duration::from_millis(10);
/// After how long the timer looks again at one whose time is over.
const LATER: Duration = Duration::from_millis(50);
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
    /// By whom a play is started at once, and with what; without them it is pending first.
    pub(super) starts: Option<(&'a Seat<Registry>, &'a Library)>,
}

impl<'a> Desk<'a> {
    /// One that leaves plays pending.
    fn of(parts: &'a RegistryParts) -> Self {
        Self {
            store: &*parts.store,
            live: &parts.live,
            clock: parts.clock,
            starts: None,
        }
    }

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
        let resting = self.store.resting_play(sid).await?;
        let mut resting = resting.ok_or_else(|| Error::not_found("play", sid))?;
        let status = resting.play.status;
        if status.is_terminal() {
            return Err(Error::conflict(format!(
                "play {sid} is {}; it waits for nothing any more",
                status.as_str()
            )));
        }
        if status == PlayStatus::Running {
            sleep(AGAIN).await;
            return Ok(false);
        }
        let changes = settle(&mut resting, settling.clone(), self.clock.now())?;
        if status != PlayStatus::AwaitingResume || resting.play.status == status {
            return self.commit(&resting.play, changes).await;
        }
        self.go_on(resting, changes).await
    }

    /// A play of which this makes a further attempt.
    async fn go_on(self, resting: StoredPlay, mut changes: Vec<PlayChange>) -> Result<bool> {
        if let Some((registry, library)) = self.starts
            && let Some(version) = library.known().version(&resting.play.version_sid).await?
            && outlived(self.store, &resting.play).await?.is_none()
        {
            let settled = changes.clone();
            let (sid, stored) = (resting.play.sid.clone(), resting);
            let ready = Ready { stored, version };
            let done = registry.ask(GoOn { ready, changes }).await??;
            // Where the registry died after it was committed, its successor says that it was another's.
            return Ok(done || self.is_kept(&sid, &settled).await?);
        }
        changes.push(PlayChange::Play(Arc::new(resting.play.clone())));
        self.commit(&resting.play, changes).await
    }

    async fn commit(self, play: &Play, changes: Vec<PlayChange>) -> Result<bool> {
        let fence = Fence {
            play: play.sid.clone(),
            attempt: play.attempt,
        };
        committed(self.store.commit(Batch::Play { fence, changes }).await)
    }

    /// Whether these very changes were committed.
    async fn is_kept(self, sid: &PlaySid, changes: &[PlayChange]) -> Result<bool> {
        let settled = changes.iter().find_map(|change| match change {
            PlayChange::Settled(settled) => Some(settled),
            _ => None,
        });
        let Some(settled) = settled else {
            return Ok(false);
        };
        let step = self.store.step(sid, &settled.key).await?;
        Ok(step.is_some_and(|step| step.end_ms == Some(settled.at) && step.kept == settled.kept))
    }

    /// A play has ended: whichever waits for it without a process goes on.
    ///
    /// # Errors
    /// `unavailable`.
    pub(super) async fn child_ended(self, child: &PlaySid) -> Result<()> {
        let waits = self.store.wait_of_child(child).await?;
        match waits {
            Some((parent, key)) => self.over(&parent, Settling::Ended { key }).await,
            None => Ok(()),
        }
    }

    /// As [`Self::settle`]; that somebody else has done it is as good.
    async fn over(self, sid: &PlaySid, settling: Settling) -> Result<()> {
        match self.settle(sid, settling).await {
            // It came to its result meanwhile, or its play to its end.
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => Ok(()),
            done => done,
        }
    }

    /// As [`Self::over`], but tried only once. Whether there is nothing left to do.
    async fn over_now(self, sid: &PlaySid, settling: Settling) -> Result<bool> {
        crash_point::reached("wait_received");
        match self.attempt(sid, &settling).await {
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => {
                Ok(true)
            }
            done => {
                if matches!(done, Ok(true)) {
                    crash_point::reached("wait_settled");
                }
                done
            }
        }
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
            // The SDK calls the span after the kind and the name.
            Some(step) => answered_before(step.name.strip_prefix("ask:").unwrap_or(&step.name)),
            None => unknown,
        })
    }
}

/// Whether it is written; `false`: the play was started, or somebody else was faster.
fn committed(written: Result<Committed, StoreError>) -> Result<bool> {
    match written {
        Ok(_) => Ok(true),
        Err(StoreError::Fenced { .. } | StoreError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
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

impl Handler<GoOn> for Registry {
    type Result = ResponseActFuture<Self, Result<bool>>;

    fn handle(&mut self, go_on: GoOn, _: &mut Self::Context) -> Self::Result {
        let GoOn {
            mut ready,
            mut changes,
        } = go_on;
        let play = &mut ready.stored.play;
        let fence = Fence {
            play: play.sid.clone(),
            attempt: play.attempt,
        };
        // Its earlier attempt may just be being left behind: then it starts when that is done.
        let runs = !self.parts.live.has(&play.sid) && self.reserve_next();
        if runs {
            play.status = PlayStatus::Running;
            play.attempt += 1;
        }
        changes.push(PlayChange::Play(Arc::new(play.clone())));
        let store = self.parts.store.clone();
        let written = async move {
            let committed = committed(store.commit(Batch::Play { fence, changes }).await);
            if runs && matches!(committed, Ok(true)) {
                // Something else may have come since it was read, and be kept in the store.
                open_of(&*store, &mut ready.stored).await;
            }
            (committed, ready)
        };
        let written = written.into_actor(self);
        Box::pin(written.map(move |(committed, ready), registry, ctx| {
            if !runs || !matches!(committed, Ok(true)) {
                registry.not_started(runs, ctx);
                return committed;
            }
            crash_point::reached("wait_committed");
            let Ready { stored, version } = ready;
            registry.launch(stored.play, stored.launch, version, stored.past, ctx);
            committed
        }))
    }
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

/// Sees to plays that wait for children which have ended: a server died, or a registry, before it came to that.
pub(super) async fn see_to_ended_children(parts: RegistryParts) {
    let desk = Desk::of(&parts);
    let seen = async {
        loop {
            let ended = desk.store.waits_for_ended(PAGE).await?;
            if ended.is_empty() {
                return Ok::<_, Error>(());
            }
            for (parent, key) in ended {
                desk.over(&parent, Settling::Ended { key }).await?;
            }
        }
    };
    if let Err(error) = seen.await {
        tracing::error!(%error, "failed to see to plays whose children have ended; the next server will");
    }
}

async fn wake(parts: RegistryParts) -> Result<Next> {
    let desk = Desk::of(&parts);
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
        let settled = desk.over_now(&wake.play, over).await;
        crash_point::reached("timer_settled");
        settled
    });
    let mut left = false;
    for settled in join_all(settling).await {
        left |= !settled?;
    }
    // Others need not wait for one that takes long to start or to end.
    let later = left.then(|| EpochMs(now.0 + LATER.as_secs_f64() * 1_000.0));
    let next = [next, later].into_iter().flatten();
    let next = next.min_by(|a, b| a.0.total_cmp(&b.0));
    Ok(match next {
        Some(at) => Next::At(at),
        None if all => Next::More,
        None => Next::Nothing,
    })
}
