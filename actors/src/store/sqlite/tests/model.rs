//! The file against the model: the same random operations on [`SqliteStore`] and on
//! [`MemoryStore`], then the same answers to every question.

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest},
    strategy::Union,
};
use protocol::{
    PlayStatus, Span, SpanStatus, VersionSid, Workflow, WorkflowSid,
    rpc::{PlayList, WorkflowList, WorkflowVersionList},
};

use super::*;
use crate::store::{
    Fence, Launch, LibraryChange, NewPlay, PlayChange, ProcessId,
    conformance::sample::{
        ended, full_span, log, new_play, record, span, version, with_status, workflow,
    },
    memory::MemoryStore,
};

/// How many plays and workflows there are at most: few, so that operations meet.
const THINGS: u8 = 4;

#[derive(Clone, Debug)]
enum Op {
    Create {
        play: u8,
        key: Option<u8>,
        workflow: u8,
        parent: Option<u8>,
    },
    Write {
        play: u8,
        attempt: u32,
        changes: Vec<Edit>,
    },
    Workflow {
        workflow: u8,
        name: u8,
    },
    Update {
        workflow: u8,
        name: u8,
        tag: u8,
        current: u8,
    },
    Delete {
        workflow: u8,
    },
    Version {
        workflow: u8,
        of: u8,
        version: u8,
        current: bool,
    },
    Forget {
        play: u8,
    },
    Reopen,
}

#[derive(Clone, Debug)]
enum Edit {
    Record {
        status: u8,
        attempt: u32,
        full: bool,
    },
    Process(u32),
    Span {
        ord: u8,
        full: bool,
        status: bool,
    },
    Log {
        span: u8,
        text: u8,
    },
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = Union::new_weighted(vec![
        (
            2,
            (0..7_u8, 0..3_u32, any::<bool>())
                .prop_map(|(status, attempt, full)| Edit::Record {
                    status,
                    attempt,
                    full,
                })
                .boxed(),
        ),
        (1, any::<u32>().prop_map(Edit::Process).boxed()),
        (
            4,
            (0..4_u8, any::<bool>(), any::<bool>())
                .prop_map(|(ord, full, status)| Edit::Span { ord, full, status })
                .boxed(),
        ),
        (
            4,
            (0..6_u8, any::<u8>())
                .prop_map(|(span, text)| Edit::Log { span, text })
                .boxed(),
        ),
    ]);
    proptest::collection::vec(edit, 0..6)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let thing = || 0..THINGS;
    let op = prop_oneof![
        3 => (thing(), any::<Option<bool>>(), thing(), proptest::option::of(thing()))
            .prop_map(|(play, key, workflow, parent)| Op::Create {
                play, key: key.map(u8::from), workflow: workflow % 2, parent,
            }),
        8 => (thing(), 0..3_u32, edits())
            .prop_map(|(play, attempt, changes)| Op::Write { play, attempt, changes }),
        2 => (thing(), thing()).prop_map(|(workflow, name)| Op::Workflow { workflow, name }),
        2 => (thing(), thing(), 0..3_u8, thing())
            .prop_map(|(workflow, name, tag, current)| Op::Update { workflow, name, tag, current }),
        1 => thing().prop_map(|workflow| Op::Delete { workflow }),
        2 => (thing(), thing(), 0..8_u8, any::<bool>())
            .prop_map(|(workflow, of, version, current)| Op::Version { workflow, of, version, current }),
        2 => thing().prop_map(|play| Op::Forget { play }),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..60)
}

fn play_sid(n: u8) -> PlaySid {
    format!("play-{n}").into()
}

fn workflow_sid(n: u8) -> WorkflowSid {
    format!("workflow-{n}").into()
}

fn version_sid(n: u8) -> VersionSid {
    format!("version-{n}").into()
}

fn new(play: u8, key: Option<u8>, workflow: u8, parent: Option<u8>) -> NewPlay {
    let mut new = new_play();
    new.play.sid = play_sid(play);
    new.play.workflow_sid = workflow_sid(workflow);
    new.play.parent_play_sid = parent.map(play_sid);
    new.idempotency_key = key.map(|key| format!("key-{key}"));
    new.depth = u32::from(play);
    new.launch = Launch {
        timeout_ms: Some(u64::from(play)),
        ..Launch::default()
    };
    new
}

