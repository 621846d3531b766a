//! What was learned of versions without running them: their imports, and their code, compiled.
//!
//! By a spare of the fork server, once for each version, file name and interpreter, while or after its
//! first play runs. Must never hold up a play.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use protocol::{VersionSid, WorkflowVersion};

use crate::process::warm::{Key, Learned, Warm};

/// How much is remembered, bytes of code, and of how many versions.
const BYTES: usize = 32 << 20;
const VERSIONS: usize = 4_096;

type Of = (VersionSid, String, PathBuf);

/// Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Learning(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    learned: HashMap<Of, Arc<Learned>>,
    bytes: usize,
    /// Who is being read just now.
    busy: HashSet<Of>,
}

impl Learning {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a version, which its author calls `file`.
    pub(super) fn of(
        &self,
        version: &WorkflowVersion,
        file: &str,
        python: &Path,
    ) -> Option<Arc<Learned>> {
        let of = (version.sid.clone(), file.to_owned(), python.to_owned());
        self.known().learned.get(&of).cloned()
    }

    /// Reads a version, where that was not done yet; `key` is that of its plays, without imports.
    pub(super) async fn learn(
        self,
        warm: Warm,
        key: Key,
        version: Arc<WorkflowVersion>,
        file: String,
    ) {
        let of = (version.sid.clone(), file, key.python.clone());
        {
            let mut known = self.known();
            if known.learned.contains_key(&of) || !known.busy.insert(of.clone()) {
                return;
            }
        }
        // No fork server is started for this: the play may be the only one of its kind.
        let learned = match warm.any_spare(&key.python).await {
            Some(spare) => match spare.learn(&version.python_source, &of.1).await {
                Ok(learned) => Some(learned),
                Err(error) => {
                    tracing::debug!(version = %of.0, %error, "nothing could be learned of a version");
                    // Not again: it would be the same.
                    Some(Learned::default())
                }
            },
            None => None,
        };
        let imports = learned.as_ref().map(|learned| in_reach(learned, &of.1));
        let mut known = self.known();
        known.busy.remove(&of);
        if let Some(learned) = learned {
            known.remember(of, learned);
        }
        drop(known);
        if let Some(imports) = imports.filter(|imports| !imports.is_empty()) {
            warm.prepare(&Key { imports, ..key });
        }
    }
}

impl Known {
    fn remember(&mut self, of: Of, learned: Learned) {
        if self.learned.len() >= VERSIONS || self.bytes + learned.code.len() > BYTES {
            self.learned.clear();
            self.bytes = 0;
        }
        self.bytes += learned.code.len();
        self.learned.insert(of, Arc::new(learned));
    }
}

/// The imports of a version up to the first that a module beside its file stands in for: what runs before an import
/// may be meant for it.
pub(super) fn in_reach(learned: &Learned, file: &str) -> Vec<String> {
    let directory = Path::new(file).parent().filter(|dir| dir.is_absolute());
    let is_beside = |import: &str| {
        let top = import.split(['.', ':']).next().unwrap_or(import);
        directory
            .is_some_and(|dir| dir.join(top).exists() || dir.join(format!("{top}.py")).exists())
    };
    let imports = learned.imports.iter();
    imports
        .take_while(|import| !is_beside(import))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_the_file_is_not_loaded_ahead() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("httpx.py"), "").unwrap();
        std::fs::create_dir(dir.path().join("pandas")).unwrap();
        let learned = Learned {
            imports: ["numpy", "httpx:get", "json", "pandas.core"]
                .map(str::to_owned)
                .to_vec(),
            code: Vec::new(),
        };
        let file = dir.path().join("flow.py");
        assert_eq!(in_reach(&learned, file.to_str().unwrap()), ["numpy"]);
        assert_eq!(in_reach(&learned, "flow.py"), learned.imports);
    }
}
