//! Havoc: proves that hero_logic holds, by breaking what it stands on.
//!
//! ```text
//! cargo run --release --example havoc                      about a minute and a half
//! cargo run --release --example havoc -- --kills 500       as long as 500 deaths of the server take
//! ```
//!
//! It starts servers (itself, as `hero_logic serve`) in a temporary directory and plays flows of every
//! kind on them: nested ones, failing ones, ones that try to get away, floods. Meanwhile it kills the
//! server, its guard, both, and processes of the plays, at random moments; then it floods a server
//! beside a quiet neighbour, lets crowds wait, and fills a disk. It prints what it saw, and leaves with
//! code 1 if any count that must be zero is not. It touches only processes that it started itself, and
//! only directories that it made.

mod chaos;
mod checks;
mod load;
mod processes;
mod report;
mod rng;
mod scenes;
mod server;
mod witness;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;

use crate::{
    chaos::Bound,
    load::{Ledger, caller},
    report::Report,
    rng::Rng,
    scenes::Done,
    server::{ROLE, Server},
    witness::Witness,
};

/// Breaks what hero_logic stands on, and counts what must be zero
#[derive(Debug, Parser)]
struct Args {
    /// How long servers are killed under load, seconds
    #[arg(long, default_value_t = 40)]
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
        report.must_be_zero("processes left at the end", vec![format!("{stray:?}")]);
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
    dir: &std::path::Path,
    seed: u64,
    interrupted: &Arc<AtomicBool>,
    report: &mut Report,
) -> Done<()> {
    if !args.only_scenes {
        kills(args, dir, seed, interrupted, report).await?;
    }
    if !args.only_kills && !interrupted.load(Ordering::Relaxed) {
        report.floods(&scenes::floods(dir, if args.long { 60 } else { 25 }, args.long).await?);
        report.crowds(&scenes::crowds(dir, args.waiters).await?);
        report.full_disk(&scenes::full_disk(dir).await?);
    }
    Ok(())
}

async fn kills(
    args: &Args,
    dir: &std::path::Path,
    seed: u64,
    interrupted: &Arc<AtomicBool>,
    report: &mut Report,
) -> Done<()> {
    let mut rng = Rng::new(seed);
    let mut server = Server::new(&dir.join("data"), args.max_plays);
    std::fs::create_dir_all(&server.data_dir)?;
    let tallies = load::TALLIES.get_or_init(|| dir.join("tallies"));
    std::fs::create_dir_all(tallies)?;
    server.start().await?;
    let reach = server.reach();
    let flows = Arc::new(reach.register().await?.into_iter().collect());
    let (ledger, witness) = (Arc::new(Ledger::default()), Arc::new(Witness::default()));
    let enough = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..args.callers {
        callers.spawn(caller(
            reach.clone(),
            Arc::clone(&flows),
            ledger.clone(),
            enough.clone(),
            rng.split(),
        ));
    }
    let watching = tokio::spawn(witness.clone().watch(reach.clone(), enough.clone()));
    let began = Instant::now();
    let bound = Bound {
        until: began + Duration::from_secs(args.seconds),
        server_kills: args.kills,
    };
    let tally = chaos::rage(&mut server, bound, rng.split(), interrupted).await;
    let raged = began.elapsed();
    enough.store(true, Ordering::Relaxed);
    // Who still waits is answered: nothing is killed any more.
    let settle = async {
        while callers.join_next().await.is_some() {}
        while checks::open_plays(&reach).await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, String>(())
    };
    let settled = tokio::time::timeout(Duration::from_secs(120), settle).await;
    watching.abort();
    let open = match settled {
        Ok(settled) => settled.map(|()| 0)?,
        Err(_) => checks::open_plays(&reach).await?,
    };
    let verdict = checks::judge(&reach, &ledger).await;
    server.stop().await?;
    let left = processes::wait_for_none(&[], Duration::from_secs(2));
    report.kills(&report::Kills {
        raged,
        tally: &tally,
        ledger: &ledger,
        witness: &witness,
        starts: &server.starts,
    });
    let tallies = checks::tallies(tallies)?;
    report.durable(&tallies);
    report.must_be_zero("kept steps done again", tallies.broken);
    report.must_be_zero("accepted plays lost", verdict.lost);
    report.must_be_zero("accepted plays stuck", verdict.stuck);
    report.must_be_zero(
        "plays that never ended",
        (open > 0)
            .then(|| format!("{open} plays"))
            .into_iter()
            .collect(),
    );
    report.must_be_zero("ends taken back", verdict.taken_back);
    report.must_be_zero("ends unexplained", ledger.take_unexplained());
    report.must_be_zero("requests refused", ledger.take_refused());
    report.must_be_zero("change numbers reused", witness.take_reused());
    report.must_be_zero("processes left by a dead server", tally.left);
    report.must_be_zero(
        "processes left after the stop",
        left.err()
            .into_iter()
            .flatten()
            .map(|seen| format!("{seen:?}"))
            .collect(),
    );
    report.must_be_zero(
        "guards not replaced",
        (tally.unguarded > 0)
            .then(|| format!("{} times", tally.unguarded))
            .into_iter()
            .collect(),
    );
    report.must_be_zero("errors of the server", tally.errors);
    report.must_be_zero(
        "directories left",
        checks::directories_left(&server.data_dir),
    );
    report.must_be_zero("integrity errors", checks::integrity(&server.data_dir)?);
    Ok(())
}
