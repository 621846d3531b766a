//! What every verb is given: where things are kept, and how to speak.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use super::{
    exit::Failure,
    global::Global,
    json,
    log::{Log, LogFormat},
    style::{Glyphs, Line},
    term::Look,
};

/// The socket's name in the data directory.
const SOCKET: &str = "hero_logic.sock";

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) data_dir: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    /// Log lines go to standard error: a live picture would be torn by them.
    pub(crate) verbose: bool,
    pub(crate) log_format: LogFormat,
    pub(crate) out: Look,
    pub(crate) err: Look,
}

impl Context {
    pub(crate) fn new(global: Global) -> Result<Self, Failure> {
        let given = global.data_dir.clone();
        let data_dir = match given {
            Some(given) => given,
            None => default_data_dir(|name| env::var_os(name))?,
        };
        let data_dir = std::path::absolute(&data_dir).map_err(|error| {
            Failure::usage(format!(
                "failed to find the data directory {}: {error}",
                data_dir.display()
            ))
        })?;
        Ok(Self {
            socket: global
                .socket
                .clone()
                .unwrap_or_else(|| data_dir.join(SOCKET)),
            data_dir,
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0
                || global.log_level.is_some()
                || env::var_os("HERO_LOGIC_LOG").is_some(),
            log_format: global.log_format,
            out: Look::of_stdout(global.color),
            err: global.err_look(),
        })
    }

    /// The characters for standard output.
    pub(crate) fn glyphs(&self) -> &'static Glyphs {
        Glyphs::of(self.out)
    }

    /// Prints lines as the result.
    pub(crate) fn print(&self, lines: &[Line]) -> Result<(), Failure> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_text(self.out.color));
            text.push('\n');
        }
        write_out(&text)
    }

    /// Prints a JSON text as the result: laid out for a person, on one line for a program.
    pub(crate) fn print_json_text(&self, text: &str) -> Result<(), Failure> {
        if self.out.terminal {
            write_out(&format!("{}\n", json::pretty(text)))
        } else {
            write_out(&format!("{text}\n"))
        }
    }

    /// Prints a value as JSON.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.print_json_text(&to_json(value)?)
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn print_json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        write_out(&format!("{}\n", to_json(value)?))
    }

    /// Says something to the person, unless they want quiet.
    pub(crate) fn say(&self, line: &Line) {
        if !self.quiet {
            say(&line.to_text(self.err.color));
        }
    }
}

fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::failed(format!("failed to write the result as JSON: {error}")))
}

/// Writes a line to standard error; one that is gone is no reason to stop.
pub(crate) fn say(text: &str) {
    if let Err(error) = io::stderr()
        .lock()
        .write_all(format!("{text}\n").as_bytes())
    {
        tracing::debug!(%error, "standard error could not be written to");
    }
}

/// Writes to standard output. A reader that has left (`| head`) has what it wanted.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "failed to write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

fn default_data_dir(env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Failure> {
    // A relative path in XDG_DATA_HOME is to be ignored, says its specification.
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|share| share.join("hero_logic"))
        .ok_or_else(|| {
            Failure::usage(
                "failed to find a data directory: neither HOME nor XDG_DATA_HOME is an absolute \
                 path; say --data-dir DIR or set HERO_LOGIC_DATA_DIR",
            )
        })
}

/// Sends what happens inside to standard error, as long as the result is kept.
pub(crate) fn start_tracing(global: &Global, server: bool) -> Option<Log> {
    let level = match global.verbose {
        0 if global.quiet => "error",
        0 if server => "warn",
        0 => "error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let asked = global.log_level.clone().map(|text| ("--log-level", text));
    let asked = asked.or_else(|| {
        env::var("HERO_LOGIC_LOG")
            .ok()
            .map(|t| ("HERO_LOGIC_LOG", t))
    });
    let filter = match asked {
        Some((origin, text)) => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            say(&format!(
                "warning: {origin} is no filter and was ignored: {error}"
            ));
            EnvFilter::new(level)
        }),
        None => EnvFilter::new(level),
    };
    match Log::start(filter, global.log_format, global.err_look().color) {
        Ok(log) => Some(log),
        Err(error) => {
            say(&format!("warning: nothing can be logged: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_follows_the_xdg_specification() {
        let dir = |xdg: Option<&str>, home: Option<&str>| {
            default_data_dir(|name| match name {
                "XDG_DATA_HOME" => xdg.map(Into::into),
                "HOME" => home.map(Into::into),
                _ => None,
            })
            .map(|path| path.display().to_string())
        };
        assert_eq!(dir(Some("/x"), Some("/h")).unwrap(), "/x/hero_logic");
        assert_eq!(dir(None, Some("/h")).unwrap(), "/h/.local/share/hero_logic");
        assert_eq!(
            dir(Some("rel"), Some("/h")).unwrap(),
            "/h/.local/share/hero_logic"
        );
        assert_eq!(
            dir(Some(""), Some("/h")).unwrap(),
            "/h/.local/share/hero_logic"
        );
        assert_eq!(dir(None, None).unwrap_err().exit.code(), 2);
        assert_eq!(dir(None, Some("")).unwrap_err().exit.code(), 2);
    }
}
