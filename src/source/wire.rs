//! Asking an API politely: a steady pace, patience where the server asks for it or fails for a while, a bound on what an
//! answer may weigh, and no key in any message. What an answer means is decided by [`judge`], which is pure.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use reqwest::{
    Client, RequestBuilder, Response,
    header::{HeaderMap, LOCATION},
};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::http::{self, Secret, bounded, next_pause, redirected, retry_after, root_cause, shape};

/// Times that a server may ask for patience before we give up.
const THROTTLED: u32 = 8;
/// Times that a question is asked again because its answer did not come or makes no sense.
const FAILED: u32 = 6;
/// Times that a redirect is asked again: a server that is being looked after redirects for a while.
const REDIRECTED: u32 = 3;
/// A server may ask for no more than this.
const LONGEST_WAIT: u64 = 3_600;
/// A question may take this long.
const TIMEOUT: Duration = Duration::from_mins(1);
/// What an answer may weigh.
const HEAVIEST: usize = 64 << 20;
/// An answer that takes longer shows a server under strain.
const STRAINED: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The keys are refused.
    Unauthorized,
    /// The keys do not open this: 403.
    Forbidden(String),
    /// There is no such thing: 404, 405, 410.
    Absent(u16),
    /// The question is refused: another 4xx.
    Refused(String),
    /// It is said to be elsewhere; keys are not sent there.
    Elsewhere(String),
    /// The server asks for patience.
    Throttled(Option<Duration>),
    /// It failed, or said something that makes no sense: worth asking again.
    Failed(String),
}

impl Refusal {
    /// In words, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Unauthorized => "it answers 401".into(),
            Self::Forbidden(said) => format!("it answers 403{said}"),
            Self::Absent(status) => format!("it answers {status}"),
            Self::Refused(said) | Self::Elsewhere(said) | Self::Failed(said) => format!("it answers {said}"),
            Self::Throttled(_) => "it asks for patience (429) for longer than we wait".into(),
        }
    }
}

/// What an answer means. `now` is for a `Retry-After` that names a date.
///
/// # Errors
/// A [`Refusal`] by its kind. Keys that the server quotes are still in it.
pub fn judge(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let shape = shape(status, headers);
    let said = || said(body).map(|said| format!(": {said}")).unwrap_or_default();
    Err(match status {
        200..=299 => return Ok(()),
        300..=399 => Refusal::Elsewhere(redirected(&shape, headers)),
        401 => Refusal::Unauthorized,
        403 => Refusal::Forbidden(said()),
        404 | 405 | 410 => Refusal::Absent(status),
        429 => Refusal::Throttled(retry_after(headers, now)),
        503 if retry_after(headers, now).is_some() => Refusal::Throttled(retry_after(headers, now)),
        408 | 500.. => Refusal::Failed(shape),
        _ => Refusal::Refused(format!("{shape}{}", said())),
    })
}

/// What an error says of itself, where it is JSON that says it in a known way.
fn said(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let words = ["user_message", "error", "error_message", "detail"];
    let text = words.iter().find_map(|word| json[*word].as_str())?;
    Some(text.chars().take(QUOTED).collect())
}

/// Characters of an error that are looked through for keys, before it is shortened.
const QUOTED: usize = 4_000;
/// Bytes of a key in a row that are a part of it: a server may quote what it was asked, and cut it off.
const PART: usize = 8;

