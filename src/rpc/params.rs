//! Reads a method's parameters, by name or by position, into its type.
//!
//! What a method takes is read off its type's schema, so that the check, the messages and the
//! OpenRPC document can't differ. Values are never copied on the way: they go from the request's
//! bytes straight into the type.

use protocol::{Error, ErrorKind};
use schemars::Schema;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor, value::MapDeserializer},
};
use serde_json::value::RawValue;

/// Above this, a refused request is not read again to name the parameter at fault.
const MAX_RETRIED: usize = 1 << 20;

/// What a method takes, in the order by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub params: Vec<Param>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    pub required: bool,
}

impl Shape {
    /// Reads it off the schema of a parameters struct.
    #[must_use]
    pub fn of(schema: &Schema) -> Self {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(|v| v.as_array())
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str())
            .collect();
        let params = schema
            .get("properties")
            .and_then(|v| v.as_object())
            .into_iter()
            .flat_map(|properties| properties.keys())
            .map(|name| Param {
                name: name.clone(),
                required: required.contains(&name.as_str()),
            })
            .collect();
        Self { params }
    }

    fn has(&self, name: &str) -> bool {
        self.params.iter().any(|p| p.name == name)
    }

    /// `workflow_sid, input_data?`: for messages.
    fn listed(&self) -> String {
        let all: Vec<_> = self
            .params
            .iter()
            .map(|p| format!("{}{}", p.name, if p.required { "" } else { "?" }))
            .collect();
        all.join(", ")
    }

    /// Reads the parameters of one call of `method`.
    ///
    /// # Errors
    /// `invalid_params`, naming what does not fit and what would.
    pub fn read<P: DeserializeOwned>(
        &self,
        method: &str,
        raw: Option<&RawValue>,
    ) -> Result<P, Error> {
        let named = self.named(method, raw)?;
        if let Some(unknown) = named.iter().find(|(name, _)| !self.has(name)) {
            return Err(self
                .refuse(method, format!("there is no parameter {:?}", unknown.0))
                .with("parameter", unknown.0.as_str()));
        }
        for (at, (name, _)) in named.iter().enumerate() {
            if named[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(self
                    .refuse(method, format!("{name:?} is given twice"))
                    .with("parameter", name.as_str()));
            }
        }
        let given = |name: &str| named.iter().any(|(n, _)| n == name);
        if let Some(missing) = self.params.iter().find(|p| p.required && !given(&p.name)) {
            return Err(self
                .refuse(method, format!("{:?} is missing", missing.name))
                .with("parameter", missing.name.as_str()));
        }
        typed(&named, None).map_err(|error| match culprit::<P>(&named) {
            Some(name) => self
                .refuse(method, format!("{name:?}: {error}"))
                .with("parameter", name),
            None => self.refuse(method, error.to_string()),
        })
    }

    fn named<'a>(
        &self,
        method: &str,
        raw: Option<&'a RawValue>,
    ) -> Result<Vec<(String, &'a RawValue)>, Error> {
        let Some(raw) = raw else {
            return Ok(Vec::new());
        };
        let text = raw.get();
        let read = match text.as_bytes().first() {
            Some(b'{') => serde_json::from_str::<Members<'a>>(text).map(|members| members.0),
            Some(b'[') => {
                let values: Vec<&'a RawValue> = serde_json::from_str(text)
                    .map_err(|error| self.refuse(method, error.to_string()))?;
                if values.len() > self.params.len() {
                    return Err(self.refuse(
                        method,
                        format!(
                            "{} parameters are given, it takes at most {}",
                            values.len(),
                            self.params.len()
                        ),
                    ));
                }
                let names = self.params.iter().map(|p| p.name.clone());
                Ok(names.zip(values).collect())
            }
            _ => {
                return Err(self.refuse(
                    method,
                    "`params` must be an object (by name) or an array (by position)",
                ));
            }
        };
        read.map_err(|error| self.refuse(method, error.to_string()))
    }

    fn refuse(&self, method: &str, what: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::InvalidParams,
            format!("{method}: {what}; it takes ({})", self.listed()),
        )
        .with("method", method)
    }
}

/// Reads the type from all parameters, or from all but one.
fn typed<P: DeserializeOwned>(
    named: &[(String, &RawValue)],
    without: Option<&str>,
) -> Result<P, serde_json::Error> {
    P::deserialize(MapDeserializer::new(
        named
            .iter()
            .filter(|(name, _)| Some(name.as_str()) != without)
            .map(|(name, value)| (name.as_str(), *value)),
    ))
}

