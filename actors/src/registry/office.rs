//! Where others find the registry, whichever it is: the faces, and the plays.
//!
//! The office outlives registries. It hears what plays report and keeps that ([`super::live`]) until a
//! registry has dealt with it; who asks a registry that dies asks its successor.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use actix::Addr;
use protocol::{EpochMs, Error, Play, PlaySid, PlayStatus, Result, SpanId, event::SpanEvent};
use tokio::runtime::Handle;

use super::{
    Registry, RegistryParts, asks,
    live::{LivePlays, Report},
    messages::{Reported, Shutdown, Subscribe, WaitsChanged},
    waiters::Record,
    waits::{Desk, Wakes, Woken},
};
use crate::{
    clock::Clock,
    crash_point,
    guardian::{Alarm, Seat, Unanswered},
    ingest::Request,
    library::Library,
    play::{
        actor::{RETRY, unanswered},
        attempt::Attempts,
        messages::{Link, PlayDown, Push, Stop, Supervise, Supervisor},
        stop::{StopOrder, StopReason},
        waits::Settling,
    },
    store::Store,
};

/// How long a stop waits for the registry beyond what that one waits for its plays.
const AFTER_REGISTRY: Duration = Duration::from_secs(5);

/// See the module.
pub struct Office {
    registry: Seat<Registry>,
    live: Arc<LivePlays>,
    store: Arc<dyn Store>,
    clock: Clock,
    attempts: Arc<dyn Attempts>,
    library: Library,
    /// What plays ask is answered here.
    io: Handle,
}

/// What an office is opened with.
pub struct Opening {
    pub parts: RegistryParts,
    pub library: Library,
    pub alarm: Alarm,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Office {
    /// Starts the registry, on the first of the arbiters.
    ///
    /// # Errors
    /// There is no arbiter.
    pub fn open(opening: Opening) -> Result<Arc<Self>> {
        let Opening {
            parts,
            library,
            alarm,
        } = opening;
        let io = parts.io.clone();
        let clock = parts.clock;
        let first = parts.arbiters.first().cloned();
        let arbiter = first.ok_or_else(|| Error::internal("no arbiter"))?;
        let office = Arc::new_cyclic(|me: &Weak<Self>| {
            let (store, attempts, live) = (
                parts.store.clone(),
                parts.attempts.clone(),
                parts.live.clone(),
            );
            let supervisor = Supervisor::new(me.clone());
            Self {
                registry: Seat::new("registry", arbiter, alarm, move |obituary| {
                    Registry::new(parts.clone(), supervisor.clone(), obituary)
                }),
                live,
                store,
                clock,
                attempts,
                library,
                io,
            }
        });
        let hears = Arc::downgrade(&office);
        office.store.feed().on_play(Box::new(move |play| {
            let woken = play.status == PlayStatus::Pending && play.attempt > 0;
            let is_child = play.parent_play_sid.is_some();
            let rests = is_child && play.status == PlayStatus::AwaitingResume;
            if !(play.status.is_terminal() || woken || rests) {
                return;
            }
            let Some(office) = hears.upgrade() else {
                return;
            };
            if woken {
                crash_point::reached("play_woken");
                // One that is live tells its registry itself when it has left.
                if !office.live.has(&play.sid) {
                    office.registry.tell(Woken);
                }
            } else if rests {
                office.live.rests().wake(play, &office.io);
            } else {
                office.live.recorded(&play.sid);
                crash_point::reached("waiters_waking");
                office.live.waiters().wake(play, &office.io);
                // One that never awaited anything has no parent that has left its process meanwhile.
                if is_child && (play.attempt > 1 || play.status != PlayStatus::Success) {
                    office.see_to_parent_of(play.sid.clone());
                }
            }
        }));
        office.registry.take();
        Ok(office)
    }

    /// Where the registry is found.
    #[must_use]
    pub fn registry(&self) -> &Seat<Registry> {
        &self.registry
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(super) fn attempts(&self) -> &Arc<dyn Attempts> {
        &self.attempts
    }

    /// The library.
    #[must_use]
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The play as it ended, once it has.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn ended(&self, sid: &PlaySid) -> Result<Arc<Record>> {
        let mut waiter = self.registry.ask(Subscribe(sid.clone())).await?;
        if !waiter.live {
            let play = self.store.play(sid).await?;
            let play = play.ok_or_else(|| Error::not_found("play", sid))?;
            if play.status.is_terminal() {
                return Ok(Arc::new(Record::new(Arc::new(play))));
            }
        }
        let ended = waiter.ended().await;
        ended.ok_or_else(|| Unanswered::Closed.into())
    }

    /// Resolves when the play comes to await something, from now on.
    pub(super) fn rests(&self, sid: &PlaySid) -> impl Future<Output = ()> + use<> {
        let mut waiter = self.live.rests().add(sid);
        async move {
            // None: the server stops, and it never will.
            if waiter.ended().await.is_none() {
                std::future::pending().await
            }
        }
    }

    /// Hands one span event to a play's actor, once: it is no event that may be applied twice. Whether
    /// it was taken; it is committed then.
    ///
    /// # Errors
    /// `not_found`; `conflict` where the play is not running; `unavailable` where it is only being
    /// started, or where its end left open whether the event was taken.
    pub async fn push(&self, sid: &PlaySid, event: SpanEvent) -> Result<bool> {
        let actor = self.live.actor(sid).filter(Addr::connected);
        let Some(actor) = actor else {
            let play = self.store.play(sid).await?;
            return Err(match play.map(|play| play.status) {
                None => Error::not_found("play", sid),
                Some(PlayStatus::Running) => Error::unavailable(format!(
                    "play {sid} is being started or ended just now; push the event again in a moment"
                )),
                Some(status) => Error::conflict(format!(
                    "play {sid} is {}; only a running play takes span events",
                    status.as_str()
                )),
            });
        };
        let pushed = actor.send(Push(event)).await;
        pushed.unwrap_or_else(|_| Err(unanswered(sid)))
    }

    /// Settles what a play waits for, see [`super::waits`].
    ///
    /// # Errors
    /// `not_found`, `conflict`, `invalid_input`, `too_large`, `unavailable`.
    pub async fn settle(&self, sid: &PlaySid, settling: Settling) -> Result<()> {
        self.desk().settle(sid, settling).await
    }

    fn desk(&self) -> Desk<'_> {
        Desk {
            store: &*self.store,
            live: &self.live,
            clock: self.clock,
            starts: Some((&self.registry, &self.library)),
        }
    }

    /// A play has ended, or may have, for whose end another may wait without a process.
    fn see_to_parent_of(self: &Arc<Self>, child: PlaySid) {
        let office = self.clone();
        self.io.spawn(async move {
            crash_point::reached("child_ended");
            while let Err(error) = office.desk().child_ended(&child).await {
                if office.live.stopping().is_some() {
                    return; // The next server sees to it.
                }
                tracing::error!(play = %child, %error, "failed to tell a parent of its child's end; trying again");
                tokio::time::sleep(RETRY.1).await;
            }
        });
    }

    /// No new plays; the live ones are stopped. Returns when none is live any more, or after the
    /// grace and 10 s.
    pub async fn stop_plays(&self, grace: Duration) {
        let asked = async {
            loop {
                match self.registry.ask(Shutdown { grace }).await {
                    Ok(true) => return true,
                    Ok(false) | Err(Unanswered::Died) => {}
                    Err(Unanswered::Closed) => return false,
                }
            }
        };
        let patience = grace.saturating_add(super::actor::AFTER_GRACE + AFTER_REGISTRY);
        match tokio::time::timeout(patience, asked).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(_) => tracing::error!("the registry does not answer to the stop"),
        }
        self.stop_plays_alone(grace).await;
    }

