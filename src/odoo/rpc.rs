//! The wire: one call of one method of one model, with named arguments, as JSON-2 has it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

/// Named arguments of a call. `ids` and `context` are among them, as in JSON-2.
pub type Args = Map<String, Value>;

/// A connection to one Odoo database. Cheap to share; safe to call from several tasks.
#[async_trait]
pub trait Rpc: Send + Sync {
    /// Calls `model.method(**args)`. One call is one transaction.
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError>;

    /// What the server says of itself (`GET /web/version` and the like): version for reports and preflight.
    async fn version(&self) -> Result<String, RpcError>;
}

/// Why a call gave no result. The caller decides by kind; messages carry no secret and no traceback.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// 401: the key is wrong, expired or missing.
    #[error("Odoo refuses the API key")]
    Unauthorized,
    /// 403: the key's user may not do this.
    #[error("Odoo forbids it: {message}")]
    Forbidden {
        /// Odoo's sentence.
        message: String,
    },
    /// 404 `MissingError`: a record that the call names, or that a value refers to, is not there; nothing was committed.
    #[error("Odoo misses a record: {message}")]
    Missing {
        /// Odoo's sentence.
        message: String,
    },
    /// 404: no such API, database, model or method.
    #[error("Odoo does not know it: {message}")]
    NotFound {
        /// What is unknown.
        message: String,
    },
    /// The data was refused (422, and 500 with an Odoo error): nothing was committed. Bisect; never retry as it is.
    #[error("Odoo refuses the data: {message}")]
    Rejected {
        /// Odoo's exception, such as `odoo.exceptions.ValidationError`.
        name: String,
        /// Odoo's sentence; may quote the data, so it goes to results files only.
        message: String,
    },
    /// A serialisation conflict: nothing was committed, the same call may succeed.
    #[error("Odoo could not serialise the call")]
    Conflict,
    /// 429, or a 503 with `Retry-After`.
    #[error("Odoo asks for patience")]
    Throttled {
        /// How long, where it says so.
        retry_after: Option<Duration>,
    },
    /// The call certainly did not reach Odoo (connection refused, name unknown, TLS refused).
    #[error("Odoo cannot be reached: {message}")]
    Unreachable {
        /// The cause, without the address's userinfo.
        message: String,
    },
    /// No answer, half an answer, or one that is not Odoo's: what happened is unknown until read back.
    #[error("Odoo gave no usable answer: {message}")]
    Unknown {
        /// What came instead: `timeout after 120 s`, `502 text/html`.
        message: String,
    },
}

impl RpcError {
    /// Whether the server may have carried the call out all the same.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// Builds [`Args`] from a JSON object literal: `args!({"ids": [1], "vals": {…}})`.
#[macro_export]
macro_rules! args {
    ($json:tt) => {
        match ::serde_json::json!($json) {
            ::serde_json::Value::Object(map) => map,
            _ => ::serde_json::Map::new(),
        }
    };
}
