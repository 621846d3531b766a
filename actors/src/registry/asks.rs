//! What a play asks on its socket. It acts as that play: its children, the library, nothing else.
//!
//! Each request is a task of its own on the threads for IO: what it carries can be large, and it
//! outlives a registry.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use protocol::{
    Error, ErrorKind, Play, PlaySid, PlayStatus, Result, VersionSid, Workflow, WorkflowSid,
    WorkflowVersion,
    id::SpanRef,
    rpc::{
        FlowLibrarySearch, MAX_DATA, PlayCancel,
        of_play::{ChildWait, FlowInvoke, FlowInvoked, FlowResolve, FlowResolved},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    Office,
    messages::{CancelPlay, StartPlay},
};
use crate::{
    crash_point,
    ingest::Request,
    store::{Launch, StoredPlay},
};

/// The longest key of a child, bytes.
const KEY: usize = 128;
/// How many earlier tries are looked through for a node that has succeeded.
const MOST_TRIES: usize = 100;
/// For how long a child awaits something before its parent is told that it does.
const REST: Duration = Duration::from_secs(1);

/// Answers what a play asks.
pub(super) async fn serve(office: Arc<Office>, asker: PlaySid, request: Request) {
    let Request { call, mut reply } = request;
    crash_point::reached("ask_received");
    let waits = call.method == "play_wait";
    let desk = Desk {
        asker: asker.clone(),
        office: office.clone(),
    };
    let answering = desk.answer(&call.method, call.params);
    let answer = if waits {
        let _waiting = Waiting::begins(office, asker);
        tokio::select! {
            answer = answering => answer,
            // The connection is gone: nobody waits any more.
            () = reply.closed() => return,
        }
    } else {
        // What was asked for is done, also for one who leaves without the answer.
        answering.await
    };
    crash_point::reached("ask_answered");
    // An error says that nobody waits for it any more.
    drop(reply.send(answer));
}

/// A play holds no slot while this lives.
struct Waiting {
    office: Arc<Office>,
    asker: PlaySid,
}

impl Waiting {
    fn begins(office: Arc<Office>, asker: PlaySid) -> Self {
        office.waits(&asker, true);
        Self { office, asker }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.office.waits(&self.asker, false);
    }
}

struct Desk {
    asker: PlaySid,
    office: Arc<Office>,
}

impl Desk {
    async fn answer(&self, method: &str, params: Value) -> Result<Value> {
        match method {
            "flow_invoke" => {
                let invoke = off_thread(move || read(params)).await??;
                let invoked = self.invoke(invoke).await?;
                if invoked.done_before.is_none() {
                    return to_json(&invoked);
                }
                off_thread(move || to_json(&invoked)).await?
            }
            "play_wait" => {
                let play = self.wait(read(params)?).await?;
                off_thread(move || to_json(&play)).await?
            }
            "play_cancel" => to_json(&self.cancel(read(params)?).await?),
            "flow_resolve" => to_json(&self.resolve(read(params)?).await?),
            "flow_library_search" => to_json(&self.search(read(params)?).await?),
            _ => Err(Error::new(
                ErrorKind::MethodNotFound,
                format!(
                    "a play can't ask for {method:?}; it can ask for flow_invoke, play_wait, play_cancel, flow_resolve, flow_library_search"
                ),
            )),
        }
    }

