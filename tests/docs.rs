//! Keeps the documents honest: what they list is what there is, and their links lead somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use hero_logic::{cli, rpc::methods};
use protocol::{CauseKind, ErrorKind, PlayStatus};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The first cell of each row of the table below this heading, without its back-ticks.
fn first_column(text: &str, heading: &str) -> Vec<String> {
    let section = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading:?}"))
        .1;
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| cell(row, 1).trim_matches('`').to_owned())
        .collect()
}

fn cell(row: &str, number: usize) -> &str {
    row.split('|').nth(number).unwrap_or_default().trim()
}

/// Names in code, in the order of their first `` ` ``.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_method_is_in_the_reference_with_its_parameters_and_no_other_is() {
    let text = read("docs/reference/rpc.md");
    let document = methods::table().document();
    let there: Vec<&Value> = document["methods"].as_array().unwrap().iter().collect();
    let names: BTreeSet<_> = there.iter().map(|m| m["name"].as_str().unwrap()).collect();
    let described = first_column(&text, "## Methods");
    assert_eq!(
        described
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        names
    );
    assert_eq!(described.len(), names.len(), "a method is there twice");
    let options: Vec<String> = first_column(&text, "### Start options");
    let (_, content) = text.split_once("### Content of a version\n").unwrap();
    let (content, _) = content.split_once("\n## ").unwrap();
    for method in there {
        let name = method["name"].as_str().unwrap();
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap();
        let mut listed: Vec<String> = code_words(cell(row, 2)).map(str::to_owned).collect();
        if row.contains("#start-options") {
            listed.extend(options.iter().map(|option| format!("{option}?")));
        }
        let mut taken: Vec<String> = Vec::new();
        for param in method["params"].as_array().unwrap() {
            let required = param["required"].as_bool().unwrap();
            let word = param["name"].as_str().unwrap();
            if row.contains("#content-of-a-version") && content.contains(&format!("`{word}`")) {
                continue;
            }
            taken.push(format!("{word}{}", if required { "" } else { "?" }));
        }
        assert_eq!(listed, taken, "{name}");
    }
}

#[test]
fn every_kind_of_error_is_explained_with_its_code_and_no_other_is() {
    let text = read("docs/reference/errors.md");
    let explained = first_column(&text, "## Kinds");
    let kinds: BTreeSet<_> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(
        explained
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        kinds
    );
    for kind in ErrorKind::ALL {
        let row = format!("| `{}` | {} |", kind.as_str(), kind.code());
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn every_cause_and_status_is_explained_and_no_other_is() {
    let schema = serde_json::to_value(schemars::schema_for!(CauseKind)).unwrap();
    let words = |of: &Value| -> BTreeSet<String> {
        of["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["const"].as_str().unwrap().to_owned())
            .collect()
    };
    let explained: BTreeSet<_> =
        first_column(&read("docs/reference/errors.md"), "## Causes of plays")
            .into_iter()
            .collect();
    assert_eq!(explained, words(&schema));
    let rpc = read("docs/reference/rpc.md");
    let row = rpc
        .lines()
        .find(|line| line.starts_with("| `status` |"))
        .unwrap();
    assert_eq!(
        code_words(cell(row, 2)).collect::<Vec<_>>(),
        PlayStatus::ALL.map(PlayStatus::as_str)
    );
}

#[test]
fn every_verb_and_option_is_in_the_reference() {
    let text = read("docs/reference/cli.md");
    let mut missing = Vec::new();
    let mut look = |name: &str, command: &clap::Command| {
        for option in command.get_arguments().filter_map(|arg| arg.get_long()) {
            if !["help", "version"].contains(&option) && !text.contains(&format!("--{option}")) {
                missing.push(format!("{name} --{option}"));
            }
        }
    };
    let command = cli::command();
    look("hero_logic", &command);
    for verb in command.get_subcommands() {
        let name = verb.get_name();
        look(name, verb);
        assert!(text.contains(&format!("\n## {name}\n")), "{name}");
        for inner in verb.get_subcommands() {
            let name = format!("{name} {}", inner.get_name());
            look(&name, inner);
            assert!(text.contains(&format!("| `{name}")), "{name}");
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
    // And the other way round: a heading or a row for a verb that is gone.
    let verbs: BTreeSet<_> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    for heading in text.lines().filter_map(|line| line.strip_prefix("## ")) {
        let is_verb = heading.chars().all(|c| c.is_ascii_lowercase());
        assert!(!is_verb || verbs.contains(heading), "{heading}");
    }
}

/// The documents of the project: every `*.md` outside of build directories.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut places = vec![root().to_owned()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(&place).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                    places.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    found
}

/// `text` without code: fenced blocks and spans in back-ticks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines.join("\n").split('`').step_by(2).collect()
}

/// What a heading is called in a link, as GitHub has it.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn relative_links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let prose = prose(&text);
        for (_, rest) in prose
            .match_indices("](")
            .map(|(at, _)| prose.split_at(at + 2))
        {
            let Some((target, _)) = rest.split_once(')') else {
                continue;
            };
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(file)
            };
            let leads = path.exists()
                && path
                    .canonicalize()
                    .unwrap()
                    .starts_with(root().canonicalize().unwrap())
                && (heading.is_empty()
                    || fs::read_to_string(&path).is_ok_and(|text| {
                        text.lines()
                            .any(|line| line.starts_with('#') && anchor(line) == heading)
                    }));
            if !leads {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
