//! The server is killed wherever something for a durable play was received or is about to be answered.
//!
//! Short tours instead of random sequences, so that each point is reached; what must hold then is what the model
//! says, as ever.

use std::{collections::VecDeque, sync::Mutex, thread};

use actors::testing::{
    model::script::{Limit, Move},
    sequences::{Driver, End},
};

use super::{AT_ONCE, on_a_thread, real::Real};

/// A way on which a server comes to points.
#[derive(Clone, Copy, Debug)]
enum Tour {
    Waits,
    Fails,
    TakesItsTime,
    IsCancelled,
    Recovers,
    Rests,
}

/// Where, and at the how-manieth time; several times for what is reached on several ways.
const TOURS: &[(Tour, &[&str])] = &[
    (
        Tour::Waits,
        &[
            "start_repeated:1",
            "fork_received:1",
            "fork_answered:1",
            "step_received:1",
            "step_received:2",
            "step_answered:1",
            "step_answered:2",
            "pause_received:1",
            "pause_received:3",
            "pause_answered:1",
            "pause_answered:2",
            "pause_answered:3",
            "resume_received:1",
            "resume_received:2",
            "resume_answered:1",
            "resume_answered:2",
            "signal_received:1",
            "signal_received:2",
            "signal_answered:1",
            "signal_answered:2",
            "wait_received:1",
            "wait_received:4",
            "wait_committed:1",
            "wait_settled:2",
            "wait_settled:4",
            "play_woken:1",
            "attempt_told:1",
            "attempt_told:2",
        ],
    ),
    (Tour::Fails, &["fork_received:1", "fork_answered:1"]),
    (
        Tour::TakesItsTime,
        &["timer_fired:1", "timer_settled:1", "timer_settled:2"],
    ),
    (Tour::IsCancelled, &["cancel_recorded:1"]),
    (
        Tour::Recovers,
        &[
            "recovery_begun:1",
            "recovery_recorded:1",
            "recovery_recorded:2",
            "recovery_done:1",
        ],
    ),
    (
        Tour::Rests,
        &[
            "pause_received:2",
            "pause_answered:2",
            "child_ended:1",
            "wait_committed:2",
        ],
    ),
];

/// Enough for all.
const SLOTS: u32 = 16;

/// The names of all that are come to here.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let points = TOURS.iter().flat_map(|(_, points)| points.iter());
    points.filter_map(|at| at.split(':').next())
}

#[test]
fn a_server_that_is_killed_at_any_point_keeps_what_it_has_acknowledged() {
    let all = TOURS
        .iter()
        .flat_map(|(tour, points)| points.iter().map(move |at| (*tour, *at)));
    let left = Mutex::new(all.collect::<VecDeque<_>>());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((tour, at)) = left.lock().unwrap().pop_front() else {
                        return;
                    };
                    if std::panic::catch_unwind(|| killed_at(tour, at)).is_err() {
                        println!("{at}: see above");
                        wrong.lock().unwrap().push(at);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "see above: {wrong:?}");
}

fn killed_at(tour: Tour, at: &str) {
    let of_recovery = matches!(tour, Tour::Recovers);
    let armed = Some(at.to_owned()).filter(|_| !of_recovery);
    on_a_thread(async {
        let mut driver = Driver::start(Real::new(SLOTS), SLOTS, armed).await;
        match tour {
            Tour::Waits => waits(&mut driver).await,
            Tour::Fails => fails(&mut driver).await,
            Tour::TakesItsTime => takes_its_time(&mut driver).await,
            Tour::IsCancelled => is_cancelled(&mut driver).await,
            Tour::Recovers => recovers(&mut driver, at).await,
            Tour::Rests => rests(&mut driver).await,
        }
        assert_eq!(driver.died_at(), [at], "where it died");
        driver.finish().await;
        driver.close().await;
    });
}

fn step(id: u8) -> Move {
    Move::Step { id, caught: false }
}

fn ask(name: u8) -> Move {
    Move::Ask {
        name,
        limit: Limit::Never,
    }
}

fn event(name: u8, limit: Limit) -> Move {
    Move::Event { name, limit }
}

/// Answers and signals: to one that runs and to one that waits, early and in time.
async fn waits(driver: &mut Driver<Real>) {
    let at_once = vec![ask(0), step(1), event(1, Limit::Never)];
    let script = [
        step(0),
        Move::Together(at_once),
        event(2, Limit::Never),
        ask(2),
    ];
    let play = driver.start_with(&script, Some(0)).await;
    driver.start_with(&script, Some(0)).await;
    driver.let_go(play, false).await;
    driver.signal(play, 2).await;
    driver.answer(play, 0).await;
    driver.signal(play, 1).await;
    driver.let_go(play, false).await;
    driver.fork(play, None, None).await;
    driver.settle(false).await;
    driver.answer(play, 2).await;
}

async fn fails(driver: &mut Driver<Real>) {
    let play = driver.start_with(&[step(0), step(1)], None).await;
    driver.let_go(play, false).await;
    driver.let_go(play, true).await;
    driver.retry(play, false).await;
    driver.settle(false).await;
}

async fn takes_its_time(driver: &mut Driver<Real>) {
    let script = [event(0, Limit::Default), ask(1), event(1, Limit::Raise)];
    let play = driver.start_with(&script, None).await;
    driver.settle(true).await;
    driver.answer(play, 1).await;
    driver.settle(true).await;
}

async fn is_cancelled(driver: &mut Driver<Real>) {
    let play = driver.start_with(&[step(0), ask(0)], None).await;
    driver.let_go(play, false).await;
    driver.cancel(play).await;
}

/// Plays that run, one that waits, one that waits for another; the next server dies while it sees to them.
async fn recovers(driver: &mut Driver<Real>, at: &str) {
    let both = Move::Together(vec![step(0), ask(0)]);
    let first = driver.start_with(&[step(0), both, step(1)], None).await;
    driver.let_go(first, false).await;
    driver.start_with(&[ask(0)], None).await;
    let child = Move::Child {
        id: 0,
        moves: vec![step(0), ask(0)],
    };
    let parent = driver.start_with(&[step(2), child], None).await;
    driver.let_go(parent, false).await;
    driver.restart(End::Killed, Some(at.to_owned())).await;
    driver.settle(false).await;
}

/// A parent waits without a process for a child that does so.
async fn rests(driver: &mut Driver<Real>) {
    let child = Move::Child {
        id: 0,
        moves: vec![ask(0)],
    };
    let parent = driver.start_with(&[child, step(0)], None).await;
    driver.answer(parent + 1, 0).await;
}
