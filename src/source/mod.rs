//! Where records come from. A connector is one file; it knows nothing of mappings or of Odoo.

pub mod files;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::model::{Record, Rejection};

/// What a connector offers.
#[async_trait]
pub trait Source: Send + Sync {
    /// The source objects there are, sorted by name.
    ///
    /// # Errors
    /// When the source cannot be read at all, or is ambiguous (two files of one stem).
    async fn objects(&self) -> Result<Vec<SourceObject>, SourceError>;

    /// Every record of a source object, in the order of the source, streamed. An object that is not there gives
    /// [`SourceError::Missing`] at once; what is wrong with single lines comes as [`Item::Broken`].
    async fn read(&self, object: &str) -> Result<BoxStream<'static, Result<Item, SourceError>>, SourceError>;
}

/// A source object that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// Name: for export files the stem of the file.
    pub name: String,
    /// Its fields as far as the source declares them (header of a CSV file, union of the first 1,000 lines of a JSON
    /// Lines file).
    pub fields: Vec<String>,
    /// Where it lies, for messages: `exports/contact.csv`.
    pub place: String,
    /// Size in bytes, where the source can tell.
    pub bytes: Option<u64>,
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
        /// The file.
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
}
