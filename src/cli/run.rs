//! `run`: a flow from its file, followed to its end.

use std::{path::PathBuf, time::Duration};

use protocol::{
    ErrorKind, Play, PlaySid, PlayStatus, WorkflowVersion,
    rpc::{
        InputData, PlayList, PlayPage, PlayRef, PlayRunAsync, PlayStart, PlayWait, StartOptions,
        VersionRef,
    },
};
use tokio::time::sleep;

use super::{
    ask::{self, Attended},
    context::Context,
    exit::{Done, Failure},
    flow::register::{self, Registered},
    follow::{Passed, follow},
    host::Hosting,
    input::PlayArgs,
    outcome,
    session::{Need, Session},
    signals::{Asked, Signals},
    source::Source,
    style::{DIM, Line},
};

/// Run a flow from its file, and print what it returns as JSON
///
/// Exit codes: 0 success, 1 failed, 2 bad usage or input, 75 awaiting input, 124 timed out,
/// 130 cancelled. Ctrl-C cancels the play, a second one kills it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Python file
    #[arg(value_name = "FLOW.py")]
    file: PathBuf,
    /// Which flow of the file [default: the one named as the file, else the last one]
    #[arg(long, value_name = "NAME")]
    flow: Option<String>,
    #[command(flatten)]
    play: PlayArgs,
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    let source = Source::read(&args.file)?;
    let (input, options) = args.play.read("run")?;
    let what = format!("run {}", args.file.display());
    let hosting = args.play.hosting(&options);
    play(context, hosting, &what, async |session| {
        let Registered { workflow, version } =
            register::file(session, &source, args.flow.as_deref()).await?;
        let options = StartOptions {
            version_sid: Some(version.sid),
            ..options.clone()
        };
        Ok(Start::flow(workflow.sid, input.clone(), options))
    })
    .await
}

/// How often a start is tried again where the server left in its middle.
const TRIES: u32 = 4;

