//! `play ls`: plays in lines, newest first.

use clap::builder::PossibleValuesParser;
use protocol::{
    EpochMs, Play, PlayStatus,
    rpc::{MAX_PAGE, PlayList, PlayPage},
};

use super::sid;
use crate::cli::{
    context::Context,
    exit::{Done, Exit},
    explain, flow,
    render::{elapsed, play_name},
    session::{Need, within},
    style::{BOLD, DIM, Glyphs, Line, words},
    term,
    text::{fit, width},
    units,
};

/// List plays, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those with this status
    #[arg(long, value_parser = PossibleValuesParser::new(PlayStatus::ALL.map(PlayStatus::as_str)))]
    status: Option<String>,
    /// Only those of this workflow (name or sid)
    #[arg(long, value_name = "NAME|SID")]
    flow: Option<String>,
    /// Only those started by this play
    #[arg(long, value_name = "SID")]
    parent: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let (plays, next_cursor) = within(context, Need::Read, async |session| {
        let mut query = PlayList {
            status: args.status.as_deref().and_then(PlayStatus::parse),
            limit: Some(if args.all { 1_000 } else { args.limit }),
            ..PlayList::default()
        };
        if let Some(name) = &args.flow {
            query.workflow_sid = Some(flow::find(session, name).await?.sid);
        }
        if let Some(parent) = &args.parent {
            query.parent_play_sid = Some(sid::find(session, parent).await?.sid);
        }
        let mut plays: Vec<Play> = Vec::new();
        let next_cursor = loop {
            let page: PlayPage = session.call("list plays", "play_list", &query).await?;
            plays.extend(page.items);
            // A page may end early where its records are large.
            let wanted = args.all || plays.len() < args.limit as usize;
            if page.next_cursor.is_none() || !wanted {
                break page.next_cursor;
            }
            query.cursor = page.next_cursor;
        };
        if !args.all {
            plays.truncate(args.limit as usize);
        }
        Ok((plays, next_cursor))
    })
    .await?;
    if context.json {
        context.print_json(&PlayPage {
            items: plays,
            next_cursor,
        })?;
        return Ok(Exit::Success);
    }
    if plays.is_empty() {
        context.say(&Line::new().with(DIM, "no plays; `hero_logic run FLOW.py` makes one"));
    }
    context.print(&table(
        &plays,
        EpochMs::now(),
        term::stdout_columns(),
        context.glyphs(),
    ))?;
    if next_cursor.is_some() {
        context.say(&Line::new().with(DIM, "there are more; --all or --limit shows them"));
    }
    Ok(Exit::Success)
}

/// One line a play.
pub(super) fn table(plays: &[Play], now: EpochMs, columns: usize, glyphs: &Glyphs) -> Vec<Line> {
    let names: Vec<_> = plays
        .iter()
        .map(|play| fit(&play_name(play), 32, glyphs.ellipsis).into_owned())
        .collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    plays
        .iter()
        .zip(names)
        .map(|(play, name)| {
            let (style, glyph) = glyphs.play(play.status, 0);
            let glyph = if play.status == PlayStatus::Running {
                glyphs.into
            } else {
                glyph
            };
            let mut line = Line::new().with(style, format!("{glyph} "));
            line.push(DIM, format!("{}  ", play.sid));
            line.push(BOLD, name);
            line.pad_to(2 + width(play.sid.as_str()) + 2 + widest);
            let took = elapsed(play, now).map(units::duration).unwrap_or_default();
            let word = if play.status == PlayStatus::Pending {
                "pending"
            } else {
                words(play.status)
            };
            line.push(style, format!("  {word:<14}"));
            line.push(
                DIM,
                format!("{took:>9}  {:>9}", units::ago(now.since(play.created_at))),
            );
            if let Some(cause) = explain::headline(play) {
                line.push(DIM, "  ");
                line.append(cause);
            }
            line.cut(columns, glyphs)
        })
        .collect()
}
