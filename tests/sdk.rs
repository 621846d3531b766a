//! The SDK's own tests: Python's, run with the `python3` on PATH and with every other version that is
//! there.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// One interpreter for each version from 3.9 on: `python3` first, then `python3.N`.
fn interpreters() -> Vec<PathBuf> {
    let names = std::iter::once("python3".to_owned())
        .chain((9..30).map(|minor| format!("python3.{minor}")));
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for name in names {
        for candidate in places
            .iter()
            .map(|place| place.join(&name))
            .filter(|path| is_executable(path))
        {
            // A shim of a version that is not installed answers with an error.
            let Some((version, executable)) = ask(&candidate) else {
                continue;
            };
            if !seen.contains(&version) {
                seen.push(version);
                found.push(executable);
            }
        }
    }
    found
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Its minor version and what it really is, if it is one that the SDK supports.
fn ask(candidate: &Path) -> Option<(u32, PathBuf)> {
    let code =
        "import sys; assert sys.version_info >= (3, 9); print(sys.version_info[1], sys.executable)";
    let output = Command::new(candidate)
        .args(["-I", "-c", code])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (minor, executable) = text.trim().split_once(' ')?;
    Some((minor.parse().ok()?, executable.into()))
}

#[test]
fn passes_its_own_tests_on_each_python_that_is_here() {
    let interpreters = interpreters();
    assert!(
        !interpreters.is_empty(),
        "there is no Python 3.9 or newer on PATH; install python3"
    );
    for python in interpreters {
        let output = Command::new(&python)
            .args(["-m", "unittest", "discover", "-s", "tests"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/python"))
            .output()
            .expect("an interpreter that has just answered");
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{report}", python.display());
        println!(
            "{}: {}",
            python.display(),
            report.lines().rev().nth(2).unwrap_or_default()
        );
    }
}
