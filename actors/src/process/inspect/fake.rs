//! An inspector without Python, for tests in virtual time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::Parameter;
use tokio::sync::watch;

use super::{FlowInfo, InspectError, Inspection, Inspector, SyntaxError};

/// Understands trivial sources: a line that starts with `@flow` (with `@flow(name="…")` as a name)
/// marks the next `def NAME(a, b=1, **rest):`. A line `syntax error` is one. For any other source
/// the answer can be set.
#[derive(Clone, Debug)]
pub struct FakeInspector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    answers: Mutex<HashMap<String, Result<Inspection, InspectError>>>,
    calls: Mutex<Vec<String>>,
    held: watch::Sender<bool>,
}

impl Default for FakeInspector {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                answers: Mutex::default(),
                calls: Mutex::default(),
                held: watch::Sender::new(false),
            }),
        }
    }
}

impl FakeInspector {
    /// What is answered for exactly this source.
    pub fn answer(&self, source: &str, answer: Result<Inspection, InspectError>) {
        let mut answers = lock(&self.inner.answers);
        answers.insert(source.to_owned(), answer);
    }

    /// The sources that were asked about, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        lock(&self.inner.calls).clone()
    }

    /// While held, no answer is given.
    pub fn hold(&self, held: bool) {
        self.inner.held.send_replace(held);
    }
}

impl Inspector for FakeInspector {
    fn inspect(
        &self,
        source: Arc<str>,
        _file: &str,
    ) -> BoxFuture<'static, Result<Inspection, InspectError>> {
        lock(&self.inner.calls).push(source.to_string());
        let set = lock(&self.inner.answers).get(&*source).cloned();
        let mut held = self.inner.held.subscribe();
        async move {
            // An error says that the inspector is gone, which holds nothing up any more.
            drop(held.wait_for(|held| !held).await);
            set.unwrap_or_else(|| Ok(read(&source)))
        }
        .boxed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(source: &str) -> Inspection {
    let mut inspection = Inspection::default();
    let mut mark = None;
    for (number, line) in (1..).zip(source.lines()) {
        if line.trim() == "syntax error" {
            return Inspection {
                syntax_error: Some(SyntaxError {
                    message: "invalid syntax".into(),
                    line: Some(number),
                    column: Some(1),
                    text: Some(line.into()),
                }),
                ..Inspection::default()
            };
        }
        if line.starts_with("@flow") {
            mark = Some(line);
        } else if let Some((is_async, rest)) = definition(line)
            && let Some((function, parameters)) = rest.split_once('(')
            && let Some(mark) = mark.take()
        {
            let name = mark
                .split_once("name=\"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map_or(function, |(name, _)| name);
            let parameters = parameters.split(')').next().unwrap_or_default();
            inspection
                .flows
                .push(flow(name, function, number, is_async, parameters));
        } else if let Some(module) = line.strip_prefix("import ") {
            inspection.imports.push(module.trim().to_owned());
        }
    }
    inspection
}

fn definition(line: &str) -> Option<(bool, &str)> {
    if let Some(rest) = line.strip_prefix("async def ") {
        return Some((true, rest));
    }
    line.strip_prefix("def ").map(|rest| (false, rest))
}

fn flow(name: &str, function: &str, line: u64, is_async: bool, parameters: &str) -> FlowInfo {
    let all = parameters.split(',').map(str::trim);
    let (extra, named): (Vec<_>, Vec<_>) = all
        .filter(|p| !p.is_empty())
        .partition(|p| p.starts_with("**"));
    let parameters = named.into_iter().map(|parameter| {
        let (left, default) = match parameter.split_once('=') {
            Some((left, default)) => (left, Some(default.trim())),
            None => (parameter, None),
        };
        let (name, annotation) = match left.split_once(':') {
            Some((name, annotation)) => (name, Some(annotation.trim().to_owned())),
            None => (left, None),
        };
        Parameter {
            name: name.trim().to_owned(),
            required: default.is_none(),
            annotation,
            default: default.and_then(|text| serde_json::from_str(text).ok()),
        }
    });
    FlowInfo {
        name: name.to_owned(),
        function: function.to_owned(),
        line,
        is_async,
        parameters: parameters.collect(),
        accepts_extra: !extra.is_empty(),
        ..FlowInfo::default()
    }
}
