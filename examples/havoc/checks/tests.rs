//! Each check finds what it is for, and nothing else.

use super::{outside::in_order, steps::Steps};
use crate::{
    chaos::{Death, Victim},
    load::ledger::Signal,
    witness::tally::Tally,
};

/// The counts that are not zero, by these lines and deaths.
fn found(lines: &str, deaths: &[Death]) -> Vec<(&'static str, usize)> {
    let mut steps = of(lines, deaths);
    let counts = steps.counts().into_iter();
    let counts = counts.map(|(what, found)| (what, found.len()));
    counts.filter(|(_, found)| *found > 0).collect()
}

fn of(lines: &str, deaths: &[Death]) -> Steps {
    let tally = Tally::parse("play".into(), lines);
    Steps::of([Ok(tally)].into_iter(), deaths).expect("it is read")
}

fn death(of: Victim, at: u64) -> Death {
    Death {
        of,
        from: at,
        to: at + 10,
    }
}

const DIES: &str = "attempt 1 100 f 7
begun 1 110 a null
done 1 120 a \"1\"
kept 1 130 a \"1\"
begun 1 140 b null
attempt 2 200 f 8
kept 2 210 a \"1\"
begun 2 220 b null
done 2 230 b \"2\"
kept 2 240 b \"2\"
";

#[test]
fn what_was_under_way_at_a_death_may_be_done_again() {
    for of_it in [Victim::Server, Victim::Process(7)] {
        assert_eq!(found(DIES, &[death(of_it, 150)]), []);
    }
    let steps = of(DIES, &[]);
    assert_eq!((steps.begun, steps.kept), (3, 2));
    assert_eq!((steps.in_flight, steps.again), (1, 1));
    assert_eq!((steps.further_attempts, steps.most_attempts), (1, 2));
}

#[test]
fn without_a_death_nothing_is_done_again_and_no_attempt_follows() {
    let unexplained = [
        ("steps begun again that no death hit", 1),
        ("attempts that no death explains", 1),
    ];
    assert_eq!(found(DIES, &[]), unexplained);
    let of_another = [death(Victim::Process(9), 150)];
    assert_eq!(found(DIES, &of_another), unexplained);
    let too_late = [death(Victim::Server, 300)];
    assert_eq!(found(DIES, &too_late), unexplained);
    let within_one_attempt = "attempt 1 100 f 7\nbegun 1 110 a null\nbegun 1 120 a null\n";
    assert_eq!(
        found(within_one_attempt, &[death(Victim::Server, 115)]),
        [("steps begun again that no death hit", 1)]
    );
}

#[test]
fn an_attempt_that_waits_needs_no_death() {
    let lines = "attempt 1 100 f 7\nwaits 1 110 q \"answer\"\nattempt 2 200 f 8\nkept 2 210 q 1\n";
    assert_eq!(found(lines, &[]), []);
}

#[test]
fn what_was_acknowledged_is_not_begun_and_comes_to_the_same() {
    let died = [death(Victim::Server, 150)];
    let begun = DIES.replace("kept 2 210 a \"1\"", "begun 2 210 a null");
    assert_eq!(
        found(&begun, &died),
        [("steps begun after they were acknowledged", 1)]
    );
    let changed = DIES.replace("kept 2 210 a \"1\"", "kept 2 210 a \"3\"");
    assert_eq!(
        found(&changed, &died),
        [("acknowledged results changed", 1)]
    );
    let of_no_doing = DIES.replace("kept 2 240 b \"2\"", "kept 2 240 b \"3\"");
    assert_eq!(
        found(&of_no_doing, &died),
        [("acknowledged results changed", 1)]
    );
}

#[test]
fn no_attempt_goes_on_beside_a_later_one() {
    let died = [death(Victim::Server, 150)];
    let lines = format!("{DIES}done 1 250 b \"1\"\n");
    assert_eq!(found(&lines, &died), [("attempts beside a later one", 1)]);
    assert_eq!(
        found(&format!("{DIES}done 2 25"), &died),
        [("lines of tallies torn", 1)]
    );
}

#[test]
fn signals_come_in_their_order_and_none_is_passed_over_that_was_acknowledged() {
    let sent: Vec<_> = [(1, true), (2, false), (3, true), (4, true)]
        .map(|(payload, acknowledged)| Signal {
            payload: payload.into(),
            acknowledged,
        })
        .into();
    let got = |got: &[i32]| {
        let got: Vec<serde_json::Value> = got.iter().map(|one| (*one).into()).collect();
        in_order(&sent, &got.iter().collect::<Vec<_>>())
    };
    for fine in [&[][..], &[1], &[1, 2, 3], &[1, 3, 4]] {
        assert!(got(fine), "{fine:?}");
    }
    for wrong in [&[3][..], &[1, 1], &[1, 4], &[1, 3, 2], &[1, 5]] {
        assert!(!got(wrong), "{wrong:?}");
    }
}
