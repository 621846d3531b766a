//! A new play: stored first, then started, as soon as there is a slot.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use protocol::{Error, Play, PlaySid, PlayStatus, Result, rpc::MAX_DEPTH};

use super::{
    Registry,
    actor::then,
    messages::{CancelPlay, StartPlay},
    queue::{Ready, ended_badly},
};
use crate::{
    crash_point,
    play::messages::Link,
    store::{Batch, Committed, NewPlay, Past, Store, StoreError, StoredPlay},
};

impl Handler<StartPlay> for Registry {
    type Result = ResponseActFuture<Self, Result<PlaySid>>;

    fn handle(&mut self, start: StartPlay, _: &mut Self::Context) -> Self::Result {
        crash_point::reached("start_received");
        if let Err(stopping) = self.refuse_when_stopping() {
            return Box::pin(std::future::ready(Err(stopping)).into_actor(self));
        }
        let parent = start.parent.as_ref().map(|parent| parent.play.clone());
        let store = self.parts.store.clone();
        let depth = async move {
            let Some(sid) = parent else { return Ok(1) };
            match store.stored_play(&sid).await? {
                Some(parent) if ended_badly(&parent.play) => Err(Error::conflict(format!(
                    "play {sid} is {}; it can start no further play",
                    parent.play.status.as_str()
                ))),
                Some(parent) => Ok(parent.depth + 1),
                None => Err(Error::not_found("play", &sid)),
            }
        };
        Box::pin(depth.into_actor(self).then(|depth, registry, _| {
            let created = registry.create(&start, depth);
            async move {
                let (new, store) = created?;
                let made = make(&*store, &new).await;
                Ok((new, made))
            }
            .into_actor(registry)
            .map(move |result: Result<_>, registry, ctx| {
                let (new, made) = result?;
                registry.created(start, new, made, ctx)
            })
        }))
    }
}

/// What became of a new play.
#[derive(PartialEq)]
enum Made {
    New,
    /// It was made by an earlier registry, which died before it could say so.
    Before,
    /// The idempotency key belongs to this one.
    Other(PlaySid),
}

async fn make(store: &dyn Store, new: &NewPlay) -> std::result::Result<Made, StoreError> {
    match store.commit(Batch::Create(Box::new(new.clone()))).await {
        Ok(Committed { existing: None, .. }) => Ok(Made::New),
        Ok(Committed {
            existing: Some(sid),
            ..
        }) => Ok(if sid == new.play.sid {
            Made::Before
        } else {
            Made::Other(sid)
        }),
        Err(taken @ StoreError::Conflict(_)) => match store.play(&new.play.sid).await? {
            Some(_) => Ok(Made::Before),
            None => Err(taken),
        },
        Err(error) => Err(error),
    }
}

impl Registry {
    fn create(
        &mut self,
        start: &StartPlay,
        depth: Result<u32>,
    ) -> Result<(Box<NewPlay>, Arc<dyn Store>)> {
        self.refuse_when_stopping()?;
        let depth = depth?;
        if depth > MAX_DEPTH {
            return Err(Error::invalid_input(format!(
                "plays can be nested {MAX_DEPTH} deep, and this one would be at depth {depth}; \
                 does a flow start itself without an end?"
            )));
        }
        let now = self.parts.clock.now();
        let runs = self.reserve_next();
        let play = Play {
            sid: start.sid.clone(),
            workflow_sid: start.version.workflow_sid.clone(),
            workflow_name: start.workflow_name.clone(),
            version_sid: start.version.sid.clone(),
            flow_name: start
                .flow_name
                .clone()
                .or_else(|| start.version.flow_name.clone()),
            status: if runs {
                PlayStatus::Running
            } else {
                PlayStatus::Pending
            },
            cause: None,
            input_data: start.input.clone(),
            output_data: None,
            parent_play_sid: start.parent.as_ref().map(|parent| parent.play.clone()),
            parent_span_id: start
                .parent
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            retry_of: start.retry_of.clone(),
            origin: start.origin.clone(),
            attempt: u32::from(runs),
            created_at: now,
            started_at: runs.then_some(now),
            completed_at: None,
            duration_ms: None,
            usage: None,
            skipped: None,
        };
        let new = Box::new(NewPlay {
            play,
            launch: start.launch.clone(),
            depth,
            process: None,
            idempotency_key: start.idempotency_key.clone(),
            reuse: start.reuse.clone(),
        });
        Ok((new, self.parts.store.clone()))
    }

    /// Whether the next play to be started may be now; a slot is reserved for it then. Nobody overtakes those who
    /// wait already.
    pub(super) fn reserve_next(&mut self) -> bool {
        let first = !self.queue.is_busy();
        self.parts.dispatch && first && self.roster.reserve(1) == 1
    }

    /// One that a slot was `reserved` for does not start after all.
    pub(super) fn not_started(&mut self, reserved: bool, ctx: &mut Context<Self>) {
        if reserved {
            self.roster.release(1);
            self.hand_out_held(ctx);
            self.fill(ctx);
            self.tell_if_drained();
        }
    }

    fn created(
        &mut self,
        start: StartPlay,
        new: Box<NewPlay>,
        made: std::result::Result<Made, StoreError>,
        ctx: &mut Context<Self>,
    ) -> Result<PlaySid> {
        let runs = new.play.status == PlayStatus::Running;
        if !matches!(made, Ok(Made::New)) {
            self.not_started(runs, ctx);
        }
        let made = made?;
        let sid = match &made {
            Made::Other(sid) => sid.clone(),
            Made::New | Made::Before => new.play.sid.clone(),
        };
        if let Some(parent) = start.parent {
            match self.parts.live.actor(&parent.play) {
                Some(actor) => actor.do_send(Link {
                    span_id: parent.span,
                    child: sid.clone(),
                }),
                None => self.cancel_if_outlived(parent.play, sid.clone(), ctx),
            }
        }
        if made != Made::New {
            return Ok(sid);
        }
        crash_point::reached("start_committed");
        let past = Past {
            durable: new.reuse.is_some(),
            ..Past::default()
        };
        if runs {
            self.launch(new.play, new.launch, Arc::clone(&start.version), past, ctx);
            crash_point::reached("start_launched");
        } else {
            let NewPlay {
                play,
                launch,
                depth,
                process,
                ..
            } = *new;
            let stored = StoredPlay {
                play,
                launch,
                depth,
                process,
                past,
            };
            let version = start.version;
            self.queue.add(Ready { stored, version });
            self.fill(ctx);
        }
        Ok(sid)
    }

    /// The parent ended while its child was being stored, and cancelled the children it knew of.
    fn cancel_if_outlived(&self, parent: PlaySid, child: PlaySid, ctx: &mut Context<Self>) {
        let stored = self.parts.store.play(&parent);
        then(ctx, self, stored, move |parent, _, ctx| match parent {
            Ok(Some(parent)) if ended_badly(&parent) => ctx.notify(CancelPlay {
                sid: child,
                grace: None,
                by: format!("parent {}", parent.sid),
            }),
            Ok(_) => {}
            Err(error) => {
                tracing::error!(play = %child, %error, "failed to look whether its parent lives");
            }
        });
    }
}
