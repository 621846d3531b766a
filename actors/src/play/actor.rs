//! The actor of one play: performs what the reducer says.
//!
//! It commits in order, one batch at a time, while the next one gathers ([`Pace`] says how long); it
//! orders its process to stop; it ends when the end of its play is committed. It does no IO of its own
//! and holds no lock.

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture,
    SpawnHandle, WrapFuture,
};
use futures_util::{FutureExt, future::BoxFuture};
use protocol::{
    Error, OnInterrupt, Play, PlaySid, Result,
    event::{Output, SpanEvent, StepOutput},
};
use serde_json::Value;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    attempt::{Attempts, Brief},
    dag_attempt,
    messages::{Deliver, Link, PlayDown, Push, Settle, Stop, Supervisor},
    outbox::Outbox,
    outcome::{Ended, Exit},
    pace::Pace,
    state::State,
    stop::StopOrder,
};
use crate::{
    clock::Clock,
    crash_point,
    guardian::Obituary,
    ingest::{Acknowledgement, Delivery, Event, Sink},
    store::{Batch, Fence, Past, PlayChange, Store, StoreError},
};

/// The first and the longest pause before a commit is tried again.
pub(crate) const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a play's actor works with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub store: Arc<dyn Store>,
    pub attempts: Arc<dyn Attempts>,
    pub clock: Clock,
    pub supervisor: Supervisor,
    /// Where a play without a process of its own is run.
    pub io: Handle,
}

/// See the module.
#[derive(Debug)]
pub struct PlayActor {
    around: Surroundings,
    /// What its process is started with; taken at the start.
    brief: Option<(Brief, watch::Receiver<Option<StopOrder>>)>,
    fence: Fence,
    state: State,
    on_interrupt: OnInterrupt,
    /// Orders to the process, also to one that is only being started. Dropping it is one too.
    stop: watch::Sender<Option<StopOrder>>,
    gone: watch::Sender<Option<watch::Receiver<bool>>>,
    outbox: Outbox,
    pace: Pace,
    /// Ends the waiting of what is in the outbox.
    lingering: Option<SpawnHandle>,
    committing: bool,
    /// Deliveries whose changes are in the outbox: they may go on as soon as no commit is under way.
    delivered: Vec<oneshot::Sender<()>>,
    /// Who waits until their events are committed, whose changes are in the outbox.
    pushed: Vec<Promise>,
    /// Who came with something for it when its process was gone: they hear of that when it is committed.
    late: Vec<oneshot::Sender<()>>,
    retry_after: Duration,
    /// The outcome is in the outbox or committed.
    finished: bool,
    /// It is committed.
    recorded: bool,
    obituary: Obituary,
}

impl PlayActor {
    /// A play whose row says `running` with this attempt; its process is started when the actor is.
    #[must_use]
    pub fn new(around: Surroundings, brief: Brief, play: Play, past: Past) -> Self {
        let fence = Fence {
            play: play.sid.clone(),
            attempt: play.attempt,
        };
        let (gone, seen_gone) = watch::channel(None);
        let (stop, orders) = watch::channel(None);
        let (supervisor, sid, attempt) =
            (around.supervisor.clone(), play.sid.clone(), play.attempt);
        let obituary = Obituary::new(move |words| {
            let gone: Option<watch::Receiver<bool>> = seen_gone.borrow().clone();
            let why = words.unwrap_or_else(|| "the play's actor was dropped".into());
            supervisor.tell_down(PlayDown {
                sid,
                attempt,
                why,
                gone,
            });
        });
        Self {
            state: State::new(play, past, brief.limits).with_answers_of(&brief.launch),
            on_interrupt: brief.version.on_interrupt,
            brief: Some((brief, orders)),
            around,
            fence,
            stop,
            gone,
            outbox: Outbox::default(),
            pace: Pace::default(),
            lingering: None,
            committing: false,
            delivered: Vec::new(),
            pushed: Vec::new(),
            late: Vec::new(),
            retry_after: RETRY.0,
            finished: false,
            recorded: false,
            obituary,
        }
    }

    fn process_ended(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        crash_point::reached("play_gone");
        let output: BoxFuture<'static, std::result::Result<Option<String>, String>> =
            match self.state.take_output() {
                Some(Output::Data(data)) => {
                    std::future::ready(Ok(Some(Box::<str>::from(data).into()))).boxed()
                }
                Some(Output::File(name)) => self
                    .around
                    .attempts
                    .read_spool(&self.fence.play, &name)
                    .map(|read| read.map(Some))
                    .boxed(),
                None if ended.exit == Exit::Code(0) && ended.stopped.is_none() => {
                    std::future::ready(Ok(Some("null".to_owned()))).boxed()
                }
                None => std::future::ready(Ok(None)).boxed(),
            };
        ctx.spawn(output.into_actor(self).map(move |output, actor, ctx| {
            let now = actor.around.clock.now();
            actor.finished = true;
            let changes = actor.state.finish(&ended, output, actor.on_interrupt, now);
            actor.take_in(changes, ctx);
        }));
    }

