//! Where a run keeps snapshot, ledger, undo, results and plan: a folder or a volume, below `<namespace>/<name>/`.
//!
//! | path | what | written |
//! |---|---|---|
//! | `.crmferry.json` | whose workspace this is ([`Marker`]) | once |
//! | `exports/` | what a person pushed | never by us |
//! | `plan/<hex>.json` | a plan, named by its digest | once |
//! | `snapshot/<n>/` | source records as they came ([`snapshot`]) | once; there when its manifest is |
//! | `content/` | bytes that records name ([`content`]) | once |
//! | `ledger/<object>/`, `undo/<object>/` | what became of each record ([`ledger`]) | appended |
//! | `results/<object>/*.csv` | what people read ([`results`]) | whole, each time |
//! | `handover/*.csv` | documents in place of records ([`table`]) | whole, each time |
//! | `stock/<object>*` | what was there when the run first came to an object | once a run |
//!
//! Every file is put whole: a reader sees the old one, the new one, or none. In a local folder it is written beside,
//! synced, renamed, and the folder synced, before the call returns. What is missing or damaged is an error that names
//! the path, never fewer records.

pub mod content;
pub mod ledger;
pub mod lock;
pub mod results;
mod segment;
pub mod snapshot;
pub mod sort;
pub mod table;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::api::phase_run::File;
use crate::model::Digest;

pub use self::content::{ContentWriter, KnownContent};
pub use self::ledger::{Entry, Former, Outcome, Why};
pub use self::lock::{LockGuard, exclusive};
pub use self::results::{ResultKind, ResultRow, ResultsWriter};
pub use self::snapshot::{Manifest, ObjectWriter, SnapshotWriter};
pub use self::sort::sort_lines;
pub use self::table::{TableReader, TableWriter};
pub use crate::source::{Item as Line, files::Exports};

const MARKER: &str = ".crmferry.json";
const PROBE: &str = ".probe";
/// What was there when a run first came to an object.
const STOCK: &str = "stock";

/// Why a workspace cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// A file cannot be written, read back and removed.
    #[error("the workspace is not writable at {path}")]
    NotWritable {
        /// What was written.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The workspace holds the records of another source.
    #[error("the workspace is another's: {path} names {found}")]
    Foreign {
        /// The marker.
        path: String,
        /// Whose it is.
        found: Box<Marker>,
    },
    /// Another process on this machine works in the folder.
    #[error("another crmferry is at work in this workspace: {path} is locked")]
    Locked {
        /// The lock file.
        path: String,
    },
    /// A file is missing or is not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Reading or writing failed.
    #[error("{path} cannot be read or written")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl WorkspaceError {
    fn damaged(path: &impl ToString, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_string(),
            what: what.into(),
        }
    }

    fn io(path: &impl ToString, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Io {
            path: path.to_string(),
            source: io::Error::other(source),
        }
    }

    fn not_writable(path: &impl ToString, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::NotWritable {
            path: path.to_string(),
            source: io::Error::other(source),
        }
    }
}

/// Whether an error lasts until a person acts: the disk is full or read-only, or what is on it is not ours to write.
#[must_use]
pub fn lasts(error: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        let kind = io.map(io::Error::kind);
        if let Some(PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull) = kind {
            return true;
        }
        // what an `io::Error` was made of is not its source
        cause = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

/// Whose workspace it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// Account of the source.
    pub account: String,
    /// Platform of the source.
    pub platform: String,
    /// Module of the external ids.
    pub module: String,
    /// Uid of the Migration.
    pub migration: String,
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            account,
            platform,
            module,
            migration: _,
        } = self;
        write!(f, "account {account} of {platform} with the external ids {module}")
    }
}

/// What claiming a workspace found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// There was no marker of this Migration: there is no ledger to go on from.
    Fresh,
    /// The workspace is this Migration's.
    Ours,
}

/// What a marker that is there means for who wants the workspace.
fn claim_of(found: Option<&Marker>, wanted: &Marker) -> Option<Claimed> {
    let Some(found) = found else {
        return Some(Claimed::Fresh);
    };
    let same_source =
        found.account == wanted.account && found.platform == wanted.platform && found.module == wanted.module;
    match (same_source, found.migration == wanted.migration) {
        (false, _) => None,
        (true, true) => Some(Claimed::Ours),
        (true, false) => Some(Claimed::Fresh),
    }
}

