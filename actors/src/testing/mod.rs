//! A universe for tests of actors: the real runtime in virtual time, with nothing of the world.
//!
//! One thread, tokio's clock paused, [`MemoryStore`](crate::store::memory::MemoryStore) behind a
//! store that can be made to fail, processes that follow a script ([`FakeAttempts`]), an inspector
//! without Python. Time jumps to the next timer when nothing else is left to do, so an hour costs
//! nothing and what waits for nothing is found at once.
//!
//! A universe must never be outlived: at its end it stops the runtime and fails while any actor,
//! process, waiter, subscription or sink is left.

mod attempts;
mod faults;
pub mod model;
mod process;
pub mod sequences;

use std::{sync::Arc, time::Duration};

use actix_rt::{Arbiter, System};
use protocol::{
    EpochMs, Error, Play, PlaySid, PlayStatus, Result, WorkflowSid,
    rpc::{
        PlayCancel, PlayRef, PlayRunAsync, PlaySpans, PlayWait, SpanPush, StartOptions,
        VersionContent, WorkflowCreate,
    },
    span::SpanWithLogs,
};
use serde_json::Value;
use tokio::time::Instant;

pub use self::{
    attempts::{FakeAttempts, Happened},
    faults::FaultyStore,
    process::Process,
};
use crate::{
    Config, Runtime,
    clock::Clock,
    guardian,
    play::attempt::Attempts,
    process::inspect::FakeInspector,
    registry::{Census, Counts, messages::Unsettled},
    runtime::{recovery, setup::World},
    store::Store,
};

/// How long anything may take, in virtual time: more than every timeout that a test waits for.
const DEADLINE: Duration = Duration::from_secs(100 * 3_600);
/// The time at the universe's start.
pub const BIG_BANG: EpochMs = EpochMs(1e12);

/// How a universe is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    pub max_plays: u32,
    pub dispatch: bool,
    pub default_timeout: Duration,
    pub grace: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            max_plays: 8,
            dispatch: true,
            default_timeout: Duration::from_secs(3_600),
            grace: Duration::from_secs(5),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Universe {
    pub runtime: Runtime,
    pub store: Arc<FaultyStore>,
    pub attempts: Arc<FakeAttempts>,
    pub inspector: FakeInspector,
    pub clock: Clock,
    setup: Setup,
}

/// Runs a test in a universe with the usual setup.
///
/// # Panics
/// Where the test does, or where anything outlives it.
pub fn universe(test: impl AsyncFnOnce(&mut Universe)) {
    Setup::default().run(test);
}

impl Setup {
    /// Runs a test in a universe of this setup.
    ///
    /// # Panics
    /// Where the test does, or where anything outlives it.
    #[expect(clippy::expect_used, reason = "a test that can't start has failed")]
    pub fn run(self, test: impl AsyncFnOnce(&mut Universe)) {
        guardian::listen_to_panics();
        let system = System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a tokio runtime")
        });
        system.block_on(async {
            let mut universe = Universe::create(self).await;
            tokio::time::timeout(DEADLINE, test(&mut universe))
                .await
                .expect("the test waits for something that never happens");
            universe.end().await;
        });
    }
}

impl Universe {
    async fn create(setup: Setup) -> Self {
        let (store, attempts) = (
            Arc::<FaultyStore>::default(),
            Arc::<FakeAttempts>::default(),
        );
        let inspector = FakeInspector::default();
        let clock = Clock::Virtual {
            at_start: BIG_BANG,
            start: Instant::now(),
        };
        let runtime = wire(&setup, &store, &attempts, &inspector, clock);
        Self {
            runtime,
            store,
            attempts,
            inspector,
            clock,
            setup,
        }
    }

    /// Stops the runtime as a server does, and starts another on the same store.
    pub async fn restart(&mut self) {
        self.stop(self.setup.grace).await;
        self.store.reopen();
        self.wire();
    }

    /// The server is killed: from now on it writes nothing, and its processes are gone. See [`Universe::recover`].
    pub fn crash(&self) {
        self.store.shut();
        self.attempts.kill_all();
    }

    /// The next server after a [`crash`](Universe::crash).
    ///
    /// # Panics
    /// Where it can't start.
    #[expect(clippy::expect_used, reason = "a test that can't go on has failed")]
    pub async fn recover(&mut self) {
        // What is left of its actors; an error says that the store is closed to them.
        drop(self.runtime.stop_within(Duration::ZERO).await);
        self.store = Arc::new(self.store.another_door());
        self.attempts = Arc::new(self.attempts.of_another());
        let attempts: Arc<dyn Attempts> = self.attempts.clone();
        recovery::tidy_up(&*self.store, &attempts, self.clock, true)
            .await
            .expect("the plays are recovered");
        self.wire();
    }

    fn wire(&mut self) {
        self.runtime = wire(
            &self.setup,
            &self.store,
            &self.attempts,
            &self.inspector,
            self.clock,
        );
    }

