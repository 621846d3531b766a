//! A disk that is full, a file that is damaged, a directory that can't be written: a clear error,
//! nothing lost, nothing made worse.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};
use serde_json::{Value, json};

use crate::support::{
    cli::{Ran, Running},
    home::Home,
    http,
    server::Server,
    until,
};

/// Writes a line now and then until it may go, then returns much.
const TALKS: &str = "
import os, time
from hero_tracing import flow

@flow
def talks(go: str):
    n = 0
    while not os.path.exists(go):
        print(f'line {n:05}' + 'x' * 2000, flush=True)
        n += 1
        time.sleep(0.01)
    return {'lines': n, 'text': 'y' * 400_000}
";

fn health(server: &Server) -> (u16, Value) {
    let (code, body) = http::get(http::tcp(&server.address), "/healthz");
    (code, serde_json::from_str(&body).unwrap())
}

/// The bytes of the files of a store, but for the memory that its readers share.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("hero_logic.db") && !name.ends_with("-shm")
        })
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        // An empty log is none.
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    files.sort();
    files
}

/// While a play runs, the disk gets full by `fill` and has room again by `free`.
fn a_full_disk_in_mid_play(server: Server, fill: impl FnOnce(&Server), free: impl FnOnce(&Server)) {
    let go = server.home().files().join("go");
    let talks = server.create(&json!({"name": "talks", "python_source": TALKS}));
    let sid = server.start_play(&talks, &json!({"go": go}));
    until("it talks", || {
        server
            .written(&sid, "stdout")
            .contains("line 00010")
            .then_some(())
    });
    assert_eq!(health(&server).0, 200);
    fill(&server);
    let reason = until("trouble", || {
        let (code, body) = health(&server);
        (code == 503).then(|| body.to_string())
    });
    assert!(reason.contains("hero_logic.db"), "{reason}");
    // Whoever wants something new is told, whoever reads is served.
    let refused = until("a refusal", || {
        let tried = server.try_call(
            "play_run_async",
            &json!({
                "workflow_sid": talks,
                "input_data": {"go": "x".repeat(300_000)},
                "parent_span_id": "",
            }),
        );
        tried.err()
    });
    assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
    assert_eq!(server.get(&sid)["status"], "running");
    fs::write(&go, "").unwrap();
    free(&server);
    let play = server.wait(&sid);
    assert_eq!(play["status"], "success", "{play}");
    let output: Value = serde_json::from_str(play["output_data"].as_str().unwrap()).unwrap();
    let written = server.written(&sid, "stdout");
    let lines: Vec<_> = written.lines().map(|line| &line[..10]).collect();
    let expected: Vec<_> = (0..output["lines"].as_u64().unwrap())
        .map(|n| format!("line {n:05}"))
        .collect();
    assert_eq!(lines, expected, "nothing is lost");
    assert_eq!(health(&server).0, 200);
    server.stop().assert_clean();
}

#[test]
fn a_server_with_nothing_to_do_is_well_again_when_there_is_room() {
    let server = Server::start();
    limit_files(&server, Some(1));
    let refused = until("a refusal", || {
        let create = json!({"name": "w", "python_source": format!("# {}", "x".repeat(300_000))});
        server.try_call("workflow_create", &create).err()
    });
    assert_eq!(refused["data"]["kind"], "unavailable", "{refused}");
    assert_eq!(health(&server).0, 503);
    limit_files(&server, None);
    until("health", || (health(&server).0 == 200).then_some(()));
    server.stop().assert_clean();
}

/// The limit of the sizes of this server's files.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

#[test]
fn a_disk_that_takes_no_more_in_mid_play_loses_nothing() {
    a_full_disk_in_mid_play(
        Server::start(),
        |server| limit_files(server, Some(8_192)),
        |server| limit_files(server, None),
    );
}

const ASKS: &str = "
from hero_tracing import ask_user, flow

@flow
def asks():
    return ask_user.text('what')
";

