//! What the library accepts, and what a version is made of.
//!
//! Pure: it must never do IO; what the source contains was found out before.

use protocol::{
    Error, Limits, OnInterrupt, Result, Signature, WorkflowSid, WorkflowVersion,
    rpc::VersionContent, time::EpochMs,
};
use serde_json::Value;

use crate::process::inspect::{FlowInfo, Inspection, SyntaxError};

/// Characters.
const MAX_NAME: usize = 256;
const MAX_TAGS: usize = 64;
/// Characters.
const MAX_TAG: usize = 128;
/// Bytes.
const MAX_DESCRIPTION: usize = 64 << 10;
/// Bytes.
const MAX_SOURCE: usize = 4 << 20;
/// Bytes; the longest path of Linux.
const MAX_SOURCE_FILE: usize = 4_096;

/// The name as it is kept: without blank space around it.
pub(super) fn name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid_input(
            "the name of a workflow can't be empty",
        ));
    }
    let length = name.chars().count();
    if length > MAX_NAME {
        return Err(Error::invalid_input(format!(
            "the name has {length} characters; at most {MAX_NAME} are possible"
        )));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(Error::invalid_input(format!(
            "the name has the control character {control:?}; leave it out"
        )));
    }
    Ok(name.to_owned())
}

pub(super) fn description(text: &str) -> Result<()> {
    not_over("description", text, MAX_DESCRIPTION)
}

fn not_over(what: &str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        return Err(Error::too_large(format!(
            "the {what} has {} bytes; at most {most} are possible",
            text.len()
        )));
    }
    Ok(())
}

/// The tags as they are kept: each once, in the given order.
pub(super) fn tags(tags: &[String]) -> Result<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for tag in tags {
        let length = tag.chars().count();
        if tag.trim().is_empty() || length > MAX_TAG || tag.chars().any(char::is_control) {
            return Err(Error::invalid_input(format!(
                "a tag has 1 to {MAX_TAG} characters, none of them control characters; this one \
                 ({length} characters) does not fit: {:?}",
                tag.chars().take(MAX_TAG).collect::<String>()
            )));
        }
        if !kept.contains(tag) {
            kept.push(tag.clone());
        }
        if kept.len() > MAX_TAGS {
            return Err(Error::invalid_input(format!(
                "there are {} tags; at most {MAX_TAGS} are possible",
                tags.len()
            )));
        }
    }
    Ok(kept)
}

/// Whether the content is of one kind: Python source, or nodes with their edges.
pub(super) fn content(content: &VersionContent) -> Result<()> {
    let (source, graph) = (!content.python_source.is_empty(), !content.nodes.is_empty());
    let wrong = if !graph && !content.edges.is_empty() {
        "there are edges without nodes; give the nodes that they connect"
    } else if source && graph {
        "there are both `python_source` and `nodes`; a version has one of them"
    } else if !source && !graph {
        "there is nothing to run; give `python_source`, or `nodes` and `edges`"
    } else if graph && content.flow_name.is_some() {
        "`flow_name` chooses a flow of `python_source`; leave it out for nodes and edges"
    } else {
        source_text(&content.python_source)?;
        return source_file(content.source_file.as_deref());
    };
    Err(Error::invalid_input(wrong))
}

/// Whether a source is one that could be kept.
pub(crate) fn source_text(text: &str) -> Result<()> {
    not_over("source", text, MAX_SOURCE)
}

fn source_file(file: Option<&str>) -> Result<()> {
    match file {
        Some(file) if file.is_empty() || file.contains('\0') || file.len() > MAX_SOURCE_FILE => {
            Err(Error::invalid_input(format!(
                "`source_file` is a path of 1 to {MAX_SOURCE_FILE} bytes without NUL; leave it out \
                 where there is no file"
            )))
        }
        _ => Ok(()),
    }
}

/// The error of a source that is no Python.
pub(super) fn syntax_error(error: &SyntaxError) -> Error {
    let line = error.line.unwrap_or(1);
    let column = error.column.unwrap_or(1);
    let made = Error::invalid_input(format!(
        "failed to read the source: line {line}, column {column}: {}",
        error.message
    ))
    .with("line", line)
    .with("column", column);
    match &error.text {
        Some(text) if !text.is_empty() => made.with("text", text.as_str()),
        _ => made,
    }
}