    async fn invoke(&self, invoke: FlowInvoke) -> Result<FlowInvoked> {
        let fits = |key: &String| !key.is_empty() && key.len() <= KEY;
        if let Some(key) = invoke.key.as_ref().filter(|key| !fits(key)) {
            let what = format!(
                "a child's key has 1 to {KEY} bytes, and this one {}",
                key.len()
            );
            return Err(Error::new(ErrorKind::InvalidParams, what));
        }
        let parent = self.me().await?;
        let node = invoke.key;
        let key = node.as_ref().map(|key| key_of(&self.asker, key));
        // In its first attempt it has none but by asking twice, and then the registry finds it.
        if let Some(key) = key.as_ref().filter(|_| parent.play.attempt > 1)
            && let Some(play_sid) = self.child_of_key(key).await?
        {
            // Whatever has become of the library meanwhile.
            self.office
                .link(&self.asker, invoke.span_id.into(), play_sid.clone());
            return Ok(FlowInvoked {
                play_sid,
                done_before: None,
            });
        }
        let nodes_of = parent.launch.nodes_of.clone();
        let inputs = match (invoke.inputs, &invoke.inputs_file) {
            (Some(inputs), _) => inputs,
            (None, Some(file)) => self.inputs_from(file).await?,
            (None, None) => Map::new(),
        };
        let (version, workflow_name, flow_name, launch) = if let Some(sid) = &invoke.version_sid {
            let version = self.version(sid).await?;
            let (name, launch) = if version.sid == parent.play.version_sid {
                // A part of the same program: it is given what the parent was given.
                (
                    parent.play.workflow_name,
                    Launch {
                        timeout_ms: None,
                        ..parent.launch
                    },
                )
            } else {
                let known = self.office.library().known();
                let workflow = known.workflow(&version.workflow_sid).await?;
                (
                    workflow.map_or_else(|| invoke.name.clone(), |workflow| workflow.name.clone()),
                    Launch::default(),
                )
            };
            (version, name, Some(invoke.name), launch)
        } else {
            let workflow = match &invoke.workflow_sid {
                Some(sid) => self.workflow(sid).await?,
                None => self.workflow_named(&invoke.name).await?,
            };
            let version = self.version(&workflow.current_version_sid).await?;
            if let Some(wrong) = version
                .signature
                .as_ref()
                .and_then(|signature| signature.mismatch(&inputs))
            {
                return Err(Error::invalid_input(format!(
                    "flow {:?}: {wrong}",
                    workflow.name
                )));
            }
            (version, workflow.name, None, Launch::default())
        };
        let input = off_thread(move || Value::Object(inputs).to_string()).await?;
        if input.len() > MAX_DATA {
            return Err(Error::too_large(format!(
                "the inputs of {:?} have {} bytes; at most {MAX_DATA} are taken: pass large data as a file",
                flow_name.as_ref().unwrap_or(&workflow_name),
                input.len()
            )));
        }
        if let (Some(origin), Some(key)) = (nodes_of, &node)
            && let Some(play) = self.done_before(origin, key, &version.sid, &input).await?
        {
            let play_sid = play.sid.clone();
            self.office
                .link(&self.asker, invoke.span_id.into(), play_sid.clone());
            return Ok(FlowInvoked {
                play_sid,
                done_before: Some(Box::new(play)),
            });
        }
        // Only nodes name a workflow by its sid.
        let origin = if invoke.workflow_sid.is_some() {
            "nodes"
        } else {
            "flow"
        };
        let start = StartPlay {
            sid: PlaySid::fresh(),
            version,
            workflow_name,
            flow_name,
            input,
            parent: Some(SpanRef {
                play: self.asker.clone(),
                span: invoke.span_id.into(),
            }),
            launch,
            idempotency_key: key,
            retry_of: None,
            origin: origin.into(),
            reuse: None,
        };
        let play_sid = self.office.registry().ask(start).await??;
        Ok(FlowInvoked {
            play_sid,
            done_before: None,
        })
    }

    /// The play of this node of an earlier play, or of one that this one has tried again, if it succeeded with the very
    /// same version and input.
    async fn done_before(
        &self,
        origin: PlaySid,
        key: &str,
        version: &VersionSid,
        input: &str,
    ) -> Result<Option<Play>> {
        let store = self.office.store();
        let mut next = Some(origin);
        for _ in 0..MOST_TRIES {
            let Some(parent) = next else { break };
            let child = match store.play_of_key(&key_of(&parent, key)).await? {
                Some(sid) => store.play(&sid).await?,
                None => None,
            };
            let fits = |child: &Play| {
                child.status == PlayStatus::Success
                    && child.parent_play_sid.as_ref() == Some(&parent)
                    && child.version_sid == *version
                    && child.input_data == input
            };
            if let Some(child) = child.filter(fits) {
                return Ok(Some(child));
            }
            let stored = store.stored_play(&parent).await?;
            next = stored.and_then(|stored| stored.launch.nodes_of);
        }
        Ok(None)
    }

    async fn workflow(&self, sid: &WorkflowSid) -> Result<Workflow> {
        let workflow = self.office.library().known().workflow(sid).await?;
        let workflow = workflow.ok_or_else(|| Error::not_found("workflow", sid))?;
        Ok(Arc::unwrap_or_clone(workflow))
    }

    async fn workflow_named(&self, name: &str) -> Result<Workflow> {
        self.office
            .store()
            .workflow_named(name)
            .await?
            .ok_or_else(|| {
                let message =
                    format!("there is no flow {name:?}, neither in this source nor in the library");
                Error::new(ErrorKind::NotFound, message)
            })
    }

