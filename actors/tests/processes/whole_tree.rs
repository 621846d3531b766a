//! What a play starts ends with it, whatever it did to get away.

use std::time::Duration;

use protocol::{
    CauseKind, PlayStatus,
    rpc::{PlayCancel, PlayRef},
};

use crate::support::{Site, ended, within};

/// A flow, a daemon of it, and both hang.
const DAEMON_AND_HANG: &str = "daemon(pids)\nnote(pids)\nwhile True:\n    time.sleep(60)";

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_the_whole_tree() {
    let site = Site::new();
    let runtime = site
        .runtime_with(|config| config.grace = Duration::from_millis(200))
        .await;
    let sid = site
        .play(&runtime, DAEMON_AND_HANG, Some(Duration::from_secs(3)))
        .await;
    assert_eq!(site.processes(2).await.len(), 2);
    let play = ended(&runtime, &sid).await;
    assert!(site.alive().is_empty(), "{:?}", site.alive());
    let cause = play.cause.unwrap();
    assert_eq!(
        (play.status, cause.kind),
        (PlayStatus::TimedOut, CauseKind::Timeout)
    );
    assert!(
        cause.processes_killed >= Some(1),
        "{:?}",
        cause.processes_killed
    );
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ignores_sigterm_is_killed_after_the_grace() {
    let site = Site::new();
    let runtime = site
        .runtime_with(|config| config.grace = Duration::from_millis(300))
        .await;
    let body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndaemon(pids, deaf=True)\nnote(pids)\nwhile True:\n    time.sleep(60)";
    let sid = site.play(&runtime, body, None).await;
    site.processes(2).await;
    let asked = std::time::Instant::now();
    let cancel = PlayCancel {
        play_sid: sid,
        grace_ms: None,
    };
    let play = within(runtime.play_cancel(cancel)).await.unwrap();
    assert!(
        asked.elapsed() >= Duration::from_millis(300),
        "it had its grace"
    );
    assert!(site.alive().is_empty());
    let cause = play.cause.unwrap();
    assert_eq!(
        (play.status, cause.signal.as_deref()),
        (PlayStatus::Cancelled, Some("SIGKILL"))
    );
    assert_eq!(cause.processes_killed, Some(2));
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_play_leaves_behind_is_killed_and_counted() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let body = "for _ in range(3):\n    daemon(pids, deaf=True)\nuntil(pids, 3)\nreturn 'done'";
    let sid = site.play(&runtime, body, None).await;
    let play = ended(&runtime, &sid).await;
    assert_eq!(site.processes(3).await.len(), 3);
    assert!(site.alive().is_empty(), "{:?}", site.alive());
    assert_eq!(play.status, PlayStatus::Success, "{:?}", play.cause);
    assert_eq!(play.output_data.as_deref(), Some("\"done\""));
    // Its own, and the three.
    assert!(play.usage.unwrap().processes >= 4);
    runtime.stop().await.unwrap();
}

/// Without the play's variables, a process is still known by the play's session.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_another_environment_is_killed_too() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let body = r#"import subprocess
child = subprocess.Popen(["/bin/sleep", "1000"], env={})
with open(f"{pids}/{child.pid}", "w") as file:
    file.write(open(f"/proc/{child.pid}/stat").read())"#;
    let sid = site.play(&runtime, body, None).await;
    let play = ended(&runtime, &sid).await;
    assert_eq!(play.status, PlayStatus::Success, "{:?}", play.cause);
    assert_eq!(site.processes(1).await.len(), 1);
    assert!(site.alive().is_empty(), "{:?}", site.alive());
    assert!(play.usage.unwrap().processes >= 2);
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_them_and_records_them() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let sid = site.play(&runtime, DAEMON_AND_HANG, None).await;
    site.processes(2).await;
    within(runtime.stop_within(Duration::from_millis(200)))
        .await
        .unwrap();
    assert!(site.alive().is_empty());
    let runtime = site.runtime().await;
    let play = runtime.play_get(PlayRef { play_sid: sid }).await.unwrap();
    assert_eq!(play.status, PlayStatus::Failed);
    assert_eq!(play.cause.unwrap().kind, CauseKind::Interrupted);
    runtime.stop().await.unwrap();
}

/// The processes of other plays are not this one's.
#[tokio::test(flavor = "multi_thread")]
async fn one_play_ends_and_another_goes_on() {
    let (site, other) = (Site::new(), Site::new());
    let runtime = site.runtime().await;
    let second = other.runtime().await;
    let live = other.play(&second, DAEMON_AND_HANG, None).await;
    other.processes(2).await;
    let sid = site
        .play(&runtime, "daemon(pids)\nuntil(pids, 1)", None)
        .await;
    ended(&runtime, &sid).await;
    assert!(site.alive().is_empty());
    assert_eq!(other.alive().len(), 2);
    let cancel = PlayCancel {
        play_sid: live,
        grace_ms: Some(0),
    };
    within(second.play_cancel(cancel)).await.unwrap();
    assert!(other.alive().is_empty());
    runtime.stop().await.unwrap();
    second.stop().await.unwrap();
}
