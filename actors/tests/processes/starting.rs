//! A play that is only being started: an order to stop holds from its beginning on, and so does its
//! wall clock. What hangs here is the search for its interpreter, a program that never answers.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use hero_logic_actors::Runtime;
use protocol::{
    CauseKind, Play, PlaySid, PlayStatus,
    rpc::{PlayCancel, PlayRef},
};

use crate::support::{Site, ended, within};

/// An interpreter that says who it is and hangs.
fn hung_python(site: &Site) -> String {
    let path = site.path().join("python3");
    let pids = site.path().join("pids");
    let script = format!(
        "#!/bin/sh\ncat /proc/$$/stat > {0}/$$.part\nmv {0}/$$.part {0}/$$\nexec sleep 3600\n",
        pids.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn start(site: &Site, timeout: Option<Duration>) -> (Runtime, PlaySid) {
    let runtime = site.runtime().await;
    let python = hung_python(site);
    let sid = site
        .play_with(&runtime, "return 1", |start| {
            start.python = Some(python);
            start.timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap());
        })
        .await;
    site.processes(1).await;
    (runtime, sid)
}

async fn none_is_left(site: &Site) {
    within(async {
        while !site.alive().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn never_ran(play: &Play, status: PlayStatus, kind: CauseKind) {
    let cause = play.cause.as_ref().unwrap();
    assert_eq!((play.status, cause.kind), (status, kind), "{cause:?}");
    assert_eq!(cause.processes_killed, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_holds_while_its_process_is_being_started() {
    let site = Site::new();
    let (runtime, sid) = start(&site, None).await;
    let cancel = PlayCancel {
        play_sid: sid,
        grace_ms: None,
    };
    let play = within(runtime.play_cancel(cancel)).await.unwrap();
    never_ran(&play, PlayStatus::Cancelled, CauseKind::Cancelled);
    none_is_left(&site).await;
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_clock_runs_while_its_process_is_being_started() {
    let site = Site::new();
    let (runtime, sid) = start(&site, Some(Duration::from_millis(300))).await;
    let play = ended(&runtime, &sid).await;
    never_ran(&play, PlayStatus::TimedOut, CauseKind::Timeout);
    none_is_left(&site).await;
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_start() {
    let site = Site::new();
    let (runtime, sid) = start(&site, None).await;
    within(runtime.stop()).await.unwrap();
    none_is_left(&site).await;
    let runtime = site.runtime().await;
    let play = runtime.play_get(PlayRef { play_sid: sid }).await.unwrap();
    never_ran(&play, PlayStatus::Failed, CauseKind::Interrupted);
    runtime.stop().await.unwrap();
}
