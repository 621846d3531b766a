//! What a new process is made before it runs its program: between fork and exec, where only
//! async-signal-safe system calls are made and nothing allocates.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    sync::Arc,
};

use rustix::{
    process::{Pid, Signal, set_child_subreaper},
    thread::set_no_new_privs,
};

use crate::process::sys;

/// What a process says of itself to the guard before it becomes the root of a play: these words, then
/// its pid.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    pub(crate) pipe: Arc<OwnedFd>,
    pub(crate) words: String,
}

impl Announcement {
    /// Whether it was heard. Only calls that are safe between fork and exec.
    fn say(&self) -> bool {
        let mut line = [0_u8; 128];
        let digits = rustix::process::getpid().as_raw_nonzero().get();
        let length = self.words.len();
        // A pid has at most ten digits, and the line's end follows.
        let Some((place, rest)) = line
            .split_at_mut_checked(length)
            .filter(|(_, rest)| rest.len() > 11)
        else {
            return false;
        };
        place.copy_from_slice(self.words.as_bytes());
        let mut end = 0;
        let mut unit = 1_000_000_000;
        while unit > 0 {
            let digit = digits / unit % 10;
            if digit != 0 || end > 0 {
                rest[end] = b'0' + u8::try_from(digit).unwrap_or(0);
                end += 1;
            }
            unit /= 10;
        }
        rest[end] = b'\n';
        let length = length + end + 1;
        // A guard that has just died is no reason to die: at its start a process has the default for
        // this signal, and it is to have that again.
        // SAFETY: async-signal-safe, and no handler is involved.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        let said = rustix::io::write(&self.pipe, &line[..length]) == Ok(length);
        // SAFETY: as before.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        said
    }
}

/// Makes `command` start with tier 0: see the room. Where the guard hears of the process, it is frozen
/// when the server dies, so that the guard finds its whole tree below it; else it is killed.
pub(crate) fn harden(
    command: &mut tokio::process::Command,
    announcement: Option<Announcement>,
    open_files: Option<u64>,
    mark: Option<u64>,
) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            sys::tier_zero(open_files)?;
            sys::set_mark(mark);
            pass_nothing_on();
            set_no_new_privs(true)?;
            // What it leaves behind on the way becomes ours to find, not init's.
            set_child_subreaper(Some(Pid::INIT))?;
            // Who is frozen from here on is known to the guard before.
            let heard = announcement.as_ref().is_some_and(Announcement::say);
            let signal = if heard { Signal::STOP } else { Signal::KILL };
            rustix::process::set_parent_process_death_signal(Some(signal))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::other("the server is gone"));
            }
            Ok(())
        });
    }
}

/// Makes `command` start as a fork server: with what its children are to inherit, and to end with this
/// process.
pub(crate) fn harden_fork_server(command: &mut tokio::process::Command, mark: Option<u64>) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made; nothing allocates.
    unsafe {
        command.pre_exec(move || {
            sys::tier_zero(None)?;
            sys::set_mark(mark);
            pass_nothing_on();
            set_no_new_privs(true)?;
            die_with(parent)
        });
    }
}

/// Between fork and exec: this process is killed when `parent` dies.
fn die_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        return Err(io::Error::other("the server is gone"));
    }
    Ok(())
}

/// Makes `command` end when this process does, however that comes.
pub(crate) fn end_with_this_process(command: &mut tokio::process::Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made; nothing allocates.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
}

/// Makes `command` start in a session of its own, where no terminal's signals reach it, and deaf to
/// those by which a server is asked to stop.
pub(crate) fn detach(command: &mut std::process::Command) {
    // SAFETY: between fork and exec only async-signal-safe system calls are made; nothing allocates.
    unsafe {
        command.pre_exec(|| {
            sys::tier_zero(None)?;
            pass_nothing_on();
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                if libc::signal(signal, libc::SIG_IGN) == libc::SIG_ERR {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Between fork and exec: descriptors that this process was itself started with, by somebody who left
/// them open, end here. Ours are closed at an exec anyway.
fn pass_nothing_on() {
    // SAFETY: it only marks descriptors. Kernels before 5.11 don't know it: then those few stay open.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOEXEC);
    }
}

/// `CLOSE_RANGE_CLOEXEC` of linux/close_range.h.
const CLOEXEC: libc::c_uint = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guard_that_has_just_died_ends_no_play() {
        let (hear, pipe) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        drop(hear);
        let mut command = tokio::process::Command::new("/bin/sh");
        // It says by its status whether it would end by the signal, as any process does at its start.
        command.args(["-c", "kill -PIPE $$; exit 3"]);
        let words = "root p ".to_owned();
        let pipe = Arc::new(pipe);
        harden(&mut command, Some(Announcement { pipe, words }), None, None);
        let status = command.status().await.unwrap();
        assert_eq!(status.to_string(), "signal: 13 (SIGPIPE)");
        let mut command = tokio::process::Command::new("/bin/true");
        let (hear, pipe) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        drop(hear);
        let (pipe, words) = (Arc::new(pipe), "root p ".to_owned());
        harden(&mut command, Some(Announcement { pipe, words }), None, None);
        assert!(command.status().await.unwrap().success());
    }
}
