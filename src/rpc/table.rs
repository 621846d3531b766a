//! How a table of methods is made: one typed function a method, its state bound in.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::{Error, rpc::Nothing};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{answer, openrpc, params::Shape};

/// Runs one call: the parameters as they came, and the opened answer, to which the result is added.
type Handler<S> = Box<dyn Fn(S, Option<Bytes>, Vec<u8>) -> Handling + Send + Sync>;
type Bound = Box<dyn Fn(Option<Bytes>, Vec<u8>) -> Handling + Send + Sync>;
type Handling = BoxFuture<'static, Result<Vec<u8>, Error>>;

/// What is known of a method without running it.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) shape: Shape,
    pub(super) params: Schema,
    pub(super) result: Schema,
    /// Reads parameters into the method's type, and drops them.
    #[cfg(test)]
    pub(super) reads: fn(&Shape, &'static str, &RawValue) -> Result<(), Error>,
}

/// A table in the making: typed functions of a state that is bound in at the end.
pub struct Methods<S> {
    generator: SchemaGenerator,
    described: Vec<Described>,
    handlers: Vec<Handler<S>>,
}

impl<S: Clone + Send + Sync + 'static> Methods<S> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            generator: openrpc::generator(),
            described: Vec::new(),
            handlers: Vec::new(),
        }
    }

    /// Adds a method. Its parameters are the fields of `P`, in their order.
    #[must_use]
    pub fn add<P, R, F, Fut>(mut self, name: &'static str, doc: &'static str, function: F) -> Self
    where
        P: DeserializeOwned + JsonSchema + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
        F: Fn(S, P) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Error>> + Send + 'static,
    {
        let params = P::json_schema(&mut self.generator);
        let shape = Shape::of(&params);
        let takes = Arc::new(shape.clone());
        self.handlers.push(Box::new(move |state, raw, out| {
            let (function, takes) = (function.clone(), takes.clone());
            Box::pin(async move {
                let params: P = takes.read(name, borrow(raw.as_ref())?)?;
                drop(raw);
                let result = function(state, params).await?;
                answer::write_result(out, &result)
            })
        }));
        self.described.push(Described {
            name,
            doc,
            shape,
            params,
            result: self.generator.subschema_for::<R>(),
            #[cfg(test)]
            reads: |shape, name, raw| shape.read::<P>(name, Some(raw)).map(drop),
        });
        self
    }

    /// Adds `rpc.discover` and closes the table: each call gets a clone of `state`.
    #[must_use]
    pub fn finish(self, state: &S) -> Rpc {
        let document: Arc<OnceLock<Box<RawValue>>> = Arc::default();
        let mut all = self.with_discover(document.clone());
        let written = openrpc::document(&all.described, &mut all.generator);
        if let Ok(raw) = serde_json::value::to_raw_value(&written) {
            document.get_or_init(|| raw);
        }
        let methods = all.described.iter().zip(all.handlers);
        let methods: Vec<_> = methods
            .map(|(described, handler)| {
                let state = state.clone();
                Method {
                    name: described.name,
                    handler: Box::new(move |raw, out| handler(state.clone(), raw, out)),
                    calls: Calls::default(),
                }
            })
            .collect();
        let names = methods.iter().enumerate();
        Rpc(Arc::new(Table {
            by_name: names.map(|(at, method)| (method.name, at)).collect(),
            methods,
        }))
    }
}

impl<S: Clone + Send + Sync + 'static> Methods<S> {
    fn with_discover(self, document: Arc<OnceLock<Box<RawValue>>>) -> Self {
        self.add::<Nothing, openrpc::Document, _, _>(
            openrpc::DISCOVER,
            "Describes every method: an OpenRPC document.",
            move |_, Nothing {}| {
                let document = document.get().cloned().map(openrpc::Document);
                std::future::ready(document.ok_or_else(|| Error::internal("there is no document")))
            },
        )
    }

    /// The OpenRPC document, as `rpc.discover` answers it.
    #[must_use]
    pub fn document(self) -> serde_json::Value {
        let mut all = self.with_discover(Arc::default());
        openrpc::document(&all.described, &mut all.generator)
    }
}

impl<S> Methods<S> {
    /// What each method is, in the order of the table.
    pub(super) fn described(&self) -> &[Described] {
        &self.described
    }

    /// For each method: its name, its sentence, its parameters in the order by position.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str, &Shape)> {
        self.described().iter().map(|m| (m.name, m.doc, &m.shape))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Methods<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Methods<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.list().map(|(name, _, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// One method, ready to be called.
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) handler: Bound,
    pub(super) calls: Calls,
}

/// How often a method was called, and with what outcome.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) ok: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// A closed table: takes requests. Cheap to clone.
#[derive(Clone)]
pub struct Rpc(pub(super) Arc<Table>);

pub(super) struct Table {
    methods: Vec<Method>,
    by_name: HashMap<&'static str, usize>,
}

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<&Method> {
        self.by_name.get(name).map(|at| &self.methods[*at])
    }
}

impl Rpc {
    /// The names of all methods, in the order of the table.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.methods.iter().map(|method| method.name)
    }

    /// For each method: its name, how many calls succeeded, how many failed.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.0.methods.iter().map(|method| {
            (
                method.name,
                method.calls.ok.load(Ordering::Relaxed),
                method.calls.failed.load(Ordering::Relaxed),
            )
        })
    }
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The parameters as unread JSON. They were cut out of a request that had been read as JSON.
fn borrow(raw: Option<&Bytes>) -> Result<Option<&RawValue>, Error> {
    raw.map(|bytes| serde_json::from_slice(bytes))
        .transpose()
        .map_err(|error| Error::internal(format!("the parameters can't be read again: {error}")))
}
