//! The short flows, and the runtime embedded.

use std::{fs, path::PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Home, example, result, text};

/// The sid of the newest play without a parent.
fn newest_play(home: &Home) -> String {
    let listed = home.hero_logic(&["call", "play_list", "{}"]);
    let plays = result(&listed);
    let plays = plays["items"].as_array().unwrap();
    let top = plays
        .iter()
        .find(|play| play["parent_play_sid"] == json!(null));
    top.unwrap()["sid"].as_str().unwrap().to_owned()
}

/// The spans of the newest play.
fn spans(home: &Home) -> Vec<Value> {
    let asked = json!({"play_sid": newest_play(home)}).to_string();
    let page = result(&home.hero_logic(&["call", "play_spans", &asked]));
    page["spans"].as_array().unwrap().clone()
}

fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap()
}

fn log_of(span: &Value) -> Vec<&str> {
    let logs = span["logs"].as_array().unwrap().iter();
    logs.map(|log| log["text"].as_str().unwrap()).collect()
}

#[test]
fn hello_greets() {
    let home = Home::new();
    let greeting = result(&home.run("hello.py", &["-i", "name=Ada"]));
    assert_eq!(greeting, "Hello, Ada!");
    let spans = spans(&home);
    let greet = named(&spans, "greet");
    assert_eq!(greet["tags"], json!({"whom": "Ada"}));
    assert_eq!(greet["parent_id"], named(&spans, "hello")["span_id"]);
    assert_eq!(log_of(greet), ["about to greet Ada"]);
    assert_eq!(
        text(&home.python("hello.py", &[]).stdout),
        "Hello, world!\n"
    );
}

#[test]
fn fan_out_keeps_its_bound_and_handles_its_failure() {
    let home = Home::new();
    let returned = result(&home.run("fan_out.py", &["-i", "parcels=30", "-i", "at_once=6"]));
    let kilometres: u32 = (1..=30)
        .filter(|number| *number != 13)
        .map(|number| 5 + number * 7 % 16)
        .sum();
    let expected =
        json!({"delivered": 29, "returned": [13], "kilometres": kilometres, "at_once": 6});
    assert_eq!(returned, expected);

    let spans = spans(&home);
    let is_parcel = |span: &&Value| span["name"].as_str().unwrap().starts_with("parcel ");
    let parcels: Vec<_> = spans.iter().filter(is_parcel).collect();
    assert_eq!(parcels.len(), 30);
    for parcel in &parcels {
        let failed = parcel["name"] == "parcel 13";
        assert_eq!(parcel["status"], if failed { "failed" } else { "ok" });
        let inside = spans
            .iter()
            .filter(|span| span["parent_id"] == parcel["span_id"]);
        assert_eq!(inside.count(), 1, "each has its own drive below it");
    }
    assert_eq!(
        named(&spans, "parcel 13")["error"],
        "there is no such address"
    );
    // The bound holds in the recorded times too, not only in the flow's own counting.
    let time = |span: &Value, field: &str| span[field].as_f64().unwrap();
    for parcel in &parcels {
        let start = time(parcel, "start_ms");
        let under_way = parcels
            .iter()
            .filter(|p| time(p, "start_ms") <= start && start < time(p, "end_ms"));
        assert!(under_way.count() <= 6);
    }
    assert_eq!(
        result(&home.python("fan_out.py", &[]))["returned"],
        json!([13])
    );
}

/// Rows, the sum of numbers, and of texts' lengths, read from the database by other means.
fn sums(database: &Value, columns: &str) -> (i64, f64, i64) {
    let connection = Connection::open(database.as_str().unwrap()).unwrap();
    let query = format!("SELECT count(*), {columns} FROM records");
    let row = connection.query_row(&query, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)));
    row.unwrap()
}

#[test]
fn a_csv_file_becomes_a_database() {
    let home = Home::new();
    let file = home.here().join("prices.csv");
    let mut csv = "name,price,stock\n".to_owned();
    let (mut price, mut letters) = (0.0, 0);
    for number in 0..700 {
        let name = format!("Ding, Nr. {number}");
        csv.push_str(&format!("\"{name}\",{number}.25,{number}\n"));
        price += f64::from(number) + 0.25;
        letters += name.len();
    }
    csv.push_str("short,1\nno number,x,1\nno whole number,1.5,2.5\n\"two\nlines\",0.5,\n");
    price += 0.5;
    letters += "two\nlines".len();
    fs::write(&file, csv).unwrap();
    let path = file.to_str().unwrap();

    let by_binary = result(&home.run("csv_to_sqlite.py", &["-i", &format!("path={path}")]));
    let spans = spans(&home);
    assert_eq!(
        log_of(named(&spans, "convert")),
        [
            "line 702 left out: 2 fields instead of 3",
            "line 703 left out: could not convert string to float: 'x'",
            "line 704 left out: invalid literal for int() with base 10: '2.5'",
        ]
    );
    let standalone = result(&home.python("csv_to_sqlite.py", &[path]));
    for imported in [&by_binary, &standalone] {
        assert_eq!(
            imported["columns"],
            json!({"name": "TEXT", "price": "REAL", "stock": "INTEGER"})
        );
        assert_eq!(
            (&imported["rows"], &imported["bad_rows"]),
            (&json!(701), &json!(3))
        );
        let whole = sums(&imported["database"], "sum(price), sum(length(name))");
        assert_eq!(whole, (701, price, i64::try_from(letters).unwrap()));
        let stock: i64 = (0..700).sum();
        assert_eq!(
            imported["checksum"]["answer"],
            json!([701, letters, price, stock])
        );
    }
    let sid = newest_play(&home);
    let artifact = PathBuf::from(by_binary["database"].as_str().unwrap());
    assert!(artifact.iter().any(|part| part == sid.as_str()));
    assert_eq!(
        standalone["database"],
        home.here().join("records.sqlite").to_str().unwrap()
    );
}

