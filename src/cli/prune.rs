//! `prune`: what retention would do, now.

use protocol::prune::{PruneReason, PruneReport};

use super::{
    context::Context,
    exit::{Done, Exit},
    retain::RetainArgs,
    session::{Need, within},
    style::{BOLD, DIM, Line, PLAIN},
    units,
};

/// Delete ended plays that are beyond what is kept: records, spans, logs and artifacts
///
/// A server does this by itself, at its start and every ten minutes. Plays go oldest first, each
/// with all that it started, and only where all of them have ended. Limits that are not given are
/// those of the server, or the defaults.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only show what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    retain: RetainArgs,
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    let wanted = args.retain.prune(args.dry_run);
    let report = within(context, Need::Read, async |session| {
        let report: PruneReport = session.call("prune", "prune", &wanted).await?;
        Ok(report)
    })
    .await?;
    if context.json {
        context.print_json(&report)?;
        return Ok(Exit::Success);
    }
    context.print(&lines(&report))?;
    Ok(Exit::Success)
}

fn lines(report: &PruneReport) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    if report.dry_run {
        lines.extend(report.trees.iter().map(|tree| {
            let below = match tree.plays {
                0 | 1 => String::new(),
                more => format!(" and {} below it", units::count(more - 1, "play", "plays")),
            };
            Line::new()
                .with(DIM, format!("{}  ", tree.play_sid))
                .with(BOLD, super::text::clean(&tree.workflow_name).into_owned())
                .with(
                    DIM,
                    format!(
                        "{below}  {}  {}",
                        units::bytes(tree.bytes),
                        why(tree.reason)
                    ),
                )
        }));
        if report.more_trees > 0 {
            lines.push(Line::new().with(
                DIM,
                format!("and {} more", units::thousands(report.more_trees)),
            ));
        }
    }
    let verb = if report.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    lines.push(Line::new().with(
        PLAIN,
        format!(
            "{verb} {} (about {}); {} kept",
            units::count(report.plays, "play", "plays"),
            units::bytes(report.bytes),
            units::count(report.left_plays, "ended play", "ended plays"),
        ),
    ));
    lines
}

fn why(reason: PruneReason) -> &'static str {
    match reason {
        PruneReason::Age => "too old",
        PruneReason::Plays => "too many",
        PruneReason::Bytes => "too large together",
    }
}
