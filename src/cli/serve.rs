//! `serve`: a server that runs plays until it is told to stop.

use std::{fs, path::PathBuf, time::Duration};

use actors::store::Durability;
use clap::ValueEnum;
use serde_json::json;

use super::{
    context::{Context, write_out},
    exit::{Done, Exit, Failure},
    host::{Host, Hosting, config},
    input::Start,
    limits::LimitArgs,
    notify::{READY, STOPPING, notify},
    retain::RetainArgs,
    signals::{Asked, Signals},
};
use crate::http::{ListenConfig, Token};

/// Serve a data directory over HTTP and a Unix socket
///
/// Prints one line with its addresses when it answers. SIGTERM or Ctrl-C stops it in order: live
/// plays get their grace and are recorded; a second one kills them at once. A server that can't go on
/// (its database failed) stops the same way, says why, and exits with 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The address to listen on; beyond this machine it needs --token-file
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "HERO_LOGIC_LISTEN",
        hide_env = true,
        default_value = "127.0.0.1:7376"
    )]
    listen: String,
    /// How many plays may run at once [default: by cores and memory]
    #[arg(long, value_name = "N", env = "HERO_LOGIC_MAX_PLAYS", hide_env = true, value_parser = clap::value_parser!(u32).range(1..))]
    max_plays: Option<u32>,
    /// The Python interpreter where neither the play nor its flow names one
    #[arg(long, value_name = "PATH", env = "HERO_LOGIC_PYTHON", hide_env = true)]
    python: Option<PathBuf>,
    /// How plays start that don't say it themselves: in a process that waits ready (warm), or in a new interpreter (cold) [default: warm if one waits]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        env = "HERO_LOGIC_START",
        hide_env = true
    )]
    start: Option<Start>,
    /// A file with the token that callers over HTTP must show
    #[arg(
        long,
        value_name = "FILE",
        env = "HERO_LOGIC_TOKEN_FILE",
        hide_env = true
    )]
    token_file: Option<PathBuf>,
    /// A further name that callers use for this server, several times (behind a proxy, say)
    #[arg(
        long,
        value_name = "HOST",
        env = "HERO_LOGIC_ALLOW_HOST",
        hide_env = true,
        value_delimiter = ','
    )]
    allow_host: Vec<String>,
    /// What an acknowledged commit is sure to outlive: a power failure (fsync), or only the end of the server (os)
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        env = "HERO_LOGIC_DURABILITY",
        hide_env = true,
        default_value = "fsync"
    )]
    durability: DurabilityArg,
    #[command(flatten)]
    retain: RetainArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `--durability`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityArg {
    Fsync,
    Os,
}

impl From<DurabilityArg> for Durability {
    fn from(arg: DurabilityArg) -> Self {
        match arg {
            DurabilityArg::Fsync => Self::Fsync,
            DurabilityArg::Os => Self::Os,
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    let mut signals = Signals::listen()?;
    let hosting = Hosting {
        max_plays: args.max_plays,
        python: args.python,
        durability: args.durability.into(),
        retention: args.retain.retention(),
        limits: args.limits.limits(),
        start: args.start.map(Start::mode),
        warm_up: true,
    };
    let config = config(context, &hosting, true);
    let listen = ListenConfig {
        tcp: Some(args.listen),
        socket: Some(context.socket.clone()),
        token: args.token_file.map(|file| token(&file)).transpose()?,
        hosts: args.allow_host,
        ..ListenConfig::default()
    };
    let directory = context.data_dir.display();
    let host = Host::serve(config, listen)
        .await
        .map_err(|error| Failure::of(format!("serve {directory}"), error))?;
    announce(context, &host)?;
    notify(READY);
    let runtime = host.local().runtime().clone();
    let asked = async {
        while signals.next().await == Asked::Suspend {
            super::signals::suspend()
                .map_err(|error| Failure::failed(format!("failed to suspend: {error}")))?;
        }
        Ok::<_, Failure>(())
    };
    let failed = tokio::select! {
        asked = asked => asked.map(|()| None)?,
        why = runtime.failed() => Some(why),
    };
    notify(STOPPING);
    tracing::info!("stopping");
    let mut stopping = std::pin::pin!(host.stop());
    let stopped = tokio::select! {
        stopped = &mut stopping => stopped,
        () = asked_again(&mut signals) => {
            // No more grace: what still runs is killed, and recorded.
            if let Err(error) = runtime.stop_within(Duration::ZERO).await {
                tracing::error!(%error, "failed to stop at once");
            }
            stopping.await
        }
    };
    if let Some(why) = failed {
        if let Err(error) = stopped {
            tracing::error!(%error, "failed to stop in order");
        }
        return Err(Failure::of(format!("go on serving {directory}"), why));
    }
    stopped.map_err(|error| Failure::of("stop in order", error))?;
    Ok(Exit::Success)
}

async fn asked_again(signals: &mut Signals) {
    while signals.next().await == Asked::Suspend {}
}

/// One line, when it answers.
fn announce(context: &Context, host: &Host) -> Result<(), Failure> {
    let serving = host.serving();
    let address = serving.tcp().map(|address| format!("http://{address}"));
    let socket = serving.socket().map(|path| path.display().to_string());
    if context.json {
        return context.print_json_line(&json!({
            "address": address,
            "socket": socket,
            "data_dir": context.data_dir,
            "pid": std::process::id(),
        }));
    }
    let addresses: Vec<_> = address.into_iter().chain(socket).collect();
    write_out(&format!(
        "hero_logic listens on {}\n",
        addresses.join(" and ")
    ))
}

fn token(file: &std::path::Path) -> Result<Token, Failure> {
    let bad = |why: String| {
        Failure::usage(format!(
            "failed to read the token from {}: {why}",
            file.display()
        ))
    };
    let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    Token::new(&text).map_err(|error| bad(error.message))
}
