//! Content that records name: what a name is, who may be asked for it, and how its bytes come. Names are data of the source,
//! and so nobody's word to trust: a file lies in the export folder, a link leads to a host that the spec allows, and keys go
//! to the source's own host alone.

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{ETAG, IF_NONE_MATCH, LAST_MODIFIED},
};

use super::{
    SourceError,
    wire::{Opened, Refusal, Wire},
};
use crate::{api::migration, http::bounded};

/// Calls a minute to hosts that links lead to.
const CALLS: u32 = 600;
/// Longest name that a message quotes, in characters.
const QUOTED: usize = 120;

/// What a record names content by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An address.
    Link(Url),
    /// A file of the export folder, or an id that a connector knows.
    Name(String),
}

/// Content that is not to be had: of this record, not of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// A closed word: `NotThere`, `NotAllowed`, `Refused`, `Broken`, `TooLarge`, `NotFetched`.
    pub code: &'static str,
    /// Why.
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// It is not there.
    #[must_use]
    pub fn not_there(place: &str) -> Self {
        Self::new("NotThere", format!("{place} is not there"))
    }

    /// It may not be asked for.
    #[must_use]
    pub fn not_allowed(place: &str, why: &str) -> Self {
        Self::new("NotAllowed", format!("{place} {why}"))
    }
}

/// What asking for content gives.
pub enum Answer {
    /// Its bytes.
    Body(Body),
    /// It is what it was in the version that is known.
    Unchanged,
    /// It is at another address.
    Elsewhere(Url),
    /// It is not to be had.
    Refused(Refused),
}

/// Bytes of content.
pub struct Body {
    /// As they come. One that breaks off is an error.
    pub bytes: BoxStream<'static, Result<Bytes, SourceError>>,
    /// How many there are, where that is told.
    pub length: Option<u64>,
    /// Which version they are, in the source's words: it serves to ask for the content only if it changed.
    pub version: Option<String>,
}

impl Reference {
    /// Reads a name.
    ///
    /// # Errors
    /// For an address that is no http.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Name(text.to_owned()));
        };
        let refused = |why| Err(Refused::not_allowed(&quoted(scheme), why));
        match Url::parse(text) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => refused("is a scheme that is not fetched"),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                refused("addresses may hold no user or password")
            }
            Ok(url) => Ok(Self::Link(url)),
            Err(_) => refused("begins what is no address"),
        }
    }

    /// For messages: an address without its query, which may hold a key.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Link(url) => place(url),
            Self::Name(name) => quoted(name),
        }
    }
}

/// An address without its query, and no longer than one can read.
fn place(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    shortened(bare.as_str())
}

fn quoted(name: &str) -> String {
    format!("{:?}", shortened(name))
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The parts of a file's name below a folder; none of them leads out of it.
///
/// # Errors
/// For a name that is absolute, goes up, or is no name of a file.
pub fn below_folder(name: &str) -> Result<Vec<&str>, Refused> {
    let refused = |why| Err(Refused::not_allowed(&quoted(name), why));
    if name.starts_with(['/', '\\']) {
        return refused("is absolute: a file is named by its path below the export folder");
    }
    if name.contains(['\\', '\0']) || name.chars().any(char::is_control) {
        return refused("is no path that a file is named by: its parts are joined by /");
    }
    let parts: Vec<&str> = name.split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return refused("leaves the export folder, or goes round in it: no part of a path is empty, . or ..");
    }
    Ok(parts)
}

/// Whether a link may be followed. A host without a port means the usual one of its scheme.
///
/// # Errors
/// For a host that the spec does not name, or http without `insecure`.
pub fn allowed(link: &Url, hosts: &[String], insecure: bool) -> Result<(), Refused> {
    let refused = |why: &str| Err(Refused::not_allowed(&place(link), why));
    if link.scheme() != "https" && !insecure {
        return refused("begins with http: source.content.insecure lets it pass");
    }
    let host = link.host_str().unwrap_or_default();
    let named = |entry: &String| match entry.rsplit_once(':') {
        Some((name, port)) => name.eq_ignore_ascii_case(host) && port.parse().ok() == link.port_or_known_default(),
        None => entry.eq_ignore_ascii_case(host) && link.port().is_none(),
    };
    if hosts.iter().any(named) {
        return Ok(());
    }
    refused("is on a host that source.content.hosts does not name")
}

/// Links to hosts that the spec allows, without any keys.
#[derive(Debug)]
pub struct Links {
    wire: Wire,
    hosts: Vec<String>,
    insecure: bool,
}

impl Links {
    /// Prepares; nothing is sent.
    ///
    /// # Errors
    /// [`SourceError::Unusable`] where no client can be made.
    pub fn new(spec: &migration::Content) -> Result<Self, SourceError> {
        let unusable = |message| SourceError::Unusable {
            place: "source.content".into(),
            message,
        };
        Ok(Self {
            wire: Wire::new(spec.insecure, CALLS, &[]).map_err(unusable)?,
            hosts: spec.hosts.clone(),
            insecure: spec.insecure,
        })
    }

    /// Makes waiting shorter, for tests.
    #[must_use]
    pub fn with_second(mut self, second: std::time::Duration) -> Self {
        self.wire = self.wire.with_second(second);
        self
    }

