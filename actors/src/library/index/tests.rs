use std::{collections::BTreeMap, time::Instant};

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;

fn entry(sid: &str, name: &str, description: &str, seq: Seq) -> LibraryEntry {
    LibraryEntry {
        sid: sid.into(),
        name: name.into(),
        description: description.into(),
        seq,
    }
}

fn found(index: &Index, query: &str) -> Vec<String> {
    let all = index.search(query, usize::MAX);
    all.iter().map(ToString::to_string).collect()
}

/// Whether a workflow of this name is found.
fn matches(name: &str, query: &str) -> bool {
    let index = Index::rebuild([entry("a", name, "", 1)]);
    found(&index, query) == ["a"]
}

fn reports() -> Index {
    Index::rebuild([
        entry("both", "report", "a REPORT of sales", 1),
        entry("text", "sales", "makes the report", 5),
        entry("name", "Report", "of sales", 2),
        entry("newer", "reporting", "", 3),
        entry("other", "cleanup", "removes old files", 4),
    ])
}

#[test]
fn search_ranks_name_above_description() {
    assert_eq!(
        found(&reports(), "report"),
        ["both", "newer", "name", "text"]
    );
}

#[test]
fn search_ignores_case() {
    for query in ["REPORT", "rEpOrT", "report"] {
        assert_eq!(found(&reports(), query).len(), 4, "{query}");
    }
}

#[test]
fn search_honours_limit() {
    let index = reports();
    for limit in 0..8 {
        let some = index.search("report", limit);
        let all = index.search("report", 100);
        assert_eq!(some, all[..limit.min(4)], "{limit}");
    }
    assert!(index.search("", 0).is_empty());
}

#[test]
fn search_takes_the_empty_query() {
    assert_eq!(
        found(&reports(), ""),
        ["text", "other", "newer", "name", "both"]
    );
    assert!(found(&Index::default(), "").is_empty());
}

#[test]
fn search_leaves_out_non_matches() {
    assert!(found(&reports(), "invoice").is_empty());
    assert_eq!(found(&reports(), "old f"), ["other"]);
    // Neither from the name into the description nor from one workflow into the next.
    assert!(found(&reports(), "salesmakes").is_empty());
    assert!(found(&reports(), "salesreport").is_empty());
}

#[test]
fn folding_is_full() {
    assert!(matches("straße", "STRASSE"));
    assert!(matches("STRASSE", "ß"));
    assert!(matches("ﬁnance", "FIN"));
    assert!(matches("ΟΔΟΣ", "οδος"));
    assert!(matches("ΑΙ ᾳ", "αι αι"));
    assert!(matches("ДОКЛАД", "доклад"));
}

#[test]
fn accents_are_the_same_however_written() {
    assert!(matches("Caf\u{e9}", "CAFE\u{301}"));
    assert!(matches("Cafe\u{301}", "CAF\u{c9}"));
    // Two marks in another order.
    assert!(matches("a\u{323}\u{302}", "\u{1ead}"));
    assert!(matches("a\u{302}\u{323}", "\u{1ead}"));
    assert!(matches("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"));
}

#[test]
fn a_letter_is_not_found_in_an_accented_one() {
    assert!(!matches("caf\u{e9}", "cafe"));
    assert!(!matches("cafe\u{301}", "cafe"));
    assert!(!matches("\u{d55c}", "\u{d558}"));
}

#[test]
fn compatibility_characters_stay_different() {
    assert!(!matches("m\u{b2}", "m2"));
    assert!(!matches("\u{ff21}", "a"));
    assert!(matches("\u{ff21}", "\u{ff41}"));
}

#[test]
fn turkish_letters_fold_without_a_language() {
    assert!(matches("TITLE", "title"));
    assert!(!matches("\u{131}", "i"));
    assert!(!matches("I", "\u{131}"));
    assert_eq!(fold("\u{130}"), "i\u{307}");
    assert!(matches("\u{130}stanbul", "i\u{307}STANBUL"));
    assert!(!matches("\u{130}stanbul", "istanbul"));
    assert!(matches("\u{130}stanbul", "i"));
}

#[test]
fn a_change_counts_at_once() {
    let mut index = reports();
    index.upsert(entry("other", "cleanup", "removes old files", 9));
    assert_eq!(found(&index, "")[0], "other");
    index.upsert(entry("text", "purchases", "", 10));
    assert_eq!(found(&index, "purch"), ["text"]);
    assert_eq!(found(&index, "report"), ["both", "newer", "name"]);
    assert!(index.remove(&"both".into()));
    assert!(!index.remove(&"both".into()));
    assert_eq!(found(&index, "report"), ["newer", "name"]);
    assert_eq!(index.len(), 4);
}

#[test]
fn changes_leave_no_garbage_behind() {
    let mut index = Index::default();
    for round in 0..1_000u64 {
        for sid in ["a", "b", "c"] {
            index.upsert(entry(sid, &format!("{sid} {round}"), "", round));
        }
        assert!(index.text.len() < 200, "{index:?}");
        assert!(index.slots.len() < 10, "{}", index.slots.len());
    }
    for sid in ["a", "b", "c"] {
        index.remove(&sid.into());
    }
    assert!(index.is_empty() && index.text.is_empty());
}

