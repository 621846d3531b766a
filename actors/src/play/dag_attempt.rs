//! A play of nodes and edges: an attempt without a process of its own.
//!
//! It acts as a flow would: spans through the sink, child plays by the same requests as on a span
//! socket. So the play's actor, its outcome, its children and its slot follow the same rules, and a
//! failing node fails the play by its name.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use protocol::{
    Error, Exception, Play, PlayStatus, SpanId, SpanKind, SpanStatus,
    event::{Output, PlayRequest, SpanEnd, SpanEvent, SpanStart},
    rpc::of_play::FlowInvoked,
};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::sync::{oneshot, watch};

use super::{
    attempt::{Attempt, Brief},
    dag::Dag,
    outcome::{Ended, Exit},
    stop::{StopOrder, StopReason},
};
use crate::ingest::{Delivery, Event, Request, Sink};

/// Starts it, on the runtime of the caller.
pub fn begin(
    brief: &Brief,
    sink: Arc<dyn Sink>,
    orders: watch::Receiver<Option<StopOrder>>,
) -> Attempt {
    let run = Run::new(brief, sink);
    let timeout = brief.timeout;
    Attempt::drive(&tokio::runtime::Handle::current(), |_| async move {
        let run = match run {
            Ok(run) => run,
            Err(why) => return Ended::without_process(Exit::NotStarted(why), None),
        };
        let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let (code, stopped) = tokio::select! {
            code = run.to_the_end() => (code, None),
            reason = ordered(orders) => (0, Some(reason)),
            () = tokio::time::sleep(timeout) => (0, Some(StopReason::Timeout { limit_ms })),
        };
        Ended::without_process(Exit::Code(code), stopped)
    })
}

async fn ordered(mut orders: watch::Receiver<Option<StopOrder>>) -> StopReason {
    match orders.wait_for(Option::is_some).await {
        Ok(order) => order.as_ref().map(|order| order.reason.clone()),
        Err(_) => None,
    }
    .unwrap_or_else(|| StopReason::Abandoned {
        why: "the play's actor is gone".into(),
    })
}

struct Run {
    dag: Dag,
    input: Map<String, Value>,
    sink: Arc<dyn Sink>,
    prefix: u32,
    name: String,
}

type NodeEnd = (usize, Result<Value, String>);

impl Run {
    fn new(brief: &Brief, sink: Arc<dyn Sink>) -> Result<Self, String> {
        Ok(Self {
            dag: Dag::new(&brief.version.nodes, &brief.version.edges)
                .map_err(|error| error.to_string())?,
            input: serde_json::from_str(&brief.input)
                .map_err(|error| format!("the input is no JSON object: {error}"))?,
            sink,
            prefix: brief.attempt,
            name: brief.workflow_name.clone(),
        })
    }

    /// Runs every node as soon as it can; the exit code that a process would leave with.
    async fn to_the_end(&self) -> i32 {
        self.span_starts(0, &self.name, SpanKind::FlowRoot).await;
        let mut started = HashSet::new();
        let mut outputs = HashMap::new();
        let mut failed: Option<String> = None;
        let mut running: FuturesUnordered<BoxFuture<'_, NodeEnd>> = FuturesUnordered::new();
        loop {
            let ready: Vec<String> = self
                .dag
                .ready(&started, &outputs)
                .iter()
                .map(|node| node.id.clone())
                .collect();
            for (index, node) in self
                .dag
                .nodes()
                .iter()
                .enumerate()
                .filter(|(_, node)| ready.contains(&node.id))
            {
                started.insert(node.id.clone());
                let inputs = self.dag.inputs(node, &self.input, &outputs);
                running.push(async move { (index, self.node(index, inputs).await) }.boxed());
            }
            let Some((index, end)) = running.next().await else {
                break;
            };
            let id = &self.dag.nodes()[index].id;
            match end {
                Ok(output) => drop(outputs.insert(id.clone(), output)),
                Err(why) => drop(failed.get_or_insert(format!("node {id:?} failed: {why}"))),
            }
        }
        match failed {
            Some(why) => {
                self.span_ends(0, Err(&why)).await;
                1
            }
            None => {
                if let Ok(data) = RawValue::from_string(self.dag.output(&outputs).to_string()) {
                    self.say(SpanEvent::Output(Output::Data(data))).await;
                }
                self.span_ends(0, Ok(())).await;
                0
            }
        }
    }

    async fn node(&self, index: usize, inputs: Map<String, Value>) -> Result<Value, String> {
        let node = &self.dag.nodes()[index];
        self.span_starts(index + 1, &node.id, SpanKind::Subflow)
            .await;
        let ended = self
            .child(index, &node.workflow_sid, inputs)
            .await
            .map_err(|error| error.message);
        let result = ended.and_then(|play| match play.status {
            PlayStatus::Success => {
                let text = play.output_data.as_deref().unwrap_or("null");
                serde_json::from_str(text)
                    .map_err(|error| format!("its output is no JSON: {error}"))
            }
            status => Err(play
                .cause
                .map_or_else(|| status.as_str().to_owned(), |cause| cause.message)),
        });
        self.span_ends(index + 1, result.as_ref().map(drop).map_err(String::as_str))
            .await;
        result
    }

    async fn child(
        &self,
        index: usize,
        workflow_sid: &protocol::WorkflowSid,
        inputs: Map<String, Value>,
    ) -> Result<Play, Error> {
        let invoke = json!({"workflow_sid": workflow_sid, "inputs": inputs, "span_id": self.span_id(index + 1)});
        let invoked: FlowInvoked = self.request("flow_invoke", invoke).await?;
        self.request("play_wait", json!({"play_sid": invoked.play_sid}))
            .await
    }

    async fn request<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let call = PlayRequest {
            jsonrpc: "2.0".into(),
            id: Value::Null,
            method: method.to_owned(),
            params,
        };
        self.sink
            .deliver(Delivery {
                events: Vec::new(),
                requests: vec![Request { call, reply }],
            })
            .await;
        let answer = answer
            .await
            .map_err(|_| Error::unavailable("the play is ending"))??;
        serde_json::from_value(answer)
            .map_err(|error| Error::internal(format!("an answer of another form: {error}")))
    }

    fn span_id(&self, number: usize) -> SpanId {
        format!("{}.{}", self.prefix, number + 1).into()
    }

    async fn span_starts(&self, number: usize, name: &str, kind: SpanKind) {
        let parent_id = if number == 0 {
            String::new()
        } else {
            self.span_id(0).to_string()
        };
        self.say(SpanEvent::Start(SpanStart {
            span_id: self.span_id(number),
            name: name.to_owned(),
            parent_id,
            start_ms: None,
            kind,
            tags: Map::new(),
            source_file: None,
            source_line: None,
        }))
        .await;
    }

    async fn span_ends(&self, number: usize, result: Result<(), &str>) {
        let exception = result.err().map(|why| Exception {
            type_name: "Failed".into(),
            message: why.to_owned(),
            traceback: None,
            file: None,
            line: None,
            function: None,
        });
        self.say(SpanEvent::End(SpanEnd {
            span_id: self.span_id(number),
            end_ms: None,
            status: if result.is_ok() {
                SpanStatus::Ok
            } else {
                SpanStatus::Failed
            },
            error: result.err().map(str::to_owned),
            tags: Map::new(),
            exception,
        }))
        .await;
    }

    async fn say(&self, event: SpanEvent) {
        self.sink
            .deliver(Delivery {
                events: vec![Event::Wire(event)],
                requests: Vec::new(),
            })
            .await;
    }
}
