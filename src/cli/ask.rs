//! Questions of a play that awaits answers: put to the person at the terminal, and answered.

use std::io::{BufRead, IsTerminal, stdin};

use protocol::{
    ErrorKind, Play, PlaySid, PlayStatus,
    play::PlayBrief,
    rpc::{PendingResume, PlayList, PlayPage, PlayRef, PlayResume},
};
use serde_json::Value;

use super::{
    context::Context,
    exit::Failure,
    session::Session,
    signals::Signals,
    style::{BOLD, DIM, Line, PLAIN, RED},
    text::clean,
};

/// What became of a play's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attended {
    /// They were answered, or there is none: it waits for a time, or an event.
    GoesOn,
    /// Nobody is there who could answer, or the person would not.
    Open,
}

/// A question, and the play that asks it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) play: PlaySid,
    pub(crate) asked: PendingResume,
}

/// The questions of a play, and of the plays below it that it waits for.
pub(crate) async fn questions(session: &Session, play: &PlaySid) -> Result<Vec<Question>, Failure> {
    let what = "ask what the play waits for";
    let mut questions = Vec::new();
    let mut plays = vec![play.clone()];
    while let Some(play_sid) = plays.pop() {
        let children = PlayList {
            status: Some(PlayStatus::AwaitingResume),
            parent_play_sid: Some(play_sid.clone()),
            ..PlayList::default()
        };
        let query = PlayRef { play_sid };
        let asked: Vec<PendingResume> = session.call(what, "play_pending_resumes", &query).await?;
        let play = &query.play_sid;
        questions.extend(asked.into_iter().map(|asked| Question {
            play: play.clone(),
            asked,
        }));
        let page: PlayPage = session.call(what, "play_list", &children).await?;
        let children = page.items.into_iter();
        let children = children.filter(|child| child.parent_play_sid.as_ref() == Some(play));
        plays.extend(children.map(|child| child.sid));
    }
    Ok(questions)
}

/// Whether there is a person who could answer.
pub(crate) fn somebody_is_there(context: &Context) -> bool {
    !context.quiet && context.err.terminal && stdin().is_terminal()
}

/// Puts the questions of a play that awaits answers to the person, where there is one.
pub(crate) async fn attend(
    context: &Context,
    session: &Session,
    play: &Play,
    signals: &mut Signals,
) -> Result<Attended, Failure> {
    let questions = questions(session, &play.sid).await?;
    if questions.is_empty() {
        return Ok(Attended::GoesOn);
    }
    if !somebody_is_there(context) {
        return Ok(Attended::Open);
    }
    for Question { play, asked } in questions {
        loop {
            put(context, &asked);
            let line = tokio::select! {
                line = next_line() => line,
                // The question stays open.
                _ = signals.next() => None,
            };
            let Some(line) = line else {
                return Ok(Attended::Open);
            };
            let answered = match payload(&asked, &line) {
                Ok(payload) => answer(session, &play, &asked.id, payload).await,
                Err(why) => Err(Failure::usage(why)),
            };
            match answered {
                Ok(()) => break,
                // Somebody else was faster, or the time was up.
                Err(failure) if failure.is(ErrorKind::Conflict) => break,
                Err(failure) if failure.lost => return Err(failure),
                Err(failure) => {
                    let mut said = Line::new().with(RED, "  ");
                    said.push(PLAIN, failure.message.clone());
                    context.say(&said);
                }
            }
        }
    }
    Ok(Attended::GoesOn)
}

/// Answers a question.
pub(crate) async fn answer(
    session: &Session,
    play: &PlaySid,
    question: &str,
    payload: Value,
) -> Result<(), Failure> {
    let resume = PlayResume {
        play_sid: play.clone(),
        resume_id: question.to_owned(),
        payload,
    };
    let what = format!("answer play {play}");
    let _: PlayBrief = session.call(&what, "play_resume", &resume).await?;
    Ok(())
}

/// What a question is called where people read it.
pub(crate) fn wording(question: &PendingResume) -> &str {
    let said = question.ui.as_ref().and_then(|ui| ui["question"].as_str());
    said.unwrap_or(&question.name)
}

fn put(context: &Context, question: &PendingResume) {
    for line in described(question) {
        context.say(&line);
    }
}

/// The question as it is put to a person, its choices each on a line.
pub(crate) fn described(question: &PendingResume) -> Vec<Line> {
    let mut line = Line::new().with(BOLD, clean(wording(question)));
    line.push(DIM, format!("  ({})", clean(&expected(question))));
    let options = options(question).iter().enumerate();
    let options = options.map(|(number, option)| {
        let text = option
            .as_str()
            .map_or_else(|| option.to_string(), str::to_owned);
        Line::new().with(PLAIN, format!("  {}  {}", number + 1, clean(&text)))
    });
    std::iter::once(line).chain(options).collect()
}

/// What kind of answer is wanted, in words.
fn expected(question: &PendingResume) -> String {
    let kind = match kind(question) {
        "choice" => "a number of the list",
        "multi_choice" => "numbers of the list, with commas between",
        "confirm" => "yes or no",
        "number" => "a number",
        "text" => "text",
        _ => "JSON",
    };
    match proposed(question) {
        Some(default) => format!("{kind}; Enter for {default}"),
        None => kind.to_owned(),
    }
}

