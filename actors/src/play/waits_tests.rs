use super::*;

const NOW: EpochMs = EpochMs(1_000.0);

fn start(kind: WaitKind, name: &str) -> WaitStart {
    WaitStart {
        kind,
        name: name.into(),
        schema: None,
        ui: None,
        wake_at: None,
        default: None,
        child: None,
    }
}

fn data(paused: Result<Paused>) -> (bool, String) {
    match paused.unwrap() {
        Paused::Settled { kept, .. } | Paused::Told(kept) => (kept.raised, kept.data.into()),
        open @ Paused::Open(_) => panic!("{open:?}"),
    }
}

fn signal(name: &str, payload: &str) -> Settling {
    Settling::Signal {
        name: name.into(),
        payload: payload.into(),
    }
}

#[test]
fn a_time_that_is_over_is_its_default_or_nothing_or_an_error() {
    let mut waits = Waits::default();
    let mut at = |key: &str, kind, default: Option<&str>| {
        let start = WaitStart {
            wake_at: Some(NOW),
            default: default.map(Into::into),
            ..start(kind, "n")
        };
        data(waits.pause(key, start, &key.into(), NOW))
    };
    assert_eq!(at("a", WaitKind::Ask, Some("null")), (false, "null".into()));
    assert_eq!(at("b", WaitKind::Sleep, None), (false, "null".into()));
    let (raised, error) = at("c", WaitKind::Ask, None);
    assert!(
        raised && error.contains("nobody answered 'n' in time"),
        "{error}"
    );
    let (raised, error) = at("d", WaitKind::Event, None);
    assert!(raised && error.contains("no signal 'n' came"), "{error}");
    assert_eq!(waits.status(), None);
}

#[test]
fn signals_go_to_the_oldest_wait_and_early_ones_are_taken_in_their_order() {
    let mut waits = Waits::default();
    for payload in ["1", "2"] {
        let done = waits.settle(signal("go", payload), NOW).unwrap();
        assert!(matches!(done, Done::Kept(_)), "{done:?}");
    }
    let pause = |waits: &mut Waits, key: &str, at: f64| {
        waits.pause(key, start(WaitKind::Event, "go"), &key.into(), EpochMs(at))
    };
    assert_eq!(data(pause(&mut waits, "a", 1.0)).1, "1");
    assert_eq!(data(pause(&mut waits, "b", 2.0)).1, "2");
    assert!(matches!(pause(&mut waits, "z", 3.0), Ok(Paused::Open(_))));
    assert!(matches!(pause(&mut waits, "c", 4.0), Ok(Paused::Open(_))));
    assert_eq!(waits.status(), Some(PlayStatus::AwaitingResume));
    let Ok(Done::Settled(wait, _)) = waits.settle(signal("go", "3"), NOW) else {
        panic!()
    };
    assert_eq!(&*wait.key, "z", "it waited longest");
    assert_eq!(waits.status(), Some(PlayStatus::Pending));
    assert_eq!(
        waits.again(&"z".into()),
        Some(json!({"settled": true, "payload": 3}))
    );
    assert_eq!(
        waits.status(),
        Some(PlayStatus::AwaitingResume),
        "it was told"
    );
    assert_eq!(
        waits.again(&"c".into()),
        Some(json!({"settled": false, "id": "c"}))
    );
}

#[test]
fn signals_that_nobody_waits_for_are_bounded() {
    let mut waits = Waits::default();
    let payload = format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 2));
    let taken = (0..100).take_while(|_| waits.settle(signal("go", &payload), NOW).is_ok());
    assert_eq!(taken.count(), SIGNAL_BYTES / (MAX_PAYLOAD + "go".len()));
    // Names count, too.
    let name = "n".repeat(MAX_NAME);
    let mut waits = Waits::default();
    let taken = (0..).take_while(|_| waits.settle(signal(&name, &payload), NOW).is_ok());
    assert_eq!(taken.count(), SIGNAL_BYTES / (MAX_PAYLOAD + MAX_NAME));
    let more = format!("{payload} ");
    let refused = Waits::default()
        .settle(signal("go", &more), NOW)
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooLarge);
}

#[test]
fn a_question_asked_again_keeps_its_token_and_its_time() {
    let mut waits = Waits::default();
    let first = WaitStart {
        wake_at: Some(EpochMs(2_000.0)),
        ..start(WaitKind::Ask, "ok?")
    };
    let Ok(Paused::Open(before)) = waits.pause("k", first.clone(), &"1.1".into(), NOW) else {
        panic!()
    };
    let mut next = Waits::new(Waiting {
        waits: vec![Wait::clone(&before)],
        signals: Vec::new(),
    });
    let later = WaitStart {
        wake_at: Some(EpochMs(9_000.0)),
        ..first.clone()
    };
    let again = next.pause("k", later.clone(), &"2.1".into(), EpochMs(1_500.0));
    let Ok(Paused::Open(again)) = again else {
        panic!("{again:?}")
    };
    assert_eq!(
        *again,
        Wait {
            span_id: "2.1".into(),
            ..Wait::clone(&before)
        }
    );
    let over = next.pause("k", later, &"2.2".into(), EpochMs(2_000.0));
    assert!(matches!(over, Ok(Paused::Settled { was_open: true, .. })));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bad = |start: WaitStart, what: &str| {
        let refused = Waits::default().pause("k", start, &"1".into(), NOW);
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidInput);
        assert!(refused.message.contains(what), "{refused}");
    };
    bad(start(WaitKind::Sleep, "s"), "a sleep needs wake_at");
    for at in [-1.0, f64::MAX] {
        let start = WaitStart {
            wake_at: Some(EpochMs(at)),
            ..start(WaitKind::Ask, "s")
        };
        bad(start, "no time");
    }
    for schema in [
        json!({"type": "nonsense"}),
        json!({"pattern": "("}),
        json!({"$ref": "http://localhost/schema"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!(3),
    ] {
        let start = WaitStart {
            schema: Some(schema),
            ..start(WaitKind::Ask, "s")
        };
        bad(start, "no JSON Schema");
    }
}

#[test]
fn an_answer_has_to_fit() {
    let mut waits = Waits::default();
    let ask = WaitStart {
        schema: Some(json!({"type": "object", "properties": {"n": {"minimum": 1}}})),
        ..start(WaitKind::Ask, "ok?")
    };
    waits.pause("k", ask, &"1".into(), NOW).unwrap();
    let mut answer = |payload: &str| {
        let key = "k".into();
        let payload = payload.into();
        waits.settle(Settling::Answer { key, payload }, NOW)
    };
    for bad in ["3", "{\"n\":0}"] {
        assert_eq!(answer(bad).unwrap_err().kind, ErrorKind::InvalidInput);
    }
    assert!(answer("{\"n\":0}").unwrap_err().message.contains("/n"));
    answer("{\"n\":1}").unwrap();
    assert_eq!(answer("{\"n\":1}").unwrap_err().kind, ErrorKind::Conflict);
    let never = Settling::Over {
        key: "never".into(),
    };
    assert_eq!(
        waits.settle(never, NOW).unwrap_err().kind,
        ErrorKind::NotFound
    );
}
