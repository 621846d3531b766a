//! What a play finds around it: variables, the interpreter, modules, directories.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    fixture,
    home::Home,
    server::{Server, text},
};

fn output(play: &Value) -> Value {
    assert_eq!(play["status"], "success", "{play}");
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

#[test]
fn a_play_inherits_nothing_that_it_was_not_given() {
    let home = Home::new()
        .env("SECRET", "s3cret")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("DECLARED", "from the server")
        .env("LC_MESSAGES", "C.UTF-8")
        .env("TZ", "Europe/Brussels")
        .env("HERO_FLOW_COLOUR", "blue")
        .env("HERO_FLOW_PLAY_SID", "of an outer play")
        .env("LD_PRELOAD_NOT", "x");
    let server = Server::start_in(home, &[]);
    let asked = json!({"env": {"ASKED": "for", "TZ": "UTC"}});
    let sid = server.start_with(&server.add("env"), &json!({}), &asked);
    let play = server.wait(&sid);
    let output = output(&play);
    let env = output["env"].as_object().unwrap();

    let allowed = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
    ];
    // Python sets this one itself where the locale is C.
    let given = ["DECLARED", "FIXED", "ASKED", "LC_CTYPE"];
    for name in env.keys() {
        let fits = allowed.contains(&name.as_str())
            || given.contains(&name.as_str())
            || name.starts_with("LC_")
            || name.starts_with("HERO_FLOW_");
        assert!(fits, "{name} was inherited");
    }
    for (name, value) in [
        ("ASKED", "for"),
        ("TZ", "UTC"),
        ("DECLARED", "from the server"),
        ("FIXED", "value"),
        ("LC_MESSAGES", "C.UTF-8"),
        ("HERO_FLOW_COLOUR", "blue"),
        ("HERO_FLOW_PLAY_SID", &sid),
        ("HERO_FLOW_PARENT_SPAN", ""),
        ("HERO_FLOW_VERSION_SID", &text(&play["version_sid"])),
        ("HERO_FLOW_INPUT", "{}"),
    ] {
        assert_eq!(env.get(name), Some(&json!(value)), "{name}");
    }
    assert!(
        !play
            .to_string()
            .replace(play["output_data"].as_str().unwrap(), "")
            .contains("s3cret")
    );
    server.stop();
}

#[test]
fn run_gives_what_it_is_told_to() {
    let home = Home::new()
        .env("HERE", "of the shell")
        .env("SECRET", "s3cret");
    let flow = fixture("env").display().to_string();
    let ran = home
        .run(&["run", &flow, "--env", "HERE", "--env", "SAID=a=b"])
        .exits(0);
    let env = &ran.json()["env"];
    assert_eq!(env["HERE"], "of the shell");
    assert_eq!(env["SAID"], "a=b");
    assert_eq!(env["SECRET"], Value::Null);
    let ran = home.run(&["run", &flow, "--env", "UNSET"]).exits(2);
    assert!(ran.stderr.contains("UNSET"), "{ran:?}");
    home.assert_clean();
}

#[test]
fn the_virtual_environment_beside_the_flow_is_used() {
    let home = Home::new();
    let flow = home.file("project/env.py", &crate::support::source("env"));
    let venv = make_venv(&home.files().join("project/.venv"));
    let other = make_venv(&home.files().join("other"));
    let flow = flow.display().to_string();
    let prefix = |args: &[&str]| text(&home.run(args).exits(0).json()["prefix"]);
    assert_eq!(prefix(&["run", &flow]), venv);
    let python = format!("{other}/bin/python");
    assert_eq!(
        prefix(&["run", &flow, "--python", &python]),
        other,
        "what is said wins"
    );
    home.assert_clean();
    let active = home.env("VIRTUAL_ENV", &*other);
    let ran = active.run(&["run", &flow]).exits(0);
    assert_eq!(ran.json()["prefix"], json!(other), "an active one too");
    active.assert_clean();
}

fn make_venv(path: &Path) -> String {
    let made = Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
    path.canonicalize().unwrap().display().to_string()
}

#[test]
fn modules_are_found_beside_the_flow_and_on_the_path() {
    let home = Home::new();
    let flow = fixture("siblings").display().to_string();
    assert_eq!(home.run(&["run", &flow]).exits(0).stdout, "42\n");

    home.file("modules/far_away.py", "WORD = 'found'\n");
    let path = home.files().join("modules");
    let home = home.env("PYTHONPATH", path);
    let flow = home.file(
        "flows/uses.py",
        "from far_away import WORD\nfrom hero_tracing import flow\n\n\n@flow\ndef uses():\n    return WORD\n",
    );
    let ran = home.run(&["run", flow.to_str().unwrap()]).exits(0);
    assert_eq!(ran.stdout, "\"found\"\n");
    home.assert_clean();
}

#[test]
fn a_deep_data_directory_works() {
    let deep = std::iter::repeat_n("deep-directory", 12)
        .collect::<Vec<_>>()
        .join("/");
    let server = Server::start_in(Home::with_data(&deep), &[]);
    assert!(server.home().socket().as_os_str().len() > 107);
    let play = server.play("ok", &json!({"n": 5}));
    assert_eq!(output(&play), json!({"n": 5}));
    assert_eq!(server.spans(&text(&play["sid"])).len(), 3);
    // Commands find the server there.
    let ran = server.home().run(&["--json", "play", "ls"]).exits(0);
    assert!(ran.stdout.contains(&text(&play["sid"])), "{ran:?}");
    let home = server.stop();
    let flow = fixture("ok").display().to_string();
    home.run(&["run", &flow]).exits(0);
    home.assert_clean();
}

#[test]
fn what_a_flow_leaves_in_its_directory_is_kept() {
    let server = Server::start();
    let plays = [
        server.play("artifacts", &json!({})),
        server.play("ok", &json!({})),
    ];
    let work = text(&output(&plays[0]));
    assert!(Path::new(&work).starts_with(server.home().data.canonicalize().unwrap()));
    let home = server.stop();
    assert_eq!(
        std::fs::read_to_string(format!("{work}/report.txt")).unwrap(),
        "kept\n"
    );
    let left: Vec<_> = std::fs::read_dir(home.data.join("plays"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        left,
        [plays[0]["sid"].as_str().unwrap()],
        "a play without artifacts leaves nothing"
    );
}
