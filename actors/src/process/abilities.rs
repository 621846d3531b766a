//! What this system lets us do with processes, found out by looking; nothing is changed.

use std::{fs, path::Path, path::PathBuf};

use rustix::fs::{Access, access};

use super::{known, sys};

/// See the module. What is an error says why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The directory of a cgroup (v2) that we could make cgroups in, with the controllers `memory` and
    /// `pids`. It is not made use of yet: limits are kept by watching.
    pub cgroup: Result<PathBuf, String>,
    /// Orphans of plays come to this process.
    pub subreaper: Result<(), String>,
    /// A process can be held by a descriptor, so that another that gets its pid is never hit.
    pub pidfd: Result<(), String>,
    /// The children of a process are listed: without that, only a play's process group can be ended and
    /// nothing of a tree is measured.
    pub children_lists: Result<(), String>,
    /// What processes share can be counted once.
    pub fair_memory: Result<(), String>,
    /// Plays gain no privileges by what they run.
    pub no_new_privs: Result<(), String>,
    /// A play's first process gets a signal when this one dies.
    pub death_signal: Result<(), String>,
}

/// What can be done here.
#[must_use]
pub fn abilities() -> Abilities {
    let own = std::process::id();
    let on_linux = || {
        if cfg!(target_os = "linux") {
            Ok(())
        } else {
            Err(format!("{} has no such thing", std::env::consts::OS))
        }
    };
    let there = |path: String| match fs::read(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("failed to read {path}: {error}")),
    };
    Abilities {
        cgroup: on_linux().and_then(|()| delegated_cgroup(Path::new("/"))),
        subreaper: on_linux().and_then(|()| {
            let why = "this process is no server of its own; what plays leave behind is searched in /proc";
            known::before().map(drop).ok_or_else(|| why.to_owned())
        }),
        pidfd: on_linux().and_then(|()| {
            let why = "the kernel gives no pidfd (Linux 5.3 has them)";
            sys::Target::open(own).map(drop).ok_or_else(|| why.to_owned())
        }),
        children_lists: there(format!("/proc/{own}/task/{own}/children")),
        fair_memory: there(format!("/proc/{own}/smaps_rollup")),
        no_new_privs: on_linux(),
        death_signal: on_linux(),
    }
}

/// Our own cgroup, where it was delegated to us; `root` is `/`, or that of a test.
fn delegated_cgroup(root: &Path) -> Result<PathBuf, String> {
    let read = |path: &Path| {
        fs::read_to_string(path)
            .map_err(|error| format!("failed to read {}: {error}", path.display()))
    };
    let mounts = read(&root.join("proc/self/mountinfo"))?;
    // Fields: id, parent, device, root, mount point, options, …, `-`, type, …
    let mount = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let is_v2 = after.split(' ').next() == Some("cgroup2");
        let mut fields = before.split(' ').skip(3);
        is_v2.then_some((fields.next()?, fields.next()?))
    });
    let (within, at) = mount.ok_or("no cgroup v2 is mounted")?;
    let own = read(&root.join("proc/self/cgroup"))?;
    let path = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or("this process is in no cgroup v2")?;
    let below = Path::new(path).strip_prefix(within).map_err(|_| {
        format!("the cgroup {path} of this process is not below what is mounted ({within})")
    })?;
    let at = root.join(at.trim_start_matches('/'));
    let dir = if below.as_os_str().is_empty() {
        at
    } else {
        at.join(below)
    };
    let controllers = read(&dir.join("cgroup.controllers"))?;
    for wanted in ["memory", "pids"] {
        if !controllers.split_ascii_whitespace().any(|c| c == wanted) {
            return Err(format!(
                "{} has no controller `{wanted}` (it has: {})",
                dir.display(),
                controllers.trim_end()
            ));
        }
    }
    for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
        let file = dir.join(file);
        access(&file, Access::WRITE_OK).map_err(|error| {
            format!("{} is not delegated to this user: {error}", file.display())
        })?;
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system as its files tell it.
    fn system(
        mounts: &str,
        own: &str,
        controllers: Option<&str>,
    ) -> (tempfile::TempDir, Result<PathBuf, String>) {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("proc/self")).unwrap();
        fs::write(at("proc/self/mountinfo"), mounts).unwrap();
        fs::write(at("proc/self/cgroup"), own).unwrap();
        if let Some(controllers) = controllers {
            let dir = at("sys/fs/cgroup/user/hero");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cgroup.controllers"), controllers).unwrap();
            fs::write(dir.join("cgroup.procs"), "").unwrap();
            fs::write(dir.join("cgroup.subtree_control"), "").unwrap();
        }
        let found = delegated_cgroup(root.path());
        (root, found)
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_delegated_cgroup_is_found_or_it_is_said_why_not() {
        let (root, found) = system(V2, "0::/user/hero\n", Some("cpu memory pids\n"));
        assert_eq!(found, Ok(root.path().join("sys/fs/cgroup/user/hero")));
        for (mounts, own, controllers, why) in [
            (
                "1 0 0:1 / /proc rw - proc proc rw\n",
                "0::/\n",
                None,
                "no cgroup v2 is mounted",
            ),
            (V2, "4:memory:/a\n", None, "in no cgroup v2"),
            (
                V2,
                "0::/user/hero\n",
                Some("cpu memory\n"),
                "no controller `pids`",
            ),
            (V2, "0::/user/hero\n", Some("\n"), "no controller `memory`"),
            (
                V2,
                "0::/elsewhere\n",
                Some("memory pids\n"),
                "cgroup.controllers",
            ),
            (
                "30 23 0:26 /user /sys/fs/cgroup rw - cgroup2 c rw\n",
                "0::/other\n",
                None,
                "not below",
            ),
        ] {
            let error = system(mounts, own, controllers).1.unwrap_err();
            assert!(error.contains(why), "{own}: {error}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_system_lists_children_and_has_pidfds() {
        let here = abilities();
        assert_eq!((here.pidfd, here.children_lists), (Ok(()), Ok(())));
    }
}
