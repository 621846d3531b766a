use std::{io::Write, os::unix::net::UnixStream as Client, sync::Mutex as Lock};

use futures_util::{FutureExt, future::BoxFuture};
use protocol::event::SpanEvent;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;

#[derive(Default)]
struct Collected {
    names: Lock<Vec<String>>,
    bad: Lock<Vec<BadLine>>,
    requests: Lock<Vec<Request>>,
    came: tokio::sync::Notify,
}

impl Sink for Collected {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()> {
        for event in delivery.events {
            match event {
                Event::Wire(SpanEvent::Start(start)) => self.names.lock().unwrap().push(start.name),
                Event::Bad(bad) => self.bad.lock().unwrap().push(bad),
                other => panic!("{other:?}"),
            }
        }
        self.requests.lock().unwrap().extend(delivery.requests);
        self.came.notify_one();
        async {}.boxed()
    }
}

fn line(name: &str) -> String {
    format!("{{\"type\":\"span_start\",\"span_id\":\"x\",\"name\":\"{name}\"}}\n")
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("a deadline of 20 s")
}

#[tokio::test]
async fn reads_everything_that_was_written_before_the_writers_were_gone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let path = socket.path().to_owned();
    let sink = Arc::new(Collected::default());
    let (gone, writers_gone) = oneshot::channel();
    // All of it is in the kernel's buffers, unaccepted, when the reading starts and ends at once.
    let mut expected = Vec::new();
    for n in 0..20 {
        let mut client = Client::connect(&path).unwrap();
        for m in 0..50 {
            client
                .write_all(line(&format!("{n}-{m}")).as_bytes())
                .unwrap();
            expected.push(format!("{n}-{m}"));
        }
        client
            .write_all(b"broken\n{\"type\":\"span_start\"")
            .unwrap();
    }
    gone.send(()).unwrap();
    within(socket.run(sink.clone(), writers_gone)).await;
    assert_eq!(
        *sink.names.lock().unwrap(),
        expected,
        "oldest connection first, each in its order"
    );
    assert_eq!(
        sink.bad.lock().unwrap().len(),
        40,
        "a broken line and an unfinished one each"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn a_request_never_overtakes_the_event_it_speaks_of() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let path = socket.path().to_owned();
    let sink = Arc::new(Collected::default());
    let (gone, writers_gone) = oneshot::channel();
    let running = tokio::spawn(socket.run(sink.clone(), writers_gone));
    let writing = tokio::task::spawn_blocking(move || {
        let mut events = Client::connect(&path).unwrap();
        let mut requests = Client::connect(&path).unwrap();
        for n in 0..2_000 {
            events.write_all(line(&format!("e{n}")).as_bytes()).unwrap();
            requests
                .write_all(line(&format!("r{n}")).as_bytes())
                .unwrap();
        }
    });
    within(writing).await.unwrap();
    gone.send(()).unwrap();
    within(running).await.unwrap();
    let names = sink.names.lock().unwrap();
    let at: std::collections::HashMap<_, _> = names
        .iter()
        .enumerate()
        .map(|(i, n)| (n.clone(), i))
        .collect();
    assert_eq!(at.len(), 4_000);
    for n in 0..2_000 {
        assert!(at[&format!("e{n}")] < at[&format!("r{n}")], "{n}");
    }
}

#[tokio::test]
async fn answers_on_the_connection_that_asked_and_hears_when_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let path = socket.path().to_owned();
    let sink = Arc::new(Collected::default());
    let (gone, writers_gone) = oneshot::channel();
    let running = tokio::spawn(socket.run(sink.clone(), writers_gone));
    let (read, mut write) = UnixStream::connect(&path).await.unwrap().into_split();
    write
        .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a\"}\n{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"b\"}\n")
        .await
        .unwrap();
    within(sink.came.notified()).await;
    let (first, second) = {
        let mut requests = sink.requests.lock().unwrap();
        assert_eq!(requests.len(), 2);
        (requests.remove(0), requests.remove(0))
    };
    second
        .reply
        .send(Err(Error::not_found("flow", "b")))
        .unwrap();
    let mut lines = BufReader::new(read).lines();
    let answer: Value =
        serde_json::from_str(&within(lines.next_line()).await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&answer["id"], &answer["error"]["data"]["kind"]),
        (&json!(8), &json!("not_found"))
    );
    drop((lines, write));
    let mut first = first.reply;
    within(first.closed()).await;
    gone.send(()).unwrap();
    within(running).await.unwrap();
}