fn change(play: u8, edit: &Edit) -> PlayChange {
    match *edit {
        Edit::Record {
            status,
            attempt,
            full,
        } => {
            let mut play = new(play, None, 0, None).play;
            if full {
                play = ended(&play);
            }
            play.attempt = attempt;
            // Mostly such that the play goes on.
            record(&with_status(&play, PlayStatus::ALL[usize::from(status)]))
        }
        Edit::Process(pid) => PlayChange::Process(ProcessId {
            pid,
            started: u64::from(pid) << 33,
        }),
        Edit::Span { ord, full, status } => {
            let ord = u64::from(ord);
            let mut span = if full {
                Span {
                    parent_id: String::new(),
                    child_play_sid: None,
                    ..full_span(ord)
                }
            } else {
                span(ord)
            };
            if status {
                span.status = SpanStatus::Ok;
            }
            PlayChange::Span {
                ord,
                span: Arc::new(span),
            }
        }
        Edit::Log { span, text } => {
            let span = if span == 5 {
                String::new()
            } else {
                format!("1.{span}")
            };
            PlayChange::Log(Arc::new(log(&span, &text.to_string())))
        }
    }
}

fn named(sid: u8, name: u8, tag: u8, current: u8) -> Workflow {
    let (plain, _) = workflow(&format!("name-{name}"));
    Workflow {
        sid: workflow_sid(sid),
        tags: (0..tag).map(|tag| format!("tag-{tag}")).collect(),
        current_version_sid: version_sid(current),
        ..plain
    }
}

/// `None` for what is no batch.
fn batch(op: &Op) -> Option<Batch> {
    let versioned = |of: u8, n: u8| protocol::WorkflowVersion {
        sid: version_sid(n),
        ..version(&workflow_sid(of))
    };
    Some(match *op {
        Op::Create {
            play,
            key,
            workflow,
            parent,
        } => Batch::Create(Box::new(new(play, key, workflow, parent))),
        Op::Write {
            play,
            attempt,
            ref changes,
        } => Batch::Play {
            fence: Fence {
                play: play_sid(play),
                attempt,
            },
            changes: changes.iter().map(|edit| change(play, edit)).collect(),
        },
        Op::Workflow { workflow, name } => Batch::Library(LibraryChange::Create {
            workflow: named(workflow, name, 0, workflow),
            version: versioned(workflow, workflow),
        }),
        Op::Update {
            workflow,
            name,
            tag,
            current,
        } => Batch::Library(LibraryChange::Update(named(workflow, name, tag, current))),
        Op::Delete { workflow } => Batch::Library(LibraryChange::Delete(workflow_sid(workflow))),
        Op::Version {
            workflow,
            of,
            version,
            current,
        } => Batch::Library(LibraryChange::AddVersion {
            workflow: named(
                workflow,
                workflow,
                1,
                if current { version } else { workflow },
            ),
            // Mostly of the right workflow.
            version: versioned(if version == 0 { of } else { workflow }, version),
        }),
        Op::Forget { .. } | Op::Reopen => return None,
    })
}

