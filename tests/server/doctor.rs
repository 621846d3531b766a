//! `doctor`: with a server and without, on a good directory and on broken ones.

use std::{fs, os::unix::net::UnixDatagram};

use serde_json::{Value, json};

use super::support::{home::Home, http, server::Server};

fn check<'a>(diagnosis: &'a Value, id: &str) -> &'a Value {
    let checks = diagnosis["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["id"] == id);
    found.unwrap_or_else(|| panic!("no check {id} in {diagnosis:#}"))
}

/// Everything below a directory, with sizes and times.
fn listing(dir: &std::path::Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let about = fs::symlink_metadata(entry.path()).unwrap();
            (entry.path(), about.len(), about.modified().unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn without_a_directory_all_is_well_and_none_is_made() {
    let home = Home::new();
    let diagnosis = home.run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(diagnosis["ok"], true, "{diagnosis:#}");
    for id in [
        "python",
        "sdk",
        "isolation",
        "data_dir",
        "store",
        "tree_kill",
        "open_files",
        "clock",
        "sockets",
    ] {
        assert_ne!(check(&diagnosis, id)["status"], "broken", "{diagnosis:#}");
    }
    let isolation = check(&diagnosis, "isolation");
    assert_eq!(isolation["facts"]["no_new_privs"], 1, "{isolation}");
    assert_eq!(isolation["facts"]["session"], true);
    assert!(
        isolation["summary"]
            .as_str()
            .unwrap()
            .contains("this user can")
    );
    assert!(!home.data.exists());
    let told = home.run(&["doctor"]).exits(0);
    assert!(
        told.stdout
            .lines()
            .any(|l| l.contains("python") && l.contains(" at /")),
        "{told:?}"
    );
    home.assert_clean();
}

#[test]
fn a_server_is_asked_and_tells_what_only_it_knows() {
    let server = Server::start();
    let diagnosis = server.home().run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(check(&diagnosis, "server")["status"], "ok");
    assert_eq!(check(&diagnosis, "health")["status"], "ok");
    assert_eq!(check(&diagnosis, "guard")["status"], "ok");
    assert_eq!(check(&diagnosis, "store.integrity")["status"], "ok");
    assert_eq!(check(&diagnosis, "store")["facts"]["journal_mode"], "wal");
    assert_eq!(check(&diagnosis, "owner")["facts"]["pid"], server.pid());
    assert_eq!(check(&diagnosis, "listening")["facts"]["token"], false);
    assert_eq!(
        check(&diagnosis, "listening")["facts"]["tcp"],
        server.address
    );
    let limits = check(&diagnosis, "limits");
    assert_eq!(limits["facts"]["processes"], 1_024, "{limits}");
    assert_eq!(limits["facts"]["memory"], Value::Null);
    assert!(
        check(&diagnosis, "guard")["facts"]["there"]
            .as_bool()
            .unwrap()
    );
    let home = server.stop();
    // Nothing of what is there is changed by looking at it.
    let before = listing(&home.data);
    let diagnosis = home.run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(
        check(&diagnosis, "store.integrity")["status"],
        "ok",
        "{diagnosis:#}"
    );
    assert_eq!(listing(&home.data), before);
    // The directory's own time changes: that it can be written was tried.
}

#[test]
fn what_is_kept_and_what_would_go_is_said() {
    let server = Server::start_in(
        Home::new(),
        &[
            "--retain-plays",
            "1",
            "--retain-age",
            "90m",
            "--memory",
            "2GiB",
        ],
    );
    let ok = server.add("ok");
    for n in 0..3 {
        server.wait(&server.start_play(&ok, &json!({"n": n})));
    }
    let diagnosis = server.home().run(&["doctor", "--json"]).exits(0).json();
    let kept = check(&diagnosis, "retention");
    let facts = &kept["facts"];
    assert_eq!(
        (
            &facts["ended_plays"],
            &facts["due_plays"],
            &facts["retain_plays"]
        ),
        (&json!(3), &json!(2), &json!(1)),
        "{kept}"
    );
    let summary = kept["summary"].as_str().unwrap();
    assert!(summary.contains("90 min ago, at most 1 plays"), "{kept}");
    assert_eq!(check(&diagnosis, "limits")["facts"]["memory"], 2_u64 << 30);
    // It was only looked at.
    assert_eq!(server.call("prune", &json!({"dry_run": true}))["plays"], 2);
    let (_, before) = http::get(http::tcp(&server.address), "/metrics");
    assert!(before.contains("\nhero_logic_pruned_plays_total 0\n"));
    server.call("prune", &json!({}));
    let (_, after) = http::get(http::tcp(&server.address), "/metrics");
    assert!(after.contains("\nhero_logic_pruned_plays_total 2\n"));
    server.stop();
}

#[test]
fn what_is_broken_is_said_with_exit_code_1() {
    let damaged = Home::new();
    fs::create_dir_all(&damaged.data).unwrap();
    fs::write(damaged.data.join("hero_logic.db"), [7; 8_192]).unwrap();
    let diagnosis = damaged.run(&["doctor", "--json"]).exits(1).json();
    assert_eq!(
        check(&diagnosis, "store")["status"],
        "broken",
        "{diagnosis:#}"
    );
    assert_eq!(diagnosis["ok"], false);

    let file = Home::new();
    fs::write(&file.data, "").unwrap();
    let diagnosis = file.run(&["doctor", "--json"]).exits(1).json();
    assert_eq!(
        check(&diagnosis, "data_dir")["status"],
        "broken",
        "{diagnosis:#}"
    );

    let no_python = Home::new();
    let ran = no_python
        .run(&["doctor", "--json", "--python", "/no/such/python"])
        .exits(1);
    let python = check(&ran.json(), "python").clone();
    assert_eq!(python["status"], "broken");
    assert!(
        python["summary"]
            .as_str()
            .unwrap()
            .contains("/no/such/python"),
        "{python}"
    );
    let told = no_python
        .run(&["doctor", "--python", "/no/such/python"])
        .exits(1);
    assert!(told.stdout.contains("1 broken"), "{told:?}");
}

/// A page of a table is overwritten: the file opens, and is damaged.
#[test]
fn damage_inside_the_database_is_found() {
    let server = Server::start();
    for n in 0..40 {
        server.create(&json!({"name": format!("w{n}"), "python_source": format!("x = {n}  # {}", "y".repeat(3_000))}));
    }
    let home = server.stop();
    let path = home.data.join("hero_logic.db");
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes
        .chunks_mut(4_096)
        .find(|page| page.windows(2_000).any(|w| w.iter().all(|b| *b == b'y')));
    page.expect("a page with a source").fill(0x5A);
    fs::write(&path, bytes).unwrap();
    let diagnosis = home.run(&["doctor", "--json"]).exits(1).json();
    assert_eq!(
        check(&diagnosis, "store.integrity")["status"],
        "broken",
        "{diagnosis:#}"
    );
}

#[test]
fn the_service_manager_is_told() {
    let home = Home::new();
    let path = home.files().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let server = Server::start_in(home.env("NOTIFY_SOCKET", path.as_os_str()), &[]);
    let mut said = [0; 64];
    let mut hear = || {
        let length = manager.recv(&mut said).unwrap();
        String::from_utf8_lossy(&said[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    server.stop();
    assert_eq!(hear(), "STOPPING=1");
}
