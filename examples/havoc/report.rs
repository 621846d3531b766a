//! What is printed.

use std::time::Duration;

use crate::{
    chaos::Tally,
    checks::Tallies,
    load::Ledger,
    scenes::{Beside, Crowds, FullDisk, Times},
    witness::Witness,
};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    broken: usize,
}

/// What the kills came to.
#[derive(Debug)]
pub(crate) struct Kills<'a> {
    pub(crate) raged: Duration,
    pub(crate) tally: &'a Tally,
    pub(crate) ledger: &'a Ledger,
    pub(crate) witness: &'a Witness,
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

    pub(crate) fn must_be_zero(&mut self, what: &str, found: Vec<String>) {
        println!("  {what:<36}{:>6}", found.len());
        for one in found.iter().take(10) {
            println!("      {one}");
        }
        self.broken += usize::from(!found.is_empty());
    }

    pub(crate) fn kills(&self, kills: &Kills<'_>) {
        let Kills {
            raged,
            tally,
            ledger,
            witness,
            starts,
        } = kills;
        println!("\nKills under load, {:.0} s", raged.as_secs_f64());
        println!(
            "  killed: the server {}, the guard {}, both {}, processes of plays {}; stopped in order {}",
            tally.server, tally.guard, tally.both, tally.of_plays, tally.stopped
        );
        println!(
            "  from the server's death to the last process of its plays: {}",
            spread(&tally.swept)
        );
        println!("  start until calls are answered: {}", spread(starts));
        println!(
            "  plays accepted {}, starts asked again after a lost answer {}, changes read live {}",
            ledger.accepted(),
            ledger
                .asked_twice
                .load(std::sync::atomic::Ordering::Relaxed),
            witness.events()
        );
        for (end, flows) in ledger.outcomes() {
            let count: u64 = flows.values().sum();
            let flows: Vec<_> = flows
                .iter()
                .map(|(flow, count)| format!("{flow} {count}"))
                .collect();
            println!("    {end:<24}{count:>6}  {}", flows.join(", "));
        }
    }

    pub(crate) fn durable(&self, tallies: &Tallies) {
        println!(
            "  durable plays that began a step {}: steps begun {}, of these again (under way at a death) {}",
            tallies.plays, tallies.begun, tallies.again
        );
        println!("\n  must be zero:");
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
                self.must_be_zero("plays harmed by the full disk", lost);
            }
        }
    }
}
