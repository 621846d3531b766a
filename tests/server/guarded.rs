//! The server is killed, or its guard, or both: nothing that plays started is left, and the guard itself
//! leaves with its server.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    PATIENCE, fixture,
    home::Home,
    process::{Process, Stat, children, descriptors, is_alive, signal, stat},
    server::Server,
    source, until,
};

/// How long the guard may take for some dozens of processes on a machine that is busy.
const LOADED: Duration = Duration::from_secs(5);

/// The guard of a server: its only child that is called so.
fn guard_of(server: u32) -> Process {
    until("the guard", || {
        let mut guards = children(server).into_iter().filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            // Before its start is complete it has the server's name.
            is_alive(*pid) && name.is_ok_and(|name| name == "hero-guard\n")
        });
        guards.next().and_then(Process::of)
    })
}

/// Whether a process is one of those by which a server looks after plays.
fn is_helper(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .is_ok_and(|name| ["hero-guard\n", "hero-fork\n"].contains(&name.as_str()))
}

/// The children of a server that are of plays, zombies among them.
fn strangers(server: u32) -> Vec<u32> {
    let mut children = children(server);
    children.retain(|pid| !is_helper(*pid));
    children
}

/// Nothing of plays is left; a fork server takes a moment until it is called so.
fn no_strangers(server: u32) {
    until("the children to be helpers", || {
        strangers(server).is_empty().then_some(())
    });
}

/// A directory below the home where `escapes` notes its processes.
fn pids_dir(home: &Home) -> PathBuf {
    let dir = home.files().join("pids");
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn noted(dir: &Path) -> Vec<Process> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let noted = paths.filter_map(|path| {
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        let started = Stat::read(&fs::read_to_string(path).ok()?)?.started;
        Some(Process { pid, started })
    });
    noted.collect()
}

/// Waits until so many processes have escaped to where they wanted to be.
fn escaped(dir: &Path, count: usize) -> Vec<Process> {
    until("the escapees", || {
        Some(noted(dir)).filter(|pids| pids.len() >= count)
    })
}

fn start_escapees(server: &Server, plays: usize, depth: u32) -> (Vec<String>, Vec<Process>) {
    let dir = pids_dir(server.home());
    let name = format!("escapes {}", noted(&dir).len());
    let workflow = server.create(&json!({"name": name, "python_source": source("escapes")}));
    let before = noted(&dir).len();
    let sids = (0..plays)
        .map(|_| server.start_play(&workflow, &json!({"pids": dir, "depth": depth})))
        .collect();
    let each = 5 * (depth as usize + 1);
    (sids, escaped(&dir, before + plays * each))
}

fn alive(processes: &[Process]) -> Vec<Process> {
    let mut alive = processes.to_vec();
    alive.retain(|process| process.is_alive());
    alive
}

fn all_gone(processes: &[Process]) {
    until("the end of all of them", || {
        alive(processes).is_empty().then_some(())
    });
}

/// Waits until nothing is left that was started there.
#[track_caller]
fn empty(home: &Home) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = home.processes();
        if left.is_empty() {
            return;
        }
        let states = || left.iter().map(|seen| stat(seen.pid)).collect::<Vec<_>>();
        assert!(Instant::now() < deadline, "{left:?} {:?}", states());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_server_takes_everything_with_it() {
    let server = Server::start_in(Home::new(), &["--max-plays", "8"]);
    let (sids, pids) = start_escapees(&server, 4, 1);
    let guard = guard_of(server.pid());
    let home = server.crash();
    let killed = Instant::now();
    // Nobody but the guard is there to do it: the next server is not started before.
    all_gone(&pids);
    all_gone(&[guard]);
    let took = killed.elapsed();
    // Within a second, on a machine with nothing else to do.
    assert!(took < LOADED, "{} processes took {took:?}", pids.len());

    let server = Server::start_in(home, &[]);
    for sid in &sids {
        let play = server.get(sid);
        assert_eq!(play["status"], "failed", "{play}");
        assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
    }
    server.stop();
}

