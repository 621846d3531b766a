//! Standard output and error of a process, from the first byte: text for the sink.

use std::{cell::Cell, future::poll_fn, io, pin::Pin, sync::Arc, time::Duration};

use protocol::LogStream;
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::watch,
    time::{Instant, sleep},
};

use super::{DRAIN, Delivery, Event, Sink};

const CHUNK: usize = 64 << 10;

thread_local! {
    /// Of each thread, not of each stream: thousands of plays that print nothing just now hold none.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads to the end of the stream. Bytes that are no UTF-8 become `U+FFFD`; a character that is cut
/// by a chunk's end stays whole. When `process_gone` says so, the rest is read, but nobody who still
/// holds the pipe is waited for; the sink may always take its time.
pub async fn capture(
    mut from: impl AsyncRead + Unpin,
    stream: LogStream,
    sink: Arc<dyn Sink>,
    mut process_gone: watch::Receiver<bool>,
) {
    let mut held = Vec::new();
    let mut patience: Option<Duration> = None;
    loop {
        let read = loop {
            if patience.is_some_and(|left| left.is_zero()) {
                break Ok(None);
            }
            let began = Instant::now();
            tokio::select! {
                // First the end, so that a flood from someone who is still there can't hide it.
                biased;
                // An error says that nobody watches over the process any more.
                _ = process_gone.wait_for(|gone| *gone), if patience.is_none() => {
                    patience = Some(DRAIN);
                }
                read = read(&mut from, &mut held) => {
                    patience = patience.map(|left| left.saturating_sub(began.elapsed()));
                    break read;
                }
                () = sleep(patience.unwrap_or_default()), if patience.is_some() => {
                    tracing::warn!("a play's output is still held open by someone; it is no longer read");
                    break Ok(None);
                }
            }
        };
        let read = read.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to read a play's output");
            None
        });
        let over = read.is_none();
        let text = read.unwrap_or_else(|| String::from_utf8_lossy(&held).into_owned());
        if !text.is_empty() {
            sink.deliver(Delivery {
                events: vec![Event::Raw { stream, text }],
                ..Delivery::default()
            })
            .await;
        }
        if over {
            return;
        }
    }
}

/// What there is, as far as its characters are whole; `None` at the end. `held` is the beginning of one
/// that is not. Safe to cancel.
async fn read(
    from: &mut (impl AsyncRead + Unpin),
    held: &mut Vec<u8>,
) -> io::Result<Option<String>> {
    poll_fn(|cx| {
        let mut buffer = BUFFER.take();
        buffer.resize(CHUNK, 0);
        let (before, room) = buffer.split_at_mut(held.len());
        before.copy_from_slice(held);
        let mut room = ReadBuf::new(room);
        let polled = Pin::new(&mut *from).poll_read(cx, &mut room);
        let read = room.filled().len();
        let polled = polled.map_ok(|()| {
            let bytes = &buffer[..held.len() + read];
            (read > 0).then(|| {
                let (whole, rest) = bytes.split_at(bytes.len() - unfinished(bytes));
                *held = rest.to_vec();
                String::from_utf8_lossy(whole).into_owned()
            })
        });
        BUFFER.set(buffer);
        polled
    })
    .await
}

/// How many bytes at the end are the start of a character whose rest may still come.
fn unfinished(bytes: &[u8]) -> usize {
    let last_four = &bytes[bytes.len().saturating_sub(4)..];
    let Some(lead) = last_four.iter().rposition(|byte| byte & 0xC0 != 0x80) else {
        return 0;
    };
    let there = last_four.len() - lead;
    let whole = match last_four[lead] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    if there < whole { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::{FutureExt, future::BoxFuture};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[derive(Default)]
    struct Text(Mutex<String>);

    impl Sink for Text {
        fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()> {
            for event in delivery.events {
                let Event::Raw { text, .. } = event else {
                    panic!("{event:?}")
                };
                self.0.lock().unwrap().push_str(&text);
            }
            async {}.boxed()
        }
    }

    #[tokio::test]
    async fn characters_survive_any_cut() {
        let text = "aß→🦀 ".repeat(100);
        let (mut write, read) = tokio::io::duplex(7);
        let sink = Arc::new(Text::default());
        let (_process, gone) = watch::channel(false);
        let reading = tokio::spawn(capture(read, LogStream::Stdout, sink.clone(), gone));
        write.write_all(text.as_bytes()).await.unwrap();
        write.write_all(b"\xff!\xf0\x9f").await.unwrap();
        drop(write);
        reading.await.unwrap();
        assert_eq!(*sink.0.lock().unwrap(), format!("{text}\u{fffd}!\u{fffd}"));
    }

    /// Takes an hour for each piece.
    #[derive(Default)]
    struct Slow(Text);

    impl Sink for Slow {
        fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()> {
            let taken = self.0.deliver(delivery);
            async {
                taken.await;
                sleep(Duration::from_secs(3_600)).await;
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sink_loses_nothing_of_a_process_that_is_gone() {
        let (mut write, read) = tokio::io::duplex(1 << 20);
        let text = "x".repeat(300_000);
        write.write_all(text.as_bytes()).await.unwrap();
        let sink = Arc::new(Slow::default());
        let (process, gone) = watch::channel(false);
        process.send_replace(true);
        let began = Instant::now();
        // Somebody holds the writing end to the last.
        capture(read, LogStream::Stdout, sink.clone(), gone).await;
        assert_eq!(*sink.0.0.lock().unwrap(), text);
        assert!(began.elapsed() < Duration::from_secs(6 * 3_600));
        drop(write);
    }
}
