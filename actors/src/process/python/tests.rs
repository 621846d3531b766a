use std::{
    fs::{Permissions, create_dir_all, metadata, read_to_string, set_permissions, write},
    os::unix::fs::{PermissionsExt, symlink},
};

use futures_util::future::join_all;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{CWD, FileType, Mode, mknodat},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use tempfile::{TempDir, tempdir};

use super::*;

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempdir().unwrap(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.at(name);
        create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Says that it is this version, and counts how often it is asked.
    fn python(&self, name: &str, version: &str) -> PathBuf {
        let body = format!(
            "echo asked >> '{}.asked'; printf '\\0hero_logic\\0%s\\0%s\\0%s\\0%s\\0%s\\0' \
             {version} \"$0\" /prefix",
            self.at(name).display()
        );
        self.script(name, &body)
    }

    fn asked(&self, name: &str) -> usize {
        let counted = read_to_string(self.at(&format!("{name}.asked"))).unwrap_or_default();
        counted.lines().count()
    }

    fn path(&self, directories: &[&str]) -> OsString {
        let own = directories.iter().map(|name| self.at(name));
        env::join_paths(own).unwrap()
    }
}

fn explicit(path: impl Into<PathBuf>) -> Wanted {
    Wanted {
        explicit: Some(path.into()),
        source_file: None,
    }
}

fn nowhere() -> Interpreters {
    Interpreters::new(Places::default())
}

async fn real() -> Interpreter {
    let here = Interpreters::new(Places::of_this_process(None));
    here.resolve(&Wanted::default()).await.unwrap()
}

/// Waits until no process has this pid, or it has ended.
fn has_ended(pid: i32) {
    match pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) {
        Err(Errno::SRCH) => {}
        Err(error) => panic!("{error}"),
        Ok(process) => {
            let limit = Timespec {
                tv_sec: 10,
                tv_nsec: 0,
            };
            let mut fds = [PollFd::new(&process, PollFlags::IN)];
            // A child that ends interrupts it (SIGCHLD).
            let ended = loop {
                match poll(&mut fds, Some(&limit)) {
                    Err(Errno::INTR) => {}
                    done => break done.unwrap(),
                }
            };
            assert_eq!(ended, 1, "{pid} lives on");
        }
    }
}

#[tokio::test]
async fn the_strongest_place_decides() {
    let place = Place::new();
    let named = place.python("named/python", "3 10 1");
    let beside = place.python("flow/.venv/bin/python", "3 10 2");
    let configured = place.python("configured/python", "3 10 3");
    let venv = place.python("venv/bin/python", "3 10 4");
    let python3 = place.python("two/python3", "3 10 5");
    let python = place.python("one/python", "3 10 6");
    let mut places = Places {
        configured: Some(configured.clone()),
        virtual_env: Some(place.at("venv")),
        path: place.path(&["missing", "one", "two"]),
    };
    let mut wanted = Wanted {
        explicit: Some(named.clone()),
        source_file: Some(place.at("flow/flow.py")),
    };
    async fn found(places: &Places, wanted: &Wanted) -> PathBuf {
        let all = Interpreters::new(places.clone());
        all.resolve(wanted).await.unwrap().path
    }
    assert_eq!(found(&places, &wanted).await, named);
    wanted.explicit = None;
    assert_eq!(found(&places, &wanted).await, beside);
    wanted.source_file = Some(place.at("elsewhere/flow.py"));
    assert_eq!(found(&places, &wanted).await, configured);
    places.configured = None;
    assert_eq!(found(&places, &wanted).await, venv);
    places.virtual_env = Some(PathBuf::new());
    assert_eq!(found(&places, &wanted).await, python3);
    places.path = place.path(&["one"]);
    assert_eq!(found(&places, &wanted).await, python);
}