/// Starts what `prepare` makes, follows it, reports it; as the host, stays for the guests.
pub(crate) async fn play(
    context: &Context,
    hosting: Hosting,
    what: &str,
    prepare: impl AsyncFn(&Session) -> Result<Start, Failure>,
) -> Done {
    let mut signals = Signals::listen()?;
    // The same key on each try: whatever an earlier one did is found again, never done twice.
    let key = uuid::Uuid::now_v7().to_string();
    let mut tries = 0;
    let (session, sid) = loop {
        let session = Session::open(context, Need::Host(hosting.clone())).await?;
        match start(&session, what, &key, &prepare).await {
            Ok(sid) => break (session, sid),
            Err(failure) => {
                let leaving = failure.lost || failure.is(ErrorKind::Unavailable);
                let elsewhere = session.server().is_some();
                session.close().await?;
                tries += 1;
                if !(leaving && elsewhere) || tries == TRIES {
                    return Err(failure);
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    if let (Some(server), Some(_)) = (session.server(), hosting.max_plays) {
        let text = format!(
            "--max-plays has no effect here: process {} serves this data directory, with {}",
            server.pid, server.max_plays
        );
        context.say(&Line::new().with(DIM, text));
    }
    let done = see_to_end(context, &session, &sid, &mut signals).await;
    let closed = session.close().await;
    let exit = done?;
    closed?;
    Ok(exit)
}

/// Follows a play and reports it; as the host, stays until the guests are done too, or until it
/// can't go on.
pub(crate) async fn see_to_end(
    context: &Context,
    session: &Session,
    sid: &PlaySid,
    signals: &mut Signals,
) -> Done {
    tokio::select! {
        done = to_end(context, session, sid, signals) => done,
        why = session.failed() => Err(Failure::of(format!("go on with play {sid}"), why)),
    }
}

async fn to_end(
    context: &Context,
    session: &Session,
    sid: &PlaySid,
    signals: &mut Signals,
) -> Done {
    let done = through_waits(context, session, sid, signals).await;
    let stayed = stay_for_guests(context, session, signals).await;
    let exit = done?;
    stayed?;
    Ok(exit)
}

/// Reports a play whose question nobody has answered; as the host, stays for the guests.
pub(crate) async fn leave_open(
    context: &Context,
    session: &Session,
    play: &Play,
    signals: &mut Signals,
) -> Done {
    let exit = outcome::report(context, session, play).await?;
    stay_for_guests(context, session, signals).await?;
    Ok(exit)
}

/// Follows the play through all that it asks and the person answers.
async fn through_waits(
    context: &Context,
    session: &Session,
    sid: &PlaySid,
    signals: &mut Signals,
) -> Done {
    let asks = ask::somebody_is_there(context) && has_nodes(session, sid).await?;
    let mut passed = Passed::new(asks);
    loop {
        let play = follow(context, session, sid, &mut passed, signals).await?;
        if play.status.is_terminal() {
            return outcome::report(context, session, &play).await;
        }
        match ask::attend(context, session, &play, signals).await? {
            Attended::GoesOn => {}
            Attended::Open if play.status == PlayStatus::AwaitingResume => {
                return outcome::report(context, session, &play).await;
            }
            Attended::Open => {
                let text = format!(
                    "the question stays open (hero_logic play answer {}); what else there is goes on",
                    play.sid
                );
                context.say(&Line::new().with(DIM, text));
            }
        }
    }
}

/// Whether the play is one of nodes and edges, which never awaits anything itself.
async fn has_nodes(session: &Session, sid: &PlaySid) -> Result<bool, Failure> {
    let what = "look what is to be followed";
    let play_sid = sid.clone();
    let play: Play = session
        .call(what, "play_get", &PlayRef { play_sid })
        .await?;
    let version_sid = play.version_sid;
    let version: WorkflowVersion = session
        .call(what, "workflow_version_get", &VersionRef { version_sid })
        .await?;
    Ok(version.python_source.is_empty())
}

async fn start(
    session: &Session,
    what: &str,
    key: &str,
    prepare: &impl AsyncFn(&Session) -> Result<Start, Failure>,
) -> Result<PlaySid, Failure> {
    let key = Some(key.to_owned());
    match prepare(session).await? {
        Start::Flow(mut call) => {
            call.options.idempotency_key = key;
            session.call(what, "play_run_async", &call).await
        }
        Start::Nodes(mut call) => {
            call.options.idempotency_key = key;
            let play: Play = session.call(what, "play_start", &call).await?;
            Ok(play.sid)
        }
    }
}

/// As the host: waits for the plays of others, until they have ended or the person has had enough
/// (then they are stopped and recorded, not lost).
async fn stay_for_guests(
    context: &Context,
    session: &Session,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let mut told = false;
    while session.hosts() {
        let Some((play, more)) = a_guest(session).await? else {
            if session.stop_if_idle().await? {
                return Ok(());
            }
            // A play is just coming or going.
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        if !std::mem::replace(&mut told, true) {
            let count = if more {
                "other plays still run"
            } else {
                "another play still runs"
            };
            let text = format!(
                "{count} here, started by others; staying until they have ended (Ctrl-C stops them)"
            );
            context.say(&Line::new().with(DIM, text));
        }
        let wait = PlayWait {
            play_sid: play.sid,
            timeout_ms: 0,
        };
        tokio::select! {
            waited = session.call::<Play>("wait for the other plays", "play_wait", &wait) => {
                waited?;
            }
            () = asked_to_stop(signals) => return Ok(()),
        }
    }
    Ok(())
}

/// A play that this process still has to run, and whether there are more.
async fn a_guest(session: &Session) -> Result<Option<(Play, bool)>, Failure> {
    for status in [PlayStatus::Running, PlayStatus::Pending] {
        let query = PlayList {
            status: Some(status),
            limit: Some(2),
            ..PlayList::default()
        };
        let page: PlayPage = session
            .call("look for other plays", "play_list", &query)
            .await?;
        let more = page.items.len() > 1;
        if let Some(play) = page.items.into_iter().next() {
            return Ok(Some((play, more)));
        }
    }
    Ok(None)
}

async fn asked_to_stop(signals: &mut Signals) {
    while signals.next().await == Asked::Suspend {
        if let Err(error) = super::signals::suspend() {
            tracing::debug!(%error, "could not be suspended");
        }
    }
}

/// The call that starts a top-level play.
pub(crate) enum Start {
    Flow(PlayRunAsync),
    /// Of nodes and edges.
    Nodes(PlayStart),
}

impl Start {
    pub(crate) fn flow(
        workflow_sid: protocol::WorkflowSid,
        input_data: InputData,
        options: StartOptions,
    ) -> Self {
        Self::Flow(PlayRunAsync {
            workflow_sid,
            input_data,
            parent_span_id: String::new(),
            options,
        })
    }
}
