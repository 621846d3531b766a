//! Each death: who is killed, and what must be so after it.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{Chaos, Death, GUARD_LIMIT, Victim, epoch_ms};
use crate::processes::{self, Role};

/// How long a guard may take to be replaced.
const REPLACED: Duration = Duration::from_secs(10);

impl Chaos<'_> {
    pub(super) async fn kill_server(&mut self) -> io::Result<()> {
        if self.server.guard().is_none() {
            // One that was killed is just being replaced.
            return self.kill_both().await;
        }
        self.tally.server += 1;
        let from = epoch_ms();
        self.server.kill().await?;
        let limit = GUARD_LIMIT.mul_f64(self.slowness());
        let swept =
            tokio::task::spawn_blocking(move || processes::wait_for_none(&[], limit * 10)).await?;
        match swept {
            Ok(took) => {
                self.tally.swept.push(took);
                if took > limit {
                    self.tally.left.push(format!("after {took:?} only"));
                }
            }
            Err(left) => self.left("the server was killed", &left),
        }
        self.start_again(from).await
    }

    pub(super) async fn kill_guard(&mut self) -> io::Result<()> {
        let Some(guard) = self.server.guard() else {
            self.tally.unguarded += 1;
            return Ok(());
        };
        self.tally.guard += 1;
        processes::signal(guard, Signal::KILL);
        let deadline = Instant::now() + REPLACED;
        while self.server.guard().is_none_or(|now| now == guard) {
            if Instant::now() > deadline {
                self.tally.unguarded += 1;
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    pub(super) async fn kill_both(&mut self) -> io::Result<()> {
        self.tally.both += 1;
        let from = epoch_ms();
        if let Some(guard) = self.server.guard() {
            processes::signal(guard, Signal::KILL);
        }
        self.server.kill().await?;
        self.start_again(from).await?;
        // Whatever the earlier one left is gone before the new one answers.
        let own: Vec<_> = self.server.pid().into_iter().collect();
        let left = processes::strays(&own);
        if !left.is_empty() {
            self.left("both were killed", &left);
        }
        Ok(())
    }

    pub(super) async fn stop_server(&mut self) -> io::Result<()> {
        self.tally.stopped += 1;
        // What waits for space would hold it up.
        self.empty_disk();
        let from = epoch_ms();
        self.server.stop().await?;
        let left = processes::strays(&[]);
        if !left.is_empty() {
            self.left("an ordered stop", &left);
        }
        self.start(from).await
    }

    /// One process of a play, sometimes all of them at once.
    pub(super) fn kill_plays(&mut self) -> io::Result<()> {
        let roots = self.server.children(Role::Play);
        let below = roots.iter().flat_map(|root| processes::below(*root));
        let all: Vec<_> = below.map(|seen| seen.pid).chain(roots.clone()).collect();
        let victims = match self.rng.below(4) {
            0 => all,
            _ => self.rng.one_of(&all).into_iter().copied().collect(),
        };
        for victim in victims {
            let from = epoch_ms();
            if processes::signal(victim, Signal::KILL) {
                self.tally.of_plays += 1;
                self.died(Victim::Process(victim), from);
            }
        }
        Ok(())
    }

    /// Those that plays are forked from, and sometimes what waits forked for a play.
    pub(super) fn kill_fork_servers(&mut self) -> io::Result<()> {
        for fork_server in self.server.children(Role::ForkServer) {
            if processes::signal(fork_server, Signal::KILL) {
                self.tally.fork_servers += 1;
            }
        }
        if self.rng.below(2) == 0 {
            for spare in self.server.children(Role::Spare) {
                let from = epoch_ms();
                if processes::signal(spare, Signal::KILL) {
                    self.tally.spares += 1;
                    // It may have become a play's just now.
                    self.died(Victim::Process(spare), from);
                }
            }
        }
        Ok(())
    }

    async fn start_again(&mut self, since: u64) -> io::Result<()> {
        if self.filler.is_some() {
            self.tally.server_while_full += 1;
        }
        if self.rng.below(3) == 0 {
            tokio::time::sleep(Duration::from_millis(self.rng.below(300))).await;
        }
        self.start(since).await
    }

    /// Where there is no space to start, it is given back.
    async fn start(&mut self, since: u64) -> io::Result<()> {
        let mut started = self.server.start().await;
        if started.is_err() && self.filler.is_some() {
            self.tally.starts_without_space += 1;
            self.empty_disk();
            started = self.server.start().await;
        }
        self.died(Victim::Server, since);
        started
    }

    fn died(&mut self, of: Victim, from: u64) {
        let to = epoch_ms();
        self.tally.deaths.push(Death { of, from, to });
    }

    fn left(&mut self, after: &str, left: &[processes::Seen]) {
        let told = processes::put_away(left);
        self.tally.left.push(format!("after {after}: {told}"));
    }
}
