//! Finds the Python interpreter for a flow, and asks it once who it is.
//!
//! The `python3` on PATH may be a script that looks for the real one (pyenv's shims): running it for
//! each play would cost tens of milliseconds, so the interpreter behind it is used from then on. The
//! interpreter of a virtual environment keeps its own path, else it would lose its packages.
//!
//! It must never fall back silently: where a place is named (by the caller, by a `.venv`, by the
//! configuration, by `VIRTUAL_ENV`) and what is there can't be used, that is an error.

pub(crate) mod ask;

use std::{
    collections::HashMap,
    env,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf, absolute},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use protocol::Error;
use tokio::{process::Command, sync::OnceCell};

use self::ask::{AskError, ask};

/// The oldest Python that flows run on.
pub const OLDEST: (u8, u8) = (3, 9);
/// How long a candidate may take to say who it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
const PROBE_OUTPUT: usize = 64 << 10;
/// How long plays take what was found for another one.
const FRESH: Duration = Duration::from_secs(1);
/// How many candidates are remembered.
const REMEMBERED: usize = 256;
/// In front of the answer, since a wrapper script may print something of its own.
const MARK: &[u8] = b"\0hero_logic\0";
/// Understood by every Python 3.4 and newer.
const PROBE: &str = "import sys, os
out = [b'hero_logic'] + [str(n).encode() for n in sys.version_info[:3]]
out += [os.fsencode(sys.executable or ''), os.fsencode(sys.prefix)]
os.write(1, b'\\0' + b'\\0'.join(out) + b'\\0')";
/// What a probe sees of the environment; the last ones tell pyenv's shims which version is meant.
const ENVIRONMENT: [&str; 8] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "PYENV_ROOT",
    "PYENV_VERSION",
];

/// A Python that can run flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// What to execute; absolute. Within a virtual environment the environment's own path.
    pub path: PathBuf,
    /// `sys.version_info`: major, minor, micro.
    pub version: (u8, u8, u8),
    /// `sys.prefix`: the virtual environment, or where Python is installed.
    pub prefix: PathBuf,
}

/// Why there is no interpreter. Each says which place named it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PythonError {
    #[error("there is no Python: neither `python3` nor `python` is on PATH; install Python {}.{} or newer, or name one with --python", OLDEST.0, OLDEST.1)]
    NotOnPath,
    #[error("there is no Python at {path} ({origin})", path = .path.display())]
    NotFound { path: PathBuf, origin: Origin },
    #[error("{path} ({origin}) is not executable", path = .path.display())]
    NotExecutable { path: PathBuf, origin: Origin },
    #[error("{path} ({origin}) does not answer as Python: {why}", path = .path.display())]
    NotPython {
        path: PathBuf,
        origin: Origin,
        why: String,
    },
    #[error("needs Python {}.{} or newer, {path} ({origin}) is {}.{}.{}", OLDEST.0, OLDEST.1, .version.0, .version.1, .version.2, path = .path.display())]
    TooOld {
        path: PathBuf,
        origin: Origin,
        version: (u8, u8, u8),
    },
}

impl From<PythonError> for Error {
    /// `invalid_input` where the caller named the interpreter, else `unavailable`.
    fn from(error: PythonError) -> Self {
        let asked = matches!(
            &error,
            PythonError::NotFound { origin, .. }
            | PythonError::NotExecutable { origin, .. }
            | PythonError::NotPython { origin, .. }
            | PythonError::TooOld { origin, .. } if *origin == Origin::Caller
        );
        if asked {
            Error::invalid_input(error.to_string())
        } else {
            Error::unavailable(error.to_string())
        }
    }
}

/// Which place named a candidate, from the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Caller,
    BesideFlow,
    Configured,
    VirtualEnv,
    Path,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Caller => "the play's `python`",
            Self::BesideFlow => "the `.venv` beside the flow",
            Self::Configured => "the server's --python",
            Self::VirtualEnv => "VIRTUAL_ENV",
            Self::Path => "found on PATH",
        })
    }
}

/// What a play says about its interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// A file, the directory of a virtual environment, or a name to look for on PATH.
    pub explicit: Option<PathBuf>,
    /// The flow's source file: `.venv/bin/python` beside it is taken. Ignored where it is relative,
    /// since relative to what is the author's secret.
    pub source_file: Option<PathBuf>,
}

/// The places to look in that do not change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The server's `--python`; as [`Wanted::explicit`].
    pub configured: Option<PathBuf>,
    /// `VIRTUAL_ENV`; an empty one is none.
    pub virtual_env: Option<PathBuf>,
    /// `PATH`.
    pub path: OsString,
}

