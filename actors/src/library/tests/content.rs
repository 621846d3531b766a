//! What becomes of a version's content.

use protocol::ErrorKind;
use serde_json::json;

use super::{
    AddVersion, Create, SOURCE, add, ask, create, graph, set_current, source, with_library,
};
use crate::{
    process::inspect::{FlowInfo, InspectError, Inspection},
    store::Store,
};

#[test]
fn nodes_and_edges_are_kept_as_they_are() {
    with_library(|lib| async move {
        let Create(mut p) = create("graph");
        p.content = graph();
        let made = ask(&lib.addr, Create(p)).await.unwrap();
        let version = lib.store.version(&made.current_version_sid).await.unwrap();
        let version = version.unwrap();
        assert_eq!((version.nodes.len(), version.edges.len()), (2, 1));
        assert_eq!((version.flow_name, version.signature), (None, None));
        assert!(lib.inspector.calls().is_empty());
    });
}

#[test]
fn what_the_flow_says_stands_in_for_what_is_not_given() {
    with_library(|lib| async move {
        let flow = FlowInfo {
            name: "daily".into(),
            function: "main".into(),
            description: Some("Runs daily".into()),
            timeout: Some(2.5),
            limits: json!({"memory": "1MiB", "processes": 3}),
            env: vec!["TOKEN".into()],
            inputs: json!({"type": "object"}),
            outputs: json!("declared"),
            accepts_extra: true,
            ..FlowInfo::default()
        };
        let inspection = Inspection {
            flows: vec![flow],
            ..Inspection::default()
        };
        lib.inspector.answer("s", Ok(inspection));
        let Create(mut p) = create("one");
        p.content = source("s");
        p.content.outputs = json!("given");
        let made = ask(&lib.addr, Create(p.clone())).await.unwrap();
        assert_eq!(made.description, "Runs daily");
        let version = lib.store.version(&made.current_version_sid).await.unwrap();
        let version = version.unwrap();
        assert_eq!(version.flow_name.as_deref(), Some("daily"));
        assert_eq!(version.timeout_ms, Some(2_500));
        let limits = version.limits;
        assert_eq!(
            (limits.memory_bytes, limits.processes),
            (Some(1 << 20), Some(3))
        );
        assert_eq!(version.env, ["TOKEN"]);
        assert_eq!(version.inputs, json!({"type": "object"}));
        assert_eq!(version.outputs, json!("given"));
        assert!(version.signature.unwrap().accepts_extra);
        assert_eq!(lib.found("daily").await, [made.sid], "it is searched too");
        (p.name, p.description) = ("two".into(), "given".into());
        let made = ask(&lib.addr, Create(p)).await.unwrap();
        assert_eq!(made.description, "given");
    });
}

#[test]
fn a_source_that_is_no_python_is_refused_with_its_place() {
    with_library(|lib| async move {
        let error = lib.refused(source("x = 1\nsyntax error\n")).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert_eq!(
            error.message,
            "failed to read the source: line 2, column 1: invalid syntax"
        );
        let details = error.details.unwrap();
        assert_eq!(
            (&details["line"], &details["column"]),
            (&json!(2), &json!(1))
        );
        lib.inspector
            .answer("x", Err(InspectError::Failed("gone".into())));
        assert_eq!(lib.refused(source("x")).await.kind, ErrorKind::Unavailable);
        assert_eq!(lib.store.seq(), 0);
    });
}

#[test]
fn a_source_without_a_flow_is_accepted() {
    with_library(|lib| async move {
        let Create(mut p) = create("plain");
        p.content = source("print('hello')");
        let made = ask(&lib.addr, Create(p)).await.unwrap();
        let version = lib.store.version(&made.current_version_sid).await.unwrap();
        let version = version.unwrap();
        assert_eq!((version.flow_name, version.signature), (None, None));
        assert_eq!(version.number, 1);
    });
}

#[test]
fn a_version_with_the_current_content_is_the_current_one() {
    with_library(|lib| async move {
        let made = lib.create("alpha").await;
        let before = lib.store.seq();
        let same = ask(&lib.addr, add(&made.sid, source(SOURCE)))
            .await
            .unwrap();
        assert_eq!(same.sid, made.current_version_sid);
        assert_eq!(lib.store.seq(), before);
        let mut content = source(SOURCE);
        content.source_file = Some("/a/b.py".into());
        let second = ask(&lib.addr, add(&made.sid, content)).await.unwrap();
        assert_eq!(second.number, 2);
        assert_eq!(lib.stored(&made.sid).await.current_version_sid, second.sid);
        let AddVersion(mut p) = add(&made.sid, source("third"));
        p.set_current = false;
        let third = ask(&lib.addr, AddVersion(p)).await.unwrap();
        assert_eq!(third.number, 3);
        assert_eq!(lib.stored(&made.sid).await.current_version_sid, second.sid);
    });
}

#[test]
fn the_current_version_is_one_of_the_workflow() {
    with_library(|lib| async move {
        let (a, b) = (lib.create("a").await, lib.create("b").await);
        let second = ask(&lib.addr, add(&a.sid, source("x"))).await.unwrap();
        let first = set_current(&a.sid, &a.current_version_sid);
        let now = ask(&lib.addr, first.clone()).await.unwrap();
        assert_eq!(now.current_version_sid, a.current_version_sid);
        assert_ne!(now.current_version_sid, second.sid);
        let seq = lib.store.seq();
        assert_eq!(ask(&lib.addr, first).await.unwrap(), now);
        assert_eq!(lib.store.seq(), seq, "nothing to write");
        let foreign = set_current(&a.sid, &b.current_version_sid);
        let error = ask(&lib.addr, foreign).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        let unknown = set_current(&a.sid, &"no such".into());
        let error = ask(&lib.addr, unknown).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    });
}

#[test]
fn limits_that_make_no_sense_are_refused_by_name() {
    with_library(|lib| async move {
        for (limits, named) in [
            (json!({"memory": "lots"}), "memory"),
            (json!({"open_files": 1}), "open_files"),
            (json!("not written out"), "written out"),
        ] {
            let flow = FlowInfo {
                name: "daily".into(),
                limits,
                ..FlowInfo::default()
            };
            let inspection = Inspection {
                flows: vec![flow],
                ..Inspection::default()
            };
            lib.inspector.answer("s", Ok(inspection));
            let Create(mut p) = create("one");
            p.content = source("s");
            let error = ask(&lib.addr, Create(p)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput);
            assert!(
                error.message.contains("daily") && error.message.contains(named),
                "{error}"
            );
        }
    });
}
