//! The search of the library, over many workflows.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    Bench, Done,
    report::{Line, Role, Row},
    server::Server,
    stats::Rounds,
};

const LIMIT: u32 = 50;
/// Requests under way while the library is filled.
const WINDOW: usize = 256;

/// A name and a description, made of words as a library's are.
struct Entry {
    name: String,
    description: String,
}

pub(crate) fn search(bench: &mut Bench) -> Done<Vec<Row>> {
    let rounds = bench.rounds(5);
    let count = bench.size(20, 2);
    let size = bench.size(100_000, 200);
    let entries = entries(size);
    let server = bench.fresh_server(&[])?;
    let began = Instant::now();
    fill(&server, &entries)?;
    let filled = began.elapsed().as_secs_f64();
    let database = database(&entries)?;
    // What one finds, what many find, what nobody finds.
    let rare = entries[size / 2].name.clone();
    let queries = [
        ("one match", rare.as_str()),
        ("many matches", "ta"),
        ("no match", "zzqx"),
    ];
    let mut client = server.client()?;
    let mut lines = Vec::new();
    for (what, query) in queries {
        let (mut hero, mut trigram, mut like) = <(Rounds, Rounds, Rounds)>::default();
        for _ in 0..rounds {
            hero.push(times(count, || {
                let params = json!({"query": query, "limit": LIMIT});
                let found: Vec<Value> = client.call("flow_library_search", &params)?;
                Ok(found.len())
            })?);
            // Three letters are the least that a trigram index finds.
            if query.len() >= 3 {
                let sql =
                    "SELECT rowid FROM trigrams WHERE trigrams MATCH ?1 ORDER BY rank LIMIT 50";
                trigram.push(times(count, || {
                    select(&database, sql, &format!("\"{query}\""))
                })?);
            }
            let sql = "SELECT id FROM plain WHERE name LIKE ?1 OR description LIKE ?1
                       ORDER BY (name LIKE ?1) * 3 + (description LIKE ?1) DESC, id DESC LIMIT 50";
            like.push(times(count.div_ceil(10), || {
                select(&database, sql, &format!("%{query}%"))
            })?);
        }
        lines.push(Line::measured(
            format!("hero_logic, {what}"),
            Role::Hero,
            hero.scaled(1e3),
        ));
        if trigram.count() > 0 {
            let label = format!("SQLite FTS5 trigrams, ranked, {what}");
            lines.push(Line::measured(label, Role::Peer, trigram.scaled(1e3)));
        }
        let label = format!("SQLite LIKE, {what}");
        lines.push(Line::measured(label, Role::Peer, like.scaled(1e3)));
    }
    server.stop()?;
    Ok(vec![Row {
        name: "search",
        title: format!("Search over {size} workflows, the best {LIMIT}"),
        unit: "ms",
        lines,
        method: format!(
            "hero_logic by RPC over the Unix socket; SQLite (in memory) in the benchmark's own process, without \
             any RPC. Filling the library by {size} calls of `workflow_create` took {filled:.1} s."
        ),
    }])
}

/// The same in each run.
fn entries(count: usize) -> Vec<Entry> {
    let mut state: u64 = 88_172_645_463_325_252;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let vocabulary: Vec<String> = (0..4_000)
        .map(|_| {
            let syllables = 2 + next(3);
            let syllable = |_| {
                let consonant = b"bcdfghjklmnprstvw"[next(17) as usize];
                let vowel = b"aeiou"[next(5) as usize];
                [char::from(consonant), char::from(vowel)]
            };
            (0..syllables).flat_map(syllable).collect()
        })
        .collect();
    let mut words = |count: usize, between: &str| {
        let word = |_| {
            // Some words are said more often than others.
            let at = next(4_000) * next(4_000) / 4_000;
            vocabulary[at as usize].as_str()
        };
        (0..count).map(word).collect::<Vec<_>>().join(between)
    };
    (0..count)
        .map(|number| Entry {
            name: format!("{}_{number}", words(3, "_")),
            description: words(14, " "),
        })
        .collect()
}

fn fill(server: &Server, entries: &[Entry]) -> Done<()> {
    let node = json!([{"id": "a", "workflow_sid": "none"}]);
    let mut client = server.client()?;
    let mut under_way = 0;
    for entry in entries {
        // Nodes instead of source: no Python has to look at it.
        let params = json!({
            "name": entry.name, "description": entry.description, "nodes": node, "edges": [],
        });
        client.send("workflow_create", &params)?;
        under_way += 1;
        if under_way >= WINDOW {
            client.receive::<Value>()?;
            under_way -= 1;
        }
    }
    for _ in 0..under_way {
        client.receive::<Value>()?;
    }
    Ok(())
}

fn database(entries: &[Entry]) -> Done<rusqlite::Connection> {
    let connection = rusqlite::Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE VIRTUAL TABLE trigrams USING fts5(name, description, tokenize='trigram');
         CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT, description TEXT);
         BEGIN;",
    )?;
    for entry in entries {
        let row = (&entry.name, &entry.description);
        for table in ["trigrams", "plain"] {
            let sql = format!("INSERT INTO {table} (name, description) VALUES (?1, ?2)");
            connection.prepare_cached(&sql)?.execute(row)?;
        }
    }
    connection.execute_batch("COMMIT")?;
    Ok(connection)
}

fn select(database: &rusqlite::Connection, sql: &str, query: &str) -> Done<usize> {
    let mut statement = database.prepare_cached(sql)?;
    let found = statement.query_map([query], |row| row.get::<_, i64>(0))?;
    Ok(found.count())
}

/// Seconds of each of so many calls.
fn times(count: usize, mut call: impl FnMut() -> Done<usize>) -> Done<Vec<f64>> {
    let mut samples = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        call()?;
        samples.push(began.elapsed().as_secs_f64());
    }
    Ok(samples)
}
