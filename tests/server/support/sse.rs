//! A reader of event streams.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use super::http::{Stream, read_head};

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

pub(crate) struct Events {
    reader: BufReader<Box<dyn Stream>>,
}

impl Events {
    pub(crate) fn open(stream: Box<dyn Stream>, sid: &str, last: Option<u64>) -> Self {
        Self::open_at(stream, &format!("/api/plays/{sid}/spans"), last)
    }

    /// The stream at this path.
    pub(crate) fn open_at(mut stream: Box<dyn Stream>, path: &str, last: Option<u64>) -> Self {
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: localhost\r\n{last}\r\n"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(read_head(&mut reader).unwrap(), 200);
        Self { reader }
    }
}

impl Iterator for Events {
    type Item = Event;

    /// The next event; `None` where the stream is over.
    fn next(&mut self) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap() == 0 {
                assert!(
                    name.is_empty() && data.is_empty(),
                    "cut in the middle of an event"
                );
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("id", value)) => id = Some(value.parse().unwrap()),
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => data.push_str(value),
                None if line == "\n" && !name.is_empty() => break,
                _ => {}
            }
        }
        let data = serde_json::from_str(&data).unwrap_or(Value::Null);
        Some(Event { id, name, data })
    }
}