    async fn version(&self, sid: &VersionSid) -> Result<Arc<WorkflowVersion>> {
        let version = self.office.library().known().version(sid).await?;
        version.ok_or_else(|| Error::not_found("workflow version", sid))
    }

    async fn inputs_from(&self, file: &str) -> Result<Map<String, Value>> {
        let text = self.office.attempts().read_spool(&self.asker, file).await;
        let text =
            text.map_err(|why| Error::invalid_input(format!("the inputs can't be read: {why}")))?;
        off_thread(move || serde_json::from_str(&text))
            .await?
            .map_err(|error| {
                Error::invalid_input(format!("the inputs are no JSON object: {error}"))
            })
    }

    async fn wait(&self, wanted: ChildWait) -> Result<Play> {
        let sid = &wanted.play_sid;
        let mut ended = pin!(self.office.ended(sid));
        loop {
            let rests = self.office.rests(sid);
            let child = self.child(sid).await?;
            if child.status.is_terminal() {
                return Ok(child);
            }
            let rests = async {
                if !wanted.or_awaiting {
                    return pending().await;
                }
                if child.status != PlayStatus::AwaitingResume {
                    return rests.await;
                }
                // What comes at once need not end a process.
                tokio::time::sleep(REST).await;
            };
            tokio::select! {
                ended = &mut ended => return Ok(ended?.play().as_ref().clone()),
                () = rests => {}
            }
            if child.status == PlayStatus::AwaitingResume {
                let child = self.child(sid).await?;
                if child.status == PlayStatus::AwaitingResume {
                    return Ok(child);
                }
            }
        }
    }

    async fn cancel(&self, wanted: PlayCancel) -> Result<Play> {
        self.child(&wanted.play_sid).await?;
        let cancel = CancelPlay {
            sid: wanted.play_sid.clone(),
            grace: wanted.grace_ms.map(Duration::from_millis),
            by: format!("parent {}", self.asker),
        };
        self.office.registry().ask(cancel).await??;
        self.child(&wanted.play_sid).await
    }

    async fn resolve(&self, wanted: FlowResolve) -> Result<FlowResolved> {
        let workflow = self.workflow_named(&wanted.name).await?;
        let version = self.version(&workflow.current_version_sid).await?;
        Ok(FlowResolved {
            workflow_sid: workflow.sid,
            version_sid: version.sid.clone(),
            source: version.python_source.clone(),
            file: version
                .source_file
                .clone()
                .unwrap_or_else(|| format!("{}.py", workflow.name)),
            flow: version.flow_name.clone(),
        })
    }

    async fn search(&self, search: FlowLibrarySearch) -> Result<Vec<protocol::WorkflowSid>> {
        self.office.library().search(search).await
    }

    async fn me(&self) -> Result<StoredPlay> {
        let me = self.office.store().stored_play(&self.asker).await?;
        me.ok_or_else(|| Error::not_found("play", &self.asker))
    }

    /// The play that this one started with a key, perhaps in an earlier attempt.
    async fn child_of_key(&self, key: &str) -> Result<Option<PlaySid>> {
        let Some(sid) = self.office.store().play_of_key(key).await? else {
            return Ok(None);
        };
        match self.child(&sid).await {
            Ok(child) => Ok(Some(child.sid)),
            // Somebody else's, who chose such a key.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A play that this one started; every other is unknown to it.
    async fn child(&self, sid: &PlaySid) -> Result<Play> {
        let play = self.office.store().play(sid).await?;
        play.filter(|play| play.parent_play_sid.as_ref() == Some(&self.asker))
            .ok_or_else(|| Error::not_found("child play", sid))
    }
}

/// The key by which a play's child is found again.
fn key_of(parent: &PlaySid, key: &str) -> String {
    format!("{parent}/{key}")
}

/// For what can take a while with 64 MiB: on a thread where nobody else waits.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("failed to read or write JSON: {error}")))
}

fn read<T: DeserializeOwned>(params: Value) -> Result<T> {
    let params = if params.is_null() {
        Value::Object(Map::new())
    } else {
        params
    };
    serde_json::from_value(params)
        .map_err(|error| Error::new(ErrorKind::InvalidParams, error.to_string()))
}

fn to_json<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::internal(format!("failed to write the answer: {error}")))
}
