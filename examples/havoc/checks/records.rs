//! What the last server says of plays.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::steps::{Done, Steps};
use crate::{load::ledger::Book, server::Reach};

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// All plays that there are, by sid.
#[derive(Debug, Default)]
pub(crate) struct Records(pub(super) HashMap<String, Value>);

impl Records {
    pub(crate) async fn of(reach: &Reach) -> Result<Self, String> {
        let mut records = HashMap::new();
        let mut cursor = Value::Null;
        loop {
            let query = json!({"limit": 1000, "cursor": cursor});
            let mut page = ask(reach, "play_list", &query).await?;
            let items = page["items"].as_array_mut().map(std::mem::take);
            for play in items.into_iter().flatten() {
                records.insert(sid_of(&play["sid"]).to_owned(), play);
            }
            cursor = page["next_cursor"].take();
            if cursor.is_null() {
                return Ok(Self(records));
            }
        }
    }

    pub(crate) fn sids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn with_status(&self, status: &str) -> usize {
        let plays = self.0.values();
        plays.filter(|play| play["status"] == status).count()
    }
}

pub(super) fn sid_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// How many plays are about to run, or do.
pub(crate) async fn at_work(reach: &Reach) -> Result<usize, String> {
    let mut count = 0;
    for status in ["pending", "running"] {
        let query = json!({"status": status, "limit": 1000});
        let page = ask(reach, "play_list", &query).await?;
        count += page["items"].as_array().map_or(0, Vec::len);
    }
    Ok(count)
}

/// Plays of which fewer steps could be reused than were acknowledged.
pub(super) async fn gone(reach: &Reach, steps: &Steps) -> Result<Vec<String>, String> {
    let some = steps.plays.iter().filter(|(_, done)| !done.kept.is_empty());
    let looked = stream::iter(some).map(async |(sid, done): (&String, &Done)| {
        let preview = ask(reach, "play_resume_preview", &json!({"play_sid": sid})).await?;
        let steps = preview.as_array().into_iter().flatten();
        let reused = steps.filter(|step| step["fate"] == "reused").count();
        let acknowledged = done.kept.len();
        let gone = (reused < acknowledged)
            .then(|| format!("{sid}: {acknowledged} acknowledged, {reused} there"));
        Ok::<_, String>(gone)
    });
    collect(looked).await
}

/// Plays that were not to go on after a death, and did: more than one attempt has begun. (A play that was taken from the
/// queue while its server stopped has an attempt that never began.)
pub(super) async fn went_on(
    reach: &Reach,
    book: &Book,
    steps: &Steps,
    records: &Records,
) -> Result<Vec<String>, String> {
    let further = book.plays.iter().filter_map(|(sid, told)| {
        let attempt = records.0.get(sid)?["attempt"].as_u64()?;
        (told.kind.fails_when_interrupted() && attempt > 1).then_some((
            sid,
            told.kind.flow,
            attempt,
        ))
    });
    let looked = stream::iter(further).map(async |(sid, flow, attempt): (&String, _, _)| {
        let noted = steps.plays.get(sid).is_some_and(|done| done.attempts > 1);
        let query = json!({"play_sid": sid, "limit": 1});
        let spans = ask(reach, "play_spans", &query).await?;
        let first = sid_of(&spans["items"][0]["span_id"]);
        let shown = !first.is_empty() && !first.starts_with(&format!("{attempt}."));
        Ok::<_, String>((noted || shown).then(|| format!("{flow} {sid}: attempt {attempt}")))
    });
    collect(looked).await
}

/// Plays whose callers left while they asked, and that ask nothing now, or what was answered.
pub(super) async fn silent(reach: &Reach, book: &Book) -> Result<Vec<String>, String> {
    let left = book.plays.iter().filter(|(_, told)| told.left);
    let looked = stream::iter(left).map(async |(sid, _)| {
        let asked = ask(reach, "play_pending_resumes", &json!({"play_sid": sid})).await?;
        let names: Vec<_> = asked.as_array().into_iter().flatten().collect();
        let names: Vec<_> = names.into_iter().map(|one| sid_of(&one["name"])).collect();
        let answered = names.iter().any(|name| {
            let question = book.questions.get(&(sid.clone(), (*name).to_owned()));
            question.is_some_and(|question| !question.acknowledged.is_empty())
        });
        let wrong = names.is_empty() || answered;
        Ok::<_, String>(wrong.then(|| format!("{sid} asks {names:?}")))
    });
    collect(looked).await
}

async fn collect<F>(looked: impl futures_util::Stream<Item = F>) -> Result<Vec<String>, String>
where
    F: Future<Output = Result<Option<String>, String>>,
{
    let mut looked = std::pin::pin!(looked.buffer_unordered(AT_ONCE));
    let mut found = Vec::new();
    while let Some(one) = looked.next().await {
        found.extend(one?);
    }
    Ok(found)
}

async fn ask(reach: &Reach, method: &str, params: &Value) -> Result<Value, String> {
    let answer = reach.ask(method, params).await;
    answer.map_err(|error| format!("{method} {params}: {error}"))
}
