//! Waiting until the server shows what the model says.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    super::model::{
        calls::{Kept, Key},
        coming::Coming,
        play::{Child, Play, Stands, Status},
        possible::Possible,
        script::Site,
    },
    driver::{Driver, Known},
    notes::Notes,
    view::Seen,
    world::World,
};

/// How long it may take until a play is as the model has it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How soon it is looked again: the first time, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(25));

impl<W: World> Driver<W> {
    /// Waits until all plays are as the model has them when nothing more happens by itself; with
    /// `a_moment_later`, nothing is waited for either that is over in a moment.
    ///
    /// # Panics
    /// Where one is not, or is nothing that the model allows.
    pub async fn settle(&mut self, a_moment_later: bool) {
        self.widen();
        let until = Instant::now() + PATIENCE;
        let mut left = self.unsettled();
        let mut pause = LOOK_AGAIN.0;
        while !left.is_empty() {
            let Some(wrong) = self.try_settle(&mut left, a_moment_later).await else {
                self.mourn().await;
                self.widen();
                left = self.unsettled();
                continue;
            };
            if let Some(why) = wrong {
                assert!(Instant::now() < until, "{why}\n{}", self.overview());
                sleep(pause).await;
                pause = (pause * 2).min(LOOK_AGAIN.1);
            }
        }
        self.ends.clear();
        self.plays.iter_mut().for_each(learn_questions);
    }

    /// Whatever can happen now.
    fn widen(&mut self) {
        for at in 0..self.plays.len() {
            self.comes_to(at, &[]);
        }
    }

    /// What a child play may have heard of its parent, and the other way round.
    pub(super) fn hear_of_parent(&mut self, at: usize) {
        let Some((parent, _)) = self.plays[at].parent else {
            return;
        };
        // It may have heard before how its child stood.
        self.hear_of_children(parent);
        let parent = &mut self.plays[parent];
        parent.possible = parent.possible.from_now_on();
        let fails = |play: &Play| matches!(play.status, Status::Failed(_) | Status::Cancelled);
        if parent.possible.iter().any(fails) {
            let child = &mut self.plays[at];
            child.possible = child.possible.after(&[(Coming::Cancel, None)]);
        }
    }

    /// How the children of a play may stand.
    pub(super) fn hear_of_children(&mut self, at: usize) {
        let mut stands: BTreeMap<u8, Stands> = BTreeMap::new();
        for child in &self.plays {
            if let Some((_, id)) = child.parent.filter(|(parent, _)| *parent == at) {
                let stands = stands.entry(id).or_default();
                stands.extend(child.possible.from_now_on().iter().map(stand_of));
            }
        }
        if stands.is_empty() {
            return;
        }
        let plays = self.plays[at].possible.iter().map(|play| {
            let mut play = play.clone();
            play.children.extend(stands.clone());
            play
        });
        self.plays[at].possible = Possible::any(plays.collect::<Vec<_>>());
    }

    fn overview(&self) -> String {
        let plays = self.plays.iter().enumerate().map(|(at, known)| {
            let view = known.seen.as_ref().map(|seen| &seen.view);
            format!("play {at} of {:?} was seen as {view:?}", known.parent)
        });
        plays.collect::<Vec<_>>().join("\n")
    }

    /// What the children of a play have come to is known only when they are at rest. Whether one of them has heard
    /// something by that.
    fn look_at_parents(&mut self, left: &mut BTreeSet<usize>, a_moment_later: bool) -> bool {
        let before = left.len();
        for at in 0..self.plays.len() {
            self.hear_of_children(at);
            let known = &mut self.plays[at];
            let is_pending = |play: &Play| play.status == Status::Pending;
            let no_slot = known.possible.iter().any(is_pending);
            if known.possible.at_rest(no_slot, a_moment_later).is_empty() {
                known.possible = known.possible.from_now_on();
                left.insert(at);
            }
        }
        left.len() > before
    }

    /// What has ended and was seen then stays so.
    fn unsettled(&self) -> BTreeSet<usize> {
        let has_ended = |known: &Known| {
            let ended = |play: &Play| play.status.is_terminal();
            known.seen.as_ref().is_some_and(Seen::has_ended) && known.possible.iter().all(ended)
        };
        let plays = self.plays.iter().enumerate();
        let left = plays.filter(|(_, known)| !has_ended(known));
        left.map(|(at, _)| at).collect()
    }

    /// How it looks, unless it changes just now. `None`: the server is gone.
    async fn look(&self, at: usize) -> Option<Option<Seen>> {
        let sid = json!({"play_sid": self.plays[at].sid});
        let play = self.ask("play_get", &sid).await?;
        let pending = self.ask("play_pending_resumes", &sid).await?;
        let spans = self.ask("play_spans", &sid).await?;
        let spans = spans["spans"].as_array().unwrap().clone();
        let seen = Seen::of(&play, &pending, spans);
        // Else some of it is older than the rest.
        let is_whole = self.ask("play_get", &sid).await? == play;
        Some(Some(seen).filter(|_| is_whole))
    }

