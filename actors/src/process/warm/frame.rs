//! What a spare is told when it becomes a play. Pure.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// See [`frame`].
#[derive(Debug)]
pub(crate) struct Told<'a> {
    /// What is set besides the fork server's own environment.
    pub(crate) env: &'a BTreeMap<OsString, OsString>,
    pub(crate) cwd: &'a Path,
    /// A JSON text.
    pub(crate) launch: &'a str,
    /// The source, compiled and marshalled; empty where that is not at hand.
    pub(crate) code: &'a [u8],
}

/// Five sizes (32 bits each, the least significant byte first), then as many bytes each: the environment
/// (`NAME=VALUE`, NUL between them), the working directory, the launch, the code, and the number of the
/// signal that it gets when the server dies. `None`: too large for it.
pub(super) fn frame(told: &Told<'_>, death_signal: i32) -> Option<Vec<u8>> {
    let mut env = Vec::new();
    for (name, value) in told.env {
        if !env.is_empty() {
            env.push(0);
        }
        env.extend_from_slice(name.as_bytes());
        env.push(b'=');
        env.extend_from_slice(value.as_bytes());
    }
    let cwd = OsStr::as_bytes(told.cwd.as_os_str());
    let death_signal = death_signal.to_string();
    let launch = told.launch.as_bytes();
    let parts = [&env[..], cwd, launch, told.code, death_signal.as_bytes()];
    let mut frame = Vec::with_capacity(20 + parts.iter().map(|part| part.len()).sum::<usize>());
    for part in parts {
        frame.extend_from_slice(&u32::try_from(part.len()).ok()?.to_le_bytes());
    }
    for part in parts {
        frame.extend_from_slice(part);
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_first() {
        let env = BTreeMap::from([("A".into(), "1".into()), ("B".into(), "x=y".into())]);
        let told = Told {
            env: &env,
            cwd: Path::new("/w"),
            launch: "{}",
            code: &[9, 0],
        };
        let mut expected: Vec<u8> = [9_u32, 2, 2, 2, 2]
            .iter()
            .flat_map(|size| size.to_le_bytes())
            .collect();
        expected.extend_from_slice(b"A=1\0B=x=y/w{}\x09\x0019");
        assert_eq!(frame(&told, 19), Some(expected));
    }
}
