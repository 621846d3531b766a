//! The library through its messages.

mod content;
mod store;

use std::{future::Future, pin::pin, slice::from_ref, sync::Arc};

use actix::System;
use actix_rt::Arbiter;
use futures_util::{future::join_all, poll};
use protocol::{
    Edge, Error, ErrorKind, Node, Result, VersionSid, Workflow, WorkflowSid, WorkflowVersion,
    rpc::{
        FlowLibrarySearch, VersionContent, WorkflowCreate, WorkflowRef, WorkflowUpdate,
        WorkflowVersionAdd, WorkflowVersionSetCurrent,
    },
};
use tokio::task::yield_now;

use self::store::TestStore;
use super::messages::Panic;
use crate::{
    guardian::{self, Alarm},
    library,
    process::inspect::FakeInspector,
    store::{Store, StoreError},
};

const SOURCE: &str = "@flow\ndef main(url, n=1):\n    pass\n";

struct Library {
    store: Arc<TestStore>,
    inspector: FakeInspector,
    addr: library::Library,
}

fn open(store: Arc<TestStore>, inspector: &FakeInspector) -> library::Library {
    guardian::listen_to_panics();
    let inspector = Arc::new(inspector.clone());
    library::Library::open(store, inspector, Arbiter::current(), Alarm::default())
}

/// Runs a test with a library of its own.
fn with_library<F: Future<Output = ()>>(test: impl FnOnce(Library) -> F) {
    System::new().block_on(async {
        let (store, inspector) = (TestStore::new(), FakeInspector::default());
        let addr = open(store.clone(), &inspector);
        test(Library {
            store,
            inspector,
            addr,
        })
        .await;
    });
}

/// A call of the library, as a value.
trait Call {
    type Answer;
    fn of(self, library: &library::Library) -> impl Future<Output = Result<Self::Answer>>;
}

macro_rules! calls {
    ($($name:ident($params:ty) -> $answer:ty: $method:ident,)*) => {$(
        #[derive(Clone)]
        struct $name($params);

        impl Call for $name {
            type Answer = $answer;

            async fn of(self, library: &library::Library) -> Result<$answer> {
                library.$method(self.0).await
            }
        }
    )*};
}

calls! {
    Search(FlowLibrarySearch) -> Vec<WorkflowSid>: search,
    Create(WorkflowCreate) -> Workflow: create,
    Update(WorkflowUpdate) -> Workflow: update,
    Delete(WorkflowRef) -> Workflow: delete,
    AddVersion(WorkflowVersionAdd) -> WorkflowVersion: add_version,
    SetCurrent(WorkflowVersionSetCurrent) -> Workflow: set_current,
}

async fn ask<C: Call>(library: &library::Library, call: C) -> Result<C::Answer> {
    call.of(library).await
}

fn create(name: &str) -> Create {
    Create(WorkflowCreate {
        name: name.into(),
        description: String::new(),
        tags: Vec::new(),
        content: source(SOURCE),
    })
}

fn source(text: &str) -> VersionContent {
    VersionContent {
        python_source: text.into(),
        ..VersionContent::default()
    }
}

fn update(sid: &WorkflowSid) -> WorkflowUpdate {
    WorkflowUpdate {
        workflow_sid: sid.clone(),
        name: None,
        description: None,
        tags: None,
    }
}

fn add(sid: &WorkflowSid, content: VersionContent) -> AddVersion {
    AddVersion(WorkflowVersionAdd {
        workflow_sid: sid.clone(),
        content,
        set_current: true,
    })
}

fn set_current(workflow: &WorkflowSid, version: &VersionSid) -> SetCurrent {
    SetCurrent(WorkflowVersionSetCurrent {
        workflow_sid: workflow.clone(),
        version_sid: version.clone(),
    })
}

fn search(query: &str) -> Search {
    Search(FlowLibrarySearch {
        query: query.into(),
        limit: 100,
    })
}

impl Library {
    async fn create(&self, name: &str) -> Workflow {
        ask(&self.addr, create(name)).await.unwrap()
    }

    async fn found(&self, query: &str) -> Vec<WorkflowSid> {
        ask(&self.addr, search(query)).await.unwrap()
    }

    async fn refused(&self, content: VersionContent) -> Error {
        let Create(mut p) = create("refused");
        p.content = content;
        ask(&self.addr, Create(p)).await.unwrap_err()
    }

    async fn stored(&self, sid: &WorkflowSid) -> Workflow {
        self.store.workflow(sid).await.unwrap().unwrap()
    }
}

/// Gives every task that can go on the opportunity to.
async fn settle() {
    for _ in 0..200 {
        yield_now().await;
    }
}

