//! What the terminal can show: colours, characters, size. Decided once, then passed around as values.

use std::{
    env,
    ffi::OsString,
    io::{IsTerminal, stderr, stdout},
    os::fd::AsFd,
};

use clap::ValueEnum;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR or CLICOLOR_FORCE say otherwise
    #[default]
    Auto,
    Always,
    Never,
}

/// How a stream is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) color: bool,
    /// Whether more than ASCII can be shown.
    pub(crate) unicode: bool,
    /// Whether a person reads it.
    pub(crate) terminal: bool,
}

impl Look {
    pub(crate) fn of_stdout(choice: ColorChoice) -> Self {
        Self::of(choice, stdout().is_terminal())
    }

    pub(crate) fn of_stderr(choice: ColorChoice) -> Self {
        Self::of(choice, stderr().is_terminal())
    }

    fn of(choice: ColorChoice, terminal: bool) -> Self {
        let env = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            color: color(choice, terminal, env),
            unicode: unicode(env),
            terminal,
        }
    }
}

fn color(choice: ColorChoice, terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if env("NO_COLOR").is_some() => false,
        ColorChoice::Auto if env("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
        ColorChoice::Auto => terminal && env("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// Whether the locale is a UTF-8 one, by the order in which the C library looks.
fn unicode(env: impl Fn(&str) -> Option<OsString>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(env)
        .is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

/// Columns and rows of the terminal behind standard error.
pub(crate) fn size() -> (usize, usize) {
    size_of(stderr())
}

/// Columns of the terminal behind standard output; without one, no bound.
pub(crate) fn stdout_columns() -> usize {
    if stdout().is_terminal() {
        size_of(stdout()).0
    } else {
        usize::MAX
    }
}

fn size_of(stream: impl AsFd) -> (usize, usize) {
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).into())
        }
    }

    #[test]
    fn colours_follow_the_conventions() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, terminal, env, expected) in [
            (Auto, true, &[][..], true),
            (Auto, false, &[], false),
            (Auto, true, &[("NO_COLOR", "1")], false),
            (Auto, true, &[("TERM", "dumb")], false),
            (Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (
                Auto,
                false,
                &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
                false,
            ),
            (Always, false, &[("NO_COLOR", "1")], true),
            (Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            assert_eq!(
                color(choice, terminal, with(env)),
                expected,
                "{choice:?} {terminal} {env:?}"
            );
        }
    }

    #[test]
    fn the_locale_says_what_can_be_shown() {
        assert!(unicode(with(&[("LANG", "de_DE.UTF-8")])));
        assert!(unicode(with(&[("LC_CTYPE", "C.utf8"), ("LANG", "C")])));
        assert!(!unicode(with(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")])));
        assert!(!unicode(with(&[])));
    }
}
