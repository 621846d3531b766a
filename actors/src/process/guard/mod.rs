//! The guard: a tiny process that ends what plays started when their server is killed.
//!
//! A server that gets SIGKILL can end nothing. So it keeps a second process, the same program started
//! again, which knows the roots of the plays by what it reads on its stdin, a pipe that only the server
//! writes to. When the server is gone, the guard stops, walks and kills the whole trees, and leaves.
//! The roots themselves are frozen by then: with a guard, their death signal is SIGSTOP, so that their
//! trees hang together below them, whatever else those processes did to get away.
//!
//! [`process`](self::run) is the guard itself, `keeper` is the server's side of it. The guard never
//! starts a process, opens a file for writing or listens to anybody but its pipe; the server never
//! waits for the guard. This file has what both say to each other.

mod keeper;
mod process;

use std::{ffi::OsString, path::PathBuf};

use protocol::ProcessId;

use super::Mark;

pub use keeper::Guard;
pub use process::run;

/// The hidden verb by which the program is asked to be a guard; the server's pid follows it.
pub const VERB: &str = "guard";
/// What the guard is called in process lists: `killall` by the server's name doesn't find it.
pub const NAME: &str = "hero-guard";

/// Which program is started as the guard: it must call `hero_logic::main` or `hero_logic::guard` before
/// it starts any thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardProgram {
    pub path: PathBuf,
    /// Before the verb and the server's pid.
    pub args: Vec<OsString>,
    /// How it says on standard error what it did.
    pub report: Report,
}

/// The form of what the guard says, so that it fits the server's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Report {
    #[default]
    Text,
    /// One object a line, as in the server's log.
    Json,
}

/// What a guard is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The server's pid.
    server: u32,
    report: Report,
}

/// Follows the server's pid where [`Report::Json`] is wanted.
const JSON: &str = "json";

impl GuardProgram {
    /// This process' own program, also after its file was replaced by a newer version; `None` where
    /// the platform has no way to name it, or nothing that a guard could do (all but Linux).
    #[must_use]
    pub fn this_program() -> Option<Self> {
        cfg!(target_os = "linux").then(|| Self {
            path: "/proc/self/exe".into(),
            args: Vec::new(),
            report: Report::default(),
        })
    }
}

/// What is asked of it, where these arguments (the program's name first) ask for a guard.
#[must_use]
pub fn asked_for(mut args: impl Iterator<Item = OsString>) -> Option<Asked> {
    if args.nth(1)? != VERB {
        return None;
    }
    let server = args.next()?.to_str()?.parse().ok()?;
    let report = match args.next() {
        None => Report::Text,
        Some(form) if form == JSON => Report::Json,
        Some(_) => return None,
    };
    args.next().is_none().then_some(Asked { server, report })
}

/// What the server says, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// The root of a play; its start time in the kernel's ticks where it is known.
    Root {
        play: String,
        pid: u32,
        started: Option<u64>,
    },
    /// Nothing of the play is left.
    Gone { play: String },
    /// What all that its plays start is marked with.
    Mark(Mark),
    /// The server leaves in order.
    Over,
}

impl Word {
    fn root(play: &str, process: ProcessId) -> Self {
        Self::Root {
            play: play.to_owned(),
            pid: process.pid,
            started: (process.started != 0).then_some(process.started),
        }
    }

    fn gone(play: &str) -> Self {
        Self::Gone {
            play: play.to_owned(),
        }
    }

    /// [`Word::Root`] up to the pid, for a process that says itself what it becomes.
    fn announcement(play: &str) -> String {
        format!("root {play} ")
    }

    fn line(&self) -> String {
        match self {
            Self::Root {
                play,
                pid,
                started: Some(started),
            } => format!("root {play} {pid} {started}\n"),
            Self::Root {
                play,
                pid,
                started: None,
            } => format!("{}{pid}\n", Self::announcement(play)),
            Self::Gone { play } => format!("gone {play}\n"),
            Self::Mark(mark) => format!("mark {mark}\n"),
            Self::Over => "all over\n".to_owned(),
        }
    }

    /// `None` where it is none of them.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let word = match (words.next()?, words.next()?) {
            ("root", play) => Self::Root {
                play: play.to_owned(),
                pid: words.next()?.parse().ok()?,
                started: words.next().map(str::parse).transpose().ok()?,
            },
            ("gone", play) => Self::Gone {
                play: play.to_owned(),
            },
            ("mark", mark) => Self::Mark(Mark::parse(mark)?),
            ("all", "over") => Self::Over,
            _ => return None,
        };
        words.next().is_none().then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_pipe() {
        let (play, pid) = ("0199".to_owned(), 7);
        for word in [
            Word::Root {
                play: play.clone(),
                pid,
                started: Some(88),
            },
            Word::Root {
                play: play.clone(),
                pid,
                started: None,
            },
            Word::Gone { play },
            Word::Mark(Mark::parse("7f").unwrap()),
            Word::Over,
        ] {
            assert_eq!(Word::read(word.line().trim_end()), Some(word));
        }
        for broken in [
            "",
            "root",
            "root p",
            "root p x",
            "root p 1 x",
            "root p 1 2 3",
            "gone p q",
            "hi p",
            "mark",
            "mark 0",
            "mark x",
            "all",
            "all over it",
        ] {
            assert_eq!(Word::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn only_the_whole_verb_asks_for_a_guard() {
        let asked = |args: &[&str]| asked_for(args.iter().map(OsString::from));
        let server = 12;
        for (more, report) in [(&[][..], Report::Text), (&["json"], Report::Json)] {
            let arguments = [&["hero-guard", "guard", "12"], more].concat();
            assert_eq!(asked(&arguments), Some(Asked { server, report }));
        }
        for other in [
            &["x"][..],
            &["x", "serve", "12"],
            &["x", "guard"],
            &["x", "guard", "me"],
            &["x", "guard", "1", "2"],
            &["x", "guard", "1", "json", "2"],
        ] {
            assert_eq!(asked(other), None, "{other:?}");
        }
    }
}