#[test]
fn the_sample_has_bad_rows_and_is_made_by_the_flow() {
    let home = Home::new();
    let imported = result(&home.run("csv_to_sqlite.py", &[]));
    let database = PathBuf::from(imported["database"].as_str().unwrap());
    let sample = fs::read_to_string(database.with_file_name("sample.csv")).unwrap();
    let good = sample
        .lines()
        .skip(1)
        .filter(|line| line.matches(',').count() >= 3 && !line.contains("n/a"));
    let good = good.count();
    assert_eq!(imported["rows"], good);
    assert_eq!(imported["bad_rows"], sample.lines().count() - 1 - good);
    assert_eq!(imported["bad_rows"], 5);
    assert_eq!(sums(&imported["database"], "0.0, 0").0, 1195);
}

#[test]
fn a_failure_says_where_and_how_it_got_there() {
    let home = Home::new();
    let file = example("fails_well.py");
    let source = fs::read_to_string(&file).unwrap();
    let line_of = |text: &str| 1 + source.lines().position(|l| l.contains(text)).unwrap();
    let raise = line_of("raise BadOrder");

    let failed = home.run("fails_well.py", &[]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(text(&failed.stdout), "");
    let told = text(&failed.stderr);
    let file = file.display();
    let expected = [
        "✗ fails_well › bill › ink › read price".to_owned(),
        "error: fails_well failed: BadOrder: order A-17 has no price for ink".to_owned(),
        format!("{file}:{raise} in price"),
        format!("> {raise} │         raise BadOrder("),
        "ValueError: could not convert string to float: '7.5O'".to_owned(),
        format!(
            "File \"{file}\", line {}, in fails_well",
            line_of("return bill(lines)")
        ),
        format!(
            "File \"{file}\", line {}, in bill",
            line_of("total += price(")
        ),
        format!("File \"{file}\", line {raise}, in price"),
    ];
    for part in expected {
        assert!(told.contains(&part), "{part:?} is missing in:\n{told}");
    }
    assert!(
        !told.contains("hero_tracing"),
        "frames of the SDK are nobody's business:\n{told}"
    );

    let standalone = home.python("fails_well.py", &[]);
    assert_eq!(standalone.status.code(), Some(1));
    assert!(text(&standalone.stderr).contains(&format!("line {raise}, in price")));
}

#[test]
fn a_question_waits_for_its_answer() {
    let home = Home::new();
    let asks = home.run("ask_then_publish.py", &[]);
    assert_eq!(asks.status.code(), Some(75), "{}", text(&asks.stderr));
    assert!(
        text(&asks.stderr).contains("hero_logic play answer"),
        "{}",
        text(&asks.stderr)
    );
    let wrong = home.hero_logic(&["play", "answer", "last", "burn"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    let more = home.hero_logic(&["play", "answer", "last", "change"]);
    assert_eq!(more.status.code(), Some(75), "{}", text(&more.stderr));
    let done = home.hero_logic(&["play", "answer", "last", "--question", "text", "Short"]);
    let published = result(&done);
    assert!(
        published.as_str().unwrap().ends_with(": Short"),
        "{published}"
    );
    let spans = spans(&home);
    let drafts: Vec<_> = spans
        .iter()
        .filter(|span| span["name"] == "draft")
        .collect();
    assert_eq!(drafts.len(), 3);
    assert_eq!(drafts[0]["status"], "ok");
    assert!(drafts[1..].iter().all(|span| span["status"] == "replayed"));
}

#[test]
fn errands_that_are_done_are_not_done_again() {
    let home = Home::new();
    let errands = result(&home.run("long_errand.py", &["-i", "errands=2"]));
    assert_eq!(errands.as_array().unwrap().len(), 2);
    let again = home.hero_logic(&["play", "retry", "last"]);
    assert_eq!(result(&again), errands, "with the times of the first time");
}

#[test]
fn the_runtime_can_be_embedded() {
    let home = Home::new();
    let before: Vec<_> = fs::read_dir(home.here().parent().unwrap())
        .unwrap()
        .collect();
    let output = home.built("embed");
    assert_eq!(result(&output), json!({"upto": 5, "total": 55}));
    let told = text(&output.stderr);
    for name in ["squares", "square 1", "square 5"] {
        let ended = told
            .lines()
            .filter(|line| line.starts_with(&format!("{name:<12} ok ")));
        assert_eq!(ended.count(), 1, "{name} in:\n{told}");
    }
    let after = fs::read_dir(home.here().parent().unwrap()).unwrap();
    assert_eq!(after.count(), before.len(), "it leaves nothing behind");
}
