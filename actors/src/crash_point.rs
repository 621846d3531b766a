//! Named points at which tests let the process die, or an actor panic; in a release they are only traced.
//!
//! `HERO_LOGIC_CRASH_POINT=NAME`, `NAME:N` (when it is reached for the N-th time),
//! `NAME:N:panic` or `NAME:N:panics` (from then on, each time). Anything else ends the process with
//! exit code 2. Without the feature `testing` there are no points and the variable is not read.
//! A point stands wherever something was received and is not answered yet; the black-box tests kill
//! a server at each of them.

/// Of what is traced at each point.
pub const STAGE: &str = "hero_logic::stage";

/// The points, in the order of a play's life.
pub const POINTS: &[&str] = &[
    "library_received",
    "library_committed",
    "library_following",
    "library_followed",
    "start_received",
    "start_committed",
    "start_launched",
    "start_repeated",
    "fork_received",
    "fork_answered",
    "queue_taken",
    "play_started",
    "play_prepared",
    "play_spawned",
    "play_begun",
    "store_began",
    "store_committing",
    "store_committed",
    "store_part_committed",
    "store_published",
    "play_delivered",
    "play_committed",
    "ask_received",
    "ask_answered",
    "child_ended",
    "step_received",
    "step_answered",
    "pause_received",
    "pause_answered",
    "resume_received",
    "resume_answered",
    "signal_received",
    "signal_answered",
    "timer_fired",
    "timer_settled",
    "wait_received",
    "wait_committed",
    "wait_settled",
    "play_woken",
    "cancel_received",
    "cancel_ordered",
    "cancel_recorded",
    "root_ended",
    "play_gone",
    "play_recorded",
    "play_told",
    "play_tidied",
    "attempt_told",
    "waiters_waking",
    "report_taken",
    "stop_received",
    "stop_drained",
    "stop_closed",
    "recovery_begun",
    "recovery_recorded",
    "recovery_done",
    "retention_forgotten",
    "restore_copied",
    "restore_kept",
    "restore_placed",
];

/// This point is reached. Traced too (target [`STAGE`]): so the runtime shows where the time of a play goes.
#[cfg(not(any(test, feature = "testing")))]
#[inline(always)]
pub fn reached(name: &'static str) {
    tracing::trace!(target: STAGE, "{name}");
}

/// This point is reached.
///
/// # Panics
/// Where the environment says so.
#[cfg(any(test, feature = "testing"))]
pub fn reached(name: &'static str) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list");
    tracing::trace!(target: STAGE, "{name}");
    if let Some(point) = armed() {
        point.reached(name);
    }
}

#[cfg(any(test, feature = "testing"))]
fn armed() -> Option<&'static Armed> {
    static ARMED: std::sync::OnceLock<Option<Armed>> = std::sync::OnceLock::new();
    let read = || {
        let text = std::env::var("HERO_LOGIC_CRASH_POINT").ok()?;
        match Armed::parse(&text) {
            Ok(armed) => Some(armed),
            Err(why) => {
                // A test that means another point must not go on without it.
                eprintln!("HERO_LOGIC_CRASH_POINT={text:?}: {why}");
                std::process::exit(2);
            }
        }
    };
    ARMED.get_or_init(read).as_ref()
}

#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
struct Armed {
    name: String,
    /// How often it is still passed.
    left: std::sync::atomic::AtomicI64,
    panics: bool,
    again: bool,
}

#[cfg(any(test, feature = "testing"))]
impl Armed {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, "1"));
        let (nth, how) = rest.split_once(':').unwrap_or((rest, ""));
        if !POINTS.contains(&name) {
            return Err(format!("there is no point {name:?}"));
        }
        let nth = nth.parse().ok().filter(|nth| *nth > 0);
        let nth = nth.ok_or("the second part is no number from 1")?;
        if !["", "panic", "panics"].contains(&how) {
            return Err(format!("{how:?} is neither panic nor panics"));
        }
        Ok(Self {
            name: name.to_owned(),
            left: std::sync::atomic::AtomicI64::new(nth),
            panics: !how.is_empty(),
            again: how == "panics",
        })
    }

    fn reached(&self, name: &str) {
        use std::sync::atomic::Ordering;
        if self.name != name {
            return;
        }
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left > 1 || left < 1 && !self.again {
            return;
        }
        if self.panics {
            panic!("the crash point {name} is reached");
        }
        // Like the kernel's: nothing is written out, no destructor runs.
        let killed =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        panic!("failed to die at {name}: {killed:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_panics_when_it_is_reached_for_the_nth_time() {
        let armed = Armed::parse("store_began:3:panic").unwrap();
        let reached = |name: &str| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| armed.reached(name))).is_err()
        };
        assert!(!reached("store_began") && !reached("other") && !reached("store_began"));
        assert!(reached("store_began"));
        assert!(!reached("store_began"), "once");
        let armed = Armed::parse("store_began:2:panics").unwrap();
        let reached = || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                armed.reached("store_began")
            }))
        };
        assert!(reached().is_ok());
        assert!(reached().is_err() && reached().is_err(), "each time");
    }

    #[test]
    fn what_names_no_point_is_refused() {
        for text in [
            "",
            "renamed",
            "store_begin:1",
            "store_began:",
            "store_began:0",
            "store_began:x",
            "store_began:1:panik",
        ] {
            assert!(Armed::parse(text).is_err(), "{text:?}");
        }
        for name in POINTS {
            assert!(Armed::parse(name).is_ok());
        }
    }
}
