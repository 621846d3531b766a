//! How a play ended: the outcome table of the contract, as one pure function.

use protocol::{
    Cause, CauseKind, Exception, LastSpan, LimitHit, LimitName, PlayStatus, ThreadStack, Usage,
};

use super::stop::StopReason;

/// How the process itself ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It left with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It never ran; the sentence says why.
    NotStarted(String),
    /// Its end could not be observed; the sentence says why.
    Unknown(String),
}

/// Everything that is known when a process is gone.
#[derive(Clone, Debug)]
pub struct Ended {
    pub exit: Exit,
    /// The stop that was carried out before it left, if any.
    pub stopped: Option<StopReason>,
    pub usage: Usage,
    /// How many processes had to be killed, the play's own among them.
    pub killed: u32,
    /// Where its threads were when the order to stop came.
    pub stacks: Vec<ThreadStack>,
}

impl Ended {
    /// Without a process of its own ever having run, or whose end is not known.
    #[must_use]
    pub fn without_process(exit: Exit, stopped: Option<StopReason>) -> Self {
        Self {
            exit,
            stopped,
            usage: Usage::default(),
            killed: 0,
            stacks: Vec::new(),
        }
    }
}

/// What the play's own events say about its end.
#[derive(Clone, Debug, Default)]
pub struct Testimony {
    /// The exception with which the root span ended.
    pub exception: Option<Exception>,
    pub last_span: Option<LastSpan>,
    pub stderr_tail: Option<String>,
    /// The output could not be taken over, and why.
    pub output_error: Option<String>,
}

/// The exit code by which a flow says that it waits for an answer.
pub const PAUSED: i32 = 75;

/// The row of the outcome table.
#[must_use]
pub fn outcome(ended: &Ended, testimony: Testimony) -> (PlayStatus, Option<Cause>) {
    let (status, mut cause) = match verdict(ended, &testimony) {
        (PlayStatus::Success, _) => return (PlayStatus::Success, None),
        (status, cause) => (status, cause),
    };
    match ended.exit {
        Exit::Code(code) => cause.exit_code = Some(code),
        Exit::Signal(signal) => cause.signal = Some(signal_name(signal)),
        Exit::NotStarted(_) | Exit::Unknown(_) => {}
    }
    if !matches!(ended.exit, Exit::NotStarted(_)) {
        cause.peak_memory_bytes = Some(ended.usage.peak_memory_bytes);
        cause.cpu_ms = Some(ended.usage.cpu_ms);
    }
    cause.processes_killed = Some(ended.killed);
    cause.exception = testimony.exception;
    cause.last_span = testimony.last_span;
    // A process that ended by itself meanwhile was not stopped there.
    if ended.stopped.is_some() {
        cause.stacks.clone_from(&ended.stacks);
    }
    cause.stderr_tail = testimony.stderr_tail.filter(|tail| !tail.is_empty());
    (status, Some(cause))
}

fn verdict(ended: &Ended, testimony: &Testimony) -> (PlayStatus, Cause) {
    if let Some(reason) = &ended.stopped {
        return stopped(reason);
    }
    let failed = |kind, message: String| (PlayStatus::Failed, Cause::new(kind, message));
    match &ended.exit {
        Exit::Code(0) => match &testimony.output_error {
            None => (PlayStatus::Success, Cause::new(CauseKind::Exit, "")),
            Some(why) => failed(
                CauseKind::Exit,
                format!("the flow ended, but its output is lost: {why}"),
            ),
        },
        Exit::Code(code) => match &testimony.exception {
            // `sys.exit`: it left on purpose. A text given instead of a code is its reason.
            Some(exit) if exit.type_name == "SystemExit" => failed(
                CauseKind::Exit,
                if exit.message.parse::<i64>().is_ok() {
                    format!("the process left with exit code {code}")
                } else {
                    let reason = exit.message.lines().next().unwrap_or_default();
                    format!("the process left with exit code {code}: {reason}")
                },
            ),
            Some(exception) => failed(CauseKind::Exception, exception_sentence(exception)),
            None if *code == PAUSED => failed(
                CauseKind::Exit,
                format!("the process left with exit code {PAUSED} (pause), but had asked nothing"),
            ),
            None => failed(
                CauseKind::Exit,
                format!("the process left with exit code {code}"),
            ),
        },
        Exit::Signal(signal) if *signal == SIGKILL => failed(
            CauseKind::Killed,
            "somebody killed the process (SIGKILL), possibly the kernel because memory ran out"
                .into(),
        ),
        Exit::Signal(signal) => failed(
            CauseKind::Signal,
            format!("the process was ended by {}", signal_name(*signal)),
        ),
        Exit::NotStarted(why) => failed(CauseKind::Start, why.clone()),
        Exit::Unknown(why) => failed(CauseKind::Internal, why.clone()),
    }
}

fn stopped(reason: &StopReason) -> (PlayStatus, Cause) {
    let cause = match reason {
        StopReason::Timeout { limit_ms } => Cause::new(
            CauseKind::Timeout,
            format!("it ran longer than its timeout of {}", duration(*limit_ms)),
        ),
        StopReason::Limit(hit) => {
            let kind = match hit.name {
                LimitName::Memory => CauseKind::OutOfMemory,
                _ => CauseKind::Killed,
            };
            let mut cause = Cause::new(kind, limit_sentence(hit));
            cause.limit = Some(hit.clone());
            cause
        }
        StopReason::Cancelled { by } => {
            let mut cause = Cause::new(CauseKind::Cancelled, format!("cancelled by {by}"));
            cause.by = Some(by.clone());
            cause
        }
        StopReason::Shutdown => Cause::new(
            CauseKind::Interrupted,
            "the server was stopped while it ran; retry it",
        ),
        StopReason::Abandoned { why } => Cause::new(CauseKind::Internal, why.clone()),
    };
    (reason.status(), cause)
}