/// The ways in which a server may quote keys: as they are, as in an address, as in a header. In what case is all one.
fn ways_to_quote(keys: &[Secret]) -> Vec<String> {
    let words: Vec<&str> = keys.iter().map(Secret::word).filter(|word| !word.is_empty()).collect();
    let mut ways = Vec::new();
    for word in &words {
        let mut url = reqwest::Url::parse("http://x/").ok();
        let query = url.as_mut().and_then(|url| {
            url.query_pairs_mut().append_key_only(word);
            url.query().map(str::to_owned)
        });
        let form = query.unwrap_or_default();
        let path = form.replace('+', "%20");
        let escaped = word
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        let json = word.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
        ways.extend([form.replace('%', "%25"), path.replace('%', "%25"), escaped, json]);
        ways.extend([form, path, (*word).to_owned()]);
        // as templates write what they take for HTML, and others all that is no letter
        for special in [&|c: char| "&<>\"'`=/".contains(c), &|c: char| {
            !c.is_ascii_alphanumeric()
        }] as [&dyn Fn(char) -> bool; 2]
        {
            for write in [
                |c: u32| format!("&#x{c:X};"),
                |c| format!("&#{c};"),
                |c| format!("\\u{c:04x}"),
                |c| format!("%{c:02x}"),
            ] {
                let quote = |c: char| if special(c) { write(u32::from(c)) } else { c.to_string() };
                ways.push(word.chars().map(quote).collect());
            }
        }
        ways.extend(
            words
                .iter()
                .map(|other| BASE64_STANDARD.encode(format!("{word}:{other}"))),
        );
    }
    ways.retain(|way| !way.is_empty());
    for way in &mut ways {
        way.make_ascii_lowercase();
    }
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// A text without keys or parts of them.
fn without(text: &str, ways: &[String]) -> String {
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let mut hidden = vec![false; bytes.len()];
    for part in ways.iter().flat_map(|way| way.as_bytes().windows(way.len().min(PART))) {
        for at in 0..(bytes.len() + 1).saturating_sub(part.len()) {
            if bytes[at..].starts_with(part) {
                hidden[at..at + part.len()].fill(true);
            }
        }
    }
    let (mut clean, mut before) = (String::new(), false);
    for (at, character) in text.char_indices() {
        let is_hidden = hidden[at..at + character.len_utf8()].contains(&true);
        match (is_hidden, before) {
            (false, _) => clean.push(character),
            (true, false) => clean.push_str("***"),
            (true, true) => {}
        }
        before = is_hidden;
    }
    clean
}

/// How long to wait before asking again.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    throttled: u32,
    failed: u32,
}

impl Tries {
    /// In seconds; `None`: not again.
    fn wait_after(&mut self, refusal: &Refusal) -> Option<u64> {
        match refusal {
            Refusal::Throttled(asked) if self.throttled < THROTTLED => {
                let doubling = (10 << self.throttled.min(3)).min(60);
                self.throttled += 1;
                Some(asked.map_or(doubling, |asked| asked.as_secs().min(LONGEST_WAIT)))
            }
            Refusal::Failed(_) | Refusal::Elsewhere(_) if self.failed < most(refusal) => {
                self.failed += 1;
                Some((1 << (self.failed - 1)).min(30))
            }
            _ => None,
        }
    }
}

/// Times that a question is asked again.
const fn most(refusal: &Refusal) -> u32 {
    if matches!(refusal, Refusal::Elsewhere(_)) {
        REDIRECTED
    } else {
        FAILED
    }
}

#[derive(Debug, Default)]
struct Pace {
    next: Option<Instant>,
    pause: Duration,
}

/// A caller of one API.
#[derive(Debug)]
pub struct Wire {
    /// Prepares requests.
    pub client: Client,
    every: Duration,
    /// What a second of waiting is: tests have short ones.
    second: Duration,
    /// Ways to quote the keys.
    hidden: Vec<String>,
    pace: Mutex<Pace>,
    trouble: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// A caller that makes so many calls a minute at most.
    ///
    /// # Errors
    /// A sentence, where no client can be made.
    pub fn new(insecure: bool, calls_per_minute: u32, keys: &[Secret]) -> Result<Self, String> {
        Ok(Self {
            client: http::client(insecure, None)?,
            every: Duration::from_mins(1) / calls_per_minute.max(1),
            second: Duration::from_secs(1),
            hidden: ways_to_quote(keys),
            pace: Mutex::default(),
            trouble: Mutex::default(),
        })
    }

    /// Makes waiting shorter, for tests.
    #[must_use]
    pub const fn with_second(mut self, second: Duration) -> Self {
        self.second = second;
        self
    }

    /// What is wrong right now.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// The body of an answer. `request` is prepared anew for each try.
    ///
    /// # Errors
    /// Why there is none, once patience has ended.
    pub async fn get(&self, request: impl Fn() -> RequestBuilder) -> Result<String, Refusal> {
        self.ask(request, |body| Ok(body.to_owned())).await
    }

    /// What `read` makes of an answer. One that it calls [`Refusal::Failed`] is asked for again.
    ///
    /// # Errors
    /// Why there is none, once patience has ended.
    pub async fn ask<T>(
        &self,
        request: impl Fn() -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut tries = Tries::default();
        loop {
            let began = self.turn().await;
            let answer = self.once(request()).await;
            let answer = answer.and_then(|body| read(&body));
            if let Some(end) = self.settle(&mut tries, began, answer).await {
                return end;
            }
        }
    }

    /// An answer that is not read yet. `request` is prepared anew for each try.
    ///
    /// # Errors
    /// Why there is none, once patience has ended.
    pub async fn open(&self, request: impl Fn() -> RequestBuilder) -> Result<Opened, Refusal> {
        let mut tries = Tries::default();
        loop {
            let began = self.turn().await;
            let answer = self.begin(request()).await;
            if let Some(end) = self.settle(&mut tries, began, answer).await {
                return end;
            }
        }
    }