    /// What is at a link, unless it is still the version that is known.
    ///
    /// # Errors
    /// When the host does not answer for as long as we have patience.
    pub async fn get(&self, link: &Url, known: Option<&str>) -> Result<Answer, SourceError> {
        if let Err(refused) = allowed(link, &self.hosts, self.insecure) {
            return Ok(Answer::Refused(refused));
        }
        let request = || self.wire.client.get(link.clone());
        open(&self.wire, link, request, known).await
    }
}

/// Asks for what is at an address.
///
/// # Errors
/// As [`Links::get`].
pub(super) async fn open(
    wire: &Wire,
    link: &Url,
    request: impl Fn() -> RequestBuilder + Send + Sync,
    known: Option<&str>,
) -> Result<Answer, SourceError> {
    let conditional = || match known.and_then(condition) {
        Some((header, version)) => request().header(header, version),
        None => request(),
    };
    let place = place(link);
    Ok(match wire.open(conditional).await {
        Ok(Opened::Answer(response)) if response.status() == StatusCode::NOT_MODIFIED && known.is_some() => {
            Answer::Unchanged
        }
        Ok(Opened::Answer(response)) => Answer::Body(body(response, &place)),
        Ok(Opened::Elsewhere(to)) => match to.and_then(|to| link.join(&to).ok()) {
            Some(to) if matches!(to.scheme(), "http" | "https") => Answer::Elsewhere(to),
            Some(_) | None => Answer::Refused(Refused::not_allowed(&place, "redirects to what is no address")),
        },
        Err(Refusal::Absent(_)) => Answer::Refused(Refused::not_there(&place)),
        Err(
            refusal @ (Refusal::Unauthorized | Refusal::Forbidden(_) | Refusal::Refused(_) | Refusal::Elsewhere(_)),
        ) => Answer::Refused(Refused::new("Refused", format!("{place}: {}", refusal.words()))),
        Err(refusal @ (Refusal::Throttled(_) | Refusal::Failed(_))) => {
            return Err(SourceError::Unavailable {
                place,
                message: refusal.words(),
            });
        }
    })
}

/// The header that asks only for another version than the known one.
fn condition(version: &str) -> Option<(reqwest::header::HeaderName, &str)> {
    let (kind, value) = version.split_once(' ')?;
    match kind {
        "etag" => Some((IF_NONE_MATCH, value)),
        "time" => Some((reqwest::header::IF_MODIFIED_SINCE, value)),
        _ => None,
    }
}

fn version(response: &Response) -> Option<String> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let etag = header(ETAG).map(|tag| format!("etag {tag}"));
    etag.or_else(|| header(LAST_MODIFIED).map(|time| format!("time {time}")))
}

fn body(response: Response, place: &str) -> Body {
    let (version, length) = (version(&response), response.content_length());
    let place = place.to_owned();
    Body {
        bytes: super::wire::chunks(response)
            .map(move |chunk| {
                chunk.map_err(|message| SourceError::Unavailable {
                    place: place.clone(),
                    message: bounded(&message),
                })
            })
            .boxed(),
        length,
        version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_addresses_and_other_schemes_are_refused() {
        let name = |text: &str| Ok(Reference::Name(text.to_owned()));
        for plain in [
            "files/contract.pdf",
            "LINK-ATTACHMENT ON6E R-1!2025",
            "42",
            "mailto:a@b",
            "C:/x",
        ] {
            assert_eq!(Reference::parse(plain), name(plain));
        }
        let link = Reference::parse("HTTPS://Acme.example/a%20b.pdf?key=secret#x").unwrap();
        assert_eq!(link.place(), "https://acme.example/a%20b.pdf");
        for wrong in [
            "ftp://a/b",
            "file:///etc/passwd",
            "gopher://a",
            "https://u:p@a/b",
            "https://",
            "x y://a",
        ] {
            let refused = Reference::parse(wrong).unwrap_err();
            assert_eq!(refused.code, "NotAllowed", "{wrong}");
            assert!(!refused.message.contains("u:p"), "{}", refused.message);
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for fine in ["a.pdf", "files/a b.pdf", "files/ção #1%.pdf", "..a/b..", ".hidden/x"] {
            assert!(below_folder(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "/etc/passwd",
            "\\\\host\\share",
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "a\\..\\b",
            "a\0b",
            "a\nb",
        ] {
            assert_eq!(below_folder(wrong).unwrap_err().code, "NotAllowed", "{wrong:?}");
        }
    }

    #[test]
    fn links_lead_to_named_hosts_alone() {
        let hosts = ["files.acme.com".to_owned(), "cdn.acme.com:8443".to_owned()];
        for (link, insecure, fine) in [
            ("https://files.acme.com/a", false, true),
            ("https://FILES.acme.com:443/a", false, true),
            ("https://cdn.acme.com:8443/a", false, true),
            ("https://cdn.acme.com/a", false, false),
            ("https://files.acme.com:444/a", false, false),
            ("http://files.acme.com/a", false, false),
            ("http://files.acme.com/a", true, true),
            ("https://evil.com/?files.acme.com", false, false),
            ("https://files.acme.com.evil.com/", false, false),
            ("https://169.254.169.254/latest", false, false),
            ("https://[::1]/", false, false),
        ] {
            let link = Url::parse(link).unwrap();
            assert_eq!(allowed(&link, &hosts, insecure).is_ok(), fine, "{link} {insecure}");
        }
    }
}
