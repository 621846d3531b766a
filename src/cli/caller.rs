//! Calling methods, wherever the runtime is.

use std::fmt;

use futures_util::{FutureExt, future::BoxFuture};
use serde_json::Value;

use crate::client::{CallError, Client};

/// Calls methods, wherever the runtime is.
pub(crate) trait Caller: Send + Sync + fmt::Debug {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, CallError>>;
}

impl Caller for Client {
    fn call<'a>(
        &'a self,
        method: &'a str,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        Self::call(self, method, params).boxed()
    }
}