    fn take_in(&mut self, changes: Vec<PlayChange>, ctx: &mut Context<Self>) {
        self.outbox.push(changes);
        self.flush(ctx);
    }

    /// Commits what has gathered, as soon as it has waited long enough; but not while a commit is under
    /// way: then that one's end does.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.committing {
            return;
        }
        for delivered in self.delivered.drain(..) {
            // An error says that the process is gone, and its reader with it.
            delivered.send(()).ok();
        }
        if self.outbox.is_empty() {
            // What they wait for was committed before.
            self.pushed.drain(..).for_each(Promise::keep);
            return;
        }
        let urgent = self.finished || !self.pushed.is_empty();
        if let Some(left) = self.pace.wait(self.outbox.len(), urgent, Instant::now()) {
            if self.lingering.is_none() {
                self.lingering = Some(ctx.run_later(left, |actor, ctx| {
                    actor.lingering = None;
                    actor.flush(ctx);
                }));
            }
            return;
        }
        if let Some(lingering) = self.lingering.take() {
            ctx.cancel_future(lingering);
        }
        self.pace.taken();
        self.committing = true;
        let changes = self.outbox.take();
        let pushed = std::mem::take(&mut self.pushed);
        self.commit(changes, pushed, ctx);
    }

    fn commit(&mut self, changes: Vec<PlayChange>, pushed: Vec<Promise>, ctx: &mut Context<Self>) {
        let batch = Batch::Play {
            fence: self.fence.clone(),
            changes: changes.clone(),
        };
        let wakes = changes.iter().filter_map(|change| match change {
            PlayChange::Wait(wait) => wait.start.wake_at,
            _ => None,
        });
        let wakes = wakes.min_by(|a, b| a.0.total_cmp(&b.0));
        let children = changes.iter().filter_map(|change| match change {
            PlayChange::Wait(wait) => wait.start.child.clone(),
            _ => None,
        });
        let children: Vec<_> = children.collect();
        let commit = self.around.store.commit(batch);
        ctx.spawn(commit.into_actor(self).map(move |result, actor, ctx| match result {
            Ok(_) => {
                if let Some(at) = wakes {
                    actor.around.supervisor.tell_wakes(at);
                }
                for child in children {
                    actor.around.supervisor.tell_waits_for(child);
                }
                pushed.into_iter().for_each(Promise::keep);
                actor.committed(ctx);
            }
            Err(error) if error.may_pass() => {
                tracing::error!(play = %actor.fence.play, %error, "failed to commit; trying again");
                if actor.finished && matches!(error, StoreError::Full(_)) {
                    // Its large output is in memory by now; the file may hold the very space that is missing.
                    let tidied = actor.around.attempts.tidy(&actor.fence.play);
                    ctx.spawn(tidied.into_actor(actor));
                }
                let pause = actor.retry_after;
                actor.retry_after = (pause * 2).min(RETRY.1);
                ctx.run_later(pause, move |actor, ctx| actor.commit(changes, pushed, ctx));
            }
            Err(error) => {
                actor.give_up(&error, ctx);
            }
        }));
    }

    fn committed(&mut self, ctx: &mut Context<Self>) {
        self.committing = false;
        self.retry_after = RETRY.0;
        crash_point::reached("play_committed");
        if !self.outbox.is_empty() || !self.finished {
            self.flush(ctx);
            return;
        }
        crash_point::reached("play_recorded");
        self.recorded = true;
        for late in self.late.drain(..) {
            // An error says that this one waits no more.
            late.send(()).ok();
        }
        if !self.state.play().status.is_terminal() {
            // The next attempt has the same directories: it begins when the registry hears of this end.
            let tidied = self.around.attempts.tidy(&self.fence.play);
            ctx.spawn(tidied.into_actor(self).map(|(), actor, ctx| {
                actor
                    .around
                    .supervisor
                    .tell_ended(actor.state.play().clone());
                crash_point::reached("attempt_told");
                actor.leave(ctx);
            }));
            return;
        }
        self.around.supervisor.tell_ended(self.state.play().clone());
        // What becomes of the actor now is no matter of the play any more.
        self.obituary.disarm();
        crash_point::reached("play_told");
        let tidied = self.around.attempts.tidy(&self.fence.play);
        ctx.spawn(tidied.into_actor(self).map(|(), actor, ctx| {
            crash_point::reached("play_tidied");
            actor.leave(ctx);
        }));
    }

    /// It can't write any more. Its process ends with it, and its supervisor has to know.
    fn give_up(&mut self, error: &StoreError, ctx: &mut Context<Self>) {
        self.around.supervisor.tell_down(PlayDown {
            sid: self.fence.play.clone(),
            attempt: self.fence.attempt,
            why: format!("failed to record what it does: {error}"),
            gone: self.gone.borrow().clone(),
        });
        self.leave(ctx);
    }

    fn leave(&mut self, ctx: &mut Context<Self>) {
        self.obituary.disarm();
        ctx.stop();
    }
}

