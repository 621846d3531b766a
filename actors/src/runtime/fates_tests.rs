use protocol::{Kept, SpanKind, StepStart};
use serde_json::json;

use super::*;

fn step(key: &str, parent: &str, end: Option<f64>) -> Step {
    Step {
        start: StepStart {
            key: key.into(),
            parent: parent.into(),
            args: "".into(),
            function: format!("f{key}").into(),
            position: None,
        },
        name: key.into(),
        span_id: key.into(),
        start_ms: EpochMs(0.0),
        end_ms: end.map(EpochMs),
        strict: false,
        kept: end.map(|_| Kept {
            raised: false,
            data: "1".into(),
        }),
    }
}

fn raises(mut step: Step, message: &str) -> Step {
    let data = json!({"type": "builtins:OSError", "message": message});
    step.kept = Some(Kept {
        raised: true,
        data: data.to_string().into(),
    });
    step
}

fn functions(of: &[(&str, &str)]) -> Functions {
    let pairs = of
        .iter()
        .map(|(name, code)| ((*name).into(), (*code).into()));
    pairs.collect()
}

/// A span under `root`, or that.
fn span(id: &str, parent: &str, times: (f64, f64), error: Option<&str>) -> Span {
    Span {
        span_id: id.into(),
        parent_id: parent.into(),
        name: id.into(),
        kind: SpanKind::Step,
        status: error.map_or(SpanStatus::Ok, |_| SpanStatus::Failed),
        start_ms: EpochMs(times.0),
        end_ms: Some(EpochMs(times.1)),
        tags: Tags::default(),
        error: error.map(str::to_owned),
        source_file: None,
        source_line: None,
        rpc_service: None,
        rpc_method: None,
        child_play_sid: None,
    }
}

#[test]
fn what_is_done_again_takes_what_is_around_it_with_it() {
    let steps = [
        step("a", "", Some(9.0)),
        step("b", "a", Some(5.0)),
        step("c", "b", Some(3.0)),
        step("d", "a", Some(2.0)),
        step("e", "", None),
        step("f", "", Some(1.0)),
    ];
    let again = WillRunAgain;
    let until = |ms| {
        let until = Some(EpochMs(ms));
        fates(
            &steps,
            &Grounds {
                until,
                ..Grounds::default()
            },
        )
    };
    assert_eq!(
        fates(&steps, &Grounds::default()),
        [Reused, Reused, Reused, Reused, again, Reused]
    );
    assert_eq!(until(5.0), [again, Reused, Reused, Reused, again, Reused]);
    assert_eq!(until(1.0), [again, again, again, again, again, Reused]);
    let old = functions(&[
        ("fa", "1"),
        ("fb", "1"),
        ("fc", "1"),
        ("fd", "1"),
        ("ff", "1"),
    ]);
    let new = functions(&[("fa", "1"), ("fb", "1"), ("fc", "2"), ("fd", "1")]);
    let grounds = Grounds {
        code: Some((&old, &new)),
        ..Grounds::default()
    };
    assert_eq!(
        fates(&steps, &grounds),
        [again, again, Changed, Reused, again, Orphaned]
    );
    let unknown = [step("made while it ran", "", Some(1.0))];
    assert_eq!(fates(&unknown, &grounds), [again]);
    assert_eq!(fates(&unknown, &Grounds::default()), [Reused]);
    let mut failed = steps.clone();
    failed[3] = raises(failed[3].clone(), "no");
    assert_eq!(
        fates(&failed, &Grounds::default())[..4],
        [again, Reused, Reused, again]
    );
}

/// `a` raised, `b` was done instead, and then the play ended: how, `ends` says.
fn handled(ends: &[Span]) -> Vec<StepFate> {
    let mut a = raises(step("a", "", Some(2.0)), "gone");
    a.start_ms = EpochMs(1.0);
    let steps = [a, step("b", "", Some(4.0))];
    let mut spans = vec![
        span("a", "root", (1.0, 2.0), Some("OSError: gone")),
        span("b", "root", (3.0, 4.0), None),
    ];
    spans.extend_from_slice(ends);
    let grounds = Grounds {
        spans: &spans,
        status: Some(PlayStatus::Failed),
        ..Grounds::default()
    };
    fates(&steps, &grounds)
}