    /// Without a registry: the plays record their own ends.
    async fn stop_plays_alone(&self, grace: Duration) {
        self.live.stop(grace);
        for (_, play) in self.live.all() {
            play.actor.do_send(Stop(StopOrder {
                reason: StopReason::Shutdown,
                grace,
            }));
        }
        let patience = grace.saturating_add(super::actor::AFTER_GRACE);
        if tokio::time::timeout(patience, self.live.all_ended())
            .await
            .is_err()
        {
            tracing::error!("plays could not be recorded in time; the next server will");
        }
    }

    /// The actors are about to be stopped: nobody is to replace them.
    pub fn close(&self) {
        self.registry.close();
        self.library.seat().close();
        self.live.waiters().close();
        self.live.rests().close();
    }

    /// The span of a play shows the child that it stands for. A play that is not live shows nothing any more.
    pub(super) fn link(&self, parent: &PlaySid, span_id: SpanId, child: PlaySid) {
        if let Some(actor) = self.live.actor(parent) {
            actor.do_send(Link { span_id, child });
        }
    }

    pub(super) fn waits(&self, asker: &PlaySid, more: bool) {
        self.live.waits(asker, more);
        self.registry.tell(WaitsChanged(asker.clone()));
    }

    fn report(&self, sid: PlaySid, report: Report) {
        self.live.report(sid.clone(), report);
        self.registry.tell(Reported(sid));
    }
}

impl Supervise for Office {
    fn ended(&self, play: Arc<Play>) {
        self.report(play.sid.clone(), Report::Ended(play));
    }

    fn down(&self, down: PlayDown) {
        self.report(down.sid.clone(), Report::Down(down));
    }

    fn wakes(&self, at: EpochMs) {
        self.registry.tell(Wakes(at));
    }

    fn waits_for(self: Arc<Self>, child: PlaySid) {
        let office = self.clone();
        self.io.spawn(async move {
            // It may have ended just before that was committed.
            match office.store.play(&child).await {
                Ok(Some(play)) if !play.status.is_terminal() => {}
                _ => office.see_to_parent_of(child),
            }
        });
    }

    fn asked(self: Arc<Self>, asker: PlaySid, request: Request) {
        let io = self.io.clone();
        io.spawn(asks::serve(self, asker, request));
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Office")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
