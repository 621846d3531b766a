//! `backup` and `restore`.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use actors::runtime::backup::{self, Copied};
use protocol::Error;
use serde_json::json;

use super::{
    context::Context,
    exit::{Done, Exit, Failure},
    style::{DIM, Line, PLAIN},
    units,
};

/// Between two reports of how far it is.
const REPORT: Duration = Duration::from_secs(1);

/// Copy the store into a file, also while a server runs
///
/// In it: plays with their inputs, outputs, spans and logs, and the library, as they stood at one
/// moment. Not in it: artifacts, which are plain files under DIR/plays. The copy is checked and
/// written out to the disk before it gets its name.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The file to make
    file: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    force: bool,
}

/// Put a backup in the place of the data directory's store
///
/// No server may run on the directory. The backup is checked first; a store that is replaced is kept
/// beside the new one. Plays that were running in the backup go on at the next start of a server,
/// pending ones are run.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Replace the store that is there
    #[arg(long)]
    force: bool,
}

pub(crate) async fn backup(context: &Context, args: BackupArgs) -> Done {
    let (dir, file) = (context.data_dir.clone(), absolute(&args.file)?);
    let begun = Instant::now();
    let (to, mut progress) = (file.clone(), Reports::new(context));
    let copied = blocking(move || {
        backup::to_file(&dir, &to, args.force, &mut |done, all| {
            progress.tell(done, all)
        })
    });
    let copied = copied
        .await?
        .map_err(|error| Failure::of(format!("back up {}", context.data_dir.display()), error))?;
    if context.json {
        context.print_json(&described(&copied, &file, None, begun))?;
    } else {
        let text = format!("{} in {}", summary(&copied), file.display());
        context.print(&[Line::new().with(PLAIN, text)])?;
        let plays = context.data_dir.join("plays");
        if plays.exists() {
            let text = format!("artifacts are not in it: they are in {}", plays.display());
            context.say(&Line::new().with(DIM, text));
        }
    }
    Ok(Exit::Success)
}

pub(crate) async fn restore(context: &Context, args: RestoreArgs) -> Done {
    let (dir, file) = (context.data_dir.clone(), absolute(&args.file)?);
    let begun = Instant::now();
    let (from, mut progress) = (file.clone(), Reports::new(context));
    let restored = blocking(move || {
        backup::from_file(&dir, &from, args.force, &mut |done, all| {
            progress.tell(done, all)
        })
    });
    let (copied, aside) = restored
        .await?
        .map_err(|error| Failure::of(format!("restore {}", file.display()), error))?;
    if context.json {
        context.print_json(&described(&copied, &file, aside.as_deref(), begun))?;
    } else {
        let text = format!(
            "{} restored to {}",
            summary(&copied),
            context.data_dir.display()
        );
        context.print(&[Line::new().with(PLAIN, text)])?;
        if let Some(aside) = aside {
            let text = format!("the store that was there is {}", aside.display());
            context.say(&Line::new().with(DIM, text));
        }
    }
    Ok(Exit::Success)
}

fn summary(copied: &Copied) -> String {
    format!(
        "{} and {} ({})",
        units::count(copied.plays, "play", "plays"),
        units::count(copied.workflows, "workflow", "workflows"),
        units::bytes(copied.bytes)
    )
}

fn described(
    copied: &Copied,
    file: &Path,
    replaced: Option<&Path>,
    begun: Instant,
) -> serde_json::Value {
    json!({
        "file": file,
        "bytes": copied.bytes,
        "plays": copied.plays,
        "workflows": copied.workflows,
        "seq": copied.seq,
        "replaced": replaced,
        "duration_ms": begun.elapsed().as_secs_f64() * 1_000.0,
    })
}

fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(file)
        .map_err(|error| Failure::usage(format!("failed to find {}: {error}", file.display())))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<Result<T, Error>, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::failed(format!("failed to copy: {error}")))
}

/// Tells a person now and then how far it is; what is done in a moment is not told.
#[derive(Debug)]
struct Reports {
    color: bool,
    quiet: bool,
    next: Instant,
}

impl Reports {
    fn new(context: &Context) -> Self {
        Self {
            color: context.err.color,
            quiet: context.quiet || context.json,
            next: Instant::now() + REPORT,
        }
    }

    fn tell(&mut self, done: u64, all: u64) {
        if self.quiet || Instant::now() < self.next || done >= all {
            return;
        }
        self.next += REPORT;
        let text = format!("copied {} %", done * 100 / all);
        super::context::say(&Line::new().with(DIM, text).to_text(self.color));
    }
}