    /// Stops the runtime; nothing may be live afterwards.
    ///
    /// # Panics
    /// Where something is.
    #[expect(
        clippy::expect_used,
        reason = "a runtime that does not stop has failed"
    )]
    pub async fn stop(&self, grace: Duration) {
        tokio::time::timeout(DEADLINE, self.runtime.stop_within(grace))
            .await
            .expect("the runtime does not stop")
            .expect("the store is closed");
        self.attempts.assert_none_alive();
    }

    async fn end(self) {
        self.stop(Duration::ZERO).await;
        let Self {
            runtime,
            store,
            attempts,
            ..
        } = self;
        let registry = runtime.registry().clone();
        until("a waiter is left", async || {
            registry
                .send(Census)
                .await
                .is_ok_and(|counts| counts.waiters == 0 && counts.running == 0)
        })
        .await;
        until("a report is left", async || {
            registry.send(Unsettled).await.is_ok_and(|left| left == 0)
        })
        .await;
        drop((registry, runtime));
        until("a subscription is left", async || {
            store.feed().watched_plays() == 0
        })
        .await;
        until("a sink is left", async || attempts.sinks() == 0).await;
        // The registry, the library and each play's actor hold these.
        until("an actor is left", async || {
            Arc::strong_count(&attempts) == 1 && Arc::strong_count(&store) == 1
        })
        .await;
    }

    /// Registers a flow of this name that takes anything.
    pub async fn flow(&self, name: &str) -> WorkflowSid {
        self.source(
            name,
            &format!("@flow(name=\"{name}\")\ndef f(**inputs):\n    pass\n"),
        )
        .await
    }

    /// Registers a workflow with this source.
    ///
    /// # Panics
    /// Where it is refused.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn source(&self, name: &str, source: &str) -> WorkflowSid {
        let create = WorkflowCreate {
            name: name.into(),
            description: String::new(),
            tags: Vec::new(),
            content: VersionContent {
                python_source: source.into(),
                ..VersionContent::default()
            },
        };
        self.runtime
            .workflow_create(create)
            .await
            .expect("a workflow")
            .sid
    }

    /// Starts a play of this workflow.
    ///
    /// # Errors
    /// As `play_run_async`.
    pub async fn run(&self, workflow: &WorkflowSid) -> Result<PlaySid> {
        self.run_with(workflow, StartOptions::default(), "").await
    }

    /// Starts a play of this workflow.
    ///
    /// # Errors
    /// As `play_run_async`.
    pub async fn run_with(
        &self,
        workflow: &WorkflowSid,
        options: StartOptions,
        parent_span_id: &str,
    ) -> Result<PlaySid> {
        self.runtime
            .play_run_async(PlayRunAsync {
                workflow_sid: workflow.clone(),
                input_data: protocol::rpc::InputData::default(),
                parent_span_id: parent_span_id.into(),
                options,
            })
            .await
    }

    /// Registers a flow, and starts a play of it.
    ///
    /// # Panics
    /// Where that is refused.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn play_of(&self, flow: &str) -> PlaySid {
        let workflow = self.flow(flow).await;
        self.run(&workflow).await.expect("a play")
    }

    /// Waits for a play's end.
    ///
    /// # Panics
    /// Where there is no such play.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn ended(&self, sid: &PlaySid) -> Play {
        self.wait(sid, 0).await.expect("a play")
    }

    /// `play_wait`.
    ///
    /// # Errors
    /// As `play_wait`.
    pub async fn wait(&self, sid: &PlaySid, timeout_ms: u64) -> Result<Play> {
        self.runtime
            .play_wait(PlayWait {
                play_sid: sid.clone(),
                timeout_ms,
            })
            .await
    }

    /// The record as it stands.
    ///
    /// # Panics
    /// Where there is none.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn play(&self, sid: &PlaySid) -> Play {
        self.runtime
            .play_get(PlayRef {
                play_sid: sid.clone(),
            })
            .await
            .expect("a play")
    }

    /// The status as it stands.
    pub async fn status(&self, sid: &PlaySid) -> PlayStatus {
        self.play(sid).await.status
    }

    /// Its spans, in start order.
    ///
    /// # Panics
    /// Where there is no such play.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn spans(&self, sid: &PlaySid) -> Vec<SpanWithLogs> {
        let wanted = PlaySpans {
            play_sid: sid.clone(),
            cursor: None,
            limit: None,
        };
        self.runtime.play_spans(wanted).await.expect("spans").spans
    }

    /// `play_cancel`.
    ///
    /// # Errors
    /// As `play_cancel`.
    pub async fn cancel(&self, sid: &PlaySid) -> Result<Play> {
        self.runtime
            .play_cancel(PlayCancel {
                play_sid: sid.clone(),
                grace_ms: None,
            })
            .await
    }

    /// `span_push`.
    ///
    /// # Errors
    /// As `span_push`.
    pub async fn push(&self, sid: &PlaySid, event: Value) -> Result<bool, Error> {
        let push = SpanPush {
            play_sid: sid.clone(),
            event_json: event.to_string(),
        };
        self.runtime.span_push(push).await
    }

    /// What the registry counts.
    ///
    /// # Panics
    /// Where it is gone.
    #[expect(clippy::expect_used, reason = "for tests")]
    pub async fn pending(&self) -> u64 {
        let store = self.runtime.store();
        store
            .count_plays(PlayStatus::Pending)
            .await
            .expect("a store")
    }

    /// What the registry counts.
    pub async fn counts(&self) -> Counts {
        self.runtime
            .registry()
            .send(Census)
            .await
            .expect("a registry")
    }
}

fn wire(
    setup: &Setup,
    store: &Arc<FaultyStore>,
    attempts: &Arc<FakeAttempts>,
    inspector: &FakeInspector,
    clock: Clock,
) -> Runtime {
    let world = World {
        store: store.clone(),
        attempts: attempts.clone(),
        inspector: Arc::new(inspector.clone()),
        clock,
    };
    let config = Config {
        max_plays: Some(setup.max_plays),
        dispatch: setup.dispatch,
        default_timeout: setup.default_timeout,
        grace: setup.grace,
        ..Config::new("/no/such/place")
    };
    #[expect(clippy::expect_used, reason = "a test that can't start has failed")]
    Runtime::wire(world, &config, vec![Arbiter::current()]).expect("a runtime")
}

/// Waits for a condition.
///
/// # Panics
/// With `otherwise`, where it is not met in a virtual while.
pub async fn until(otherwise: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..20_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{otherwise}");
}
