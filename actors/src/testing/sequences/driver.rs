//! A server and the model of its plays, side by side.

use std::{collections::BTreeMap, sync::Arc, thread};

use serde_json::{Value, json};

use super::{
    super::model::{
        calls::Key,
        coming::{Coming, Reply},
        play::Play,
        possible::{Came, Possible},
        script::{self, Move},
    },
    plan::End,
    view::{Question, Seen},
    world::{Answered, World},
};

/// A play that is known of.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) sid: String,
    pub(super) plain: bool,
    pub(super) possible: Possible,
    /// What it was told to do.
    pub(super) script: Arc<[Move]>,
    /// The play that started it, and its id there.
    pub(super) parent: Option<(usize, u8)>,
    /// All questions that were seen.
    pub(super) questions: BTreeMap<Key, Question>,
    /// As it was seen last.
    pub(super) seen: Option<Seen>,
}

/// A play that is to be made.
#[derive(Debug)]
pub(super) struct Unborn {
    pub(super) plain: bool,
    pub(super) key: Option<u8>,
    pub(super) retry_of: Option<String>,
    pub(super) script: Arc<[Move]>,
    pub(super) possible: Possible,
}

/// See the module.
#[derive(Debug)]
pub struct Driver<W> {
    pub(super) world: W,
    pub(super) max_plays: u32,
    pub(super) plays: Vec<Known>,
    /// Those of which it is not known whether they were made.
    pub(super) unborn: Vec<Unborn>,
    /// Which play has which idempotency key.
    pub(super) keys: BTreeMap<u8, usize>,
    next_value: i64,
    /// At which crash point the server may die by itself …
    armed: Option<String>,
    /// … and where it did.
    died_at: Vec<String>,
    /// How servers went since all children of plays were known.
    pub(super) ends: Vec<Coming>,
    /// What was done, for whoever reads of a failure.
    story: Story,
}

#[derive(Debug, Default)]
struct Story(Vec<String>);

impl Drop for Story {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("what happened:\n    {}", self.0.join("\n    "));
        }
    }
}

impl<W: World> Driver<W> {
    /// With a server that dies at a crash point, if it is `armed`.
    pub async fn start(world: W, max_plays: u32, armed: Option<String>) -> Self {
        let mut driver = Self {
            world,
            max_plays,
            plays: Vec::new(),
            unborn: Vec::new(),
            keys: BTreeMap::new(),
            next_value: 0,
            armed: None,
            died_at: Vec::new(),
            ends: Vec::new(),
            story: Story::default(),
        };
        driver.begin(armed).await;
        driver
    }

    /// At which crash points servers have died.
    #[must_use]
    pub fn died_at(&self) -> &[String] {
        &self.died_at
    }

    /// All is done: what is left is looked at.
    pub async fn close(mut self) {
        if self.armed.is_some() {
            // This one may not come to its end.
            self.restart(End::Killed, None).await;
        }
        self.world.check_what_is_left();
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        self.story.0.push(what.into());
    }

