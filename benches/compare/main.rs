//! The benchmark: hero_logic, what a user would pick instead, and what the machine itself takes, side by
//! side in one run.
//!
//! ```text
//! benches/install-peers                                   once; what can't be had is called absent
//! cargo bench --bench compare                             everything
//! cargo bench --bench compare -- trivial steps            some rows
//! cargo bench --bench compare -- --json FILE              the figures as JSON, too
//! cargo bench --bench compare -- --smoke                  every row, tiny: does it work?
//! ```
//!
//! It starts `hero_logic serve` on fresh data directories below a temporary one, and the peers (`peers/`),
//! each in its environment. Contenders take turns, round by round; those that are not measured are
//! stopped. It touches only processes that it started, and fails where a row can't be produced, never
//! because of how long something took.

mod client;
mod clock;
mod contenders;
mod file_system;
mod machine;
mod peer;
mod proc;
mod report;
mod roster;
mod rows;
mod server;
mod started;
mod started_as;
mod stats;
mod table;
mod tally;
mod wal;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;
use serde_json::json;

use crate::{client::Start, contenders::Contenders, report::Row, server::Server};

pub(crate) type Done<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures hero_logic beside what a user would pick instead
#[derive(Debug, Parser)]
struct Args {
    /// Every row as small as it can be, with this build of the server: does it work?
    #[arg(long)]
    smoke: bool,
    /// Only these rows
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Only these peers and limits, where a row has several; `none`: hero_logic alone
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// How plays are asked to start
    #[arg(long, value_delimiter = ',', default_values = ["warm", "cold"])]
    start: Vec<Start>,
    /// How often everybody has a turn, in each row
    #[arg(long)]
    rounds: Option<usize>,
    /// Another program than the one built here
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the figures go as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keep the temporary directory, with the logs
    #[arg(long)]
    keep: bool,
    /// Passed by `cargo bench`; without it (`cargo test --benches`) it is a smoke run
    #[arg(long, hide = true)]
    bench: bool,
}

/// What every row has at hand.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) smoke: bool,
    pub(crate) starts: Vec<Start>,
    rounds: Option<usize>,
    pub(crate) contenders: Contenders,
    /// The interpreter of everybody who has no environment.
    pub(crate) python: PathBuf,
    binary: PathBuf,
    scratch: PathBuf,
    server: Option<Server>,
    servers: usize,
}

impl Bench {
    /// So much of something in a full run, so little in a smoke run.
    pub(crate) fn size(&self, full: usize, smoke: usize) -> usize {
        if self.smoke { smoke } else { full }
    }

    /// How often everybody has a turn, where this is usual.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(self.size(usual, 1))
    }

    /// A server of one's own on a fresh directory.
    pub(crate) fn fresh_server(&mut self, more: &[&str]) -> Done<Server> {
        self.servers += 1;
        let dir = self.scratch.join(format!("hero-{}", self.servers));
        self.server_in(dir, more)
    }

    /// A server on a directory that another has left.
    pub(crate) fn server_in(&self, data_dir: PathBuf, more: &[&str]) -> Done<Server> {
        Server::start(&self.binary, data_dir, &self.python, more)
    }

    /// The server that most rows share, as users get it.
    pub(crate) fn server(&mut self) -> Done<&Server> {
        if self.server.is_none() {
            self.server = Some(self.fresh_server(&[])?);
        }
        self.server.as_ref().ok_or_else(|| "no server".into())
    }

    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    args.smoke |= !args.bench;
    match run(&args) {
        Ok(missing) if missing.is_empty() => ExitCode::SUCCESS,
        Ok(missing) => {
            eprintln!("\nNOT PRODUCED:");
            for what in missing {
                eprintln!("  {what}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What could not be produced.
fn run(args: &Args) -> Done<Vec<String>> {
    let chosen = rows::chosen(&args.rows)?;
    machine::raise_open_files()?;
    let scratch = tempfile::Builder::new().prefix("hero-bench-").tempdir()?;
    started::end_on_signals(scratch.path())?;
    let binary = binary(args, scratch.path())?;
    let python = machine::python()?;
    let mut bench = Bench {
        smoke: args.smoke,
        starts: args.start.clone(),
        rounds: args.rounds,
        contenders: Contenders::new(&python, scratch.path(), &args.peers)?,
        python,
        binary,
        scratch: scratch.path().to_owned(),
        server: None,
        servers: 0,
    };
    let mut machine = machine::describe(&bench.binary, &bench.python, scratch.path());
    println!("{}", machine::text(&machine));
    let (rows, missing) = measure(&mut bench, &chosen);
    machine["versions"] = json!(bench.contenders.titles());
    machine["load_at_end"] = json!(machine::load());
    if let Some(server) = bench.server.take() {
        server.stop()?;
    }
    drop(bench);
    for (name, title) in machine["versions"].as_object().into_iter().flatten() {
        println!("{name}: {}", title.as_str().unwrap_or_default());
    }
    if let Some(file) = &args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        let text = serde_json::to_string_pretty(&json!({"machine": machine, "rows": rows}))?;
        std::fs::write(file, text + "\n")?;
    }
    if args.keep || !missing.is_empty() {
        eprintln!("kept: {}", scratch.keep().display());
    }
    Ok(missing)
}

fn measure(bench: &mut Bench, chosen: &[rows::Measure]) -> (Vec<Row>, Vec<String>) {
    let mut all = Vec::new();
    let mut missing = Vec::new();
    for (name, measure) in chosen {
        let began = std::time::Instant::now();
        match measure(bench) {
            Ok(rows) => {
                for row in rows {
                    println!("{}", row.text());
                    let what = row.missing();
                    missing.extend(what.into_iter().map(|what| format!("{}: {what}", row.name)));
                    all.push(row);
                }
            }
            Err(error) => missing.push(format!("{name}: {error}")),
        }
        eprintln!("({name}: {:.1} s)", began.elapsed().as_secs_f64());
    }
    (all, missing)
}

/// The server's program, as a file that no build replaces meanwhile.
fn binary(args: &Args, scratch: &Path) -> Done<PathBuf> {
    // Built with what tests need besides; good enough to see whether it works.
    let built = Path::new(env!("CARGO_BIN_EXE_hero_logic"));
    let program = match &args.binary {
        Some(program) => program.as_path(),
        None if args.smoke => built,
        None => {
            let mut cargo = Command::new(env!("CARGO"));
            cargo
                .args(["build", "--release", "--locked", "--bin", "hero_logic"])
                .args([
                    "--manifest-path",
                    concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
                ]);
            if !cargo.status()?.success() {
                return Err("cargo build --release failed".into());
            }
            built
        }
    };
    let copy = scratch.join("hero_logic");
    std::fs::copy(program, &copy).map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(copy)
}
