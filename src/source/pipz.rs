//! The API of Pipz, as far as anything is known of it. Contacts, companies and the catalogue of custom fields are what others
//! have used; deals, lists and users are asked for and never relied on: what it does not offer is told, with the export that
//! would serve instead.
//!
//! The parts: here the calls, and what is offered; [`offer`] what it says to people; [`reading`] a list as a stream of items;
//! [`page`] and [`record`], pure, what an answer and a record are.

mod offer;
mod page;
mod reading;
mod record;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use reqwest::{RequestBuilder, Url};
use tokio::sync::OnceCell;

use self::{
    offer::{Offered, Probed},
    page::Page,
    reading::{Members, Reading},
    record::Catalogue,
};
use super::{
    Connector, Item, Items, Note, Opening, Preflight, Sample, See, Source, SourceError, SourceObject, Ways,
    content::{self, Answer, Reference},
    wire::{Refusal, Wire},
};
use crate::{
    api::migration::{Authentication, Pipz as Spec},
    http::{self, Secret},
    model::{DeclaredField, Record},
};

/// Pipz, for [`super::CONNECTORS`].
pub const CONNECTOR: Connector = Connector {
    name: "pipz",
    objects: &["contact", "company", "deal", "list", MEMBERS, "user"],
    open: |opening| {
        let spec = opening.spec.pipz.as_ref()?;
        Some(connect(spec, opening).map(|pipz| Arc::new(pipz) as Arc<dyn Source>))
    },
};

/// Rows of a page: with more, others were told to wait (429).
const LIMIT: u64 = 100;
/// Records of a sample, where each costs a call.
const DEAR: usize = 40;
/// Calls a minute, where the spec says nothing.
const CALLS: u32 = 120;
/// Contacts of a list.
const MEMBERS: &str = "list_member";

/// Where a Pipz is and how to speak to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Base address; `/api/v1` follows it unless it has a path.
    pub url: String,
    /// How the keys are sent.
    pub authentication: Authentication,
    /// The key `apiKey` of the Secret.
    pub key: Secret,
    /// The key `apiSecret`.
    pub secret: Secret,
    /// Lets http and unverified certificates pass.
    pub insecure: bool,
    /// Calls a minute at most.
    pub calls_per_minute: u32,
    /// Folder for what is thrown away.
    pub scratch: PathBuf,
    /// What a second of waiting for the server is; shorter in tests.
    pub second: Duration,
}

impl Options {
    /// Options with the usual patience.
    #[must_use]
    pub fn new(url: &str, key: Secret, secret: Secret, scratch: &Path) -> Self {
        Self {
            url: url.to_owned(),
            authentication: Authentication::Query,
            key,
            secret,
            insecure: false,
            calls_per_minute: CALLS,
            scratch: scratch.to_owned(),
            second: Duration::from_secs(1),
        }
    }
}

fn connect(spec: &Spec, opening: &Opening<'_>) -> Result<Pipz, SourceError> {
    let usual = || format!("https://{}.pipz.io", opening.spec.account);
    let url = spec.url.clone().unwrap_or_else(usual);
    let (key, secret) = (opening.secret("apiKey")?, opening.secret("apiSecret")?);
    let options = Options::new(&url, key, secret, opening.scratch);
    Pipz::new(Options {
        authentication: spec.authentication,
        insecure: spec.insecure,
        calls_per_minute: spec
            .calls_per_minute
            .and_then(|calls| calls.try_into().ok())
            .unwrap_or(CALLS),
        ..options
    })
}

/// The API of one account.
#[derive(Clone)]
pub struct Pipz {
    api: Arc<Api>,
}

struct Api {
    wire: Wire,
    base: Url,
    options: Options,
    probed: OnceCell<Probed>,
    /// What was offered at discovery.
    pinned: OnceLock<Ways>,
    /// Labels of custom fields that records told, by kind.
    told: Mutex<BTreeMap<String, Catalogue>>,
    notes: Mutex<Vec<Note>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipz {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`SourceError::Unusable`] where the address is none, or not https without `insecure`.
    pub fn new(options: Options) -> Result<Self, SourceError> {
        let unusable = |message| SourceError::Unusable {
            place: "source.pipz".into(),
            message,
        };
        let mut base = http::base_url(&options.url, options.insecure, "https://acme.pipz.io").map_err(unusable)?;
        if matches!(base.path(), "" | "/") {
            base = http::below(&base, &["api", "v1"]);
        }
        let keys = [options.key.clone(), options.secret.clone()];
        let wire = Wire::new(options.insecure, options.calls_per_minute, &keys).map_err(unusable)?;
        Ok(Self {
            api: Arc::new(Api {
                wire: wire.with_second(options.second),
                base,
                options,
                probed: OnceCell::new(),
                pinned: OnceLock::new(),
                told: Mutex::default(),
                notes: Mutex::default(),
            }),
        })
    }

