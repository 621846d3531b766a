//! Follows a play to its end: streams in, view out, and what the person asks for in between.

use std::collections::{HashMap, VecDeque};

use futures_util::{StreamExt, stream::FuturesUnordered};
use protocol::{
    EpochMs, ErrorKind, Play, PlaySid, PlayStatus,
    rpc::{Nothing, PlayCancel, ServerInfo},
};
use tokio::{
    task::AbortHandle,
    time::{Duration, Instant, MissedTickBehavior, interval},
};

use super::{
    context::Context,
    exit::Failure,
    session::Session,
    signals::{self, Asked, Signals},
    tree::{Forest, News},
    view::{FRAME, View},
};
use crate::client::{Record, Update, Watch, WatchError};

/// How many child plays are followed at once; the others wait for their turn.
const CHILDREN: usize = 16;
/// How many child plays are kept in the picture.
const ALL_CHILDREN: usize = 500;
/// How often the server is asked how it is: a play that waits for a full disk says nothing itself.
const ASK: Duration = Duration::from_secs(2);
/// How long the last words of child plays are waited for.
const LAST_WORDS: Duration = Duration::from_millis(300);

const NOTHING: Nothing = Nothing {};

/// What has been seen to of what plays wait for.
#[derive(Debug)]
pub(crate) struct Passed {
    /// The waits of attempts up to this.
    attempts: HashMap<PlaySid, u32>,
    /// Whether plays under the one that is followed count, too.
    children: bool,
}

impl Passed {
    pub(crate) fn new(children: bool) -> Self {
        Self {
            attempts: HashMap::new(),
            children,
        }
    }

    /// Whether a play waits for something that has not been seen to; it is taken as seen to from now on.
    fn is_news(&mut self, play: &Play) -> bool {
        if play.status != PlayStatus::AwaitingResume {
            return false;
        }
        let before = self.attempts.insert(play.sid.clone(), play.attempt);
        before.is_none_or(|before| before < play.attempt)
    }
}

/// Shows a play until it is terminal or waits for input, and returns its record. Ctrl-C cancels it,
/// a second one kills it.
pub(crate) async fn follow(
    context: &Context,
    session: &Session,
    sid: &PlaySid,
    passed: &mut Passed,
    signals: &mut Signals,
) -> Result<Play, Failure> {
    let view = View::new(context.err, context.quiet, context.verbose);
    let mut following = Following {
        session,
        sid,
        forest: Forest::new(sid.clone()),
        watch: Watch::new(session.socket()),
        view,
        streams: HashMap::new(),
        waiting: VecDeque::new(),
        stops: 0,
        trouble: None,
        passed,
        over: false,
    };
    following.streams.insert(sid.clone(), None);
    following.watch.follow(sid);
    let done = following.run(signals).await;
    following.view.finish(&following.forest, EpochMs::now());
    done?;
    match following.forest.play() {
        Some(play) => Ok(play.clone()),
        None => Err(Failure::failed(format!(
            "failed to follow play {sid}: its stream ended without saying how it went"
        ))),
    }
}

struct Following<'a> {
    session: &'a Session,
    sid: &'a PlaySid,
    forest: Forest,
    watch: Watch,
    view: View,
    /// The plays whose streams are open; the handle is of a child play's.
    streams: HashMap<PlaySid, Option<AbortHandle>>,
    /// Child plays that are not followed yet.
    waiting: VecDeque<PlaySid>,
    /// How often we were asked to stop.
    stops: u32,
    /// Why the server can't write, as it was last said.
    trouble: Option<String>,
    passed: &'a mut Passed,
    /// The play is terminal, or waits for input.
    over: bool,
}

