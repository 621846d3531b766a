//! The contract's methods: each a name, a sentence, and the operation of the runtime that it calls.

use std::{borrow::Cow, sync::Arc};

use actors::{Runtime, registry::Record};
use protocol::{
    Error, Play, PlaySid, Workflow, WorkflowSid, WorkflowVersion,
    overview::{
        Overview, PlayOverview, QuestionList, QuestionPage, WorkflowStats, WorkflowStatsOf,
    },
    play::PlayBrief,
    prune::{Prune, PruneReport},
    reading::{
        Artifact, LogPage, PlayFind, PlayLogs, PlayWindow, SourceCheck, SourceReport, SpanDetail,
        SpanGet, SpanMatch, SpanWindow,
    },
    rpc::{
        FlowLibrarySearch, Nothing, Page, PendingResume, PlayCancel, PlayFork, PlayItem, PlayList,
        PlayRef, PlayResume, PlayResumePreview, PlayRetry, PlayRunAsync, PlaySignal, PlaySpans,
        PlayStart, PlayWait, ServerInfo, SpanPage, SpanPush, StepPreview, VersionPage, VersionRef,
        WorkflowCreate, WorkflowList, WorkflowPage, WorkflowRef, WorkflowUpdate,
        WorkflowVersionAdd, WorkflowVersionList, WorkflowVersionSetCurrent,
    },
    server::{Diagnosis, ServerStatus},
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::{Methods, Rpc};

/// A [`Play`] that is written once for all who are answered with it.
#[derive(Serialize)]
#[serde(transparent)]
struct Shared(Arc<Record>);

impl JsonSchema for Shared {
    fn inline_schema() -> bool {
        Play::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        Play::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        Play::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Play::json_schema(generator)
    }
}

/// Every method of the contract over this runtime.
#[must_use]
pub fn methods(runtime: &Runtime) -> Rpc {
    table().finish(runtime)
}

/// The table itself, without a runtime: for those who only want to know what there is.
#[must_use]
pub fn table() -> Methods<Runtime> {
    overviews(workflows(inside(plays(Methods::new())))).add::<Nothing, ServerInfo, _, _>(
        "server_info",
        "Who answers: version, data directory, load.",
        |runtime, Nothing {}| async move { runtime.server_info().await },
    )
    .add::<Nothing, Diagnosis, _, _>(
        "server_doctor",
        "Whether plays can run here, and whether what is kept is safe: each thing that was looked at.",
        |runtime, Nothing {}| async move { Ok(runtime.diagnose().await) },
    )
    .add::<Prune, PruneReport, _, _>(
        "prune",
        "Deletes ended plays that are beyond what is kept, oldest first; with dry_run, only tells which.",
        |runtime, p| async move { runtime.prune(p).await },
    )
}

/// Who starts a play, where the caller does not say.
fn over_rpc(origin: &mut Option<String>) {
    origin.get_or_insert_with(|| "rpc".to_owned());
}

fn plays(table: Methods<Runtime>) -> Methods<Runtime> {
    table
        .add::<PlayRunAsync, PlaySid, _, _>(
            "play_run_async",
            "Starts a play and returns its sid; never waits for the flow.",
            |runtime, mut p: PlayRunAsync| async move {
                // Of a child play the runtime knows it better.
                if p.parent_span_id.is_empty() {
                    over_rpc(&mut p.options.origin);
                }
                runtime.play_run_async(p).await
            },
        )
        .add::<PlayWait, Shared, _, _>(
            "play_wait",
            "Answers when the play has ended, or after timeout_ms (0: waits for ever) with the play as it then stands.",
            |runtime, p| async move { runtime.play_awaited(p).await.map(Shared) },
        )
        .add::<SpanPush, bool, _, _>(
            "span_push",
            "Applies one span event to a play; false: skipped (duplicate, unknown span).",
            |runtime, p| async move { runtime.span_push(p).await },
        )
        .add::<FlowLibrarySearch, Vec<WorkflowSid>, _, _>(
            "flow_library_search",
            "The workflows whose name or description contains the query, best first.",
            |runtime, p| async move { runtime.flow_library_search(p).await },
        )
        .add::<PlayStart, Play, _, _>(
            "play_start",
            "Starts a play of the workflow's current version, Python source or nodes and edges, and returns its record.",
            |runtime, mut p: PlayStart| async move {
                over_rpc(&mut p.options.origin);
                runtime.play_start(p).await
            },
        )
        .add::<PlayRef, Play, _, _>(
            "play_get",
            "The record of a play, without its spans.",
            |runtime, p| async move { runtime.play_get(p).await },
        )
        .add::<PlayRef, PlayBrief, _, _>(
            "play_status",
            "The short form of a play: status, cause, times.",
            |runtime, p| async move { runtime.play_status(p).await },
        )
        .add::<PlaySpans, SpanPage, _, _>(
            "play_spans",
            "The spans of a play in start order, each with its logs; a page at a time.",
            |runtime, p| async move { runtime.play_spans(p).await },
        )
        .add::<PlayList, Page<PlayItem>, _, _>(
            "play_list",
            "Plays by status, workflow, time, parent or text, newest first; a page at a time, whole or in brief.",
            |runtime, p| async move { list(&runtime, p).await },
        )
        .add::<PlayCancel, Play, _, _>(
            "play_cancel",
            "Cancels a play and everything under it.",
            |runtime, p| async move { runtime.play_cancel(p).await },
        )
        .add::<PlayRetry, Play, _, _>(
            "play_retry",
            "Runs an ended play again, as a new play with the same version and input, which reuses the steps that were kept; returns the new one.",
            |runtime, mut p: PlayRetry| async move {
                over_rpc(&mut p.origin);
                runtime.play_retry(p).await
            },
        )
        .add::<PlayFork, Play, _, _>(
            "play_fork",
            "A new play that reuses the durable steps of another, up to a point, on another version or with another input; returns it.",
            |runtime, mut p: PlayFork| async move {
                over_rpc(&mut p.origin);
                runtime.play_fork(p).await
            },
        )
        .add::<PlayResumePreview, Vec<StepPreview>, _, _>(
            "play_resume_preview",
            "What a fork on this version would make of each durable step of a play, in start order.",
            |runtime, p| async move { runtime.play_resume_preview(p).await },
        )
        .add::<PlayRef, Vec<PendingResume>, _, _>(
            "play_pending_resumes",
            "The questions that a play waits with, oldest first.",
            |runtime, p| async move { runtime.play_pending_resumes(p).await },
        )
        .add::<PlayResume, PlayBrief, _, _>(
            "play_resume",
            "Answers a question of a play; an answer that does not fit its schema leaves it open.",
            |runtime, p| async move { runtime.play_resume(p).await },
        )
        .add::<PlaySignal, PlayBrief, _, _>(
            "play_signal",
            "Hands a signal to what a play waits for by this name; one that comes early is kept.",
            |runtime, p| async move { runtime.play_signal(p).await },
        )
}

/// What is told of many plays at once, and of the server.
fn overviews(table: Methods<Runtime>) -> Methods<Runtime> {
    table
        .add::<PlayOverview, Overview, _, _>(
            "play_overview",
            "How many plays have which status, altogether and over time.",
            |runtime, p| async move { runtime.play_overview(p).await },
        )
        .add::<QuestionList, QuestionPage, _, _>(
            "question_list",
            "The open questions of all plays, oldest first; a page at a time.",
            |runtime, p| async move { runtime.question_list(p).await },
        )
        .add::<Nothing, ServerStatus, _, _>(
            "server_status",
            "What the server does just now, and did in the last minute.",
            |runtime, Nothing {}| async move { runtime.server_status().await },
        )
        .add::<WorkflowStatsOf, WorkflowStats, _, _>(
            "workflow_stats",
            "How the plays of a workflow ended and how long they took, altogether and over time.",
            |runtime, p| async move { runtime.workflow_stats(p).await },
        )
}

async fn list(runtime: &Runtime, query: PlayList) -> Result<Page<PlayItem>, Error> {
    fn page<T>(page: Page<T>, item: fn(Box<T>) -> PlayItem) -> Page<PlayItem> {
        Page {
            items: page.items.into_iter().map(Box::new).map(item).collect(),
            next_cursor: page.next_cursor,
        }
    }
    if query.brief {
        let summaries = runtime.play_summaries(query).await?;
        return Ok(page(summaries, PlayItem::Brief));
    }
    Ok(page(runtime.play_list(query).await?, PlayItem::Whole))
}

/// Those that look into a play, or a source.
fn inside(table: Methods<Runtime>) -> Methods<Runtime> {
    table
        .add::<SpanGet, SpanDetail, _, _>(
            "span_get",
            "A span of a play, and how much it has logged.",
            |runtime, p| async move { runtime.span_get(p).await },
        )
        .add::<PlayWindow, SpanWindow, _, _>(
            "play_window",
            "Some rows of a play's tree where only some spans are open, with sums of what is below the closed ones: for plays of any size.",
            |runtime, p| async move { runtime.play_window(p).await },
        )
        .add::<PlayLogs, LogPage, _, _>(
            "play_logs",
            "The logs of a play, of a span, or of a span and all below it, in the order in which they were written; a page at a time.",
            |runtime, p| async move { runtime.play_logs(p).await },
        )
        .add::<PlayFind, Vec<SpanMatch>, _, _>(
            "play_find",
            "The spans of a play whose name, tags, error or logs contain a text, in start order.",
            |runtime, p| async move { runtime.play_find(p).await },
        )
        .add::<PlayRef, Vec<Artifact>, _, _>(
            "artifact_list",
            "The files that a play left in its working directory.",
            |runtime, p| async move { runtime.artifact_list(p).await },
        )
        .add::<SourceCheck, SourceReport, _, _>(
            "source_check",
            "What a Python source holds: its flows, or why it is no Python. Nothing of it is run or kept.",
            |runtime, p| async move { runtime.source_check(p).await },
        )
}

fn workflows(table: Methods<Runtime>) -> Methods<Runtime> {
    table
        .add::<WorkflowCreate, Workflow, _, _>(
            "workflow_create",
            "A new workflow with its first version: Python source, or nodes and edges.",
            |runtime, p| async move { runtime.workflow_create(p).await },
        )
        .add::<WorkflowRef, Workflow, _, _>(
            "workflow_get",
            "The record of a workflow.",
            |runtime, p| async move { runtime.workflow_get(p).await },
        )
        .add::<WorkflowList, WorkflowPage, _, _>(
            "workflow_list",
            "Workflows by name or tag, newest first; a page at a time.",
            |runtime, p| async move { runtime.workflow_list(p).await },
        )
        .add::<WorkflowUpdate, Workflow, _, _>(
            "workflow_update",
            "Changes name, description or tags: what is given.",
            |runtime, p| async move { runtime.workflow_update(p).await },
        )
        .add::<WorkflowRef, Workflow, _, _>(
            "workflow_delete",
            "Takes a workflow out of the library; its plays stay.",
            |runtime, p| async move { runtime.workflow_delete(p).await },
        )
        .add::<WorkflowVersionAdd, WorkflowVersion, _, _>(
            "workflow_version_add",
            "A further version of a workflow, current from now on unless set_current is false.",
            |runtime, p| async move { runtime.workflow_version_add(p).await },
        )
        .add::<VersionRef, WorkflowVersion, _, _>(
            "workflow_version_get",
            "The record of a version, with its source.",
            |runtime, p| async move { runtime.workflow_version_get(p).await },
        )
        .add::<WorkflowVersionList, VersionPage, _, _>(
            "workflow_version_list",
            "The versions of a workflow, newest first; a page at a time.",
            |runtime, p| async move { runtime.workflow_version_list(p).await },
        )
        .add::<WorkflowVersionSetCurrent, Workflow, _, _>(
            "workflow_version_set_current",
            "Makes a version the one that plays use from now on.",
            |runtime, p| async move { runtime.workflow_version_set_current(p).await },
        )
}
