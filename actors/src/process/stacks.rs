//! Asks a Python process where its threads are.
//!
//! The SDK's runner registers `faulthandler` for [`SIGNAL`] at its start, with a file in the play's spool
//! directory: a handler in C that writes the stack of each thread there, without the interpreter's lock,
//! so it works where Python code hangs in a call that never returns. Must never end or disturb a process
//! that does not expect the signal, and must never wait for one that does not answer.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{fs, io::AsyncReadExt, time::Instant};

use super::sys;

/// What asks it.
pub const SIGNAL: i32 = sys::STACK_SIGNAL;
/// How long a process may take to write its stacks. With two threads it takes about a millisecond.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(1);
/// How much of what it wrote is read, bytes.
const BOUND: u64 = 64 << 10;

/// Where the process of a play with this spool directory writes its stacks.
#[must_use]
pub fn file(spool: &Path) -> PathBuf {
    spool.join("stacks")
}

/// The stacks of all threads of `pid`, a child of this process that is not reaped, as `faulthandler`
/// writes them. `None`: it does not expect the question, or did not answer within 250 ms.
pub async fn sample(pid: u32, file: &Path) -> Option<String> {
    // Another program by now, or Python before the runner or after it; or it has closed the file, and
    // its number may be another's.
    if !sys::catches(pid, SIGNAL) || !sys::has_open(pid, file) {
        return None;
    }
    let before = sys::handling(pid, SIGNAL);
    if !sys::signal_process(pid, SIGNAL) {
        return None;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    loop {
        tokio::time::sleep(PAUSE).await;
        let size = fs::metadata(file).await.ok()?.len();
        // The handler blocks its own signal while it runs: when no thread does, it has written all.
        let done = size > 0 && size == seen && sys::handling(pid, SIGNAL) <= before;
        if done || Instant::now() >= deadline {
            break;
        }
        seen = size;
    }
    match read(file).await {
        Ok(text) => Some(text).filter(|text| !text.is_empty()),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "failed to read the stacks of a play");
            None
        }
    }
}

async fn read(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(file)
        .await?
        .take(BOUND)
        .read_to_end(&mut bytes)
        .await?;
    // Cut within a line, or still being written: what is whole.
    let whole = bytes
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    bytes.truncate(whole);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
