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
    Error, Exception, Play, PlayStatus, SpanId, SpanKind, SpanStatus, Tags,
    event::{Output, PlayRequest, SpanEnd, SpanEvent, SpanStart},
    rpc::{MAX_DATA, of_play::FlowInvoked},
};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::{
    attempt::{Attempt, Brief},
    composed::TooLarge,
    dag::Dag,
    outcome::{Ended, Exit},
    stop::{StopOrder, StopReason},
};
use crate::ingest::{Delivery, Event, Request, Sink};

/// Starts it, on `io`; what its children return is read and written on that one's blocking threads.
pub fn begin(
    io: &Handle,
    brief: Brief,
    sink: Arc<dyn Sink>,
    orders: watch::Receiver<Option<StopOrder>>,
) -> Attempt {
    let timeout = brief.timeout;
    Attempt::drive(io, |_| async move {
        let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let running = async {
            match Run::new(brief, sink).await {
                Ok(run) => Exit::Code(run.to_the_end().await),
                Err(why) => Exit::NotStarted(why),
            }
        };
        let (exit, stopped) = tokio::select! {
            exit = running => (exit, None),
            reason = ordered(orders) => (Exit::Code(0), Some(reason)),
            () = tokio::time::sleep(timeout) => (Exit::Code(0), Some(StopReason::Timeout { limit_ms })),
        };
        Ended::without_process(exit, stopped)
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

/// For what can take a while with 64 MiB.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(format!("failed to read or write JSON: {error}")))
}

/// What nodes returned, by their ids.
type Outputs = HashMap<String, Arc<Value>>;

struct Run {
    dag: Arc<Dag>,
    input: Arc<Map<String, Value>>,
    sink: Arc<dyn Sink>,
    prefix: u32,
    name: String,
}

type NodeEnd = (usize, Result<Arc<Value>, String>);

/// What a node's play returned.
struct Returned {
    value: Arc<Value>,
    /// That play is of an earlier try.
    before: bool,
}

impl Run {
    async fn new(brief: Brief, sink: Arc<dyn Sink>) -> Result<Self, String> {
        let (version, input) = (brief.version, brief.input);
        let (dag, input) = blocking(move || {
            let dag =
                Dag::new(&version.nodes, &version.edges).map_err(|error| error.to_string())?;
            let input = serde_json::from_str(&input)
                .map_err(|error| format!("the input is no JSON object: {error}"))?;
            Ok((dag, input))
        })
        .await?;
        Ok(Self {
            dag: Arc::new(dag),
            input: Arc::new(input),
            sink,
            prefix: brief.attempt,
            name: brief.workflow_name,
        })
    }

    /// Runs every node as soon as it can; the exit code that a process would leave with.
    async fn to_the_end(&self) -> i32 {
        self.span_starts(0, &self.name, SpanKind::FlowRoot).await;
        let mut started = HashSet::new();
        let mut outputs = Outputs::new();
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
                let brought = self.dag.predecessors(&node.id);
                let brought: Outputs = brought
                    .filter_map(|from| Some((from.to_owned(), outputs.get(from)?.clone())))
                    .collect();
                running.push(async move { (index, self.node(index, brought).await) }.boxed());
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
        let output = match failed {
            Some(why) => Err(why),
            None => self.output(outputs).await,
        };
        match output {
            Err(why) => {
                self.span_ends(0, Err(&why)).await;
                1
            }
            Ok(data) => {
                self.say(SpanEvent::Output(Output::Data(data))).await;
                self.span_ends(0, Ok(SpanStatus::Ok)).await;
                0
            }
        }
    }

    async fn node(&self, index: usize, brought: Outputs) -> Result<Arc<Value>, String> {
        let name = &self.dag.nodes()[index].id;
        self.span_starts(index + 1, name, SpanKind::Subflow).await;
        let result = self.child(index, brought).await;
        let status = match &result {
            Ok(returned) if returned.before => Ok(SpanStatus::Replayed),
            Ok(_) => Ok(SpanStatus::Ok),
            Err(why) => Err(why.as_str()),
        };
        self.span_ends(index + 1, status).await;
        result.map(|returned| returned.value)
    }

    async fn child(&self, index: usize, brought: Outputs) -> Result<Returned, String> {
        let invoke = self.invoke(index, brought).await?;
        let told = |error: Error| error.message;
        let invoked: FlowInvoked = self.request("flow_invoke", invoke).await.map_err(told)?;
        let before = invoked.done_before.is_some();
        let play: Play = match invoked.done_before {
            Some(play) => *play,
            None => {
                let wait = json!({"play_sid": invoked.play_sid});
                self.request("play_wait", wait).await.map_err(told)?
            }
        };
        match play.status {
            PlayStatus::Success => {
                let text = play.output_data.unwrap_or_else(|| "null".into());
                let read = blocking(move || {
                    serde_json::from_str(&text)
                        .map_err(|error| format!("its output is no JSON: {error}"))
                });
                let value = Arc::new(read.await?);
                Ok(Returned { value, before })
            }
            status => Err(play
                .cause
                .map_or_else(|| status.as_str().to_owned(), |cause| cause.message)),
        }
    }

    /// The request that starts this node's play.
    async fn invoke(&self, index: usize, brought: Outputs) -> Result<Value, String> {
        let (dag, input) = (self.dag.clone(), self.input.clone());
        let span_id = self.span_id(index + 1);
        blocking(move || {
            let node = &dag.nodes()[index];
            let inputs = dag.inputs(node, &input, &brought).object(MAX_DATA);
            let inputs = inputs.map_err(|TooLarge { key }| {
                format!(
                    "its inputs have more than {MAX_DATA} bytes as JSON, reached with {key:?}; \
                     pass large data as a file"
                )
            })?;
            let mut invoke = Map::new();
            invoke.insert("workflow_sid".into(), json!(node.workflow_sid));
            invoke.insert("inputs".into(), Value::Object(inputs));
            invoke.insert("span_id".into(), json!(span_id));
            // A further attempt finds the same play again.
            invoke.insert("key".into(), json!(format!("node:{index}")));
            Ok(Value::Object(invoke))
        })
        .await
    }

    async fn output(&self, outputs: Outputs) -> Result<Box<RawValue>, String> {
        let dag = self.dag.clone();
        blocking(move || {
            let text = dag.output(&outputs).text(MAX_DATA);
            let text = text.map_err(|TooLarge { key }| {
                format!(
                    "the play's output has more than {MAX_DATA} bytes as JSON, reached with that of \
                     node {key:?}; return large data as a file"
                )
            })?;
            serde_json::from_slice(&text)
                .map_err(|error| format!("the play's output is no JSON: {error}"))
        })
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
                requests: vec![Request { call, reply }],
                ..Delivery::default()
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
            tags: Tags::default(),
            source_file: None,
            source_line: None,
            step: None,
        }))
        .await;
    }

    async fn span_ends(&self, number: usize, result: Result<SpanStatus, &str>) {
        let exception = result.err().map(|why| {
            Box::new(Exception {
                type_name: "Failed".into(),
                message: why.to_owned(),
                traceback: None,
                file: None,
                line: None,
                function: None,
            })
        });
        self.say(SpanEvent::End(SpanEnd {
            span_id: self.span_id(number),
            end_ms: None,
            status: result.unwrap_or(SpanStatus::Failed),
            error: result.err().map(str::to_owned),
            tags: Tags::default(),
            exception,
        }))
        .await;
    }

    async fn say(&self, event: SpanEvent) {
        self.sink
            .deliver(Delivery {
                events: vec![Event::Wire(event)],
                ..Delivery::default()
            })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread, time::Duration};

    use protocol::{Limits, Node, WorkflowVersion};

    use super::*;
    use crate::store::Launch;

    /// Notes where it is told what, and answers nothing.
    #[derive(Debug, Default)]
    struct Threads(Mutex<Vec<String>>);

    impl Sink for Threads {
        fn deliver(&self, _: Delivery) -> BoxFuture<'static, ()> {
            let name = thread::current().name().unwrap_or_default().to_owned();
            self.0.lock().unwrap().push(name);
            std::future::ready(()).boxed()
        }
    }

    /// Whoever starts it, its work is done on the runtime that it is given.
    #[test]
    fn it_runs_where_it_is_told_to() {
        let mut building = tokio::runtime::Builder::new_multi_thread();
        let io = building
            .worker_threads(1)
            .thread_name("the-io")
            .enable_all();
        let io = io.build().unwrap();
        let here = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let sink = Arc::new(Threads::default());
        let node = Node {
            id: "only".into(),
            workflow_sid: "w".into(),
            inputs: None,
        };
        let brief = Brief {
            play: "p".into(),
            attempt: 1,
            workflow_name: "dag".into(),
            version: Arc::new(WorkflowVersion {
                nodes: vec![node],
                ..crate::store::conformance::sample::version(&"w".into())
            }),
            flow_name: None,
            input: "{}".into(),
            parent_span_id: String::new(),
            launch: Launch::default(),
            timeout: Duration::from_secs(60),
            grace: Duration::ZERO,
            limits: Limits::default(),
            kept: None,
        };
        let (_orders, ordered) = watch::channel(None);
        let ended = here.block_on(async {
            let attempt = begin(io.handle(), brief, sink.clone(), ordered);
            attempt.ended.await
        });
        assert_eq!(ended.exit, Exit::Code(1), "nobody answers");
        let threads = sink.0.lock().unwrap();
        assert!(threads.len() > 2, "{threads:?}");
        assert!(threads.iter().all(|name| name == "the-io"), "{threads:?}");
    }
}
