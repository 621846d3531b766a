//! Describes a table of methods as an OpenRPC document, made from the types.

use protocol::ErrorKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::table::Described;

/// The method that returns the document.
pub const DISCOVER: &str = "rpc.discover";
/// The version of OpenRPC that the document follows.
pub const OPENRPC: &str = "1.3.2";

/// The document, already written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Document(pub(super) Box<RawValue>);

impl JsonSchema for Document {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenRpcDocument".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "object", "required": ["openrpc", "info", "methods"]})
    }
}

/// Makes schemas in the form that OpenRPC wants: draft 7, shared ones under `components`.
pub(super) fn generator() -> SchemaGenerator {
    SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
}

/// What each kind means, for a reader of the document.
fn meaning(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ParseError => "The request is no JSON.",
        ErrorKind::InvalidRequest => "The request is no JSON-RPC 2.0 call.",
        ErrorKind::MethodNotFound => "There is no such method.",
        ErrorKind::InvalidParams => "The parameters do not have the method's form.",
        ErrorKind::NotFound => "A sid that names nothing.",
        ErrorKind::InvalidInput => "The form is right, but what is said can't be done.",
        ErrorKind::Conflict => "It does not fit the present state.",
        ErrorKind::Unavailable => "Not now.",
        ErrorKind::TooLarge => "A limit is exceeded.",
        ErrorKind::Unauthorized => "A token is required.",
        ErrorKind::Internal => "A fault of hero_logic.",
    }
}

/// The kinds that a call of an existing method can end with.
fn of_calls() -> impl Iterator<Item = ErrorKind> {
    ErrorKind::ALL.into_iter().filter(|kind| {
        !matches!(
            kind,
            ErrorKind::ParseError | ErrorKind::InvalidRequest | ErrorKind::MethodNotFound
        )
    })
}

pub(super) fn document(methods: &[Described], generator: &mut SchemaGenerator) -> Value {
    let methods: Vec<Value> = methods.iter().map(|m| method(m, generator)).collect();
    let errors: Map<String, Value> = ErrorKind::ALL
        .into_iter()
        .map(|kind| {
            let error = json!({
                "code": kind.code(),
                "message": meaning(kind),
                "data": {"kind": kind.as_str()},
            });
            (kind.as_str().to_owned(), error)
        })
        .collect();
    json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "hero_logic",
            "description": env!("CARGO_PKG_DESCRIPTION"),
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "methods": methods,
        "components": {
            "schemas": generator.take_definitions(true),
            "errors": errors,
        },
    })
}

fn method(method: &Described, generator: &mut SchemaGenerator) -> Value {
    let mut schema = method.params.clone();
    let mut result = method.result.clone();
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
        transform.transform(&mut result);
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let params: Vec<Value> = method
        .shape
        .params
        .iter()
        .map(|param| {
            let of = properties.and_then(|all| all.get(&param.name));
            let mut described = json!({
                "name": param.name,
                "required": param.required,
                "schema": of.cloned().unwrap_or(Value::Bool(true)),
            });
            if let Some(doc) = of.and_then(|schema| schema.get("description")) {
                described["description"] = doc.clone();
            }
            described
        })
        .collect();
    let errors: Vec<Value> = of_calls()
        .map(|kind| json!({"$ref": format!("#/components/errors/{}", kind.as_str())}))
        .collect();
    json!({
        "name": method.name,
        "summary": method.doc,
        "paramStructure": "either",
        "params": params,
        "result": {"name": "result", "schema": result},
        "errors": errors,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::value::to_raw_value;

    use super::*;
    use crate::rpc::methods::table;

    fn written() -> Value {
        table().document()
    }

    /// Every `$ref` of the document, wherever it stands.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(to)) = object.get("$ref") {
                    found.push(to);
                }
                object.values().for_each(|v| references(v, found));
            }
            Value::Array(all) => all.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }

    #[test]
    fn every_method_is_described_and_nothing_else() {
        let document = written();
        let names = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let described: Vec<_> = document["methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(names)
            .collect();
        let there: Vec<_> = table().list().map(|(name, _, _)| name.to_owned()).collect();
        assert_eq!(described[..described.len() - 1], there);
        assert_eq!(described.last().unwrap(), DISCOVER);
        let unique: BTreeSet<_> = described.iter().collect();
        assert_eq!(unique.len(), described.len(), "a name is there twice");
    }

    #[test]
    fn the_contracts_methods_are_all_there() {
        let there: BTreeSet<_> = table().list().map(|(name, _, _)| name).collect();
        for name in [
            "play_run_async",
            "play_wait",
            "span_push",
            "flow_library_search",
            "play_start",
            "play_get",
            "play_status",
            "play_spans",
            "play_list",
            "play_cancel",
            "play_retry",
            "play_fork",
            "play_resume_preview",
            "workflow_create",
            "workflow_get",
            "workflow_list",
            "workflow_update",
            "workflow_delete",
            "workflow_version_add",
            "workflow_version_get",
            "workflow_version_list",
            "workflow_version_set_current",
            "server_info",
            "play_overview",
            "question_list",
            "workflow_stats",
            "server_status",
        ] {
            assert!(there.contains(name), "{name}");
        }
    }

    /// A described parameter reaches the method's type: a value that fits nothing is complained of
    /// under its name (but for those that take any value).
    #[test]
    fn every_described_parameter_is_read() {
        let table = table();
        let document = written();
        for (method, described) in table
            .described()
            .iter()
            .zip(document["methods"].as_array().unwrap())
        {
            let params = described["params"].as_array().unwrap();
            assert_eq!(params.len(), method.shape.params.len(), "{}", method.name);
            for param in params {
                let name = param["name"].as_str().unwrap();
                let fits_any = ["inputs", "outputs", "payload"].contains(&name);
                let mut given = Map::new();
                for other in &method.shape.params {
                    if other.required {
                        let described = params.iter().find(|one| one["name"] == *other.name);
                        let fits = match described.unwrap()["schema"]["type"].as_str() {
                            Some("array") => json!([]),
                            Some("integer" | "number") => json!(1),
                            _ => json!("x"),
                        };
                        given.insert(other.name.clone(), fits);
                    }
                }
                given.insert(name.to_owned(), json!([[[5]]]));
                let read =
                    (method.reads)(&method.shape, method.name, &to_raw_value(&given).unwrap());
                match read {
                    Ok(()) => assert!(fits_any, "{}: {name} is ignored", method.name),
                    Err(error) => assert_eq!(
                        error.details.unwrap()["parameter"],
                        name,
                        "{}: {}",
                        method.name,
                        error.message
                    ),
                }
            }
        }
    }

    #[test]
    fn it_is_well_formed() {
        let document = written();
        assert_eq!(document["openrpc"], OPENRPC);
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.contains(&"#/components/schemas/Play"), "{found:?}");
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
        }
        for method in document["methods"].as_array().unwrap() {
            let name = &method["name"];
            assert!(!method["summary"].as_str().unwrap().is_empty(), "{name}");
            assert!(method["result"]["schema"].is_object(), "{name}");
            assert!(!method["errors"].as_array().unwrap().is_empty(), "{name}");
            let mut optional = false;
            for param in method["params"].as_array().unwrap() {
                let required = param["required"].as_bool().unwrap();
                assert!(
                    !(optional && required),
                    "{name}: a required one after an optional one"
                );
                optional |= !required;
                assert!(
                    param["schema"].is_object() || param["schema"].is_boolean(),
                    "{name}"
                );
            }
        }
    }
}
