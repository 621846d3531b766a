//! A copy of the store while a server runs, and back.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use serde_json::json;

use crate::support::{cli::Running, home::Home, server::Server, until};

#[test]
fn a_server_on_a_restored_backup_leaves_the_plays_of_the_original_alone() {
    let server = Server::start();
    let workflow = server.add("hang");
    let hang = server.start_play(&workflow, &json!({}));
    server.span(&hang, "hanging");
    let file = server.home().files().join("backup");
    let file = file.to_str().unwrap();
    server.home().run(&["backup", file]).exits(0);
    let other = Home::new();
    other.run(&["restore", file]).exits(0);
    let copy = Server::start_in(other, &[]);
    // The copy goes on with it by itself.
    until("its next attempt", || {
        (copy.get(&hang)["attempt"] == 2).then_some(())
    });
    let original = server.get(&hang);
    assert_eq!(
        (&original["status"], &original["attempt"]),
        (&json!("running"), &json!(1))
    );
    copy.stop().assert_clean();
    let ended = server.call("play_cancel", &json!({"play_sid": hang}));
    assert_eq!(ended["cause"]["kind"], "cancelled", "{ended}");
    server.stop().assert_clean();
}

#[test]
fn a_backup_of_a_running_server_comes_back() {
    let server = Server::start();
    let before = server.play("ok", &json!({"n": 3}));
    let done = before["sid"].as_str().unwrap().to_owned();
    let hang = server.start_play(&server.add_unresumed("hang"), &json!({}));
    server.span(&hang, "hanging");
    let file = server.home().files().join("copy.db");
    let name = file.to_str().unwrap();
    let report = server
        .home()
        .run(&["backup", name, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&report["plays"], &report["workflows"]),
        (&json!(2), &json!(2)),
        "{report}"
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Once more only if it is said; nothing else is left beside it.
    let again = server.home().run(&["backup", name]).exits(1);
    assert!(again.stderr.contains("--force"), "{again:?}");
    server.home().run(&["backup", name, "--force"]).exits(0);
    assert_eq!(fs::read_dir(server.home().files()).unwrap().count(), 1);
    // Nothing of the data directory is replaced, whatever is said, nor what is no file.
    for name in ["hero_logic.db", "hero_logic.db-wal", "lock", "new.db"] {
        let own = server.home().data.join(name);
        let before = fs::symlink_metadata(&own).map(|about| about.ino());
        let ran = server
            .home()
            .run(&["backup", own.to_str().unwrap(), "--force"])
            .exits(2);
        assert!(ran.stderr.contains("in the data directory"), "{ran:?}");
        let after = fs::symlink_metadata(&own).map(|about| about.ino());
        assert_eq!(after.ok(), before.ok(), "{name}");
    }
    let pipe = server.home().files().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    for verb in ["backup", "restore"] {
        let ran = server
            .home()
            .run(&[verb, pipe.to_str().unwrap(), "--force"]);
        let told = ["no plain file", "in use by process"].map(|words| ran.stderr.contains(words));
        assert_eq!(told, [verb == "backup", verb == "restore"], "{ran:?}");
    }
    fs::remove_file(&pipe).unwrap();

    // What comes after it is not in it.
    let workflow = before["workflow_sid"].as_str().unwrap();
    let late = server.start_play(workflow, &json!({"n": 4}));
    server.wait(&late);
    let mut events = server.events(&late, None);
    let seen = events.next().unwrap().id.unwrap();
    drop(events);
    let busy = server.home().run(&["restore", name, "--force"]).exits(1);
    assert!(busy.stderr.contains("in use by process"), "{busy:?}");
    let home = server.stop();
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    let ran = home.run(&["restore", pipe.to_str().unwrap(), "--force"]);
    assert!(ran.stderr.contains("no plain file"), "{ran:?}");
    fs::remove_file(&pipe).unwrap();
    let there = home.run(&["restore", name]).exits(1);
    assert!(there.stderr.contains("--force"), "{there:?}");
    let restored = home
        .run(&["restore", name, "--force", "--json"])
        .exits(0)
        .json();
    let aside = restored["replaced"].as_str().unwrap().to_owned();
    assert!(fs::metadata(&aside).unwrap().len() > 0);

    let server = Server::start_in(home, &[]);
    assert_eq!(server.get(&done), before);
    let interrupted = server.get(&hang);
    assert_eq!(interrupted["cause"]["kind"], "interrupted", "{interrupted}");
    let gone = server.refusal("play_get", &json!({"play_sid": late}));
    assert_eq!(gone["data"]["kind"], "not_found");
    // A number that the lost store had given is none of this one's: whoever comes with it starts
    // over; new ones are beyond all of them.
    let mut events = server.events(&done, Some(seen));
    let first = events.next().unwrap();
    assert_eq!(first.name, "snapshot");
    assert!(first.id.unwrap() > seen, "{first:?}");
    server.stop().assert_clean();
}

#[test]
fn a_backup_makes_a_new_data_directory() {
    let server = Server::start();
    server.play("ok", &json!({"n": 3}));
    let home = server.stop();
    let file = home.files().join("copy.db");
    home.run(&["backup", file.to_str().unwrap()]).exits(0);
    let fresh = Home::new();
    let ran = fresh.run(&["restore", file.to_str().unwrap()]).exits(0);
    assert!(ran.stdout.contains("1 play and 1 workflow"), "{ran:?}");
    let items = fresh.run(&["play", "ls", "--json"]).exits(0).json();
    assert_eq!(items["items"][0]["status"], "success");
}

#[test]
fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let server = Server::start();
    server.play("many_spans", &json!({"count": 2_000}));
    let home = server.stop();
    let file = home.files().join("copy.db");
    let name = file.to_str().unwrap();
    home.run(&["backup", name]).exits(0);
    let sound = fs::read(&file).unwrap();
    let store = fs::read(home.data.join("hero_logic.db")).unwrap();
    let middle = sound.len() / 8_192 * 4_096;
    let mut damaged = sound.clone();
    damaged[middle..middle + 8_192].fill(0x5A);
    let mut newer = sound.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    for (bytes, word) in [
        (damaged, "damaged"),
        (newer, "version 99"),
        (b"no database at all".repeat(500), "damaged or no database"),
        (Vec::new(), "empty"),
    ] {
        fs::write(&file, bytes).unwrap();
        let ran = home.run(&["restore", name, "--force"]).exits(1);
        assert!(ran.stderr.contains(word), "{word}: {ran:?}");
        assert!(fs::read(home.data.join("hero_logic.db")).unwrap() == store);
        assert_eq!(
            home.data
                .read_dir()
                .unwrap()
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .contains(".replaced-")
                })
                .count(),
            0
        );
    }
    let none = home.run(&["restore", "none.db", "--force"]).exits(2);
    assert!(none.stderr.contains("none.db"), "{none:?}");
    let nothing = Home::new();
    let ran = nothing.run(&["backup", name]).exits(2);
    assert!(ran.stderr.contains("no store"), "{ran:?}");
    assert!(!nothing.data.exists());
}