    /// Looks at those that are left; why one of them is left still. `None`: the server is gone.
    async fn try_settle(
        &mut self,
        left: &mut BTreeSet<usize>,
        a_moment_later: bool,
    ) -> Option<Option<String>> {
        let before = self.plays.len();
        self.find_children().await?;
        if self.plays.len() > before {
            self.widen();
            *left = self.unsettled();
        }
        for at in &*left {
            self.plays[*at].seen = self.look(*at).await?;
        }
        // Those that are pending stay so only where all others are at rest, in all slots.
        let (pending, others): (BTreeSet<_>, BTreeSet<_>) = left.iter().partition(|at| {
            let seen = self.plays[**at].seen.as_ref();
            seen.is_some_and(|seen| seen.view.status == "pending")
        });
        let mut wrong = self.settle_each(left, others, false, a_moment_later);
        if wrong.is_none() && self.look_at_parents(left, a_moment_later) {
            wrong = Some("a play has not heard what its child came to".to_owned());
        }
        if wrong.is_none() {
            let seen = self.plays.iter().filter_map(|known| known.seen.as_ref());
            let slots = seen.filter(|seen| seen.holds_slot()).count();
            let no_slot = slots >= self.max_plays as usize;
            wrong = self.settle_each(left, pending, no_slot, a_moment_later);
        }
        Some(wrong)
    }

    fn settle_each(
        &mut self,
        left: &mut BTreeSet<usize>,
        plays: BTreeSet<usize>,
        no_slot: bool,
        a_moment_later: bool,
    ) -> Option<String> {
        let mut wrong = None;
        for at in plays {
            match self.settled(at, no_slot, a_moment_later) {
                Ok(now) => {
                    self.plays[at].possible = now;
                    left.remove(&at);
                }
                Err(why) => wrong = Some(why),
            }
        }
        wrong
    }

    /// What a play may be that was seen at rest.
    fn settled(&self, at: usize, no_slot: bool, a_moment_later: bool) -> Result<Possible, String> {
        let known = &self.plays[at];
        let Some(seen) = &known.seen else {
            return Err(format!("play {at} changes"));
        };
        let rests = known.possible.at_rest(no_slot, a_moment_later);
        let now = rests.shown_by(&seen.view);
        if now.is_empty() {
            return Err(format!(
                "play {at} is {:?}; it should be one of {rests:?}\nof {} that are possible",
                seen.view,
                known.possible.iter().count()
            ));
        }
        let notes = self.world.notes(&known.sid);
        let is_foreign = |play: &Play| play.rows.values().any(|row| row.foreign);
        let has_foreign = now.iter().any(is_foreign);
        if let Err(wrong) = notes.check(&known.script, has_foreign) {
            panic!("play {at}: {wrong}");
        }
        if let Some(site) = not_begun(&now, &notes) {
            return Err(format!(
                "play {at}: step {site} has not noted that it was begun: {notes:?}"
            ));
        }
        let is_there = |id: &u8| {
            let mut plays = self.plays.iter();
            plays.any(|known| known.parent == Some((at, *id)))
        };
        let mut children = now.iter().flat_map(Play::waits_for);
        match children.find(|id| !is_there(id)) {
            Some(child) => Err(format!("play {at} has not started its child {child}")),
            None => {
                drop(children);
                Ok(now)
            }
        }
    }
}

/// Which question is whose; it is the same one on each attempt.
fn learn_questions(known: &mut Known) {
    let Some(seen) = &known.seen else { return };
    for question in &seen.questions {
        let open = known.possible.iter().flat_map(|play| &play.open);
        let is_same = |name: u8| name.to_string() == question.name;
        let same = open.filter(|open| open.question().is_some_and(is_same));
        let keys: BTreeSet<Key> = same.map(|open| open.key.clone()).collect();
        let Some(key) = keys.first().filter(|_| keys.len() == 1) else {
            continue;
        };
        let before = known.questions.entry(key.clone());
        let before = before.or_insert_with(|| question.clone());
        assert_eq!(before, question, "{}: {key:?}", known.sid);
    }
}

/// A step that is under way for certain, and has not noted that.
fn not_begun(possible: &Possible, notes: &Notes) -> Option<Site> {
    let mut plays = possible.iter();
    let first = plays.next()?;
    let mut sites = first.under_way();
    sites.retain(|site| plays.clone().all(|play| play.under_way().contains(site)));
    sites
        .into_iter()
        .find(|site| !notes.has_begun(*site, first.attempt))
}

/// How a play stands, for the one that started it.
fn stand_of(play: &Play) -> Child {
    match &play.status {
        Status::Success(output) => Child::Ended(Kept::Output(output.clone())),
        status if status.is_terminal() => {
            Child::Ended(Kept::ChildFailed(status.words().0.to_owned()))
        }
        Status::Awaiting => Child::Awaits,
        _ => Child::Works,
    }
}
