//! The data directory: where, whose, on what, and how much room there is.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use protocol::server::Check;
use rustix::fs::{FlockOperation, flock};

use super::{Subject, size};

/// Below this nothing can be promised.
const BROKEN_BELOW: u64 = 64 << 20;
/// Below this somebody should know.
const WARN_BELOW: u64 = 1 << 30;
/// What the address of a Unix socket can hold, bytes.
const SOCKET_PATH: usize = 107;

pub(super) fn checks(subject: &Subject) -> Vec<Check> {
    let dir = &subject.data_dir;
    let mut checks = vec![directory(dir)];
    checks.extend(room(dir));
    checks.extend(owner(subject));
    checks.push(sockets(dir));
    checks
}

fn directory(dir: &Path) -> Check {
    let shown = dir.display();
    let check = match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => {
            Check::broken("data_dir", format!("{shown} is no directory"))
                .hint("choose another with --data-dir")
        }
        Ok(found) => match tempfile::Builder::new().prefix(".doctor-").tempfile_in(dir) {
            Err(error) => Check::broken("data_dir", format!("{shown} can't be written: {error}"))
                .hint("give it to this user, make room, or choose another with --data-dir")
                .fact("owner", found.uid()),
            Ok(_) if found.permissions().mode() & 0o077 != 0 => {
                let mode = format!("{:o}", found.permissions().mode() & 0o777);
                Check::warning(
                    "data_dir",
                    format!("{shown} is open to other users (mode {mode})"),
                )
                .hint(format!("chmod 700 {shown}"))
            }
            Ok(_) => Check::ok("data_dir", shown.to_string()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Check::ok(
            "data_dir",
            format!("{shown} is not there yet; the first start makes it"),
        ),
        Err(error) => Check::broken("data_dir", format!("{shown} can't be looked at: {error}"))
            .hint("choose another with --data-dir"),
    };
    check.fact("path", shown.to_string())
}

/// The nearest directory that is there.
fn existing(dir: &Path) -> &Path {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir)
}

fn room(dir: &Path) -> Option<Check> {
    let about = rustix::fs::statvfs(existing(dir)).ok()?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let total = about.f_blocks.saturating_mul(about.f_frsize);
    let kind = file_system(existing(dir));
    let on = kind.map_or_else(String::new, |kind| format!(" on {kind}"));
    let summary = format!("{} free of {}{on}", size(free), size(total));
    let check = match kind {
        _ if free < BROKEN_BELOW => {
            Check::broken("disk", summary).hint("make room: nothing can be recorded without it")
        }
        Some("nfs" | "smb" | "cifs") => Check::broken("disk", summary)
            .hint("the store needs a local disk: SQLite's WAL does not work over a network"),
        _ if free < WARN_BELOW => Check::warning("disk", summary).hint("make room soon"),
        Some("tmpfs") => Check::warning("disk", summary)
            .hint("this is memory: all of it is gone when the machine stops"),
        _ => Check::ok("disk", summary),
    };
    Some(
        check
            .fact("free_bytes", free)
            .fact("total_bytes", total)
            .fact("file_system", kind),
    )
}

#[cfg(target_os = "linux")]
fn file_system(dir: &Path) -> Option<&'static str> {
    // Their magic numbers, from linux/magic.h.
    let kinds: [(i128, &str); 11] = [
        (0xEF53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683E, "btrfs"),
        (0x0102_1994, "tmpfs"),
        (0x794C_7630, "overlay"),
        (0x6969, "nfs"),
        (0x517B, "smb"),
        (0xFF53_4D42, "cifs"),
        (0x6573_5546, "fuse"),
        (0x2FC1_2FC1, "zfs"),
        (0xF2F5_2010, "f2fs"),
    ];
    let magic = rustix::fs::statfs(dir).ok()?.f_type;
    kinds
        .into_iter()
        .find(|(number, _)| *number == i128::from(magic) & 0xFFFF_FFFF)
        .map(|(_, kind)| kind)
}

#[cfg(not(target_os = "linux"))]
fn file_system(_dir: &Path) -> Option<&'static str> {
    None
}

/// Who has the directory. A shared lock asks without keeping anybody out for longer than a moment.
fn owner(subject: &Subject) -> Option<Check> {
    let mut file = fs::File::open(subject.data_dir.join("lock")).ok()?;
    let mut who = String::new();
    file.read_to_string(&mut who).ok()?;
    let pid = who.split_whitespace().next();
    let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
    if subject.own {
        return Some(
            Check::ok("owner", "this server has the directory").fact("pid", std::process::id()),
        );
    }
    let held = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
    Some(if held {
        let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        Check::ok("owner", format!("{who} has the directory")).fact("pid", pid)
    } else {
        Check::ok("owner", "nobody has the directory")
    })
}

/// Whether somebody else has this directory.
pub fn is_held(dir: &Path) -> bool {
    fs::File::open(dir.join("lock"))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
}

fn sockets(dir: &Path) -> Check {
    let length = dir.join("hero_logic.sock").as_os_str().len();
    let temp = std::env::temp_dir();
    if let Err(error) = tempfile::Builder::new()
        .prefix("hero_logic-doctor-")
        .tempdir_in(&temp)
    {
        return Check::broken(
            "sockets",
            format!(
                "plays' sockets can't be made in {}: {error}",
                temp.display()
            ),
        )
        .hint("set TMPDIR to a directory that can be written");
    }
    let check = if length <= SOCKET_PATH || cfg!(target_os = "linux") {
        Check::ok(
            "sockets",
            format!("the server's socket has a path of {length} bytes"),
        )
    } else {
        Check::broken(
            "sockets",
            format!("the server's socket would have a path of {length} bytes; {SOCKET_PATH} are possible"),
        )
        .hint("choose a shorter one with --socket")
    };
    check.fact("socket_path_bytes", length)
}