    async fn offered(&self, object: &str) -> Result<&Offered, SourceError> {
        let probed = self.api.probed().await?;
        probed.offered.get(object).ok_or_else(|| SourceError::Missing {
            place: self.api.place(object),
        })
    }
}

impl Api {
    /// What is offered; asked once.
    async fn probed(&self) -> Result<&Probed, SourceError> {
        let probe = async {
            let probed = offer::probe(self).await?;
            match self.pinned.get() {
                Some(pinned) => probed.pinned(pinned).map_err(|why| SourceError::Unavailable {
                    place: self.place(offer::CATALOGUE),
                    message: why,
                }),
                None => Ok(probed),
            }
        };
        self.probed.get_or_try_init(|| probe).await
    }

    /// The address of a list, or of `<list>/<id>`, for messages: it has no query, and so no keys.
    fn place(&self, object: &str) -> String {
        let segments: Vec<&str> = object.split('/').chain([""]).collect();
        http::below(&self.base, &segments).to_string()
    }

    fn request(&self, way: Authentication, segments: &[&str], parameters: &[(&str, &str)]) -> RequestBuilder {
        let mut url = http::below(&self.base, segments);
        url.query_pairs_mut().extend_pairs(parameters);
        self.signed(way, url).header("accept", "application/json")
    }

    /// A request with the keys: for the own host alone.
    fn signed(&self, way: Authentication, mut url: Url) -> RequestBuilder {
        let (key, secret) = (self.options.key.word(), self.options.secret.word());
        match way {
            Authentication::Query => {
                url.query_pairs_mut()
                    .append_pair("api_key", key)
                    .append_pair("api_secret", secret);
                self.wire.client.get(url)
            }
            Authentication::Basic => self.wire.client.get(url).basic_auth(key, Some(secret)),
        }
    }

    /// A page of a list; `extras` asks for custom values too.
    async fn page(&self, ask: &Ask<'_>) -> Result<Page, Refusal> {
        let (limit, offset) = (ask.limit.to_string(), ask.offset.to_string());
        let mut parameters = vec![("limit", limit.as_str()), ("offset", offset.as_str())];
        if ask.extras {
            parameters.extend([("extra_fields", "1"), ("include_fieldsets", "1")]);
        }
        parameters.extend(ask.list.map(|list| ("list_id", list)));
        let way = ask.way.unwrap_or(self.options.authentication);
        self.wire
            .ask(
                || self.request(way, &[ask.kind, ""], &parameters),
                |body| match page::read(body) {
                    Ok(Some(page)) => Ok(page),
                    Ok(None) => Err(Refusal::Refused("200, but no list of objects".into())),
                    Err(why) => Err(Refusal::Failed(format!("200, {why}"))),
                },
            )
            .await
    }

    /// One record, whole. What is wrong with it comes inside; so does that it is another one.
    async fn detail(&self, kind: &str, id: &str) -> Result<Result<Record, String>, Refusal> {
        let request = || self.request(self.options.authentication, &[kind, id, ""], &[("extra_fields", "1")]);
        self.wire
            .ask(request, |body| {
                if serde_json::from_str::<serde::de::IgnoredAny>(body).is_err() {
                    return Err(Refusal::Failed("200, which is no JSON".into()));
                }
                let record = page::one(body).and_then(|text| super::files::record(text.as_bytes()));
                Ok(record.and_then(|record| match reading::id_of(&record) {
                    Some(found) if found == id => Ok(record),
                    _ => Err("which is of another record".into()),
                }))
            })
            .await
    }

    fn failed(&self, object: &str, refusal: &Refusal) -> SourceError {
        let (place, message) = (self.place(object), refusal.words());
        match refusal {
            Refusal::Unauthorized => SourceError::Unauthorized {
                message: format!(
                    "Pipz refuses apiKey and apiSecret at {place} (401): put valid ones into the Secret, then retry"
                ),
            },
            Refusal::Failed(_) | Refusal::Throttled(_) | Refusal::Absent(_) => {
                SourceError::Unavailable { place, message }
            }
            Refusal::Forbidden(_) | Refusal::Refused(_) | Refusal::Elsewhere(_) => {
                SourceError::Unusable { place, message }
            }
        }
    }

