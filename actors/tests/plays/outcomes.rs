//! The outcome table, each row through the whole runtime.

use std::time::Duration;

use hero_logic_actors::{
    play::outcome::Exit,
    testing::{Process, Setup, Universe, universe},
};
use protocol::{
    CauseKind, Play, PlayStatus, SpanStatus,
    rpc::{PlayCancel, StartOptions},
};
use serde_json::json;

/// The outcome of a flow that follows this script, and the status of its one span.
async fn outcome<F: Future<Output = Exit> + Send + 'static>(
    universe: &Universe,
    script: impl Fn(Process) -> F + Send + Sync + 'static,
) -> (Play, SpanStatus) {
    universe.attempts.script("f", script);
    let workflow = match universe
        .runtime
        .workflow_list(protocol::rpc::WorkflowList::default())
        .await
    {
        Ok(page) if !page.items.is_empty() => page.items[0].sid.clone(),
        _ => universe.flow("f").await,
    };
    let options = StartOptions {
        timeout_ms: Some(60_000),
        ..StartOptions::default()
    };
    let sid = universe.run_with(&workflow, options, "").await.unwrap();
    let play = universe.ended(&sid).await;
    let spans = universe.spans(&sid).await;
    assert_eq!(spans.len(), 1);
    assert!(play.completed_at.is_some() && play.duration_ms.is_some());
    assert!(spans[0].span.end_ms.is_some());
    (play, spans[0].span.status)
}

fn kind(play: &Play) -> Option<CauseKind> {
    play.cause.as_ref().map(|cause| cause.kind)
}

