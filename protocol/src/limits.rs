//! What a play may use up, and how that is written by people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Limits of a play. What is not given is decided by the next source: the call, the flow
/// (`@flow(limits=)`), the server's defaults, the built-in ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of all its processes together, bytes; what they share counts once. Beyond: the play is
    /// killed, `out_of_memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPU time of all its processes together, user and system, milliseconds. Beyond: it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Open files of each of its processes, at least 16. Beyond: the flow itself gets `EMFILE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Processes at once, its own among them. Beyond: it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Text that is kept of what it prints and logs, bytes. Beyond: cut, and said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// What its directory holds, bytes. Beyond: it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Spans. Beyond: skipped, and counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<u64>,
}

/// One of the limits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    Memory,
    Cpu,
    OpenFiles,
    Processes,
    Output,
    Disk,
    Spans,
}

impl LimitName {
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Cpu,
        Self::OpenFiles,
        Self::Processes,
        Self::Output,
        Self::Disk,
        Self::Spans,
    ];

    /// The word, in `@flow(limits=)` and in `cause.limit`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::OpenFiles => "open_files",
            Self::Processes => "processes",
            Self::Output => "output",
            Self::Disk => "disk",
            Self::Spans => "spans",
        }
    }

    /// The least that makes sense. Python itself needs some open files.
    fn least(self) -> u64 {
        match self {
            Self::OpenFiles => 16,
            _ => 1,
        }
    }
}

impl Limits {
    /// This limit.
    #[must_use]
    pub fn get(&self, name: LimitName) -> Option<u64> {
        match name {
            LimitName::Memory => self.memory_bytes,
            LimitName::Cpu => self.cpu_ms,
            LimitName::OpenFiles => self.open_files,
            LimitName::Processes => self.processes,
            LimitName::Output => self.output_bytes,
            LimitName::Disk => self.disk_bytes,
            LimitName::Spans => self.spans,
        }
    }

    /// This limit, to be set.
    pub fn get_mut(&mut self, name: LimitName) -> &mut Option<u64> {
        match name {
            LimitName::Memory => &mut self.memory_bytes,
            LimitName::Cpu => &mut self.cpu_ms,
            LimitName::OpenFiles => &mut self.open_files,
            LimitName::Processes => &mut self.processes,
            LimitName::Output => &mut self.output_bytes,
            LimitName::Disk => &mut self.disk_bytes,
            LimitName::Spans => &mut self.spans,
        }
    }

    /// These, and `next` where they say nothing.
    #[must_use]
    pub fn or(mut self, next: Self) -> Self {
        for name in LimitName::ALL {
            let own = self.get_mut(name);
            *own = own.or(next.get(name));
        }
        self
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with these figures, the limit named; `None` where nothing is.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        LimitName::ALL.into_iter().find_map(|name| {
            let given = self.get(name).filter(|given| *given < name.least())?;
            Some(format!(
                "{} is {given}; the least is {}",
                name.as_str(),
                name.least()
            ))
        })
    }

    /// Reads what an author writes: `{"memory": "512MiB", "cpu": 60, "processes": 32}`. Sizes are
    /// bytes or texts as [`parse_bytes`] reads them, `cpu` is seconds.
    ///
    /// # Errors
    /// A sentence that names the limit.
    pub fn from_words(words: &Map<String, Value>) -> Result<Self, String> {
        let mut limits = Self::default();
        for (word, value) in words {
            let Some(name) = LimitName::ALL.into_iter().find(|n| n.as_str() == word) else {
                let all: Vec<_> = LimitName::ALL.into_iter().map(LimitName::as_str).collect();
                return Err(format!(
                    "there is no limit {word:?}; there are {}",
                    all.join(", ")
                ));
            };
            *limits.get_mut(name) = match value {
                Value::Null => continue,
                value => Some(read(name, value)?),
            };
        }
        limits.wrong().map_or(Ok(limits), Err)
    }
}

