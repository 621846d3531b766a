//! What a verb that saw a play to its end prints, and its exit code.

use std::fs;

use protocol::{Play, PlayStatus, WorkflowVersion, rpc::VersionRef};

use super::{
    context::Context,
    exit::{Done, Exit},
    explain,
    render::play_name,
    session::Session,
    style::{BOLD, DIM, Glyphs, Line, PLAIN, RED, words},
};

/// Prints the flow's return value (or, with `--json`, the record), and says what went wrong.
pub(crate) async fn report(context: &Context, session: &Session, play: &Play) -> Done {
    if context.json {
        context.print_json(play)?;
    } else if play.status == PlayStatus::Success {
        context.print_json_text(play.output_data.as_deref().unwrap_or("null"))?;
    }
    if play.status != PlayStatus::Success {
        let source = source_of(session, play).await;
        for line in lines(play, source.as_deref(), Glyphs::of(context.err)) {
            // Even in quiet: it is the error.
            super::context::say(&line.to_text(context.err.color));
        }
    }
    Ok(Exit::of(play.status))
}

/// Prints it for a play that failed, short: `play show` tells all.
fn lines(play: &Play, source: Option<&str>, glyphs: &Glyphs) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut first = Line::new();
    if play.status == PlayStatus::AwaitingResume {
        first.push(BOLD, play_name(play));
        first.push(PLAIN, " is awaiting input");
    } else {
        first.push(RED.bold(), "error");
        first.push(
            PLAIN,
            format!(": {} {}", play_name(play), words(play.status)),
        );
    }
    if let Some(headline) = explain::headline(play) {
        first.push(PLAIN, ": ");
        first.append(headline);
    }
    lines.push(first);
    let place = play.cause.as_ref().and_then(explain::place);
    for line in place
        .into_iter()
        .flat_map(|p| explain::excerpt(p, source, glyphs))
    {
        let mut indented = Line::new().with(PLAIN, "  ");
        indented.append(line);
        lines.push(indented);
    }
    for line in play.cause.iter().flat_map(explain::way_there) {
        let mut indented = Line::new().with(PLAIN, "  ");
        indented.append(line);
        lines.push(indented);
    }
    if play.status == PlayStatus::AwaitingResume {
        let answer = format!("  answer: hero_logic play answer {}", play.sid);
        lines.push(Line::new().with(DIM, answer));
    }
    let next = if play.status.is_terminal() {
        "all about it"
    } else {
        "see"
    };
    lines.push(Line::new().with(DIM, format!("  {next}: hero_logic play show {}", play.sid)));
    lines
}

/// The source of the file where it went wrong: as it was run, where that is the version's own file.
pub(crate) async fn source_of(session: &Session, play: &Play) -> Option<String> {
    let place = explain::place(play.cause.as_ref()?)?;
    let asked = VersionRef {
        version_sid: play.version_sid.clone(),
    };
    let version: WorkflowVersion = session
        .call("read the source", "workflow_version_get", &asked)
        .await
        .inspect_err(|failure| tracing::debug!(failure.message, "no source to show"))
        .ok()?;
    match version.source_file.as_deref() {
        Some(file) if file != place.file => fs::read_to_string(place.file).ok(),
        _ => Some(version.python_source),
    }
}
