//! What it all ran on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::{Done, file_system};

/// The interpreter that `python3` on PATH is in the end: it can be a script that looks for one.
pub(crate) fn python() -> Done<PathBuf> {
    let output = Command::new("python3")
        .args(["-I", "-c", "import sys; print(sys.executable)"])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// A thousand plays and ten thousand waiters need descriptors.
pub(crate) fn raise_open_files() -> Done<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// The load averages, as the system words them.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

pub(crate) fn describe(binary: &Path, python: &Path, scratch: &Path) -> Value {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let says = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.unwrap_or_default().trim().to_owned()
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let system = rustix::system::uname();
    json!({
        "system": system.sysname().to_string_lossy(),
        "kernel": system.release().to_string_lossy(),
        "architecture": system.machine().to_string_lossy(),
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        // On one in memory nothing is synced to a disk.
        "files": file_system::kind(&mounts, scratch),
        "python": says(python, &["--version"]),
        "hero_logic": says(binary, &["--version"]),
        "sqlite": rusqlite::version(),
        "date": says(Path::new("date"), &["-u", "+%Y-%m-%d"]),
        "load_at_start": load(),
    })
}

pub(crate) fn text(machine: &Value) -> String {
    let of = |name: &str| match &machine[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "{} {} on {} × {}, {}, files on {}; {}, {}; load {}",
        of("system"),
        of("kernel"),
        of("cores"),
        of("cpu"),
        of("memory"),
        of("files"),
        of("hero_logic"),
        of("python"),
        of("load_at_start"),
    )
}
