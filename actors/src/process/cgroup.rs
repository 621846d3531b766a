//! Whether cgroups (version 2) could be made here. Only looks: they are not made use of yet, limits are
//! kept by watching ([`super::watch`]).

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// The directory of a cgroup (v2) that we could make cgroups in, with the controllers `memory` and `pids`.
///
/// # Errors
/// Why there is none.
pub fn delegated_cgroup() -> Result<PathBuf, String> {
    delegated_below(Path::new("/"))
}

/// `root` is `/`, or that of a test.
fn delegated_below(root: &Path) -> Result<PathBuf, String> {
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
        let found = delegated_below(root.path());
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
}
