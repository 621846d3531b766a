//! Rules about workflows and versions.

use std::sync::Arc;

use protocol::{
    Edge, EpochMs, Limits, Node, Parameter, Signature, VersionSid, Workflow, WorkflowSid,
    WorkflowVersion,
    rpc::{WorkflowList, WorkflowVersionList},
};
use serde_json::json;

use super::sample::{TEXT, TIME, library, new_play, ok, stored_workflow, version, workflow};
use crate::store::{LibraryChange, LibraryEntry, Store, StoreError};

type S = Arc<dyn Store>;

fn full_version(workflow: &WorkflowSid) -> WorkflowVersion {
    WorkflowVersion {
        number: 1,
        python_source: TEXT.to_owned(),
        nodes: vec![Node {
            id: "n".to_owned(),
            workflow_sid: WorkflowSid::fresh(),
            inputs: json!({ "a": 0.1 }).as_object().cloned(),
        }],
        edges: vec![Edge {
            from: "n".to_owned(),
            to: "m".to_owned(),
            map: json!({ "x": "y" }).as_object().cloned(),
        }],
        inputs: json!({ "type": "object", "n": 1.5e-7 }),
        outputs: json!([TEXT]),
        source_file: Some("flow.py".to_owned()),
        flow_name: Some("main".to_owned()),
        signature: Some(Signature {
            parameters: vec![Parameter {
                name: "n".to_owned(),
                required: false,
                annotation: Some("int".to_owned()),
                default: Some(json!(3)),
            }],
            accepts_extra: true,
        }),
        timeout_ms: Some(u64::MAX),
        limits: Limits {
            disk_bytes: Some(u64::MAX),
            spans: Some(1),
            ..Limits::default()
        },
        on_interrupt: protocol::OnInterrupt::Fail,
        env: vec!["KEY=VALUE".to_owned()],
        ..version(workflow)
    }
}

async fn update(store: &S, workflow: &Workflow) -> Result<(), StoreError> {
    library(&**store, LibraryChange::Update(workflow.clone()))
        .await
        .map(drop)
}

pub(super) async fn every_field_comes_back(store: S) {
    let (plain, _) = workflow(TEXT);
    let version = full_version(&plain.sid);
    let workflow = Workflow {
        description: TEXT.to_owned(),
        tags: vec!["b".to_owned(), TEXT.to_owned(), "a".to_owned()],
        current_version_sid: version.sid.clone(),
        updated_at: EpochMs(TIME.0 + 0.001),
        ..plain
    };
    let change = LibraryChange::Create {
        workflow: workflow.clone(),
        version: version.clone(),
    };
    assert_eq!(ok(library(&*store, change).await).version_number, Some(1));
    assert_eq!(
        ok(store.workflow(&workflow.sid).await),
        Some(workflow.clone())
    );
    assert_eq!(ok(store.workflow_named(TEXT).await), Some(workflow));
    assert_eq!(ok(store.version(&version.sid).await), Some(version));
}

