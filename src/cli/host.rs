//! A runtime in this process: to read and write records, or as the host that runs plays and serves
//! the socket.

use std::{path::PathBuf, time::Duration};

use actors::{
    Config, Runtime, process::GuardProgram, runtime::retention::Retention, store::Durability,
};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use protocol::{Error, Limits, rpc::StartMode};
use serde_json::{Value, json};

use super::{caller::Caller, context::Context};
use crate::{
    client::{CallError, rpc::read_error},
    http::{self, ListenConfig, Serving},
    rpc::{self, Rpc},
};

/// How long calls in flight may take once everything has stopped.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A runtime of our own, called through the same table as a server's.
#[derive(Debug)]
pub(crate) struct Local {
    runtime: Runtime,
    rpc: Rpc,
}

impl Local {
    /// Takes the data directory, to read and write records.
    pub(crate) async fn start(context: &Context) -> Result<Self, Error> {
        Self::with(config(context, &Hosting::default(), false)).await
    }

    /// Opens a data directory that can't be written, only to read it.
    pub(crate) async fn start_to_read(context: &Context, why: &str) -> Result<Self, Error> {
        let config = config(context, &Hosting::default(), false);
        let runtime = Runtime::open_to_read(config, why).await?;
        Ok(Self {
            rpc: rpc::methods(&runtime),
            runtime,
        })
    }

    async fn with(config: Config) -> Result<Self, Error> {
        let runtime = Runtime::start(config).await?;
        Ok(Self {
            rpc: rpc::methods(&runtime),
            runtime,
        })
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Gives the data directory back.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.runtime.stop().await
    }
}

impl Caller for Local {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answering = self.rpc.accept(Bytes::from(request));
        async move {
            let internal = |what: &str| CallError::Refused(Error::internal(what));
            let answer = answering.await.ok_or_else(|| internal("no answer"))?;
            let mut answer: Value = serde_json::from_slice(&answer)
                .map_err(|error| internal(&format!("the answer is no JSON: {error}")))?;
            match answer.get("error") {
                Some(error) => Err(CallError::Refused(read_error(error))),
                None => Ok(answer
                    .get_mut("result")
                    .map(Value::take)
                    .unwrap_or_default()),
            }
        }
        .boxed()
    }
}

/// A runtime that runs plays, and serves the data directory's socket while it does.
#[derive(Debug)]
pub(crate) struct Host {
    local: Local,
    serving: Serving,
}

impl Host {
    /// Takes the data directory and opens the socket.
    pub(crate) async fn start(context: &Context, hosting: &Hosting) -> Result<Self, Error> {
        let listen = ListenConfig {
            socket: Some(context.socket.clone()),
            ..ListenConfig::default()
        };
        Self::serve(config(context, hosting, true), listen).await
    }

    /// Takes the data directory and opens these doors.
    pub(crate) async fn serve(config: Config, listen: ListenConfig) -> Result<Self, Error> {
        let local = Local::with(config).await?;
        match http::serve(&local.runtime, listen).await {
            Ok(serving) => Ok(Self { local, serving }),
            Err(error) => {
                local.stop().await?;
                Err(error)
            }
        }
    }

    pub(crate) fn serving(&self) -> &Serving {
        &self.serving
    }

    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Stops the runtime if no play is live or pending; from then on new ones are refused.
    pub(crate) async fn stop_if_idle(&self) -> Result<bool, Error> {
        self.local.runtime.stop_if_idle().await
    }

    /// Ends live plays (they are recorded), tells guests, gives the data directory back.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        let stopped = self.local.runtime.stop().await;
        if !self.serving.stop(LAST_ANSWERS).await {
            tracing::warn!("some connections had to be cut");
        }
        stopped
    }
}

pub(crate) fn config(context: &Context, hosting: &Hosting, dispatch: bool) -> Config {
    Config {
        max_plays: hosting.max_plays,
        python: hosting.python.clone(),
        durability: hosting.durability,
        retention: hosting.retention,
        default_limits: hosting.limits,
        start: hosting.start,
        warm_up: hosting.warm_up,
        dispatch,
        own_process: true,
        // Who runs nothing has nothing to be guarded.
        guard: GuardProgram::this_program()
            .filter(|_| dispatch)
            .map(|program| GuardProgram {
                report: context.log_format.into(),
                ..program
            }),
        ..Config::new(context.data_dir.clone())
    }
}

/// How plays are run by a host of our own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosting {
    pub(crate) max_plays: Option<u32>,
    /// The interpreter where nothing else names one.
    pub(crate) python: Option<PathBuf>,
    /// What an acknowledged commit is sure to outlive.
    pub(crate) durability: Durability,
    pub(crate) retention: Retention,
    /// Where neither a play nor its flow says others.
    pub(crate) limits: Limits,
    /// How a play starts that does not say it.
    pub(crate) start: Option<StartMode>,
    /// Whether processes are forked ahead before the first play asks for one.
    pub(crate) warm_up: bool,
}
