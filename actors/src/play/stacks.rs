//! What `faulthandler` writes, read into stacks. Pure.

use std::path::Path;

use protocol::{Frame, ThreadStack};

/// How many threads are kept.
const THREADS: usize = 100;

/// The threads in `text`, without the frames of the SDK (which stands at `sdk`); the one that runs the
/// flow first. What is not understood is passed over.
#[must_use]
pub fn stacks(text: &str, sdk: &Path) -> Vec<ThreadStack> {
    let sdk = format!("{}/", sdk.display());
    let mut threads: Vec<(bool, ThreadStack)> = Vec::new();
    for line in text.lines() {
        if let Some(thread) = head(line) {
            let stack = ThreadStack {
                thread,
                frames: Vec::new(),
                cut: false,
            };
            threads.push((false, stack));
        } else if let Some((main, stack)) = threads.last_mut() {
            if line.trim() == "..." {
                stack.cut = true;
            } else if let Some(frame) = frame(line) {
                match frame.file.strip_prefix(&sdk) {
                    Some("hero_tracing/_child.py") => *main = true,
                    Some(_) => {}
                    None if frame.file == "<string>" && *main => {}
                    None => stack.frames.push(frame),
                }
            }
        }
    }
    for (main, stack) in &mut threads {
        stack.frames.reverse();
        if *main {
            stack.thread = "main".into();
        }
    }
    // A thread of the SDK's own has nothing to tell.
    threads.retain(|(_, stack)| !stack.frames.is_empty());
    threads.sort_by_key(|(main, _)| !main);
    threads.truncate(THREADS);
    threads.into_iter().map(|(_, stack)| stack).collect()
}

/// `Thread 0x00007f53c2ffd6c0 [name] (most recent call first):`, or with `Current thread`.
fn head(line: &str) -> Option<String> {
    let rest = line
        .strip_prefix("Current thread ")
        .or_else(|| line.strip_prefix("Thread "))?;
    let rest = rest.strip_suffix("(most recent call first):")?.trim();
    Some(match rest.split_once(" [") {
        Some((_, name)) => plain(name.trim_end_matches(']')),
        None => {
            let digits = rest.strip_prefix("0x").unwrap_or(rest);
            format!("0x{}", digits.trim_start_matches('0'))
        }
    })
}

/// `  File "etl.py", line 7 in load`
fn frame(line: &str) -> Option<Frame> {
    let rest = line.strip_prefix("  File \"")?;
    let (file, rest) = rest.rsplit_once("\", line ")?;
    let (number, function) = rest.split_once(" in ")?;
    Some(Frame {
        file: plain(file),
        line: number.parse().ok()?,
        function: plain(function),
    })
}

/// What is not ASCII is written as `\xe9`, `\u20ac`, `\U0001f600`.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits = match rest.as_bytes().get(at + 1) {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let end = at + 2 + digits;
        let meant = (digits > 0)
            .then(|| rest.get(at + 2..end))
            .flatten()
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .and_then(char::from_u32);
        match meant {
            Some(c) => {
                out.push(c);
                rest = &rest[end..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(file: &str, line: u32, function: &str) -> Frame {
        Frame {
            file: file.into(),
            line,
            function: function.into(),
        }
    }

    #[test]
    fn a_dump_is_read() {
        let text = r#"Thread 0x00007f53c2ffd6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 320 in wait
  File "/f/caf\xe9 \u20ac.py", line 9 in "load, line 3 in <lambda>"
  ...

Thread 0x00007f53c1fff6c0 [worker-1] (most recent call first):
  <no Python frame>

Thread 0x00007f53c0000000 [worker-2] (most recent call first):
  File "/f/etl.py", line 3 in work

Current thread 0x00007f53c37c9b80 (most recent call first):
  Garbage-collecting
  File "/d/sdk/1f/hero_tracing/_wire.py", line 5 in send
  File "/f/etl.py", line 7 in load
  File "/f/etl.py", line 2 in main
  File "/d/sdk/1f/hero_tracing/_child.py", line 86 in work
  File "/d/sdk/1f/hero_tracing/_child.py", line 40 in main
  File "<string>", line 1 in <module>
"#;
        let threads = stacks(text, Path::new("/d/sdk/1f"));
        let [main, other, named] = &threads[..] else {
            panic!("{threads:?}")
        };
        assert_eq!((main.thread.as_str(), main.cut), ("main", false));
        assert_eq!(
            main.frames,
            [
                frame_of("/f/etl.py", 2, "main"),
                frame_of("/f/etl.py", 7, "load")
            ]
        );
        assert_eq!((other.thread.as_str(), other.cut), ("0x7f53c2ffd6c0", true));
        assert_eq!(
            other.frames,
            [
                frame_of("/f/café €.py", 9, "\"load, line 3 in <lambda>\""),
                frame_of("/usr/lib/python3.11/threading.py", 320, "wait")
            ]
        );
        assert_eq!(named.thread, "worker-2");
    }

    #[test]
    fn whatever_is_there_is_no_reason_to_fail() {
        let none: [ThreadStack; 0] = [];
        for text in [
            "",
            "\n",
            "Thread",
            "  File \"a\", line 1 in f",
            "Thread 0x (most recent call first):\n  File \"a\", line x in f",
        ] {
            assert_eq!(stacks(text, Path::new("/d")), none, "{text:?}");
        }
        assert_eq!(
            plain(r"C:\x\u12\Uffffffff\\xe9é\"),
            r"C:\x\u12\Uffffffff\éé\"
        );
    }
}