/// The plays that are listed without a server.
fn listed(home: &Home) -> Vec<String> {
    let page = home.run(&["play", "ls", "--json"]).exits(0).json();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|play| play["sid"].as_str().unwrap().to_owned())
        .collect()
}

/// A store of two plays, and a backup of it with the first alone: both, newest first.
fn backed_up() -> (Home, String, Vec<String>) {
    let server = Server::start();
    let first = server.play("ok", &json!({"n": 1}));
    let file = server.home().files().join("copy.db");
    let name = file.to_str().unwrap().to_owned();
    server.home().run(&["backup", &name]).exits(0);
    let workflow = first["workflow_sid"].as_str().unwrap();
    let late = server.start_play(workflow, &json!({"n": 2}));
    server.wait(&late);
    let first = first["sid"].as_str().unwrap().to_owned();
    (server.stop(), name, vec![late, first])
}

#[test]
fn what_a_restore_replaced_is_restored_the_same_way() {
    let (home, name, both) = backed_up();
    let restore = |name: &str| {
        let ran = home.run(&["restore", name, "--force", "--json"]);
        let aside = ran.exits(0).json()["replaced"].as_str().unwrap().to_owned();
        assert_eq!(
            fs::metadata(&aside).unwrap().permissions().mode() & 0o777,
            0o600
        );
        aside
    };
    let lost = restore(&name);
    assert_eq!(listed(&home), both[1..]);
    let other = restore(&lost);
    assert_ne!(other, lost);
    assert_eq!(listed(&home), both);
    // Nothing that was replaced is gone: three stores, and the backup.
    restore(&other);
    assert_eq!(listed(&home), both[1..]);
    let server = Server::start_in(home, &[]);
    assert_eq!(server.get(&both[1])["status"], "success");
    server.stop().assert_clean();
}

/// Killed at any moment, it leaves the one store or the other, whole, and the next one tidies up.
#[test]
fn a_restore_that_is_killed_leaves_a_whole_store() {
    for (point, count) in [
        ("restore_copied", 2),
        ("restore_kept", 2),
        ("restore_placed", 1),
    ] {
        let (home, name, both) = backed_up();
        let mut command = home.command(&["restore", &name, "--force"]);
        let ran = Running::start(command.env("HERO_LOGIC_CRASH_POINT", point)).end();
        assert_eq!(ran.code, None, "{point}: {ran:?}");
        assert_eq!(listed(&home), both[2 - count..], "{point}");
        home.run(&["restore", &name, "--force"]).exits(0);
        assert_eq!(listed(&home), both[1..], "{point}");
        let left: Vec<_> = home
            .data
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{point}: {left:?}");
    }
}
