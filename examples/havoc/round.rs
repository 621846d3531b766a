//! One round: load, and chaos under it; then everything settles, and what must be zero is counted.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    chaos::{Bound, Chaos},
    checks::{
        self, Count, Evidence, left,
        records::{self, Records},
        steps::Steps,
    },
    disk::SmallDisk,
    load::{Caller, Mix, ledger::Ledger},
    processes,
    report::{self, Report},
    rng::Rng,
    scenes::Done,
    server::{Reach, Server},
    witness::{
        feed::Feed,
        tally::{Tally, VARIABLE},
    },
};

/// How long everything may take to come to its end once nothing dies any more.
const SETTLED: Duration = Duration::from_secs(120);

/// Where and how a round is played.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    /// Its logs, and what plays say outside.
    pub(crate) dir: PathBuf,
    /// Where the server's directory is, if not there: a disk that fills and empties.
    pub(crate) disk: Option<&'a SmallDisk>,
    pub(crate) seconds: u64,
    /// At least as many deaths of the server.
    pub(crate) kills: u64,
    pub(crate) callers: u32,
    pub(crate) max_plays: u32,
    pub(crate) rng: Rng,
}

impl Round<'_> {
    pub(crate) async fn play(
        mut self,
        interrupted: &Arc<AtomicBool>,
        report: &mut Report,
    ) -> Done<()> {
        let tallies = self.dir.join("tallies");
        std::fs::create_dir_all(&tallies)?;
        let home = self.disk.map_or(&self.dir, |disk| &disk.path);
        let mut server = Server::new(&home.join("data"), self.max_plays)
            .with_log(self.dir.join("server.log"))
            .with_env(VARIABLE, tallies.clone());
        std::fs::create_dir_all(&server.data_dir)?;
        server.start().await?;
        let reach = server.reach();
        let (ledger, feed) = (Arc::new(Ledger::default()), Arc::new(Feed::default()));
        let enough = Arc::new(AtomicBool::new(false));
        let mut callers = self.callers(&reach, &ledger, &enough).await?;
        let watching = tokio::spawn(feed.clone().watch(reach.clone(), enough.clone()));
        let began = Instant::now();
        let bound = Bound {
            until: began + Duration::from_secs(self.seconds),
            server_kills: self.kills,
        };
        let chaos = Chaos::new(&mut server, self.disk, self.rng.split());
        let tally = chaos.rage(bound, interrupted).await;
        let raged = began.elapsed();
        enough.store(true, Ordering::Relaxed);
        settle(&reach, &mut callers).await?;
        callers.shutdown().await;
        watching.abort();

        let book = ledger.close();
        let mut steps = Steps::of(Tally::all(&tallies)?, &tally.deaths)?;
        let records = Records::of(&reach).await?;
        let evidence = Evidence {
            book: &book,
            steps: &mut steps,
            records: &records,
            reach: &reach,
        };
        let mut counts = checks::judge(evidence).await?;
        counts.push(("change numbers reused", feed.take_reused()));
        server.stop().await?;
        counts.extend(left_by(&tally));
        counts.extend(left_in(&server.data_dir, &records)?);
        let round = report::Round {
            on: match self.disk {
                Some(disk) => format!(
                    "on a disk of {} MiB that fills and empties",
                    disk.bytes >> 20
                ),
                None => "on the disk".to_owned(),
            },
            raged,
            tally: &tally,
            book: &book,
            steps: &steps,
            records: &records,
            feed: &feed,
            starts: &server.starts,
        };
        report.round(&round, counts);
        if let Some(disk) = self.disk
            && report.broken() > 0
        {
            keep(&disk.path, &self.dir)?;
        }
        Ok(())
    }

    async fn callers(
        &mut self,
        reach: &Reach,
        ledger: &Arc<Ledger>,
        enough: &Arc<AtomicBool>,
    ) -> Done<tokio::task::JoinSet<()>> {
        let flows = Arc::new(reach.register().await?);
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..self.callers {
            let caller = Caller {
                reach: reach.clone(),
                flows: flows.clone(),
                ledger: ledger.clone(),
                enough: enough.clone(),
                mix: if self.disk.is_some() {
                    Mix::Durable
                } else {
                    Mix::All
                },
                rng: self.rng.split(),
            };
            callers.spawn(caller.run());
        }
        Ok(callers)
    }
}

/// What is on a small disk goes with it: where something did not hold, it is looked at later.
fn keep(disk: &Path, dir: &Path) -> std::io::Result<()> {
    let copied = Command::new("cp").arg("-r").arg(disk).arg(dir).status()?;
    if copied.success() {
        Ok(())
    } else {
        Err(std::io::Error::other("failed to keep the small disk"))
    }
}

/// Nothing is killed any more: who still waits is answered, and what runs comes to its end. What does not
/// is found by the checks.
async fn settle(reach: &Reach, callers: &mut tokio::task::JoinSet<()>) -> Result<(), String> {
    let settled = async {
        while callers.join_next().await.is_some() {}
        while records::at_work(reach).await? > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    };
    tokio::time::timeout(SETTLED, settled)
        .await
        .unwrap_or(Ok(()))
}

/// What the deaths left behind.
fn left_by(tally: &crate::chaos::Tally) -> Vec<Count> {
    let processes = processes::wait_for_none(&[], Duration::from_secs(2));
    let processes = processes.err().into_iter().flatten();
    let unguarded = (tally.unguarded > 0).then(|| format!("{} times", tally.unguarded));
    vec![
        ("processes left by a dead server", tally.left.clone()),
        (
            "processes left after the stop",
            processes.map(|seen| format!("{seen:?}")).collect(),
        ),
        ("guards not replaced", unguarded.into_iter().collect()),
        ("errors of the server", tally.errors.clone()),
    ]
}

/// What is left in the directory that no server has.
fn left_in(data_dir: &Path, records: &Records) -> Result<Vec<Count>, String> {
    let known = records.sids().collect();
    Ok(vec![
        ("directories left", left::directories(data_dir, &known)),
        ("integrity errors", left::integrity(data_dir)?),
    ])
}
