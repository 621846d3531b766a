//! The listening socket of one play: any number of connections, one reading task.
//!
//! Order matters across connections: a forked child writes on a connection of its own about spans
//! that its parent started on another, a request names a span that was started on the event stream.
//! So each pass reads the newest connection first and applies the oldest first: what was written
//! before on an older connection is then always in the same pass or an earlier one.

use std::{
    future::poll_fn,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use protocol::{
    Error,
    event::{BadLine, Line, PlayRequest, decode},
};
use rustix::net::RecvFlags;
use serde_json::{Value, json};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
    sync::{Mutex, oneshot},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::{
    DRAIN, Delivery, Event, Request, Sink,
    lines::{Lines, Piece},
};

/// How many connections a play can have open at once.
pub const MAX_CONNECTIONS: usize = 1_024;
/// How many requests of a play can be open at once.
pub const MAX_REQUESTS: usize = 10_000;
/// After how long a failed accept is tried again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How much of one connection is read in a pass, bytes: more than a socket buffers, so that a pass
/// leaves nothing behind that was written before it.
const READ_PER_PASS: usize = 256 << 10;
/// How much a pass reads in all, bytes.
const PASS: usize = 2 << 20;

/// A bound span socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct SpanSocket {
    listener: Listener,
    path: PathBuf,
}

impl SpanSocket {
    /// Binds a socket that only this user can reach.
    ///
    /// # Errors
    /// What the system says; a path over 107 bytes is one.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = Listener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Where the play connects to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads until `writers_gone` resolves, then what is left; everything goes to the sink.
    pub async fn run(self, sink: Arc<dyn Sink>, mut writers_gone: oneshot::Receiver<()>) {
        let mut reader = Reader::default();
        loop {
            tokio::select! {
                // First the end, so that a flood from someone who is still there can't hide it.
                biased;
                _ = &mut writers_gone => break,
                delivery = poll_fn(|cx| reader.poll_pass(&self.listener, cx)) => {
                    hand_over(&mut reader, &*sink, delivery).await;
                }
            }
        }
        // Only the reading is bounded: a sink that takes its time, because nothing can be committed
        // just now, must not cost what was read.
        let mut patience = DRAIN;
        loop {
            let began = Instant::now();
            let pass = poll_fn(|cx| match reader.poll_pass(&self.listener, cx) {
                Poll::Ready(pass) => Poll::Ready(Some(pass)),
                Poll::Pending if reader.connections.is_empty() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match tokio::time::timeout(patience, pass).await {
                Ok(Some(pass)) => {
                    patience = patience.saturating_sub(began.elapsed());
                    hand_over(&mut reader, &*sink, pass).await;
                    if !patience.is_zero() {
                        continue;
                    }
                }
                Ok(None) => return,
                Err(_) => {}
            }
            let what = format!(
                "{} connections were still open at the end",
                reader.connections.len()
            );
            sink.deliver(Delivery {
                events: vec![Event::OverLimit(what)],
                requests: Vec::new(),
            })
            .await;
            return;
        }
    }
}

impl Drop for SpanSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "span socket was gone before");
        }
    }
}

/// What one pass read.
#[derive(Default)]
struct Pass {
    events: Vec<Event>,
    calls: Vec<(Arc<Connection>, PlayRequest)>,
}

async fn hand_over(reader: &mut Reader, sink: &dyn Sink, pass: Pass) {
    // Thousands of plays that say nothing just now hold no buffers.
    reader.buffer = Vec::new();
    let mut delivery = Delivery {
        events: pass.events,
        requests: Vec::new(),
    };
    for (connection, call) in pass.calls {
        let (reply, answer) = oneshot::channel();
        let id = call.id.clone();
        let task = reader
            .answering
            .spawn(answer_on(connection.clone(), id, answer));
        connection.keep(task);
        if reader.answering.len() > MAX_REQUESTS {
            let what = format!(
                "a play can have {MAX_REQUESTS} requests open at once; wait for some first"
            );
            reply.send(Err(Error::too_large(what))).ok();
            continue;
        }
        delivery.requests.push(Request { call, reply });
    }
    while reader.answering.try_join_next().is_some() {}
    if !delivery.is_empty() {
        sink.deliver(delivery).await;
    }
}

async fn answer_on(
    connection: Arc<Connection>,
    id: Value,
    answer: oneshot::Receiver<Result<Value, Error>>,
) {
    let answer = answer
        .await
        .unwrap_or_else(|_| Err(Error::unavailable("the play is ending")));
    if id.is_null() {
        return;
    }
    let message = match answer {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => {
            let mut data = error.details.unwrap_or_default();
            data.insert("kind".into(), error.kind.as_str().into());
            json!({"jsonrpc": "2.0", "id": id,
                   "error": {"code": error.kind.code(), "message": error.message, "data": data}})
        }
    };
    let mut line = message.to_string();
    line.push('\n');
    if let Err(error) = connection.write(line.as_bytes()).await {
        tracing::debug!(%error, "a play did not wait for its answer");
    }
}

#[derive(Default)]
struct Reader {
    /// Oldest first.
    connections: Vec<(Arc<Connection>, Lines)>,
    answering: JoinSet<()>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: UnixStream,
    writing: Mutex<()>,
    answers: std::sync::Mutex<Vec<AbortHandle>>,
}

