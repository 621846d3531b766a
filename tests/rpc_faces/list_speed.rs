//! Figures, not promises: run with `--release -- --ignored --nocapture list_speed`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actors::{
    Config, Runtime,
    store::{
        Store,
        conformance::sample::{create, ended, new_play, record, with_status, write},
        sqlite::SqliteStore,
    },
};
use futures_util::future::join_all;
use protocol::{
    EpochMs, Play, PlayStatus,
    overview::{PlayOverview, WorkflowStatsOf},
    rpc::PlayList,
};

const PLAYS: u32 = 100_000;

/// One play that has ended, as a server writes it: 40 workflows, one in ten failed with a long cause, one in five a child.
async fn one(store: &dyn Store, n: u32, parent: Option<&Play>) -> Play {
    let mut new = new_play();
    new.play.created_at = EpochMs(1_790_000_000_000.0 + f64::from(n) * 1e3);
    new.play.workflow_name = format!("flow_{}", n % 40);
    new.play.workflow_sid = format!("01900000-0000-7000-8000-{:012}", n % 40)
        .as_str()
        .into();
    new.play.input_data = "x".repeat(200);
    if let Some(parent) = parent {
        new.play.parent_play_sid = Some(parent.sid.clone());
        new.depth = 2;
    }
    new.play.status = PlayStatus::Running;
    new.play.attempt = 1;
    let play = new.play.clone();
    create(store, new).await;
    let mut over = ended(&play);
    if n.is_multiple_of(10) {
        if let Some(cause) = &mut over.cause {
            cause.message = format!("ValueError: row {n} has no price");
            cause.stderr_tail = Some("x".repeat(2_000));
        }
    } else {
        over = with_status(&over, PlayStatus::Success);
        over.cause = None;
    }
    write(store, &play, vec![record(&over)]).await;
    play
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and asserts nothing"]
async fn list_speed() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let began = Instant::now();
    let first = one(&*store, 0, None).await;
    for from in (1..PLAYS).step_by(500) {
        let until = (from + 500).min(PLAYS);
        let plays = (from..until).map(|n| one(&*store, n, n.is_multiple_of(5).then_some(&first)));
        join_all(plays).await;
    }
    println!("{PLAYS} plays written in {:?}", began.elapsed());
    store.close().await.unwrap();

    let config = Config {
        dispatch: false,
        ..Config::new(directory.path())
    };
    let runtime = Runtime::start(config).await.unwrap();
    let list = || PlayList {
        brief: true,
        limit: Some(200),
        ..PlayList::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let middle = Some(EpochMs(1_790_000_000_000.0 + f64::from(PLAYS / 2) * 1e3));
    let failed = vec![PlayStatus::Failed, PlayStatus::TimedOut];
    let none = vec![PlayStatus::TimedOut, PlayStatus::Cancelled];
    let workflow = || Some("01900000-0000-7000-8000-000000000007".into());
    let lists = [
        ("newest 200", list()),
        (
            "top level",
            PlayList {
                top_level: true,
                ..list()
            },
        ),
        (
            "failed, top level",
            PlayList {
                statuses: failed,
                top_level: true,
                ..list()
            },
        ),
        (
            "two statuses that none has",
            PlayList {
                statuses: none,
                top_level: true,
                ..list()
            },
        ),
        (
            "created before the middle",
            PlayList {
                created_before: middle,
                ..list()
            },
        ),
        (
            "a workflow, failed",
            PlayList {
                workflow_sid: workflow(),
                statuses: vec![PlayStatus::Failed],
                ..list()
            },
        ),
        (
            "10,000 in brief",
            PlayList {
                limit: Some(10_000),
                ..list()
            },
        ),
        (
            "10,000 whole",
            PlayList {
                limit: Some(10_000),
                brief: false,
                ..list()
            },
        ),
        (
            "a text that many have",
            PlayList {
                query: text("FLOW_7"),
                ..list()
            },
        ),
        (
            "a text that none has",
            PlayList {
                query: text("nowhere"),
                ..list()
            },
        ),
    ];
    for (what, query) in lists {
        let read = || async {
            if query.brief {
                runtime
                    .play_summaries(query.clone())
                    .await
                    .unwrap()
                    .items
                    .len()
            } else {
                runtime.play_list(query.clone()).await.unwrap().items.len()
            }
        };
        report(&format!("play_list, {what}"), read).await;
    }
    let overview = |overview: PlayOverview| {
        let runtime = &runtime;
        move || {
            let overview = overview.clone();
            async move { runtime.play_overview(overview).await.unwrap().total as usize }
        }
    };
    let all = PlayOverview::default;
    let top = PlayOverview {
        top_level: true,
        ..all()
    };
    report("play_overview, all", overview(all())).await;
    report("play_overview, top level", overview(top.clone())).await;
    let of_one = PlayOverview {
        workflow_sid: workflow(),
        ..top.clone()
    };
    report("play_overview, a workflow", overview(of_one)).await;
    let searched = PlayOverview {
        query: text("no price"),
        ..top
    };
    report("play_overview, a text", overview(searched)).await;
    let stats = || async {
        let wanted = WorkflowStatsOf {
            workflow_sid: workflow().unwrap(),
            from_ms: None,
            buckets: Some(40),
        };
        runtime.workflow_stats(wanted).await.unwrap().plays as usize
    };
    report("workflow_stats", stats).await;
    let status = || async { runtime.server_status().await.unwrap().store.plays as usize };
    report("server_status", status).await;
    let after = runtime.store().last_seq().await.unwrap() - 256;
    let changed = || async {
        runtime
            .store()
            .list_changes(after, 256)
            .await
            .unwrap()
            .len()
    };
    report("256 changes of the lists", changed).await;
    // What others wait for while everything is searched: both readers are busy.
    let nowhere = PlayList {
        query: text("nowhere"),
        ..list()
    };
    let (mut longest, mut asked) = (Duration::ZERO, 0);
    let searching = join_all((0..4).map(|_| runtime.play_summaries(nowhere.clone())));
    tokio::pin!(searching);
    loop {
        let begun = Instant::now();
        let other = async {
            runtime.store().play(&first.sid).await.unwrap();
            begun.elapsed()
        };
        tokio::select! {
            _ = &mut searching => break,
            took = other => {
                longest = longest.max(took);
                asked += 1;
            }
        }
    }
    println!("play_get beside four searches: {asked} asked, the longest took {longest:?}");
    runtime.stop().await.unwrap();
}

/// The shortest, the middle and the longest of some calls.
async fn report<F: Future<Output = usize>>(what: &str, call: impl Fn() -> F) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..15 {
        let begun = Instant::now();
        found = call().await;
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "{what}: {:?} / {:?} / {:?} ({found} found)",
        times[0], times[7], times[14]
    );
}
