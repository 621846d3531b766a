//! What can be asked about the inside of a play: its outline, spans, logs, artifacts; and of a source.

use serde_json::{Value, json};

use crate::support::{
    http,
    server::{Server, text},
};

const NESTED: &str = r#"
import sys
from hero_tracing import flow

@flow
def nested(hold: str = ""):
    print("before all")
    with flow.step("outer", kind="Orders"):
        flow.current_span.log("one")
        with flow.step("inner"):
            flow.current_span.log("two")
            print("THREE", file=sys.stderr)
    with flow.step("beside"):
        flow.current_span.log("four")
    try:
        with flow.step("bad"):
            raise ValueError("no such order")
    except ValueError:
        pass
"#;

fn outline(server: &Server, sid: &str) -> Value {
    let path = format!("/api/plays/{sid}/outline");
    let (status, body) = http::get(http::tcp(&server.address), &path);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn play(server: &Server, source: &str) -> String {
    let workflow = server.create(&json!({"name": "inside", "python_source": source}));
    let sid = server.start_play(&workflow, &json!({}));
    assert_eq!(server.wait(&sid)["status"], "success");
    sid
}

#[test]
fn an_outline_is_the_spans_in_columns() {
    let server = Server::start();
    let sid = play(&server, NESTED);
    let spans = server.spans(&sid);
    let outline = outline(&server, &sid);
    assert_eq!(outline["count"], spans.len());
    assert_eq!(outline["play"]["sid"], json!(sid));
    assert_eq!(outline["play"]["status"], "success");
    let created = outline["play"]["created_at"].as_f64().unwrap();
    let statuses = [
        "running",
        "ok",
        "failed",
        "timed_out",
        "cancelled",
        "replayed",
    ];
    let kinds = ["flow_root", "step", "rpc", "subflow", "other"];
    let number = |column: &str, at: usize| outline[column][at].as_f64().unwrap();
    for (at, span) in spans.iter().enumerate() {
        assert_eq!(outline["ids"][at], span["span_id"]);
        let parent = outline["parent"][at].as_i64().unwrap();
        let parent = usize::try_from(parent).map_or(json!(""), |at| spans[at]["span_id"].clone());
        assert_eq!(parent, span["parent_id"]);
        let name = outline["name"][at].as_u64().unwrap();
        assert_eq!(
            outline["names"][usize::try_from(name).unwrap()],
            span["name"]
        );
        let place = |words: &[&str], word: &Value| words.iter().position(|w| *w == word).unwrap();
        assert_eq!(outline["kind"][at], place(&kinds, &span["kind"]));
        assert_eq!(outline["status"][at], place(&statuses, &span["status"]));
        for (column, field) in [("start", "start_ms"), ("end", "end_ms")] {
            let away = created + number(column, at) - span[field].as_f64().unwrap();
            assert!(away.abs() < 0.001, "{column} {at}: {away}");
        }
        let has = |field: &str| match &span[field] {
            Value::Array(items) => !items.is_empty(),
            Value::Object(items) => !items.is_empty(),
            other => !other.is_null(),
        };
        let flags = u8::from(has("logs")) + 2 * u8::from(has("tags")) + 4 * u8::from(has("error"));
        assert_eq!(outline["flags"][at], flags, "{span}");
    }
    assert!(outline["flags"].as_array().unwrap().contains(&json!(4)));
    // What comes after it is the end, and nothing else.
    let events = server.events(&sid, outline["seq"].as_u64());
    let names: Vec<_> = events.map(|event| event.name).collect();
    assert_eq!(names, ["end"]);
    let (status, body) = http::get(http::tcp(&server.address), "/api/plays/none/outline");
    assert_eq!(status, 404, "{body}");
    server.stop();
}

#[test]
fn logs_are_those_of_a_span_or_of_a_tree() {
    let server = Server::start();
    let sid = play(&server, NESTED);
    let span = |name: &str| text(&server.span(&sid, name)["span_id"]);
    let texts = |more: Value| {
        let mut query = json!({"play_sid": sid});
        for (key, value) in more.as_object().unwrap() {
            query[key] = value.clone();
        }
        let mut all: Vec<String> = Vec::new();
        loop {
            let page = server.call("play_logs", &query);
            let items = page["items"].as_array().unwrap();
            all.extend(
                items
                    .iter()
                    .map(|item| text(&item["text"]).trim().to_owned()),
            );
            if page["next_cursor"].is_null() {
                return all;
            }
            query["cursor"] = page["next_cursor"].clone();
        }
    };
    let all = ["before all", "one", "two", "THREE", "four"];
    assert_eq!(texts(json!({"limit": 2})), all);
    let mut reversed = all;
    reversed.reverse();
    assert_eq!(texts(json!({"limit": 2, "backwards": true})), reversed);
    assert_eq!(texts(json!({"span_id": span("outer")})), ["one"]);
    let below = json!({"span_id": span("outer"), "below": true, "limit": 1});
    assert_eq!(texts(below), ["one", "two", "THREE"]);
    assert_eq!(texts(json!({"span_id": span("nested")})), ["before all"]);
    assert_eq!(
        texts(json!({"span_id": span("nested"), "below": true})),
        all
    );
    assert_eq!(texts(json!({"stream": "stderr"})), ["THREE"]);
    assert_eq!(
        texts(json!({"query": "t", "span_id": span("inner")})),
        ["two", "THREE"]
    );
    for (params, kind) in [
        (json!({"play_sid": "none"}), "not_found"),
        (json!({"play_sid": sid, "span_id": "9.9"}), "not_found"),
        (json!({"play_sid": sid, "below": true}), "invalid_input"),
        (json!({"play_sid": sid, "query": ""}), "invalid_input"),
        (json!({"play_sid": sid, "limit": 10_001}), "invalid_input"),
        (json!({"play_sid": sid, "cursor": "s.1"}), "invalid_input"),
    ] {
        let refused = server.refusal("play_logs", &params);
        assert_eq!(refused["data"]["kind"], kind, "{params}: {refused}");
    }
    server.stop();
}

#[test]
fn a_search_says_where_it_found_something() {
    let server = Server::start();
    let sid = play(&server, NESTED);
    let find = |query: &str| {
        let found = server.call("play_find", &json!({"play_sid": sid, "query": query}));
        let name = |found: &Value| {
            let by_id = json!({"play_sid": sid, "span_id": found["span_id"]});
            let span = server.call("span_get", &by_id);
            format!("{} {}", text(&span["name"]), text(&found["in"]))
        };
        let found = found.as_array().unwrap();
        found.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(find("order"), ["outer tag", "bad error"]);
    assert_eq!(find("INNER"), ["inner name"]);
    assert_eq!(find("before"), ["nested log"]);
    assert_eq!(find("three"), ["inner log"]);
    assert!(find("nothing of it").is_empty());
    let limited = json!({"play_sid": sid, "query": "e", "limit": 2});
    assert_eq!(
        server.call("play_find", &limited).as_array().unwrap().len(),
        2
    );
    for (params, kind) in [
        (json!({"play_sid": "none", "query": "x"}), "not_found"),
        (json!({"play_sid": sid, "query": ""}), "invalid_input"),
        (
            json!({"play_sid": sid, "query": "x".repeat(1_001)}),
            "invalid_input",
        ),
    ] {
        let refused = server.refusal("play_find", &params);
        assert_eq!(refused["data"]["kind"], kind, "{refused}");
    }
    let unknown = json!({"play_sid": sid, "span_id": "9.9"});
    assert_eq!(
        server.refusal("span_get", &unknown)["data"]["kind"],
        "not_found"
    );
    server.stop();
}

#[test]
fn a_window_shows_what_is_open_and_sums_up_the_rest() {
    let server = Server::start();
    let sid = play(&server, NESTED);
    let span = |name: &str| text(&server.span(&sid, name)["span_id"]);
    let window = |open: &[String], first_row: u64, rows: u64| {
        let params = json!({
            "play_sid": sid, "open": open, "first_row": first_row, "rows": rows,
            "from_ms": 0, "to_ms": 600_000, "pixels": 4,
        });
        server.call("play_window", &params)
    };
    let names = |window: &Value| {
        let rows = window["rows"].as_array().unwrap().iter();
        let name = |row: &Value| format!("{} {}", row["depth"], text(&row["name"]));
        rows.map(name).collect::<Vec<_>>()
    };
    let closed = window(&[], 0, 10);
    assert_eq!(
        (names(&closed), &closed["total_rows"]),
        (vec!["0 nested".into()], &json!(1))
    );
    let root = &closed["rows"][0];
    assert_eq!(
        (&root["children"], &root["descendants"]),
        (&json!(3), &json!(4))
    );
    assert_eq!(root["failed"], 1);
    // All of it was in the first minutes after its creation.
    assert_eq!(root["buckets"][0]["status"], "failed");
    assert_eq!(root["buckets"][3], json!({"coverage": 0.0}));
    let all = [span("nested"), span("outer"), "9.9".into()];
    let opened = window(&all, 0, 10);
    let expected = ["0 nested", "1 outer", "2 inner", "1 beside", "1 bad"];
    assert_eq!(names(&opened), expected);
    let part = window(&all, 2, 2);
    assert_eq!(
        (names(&part), &part["total_rows"]),
        (vec!["2 inner".into(), "1 beside".into()], &json!(5))
    );
    for (params, kind) in [
        (json!(["none", [], 0, 1, 0, 1, 1]), "not_found"),
        (json!([sid, [], 0, 1, 1, 1, 1]), "invalid_input"),
        (json!([sid, [], 0, 1_001, 0, 1, 1]), "invalid_input"),
        (json!([sid, [], 0, 1, 0, 1, 4_001]), "invalid_input"),
        (json!([sid, [], 0, 1_000, 0, 1, 4_000]), "invalid_input"),
        (
            json!([sid, vec!["1.1"; 10_001], 0, 1, 0, 1, 1]),
            "invalid_input",
        ),
    ] {
        let refused = server.refusal("play_window", &params);
        assert_eq!(refused["data"]["kind"], kind, "{refused}");
    }
    server.stop();
}

const LEAVES: &str = r#"
import os
from pathlib import Path
from hero_tracing import flow

@flow
def leaves():
    Path("sub dir").mkdir()
    Path("sub dir/page.html").write_text("<script>alert(1)</script>")
    Path("a.txt").write_text("a")
    os.symlink("/etc/passwd", "out")
    os.symlink("../..", "up")
"#;

#[test]
fn artifacts_are_attachments_and_nothing_else_is_reached() {
    let server = Server::start();
    let sid = play(&server, LEAVES);
    let listed = server.call("artifact_list", &json!({"play_sid": sid}));
    let listed = listed.as_array().unwrap();
    let paths: Vec<_> = listed
        .iter()
        .map(|a| (text(&a["path"]), a["bytes"].clone()))
        .collect();
    let expected = [("a.txt", 1), ("sub dir/page.html", 25)];
    assert_eq!(
        paths,
        expected.map(|(path, bytes)| (path.to_owned(), json!(bytes)))
    );
    assert!(listed[0]["modified_ms"].as_f64().unwrap() > 1.7e12);
    let get = |path: &str| {
        let path = format!("/api/plays/{sid}/artifacts/{path}");
        http::get_with_head(http::tcp(&server.address), &path)
    };
    let (status, head, body) = get("sub%20dir/page.html");
    assert_eq!((status, body.as_str()), (200, "<script>alert(1)</script>"));
    for line in [
        "content-type: application/octet-stream",
        "x-content-type-options: nosniff",
        "content-disposition: attachment; filename*=utf-8''page.html",
        "content-security-policy: default-src 'none'; sandbox",
        "content-length: 25",
    ] {
        assert!(head.to_ascii_lowercase().contains(line), "{line}: {head}");
    }
    for path in [
        "out",
        "up/hero_logic.db",
        "../../../hero_logic.db",
        "..%2f..%2f..%2fhero_logic.db",
        "%2e%2e/%2e%2e/%2e%2e/hero_logic.db",
        "/etc/passwd",
        "sub%20dir",
        "no.txt",
        "a.txt%00",
    ] {
        let (status, _, body) = get(path);
        assert_eq!(status, 404, "{path}: {body}");
    }
    let refused = server.refusal("artifact_list", &json!({"play_sid": "../plays"}));
    assert_eq!(refused["data"]["kind"], "not_found");
    server.stop();
}

#[test]
fn a_source_is_checked_without_being_kept() {
    let server = Server::start();
    let check = |source: &str| server.call("source_check", &json!({"python_source": source}));
    let report = check(
        "\nfrom hero_tracing import flow\n@flow(description='d')\ndef one(n: int, m=2): ...\n",
    );
    assert_eq!(report["errors"], json!([]));
    let flow = &report["flows"][0];
    assert_eq!(
        (&flow["name"], &flow["description"]),
        (&json!("one"), &json!("d"))
    );
    assert_eq!(flow["signature"]["parameters"][0]["name"], "n");
    assert_eq!(check("x = 1"), json!({"flows": [], "errors": []}));
    let report = check("def f(:\n");
    assert_eq!(
        (&report["flows"], &report["errors"][0]["line"]),
        (&json!([]), &json!(1))
    );
    assert!(report["errors"][0]["column"].as_u64().unwrap() > 1);
    let large = "#".repeat((4 << 20) + 1);
    let refused = server.refusal("source_check", &json!({"python_source": large}));
    assert_eq!(refused["data"]["kind"], "too_large");
    assert_eq!(server.call("workflow_list", &json!({}))["items"], json!([]));
    server.stop();
}
