//! Reads what the server publishes, and remembers under which number: a number means one change for
//! ever, across any number of crashes.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hero_logic::client::sse::Parser;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::server::Reach;

/// What was published.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    seen: Mutex<HashMap<u64, u64>>,
    reused: Mutex<Vec<String>>,
}

impl Feed {
    pub(crate) fn events(&self) -> usize {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(crate) fn take_reused(&self) -> Vec<String> {
        std::mem::take(&mut self.reused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn saw(&self, number: u64, play: &str, name: &str, data: &str) {
        let mut hasher = DefaultHasher::new();
        (play, name, data).hash(&mut hasher);
        let hash = hasher.finish();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = seen.insert(number, hash)
            && before != hash
        {
            let mut reused = self.reused.lock().unwrap_or_else(PoisonError::into_inner);
            reused.push(format!("{number}: {name} of {play}: {data}"));
        }
    }

    /// Follows one running play after another until it is told that it is enough.
    pub(crate) async fn watch(self: Arc<Self>, reach: Reach, enough: Arc<AtomicBool>) {
        while !enough.load(Ordering::Relaxed) {
            let query = json!({"status": "running", "limit": 8});
            let Ok(page) = reach.call("play_list", &query).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let plays: Vec<&str> = page["items"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|play: &Value| play["sid"].as_str())
                .collect();
            let followed = plays.iter().map(|play| async {
                // An error is the end of the connection: the server was killed, as ordered.
                let limit = Duration::from_secs(5);
                drop(tokio::time::timeout(limit, self.follow(&reach, play)).await);
            });
            futures_util::future::join_all(followed).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn follow(&self, reach: &Reach, play: &str) -> std::io::Result<()> {
        let mut stream = UnixStream::connect(&reach.socket).await?;
        let request = format!(
            "GET /api/plays/{play}/spans HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut parser = Unchunked::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            for event in parser.feed(&buffer[..count]) {
                // A snapshot is a state, not a change.
                if let (Some(Ok(number)), "span" | "log" | "play") =
                    (event.id.map(|id| id.parse()), event.name.as_str())
                {
                    self.saw(number, play, &event.name, &event.data);
                }
            }
        }
    }
}

/// Takes the chunked form of HTTP off the bytes of an event stream.
#[derive(Debug, Default)]
struct Unchunked {
    bytes: Vec<u8>,
    in_body: bool,
    parser: Parser,
}

impl Unchunked {
    fn feed(&mut self, bytes: &[u8]) -> Vec<hero_logic::client::sse::Event> {
        self.bytes.extend_from_slice(bytes);
        let mut events = Vec::new();
        if !self.in_body {
            let Some(end) = find(&self.bytes, b"\r\n\r\n") else {
                return events;
            };
            self.bytes.drain(..end + 4);
            self.in_body = true;
        }
        while let Some(end) = find(&self.bytes, b"\r\n") {
            let size = std::str::from_utf8(&self.bytes[..end])
                .ok()
                .and_then(|text| usize::from_str_radix(text, 16).ok())
                .unwrap_or(0);
            let (from, to) = (end + 2, end + 2 + size);
            if size == 0 || self.bytes.len() < to + 2 {
                break;
            }
            events.extend(self.parser.feed(&self.bytes[from..to]));
            self.bytes.drain(..to + 2);
        }
        events
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