#[test]
fn by_the_process_own_doing() {
    universe(async |universe| {
        let (play, span) = outcome(universe, |process| async move {
            process.start("1.1", "").await;
            process.output(json!({"rows": [1, 2]})).await;
            Exit::Code(0)
        })
        .await;
        assert_eq!(
            (play.status, kind(&play), span),
            (PlayStatus::Success, None, SpanStatus::Ok)
        );
        assert_eq!(play.output_data.as_deref(), Some(r#"{"rows":[1,2]}"#));
        assert_eq!(play.usage.unwrap().processes, 1);

        for (exit, expected, words) in [
            (Exit::Code(3), CauseKind::Exit, "exit code 3"),
            (Exit::Code(75), CauseKind::Exit, "had asked nothing"),
            (Exit::Signal(libc_sigsegv()), CauseKind::Signal, "SIGSEGV"),
            (Exit::Signal(9), CauseKind::Killed, "possibly"),
            (
                Exit::Unknown("lost it".into()),
                CauseKind::Internal,
                "lost it",
            ),
        ] {
            let (play, span) = outcome(universe, move |process| {
                let exit = exit.clone();
                async move {
                    process.start("1.1", "").await;
                    process.say(json!({"type": "span_log", "span_id": "1.1", "text": "last words", "stream": "stderr"})).await;
                    exit
                }
            })
            .await;
            assert_eq!(
                (play.status, span),
                (PlayStatus::Failed, SpanStatus::Failed)
            );
            let cause = play.cause.unwrap();
            assert_eq!(cause.kind, expected);
            assert!(cause.message.contains(words), "{}", cause.message);
            assert_eq!(cause.stderr_tail.as_deref(), Some("last words"));
            assert_eq!(cause.last_span.unwrap().span_id.as_str(), "1.1");
        }

        let (play, _) = outcome(universe, |process| async move {
            process.start("1.1", "").await;
            let exception = json!({"type": "ValueError", "message": "bad", "traceback": "…"});
            process.say(json!({"type": "span_end", "span_id": "1.1", "status": "failed", "exception": exception})).await;
            Exit::Code(1)
        })
        .await;
        let cause = play.cause.unwrap();
        assert_eq!(
            (cause.kind, cause.message.as_str()),
            (CauseKind::Exception, "ValueError: bad")
        );
        assert_eq!(
            (cause.exit_code, cause.exception.unwrap().type_name.as_str()),
            (Some(1), "ValueError")
        );
    });
}

fn libc_sigsegv() -> i32 {
    11
}

#[test]
fn a_process_that_can_not_start() {
    universe(async |universe| {
        universe.attempts.refuse("f", "there is no python3");
        let sid = universe.play_of("f").await;
        let play = universe.ended(&sid).await;
        let cause = play.cause.unwrap();
        assert_eq!(
            (play.status, cause.kind),
            (PlayStatus::Failed, CauseKind::Start)
        );
        assert_eq!(cause.message, "there is no python3");
        assert_eq!(cause.exit_code, None);
        // A play that said nothing has a root all the same.
        assert_eq!(universe.spans(&sid).await.len(), 1);
    });
}

#[test]
fn by_its_timeout() {
    universe(async |universe| {
        // It leaves at SIGTERM with 0: it was the timeout all the same.
        let (play, span) = outcome(universe, |process| async move {
            process.start("1.1", "").await;
            process.term().await;
            Exit::Code(0)
        })
        .await;
        assert_eq!(
            (play.status, kind(&play), span),
            (
                PlayStatus::TimedOut,
                Some(CauseKind::Timeout),
                SpanStatus::TimedOut
            )
        );
        assert!(
            play.duration_ms
                .is_some_and(|ms| (60_000.0..60_010.0).contains(&ms))
        );

        // It ignores SIGTERM: SIGKILL after the grace.
        let (play, _) = outcome(universe, |process| async move {
            process.ignore_term();
            process.leave_behind(2);
            process.hang().await
        })
        .await;
        let cause = play.cause.unwrap();
        assert_eq!(
            (cause.kind, cause.signal.as_deref()),
            (CauseKind::Timeout, Some("SIGKILL"))
        );
        assert_eq!(cause.processes_killed, Some(3));
        assert!(
            play.duration_ms
                .is_some_and(|ms| (65_000.0..65_010.0).contains(&ms))
        );
    });
}

#[test]
fn by_a_caller() {
    universe(async |universe| {
        universe
            .attempts
            .script("polite", |process| async move { process.hang().await });
        universe.attempts.script("deaf", |process| async move {
            process.ignore_term();
            process.hang().await
        });
        let polite = universe.play_of("polite").await;
        let play = universe.cancel(&polite).await.unwrap();
        let cause = play.cause.clone().unwrap();
        assert_eq!(
            (play.status, cause.kind),
            (PlayStatus::Cancelled, CauseKind::Cancelled)
        );
        assert_eq!(
            (cause.by.as_deref(), cause.signal.as_deref()),
            (Some("caller"), Some("SIGTERM"))
        );
        assert_eq!(
            universe.cancel(&polite).await.unwrap(),
            play,
            "again: as it was"
        );

        let deaf = universe.play_of("deaf").await;
        let asked = tokio::time::Instant::now();
        let cancel = PlayCancel {
            play_sid: deaf,
            grace_ms: Some(700),
        };
        let play = universe.runtime.play_cancel(cancel).await.unwrap();
        assert_eq!(play.cause.unwrap().signal.as_deref(), Some("SIGKILL"));
        assert!(
            (700..710).contains(&asked.elapsed().as_millis()),
            "{:?}",
            asked.elapsed()
        );
    });
}

#[test]
fn a_large_output_comes_from_the_spool_directory() {
    universe(async |universe| {
        universe.attempts.script("f", |process| async move {
            process
                .say(json!({"type": "output", "file": "output.json"}))
                .await;
            process.sleep(Duration::from_secs(1)).await;
            Exit::Code(0)
        });
        let workflow = universe.flow("f").await;
        let good = universe.run(&workflow).await.unwrap();
        universe.attempts.spool(&good, "output.json", "[7]");
        assert_eq!(
            universe.ended(&good).await.output_data.as_deref(),
            Some("[7]")
        );
        let lost = universe.run(&workflow).await.unwrap();
        let play = universe.ended(&lost).await;
        assert_eq!(play.status, PlayStatus::Failed);
        assert!(play.cause.unwrap().message.contains("output is lost"));
    });
}

#[test]
fn the_default_timeout_holds_where_nobody_says_another() {
    let setup = Setup {
        default_timeout: Duration::from_secs(7),
        ..Setup::default()
    };
    setup.run(async |universe| {
        universe
            .attempts
            .script("f", |process| async move { process.hang().await });
        let sid = universe.play_of("f").await;
        let play = universe.ended(&sid).await;
        assert_eq!(play.status, PlayStatus::TimedOut);
        assert!(play.cause.unwrap().message.contains("7 s"));
    });
}