/// Everything that can be asked, as text.
async fn everything(store: &dyn Store) -> Vec<String> {
    let mut answers = vec![format!("{:?}", store.last_seq().await)];
    let mut say = |what: &dyn fmt::Debug| answers.push(format!("{what:?}"));
    for play in (0..THINGS).map(play_sid) {
        say(&store.play(&play).await);
        say(&store.stored_play(&play).await);
        say(&store.snapshot(&play).await);
        say(&store.open_children(&play).await);
        for limit in [1, 3, 100] {
            say(&store.changes(&play, 0, limit).await);
            say(&store.changes(&play, 7, limit).await);
            for cursor in [None, Some("s.0".to_owned()), Some("s.2".to_owned())] {
                say(&store.spans(&play, cursor, limit).await);
            }
        }
    }
    for status in PlayStatus::ALL.map(Some).into_iter().chain([None]) {
        for (limit, cursor) in [(1, None), (2, Some("p.play-2".to_owned())), (9, None)] {
            let query = PlayList {
                status,
                limit: Some(limit),
                cursor,
                ..PlayList::default()
            };
            say(&store.plays(query.clone()).await);
            let workflow_sid = Some(workflow_sid(1));
            say(&store
                .plays(PlayList {
                    workflow_sid,
                    ..query.clone()
                })
                .await);
            let parent_play_sid = Some(play_sid(0));
            say(&store
                .plays(PlayList {
                    parent_play_sid,
                    ..query
                })
                .await);
        }
        if let Some(status) = status {
            say(&store.count_plays(status).await);
            say(&store.plays_with_status(status, None, 2).await);
            say(&store.plays_with_status(status, Some(play_sid(1)), 2).await);
        }
    }
    for n in 0..THINGS {
        say(&store.workflow(&workflow_sid(n)).await);
        say(&store.workflow_named(&format!("name-{n}")).await);
        for limit in [0, 1, 9] {
            let query = WorkflowVersionList {
                workflow_sid: workflow_sid(n),
                cursor: (n == 1).then(|| "v.2".to_owned()),
                limit: Some(limit),
            };
            say(&store.versions(query).await);
        }
    }
    for n in 0..8 {
        say(&store.version(&version_sid(n)).await);
    }
    for (limit, tag, cursor) in [
        (1, None, None),
        (9, Some("tag-0"), None),
        (2, None, Some("w.9.9.0.9")),
        (1, None, Some("w.5.5.0.4")),
    ] {
        let query = WorkflowList {
            limit: Some(limit),
            tag: tag.map(str::to_owned),
            cursor: cursor.map(str::to_owned),
            ..WorkflowList::default()
        };
        say(&store.workflows(query).await);
    }
    say(&store.library().await);
    say(&store.ended_trees(None, false, 9).await);
    say(&store.ended_trees(None, false, 1).await);
    say(&store.size().await.map(|size| size.ended));
    answers
}

/// Nothing is left of forgotten plays.
async fn swept(store: &dyn Store) {
    let mut cleaned = Vec::new();
    loop {
        let swept = store.sweep(cleaned).await.unwrap();
        if swept.emptied.is_empty() && !swept.more {
            return;
        }
        cleaned = swept.emptied;
    }
}

async fn compare(ops: Vec<Op>) {
    let dir = dir();
    let model = MemoryStore::new();
    let mut store = open(dir.path());
    store.pragma("synchronous = OFF").await;
    for op in &ops {
        if let Op::Forget { play } = *op {
            let plays = vec![play_sid(play)];
            let (real, expected) = (store.forget(plays.clone()).await, model.forget(plays).await);
            assert_eq!(real, expected, "{op:?}");
            if play % 2 == 0 {
                swept(&store).await;
                swept(&model).await;
            }
            continue;
        }
        let Some(batch) = batch(op) else {
            store.close().await.unwrap();
            store = open(dir.path());
            store.pragma("synchronous = OFF").await;
            continue;
        };
        let (real, expected) = (store.commit(batch.clone()).await, model.commit(batch).await);
        assert_eq!(real, expected, "{op:?}");
    }
    for (real, expected) in everything(&store)
        .await
        .iter()
        .zip(everything(&model).await)
    {
        assert_eq!(*real, expected);
    }
    swept(&store).await;
    for table in ["spans", "logs", "play_inputs", "play_outputs"] {
        let sql =
            format!("SELECT count(*) FROM {table} WHERE play_id NOT IN (SELECT id FROM plays)");
        let strays: u32 = store.asked(&sql).await;
        assert_eq!(strays, 0, "{table}");
    }
    assert_eq!(store.asked::<String>("PRAGMA integrity_check").await, "ok");
    let strays: u32 = store
        .asked("SELECT count(*) FROM pragma_foreign_key_check")
        .await;
    assert_eq!(strays, 0);
    store.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_answers_as_the_model_does(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(ops));
    }
}
