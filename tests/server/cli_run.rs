//! `run`: exit codes, what is on standard output, signals.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    cli::{Ran, Running},
    fixture,
    home::Home,
    process::is_alive,
    until,
};

fn run(home: &Home, name: &str, args: &[&str]) -> Ran {
    let file = fixture(name).display().to_string();
    let mut all = vec!["run", &*file];
    all.extend(args);
    home.run(&all)
}

#[test]
fn exit_codes_say_how_it_ended() {
    let home = Home::new();
    for (name, args, code, said) in [
        ("ok", &["-i", "n=2"][..], 0, ""),
        ("prints", &[], 0, "in the step"),
        ("fail", &[], 1, "ValueError: bad thing"),
        ("exits", &["-i", "code=5"], 1, "exit code 5"),
        ("signals", &["-i", "name=SIGSEGV"], 1, "SIGSEGV"),
        ("no_flow", &[], 1, "exit code 2"),
        ("ok", &["-i", "m=2"], 2, "`m`"),
        ("ok", &["--input", "[1]"], 2, "JSON object"),
        ("ok", &["--no-such-option"], 2, "--no-such-option"),
        ("no_such_file", &[], 2, "no_such_file"),
        ("hang", &["--timeout", "300ms"], 124, "timeout of 300 ms"),
    ] {
        let ran = run(&home, name, args).exits(code);
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
        if code != 0 {
            assert_eq!(ran.stdout, "", "{name}");
        }
    }
    let broken = home.file("broken.py", "def f(:\n");
    let ran = home.run(&["run", broken.to_str().unwrap()]).exits(2);
    assert!(ran.stderr.contains("line 1"), "{ran:?}");
    home.assert_clean();
}

#[test]
fn standard_output_is_the_result_and_nothing_else() {
    let home = Home::new();
    assert_eq!(run(&home, "ok", &["-i", "n=2"]).stdout, "{\"n\":2}\n");
    assert_eq!(run(&home, "prints", &[]).stdout, "null\n");
    let quiet = run(&home, "prints", &["-q"]).exits(0);
    assert_eq!(
        (quiet.stdout.as_str(), quiet.stderr.as_str()),
        ("null\n", "")
    );
    for name in ["ok", "fail"] {
        let record = run(&home, name, &["--json"]).json();
        assert_eq!(
            record["workflow_name"], name,
            "the record, also of a play that failed"
        );
    }
    home.assert_clean();
}

#[test]
fn an_interrupt_cancels_and_a_second_one_kills() {
    let home = Home::new();
    for (name, signals) in [("hang", 1), ("ignore_sigterm", 2)] {
        let file = fixture(name).display().to_string();
        let running = Running::start(&mut home.command(&["run", &file]));
        let pid = until("the flow", || {
            let listed = home.run(&["--json", "play", "ls", "--status", "running"]);
            let sid = listed.json()["items"][0]["sid"].as_str()?.to_owned();
            let shown = home.run(&["call", "play_spans", &json!({"play_sid": sid}).to_string()]);
            let spans = shown.json();
            u32::try_from(spans["spans"][1]["tags"]["pid"].as_u64()?).ok()
        });
        running.signal(Signal::INT);
        if signals == 2 {
            running.says("once more kills it");
            running.signal(Signal::INT);
        }
        let ran = running.end().exits(130);
        assert!(ran.stderr.contains("cancelled"), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert!(!is_alive(pid));
        home.assert_clean();
    }
}
