//! `flow ls` and `flow search`: workflows in lines.

use protocol::{
    EpochMs, Workflow,
    rpc::{FlowLibrarySearch, WorkflowList, WorkflowPage},
};
use serde_json::json;

use crate::cli::{
    context::Context,
    exit::{Done, Exit, Failure},
    session::{Need, within},
    style::{BOLD, CYAN, DIM, Line, PLAIN},
    term,
    text::{clean, first_line, fit, width},
    units,
};

/// List the library's flows, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
}

/// Search the library by name and description, best match first
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    query: String,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: u32,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let page = within(context, Need::Read, async |session| {
        let query = WorkflowList {
            tag: args.tag,
            limit: Some(args.limit),
            ..WorkflowList::default()
        };
        let page: WorkflowPage = session
            .call("list the library", "workflow_list", &query)
            .await?;
        Ok(page)
    })
    .await?;
    if context.json {
        context.print_json(&page)?;
        return Ok(Exit::Success);
    }
    print(
        context,
        &page.items,
        "the library is empty; `hero_logic flow add FILE` adds a flow",
    )?;
    if page.next_cursor.is_some() {
        let text = format!("there are more; --limit {} shows more", args.limit * 2);
        context.say(&Line::new().with(DIM, text));
    }
    Ok(Exit::Success)
}

pub(super) async fn search(context: &Context, args: SearchArgs) -> Done {
    let found = within(context, Need::Read, async |session| {
        let query = FlowLibrarySearch {
            query: args.query,
            limit: args.limit,
        };
        let sids: Vec<String> = session
            .call("search the library", "flow_library_search", &query)
            .await?;
        let mut found = Vec::with_capacity(sids.len());
        for sid in &sids {
            match super::get(session, sid).await {
                Ok(workflow) => found.push(workflow),
                // Deleted since.
                Err(failure) if failure.is(protocol::ErrorKind::NotFound) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(found)
    })
    .await?;
    if context.json {
        context.print_json(&json!({"items": found}))?;
        return Ok(Exit::Success);
    }
    print(context, &found, "nothing found")?;
    Ok(Exit::Success)
}

fn print(context: &Context, workflows: &[Workflow], empty: &str) -> Result<(), Failure> {
    if workflows.is_empty() {
        context.say(&Line::new().with(DIM, empty));
        return Ok(());
    }
    let glyphs = context.glyphs();
    let now = EpochMs::now();
    let columns = term::stdout_columns();
    let names: Vec<_> = workflows
        .iter()
        .map(|w| fit(&clean(&w.name), 48, glyphs.ellipsis).into_owned())
        .collect();
    let widest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let lines: Vec<_> = workflows
        .iter()
        .zip(names)
        .map(|(workflow, name)| {
            let mut line = Line::new().with(BOLD, name);
            line.pad_to(widest + 2);
            let age = units::ago(now.since(workflow.updated_at));
            line.push(DIM, format!("{age:>9}  {}", workflow.sid));
            for tag in &workflow.tags {
                line.push(CYAN, format!("  #{}", clean(tag)));
            }
            let description = first_line(&workflow.description);
            if !description.is_empty() {
                line.push(PLAIN, format!("  {description}"));
            }
            line.cut(columns, glyphs)
        })
        .collect();
    context.print(&lines)
}
