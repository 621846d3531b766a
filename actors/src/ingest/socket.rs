//! The listening socket of one play: any number of connections, one reading task.
//!
//! Order matters across connections: a forked child writes on a connection of its own about spans
//! that its parent started on another, a request names a span that was started on the event stream.
//! So each pass reads the newest connection first and applies the oldest first: what was written
//! before on an older connection is then always in the same pass or an earlier one.
//!
//! To be woken for each event costs the server, and the play that sends it, more than the event itself.
//! So where many come, the reactor is not asked to listen: the next pass looks by itself, a moment later.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use protocol::{
    Error,
    event::{BadLine, Line, MAX_LINE, PlayRequest, decode, id_of_cut},
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
    Acknowledgement, DRAIN, Delivery, Event, Request, Sink,
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
/// With so many events in a pass, nobody needs to be woken for the next ones …
const MANY: usize = 8;
/// … which are looked for this much later, unless there were so many that there are more by now.
const MOMENT: Duration = Duration::from_millis(1);
const VERY_MANY: usize = 128;

thread_local! {
    /// Of each thread, not of each play: thousands that say nothing just now hold none.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A bound span socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct SpanSocket {
    listener: Listener,
    path: PathBuf,
    /// A connection that is there before anybody connects.
    first: Option<UnixStream>,
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
            first: None,
        })
    }

    /// This stream is read like one that has connected.
    pub fn connected(&mut self, stream: UnixStream) {
        self.first = Some(stream);
    }

    /// Where the play connects to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads until `writers_gone` resolves, then what is left; everything goes to the sink.
    pub async fn run(mut self, sink: Arc<dyn Sink>, mut writers_gone: oneshot::Receiver<()>) {
        let mut reader = Reader::default();
        if let Some(stream) = self.first.take() {
            reader.connections.push(Reading::new(Stream::Heard(stream)));
        }
        loop {
            tokio::select! {
                // First the end, so that a flood from someone who is still there can't hide it.
                biased;
                _ = &mut writers_gone => break,
                pass = reader.next_pass(&self.listener) => hand_over(&mut reader, &*sink, pass).await,
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
                ..Delivery::default()
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
    asked: Vec<(Arc<Connection>, Asked)>,
}

/// What is to be answered on a connection.
enum Asked {
    Call(PlayRequest),
    /// The event at this place, once it is committed.
    Event {
        id: Value,
        event: usize,
    },
    /// That the line with this id was too long.
    TooLong(Value),
}

async fn hand_over(reader: &mut Reader, sink: &dyn Sink, pass: Pass) {
    let mut delivery = Delivery {
        events: pass.events,
        ..Delivery::default()
    };
    for (connection, asked) in pass.asked {
        let (reply, answer) = oneshot::channel();
        let id = match &asked {
            Asked::Call(call) => call.id.clone(),
            Asked::Event { id, .. } | Asked::TooLong(id) => id.clone(),
        };
        let task = reader
            .answering
            .spawn(answer_on(connection.clone(), id, answer));
        connection.keep(task);
        let call = match asked {
            Asked::Call(call) => call,
            Asked::Event { event, .. } => {
                let acknowledgement = Acknowledgement { event, reply };
                delivery.acknowledgements.push(acknowledgement);
                continue;
            }
            Asked::TooLong(_) => {
                let what = format!(
                    "a line can have {MAX_LINE} bytes at most, and this one has more; pass large data as a file"
                );
                reply.send(Err(Error::too_large(what))).ok();
                continue;
            }
        };
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
    connections: Vec<Reading>,
    answering: JoinSet<()>,
    /// Events come so fast that the reactor is not asked.
    busy: bool,
    /// The next pass can wait for a moment.
    rests: bool,
}

/// One connection.
struct Reading {
    /// `None`: lost, see [`Reading::listen`].
    stream: Option<Stream>,
    lines: Lines,
    /// Made with the first request on it.
    answers: Option<Arc<Connection>>,
}

enum Stream {
    /// The reactor listens to it.
    Heard(UnixStream),
    Unheard(std::os::unix::net::UnixStream),
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Heard(stream) => stream.as_fd(),
            Self::Unheard(stream) => stream.as_fd(),
        }
    }
}

/// Where answers are written.
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
    /// What is read next. Safe to cancel: nothing that was read is lost.
    async fn next_pass(&mut self, listener: &Listener) -> Pass {
        if std::mem::take(&mut self.rests) {
            tokio::time::sleep(MOMENT).await;
        }
        poll_fn(|cx| self.poll_pass(listener, cx)).await
    }

    /// Ready when something was read, or a connection came or went.
    fn poll_pass(&mut self, listener: &Listener, cx: &mut Context<'_>) -> Poll<Pass> {
        loop {
            if let Some(pass) = self.pass(listener, cx) {
                let events = pass.events.len();
                self.busy = events >= MANY;
                self.rests = self.busy && events < VERY_MANY;
                return Poll::Ready(pass);
            }
            // Who was not listened to is from now on.
            if !std::mem::take(&mut self.busy) {
                return Poll::Pending;
            }
        }
    }

    fn pass(&mut self, listener: &Listener, cx: &mut Context<'_>) -> Option<Pass> {
        let mut pass = Pass::default();
        let mut active = self.accept(listener, &mut pass, cx);
        let mut buffer = BUFFER.take();
        let mut read_in_all = 0;
        let mut parts = Vec::new();
        let mut closed = Vec::new();
        for index in (0..self.connections.len()).rev() {
            let mut part = Pass::default();
            let reading = &mut self.connections[index];
            let (read, open) = reading.read(&mut buffer, &mut part, self.busy, cx);
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
        BUFFER.set(buffer);
        for mut part in parts.into_iter().rev() {
            let before = pass.events.len();
            for (_, asked) in &mut part.asked {
                if let Asked::Event { event, .. } = asked {
                    *event += before;
                }
            }
            if pass.events.is_empty() {
                pass.events = part.events;
            } else {
                pass.events.append(&mut part.events);
            }
            pass.asked.append(&mut part.asked);
        }
        // Found from the newest to the oldest, so each removal leaves the later indices right.
        for index in closed {
            if let Some(answers) = self.connections.remove(index).answers {
                answers.forget_answers();
            }
        }
        active.then_some(pass)
    }

    /// Takes who has connected; whether something is to be told of it.
    fn accept(&mut self, listener: &Listener, pass: &mut Pass, cx: &mut Context<'_>) -> bool {
        let mut active = false;
        loop {
            match listener.next(cx) {
                Ok(Some(stream)) if self.connections.len() < MAX_CONNECTIONS => {
                    self.connections.push(Reading::new(Stream::Unheard(stream)));
                }
                Ok(Some(_)) => {
                    active = true;
                    let what = format!("a connection beyond {MAX_CONNECTIONS}");
                    pass.events.push(Event::OverLimit(what));
                }
                Ok(None) => return active,
                Err(error) => {
                    // Out of descriptors, most likely: the peer stays in the backlog, and nobody
                    // else would wake this task when there are some again.
                    tracing::warn!(%error, "failed to accept a connection of a play; trying again");
                    let waker = cx.waker().clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                        waker.wake();
                    });
                    return active;
                }
            }
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
    fn next(&self, cx: &mut Context<'_>) -> io::Result<Option<std::os::unix::net::UnixStream>> {
        match self.direct.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                return Ok(Some(stream));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match self.woken.poll_accept(cx) {
            Poll::Ready(accepted) => accepted?.0.into_std().map(Some),
            Poll::Pending => Ok(None),
        }
    }
}

impl Reading {
    fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            lines: Lines::default(),
            answers: None,
        }
    }

    /// Reads what there is; how many bytes, and whether the connection is still open. The kernel is
    /// asked, whatever the reactor has heard: see the module on order. Unless `busy`, the task is
    /// woken when there is more.
    fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        pass: &mut Pass,
        busy: bool,
        cx: &mut Context<'_>,
    ) -> (usize, bool) {
        buffer.resize(64 << 10, 0);
        let mut asked = Vec::new();
        let mut read = 0;
        let open = loop {
            let mut received = match &self.stream {
                Some(stream) => receive(stream, buffer),
                None => Ok(0),
            };
            if is_empty(&received) {
                match self.listen(busy, cx) {
                    Ok(None) => break true,
                    // Through the reactor, which then knows that there is no more.
                    Ok(Some(stream)) => {
                        received = stream.try_io(Interest::READABLE, || receive(stream, buffer));
                    }
                    Err(error) => received = Err(error),
                }
            }
            let mut take = |piece: Piece<'_>| take(piece, &mut pass.events, &mut asked);
            match received {
                Ok(count) if count > 0 => {
                    self.lines.push(&buffer[..count], take);
                    read += count;
                }
                Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => {
                    self.lines.finish(&mut take);
                    break false;
                }
            }
            if read >= READ_PER_PASS {
                cx.waker().wake_by_ref();
                break true;
            }
        };
        if asked.is_empty() {
            return (read, open);
        }
        match self.answers() {
            Ok(connection) => {
                let asked = asked.into_iter();
                pass.asked
                    .extend(asked.map(|asked| (connection.clone(), asked)));
                (read, open)
            }
            Err(error) => {
                let what = format!("a connection that nobody can answer on: {error}");
                pass.events.push(Event::OverLimit(what));
                (read, false)
            }
        }
    }

    /// Has the task woken when there is something to read, or lets it be; a stream that is said to
    /// have something.
    fn listen(&mut self, busy: bool, cx: &mut Context<'_>) -> io::Result<Option<&UnixStream>> {
        self.stream = match self.stream.take() {
            Some(Stream::Heard(stream)) if busy => Some(Stream::Unheard(stream.into_std()?)),
            Some(Stream::Unheard(stream)) if !busy => {
                Some(Stream::Heard(UnixStream::from_std(stream)?))
            }
            stream => stream,
        };
        let Some(Stream::Heard(stream)) = &self.stream else {
            return Ok(None);
        };
        match stream.poll_read_ready(cx) {
            Poll::Pending => Ok(None),
            Poll::Ready(ready) => ready.map(|()| Some(stream)),
        }
    }

    fn answers(&mut self) -> io::Result<&Arc<Connection>> {
        if self.answers.is_none() {
            let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            let stream = stream.as_fd().try_clone_to_owned()?;
            self.answers = Some(Arc::new(Connection {
                stream: UnixStream::from_std(stream.into())?,
                writing: Mutex::default(),
                answers: std::sync::Mutex::default(),
            }));
        }
        let made = self.answers.as_ref();
        made.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn receive(stream: &impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(stream, buffer, RecvFlags::DONTWAIT)?.0)
}

fn is_empty(received: &io::Result<usize>) -> bool {
    matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn take(piece: Piece<'_>, events: &mut Vec<Event>, asked: &mut Vec<Asked>) {
    match piece {
        Piece::Line(line) => match decode(line) {
            Ok(Line::Event(event)) => events.push(Event::Wire(event)),
            Ok(Line::Request(call)) => asked.push(Asked::Call(call)),
            Ok(Line::Acknowledged { id, event }) => {
                let place = events.len();
                events.push(Event::Wire(event));
                asked.push(Asked::Event { id, event: place });
            }
            Err(bad) => events.push(Event::Bad(bad)),
        },
        Piece::TooLong(beginning) => {
            events.push(Event::Bad(BadLine::TooLong));
            // Whoever asked would wait for ever.
            asked.extend(id_of_cut(beginning).map(Asked::TooLong));
        }
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