/// Which parameter is at fault: the one without which the complaint is another. (The error itself
/// does not tell: flattened parts are read after everything else.)
fn culprit<'a, P: DeserializeOwned>(named: &'a [(String, &RawValue)]) -> Option<&'a str> {
    let size: usize = named.iter().map(|(_, value)| value.get().len()).sum();
    if size > MAX_RETRIED {
        return None;
    }
    let complaint = |without| typed::<P>(named, without).err().map(|e| e.to_string());
    let before = complaint(None);
    let names = || named.iter().map(|(name, _)| name.as_str());
    names()
        .find(|name| complaint(Some(name)).is_none())
        .or_else(|| names().find(|name| complaint(Some(name)) != before))
}

/// The members of an object in their order, doubles kept, values unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    // No method has nearly as many; the first ones suffice to refuse the call.
                    if members.len() < 100 {
                        members.push((name, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[cfg(test)]
mod tests {
    use protocol::rpc::{InputData, PlayRunAsync, PlayWait, WorkflowCreate, WorkflowVersionAdd};
    use schemars::{JsonSchema, SchemaGenerator};

    use super::*;

    fn shape<P: JsonSchema>() -> Shape {
        Shape::of(&P::json_schema(&mut SchemaGenerator::default()))
    }

    fn read<P: DeserializeOwned + JsonSchema>(params: &str) -> Result<P, Error> {
        let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
        shape::<P>().read("m", Some(&raw))
    }

    #[test]
    fn the_order_is_that_of_the_fields_flattened_ones_too() {
        assert_eq!(
            shape::<PlayRunAsync>().listed(),
            "workflow_sid, input_data?, parent_span_id?, timeout_ms?, version_sid?, env?, \
             idempotency_key?, start?, python?, limits?, prefill?, prefill_only?, \
             origin?"
        );
        assert_eq!(
            shape::<WorkflowVersionAdd>().listed(),
            "workflow_sid, python_source?, nodes?, edges?, inputs?, outputs?, source_file?, \
             flow_name?, set_current?"
        );
        assert_eq!(
            shape::<WorkflowCreate>().listed(),
            "name, description?, tags?, python_source?, nodes?, edges?, inputs?, outputs?, \
             source_file?, flow_name?"
        );
    }

    #[test]
    fn by_name_and_by_position_are_the_same() {
        let named: PlayRunAsync =
            read(r#"{"parent_span_id": "p/1.1", "workflow_sid": "w", "input_data": {"a": 1}}"#)
                .unwrap();
        let placed: PlayRunAsync = read(r#"["w", {"a": 1}, "p/1.1"]"#).unwrap();
        assert_eq!(format!("{named:?}"), format!("{placed:?}"));
        assert_eq!(placed.parent_span_id, "p/1.1");
        let text: PlayRunAsync = read(r#"["w", "{\"a\": 1}"]"#).unwrap();
        assert_eq!(text.input_data, InputData::Text("{\"a\": 1}".into()));
        let late: PlayRunAsync = read(r#"["w", "{}", "", 50, "v", {"K": "x"}]"#).unwrap();
        assert_eq!(late.options.timeout_ms, Some(50));
        assert_eq!(late.options.env["K"], "x");
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_would() {
        let refused = |params: &str| {
            let error = read::<PlayWait>(params).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParams, "{params}");
            error.message
        };
        assert_eq!(
            refused(r#"{"play_sid": "p", "sid": 1}"#),
            r#"m: there is no parameter "sid"; it takes (play_sid, timeout_ms?)"#
        );
        assert_eq!(
            refused("{}"),
            r#"m: "play_sid" is missing; it takes (play_sid, timeout_ms?)"#
        );
        assert_eq!(
            refused(r#"["p", 0, 0]"#),
            "m: 3 parameters are given, it takes at most 2; it takes (play_sid, timeout_ms?)"
        );
        assert!(refused(r#"{"play_sid": "p", "play_sid": "q"}"#).contains("twice"));
        assert!(refused(r#""p""#).contains("must be an object"));
        assert!(refused(r#"{"play_sid": "p", "timeout_ms": -1}"#).contains(r#""timeout_ms":"#));
        assert!(refused(r#"{"play_sid": 5, "timeout_ms": 1}"#).contains(r#""play_sid":"#));
    }

    #[test]
    fn a_wrong_type_in_a_flattened_part_is_named() {
        let error = read::<PlayRunAsync>(r#"{"workflow_sid": "w", "timeout_ms": "soon"}"#);
        assert!(
            error.unwrap_err().message.contains(r#""timeout_ms":"#),
            "the flattened parameter is not named"
        );
        let error = read::<PlayRunAsync>(r#"{"workflow_sid": "w", "tiemout_ms": 5}"#);
        assert!(error.unwrap_err().message.contains("tiemout_ms"));
    }
}
