//! JSON texts laid out for reading, without being parsed into values: numbers stay as they were
//! written, keys keep their order. Pure.

use std::fmt::Write;

/// A valid JSON text, indented. Characters that could drive a terminal are escaped, which changes
/// nothing of what the text means.
pub(crate) fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut rest = text.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = rest.next() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            push_safe(&mut out, c);
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(close) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

fn push_safe(out: &mut String, c: char) {
    let drives = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Writing into a String can't fail; the guard keeps what follows to the basic plane.
    if !drives || write!(out, "\\u{:04x}", u32::from(c)).is_err() {
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_and_changes_nothing() {
        let text =
            r#"{"a":[1.10000000000000000001, {"b" : [ ], "c":{}}],"t":"x{,\"]\\","z":"\u00e9"}"#;
        let expected = r#"{
  "a": [
    1.10000000000000000001,
    {
      "b": [],
      "c": {}
    }
  ],
  "t": "x{,\"]\\",
  "z": "\u00e9"
}"#;
        assert_eq!(pretty(text), expected);
        assert_eq!(pretty("null"), "null");
        assert_eq!(pretty("\"a\u{9b}b\u{7f}\""), "\"a\\u009bb\\u007f\"");
    }
}