/// The rules, word by word, without an index.
fn model(entries: &BTreeMap<u8, LibraryEntry>, query: &str, limit: usize) -> Vec<WorkflowSid> {
    let query = fold(query);
    let mut all: Vec<_> = entries
        .values()
        .filter_map(|e| {
            let name = fold(&e.name).contains(&query);
            let description = fold(&e.description).contains(&query);
            let score = 3 * u8::from(name) + u8::from(description);
            (score > 0).then_some((score, e))
        })
        .collect();
    if query.is_empty() {
        all.iter_mut().for_each(|(score, _)| *score = 0);
    }
    all.sort_by_key(|(score, e)| Reverse((*score, e.seq)));
    all.truncate(limit);
    all.into_iter().map(|(_, e)| e.sid.clone()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Upsert(u8, String, String),
    Remove(u8),
    Search(String, usize),
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let text = "[aAbBßẞsSéE\u{301}İiıIσΣς ]{0,5}";
    prop_oneof![
        4 => (0..12u8, text, text).prop_map(|(sid, n, d)| Step::Upsert(sid, n, d)),
        2 => (0..12u8).prop_map(Step::Remove),
        4 => ("[aAbBßsSéEe\u{301}İiIσΣς ]{0,2}", 0..8usize)
            .prop_map(|(query, limit)| Step::Search(query, limit)),
        1 => Just(Step::Rebuild),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut index = Index::default();
        let mut entries = BTreeMap::new();
        for (seq, step) in (1..).zip(steps) {
            match step {
                Step::Upsert(sid, name, description) => {
                    let new = entry(&sid.to_string(), &name, &description, seq);
                    index.upsert(new.clone());
                    entries.insert(sid, new);
                }
                Step::Remove(sid) => {
                    let removed = index.remove(&sid.to_string().as_str().into());
                    prop_assert_eq!(removed, entries.remove(&sid).is_some());
                }
                Step::Search(query, limit) => {
                    let found = index.search(&query, limit);
                    prop_assert_eq!(found, model(&entries, &query, limit), "{:?}", query);
                }
                Step::Rebuild => index = Index::rebuild(entries.values().cloned()),
            }
            prop_assert_eq!(index.len(), entries.len());
        }
        prop_assert_eq!(index.search("", usize::MAX), model(&entries, "", usize::MAX));
    }

    #[test]
    fn folding_is_stable_and_blind_to_case_and_form(text in "\\PC{0,20}") {
        let folded = fold(&text);
        prop_assert_eq!(&fold(&folded), &folded);
        prop_assert_eq!(&fold(&text.nfd().collect::<String>()), &folded);
        prop_assert_eq!(&fold(&text.nfc().collect::<String>()), &folded);
    }

    #[test]
    fn the_best_are_those_that_sorting_finds(
        hits in prop::collection::vec((0..4u8, 0..50u64), 1..2_500),
        limit in 1..800usize,
    ) {
        let mut best = Best::of(limit);
        let mut all = Vec::new();
        for (slot, (score, seq)) in hits.into_iter().enumerate() {
            best.offer(score, seq, slot);
            all.push((score, seq, slot));
        }
        all.sort_unstable_by_key(|hit| Reverse(*hit));
        all.truncate(limit);
        let slots: Vec<_> = all.into_iter().map(|hit| hit.2).collect();
        prop_assert_eq!(best.in_order().collect::<Vec<_>>(), slots);
    }
}

/// `cargo test --release -p hero_logic_actors -- --ignored --nocapture search_time`
#[test]
#[ignore = "a measurement, to be read by people"]
fn search_time() {
    for count in [100_000u64, 1_000_000] {
        let start = Instant::now();
        let index = Index::rebuild((0..count).map(|i| {
            let name = format!("Workflow {i} {}", ["import", "export", "Report"][i as usize % 3]);
            let description = format!("Reads the orders of region {}, cleans them, and writes {i} rows into the warehouse", i % 97);
            entry(&format!("0193a5c0-0000-7000-8000-{i:012}"), &name, &description, i)
        }));
        println!(
            "{count} workflows, {} MB: built in {:?}",
            index.text.len() >> 20,
            start.elapsed()
        );
        for (query, limit) in [
            ("nothing like it", 20),
            ("99999", 20),
            ("report", 20),
            ("e", 20),
            ("e", 1_000),
            ("", 20),
            ("warehouse", usize::MAX),
        ] {
            let mut times: Vec<_> = (0..15)
                .map(|_| {
                    let start = Instant::now();
                    let found = std::hint::black_box(index.search(query, limit)).len();
                    (start.elapsed(), found)
                })
                .collect();
            times.sort();
            println!(
                "  {query:?}, limit {limit}: {} found, median {:?}",
                times[0].1, times[7].0
            );
        }
    }
}
