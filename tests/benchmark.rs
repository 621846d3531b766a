//! The pure parts of the benchmark (`benches/compare`): its figures are no better than its arithmetic.

#[path = "../benches/compare/file_system.rs"]
mod file_system;
#[path = "../benches/compare/report.rs"]
mod report;
#[path = "../benches/compare/stats.rs"]
mod stats;
#[path = "../benches/compare/table.rs"]
mod table;

use std::path::Path;

use crate::{
    report::{Found, Line, Role, Row},
    stats::{Rounds, columns},
    table::{figure, render},
};

#[test]
fn a_directory_is_on_the_file_system_that_is_mounted_nearest_to_it() {
    let mounts = "\
overlay / overlay rw 0 0
/dev/vdb /data ext4 rw 0 0
tmpfs /data/fast tmpfs rw 0 0
/dev/vdc /data xfs rw 0 0
broken
";
    let of = |dir: &str| file_system::kind(mounts, Path::new(dir));
    assert_eq!(of("/tmp").as_deref(), Some("overlay"));
    assert_eq!(of("/data/fast/run").as_deref(), Some("tmpfs"));
    // What was mounted last at a place hides what was there.
    assert_eq!(of("/data/slow").as_deref(), Some("xfs"));
    assert_eq!(of("/database").as_deref(), Some("overlay"));
    assert_eq!(file_system::kind("", Path::new("/tmp")), None);
}

fn rounds(of: &[&[f64]]) -> Rounds {
    let mut rounds = Rounds::default();
    for round in of {
        rounds.push(round.to_vec());
    }
    rounds
}

#[test]
fn a_quantile_is_a_sample_that_this_share_does_not_exceed() {
    let hundred = Rounds::from((1..=100).rev().map(f64::from).collect::<Vec<_>>());
    assert_eq!(hundred.median(), Some(50.0));
    assert_eq!(hundred.quantile(0.95), Some(95.0));
    assert_eq!(hundred.quantile(0.99), Some(99.0));
    assert_eq!(hundred.quantile(0.0), Some(1.0));
    assert_eq!(hundred.quantile(1.0), Some(100.0));
}

#[test]
fn of_few_samples_the_high_quantiles_are_the_highest() {
    let three = Rounds::from(vec![3.0, 1.0, 2.0]);
    assert_eq!(three.median(), Some(2.0));
    assert_eq!(three.quantile(0.95), Some(3.0));
    assert_eq!(Rounds::from(vec![7.0]).quantile(0.5), Some(7.0));
}

#[test]
fn nothing_measured_has_no_figures() {
    let nothing = rounds(&[&[], &[]]);
    assert_eq!(nothing, Rounds::default());
    assert_eq!(nothing.count(), 0);
    assert_eq!(nothing.median(), None);
    assert_eq!(nothing.spread(), None);
    assert_eq!(nothing.ratio_to(&Rounds::from(vec![1.0])), None);
}

#[test]
fn quantiles_are_over_all_rounds_and_the_spread_is_of_their_medians() {
    let three = rounds(&[&[1.0, 2.0, 9.0], &[4.0], &[3.0, 3.5]]);
    assert_eq!(three.count(), 6);
    assert_eq!(three.medians(), [2.0, 4.0, 3.0]);
    assert_eq!(three.spread(), Some((2.0, 4.0)));
    assert_eq!(three.quantile(1.0), Some(9.0));
}

#[test]
fn a_ratio_compares_rounds_that_were_taken_side_by_side() {
    // The machine was four times slower in the second round, for both alike.
    let own = rounds(&[&[1.0], &[4.0], &[1.0]]);
    let other = rounds(&[&[2.0], &[8.0], &[2.0]]);
    assert_eq!(own.ratio_to(&other), Some(0.5));
    // Of rounds that one of them lacks, nothing is said; nor of a time that is none.
    assert_eq!(own.ratio_to(&rounds(&[&[4.0]])), Some(0.25));
    assert_eq!(own.ratio_to(&rounds(&[&[0.0], &[8.0]])), Some(0.5));
}

#[test]
fn samples_of_several_things_are_told_apart_and_none_is_lacking() {
    let each = columns(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], 2);
    assert_eq!(
        each,
        Some(vec![vec![1.0, 2.0, 3.0], vec![10.0, 20.0, 30.0]])
    );
    assert_eq!(columns(&[1.0, 2.0], 1), Some(vec![vec![1.0, 2.0]]));
    assert_eq!(columns(&[], 2), Some(vec![vec![], vec![]]));
    assert_eq!(columns(&[1.0, 10.0, 2.0], 2), None);
    assert_eq!(columns(&[1.0], 0), None);
}

#[test]
fn scaling_changes_every_sample_of_every_round() {
    let scaled = rounds(&[&[0.001], &[0.002, 0.004]]).scaled(1e3);
    assert_eq!(scaled, rounds(&[&[1.0], &[2.0, 4.0]]));
}