impl Following<'_> {
    async fn run(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_words: Option<Instant> = None;
        let session = self.session;
        let [gently, at_once] = [None, Some(0)].map(|grace_ms| PlayCancel {
            play_sid: self.sid.clone(),
            grace_ms,
        });
        let mut stops = FuturesUnordered::new();
        let mut asks = interval(ASK);
        asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        asks.tick().await;
        let mut infos = FuturesUnordered::new();
        frames.tick().await; // the first one comes at once: a short play needs no picture before its last
        loop {
            if self.over {
                let until = *last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                if self.streams.is_empty() || Instant::now() >= until {
                    return Ok(());
                }
            }
            tokio::select! {
                update = self.watch.next() => self.update(update)?,
                asked = signals.next() => {
                    if let Some(stop) = self.asked(asked)? {
                        let cancel = if stop == Asked::Kill { &at_once } else { &gently };
                        stops.push(session.call::<Play>("cancel the play", "play_cancel", cancel));
                    }
                }
                // Beside everything else: a stop that takes its time must not keep the next from being heard.
                Some(stopped) = stops.next() => match stopped {
                    Ok(_) => {}
                    // It ended just before; or the server is gone, which the stream tells better.
                    Err(failure) if failure.lost || failure.is(ErrorKind::Conflict) => {}
                    Err(failure) => return Err(failure),
                },
                _ = asks.tick(), if infos.is_empty() => {
                    infos.push(session.call::<ServerInfo>("ask the server how it is", "server_info", &NOTHING));
                }
                Some(info) = infos.next() => match info {
                    Ok(info) => self.server_is(info.trouble),
                    // The stream tells better.
                    Err(error) => tracing::debug!(error = error.message, "the server did not say how it is"),
                },
                _ = frames.tick() => self.view.frame(&self.forest, EpochMs::now()),
            }
        }
    }

    fn update(&mut self, (play, update): Update) -> Result<(), Failure> {
        match update {
            Ok(record) => self.record(&play, record),
            Err(error) if play == *self.sid => {
                return Err(match error {
                    WatchError::Refused(error) => Failure::of(format!("follow play {play}"), error),
                    gone @ WatchError::Gone(_) => Failure::failed(format!(
                        "failed to follow play {play} to its end: {gone}; \
                         see how it went with `hero_logic play show {play}`"
                    )),
                });
            }
            Err(error) => {
                tracing::debug!(%play, %error, "a child play can't be followed");
                self.ended(&play);
            }
        }
        Ok(())
    }

    fn server_is(&mut self, trouble: Option<String>) {
        if self.trouble == trouble {
            return;
        }
        self.view.say(&match &trouble {
            Some(why) => format!("waiting: {why}"),
            None => "going on: it can be written again".to_owned(),
        });
        self.trouble = trouble;
    }

    fn record(&mut self, play: &PlaySid, record: Record) {
        let news = self.forest.apply(play, record);
        for news in &news {
            match news {
                News::Child(child) if self.streams.len() + self.waiting.len() < ALL_CHILDREN => {
                    self.waiting.push_back(child.clone());
                }
                News::End => self.ended(play),
                _ => {}
            }
        }
        self.follow_children();
        self.view.news(&self.forest, play, &news);
        if play == self.sid {
            self.over |= news.contains(&News::End);
        }
        if (play == self.sid || self.passed.children)
            && let Some(play) = self.forest.tree(play).and_then(|tree| tree.play.as_ref())
        {
            self.over |= self.passed.is_news(play);
        }
    }

    fn ended(&mut self, play: &PlaySid) {
        if let Some(Some(stream)) = self.streams.remove(play) {
            stream.abort();
        }
        self.follow_children();
    }

    fn follow_children(&mut self) {
        while self.streams.len() <= CHILDREN
            && let Some(child) = self.waiting.pop_front()
        {
            let stream = self.watch.follow(&child);
            self.streams.insert(child, Some(stream));
        }
    }

    /// What is to be done with the play now that this was asked for.
    fn asked(&mut self, asked: Asked) -> Result<Option<Asked>, Failure> {
        match asked {
            Asked::Suspend => {
                self.view.leave();
                signals::suspend()
                    .map_err(|error| Failure::failed(format!("failed to suspend: {error}")))?;
                return Ok(None);
            }
            Asked::Stop => self.stops += 1,
            Asked::Kill => self.stops = self.stops.max(1) + 1,
        }
        if self.over {
            return Ok(None);
        }
        if self.stops > 2 {
            return Err(Failure::failed(
                "gave up waiting for the play's end; what is not recorded by now is at the next start",
            ));
        }
        let kill = self.stops > 1;
        self.view.say(if kill {
            "killing it"
        } else {
            "cancelling it; once more kills it at once"
        });
        self.view.frame(&self.forest, EpochMs::now());
        Ok(Some(if kill { Asked::Kill } else { Asked::Stop }))
    }
}
