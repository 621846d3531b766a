//! Asks Python what a source contains, without running it.
//!
//! The source is parsed (`ast`) by a script of the SDK in an isolated interpreter, the same that a
//! play of the source would get. It must never execute or import anything of the source.

#[cfg(any(test, feature = "testing"))]
mod fake;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Debug,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::{Error, Parameter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{process::Command, sync::Semaphore};

#[cfg(any(test, feature = "testing"))]
pub use self::fake::FakeInspector;
use super::python::{
    Interpreters, PythonError, Wanted,
    ask::{AskError, ask},
    clean_environment,
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of JSON that an inspection may have.
const OUTPUT: usize = 16 << 20;
/// How many sources are inspected at once; the others wait.
const AT_ONCE: usize = 4;
/// How many inspections are remembered, and up to how many bytes of source.
const REMEMBERED: usize = 32;
const REMEMBERED_BYTES: usize = 16 << 20;

/// What a source contains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// Where the source is no Python; the rest is empty then.
    #[serde(default)]
    pub syntax_error: Option<SyntaxError>,
    /// In the order of their definition.
    #[serde(default)]
    pub flows: Vec<FlowInfo>,
    /// Modules that it imports.
    #[serde(default)]
    pub imports: Vec<String>,
    /// What tells the code of each function from another version's, by its qualified name.
    #[serde(default)]
    pub functions: BTreeMap<String, String>,
}

/// Why a source is no Python, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyntaxError {
    pub message: String,
    /// From 1; null where Python does not say.
    #[serde(default)]
    pub line: Option<u64>,
    /// From 1.
    #[serde(default)]
    pub column: Option<u64>,
    /// The line itself.
    #[serde(default)]
    pub text: Option<String>,
}

/// One function that `@flow` marks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowInfo {
    /// `@flow(name=)`, else the function's name.
    pub name: String,
    pub function: String,
    #[serde(default)]
    pub line: u64,
    #[serde(default)]
    pub is_async: bool,
    #[serde(default)]
    pub description: Option<String>,
    /// `@flow(timeout=)`, seconds.
    #[serde(default)]
    pub timeout: Option<f64>,
    /// `@flow(limits=)` as it is written; null where there is none, a text where only running the
    /// source would tell.
    #[serde(default)]
    pub limits: Value,
    /// `@flow(on_interrupt=)`, as `limits`.
    #[serde(default)]
    pub on_interrupt: Value,
    /// `@flow(env=[…])`.
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Whether it takes `**kwargs`.
    #[serde(default)]
    pub accepts_extra: bool,
    /// `@flow(inputs=)`; null where there is none, or where only running the source would tell.
    #[serde(default)]
    pub inputs: Value,
    #[serde(default)]
    pub outputs: Value,
}

/// Why a source was not inspected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Python(#[from] PythonError),
    /// Python did not survive it, which is the source's doing (nested thousands deep, say).
    #[error("failed to read the source: Python {0}")]
    Died(String),
    #[error("failed to read the source: {0}")]
    Failed(String),
}

impl From<InspectError> for Error {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Python(error) => error.into(),
            InspectError::Died(_) => Error::invalid_input(error.to_string()),
            InspectError::Failed(_) => Error::unavailable(error.to_string()),
        }
    }
}

/// Whoever can tell what a source contains.
pub trait Inspector: Send + Sync + Debug {
    /// Inspects `source`, which its author calls `file` (`""`: no file).
    fn inspect(
        &self,
        source: Arc<str>,
        file: &str,
    ) -> BoxFuture<'static, Result<Inspection, InspectError>>;
}

#[derive(Clone, PartialEq)]
struct Question {
    python: PathBuf,
    file: String,
    source: Arc<str>,
}

/// Asks real Python; at most 30 s and four sources at once, recent answers are remembered.
#[derive(Clone, Debug)]
pub struct PythonInspector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    interpreters: Arc<Interpreters>,
    script: PathBuf,
    turns: Semaphore,
    recent: Mutex<Recent>,
}

impl PythonInspector {
    /// `script` is the SDK's `hero_tracing/_inspect.py`.
    #[must_use]
    pub fn new(interpreters: Arc<Interpreters>, script: PathBuf) -> Self {
        Self(Arc::new(Inner {
            interpreters,
            script,
            turns: Semaphore::new(AT_ONCE),
            recent: Mutex::default(),
        }))
    }
}

impl Inspector for PythonInspector {
    fn inspect(
        &self,
        source: Arc<str>,
        file: &str,
    ) -> BoxFuture<'static, Result<Inspection, InspectError>> {
        let (inner, file) = (self.0.clone(), file.to_owned());
        async move { inner.inspect(source, file).await }.boxed()
    }
}

impl Inner {
    async fn inspect(&self, source: Arc<str>, file: String) -> Result<Inspection, InspectError> {
        let wanted = Wanted {
            explicit: None,
            source_file: Some(PathBuf::from(&file)),
        };
        let python = self.interpreters.resolve(&wanted).await?.path;
        let question = Question {
            python,
            file,
            source,
        };
        let turn = self.turns.acquire().await;
        if let Some(known) = self.recent().get(&question) {
            return Ok(known);
        }
        let inspection = self.ask(&question).await?;
        drop(turn);
        self.recent().put(question, inspection.clone());
        Ok(inspection)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, question: &Question) -> Result<Inspection, InspectError> {
        let failed = |why: String| InspectError::Failed(why);
        let input = serde_json::json!({"source": &*question.source, "file": question.file});
        let mut command = Command::new(&question.python);
        command.args([Path::new("-I"), Path::new("-S"), &self.script]);
        clean_environment(&mut command);
        let answer = match ask(command, input.to_string().as_bytes(), TIMEOUT, OUTPUT).await {
            Ok(answer) => answer,
            Err(error @ (AskError::Timeout(_) | AskError::TooMuch(_))) => {
                return Err(InspectError::Died(error.to_string()));
            }
            Err(error @ (AskError::Start(_) | AskError::Io(_))) => {
                return Err(failed(format!("{}: {error}", question.python.display())));
            }
        };
        if let Some(signal) = answer.status.signal() {
            return Err(InspectError::Died(format!("was killed by signal {signal}")));
        }
        let last = answer.stderr.lines().last().unwrap_or("nothing on stderr");
        if !answer.status.success() {
            return Err(failed(format!("{} ({last})", answer.status)));
        }
        serde_json::from_slice(&answer.stdout)
            .map_err(|error| failed(format!("the inspection can't be read: {error} ({last})")))
    }
}

/// The latest inspections, the most recently used last.
#[derive(Default)]
struct Recent {
    entries: VecDeque<(Question, Inspection)>,
}

impl Recent {
    fn get(&mut self, question: &Question) -> Option<Inspection> {
        let at = self.entries.iter().position(|(q, _)| q == question)?;
        let entry = self.entries.remove(at)?;
        let inspection = entry.1.clone();
        self.entries.push_back(entry);
        Some(inspection)
    }

    fn put(&mut self, question: Question, inspection: Inspection) {
        self.entries.retain(|(known, _)| *known != question);
        self.entries.push_back((question, inspection));
        let bytes = |all: &VecDeque<(Question, Inspection)>| -> usize {
            all.iter().map(|(q, _)| q.source.len()).sum()
        };
        while self.entries.len() > REMEMBERED || bytes(&self.entries) > REMEMBERED_BYTES {
            self.entries.pop_front();
        }
    }
}

impl Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recent({})", self.entries.len())
    }
}

#[cfg(test)]
mod tests;
