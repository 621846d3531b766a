//! How the runtime is: whether its parts answer, and its figures.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use protocol::{
    EpochMs, PlayStatus, Result,
    overview::StatusCounts,
    rpc::FlowLibrarySearch,
    server::{
        Check, Diagnosis, PartHealth, ServerHealth, ServerStatus, SinceStart, Slots, StoreStatus,
    },
};

use super::Runtime;
use crate::{
    doctor,
    figures::Family,
    process::{self, Warm},
    registry::Census,
    store::settle,
};

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Runtime {
    /// Whether registry, library and store answer, each within 5 s; all are asked at once.
    pub async fn health(&self) -> ServerHealth {
        let search = FlowLibrarySearch {
            query: String::new(),
            limit: 1,
        };
        let reads = self.store().last_seq();
        let parts = futures_util::future::join4(
            part("registry", async {
                self.ask(Census).await.map(drop).map_err(|e| e.message)
            }),
            part("library", async {
                let found = self.library().search(search).await;
                found.map(drop).map_err(|e| e.message)
            }),
            part("store_reads", async {
                reads.await.map(drop).map_err(|e| e.to_string())
            }),
            part("store_writes", self.writes()),
        );
        let parts: [_; 4] = parts.await.into();
        ServerHealth {
            ok: parts.iter().all(|part| part.ok),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            parts: parts.into(),
        }
    }

    /// Whether the writer answers and says that it can write.
    async fn writes(&self) -> std::result::Result<(), String> {
        settle(&**self.store()).await.map_err(|e| e.to_string())?;
        match self.store().health().borrow().reason() {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }

    /// Everything that is counted.
    ///
    /// # Errors
    /// `unavailable` where the runtime is stopping; what the store says.
    pub async fn figures(&self) -> Result<Vec<Family>> {
        let counts = self.ask(Census).await?;
        let pending = self.store().count_plays(PlayStatus::Pending).await?;
        let restarts = self.restarts();
        let mut restarted = Family::counter(
            "restarts_total",
            "Parts that were replaced after they died.",
        );
        for (part, count) in restarts {
            restarted = restarted.and(&[("part", part)], count);
        }
        let mut families = vec![
            Family::gauge("build_info", "Always 1; the label tells the version.")
                .and(&[("version", env!("CARGO_PKG_VERSION"))], 1_u32),
            Family::gauge("uptime_seconds", "Since the server started.")
                .of(EpochMs::now().since(self.inner.started_at) / 1e3),
            Family::gauge("plays", "Plays that run, and plays that wait for a slot.")
                .and(&[("status", "running")], counts.running)
                .and(&[("status", "pending")], pending),
            Family::gauge(
                "plays_waiting_for_child",
                "Running plays that wait for a play that they started, and hold no slot.",
            )
            .of(counts.waiting),
            Family::gauge("max_plays", "How many plays may have a process at once.")
                .of(counts.limit),
            Family::gauge("waiters", "Callers that wait for the end of a play.").of(counts.waiters),
            restarted,
        ];
        families.extend(self.store().feed().families());
        families.extend(self.store().figures());
        families.extend(self.inner.keeper.families());
        families.extend(self.disk());
        families.extend(process());
        Ok(families)
    }

    /// What it does just now, and did lately.
    ///
    /// # Errors
    /// `unavailable` where the runtime is stopping; what the store says.
    pub async fn server_status(&self) -> Result<ServerStatus> {
        let counts = self.ask(Census).await?;
        let mut plays = StatusCounts::default();
        for status in PlayStatus::ALL {
            plays.add_many(status, self.store().count_plays(status).await?);
        }
        let (last_minute, totals) = self.inner.pulse.read();
        let restarts = self.restarts();
        let own = process::own_usage();
        let now = EpochMs::now();
        Ok(ServerStatus {
            now,
            started_at: self.inner.started_at,
            uptime_ms: now.since(self.inner.started_at),
            slots: Slots {
                limit: counts.limit,
                running: counts.running,
                waiting_for_child: counts.waiting,
            },
            pending: plays.pending,
            awaiting_resume: plays.awaiting_resume,
            warm: self
                .inner
                .warm
                .as_ref()
                .map(Warm::census)
                .unwrap_or_default(),
            store: StoreStatus {
                plays: plays.total(),
                bytes: self.store().file_bytes(),
                disk_free_bytes: self.disk_free(),
            },
            last_minute,
            since_start: SinceStart {
                plays_started: totals.created,
                plays_ended: totals.ended,
                restarts: BTreeMap::from(restarts.map(|(part, count)| (part.to_owned(), count))),
            },
            memory_bytes: own.resident_bytes,
            open_files: own.open_files,
            trouble: self.trouble(),
        })
    }

    /// How often parts were replaced.
    fn restarts(&self) -> [(&'static str, u64); 3] {
        [
            ("registry", self.registry().restarts()),
            ("library", self.library().seat().restarts()),
            ("guard", self.guard_restarts().unwrap_or(0)),
        ]
    }

    /// Looks at everything that can be wrong with this server and where it runs; some seconds at most.
    pub async fn diagnose(&self) -> Diagnosis {
        let (mut checks, health) =
            futures_util::future::join(doctor::look(&self.inner.subject), self.health()).await;
        let wrong: Vec<_> = health
            .parts
            .iter()
            .filter_map(|part| Some(format!("{}: {}", part.name, part.reason.as_ref()?)))
            .collect();
        checks.push(if health.ok {
            Check::ok("health", "registry, library and store answer")
        } else {
            Check::broken("health", wrong.join("; "))
        });
        checks.push(self.guarded());
        checks.push(self.inner.keeper.check(PATIENCE).await);
        let notes = self
            .inner
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        checks.extend(notes.iter().cloned());
        Diagnosis::new(env!("CARGO_PKG_VERSION"), checks)
    }

    fn guarded(&self) -> Check {
        let lacking = "where the server is killed, what plays started is ended by the next start";
        let Some(guard) = &self.inner.guard else {
            return Check::warning("guard", format!("no guard process: {lacking}"));
        };
        let (there, restarts) = (guard.is_there(), guard.restarts());
        let check = match restarts {
            _ if !there => Check::warning("guard", format!("no guard process just now: {lacking}"))
                .hint("it is tried again; see the log for why"),
            0 => Check::ok("guard", "the guard process is there"),
            times => Check::warning(
                "guard",
                format!("the guard process is there; it was replaced {times} times"),
            )
            .hint("see the log for what ends it"),
        };
        check.fact("there", there).fact("restarts", restarts)
    }

    /// Something that [`Runtime::diagnose`] is to tell too, for whoever serves this runtime. Replaces what
    /// had this id.
    pub fn note(&self, check: Check) {
        let mut notes = self
            .inner
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        notes.retain(|note| note.id != check.id);
        notes.push(check);
    }

    fn disk(&self) -> Option<Family> {
        let family = Family::gauge(
            "disk_free_bytes",
            "Free space where the data directory is, for this user.",
        );
        Some(family.of(self.disk_free()?))
    }

    fn disk_free(&self) -> Option<u64> {
        let about = rustix::fs::statvfs(&self.inner.data_dir).ok()?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }
}

fn process() -> Vec<Family> {
    let process::OwnUsage {
        resident_bytes,
        open_files,
    } = process::own_usage();
    let resident = resident_bytes.map(|bytes| {
        Family::gauge(
            "process_resident_memory_bytes",
            "Memory of the server itself, without its plays.",
        )
        .of(bytes)
    });
    let open = open_files.map(|count| {
        Family::gauge("process_open_fds", "File descriptors of the server.").of(count)
    });
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .map(|limit| Family::gauge("process_max_fds", "How many it may have.").of(limit));
    resident.into_iter().chain(open).chain(most).collect()
}

async fn part(
    name: &str,
    answer: impl Future<Output = std::result::Result<(), String>>,
) -> PartHealth {
    let result = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(format!("it did not answer within {PATIENCE:?}")));
    PartHealth {
        name: name.to_owned(),
        ok: result.is_ok(),
        reason: result.err(),
    }
}
