//! The chaos: kills the server, its guard, both, and processes of plays, at random moments.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{processes, rng::Rng, server::Server};

/// How soon everything that a killed server's plays had started must be gone.
pub(crate) const GUARD_LIMIT: Duration = Duration::from_secs(1);

/// What was done, and what was seen of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) server: u64,
    pub(crate) guard: u64,
    pub(crate) both: u64,
    pub(crate) stopped: u64,
    pub(crate) of_plays: u64,
    /// From the server's end to the end of the last process of its plays.
    pub(crate) swept: Vec<Duration>,
    /// Where that took longer than it may, or a process was left.
    pub(crate) left: Vec<String>,
    /// Where a guard that was killed was not replaced.
    pub(crate) unguarded: u64,
    pub(crate) errors: Vec<String>,
}

impl Tally {
    pub(crate) fn server_kills(&self) -> u64 {
        self.server + self.both
    }
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) until: Instant,
    /// At least as many deaths of the server.
    pub(crate) server_kills: u64,
}

/// Goes on until it is enough; at the end a server runs.
pub(crate) async fn rage(
    server: &mut Server,
    bound: Bound,
    mut rng: Rng,
    interrupted: &Arc<AtomicBool>,
) -> Tally {
    let mut tally = Tally::default();
    while (Instant::now() < bound.until || tally.server_kills() < bound.server_kills)
        && !interrupted.load(std::sync::atomic::Ordering::Relaxed)
    {
        // Mostly soon, sometimes when much has gathered.
        let pause = if rng.below(3) == 0 { 2_500 } else { 600 };
        tokio::time::sleep(Duration::from_millis(rng.below(pause))).await;
        let done = match rng.below(20) {
            0..=7 => kill_server(server, &mut tally, &mut rng).await,
            8..=9 => kill_guard(server, &mut tally).await,
            10..=11 => kill_both(server, &mut tally, &mut rng).await,
            12 => stop_server(server, &mut tally).await,
            _ => kill_of_plays(server, &mut tally, &mut rng),
        };
        if let Err(error) = done {
            tally.errors.push(error.to_string());
            if server.pid().is_none() {
                break;
            }
        }
    }
    tally
}

async fn kill_server(server: &mut Server, tally: &mut Tally, rng: &mut Rng) -> std::io::Result<()> {
    if server.guard().is_none() {
        // One that was killed is just being replaced.
        return kill_both(server, tally, rng).await;
    }
    tally.server += 1;
    server.kill().await?;
    let swept = tokio::task::spawn_blocking(|| processes::wait_for_none(&[], GUARD_LIMIT * 10));
    match swept.await? {
        Ok(took) => {
            tally.swept.push(took);
            if took > GUARD_LIMIT {
                tally.left.push(format!("after {took:?} only"));
            }
        }
        Err(left) => {
            let told = processes::put_away(&left);
            tally
                .left
                .push(format!("after the server was killed: {told}"));
        }
    }
    start_again(server, rng).await
}

async fn kill_guard(server: &mut Server, tally: &mut Tally) -> std::io::Result<()> {
    let Some(guard) = server.guard() else {
        tally.unguarded += 1;
        return Ok(());
    };
    tally.guard += 1;
    processes::signal(guard, Signal::KILL);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.guard().is_none_or(|now| now == guard) {
        if Instant::now() > deadline {
            tally.unguarded += 1;
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn kill_both(server: &mut Server, tally: &mut Tally, rng: &mut Rng) -> std::io::Result<()> {
    tally.both += 1;
    if let Some(guard) = server.guard() {
        processes::signal(guard, Signal::KILL);
    }
    server.kill().await?;
    start_again(server, rng).await?;
    // Whatever the earlier one left is gone before the new one answers.
    let own = server.pid();
    let left = processes::strays(&own.into_iter().collect::<Vec<_>>());
    if !left.is_empty() {
        let told = processes::put_away(&left);
        tally.left.push(format!("after both were killed: {told}"));
    }
    Ok(())
}

async fn stop_server(server: &mut Server, tally: &mut Tally) -> std::io::Result<()> {
    tally.stopped += 1;
    server.stop().await?;
    let left = processes::strays(&[]);
    if !left.is_empty() {
        let told = processes::put_away(&left);
        tally.left.push(format!("after an ordered stop: {told}"));
    }
    server.start().await
}

fn kill_of_plays(server: &Server, tally: &mut Tally, rng: &mut Rng) -> std::io::Result<()> {
    let Some(pid) = server.pid() else {
        return Ok(());
    };
    // The server's other children look at sources and interpreters.
    let victims: Vec<_> = processes::children(pid)
        .into_iter()
        .filter(|child| is_play(*child))
        .flat_map(|play| {
            processes::below(play)
                .into_iter()
                .map(|seen| seen.pid)
                .chain([play])
        })
        .collect();
    let Some(victim) = victims.get(usize::try_from(rng.below(victims.len() as u64)).unwrap_or(0))
    else {
        return Ok(());
    };
    if processes::signal(*victim, Signal::KILL) {
        tally.of_plays += 1;
    }
    Ok(())
}

fn is_play(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("hero_tracing._child"))
}

async fn start_again(server: &mut Server, rng: &mut Rng) -> std::io::Result<()> {
    if rng.below(3) == 0 {
        tokio::time::sleep(Duration::from_millis(rng.below(300))).await;
    }
    server.start().await
}
