//! The interpreter that plays get, and what a process that is started as they are sees of itself.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use protocol::server::Check;
use serde_json::Value;
use tokio::{io::AsyncReadExt, runtime::Handle, sync::watch};

use super::Subject;
use crate::process::{
    Program, Spawner,
    python::{Interpreter, Interpreters, Places, Wanted},
    sdk::Sdk,
};

/// How long the process that is tried may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much of what it says is read, bytes.
const BOUND: u64 = 64 << 10;

/// Says what it sees of itself, once the SDK is there.
const PROBE: &str = r#"
import json, os, sys
import hero_tracing._child
about = {"session": os.getsid(0) == os.getpid(), "environment": len(os.environ)}
try:
    import resource
    about["core"] = resource.getrlimit(resource.RLIMIT_CORE)[1]
except ImportError:
    pass
try:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    about["no_new_privs"] = int(status["NoNewPrivs"])
except Exception:
    pass
try:
    import sqlite3, ssl
except ImportError as error:
    about["lacks"] = str(error)
print(json.dumps(about))
"#;

pub(super) async fn checks(subject: &Subject) -> Vec<Check> {
    let places = Places::of_this_process(subject.python.clone());
    let path = places.path.clone();
    match Interpreters::new(places).resolve(&Wanted::default()).await {
        Err(error) => vec![
            Check::broken("python", error.to_string())
                .hint("install Python 3.9 or newer, or name one with --python"),
        ],
        Ok(interpreter) => {
            let mut checks = vec![found(&interpreter)];
            checks.extend(tried(&interpreter, &path).await);
            checks
        }
    }
}

fn found(interpreter: &Interpreter) -> Check {
    let (major, minor, micro) = interpreter.version;
    let version = format!("{major}.{minor}.{micro}");
    let path = interpreter.path.display().to_string();
    let venv = interpreter.prefix.join("pyvenv.cfg").is_file();
    let kind = if venv { ", a virtual environment" } else { "" };
    Check::ok("python", format!("{version} at {path}{kind}"))
        .fact("version", version)
        .fact("path", path)
        .fact("prefix", interpreter.prefix.display().to_string())
        .fact("virtual_environment", venv)
}

/// Starts it as a play would be.
async fn tried(interpreter: &Interpreter, path: &OsString) -> Vec<Check> {
    let directory = match tempfile::Builder::new()
        .prefix("hero_logic-doctor-")
        .tempdir()
    {
        Ok(directory) => directory,
        Err(error) => {
            return vec![
                Check::broken(
                    "sdk",
                    format!("there is no directory for temporary files: {error}"),
                )
                .hint("make room in TMPDIR, or set it to a directory that can be written"),
            ];
        }
    };
    let began = Instant::now();
    match probe(interpreter, path, directory.path()).await {
        Ok(about) => {
            let ms = began.elapsed().as_millis();
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            let sdk = Check::ok(
                "sdk",
                format!("hero_tracing is imported; a process took {ms} ms"),
            )
            .fact("start_ms", ms);
            let sdk = match about["lacks"].as_str() {
                Some(lacks) => Check::warning(
                    "sdk",
                    format!("hero_tracing is imported, but this Python is incomplete: {lacks}"),
                ),
                None => sdk,
            };
            vec![sdk, tier_zero(&about)]
        }
        Err(why) => vec![
            Check::broken(
                "sdk",
                format!("a process that was started as plays are failed: {why}"),
            )
            .hint("run it by hand: python3 -c 'import json, os, sys'"),
        ],
    }
}

async fn probe(
    interpreter: &Interpreter,
    path: &OsString,
    directory: &Path,
) -> Result<Value, String> {
    let sdk = Sdk::install(&directory.join("sdk"))
        .map_err(|error| format!("the SDK can't be written out: {error}"))?;
    let work = directory.join("work");
    fs::create_dir(&work).map_err(|error| error.to_string())?;
    let env = BTreeMap::from([
        (OsString::from("PATH"), path.clone()),
        (OsString::from("PYTHONPATH"), sdk.path().into()),
        (OsString::from("PYTHONDONTWRITEBYTECODE"), "1".into()),
    ]);
    let spawner = Spawner {
        io: Handle::current(),
        guard: None,
        mark: None,
    };
    let program = Program {
        path: interpreter.path.clone(),
        args: vec!["-c".into(), PROBE.into()],
        env,
        cwd: work,
        play_sid: format!("doctor-{}", std::process::id()),
        open_files: None,
    };
    let spawned = spawner.spawn(program).await.map_err(|e| e.to_string())?;
    // Dropped when the time is up: then the process is ended with all that it started.
    let (stop, orders) = watch::channel(None);
    let running = tokio::spawn(spawned.child.run(orders));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (spawned.stdout.take(BOUND), spawned.stderr.take(BOUND));
    let reading =
        futures_util::future::join(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
    let in_time = tokio::time::timeout(PATIENCE, reading).await.is_ok();
    drop(stop);
    drop(running.await);
    if !in_time {
        return Err(format!("it was not done within {PATIENCE:?}"));
    }
    serde_json::from_slice(&out).map_err(|_| {
        let said = String::from_utf8_lossy(&err);
        said.trim()
            .lines()
            .last()
            .unwrap_or("it said nothing")
            .to_owned()
    })
}

fn tier_zero(about: &Value) -> Check {
    let mut lacks = Vec::new();
    if about["session"] != true {
        lacks.push("a session of its own");
    }
    if about["core"].as_i64().is_some_and(|core| core != 0) {
        lacks.push("no core dumps");
    }
    if cfg!(target_os = "linux") && about["no_new_privs"] != 1 {
        lacks.push("no_new_privs");
    }
    let check = if lacks.is_empty() {
        Check::ok(
            "isolation",
            "tier 0: own session, clean environment, no core dumps, no new privileges. A play can still read and \
             write what this user can, other plays' files and the store too: run only flows that you would run by hand",
        )
    } else {
        Check::warning(
            "isolation",
            format!("tier 0 is not reached; it lacks: {}", lacks.join(", ")),
        )
    };
    let facts = about.as_object().into_iter().flatten();
    facts.fold(check, |check, (name, value)| {
        check.fact(name, value.clone())
    })
}