#[test]
fn a_failure_is_tried_again_only_where_it_may_have_ended_the_play() {
    let root = |error| span("root", "", (0.0, 9.0), Some(error));
    // It went up by itself, whatever else went on beside it.
    assert_eq!(handled(&[root("OSError: gone")]), [WillRunAgain, Reused]);
    // Nothing else would be done again.
    assert_eq!(handled(&[root("KeyError: 1")]), [WillRunAgain, Reused]);

    let steps = |mut last: Step| {
        let mut a = raises(step("a", "", Some(2.0)), "gone");
        a.start_ms = EpochMs(1.0);
        last.start_ms = EpochMs(5.0);
        [a, step("b", "", Some(4.0)), last]
    };
    let run = |last: Step, spans: &[Span]| {
        let grounds = Grounds {
            spans,
            status: Some(PlayStatus::Failed),
            ..Grounds::default()
        };
        fates(&steps(last), &grounds)
    };
    let mut spans = vec![
        root("RuntimeError: wrapped"),
        span("a", "root", (1.0, 2.0), Some("OSError: gone")),
        span("b", "root", (3.0, 4.0), None),
        span("m", "root", (5.0, 6.0), Some("OSError: mail")),
    ];
    // The last one's counts, though another exception was made of it.
    let mail = raises(step("m", "", Some(6.0)), "mail");
    assert_eq!(
        run(mail.clone(), &spans),
        [Reused, Reused, WillRunAgain],
        "wrapped"
    );
    // One that was under way when the process died.
    assert_eq!(
        run(step("m", "", None), &spans),
        [Reused, Reused, WillRunAgain]
    );
    // Shown again by a later attempt, where it was dealt with too.
    spans[0].status = SpanStatus::Cancelled;
    let tags = |by: &str| {
        Tags::from(
            json!({"kept_by": by})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        )
    };
    let again = |id: &str, by: &str, times| {
        let mut span = span(id, "2.root", times, None);
        (span.status, span.tags) = (SpanStatus::Replayed, tags(by));
        span
    };
    spans.truncate(3);
    spans.extend([
        span("2.root", "", (4.5, 9.0), Some("OSError: mail")),
        again("2.a", "a", (1.0, 2.0)),
        again("2.b", "b", (0.0, 4.0)),
        span("m", "2.root", (5.0, 6.0), Some("OSError: mail")),
    ]);
    assert_eq!(run(mail, &spans), [Reused, Reused, WillRunAgain], "shown");
    // A play that has not failed keeps all of it.
    let mut a = raises(step("a", "", Some(2.0)), "gone");
    a.start_ms = EpochMs(1.0);
    let grounds = Grounds {
        spans: &[
            span("root", "", (0.0, 9.0), None),
            span("a", "root", (1.0, 2.0), Some("OSError: gone")),
        ],
        status: Some(PlayStatus::Success),
        ..Grounds::default()
    };
    assert_eq!(fates(&[a], &grounds), [Reused]);
}

/// An outer step that wrapped what an inner one raised, and was itself dealt with, takes that one along.
#[test]
fn what_is_within_follows_what_is_around_it() {
    let at = |mut step: Step, ms| {
        step.start_ms = EpochMs(ms);
        step
    };
    let steps = [
        at(raises(step("outer", "", Some(3.0)), "wrapped"), 1.0),
        at(raises(step("inner", "outer", Some(2.0)), "gone"), 1.5),
        at(raises(step("mail", "", Some(6.0)), "mail"), 5.0),
    ];
    let spans = [
        span("root", "", (0.0, 9.0), Some("OSError: mail")),
        span("outer", "root", (1.0, 3.0), Some("OSError: wrapped")),
        span("inner", "outer", (1.5, 2.0), Some("OSError: gone")),
        span("mail", "root", (5.0, 6.0), Some("OSError: mail")),
    ];
    let of = |spans: &[Span]| {
        let grounds = Grounds {
            spans,
            status: Some(PlayStatus::Failed),
            ..Grounds::default()
        };
        fates(&steps, &grounds)
    };
    assert_eq!(of(&spans), [Reused, Reused, WillRunAgain]);
    // Without a span of its own (a fork that reuses it): the same.
    let without = [spans[0].clone(), spans[1].clone(), spans[3].clone()];
    assert_eq!(of(&without), [Reused, Reused, WillRunAgain]);
}
