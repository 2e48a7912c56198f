//! What every HTTP client of ours does the same way: https unless told otherwise, no redirects, secrets that do not print,
//! and errors without addresses, since an address may hold a key.

use std::{error::Error as _, fmt, time::Duration};

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use reqwest::{
    Client, ClientBuilder, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
    tls::Certificate,
};

/// Longest message of an error, in characters.
const MESSAGE: usize = 300;

/// Connecting, and a first small question, may take this long.
pub const PROBE: Duration = Duration::from_secs(10);

/// The adaptive pause starts here, and ends when it falls below.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// The adaptive pause does not grow beyond this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A word that must not be seen: it prints as `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes the word in, without the white space that files end with.
    #[must_use]
    pub fn new(word: &str) -> Self {
        Self(word.trim().to_owned())
    }

    /// The word, to be sent to the server it is for and nowhere else.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A client that follows no redirect. `insecure` lets http and unverified certificates pass; `ca_pem` are certificates to
/// trust beside the well-known ones.
///
/// # Errors
/// A sentence, where the certificates are none.
pub fn client(insecure: bool, ca_pem: Option<&[u8]>) -> Result<Client, String> {
    let mut client: ClientBuilder = Client::builder()
        .user_agent(concat!("crmferry/", env!("CARGO_PKG_VERSION")))
        .https_only(!insecure)
        .tls_danger_accept_invalid_certs(insecure)
        .redirect(Policy::none())
        .connect_timeout(PROBE);
    if let Some(pem) = ca_pem {
        let bundle = Certificate::from_pem_bundle(pem)
            .map_err(|_| "the CA bundle is not a list of PEM certificates".to_owned())?;
        client = client.tls_certs_merge(bundle);
    }
    client.build().map_err(|error| root_cause(&error))
}

/// A base address. `example` is what one looks like.
///
/// # Errors
/// A sentence, where it is none or begins with http without `insecure`.
pub fn base_url(text: &str, insecure: bool, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("the url is not an address such as {example}"))?;
    match url.scheme() {
        "https" => {}
        "http" if insecure => {}
        "http" => return Err("the url must begin with https:// (insecure lets http pass)".into()),
        _ => return Err("the url must begin with https://".into()),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("the url may hold neither a user nor a query: the key comes from a Secret".into());
    }
    Ok(url)
}

/// An address below another.
#[must_use]
pub fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// `502 text/html`.
#[must_use]
pub fn shape(status: u16, headers: &HeaderMap) -> String {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("without a type");
    let kind = kind.split(';').next().unwrap_or(kind).trim();
    format!("{status} {}", kind.chars().take(60).collect::<String>())
}

/// An answer that points elsewhere.
#[must_use]
pub fn redirected(shape: &str, headers: &HeaderMap) -> String {
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

/// How long the server asks to be left alone: seconds, or a date.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = at.duration_since(now).max(SignedDuration::ZERO);
    Duration::try_from(wait).ok()
}

/// One line of bounded length.
#[must_use]
pub fn bounded(text: &str) -> String {
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

/// The innermost cause; the outer ones quote the address.
#[must_use]
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "no cause given".to_owned(), |cause| bounded(&cause.to_string()))
}

/// The pause between calls: twice as long under strain, half as long when all is well.
#[must_use]
pub fn next_pause(pause: Duration, strained: bool) -> Duration {
    if strained {
        return (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    }
    Some(pause / 2)
        .filter(|shorter| *shorter >= SHORTEST_PAUSE)
        .unwrap_or_default()
}
