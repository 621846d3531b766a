//! `call`: one RPC call as it is, for scripts and for trying things out.

use std::io::Read;

use serde_json::Value;

use super::{
    context::{Context, say},
    exit::{Done, Exit, Failure},
    input::CLI,
    session::{Need, within},
};
use crate::rpc::{self, answer::error_object, params::Shape};

/// The parameter that says who starts a play.
const ORIGIN: &str = "origin";

/// Call an RPC method and print its result as JSON
///
/// An error is printed as JSON on standard error, with exit code 1. `rpc.discover` tells what there is.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The method, for example play_get
    method: String,
    /// The parameters: a JSON object (by name) or array (by position); `-` reads them from standard input
    #[arg(value_name = "JSON")]
    params: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Done {
    let params = of_the_command_line(&args.method, params(args.params)?);
    let answer = within(context, Need::Read, async |session| {
        session.raw(&args.method, params).await
    });
    match answer.await {
        Ok(result) => {
            context.print_json(&result)?;
            Ok(Exit::Success)
        }
        Err(Failure {
            error: Some(error), ..
        }) => {
            say(&error_object(&error).to_string());
            Ok(Exit::Failed)
        }
        Err(failure) => Err(failure),
    }
}

/// Whatever is started by name says who started it, unless the parameters do.
fn of_the_command_line(method: &str, mut params: Value) -> Value {
    let takes_origin = |shape: &Shape| shape.params.iter().any(|param| param.name == ORIGIN);
    let methods = rpc::methods::table();
    let starts = (methods.list()).any(|(name, _, shape)| name == method && takes_origin(shape));
    if let (true, Value::Object(params)) = (starts, &mut params) {
        params.entry(ORIGIN).or_insert_with(|| CLI.into());
    }
    params
}

fn params(text: Option<String>) -> Result<Value, Failure> {
    let text = match text.as_deref() {
        None => return Ok(Value::Object(serde_json::Map::new())),
        Some("-") => {
            let mut read = String::new();
            std::io::stdin()
                .read_to_string(&mut read)
                .map_err(|error| {
                    Failure::usage(format!(
                        "failed to read the parameters from standard input: {error}"
                    ))
                })?;
            read
        }
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(params @ (Value::Object(_) | Value::Array(_))) => Ok(params),
        Ok(_) => Err(Failure::usage(
            "failed to read the parameters: they must be a JSON object or array",
        )),
        Err(error) => Err(Failure::usage(format!(
            "failed to read the parameters: they are no JSON ({error}); mind the shell's quotes: '{{\"play_sid\": \"…\"}}'"
        ))),
    }
}