#[tokio::test]
async fn who_asks_with_too_long_a_line_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let path = socket.path().to_owned();
    let sink = Arc::new(Collected::default());
    let (gone, writers_gone) = oneshot::channel();
    let running = tokio::spawn(socket.run(sink.clone(), writers_gone));
    let (read, mut write) = UnixStream::connect(&path).await.unwrap().into_split();
    let long = "x".repeat(MAX_LINE);
    let mut lines = BufReader::new(read).lines();
    for (n, line) in [
        format!(r#"{{"jsonrpc":"2.0","id":0,"method":"m","params":{{"x":"{long}"}}}}"#),
        format!(r#"{{"id":1,"type":"step_output","jsonrpc":"2.0","data":"{long}{long}"}}"#),
    ]
    .into_iter()
    .enumerate()
    {
        // An event without an answer, before it, is skipped and that is all.
        let event = format!(r#"{{"type":"span_start","id":9,"name":"{long}"}}"#);
        for line in [event, line] {
            write.write_all(line.as_bytes()).await.unwrap();
            write.write_all(b"\n").await.unwrap();
        }
        let answer = within(lines.next_line()).await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["data"]["kind"]),
            (&json!(n), &json!("too_large"))
        );
    }
    drop((lines, write));
    gone.send(()).unwrap();
    within(running).await.unwrap();
    assert_eq!(*sink.bad.lock().unwrap(), vec![BadLine::TooLong; 4]);
}

/// Takes an hour for each batch.
#[derive(Default)]
struct Slow(Collected);

impl Sink for Slow {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'static, ()> {
        let taken = self.0.deliver(delivery);
        async {
            taken.await;
            tokio::time::sleep(Duration::from_secs(3_600)).await;
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_loses_nothing_of_writers_that_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let mut clients: Vec<_> = (0..100)
        .map(|_| Client::connect(socket.path()).unwrap())
        .collect();
    let long = line(&"x".repeat(40_000));
    for client in &mut clients {
        client.write_all(long.as_bytes()).unwrap();
    }
    drop(clients);
    let (gone, writers_gone) = oneshot::channel();
    gone.send(()).unwrap();
    let sink = Arc::new(Slow::default());
    socket.run(sink.clone(), writers_gone).await;
    assert_eq!(sink.0.names.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn one_event_after_very_many_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let socket = SpanSocket::bind(&dir.path().join("s")).unwrap();
    let path = socket.path().to_owned();
    let sink = Arc::new(Collected::default());
    let (gone, writers_gone) = oneshot::channel();
    let running = tokio::spawn(socket.run(sink.clone(), writers_gone));
    let mut expected = 0;
    let mut first = Client::connect(&path).unwrap();
    for many in [10, 100, 200] {
        // Fast ones, after which nobody listens; then slow ones, on connections old and new.
        first
            .write_all(line("fast").repeat(many).as_bytes())
            .unwrap();
        expected += many;
        for _ in 0..3 {
            let mut second = Client::connect(&path).unwrap();
            for client in [&mut first, &mut second] {
                within(async {
                    while sink.names.lock().unwrap().len() < expected {
                        sink.came.notified().await;
                    }
                })
                .await;
                client.write_all(line("slow").as_bytes()).unwrap();
                expected += 1;
            }
        }
    }
    gone.send(()).unwrap();
    drop(first);
    within(running).await.unwrap();
    assert_eq!(sink.names.lock().unwrap().len(), expected);
}
