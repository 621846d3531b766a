//! Warm start: what is shared between plays is only what none of them can see.

use std::{collections::BTreeSet, fs};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    home::Home,
    process::{Process, children, is_alive, signal, stat},
    server::{Server, text},
    until,
};

/// A server that starts its plays as it does by itself, whatever the tests are told.
fn server(home: Home) -> Server {
    Server::start_in(home.env("HERO_LOGIC_START", "warm"), &[])
}

/// Starts a flow of this source as asked, and waits for its end.
fn played(server: &Server, workflow: &str, start: &str) -> Value {
    let sid = server.start_with(workflow, &json!({}), &json!({"start": start}));
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    play
}

fn output(play: &Value) -> Value {
    serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap()
}

fn create(server: &Server, name: &str, source: &str) -> String {
    server.create(&json!({"name": name, "python_source": source}))
}

const PLAIN: &str = "from hero_tracing import flow\n@flow\ndef plain():\n    return 1\n";

/// The fork servers: their spares are called the same, but are in their sessions.
fn forks(server: u32) -> Vec<Process> {
    let named = children(server).into_iter().filter(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        let leads = stat(*pid).is_some_and(|stat| stat.session == *pid);
        leads && is_alive(*pid) && name.is_ok_and(|name| name == "hero-fork\n")
    });
    named.filter_map(Process::of).collect()
}

const ABOUT: &str = r#"
import multiprocessing, os, random, secrets, sys, uuid
from hero_tracing import flow

@flow
def about():
    stat = open("/proc/self/stat").read().rpartition(")")[2].split()
    return {
        "random": random.random(), "secret": secrets.token_hex(), "uuid": str(uuid.uuid4()), "pid": os.getpid(),
        "parent": int(stat[1]), "session": int(stat[3]), "authkey": multiprocessing.current_process().authkey.hex(), "name": open("/proc/self/comm").read(),
        "fds": sorted(os.listdir("/proc/self/fd")), "path": sys.path, "argv": sys.argv, "cwd": os.getcwd(),
        "modules": sorted(name for name in sys.modules if "hero" not in name), "env": sorted(os.environ),
        "environ": open("/proc/self/environ").read().split("HERO_FLOW_PLAY_SID=")[1].split("\0")[0],
        "sid": os.environ["HERO_FLOW_PLAY_SID"], "main": sorted(vars(sys.modules["__main__"])),
        "limits": open("/proc/self/limits").read(), "threads": len(os.listdir("/proc/self/task")),
    }
"#;

#[test]
fn a_warm_play_is_what_a_cold_one_is() {
    let server = server(Home::new());
    let flow = create(&server, "about", ABOUT);
    let cold = played(&server, &flow, "cold");
    let warm = played(&server, &flow, "warm");
    assert_eq!(cold["usage"]["start"], "cold");
    assert_eq!(warm["usage"]["start"], "warm");
    let (cold, warm) = (output(&cold), output(&warm));
    for (about, how) in [(&cold, "cold"), (&warm, "warm")] {
        assert_eq!(about["parent"], server.pid(), "{how}");
        assert_eq!(about["session"], about["pid"], "{how}");
        assert_eq!(about["environ"], about["sid"], "{how}");
        assert_eq!(about["threads"], 1, "{how}");
    }
    for same in ["name", "path", "argv", "env", "limits", "fds"] {
        assert_eq!(warm[same], cold[same], "{same}");
    }
    server.stop().assert_clean();
}

#[test]
fn nothing_of_one_play_is_seen_by_the_next() {
    let server = server(Home::new());
    let flow = create(&server, "about", ABOUT);
    played(&server, &flow, "warm");
    until("a fork server with the imports", || {
        (forks(server.pid()).len() > 1).then_some(())
    });
    let plays: Vec<Value> = (0..6)
        .map(|_| output(&played(&server, &flow, "warm")))
        .collect();
    for fresh in ["random", "secret", "uuid", "authkey", "pid", "cwd", "sid"] {
        let seen: BTreeSet<String> = plays.iter().map(|about| about[fresh].to_string()).collect();
        assert_eq!(seen.len(), plays.len(), "{fresh}: {seen:?}");
    }
    let leaves = create(
        &server,
        "leaves",
        r#"
import builtins, os, sys
from hero_tracing import flow

@flow
def leaves():
    before = [hasattr(builtins, "left"), "LEFT" in os.environ, "left" in sys.modules]
    builtins.left = True
    os.environ["LEFT"] = "1"
    sys.modules["left"] = sys
    return before
"#,
    );
    for _ in 0..3 {
        assert_eq!(
            output(&played(&server, &leaves, "warm")),
            json!([false, false, false])
        );
    }
    server.stop().assert_clean();
}

