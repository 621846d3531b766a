//! The census of the standard library, against a count of our own.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    python_source::{Counts, count},
    support::{Home, result},
};

/// Every `.py` file below a directory, with its path from there.
fn modules(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = entry.path();
            if path.is_dir() {
                let skipped = ["site-packages", "dist-packages", "__pycache__"];
                if !skipped.contains(&name.as_str()) && !entry.file_type().unwrap().is_symlink() {
                    waiting.push(path);
                }
            } else if name.ends_with(".py") {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found
}

fn number(value: &Value, field: &str) -> usize {
    usize::try_from(value[field].as_u64().unwrap()).unwrap()
}

#[test]
fn the_census_agrees_with_a_count_of_our_own() {
    let home = Home::new();
    let census = result(&home.run("stdlib_census.py", &["-q"]));
    let stdlib = home.ask_python("import sysconfig; print(sysconfig.get_path('stdlib'))");
    assert_eq!(census["stdlib"], stdlib);

    let unparsed = census["unparsed"].as_array().unwrap().iter();
    let unparsed: Vec<_> = unparsed.map(|file| file.as_str().unwrap()).collect();
    let mut packages: BTreeMap<String, Counts> = BTreeMap::new();
    let mut longest = (0, String::new(), String::new());
    for file in modules(Path::new(&stdlib)) {
        if unparsed.contains(&file.to_str().unwrap()) {
            continue;
        }
        let source = fs::read(Path::new(&stdlib).join(&file)).unwrap();
        let counts = count(&source);
        let mut parts = file.iter().map(|part| part.to_str().unwrap());
        let package = match (parts.next(), parts.next()) {
            (Some(package), Some(_)) => package,
            _ => "(top level)",
        };
        if let Some((lines, name)) = &counts.longest
            && *lines > longest.0
        {
            let module = file.with_extension("");
            let module = module.to_str().unwrap().replace('/', ".");
            longest = (*lines, module, name.clone());
        }
        packages.entry(package.to_owned()).or_default().add(&counts);
    }

    let rows = census["packages"].as_array().unwrap();
    assert_eq!(rows.len(), packages.len());
    let mut total = Counts::default();
    for row in rows {
        let package = row["package"].as_str().unwrap();
        let ours = &packages[package];
        for (field, counted) in ours.fields() {
            assert_eq!(number(row, field), counted, "{field} of {package}");
        }
        total.add(ours);
    }
    for (field, counted) in total.fields() {
        assert_eq!(number(&census, field), counted, "{field}");
    }
    let theirs = &census["longest_function"];
    assert_eq!(number(theirs, "lines"), longest.0);
    assert_eq!(theirs["module"], longest.1);
    assert_eq!(theirs["name"], longest.2);

    // What it could not parse, nobody can.
    let files = serde_json::to_string(&unparsed).unwrap();
    let refused = home.ask_python(&format!(
        "import pathlib, warnings; warnings.simplefilter('ignore'); refused = 0\n\
         for file in {files}:\n\
         \x20   try: compile(pathlib.Path({stdlib:?}, file).read_bytes(), file, 'exec', dont_inherit=True)\n\
         \x20   except (SyntaxError, ValueError): refused += 1\n\
         print(refused)"
    ));
    assert_eq!(refused, unparsed.len().to_string());

    // The largest are child plays, each below the span that called it.
    let plays = result(&home.hero_logic(&["call", "play_list", "{}"]));
    let plays = plays["items"].as_array().unwrap();
    let children = plays
        .iter()
        .filter(|play| !play["parent_play_sid"].is_null());
    let mut of_children: Vec<String> = Vec::new();
    for child in children {
        let input: Value = serde_json::from_str(child["input_data"].as_str().unwrap()).unwrap();
        of_children.push(input["package"].as_str().unwrap().to_owned());
        assert_eq!(child["status"], "success");
    }
    of_children.sort();
    of_children.dedup();
    assert_eq!(of_children.len(), 5);

    let standalone = result(&home.python("stdlib_census.py", &[]));
    assert_eq!(standalone, census);
}
