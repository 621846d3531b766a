//! What plays ask is answered: by calls and by webhook, by one caller or by two at once, and by late ones.

use std::{collections::HashSet, pin::pin, time::Duration};

use futures_util::future::join_all;
use hero_logic::protocol::ErrorKind;
use serde_json::{Value, json};

use super::{AGAIN, Caller, ledger::end_of};
use crate::server::Unanswered;

/// How often a caller looks whether there is a question.
const LOOK: Duration = Duration::from_millis(25);

/// By which way an answer goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Call,
    Webhook,
}

/// How many answer a question.
#[derive(Clone, Copy, Debug)]
enum Manner {
    One,
    TwoAtOnce,
    OneAndThenAnother,
}

impl Caller {
    /// Answers whatever the play asks, and with `below` what its child plays ask, until its end; how it ended.
    pub(super) async fn answer(&mut self, sid: &str, below: bool) -> Option<String> {
        let (reach, ledger) = (self.reach.clone(), self.ledger.clone());
        let mut end = pin!(async move { super::wait(&reach, &ledger, sid).await });
        let mut answered = HashSet::new();
        loop {
            tokio::select! {
                end = &mut end => return end,
                () = tokio::time::sleep(LOOK) => {}
            }
            let mut asking = vec![sid.to_owned()];
            if below {
                asking.extend(self.children(sid).await);
            }
            for play in asking {
                for question in self.questions(&play).await {
                    let name = name_of(&question);
                    if answered.insert((play.clone(), name)) {
                        self.answer_one(&play, &question).await;
                    }
                }
            }
        }
    }

    /// Answers so many of its questions, and goes when it waits for others.
    pub(super) async fn leave(&mut self, sid: &str, answers: usize) {
        let mut answered = HashSet::new();
        loop {
            tokio::time::sleep(LOOK).await;
            let asked = json!({"play_sid": sid});
            let play = match self.reach.ask("play_get", &asked).await {
                Ok(play) => play,
                Err(error) => return self.ledger.refused("play_get", &error),
            };
            if let Some(end) = end_of(&play) {
                return self.ledger.ended(sid, end);
            }
            let questions = self.questions(sid).await;
            let open = questions
                .iter()
                .find(|question| !answered.contains(&name_of(question)));
            let Some(open) = open else { continue };
            if answered.len() < answers {
                answered.insert(name_of(open));
                self.answer_one(sid, open).await;
            } else if play["status"] == "awaiting_resume" {
                return self.ledger.write(|book| {
                    if let Some(told) = book.plays.get_mut(sid) {
                        told.left = true;
                    }
                });
            }
        }
    }

    async fn questions(&self, play: &str) -> Vec<Value> {
        let asked = json!({"play_sid": play});
        match self.reach.ask("play_pending_resumes", &asked).await {
            Ok(Value::Array(questions)) => questions,
            Ok(_) => Vec::new(),
            Err(error) => {
                self.ledger.refused("play_pending_resumes", &error);
                Vec::new()
            }
        }
    }

    async fn children(&self, sid: &str) -> Vec<String> {
        let asked = json!({"parent_play_sid": sid, "status": "awaiting_resume"});
        let page = match self.reach.ask("play_list", &asked).await {
            Ok(page) => page,
            Err(error) => {
                self.ledger.refused("play_list", &error);
                return Vec::new();
            }
        };
        let children = page["items"].as_array().into_iter().flatten();
        let sids = children.filter_map(|play| play["sid"].as_str());
        sids.map(str::to_owned).collect()
    }