/// What the interpreter does at its end is done, though a forked play leaves by a shorter way.
#[test]
fn what_is_open_at_the_end_is_written() {
    let server = server(Home::new());
    let flow = create(
        &server,
        "open",
        r#"
import atexit, builtins, ctypes, gzip, sys, threading, time
from hero_tracing import flow

kept = open("kept.txt", "w")

class Last:
    def __del__(self):
        print("deleted")

last = Last()

def late():
    time.sleep(0.05)
    open("thread.txt", "w").write("late")

@flow
def leaves_open():
    kept.write("all of it")
    # Kept by modules that the fork server has loaded, and by C.
    sys.keeps = open("elsewhere.txt", "w")
    sys.keeps.write("all of it")
    builtins.keeps = gzip.open("packed.gz", "wt")
    builtins.keeps.write("all of it")
    ctypes.CDLL(None).printf(b"from C\n")
    atexit.register(lambda: open("atexit.txt", "w").write("called"))
    threading.Thread(target=late).start()
"#,
    );
    for how in ["cold", "warm"] {
        let play = played(&server, &flow, how);
        let sid = play["sid"].as_str().unwrap();
        let work = server.home().data.join("plays").join(sid).join("work");
        let read = |name: &str| fs::read_to_string(work.join(name)).unwrap();
        assert_eq!(read("kept.txt"), "all of it", "{how}");
        assert_eq!(read("elsewhere.txt"), "all of it", "{how}");
        let packed = fs::read(work.join("packed.gz")).unwrap();
        assert!(
            packed.ends_with(&9_u32.to_le_bytes()),
            "{how}: its length ends it: {packed:?}"
        );
        assert!(server.written(sid, "stdout").contains("from C"), "{how}");
        assert_eq!(read("atexit.txt"), "called", "{how}");
        assert_eq!(read("thread.txt"), "late", "{how}");
        let spans = server.call("play_spans", &json!({"play_sid": sid}));
        assert!(spans.to_string().contains("deleted"), "{how}: {spans}");
    }
    server.stop();
}

#[test]
fn a_fork_server_that_was_killed_is_replaced_and_its_plays_go_on() {
    let server = server(Home::new());
    let flow = create(&server, "about", ABOUT);
    let hang = server.add("hang");
    played(&server, &flow, "warm");
    let running = server.start_with(&hang, &json!({}), &json!({"start": "warm"}));
    server.span(&running, "hanging");
    let before = forks(server.pid());
    assert!(!before.is_empty());
    for fork in &before {
        signal(fork.pid, Signal::KILL);
    }
    // Meanwhile whoever does not insist starts cold; who does gets a process of the next one.
    let play = played(&server, &flow, "warm");
    assert_eq!(play["usage"]["start"], "warm");
    assert_eq!(server.get(&running)["status"], "running");
    let ended = server.call("play_cancel", &json!({"play_sid": running, "grace_ms": 0}));
    assert_eq!(ended["status"], "cancelled", "{ended}");
    server.stop().assert_clean();
}

#[test]
fn a_fork_server_that_hangs_holds_up_no_play() {
    let server = server(Home::new());
    let flow = create(&server, "about", ABOUT);
    played(&server, &flow, "warm");
    for fork in forks(server.pid()) {
        signal(fork.pid, Signal::STOP);
    }
    let sids: Vec<String> = (0..6)
        .map(|_| server.start_with(&flow, &json!({}), &json!({})))
        .collect();
    for sid in &sids {
        assert_eq!(server.wait(sid)["status"], "success");
    }
    for fork in forks(server.pid()) {
        signal(fork.pid, Signal::KILL);
    }
    server.stop().assert_clean();
}

/// A package beside the flow stands in for one that is installed, and what starts threads when it is imported is left
/// to each play.
#[test]
fn imports_are_loaded_ahead_where_that_is_safe() {
    let home = Home::new();
    let dir = home.files().join("flows");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("colorsys.py"), "WHOSE = 'the author'\n").unwrap();
    let server = server(home);
    let source = r#"
import wave
from email import message_from_string
import colorsys
import quopri
import sys
from hero_tracing import flow

