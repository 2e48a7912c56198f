//! Odoo's JSON-2 API (19 and later) over HTTPS. What an answer means is decided by [`classify`], which is pure.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::Value;

use super::rpc::{Args, Rpc, RpcError};
pub use crate::http::Secret;
use crate::http::{self, PROBE, bounded, redirected, retry_after, root_cause, shape};

/// Where an Odoo is and how to speak to it.
#[derive(Clone, Debug)]
pub struct Json2Options {
    /// Base address, such as `https://acme.odoo.com`.
    pub url: String,
    /// Database; empty where the server knows by its address.
    pub database: String,
    /// API key of the migration user.
    pub api_key: Secret,
    /// Lets http and unverified certificates pass.
    pub insecure: bool,
    /// CA certificates (PEM) to trust beside the well-known ones.
    pub ca_pem: Option<Vec<u8>>,
    /// A call may take this long; what happened then is unknown.
    pub timeout: Duration,
}

impl Json2Options {
    /// Options with the usual timeout of 120 s.
    #[must_use]
    pub fn new(url: &str, database: &str, api_key: Secret) -> Self {
        Self {
            url: url.to_owned(),
            database: database.to_owned(),
            api_key,
            insecure: false,
            ca_pem: None,
            timeout: Duration::from_mins(2),
        }
    }
}

/// A connection to a real Odoo.
#[derive(Debug)]
pub struct Json2 {
    client: Client,
    base: Url,
    /// With the key in it, marked sensitive; sent with calls only.
    headers: HeaderMap,
    timeout: Duration,
}

impl Json2 {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`RpcError::Unreachable`] where the options cannot work: a bad address, http without `insecure`, a broken certificate.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the key is not left behind in the caller's hands"
    )]
    pub fn new(options: Json2Options) -> Result<Self, RpcError> {
        let base = http::base_url(&options.url, options.insecure, "https://acme.odoo.com").map_err(unreachable)?;
        let headers = call_headers(&options).map_err(unreachable)?;
        let client = http::client(options.insecure, options.ca_pem.as_deref()).map_err(unreachable)?;
        Ok(Self {
            client,
            base,
            headers,
            timeout: options.timeout,
        })
    }

    async fn answer(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<Value, RpcError> {
        let sent = request.timeout(timeout).send().await;
        let response = sent.map_err(|error| failure(&error, timeout))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = Response::bytes(response)
            .await
            .map_err(|error| failure(&error, timeout))?;
        classify(status, &headers, &body, Timestamp::now())
    }
}

#[async_trait]
impl Rpc for Json2 {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        let url = http::below(&self.base, &["json", "2", model, method]);
        self.answer(
            self.client.post(url).headers(self.headers.clone()).json(&args),
            self.timeout,
        )
        .await
    }

    async fn version(&self) -> Result<String, RpcError> {
        let url = http::below(&self.base, &["web", "version"]);
        let answer = self.answer(self.client.get(url), PROBE).await?;
        let version = answer["version"].as_str().map(bounded);
        version.ok_or_else(|| RpcError::Unknown {
            message: "/web/version names no version".to_owned(),
        })
    }
}

/// What an answer means. `now` is for a `Retry-After` that names a date.
///
/// # Errors
/// By kind, as [`RpcError`] describes them. A traceback (`debug`) is never part of it.
pub fn classify(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Value, RpcError> {
    let json = serde_json::from_slice::<Value>(body);
    if (200..300).contains(&status) {
        return json.map_err(|_| RpcError::Unknown {
            message: format!("{}, not JSON", shape(status, headers)),
        });
    }
    // An Odoo error is an object with a name and a message; anything else came from something in between.
    let said = json
        .ok()
        .and_then(|json| Some((json["name"].as_str()?.to_owned(), bounded(json["message"].as_str()?))));
    Err(match said {
        Some((name, message)) => of_odoo(status, &name, message, headers, now),
        None => of_the_way(status, headers, now),
    })
}

/// An error that Odoo itself phrased.
fn of_odoo(status: u16, name: &str, message: String, headers: &HeaderMap, now: Timestamp) -> RpcError {
    match status {
        401 => RpcError::Unauthorized,
        403 => RpcError::Forbidden { message },
        404 => RpcError::NotFound { message },
        409 => RpcError::Conflict,
        429 => RpcError::Throttled {
            retry_after: retry_after(headers, now),
        },
        _ if is_conflict(name, &message) => RpcError::Conflict,
        // The server lost its database: whether the transaction was committed, it does not know itself.
        _ if name == "psycopg2.OperationalError" || name == "psycopg2.InterfaceError" => RpcError::Unknown {
            message: format!("{status} {}", bounded(name)),
        },
        400 | 413 | 422 | 500 => RpcError::Rejected {
            name: bounded(name),
            message,
        },
        _ => of_the_way(status, headers, now),
    }
}

/// An error of a proxy, of the web server, or of Odoo's HTTP layer.
fn of_the_way(status: u16, headers: &HeaderMap, now: Timestamp) -> RpcError {
    let shape = shape(status, headers);
    match status {
        300..=399 => RpcError::NotFound {
            message: redirected(&shape, headers),
        },
        401 => RpcError::Unauthorized,
        403 => RpcError::Forbidden {
            message: format!("{shape}, not from Odoo: something in between refuses"),
        },
        404 | 405 => RpcError::NotFound {
            message: format!("{shape}: no such database, or no JSON-2 API (Odoo 19) here"),
        },
        413 => RpcError::Rejected {
            name: "413".to_owned(),
            message: "the call is too large".to_owned(),
        },
        429 => RpcError::Throttled {
            retry_after: retry_after(headers, now),
        },
        503 if headers.contains_key(RETRY_AFTER) => RpcError::Throttled {
            retry_after: retry_after(headers, now),
        },
        _ => RpcError::Unknown { message: shape },
    }
}

/// Whether `PostgreSQL` refused because of another transaction; nothing was committed then.
fn is_conflict(name: &str, message: &str) -> bool {
    name.ends_with("SerializationFailure")
        || name.ends_with("DeadlockDetected")
        || message.contains("could not serialize access")
        || message.contains("deadlock detected")
}

fn call_headers(options: &Json2Options) -> Result<HeaderMap, &'static str> {
    let mut key = HeaderValue::from_str(&format!("bearer {}", options.api_key.reveal()))
        .map_err(|_| "the API key holds characters that no key has")?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::from_iter([(AUTHORIZATION, key)]);
    if !options.database.is_empty() {
        let database = HeaderValue::from_str(&options.database)
            .map_err(|_| "the name of the database holds characters that no header can carry")?;
        headers.insert("x-odoo-database", database);
    }
    Ok(headers)
}

fn unreachable(message: impl Into<String>) -> RpcError {
    RpcError::Unreachable {
        message: message.into(),
    }
}

/// A call that got no whole answer. Only where no connection came about did it certainly not reach Odoo.
fn failure(error: &reqwest::Error, timeout: Duration) -> RpcError {
    let message = root_cause(error);
    if error.is_connect() || error.is_builder() {
        return unreachable(message);
    }
    if error.is_timeout() {
        return RpcError::Unknown {
            message: format!("timeout after {} s", timeout.as_secs_f64()),
        };
    }
    RpcError::Unknown {
        message: format!("the connection broke: {message}"),
    }
}

#[cfg(test)]
mod tests;
