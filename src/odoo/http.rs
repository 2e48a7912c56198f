//! The way to an Odoo server over HTTP, whichever of its APIs is spoken: TLS, time, size, and what stands in between.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Client, RequestBuilder, Response, Url,
    header::{HeaderMap, RETRY_AFTER},
};

use super::rpc::RpcError;
pub use crate::http::Secret;
use crate::http::{PROBE, base_url, below, client, redirected, root_cause};
pub(super) use crate::http::{bounded, retry_after, shape};

/// Longest answer that is read, unpacked; Odoo's own bound for what it is sent.
const LONGEST: usize = 128 << 20;

/// Where an Odoo is and how to reach it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Base address, such as `https://acme.odoo.com`.
    pub url: String,
    /// Database; empty where the server knows by its address.
    pub database: String,
    /// Lets http and unverified certificates pass.
    pub insecure: bool,
    /// CA certificates (PEM) to trust beside the well-known ones.
    pub ca_pem: Option<Vec<u8>>,
    /// A call may take this long; what happened then is unknown.
    pub timeout: Duration,
}

impl Server {
    /// A server with the usual timeout of 120 s.
    #[must_use]
    pub fn new(url: &str, database: &str) -> Self {
        Self {
            url: url.to_owned(),
            database: database.to_owned(),
            insecure: false,
            ca_pem: None,
            timeout: Duration::from_mins(2),
        }
    }
}

/// A client of one server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    timeout: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Http {
    /// Prepares the client; nothing is sent yet.
    pub fn new(server: &Server) -> Result<Self, RpcError> {
        let base = base_url(&server.url, server.insecure, "https://acme.odoo.com").map_err(unreachable)?;
        let client = client(server.insecure, server.ca_pem.as_deref()).map_err(unreachable)?;
        Ok(Self {
            client,
            base,
            timeout: server.timeout,
        })
    }

    /// A call of the API, to be filled.
    pub fn post(&self, segments: &[&str]) -> RequestBuilder {
        self.client.post(below(&self.base, segments)).timeout(self.timeout)
    }

    /// A look that must be answered soon.
    pub fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.client.get(below(&self.base, segments)).timeout(PROBE)
    }

    /// Sends a request and reads the whole answer, whatever its status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, RpcError> {
        let request = request.build().map_err(|error| failure(&error, self.timeout))?;
        let timeout = request.timeout().copied().unwrap_or(self.timeout);
        let sent = self.client.execute(request).await;
        let response = sent.map_err(|error| failure(&error, timeout))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = whole(response, LONGEST, timeout).await?;
        Ok(Answer { status, headers, body })
    }
}

/// The body, unpacked, which may be a bomb.
async fn whole(mut response: Response, longest: usize, timeout: Duration) -> Result<Vec<u8>, RpcError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error, timeout))? {
        if body.len() + chunk.len() > longest {
            return Err(RpcError::Unknown {
                message: format!("an answer of more than {} MiB", longest >> 20),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an answer means that Odoo did not phrase: a proxy's, the web server's, or that of Odoo's HTTP layer. `api` is
/// the API that was asked for; `now` is for a `Retry-After` that names a date.
pub(super) fn of_the_way(status: u16, headers: &HeaderMap, api: &str, now: Timestamp) -> RpcError {
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
            message: format!("{shape}: no such database, or no {api} here"),
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
pub(super) fn is_conflict(name: &str, message: &str) -> bool {
    name.ends_with("SerializationFailure")
        || name.ends_with("DeadlockDetected")
        || name.ends_with("LockNotAvailable")
        || message.contains("could not serialize access")
        || message.contains("deadlock detected")
}

pub(super) fn unreachable(message: impl Into<String>) -> RpcError {
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
pub(super) mod testing;
#[cfg(test)]
mod tests;