/// The workspace of one Migration. Clones are the same workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Everything in it is below the workspace's own prefix.
    store: Arc<dyn ObjectStore>,
    /// Where that is, if it is a folder.
    root: Option<std::path::PathBuf>,
    /// Number of the next segment of each log, once known. Held while one is written: segments come one by one.
    next_segment: Arc<tokio::sync::Mutex<HashMap<Path, u64>>>,
}

impl Workspace {
    /// The workspace of the Migration `namespace/name` in a store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, namespace: &str, name: &str) -> Self {
        let prefix = Path::default().join(namespace).join(name);
        Self {
            store: Arc::new(PrefixStore::new(store, prefix)),
            root: None,
            next_segment: Arc::default(),
        }
    }

    /// The workspace of the Migration `namespace/name` in a local folder, made if it is not there.
    ///
    /// # Errors
    /// [`WorkspaceError::NotWritable`] when the folder cannot be made or opened.
    pub fn local(root: &std::path::Path, namespace: &str, name: &str) -> Result<Self, WorkspaceError> {
        let failed = |error| WorkspaceError::not_writable(&root.display(), error);
        std::fs::create_dir_all(root).map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(root)
            .map_err(|error| WorkspaceError::not_writable(&root.display(), error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            root: Some(root.join(namespace).join(name)),
            ..Self::new(Arc::new(store), namespace, name)
        })
    }

    /// The workspace that a local folder is as a whole: one Migration's. Made if it is not there.
    ///
    /// # Errors
    /// [`WorkspaceError::NotWritable`] when the folder cannot be made or opened.
    pub fn folder(root: &std::path::Path) -> Result<Self, WorkspaceError> {
        Self::local(root, "", "")
    }

    /// Writes, reads and removes a file, and sees that a file can be made but once.
    ///
    /// # Errors
    /// [`WorkspaceError::NotWritable`] with the cause.
    pub async fn probe(&self) -> Result<(), WorkspaceError> {
        let path = Path::from(PROBE);
        let failed = |error| WorkspaceError::not_writable(&path, error);
        let content = || PutPayload::from_static(b"crmferry");
        self.store.put(&path, content()).await.map_err(failed)?;
        let got = self.store.get(&path).await.map_err(failed)?;
        let bytes = got.bytes().await.map_err(failed)?;
        let again = self.store.put_opts(&path, content(), PutMode::Create.into()).await;
        self.store.delete(&path).await.map_err(failed)?;
        if bytes.as_ref() != b"crmferry" {
            return Err(WorkspaceError::not_writable(
                &path,
                "what was written is not what is read",
            ));
        }
        match again {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => Err(WorkspaceError::not_writable(
                &path,
                "a file that is there can be made again",
            )),
        }
    }

    /// The marker, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub async fn marker(&self) -> Result<Option<Marker>, WorkspaceError> {
        let path = Path::from(MARKER);
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let marker = serde_json::from_slice(&bytes).map_err(|_| WorkspaceError::damaged(&path, "it is no marker"))?;
        Ok(Some(marker))
    }

    /// Makes the workspace this Migration's. A workspace that an earlier Migration of the same source left is taken
    /// over without its ledger, for that may speak of another Odoo.
    ///
    /// # Errors
    /// [`WorkspaceError::Foreign`] when it holds another source's records.
    pub async fn claim(&self, marker: &Marker) -> Result<Claimed, WorkspaceError> {
        let path = Path::from(MARKER);
        let found = self.marker().await?;
        match (claim_of(found.as_ref(), marker), found) {
            (Some(Claimed::Ours), _) => Ok(Claimed::Ours),
            (None, Some(found)) => Err(WorkspaceError::Foreign {
                path: path.to_string(),
                found: Box::new(found),
            }),
            (Some(Claimed::Fresh) | None, _) => {
                self.drop_ledgers().await?;
                // its runs are numbered anew, and what was there before one of them is not what was before another's
                self.delete_below(STOCK).await?;
                let json = serde_json::to_vec_pretty(marker).map_err(|error| WorkspaceError::io(&path, error))?;
                self.put(&path, json).await?;
                Ok(Claimed::Fresh)
            }
        }
    }

    /// The exports at a path in the workspace, as [`crate::source::files::FilesSource`] takes them.
    ///
    /// # Errors
    /// [`WorkspaceError::Io`] for a path that leaves the workspace.
    pub fn exports(&self, path: &str) -> Result<Exports, WorkspaceError> {
        let prefix = Path::parse(path).map_err(|error| WorkspaceError::io(&path, error))?;
        let folder = self.root.as_ref().map(|root| root.join(prefix.as_ref()));
        Ok(Exports {
            store: Arc::clone(&self.store),
            prefix,
            folder,
        })
    }

    /// Keeps a plan under the digest of its text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn put_plan(&self, json: &str) -> Result<Digest, WorkspaceError> {
        let digest = Digest::of(json.as_bytes());
        self.put(&plan_path(digest.as_str()), json.as_bytes().to_vec()).await?;
        Ok(digest)
    }

    /// The plan of this digest.
    ///
    /// # Errors
    /// [`WorkspaceError::Damaged`] when the text there has another digest.
    pub async fn plan(&self, digest: &str) -> Result<Option<String>, WorkspaceError> {
        let path = plan_path(digest);
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        if Digest::of(&bytes).as_str() != digest {
            return Err(WorkspaceError::damaged(
                &path,
                "its content does not have the digest in its name",
            ));
        }
        let text = String::from_utf8(bytes).map_err(|_| WorkspaceError::damaged(&path, "it is no text"))?;
        Ok(Some(text))
    }

    /// Writes a whole file, for reports: its path and digest go into the `PhaseRun`.
    ///
    /// # Errors
    /// When it cannot be written, or the path leaves the workspace.
    pub async fn put_file(&self, path: &str, bytes: Vec<u8>) -> Result<File, WorkspaceError> {
        let location = Path::parse(path).map_err(|error| WorkspaceError::io(&path, error))?;
        let digest = Digest::of(&bytes).to_string();
        self.put(&location, bytes).await?;
        Ok(File {
            path: path.to_owned(),
            digest,
        })
    }

    /// Keeps a small document of a step.
    ///
    /// # Errors
    /// When it cannot be written, or the path leaves the workspace.
    pub async fn put_json<T: Serialize>(&self, path: &str, document: &T) -> Result<(), WorkspaceError> {
        let json = serde_json::to_vec(document).map_err(|error| WorkspaceError::io(&path, error))?;
        self.put_file(path, json).await?;
        Ok(())
    }

    /// A small document of an earlier step, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, WorkspaceError> {
        let location = Path::parse(path).map_err(|error| WorkspaceError::io(&path, error))?;
        let Some(bytes) = self.get(&location).await? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&bytes);
        Ok(Some(read.map_err(|_| {
            WorkspaceError::damaged(&location, "it is not what was kept there")
        })?))
    }

    /// The bytes of a file.
    async fn get(&self, path: &Path) -> Result<Option<Vec<u8>>, WorkspaceError> {
        let got = match self.store.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            got => got.map_err(|error| WorkspaceError::io(path, error))?,
        };
        let bytes = got.bytes().await.map_err(|error| WorkspaceError::io(path, error))?;
        Ok(Some(bytes.into()))
    }

    async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), WorkspaceError> {
        let put = self.store.put(path, bytes.into()).await;
        put.map_err(|error| WorkspaceError::io(path, error))?;
        Ok(())
    }

    async fn delete(&self, path: &Path) -> Result<(), WorkspaceError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(WorkspaceError::io(path, error)),
        }
    }

    /// Deletes all files of a folder, the last first: numbered files that are left have no gap.
    pub(super) async fn delete_below(&self, folder: &str) -> Result<(), WorkspaceError> {
        let folder = Path::from(folder);
        let found = self.store.list(Some(&folder)).map_ok(|meta| meta.location);
        let mut paths: Vec<Path> = match found.try_collect().await {
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            found => found.map_err(|error| WorkspaceError::io(&folder, error))?,
        };
        paths.sort();
        for path in paths.iter().rev() {
            self.delete(path).await?;
        }
        Ok(())
    }
}

fn plan_path(digest: &str) -> Path {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    Path::from("plan").join(format!("{hex}.json"))
}

#[cfg(test)]
mod tests;
