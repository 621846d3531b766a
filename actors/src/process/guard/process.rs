//! The guard itself. It has no threads and no runtime, and does nothing until its server is gone.

use std::io::Write as _;
use std::{collections::HashMap, io, os::fd::AsFd, process::ExitCode, time::Instant};

use protocol::{EpochMs, ProcessId};

use super::{Asked, NAME, Report, Word};
use crate::process::{Mark, sys, tree};

/// A line that is longer is none of ours, bytes.
const LINE: usize = 1 << 10;

/// Guards the plays of this server until it is gone, then ends what is left of them.
#[must_use]
pub fn run(Asked { server, report }: Asked) -> ExitCode {
    sys::call_this_process(NAME);
    // One for each process of a tree.
    sys::raise_open_files_limit();
    // It holds no directory of anybody's.
    if std::env::set_current_dir("/").is_err() {
        return ExitCode::FAILURE;
    }
    let mut plays = Plays::default();
    if plays.listen(server).is_err() && sys::parent() == Some(server) {
        // It can do better with another guard.
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let (roots, over) = (plays.roots.len(), plays.over);
    let killed = plays.end();
    // Where a server left in order it may have been about to make a process ready for a play: that is no news.
    if killed > 0 && (roots > 0 || !over) {
        let time = began.elapsed().as_millis();
        let said = format!(
            "server {server} is gone; ended {killed} processes of {roots} plays in {time} ms"
        );
        let line = match report {
            Report::Text => format!("{NAME}: {said}\n"),
            Report::Json => json_line(&said),
        };
        // Not before all is done, as whoever reads it may be slow; an error says that nobody does.
        io::stderr().write_all(line.as_bytes()).ok();
    }
    ExitCode::SUCCESS
}

/// As the server's log has it.
fn json_line(said: &str) -> String {
    let line = serde_json::json!({
        "time": EpochMs::now().rfc3339(),
        "level": "WARN",
        "target": NAME,
        "message": said,
    });
    format!("{line}\n")
}

/// The plays that have processes, with their roots.
#[derive(Default)]
struct Plays {
    roots: HashMap<String, ProcessId>,
    /// Of all that the server's plays have started.
    mark: Option<Mark>,
    /// The server has said that it leaves.
    over: bool,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Plays {
    /// Until the pipe is closed or the server is gone: copies of the pipe's other end can live on for
    /// a moment in children of the server that had not yet become programs of their own.
    fn listen(&mut self, server: u32) -> io::Result<()> {
        let mut watched = sys::Target::open(server);
        if sys::parent() != Some(server) {
            watched = None;
        }
        let stdin = io::stdin();
        let mut piece = [0; 4 << 10];
        loop {
            let gone = watched.is_none();
            let ready = sys::wait_readable(stdin.as_fd(), watched.as_ref())?;
            if !ready {
                if gone {
                    return Ok(());
                }
                // What it had said last is read first.
                watched = None;
                continue;
            }
            match rustix::io::read(&stdin, &mut piece)? {
                0 => return Ok(()),
                n => self.take(&piece[..n]),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let text = std::str::from_utf8(&line).ok();
            // What is none of our words is left out: there is nobody to tell it to.
            if let Some(word) = text.and_then(|line| Word::read(line.trim_end())) {
                self.heard(word);
            }
        }
        if self.rest.len() > LINE {
            self.rest.clear();
        }
    }

    fn heard(&mut self, word: Word) {
        match word {
            Word::Root { play, pid, started } => {
                // Said by the process itself on its way: then it is the one that has the pid now.
                let process = match started {
                    Some(started) => Some(ProcessId { pid, started }),
                    None => sys::process_id(pid),
                };
                if let Some(process) = process {
                    self.roots.insert(play, process);
                }
            }
            Word::Gone { play } => drop(self.roots.remove(&play)),
            Word::Mark(mark) => self.mark = Some(mark),
            Word::Over => self.over = true,
        }
    }

    fn end(self) -> u32 {
        let plays: Vec<_> = self.roots.into_iter().collect();
        tree::kill_plays(&plays, self.mark)
    }
}