    fn note(&self, key: String, code: &'static str, message: Cow<'static, str>) {
        lock(&self.notes).push(Note { key, code, message });
    }

    /// Remembers the labels that a record told.
    fn told(&self, kind: &str, labels: &[(String, String)]) {
        let mut told = lock(&self.told);
        let catalogue = told.entry(kind.to_owned()).or_default();
        for (name, label) in labels {
            catalogue.learn(kind, name, Some(label));
        }
    }

    /// The custom fields of an object: what the catalogue says, else what records said, else how they are called.
    fn custom(&self, probed: &Probed, object: &str, names: &BTreeSet<String>) -> Vec<DeclaredField> {
        let mut catalogue = if object == "contact" {
            probed.catalogue.clone()
        } else {
            Catalogue::default()
        };
        for field in lock(&self.told)
            .get(object)
            .map(Catalogue::declared)
            .unwrap_or_default()
        {
            catalogue.learn(object, &field.name, Some(&field.label));
        }
        for name in names {
            catalogue.learn(object, name, None);
        }
        catalogue.declared()
    }
}

/// A question for a page.
#[derive(Clone, Copy, Debug, Default)]
struct Ask<'a> {
    kind: &'a str,
    offset: u64,
    limit: u64,
    extras: bool,
    list: Option<&'a str>,
    /// How the keys are sent, where not as the spec says.
    way: Option<Authentication>,
}

#[async_trait]
impl Source for Pipz {
    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError> {
        let probed = self.api.probed().await?;
        let objects = probed.offered.iter().map(|(name, offered)| SourceObject {
            name: (*name).to_owned(),
            fields: offered.fields.clone(),
            place: self.api.place(if *name == MEMBERS { "contact" } else { name }),
            bytes: None,
            live: true,
            ways: probed.ways(name, offered),
        });
        Ok(objects.collect())
    }

    async fn preflight(&self) -> Result<Preflight, SourceError> {
        let probed = self.api.probed().await?;
        Ok(offer::preflight(
            probed,
            self.api.base.as_str(),
            self.api.options.calls_per_minute,
        ))
    }

    async fn sample(&self, object: &str, most: usize, mut see: Option<See<'_>>) -> Result<Sample, SourceError> {
        let offered = self.offered(object).await?;
        let most = if offered.has_summaries() { most.min(DEAR) } else { most };
        let mut sample = Sample {
            exact: true,
            ..Sample::default()
        };
        let mut names = BTreeSet::new();
        let mut items = self.read(object).await?;
        while let Some(item) = items.next().await {
            let item = item?;
            if let Item::Record(record) = &item {
                names.extend(
                    record
                        .keys()
                        .filter(|name| !names.contains(*name))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
            sample.take(item, most, &mut see);
            if sample.records.len() == most && (see.is_none() || offered.has_summaries()) {
                sample.exact = false;
                sample.count = sample.count.max(offered.total.unwrap_or(0));
                break;
            }
        }
        sample.custom = self.api.custom(self.api.probed().await?, object, &names);
        Ok(sample)
    }

    async fn read(&self, object: &str) -> Result<Items, SourceError> {
        let offered = self.offered(object).await?.clone();
        if object == MEMBERS {
            let lists = self.read("list").await?;
            return Ok(Members::new(self.api.clone(), lists, offered).items());
        }
        Ok(Reading::new(self.api.clone(), object, None, offered)?.items())
    }

    /// Links to its own host are asked for with its keys. Pipz documents no content by id.
    async fn content(&self, reference: &Reference, known: Option<&str>) -> Result<Option<Answer>, SourceError> {
        let Reference::Link(link) = reference else {
            return Ok(None);
        };
        if link.origin() != self.api.base.origin() {
            return Ok(None);
        }
        let request = || self.api.signed(self.api.options.authentication, link.clone());
        content::open(&self.api.wire, link, request, known).await.map(Some)
    }

    fn pin(&self, offered: &Ways) {
        // the first one counts
        let _ = self.api.pinned.set(offered.clone());
    }

    fn notes(&self) -> Vec<Note> {
        std::mem::take(&mut lock(&self.api.notes))
    }

    fn trouble(&self) -> Option<String> {
        self.api
            .wire
            .trouble()
            .map(|words| format!("{}: {words}", self.api.base))
    }
}