impl Actor for PlayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some((brief, orders)) = self.brief.take() else {
            return;
        };
        crash_point::reached("play_started");
        let begun = self.state.begin(self.around.clock.now());
        self.take_in(begun, ctx);
        let sink = Arc::new(ActorSink {
            actor: ctx.address(),
            attempts: self.around.attempts.clone(),
            play: self.fence.play.clone(),
        });
        let attempt = if brief.version.python_source.is_empty() {
            dag_attempt::begin(&self.around.io, brief, sink, orders)
        } else {
            self.around.attempts.begin(brief, sink, orders)
        };
        self.gone.send_replace(Some(attempt.gone));
        let process = attempt.process.into_actor(self);
        ctx.spawn(process.map(|process, actor, ctx| {
            if let Some(process) = process {
                crash_point::reached("play_begun");
                actor.take_in(vec![PlayChange::Process(process)], ctx);
            }
        }));
        let ended = attempt.ended.into_actor(self);
        ctx.spawn(ended.map(|ended, actor, ctx| actor.process_ended(ended, ctx)));
    }
}

impl Handler<Deliver> for PlayActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Deliver(delivery): Deliver, ctx: &mut Self::Context) -> Self::Result {
        if self.finished {
            return std::future::ready(()).boxed_local();
        }
        let (done, taken) = oneshot::channel();
        crash_point::reached("play_delivered");
        self.delivered.push(done);
        let now = self.around.clock.now();
        let mut events = delivery.events.into_iter();
        let mut done = 0;
        for Acknowledgement { event, reply } in delivery.acknowledgements {
            let before = events.by_ref().take(event - done);
            let changes = self.state.apply(before, now);
            self.outbox.push(changes);
            let Some(awaited) = events.next() else { break };
            done = event + 1;
            let answered = received(&awaited);
            let (answer, changes) = self.state.answer(awaited, now);
            self.outbox.push(changes);
            self.pushed.push(Promise {
                reply,
                answer,
                answered,
            });
        }
        let changes = self.state.apply(events, now);
        self.take_in(changes, ctx);
        for request in delivery.requests {
            self.around.supervisor.ask(self.fence.play.clone(), request);
        }
        taken.map(drop).boxed_local()
    }
}

impl Handler<Push> for PlayActor {
    type Result = ResponseFuture<Result<bool>>;

    fn handle(&mut self, Push(event): Push, ctx: &mut Self::Context) -> Self::Result {
        if self.finished {
            let error = Error::conflict(format!(
                "play {} has ended; it takes no more events",
                self.fence.play
            ));
            return std::future::ready(Err(error)).boxed_local();
        }
        let now = self.around.clock.now();
        let (taken, changes) = self.state.push(Event::Wire(event), now);
        if changes.is_empty() {
            return std::future::ready(Ok(taken)).boxed_local();
        }
        let (reply, committed) = oneshot::channel();
        self.pushed.push(Promise {
            reply,
            answer: Ok(Value::Bool(taken)),
            answered: None,
        });
        self.take_in(changes, ctx);
        let sid = self.fence.play.clone();
        committed
            .map(move |done| match done {
                Ok(done) => done.map(|_| taken),
                Err(_) => Err(unanswered(&sid)),
            })
            .boxed_local()
    }
}

impl Handler<Settle> for PlayActor {
    type Result = ResponseFuture<Result<bool>>;

