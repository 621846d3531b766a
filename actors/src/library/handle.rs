//! The library as others hold it: searches go to the actor, changes are tasks of their own.
//!
//! A change is completed and answered whatever becomes of its caller or of the actor. The turn ends
//! when the index has followed; a successor of the actor reads the store only in its turn, so it
//! misses no change, and one that it has read is none that it follows wrongly.

use std::{future::Future, sync::Arc};

use actix_rt::ArbiterHandle;
use protocol::{
    Error, Result, Workflow, WorkflowSid, WorkflowVersion,
    rpc::{
        FlowLibrarySearch, WorkflowCreate, WorkflowRef, WorkflowUpdate, WorkflowVersionAdd,
        WorkflowVersionSetCurrent,
    },
};
use tokio::task;

use super::{
    LibraryActor,
    change::{Changes, Done},
    known::Known,
    messages::{Follow, Search},
};
use crate::{
    crash_point,
    guardian::{Alarm, Seat},
    process::inspect::Inspector,
    store::Store,
};

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library {
    changes: Changes,
    known: Arc<Known>,
    seat: Seat<LibraryActor>,
}

impl Library {
    /// Starts the actor, which reads its index from the store.
    pub fn open(
        store: Arc<dyn Store>,
        inspector: Arc<dyn Inspector>,
        arbiter: ArbiterHandle,
        alarm: Alarm,
    ) -> Self {
        let known = Known::new(store.clone());
        let changes = Changes::new(store, inspector);
        let made_with = changes.clone();
        let seat = Seat::new("library", arbiter, alarm, move |obituary| {
            LibraryActor::new(made_with.clone(), obituary)
        });
        seat.take();
        Self {
            changes,
            known,
            seat,
        }
    }

    /// Where the actor is found.
    #[must_use]
    pub fn seat(&self) -> &Seat<LibraryActor> {
        &self.seat
    }

    /// Workflows and versions for those who start plays of them.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// The workflows that match, best first.
    ///
    /// # Errors
    /// `unavailable` where the library can't be read.
    pub async fn search(&self, search: FlowLibrarySearch) -> Result<Vec<WorkflowSid>> {
        self.seat.ask(Search(search)).await?
    }

    /// A new workflow with its first version.
    ///
    /// The name (trimmed) has 1 to 256 characters, none of them control characters: else
    /// `invalid_input`; a name that exists is `conflict`, and `sid` in the details says whose it is.
    /// Up to 64 tags of 1 to 128 characters. Description up to 64 KiB, source up to 4 MiB: else
    /// `too_large`. Content is Python source or nodes (with edges), never both. What `@flow` says
    /// (description, inputs, outputs) stands in for what is not given.
    ///
    /// # Errors
    /// See above; what the store says.
    pub async fn create(&self, create: WorkflowCreate) -> Result<Workflow> {
        self.change(self.changes.clone().create(create)).await
    }

    /// Changes what is given; the rules are those of [`Library::create`]. Nothing different: nothing
    /// is written, and the workflow keeps its place among the newest.
    ///
    /// # Errors
    /// As [`Library::create`]; `not_found`.
    pub async fn update(&self, update: WorkflowUpdate) -> Result<Workflow> {
        self.change(self.changes.clone().update(update)).await
    }

    /// Takes it out of the library; answers with what it was. Its plays and versions stay readable.
    ///
    /// # Errors
    /// `not_found`; what the store says.
    pub async fn delete(&self, wanted: WorkflowRef) -> Result<Workflow> {
        self.change(self.changes.clone().delete(wanted)).await
    }

    /// A further version. Where its content is that of the current version, that one is the answer
    /// and nothing is written.
    ///
    /// # Errors
    /// As [`Library::create`]; `not_found`.
    pub async fn add_version(&self, add: WorkflowVersionAdd) -> Result<WorkflowVersion> {
        self.change(self.changes.clone().add_version(add)).await
    }

    /// Which version plays use from now on.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` where the version is another workflow's; what the store says.
    pub async fn set_current(&self, set: WorkflowVersionSetCurrent) -> Result<Workflow> {
        self.change(self.changes.clone().set_current(set)).await
    }

    async fn change<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<Done<T>>> + Send + 'static,
    ) -> Result<T> {
        let seat = self.seat.clone();
        crash_point::reached("library_received");
        let work = task::spawn(async move {
            let Done {
                answer,
                effect,
                turn,
            } = work.await?;
            crash_point::reached("library_committed");
            // Without anybody to follow, there is no index that could be wrong.
            if let Some(effect) = effect
                && let Err(nobody) = seat.ask(Follow(effect)).await
            {
                tracing::debug!(?nobody, "no index follows a change of the library");
            }
            crash_point::reached("library_followed");
            drop(turn);
            Ok(answer)
        });
        work.await
            .map_err(|error| Error::internal(format!("a change failed: {error}")))?
    }
}
