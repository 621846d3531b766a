//! Killed at moments that nobody chose, under load.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;
use serde_json::json;

use super::witness::{Lost, Witness};
use crate::support::{fixture, home::Home, process, server::Server, source};

const KILLS: usize = 25;

/// Numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn a_server_that_is_killed_at_random_moments_is_right_when_it_is_back() {
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let mut dice = Dice(seed.into());
    let mut home = Home::new();
    let mut witness: Option<Witness> = None;
    let mut workflows = Vec::new();
    for kill in 0..KILLS {
        let at = format!("kill {kill}, seed {seed}");
        let server = Server::start_in(home, &["--max-plays", "3"]);
        let now = match witness.take() {
            Some(before) => before.again(&server.address),
            None => Witness::of(server.home(), &server.address),
        };
        now.check_records(&at, &server);
        if workflows.is_empty() {
            for name in ["ok", "nested", "hang"] {
                let (source, file) = (source(name), fixture(name));
                let made = now
                    .create(&json!({"name": name, "python_source": source, "source_file": file}));
                workflows.push(made.unwrap());
            }
        }
        let (pause, pid) = (Duration::from_millis(dice.below(500)), server.pid());
        thread::scope(|scope| {
            for caller in 0..3 {
                let (now, workflows) = (&now, &workflows);
                scope.spawn(move || load(now, workflows, caller));
            }
            // The moment is what is random here: there is nothing to wait for.
            thread::sleep(pause);
            process::signal(pid, Signal::KILL);
        });
        home = server.died().1;
        now.check_file(&at, &home);
        witness = Some(now);
    }
    witness
        .unwrap()
        .check(&format!("the end, seed {seed}"), home);
}

/// Calls until the server is gone.
fn load(witness: &Witness, workflows: &[String], caller: usize) -> Result<(), Lost> {
    for round in 0..8 {
        let sid = match (caller + round) % 3 {
            0 => witness.start(&workflows[0], &json!({"n": round}), json!({}))?,
            1 => witness.start(&workflows[1], &json!({"n": round}), json!({}))?,
            _ => {
                let sid = witness.start(&workflows[2], &json!({}), json!({}))?;
                witness.follow(&sid);
                witness.cancel(&sid)?;
                sid
            }
        };
        if round % 2 == 0 {
            witness.follow(&sid);
            witness.wait(&sid)?;
        }
    }
    Ok(())
}
