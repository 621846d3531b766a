//! The operations on plays.

use std::{sync::Arc, time::Duration};

use protocol::{
    Error, ErrorKind, Play, PlaySid, Result, Signature, WorkflowSid, WorkflowVersion,
    event::{Line, decode},
    id::SpanRef,
    play::PlayBrief,
    rpc::{
        DEFAULT_PAGE, InputData, MAX_DATA, MAX_KEY, MAX_ORIGIN, MAX_PAGE, MAX_PAYLOAD, PlayCancel,
        PlayRef, PlayRunAsync, PlaySpans, PlayStart, PlayWait, SpanPage, SpanPush, StartOptions,
    },
};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Runtime;
use crate::{
    play::dag::Dag,
    registry::{CancelPlay, Record, StartPlay},
    store::Launch,
};

/// How long `play_cancel` waits for the end beyond the grace, before it answers with the play as it
/// then stands.
const AFTER_GRACE: Duration = Duration::from_secs(5);
/// Who starts a play where a program calls the runtime itself.
pub(super) const EMBEDDED: &str = "embedded";

impl Runtime {
    /// Stores a play and starts it as soon as there is a slot; never blocks on the flow.
    ///
    /// # Errors
    /// `not_found` (workflow, version, parent), `invalid_input` (input, a version of nodes and edges
    /// only), `too_large`, `conflict` (idempotency key), `unavailable`.
    pub async fn play_run_async(&self, run: PlayRunAsync) -> Result<PlaySid> {
        let (version, workflow_name) = self.version_to_run(&run.workflow_sid, &run.options).await?;
        if version.python_source.is_empty() {
            return Err(Error::invalid_input(format!(
                "workflow {workflow_name:?} has only nodes and edges; start it with play_start"
            )));
        }
        let parent = match run.parent_span_id.as_str() {
            "" => None,
            text => Some(SpanRef::parse(text).ok_or_else(|| {
                Error::invalid_input(format!(
                    "parent_span_id {text:?} is not of the form {{play_sid}}/{{span_id}}"
                ))
            })?),
        };
        self.start_version(version, workflow_name, run.input_data, parent, run.options)
            .await
    }

    /// Starts the current version of a workflow: Python source as [`Runtime::play_run_async`] does,
    /// nodes and edges after they were checked, each node as a child play.
    ///
    /// # Errors
    /// As [`Runtime::play_run_async`]; `invalid_input` names what is wrong with nodes and edges.
    pub async fn play_start(&self, start: PlayStart) -> Result<Play> {
        let (version, workflow_name) = self
            .version_to_run(&start.workflow_sid, &start.options)
            .await?;
        if version.python_source.is_empty() {
            Dag::new(&version.nodes, &version.edges).map_err(|error| {
                Error::invalid_input(format!("workflow {workflow_name:?}: {error}"))
            })?;
            self.check_nodes(&version, &workflow_name).await?;
        }
        let sid = self
            .start_version(
                version,
                workflow_name,
                start.input_data,
                None,
                start.options,
            )
            .await?;
        self.play(&sid).await
    }

    /// Each node's workflow is there now (one that is deleted later fails its node).
    async fn check_nodes(&self, version: &WorkflowVersion, name: &str) -> Result<()> {
        let mut known = std::collections::HashSet::new();
        for node in &version.nodes {
            if known.insert(&node.workflow_sid)
                && self.store().workflow(&node.workflow_sid).await?.is_none()
            {
                return Err(Error::invalid_input(format!(
                    "workflow {name:?}: node {:?} runs the workflow {}, and there is none",
                    node.id, node.workflow_sid
                )));
            }
        }
        Ok(())
    }