    /// A number that nothing else has.
    pub(super) fn value(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    async fn begin(&mut self, armed: Option<String>) {
        self.armed = armed;
        loop {
            let begun = self.world.begins(self.armed.as_deref()).await.is_ok();
            self.tell(format!("a server, armed {:?}, begun {begun}", self.armed));
            let found = if begun {
                self.find_unborn().await
            } else {
                None
            };
            if found.is_some() {
                return;
            }
            if begun {
                self.world.died().await;
            }
            // It may have started some already.
            self.died_of_arms();
            self.all_come_to(&[(Coming::Crash, Some(Reply::Done))]);
        }
    }

    fn died_of_arms(&mut self) {
        let at = self.armed.take();
        self.died_at
            .push(at.expect("the server died, and nobody killed it"));
    }

    /// The server goes, in this way, and another one comes.
    pub async fn restart(&mut self, how: End, armed: Option<String>) {
        let crash = (Coming::Crash, Some(Reply::Done));
        let stop = (Coming::Stop, Some(Reply::Done));
        let in_order = self.world.goes(how).await;
        match how {
            End::Killed => self.all_come_to(&[crash]),
            End::Stopped if in_order => self.all_come_to(&[stop]),
            End::Stopped => {
                self.died_of_arms();
                for known in &mut self.plays {
                    let stopped = known.possible.after(std::slice::from_ref(&stop));
                    let either = known.possible.iter().chain(stopped.iter()).cloned();
                    known.possible = Possible::any(either);
                }
                self.all_come_to(&[crash]);
            }
        }
        self.begin(armed).await;
    }

    /// The server was found dead.
    pub(super) async fn mourn(&mut self) {
        self.died_of_arms();
        self.bury().await;
    }

    /// The server is dead, or dies: another one comes.
    pub(super) async fn bury(&mut self) {
        self.world.died().await;
        self.all_come_to(&[(Coming::Crash, Some(Reply::Done))]);
        self.begin(None).await;
    }

    fn all_come_to(&mut self, came: &[Came]) {
        let ends = came.iter().map(|(coming, _)| coming.clone());
        self.ends
            .extend(ends.filter(|coming| coming.ends_the_server()));
        for at in 0..self.plays.len() {
            self.comes_to(at, came);
        }
    }

    /// This came to a play, and nothing else.
    pub(super) fn comes_to(&mut self, at: usize, came: &[Came]) {
        self.hear_of_children(at);
        self.hear_of_parent(at);
        if !came.is_empty() {
            self.tell(format!("to play {at}: {came:?}"));
        }
        let known = &mut self.plays[at];
        let after = known.possible.after(came);
        assert!(
            !after.is_empty(),
            "play {at}: that can't be answered: {came:?}; it was {:?}",
            known.possible
        );
        known.possible = after;
    }

    /// A call that is not refused. `None`: the server is gone.
    pub(super) async fn ask(&self, method: &'static str, params: &Value) -> Option<Value> {
        match self.world.call(method, params).await {
            Answered::Result(result) => Some(result),
            Answered::Refused(kind) => panic!("{method} {params}: {kind}"),
            Answered::Lost => None,
        }
    }

    pub(super) fn start_params(&self, script: &[Move], plain: bool, key: Option<u8>) -> Value {
        let mut params = self.world.options();
        params["workflow_sid"] = json!(self.world.workflow(plain));
        params["input_data"] = input_of(script);
        if let Some(key) = key {
            params["idempotency_key"] = json!(format!("key-{key}"));
        }
        params
    }

    /// A play that the server has made.
    pub(super) fn born(&mut self, sid: String, new: Unborn) -> usize {
        let at = self.plays.len();
        self.tell(format!(
            "play {at} is {sid}, with the key {:?}, of {:?}: {:?}",
            new.key, new.retry_of, new.script
        ));
        if let Some(key) = new.key {
            self.keys.insert(key, at);
        }
        self.plays.push(Known {
            sid,
            plain: new.plain,
            possible: new.possible,
            script: new.script,
            parent: None,
            questions: BTreeMap::new(),
            seen: None,
        });
        at
    }

    /// What was to be made when the server died was made, or was not. `None`: the server is gone.
    async fn find_unborn(&mut self) -> Option<()> {
        if self.unborn.is_empty() {
            return Some(());
        }
        let found = self.ask("play_list", &json!({"limit": 10_000})).await?;
        let mut unborn = std::mem::take(&mut self.unborn);
        for play in found["items"].as_array().unwrap() {
            let known = self.plays.iter().any(|known| play["sid"] == known.sid);
            if known || !play["parent_play_sid"].is_null() {
                continue;
            }
            let made = unborn.iter().position(|new| {
                play["retry_of"].as_str() == new.retry_of.as_deref()
                    && play["workflow_sid"] == self.world.workflow(new.plain)
                    && play["input_data"].as_str() == Some(&*input_of(&new.script).to_string())
            });
            let made = made.unwrap_or_else(|| panic!("nobody has started {play}"));
            let mut new = unborn.remove(made);
            // It was there when the server died.
            let crash = [(Coming::Crash, Some(Reply::Done))];
            new.possible = new.possible.after(&crash);
            self.born(text(&play["sid"]), new);
        }
        Some(())
    }

    /// Child plays that have begun since.
    pub(super) async fn find_children(&mut self) -> Option<()> {
        let has_children = |one: &Move| matches!(one, Move::Child { .. });
        for at in 0..self.plays.len() {
            let script = self.plays[at].script.clone();
            let ended = self.plays[at].seen.as_ref().is_some_and(Seen::has_ended);
            if ended || !script.iter().any(has_children) {
                continue;
            }
            let query = json!({"parent_play_sid": self.plays[at].sid});
            let found = self.ask("play_list", &query).await?;
            for play in found["items"].as_array().unwrap() {
                if !self.plays.iter().any(|known| play["sid"] == known.sid) {
                    self.found_child(at, &script, play);
                }
            }
        }
        Some(())
    }

    fn found_child(&mut self, at: usize, script: &[Move], play: &Value) {
        let input: Value = serde_json::from_str(&text(&play["input_data"])).unwrap();
        let child = script.iter().find_map(|one| match one {
            Move::Child { id, moves } if input["id"] == *id => Some((*id, moves)),
            _ => None,
        });
        let (id, moves) = child.unwrap_or_else(|| panic!("play {at} has no such child: {play}"));
        let mut before = self.plays.iter();
        let twice = before.find(|known| known.parent == Some((at, id)));
        assert!(
            twice.is_none(),
            "play {at}: its child {id} was started twice"
        );
        let script: Arc<[Move]> = moves.clone().into();
        let mut possible = Possible::any([Play::new(script.clone())]);
        for end in &self.ends {
            // It was there before that, or not.
            let after = possible.after(&[(end.clone(), None)]);
            possible = Possible::any(possible.iter().chain(after.iter()).cloned());
        }
        self.plays.push(Known {
            sid: text(&play["sid"]),
            plain: self.plays[at].plain,
            possible,
            script,
            parent: Some((at, id)),
            questions: BTreeMap::new(),
            seen: None,
        });
    }
}

/// What a play is started with that follows this.
pub(super) fn input_of(moves: &[Move]) -> Value {
    json!({"moves": script::to_json(moves)})
}

/// The text of a JSON string.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => panic!("no text: {other}"),
    }
}
