//! Where records come from. A connector is one file; it knows nothing of mappings or of Odoo.
//!
//! A platform with an API is a connector and a line in [`CONNECTORS`]. What is the same for all of them is here once: keys
//! from a Secret ([`Opening`]), the polite caller ([`wire`]), a set of ids that does not grow in memory ([`seen`]), a walk
//! over pages that shift ([`walk`]), and files beside the API ([`both`]).

pub mod both;
pub mod content;
pub mod files;
pub mod pipz;
pub mod seen;
pub mod walk;
pub mod wire;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use serde::{Deserialize, Serialize};

use self::content::{Answer, Reference};
use crate::{
    api::{mapping_spec::Finding, migration},
    http::Secret,
    model::{DeclaredField, Record, Rejection},
};

/// The platforms with an API that can be asked.
pub const CONNECTORS: &[Connector] = &[pipz::CONNECTOR];

/// A platform with an API.
#[derive(Clone, Copy, Debug)]
pub struct Connector {
    /// Its word in the spec.
    pub name: &'static str,
    /// Source objects that its API is asked for; discovery tells which of them an account has.
    pub objects: &'static [&'static str],
    /// Opens it; `None` where the spec does not speak of it. Nothing is sent yet.
    pub open: fn(&Opening<'_>) -> Opened,
}

/// A source, if the spec speaks of one.
pub type Opened = Option<Result<Arc<dyn Source>, SourceError>>;

/// What a connector is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The source of the Migration.
    pub spec: &'a migration::Source,
    /// Folder of the Secret, a file for each key.
    pub secrets: &'a Path,
    /// Folder for what is thrown away.
    pub scratch: &'a Path,
}

impl Opening<'_> {
    /// A key of the Secret.
    ///
    /// # Errors
    /// [`SourceError::SecretMissing`], which names it.
    pub fn secret(&self, key: &str) -> Result<Secret, SourceError> {
        let read = std::fs::read_to_string(self.secrets.join(key)).ok();
        let word = read.filter(|text| !text.trim().is_empty());
        word.as_deref()
            .map(Secret::new)
            .ok_or_else(|| SourceError::SecretMissing { key: key.to_owned() })
    }
}

/// How APIs are reached from where a worker runs.
#[derive(Clone, Debug)]
pub struct Apis {
    /// The platforms that can be asked.
    pub connectors: &'static [Connector],
    /// Folder of the source's Secret, a file for each key.
    pub secrets: PathBuf,
}

impl Apis {
    /// Every platform, with the Secret in this folder.
    #[must_use]
    pub const fn new(secrets: PathBuf) -> Self {
        Self {
            connectors: CONNECTORS,
            secrets,
        }
    }

    /// The API of a source, if its spec speaks of one.
    ///
    /// # Errors
    /// The connector's.
    pub fn open(&self, spec: &migration::Source, scratch: &Path) -> Result<Option<Arc<dyn Source>>, SourceError> {
        let opening = Opening {
            spec,
            secrets: &self.secrets,
            scratch,
        };
        self.connectors
            .iter()
            .find_map(|connector| (connector.open)(&opening))
            .transpose()
    }
}

/// Is shown records.
pub type See<'a> = &'a mut (dyn FnMut(&Record) + Send);

/// The items of an object as they come.
pub type Items = BoxStream<'static, Result<Item, SourceError>>;

/// What a connector offers.
#[async_trait]
pub trait Source: Send + Sync {
    /// The source objects there are, sorted by name.
    ///
    /// # Errors
    /// When the source cannot be read at all, or is ambiguous (two files of one stem).
    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError>;

    /// What people should know before anything is read.
    ///
    /// # Errors
    /// As [`Source::objects`].
    async fn preflight(&self) -> Result<Preflight, SourceError> {
        Ok(Preflight::default())
    }

    /// The first records of an object, at most `most`, and how many there are. `see` is shown every record that is read.
    /// A source that has to be paid for in calls reads no further than `most`, unless there is a `see`; and one that has to
    /// be paid for with a call for every record stops even then.
    ///
    /// # Errors
    /// As [`Source::read`].
    async fn sample(&self, object: &str, most: usize, mut see: Option<See<'_>>) -> Result<Sample, SourceError> {
        let mut sample = Sample {
            exact: true,
            ..Sample::default()
        };
        let mut items = self.read(object).await?;
        while let Some(item) = items.next().await {
            sample.take(item?, most, &mut see);
        }
        Ok(sample)
    }

