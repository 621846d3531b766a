//! The event stream of a real play: whole, in order, and resumed without loss or repetition.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{
    home::Home,
    server::{Server, text},
    sse::Event,
};

/// What a reader knows of a play, from its events alone.
#[derive(Default)]
struct Known {
    last: Option<u64>,
    play: Value,
    spans: BTreeMap<String, Value>,
    logs: Vec<Value>,
    snapshots: usize,
    ended: bool,
}

impl Known {
    fn take(&mut self, event: Event) {
        assert!(!self.ended, "after the end: {event:?}");
        if let Some(id) = event.id {
            assert!(
                self.last < Some(id),
                "{id} after {:?}: {}",
                self.last,
                event.name
            );
            self.last = Some(id);
        }
        match event.name.as_str() {
            "snapshot" => {
                self.snapshots += 1;
                self.play = event.data["play"].clone();
                for span in event.data["spans"].as_array().unwrap() {
                    self.spans.insert(text(&span["span_id"]), span.clone());
                }
                self.logs.clone_from(event.data["logs"].as_array().unwrap());
            }
            "play" => self.play = event.data,
            "span" => drop(self.spans.insert(text(&event.data["span_id"]), event.data)),
            "log" => self.logs.push(event.data),
            "end" => self.ended = true,
            other => panic!("an event {other:?}"),
        }
    }

    /// The same as the record says.
    fn assert_is(&self, server: &Server, sid: &str) {
        assert!(self.ended);
        assert_eq!(self.play, server.get(sid));
        let mut spans = BTreeMap::new();
        let mut logs = BTreeSet::new();
        for mut span in server.spans(sid) {
            let own = span.as_object_mut().unwrap().remove("logs").unwrap();
            logs.extend(own.as_array().unwrap().iter().map(Value::to_string));
            spans.insert(text(&span["span_id"]), span);
        }
        assert!(self.spans == spans, "the spans differ from the record's");
        let seen: BTreeSet<_> = self.logs.iter().map(Value::to_string).collect();
        assert_eq!(seen.len(), self.logs.len(), "a log came twice");
        assert!(seen == logs, "the logs differ from the record's");
    }
}

#[test]
fn a_play_is_told_live_from_snapshot_to_end() {
    let server = Server::start();
    let gate = server.home().files().join("open");
    let sid = server.start_play(&server.add("gate"), &json!({"path": gate}));
    server.span(&sid, "waiting");
    let mut events = server.events(&sid, None);
    let mut known = Known::default();
    let first = events.next().unwrap();
    assert_eq!(first.name, "snapshot");
    assert_eq!(first.data["play"]["status"], "running");
    known.take(first);
    let push =
        json!({"type": "span_log", "span_id": known.spans.keys().next().unwrap(), "text": "hello"});
    server.call(
        "span_push",
        &json!({"play_sid": sid, "event_json": push.to_string()}),
    );
    let second = events.next().unwrap();
    assert_eq!(
        (second.name.as_str(), &second.data["text"]),
        ("log", &json!("hello"))
    );
    known.take(second);
    std::fs::write(&gate, "").unwrap();
    events.for_each(|event| known.take(event));
    assert_eq!(known.play["status"], "success");
    known.assert_is(&server, &sid);
    // One that comes late gets all at once.
    let mut late = Known::default();
    server.events(&sid, None).for_each(|event| late.take(event));
    late.assert_is(&server, &sid);
    assert_eq!(late.snapshots, 1);
    server.stop();
}

#[test]
fn a_resumed_stream_loses_and_repeats_nothing_under_load() {
    const SPANS: usize = 1_500;
    let server = Server::start_in(Home::new(), &["--max-plays", "3"]);
    let workflow = server.add("many_spans");
    let sids: Vec<_> = (0..3)
        .map(|_| server.start_play(&workflow, &json!({"count": SPANS})))
        .collect();
    std::thread::scope(|scope| {
        for (sid, step) in sids.iter().zip([97_usize, 211, 389]) {
            let server = &server;
            scope.spawn(move || {
                let mut known = Known::default();
                let mut streams = 0;
                while !known.ended {
                    streams += 1;
                    // Leaves in the middle, sooner or later, and comes back.
                    let part = server.events(sid, known.last).take(step + 13 * streams);
                    part.for_each(|event| known.take(event));
                    assert!(
                        streams == 1 || known.snapshots == 1,
                        "a snapshot instead of the rest"
                    );
                }
                assert!(streams > 2, "it was never interrupted");
                assert_eq!(known.spans.len(), SPANS + 1);
                assert_eq!(known.logs.len(), SPANS);
                known.assert_is(server, sid);
            });
        }
    });
    for sid in &sids {
        assert_eq!(server.get(sid)["skipped"], Value::Null);
    }
    server.stop();
}
