//! The library actor: holds the search index and lets changes through.
//!
//! Searches are answered at once from memory, also while a change waits for the store or for
//! Python; before the index is complete they wait for it. It must never update the index with what
//! is not committed, nor answer a change before the index has followed.

use std::{future::Future, sync::Arc};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, ResponseFuture,
    WrapFuture,
};
use futures_util::{FutureExt, future::ready};
use protocol::{Error, Result, WorkflowSid, rpc::FlowLibrarySearch};
use tokio::{sync::oneshot, task};

use super::{
    change::{Changes, Done, Effect, Turn},
    index::Index,
    messages::{AddVersion, Create, Delete, Search, SetCurrent, Update},
};
use crate::{process::inspect::Inspector, store::Store};

/// A search that waits for the index.
type Waiting = (FlowLibrarySearch, oneshot::Sender<Result<Vec<WorkflowSid>>>);

/// See the module.
#[derive(Debug)]
pub struct LibraryActor {
    changes: Changes,
    /// `None` until it is complete.
    index: Option<Index>,
    waiting: Vec<Waiting>,
}

impl LibraryActor {
    /// An actor that reads its index from the store when it starts.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, inspector: Arc<dyn Inspector>) -> Self {
        Self::of(Changes::new(store, inspector))
    }

    /// Makes the actor, and its successors after a failure. A successor reads the store only when
    /// the changes that were under way are done, so it misses none of them.
    pub fn factory(
        store: Arc<dyn Store>,
        inspector: Arc<dyn Inspector>,
    ) -> impl Fn() -> Self + Clone + Send + Sync + 'static {
        let changes = Changes::new(store, inspector);
        move || Self::of(changes.clone())
    }

    fn of(changes: Changes) -> Self {
        Self {
            changes,
            index: None,
            waiting: Vec::new(),
        }
    }

    /// Runs a change as a task of its own, so that it is completed even if this actor is stopped;
    /// then lets the index follow, then answers.
    fn change<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<Done<T>>> + Send + 'static,
    ) -> ResponseActFuture<Self, Result<T>> {
        let work = task::spawn(work).into_actor(self);
        Box::pin(work.map(|done, actor, _| {
            let Done {
                answer,
                effect,
                turn,
            } = done.map_err(|error| Error::internal(format!("a change failed: {error}")))??;
            actor.follow(effect);
            drop(turn);
            Ok(answer)
        }))
    }

    /// Without an index there is nothing to do: it will be read after this change.
    fn follow(&mut self, effect: Option<Effect>) {
        match (&mut self.index, effect) {
            (Some(index), Some(Effect::Put(entry))) => index.upsert(entry),
            (Some(index), Some(Effect::Gone(sid))) => {
                index.remove(&sid);
            }
            (None, _) | (_, None) => {}
        }
    }

    fn indexed(&mut self, index: Index, turn: Turn) {
        tracing::debug!(workflows = index.len(), "the library is ready");
        for (query, answer) in self.waiting.drain(..) {
            // An error says that nobody waits any more.
            drop(answer.send(Ok(find(&index, &query))));
        }
        self.index = Some(index);
        drop(turn);
    }
}

fn find(index: &Index, query: &FlowLibrarySearch) -> Vec<WorkflowSid> {
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    index.search(&query.query, limit)
}

/// Reads the library while nobody changes it. Folding a million texts takes a second: not here.
async fn read_index(changes: Changes) -> Result<(Index, Turn)> {
    let turn = changes.turn().await;
    let entries = changes.store.library().await?;
    let index = task::spawn_blocking(|| Index::rebuild(entries)).await;
    let index = index.map_err(|error| Error::internal(format!("indexing failed: {error}")))?;
    Ok((index, turn))
}

impl Actor for LibraryActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let reading = read_index(self.changes.clone()).into_actor(self);
        ctx.spawn(reading.map(|read, actor, ctx| match read {
            Ok((index, turn)) => actor.indexed(index, turn),
            Err(error) => {
                tracing::error!(%error, "the library can't be read");
                for (_, answer) in actor.waiting.drain(..) {
                    let told = format!("the library can't be read: {error}");
                    drop(answer.send(Err(Error::unavailable(told))));
                }
                actix::ActorContext::stop(ctx);
            }
        }));
    }
}

impl Handler<Search> for LibraryActor {
    type Result = ResponseFuture<Result<Vec<WorkflowSid>>>;

    fn handle(&mut self, Search(query): Search, _: &mut Self::Context) -> Self::Result {
        if let Some(index) = &self.index {
            return ready(Ok(find(index, &query))).boxed();
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.push((query, answer));
        Box::pin(async {
            let stopped = || Error::unavailable("the library was stopped; ask again");
            answered.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

macro_rules! change {
    ($message:ident, $method:ident) => {
        impl Handler<$message> for LibraryActor {
            type Result = ResponseActFuture<Self, <$message as actix::Message>::Result>;

            fn handle(&mut self, $message(p): $message, _: &mut Self::Context) -> Self::Result {
                self.change(self.changes.clone().$method(p))
            }
        }
    };
}

change!(Create, create);
change!(Update, update);
change!(Delete, delete);
change!(AddVersion, add_version);
change!(SetCurrent, set_current);
