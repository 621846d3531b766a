//! Which play is meant: a whole sid, a beginning of one, or `last`.

use protocol::{
    EpochMs, Play, PlaySid,
    rpc::{PlayList, PlayPage, PlayRef},
};

use crate::cli::{exit::Failure, render::play_name, session::Session, style::words, units};

/// The least of a sid that is looked for.
const LEAST: usize = 4;
/// How long before its record's `created_at` a sid may have been made, and how far clocks may jump.
const SLACK_MS: f64 = 60_000.0;
/// How many candidates are named.
const CANDIDATES: usize = 8;
/// Pages of this size are looked through.
const PAGE: u32 = 200;

/// The play that is meant.
pub(super) async fn find(session: &Session, asked: &str) -> Result<Play, Failure> {
    if asked == "last" {
        return last(session).await;
    }
    let query = PlayRef {
        play_sid: asked.into(),
    };
    let what = format!("find the play {asked:?}");
    match session.call(&what, "play_get", &query).await {
        Err(failure) if failure.is(protocol::ErrorKind::NotFound) => {}
        other => return other,
    }
    let Some((from, before)) = made_between(asked) else {
        return Err(Failure::usage(format!(
            "failed to find the play {asked:?}: it is no sid, nor the beginning of one (at least \
             {LEAST} characters), nor `last`; see `hero_logic play ls`"
        )));
    };
    let found = beginning_with(session, asked, from, before).await?;
    match found.as_slice() {
        [] => Err(Failure::usage(format!(
            "failed to find the play {asked:?}: there is none; see `hero_logic play ls`"
        ))),
        [one] => Ok(one.clone()),
        several => Err(Failure::usage(ambiguous(asked, several))),
    }
}

/// The newest play that no other play started.
async fn last(session: &Session) -> Result<Play, Failure> {
    let mut query = PlayList {
        limit: Some(PAGE),
        ..PlayList::default()
    };
    loop {
        let page: PlayPage = session
            .call("find the last play", "play_list", &query)
            .await?;
        let mut plays = page.items.into_iter();
        if let Some(play) = plays.find(|play| play.parent_play_sid.is_none()) {
            return Ok(play);
        }
        if page.next_cursor.is_none() {
            return Err(Failure::usage(
                "failed to find the last play: there is none yet; `hero_logic run FLOW.py` makes one",
            ));
        }
        query.cursor = page.next_cursor;
    }
}

async fn beginning_with(
    session: &Session,
    prefix: &str,
    from: EpochMs,
    before: EpochMs,
) -> Result<Vec<Play>, Failure> {
    let prefix = prefix.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut query = PlayList {
        created_from: Some(from),
        created_before: Some(before),
        limit: Some(PAGE),
        ..PlayList::default()
    };
    loop {
        let page: PlayPage = session
            .call("look for the play", "play_list", &query)
            .await?;
        let fits = |sid: &PlaySid| sid.as_str().starts_with(&prefix);
        found.extend(page.items.into_iter().filter(|play| fits(&play.sid)));
        if page.next_cursor.is_none() || found.len() > CANDIDATES {
            return Ok(found);
        }
        query.cursor = page.next_cursor;
    }
}

/// When a play with this beginning of a sid can have been created: a sid begins with its time, 48
/// bits of milliseconds.
fn made_between(prefix: &str) -> Option<(EpochMs, EpochMs)> {
    let well_formed =
        prefix.len() >= LEAST && prefix.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    let digits: String = prefix.chars().filter(|c| *c != '-').take(12).collect();
    if !well_formed || digits.is_empty() {
        return None;
    }
    let bound = |fill: &str| {
        let padded = format!("{digits}{}", fill.repeat(12 - digits.len()));
        u64::from_str_radix(&padded, 16).ok()
    };
    #[expect(clippy::cast_precision_loss, reason = "48 bits")]
    let (from, to) = (bound("0")? as f64, bound("f")? as f64);
    Some((
        EpochMs((from - SLACK_MS).max(0.0)),
        EpochMs((to + SLACK_MS).min(EpochMs::MAX)),
    ))
}

fn ambiguous(asked: &str, plays: &[Play]) -> String {
    let now = EpochMs::now();
    let mut message =
        format!("failed to find the play {asked:?}: several begin so; say more of the sid:");
    for play in plays.iter().take(CANDIDATES) {
        message.push_str(&format!(
            "\n{}  {}  {}  {}",
            play.sid,
            play_name(play),
            words(play.status),
            units::ago(now.since(play.created_at)),
        ));
    }
    if plays.len() > CANDIDATES {
        message.push_str("\nand more");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_a_sid_tells_the_time() {
        let sid = PlaySid::fresh();
        let now = EpochMs::now();
        for length in [4, 8, 9, 13, 14, 36] {
            let (from, before) = made_between(&sid.as_str()[..length]).unwrap();
            assert!(from <= now && now < before, "{length}");
        }
        for wrong in ["", "019", "xyz1", "019a/", "----"] {
            assert_eq!(made_between(wrong), None, "{wrong}");
        }
    }
}
