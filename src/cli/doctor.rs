//! `doctor`: can plays run here, and is what is kept safe? With a server, the server says.

use std::{path::PathBuf, time::Duration};

use actors::{
    doctor::{self, Subject, is_held},
    play::limits::built_in,
};
use protocol::{
    Error, ErrorKind,
    server::{Check, CheckStatus, Diagnosis},
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    context::Context,
    exit::{Done, Exit},
    style::{BOLD, DIM, GREEN, Glyphs, Line, PLAIN, RED, YELLOW},
    text::clean,
};
use crate::client::{CallError, Client};

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(40);

/// Look whether plays can run here, and whether what is kept is safe
///
/// Changes nothing, and works where nothing else does. A server that answers on the data directory's
/// socket is asked; else this command looks itself. Exit code 1 where something is broken.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Python interpreter that is looked at where no server answers
    #[arg(long, value_name = "PATH", env = "HERO_LOGIC_PYTHON", hide_env = true)]
    python: Option<PathBuf>,
}

/// What came of asking a server.
enum Asked {
    Told(Box<Diagnosis>),
    Nobody,
    /// Something is there, and it does not answer.
    Silent(String),
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let diagnosis = match ask(context).await {
        Asked::Told(mut told) => {
            let server = if told.version == version {
                Check::ok("server", format!("a server answers, version {version}"))
            } else {
                Check::warning(
                    "server",
                    format!(
                        "a server of version {} answers; this is {version}",
                        told.version
                    ),
                )
                .hint("restart it with the version that is installed")
            };
            told.checks.insert(0, server);
            *told
        }
        asked => {
            let mut checks = vec![server(context, asked)];
            let subject = Subject {
                data_dir: context.data_dir.clone(),
                python: args.python,
                max_plays: None,
                limits: built_in(),
                own: false,
            };
            checks.extend(doctor::look(&subject).await);
            Diagnosis::new(version, checks)
        }
    };
    if context.json {
        context.print_json(&diagnosis)?;
    } else {
        context.print(&lines(&diagnosis, context.glyphs()))?;
    }
    Ok(if diagnosis.ok {
        Exit::Success
    } else {
        Exit::Failed
    })
}

async fn ask(context: &Context) -> Asked {
    let client = match timeout(PATIENCE, Client::connect(&context.socket)).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) if super::session::nobody_there(&error) => return Asked::Nobody,
        Ok(Err(error)) => return Asked::Silent(error.to_string()),
        Err(_) => return Asked::Silent("it accepts no connection".to_owned()),
    };
    match timeout(PATIENCE, client.call("server_doctor", json!({}))).await {
        Ok(Ok(told)) => match serde_json::from_value(told) {
            Ok(told) => Asked::Told(Box::new(told)),
            Err(error) => Asked::Silent(format!("it is of another version ({error})")),
        },
        Ok(Err(CallError::Refused(Error {
            kind: ErrorKind::MethodNotFound,
            ..
        }))) => Asked::Silent("it is of an older version and has no `server_doctor`".to_owned()),
        Ok(Err(error)) => Asked::Silent(error.to_string()),
        Err(_) => Asked::Silent(format!("it did not answer within {PATIENCE:?}")),
    }
}

fn server(context: &Context, asked: Asked) -> Check {
    let socket = context.socket.display();
    match asked {
        Asked::Silent(why) => Check::broken(
            "server",
            format!("something listens on {socket}, but {why}"),
        )
        .hint("look at its log; restart it"),
        Asked::Nobody | Asked::Told(_) if is_held(&context.data_dir) => Check::warning(
            "server",
            format!("somebody has the directory, but nobody answers on {socket}"),
        )
        .hint("it is just starting or stopping, or it listens elsewhere: see --socket"),
        Asked::Nobody | Asked::Told(_) => Check::ok("server", "none answers; looked at from here"),
    }
}

fn lines(diagnosis: &Diagnosis, glyphs: &Glyphs) -> Vec<Line> {
    let width = diagnosis
        .checks
        .iter()
        .map(|c| c.id.len())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in &diagnosis.checks {
        let (style, mark) = match check.status {
            CheckStatus::Ok => (GREEN, glyphs.well),
            CheckStatus::Warning => (YELLOW, "!"),
            CheckStatus::Broken => (RED, glyphs.failed),
        };
        lines.push(
            Line::new()
                .with(style, format!("{mark} "))
                .with(BOLD, format!("{:<width$}  ", clean(&check.id)))
                .with(PLAIN, clean(&check.summary)),
        );
        if let Some(hint) = &check.hint {
            let indent = " ".repeat(width + 4);
            lines.push(Line::new().with(DIM, format!("{indent}{}", clean(hint))));
        }
    }
    let count = |status| {
        diagnosis
            .checks
            .iter()
            .filter(|c| c.status == status)
            .count()
    };
    let (broken, warnings) = (count(CheckStatus::Broken), count(CheckStatus::Warning));
    lines.push(Line::new());
    lines.push(match (broken, warnings) {
        (0, 0) => Line::new().with(GREEN, "all is well"),
        (0, n) => Line::new().with(YELLOW, format!("nothing is broken; {n} to know of")),
        (n, _) => Line::new().with(RED, format!("{n} broken")),
    });
    lines
}
