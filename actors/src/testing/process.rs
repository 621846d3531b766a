//! A process that follows a script: what the script can do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use protocol::{
    Error,
    event::{Line, PlayRequest, decode},
};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use crate::{
    ingest::{Acknowledgement, Delivery, Event, Request, Sink},
    play::attempt::Brief,
};

/// What a script is given. Clones are the same process.
#[derive(Clone)]
pub struct Process {
    pub brief: Brief,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ignores_term: AtomicBool,
    pub(super) termed: watch::Sender<bool>,
    pub(super) left_behind: AtomicU32,
}

impl Process {
    /// Sends one event, through the decoder of the wire; done when it was taken.
    ///
    /// # Panics
    /// Where it is a request.
    pub async fn say(&self, event: Value) {
        self.say_all([event]).await;
    }

    /// Sends events in one batch. What can't be decoded arrives as a bad line.
    ///
    /// # Panics
    /// Where one is a request.
    pub async fn say_all(&self, events: impl IntoIterator<Item = Value>) {
        let events = events
            .into_iter()
            .map(|event| match decode(event.to_string().as_bytes()) {
                Ok(Line::Event(event)) => Event::Wire(event),
                Err(bad) => Event::Bad(bad),
                Ok(other) => panic!("{other:?}: use `ask`"),
            });
        let events = events.collect();
        self.deliver(Delivery {
            events,
            ..Delivery::default()
        })
        .await;
    }

    /// Hands over a batch of any kind.
    pub async fn deliver(&self, delivery: Delivery) {
        self.sink.deliver(delivery).await;
    }

    /// Sends one event and waits until it is committed; what it is answered.
    ///
    /// # Errors
    /// What the runtime answers, or that it does not.
    ///
    /// # Panics
    /// Where it is a request.
    pub async fn acknowledged(&self, event: Value) -> Result<Value, Error> {
        let (reply, answer) = oneshot::channel();
        let event = match decode(event.to_string().as_bytes()) {
            Ok(Line::Event(event)) => Event::Wire(event),
            other => panic!("no event: {other:?}"),
        };
        let delivery = Delivery {
            events: vec![event],
            acknowledgements: vec![Acknowledgement { event: 0, reply }],
            ..Delivery::default()
        };
        self.deliver(delivery).await;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("nobody answers")))
    }

    /// A span starts.
    pub async fn start(&self, id: &str, parent: &str) {
        let start = json!({"type": "span_start", "span_id": id, "name": id, "parent_id": parent});
        self.say(start).await;
    }

    /// A span ends well.
    pub async fn end(&self, id: &str) {
        self.say(json!({"type": "span_end", "span_id": id})).await;
    }

    /// The flow's return value.
    pub async fn output(&self, data: Value) {
        self.say(json!({"type": "output", "data": data})).await;
    }

    /// Asks what a play can ask on its socket.
    ///
    /// # Errors
    /// What the runtime answers.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, Error> {
        let (reply, answer) = oneshot::channel();
        let call = PlayRequest {
            jsonrpc: "2.0".into(),
            id: 1.into(),
            method: method.into(),
            params,
        };
        let requests = vec![Request { call, reply }];
        self.deliver(Delivery {
            requests,
            ..Delivery::default()
        })
        .await;
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("nobody answers")))
    }

    /// Starts a child play from a span; its sid.
    ///
    /// # Errors
    /// What the runtime answers.
    pub async fn invoke(&self, flow: &str, span: &str) -> Result<String, Error> {
        let invoked = self
            .ask("flow_invoke", json!({"name": flow, "span_id": span}))
            .await?;
        Ok(invoked["play_sid"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits for a child play; its record.
    ///
    /// # Errors
    /// What the runtime answers.
    pub async fn wait(&self, child: &str) -> Result<Value, Error> {
        self.ask("play_wait", json!({"play_sid": child})).await
    }

    /// Some virtual time passes.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Never goes on: until it is stopped.
    pub async fn hang(&self) -> ! {
        std::future::pending().await
    }

    /// SIGTERM no longer ends it.
    pub fn ignore_term(&self) {
        self.shared.ignores_term.store(true, Ordering::Relaxed);
    }

    /// Waits for SIGTERM, which no longer ends it.
    pub async fn term(&self) {
        self.ignore_term();
        // An error says that the process is gone, and so is its script.
        drop(
            self.shared
                .termed
                .subscribe()
                .wait_for(|termed| *termed)
                .await,
        );
    }

    /// So many processes of its own will be found and killed at its end.
    pub fn leave_behind(&self, processes: u32) {
        self.shared.left_behind.store(processes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("play", &self.brief.play)
            .finish_non_exhaustive()
    }
}
