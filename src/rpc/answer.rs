//! Writes answers: `{"jsonrpc":"2.0","id":…,"result":…}` and its error form.
//!
//! A result is serialised once, straight behind the answer's opening; an id is echoed as the bytes
//! that came.

use std::io::Write;

use protocol::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Map, Value};

/// The id of an answer to something that had none that could be read.
pub(super) const NULL_ID: &[u8] = b"null";

/// The error object, the standard's own errors too: `{code, message, data: {kind, …details}}`.
#[must_use]
pub fn error_object(error: &Error) -> Value {
    let mut data = Map::new();
    data.insert("kind".to_owned(), error.kind.as_str().into());
    for (key, value) in error.details.iter().flatten() {
        if key != "kind" {
            data.insert(key.clone(), value.clone());
        }
    }
    let mut object = Map::new();
    object.insert("code".to_owned(), error.kind.code().into());
    object.insert("message".to_owned(), error.message.clone().into());
    object.insert("data".to_owned(), data.into());
    object.into()
}

/// A whole error answer to a request whose id is not known.
#[must_use]
pub fn error_without_id(error: &Error) -> Vec<u8> {
    error_answer(NULL_ID, error)
}

pub(super) fn error_answer(id: &[u8], error: &Error) -> Vec<u8> {
    let mut out = open(id);
    out.extend_from_slice(b"\"error\":");
    out.extend_from_slice(error_object(error).to_string().as_bytes());
    out.push(b'}');
    out
}

/// The beginning of a result's answer; [`write_result`] adds the rest.
pub(super) fn open_result(id: &[u8]) -> Vec<u8> {
    let mut out = open(id);
    out.extend_from_slice(b"\"result\":");
    out
}

pub(super) fn write_result<R: Serialize>(mut out: Vec<u8>, result: &R) -> Result<Vec<u8>, Error> {
    serde_json::to_writer(&mut out, result)
        .and_then(|()| out.write_all(b"}").map_err(serde_json::Error::io))
        .map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                format!("the result can't be written as JSON: {error}"),
            )
        })?;
    Ok(out)
}

fn open(id: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id);
    out.push(b',');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_are_merged_into_data_and_never_replace_the_kind() {
        let error = Error::invalid_input("line 3: no")
            .with("line", 3)
            .with("kind", "mine");
        assert_eq!(
            error_object(&error),
            json!({"code": -32002, "message": "line 3: no", "data": {"kind": "invalid_input", "line": 3}})
        );
    }

    #[test]
    fn an_id_is_echoed_as_it_came() {
        for id in ["\"a\\u0000b\"", "1.50", "-7", "null"] {
            let out = write_result(open_result(id.as_bytes()), &json!(null)).unwrap();
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":null}}")
            );
        }
    }
}