/// What a play has come to is not lost because there is no space to begin its next attempt.
#[test]
fn a_further_attempt_waits_for_space() {
    let server = Server::start();
    let asks = server.create(&json!({"name": "asks", "python_source": ASKS}));
    let sids = [(); 2].map(|()| server.start_play(&asks, &json!({})));
    let full = sids.each_ref().map(|sid| {
        let spool = server.home().data.join("spool").join(sid);
        until("a play that waits", || {
            (server.get(sid)["status"] == "awaiting_resume" && !spool.exists()).then_some(())
        });
        // What is written there meets a full disk.
        let kept = spool.join("kept.jsonl");
        fs::create_dir(&spool).unwrap();
        symlink("/dev/full", &kept).unwrap();
        kept
    });
    for sid in &sids {
        let asked = server.call("play_pending_resumes", &json!({"play_sid": sid}));
        let answer = json!({"play_sid": sid, "resume_id": asked[0]["id"], "payload": "this"});
        server.call("play_resume", &answer);
        until("the next attempt", || {
            (server.get(sid)["attempt"] == 2).then_some(())
        });
    }
    let [goes_on, given_up] = &sids;
    let ended = server.call("play_cancel", &json!({"play_sid": given_up}));
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert_eq!(server.get(goes_on)["status"], "running");
    fs::remove_file(&full[0]).unwrap();
    let play = server.wait(goes_on);
    assert_eq!(play["status"], "success", "{play}");
    assert_eq!(play["output_data"], "\"this\"");
    server.stop().assert_clean();
}

/// Who follows a play is told what it waits for.
#[test]
fn a_run_says_that_the_disk_is_full_while_it_waits() {
    let server = Server::start();
    let go = server.home().files().join("go");
    server.home().file("talks.py", TALKS);
    let argument = format!("go={}", go.display());
    let run = Running::start(&mut server.home().command(&["run", "talks.py", "-i", &argument]));
    run.says("line 00010");
    limit_files(&server, Some(8_192));
    run.says("waiting: ");
    limit_files(&server, None);
    // While it still runs: of one that ends just then, nothing but its end is told.
    run.says("going on");
    fs::write(&go, "").unwrap();
    let ran = run.end().exits(0);
    let told = ran
        .stderr
        .lines()
        .find(|line| line.starts_with("waiting: "));
    assert!(told.unwrap().contains("hero_logic.db"), "{told:?}");
    server.stop().assert_clean();
}

