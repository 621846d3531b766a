use protocol::{Edge, ErrorKind, Node};

use super::*;

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

#[test]
fn names_are_short_visible_and_trimmed() {
    assert_eq!(name("  daily report\n").unwrap(), "daily report");
    assert_eq!(name(&"ü".repeat(256)).unwrap().chars().count(), 256);
    for wrong in ["", " \t", "a\nb", "a\0b", &"x".repeat(257)] {
        assert_eq!(kind(name(wrong)), ErrorKind::InvalidInput, "{wrong:?}");
    }
}

#[test]
fn tags_are_few_short_and_each_once() {
    let many = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
    let twice = ["b".to_owned(), "a".to_owned(), "b".to_owned()];
    assert_eq!(tags(&twice).unwrap(), ["b", "a"]);
    assert_eq!(tags(&many(64)).unwrap().len(), 64);
    assert_eq!(kind(tags(&many(65))), ErrorKind::InvalidInput);
    assert!(tags(&["x".repeat(128)]).is_ok());
    for wrong in [String::new(), "a\tb".into(), "x".repeat(129)] {
        assert_eq!(kind(tags(&[wrong])), ErrorKind::InvalidInput);
    }
}

#[test]
fn texts_have_a_largest_size() {
    assert!(description(&"x".repeat(64 << 10)).is_ok());
    let long = "x".repeat((64 << 10) + 1);
    assert_eq!(kind(description(&long)), ErrorKind::TooLarge);
    let of = |bytes: usize| VersionContent {
        python_source: "x".repeat(bytes),
        ..VersionContent::default()
    };
    assert!(content(&of(4 << 20)).is_ok());
    assert_eq!(kind(content(&of((4 << 20) + 1))), ErrorKind::TooLarge);
}

#[test]
fn content_is_of_one_kind() {
    let make = |source: &str, nodes: bool, edges: bool, flow: Option<&str>| VersionContent {
        python_source: source.into(),
        nodes: Vec::from_iter(nodes.then(|| Node {
            id: "a".into(),
            workflow_sid: "w".into(),
            inputs: None,
        })),
        edges: Vec::from_iter(edges.then(|| Edge {
            from: "a".into(),
            to: "a".into(),
            map: None,
        })),
        flow_name: flow.map(Into::into),
        ..VersionContent::default()
    };
    for good in [
        make("x", false, false, Some("f")),
        make("", true, false, None),
        make("", true, true, None),
    ] {
        assert!(content(&good).is_ok(), "{good:?}");
    }
    for (wrong, word) in [
        (make("", false, false, None), "nothing to run"),
        (make("", false, true, None), "edges without nodes"),
        (make("x", false, true, None), "edges without nodes"),
        (make("x", true, false, None), "both"),
        (make("", true, false, Some("f")), "flow_name"),
    ] {
        let error = content(&wrong).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains(word), "{error}");
    }
    let mut file = make("x", false, false, None);
    file.source_file = Some("a\0b".into());
    assert_eq!(kind(content(&file)), ErrorKind::InvalidInput);
}

#[test]
fn the_flow_is_the_wanted_one_or_named_alike_or_the_last() {
    let flow = |name: &str, function: &str, line| FlowInfo {
        name: name.into(),
        function: function.into(),
        line,
        ..FlowInfo::default()
    };
    let flows = [
        flow("a", "one", 1),
        flow("b", "a", 2),
        flow("two", "two", 3),
        flow("c", "three", 4),
        flow("two", "again", 5),
        flow("last", "four", 6),
    ];
    let chosen = |wanted, workflow| choose(&flows, wanted, workflow).unwrap().unwrap().line;
    assert_eq!(
        chosen(None, "a"),
        1,
        "the flow's name before the function's"
    );
    assert_eq!(chosen(None, "three"), 4);
    assert_eq!(chosen(None, "two"), 5, "the later of two");
    assert_eq!(chosen(None, "no such"), 6);
    assert_eq!(chosen(Some("b"), "a"), 2);
    assert_eq!(chosen(Some("one"), "a"), 1);
    let error = choose(&flows[..2], Some("x"), "a").unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert_eq!(error.message, "the source has no flow `x`; it has `a`, `b`");
    assert_eq!(choose(&[], Some("x"), "a").unwrap(), None);
    assert_eq!(choose(&[], None, "a").unwrap(), None);
}

#[test]
fn timeouts_become_whole_milliseconds() {
    assert_eq!(millis(1.5), Some(1_500));
    assert_eq!(millis(0.000_1), Some(1));
    assert_eq!(millis(1e300), Some(u64::MAX));
    for none in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(millis(none), None);
    }
}

#[test]
fn a_docstring_of_any_length_fits() {
    let long = shortened("ü".repeat(64 << 10));
    assert!(description(&long).is_ok());
    assert_eq!(long.len(), 64 << 10);
}
