//! The registry's actor: its state, its start, and the short answers.

use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient, ResponseFuture,
    WrapFuture,
};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;
use protocol::{Error, Play, PlaySid, PlayStatus, Result, WorkflowVersion};
use tokio::sync::oneshot;

use super::{
    messages::{
        Census, Counts, Forget, PlayCommitted, PushSpan, RefuseIfIdle, Shutdown, Subscribe, Waiter,
    },
    state::Roster,
    waiters::Waiters,
};
use crate::{
    clock::Clock,
    library,
    play::{
        PlayActor, Surroundings,
        attempt::{Attempts, Brief},
        messages::{PlayEnded, Push, Stop, Supervisor},
        stop::{StopOrder, StopReason},
    },
    store::{Launch, Store},
};

/// How long a stop waits for plays beyond their grace, before it goes on without them.
const AFTER_GRACE: Duration = Duration::from_secs(10);

/// What the registry works with.
#[derive(Clone)]
pub struct RegistryParts {
    pub store: Arc<dyn Store>,
    pub attempts: Arc<dyn Attempts>,
    pub search: Recipient<library::messages::Search>,
    pub clock: Clock,
    /// Where play actors live.
    pub arbiters: Vec<ArbiterHandle>,
    pub max_plays: u32,
    /// Whether plays are started at all.
    pub dispatch: bool,
    pub default_timeout: Duration,
    pub grace: Duration,
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
    pub(super) roster: Roster,
    pub(super) plays: HashMap<PlaySid, Addr<PlayActor>>,
    pub(super) waiters: Waiters,
    /// There may be pending rows that nobody has tried to start yet. Only a look at the queue that
    /// began after the last of them came takes this back.
    pub(super) queued: bool,
    pub(super) filling: bool,
    pub(super) stopping: Option<Duration>,
    drained: Vec<oneshot::Sender<()>>,
    next_arbiter: Cell<usize>,
}

impl Registry {
    /// `queued` is whether the store has plays that wait for a slot.
    #[must_use]
    pub fn new(parts: RegistryParts, queued: bool) -> Self {
        Self {
            roster: Roster::new(parts.max_plays),
            parts,
            plays: HashMap::new(),
            waiters: Waiters::default(),
            queued,
            filling: false,
            stopping: None,
            drained: Vec::new(),
            next_arbiter: Cell::new(0),
        }
    }

    /// Starts the actor of a play whose row says `running`. It takes a reserved slot.
    pub(super) fn launch(
        &mut self,
        play: Play,
        launch: Launch,
        version: Arc<WorkflowVersion>,
        spans: u64,
        ctx: &mut Context<Self>,
    ) {
        let timeout_ms = launch.timeout_ms.or(version.timeout_ms);
        let brief = Brief {
            play: play.sid.clone(),
            attempt: play.attempt,
            workflow_name: play.workflow_name.clone(),
            flow_name: play.flow_name.clone().or_else(|| version.flow_name.clone()),
            version,
            input: play.input_data.clone(),
            parent_span_id: play.parent_span_id.clone(),
            launch,
            timeout: timeout_ms.map_or(self.parts.default_timeout, Duration::from_millis),
            grace: self.parts.grace,
        };
        let me = ctx.address();
        let around = Surroundings {
            store: self.parts.store.clone(),
            attempts: self.parts.attempts.clone(),
            clock: self.parts.clock,
            supervisor: Supervisor {
                ended: me.clone().recipient().downgrade(),
                down: me.clone().recipient().downgrade(),
                asks: me.recipient().downgrade(),
            },
        };
        let (sid, parent) = (play.sid.clone(), play.parent_play_sid.clone());
        tracing::info!(play = %sid, workflow = play.workflow_name, attempt = play.attempt, "play starts");
        let at = self.next_arbiter.get();
        self.next_arbiter.set(at.wrapping_add(1));
        let arbiter = &self.parts.arbiters[at % self.parts.arbiters.len()];
        let actor = PlayActor::start_in_arbiter(arbiter, move |_| {
            PlayActor::new(around, brief, play, spans)
        });
        if let Some(grace) = self.stopping {
            actor.do_send(Stop(StopOrder {
                reason: StopReason::Shutdown,
                grace,
            }));
        }
        self.roster.enter(sid.clone(), parent);
        self.plays.insert(sid, actor);
    }

    /// A play is no longer live, and that is committed.
    pub(super) fn left(&mut self, play: &Arc<Play>, ctx: &mut Context<Self>) {
        tracing::info!(
            play = %play.sid, status = play.status.as_str(), duration_ms = play.duration_ms,
            cause = play.cause.as_ref().map(|cause| cause.kind.as_str()), "play ended"
        );
        self.plays.remove(&play.sid);
        self.roster.leave(&play.sid);
        // Who came after its end was published took it for live.
        self.waiters.wake(play);
        if play.status != PlayStatus::Success {
            let by = format!("parent {}", play.sid);
            self.cancel_children(play.sid.clone(), None, by, ctx);
        }
        self.fill(ctx);
        self.tell_if_drained();
    }