    fn handle(&mut self, Settle(settling): Settle, ctx: &mut Self::Context) -> Self::Result {
        if self.recorded {
            return std::future::ready(Ok(false)).boxed_local();
        }
        if self.finished {
            let (late, committed) = oneshot::channel();
            self.late.push(late);
            return committed.map(|_| Ok(false)).boxed_local();
        }
        let changes = match self.state.settle(settling, self.around.clock.now()) {
            Ok(changes) => changes,
            Err(refused) => return std::future::ready(Err(refused)).boxed_local(),
        };
        let (reply, committed) = oneshot::channel();
        self.pushed.push(Promise {
            reply,
            answer: Ok(Value::Bool(true)),
            answered: None,
        });
        self.take_in(changes, ctx);
        let sid = self.fence.play.clone();
        committed
            .map(move |done| match done {
                Ok(done) => done.map(|_| true),
                Err(_) => Err(unanswered(&sid)),
            })
            .boxed_local()
    }
}

impl Handler<Link> for PlayActor {
    type Result = ();

    fn handle(&mut self, Link { span_id, child }: Link, ctx: &mut Self::Context) {
        if !self.finished {
            let changes = self
                .state
                .apply([Event::Linked { span_id, child }], self.around.clock.now());
            self.take_in(changes, ctx);
        }
    }
}

impl Handler<Stop> for PlayActor {
    type Result = ();

    fn handle(&mut self, Stop(order): Stop, _: &mut Self::Context) {
        self.stop.send_modify(|held| join(held, order));
    }
}

/// An answer that is given when what is in the outbox is committed.
#[derive(Debug)]
struct Promise {
    reply: oneshot::Sender<Result<Value>>,
    answer: Result<Value>,
    /// The crash point that is reached then.
    answered: Option<&'static str>,
}

impl Promise {
    fn keep(self) {
        if let Some(point) = self.answered {
            crash_point::reached(point);
        }
        // An error says that nobody waits for it any more.
        self.reply.send(self.answer).ok();
    }
}

/// Something came that is to be answered: the crash point that is reached when it is.
fn received(awaited: &Event) -> Option<&'static str> {
    let (received, answered) = match awaited {
        Event::Wire(SpanEvent::StepOutput(_)) => ("step_received", "step_answered"),
        Event::Wire(SpanEvent::Pause(_)) => ("pause_received", "pause_answered"),
        _ => return None,
    };
    crash_point::reached(received);
    Some(answered)
}

fn join(held: &mut Option<StopOrder>, order: StopOrder) {
    *held = Some(match held.take() {
        Some(before) => before.joined_by(&order),
        None => order,
    });
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::Panic> for PlayActor {
    type Result = ();

    fn handle(&mut self, message: super::messages::Panic, _: &mut Self::Context) {
        panic!("{}", message.0);
    }
}

/// What is said of an event whose play's actor took it, or may have, and then died.
pub(crate) fn unanswered(sid: &PlaySid) -> Error {
    Error::unavailable(format!(
        "play {sid} ended before it had answered; its spans tell whether the event was taken"
    ))
}

/// The way from the process' readers to the actor.
#[derive(Debug)]
struct ActorSink {
    actor: actix::Addr<PlayActor>,
    attempts: Arc<dyn Attempts>,
    play: PlaySid,
}

impl Sink for ActorSink {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()> {
        if delivery
            .events
            .iter()
            .any(|event| long_result(event).is_some())
        {
            let (actor, attempts, play) =
                (self.actor.clone(), self.attempts.clone(), self.play.clone());
            return async move {
                let delivery = with_long_results(delivery, &*attempts, &play).await;
                actor.send(Deliver(delivery)).await.unwrap_or_default();
            }
            .boxed();
        }
        let taken = self.actor.send(Deliver(delivery));
        // An error says that the actor is gone: then nobody takes it.
        taken.map(|taken| taken.unwrap_or_default()).boxed()
    }
}

/// The name of the file with what a step came to, where it is too long for a line.
fn long_result(event: &Event) -> Option<&str> {
    match event {
        Event::Wire(SpanEvent::StepOutput(StepOutput {
            output: Output::File(name),
            ..
        })) => Some(name),
        _ => None,
    }
}

/// What can't be read stays a file's name, and is not kept.
async fn with_long_results(
    mut delivery: Delivery,
    attempts: &dyn Attempts,
    play: &PlaySid,
) -> Delivery {
    for event in &mut delivery.events {
        let Some(name) = long_result(event) else {
            continue;
        };
        let read = attempts.read_spool(play, name).await;
        let data = read.and_then(|text| {
            serde_json::value::RawValue::from_string(text).map_err(|error| error.to_string())
        });
        match (data, event) {
            (Ok(data), Event::Wire(SpanEvent::StepOutput(output))) => {
                output.output = Output::Data(data);
            }
            (Err(error), _) => {
                tracing::warn!(%play, %error, "failed to read the result of a step");
            }
            (Ok(_), _) => {}
        }
    }
    delivery
}