#[test]
fn a_search_after_the_answer_sees_the_change() {
    with_library(|lib| async move {
        let a = lib.create("alpha").await.sid;
        assert_eq!(lib.found("ALPHA").await, from_ref(&a));
        let b = lib.create("beta").await.sid;
        assert_eq!(lib.found("").await, [b.clone(), a.clone()]);
        let renamed = WorkflowUpdate {
            name: Some("gamma".into()),
            ..update(&a)
        };
        ask(&lib.addr, Update(renamed)).await.unwrap();
        assert_eq!(lib.found("gamma").await, from_ref(&a));
        assert!(lib.found("alpha").await.is_empty());
        assert_eq!(lib.found("").await, [a.clone(), b.clone()]);
        ask(&lib.addr, add(&b, source("other"))).await.unwrap();
        assert_eq!(lib.found("").await, [b.clone(), a.clone()]);
        let gone = WorkflowRef {
            workflow_sid: a.clone(),
        };
        let was = ask(&lib.addr, Delete(gone.clone())).await.unwrap();
        assert_eq!((was.name.as_str(), &was.sid), ("gamma", &a));
        assert_eq!(lib.found("").await, [b]);
        let error = ask(&lib.addr, Delete(gone)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    });
}

#[test]
fn search_waits_until_the_index_is_complete() {
    System::new().block_on(async {
        let (store, inspector) = (TestStore::new(), FakeInspector::default());
        let first = open(store.clone(), &inspector);
        let sid = ask(&first, create("alpha")).await.unwrap().sid;
        store.hold_reading(true);
        let second = open(store.clone(), &inspector);
        let mut found = pin!(ask(&second, search("alpha")));
        assert!(poll!(&mut found).is_pending());
        settle().await;
        assert!(poll!(&mut found).is_pending());
        store.hold_reading(false);
        assert_eq!(found.await.unwrap(), [sid]);
    });
}

#[test]
fn a_library_that_cannot_be_read_says_so_and_is_read_again() {
    System::new().block_on(async {
        let store = TestStore::new();
        store.break_with(Some(StoreError::Backend("unreadable".into())));
        let library = open(store.clone(), &FakeInspector::default());
        let error = ask(&library, search("")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.message.contains("unreadable"), "{error}");
        store.break_with(None);
        assert!(ask(&library, search("")).await.unwrap().is_empty());
    });
}

async fn kill(library: &library::Library) {
    let killed = library.seat().send(Panic("on purpose".into())).await;
    assert!(killed.is_err(), "it dies of it");
}

/// The actor dies while a change is committed: the change is answered, and the successor knows it.
#[test]
fn a_change_that_is_under_way_when_the_actor_dies_is_answered() {
    with_library(|lib| async move {
        ask(&lib.addr, search("")).await.unwrap();
        lib.store.hold_commits(true);
        let mut change = pin!(ask(&lib.addr, create("alpha")));
        assert!(poll!(&mut change).is_pending());
        settle().await;
        kill(&lib.addr).await;
        let mut found = pin!(ask(&lib.addr, search("alpha")));
        assert!(poll!(&mut found).is_pending());
        settle().await;
        assert!(poll!(&mut found).is_pending());
        lib.store.hold_commits(false);
        let made = change.await.unwrap();
        assert_eq!(found.await.unwrap(), [made.sid]);
    });
}

/// The successor has read its index when a change, begun before, is committed.
#[test]
fn a_successor_follows_the_changes_that_were_begun_before_it() {
    with_library(|lib| async move {
        lib.inspector.hold(true);
        let mut change = pin!(ask(&lib.addr, create("alpha")));
        assert!(poll!(&mut change).is_pending());
        settle().await;
        kill(&lib.addr).await;
        assert!(ask(&lib.addr, search("")).await.unwrap().is_empty());
        lib.inspector.hold(false);
        let made = change.await.unwrap();
        assert_eq!(ask(&lib.addr, search("")).await.unwrap(), [made.sid]);
    });
}

#[test]
fn concurrent_updates_of_different_fields_all_count() {
    with_library(|lib| async move {
        let sid = lib.create("alpha").await.sid;
        lib.store.hold_commits(true);
        let updates = [
            WorkflowUpdate {
                name: Some("beta".into()),
                ..update(&sid)
            },
            WorkflowUpdate {
                description: Some("what it does".into()),
                ..update(&sid)
            },
            WorkflowUpdate {
                tags: Some(vec!["x".into()]),
                ..update(&sid)
            },
        ];
        let addr = &lib.addr;
        let mut all = pin!(join_all(updates.map(|p| ask(addr, Update(p)))));
        let mut version = pin!(ask(addr, add(&sid, source("new"))));
        assert!(poll!(&mut all).is_pending() && poll!(&mut version).is_pending());
        settle().await;
        lib.store.hold_commits(false);
        all.await.into_iter().for_each(|done| drop(done.unwrap()));
        let version = version.await.unwrap();
        let now = lib.stored(&sid).await;
        assert_eq!(
            (now.name.as_str(), now.description.as_str(), &*now.tags),
            ("beta", "what it does", &["x".to_owned()][..])
        );
        assert_eq!(now.current_version_sid, version.sid);
    });
}

#[test]
fn of_concurrent_creations_of_one_name_one_succeeds() {
    with_library(|lib| async move {
        let all = join_all((0..20).map(|_| ask(&lib.addr, create("same")))).await;
        let (made, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (1, 19));
        let sid = made[0].as_ref().unwrap().sid.clone();
        for error in refused {
            let error = error.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.message.contains(sid.as_str()), "{error}");
            assert_eq!(error.details.unwrap()["sid"], sid.as_str());
        }
        let other = lib.create("other").await.sid;
        let taken = WorkflowUpdate {
            name: Some("same".into()),
            ..update(&other)
        };
        let error = ask(&lib.addr, Update(taken)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert_eq!(error.details.unwrap()["sid"], sid.as_str());
    });
}

#[test]
fn searches_do_not_wait_for_changes() {
    with_library(|lib| async move {
        let old = lib.create("old").await.sid;
        lib.store.hold_commits(true);
        let mut change = pin!(ask(&lib.addr, create("new")));
        assert!(poll!(&mut change).is_pending());
        settle().await;
        assert_eq!(lib.found("").await, from_ref(&old), "nothing uncommitted");
        lib.store.hold_commits(false);
        let new = change.await.unwrap().sid;
        assert_eq!(lib.found("").await, [new, old]);
    });
}

#[test]
fn a_slow_inspection_holds_up_no_other_change() {
    with_library(|lib| async move {
        lib.inspector.hold(true);
        let mut slow = pin!(ask(&lib.addr, create("slow")));
        assert!(poll!(&mut slow).is_pending());
        settle().await;
        let Create(mut p) = create("graph");
        p.content = graph();
        ask(&lib.addr, Create(p)).await.unwrap();
        lib.inspector.hold(false);
        slow.await.unwrap();
    });
}

#[test]
fn a_commit_that_fails_changes_nothing() {
    with_library(|lib| async move {
        let sid = lib.create("alpha").await.sid;
        lib.store
            .break_with(Some(StoreError::Full("no space".into())));
        let error = ask(&lib.addr, create("beta")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        let renamed = WorkflowUpdate {
            name: Some("gamma".into()),
            ..update(&sid)
        };
        ask(&lib.addr, Update(renamed)).await.unwrap_err();
        assert_eq!(lib.found("").await, from_ref(&sid));
        assert!(lib.found("gamma").await.is_empty());
        lib.store.break_with(None);
        lib.create("beta").await;
    });
}

fn graph() -> VersionContent {
    let node = |id: &str| Node {
        id: id.into(),
        workflow_sid: "w".into(),
        inputs: None,
    };
    VersionContent {
        nodes: vec![node("a"), node("b")],
        edges: vec![Edge {
            from: "a".into(),
            to: "b".into(),
            map: None,
        }],
        ..VersionContent::default()
    }
}

#[test]
fn sids_that_name_nothing_are_not_found() {
    with_library(|lib| async move {
        let version = lib.create("a").await.current_version_sid;
        let sid = WorkflowSid::from("not even a uuid");
        let answers = [
            ask(&lib.addr, Update(update(&sid))).await.map(drop),
            ask(&lib.addr, add(&sid, source(""))).await.map(drop),
            ask(&lib.addr, add(&sid, source("x"))).await.map(drop),
            ask(&lib.addr, set_current(&sid, &version)).await.map(drop),
        ];
        let kinds: Vec<_> = answers.map(|a| a.unwrap_err().kind).into();
        use ErrorKind::{InvalidInput, NotFound};
        assert_eq!(kinds, [NotFound, InvalidInput, NotFound, NotFound]);
    });
}

#[test]
fn an_update_that_says_nothing_new_writes_nothing() {
    with_library(|lib| async move {
        let (a, b) = (lib.create("a").await, lib.create("b").await);
        let same = WorkflowUpdate {
            name: Some(" a ".into()),
            tags: Some(Vec::new()),
            ..update(&a.sid)
        };
        assert_eq!(ask(&lib.addr, Update(same)).await.unwrap(), a);
        assert_eq!(lib.store.seq(), 2);
        assert_eq!(lib.found("").await, [b.sid, a.sid]);
    });
}
