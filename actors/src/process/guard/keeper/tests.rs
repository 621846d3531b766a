use super::*;

#[test]
fn who_reads_is_not_stuck_however_long_there_was_nothing_to_read() {
    let mut reading = Reading::default();
    let began = Instant::now();
    let mut look = |seconds, sent, unread| {
        let now = began + Duration::from_secs(seconds);
        let waited = reading.look(sent, unread, now);
        waited.map(|waited| waited.as_secs())
    };
    assert_eq!(look(0, 100, 0), None);
    assert_eq!(look(60, 150, 50), Some(0));
    assert_eq!(look(61, 150, 50), Some(1));
    assert_eq!(look(62, 200, 100), Some(2), "more to read is not reading");
    assert_eq!(look(63, 200, 70), Some(0));
    assert_eq!(look(64, 200, 0), None);
}

/// As many as no pipe takes at once, and nothing else is said after them.
#[test]
fn what_a_full_pipe_did_not_take_is_sent_when_it_can_be() {
    const PLAYS: u32 = 4_000;
    let dir = tempfile::tempdir().unwrap();
    let (pid, heard) = (dir.path().join("pid"), dir.path().join("heard"));
    let script = format!(
        "echo $$ > {0}.part; mv {0}.part {0}; exec cat > {1}",
        pid.display(),
        heard.display()
    );
    let program = GuardProgram {
        path: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        report: Report::Text,
    };
    let guard = Guard::start(program, None).unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // Those that it knows: a guard that replaces it is told only of what there still is.
    let known = || {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        let is_root = |line: &&str| line.starts_with("root");
        let (roots, gone): (Vec<_>, Vec<_>) = heard.lines().partition(is_root);
        roots.len().saturating_sub(gone.len())
    };
    let plays: Vec<_> = (0..PLAYS)
        .map(|n| format!("a-play-with-a-long-name-{n}"))
        .collect();
    for play in &plays {
        guard.root(play, ProcessId { pid: 7, started: 8 });
    }
    until("all are known", &|| known() == plays.len());
    // The thread has nothing to wait for any more, and sleeps: by then, or else this tests less.
    let pipe = guard.pipe().unwrap();
    until("all is read", &|| {
        rustix::io::ioctl_fionread(&pipe).unwrap() == 0
    });
    std::thread::sleep(STUCK);
    let pid = std::fs::read_to_string(&pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(sys::signal_process(pid, libc::SIGSTOP));
    for play in &plays {
        guard.gone(play);
    }
    assert!(
        !guard.0.state().unsent.is_empty(),
        "the pipe took all of it"
    );
    sys::signal_process(pid, libc::SIGCONT);
    until("all are gone", &|| known() == 0);
    guard.close();
}
