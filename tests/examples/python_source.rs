//! Counts lines, functions and classes of Python source without parsing it: by its words outside of
//! strings and comments, and by indentation. For source that Python accepts.

/// What a module, or several, hold.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) modules: usize,
    pub(crate) lines: usize,
    pub(crate) functions: usize,
    pub(crate) classes: usize,
    /// Lines and name of the longest function; the first of several.
    pub(crate) longest: Option<(usize, String)>,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.modules += other.modules;
        self.lines += other.lines;
        self.functions += other.functions;
        self.classes += other.classes;
    }

    pub(crate) fn fields(&self) -> [(&'static str, usize); 4] {
        [
            ("modules", self.modules),
            ("lines", self.lines),
            ("functions", self.functions),
            ("classes", self.classes),
        ]
    }
}

/// A function whose end is not known yet.
struct Open {
    indent: usize,
    first: usize,
    name: String,
}

pub(crate) fn count(source: &[u8]) -> Counts {
    let mut scan = Scan {
        source,
        at: 0,
        line: 1,
    };
    if source.starts_with(b"\xef\xbb\xbf") {
        scan.at = 3;
    }
    let mut counts = Counts {
        modules: 1,
        lines: source.split_inclusive(|byte| *byte == b'\n').count(),
        ..Counts::default()
    };
    let mut open: Vec<Open> = Vec::new();
    let mut last_line = 0;
    while let Some(logical) = scan.logical_line() {
        while open.last().is_some_and(|f| f.indent >= logical.indent) {
            close(&mut counts, open.pop(), last_line);
        }
        let words: Vec<_> = logical.words.iter().map(String::as_str).collect();
        counts.classes += words.iter().filter(|word| **word == "class").count();
        if let [name, ..] = match words.as_slice() {
            ["async", "def", rest @ ..] | ["def", rest @ ..] => rest,
            _ => &[],
        } {
            counts.functions += 1;
            open.push(Open {
                indent: logical.indent,
                first: logical.first,
                name: (*name).to_owned(),
            });
        }
        last_line = logical.last;
    }
    while !open.is_empty() {
        close(&mut counts, open.pop(), last_line);
    }
    counts
}

fn close(counts: &mut Counts, function: Option<Open>, last: usize) {
    let Some(Open { first, name, .. }) = function else {
        return;
    };
    let lines = last + 1 - first;
    if counts
        .longest
        .as_ref()
        .is_none_or(|(most, _)| lines > *most)
    {
        counts.longest = Some((lines, name));
    }
}

/// A line as Python means it: over several rows where brackets, strings or backslashes say so.
struct Logical {
    indent: usize,
    first: usize,
    last: usize,
    words: Vec<String>,
}

struct Scan<'a> {
    source: &'a [u8],
    at: usize,
    line: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn logical_line(&mut self) -> Option<Logical> {
        let mut line: Option<Logical> = None;
        let (mut indent, mut depth) = (0, 0_usize);
        loop {
            let row = self.line;
            let Some(byte) = self.peek() else {
                return line;
            };
            match byte {
                b'\n' if depth == 0 => {
                    self.next();
                    if line.is_some() {
                        return line;
                    }
                    indent = 0;
                    continue;
                }
                b'#' => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.next();
                    }
                    continue;
                }
                b' ' | b'\t' | b'\x0c' | b'\r' | b'\n' => {
                    self.next();
                    indent = match byte {
                        b' ' => indent + 1,
                        b'\t' => (indent / 8 + 1) * 8,
                        _ => 0,
                    };
                    continue;
                }
                b'\\' => {
                    self.next();
                    while self.next().is_some_and(|b| b != b'\n') {}
                    continue;
                }
                _ => {}
            }
            let words = &mut line
                .get_or_insert_with(|| Logical {
                    indent,
                    first: row,
                    last: row,
                    words: Vec::new(),
                })
                .words;
            match byte {
                b'"' | b'\'' => self.string(""),
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    self.next();
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    self.next();
                }
                _ if is_word(byte) => {
                    let word = self.word();
                    if matches!(self.peek(), Some(b'"' | b'\'')) {
                        self.string(&word);
                    } else {
                        words.push(word);
                    }
                }
                _ => {
                    self.next();
                }
            }
            // A string may have ended on a later row.
            let last = self.line;
            if let Some(line) = &mut line {
                line.last = last;
            }
        }
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        String::from_utf8_lossy(&self.source[start..self.at]).into_owned()
    }

    /// Goes behind a string that starts here, with this before its quote.
    fn string(&mut self, prefix: &str) {
        let Some(quote) = self.next() else {
            return;
        };
        let triple = self.source[self.at..].starts_with(&[quote, quote]);
        if triple {
            self.at += 2;
        }
        let fields = prefix.contains(['f', 'F', 't', 'T']);
        while let Some(byte) = self.next() {
            if byte == b'\\' {
                self.next();
            } else if byte == quote {
                if !triple {
                    return;
                }
                if self.source[self.at..].starts_with(&[quote, quote]) {
                    self.at += 2;
                    return;
                }
            } else if byte == b'{' && fields {
                if self.peek() == Some(b'{') {
                    self.next();
                } else {
                    self.field();
                }
            }
        }
    }

    /// Goes behind the `}` of a replacement field: an expression, which may hold strings with the
    /// very same quotes, then perhaps a format, which may hold quotes and fields.
    fn field(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' | b'\'' => {
                    self.string("");
                    continue;
                }
                b'#' => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.next();
                    }
                    continue;
                }
                _ if is_word(byte) => {
                    let word = self.word();
                    if matches!(self.peek(), Some(b'"' | b'\'')) {
                        self.string(&word);
                    }
                    continue;
                }
                b'(' | b'[' | b'{' => depth += 1,
                b'}' if depth == 0 => {
                    self.next();
                    return;
                }
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                b':' if depth == 0 => return self.format(),
                _ => {}
            }
            self.next();
        }
    }

    fn format(&mut self) {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => self.field(),
                b'}' => return,
                _ => {}
            }
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[test]
fn counting_is_not_misled() {
    let source = br##"
"""def not_this(): class Nor: pass"""
class A: # class B
    def first(self, a="def x", *,
              b=f"{a:'^{10}} {'}'} {{ def"):
        '''
        class C:
        '''
        return """a
b"""

    # beyond its end
    async def second(self): return f"{f'{1!r}' + "def"}" \
        + rb'\'def'
    classes = 1
def \
  third(): pass
"##;
    let expected = Counts {
        modules: 1,
        lines: 17,
        functions: 3,
        classes: 1,
        longest: Some((7, "first".to_owned())),
    };
    assert_eq!(count(source), expected);
}
