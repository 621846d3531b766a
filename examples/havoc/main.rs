//! Havoc: proves that hero_logic holds, by breaking what it stands on.
//!
//! ```text
//! cargo run --release --example havoc                      about a minute and a half
//! cargo run --release --example havoc -- --kills 500       as long as 500 deaths of the server take
//! ```
//!
//! It starts servers (itself, as `hero_logic serve`) in a temporary directory and runs two rounds on them,
//! one on the disk, one on a small disk that it fills and empties meanwhile (as root only; else it says that
//! it left that out). A round ([`round`]) is
//!
//! - load ([`load`]): callers that start plays of every kind. Most are durable: straight, at once, nested, with
//!   child plays; they ask, wait for signals and sleep, and callers answer, some twice, some never;
//! - chaos ([`chaos`]): it kills the server, its guard, both, fork servers, and processes of plays, at random
//!   moments;
//! - witnesses ([`witness`]): durable plays append to files outside what they begin and what was acknowledged to
//!   them, and what the server publishes is read along;
//! - checks ([`checks`]): when all has settled, what callers were told and what plays did is held against what
//!   the last server says;
//! - the report ([`report`]).
//!
//! Then it floods a server beside a quiet neighbour, lets crowds wait, and fills a disk under plays ([`scenes`]).
//! It prints what it saw, and leaves with code 1 if any count that must be zero is not. It touches only
//! processes that it started itself, and only directories that it made.

mod chaos;
mod checks;
mod disk;
mod http;
mod load;
mod processes;
mod report;
mod rng;
mod round;
mod scenes;
mod server;
mod witness;

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Parser;

use crate::{disk::SmallDisk, report::Report, rng::Rng, round::Round, scenes::Done, server::ROLE};

/// Breaks what hero_logic stands on, and counts what must be zero
#[derive(Debug, Parser)]
struct Args {
    /// How long servers are killed under load, seconds
    #[arg(long, default_value_t = 45)]
    seconds: u64,
    /// At least as many deaths of the server, however long they take
    #[arg(long, default_value_t = 0)]
    kills: u64,
    /// How many callers start plays at once
    #[arg(long, default_value_t = 12)]
    callers: u32,
    /// How many plays may run at once
    #[arg(long, default_value_t = 6)]
    max_plays: u32,
    /// Floods at full size (a gigabyte, a million lines and spans)
    #[arg(long)]
    long: bool,
    /// How many waiters at once
    #[arg(long, default_value_t = 10_000)]
    waiters: usize,
    /// Only the kills, without the scenes after them
    #[arg(long)]
    only_kills: bool,
    /// Only the scenes, without the kills
    #[arg(long, conflicts_with = "only_kills")]
    only_scenes: bool,
    /// The same seed makes the same choices [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the directory
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    if let Some(guard) = hero_logic::guard() {
        return guard;
    }
    if std::env::var_os(ROLE).is_some() {
        return hero_logic::main();
    }
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(havoc(&args)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            println!("\nNOT HELD: {broken} counts that must be zero are not");
            ExitCode::FAILURE
        }
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// How many counts are not zero that must be.
async fn havoc(args: &Args) -> Done<usize> {
    processes::adopt_orphans()?;
    let scratch = tempfile::Builder::new().prefix("havoc-").tempdir()?;
    let seed = args.seed.unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |now| now.as_secs())
    });
    println!(
        "seed {seed}, {} cores, in {}",
        cores(),
        scratch.path().display()
    );
    let interrupted = Arc::new(AtomicBool::new(false));
    let asked = interrupted.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.store(true, Ordering::Relaxed);
        }
    });
    let mut report = Report::default();
    let done = acts(args, scratch.path(), seed, &interrupted, &mut report).await;
    // Whatever came of it: nothing that was started here stays.
    for stray in processes::strays(&[]) {
        processes::signal(stray.pid, rustix::process::Signal::KILL);
        report.must_be_zero(("processes left at the end", vec![format!("{stray:?}")]));
    }
    if args.keep || done.is_err() || report.broken() > 0 {
        println!("kept: {}", scratch.keep().display());
    }
    done?;
    Ok(report.broken())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

async fn acts(
    args: &Args,
    dir: &Path,
    seed: u64,
    interrupted: &Arc<AtomicBool>,
    report: &mut Report,
) -> Done<()> {
    if !args.only_scenes {
        rounds(args, dir, seed, interrupted, report).await?;
    }
    if !args.only_kills && !interrupted.load(Ordering::Relaxed) {
        let plays = if args.long { 60 } else { 25 };
        report.floods(&scenes::floods::floods(dir, plays, args.long).await?);
        report.crowds(&scenes::crowds::crowds(dir, args.waiters).await?);
        report.full_disk(&scenes::full_disk::full_disk(dir).await?);
    }
    Ok(())
}

/// One on the disk; a third of the time and of the deaths on one that fills, where there can be such a disk.
async fn rounds(
    args: &Args,
    dir: &Path,
    seed: u64,
    interrupted: &Arc<AtomicBool>,
    report: &mut Report,
) -> Done<()> {
    let mut rng = Rng::new(seed);
    // What the plays of a second keep, and room for what nobody has looked after yet.
    let mib = u32::try_from(args.seconds.max(args.kills * 2)).unwrap_or(u32::MAX);
    let disk = SmallDisk::mount(dir.join("small-disk"), mib.saturating_add(64));
    let (small_seconds, small_kills) = match &disk {
        Ok(_) => (args.seconds / 3, args.kills / 3),
        Err(why) => {
            report.left_out("a disk that fills and empties under load", why);
            (0, 0)
        }
    };
    let mut round = |name, disk, seconds, kills| Round {
        dir: dir.join(name),
        disk,
        seconds,
        kills,
        callers: args.callers,
        max_plays: args.max_plays,
        rng: rng.split(),
    };
    let first = round(
        "round-1",
        None,
        args.seconds - small_seconds,
        args.kills - small_kills,
    );
    let second = disk
        .as_ref()
        .map(|disk| round("round-2", Some(disk), small_seconds, small_kills));
    first.play(interrupted, report).await?;
    if let Ok(second) = second
        && !interrupted.load(Ordering::Relaxed)
    {
        second.play(interrupted, report).await?;
    }
    Ok(())
}
