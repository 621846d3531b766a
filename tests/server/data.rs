//! Large inputs and outputs, and what is too large.

use serde_json::{Value, json};

use crate::support::{fixture, home::Home, server::Server};

fn output(play: &Value) -> Value {
    assert_eq!(play["status"], "success", "{play}");
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

#[test]
fn a_megabyte_goes_in_and_two_come_out() {
    let server = Server::start();
    let workflow = server.add("big");
    let text = "ä→\\\"\n\u{0}z".repeat(128 << 10);
    let length = text.chars().count();
    let size = 2 << 20;
    let play = server.wait(&server.start_play(&workflow, &json!({"text": text, "size": size})));
    let output = output(&play);
    assert_eq!(output["got"], length);
    assert_eq!(output["ends"], "\n\u{0}z");
    assert_eq!(output["text"].as_str().unwrap().len(), size);
    // The same as an object.
    let params = json!({
        "workflow_sid": workflow, "input_data": {"text": text}, "parent_span_id": ""
    });
    let sid = server.call("play_run_async", &params);
    let play = server.wait(sid.as_str().unwrap());
    assert_eq!(
        play["output_data"],
        json!({"got": length, "ends": "\n\u{0}z", "text": ""}).to_string()
    );
    server.stop();
}

#[test]
fn sizes_around_the_ways_that_data_takes() {
    let server = Server::start();
    let workflow = server.add("big");
    let started: Vec<_> = [32 << 10, 128 << 10, 256 << 10]
        .into_iter()
        .flat_map(|edge: usize| [edge - 64, edge - 12, edge, edge + 64])
        .map(|size| {
            let input = json!({"text": "x".repeat(size), "size": size});
            (size, server.start_play(&workflow, &input))
        })
        .collect();
    for (size, sid) in started {
        let output = output(&server.wait(&sid));
        assert_eq!(output["got"], size);
        assert_eq!(output["text"].as_str().unwrap().len(), size);
    }
    server.stop();
}

#[test]
fn what_is_too_large_is_refused() {
    let server = Server::start();
    let workflow = server.add("big");
    let text = "x".repeat((64 << 20) + 1);
    let params = json!({
        "workflow_sid": workflow, "input_data": json!({"text": text}).to_string(), "parent_span_id": ""
    });
    let refused = server.refusal("play_run_async", &params);
    assert_eq!(refused["data"]["kind"], "too_large", "{refused}");
    server.stop();
}

#[test]
fn an_input_comes_from_a_file_or_from_pairs() {
    let home = Home::new();
    let text = "x".repeat(1 << 20);
    let file = home.file("input.json", &json!({"text": text}).to_string());
    let flow = fixture("big").display().to_string();
    let at = format!("@{}", file.display());
    let ran = home
        .run(&["run", &flow, "--input", &at, "-i", "size=3"])
        .exits(0);
    assert_eq!(
        ran.json(),
        json!({"got": 1 << 20, "ends": "xxx", "text": "yyy"})
    );
    home.assert_clean();
}