/// A play that leaves a process which has nothing of the play any more: its parent has ended, its session is its
/// own, its environment is empty. The server dies before it has looked for what was left.
const LEAVES_ONE: &str = r#"
import pathlib, subprocess
from hero_tracing import flow

@flow
def leaves_one(pids):
    child = subprocess.Popen(["/bin/sleep", "600"], env={}, start_new_session=True)
    stat = pathlib.Path(f"/proc/{child.pid}/stat").read_text()
    (pathlib.Path(pids) / str(child.pid)).write_text(stat)
"#;

fn die_before_the_search(guard_too: bool) -> (Home, Vec<Process>) {
    let home = Home::new().env("HERO_LOGIC_CRASH_POINT", "root_ended");
    let server = Server::start_in(home, &[]);
    let dir = pids_dir(server.home());
    let guard = guard_of(server.pid());
    if guard_too {
        signal(guard.pid, Signal::STOP);
    }
    let flow = server.create(&json!({"name": "leaves one", "python_source": LEAVES_ONE}));
    server.start_play(&flow, &json!({"pids": dir}));
    if guard_too {
        let server = server.pid();
        until("the server's death", || (!is_alive(server)).then_some(()));
        signal(guard.pid, Signal::KILL);
    }
    let (status, home, _) = server.died();
    assert_eq!(status.signal(), Some(9));
    let left = noted(&dir);
    assert_eq!(left.len(), 1);
    (home.without_env(), left)
}

#[test]
fn a_guard_finds_what_the_root_of_a_play_had_just_left() {
    let (_home, left) = die_before_the_search(false);
    all_gone(&left);
}

#[test]
fn the_next_server_finds_what_the_root_of_a_play_had_just_left() {
    let (home, left) = die_before_the_search(true);
    let server = Server::start_in(home, &[]);
    assert_eq!(alive(&left), []);
    server.stop();
}

/// In the middle of starts, at moments that differ.
#[test]
fn a_server_killed_while_it_starts_plays_leaves_nothing() {
    let mut home = Home::new();
    for round in 0..6 {
        let server = Server::start_in(home, &["--max-plays", "16"]);
        let hang = server.create(&json!({
            "name": format!("hang {round}"), "python_source": source("hang")
        }));
        for _ in 0..6 + round {
            server.start_play(&hang, &json!({}));
        }
        home = server.crash();
        empty(&home);
    }
    Server::start_in(home, &["--max-plays", "1"]).stop();
}

#[test]
fn a_killed_guard_is_replaced_and_the_next_one_knows_everything() {
    let server = Server::start();
    let (_, first) = start_escapees(&server, 1, 0);
    let guard = guard_of(server.pid());
    signal(guard.pid, Signal::KILL);
    let next = until("another guard", || {
        Some(guard_of(server.pid())).filter(|next| *next != guard)
    });
    assert!(!guard.is_alive());
    assert_eq!(alive(&first), first, "its death harms nobody");
    let (_, all) = start_escapees(&server, 1, 0);
    assert_eq!(all.len(), 10);
    let home = server.crash();
    all_gone(&all);
    all_gone(&[next]);
    drop(home);
}

#[test]
fn a_guard_that_does_not_read_is_replaced_and_holds_up_nothing() {
    let server = Server::start();
    let guard = guard_of(server.pid());
    signal(guard.pid, Signal::STOP);
    let play = server.play("ok", &json!({"n": 1}));
    assert_eq!(play["status"], "success");
    until("another guard", || {
        Some(guard_of(server.pid())).filter(|next| *next != guard)
    });
    let (_, pids) = start_escapees(&server, 1, 0);
    drop(server.crash());
    all_gone(&pids);
}