    async fn begin(&self, request: RequestBuilder) -> Result<Opened, Refusal> {
        let sent = timeout(TIMEOUT, request.send()).await;
        let response = sent.map_err(|_| silent())?.map_err(|error| broke(&error))?;
        let status = response.status().as_u16();
        match status {
            200 | 304 => Ok(Opened::Answer(response)),
            301..=303 | 307 | 308 => {
                let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                Ok(Opened::Elsewhere(to.map(str::to_owned)))
            }
            // no content, a part of it
            201..=299 => Err(Refusal::Refused(shape(status, response.headers()))),
            _ => Err(judge(status, response.headers(), &[], Timestamp::now())
                .err()
                .unwrap_or_else(|| Refusal::Refused(shape(status, response.headers())))),
        }
    }

    /// What an answer ends with; `None`, after a wait: it is asked for again.
    async fn settle<T>(
        &self,
        tries: &mut Tries,
        began: Instant,
        answer: Result<T, Refusal>,
    ) -> Option<Result<T, Refusal>> {
        let strained = began.elapsed() > STRAINED || matches!(answer, Err(Refusal::Throttled(_) | Refusal::Failed(_)));
        {
            let mut pace = lock(&self.pace);
            pace.pause = next_pause(pace.pause, strained);
        }
        let refusal = match answer {
            Ok(answer) => {
                *lock(&self.trouble) = None;
                return Some(Ok(answer));
            }
            Err(refusal) => self.redacted(refusal),
        };
        let Some(seconds) = tries.wait_after(&refusal) else {
            *lock(&self.trouble) = None;
            return Some(Err(refusal));
        };
        let words = match &refusal {
            Refusal::Throttled(_) => "it asks for patience (429)".to_owned(),
            other => other.words(),
        };
        tracing::warn!(wait_seconds = seconds, "asking again: {words}");
        *lock(&self.trouble) = Some(format!("{words}; asked again after {seconds} s"));
        sleep(self.second * u32::try_from(seconds).unwrap_or(u32::MAX)).await;
        None
    }

    /// Waits until a call may be made, and says when that is.
    async fn turn(&self) -> Instant {
        let at = {
            let mut pace = lock(&self.pace);
            let now = Instant::now();
            let at = pace.next.map_or(now, |next| next.max(now));
            pace.next = Some(at + self.every + pace.pause.mul_f64(self.second.as_secs_f64()));
            at
        };
        sleep_until(at).await;
        Instant::now()
    }

    async fn once(&self, request: RequestBuilder) -> Result<String, Refusal> {
        let sent = request.timeout(TIMEOUT).send().await;
        let mut response = sent.map_err(|error| broke(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broke(&error))? {
            if body.len() + chunk.len() > HEAVIEST {
                return Err(Refusal::Refused(format!("{status} with over {} MiB", HEAVIEST >> 20)));
            }
            body.extend_from_slice(&chunk);
        }
        judge(status, &headers, &body, Timestamp::now())?;
        // some servers begin with a mark
        let body = body.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(body);
        String::from_utf8(body).map_err(|_| Refusal::Failed(format!("{}, which is no UTF-8", shape(status, &headers))))
    }

    /// A refusal without keys: a server may quote what it was asked.
    fn redacted(&self, refusal: Refusal) -> Refusal {
        let clean = |text: String| bounded(&without(&text, &self.hidden));
        match refusal {
            Refusal::Forbidden(said) => Refusal::Forbidden(clean(said)),
            Refusal::Refused(said) => Refusal::Refused(clean(said)),
            Refusal::Elsewhere(said) => Refusal::Elsewhere(clean(said)),
            Refusal::Failed(said) => Refusal::Failed(clean(said)),
            Refusal::Unauthorized | Refusal::Absent(_) | Refusal::Throttled(_) => refusal,
        }
    }
}

/// An answer that is not read yet.
#[derive(Debug)]
pub enum Opened {
    /// 200, or 304 where that was asked for.
    Answer(Response),
    /// It is said to be elsewhere.
    Elsewhere(Option<String>),
}

/// The bytes of an answer. One that breaks off, or is silent for too long, is an error.
#[must_use]
pub fn chunks(response: Response) -> BoxStream<'static, Result<Bytes, String>> {
    let next = |mut response: Response| async move {
        let chunk = match timeout(TIMEOUT, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| broke(&error).words())?,
            Err(_) => return Err(silent().words()),
        };
        Ok(chunk.map(|chunk| (chunk, response)))
    };
    stream::try_unfold(response, next).boxed()
}

fn silent() -> Refusal {
    Refusal::Failed(format!("nothing within {} s", TIMEOUT.as_secs()))
}