    pub(super) fn tell_if_drained(&mut self) {
        if self.stopping.is_some() && self.roster.is_empty() {
            for drained in self.drained.drain(..) {
                drained.send(()).ok();
            }
        }
    }

    pub(super) fn subscribe(&mut self, play: PlaySid, ctx: &Context<Self>) -> Waiter {
        let live = self.plays.contains_key(&play);
        let (id, hear) = self.waiters.add(play.clone());
        Waiter {
            play,
            id,
            hear,
            registry: ctx.address().recipient(),
            live,
        }
    }

    pub(super) fn refuse_when_stopping(&self) -> Result<()> {
        match self.stopping {
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
        let me = ctx.address().downgrade();
        self.parts.store.feed().on_play(Box::new(move |play| {
            if play.status.is_terminal()
                && let Some(me) = me.upgrade()
            {
                me.do_send(PlayCommitted(play.clone()));
            }
        }));
        self.fill(ctx);
    }
}

impl Handler<PlayCommitted> for Registry {
    type Result = ();

    fn handle(&mut self, PlayCommitted(play): PlayCommitted, _: &mut Self::Context) {
        self.waiters.wake(&play);
    }
}

impl Handler<PlayEnded> for Registry {
    type Result = ();

    fn handle(&mut self, PlayEnded(play): PlayEnded, ctx: &mut Self::Context) {
        self.left(&play, ctx);
    }
}

impl Handler<Subscribe> for Registry {
    type Result = actix::MessageResult<Subscribe>;

    fn handle(&mut self, Subscribe(play): Subscribe, ctx: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.subscribe(play, ctx))
    }
}

impl Handler<Forget> for Registry {
    type Result = ();

    fn handle(&mut self, Forget { play, id }: Forget, _: &mut Self::Context) {
        self.waiters.forget(&play, id);
    }
}

impl Handler<Census> for Registry {
    type Result = Counts;

    fn handle(&mut self, _: Census, _: &mut Self::Context) -> Counts {
        Counts {
            running: u32::try_from(self.roster.live()).unwrap_or(u32::MAX),
            waiting: self.roster.waiting(),
            limit: self.roster.limit(),
            waiters: self.waiters.len(),
        }
    }
}

impl Handler<PushSpan> for Registry {
    type Result = ResponseFuture<Result<bool>>;

    fn handle(&mut self, PushSpan { sid, event }: PushSpan, _: &mut Self::Context) -> Self::Result {
        let not_live = |status: PlayStatus, sid: &PlaySid| {
            Error::conflict(format!(
                "play {sid} is {}; only a running play takes span events",
                status.as_str()
            ))
        };
        let Some(actor) = self.plays.get(&sid) else {
            let play = self.parts.store.play(&sid);
            return async move {
                match play.await? {
                    Some(play) => Err(not_live(play.status, &sid)),
                    None => Err(Error::not_found("play", &sid)),
                }
            }
            .boxed_local();
        };
        let pushed = actor.send(Push(event));
        async move {
            pushed
                .await
                .unwrap_or_else(|_| Err(Error::conflict(format!("play {sid} has just ended"))))
        }
        .boxed_local()
    }
}

impl Handler<RefuseIfIdle> for Registry {
    type Result = bool;

    fn handle(&mut self, _: RefuseIfIdle, _: &mut Self::Context) -> bool {
        let idle = self.roster.is_empty() && !(self.queued && self.parts.dispatch);
        if idle {
            self.stopping.get_or_insert(self.parts.grace);
        }
        idle
    }
}

impl Handler<Shutdown> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Shutdown { grace }: Shutdown, _: &mut Self::Context) -> Self::Result {
        self.stopping = Some(self.stopping.map_or(grace, |before| before.min(grace)));
        for actor in self.plays.values() {
            actor.do_send(Stop(StopOrder {
                reason: StopReason::Shutdown,
                grace,
            }));
        }
        let (drained, heard) = oneshot::channel();
        self.drained.push(drained);
        self.tell_if_drained();
        async move {
            let longest = grace.saturating_add(AFTER_GRACE);
            if tokio::time::timeout(longest, heard).await.is_err() {
                tracing::error!("plays could not be recorded in time; the next server will");
            }
        }
        .boxed_local()
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::ActorOf> for Registry {
    type Result = Option<Addr<PlayActor>>;

    fn handle(&mut self, message: super::messages::ActorOf, _: &mut Self::Context) -> Self::Result {
        self.plays.get(&message.0).cloned()
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
