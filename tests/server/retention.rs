//! Ended plays go when they are too many, and nothing else does.

use serde_json::{Value, json};

use crate::support::{home::Home, server::Server, until};

fn sid(play: &Value) -> String {
    play["sid"].as_str().unwrap().to_owned()
}

/// A play of a workflow that is there, at its end.
fn played(server: &Server, workflow: &str, input: &Value) -> String {
    let sid = server.start_play(workflow, input);
    server.wait(&sid);
    sid
}

fn listed(server: &Server) -> Vec<String> {
    let page = server.call("play_list", &json!({}));
    page["items"].as_array().unwrap().iter().map(sid).collect()
}

#[test]
fn what_is_pruned_is_gone_with_its_artifacts_and_live_plays_stay() {
    let server = Server::start();
    let artifacts = server.add("artifacts");
    let old = played(&server, &artifacts, &json!({}));
    let nested = sid(&server.play("nested", &json!({})));
    let hang = server.start_play(&server.add_unresumed("hang"), &json!({}));
    let new = played(&server, &artifacts, &json!({}));
    let directory = |sid: &str| server.home().data.join("plays").join(sid);
    assert!(directory(&old).join("work/report.txt").exists());
    let before = listed(&server);
    assert_eq!(before.len(), 5, "nested is two plays");

    // Only told: a server that runs is asked.
    let dry = server
        .home()
        .run(&["prune", "--dry-run", "--retain-plays", "1", "--json"]);
    let report = dry.exits(0).json();
    assert_eq!(report["plays"], 3, "{report}");
    assert_eq!(report["left_plays"], 1, "{report}");
    let trees = report["trees"].as_array().unwrap();
    assert_eq!(
        (sid_of(&trees[0]), sid_of(&trees[1])),
        (old.as_str(), nested.as_str())
    );
    assert_eq!(
        (&trees[1]["plays"], &trees[1]["reason"]),
        (&json!(2), &json!("plays"))
    );
    assert!(trees[0]["bytes"].as_u64().unwrap() > 1_000, "{report}");
    assert_eq!(listed(&server), before);

    let done = server
        .home()
        .run(&["prune", "--retain-plays", "1"])
        .exits(0);
    assert!(done.stdout.contains("deleted 3 plays"), "{done:?}");
    assert_eq!(listed(&server), [new.clone(), hang.clone()]);
    assert!(!directory(&old).exists() && directory(&new).join("work/report.txt").exists());
    for method in ["play_get", "play_spans", "play_retry"] {
        let refused = server.refusal(method, &json!({"play_sid": old}));
        assert_eq!(refused["data"]["kind"], "not_found", "{method}: {refused}");
    }
    assert_eq!(server.get(&hang)["status"], "running");
    let home = server.stop();
    home.assert_clean();

    // Without a server.
    let report = home
        .run(&["prune", "--retain-age", "0", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&report["plays"], &report["left_plays"]),
        (&json!(2), &json!(0)),
        "{report}"
    );
    let left = home.run(&["play", "ls", "--json"]).exits(0).json();
    assert_eq!(left["items"], json!([]));
}

fn sid_of(tree: &Value) -> &str {
    tree["play_sid"].as_str().unwrap()
}

#[test]
fn a_server_keeps_what_it_was_told_at_its_start() {
    let server = Server::start();
    let ok = server.add("ok");
    for n in 0..5 {
        played(&server, &ok, &json!({"n": n}));
    }
    let home = server.stop();
    let server = Server::start_in(home, &["--retain-plays", "2"]);
    until("the older ones are gone", || {
        (listed(&server).len() == 2).then_some(())
    });
    let home = server.stop();
    let server = Server::start_in(home.env("HERO_LOGIC_RETAIN_PLAYS", "unlimited"), &[]);
    for n in 0..3 {
        played(&server, &ok, &json!({"n": n}));
    }
    let report = server.call("prune", &json!({}));
    assert_eq!(
        (&report["plays"], &report["left_plays"]),
        (&json!(0), &json!(5)),
        "{report}"
    );
    server.stop().assert_clean();
}

#[test]
fn limits_are_checked() {
    let home = Home::new();
    for (option, value) in [
        ("--retain-age", "soon"),
        ("--retain-plays", "-1"),
        ("--retain-bytes", "much"),
    ] {
        let ran = home.run(&["prune", &format!("{option}={value}")]).exits(2);
        assert!(ran.stderr.contains(option), "{ran:?}");
    }
}

/// What was forgotten and not yet swept away when a server was killed, the next one sweeps, with
/// nothing else to delete.
#[test]
fn what_a_crash_left_of_deleted_plays_goes_with_the_next_start() {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", "retention_forgotten");
    let server = Server::start_in(home, &[]);
    let old = sid(&server.play("artifacts", &json!({})));
    let directory = server.home().data.join("plays").join(&old);
    assert!(directory.exists());
    // Its server dies before it answers.
    let ran = server.home().run(&["prune", "--retain-plays", "0"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    let (_, home, _) = server.died();
    assert!(directory.exists());
    let server = Server::start_in(home.without_env(), &[]);
    assert!(listed(&server).is_empty());
    until("its directory is gone", || {
        (!directory.exists()).then_some(())
    });
    server.stop().assert_clean();
}

/// Writes a file of so many bytes, or one with a hole, then waits until it may go.
const WRITES: &str = "
import os, time
from hero_tracing import flow

@flow
def writes(bytes: int, go: str, hole: bool = False):
    with open('file', 'wb') as file:
        if hole:
            file.truncate(bytes)
        else:
            file.write(b'x' * bytes)
            os.fsync(file.fileno())
    while not os.path.exists(go):
        time.sleep(0.01)
";

#[test]
fn only_what_can_be_deleted_counts() {
    let server = Server::start();
    let writes = server.create(&json!({"name": "writes", "python_source": WRITES}));
    let go = server.home().file("go", "");
    let writing = |bytes: u64, go: &std::path::Path, hole: bool| {
        server.start_play(&writes, &json!({"bytes": bytes, "go": go, "hole": hole}))
    };
    let directory = |sid: &str| server.home().data.join("plays").join(sid);
    let prune = || server.call("prune", &json!({"retain_bytes": 16 << 20}));
    let kept = writing(1 << 20, &go, false);
    let hollow = writing(1 << 40, &go, true);
    for sid in [&kept, &hollow] {
        assert_eq!(server.wait(sid)["status"], "success");
    }
    // A live play, and what belongs to no play.
    let late = server.home().files().join("late");
    let live = writing(32 << 20, &late, false);
    until("it has written", || {
        let file = directory(&live).join("work/file");
        (std::fs::metadata(file).ok()?.len() == 32 << 20).then_some(())
    });
    let stranger = directory("nobodys");
    std::fs::create_dir_all(&stranger).unwrap();
    std::fs::write(stranger.join("file"), vec![1; 32 << 20]).unwrap();
    let report = prune();
    assert_eq!(report["plays"], 0, "{report}");
    // What has ended counts; the oldest goes first, until there is room.
    std::fs::write(&late, "").unwrap();
    server.wait(&live);
    let report = prune();
    assert_eq!(report["plays"], 3, "{report}");
    assert!(!directory(&live).exists());
    assert!(stranger.join("file").exists(), "nobody said that it can go");
    let (home, log) = server.stop_with_log();
    assert!(log.contains("nobodys"), "{log}");
    home.assert_clean();
}
