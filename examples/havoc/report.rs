//! What is printed.

use std::time::Duration;

use crate::{
    chaos::Tally,
    checks::{Count, records::Records, steps::Steps},
    load::ledger::{Book, Counts},
    scenes::{Times, crowds::Crowds, floods::Beside, full_disk::FullDisk},
    witness::feed::Feed,
};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    broken: usize,
}

/// What a round came to.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    pub(crate) on: String,
    pub(crate) raged: Duration,
    pub(crate) tally: &'a Tally,
    pub(crate) book: &'a Book,
    pub(crate) steps: &'a Steps,
    pub(crate) records: &'a Records,
    pub(crate) feed: &'a Feed,
    pub(crate) starts: &'a [Duration],
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn spread(times: &[Duration]) -> String {
    let times = Times::new(times.to_vec());
    format!(
        "median {}, 95 % {}, longest {}",
        ms(times.percentile(50)),
        ms(times.percentile(95)),
        ms(times.percentile(100))
    )
}

impl Report {
    /// How many counts are not zero that must be.
    pub(crate) fn broken(&self) -> usize {
        self.broken
    }

    pub(crate) fn must_be_zero(&mut self, (what, found): Count) {
        println!("  {what:<44}{:>6}", found.len());
        for one in found.iter().take(10) {
            println!("      {one}");
        }
        self.broken += usize::from(!found.is_empty());
    }

    /// Something could not be tried here.
    pub(crate) fn left_out(&self, what: &str, why: &str) {
        println!("\nLEFT OUT: {what}: {why}");
    }

    pub(crate) fn round(&mut self, round: &Round<'_>, counts: Vec<Count>) {
        println!(
            "\nKills under load, {:.0} s, {}",
            round.raged.as_secs_f64(),
            round.on
        );
        deaths(round.tally);
        println!("  start until calls are answered: {}", spread(round.starts));
        plays(round);
        steps(round.steps);
        outside(&round.book.counts);
        println!("\n  must be zero:");
        for count in counts {
            self.must_be_zero(count);
        }
    }

    pub(crate) fn floods(&self, rows: &[Beside]) {
        println!("\nA trivial play, from its start to the answer of play_wait, beside");
        println!(
            "  {:<22}{:>11}{:>11}{:>11}{:>14}  the flood",
            "", "median", "95 %", "longest", "server RSS"
        );
        for row in rows {
            println!(
                "  {:<22}{:>11}{:>11}{:>11}{:>14}  {}",
                row.what,
                ms(row.times.percentile(50)),
                ms(row.times.percentile(95)),
                ms(row.times.percentile(100)),
                mib(row.server_memory),
                row.ends.join(", ")
            );
        }
    }

    pub(crate) fn crowds(&self, crowds: &Crowds) {
        println!(
            "\nCrowds (server RSS before: {})",
            mib(crowds.memory_before)
        );
        println!(
            "  {} waiters on one play: all told {} after its cancel was answered; RSS {}",
            crowds.waiters,
            ms(crowds.one_play),
            mib(crowds.one_play_memory)
        );
        println!(
            "  one on each of {} pending plays: all cancelled and told in {}; RSS {}",
            crowds.waiters,
            ms(crowds.many_plays),
            mib(crowds.many_plays_memory)
        );
        println!(
            "  {} dead readers of a flood of spans: a trivial play beside them takes {} (95 % {}); RSS {}",
            crowds.readers,
            ms(crowds.beside_dead_readers.percentile(50)),
            ms(crowds.beside_dead_readers.percentile(95)),
            mib(crowds.dead_readers_memory)
        );
    }

    pub(crate) fn full_disk(&mut self, scene: &Result<FullDisk, String>) {
        println!("\nA full disk");
        match scene {
            Err(why) => println!("  not tried: {why}"),
            Ok(scene) => {
                println!(
                    "  {} of tmpfs filled under {} plays; a call meanwhile: {}",
                    mib(scene.bytes),
                    scene.plays,
                    scene.refused
                );
                println!(
                    "  space given back: all ended in {} as {}",
                    ms(scene.recovered),
                    scene.ends.join(", ")
                );
                let lost = scene
                    .ends
                    .iter()
                    .filter(|end| *end != "success")
                    .cloned()
                    .collect();
                self.must_be_zero(("plays harmed by the full disk", lost));
            }
        }
    }
}

fn deaths(tally: &Tally) {
    println!(
        "  killed: the server {}, the guard {}, both {}, processes of plays {}, fork servers {}, processes \
         forked ahead {}; stopped in order {}",
        tally.server,
        tally.guard,
        tally.both,
        tally.of_plays,
        tally.fork_servers,
        tally.spares,
        tally.stopped
    );
    if tally.filled > 0 {
        println!(
            "  the disk was filled {} times, {:.1} s in all; the server died on a full disk {} times, and {} \
             starts had to wait for space",
            tally.filled,
            tally.full_for.as_secs_f64(),
            tally.server_while_full,
            tally.starts_without_space
        );
    }
    println!(
        "  from the server's death to the last process of its plays: {}",
        spread(&tally.swept)
    );
}

fn plays(round: &Round<'_>) {
    let Round {
        book,
        records,
        feed,
        ..
    } = round;
    println!(
        "  plays accepted {}, durable {} of them; with their child plays {}; awaiting at the end {}; changes \
         read live {}",
        book.plays.len(),
        book.durable(),
        records.sids().count(),
        records.with_status("awaiting_resume"),
        feed.events()
    );
    for (end, flows) in book.outcomes() {
        let count: u64 = flows.values().sum();
        let flows: Vec<_> = flows
            .iter()
            .map(|(flow, count)| format!("{flow} {count}"))
            .collect();
        println!("    {end:<26}{count:>6}  {}", flows.join(", "));
    }
}

fn steps(steps: &Steps) {
    println!(
        "  durable plays that began: {} (child plays too); attempts after the first {}, most of one play {}",
        steps.plays.len(),
        steps.further_attempts,
        steps.most_attempts
    );
    println!(
        "  steps: begun {}, acknowledged {}, under way at a death {}, done again {}",
        steps.begun, steps.kept, steps.in_flight, steps.again
    );
    println!(
        "  from a play's last sign before a death to its next one: {}",
        spread(&steps.recoveries)
    );
}

fn outside(counts: &Counts) {
    println!(
        "  answers acknowledged: {} by call, {} by webhook; refused as answered before: {}; signals \
         acknowledged: {}; not told whether taken: {}",
        counts.answered_by_call,
        counts.answered_by_webhook,
        counts.answered_before,
        counts.signals,
        counts.uncertain
    );
    println!(
        "  starts raced by three callers {}, asked again after a lost answer {}; forks {}, retries {}",
        counts.raced, counts.asked_twice, counts.forks, counts.retries
    );
}