    async fn version_to_run(
        &self,
        workflow_sid: &WorkflowSid,
        options: &StartOptions,
    ) -> Result<(Arc<WorkflowVersion>, String)> {
        if options.timeout_ms == Some(0) {
            return Err(Error::invalid_input(
                "timeout_ms is 0; a play's timeout is at least 1 ms",
            ));
        }
        if let Some(wrong) = options.limits.wrong() {
            return Err(Error::invalid_input(format!("limits: {wrong}")));
        }
        if let Some(key) = &options.idempotency_key
            && (key.is_empty() || key.len() > MAX_KEY)
        {
            return Err(Error::new(
                ErrorKind::InvalidParams,
                format!(
                    "idempotency_key has 1 to {MAX_KEY} bytes, and this one {}; leave it out where there is none",
                    key.len()
                ),
            ));
        }
        let known = self.library().known();
        let workflow = known.workflow(workflow_sid).await?;
        let workflow = workflow.ok_or_else(|| Error::not_found("workflow", workflow_sid))?;
        let sid = options
            .version_sid
            .as_ref()
            .unwrap_or(&workflow.current_version_sid);
        let version = known.version(sid).await?;
        let version = version.ok_or_else(|| Error::not_found("workflow version", sid))?;
        if version.workflow_sid != workflow.sid {
            return Err(Error::invalid_input(format!(
                "version {sid} is not one of workflow {:?}",
                workflow.name
            )));
        }
        Ok((version, workflow.name.clone()))
    }

    async fn start_version(
        &self,
        version: Arc<WorkflowVersion>,
        workflow_name: String,
        input: InputData,
        parent: Option<SpanRef>,
        options: StartOptions,
    ) -> Result<PlaySid> {
        let origin = checked_origin(
            options.origin,
            if parent.is_some() { "flow" } else { EMBEDDED },
        )?;
        let input = checked_input(input, version.signature.as_ref())?;
        let start = StartPlay {
            sid: PlaySid::fresh(),
            version,
            workflow_name,
            flow_name: None,
            input,
            parent,
            launch: Launch {
                timeout_ms: options.timeout_ms,
                limits: options.limits,
                env: checked_env(options.env)?,
                python: options.python,
                start: options.start,
                prefill: checked_prefill(options.prefill)?,
                prefill_only: options.prefill_only,
                nodes_of: None,
            },
            idempotency_key: options.idempotency_key,
            retry_of: None,
            origin,
            reuse: None,
        };
        self.ask(start).await?
    }

    /// Answers when the play is terminal, or after `timeout_ms` with the play as it then stands.
    /// Dropping the future ends the waiting.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn play_wait(&self, wait: PlayWait) -> Result<Play> {
        let record = self.play_awaited(wait).await?;
        Ok(record.play().as_ref().clone())
    }

    /// As [`Runtime::play_wait`]; the answer is shared by all who waited for the same play, its JSON
    /// text too.
    ///
    /// # Errors
    /// As [`Runtime::play_wait`].
    pub async fn play_awaited(&self, wait: PlayWait) -> Result<Arc<Record>> {
        let ended = self.inner.office.ended(&wait.play_sid);
        if wait.timeout_ms == 0 {
            return ended.await;
        }
        let limit = Duration::from_millis(wait.timeout_ms);
        match tokio::time::timeout(limit, ended).await {
            Ok(ended) => ended,
            Err(_) => {
                let play = self.play(&wait.play_sid).await?;
                Ok(Arc::new(Record::new(Arc::new(play))))
            }
        }
    }

    /// The record.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn play_get(&self, wanted: PlayRef) -> Result<Play> {
        self.play(&wanted.play_sid).await
    }

    /// The record's short form.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn play_status(&self, wanted: PlayRef) -> Result<PlayBrief> {
        self.play(&wanted.play_sid).await.map(PlayBrief::from)
    }

    pub(super) async fn play(&self, sid: &PlaySid) -> Result<Play> {
        self.store()
            .play(sid)
            .await?
            .ok_or_else(|| Error::not_found("play", sid))
    }

    /// A page of the play's spans, in start order, each with its logs.
    ///
    /// # Errors
    /// `not_found`, `invalid_input` (cursor, limit), `unavailable`.
    pub async fn play_spans(&self, wanted: PlaySpans) -> Result<SpanPage> {
        let limit = page_limit(wanted.limit)?;
        let page = self
            .store()
            .spans(&wanted.play_sid, wanted.cursor, limit)
            .await?;
        page.ok_or_else(|| Error::not_found("play", &wanted.play_sid))
    }

    /// Stops a play and the plays that it started; answers when it has ended. One that has ended
    /// stays as it is.
    ///
    /// # Errors
    /// `not_found`, `unavailable`.
    pub async fn play_cancel(&self, cancel: PlayCancel) -> Result<Play> {
        let grace = cancel.grace_ms.map(Duration::from_millis);
        let ask = CancelPlay {
            sid: cancel.play_sid.clone(),
            grace,
            by: "caller".into(),
        };
        let below = self.open_below(&cancel.play_sid).await?;
        self.ask(ask).await??;
        let until = Instant::now() + grace.unwrap_or(self.inner.grace) + AFTER_GRACE;
        let wait = async |play_sid: PlaySid| {
            let left = until.saturating_duration_since(Instant::now());
            // 0 would wait for ever.
            let timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            let wait = PlayWait {
                play_sid,
                timeout_ms,
            };
            self.play_wait(wait).await
        };
        for play in below {
            wait(play).await?;
        }
        wait(cancel.play_sid).await
    }

    /// The plays under this one, at any depth, that have not ended.
    async fn open_below(&self, sid: &PlaySid) -> Result<Vec<PlaySid>> {
        let mut found = self.store().open_children(sid).await?;
        let mut next = 0;
        while let Some(play) = found.get(next) {
            let children = self.store().open_children(play).await?;
            found.extend(children);
            next += 1;
        }
        Ok(found)
    }

    /// Applies one span event, through the same code path as the span socket. `false`: skipped.
    ///
    /// # Errors
    /// `not_found`, `conflict` where the play is not running, `invalid_input` where the text is no
    /// event, `unavailable` (also where the play is only being started, or where its end left open
    /// whether the event was taken).
    pub async fn span_push(&self, push: SpanPush) -> Result<bool> {
        self.play(&push.play_sid).await?;
        match decode(push.event_json.as_bytes()) {
            Ok(Line::Event(event)) => self.inner.office.push(&push.play_sid, event).await,
            Ok(Line::Request(_) | Line::Acknowledged { .. }) => Err(Error::invalid_input(
                "event_json is a request; only span events can be pushed",
            )),
            Err(bad) => Err(Error::invalid_input(format!("event_json is {bad}"))),
        }
    }
}

