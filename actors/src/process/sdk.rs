//! The Python SDK, carried in the binary and written out once into the data directory.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

macro_rules! sdk {
    ($($file:literal),+ $(,)?) => {
        /// Every file of the package `hero_tracing`.
        const FILES: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("../../../sdk/python/hero_tracing/", $file)))),+];
    };
}

sdk!(
    "__init__.py",
    "_ahead.py",
    "_aio.py",
    "_api.py",
    "_ask.py",
    "_child.py",
    "_deadline.py",
    "_durable.py",
    "_errors.py",
    "_failure.py",
    "_inspect.py",
    "_instrument.py",
    "_invoke.py",
    "_kinds.py",
    "_leave.py",
    "_limits.py",
    "_memory.py",
    "_options.py",
    "_pause.py",
    "_registry.py",
    "_rehearsal.py",
    "_requests.py",
    "_revive.py",
    "_source.py",
    "_spans.py",
    "_spawned.py",
    "_stop.py",
    "_streams.py",
    "_threads.py",
    "_transport.py",
    "_values.py",
    "_warm.py",
    "_wire.py",
    "_wrap.py",
    "py.typed",
);

/// What the fork server needs besides, built for this platform; empty where there is none.
const NATIVE: (&str, &[u8]) = (
    "_fork.abi3.so",
    include_bytes!(concat!(env!("OUT_DIR"), "/_fork.abi3.so")),
);

/// Where the SDK stands: the directory for `PYTHONPATH`.
#[derive(Clone, Debug)]
pub struct Sdk {
    path: PathBuf,
}

impl Sdk {
    /// Writes the SDK below `dir`, unless this very version is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn install(dir: &Path) -> io::Result<Self> {
        let mut hasher = DefaultHasher::new();
        (FILES, NATIVE).hash(&mut hasher);
        let path = dir.join(format!("{:016x}", hasher.finish()));
        if !path.is_dir() {
            fs::create_dir_all(dir)?;
            // Written aside and renamed, so that another process never sees half of it.
            let staging = tempfile::Builder::new().prefix(".sdk").tempdir_in(dir)?;
            let package = staging.path().join("hero_tracing");
            fs::create_dir(&package)?;
            for (name, text) in FILES {
                fs::write(package.join(name), text)?;
            }
            fs::write(package.join(NATIVE.0), NATIVE.1)?;
            let staging = staging.keep();
            if let Err(error) = fs::rename(&staging, &path) {
                fs::remove_dir_all(&staging)?;
                if !path.is_dir() {
                    return Err(error);
                }
            }
        }
        Ok(Self { path })
    }

    /// The directory that holds the package.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The script that tells what a source holds, without running it.
    #[must_use]
    pub fn inspect_script(&self) -> PathBuf {
        self.path.join("hero_tracing").join("_inspect.py")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn carries_every_file_of_the_package() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/python/hero_tracing");
        let there: BTreeSet<_> = fs::read_dir(source)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "__pycache__")
            .collect();
        let carried: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(carried, there);
    }

    #[test]
    fn is_written_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let sdk = Sdk::install(dir.path()).unwrap();
        assert!(sdk.inspect_script().is_file());
        let marker = sdk.path().join("marker");
        fs::write(&marker, "").unwrap();
        assert_eq!(Sdk::install(dir.path()).unwrap().path(), sdk.path());
        assert!(marker.exists(), "not written again");
    }
}
