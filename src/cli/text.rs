//! Text from flows made safe and fit to show: no control character of theirs reaches a terminal,
//! and nothing is wider than its room. Pure.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` without terminal sequences, and with every other control character made visible. Newlines
/// and tabs become spaces: one line stays one line.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() || reorders(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_sequence(&mut rest),
            '\u{9b}' => skip_csi(&mut rest),
            '\n' | '\t' => out.push(' '),
            '\r' => {}
            c if c.is_control() || reorders(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The lines of a piece of output, each made safe. A line that was overwritten by way of `\r` (a
/// progress bar) shows what was there last.
pub(crate) fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .map(|line| {
            let line = line.trim_end_matches('\r');
            expand_tabs(clean_keeping_tabs(
                line.rsplit_once('\r').map_or(line, |(_, last)| last),
            ))
        })
}

fn clean_keeping_tabs(line: &str) -> Cow<'_, str> {
    if !line.contains('\t') {
        return clean(line);
    }
    Cow::Owned(line.split('\t').map(clean).collect::<Vec<_>>().join("\t"))
}

fn expand_tabs(line: Cow<'_, str>) -> Cow<'_, str> {
    if !line.contains('\t') {
        return line;
    }
    let mut out = String::with_capacity(line.len() + 16);
    let mut column = 0;
    for c in line.chars() {
        if c == '\t' {
            let stop = 8 - column % 8;
            out.extend(std::iter::repeat_n(' ', stop));
            column += stop;
        } else {
            out.push(c);
            column += c.width().unwrap_or(0);
        }
    }
    Cow::Owned(out)
}

/// Characters that change the order or the line of what is beside them.
fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Skips what follows ESC: CSI and string sequences whole, anything else by its own rule.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('[') => {
            *rest = ahead;
            skip_csi(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            *rest = ahead;
            while let Some(c) = rest.next() {
                if c == '\x07' || c == '\u{9c}' {
                    return;
                }
                if c == '\x1b' {
                    let mut ahead = rest.clone();
                    if ahead.next() == Some('\\') {
                        *rest = ahead;
                    }
                    return;
                }
            }
        }
        Some(' '..='/') => {
            *rest = ahead;
            while let Some(c) = rest.clone().next().filter(|c| (' '..='~').contains(c)) {
                rest.next();
                if !(' '..='/').contains(&c) {
                    return;
                }
            }
        }
        Some('0'..='~') => *rest = ahead,
        _ => {}
    }
}

fn skip_csi(rest: &mut std::str::Chars<'_>) {
    while let Some(c) = rest.clone().next().filter(|c| (' '..='~').contains(c)) {
        rest.next();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// As much of `text` as fits into `columns`, with an ellipsis where something is left out.
pub(crate) fn fit<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns < width(ellipsis) {
        return Cow::Borrowed("");
    }
    let room = columns - width(ellipsis);
    let mut used = 0;
    let mut end = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    // A text that was cut before says so once.
    let kept = text[..end].trim_end().trim_end_matches(ellipsis);
    Cow::Owned(format!("{kept}{ellipsis}"))
}

/// The first line of a text that has something on it, made safe.
pub(crate) fn first_line(text: &str) -> Cow<'_, str> {
    clean(text.lines().find(|l| !l.trim().is_empty()).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_cannot_drive_the_terminal() {
        for (text, expected) in [
            ("plain é 漢", "plain é 漢"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\link", "ablink"),
            ("\x1b[2J\x1b[Hx\x1bcy\x1b(Bz", "xyz"),
            ("\u{9b}31mx", "x"),
            ("bell\x07 back\x08 nul\0", "bell\\u{7} back\\u{8} nul\\u{0}"),
            ("one\ntwo\tthree", "one two three"),
            ("safe\u{202e}gpj.exe", "safe\\u{202e}gpj.exe"),
            ("cut\x1b[", "cut"),
            ("cut\x1b", "cut"),
            ("\x1b[31\x1b[32mx", "x"),
            ("\x1b]0;never ended", ""),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_of_any_text_controls() {
        for first in 0..=0x2100_u32 {
            let Some(c) = char::from_u32(first) else {
                continue;
            };
            for text in [format!("{c}"), format!("\x1b{c}\x1b[1;{c}m\x1b]{c}")] {
                assert!(!clean(&text).chars().any(char::is_control), "{text:?}");
            }
        }
    }

    #[test]
    fn output_becomes_lines() {
        let lines: Vec<_> = clean_lines("10%\r20%\r100%\r\na\tb\n\n\x1b[1mlast\n").collect();
        assert_eq!(lines, ["100%", "a       b", "", "last"]);
    }

    #[test]
    fn texts_fit_by_columns() {
        for (text, columns, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "long…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 4, "漢…"),
            ("a b c", 3, "a…"),
            ("x", 0, ""),
            ("xy", 1, "…"),
        ] {
            let fitted = fit(text, columns, "…");
            assert_eq!(fitted, expected);
            assert!(width(&fitted) <= columns);
        }
        assert_eq!(fit("longer", 5, "..."), "lo...");
        assert_eq!(fit("cut before… and more", 12, "…"), "cut before…");
    }
}
