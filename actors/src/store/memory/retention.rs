//! Retention in memory.

use protocol::{Play, PlaySid};

use super::{
    super::{EndedPage, EndedPlace, EndedTree, Forgotten, StoreSize, Swept},
    rows::Rows,
};

impl Rows {
    pub(super) fn size(&self) -> StoreSize {
        let plays = self.plays.values();
        StoreSize {
            ended: plays.filter(|row| row.play.status.is_terminal()).count() as u64,
            artifact_bytes: self.artifact_bytes(),
            used_bytes: self.plays.keys().map(|sid| self.weight(sid)).sum(),
            free_bytes: 0,
        }
    }

    /// Of trees in which all have ended.
    fn artifact_bytes(&self) -> u64 {
        let roots = self
            .plays
            .values()
            .filter(|row| row.play.parent_play_sid.is_none());
        let trees = roots.filter_map(|row| self.tree(&row.play.sid, true));
        trees.map(|tree| tree.artifact_bytes).sum()
    }

    pub(super) fn unmeasured(&self, limit: u32) -> Vec<PlaySid> {
        let rows = self.plays.values();
        rows.filter(|row| row.play.status.is_terminal() && row.artifact_bytes.is_none())
            .map(|row| row.play.sid.clone())
            .take(limit as usize)
            .collect()
    }

    pub(super) fn measured(&mut self, sizes: Vec<(PlaySid, u64)>) {
        for (sid, bytes) in sizes {
            if let Some(row) = self.plays.get_mut(&sid)
                && row.play.status.is_terminal()
            {
                row.artifact_bytes = Some(bytes);
            }
        }
    }

    pub(super) fn unknown_plays(&self, mut plays: Vec<PlaySid>) -> Vec<PlaySid> {
        plays.retain(|sid| !self.plays.contains_key(sid) && !self.forgotten.contains(sid));
        plays
    }

    fn weight(&self, sid: &PlaySid) -> u64 {
        self.plays.get(sid).map_or(0, |row| {
            let spans = row.spans.values();
            let spans: usize = spans.map(|(_, span)| 192 + span.name.len()).sum();
            let logs: usize = row.logs.values().map(|log| 64 + log.text.len()).sum();
            let output = row.play.output_data.as_ref().map_or(0, String::len);
            (1_024 + row.play.input_data.len() + output + spans + logs) as u64
        })
    }

    fn children<'a>(&'a self, sid: &'a PlaySid) -> impl Iterator<Item = &'a Play> {
        let plays = self.plays.values().map(|row| &row.play);
        plays.filter(move |play| play.parent_play_sid.as_ref() == Some(sid))
    }

    pub(super) fn ended_trees(
        &self,
        after: Option<&EndedPlace>,
        weigh: bool,
        limit: u32,
    ) -> EndedPage {
        let plays = self.plays.values().map(|row| &row.play);
        let roots = plays.filter(|play| play.parent_play_sid.is_none());
        let mut places: Vec<_> = roots
            .filter_map(|play| {
                Some(EndedPlace {
                    at: play.completed_at?,
                    root: play.sid.clone(),
                })
            })
            .filter(|place| {
                after.is_none_or(|after| (place.at.0, &place.root) > (after.at.0, &after.root))
            })
            .collect();
        places.sort_by(|a, b| a.at.0.total_cmp(&b.at.0).then(a.root.cmp(&b.root)));
        places.truncate(limit as usize);
        let full = places.len() == limit as usize;
        EndedPage {
            trees: places
                .iter()
                .filter_map(|place| self.tree(&place.root, weigh))
                .collect(),
            next: places.pop().filter(|_| full),
        }
    }

    fn tree(&self, root: &PlaySid, weigh: bool) -> Option<EndedTree> {
        let mut plays = vec![&self.plays.get(root)?.play];
        let mut next = 0;
        while let Some(play) = plays.get(next) {
            let children: Vec<_> = self.children(&play.sid).collect();
            plays.extend(children);
            next += 1;
        }
        let mut ended_at = plays[0].completed_at?;
        for play in &plays {
            ended_at = ended_at.max(play.completed_at.filter(|_| play.status.is_terminal())?);
        }
        let bytes = plays.iter().map(|play| self.weight(&play.sid)).sum();
        let rows = plays.iter().filter_map(|play| self.plays.get(&play.sid));
        let artifact_bytes = rows.filter_map(|row| row.artifact_bytes).sum();
        Some(EndedTree {
            artifact_bytes: if weigh { artifact_bytes } else { 0 },
            workflow_name: plays[0].workflow_name.clone(),
            plays: plays.iter().rev().map(|play| play.sid.clone()).collect(),
            ended_at,
            bytes: if weigh { bytes } else { 0 },
        })
    }

    pub(super) fn forget(&mut self, plays: &[PlaySid]) -> Forgotten {
        let mut forgotten = Forgotten::default();
        for sid in plays {
            let ended = self
                .plays
                .get(sid)
                .is_some_and(|row| row.play.status.is_terminal());
            if ended && self.children(sid).next().is_none() {
                self.plays.remove(sid);
                self.keys.retain(|_, holder| holder != sid);
                self.forgotten.push(sid.clone());
                forgotten.gone.push(sid.clone());
            }
        }
        forgotten
    }

    pub(super) fn sweep(&mut self, cleaned: &[PlaySid]) -> Swept {
        self.forgotten.retain(|sid| !cleaned.contains(sid));
        Swept {
            emptied: self.forgotten.clone(),
            more: false,
        }
    }
}