/// The page size to use.
pub(super) fn page_limit(limit: Option<u32>) -> Result<u32> {
    match limit.unwrap_or(DEFAULT_PAGE) {
        limit if limit > MAX_PAGE => Err(Error::invalid_input(format!(
            "limit is {limit}; a page has at most {MAX_PAGE} items"
        ))),
        limit => Ok(limit),
    }
}

pub(super) fn checked_input(input: InputData, signature: Option<&Signature>) -> Result<String> {
    let (text, arguments) = match input {
        InputData::Object(arguments) => (Value::Object(arguments.clone()).to_string(), arguments),
        InputData::Text(text) => {
            size_ok(&text)?;
            let arguments: Map<String, Value> = if text.trim().is_empty() {
                Map::new()
            } else {
                serde_json::from_str(&text).map_err(|error| {
                    Error::invalid_input(format!("input_data is no JSON object: {error}"))
                })?
            };
            (
                if text.trim().is_empty() {
                    "{}".into()
                } else {
                    text
                },
                arguments,
            )
        }
    };
    size_ok(&text)?;
    match signature.and_then(|signature| signature.mismatch(&arguments)) {
        Some(wrong) => Err(Error::invalid_input(wrong)),
        None => Ok(text),
    }
}

fn size_ok(text: &str) -> Result<()> {
    if text.len() > MAX_DATA {
        return Err(Error::too_large(format!(
            "input_data has {} bytes; at most {MAX_DATA} are taken: pass large data as a file",
            text.len()
        )));
    }
    Ok(())
}

/// Who starts a play, where it says so.
pub(super) fn checked_origin(given: Option<String>, otherwise: &str) -> Result<String> {
    let Some(given) = given else {
        return Ok(otherwise.to_owned());
    };
    match given.chars().count() {
        1..=MAX_ORIGIN => Ok(given),
        count => Err(Error::invalid_input(format!(
            "origin has {count} characters; it is a word of 1 to {MAX_ORIGIN} that says who starts the play"
        ))),
    }
}

fn checked_prefill(prefill: Map<String, Value>) -> Result<Map<String, Value>> {
    if !prefill.is_empty() {
        let bytes = Value::Object(prefill.clone()).to_string().len();
        if bytes > MAX_PAYLOAD {
            return Err(Error::too_large(format!(
                "prefill has {bytes} bytes; at most {MAX_PAYLOAD} are taken"
            )));
        }
    }
    Ok(prefill)
}

fn checked_env(
    env: std::collections::BTreeMap<String, String>,
) -> Result<std::collections::BTreeMap<String, String>> {
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Error::invalid_input(format!(
                "env: {name:?} can't be an environment variable"
            )));
        }
    }
    Ok(env)
}
