//! Newline-framed JSON-RPC on a stream: one request a line, one answer a line, answers as they
//! finish.
//!
//! One loop reads, runs and writes, each only as far as the others allow: reading pauses while too
//! many calls are in flight or too many answers wait to be fetched. Dropping the loop gives up the
//! calls; it ends by itself once the peer is gone. A peer that only shut down its writing still
//! gets its answers, and notifications run even if their sender left at once.

use std::{io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{shared::too_large, stopping::Stopping, unix};
use crate::rpc::{Rpc, answer::error_without_id, dispatch::Answering};

/// The most calls in flight on one connection.
pub(super) const MAX_IN_FLIGHT: usize = 1_024;
/// While this much is waiting to be fetched, nothing more is read.
const MAX_UNSENT: usize = 4 << 20;
/// How long the rest of a line that is too long is read and dropped, so that its sender gets to
/// read the answer.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Framer {
    buffer: BytesMut,
    /// So much of the buffer is known to have no line end.
    scanned: usize,
}

impl Framer {
    fn line(&mut self) -> Option<Bytes> {
        let found = self.buffer[self.scanned..].iter().position(|b| *b == b'\n');
        match found {
            Some(at) => {
                let line = self.buffer.split_to(self.scanned + at);
                self.buffer.advance(1);
                self.scanned = 0;
                Some(line.freeze())
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    /// Room for the next read: little for a connection that only waits, more in a long line.
    fn make_room(&mut self) {
        let wanted = if self.buffer.len() < 2 << 10 {
            2 << 10
        } else {
            64 << 10
        };
        self.buffer.reserve(wanted);
    }

    /// What is left when nothing more comes: a last line without its end.
    fn rest(&mut self) -> Bytes {
        self.scanned = 0;
        self.buffer.split().freeze()
    }
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// No further requests: the peer has sent all, the server stops, or a line was too long.
    Done,
}

/// Serves one connection until it is over; `first` was read from it already.
pub(super) async fn serve(
    stream: UnixStream,
    first: &[u8],
    rpc: &Rpc,
    limit: usize,
    stopping: &Stopping,
) -> io::Result<()> {
    let peer = unix::Peer::of(&stream);
    let (mut reader, mut writer) = stream.into_split();
    let mut framer = Framer::default();
    framer.buffer.extend_from_slice(first);
    let (mut reading, mut over_long, mut alone) = (Reading::Open, false, false);
    let mut running: FuturesUnordered<Answering> = FuturesUnordered::new();
    let mut unsent = BytesMut::new();
    let (stopped, gone) = (stopping.wait(), peer.gone());
    tokio::pin!(stopped, gone);
    loop {
        while reading == Reading::Open && room(&running, &unsent) {
            let Some(line) = framer.line() else { break };
            if line.len() > limit {
                over_long = true;
                break;
            }
            start(rpc, line, &running);
            if alone {
                // Notifications are on their way; nobody waits for an answer.
                running.clear();
            }
        }
        if reading == Reading::Open && (over_long || framer.scanned > limit) {
            over_long = true;
            reading = Reading::Done;
            put(&mut unsent, &error_without_id(&too_large(limit)));
        }
        if reading == Reading::Done && (alone || running.is_empty() && unsent.is_empty()) {
            break;
        }
        let may_read = reading == Reading::Open && room(&running, &unsent);
        framer.make_room();
        tokio::select! {
            answer = running.next(), if !running.is_empty() && unsent.len() < MAX_UNSENT => {
                if let Some(answer) = answer.flatten() {
                    put(&mut unsent, &answer);
                }
            }
            written = writer.write_buf(&mut unsent), if !unsent.is_empty() => {
                if written? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
            }
            read = reader.read_buf(&mut framer.buffer), if may_read => {
                if read? == 0 {
                    reading = Reading::Done;
                    start(rpc, framer.rest(), &running);
                }
            }
            () = &mut stopped, if reading == Reading::Open => reading = Reading::Done,
            // While reading, its end is noticed there.
            () = &mut gone, if !may_read && !alone => {
                alone = true;
                running.clear();
                unsent.clear();
            }
        }
    }
    if over_long && !alone {
        writer.shutdown().await?;
        drain(&mut reader).await;
    }
    Ok(())
}

/// Whether another request may be read.
fn room(running: &FuturesUnordered<Answering>, unsent: &BytesMut) -> bool {
    running.len() < MAX_IN_FLIGHT && unsent.len() < MAX_UNSENT
}

fn start(rpc: &Rpc, line: Bytes, running: &FuturesUnordered<Answering>) {
    if !line.trim_ascii().is_empty() {
        running.push(rpc.accept(line));
    }
}

fn put(unsent: &mut BytesMut, answer: &[u8]) {
    unsent.extend_from_slice(answer);
    unsent.extend_from_slice(b"\n");
}

async fn drain(reader: &mut (impl AsyncRead + Unpin)) {
    let mut dropped = vec![0; 64 << 10];
    let rest = async { while reader.read(&mut dropped).await.is_ok_and(|n| n > 0) {} };
    // Whether it came to its end does not matter.
    drop(tokio::time::timeout(DRAIN_LIMIT, rest).await);
}