    async fn answer_one(&mut self, play: &str, question: &Value) {
        let default = question["default"].as_str();
        let default = default.and_then(|text| serde_json::from_str(text).ok());
        self.ledger.write(|book| {
            let key = (play.to_owned(), name_of(question));
            book.questions.entry(key).or_default().default = default;
        });
        if self.rng.below(2) == 0 {
            self.pause(400).await;
        }
        let manner = match self.rng.below(6) {
            0 | 1 => Manner::TwoAtOnce,
            2 => Manner::OneAndThenAnother,
            _ => Manner::One,
        };
        let mut one = || (self.answer_to(question), self.way());
        let (first, second) = (one(), one());
        match manner {
            Manner::One => self.send(play, question, first).await,
            Manner::TwoAtOnce => {
                let both = [first, second];
                join_all(both.map(|answer| self.send(play, question, answer))).await;
            }
            Manner::OneAndThenAnother => {
                self.send(play, question, first).await;
                self.send(play, question, second).await;
            }
        }
    }

    fn way(&mut self) -> Way {
        match self.rng.below(2) {
            0 => Way::Call,
            _ => Way::Webhook,
        }
    }

    /// One that fits, and that nobody else gives where there are enough.
    fn answer_to(&mut self, question: &Value) -> Value {
        let some = self.rng.below(1 << 40);
        match question["ui"]["kind"].as_str() {
            Some("number") => json!(some),
            Some("choice") => {
                let options = question["ui"]["options"].as_array();
                let options = options.map_or(&[][..], Vec::as_slice);
                self.rng.one_of(options).cloned().unwrap_or_default()
            }
            Some(_) => json!(format!("said {some}")),
            None => json!({"said": some}),
        }
    }

    /// Until it is told what became of it.
    async fn send(&self, play: &str, question: &Value, (answer, way): (Value, Way)) {
        let key = (play.to_owned(), name_of(question));
        self.ledger.write(|book| {
            let told = book.questions.entry(key.clone()).or_default();
            told.tried.push(answer.clone());
        });
        loop {
            match self.send_once(play, question, &answer, way).await {
                Sent::Taken => {
                    return self.ledger.write(|book| {
                        match way {
                            Way::Call => book.counts.answered_by_call += 1,
                            Way::Webhook => book.counts.answered_by_webhook += 1,
                        }
                        let told = book.questions.entry(key).or_default();
                        told.acknowledged.push(answer);
                    });
                }
                Sent::AnsweredBefore => {
                    return self.ledger.count(|counts| counts.answered_before += 1);
                }
                unknown @ (Sent::Lost | Sent::Unavailable) => self.ledger.write(|book| {
                    book.counts.uncertain += u64::from(matches!(unknown, Sent::Lost));
                    book.questions.entry(key.clone()).or_default().uncertain = true;
                }),
                Sent::Refused(why) => {
                    return self.ledger.write(|book| book.refused.push(why));
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn send_once(&self, play: &str, question: &Value, answer: &Value, way: Way) -> Sent {
        match way {
            Way::Call => {
                let resume =
                    json!({"play_sid": play, "resume_id": question["id"], "payload": answer});
                match self.reach.call("play_resume", &resume).await {
                    Ok(_) => Sent::Taken,
                    Err(Unanswered::Lost) => Sent::Lost,
                    Err(Unanswered::Refused(error)) => match error.kind {
                        ErrorKind::Conflict => Sent::AnsweredBefore,
                        ErrorKind::Unavailable => Sent::Unavailable,
                        _ => Sent::Refused(format!("play_resume: {error}")),
                    },
                }
            }
            Way::Webhook => {
                let path = question["webhook"].as_str().unwrap_or_default();
                match self.reach.post(path, answer).await {
                    Ok((200, _)) => Sent::Taken,
                    // No question has this address any more.
                    Ok((404 | 409, _)) => Sent::AnsweredBefore,
                    Ok((503, _)) => Sent::Unavailable,
                    Err(_) => Sent::Lost,
                    Ok((status, said)) => Sent::Refused(format!("the webhook: {status} {said}")),
                }
            }
        }
    }
}

/// What became of an answer.
enum Sent {
    Taken,
    AnsweredBefore,
    /// With its server: perhaps it was taken.
    Lost,
    /// Not now.
    Unavailable,
    Refused(String),
}

fn name_of(question: &Value) -> String {
    question["name"].as_str().unwrap_or_default().to_owned()
}
