//! The registry's actor: its state, its start, and the short answers.

use std::{cell::Cell, collections::HashSet, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;
use protocol::{Error, Limits, Play, PlaySid, PlayStatus, Result, WorkflowVersion};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    live::LivePlays,
    messages::{Census, Counts, RefuseIfIdle, Reported, Shutdown, Subscribe, WaitsChanged},
    queue::Queue,
    state::Roster,
    waits::Timer,
};
use crate::{
    clock::Clock,
    crash_point,
    guardian::Obituary,
    play::{
        PlayActor, Surroundings,
        attempt::{Attempts, Brief},
        messages::{Stop, Supervisor},
        stop::{StopOrder, StopReason},
    },
    store::{Launch, Past, Store},
};

/// How long a stop waits for plays beyond their grace, before it goes on without them.
pub(super) const AFTER_GRACE: Duration = Duration::from_secs(10);

/// What the registry works with.
#[derive(Clone)]
pub struct RegistryParts {
    pub store: Arc<dyn Store>,
    pub attempts: Arc<dyn Attempts>,
    pub clock: Clock,
    /// Shared with the registries before and after.
    pub live: Arc<LivePlays>,
    /// Where play actors live.
    pub arbiters: Vec<ArbiterHandle>,
    pub max_plays: u32,
    /// Whether plays are started at all.
    pub dispatch: bool,
    pub default_timeout: Duration,
    /// With the built-in ones in it.
    pub default_limits: Limits,
    pub grace: Duration,
    /// Not one of the arbiters': what plays ask is answered here, and nodes and edges are run.
    pub io: Handle,
}

impl std::fmt::Debug for RegistryParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryParts")
            .field("max_plays", &self.max_plays)
            .finish_non_exhaustive()
    }
}

/// See the room.
#[derive(Debug)]
pub struct Registry {
    pub(super) parts: RegistryParts,
    /// Whom plays tell.
    supervisor: Supervisor,
    pub(super) roster: Roster,
    /// Plays whose actor died and whose end is being recorded.
    pub(super) closing: HashSet<PlaySid>,
    pub(super) queue: Queue,
    pub(super) timer: Timer,
    drained: Vec<oneshot::Sender<()>>,
    next_arbiter: Cell<usize>,
    _obituary: Obituary,
}

impl Registry {
    /// One that finds its state by itself, see [`super::rebuild`].
    #[must_use]
    pub fn new(parts: RegistryParts, supervisor: Supervisor, obituary: Obituary) -> Self {
        Self {
            roster: Roster::new(parts.max_plays),
            parts,
            supervisor,
            closing: HashSet::new(),
            queue: Queue::default(),
            timer: Timer::default(),
            drained: Vec::new(),
            next_arbiter: Cell::new(0),
            _obituary: obituary,
        }
    }

    /// Starts the actor of a play whose row says `running`. It uses a reserved slot. While the
    /// server stops it is put back instead: it has not started.
    pub(super) fn launch(
        &mut self,
        play: Play,
        launch: Launch,
        version: Arc<WorkflowVersion>,
        past: Past,
        ctx: &mut Context<Self>,
    ) {
        if self.parts.live.stopping().is_some() {
            self.put_back(play, ctx);
            return;
        }
        let timeout_ms = launch.timeout_ms.or(version.timeout_ms);
        // The plays of its nodes have one each; and one of them may wait for as long as it likes.
        let default_timeout = if version.python_source.is_empty() {
            Duration::MAX
        } else {
            self.parts.default_timeout
        };
        let limits = launch
            .limits
            .or(version.limits)
            .or(self.parts.default_limits);
        let brief = Brief {
            play: play.sid.clone(),
            attempt: play.attempt,
            workflow_name: play.workflow_name.clone(),
            flow_name: play.flow_name.clone().or_else(|| version.flow_name.clone()),
            version,
            input: play.input_data.clone(),
            parent_span_id: play.parent_span_id.clone(),
            launch,
            timeout: timeout_ms.map_or(default_timeout, Duration::from_millis),
            grace: self.parts.grace,
            limits,
            kept: (play.attempt > 1 || past.durable).then(|| self.parts.store.clone()),
        };
        let around = Surroundings {
            store: self.parts.store.clone(),
            attempts: self.parts.attempts.clone(),
            clock: self.parts.clock,
            supervisor: self.supervisor.clone(),
            io: self.parts.io.clone(),
        };
        let (sid, parent) = (play.sid.clone(), play.parent_play_sid.clone());
        tracing::info!(play = %sid, workflow = play.workflow_name, attempt = play.attempt, "play starts");
        let at = self.next_arbiter.get();
        self.next_arbiter.set(at.wrapping_add(1));
        let arbiter = &self.parts.arbiters[at % self.parts.arbiters.len()];
        // Made here and handed in: where that thread is gone, dropping it tells.
        let actor = PlayActor::new(around, brief, play, past);
        let actor = PlayActor::start_in_arbiter(arbiter, move |_| actor);
        let over = self.parts.live.enter(sid.clone(), actor, parent.clone());
        self.roster.release(1);
        self.roster.enter(sid.clone(), parent);
        if over {
            ctx.notify(Reported(sid));
        }
        self.hand_out_held(ctx);
    }

    /// Cancels that came for plays that had no actor yet: again, now that something was started.
    pub(super) fn hand_out_held(&mut self, ctx: &mut Context<Self>) {
        for cancel in self.parts.live.held() {
            ctx.notify(cancel);
        }
    }

