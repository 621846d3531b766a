//! All that a play may be, as far as one can know from outside.
//!
//! What happens between what is asked and what is seen has no order that could be known: the process goes on,
//! a wait is over, a server dies, several callers come at once. So a play is a set of what it may be; what comes
//! and what is answered makes it larger and smaller. Where it gets empty, nothing that the model allows can be
//! what was seen.

use std::{collections::BTreeSet, fmt};

use super::{
    coming::{Coming, Reply},
    play::Play,
    shown::View,
};

/// More than any sequence needs.
const MOST: usize = 50_000;

/// What came, and what it was answered. `None`: nobody answered, so it came or didn't.
pub type Came = (Coming, Option<Reply>);

/// See the module.
#[derive(Clone)]
pub struct Possible(BTreeSet<Play>);

/// One a line.
impl fmt::Debug for Possible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|play| write!(f, "\n    {play:?}"))
    }
}

impl Possible {
    /// Any of these.
    pub fn any(of: impl IntoIterator<Item = Play>) -> Self {
        Self(of.into_iter().collect())
    }

    /// What it may be.
    pub fn iter(&self) -> impl Iterator<Item = &Play> + Clone {
        self.0.iter()
    }

    /// What it is, where that is known.
    #[must_use]
    pub fn the_only(&self) -> Option<&Play> {
        self.0.first().filter(|_| self.0.len() == 1)
    }

    /// Nothing that the model allows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it may be at some time from now on, if nothing comes.
    ///
    /// # Panics
    /// Where that is too much.
    #[must_use]
    pub fn from_now_on(&self) -> Self {
        let mut all = self.0.clone();
        let mut new: Vec<_> = all.iter().cloned().collect();
        while let Some(play) = new.pop() {
            for next in play.next().into_iter().chain(play.later()) {
                if all.insert(next.clone()) {
                    new.push(next);
                }
            }
            assert!(all.len() < MOST, "too much is possible: {play:#?}");
        }
        Self(all)
    }

    /// As it may be once all of these have come, in whatever order.
    #[must_use]
    pub fn after(&self, came: &[Came]) -> Self {
        let now = self.from_now_on();
        if came.is_empty() {
            return now;
        }
        let mut after = BTreeSet::new();
        for (at, (coming, reply)) in came.iter().enumerate() {
            let mut others = came.to_vec();
            others.remove(at);
            let taken = now.0.iter().map(|play| play.takes(coming));
            let taken = taken.filter(|(_, said)| reply.is_none_or(|reply| reply == *said));
            let taken = Self::any(taken.map(|(play, _)| play));
            if coming.ends_the_server() {
                // Nobody is there for what was not answered before. What was is a contradiction.
                let unanswered = |(coming, reply): &Came| {
                    reply.is_none() || matches!(coming, Coming::Open(..) | Coming::Kill(_))
                };
                if others.iter().all(unanswered) {
                    after.extend(taken.0);
                }
            } else {
                after.extend(taken.after(&others).0);
                if reply.is_none() {
                    after.extend(now.after(&others).0);
                }
            }
        }
        Self(after)
    }

    /// What it may be when it does nothing more by itself: where a slot may be missing, what is pending stays so.
    #[must_use]
    pub fn at_rest(&self, no_slot: bool, a_moment_later: bool) -> Self {
        let rests = |play: &&Play| {
            let rests = play.is_at_rest()
                || no_slot && play.status == super::play::Status::Pending && !play.cancelling;
            // Of one that is pending nobody sees which of its waits are over.
            let is_seen = play.status != super::play::Status::Pending;
            rests && !(a_moment_later && is_seen && play.waits_a_moment())
        };
        Self::any(self.0.iter().filter(rests).cloned())
    }

    /// What it is when this is how it looks.
    #[must_use]
    pub fn shown_by(&self, view: &View) -> Self {
        let shown = self.0.iter().filter(|play| play.is_shown_by(view));
        Self::any(shown.cloned())
    }
}
