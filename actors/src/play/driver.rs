//! The tasks around one process, from its start until everything that it said was delivered.

use std::{os::unix::process::ExitStatusExt, path::PathBuf, sync::Arc};

use protocol::{LogStream, SpanStatus, Usage, rpc::StartMode};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tracing::Instrument;

use super::{
    orders::Orders,
    outcome::{Ended, Exit},
    stop::{StopOrder, StopReason},
};
use crate::{
    ingest::{Delivery, Event, Sink, capture::capture, socket::SpanSocket},
    process::{
        Child, End,
        spawn::Spawned,
        stacks,
        watch::{Seen, Watching},
    },
};

/// A process that was started, and who listens to it.
pub(super) struct Driver {
    child: Child,
    watching: Watching,
    sink: Arc<dyn Sink>,
    reading: JoinHandle<()>,
    output: [JoinHandle<()>; 2],
    /// Where its stacks are written to.
    stacks: PathBuf,
    /// Where the SDK stands.
    sdk: PathBuf,
    process_gone: watch::Sender<bool>,
    writers_gone: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn new(
        spawned: Spawned,
        mut socket: SpanSocket,
        sink: Arc<dyn Sink>,
        watching: Watching,
        stacks: PathBuf,
        sdk: PathBuf,
    ) -> Self {
        let (writers_gone, gone_signal) = oneshot::channel();
        let (process_gone, ends) = watch::channel(false);
        let (out, err) = (spawned.stdout, spawned.stderr);
        if let Some(events) = spawned.events {
            socket.connected(events);
        }
        Self {
            child: spawned.child,
            reading: tokio::spawn(socket.run(sink.clone(), gone_signal).in_current_span()),
            output: [
                tokio::spawn(
                    capture(out, LogStream::Stdout, sink.clone(), ends.clone()).in_current_span(),
                ),
                tokio::spawn(capture(err, LogStream::Stderr, sink.clone(), ends).in_current_span()),
            ],
            sink,
            watching,
            stacks,
            sdk,
            process_gone,
            writers_gone,
        }
    }

    /// Which process it is.
    pub(super) fn process(&self) -> protocol::ProcessId {
        self.child.id()
    }

    /// Until its end; what `orders` hold, and will hold, is carried out.
    pub(super) async fn run(mut self, mut orders: Orders) -> Ended {
        let (stop, stop_signal) = watch::channel(None);
        let (pid, warm) = (self.child.id().pid, self.child.is_warm());
        let mut running = std::pin::pin!(self.child.run(stop_signal));
        let (mut told, mut limit_hit) = (false, false);
        let mut sampled = None;
        // One may have come before it had started.
        let mut next: Option<StopOrder> = orders.held().cloned();
        let end = loop {
            if let Some(order) = next {
                if !told {
                    told = true;
                    // Told ahead of the signal, but not waited for: a stop waits for nobody.
                    let status = SpanStatus::of_outcome(order.reason.status());
                    tokio::spawn(self.sink.deliver(Delivery {
                        events: vec![Event::Stopping(status)],
                        ..Delivery::default()
                    }));
                    // Before the first signal, which changes what is seen. But who has hit a limit
                    // and gets no grace is not asked anything.
                    let at_once =
                        matches!(order.reason, StopReason::Limit(_)) && order.grace.is_zero();
                    if !at_once {
                        tokio::select! {
                            mut end = &mut running => {
                                // By itself, unless the question was too much for it.
                                end.stopped |= end.status.as_ref().is_ok_and(|s| s.signal().is_some());
                                break end;
                            }
                            text = Box::pin(stacks::sample(pid, &self.stacks)) => sampled = text,
                        }
                    }
                }
                stop.send_replace(Some(order.grace));
            }
            tokio::select! {
                end = &mut running => break end,
                order = orders.next() => next = Some(order),
                hit = self.watching.hit(), if !limit_hit => {
                    limit_hit = true;
                    next = Some(orders.limit(hit));
                }
            }
        };
        let seen = self.watching.seen();
        self.process_gone.send_replace(true);
        // An error only says that the reading has ended by itself.
        self.writers_gone.send(()).ok();
        let [out, err] = self.output;
        let (out, err, events) = tokio::join!(out, err, self.reading);
        for reading in [out, err] {
            if let Err(error) = reading {
                tracing::error!(%error, "the reading of a play's output failed");
            }
        }
        if let Err(error) = events {
            tracing::error!(%error, "the reading of a span socket failed");
        }
        let mut ended = ended(end, orders, seen, warm);
        ended.stacks =
            sampled.map_or_else(Vec::new, |text| super::stacks::stacks(&text, &self.sdk));
        ended
    }
}

fn ended(end: End, orders: Orders, seen: Seen, warm: bool) -> Ended {
    let exit = match end.status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown(format!("the process ended as {status}")),
        },
        Err(why) => Exit::Unknown(why),
    };
    Ended {
        exit,
        stopped: orders.into_reason().filter(|_| end.stopped),
        usage: Usage {
            cpu_ms: (end.cpu + seen.lost_cpu).max(seen.cpu).as_secs_f64() * 1_000.0,
            peak_memory_bytes: if end.peak_is_its_own || seen.peak_memory_bytes == 0 {
                end.peak_memory_bytes.max(seen.peak_memory_bytes)
            } else {
                seen.peak_memory_bytes
            },
            processes: end.processes.max(seen.peak_processes),
            killed: end.killed,
            start: Some(if warm {
                StartMode::Warm
            } else {
                StartMode::Cold
            }),
        },
        killed: end.killed,
        stacks: Vec::new(),
    }
}
