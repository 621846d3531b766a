//! Where a play was when it was stopped: asked of the process before any other signal reaches it.

use std::time::{Duration, Instant};

use hero_logic_actors::Runtime;
use protocol::{
    Cause, CauseKind, Play, PlaySid, PlayStatus, ThreadStack,
    rpc::{PlayCancel, PlayRef},
};

use crate::support::{Site, ended, within};

async fn cancelled(runtime: &Runtime, sid: PlaySid) -> Play {
    let cancel = PlayCancel {
        play_sid: sid,
        grace_ms: Some(200),
    };
    within(runtime.play_cancel(cancel)).await.unwrap()
}

/// The functions of a thread, outermost first.
fn functions(stack: &ThreadStack) -> Vec<&str> {
    stack.frames.iter().map(|f| f.function.as_str()).collect()
}

#[track_caller]
fn main_thread(cause: &Cause) -> &ThreadStack {
    let first = cause.stacks.first();
    first
        .filter(|stack| stack.thread == "main")
        .unwrap_or_else(|| panic!("{cause:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thread_is_told_at_a_timeout() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let body = "\
import threading
lock = threading.Lock()
lock.acquire()
def waits():
    with lock: pass
def sleeps():
    time.sleep(60)
threading.Thread(target=waits, daemon=True).start()
sleeps()";
    let timeout = Some(Duration::from_secs(3));
    let sid = site.play(&runtime, body, timeout).await;
    let play = ended(&runtime, &sid).await;
    let cause = play.cause.unwrap();
    assert_eq!(
        (play.status, cause.kind),
        (PlayStatus::TimedOut, CauseKind::Timeout)
    );
    let main = main_thread(&cause);
    assert_eq!(functions(main), ["f", "sleeps"], "the SDK's are left out");
    let inner = main.frames.last().unwrap();
    assert!(inner.file.ends_with("f.py"), "{inner:?}");
    let [_, other] = &cause.stacks[..] else {
        panic!("{:?}", cause.stacks)
    };
    assert_eq!(functions(other).last(), Some(&"waits"), "{other:?}");
    assert_eq!(play.status, PlayStatus::TimedOut);
    runtime.stop().await.unwrap();
}

/// It holds the interpreter's lock all the time, and no handler written in Python ever comes to run.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_c_that_never_returns_is_told() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let body = "def adds():\n    note(pids)\n    sum(range(10 ** 12))\nadds()";
    let sid = site.play(&runtime, body, None).await;
    site.processes(1).await;
    let play = cancelled(&runtime, sid).await;
    let cause = play.cause.unwrap();
    // Its SIGTERM handler never came to run.
    assert_eq!(cause.signal.as_deref(), Some("SIGKILL"));
    let main = main_thread(&cause);
    assert_eq!(functions(main), ["f", "adds"]);
    runtime.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_tells_it_too_and_for_asyncio() {
    let site = Site::new();
    let runtime = site.runtime().await;
    let body = "\
import asyncio
async def waits():
    note(pids)
    await asyncio.sleep(60)
asyncio.run(waits())";
    let sid = site.play(&runtime, body, None).await;
    site.processes(1).await;
    within(runtime.stop()).await.unwrap();
    let runtime = site.runtime().await;
    let play = within(runtime.play_get(PlayRef { play_sid: sid })).await;
    let cause = play.unwrap().cause.unwrap();
    assert_eq!(cause.kind, CauseKind::Interrupted);
    let told = functions(main_thread(&cause));
    assert_eq!(told.first(), Some(&"f"));
    assert!(told.contains(&"run_until_complete"), "{told:?}");
    runtime.stop().await.unwrap();
}

/// A process that is no Python any more, one that has closed the file, and one that is suspended: no
/// stack is told, none is waited for in vain for long, and nothing else happens to it.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_tell_is_left_alone() {
    let replaced = "note(pids)\nos.execv('/bin/sh', ['sh', '-c', 'trap \"exit 3\" TERM; : > trapped; while :; do sleep 0.05; done'])";
    let closed = "os.closerange(3, 256)\nnote(pids)\ntime.sleep(60)";
    let suspended = "note(pids)\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(60)";
    for body in [replaced, closed, suspended] {
        let site = Site::new();
        let runtime = site.runtime().await;
        let sid = site.play(&runtime, body, None).await;
        site.processes(1).await;
        if body == replaced {
            // In its working directory, when the trap is set.
            let trapped = site.work_dir(&sid).join("trapped");
            within(async {
                while !trapped.exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
        let began = Instant::now();
        let cancel = PlayCancel {
            play_sid: sid,
            grace_ms: Some(2_000),
        };
        let play = within(runtime.play_cancel(cancel)).await.unwrap();
        let cause = play.cause.unwrap();
        assert_eq!(cause.stacks, [], "{body}");
        assert_eq!(play.status, PlayStatus::Cancelled);
        if body == replaced {
            assert_eq!(cause.exit_code, Some(3), "SIGTERM reached it: {cause:?}");
        }
        eprintln!("{:?}", began.elapsed());
        runtime.stop().await.unwrap();
    }
}
