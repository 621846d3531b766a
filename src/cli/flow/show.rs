//! `flow show`: one workflow, its versions, its source.

use protocol::{
    EpochMs, LimitName, Limits, Signature,
    rpc::{VersionPage, WorkflowVersionList},
};
use serde_json::json;

use super::{find, register};
use crate::cli::{
    context::{Context, write_out},
    exit::{Done, Exit},
    session::{Need, within},
    style::{BOLD, CYAN, DIM, Line, PLAIN},
    text::{clean, first_line},
    units,
};

/// Show a workflow: its flow, parameters, versions; with --source its source
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(value_name = "NAME|SID")]
    workflow: String,
    /// Print the current version's source and nothing else
    #[arg(long)]
    source: bool,
}

/// How many versions are listed.
const VERSIONS: u32 = 10;

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let (workflow, version, versions) = within(context, Need::Read, async |session| {
        let workflow = find(session, &args.workflow).await?;
        let version = register::version(session, &workflow).await?;
        let query = WorkflowVersionList {
            workflow_sid: workflow.sid.clone(),
            cursor: None,
            limit: Some(VERSIONS),
        };
        let versions: VersionPage = session
            .call("list its versions", "workflow_version_list", &query)
            .await?;
        Ok((workflow, version, versions))
    })
    .await?;
    if context.json {
        context.print_json(&json!({"workflow": workflow, "version": version}))?;
        return Ok(Exit::Success);
    }
    if args.source {
        write_out(&version.python_source)?;
        return Ok(Exit::Success);
    }
    let now = EpochMs::now();
    let mut head = Line::new().with(BOLD, clean(&workflow.name));
    head.push(DIM, format!("  {}", workflow.sid));
    for tag in &workflow.tags {
        head.push(CYAN, format!("  #{}", clean(tag)));
    }
    let mut lines = vec![head];
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            lines.push(
                Line::new()
                    .with(DIM, format!("  {name:<9} "))
                    .with(PLAIN, text),
            );
        }
    };
    row("about", first_line(&workflow.description).into_owned());
    row(
        "flow",
        match (&version.flow_name, version.nodes.len() as u64) {
            (Some(flow), _) => {
                let takes = version
                    .signature
                    .as_ref()
                    .map(signature)
                    .unwrap_or_default();
                format!("{}{takes}", clean(flow))
            }
            (None, 0) => "none: the source has no @flow".to_owned(),
            (None, nodes) => units::count(nodes, "node", "nodes"),
        },
    );
    row(
        "file",
        version
            .source_file
            .as_deref()
            .map(clean)
            .unwrap_or_default()
            .into_owned(),
    );
    #[expect(clippy::cast_precision_loss, reason = "shown to a second")]
    row(
        "timeout",
        version
            .timeout_ms
            .map(|ms| units::duration(ms as f64))
            .unwrap_or_default(),
    );
    row("limits", limits(&version.limits));
    for (at, old) in versions.items.iter().enumerate() {
        let current = if old.sid == workflow.current_version_sid {
            "  current"
        } else {
            ""
        };
        let name = if at == 0 { "versions" } else { "" };
        row(
            name,
            format!(
                "{:>3}  {}  {:>9}{current}",
                old.number,
                old.sid,
                units::ago(now.since(old.created_at))
            ),
        );
    }
    context.print(&lines)?;
    Ok(Exit::Success)
}

/// `(url: str, n=1, **…)`.
fn signature(signature: &Signature) -> String {
    let mut parts: Vec<_> = signature
        .parameters
        .iter()
        .map(|p| {
            let mut text = p.name.clone();
            if let Some(annotation) = &p.annotation {
                text.push_str(&format!(": {annotation}"));
            }
            match &p.default {
                Some(default) => text.push_str(&format!(" = {default}")),
                None if !p.required => text.push_str(" = …"),
                None => {}
            }
            text
        })
        .collect();
    if signature.accepts_extra {
        parts.push("**…".to_owned());
    }
    clean(&format!("({})", parts.join(", "))).into_owned()
}

/// `memory 512 MiB, processes 32`.
fn limits(limits: &Limits) -> String {
    let set: Vec<_> = LimitName::ALL
        .into_iter()
        .filter_map(|name| {
            let limit = limits.get(name)?;
            #[expect(clippy::cast_precision_loss, reason = "shown to a second")]
            let figure = match name {
                LimitName::Memory | LimitName::Output | LimitName::Disk => units::bytes(limit),
                LimitName::Cpu => units::duration(limit as f64),
                LimitName::OpenFiles | LimitName::Processes | LimitName::Spans => {
                    units::thousands(limit)
                }
            };
            Some(format!("{} {figure}", name.as_str()))
        })
        .collect();
    set.join(", ")
}
