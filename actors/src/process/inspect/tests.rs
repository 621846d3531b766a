use std::fs::{create_dir_all, read_to_string, write};

use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::process::python::Places;

/// Asks real Python with a script of its own.
fn asking(script: &str) -> (TempDir, PythonInspector) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("inspect.py");
    write(&path, script).unwrap();
    let places = Places::of_this_process(None);
    let inspector = PythonInspector::new(Arc::new(Interpreters::new(places)), path);
    (dir, inspector)
}

async fn fails(script: &str) -> InspectError {
    let (_dir, inspector) = asking(script);
    inspector.inspect("x".into(), "").await.unwrap_err()
}

#[tokio::test]
async fn question_and_answer_are_json() {
    let (_dir, inspector) = asking(
        r#"
import json, sys
asked = json.load(sys.stdin)
assert sys.flags.isolated and sys.flags.no_site
print(json.dumps({
    "syntax_error": None,
    "flows": [{
        "name": asked["source"], "function": asked["file"], "line": 3, "is_async": True,
        "description": None, "timeout": 1.5, "limits": {"cpu": 2}, "env": ["A", "B=c"],
        "parameters": [{"name": "n", "required": False, "annotation": "int", "default": 1}],
        "accepts_extra": True, "inputs": {"a": 1}, "outputs": None,
    }],
    "imports": ["json", "a.b"], "functions": {"f": "1"},
}))"#,
    );
    let found = inspector.inspect("sóurce\n".into(), "/a b/c.py").await;
    let expected = FlowInfo {
        name: "sóurce\n".into(),
        function: "/a b/c.py".into(),
        line: 3,
        is_async: true,
        description: None,
        timeout: Some(1.5),
        limits: json!({"cpu": 2}),
        on_interrupt: Value::Null,
        env: vec!["A".into(), "B=c".into()],
        parameters: vec![Parameter {
            name: "n".into(),
            required: false,
            annotation: Some("int".into()),
            default: Some(json!(1)),
        }],
        accepts_extra: true,
        inputs: json!({"a": 1}),
        outputs: Value::Null,
    };
    let expected = Inspection {
        functions: [("f".to_owned(), "1".to_owned())].into(),
        syntax_error: None,
        flows: vec![expected],
        imports: vec!["json".into(), "a.b".into()],
    };
    assert_eq!(found, Ok(expected));
}

#[tokio::test]
async fn recent_answers_are_remembered() {
    let (dir, inspector) = asking(
        "import sys\n\
         open(sys.argv[0] + '.asked', 'a').write('x')\n\
         print('{}')",
    );
    let asked = || {
        let counted = read_to_string(dir.path().join("inspect.py.asked")).unwrap();
        counted.len()
    };
    for (source, file, times) in [
        ("a", "f", 1),
        ("a", "f", 1),
        ("b", "f", 2),
        ("a", "f", 2),
        ("a", "g", 3),
    ] {
        inspector.inspect(source.into(), file).await.unwrap();
        assert_eq!(asked(), times, "{source} {file}");
    }
}

#[test]
fn few_are_remembered_the_latest_used() {
    let question = |n: usize, size: usize| Question {
        python: PathBuf::new(),
        file: n.to_string(),
        source: "x".repeat(size).into(),
    };
    let mut recent = Recent::default();
    for n in 0..REMEMBERED {
        recent.put(question(n, 1), Inspection::default());
    }
    assert!(recent.get(&question(0, 1)).is_some());
    recent.put(question(99, 1), Inspection::default());
    assert!(recent.get(&question(0, 1)).is_some());
    assert!(recent.get(&question(1, 1)).is_none());
    recent.put(question(100, REMEMBERED_BYTES), Inspection::default());
    assert_eq!(recent.entries.len(), 1);
    recent.put(question(101, REMEMBERED_BYTES + 1), Inspection::default());
    assert_eq!(recent.entries.len(), 0);
}

#[tokio::test]
async fn failures_say_what_happened() {
    let error = fails("import sys; print('one\\ntwo', file=sys.stderr); sys.exit(3)").await;
    assert_eq!(
        error.to_string(),
        "failed to read the source: exit status: 3 (two)"
    );
    let error = fails("print('no json')").await;
    assert!(error.to_string().contains("can't be read"), "{error}");
    assert_eq!(Error::from(error).kind, protocol::ErrorKind::Unavailable);
    let error = fails("import os; os.kill(os.getpid(), 11)").await;
    assert!(error.to_string().contains("killed by signal 11"), "{error}");
    assert_eq!(Error::from(error).kind, protocol::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn the_environment_beside_the_source_is_asked() {
    let (dir, inspector) = asking("print('{}')");
    let bin = dir.path().join(".venv/bin");
    create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink("/no/such/python", bin.join("python")).unwrap();
    let file = dir.path().join("flow.py");
    let asked = inspector.inspect("x".into(), file.to_str().unwrap()).await;
    assert!(
        matches!(
            asked,
            Err(InspectError::Python(PythonError::NotFound { .. }))
        ),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_fake_reads_trivial_sources() {
    let fake = FakeInspector::default();
    let source = "import os\n@flow\nasync def one(a: int, b=2, **rest):\n  pass\ndef no():\n  pass\n@flow(name=\"two!\")\ndef two():\n";
    let found = fake.inspect(source.into(), "").await.unwrap();
    assert_eq!(found.imports, ["os"]);
    let names: Vec<_> = found
        .flows
        .iter()
        .map(|f| (&*f.name, &*f.function))
        .collect();
    assert_eq!(names, [("one", "one"), ("two!", "two")]);
    let one = &found.flows[0];
    assert!(one.is_async && one.accepts_extra);
    let required: Vec<_> = one
        .parameters
        .iter()
        .map(|p| (&*p.name, p.required))
        .collect();
    assert_eq!(required, [("a", true), ("b", false)]);
    assert_eq!(one.parameters[1].default, Some(json!(2)));
    assert_eq!(fake.calls(), [source]);
}