/// A small file system of its own; `None` where this user may not mount one.
#[derive(Debug)]
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={bytes},mode=0700"),
            "tmpfs",
        ]);
        let mounted = mount.arg(at).output();
        matches!(mounted, Ok(out) if out.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

/// The same on a real file system without a free byte. Who may not mount one has the test above,
/// with another error of the system.
#[test]
fn a_full_disk_in_mid_play_loses_nothing() {
    let home = Home::new();
    let Some(_small) = Small::mount(&home.data, 24 << 20) else {
        assert!(!geteuid().is_root() || Path::new("/.dockerenv").exists() || cannot_mount());
        return a_disk_that_takes_no_more_in_mid_play_loses_nothing();
    };
    let filler = home.data.join("filler");
    a_full_disk_in_mid_play(
        Server::start_in(home, &[]),
        |_| {
            // Whatever is freed meanwhile is filled again.
            let mut file = fs::File::create(&filler).unwrap();
            while std::io::Write::write_all(&mut file, &[1; 4_096]).is_ok() {}
        },
        |_| fs::remove_file(&filler).unwrap(),
    );
}

fn cannot_mount() -> bool {
    // Root without the capability: in a container, mostly.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.is_none_or(|bits| bits & (1 << 21) == 0)
}

/// Runs the binary where no file can grow.
fn run_without_room(home: &Home, args: &[&str]) -> Ran {
    let plain = home.command(args);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(home.files())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Running::start(&mut command).end()
}

fn reads(home: &Home, sid: &str, run: impl Fn(&Home, &[&str]) -> Ran) {
    let before = contents(&home.data);
    for (args, words) in [
        (vec!["play", "ls"], sid),
        (vec!["play", "show", sid], sid),
        (vec!["play", "logs", sid], "cleaned"),
    ] {
        let ran = run(home, &args).exits(0);
        assert!(args[1] == "logs" || ran.stdout.contains(words), "{ran:?}");
        assert!(ran.stderr.contains("reading only"), "{ran:?}");
    }
    let ran = run(home, &["play", "retry", sid]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("failed to"), "{ran:?}");
    assert!(contents(&home.data) == before, "the store was changed");
}

#[test]
fn records_are_read_on_a_full_disk_after_a_stop_and_after_a_crash() {
    let server = Server::start();
    let sid = server.play("prints", &json!({}))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let home = server.stop();
    reads(&home, &sid, run_without_room);
    let server = Server::start_in(home, &[]);
    let late = server.play("ok", &json!({}))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let home = server.crash();
    assert!(contents(&home.data).len() == 2, "the log is there");
    reads(&home, &late, run_without_room);
    // Nothing of that is in the way of the next server.
    let server = Server::start_in(home, &[]);
    assert_eq!(server.get(&late)["status"], "success");
    server.stop().assert_clean();
}

const NOBODY: u32 = 65_534;

/// As somebody who may not write in the data directory.
fn run_without_right(home: &Home, args: &[&str]) -> Ran {
    let mut command = home.command(args);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Running::start(&mut command).end()
}

#[test]
fn a_directory_that_can_not_be_written_can_be_read_and_is_named() {
    let server = Server::start();
    let sid = server.play("prints", &json!({}))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let home = server.stop();
    if geteuid().is_root() {
        for path in [
            home.files().parent().unwrap().to_owned(),
            home.temp(),
            home.files(),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        chown(&home.data, Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(&home.data).unwrap() {
            std::os::unix::fs::lchown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    fs::set_permissions(&home.data, fs::Permissions::from_mode(0o555)).unwrap();
    reads(&home, &sid, run_without_right);
    let ran = run_without_right(&home, &["serve", "--listen", "127.0.0.1:0"]).exits(1);
    assert!(
        ran.stderr.contains("not yours to write") && ran.stderr.contains("--data-dir"),
        "{ran:?}"
    );
    fs::set_permissions(&home.data, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_data_directory_that_is_a_file_is_named() {
    let home = Home::new();
    fs::write(&home.data, "mine").unwrap();
    for args in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["play", "ls"],
        &["run", "x.py"],
    ] {
        home.file("x.py", "");
        let ran = home.run(args).exits(1);
        assert!(ran.stderr.contains("it is a file"), "{ran:?}");
    }
    assert_eq!(fs::read_to_string(&home.data).unwrap(), "mine");
}

/// A store with a play in it, as files.
fn stored() -> (Home, String) {
    let server = Server::start();
    let sid = server.play("many_spans", &json!({"count": 2_000}))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    (server.stop(), sid)
}

fn assert_refused(home: &Home, words: &[&str]) {
    let before = contents(&home.data);
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["play", "ls"]] {
        let ran = home.run(args).exits(1);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?}: {ran:?}");
        }
    }
    assert!(contents(&home.data) == before, "it was changed");
}

#[test]
fn a_store_that_is_no_sound_one_is_refused_and_left_as_it_is() {
    let (home, _) = stored();
    let file = home.data.join("hero_logic.db");
    let log = home.data.join("hero_logic.db-wal");
    let sound = fs::read(&file).unwrap();
    let write = |bytes: &[u8]| fs::write(&file, bytes).unwrap();
    // Its header.
    let mut bytes = sound.clone();
    bytes[..64].fill(0xA5);
    write(&bytes);
    assert_refused(&home, &["damaged", "nothing was changed"]);
    // Cut off.
    write(&sound[..sound.len() / 2]);
    assert_refused(&home, &["damaged", "nothing was changed"]);
    // Of a newer version.
    let mut bytes = sound.clone();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    write(&bytes);
    assert_refused(&home, &["version 99", "nothing was changed"]);
    // Garbage where the log is.
    write(&sound);
    fs::write(&log, "garbage ".repeat(10_000)).unwrap();
    assert_refused(
        &home,
        &["hero_logic.db-wal", "damaged", "nothing was changed"],
    );
    fs::remove_file(&log).unwrap();
    let server = Server::start_in(home, &[]);
    assert_eq!(
        server.call("play_list", &json!({}))["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    server.stop().assert_clean();
}

/// A damaged page is found when it is read. What reads it is told; the rest is served. (A writer that
/// meets damage ends the store, and the server with it.)
#[test]
fn a_damaged_page_in_the_middle_is_told_to_who_reads_it() {
    let (home, sid) = stored();
    let file = home.data.join("hero_logic.db");
    let mut bytes = fs::read(&file).unwrap();
    let pages = bytes.len() / 4_096;
    // Rows of spans are most of it.
    for page in pages / 2..pages / 2 + 8 {
        bytes[page * 4_096..(page + 1) * 4_096].fill(0x5A);
    }
    fs::write(&file, &bytes).unwrap();
    let server = Server::start_in(home, &[]);
    assert_eq!(server.get(&sid)["status"], "success");
    let refused = server.refusal("play_spans", &json!({"play_sid": sid}));
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("damaged") && message.contains("hero_logic.db"),
        "{refused}"
    );
    let (code, body) = health(&server);
    assert!(
        code == 503 && body.to_string().contains("damaged"),
        "{body}"
    );
    server.stop();
}
