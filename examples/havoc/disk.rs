//! A disk that is small enough to be filled, and what fills it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A tmpfs of this program's own; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl SmallDisk {
    /// An error says why there can't be one here: mostly that only root may mount.
    pub(crate) fn mount(path: PathBuf, mib: u32) -> Result<Self, String> {
        fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        let options = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(&path)
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            let bytes = u64::from(mib) << 20;
            Ok(Self { path, bytes })
        } else {
            let said = String::from_utf8_lossy(&mounted.stderr);
            let said = said.lines().next().unwrap_or_default();
            Err(format!("a small tmpfs can't be mounted here: {said}"))
        }
    }

    /// Fills it, and whatever is given back meanwhile, until the filler is emptied.
    pub(crate) fn fill(&self) -> std::io::Result<Filler> {
        Filler::begin(&self.path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg("-l").arg(&self.path).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("failed to unmount {}: {other:?}", self.path.display()),
        }
    }
}

/// A file that takes all the space there is; gone when dropped.
#[derive(Debug)]
pub(crate) struct Filler {
    path: PathBuf,
    enough: Arc<AtomicBool>,
    filling: Option<JoinHandle<()>>,
}

impl Filler {
    fn begin(dir: &Path) -> std::io::Result<Self> {
        let path = dir.join("filler");
        let file = File::create(&path)?;
        let enough = Arc::new(AtomicBool::new(false));
        let until = enough.clone();
        let filling = std::thread::spawn(move || take(file, &until));
        Ok(Self {
            path,
            enough,
            filling: Some(filling),
        })
    }
}

fn take(mut file: File, enough: &AtomicBool) {
    let block = vec![0; 64 << 10];
    while !enough.load(Ordering::Relaxed) {
        // Large steps, then the last pages.
        if file.write(&block).is_err() && file.write(&block[..4096]).is_err() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        if self
            .filling
            .take()
            .is_some_and(|filling| filling.join().is_err())
        {
            eprintln!("the thread that filled {} panicked", self.path.display());
        }
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("failed to remove {}: {error}", self.path.display());
        }
    }
}
