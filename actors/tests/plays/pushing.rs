//! `span_push`.

use hero_logic_actors::{play::outcome::Exit, testing::universe};
use protocol::{ErrorKind, SpanStatus, rpc::SpanPush};
use serde_json::{Value, json};

fn start(id: &str) -> Value {
    json!({"type": "span_start", "span_id": id, "name": format!("span {id}"), "kind": "step"})
}

#[test]
fn a_span_lives_from_start_to_end() {
    universe(async |universe| {
        universe
            .attempts
            .script("hang", |process| async move { process.hang().await });
        let sid = universe.play_of("hang").await;
        let tag = json!({"type": "span_tag", "span_id": "1.1", "tags": {"rows": 3}});
        let log = json!({"type": "span_log", "span_id": "1.1", "text": "hello", "ts_ms": 5.5});
        let end = json!({"type": "span_end", "span_id": "1.1", "tags": {"last": true}});
        for event in [start("1.1"), tag.clone(), log.clone(), end.clone()] {
            assert!(universe.push(&sid, event.clone()).await.unwrap(), "{event}");
        }
        let [span] = &universe.spans(&sid).await[..] else {
            panic!("one span")
        };
        assert_eq!(span.span.status, SpanStatus::Ok);
        assert_eq!(json!(span.span.tags), json!({"rows": 3, "last": true}));
        assert_eq!(
            (span.logs[0].text.as_str(), span.logs[0].ts_ms.0),
            ("hello", 5.5)
        );

        // Seen before, ended before, never seen.
        for skipped in [
            start("1.1"),
            end,
            tag,
            json!({"type": "span_end", "span_id": "1.9"}),
        ] {
            assert!(
                !universe.push(&sid, skipped.clone()).await.unwrap(),
                "{skipped}"
            );
        }
        assert!(
            universe.push(&sid, log).await.unwrap(),
            "a log may come after the end"
        );
        let skipped = universe.play(&sid).await.skipped.unwrap();
        assert_eq!((skipped.duplicates, skipped.unknown_spans), (3, 1));
        assert_eq!(universe.spans(&sid).await.len(), 1);
    });
}

#[test]
fn what_is_no_event_changes_nothing() {
    universe(async |universe| {
        universe
            .attempts
            .script("hang", |process| async move { process.hang().await });
        let sid = universe.play_of("hang").await;
        assert!(universe.push(&sid, start("1.1")).await.unwrap());
        let before = (universe.play(&sid).await, universe.spans(&sid).await);
        for bad in [
            "",
            "{",
            "null",
            "[1]",
            "{\"type\":\"gibberish\"}",
            "{\"type\":\"span_start\"}",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"flow_invoke\"}",
        ] {
            let push = SpanPush {
                play_sid: sid.clone(),
                event_json: bad.into(),
            };
            let error = universe.runtime.span_push(push).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidInput, "{bad}");
            assert!(error.message.contains("event_json"), "{error}");
        }
        assert_eq!(
            (universe.play(&sid).await, universe.spans(&sid).await),
            before
        );
    });
}

#[test]
fn the_play_is_looked_up_first() {
    universe(async |universe| {
        for text in ["nonsense".to_owned(), start("1.1").to_string()] {
            let push = SpanPush {
                play_sid: "nobody".into(),
                event_json: text,
            };
            let error = universe.runtime.span_push(push).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound);
        }
        let sid = universe.play_of("quick").await;
        let ended = universe.ended(&sid).await;
        let error = universe.push(&sid, start("1.1")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains("success"), "{error}");
        assert_eq!(universe.ended(&sid).await, ended);
    });
}

/// What the process says and what is pushed go the same way.
#[test]
fn the_socket_and_the_push_are_one_tree() {
    universe(async |universe| {
        universe.attempts.script("slow", |process| async move {
            process.start("1.1", "").await;
            process.term().await;
            process.end("1.2").await;
            Exit::Code(0)
        });
        let sid = universe.play_of("slow").await;
        let child =
            json!({"type": "span_start", "span_id": "1.2", "name": "pushed", "parent_id": "1.1"});
        assert!(universe.push(&sid, child).await.unwrap());
        universe.cancel(&sid).await.unwrap();
        let spans = universe.spans(&sid).await;
        let seen: Vec<_> = spans
            .iter()
            .map(|span| {
                (
                    span.span.span_id.as_str(),
                    span.span.parent_id.as_str(),
                    span.span.status,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("1.1", "", SpanStatus::Cancelled),
                ("1.2", "1.1", SpanStatus::Ok)
            ]
        );
    });
}
