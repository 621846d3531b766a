//! What a play is started with, as the command line says it: input, environment, interpreter.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use actors::store::Durability;
use clap::ValueEnum;
use protocol::{
    Limits,
    rpc::{InputData, StartMode, StartOptions},
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{
    exit::Failure,
    host::Hosting,
    limits::LimitArgs,
    retain::RetainArgs,
    units::{millis, parse_duration},
};

/// Who starts a play that is started by any verb but `run`.
pub(crate) const CLI: &str = "cli";

/// Options of verbs that start a play.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PlayArgs {
    /// The input: a JSON object; @FILE reads a file, - standard input
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// One argument of the flow, several times; VALUE is JSON or else text, @FILE reads a file
    #[arg(short = 'i', value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// Stop the play after this time (90s, 5m, 1h30m, 500ms) [default: the flow's own, else 1h]
    #[arg(long, value_name = "DURATION", env = "HERO_LOGIC_TIMEOUT", hide_env = true, value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Give the play a variable, several times; without =VALUE: the one of this environment
    #[arg(long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// The Python interpreter [default: of the active virtual environment, .venv beside the flow, python3]
    #[arg(long, value_name = "PATH", env = "HERO_LOGIC_PYTHON", hide_env = true)]
    python: Option<PathBuf>,
    /// How many plays may run at once, where this command is the first on its data directory
    #[arg(long, value_name = "N", env = "HERO_LOGIC_MAX_PLAYS", hide_env = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_plays: Option<u32>,
    /// In a process that waits ready (warm), or in a new interpreter (cold) [default: warm if one waits]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        env = "HERO_LOGIC_START",
        hide_env = true
    )]
    start: Option<Start>,
    /// Answer a question, or an event, ahead by its name, several times; VALUE is JSON or else text, @FILE reads a file
    #[arg(long, value_name = "NAME=VALUE")]
    prefill: Vec<String>,
    /// Fail where a question is not answered ahead, instead of asking it
    #[arg(long)]
    prefill_only: bool,
    #[command(flatten)]
    retain: RetainArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `--start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    Warm,
    Cold,
}

impl Start {
    pub(crate) fn mode(self) -> StartMode {
        match self {
            Self::Warm => StartMode::Warm,
            Self::Cold => StartMode::Cold,
        }
    }
}

impl PlayArgs {
    /// The input, and the other options of the call; `origin` says who makes it.
    pub(crate) fn read(&self, origin: &str) -> Result<(InputData, StartOptions), Failure> {
        let lookup = |name: &str| env::var_os(name);
        let options = StartOptions {
            timeout_ms: self.timeout.map(millis),
            limits: self.limits.limits(),
            version_sid: None,
            env: environment(&self.env, |name| {
                lookup(name).map(|value| value.into_string().map_err(drop))
            })?,
            idempotency_key: None,
            start: self.start.map(Start::mode),
            python: self.interpreter()?,
            prefill: answers(&self.prefill)?,
            prefill_only: self.prefill_only,
            origin: Some(origin.to_owned()),
        };
        let text = input(self.input.as_deref(), &self.pairs)?;
        Ok((InputData::Text(text), options))
    }

    /// How a host of our own runs it: with the play's interpreter, which also reads its source.
    pub(crate) fn hosting(&self, options: &StartOptions) -> Hosting {
        Hosting {
            max_plays: self.max_plays,
            python: options.python.as_ref().map(PathBuf::from),
            durability: Durability::Fsync,
            retention: self.retain.retention(),
            limits: Limits::default(),
            start: None,
            // One play is no reason for it.
            warm_up: false,
        }
    }

    /// As an absolute path: the server has another working directory and another PATH.
    fn interpreter(&self) -> Result<Option<String>, Failure> {
        let path = match &self.python {
            Some(given) => Some(find_program(given)?),
            None => env::var_os("VIRTUAL_ENV")
                .map(|venv| Path::new(&venv).join("bin/python"))
                .filter(|python| python.is_absolute() && python.exists()),
        };
        path.map(|path| {
            path.into_os_string().into_string().map_err(|path| {
                Failure::usage(format!(
                    "failed to use the interpreter {path:?}: its path is no UTF-8"
                ))
            })
        })
        .transpose()
    }
}

/// Where a program is that was named by path, or by a name on the PATH.
fn find_program(given: &Path) -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::usage(format!(
            "failed to find the interpreter {}: there is no such file",
            given.display()
        ))
    };
    if given.components().count() > 1 {
        let path = std::path::absolute(given).map_err(|_| missing())?;
        return path.is_file().then_some(path).ok_or_else(missing);
    }
    env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .map(|directory| directory.join(given))
        .find(|candidate| candidate.is_file())
        .ok_or_else(missing)
}

/// The input as JSON text. Numbers stay as they were written.
fn input(whole: Option<&str>, pairs: &[String]) -> Result<String, Failure> {
    let mut all: BTreeMap<String, Box<RawValue>> = match whole {
        None => BTreeMap::new(),
        Some(given) => {
            let text = match given.strip_prefix('@') {
                Some(file) => read_file(file, "the input")?,
                None if given == "-" => read_stdin()?,
                None => given.to_owned(),
            };
            let object = serde_json::from_str(&text).map_err(|error| {
                Failure::usage(format!(
                    "failed to read the input: it must be a JSON object ({error}); for single arguments use -i KEY=VALUE"
                ))
            })?;
            if pairs.is_empty() {
                return Ok(text);
            }
            object
        }
    };
    for pair in pairs {
        let (key, value) = named("the input", pair)?;
        all.insert(key.to_owned(), value);
    }
    serde_json::to_string(&all)
        .map_err(|error| Failure::usage(format!("failed to write the input as JSON: {error}")))
}

/// Answers given ahead, by the names of what is asked.
fn answers(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let what = "the answer";
    let answers = pairs.iter().map(|pair| {
        let (name, value) = named(what, pair)?;
        let value = serde_json::from_str(value.get()).map_err(|error| {
            Failure::usage(format!("failed to read {what} to {name:?}: {error}"))
        })?;
        Ok((name.to_owned(), value))
    });
    answers.collect()
}

/// `KEY=VALUE`; the value of a file (`@FILE`), else JSON, else text. `@@` begins a text with `@`.
fn named<'a>(what: &str, pair: &'a str) -> Result<(&'a str, Box<RawValue>), Failure> {
    let parts = pair.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = parts.ok_or_else(|| {
        Failure::usage(format!(
            "failed to read {what} {pair:?}: it must be KEY=VALUE"
        ))
    })?;
    let text = match value.strip_prefix('@') {
        Some(text) if text.starts_with('@') => text.to_owned(),
        Some(file) => read_file(file, &format!("{what} {key}"))?,
        None => value.to_owned(),
    };
    if let Ok(json) = serde_json::from_str::<Box<RawValue>>(&text) {
        return Ok((key, json));
    }
    let json = to_raw_value(&text).map_err(|error| {
        Failure::usage(format!("failed to write {what} {key} as JSON: {error}"))
    })?;
    Ok((key, json))
}

fn read_file(path: &str, what: &str) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("failed to read {what} from {path:?}: {error}")))
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::usage(format!(
                "failed to read the input from standard input: {error}"
            ))
        })?;
    Ok(text)
}

fn environment(
    asked: &[String],
    lookup: impl Fn(&str) -> Option<Result<String, ()>>,
) -> Result<BTreeMap<String, String>, Failure> {
    asked
        .iter()
        .map(|entry| {
            let (key, value) = match entry.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None => (entry.as_str(), None),
            };
            if key.is_empty() || key.contains('\0') {
                return Err(Failure::usage(format!(
                    "failed to read --env {entry:?}: it must be KEY or KEY=VALUE"
                )));
            }
            let value = match value.map(Ok).or_else(|| lookup(key)) {
                Some(Ok(value)) => value,
                Some(Err(())) => {
                    return Err(Failure::usage(format!(
                        "failed to pass on {key}: its value is no UTF-8"
                    )));
                }
                None => {
                    return Err(Failure::usage(format!(
                        "failed to pass on {key}: it is not set here; set it, or say --env {key}=VALUE"
                    )));
                }
            };
            Ok((key.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[&str]) -> Result<String, String> {
        let pairs: Vec<_> = pairs.iter().map(|&p| p.to_owned()).collect();
        input(None, &pairs).map_err(|f| f.message)
    }

    #[test]
    fn arguments_are_json_or_else_text() {
        assert_eq!(pairs(&[]).unwrap(), "{}");
        assert_eq!(
            pairs(&[
                "n=3",
                "t=abc",
                "q=\"3\"",
                "l=[1, 2]",
                "e=",
                "eq=a=b",
                "at=@@x",
                "x=nan",
                "big=1.10000000000000000001"
            ])
            .unwrap(),
            r#"{"at":"@x","big":1.10000000000000000001,"e":"","eq":"a=b","l":[1, 2],"n":3,"q":"3","t":"abc","x":"nan"}"#
        );
        assert!(pairs(&["n"]).unwrap_err().contains("KEY=VALUE"));
        assert!(pairs(&["=3"]).is_err());
        assert!(
            pairs(&["n=@/no/such/file"])
                .unwrap_err()
                .contains("the input n")
        );
    }

    #[test]
    fn answers_are_json_or_else_text() {
        let given = ["ok=true", "why=because", "n=3"].map(str::to_owned);
        let read = answers(&given).unwrap();
        let expected = serde_json::json!({"ok": true, "why": "because", "n": 3});
        assert_eq!(Value::Object(read), expected);
        let wrong = answers(&["ok".to_owned()]).unwrap_err();
        assert!(
            wrong.message.contains("the answer \"ok\""),
            "{}",
            wrong.message
        );
    }

    #[test]
    fn a_whole_input_is_an_object() {
        assert_eq!(
            input(Some(r#"{"b": 1.0,"a":2}"#), &[]).unwrap(),
            r#"{"b": 1.0,"a":2}"#
        );
        assert_eq!(
            input(Some(r#"{"b": 1.0}"#), &["b=2".to_owned()]).unwrap(),
            r#"{"b":2}"#
        );
        for wrong in ["[1]", "3", "{", "null", ""] {
            assert_eq!(
                input(Some(wrong), &[]).unwrap_err().exit.code(),
                2,
                "{wrong}"
            );
        }
    }

    #[test]
    fn variables_are_given_or_passed_on() {
        let lookup = |name: &str| match name {
            "HOME" => Some(Ok("/h".to_owned())),
            "ODD" => Some(Err(())),
            _ => None,
        };
        let read = |entries: &[&str]| {
            environment(
                &entries.iter().map(|&e| e.to_owned()).collect::<Vec<_>>(),
                lookup,
            )
        };
        let all = read(&["A=1=2", "HOME", "E="]).unwrap();
        let all: Vec<_> = all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(all, [("A", "1=2"), ("E", ""), ("HOME", "/h")]);
        for wrong in ["NONE", "ODD", "=x", ""] {
            assert_eq!(read(&[wrong]).unwrap_err().exit.code(), 2, "{wrong}");
        }
    }
}
