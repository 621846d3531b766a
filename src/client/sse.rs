//! The form of Server-Sent Events: bytes in, events out. Pure: no IO, no clock.

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The stream's id as of this event: what `Last-Event-ID` takes.
    pub id: Option<String>,
    /// `message` where the stream names none.
    pub name: String,
    pub data: String,
}

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub struct Parser {
    /// What has come of the line that is not complete yet.
    line: Vec<u8>,
    after_cr: bool,
    id: Option<String>,
    name: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// Takes the next bytes and returns the events that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' if self.after_cr => self.after_cr = false,
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    events.extend(self.end_of_line());
                }
                _ => {
                    self.after_cr = false;
                    self.line.push(byte);
                }
            }
        }
        events
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then(|| Event {
                id: self.id.clone(),
                name: if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                },
                data,
            });
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            _ => {} // comments (an empty field), `retry`, what the future brings
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: &str, data: &str) -> Event {
        Event {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    const STREAM: &str = "\
: hello\n\nid: 4\nevent: snapshot\ndata: {\"a\":\ndata: 1}\n\n\
retry: 10\nevent: lagged\n\nevent:span\r\nid:5\r\ndata:é\r\n\r\ndata\n\nid: 6\ndata: cut";

    #[test]
    fn reads_a_stream_however_it_is_cut() {
        let expected = [
            event(Some("4"), "snapshot", "{\"a\":\n1}"),
            event(Some("5"), "span", "é"),
            event(Some("5"), "message", ""),
        ];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let events: Vec<_> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|part| parser.feed(part))
                .collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }
}