    /// A play is no longer live, and that is committed.
    pub(super) fn left(&mut self, play: &Arc<Play>, ctx: &mut Context<Self>) {
        if !play.status.is_terminal() {
            return self.suspended(play, ctx);
        }
        // Who came after its end was published took it for live.
        self.parts.live.waiters().wake(play, &self.parts.io);
        if !self.parts.live.has(&play.sid) {
            return;
        }
        tracing::info!(
            play = %play.sid, status = play.status.as_str(), duration_ms = play.duration_ms,
            cause = play.cause.as_ref().map(|cause| cause.kind.as_str()), "play ended"
        );
        if play.status != PlayStatus::Success {
            let by = format!("parent {}", play.sid);
            self.cancel_children(play.sid.clone(), None, by, ctx);
        }
        self.forget_live(&play.sid, ctx);
    }

    /// A play's process is gone, and the play goes on in a further attempt.
    fn suspended(&mut self, play: &Arc<Play>, ctx: &mut Context<Self>) {
        tracing::info!(play = %play.sid, status = play.status.as_str(), attempt = play.attempt, "an attempt ended");
        // What it waited for may have come since that was committed.
        self.queue.look_again();
        // Whoever cancelled it may have reached nobody any more.
        if let Some(cancel) = self.parts.live.cancel_of(&play.sid) {
            ctx.notify(cancel);
        }
        self.forget_live(&play.sid, ctx);
    }

    /// A play has no actor any more.
    pub(super) fn forget_live(&mut self, sid: &PlaySid, ctx: &mut Context<Self>) {
        self.parts.live.remove(sid);
        self.roster.leave(sid);
        self.fill(ctx);
        self.tell_if_drained();
    }

    /// Orders every live play to stop.
    pub(super) fn order_stop(&mut self, grace: Duration) {
        for (_, play) in self.parts.live.all() {
            play.actor.do_send(Stop(StopOrder {
                reason: StopReason::Shutdown,
                grace,
            }));
        }
    }

    pub(super) fn tell_if_drained(&mut self) {
        if self.parts.live.stopping().is_some() && self.roster.is_empty() {
            for drained in self.drained.drain(..) {
                drained.send(()).ok();
            }
        }
    }

    pub(super) fn refuse_when_stopping(&self) -> Result<()> {
        match self.parts.live.stopping() {
            Some(_) => Err(Error::unavailable(
                "the server is stopping; start the play when it is back",
            )),
            None => Ok(()),
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.rebuild(ctx);
    }
}

impl Handler<WaitsChanged> for Registry {
    type Result = ();

    fn handle(&mut self, WaitsChanged(sid): WaitsChanged, ctx: &mut Self::Context) {
        let waiting = self.parts.live.is_waiting(&sid);
        self.roster.set_waiting(&sid, waiting);
        self.fill(ctx);
    }
}

impl Handler<Subscribe> for Registry {
    type Result = actix::MessageResult<Subscribe>;

    fn handle(&mut self, Subscribe(play): Subscribe, _: &mut Self::Context) -> Self::Result {
        let mut waiter = self.parts.live.waiters().add(&play);
        // After that: what ends from here on is told.
        waiter.live = self.parts.live.has(&play);
        actix::MessageResult(waiter)
    }
}

impl Handler<Census> for Registry {
    type Result = Counts;

    fn handle(&mut self, _: Census, _: &mut Self::Context) -> Counts {
        Counts {
            running: u32::try_from(self.roster.live()).unwrap_or(u32::MAX),
            waiting: self.roster.waiting(),
            limit: self.roster.limit(),
            waiters: self.parts.live.waiters().len(),
        }
    }
}

impl Handler<RefuseIfIdle> for Registry {
    type Result = bool;

    fn handle(&mut self, _: RefuseIfIdle, _: &mut Self::Context) -> bool {
        let idle = self.roster.is_empty() && !(self.queue.is_busy() && self.parts.dispatch);
        if idle {
            self.parts.live.stop(self.parts.grace);
        }
        idle
    }
}

impl Handler<Shutdown> for Registry {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, Shutdown { grace }: Shutdown, _: &mut Self::Context) -> Self::Result {
        self.parts.live.stop(grace);
        self.order_stop(grace);
        crash_point::reached("stop_received");
        let (drained, heard) = oneshot::channel();
        self.drained.push(drained);
        self.tell_if_drained();
        async move {
            let longest = grace.saturating_add(AFTER_GRACE);
            match tokio::time::timeout(longest, heard).await {
                Ok(heard) => heard.is_ok(),
                Err(_) => {
                    tracing::error!("plays could not be recorded in time; the next server will");
                    true
                }
            }
        }
        .boxed_local()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::ActorOf> for Registry {
    type Result = Option<actix::Addr<PlayActor>>;

    fn handle(&mut self, message: super::messages::ActorOf, _: &mut Self::Context) -> Self::Result {
        self.parts.live.actor(&message.0)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::Unsettled> for Registry {
    type Result = usize;

    fn handle(&mut self, _: super::messages::Unsettled, _: &mut Self::Context) -> usize {
        self.parts.live.all_reported().len()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::Panic> for Registry {
    type Result = ();

    fn handle(&mut self, message: super::messages::Panic, _: &mut Self::Context) {
        panic!("{}", message.0);
    }
}

/// Spawns `work` on the actor and hands it the result.
pub(super) fn then<T: 'static>(
    ctx: &mut Context<Registry>,
    registry: &Registry,
    work: impl Future<Output = T> + 'static,
    finish: impl FnOnce(T, &mut Registry, &mut Context<Registry>) + 'static,
) {
    ctx.spawn(work.into_actor(registry).map(finish));
}