fn kind(question: &PendingResume) -> &str {
    let said = question.ui.as_ref().and_then(|ui| ui["kind"].as_str());
    let schema = || question.schema.as_ref()?["type"].as_str();
    match (said, schema()) {
        (Some(said), _) => said,
        (None, Some("string")) => "text",
        (None, Some("boolean")) => "confirm",
        (None, Some("number" | "integer")) => "number",
        (None, _) => "",
    }
}

fn proposed(question: &PendingResume) -> Option<&Value> {
    question.ui.as_ref()?.get("default")
}

fn options(question: &PendingResume) -> &[Value] {
    let ui = question.ui.as_ref();
    ui.and_then(|ui| ui["options"].as_array())
        .map_or(&[], Vec::as_slice)
}

/// What the person writes next. By a thread of its own, which nobody waits for at the end.
async fn next_line() -> Option<String> {
    let (sender, line) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sender.send(read_line()));
    line.await.ok().flatten()
}

/// One line without its end; `None` where there is no more.
fn read_line() -> Option<String> {
    let mut line = String::new();
    match stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\n', '\r']).to_owned()),
    }
}

/// What a person wrote, as the value that is meant; else a sentence.
pub(crate) fn payload(question: &PendingResume, line: &str) -> Result<Value, String> {
    if line.is_empty()
        && let Some(default) = proposed(question)
    {
        return Ok(default.clone());
    }
    let text = line.trim();
    let chosen = |text: &str| {
        let options = options(question);
        let by_number = || {
            let number = text.parse::<usize>().ok()?;
            options.get(number.checked_sub(1)?)
        };
        let said =
            |option: &&Value| option.as_str() == Some(text) || option.to_string().as_str() == text;
        // What is written as one of them is that one, though it might be another's number.
        let exact = options.iter().find(said);
        exact
            .or_else(by_number)
            .cloned()
            .ok_or_else(|| format!("{text:?} is none of the {} choices", options.len()))
    };
    match kind(question) {
        "text" => Ok(Value::from(line)),
        "confirm" => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(Value::Bool(true)),
            "n" | "no" | "false" => Ok(Value::Bool(false)),
            _ => Err(format!("{text:?} is neither yes nor no")),
        },
        "choice" => chosen(text),
        "multi_choice" => text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(chosen)
            .collect(),
        _ => serde_json::from_str(text).map_err(|error| format!("{text:?} is no JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use protocol::EpochMs;
    use serde_json::json;

    use super::*;

    fn question(schema: Value, ui: Value) -> PendingResume {
        PendingResume {
            id: "i".into(),
            name: "n".into(),
            schema: Some(schema),
            ui: Some(ui),
            span_id: "1.1".into(),
            created_at: EpochMs(0.0),
            wake_at: None,
            default: None,
            webhook: String::new(),
        }
    }

    #[test]
    fn what_a_person_writes_is_taken_as_meant() {
        let choice = json!({"kind": "choice", "options": ["red", 7, "2"], "default": "red"});
        let several = json!({"kind": "multi_choice", "options": ["red", 7]});
        let numbers = json!({"kind": "choice", "options": [5, 3, 1]});
        let confirm = json!({"kind": "confirm"});
        for (schema, ui, line, expected) in [
            (
                json!({}),
                json!({"kind": "text"}),
                " a b ",
                Some(json!(" a b ")),
            ),
            (json!({"type": "string"}), json!({}), "3", Some(json!("3"))),
            (json!({"type": "integer"}), json!({}), "3", Some(json!(3))),
            (json!({"type": "integer"}), json!({}), "three", None),
            (json!({}), confirm.clone(), "Yes", Some(json!(true))),
            (json!({}), confirm.clone(), "n", Some(json!(false))),
            (json!({}), confirm, "maybe", None),
            (json!({}), choice.clone(), "1", Some(json!("red"))),
            (json!({}), choice.clone(), "2", Some(json!("2"))),
            (json!({}), choice.clone(), "3", Some(json!("2"))),
            (json!({}), choice.clone(), "7", Some(json!(7))),
            (json!({}), choice.clone(), "red", Some(json!("red"))),
            (json!({}), choice.clone(), "", Some(json!("red"))),
            (json!({}), choice.clone(), "0", None),
            (json!({}), choice, "blue", None),
            (json!({}), numbers.clone(), "1", Some(json!(1))),
            (json!({}), numbers, "2", Some(json!(3))),
            (json!({}), several.clone(), "2, 1", Some(json!([7, "red"]))),
            (json!({}), several.clone(), "", Some(json!([]))),
            (json!({}), several, "1,9", None),
            (
                json!({}),
                json!(null),
                r#"{"a": [1]}"#,
                Some(json!({"a": [1]})),
            ),
        ] {
            let question = question(schema, ui);
            assert_eq!(
                payload(&question, line).ok(),
                expected,
                "{question:?} {line:?}"
            );
        }
    }
}