pub(super) async fn a_name_is_unique(store: S) {
    let first = stored_workflow(&*store, "one").await;
    let second = stored_workflow(&*store, "two").await;
    let (workflow, version) = workflow("one");
    let create = LibraryChange::Create {
        workflow: workflow.clone(),
        version: version.clone(),
    };
    let seq = ok(store.last_seq().await);
    let refused = library(&*store, create.clone()).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(ok(store.version(&version.sid).await), None);
    let renamed = Workflow {
        name: "one".to_owned(),
        ..second.clone()
    };
    assert!(matches!(
        update(&store, &renamed).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(ok(store.workflow(&second.sid).await), Some(second));
    assert_eq!(ok(store.last_seq().await), seq);
    // Its own name is no conflict, another case is another name, and a deleted one is free again.
    ok(update(&store, &first).await);
    stored_workflow(&*store, "ONE").await;
    ok(library(&*store, LibraryChange::Delete(first.sid)).await);
    ok(library(&*store, create).await);
    assert_eq!(ok(store.workflow_named("one").await), Some(workflow));
}

pub(super) async fn an_update_keeps_the_origin(store: S) {
    let before = stored_workflow(&*store, "one").await;
    let after = Workflow {
        name: "new".to_owned(),
        description: "text".to_owned(),
        tags: vec!["t".to_owned()],
        created_at: EpochMs(1.0),
        updated_at: EpochMs(2.0),
        ..before.clone()
    };
    ok(update(&store, &after).await);
    let expected = Workflow {
        created_at: before.created_at,
        ..after
    };
    assert_eq!(ok(store.workflow(&before.sid).await), Some(expected));
    assert_eq!(ok(store.workflow_named("one").await), None);
}

pub(super) async fn an_unknown_workflow_is_not_found(store: S) {
    let gone = stored_workflow(&*store, "gone").await;
    ok(library(&*store, LibraryChange::Delete(gone.sid.clone())).await);
    for workflow in [workflow("never").0, gone] {
        let version = version(&workflow.sid);
        let changes = [
            LibraryChange::Update(workflow.clone()),
            LibraryChange::Delete(workflow.sid.clone()),
            LibraryChange::AddVersion {
                workflow: workflow.clone(),
                version: version.clone(),
            },
        ];
        for change in changes {
            let expected = StoreError::NotFound {
                what: "workflow",
                sid: workflow.sid.to_string(),
            };
            assert_eq!(library(&*store, change).await, Err(expected));
        }
        assert_eq!(ok(store.workflow(&workflow.sid).await), None);
        assert_eq!(ok(store.version(&version.sid).await), None);
    }
}

pub(super) async fn a_deleted_workflow_leaves_its_versions(store: S) {
    let workflow = stored_workflow(&*store, "one").await;
    let mut new = new_play();
    new.play.workflow_sid = workflow.sid.clone();
    super::sample::create(&*store, new.clone()).await;
    ok(library(&*store, LibraryChange::Delete(workflow.sid.clone())).await);
    assert_eq!(ok(store.workflow(&workflow.sid).await), None);
    assert_eq!(ok(store.workflow_named("one").await), None);
    assert!(ok(store.library().await).is_empty());
    assert!(
        ok(store.workflows(WorkflowList::default()).await)
            .items
            .is_empty()
    );
    assert!(ok(store.version(&workflow.current_version_sid).await).is_some());
    let query = WorkflowVersionList {
        workflow_sid: workflow.sid,
        cursor: None,
        limit: None,
    };
    assert_eq!(ok(store.versions(query).await).items.len(), 1);
    assert_eq!(ok(store.play(&new.play.sid).await), Some(new.play));
}

pub(super) async fn versions_are_numbered_by_the_store(store: S) {
    let one = stored_workflow(&*store, "one").await;
    let two = stored_workflow(&*store, "two").await;
    for (workflow, number) in [(&one, 2), (&one, 3), (&two, 2), (&one, 4)] {
        let version = WorkflowVersion {
            number: 77,
            ..version(&workflow.sid)
        };
        let change = LibraryChange::AddVersion {
            workflow: workflow.clone(),
            version: version.clone(),
        };
        assert_eq!(
            ok(library(&*store, change.clone()).await).version_number,
            Some(number)
        );
        let expected = WorkflowVersion { number, ..version };
        assert_eq!(ok(store.version(&expected.sid).await), Some(expected));
        let again = library(&*store, change).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    }
}

pub(super) async fn the_current_version_is_one_of_its_own(store: S) {
    let one = stored_workflow(&*store, "one").await;
    let two = stored_workflow(&*store, "two").await;
    // A new version can become the current one, or not.
    let next = version(&one.sid);
    let current = Workflow {
        current_version_sid: next.sid.clone(),
        ..one.clone()
    };
    let change = LibraryChange::AddVersion {
        workflow: current.clone(),
        version: next,
    };
    ok(library(&*store, change).await);
    assert_eq!(ok(store.workflow(&one.sid).await), Some(current.clone()));
    let change = LibraryChange::AddVersion {
        workflow: current.clone(),
        version: version(&one.sid),
    };
    ok(library(&*store, change).await);
    assert_eq!(ok(store.workflow(&one.sid).await), Some(current));
    ok(update(&store, &one).await);
    assert_eq!(ok(store.workflow(&one.sid).await), Some(one.clone()));
    // Another's, or none at all, can't.
    for sid in [two.current_version_sid.clone(), VersionSid::fresh()] {
        let wrong = Workflow {
            current_version_sid: sid,
            ..one.clone()
        };
        let refused = update(&store, &wrong).await;
        assert!(
            matches!(refused, Err(StoreError::NotFound { .. })),
            "{refused:?}"
        );
    }
    let foreign = LibraryChange::AddVersion {
        workflow: one.clone(),
        version: version(&two.sid),
    };
    let refused = library(&*store, foreign).await;
    assert!(
        matches!(refused, Err(StoreError::InvalidInput(_))),
        "{refused:?}"
    );
    assert_eq!(ok(store.workflow(&one.sid).await), Some(one));
}

/// Follows the cursors to the end.
async fn names(store: &S, query: WorkflowList, mut between: impl AsyncFnMut()) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = WorkflowList {
            cursor,
            ..query.clone()
        };
        let page = ok(store.workflows(query).await);
        found.extend(page.items.into_iter().map(|workflow| workflow.name));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
        between().await;
    }
}

