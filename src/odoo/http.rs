//! The way to an Odoo server over HTTP, whichever of its APIs is spoken: TLS, time, size, and what stands in between.

use std::{error::Error as _, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::{
    Client, RequestBuilder, Response, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
    tls::Certificate,
};

use super::rpc::RpcError;

/// Longest message of an error, in characters.
const MESSAGE: usize = 300;

/// Longest answer that is read, unpacked; Odoo's own bound for what it is sent.
const LONGEST: usize = 128 << 20;

/// Connecting, and asking for the version, may take this long.
pub(super) const PROBE: Duration = Duration::from_secs(10);

/// A word that must not be seen: it prints as `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the word in, without the white space that files end with.
    #[must_use]
    pub fn new(word: &str) -> Self {
        Self(word.trim().to_owned())
    }

    /// The word, to be sent to Odoo and nowhere else.
    pub(super) fn word(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

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
        let base = base_url(&server.url, server.insecure).map_err(unreachable)?;
        let mut client = Client::builder()
            .user_agent(concat!("crmferry/", env!("CARGO_PKG_VERSION")))
            .https_only(!server.insecure)
            .tls_danger_accept_invalid_certs(server.insecure)
            .redirect(Policy::none())
            .connect_timeout(PROBE);
        if let Some(pem) = &server.ca_pem {
            let bundle = Certificate::from_pem_bundle(pem)
                .map_err(|_| unreachable("the CA bundle is not a list of PEM certificates"))?;
            client = client.tls_certs_merge(bundle);
        }
        let client = client.build().map_err(|error| unreachable(root_cause(&error)))?;
        Ok(Self {
            client,
            base,
            timeout: server.timeout,
        })
    }

    /// A call of the API, to be filled.
    pub fn post(&self, segments: &[&str]) -> RequestBuilder {
        self.client.post(self.address(segments)).timeout(self.timeout)
    }

    /// A look that must be answered soon.
    pub fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.client.get(self.address(segments)).timeout(PROBE)
    }

    fn address(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
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

fn redirected(shape: &str, headers: &HeaderMap) -> String {
    let to = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|to| Url::parse(to).ok());
    match to {
        // The origin alone: paths and queries of a login page may carry what nobody should see.
        Some(to) => format!(
            "{shape}: it redirects to {}",
            bounded(&to.origin().ascii_serialization())
        ),
        None => format!("{shape}: it redirects elsewhere"),
    }
}

/// `502 text/html`.
pub(super) fn shape(status: u16, headers: &HeaderMap) -> String {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("without a type");
    let kind = kind.split(';').next().unwrap_or(kind).trim();
    format!("{status} {}", kind.chars().take(60).collect::<String>())
}

/// Seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = at.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(wait).ok()
}

/// One line of bounded length.
pub(super) fn bounded(text: &str) -> String {
    let line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE + 1)
        .collect();
    if line.chars().count() <= MESSAGE {
        return line;
    }
    line.chars().take(MESSAGE - 1).chain(['…']).collect()
}

fn base_url(text: &str, insecure: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the url is not an address such as https://acme.odoo.com")?;
    match url.scheme() {
        "https" => {}
        "http" if insecure => {}
        "http" => return Err("the url must begin with https:// (insecure lets http pass)"),
        _ => return Err("the url must begin with https://"),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("the url may hold neither a user nor a query: the key comes from a Secret");
    }
    Ok(url)
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

/// The innermost cause; the outer ones quote the address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "no cause given".to_owned(), |cause| bounded(&cause.to_string()))
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