#[test]
fn where_both_are_killed_the_plays_are_frozen_until_the_next_start() {
    let server = Server::start();
    let (sids, pids) = start_escapees(&server, 1, 1);
    let roots: Vec<_> = children(server.pid())
        .into_iter()
        .filter_map(Process::of)
        .filter(|child| pids.contains(child))
        .collect();
    assert_eq!(roots.len(), 2);
    let guard = guard_of(server.pid());
    // A guard that is stopped does nothing more, whatever happens to its server.
    signal(guard.pid, Signal::STOP);
    let home = server.crash();
    signal(guard.pid, Signal::KILL);
    for root in &roots {
        until("a frozen play", || {
            (stat(root.pid)?.state == 'T').then_some(())
        });
        assert!(!children(root.pid).is_empty(), "its tree is still below it");
    }
    let server = Server::start_in(home, &[]);
    assert_eq!(alive(&pids), []);
    let play = server.get(&sids[0]);
    assert_eq!(play["cause"]["kind"], "interrupted", "{play}");
    server.stop();
}

#[test]
fn the_guard_has_nothing_but_its_pipe_and_hears_no_signal_meant_for_the_server() {
    let server = Server::start();
    let (_, pids) = start_escapees(&server, 1, 0);
    let guard = guard_of(server.pid());
    let open = descriptors(guard.pid);
    let pipe = open[&0].clone();
    assert!(pipe.starts_with("pipe:"), "{open:?}");
    let numbers: BTreeSet<_> = open
        .iter()
        .filter(|(_, file)| *file != "anon_inode:[pidfd]")
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, BTreeSet::from([0, 1, 2]), "{open:?}");
    assert_eq!(open[&1], "/dev/null");
    for pid in &pids {
        let open = descriptors(pid.pid);
        assert!(!open.values().any(|file| *file == pipe), "{open:?}");
    }
    assert_eq!(stat(guard.pid).unwrap().session, guard.pid);
    let cwd = fs::read_link(format!("/proc/{}/cwd", guard.pid)).unwrap();
    assert_eq!(cwd, Path::new("/"));
    let arguments = fs::read(format!("/proc/{}/cmdline", guard.pid)).unwrap();
    let arguments = String::from_utf8(arguments).unwrap();
    assert_eq!(arguments, format!("hero-guard\0guard\0{}\0", server.pid()));

    for asked in [Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT] {
        signal(guard.pid, asked);
    }
    // It has taken them in when it has done what came after.
    let play = server.play("ok", &json!({"n": 1}));
    assert_eq!(play["status"], "success");
    assert_eq!(guard_of(server.pid()), guard);
    server.stop();
    assert!(!guard.is_alive(), "it leaves with its server");
    assert_eq!(alive(&pids), []);
}

#[test]
fn who_only_reads_has_no_guard_and_who_runs_has_one_as_long_as_that() {
    let home = Home::new();
    let flow = fixture("ok").display().to_string();
    home.run(&["run", &flow]).exits(0);
    home.run(&["play", "ls"]).exits(0);
    home.assert_clean();
    let ran = home.run(&["guard", "1"]).exits(0);
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_ended_long_ago_is_no_zombie_of_the_server() {
    let server = Server::start();
    let play = server.play("orphans", &json!({"count": 200}));
    assert_eq!(play["status"], "success", "{play}");
    no_strangers(server.pid());
    server.stop();
}

#[test]
fn a_storm_of_forks_ends_with_its_play() {
    let server = Server::start();
    let workflow = server.add("storm");
    let sid = server.start_play(&workflow, &json!({"lanes": 8}));
    server.span(&sid, "storming");
    let play = server.call("play_cancel", &json!({"play_sid": sid, "grace_ms": 100}));
    assert_eq!(play["status"], "cancelled", "{play}");
    let guard = guard_of(server.pid());
    no_strangers(server.pid());
    let left = server.home().processes();
    let ours = |pid| [guard.pid, server.pid()].contains(&pid) || is_helper(pid);
    assert!(left.iter().all(|seen| ours(seen.pid)), "{left:?}");
    // At its own end, what hops on is known by where it comes from only.
    let play = server.wait(&server.start_play(&workflow, &json!({"lanes": 8, "hang": false})));
    assert_eq!(play["status"], "success", "{play}");
    no_strangers(server.pid());
    let sid = server.start_play(&workflow, &json!({"lanes": 8}));
    server.span(&sid, "storming");
    let home = server.crash();
    empty(&home);
}