impl Places {
    /// With `VIRTUAL_ENV` and `PATH` of this process.
    #[must_use]
    pub fn of_this_process(configured: Option<PathBuf>) -> Self {
        Self {
            configured,
            virtual_env: env::var_os("VIRTUAL_ENV").map(PathBuf::from),
            path: env::var_os("PATH").unwrap_or_default(),
        }
    }
}

impl Places {
    /// Who is to be asked.
    fn find(&self, wanted: &Wanted) -> Result<Found, PythonError> {
        let (candidate, origin) = self.candidate(wanted)?;
        let no_such = |path: &Path| PythonError::NotFound {
            path: path.to_owned(),
            origin,
        };
        let path = absolute(&candidate).map_err(|_| no_such(&candidate))?;
        let file = fs::metadata(&path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => PythonError::NotExecutable {
                path: path.clone(),
                origin,
            },
            _ => no_such(&path),
        })?;
        if !file.is_file() || file.mode() & 0o111 == 0 {
            return Err(PythonError::NotExecutable { path, origin });
        }
        let stamp = Stamp::of(&file);
        Ok(Found {
            path,
            origin,
            stamp,
        })
    }

    /// The place that says who is to be asked, and what it says.
    fn candidate(&self, wanted: &Wanted) -> Result<(PathBuf, Origin), PythonError> {
        if let Some(explicit) = &wanted.explicit {
            return self.named(explicit, Origin::Caller);
        }
        let directory = wanted.source_file.as_deref().and_then(Path::parent);
        if let Some(directory) = directory.filter(|d| d.is_absolute()) {
            let beside = directory.join(".venv/bin/python");
            // The link itself: one that leads nowhere is a broken environment, not none.
            if fs::symlink_metadata(&beside).is_ok() {
                return Ok((beside, Origin::BesideFlow));
            }
        }
        if let Some(configured) = &self.configured {
            return self.named(configured, Origin::Configured);
        }
        if let Some(venv) = &self.virtual_env
            && !venv.as_os_str().is_empty()
        {
            return Ok((venv.join("bin/python"), Origin::VirtualEnv));
        }
        for name in ["python3", "python"] {
            if let Some(path) = self.on_path(OsStr::new(name)) {
                return Ok((path, Origin::Path));
            }
        }
        Err(PythonError::NotOnPath)
    }

    /// A file, a virtual environment's directory, or (without a slash) a name on PATH.
    fn named(&self, name: &Path, origin: Origin) -> Result<(PathBuf, Origin), PythonError> {
        if fs::metadata(name).is_ok_and(|file| file.is_dir()) {
            return Ok((name.join("bin/python"), origin));
        }
        if name.as_os_str().as_bytes().contains(&b'/') {
            return Ok((name.to_owned(), origin));
        }
        match self.on_path(name.as_os_str()) {
            Some(path) => Ok((path, origin)),
            None => Err(PythonError::NotFound {
                path: name.to_owned(),
                origin,
            }),
        }
    }

    /// The first executable file of this name.
    fn on_path(&self, name: &OsStr) -> Option<PathBuf> {
        let paths = env::split_paths(&self.path).map(|directory| directory.join(name));
        paths.into_iter().find(|path| {
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
        })
    }
}

/// Who is to be asked which Python it is.
struct Found {
    path: PathBuf,
    origin: Origin,
    stamp: Stamp,
}

/// What this one has said, where neither it nor the interpreter that it led to has changed since.
fn already_known(known: &Mutex<Known>, found: &Found) -> Option<Interpreter> {
    let cell = {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let (stamp, cell) = known.get(&found.path)?;
        (*stamp == found.stamp).then(|| cell.clone())?
    };
    let (interpreter, then) = cell.get()?;
    (*then == stamp_of(&interpreter.path)).then(|| interpreter.clone())
}

/// Which file was asked: a path that leads to another file now is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        }
    }
}

type Known = HashMap<PathBuf, Remembered>;
type Remembered = (Stamp, Arc<OnceCell<(Interpreter, Option<Stamp>)>>);

/// Finds interpreters, and remembers what they said.
#[derive(Debug)]
pub struct Interpreters {
    places: Arc<Places>,
    timeout: Duration,
    known: Arc<Mutex<Known>>,
    /// What was found for plays, and when.
    recent: Mutex<HashMap<Wanted, (Instant, Interpreter)>>,
}