/// A call without a whole answer; the address is not part of the message.
fn broke(error: &reqwest::Error) -> Refusal {
    if error.is_timeout() {
        return silent();
    }
    Refusal::Failed(if error.is_connect() {
        format!("nothing: it cannot be reached: {}", root_cause(error))
    } else {
        format!("half of an answer: the connection broke: {}", root_cause(error))
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn judged(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Result<(), Refusal> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        judge(status, &headers, body.as_bytes(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let html = [("content-type", "text/html")];
        let table = [
            (judged(200, &[], "x"), Ok(())),
            (judged(401, &html, ""), Err(Refusal::Unauthorized)),
            (
                judged(403, &[], r#"{"user_message":"não"}"#),
                Err(Refusal::Forbidden(": não".into())),
            ),
            (judged(404, &[], ""), Err(Refusal::Absent(404))),
            (judged(405, &[], ""), Err(Refusal::Absent(405))),
            (
                judged(400, &html, r#"{"detail":"bad"}"#),
                Err(Refusal::Refused("400 text/html: bad".into())),
            ),
            (
                judged(400, &html, "<p>personal</p>"),
                Err(Refusal::Refused("400 text/html".into())),
            ),
            (judged(429, &[], ""), Err(Refusal::Throttled(None))),
            (
                judged(429, &[("retry-after", "7")], ""),
                Err(Refusal::Throttled(Some(Duration::from_secs(7)))),
            ),
            (
                judged(503, &[("retry-after", "Thu, 01 Jan 1970 00:01:00 GMT")], ""),
                Err(Refusal::Throttled(Some(Duration::from_mins(1)))),
            ),
            (judged(502, &html, ""), Err(Refusal::Failed("502 text/html".into()))),
            (
                judged(302, &[("location", "https://sso.example/login?key=secret")], ""),
                Err(Refusal::Elsewhere(
                    "302 without a type: it redirects to https://sso.example".into(),
                )),
            ),
        ];
        for (found, wanted) in table {
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn waiting_goes_by_what_the_server_asks_and_ends() {
        let waits = |refusal: Refusal| {
            let mut tries = Tries::default();
            std::iter::from_fn(|| tries.wait_after(&refusal)).collect::<Vec<_>>()
        };
        assert_eq!(waits(Refusal::Throttled(None)), [10, 20, 40, 60, 60, 60, 60, 60]);
        assert_eq!(waits(Refusal::Throttled(Some(Duration::from_secs(7)))), [7; 8]);
        assert_eq!(waits(Refusal::Throttled(Some(Duration::MAX))), [3_600; 8]);
        assert_eq!(waits(Refusal::Failed(String::new())), [1, 2, 4, 8, 16, 30]);
        assert_eq!(waits(Refusal::Elsewhere(String::new())), [1, 2, 4]);
        assert_eq!(waits(Refusal::Absent(404)), [0_u64; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_keep_their_pace_and_a_strained_server_gets_more_time() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wire = Wire::new(true, 120, &[]).unwrap();
        let began = Instant::now();
        for _ in 0..5 {
            wire.turn().await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        lock(&wire.pace).pause = Duration::from_secs(4);
        wire.turn().await;
        wire.turn().await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
    }

    #[test]
    fn keys_that_a_server_quotes_are_not_handed_on() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let keys = ["K-publ/ica+1=", "S-secr/eta+2=&x", "K1", ""].map(Secret::new);
        let wire = Wire::new(true, 60, &keys).unwrap();
        for (said, wanted) in [
            ("no such key K1", "no such key ***"),
            ("GET /?api_key=K-publ%2Fica%2B1%3D&x", "GET /?api_key=***&x"),
            ("GET /?api_key=K-publ%2fica%2b1%3d&x", "GET /?api_key=***&x"),
            ("Basic Sy1wdWJsL2ljYSsxPTpTLXNlY3IvZXRhKzI9Jng=", "Basic ***"),
            ("half of it: S-secr/eta", "half of it: ***"),
            ("a part: publ/ica", "a part: ***"),
            ("publ", "publ"),
        ] {
            let clean = wire.redacted(Refusal::Refused(said.into()));
            let Refusal::Refused(clean) = clean else {
                panic!("{clean:?}")
            };
            assert_eq!(clean, wanted);
        }
        let long = format!("{}S-secr/eta+2=&x", "x".repeat(290));
        let Refusal::Forbidden(clean) =
            wire.redacted(judged(403, &[], &format!(r#"{{"detail":"{long}"}}"#)).unwrap_err())
        else {
            panic!()
        };
        assert!(!clean.contains("S-se"), "{clean}");
    }
}