fn by(limit: u32) -> WorkflowList {
    WorkflowList {
        limit: Some(limit),
        ..WorkflowList::default()
    }
}

pub(super) async fn a_list_is_in_the_order_of_changes(store: S) {
    let a = stored_workflow(&*store, "a").await;
    let b = stored_workflow(&*store, "b").await;
    stored_workflow(&*store, "c").await;
    assert_eq!(names(&store, by(10), async || {}).await, ["c", "b", "a"]);
    ok(update(&store, &b).await);
    let change = LibraryChange::AddVersion {
        version: version(&a.sid),
        workflow: a,
    };
    ok(library(&*store, change).await);
    for limit in [1, 2, 3, 4] {
        assert_eq!(names(&store, by(limit), async || {}).await, ["a", "b", "c"]);
    }
}

pub(super) async fn a_list_can_be_filtered(store: S) {
    for (name, tags) in [
        ("a", &["x", "y"][..]),
        ("b", &["xx"]),
        ("c", &["y", TEXT]),
        ("d", &[]),
    ] {
        let workflow = stored_workflow(&*store, name).await;
        let tagged = Workflow {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..workflow
        };
        ok(update(&store, &tagged).await);
    }
    let list = |name: Option<&str>, tag: Option<&str>| WorkflowList {
        name: name.map(str::to_owned),
        tag: tag.map(str::to_owned),
        ..by(1)
    };
    let cases: [(_, &[&str]); 7] = [
        (list(None, Some("x")), &["a"]),
        (list(None, Some("y")), &["c", "a"]),
        (list(None, Some(TEXT)), &["c"]),
        (list(None, Some("z")), &[]),
        (list(Some("b"), None), &["b"]),
        (list(Some("B"), None), &[]),
        (list(Some("a"), Some("xx")), &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(
            names(&store, query.clone(), async || {}).await,
            expected,
            "{query:?}"
        );
    }
}

pub(super) async fn nothing_is_missed_while_it_changes(store: S) {
    let mut workflows = Vec::new();
    for n in 0..6 {
        workflows.push(stored_workflow(&*store, &n.to_string()).await);
    }
    // After the first page: one not yet listed moves to the front, a new one is made, one not yet
    // listed is deleted.
    let mut changes = vec![
        LibraryChange::Update(workflows[1].clone()),
        LibraryChange::Delete(workflows[2].sid.clone()),
    ]
    .into_iter();
    let found = names(&store, by(2), async || {
        if let Some(change) = changes.next() {
            ok(library(&*store, change).await);
            stored_workflow(&*store, &format!("new {}", changes.len())).await;
        }
    })
    .await;
    assert_eq!(found, ["5", "4", "3", "2", "0", "1"]);
}

pub(super) async fn versions_are_newest_first(store: S) {
    let workflow = stored_workflow(&*store, "one").await;
    let other = stored_workflow(&*store, "two").await;
    let add = |workflow: &Workflow| {
        let change = LibraryChange::AddVersion {
            version: version(&workflow.sid),
            workflow: workflow.clone(),
        };
        let added = store.commit(crate::store::Batch::Library(change));
        async { ok(added.await) }
    };
    for _ in 0..4 {
        add(&workflow).await;
        add(&other).await;
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = WorkflowVersionList {
            workflow_sid: workflow.sid.clone(),
            cursor,
            limit: Some(2),
        };
        let page = ok(store.versions(query).await);
        found.extend(page.items.into_iter().map(|version| version.number));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        add(&workflow).await;
    }
    assert_eq!(found, [5, 4, 3, 2, 1]);
    let unknown = WorkflowVersionList {
        workflow_sid: WorkflowSid::fresh(),
        cursor: None,
        limit: None,
    };
    assert!(ok(store.versions(unknown).await).items.is_empty());
}

pub(super) async fn the_index_has_every_workflow(store: S) {
    let one = stored_workflow(&*store, "one").await;
    let first = ok(store.last_seq().await);
    let two = stored_workflow(&*store, TEXT).await;
    let second = ok(store.last_seq().await);
    ok(update(&store, &one).await);
    let third = ok(store.last_seq().await);
    assert!(first < second && second < third);
    let entry = |workflow: &Workflow, seq| LibraryEntry {
        sid: workflow.sid.clone(),
        name: workflow.name.clone(),
        description: workflow.description.clone(),
        seq,
    };
    let mut entries = ok(store.library().await);
    entries.sort_by_key(|entry| entry.seq);
    assert_eq!(entries, [entry(&two, second), entry(&one, third)]);
}