impl Interpreters {
    /// Looks in these places.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self {
            places: Arc::new(places),
            timeout: PROBE_TIMEOUT,
            known: Arc::default(),
            recent: Mutex::default(),
        }
    }

    /// The interpreter for a play: the one it names, else `.venv/bin/python` beside its source file,
    /// else the configured one, else that of `VIRTUAL_ENV`, else `python3` on PATH, else `python`.
    ///
    /// Each candidate is run once (at most 10 s), and again only where the file behind it, or the
    /// interpreter that it led to, has changed. That `pyenv global` points a shim elsewhere is
    /// noticed at the server's next start.
    ///
    /// # Errors
    /// The first place that names an interpreter decides: see [`PythonError`] for what can be wrong
    /// with it.
    pub async fn resolve(&self, wanted: &Wanted) -> Result<Interpreter, PythonError> {
        loop {
            let (places, known, wanted) = (self.places.clone(), self.known.clone(), wanted.clone());
            // One way to another thread and back: a directory on PATH may be on a dead file system.
            let looked = tokio::task::spawn_blocking(move || {
                let found = places.find(&wanted)?;
                let known = already_known(&known, &found);
                Ok((found, known))
            });
            let (found, known) = looked.await.map_err(|error| PythonError::NotPython {
                path: PathBuf::new(),
                origin: Origin::Path,
                why: format!("the search for it failed: {error}"),
            })??;
            if let Some(interpreter) = known {
                return Ok(interpreter);
            }
            let cell = self.remembered(&found.path, found.stamp);
            let (interpreter, then) = cell
                .get_or_try_init(|| self.probe(&found.path, found.origin))
                .await?;
            if *then == stamp_of(&interpreter.path) {
                return Ok(interpreter.clone());
            }
            self.forget(&found.path, &cell);
        }
    }

    /// As [`Interpreters::resolve`], but what was found within the last second is not looked for again.
    ///
    /// # Errors
    /// As there.
    pub async fn resolve_for_play(&self, wanted: &Wanted) -> Result<Interpreter, PythonError> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = recent().get(wanted).cloned();
        if let Some((at, interpreter)) = before
            && at.elapsed() < FRESH
        {
            return Ok(interpreter);
        }
        let found = self.resolve(wanted).await?;
        let mut recent = recent();
        if recent.len() >= REMEMBERED {
            recent.clear();
        }
        recent.insert(wanted.clone(), (Instant::now(), found.clone()));
        Ok(found)
    }

    fn remembered(
        &self,
        candidate: &Path,
        stamp: Stamp,
    ) -> Arc<OnceCell<(Interpreter, Option<Stamp>)>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(candidate) {
            known.clear();
        }
        let entry = known
            .entry(candidate.to_owned())
            .or_insert_with(|| (stamp, Arc::default()));
        if entry.0 != stamp {
            *entry = (stamp, Arc::default());
        }
        entry.1.clone()
    }

    fn forget(&self, candidate: &Path, cell: &Arc<OnceCell<(Interpreter, Option<Stamp>)>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known
            .get(candidate)
            .is_some_and(|k| Arc::ptr_eq(&k.1, cell))
        {
            known.remove(candidate);
        }
    }

    async fn probe(
        &self,
        candidate: &Path,
        origin: Origin,
    ) -> Result<(Interpreter, Option<Stamp>), PythonError> {
        let not_python = |why: String| PythonError::NotPython {
            path: candidate.to_owned(),
            origin,
            why,
        };
        let mut command = Command::new(candidate);
        command.args(["-I", "-c", PROBE]);
        clean_environment(&mut command);
        let answer = match ask(command, b"", self.timeout, PROBE_OUTPUT).await {
            Ok(answer) => answer,
            Err(AskError::Start(error)) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(PythonError::NotExecutable {
                    path: candidate.to_owned(),
                    origin,
                });
            }
            Err(error) => return Err(not_python(format!("it {error}"))),
        };
        if !answer.status.success() {
            let why = answer.stderr.lines().next().unwrap_or("it said nothing");
            return Err(not_python(format!("{} ({why})", answer.status)));
        }
        let (version, executable, prefix) = read_answer(&answer.stdout)
            .ok_or_else(|| not_python("its answer can't be read".to_owned()))?;
        if (version.0, version.1) < OLDEST {
            return Err(PythonError::TooOld {
                path: candidate.to_owned(),
                origin,
                version,
            });
        }
        let path = match executable {
            path if path.is_absolute() => path,
            _ => candidate.to_owned(),
        };
        let stamp = stamp_of(&path);
        let interpreter = Interpreter {
            path,
            version,
            prefix,
        };
        Ok((interpreter, stamp))
    }
}

/// Nothing of the server's environment but what finding Python takes.
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear();
    for name in ENVIRONMENT {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().map(|file| Stamp::of(&file))
}

fn read_answer(stdout: &[u8]) -> Option<((u8, u8, u8), PathBuf, PathBuf)> {
    let at = memchr::memmem::find(stdout, MARK)?;
    let mut parts = stdout[at + MARK.len()..].split(|byte| *byte == 0);
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok();
    let version = (number()?, number()?, number()?);
    let mut path = || Some(PathBuf::from(OsString::from_vec(parts.next()?.to_vec())));
    Some((version, path()?, path()?))
}

#[cfg(test)]
mod tests;
