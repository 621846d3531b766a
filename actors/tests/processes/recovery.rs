//! A server that dies, and the next one on its directory.
//!
//! The server to die is this very test binary, started again with only [`a_server`] to run.

use std::{process::Command, time::Duration};

use hero_logic_actors::{Config, Runtime};
use protocol::{
    CauseKind, ErrorKind, PlayStatus, SpanStatus,
    rpc::{PlayList, PlaySpans},
};

use crate::support::{Site, within};

const SITE: &str = "HERO_LOGIC_TEST_SITE";

/// Not a test: the server that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server() {
    let Ok(dir) = std::env::var(SITE) else { return };
    let site = Site::at(dir.into());
    let runtime = site.runtime_with(|config| config.max_plays = Some(1)).await;
    let body = "with flow.step('half-way'):\n    daemon(pids, deaf=True)\n    note(pids)\n    while True:\n        time.sleep(60)";
    site.play(&runtime, body, None).await;
    std::future::pending().await
}

/// Ends a server whatever becomes of the test.
struct Server(std::process::Child);

impl Server {
    fn start(site: &Site) -> Self {
        let server = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recovery::a_server", "--nocapture"])
            .env(SITE, site.path())
            .stdout(std::process::Stdio::null())
            .spawn();
        Self(server.unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error says that it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_nothing_wrong() {
    let site = Site::new();
    let mut server = Server::start(&site);
    assert_eq!(site.processes(2).await.len(), 2);

    // As long as it lives, the directory is its own.
    let refused = within(Runtime::start(Config::new(site.data_dir())))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    let pid = server.0.id().to_string();
    assert!(refused.message.contains(&pid), "{refused}");
    assert_eq!(site.alive().len(), 2, "who was refused has touched nothing");

    site.spans_are_stored(2).await;
    server.kill();
    let runtime = site.runtime().await;
    assert!(site.alive().is_empty(), "{:?}", site.alive());
    let [play] = &within(runtime.play_list(PlayList::default()))
        .await
        .unwrap()
        .items[..]
    else {
        panic!("one play")
    };
    let cause = play.cause.as_ref().unwrap();
    assert_eq!(
        (play.status, cause.kind),
        (PlayStatus::Failed, CauseKind::Interrupted)
    );
    assert!(play.completed_at.is_some() && play.duration_ms.is_some());
    let spans = PlaySpans {
        play_sid: play.sid.clone(),
        cursor: None,
        limit: None,
    };
    let spans = within(runtime.play_spans(spans)).await.unwrap().spans;
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!(span.span.status, SpanStatus::Failed);
        assert!(span.span.end_ms.is_some());
    }
    runtime.stop_within(Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_free_after_the_stop() {
    let site = Site::new();
    let first = site.runtime().await;
    let refused = within(Runtime::start(Config::new(site.data_dir())))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Conflict);
    first.stop().await.unwrap();
    site.runtime().await.stop().await.unwrap();
}
