use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

/// A shell in a session of its own, and what it has written first; ended with its group.
struct Session {
    shell: Child,
    said: String,
}

impl Session {
    fn start(script: &str, env: &[(&str, &str)]) -> Self {
        let mut shell = Command::new("setsid")
            .args(["sh", "-c", script])
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = shell.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        Self { shell, said }
    }

    fn root(&self) -> ProcessId {
        let root = sys::process_id(self.shell.id()).unwrap();
        assert_eq!(sys::stat(root.pid).unwrap().session, root.pid);
        root
    }

    fn is_running(&mut self) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.shell.id())).unwrap();
        let state = text.rsplit(") ").next().unwrap().chars().next();
        matches!(state, Some('S' | 'R'))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        sys::signal_group(self.shell.id(), Signal::KILL);
        self.shell.wait().ok();
    }
}

const WAITS: &str = "sleep 1000 & echo $!; wait";

#[test]
fn who_has_a_roots_pid_and_is_another_is_left_alone() {
    let mut stranger = Session::start(WAITS, &[]);
    let child: u32 = stranger.said.trim().parse().unwrap();
    let now = stranger.root();
    let earlier = ProcessId {
        started: now.started - 1,
        ..now
    };
    let plays = [("a-play-that-never-was".to_owned(), earlier)];
    assert_eq!(kill_plays(&plays, None), 0);
    assert_eq!(kill_tree(earlier), 0);
    let plays = [("a-play-that-never-was".to_owned(), Some(earlier))];
    assert_eq!(kill_plays_of_earlier(&plays), 0);
    assert!(stranger.is_running());
    assert!(!sys::stat(child).unwrap().zombie);

    // With the right start time the same calls end all of it.
    assert_eq!(kill_plays(&[("a-play".to_owned(), now)], None), 2);
    assert!(sys::stat(now.pid).unwrap().zombie);
    assert!(sys::stat(child).is_none_or(|stat| stat.zombie));
}

/// Its group and its session live on below somebody else.
#[test]
fn a_session_whose_root_is_gone_is_still_the_plays() {
    let mut session = Session::start("sleep 1000 & echo $!", &[]);
    let child: u32 = session.said.trim().parse().unwrap();
    // As a zombie it still tells its start time.
    let root = sys::process_id(session.shell.id()).unwrap();
    session.shell.wait().unwrap();
    assert_eq!(kill_plays(&[("a-play".to_owned(), root)], None), 1);
    assert!(sys::stat(child).is_none_or(|stat| stat.zombie));
}

#[test]
fn a_hunt_gives_back_the_descriptors_of_those_that_are_gone() {
    let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo on; wait";
    let session = Session::start(script, &[]);
    let root = session.root();
    let mut hunt = Hunt::default();
    let killed = hunt.kill_all(|hunt| {
        hunt.stop_root(root);
        false
    });
    assert_eq!(killed, 9);
    assert!(hunt.targets.is_empty(), "{:?}", hunt.targets);
}

/// A daemon of another play is left to that play: by its session, by its environment, and where it has
/// cleared that, by its session's leader's.
#[test]
fn what_is_of_another_play_is_told_by_its_sessions_leader_too() {
    let script = "env -i sleep 1000 & echo $!; wait";
    let session = Session::start(script, &[(PLAY_SID, "another")]);
    let child: u32 = session.said.trim().parse().unwrap();
    let others = |roots: &[(u32, &str)]| Others {
        roots: roots
            .iter()
            .map(|(root, play)| (*root, (*play).to_owned()))
            .collect(),
        markers: roots.iter().map(|(_, play)| marker(play)).collect(),
    };
    let have = |others: &Others| others.have(child, sys::stat(child).unwrap());
    assert!(have(&others(&[(1, "another")])));
    assert!(have(&others(&[(session.root().pid, "some")])));
    assert!(!have(&others(&[(1, "some")])));
}