impl Connection {
    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _whole_line = self.writing.lock().await;
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn keep(&self, answer: AbortHandle) {
        let mut answers = self
            .answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        answers.retain(|task| !task.is_finished());
        answers.push(answer);
    }

    /// The peer is gone: whoever works on an answer for it hears so.
    fn forget_answers(&self) {
        for task in self
            .answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }
}

impl Reader {
    /// Ready when something was read, or a connection came or went.
    fn poll_pass(&mut self, listener: &Listener, cx: &mut Context<'_>) -> Poll<Pass> {
        let mut pass = Pass::default();
        let mut active = false;
        loop {
            match listener.next(cx) {
                Ok(Some(stream)) if self.connections.len() < MAX_CONNECTIONS => {
                    let connection = Connection {
                        stream,
                        writing: Mutex::default(),
                        answers: std::sync::Mutex::default(),
                    };
                    self.connections
                        .push((Arc::new(connection), Lines::default()));
                }
                Ok(Some(_)) => {
                    active = true;
                    let what = format!("a connection beyond {MAX_CONNECTIONS}");
                    pass.events.push(Event::OverLimit(what));
                }
                Ok(None) => break,
                Err(error) => {
                    // Out of descriptors, most likely: the peer stays in the backlog, and nobody
                    // else would wake this task when there are some again.
                    tracing::warn!(%error, "failed to accept a connection of a play; trying again");
                    let waker = cx.waker().clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        waker.wake();
                    });
                    break;
                }
            }
        }
        let mut read_in_all = 0;
        let mut parts = Vec::new();
        let mut closed = Vec::new();
        for index in (0..self.connections.len()).rev() {
            let (connection, lines) = &mut self.connections[index];
            let mut part = Pass::default();
            let (read, open) = read_connection(connection, lines, &mut self.buffer, &mut part, cx);
            read_in_all += read;
            active |= read > 0 || !open;
            if !open {
                closed.push(index);
            }
            parts.push(part);
            if read_in_all > PASS {
                cx.waker().wake_by_ref();
                break;
            }
        }
        for mut part in parts.into_iter().rev() {
            pass.events.append(&mut part.events);
            pass.calls.append(&mut part.calls);
        }
        // Found from the newest to the oldest, so each removal leaves the later indices right.
        for index in closed {
            self.connections.remove(index).0.forget_answers();
        }
        if active {
            Poll::Ready(pass)
        } else {
            Poll::Pending
        }
    }
}

/// A listener that is asked both ways: the kernel at once, the reactor for being woken.
#[derive(Debug)]
struct Listener {
    direct: std::os::unix::net::UnixListener,
    woken: UnixListener,
}

impl Listener {
    fn bind(path: &Path) -> io::Result<Self> {
        let direct = std::os::unix::net::UnixListener::bind(path)?;
        direct.set_nonblocking(true)?;
        let woken = UnixListener::from_std(direct.try_clone()?)?;
        Ok(Self { direct, woken })
    }

    /// The next connection of the backlog. The reactor hears of it later, and what was written on it
    /// must not wait for that. `None`: there is none, the task will be woken.
    fn next(&self, cx: &mut Context<'_>) -> io::Result<Option<UnixStream>> {
        match self.direct.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                return UnixStream::from_std(stream).map(Some);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match self.woken.poll_accept(cx) {
            Poll::Ready(accepted) => accepted.map(|(stream, _)| Some(stream)),
            Poll::Pending => Ok(None),
        }
    }
}

/// Reads what there is; how many bytes, and whether the connection is still open. The kernel is
/// asked, whatever the reactor has heard: see the module on order.
fn read_connection(
    connection: &Arc<Connection>,
    lines: &mut Lines,
    buffer: &mut Vec<u8>,
    pass: &mut Pass,
    cx: &mut Context<'_>,
) -> (usize, bool) {
    buffer.resize(64 << 10, 0);
    let mut read = 0;
    loop {
        let stream = &connection.stream;
        let mut received = receive(stream, buffer);
        if is_empty(&received) {
            match stream.poll_read_ready(cx) {
                Poll::Pending => return (read, true),
                Poll::Ready(Err(_)) => return (read, false),
                // Through the reactor, which then knows that there is no more.
                Poll::Ready(Ok(())) => {
                    received = stream.try_io(Interest::READABLE, || receive(stream, buffer));
                }
            }
        }
        match received {
            Ok(0) => {
                lines.finish(|piece| take(connection, piece, pass));
                return (read, false);
            }
            Ok(count) => {
                lines.push(&buffer[..count], |piece| take(connection, piece, pass));
                read += count;
            }
            Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                lines.finish(|piece| take(connection, piece, pass));
                return (read, false);
            }
        }
        if read >= READ_PER_PASS {
            cx.waker().wake_by_ref();
            return (read, true);
        }
    }
}

fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(stream, buffer, RecvFlags::DONTWAIT)?.0)
}

fn is_empty(received: &io::Result<usize>) -> bool {
    matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn take(connection: &Arc<Connection>, piece: Piece<'_>, pass: &mut Pass) {
    match piece {
        Piece::Line(line) => match decode(line) {
            Ok(Line::Event(event)) => pass.events.push(Event::Wire(event)),
            Ok(Line::Request(call)) => pass.calls.push((connection.clone(), call)),
            Err(bad) => pass.events.push(Event::Bad(bad)),
        },
        Piece::TooLong => pass.events.push(Event::Bad(BadLine::TooLong)),
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
