//! The library actor: holds the search index.
//!
//! Searches are answered at once from memory, also while a change waits for the store or for
//! Python; before the index is complete they wait for it. It must never update the index with what
//! is not committed.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, WrapFuture};
use futures_util::{FutureExt, future::ready};
use protocol::{Error, Result, WorkflowSid, rpc::FlowLibrarySearch};
use tokio::{sync::oneshot, task};

use super::{
    change::{Changes, Effect, Turn},
    index::Index,
    messages::{Follow, Search},
};
use crate::{crash_point, guardian::Obituary};

/// How long after a failure the store is read again.
const AGAIN: Duration = Duration::from_secs(1);

/// A search that waits for the index.
type Waiting = (FlowLibrarySearch, oneshot::Sender<Result<Vec<WorkflowSid>>>);

/// See the module.
#[derive(Debug)]
pub struct LibraryActor {
    changes: Changes,
    /// `None` until it is complete.
    index: Option<Index>,
    waiting: Vec<Waiting>,
    _obituary: Obituary,
}

impl LibraryActor {
    /// An actor that reads its index from the store when it starts.
    pub(super) fn new(changes: Changes, obituary: Obituary) -> Self {
        Self {
            changes,
            index: None,
            waiting: Vec::new(),
            _obituary: obituary,
        }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        let reading = read_index(self.changes.clone()).into_actor(self);
        ctx.spawn(reading.map(|read, actor, ctx| match read {
            Ok((index, turn)) => actor.indexed(index, turn),
            Err(error) => {
                tracing::error!(%error, "the library can't be read; trying again");
                for (_, answer) in actor.waiting.drain(..) {
                    let told = format!("the library can't be read: {error}");
                    drop(answer.send(Err(Error::unavailable(told))));
                }
                ctx.run_later(AGAIN, Self::read);
            }
        }));
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
        self.read(ctx);
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

impl Handler<Follow> for LibraryActor {
    type Result = ();

    /// Without an index there is nothing to do: it will be read after this change.
    fn handle(&mut self, Follow(effect): Follow, _: &mut Self::Context) {
        crash_point::reached("library_following");
        match (&mut self.index, effect) {
            (Some(index), Effect::Put(entry)) => index.upsert(entry),
            (Some(index), Effect::Gone(sid)) => {
                index.remove(&sid);
            }
            (None, _) => {}
        }
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handler<super::messages::Panic> for LibraryActor {
    type Result = ();

    fn handle(&mut self, message: super::messages::Panic, _: &mut Self::Context) {
        panic!("{}", message.0);
    }
}