#[tokio::test]
async fn a_name_or_a_directory_will_do() {
    let place = Place::new();
    let named = place.python("bin/python3.99", "3 99 0");
    let venv = place.python("venv/bin/python", "3 10 0");
    let all = Interpreters::new(Places {
        path: place.path(&["bin"]),
        ..Places::default()
    });
    let by_name = all.resolve(&explicit("python3.99")).await.unwrap();
    assert_eq!((by_name.path, by_name.version), (named, (3, 99, 0)));
    let by_directory = all.resolve(&explicit(place.at("venv"))).await.unwrap();
    assert_eq!(by_directory.path, venv);
    let error = all.resolve(&explicit("python3.98")).await.unwrap_err();
    assert!(matches!(error, PythonError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn each_is_asked_once() {
    let place = Place::new();
    let wanted = explicit(place.python("python", "3 10 0"));
    let all = nowhere();
    let found = join_all((0..20).map(|_| all.resolve(&wanted))).await;
    assert!(found.iter().all(|one| one == &found[0]));
    assert_eq!(place.asked("python"), 1);
}

#[tokio::test]
async fn what_has_changed_is_asked_again() {
    let place = Place::new();
    let (old, new) = (
        place.python("old/python", "3 10 0"),
        place.python("newer/python", "3 11 22"),
    );
    let link = place.at("python");
    symlink(&old, &link).unwrap();
    let all = nowhere();
    let wanted = explicit(&link);
    assert_eq!(all.resolve(&wanted).await.unwrap().version, (3, 10, 0));
    std::fs::remove_file(&link).unwrap();
    symlink(&new, &link).unwrap();
    assert_eq!(all.resolve(&wanted).await.unwrap().version, (3, 11, 22));
}

#[tokio::test]
async fn a_shim_that_was_rewritten_is_asked_again() {
    let place = Place::new();
    let (old, new) = (
        place.python("old/python", "3 10 0"),
        place.python("newer/python", "3 11 22"),
    );
    let all = nowhere();
    for real in [old, new] {
        let shim = place.script("python", &format!("exec '{}' \"$@\"", real.display()));
        assert_eq!(all.resolve(&explicit(&shim)).await.unwrap().path, real);
    }
}

#[tokio::test]
async fn a_shim_is_asked_again_when_what_it_led_to_is_gone() {
    let place = Place::new();
    let real = place.python("real/python", "3 10 0");
    let shim = place.script("python", &format!("exec '{}' \"$@\"", real.display()));
    let all = nowhere();
    let wanted = explicit(&shim);
    assert_eq!(all.resolve(&wanted).await.unwrap().path, real);
    std::fs::remove_file(&real).unwrap();
    let error = all.resolve(&wanted).await.unwrap_err();
    assert!(matches!(error, PythonError::NotPython { .. }), "{error}");
}

#[tokio::test]
async fn a_shim_leads_to_the_real_interpreter() {
    let place = Place::new();
    let real = real().await;
    let body = format!("echo noise; exec '{}' \"$@\"", real.path.display());
    let shim = place.script("python3", &body);
    let found = nowhere().resolve(&explicit(&shim)).await.unwrap();
    assert_eq!(found, real);
    assert_ne!(metadata(&found.path).unwrap().len(), 0);
}

#[tokio::test]
async fn a_virtual_environment_keeps_its_path() {
    let place = Place::new();
    let real = real().await;
    let bin = place.at("flow/.venv/bin");
    create_dir_all(&bin).unwrap();
    symlink(&real.path, bin.join("python")).unwrap();
    let home = real.path.parent().unwrap().display();
    write(
        place.at("flow/.venv/pyvenv.cfg"),
        format!("home = {home}\n"),
    )
    .unwrap();
    let wanted = Wanted {
        explicit: None,
        source_file: Some(place.at("flow/main.py")),
    };
    let found = nowhere().resolve(&wanted).await.unwrap();
    assert_eq!(found.path, bin.join("python"));
    assert_eq!(found.prefix, place.at("flow/.venv"));
    assert_eq!(found.version, real.version);
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let place = Place::new();
    let told = async |path: &Path| {
        let error = nowhere().resolve(&explicit(path)).await.unwrap_err();
        error.to_string().replace(&path.display().to_string(), "P")
    };
    let old = place.python("old", "3 8 18");
    assert_eq!(
        told(&old).await,
        "needs Python 3.9 or newer, P (the play's `python`) is 3.8.18"
    );
    assert_eq!(
        told(&place.at("missing")).await,
        "there is no Python at P (the play's `python`)"
    );
    let plain = place.python("plain", "3 10 0");
    set_permissions(&plain, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        told(&plain).await,
        "P (the play's `python`) is not executable"
    );
    let fails = place.script("fails", "echo no such version >&2; exit 127");
    assert_eq!(
        told(&fails).await,
        "P (the play's `python`) does not answer as Python: exit status: 127 (no such version)"
    );
    let silent = place.script("silent", "echo hello");
    assert_eq!(
        told(&silent).await,
        "P (the play's `python`) does not answer as Python: its answer can't be read"
    );
    let interpreter = place.at("broken");
    write(&interpreter, "#!/no/such/interpreter\n").unwrap();
    set_permissions(&interpreter, Permissions::from_mode(0o755)).unwrap();
    assert!(told(&interpreter).await.contains("can't be started"));
    let nothing = nowhere().resolve(&Wanted::default()).await.unwrap_err();
    assert_eq!(nothing, PythonError::NotOnPath);
}

#[tokio::test]
async fn a_broken_environment_is_no_reason_to_take_another_python() {
    let place = Place::new();
    place.python("bin/python3", "3 10 0");
    create_dir_all(place.at("flow/.venv/bin")).unwrap();
    symlink("/no/such/python", place.at("flow/.venv/bin/python")).unwrap();
    let all = Interpreters::new(Places {
        virtual_env: Some(place.at("no such venv")),
        path: place.path(&["bin"]),
        ..Places::default()
    });
    let wanted = Wanted {
        explicit: None,
        source_file: Some(place.at("flow/main.py")),
    };
    for (wanted, from) in [
        (wanted, Origin::BesideFlow),
        (Wanted::default(), Origin::VirtualEnv),
    ] {
        match all.resolve(&wanted).await.unwrap_err() {
            PythonError::NotFound { origin, .. } => assert_eq!(origin, from),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn only_the_callers_own_choice_is_its_fault() {
    let kind = |origin| {
        let path = PathBuf::from("/p");
        Error::from(PythonError::NotFound { path, origin }).kind
    };
    assert_eq!(kind(Origin::Caller), protocol::ErrorKind::InvalidInput);
    assert_eq!(kind(Origin::VirtualEnv), protocol::ErrorKind::Unavailable);
}

#[tokio::test]
async fn one_that_hangs_is_given_up() {
    let place = Place::new();
    let hangs = place.script("hangs", "while :; do sleep 1000; done");
    let mut all = nowhere();
    all.timeout = Duration::from_millis(50);
    let error = all.resolve(&explicit(&hangs)).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it gave no answer within 0.05 s"), "{text}");
}

#[tokio::test]
async fn one_that_is_given_up_is_killed_with_what_it_started() {
    let place = Place::new();
    let pids = place.at("pids");
    mknodat(CWD, &pids, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let body = format!("sleep 1000 & echo $! $$ > '{}'; wait", pids.display());
    let hangs = place.script("hangs", &body);
    // Opening it waits for the script, so both processes are there when the question is dropped.
    let told = tokio::select! {
        told = tokio::fs::read_to_string(&pids) => told.unwrap(),
        answer = ask(Command::new(hangs), b"", Duration::from_secs(600), 100) => panic!("{answer:?}"),
    };
    let pids: Vec<i32> = told
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 2);
    pids.into_iter().for_each(has_ended);
}

#[tokio::test]
async fn the_environment_is_cleared() {
    let place = Place::new();
    let seen = place.at("seen");
    let body = format!("/usr/bin/env > '{}'; exit 1", seen.display());
    let shows = place.script("shows", &body);
    nowhere().resolve(&explicit(&shows)).await.unwrap_err();
    for line in read_to_string(seen).unwrap().lines() {
        let name = line.split('=').next().unwrap();
        let of_the_shell = ["PWD", "_", "SHLVL", "OLDPWD"];
        assert!(
            ENVIRONMENT.contains(&name) || of_the_shell.contains(&name),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let place = Place::new();
    let floods = place.script("floods", "while :; do echo xxxxxxxxxxxxxxxxxxxxxx; done");
    let asked = ask(Command::new(floods), b"", Duration::from_secs(60), 1_000).await;
    assert!(matches!(asked, Err(AskError::TooMuch(1_000))), "{asked:?}");
    let loud = place.script(
        "loud",
        "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i >&2; done; cat",
    );
    let input = vec![b'x'; 300_000];
    let answer = ask(Command::new(loud), &input, Duration::from_secs(60), 300_000).await;
    let answer = answer.unwrap();
    assert_eq!(answer.stdout, input);
    assert!(answer.stderr.len() <= 4 << 10 && answer.stderr.ends_with("line 2000"));
}

#[tokio::test]
async fn who_does_not_listen_may_still_answer() {
    let place = Place::new();
    let deaf = place.script("deaf", "exec <&-; echo done");
    let input = vec![b'x'; 1 << 20];
    let answer = ask(Command::new(deaf), &input, Duration::from_secs(60), 100).await;
    assert_eq!(answer.unwrap().stdout, b"done\n");
}