/// The flow that a version runs: the wanted one, else the one named as the workflow, else the last
/// one defined. By `@flow(name=)` first, then by the function's name; of two the later one, as
/// Python itself has it. `None`: the source shows no flow.
pub(super) fn choose<'a>(
    flows: &'a [FlowInfo],
    wanted: Option<&str>,
    workflow: &str,
) -> Result<Option<&'a FlowInfo>> {
    let called = |name: &str| {
        let by_name = flows.iter().rfind(|flow| flow.name == name);
        by_name.or_else(|| flows.iter().rfind(|flow| flow.function == name))
    };
    match wanted {
        Some(wanted) if !flows.is_empty() => called(wanted).map(Some).ok_or_else(|| {
            let names: Vec<_> = flows.iter().map(|f| format!("`{}`", f.name)).collect();
            Error::invalid_input(format!(
                "the source has no flow `{wanted}`; it has {}",
                names.join(", ")
            ))
            .with(
                "flows",
                flows.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
            )
        }),
        _ => Ok(called(workflow).or(flows.last())),
    }
}

/// A version of this content that was accepted by [`content`] and inspected, and the flow's own
/// description. Its number is for the store to give.
pub(super) fn version(
    content: VersionContent,
    inspection: &Inspection,
    workflow: (&WorkflowSid, &str),
    now: EpochMs,
) -> Result<(WorkflowVersion, Option<String>)> {
    let flow = choose(&inspection.flows, content.flow_name.as_deref(), workflow.1)?;
    let declared = |given: Value, declared: Option<&Value>| match given {
        Value::Null => declared.cloned().unwrap_or_default(),
        given => given,
    };
    let version = WorkflowVersion {
        sid: protocol::VersionSid::fresh(),
        workflow_sid: workflow.0.clone(),
        number: 1,
        python_source: content.python_source,
        nodes: content.nodes,
        edges: content.edges,
        inputs: declared(content.inputs, flow.map(|f| &f.inputs)),
        outputs: declared(content.outputs, flow.map(|f| &f.outputs)),
        source_file: content.source_file,
        flow_name: flow.map(|f| f.name.clone()).or(content.flow_name),
        signature: flow.map(|f| Signature {
            parameters: f.parameters.clone(),
            accepts_extra: f.accepts_extra,
        }),
        timeout_ms: flow.and_then(|f| f.timeout).and_then(millis),
        limits: flow.map(limits).transpose()?.unwrap_or_default(),
        on_interrupt: flow.map(on_interrupt).transpose()?.unwrap_or_default(),
        env: flow.map(|f| f.env.clone()).unwrap_or_default(),
        created_at: now,
    };
    let description = flow.and_then(|f| f.description.clone());
    Ok((version, description.map(shortened)))
}

/// What `@flow(limits=)` says.
fn limits(flow: &FlowInfo) -> Result<Limits> {
    let wrong = |why: String| {
        Error::invalid_input(format!("@flow(limits=) of {:?}: {why}", flow.name))
            .with("flow", flow.name.as_str())
    };
    match &flow.limits {
        Value::Null => Ok(Limits::default()),
        Value::Object(words) => Limits::from_words(words).map_err(wrong),
        _ => Err(wrong(
            "it must be a dict that is written out: it is read without running the source".into(),
        )),
    }
}

/// What `@flow(on_interrupt=)` says.
fn on_interrupt(flow: &FlowInfo) -> Result<OnInterrupt> {
    match &flow.on_interrupt {
        Value::Null => Ok(OnInterrupt::default()),
        word => word.as_str().and_then(OnInterrupt::parse).ok_or_else(|| {
            Error::invalid_input(format!(
                "@flow(on_interrupt=) of {:?} must be `resume` or `fail`, written out",
                flow.name
            ))
            .with("flow", flow.name.as_str())
        }),
    }
}

/// Whether a play would see no difference.
pub(super) fn same_content(a: &WorkflowVersion, b: &WorkflowVersion) -> bool {
    a.python_source == b.python_source
        && a.nodes == b.nodes
        && a.edges == b.edges
        && a.flow_name == b.flow_name
        && a.source_file == b.source_file
        && a.inputs == b.inputs
        && a.outputs == b.outputs
}

/// Whole milliseconds, at least one; `None` for what is no duration (Python itself complains of it).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and finite; a float that is too large becomes the largest number"
)]
fn millis(seconds: f64) -> Option<u64> {
    (seconds.is_finite() && seconds > 0.0).then(|| (seconds * 1000.0).ceil() as u64)
}

/// A docstring of any length as a description.
fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_DESCRIPTION));
    text
}

#[cfg(test)]
mod tests;