fn read(name: LimitName, value: &Value) -> Result<u64, String> {
    let word = name.as_str();
    match (name, value) {
        (LimitName::Memory | LimitName::Output | LimitName::Disk, Value::String(text)) => {
            parse_bytes(text).map_err(|wrong| format!("{word}: {wrong}"))
        }
        (LimitName::Cpu, Value::Number(seconds)) => seconds
            .as_f64()
            .filter(|seconds| *seconds > 0.0)
            .map(millis)
            .ok_or_else(|| format!("cpu is {seconds}; it is a positive number of seconds")),
        (LimitName::Cpu, other) => Err(format!(
            "cpu is {other}; it is a positive number of seconds"
        )),
        (_, other) => other.as_u64().ok_or_else(|| {
            let what = match name {
                LimitName::Memory | LimitName::Output | LimitName::Disk => {
                    "a size: bytes, or a text like \"512MiB\""
                }
                _ => "a whole number",
            };
            format!("{word} is {other}; it is {what}")
        }),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive; a float that is too large becomes the largest number"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).ceil() as u64
}

/// Reads a size: `1048576`, `64KiB`, `512MiB`, `1.5GiB` (powers of 1,024), `500MB` (of 1,000). In
/// any case; a letter alone (`512M`) is refused, because it means either.
///
/// # Errors
/// A sentence that says how sizes are written.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like 1048576, 512MiB, 2GiB or 500MB");
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let fraction = number.contains('.');
    if whole.is_empty() || fraction && (part.is_empty() || part.len() > 6 || factor == 1) {
        return Err(wrong());
    }
    let read = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
    let bytes = read(whole)?.checked_mul(factor).ok_or_else(wrong)?;
    if !fraction {
        return Ok(bytes);
    }
    let scale = 10_u64.pow(u32::try_from(part.len()).unwrap_or(u32::MAX));
    let rest = read(part)?.checked_mul(factor).ok_or_else(wrong)? / scale;
    bytes.checked_add(rest).ok_or_else(wrong)
}

/// Which limit was hit, with the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitHit {
    pub name: LimitName,
    /// In the unit of the limit: bytes, milliseconds, or a number of things.
    pub limit: u64,
    /// What was found, in the same unit.
    pub measured: u64,
    /// At the memory and the process limit: the processes that had most, the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub largest: Vec<ProcessShare>,
}

/// What one process had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessShare {
    pub pid: u32,
    /// As the kernel has it: 15 bytes at most.
    pub name: String,
    /// Memory, bytes; of what is shared, its part.
    pub memory_bytes: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1", 1),
            ("1048576", 1 << 20),
            ("64KiB", 64 << 10),
            ("512 mib", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("0.25kib", 256),
            ("500MB", 500_000_000),
            (" 2TB ", 2_000_000_000_000),
            ("10B", 10),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "MiB",
            "512M",
            "1.5",
            "1.GiB",
            ".5GiB",
            "-1",
            "1e3",
            "1,5GiB",
            "1.2.3MiB",
            "18446744073709551616",
            "99999999TiB",
            "٣MiB",
            "1.0000001GiB",
        ] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_an_author_writes_is_read() {
        let read = |words: Value| Limits::from_words(words.as_object().unwrap());
        let all = json!({
            "memory": "512MiB", "cpu": 1.5, "open_files": 64, "processes": 8, "output": 1024,
            "disk": "1GiB", "spans": 10, });
        let limits = read(all).unwrap();
        assert_eq!(
            LimitName::ALL.map(|name| limits.get(name).unwrap()),
            [512 << 20, 1_500, 64, 8, 1_024, 1 << 30, 10]
        );
        assert!(read(json!({"memory": null})).unwrap().is_empty());
        for (wrong, named) in [
            (json!({"memroy": 1}), "\"memroy\""),
            (json!({"memory": "lots"}), "memory"),
            (json!({"memory": 0}), "memory"),
            (json!({"memory": 1.5}), "memory"),
            (json!({"cpu": "60s"}), "cpu"),
            (json!({"cpu": 0}), "cpu"),
            (json!({"cpu": -1}), "cpu"),
            (json!({"processes": true}), "processes"),
            (json!({"processes": -3}), "processes"),
            (json!({"open_files": 3}), "open_files"),
        ] {
            let error = read(wrong.clone()).unwrap_err();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_next_source_fills_the_gaps() {
        let first = Limits {
            processes: Some(4),
            ..Limits::default()
        };
        let next = Limits {
            processes: Some(9),
            spans: Some(7),
            ..Limits::default()
        };
        let both = first.or(next);
        assert_eq!((both.processes, both.spans), (Some(4), Some(7)));
        assert_eq!(both.memory_bytes, None);
    }
}
