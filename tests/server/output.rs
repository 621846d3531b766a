//! What a play writes, and what it sends that is none.

use serde_json::{Value, json};

use crate::support::server::{Server, text};

fn logs_of<'a>(spans: &'a [Value], name: &str) -> Vec<(&'a str, &'a str)> {
    let span = spans.iter().find(|span| span["name"] == name).unwrap();
    span["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|log| {
            (
                log["stream"].as_str().unwrap(),
                log["text"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_print_belongs_to_the_span_that_was_open() {
    let server = Server::start();
    let play = server.play("prints", &json!({}));
    assert_eq!(play["status"], "success", "{play}");
    let sid = text(&play["sid"]);
    let spans = server.spans(&sid);
    assert_eq!(
        logs_of(&spans, "inner"),
        [("stdout", "in the step\n"), ("stderr", "an error\n")]
    );
    let root = logs_of(&spans, "prints");
    for expected in [
        "at import",
        "in the flow",
        "raw",
        "from a child",
        "no newline",
    ] {
        let found = root
            .iter()
            .filter(|(stream, text)| *stream == "stdout" && text.contains(expected));
        assert_eq!(found.count(), 1, "{expected:?} in {root:?}");
    }
    server.stop();
}

#[test]
fn what_was_written_before_an_import_failed_is_there() {
    let server = Server::start();
    let play = server.play("import_fails", &json!({}));
    let sid = text(&play["sid"]);
    assert_eq!(server.written(&sid, "stdout"), "printed at import\n");
    assert!(
        server
            .written(&sid, "stderr")
            .contains("written at import\n")
    );
    assert!(text(&play["cause"]["stderr_tail"]).contains("written at import"));
    server.stop();
}

#[test]
fn a_flood_is_cut_and_said() {
    let server = Server::start();
    let workflow = server.add("flood");
    let raw = server.start_play(&workflow, &json!({"mib": 50}));
    let printed = server.start_play(&workflow, &json!({"mib": 20, "raw": false}));
    for (sid, written) in [(raw, 50 << 20), (printed, 20 << 20)] {
        let play = server.wait(&sid);
        assert_eq!(play["status"], "success", "{play}");
        assert_eq!(play["output_data"], "\"dry\"");
        let kept = server.written(&sid, "stdout").len();
        assert!(kept <= 16 << 20 && kept > 15 << 20, "{kept} bytes are kept");
        let cut = play["skipped"]["log_bytes"].as_u64().unwrap();
        assert_eq!(kept as u64 + cut, written, "{}", play["skipped"]);
        let said = server.written(&sid, "log") + &server.written(&sid, "stderr");
        assert!(
            said.contains("cut") || said.contains("bound"),
            "nothing said: {said:?}"
        );
    }
    server.stop();
}

#[test]
fn broken_lines_are_counted_and_lose_nothing_else() {
    let server = Server::start();
    let play = server.play("broken_lines", &json!({"count": 1000}));
    assert_eq!(play["status"], "success", "{play}");
    let skipped = &play["skipped"];
    assert_eq!(skipped["broken_lines"], 1000, "{skipped}");
    assert_eq!(skipped["unknown_types"], 1, "{skipped}");
    assert_eq!(skipped["unknown_spans"], 1, "{skipped}");
    assert_eq!(skipped["long_lines"], 1, "{skipped}");
    assert_eq!(skipped["duplicates"], 1, "{skipped}");
    let spans = server.spans(&text(&play["sid"]));
    let names: Vec<_> = spans.iter().map(|span| text(&span["name"])).collect();
    for name in ["broken_lines", "before", "own", "after"] {
        assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{names:?}");
    }
    // A further root hangs under the play's own.
    assert_eq!(
        spans.iter().find(|span| span["name"] == "own").unwrap()["parent_id"],
        spans[0]["span_id"]
    );
    server.stop();
}
