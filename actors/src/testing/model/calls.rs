//! Which kept result is whose.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

/// What a call is known by: its name, its arguments, and how many calls were the same before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub name: Arc<str>,
    pub args: Arc<str>,
    pub same: u32,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})#{}", self.name, self.args, self.same)
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Value(i64),
    /// An exception of the call's own.
    Raised(i64),
    /// Nothing came in time, and there was a default …
    Default,
    /// … or none.
    Late,
    /// A child play's output, as JSON.
    Output(String),
    /// A child play ended otherwise, with this status.
    ChildFailed(String),
}

impl Kept {
    /// Whether the call ends with an exception. A fork does it again, unless the flow has dealt with that.
    #[must_use]
    pub fn raises(&self) -> bool {
        matches!(self, Self::Raised(_) | Self::Late | Self::ChildFailed(_))
    }
}

/// A call that has begun.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// How many calls of this name came before it in order; what is called at once with others has no position.
    pub position: Option<u32>,
    pub kept: Option<Kept>,
    /// In which attempt it came to its end; 0: in another play's.
    pub kept_in: u32,
    /// It was kept by another play: only a call with equal arguments is the same.
    pub foreign: bool,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let foreign = if self.foreign { " foreign" } else { "" };
        write!(
            f,
            "{:?} in {} at {:?}{foreign}",
            self.kept, self.kept_in, self.position
        )
    }
}

/// All calls of a play that have begun.
pub type Rows = BTreeMap<Key, Row>;

/// What has been called in an attempt.
#[derive(Debug)]
pub struct Memory<'a> {
    rows: &'a Rows,
    same: BTreeMap<(Arc<str>, Arc<str>), u32>,
    positions: BTreeMap<Arc<str>, u32>,
    taken: BTreeSet<Key>,
    /// Of these what is done again by a call that took it by its position.
    claimed: BTreeSet<Key>,
}

impl<'a> Memory<'a> {
    /// Of an attempt that was given these rows.
    #[must_use]
    pub fn new(rows: &'a Rows) -> Self {
        Self {
            rows,
            same: BTreeMap::new(),
            positions: BTreeMap::new(),
            taken: BTreeSet::new(),
            claimed: BTreeSet::new(),
        }
    }

    /// The next call: its key, and its position if it is called in order. Where no call with equal arguments was kept,
    /// it is the one at the same position, if that is nobody else's yet. What that came to is still that of the call with
    /// equal arguments, if there is one after all.
    pub fn enter(
        &mut self,
        name: &Arc<str>,
        args: &Arc<str>,
        in_order: bool,
    ) -> (Key, Option<u32>) {
        let position = in_order.then(|| {
            let next = self.positions.entry(name.clone()).or_default();
            *next += 1;
            *next - 1
        });
        let same = self.same.entry((name.clone(), args.clone())).or_default();
        let mut key = Key {
            name: name.clone(),
            args: args.clone(),
            same: *same,
        };
        while self.claimed.contains(&key) {
            key.same += 1;
        }
        *same = key.same + 1;
        if !self.rows.contains_key(&key)
            && let Some(position) = position
            && let Some(there) = self.at(name, position)
        {
            if self.rows[&there].kept.is_none() {
                self.claimed.insert(there.clone());
            }
            key = there;
        }
        self.taken.insert(key.clone());
        (key, position)
    }

    fn at(&self, name: &Arc<str>, position: u32) -> Option<Key> {
        let is_there = |row: &Row| row.position == Some(position) && !row.foreign;
        let mut rows = self.rows.iter();
        let (key, _) = rows.find(|(key, row)| key.name == *name && is_there(row))?;
        (!self.taken.contains(key)).then(|| key.clone())
    }
}
