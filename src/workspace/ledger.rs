//! The ledger and the undo log: per object, append-only, in numbered segments `<log>/<object>/<number>.jsonl.zst`.
//!
//! A segment is put whole and made but once, so a process that is killed leaves all segments or all but the last, and
//! one that comes back late cannot write over its successor's. Numbers have no gaps: a lost segment is seen.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode};
use serde::{Deserialize, Serialize};

use super::segment::{pack, write_line};
use super::{Workspace, WorkspaceError};
use crate::model::{OdooModel, Record, Rejection, SourceKey};

const LEDGER: &str = "ledger";
const UNDO: &str = "undo";
const SUFFIX: &str = ".jsonl.zst";
/// Most entries of a segment: what a reader has to hold.
const SEGMENT_ENTRIES: usize = 5_000;

/// What became of one record. The last entry of a key stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Key of the record.
    pub key: SourceKey,
    /// Name of its external id (the module is the Migration's).
    pub external_id: String,
    /// Its id in Odoo, if it has one.
    pub id: Option<i64>,
    /// The last outcome.
    pub outcome: Outcome,
    /// Digest of the content last written; none when it is not known (a ledger rebuilt from Odoo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Destination field to a short digest of what was last written there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Fields in which a person's value stood against ours, and was kept.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub theirs: BTreeSet<String>,
    /// Somebody else had written to it when we looked at it last, or before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub touched: bool,
    /// Its external id was led to another record in Odoo: people made it one with that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// It went from the source, its removal was asked for, and it could not go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// What happened to the record in this run that does not happen again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Rejection>,
    /// Many2many field to the ids linked by us that are there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, Vec<i64>>,
    /// External id of a line to what was last written there: field to short digest. No field: a person took it away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<String, BTreeMap<String, String>>,
    /// The run that wrote this entry.
    pub run: i64,
}

/// How a record came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// Made by us.
    Created,
    /// Was in Odoo and was recognised.
    Adopted,
    /// Was ours and was changed.
    Updated,
    /// Was ours and needed no change.
    Unchanged,
    /// The mapping rejected it.
    Rejected,
    /// Odoo rejected it.
    Failed,
    /// Waits for a record that is not in Odoo.
    Held,
    /// Has the key of an earlier one.
    Deduplicated,
    /// The source lost it, and it was archived.
    Archived,
    /// The source lost it, and it was removed.
    Unlinked,
}

/// Former values of a record of Odoo that we changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Former {
    /// Key of the source record that changed it.
    pub key: SourceKey,
    /// Model.
    pub model: OdooModel,
    /// Id in Odoo.
    pub id: i64,
    /// Field to the value that was there, as a `write` takes it.
    pub fields: Record,
    /// When it was about to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Timestamp>,
    /// Why.
    #[serde(default)]
    pub why: Why,
}

/// Why a record of Odoo was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// It was adopted: all of its mapped fields are here.
    #[default]
    Adopted,
    /// Fields were written whose values were not ours: filled, or overwritten.
    Written,
    /// The source lost the record, and it was archived.
    Archived,
    /// The source lost the record, and it was removed: all of its mapped fields are here.
    Unlinked,
}

impl Workspace {
    /// Appends entries to an object's ledger. They are durable when this returns.
    ///
    /// # Errors
    /// When they cannot be written, or another worker has written in between.
    pub async fn append_ledger(&self, object: &str, entries: &[Entry]) -> Result<(), WorkspaceError> {
        self.append(log_path(LEDGER, object), entries).await
    }

    /// All entries of an object's ledger in the order they were written: let the last of a key stand.
    #[must_use]
    pub fn ledger(&self, object: &str) -> BoxStream<'static, Result<Entry, WorkspaceError>> {
        self.read_log(log_path(LEDGER, object))
    }

    /// Appends former values to an object's undo log. They are durable when this returns.
    ///
    /// # Errors
    /// As [`Self::append_ledger`].
    pub async fn append_undo(&self, object: &str, former: &[Former]) -> Result<(), WorkspaceError> {
        self.append(log_path(UNDO, object), former).await
    }

    /// All former values of an object, in the order they were written: the first of a field is the original.
    #[must_use]
    pub fn undo(&self, object: &str) -> BoxStream<'static, Result<Former, WorkspaceError>> {
        self.read_log(log_path(UNDO, object))
    }

    /// Removes all ledgers, before they are built again from Odoo. Killed in between, it leaves a shorter ledger: begin
    /// again.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn drop_ledgers(&self) -> Result<(), WorkspaceError> {
        let mut next = self.next_segment.lock().await;
        next.clear();
        self.delete_below(LEDGER).await
    }

    async fn append<T: Serialize>(&self, dir: Path, items: &[T]) -> Result<(), WorkspaceError> {
        let mut next = self.next_segment.lock().await;
        for items in items.chunks(SEGMENT_ENTRIES) {
            let known = next.remove(&dir);
            let number = match known {
                Some(number) => number,
                None => self.segments(&dir).await?.len() as u64 + 1,
            };
            let path = segment_path(&dir, number);
            let failed = |error: std::io::Error| WorkspaceError::io(&path, error);
            let mut lines = Vec::new();
            for item in items {
                write_line(item, &mut lines).map_err(|error| failed(error.into()))?;
            }
            let packed = pack(&lines).map_err(failed)?;
            match self.store.put_opts(&path, packed.into(), PutMode::Create.into()).await {
                Ok(_) => next.insert(dir.clone(), number + 1),
                Err(object_store::Error::AlreadyExists { .. }) => {
                    return Err(WorkspaceError::damaged(&path, "another worker has written it"));
                }
                Err(error) => return Err(WorkspaceError::io(&path, error)),
            };
        }
        Ok(())
    }

    fn read_log<T>(&self, dir: Path) -> BoxStream<'static, Result<T, WorkspaceError>>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
    {
        let workspace = self.clone();
        stream::once(async move {
            let segments = workspace.segments(&dir).await?;
            let segments = segments.into_iter().map(|path| (path, ())).collect();
            Ok(workspace.read_segments(segments, |_, (), _| Ok(())))
        })
        .try_flatten()
        .boxed()
    }

    /// The segments of a log, in order.
    async fn segments(&self, dir: &Path) -> Result<Vec<Path>, WorkspaceError> {
        let listed = match self.store.list_with_delimiter(Some(dir)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            listed => listed.map_err(|error| WorkspaceError::io(dir, error))?,
        };
        let number = |path: &Path| path.filename()?.strip_suffix(SUFFIX)?.parse::<u64>().ok();
        let mut numbers: Vec<u64> = listed
            .objects
            .iter()
            .filter_map(|meta| number(&meta.location))
            .collect();
        numbers.sort_unstable();
        match (1..).zip(&numbers).find(|(wanted, number)| wanted != *number) {
            None => Ok(numbers.iter().map(|number| segment_path(dir, *number)).collect()),
            Some((missing, _)) => Err(WorkspaceError::damaged(&segment_path(dir, missing), "it is not there")),
        }
    }
}

fn log_path(log: &str, object: &str) -> Path {
    Path::from(log).join(object)
}

fn segment_path(dir: &Path, number: u64) -> Path {
    dir.clone().join(format!("{number:08}{SUFFIX}"))
}
