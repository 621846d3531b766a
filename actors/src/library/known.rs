//! Workflows and versions that were asked for lately, so that a start needs no question to the store.
//!
//! Must never answer with what a change has replaced: each committed change of the library empties it
//! before that change is answered, and what was read from the store meanwhile is not kept.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::{VersionSid, Workflow, WorkflowSid, WorkflowVersion};

use crate::store::{Answer, Store, StoreError};

/// When it holds more than this, about, it begins anew, bytes.
const FULL: usize = 2 << 20;

/// See the module.
#[derive(Debug)]
pub struct Known {
    store: Arc<dyn Store>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// How often it was emptied.
    changes: u64,
    bytes: usize,
    workflows: HashMap<WorkflowSid, Arc<Workflow>>,
    versions: HashMap<VersionSid, Arc<WorkflowVersion>>,
}

impl Held {
    fn empty(&mut self) {
        *self = Self {
            changes: self.changes + 1,
            ..Self::default()
        };
    }
}

impl Known {
    /// What is known of the library in this store: nothing as yet.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let feed = store.feed().clone();
        let known = Arc::new(Self {
            store,
            held: Mutex::default(),
        });
        let listening = Arc::downgrade(&known);
        feed.on_library(Box::new(move || {
            if let Some(known) = listening.upgrade() {
                known.lock().empty();
            }
        }));
        known
    }

    /// As [`Store::workflow`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn workflow(&self, sid: &WorkflowSid) -> Result<Option<Arc<Workflow>>, StoreError> {
        let bytes = |workflow: &Workflow| 256 + workflow.name.len() + workflow.description.len();
        let answer = || self.store.workflow(sid);
        self.get(sid, |held| &mut held.workflows, answer, bytes)
            .await
    }

    /// As [`Store::version`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn version(
        &self,
        sid: &VersionSid,
    ) -> Result<Option<Arc<WorkflowVersion>>, StoreError> {
        let bytes = |version: &WorkflowVersion| {
            1_024 + version.python_source.len() + 512 * (version.nodes.len() + version.edges.len())
        };
        let answer = || self.store.version(sid);
        self.get(sid, |held| &mut held.versions, answer, bytes)
            .await
    }

    async fn get<K: Clone + Eq + Hash, V>(
        &self,
        key: &K,
        of: impl Fn(&mut Held) -> &mut HashMap<K, Arc<V>>,
        answer: impl FnOnce() -> Answer<Option<V>>,
        bytes: impl Fn(&V) -> usize,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let before = {
            let mut held = self.lock();
            if let Some(found) = of(&mut held).get(key) {
                return Ok(Some(found.clone()));
            }
            held.changes
        };
        let Some(read) = answer().await?.map(Arc::new) else {
            return Ok(None);
        };
        let more = bytes(&read);
        let mut held = self.lock();
        if held.changes == before && more < FULL {
            if held.bytes + more > FULL {
                held.empty();
            }
            held.bytes += more;
            of(&mut held).insert(key.clone(), read.clone());
        }
        Ok(Some(read))
    }

    /// A panic elsewhere leaves the maps whole.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::store::{Batch, LibraryChange, conformance::sample, memory::MemoryStore};

    #[tokio::test]
    async fn what_is_known_is_not_asked_again_until_the_library_changes() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let known = Known::new(store.clone());
        let (mut workflow, version) = sample::workflow("f");
        let change = LibraryChange::Create {
            workflow: workflow.clone(),
            version: version.clone(),
        };
        assert!(known.workflow(&workflow.sid).await.unwrap().is_none());
        store.commit(Batch::Library(change)).await.unwrap();
        let first = known.workflow(&workflow.sid).await.unwrap().unwrap();
        let again = known.workflow(&workflow.sid).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it was kept");
        let first = known.version(&version.sid).await.unwrap().unwrap();
        let again = known.version(&version.sid).await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it was kept");

        workflow.name = "g".to_owned();
        let rename = || store.commit(Batch::Library(LibraryChange::Update(workflow.clone())));
        rename().await.unwrap();
        let now = known.workflow(&workflow.sid).await.unwrap().unwrap();
        assert_eq!(now.name, "g");

        // What was read before a change, and comes after it, is not kept.
        rename().await.unwrap();
        let late = || {
            let (read, rename) = (store.workflow(&workflow.sid), rename());
            async move {
                let read = read.await;
                rename.await.map(drop)?;
                read
            }
            .boxed()
        };
        let stale = known.get(&workflow.sid, |held| &mut held.workflows, late, |_| 1);
        let stale = stale.await.unwrap().unwrap();
        let now = known.workflow(&workflow.sid).await.unwrap().unwrap();
        assert!(!Arc::ptr_eq(&stale, &now));
    }
}
