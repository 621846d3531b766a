//! A flow's file on disk.

use std::{fs, path::Path};

use super::{exit::Failure, units};

/// A flow's file as it is read: one text, one name, one place.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    /// The file's name without `.py`.
    pub(crate) stem: String,
    /// Absolute, so that the server finds the modules beside it.
    pub(crate) path: String,
}

impl Source {
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let bad = |why: String| Failure::usage(format!("failed to read {shown}: {why}"));
        let bytes = fs::read(file).map_err(|error| bad(error.to_string()))?;
        let size = bytes.len() as u64;
        let text = String::from_utf8(bytes)
            .map_err(|_| bad(format!("it is no UTF-8 text ({})", units::bytes(size))))?;
        // The directory's real name, so that `./a/../flow.py` is the same file; the file's own name
        // stays, as Python shows it.
        let (Some(name), Some(parent)) = (file.file_name(), file.parent()) else {
            return Err(bad("it is no file".to_owned()));
        };
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let path = parent
            .canonicalize()
            .map_err(|error| bad(error.to_string()))?
            .join(name)
            .into_os_string()
            .into_string()
            .map_err(|_| bad("its path is no UTF-8".to_owned()))?;
        let stem = Path::new(name).file_stem().unwrap_or(name);
        Ok(Self {
            text,
            stem: stem.to_string_lossy().into_owned(),
            path,
        })
    }
}