@flow
def imports():
    return [getattr(colorsys, "WHOSE", "python"), sorted(m for m in ("wave", "email", "quopri") if m in sys.modules)]
"#;
    let file = dir.join("imports.py");
    let flow = server.create(&json!({
        "name": "imports", "python_source": source, "source_file": file
    }));
    played(&server, &flow, "warm");
    // By now it is known what it imports, and a second fork server is on its way.
    until("a fork server with the imports", || {
        (forks(server.pid()).len() > 1).then_some(())
    });
    for _ in 0..3 {
        let play = played(&server, &flow, "warm");
        assert_eq!(
            output(&play),
            json!(["the author", ["email", "quopri", "wave"]])
        );
    }
    server.stop().assert_clean();
}

#[test]
fn a_server_told_so_starts_everything_cold() {
    let server = Server::start_in(Home::new().env("HERO_LOGIC_START", "cold"), &[]);
    let flow = create(&server, "about", ABOUT);
    for asked in ["cold", "warm"] {
        assert_eq!(played(&server, &flow, asked)["usage"]["start"], "cold");
    }
    assert_eq!(forks(server.pid()), []);
    server.stop().assert_clean();
}

#[test]
fn a_play_that_is_the_only_one_of_its_kind_starts_no_fork_server() {
    let server = Server::start_in(Home::new().env("HERO_LOGIC_START", ""), &[]);
    until("the fork server of plain plays", || {
        (forks(server.pid()).len() == 1).then_some(())
    });
    let flow = create(&server, "plain", PLAIN);
    for value in ["1", "2", "3"] {
        let own = json!({"env": {"OF_THIS_PLAY": value}});
        let sid = server.start_with(&flow, &json!({}), &own);
        assert_eq!(server.wait(&sid)["status"], "success");
    }
    // These need the one that there is; by their end the others would have come.
    for _ in 0..3 {
        played(&server, &flow, "warm");
    }
    assert_eq!(forks(server.pid()).len(), 1);
    server.stop().assert_clean();
}

/// Loaded ahead, each of these would be another thing in a play than in a new interpreter.
#[test]
fn a_module_that_does_more_than_define_is_left_to_each_play() {
    let home = Home::new();
    let venv = home.files().join("venv");
    let made = std::process::Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let lib = fs::read_dir(venv.join("lib")).unwrap().next().unwrap();
    let packages = lib.unwrap().path().join("site-packages");
    let modules = [
        (
            "starts_a_thread",
            "import threading\nTHREAD = threading.Thread(target=threading.Event().wait, daemon=True)\nTHREAD.start()\ndef held(): return THREAD.is_alive()\n",
        ),
        (
            "throws_dice",
            "import random\nDICE = random.Random()\nSEEN = DICE.getstate()\nFILE = __import__('os').path.join(__import__('os').path.dirname(__file__), 'thrown')\ndef held():\n    one = repr(DICE.random())\n    before = open(FILE).read() if __import__('os').path.exists(FILE) else ''\n    open(FILE, 'a').write(one)\n    return one not in before\n",
        ),
        (
            "prints",
            "print('printed')\nimport atexit\ndef held(): return True\n",
        ),
        (
            "changes_directory",
            "import os\nos.chdir('/')\ndef held(): return os.getcwd() == '/'\n",
        ),
        (
            "leaves",
            "import os\nif 'hero-fork' in open('/proc/self/comm').read(): os._exit(3)\ndef held(): return True\n",
        ),
    ];
    for (name, text) in modules {
        fs::write(packages.join(format!("{name}.py")), text).unwrap();
    }
    let server = server(home);
    for (name, _) in modules {
        let source = format!(
            "import {name}\nfrom hero_tracing import flow\n\n@flow\ndef held():\n    return {name}.held()\n"
        );
        let flow = create(&server, &format!("with_{name}"), &source);
        let mut start = String::new();
        for _ in 0..30 {
            let asked = json!({"start": "warm", "python": venv});
            let play = server.wait(&server.start_with(&flow, &json!({}), &asked));
            assert_eq!(play["status"], "success", "{name}: {play}");
            assert_eq!(output(&play), json!(true), "{name}");
            let written = server.written(play["sid"].as_str().unwrap(), "stdout");
            assert_eq!(written, if name == "prints" { "printed\n" } else { "" });
            start = text(&play["usage"]["start"]);
        }
        // While its imports are being refused, a play may have started cold.
        assert_eq!(start, "warm", "{name}");
    }
    server.stop().assert_clean();
}