#[test]
fn columns_stand_below_each_other() {
    let rows = [
        vec!["hero".to_owned(), "1.20".to_owned()],
        vec!["a peer – slow".to_owned(), "1,099".to_owned()],
    ];
    let text = render(&["who", "ms"], &rows);
    let expected = "\
| who           |    ms |
|---------------|------:|
| hero          |  1.20 |
| a peer – slow | 1,099 |
";
    assert_eq!(text, expected);
}

#[test]
fn a_short_row_is_filled_up_and_a_bar_breaks_nothing() {
    let text = render(&["who", "ms"], &[vec!["a|b".to_owned()]]);
    assert_eq!(text.lines().last(), Some("| a\\|b |    |"));
    let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|two| two[0] == two[1]), "{text}");
}

#[test]
fn a_table_without_rows_is_its_head() {
    assert_eq!(render(&["a", "b"], &[]), "| a | b |\n|---|--:|\n");
}

#[test]
fn figures_have_three_digits_that_mean_something() {
    let all = [
        0.0421,
        0.5,
        1.234,
        12.34,
        123.4,
        1234.4,
        1_234_567.0,
        -2500.0,
    ];
    let texts = all.map(figure);
    let expected = [
        "0.042",
        "0.500",
        "1.23",
        "12.3",
        "123",
        "1,234",
        "1,234,567",
        "-2,500",
    ];
    assert_eq!(texts, expected);
    assert_eq!(figure(999.7), "1000");
    assert_eq!(figure(f64::NAN), "–");
}

fn row(unit: &'static str, lines: Vec<Line>) -> Row {
    Row {
        name: "row",
        title: "A row".to_owned(),
        unit,
        lines,
        method: String::new(),
    }
}

fn line(who: &str, role: Role, value: f64) -> Line {
    Line::measured(who, role, vec![value].into())
}

#[test]
fn a_line_is_compared_with_the_first_of_heros_lines_that_stand_before_it() {
    let row = row(
        "ms",
        vec![
            line("warm", Role::Hero, 2.0),
            line("cold", Role::Hero, 8.0),
            line("a peer", Role::Peer, 4.0),
            line("another question", Role::Hero, 30.0),
            line("a limit", Role::Limit, 10.0),
            line("something else", Role::Hero, 1.0).alone(),
        ],
    );
    let json = row.json();
    let ratios: Vec<_> = json["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["hero_is"].as_f64())
        .collect();
    let expected = [Some(1.0), Some(0.25), Some(0.5), Some(1.0), Some(3.0), None];
    assert_eq!(ratios, expected);
}

#[test]
fn what_could_not_be_measured_is_said_and_what_is_absent_is_no_failure() {
    let absent = Line::new("p", Role::Peer, Found::Absent("not there".to_owned()));
    let failed = Line::new("q", Role::Peer, Found::Failed("it left".to_owned()));
    let hero = line("hero_logic", Role::Hero, 1.5);
    let good = row("ms", vec![hero.clone(), absent.clone()]);
    assert_eq!(good.missing(), [""; 0]);
    assert!(
        good.text().contains("| p              | absent |"),
        "{}",
        good.text()
    );
    let theirs = row("ms", vec![hero.clone(), failed]);
    assert_eq!(theirs.missing(), [""; 0], "a peer's failure is its own");
    assert!(theirs.text().contains("q: it left"), "{}", theirs.text());
    let limit = Line::new("q", Role::Limit, Found::Failed("it left".to_owned()));
    let ours = row("ms", vec![hero.clone(), limit]);
    assert_eq!(ours.missing(), ["q: it left"]);
    assert_eq!(
        row("ms", vec![absent.clone()]).missing(),
        ["hero_logic itself"]
    );
    let empty = Line::measured("r", Role::Limit, Rounds::default());
    assert_eq!(row("ms", vec![hero, empty]).missing(), ["r: no figure"]);
    assert_eq!(good.json()["lines"][1]["absent"], "not there");
}

#[test]
fn a_row_says_which_way_is_better_and_tells_quantiles_only_of_enough_samples() {
    let some = |count: u32| Rounds::from((1..=count).map(f64::from).collect::<Vec<_>>());
    let cells = |count| {
        let lines = vec![Line::measured("h", Role::Hero, some(count)).remark("so it is")];
        let text = row("ms", lines).text();
        assert!(text.contains("A row (ms, less is better)") && text.contains("h: so it is"));
        let line = text
            .lines()
            .find(|line| line.starts_with("| **h**"))
            .unwrap();
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        cells[2..5].to_vec()
    };
    assert_eq!(cells(19), ["10.0", "", ""]);
    assert_eq!(cells(20), ["10.0", "19.0", ""]);
    assert_eq!(cells(100), ["50.0", "95.0", "99.0"]);
    let rate = row("plays/s", vec![line("h", Role::Hero, 1.0)]);
    assert!(rate.text().contains("(plays/s, more is better)"));
}
