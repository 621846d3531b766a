//! `play answer`: answers a question of a play, and follows the play to its end.

use super::sid;
use crate::cli::{
    ask::{Attended, Question, answer, attend, payload, questions, wording},
    context::Context,
    exit::{Done, Failure},
    host::Hosting,
    run::{leave_open, see_to_end},
    session::{Need, within},
    signals::Signals,
};

/// Answer what a play asks, and follow it to its end
///
/// Without an answer, the questions are asked on the terminal. Exit codes as for `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    sid: String,
    /// As a person would write it: text, a number, yes or no, one of the choices, else JSON
    answer: Option<String>,
    /// Which one, by its name or id, where the play asks several
    #[arg(long)]
    question: Option<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Done {
    let mut signals = Signals::listen()?;
    within(context, Need::Host(Hosting::default()), async |session| {
        let play = sid::find(session, &args.sid).await?;
        if let Some(text) = &args.answer {
            let open = questions(session, &play.sid).await?;
            let wanted = |id: &str, name: &str| {
                args.question
                    .as_deref()
                    .is_none_or(|wanted| wanted == id || wanted == name)
            };
            let mut meant = open
                .iter()
                .filter(|one| wanted(&one.asked.id, &one.asked.name));
            let (Some(question), None) = (meant.next(), meant.next()) else {
                return Err(Failure::usage(format!(
                    "failed to find the question of play {} that is meant; it asks {}",
                    play.sid,
                    named(&open)
                )));
            };
            let Question { play, asked } = question;
            let value = payload(asked, text).map_err(Failure::usage)?;
            answer(session, play, &asked.id, value).await?;
        } else if attend(context, session, &play, &mut signals).await? == Attended::Open {
            // Asking once is enough.
            return leave_open(context, session, &play, &mut signals).await;
        }
        see_to_end(context, session, &play.sid, &mut signals).await
    })
    .await
}

fn named(questions: &[Question]) -> String {
    let named: Vec<_> = questions
        .iter()
        .map(|one| format!("{:?} ({})", one.asked.name, wording(&one.asked)))
        .collect();
    if named.is_empty() {
        "nothing".to_owned()
    } else {
        format!("{}; name one with --question", named.join(", "))
    }
}
