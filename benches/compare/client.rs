//! A client that costs little: newline-framed JSON-RPC over the Unix socket, blocking, any number of
//! requests under way. What it measures is the server, not itself.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use crate::Done;

/// How long a play may take to come to a question.
const PATIENCE: Duration = Duration::from_secs(240);

#[derive(Debug)]
pub(crate) struct Client {
    socket: UnixStream,
    reader: BufReader<UnixStream>,
    last_id: u64,
    line: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: u64,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Value>,
}

/// What of an ended play is looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) cause: Value,
    #[serde(default)]
    pub(crate) usage: Value,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    output_data: Value,
}

impl Ended {
    /// How its process was started, where the server says it.
    pub(crate) fn start(&self) -> Option<&str> {
        self.usage.get("start")?.as_str()
    }

    /// What the flow returned.
    pub(crate) fn output<T: DeserializeOwned>(&self) -> Done<T> {
        let text = self
            .output_data
            .as_str()
            .ok_or("the flow returned nothing")?;
        Ok(serde_json::from_str(text)?)
    }

    pub(crate) fn expect_success(self) -> Done<Self> {
        match self.status.as_str() {
            "success" => Ok(self),
            other => Err(format!("a play ended as {other}: {}", self.cause).into()),
        }
    }
}

/// How plays are asked to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Start {
    Warm,
    Cold,
}

impl Start {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// What to play, and how.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    params: Value,
}

impl Order {
    pub(crate) fn new(workflow: &str, input: Value, start: Start) -> Self {
        let params = json!({
            "workflow_sid": workflow,
            "input_data": input,
            "parent_span_id": "",
            "start": start.word(),
        });
        Self { params }
    }

    /// With another interpreter than the server's.
    pub(crate) fn python(mut self, python: &Path) -> Self {
        self.params["python"] = json!(python);
        self
    }
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> std::io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        // An answer that does not come is a finding, not a wait for ever.
        socket.set_read_timeout(Some(Duration::from_secs(300)))?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 16, socket.try_clone()?),
            socket,
            last_id: 0,
            line: Vec::new(),
        })
    }

    /// Sends a request; the id of its answer.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> Done<u64> {
        self.last_id += 1;
        self.line.clear();
        write!(
            self.line,
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":"#,
            self.last_id
        )?;
        serde_json::to_writer(&mut self.line, params)?;
        self.line.extend_from_slice(b"}\n");
        self.socket.write_all(&self.line)?;
        Ok(self.last_id)
    }

    /// The next answer, whichever request it belongs to; an error where the server refused it.
    pub(crate) fn receive<T: for<'a> Deserialize<'a>>(&mut self) -> Done<(u64, T)> {
        self.line.clear();
        if self.reader.read_until(b'\n', &mut self.line)? == 0 {
            return Err("the server closed the connection".into());
        }
        let answer: Answer<'_> = serde_json::from_slice(&self.line)?;
        if let Some(error) = answer.error {
            return Err(format!("the server refused request {}: {error}", answer.id).into());
        }
        let result = answer.result.map_or("null", RawValue::get);
        Ok((answer.id, serde_json::from_str(result)?))
    }

    pub(crate) fn call<T: for<'a> Deserialize<'a>>(
        &mut self,
        method: &str,
        params: &Value,
    ) -> Done<T> {
        let id = self.send(method, params)?;
        let (answered, result) = self.receive()?;
        if answered != id {
            return Err(format!("an answer to request {answered}, not to {id}").into());
        }
        Ok(result)
    }

    pub(crate) fn start(&mut self, order: &Order) -> Done<String> {
        self.call("play_run_async", &order.params)
    }

    pub(crate) fn wait(&mut self, play: &str) -> Done<Ended> {
        self.call("play_wait", &wait_params(play))
    }

    /// The id of the question that a play waits with, once it has no process any more.
    pub(crate) fn question(&mut self, play: &str) -> Done<String> {
        let params = json!({"play_sid": play});
        let began = Instant::now();
        loop {
            let play: Ended = self.call("play_status", &params)?;
            match play.status.as_str() {
                "awaiting_resume" => break,
                "pending" | "running" if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                other => {
                    return Err(
                        format!("a play asks nothing, it is {other}: {}", play.cause).into(),
                    );
                }
            }
        }
        let questions: Value = self.call("play_pending_resumes", &params)?;
        let id = questions[0]["id"]
            .as_str()
            .ok_or("a play that waits asks nothing")?;
        Ok(id.to_owned())
    }

    /// Answers a question; returns when the answer is acknowledged.
    pub(crate) fn resume(&mut self, play: &str, question: &str) -> Done<()> {
        let params = json!({"play_sid": play, "resume_id": question, "payload": 1});
        self.call::<Value>("play_resume", &params)?;
        Ok(())
    }

    /// From the request to start it to the answer that it has ended.
    pub(crate) fn play(&mut self, order: &Order) -> Done<(Duration, Ended)> {
        let began = Instant::now();
        let play = self.start(order)?;
        let ended = self.wait(&play)?;
        let took = began.elapsed();
        Ok((took, ended.expect_success()?))
    }

    /// Plays `count` times, at most `in_flight` at once; nothing is started after `limit`. How many ended,
    /// and how long all of it took.
    pub(crate) fn many(
        &mut self,
        order: &Order,
        count: usize,
        in_flight: usize,
        limit: Duration,
    ) -> Done<(usize, Duration)> {
        let began = Instant::now();
        let mut started = 0;
        let mut ended = 0;
        let mut starting: HashSet<u64> = HashSet::new();
        while started < count && started < in_flight {
            starting.insert(self.send("play_run_async", &order.params)?);
            started += 1;
        }
        while ended < started {
            let (id, answer): (u64, Value) = self.receive()?;
            if starting.remove(&id) {
                let play = answer.as_str().ok_or("play_run_async answered no sid")?;
                self.send("play_wait", &wait_params(play))?;
                continue;
            }
            serde_json::from_value::<Ended>(answer)?.expect_success()?;
            ended += 1;
            if started < count && began.elapsed() < limit {
                starting.insert(self.send("play_run_async", &order.params)?);
                started += 1;
            }
        }
        Ok((ended, began.elapsed()))
    }
}

pub(crate) fn wait_params(play: &str) -> Value {
    json!({"play_sid": play, "timeout_ms": 0})
}