    /// Every record of a source object, in the order of the source, streamed. An object that is not there gives
    /// [`SourceError::Missing`] at once; what is wrong with single lines comes as [`Item::Broken`].
    async fn read(&self, object: &str) -> Result<Items, SourceError>;

    /// The content that a record names: an id that the source knows, a file of its folder, a link to its own host. `known` is
    /// the version that is there already. `None`: the source knows nothing by that name.
    ///
    /// # Errors
    /// When the source cannot be asked; that the content is not to be had is an answer.
    async fn content(&self, _reference: &Reference, _known: Option<&str>) -> Result<Option<Answer>, SourceError> {
        Ok(None)
    }

    /// What was offered at discovery, and how it was read: nothing else is offered, and nothing is read with less.
    fn pin(&self, _offered: &Ways) {}

    /// What reading met beside its items since it was last asked.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// What is wrong with the source right now, while it is still worked around.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Source objects that an API offers, and how they are read.
pub type Ways = BTreeMap<String, BTreeSet<String>>;

/// A source object that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// Name: for export files the stem of the file.
    pub name: String,
    /// Its fields as far as the source declares them (header of a CSV file, union of the first 1,000 lines of a JSON
    /// Lines file, a first row of an API).
    pub fields: Vec<String>,
    /// Where it lies, for messages: `exports/contact.csv`.
    pub place: String,
    /// Size in bytes, where the source can tell.
    pub bytes: Option<u64>,
    /// Read from an API, and so not replaced by a push.
    pub live: bool,
    /// How it is read, in words of the connector's own, where accounts differ.
    pub ways: BTreeSet<String>,
}

/// What people should know of a source before anything is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preflight {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Objects of the platform that it does not offer here.
    pub lacking: Vec<Lacking>,
}

/// An object that a source should have and does not offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Name of the object.
    pub name: String,
    /// Why it is not there: `the API answers 404`.
    pub why: String,
    /// The platform documents that its API has it: then something is wrong with the way there.
    pub documented: bool,
    /// The API fails at it, and may well have it.
    pub failing: bool,
    /// Columns that an export of it has, or should have.
    pub columns: &'static [&'static str],
}

/// The first records of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The records.
    pub records: Vec<Record>,
    /// Custom fields, as far as they are declared.
    pub custom: Vec<DeclaredField>,
    /// How many records there are.
    pub count: i64,
    /// Every one was counted. Else the source says so, or there are at least so many.
    pub exact: bool,
    /// Rows among them that cannot be read, and what is wrong with the first.
    pub broken: Option<(i64, String)>,
}

impl Sample {
    fn take(&mut self, item: Item, most: usize, see: &mut Option<See<'_>>) {
        match item {
            Item::Record(record) => {
                self.count += 1;
                if let Some(see) = see {
                    see(&record);
                }
                if self.records.len() < most {
                    self.records.push(record);
                }
            }
            Item::Broken(rejection) => {
                self.count += 1;
                self.broken.get_or_insert((0, rejection.message)).0 += 1;
            }
        }
    }
}

/// One step of reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A record.
    Record(Record),
    /// A record that could not be read; the message names file and line.
    Broken(Rejection),
}

/// Something that reading met and that is no record: a row that came twice, a record deleted meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Id of the record in question.
    pub key: String,
    /// A closed word: `Repeated`, `RepeatedDiffers`, `Deleted`, [`FewerThanAnnounced`](crate::api::phase_run::FEWER).
    pub code: &'static str,
    /// What it means.
    pub message: Cow<'static, str>,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The object, or the whole export, is not there.
    #[error("{place} is not there")]
    Missing {
        /// What was looked for.
        place: String,
    },
    /// Two files give the same object, a file is no text, and the like: a person must act.
    #[error("{place}: {message}")]
    Unusable {
        /// The file, or the address without its query.
        place: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Reading failed.
    #[error("{place} cannot be read")]
    Io {
        /// The file.
        place: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// An API did not answer sensibly for as long as we had patience.
    #[error("{place}: {message}")]
    Unavailable {
        /// The address without its query.
        place: String,
        /// What came instead.
        message: String,
    },
    /// An API refuses the keys.
    #[error("{message}")]
    Unauthorized {
        /// Which keys, and what to do.
        message: String,
    },
    /// A key is missing in the Secret.
    #[error("the key {key} is missing in the Secret of the source")]
    SecretMissing {
        /// Which.
        key: String,
    },
}