/// What was hit, by how much, who had most of it, and what to do.
fn limit_sentence(hit: &LimitHit) -> String {
    let (word, limit, measured) = (hit.name.as_str(), hit.limit, hit.measured);
    let most = hit.largest.first().map_or_else(String::new, |first| {
        format!(
            " (most by process {}, {}: {})",
            first.pid,
            first.name,
            bytes(first.memory_bytes)
        )
    });
    match hit.name {
        LimitName::Memory => format!(
            "it had {} of memory{most}, its limit is {}: raise the limit `{word}`, or use less",
            bytes(measured),
            bytes(limit)
        ),
        LimitName::Cpu => format!(
            "it had used {} of CPU time, its limit is {}: raise the limit `{word}`, or use less",
            duration(measured),
            duration(limit)
        ),
        LimitName::Disk => format!(
            "its directory held {}, its limit is {}: raise the limit `{word}`, or write less",
            bytes(measured),
            bytes(limit)
        ),
        LimitName::Processes => format!(
            "it had {measured} processes at once{most}, its limit is {limit}: raise the limit `{word}`, or start fewer"
        ),
        LimitName::OpenFiles | LimitName::Output | LimitName::Spans => {
            format!("it had {measured} {word}, its limit is {limit}")
        }
    }
}

/// As people read sizes, with the exact figure where that says more.
fn bytes(count: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = UNITS.into_iter().find(|(shift, _)| count >> shift > 0);
    unit.map_or_else(
        || format!("{count} bytes"),
        |(shift, name)| {
            let tenths = (u128::from(count) * 10) >> shift;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

fn exception_sentence(exception: &Exception) -> String {
    let first = exception.message.lines().next().unwrap_or_default();
    match (exception.type_name.as_str(), first) {
        ("Failed", text) if !text.is_empty() => text.to_owned(),
        (name, "") => name.to_owned(),
        (name, text) => format!("{name}: {text}"),
    }
}

fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1_000) {
        format!("{} s", ms / 1_000)
    } else {
        format!("{ms} ms")
    }
}

const SIGKILL: i32 = 9;

/// The name of a signal (`SIGSEGV`), or its number where it has none here.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(
            || format!("signal {signal}"),
            |(_, name)| (*name).to_owned(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: Exit, stopped: Option<StopReason>) -> Ended {
        Ended {
            exit,
            stopped,
            usage: Usage::default(),
            killed: 0,
            stacks: Vec::new(),
        }
    }

    #[test]
    fn each_row_of_the_table() {
        let raised = Testimony {
            exception: Some(Exception {
                type_name: "ValueError".into(),
                message: "bad\nmore".into(),
                traceback: None,
                file: None,
                line: None,
                function: None,
            }),
            ..Testimony::default()
        };
        let by = |b: &str| Some(StopReason::Cancelled { by: b.into() });
        let rows = [
            (Exit::Code(0), None, Testimony::default(), "success", None),
            (
                Exit::Code(1),
                None,
                raised.clone(),
                "failed",
                Some((CauseKind::Exception, "ValueError: bad")),
            ),
            (
                Exit::Code(3),
                None,
                Testimony::default(),
                "failed",
                Some((CauseKind::Exit, "the process left with exit code 3")),
            ),
            (
                Exit::Signal(11),
                None,
                raised.clone(),
                "failed",
                Some((CauseKind::Signal, "the process was ended by SIGSEGV")),
            ),
            (
                Exit::Signal(9),
                None,
                Testimony::default(),
                "failed",
                Some((
                    CauseKind::Killed,
                    "somebody killed the process (SIGKILL), possibly the kernel because memory ran out",
                )),
            ),
            (
                Exit::Code(0),
                by("caller"),
                Testimony::default(),
                "cancelled",
                Some((CauseKind::Cancelled, "cancelled by caller")),
            ),
            (
                Exit::Signal(15),
                Some(StopReason::Timeout { limit_ms: 1500 }),
                raised,
                "timed_out",
                Some((
                    CauseKind::Timeout,
                    "it ran longer than its timeout of 1500 ms",
                )),
            ),
            (
                Exit::Signal(9),
                Some(StopReason::Shutdown),
                Testimony::default(),
                "failed",
                Some((
                    CauseKind::Interrupted,
                    "the server was stopped while it ran; retry it",
                )),
            ),
            (
                Exit::NotStarted("no python".into()),
                None,
                Testimony::default(),
                "failed",
                Some((CauseKind::Start, "no python")),
            ),
        ];
        for (exit, stop, testimony, status, cause) in rows {
            let (got, got_cause) = outcome(&ended(exit.clone(), stop), testimony);
            assert_eq!(got.as_str(), status, "{exit:?}");
            let brief = got_cause.as_ref().map(|c| (c.kind, c.message.as_str()));
            assert_eq!(brief, cause, "{exit:?}");
        }
    }

    #[test]
    fn a_lost_output_is_no_success() {
        let testimony = Testimony {
            output_error: Some("no such file".into()),
            ..Testimony::default()
        };
        let (status, cause) = outcome(&ended(Exit::Code(0), None), testimony);
        assert_eq!(status, PlayStatus::Failed);
        assert!(cause.unwrap().message.contains("no such file"));
    }
}
