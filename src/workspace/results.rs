//! Results for people: `results/<object>/{succeeded,failed,rejected,unprocessed,noted}.csv`, and `reasons.csv`, which
//! counts what the last four say why.
//!
//! Rows are keyed by source key, never by position. The files are made to be opened in a spreadsheet, and a value from
//! the source must not become a formula there: a cell that begins with `=`, `+`, `-`, `@`, a tab, a line end or an
//! apostrophe gets an apostrophe in front. Taking one leading apostrophe away gives every cell back as it was
//! ([`unshield`]).

use std::borrow::Cow;
use std::sync::Arc;

use object_store::buffered::BufWriter;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use super::{Outcome, Workspace, WorkspaceError};
use crate::api::phase_run::{File, RejectReason};
use crate::model::digest::hex;

const COLUMNS: [&str; 7] = ["key", "external_id", "id", "outcome", "code", "field", "message"];
const REASON_COLUMNS: [&str; 5] = ["outcome", "code", "field", "count", "example"];
/// Rows are written on in lots of this many bytes.
const LOT: usize = 64 << 10;
/// What the store may hold back of a file: the least size of a part in S3.
const PART: usize = 5 << 20;

/// The files of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResultKind {
    /// Records that are in Odoo as they should be.
    Succeeded,
    /// Records that Odoo refused.
    Failed,
    /// Records that the mapping refused.
    Rejected,
    /// Records that were not reached.
    Unprocessed,
    /// What departs from the source all the same: values emptied or cut, duplicates that differ, matches in doubt.
    Noted,
}

impl ResultKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Succeeded,
        Self::Failed,
        Self::Rejected,
        Self::Unprocessed,
        Self::Noted,
    ];

    const fn file_name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded.csv",
            Self::Failed => "failed.csv",
            Self::Rejected => "rejected.csv",
            Self::Unprocessed => "unprocessed.csv",
            Self::Noted => "noted.csv",
        }
    }
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultRow {
    /// Source key; empty for a line that could not be read.
    pub key: String,
    /// Name of the external id; may be empty.
    pub external_id: String,
    /// Id in Odoo.
    pub id: Option<i64>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Why it failed or was rejected: a closed word.
    pub code: String,
    /// Field, column or file that it is about.
    pub field: String,
    /// What is wrong; may quote values.
    pub message: String,
}

impl ResultRow {
    fn cells(&self) -> [String; 7] {
        let Self {
            key,
            external_id,
            id,
            outcome,
            code,
            field,
            message,
        } = self;
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let outcome = outcome.map(|outcome| format!("{outcome:?}")).unwrap_or_default();
        [key, external_id, &id, &outcome, code, field, message].map(|cell| shield(cell).into_owned())
    }
}

/// A cell that no spreadsheet takes for a formula.
#[must_use]
pub fn shield(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// What [`shield`] was given.
#[must_use]
pub fn unshield(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

impl Workspace {
    /// Begins the results of an object. What readers see changes when they are finished.
    #[must_use]
    pub fn results(&self, object: &str) -> ResultsWriter {
        let dir = Path::from("results").join(object);
        ResultsWriter {
            files: ResultKind::ALL.map(|kind| ResultFile::new(self, dir.clone().join(kind.file_name()))),
        }
    }
}

impl Workspace {
    /// Writes why records of an object were left out or arrived differently, in the order given.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn put_reasons(&self, object: &str, reasons: &[RejectReason]) -> Result<File, WorkspaceError> {
        let path = format!("results/{object}/reasons.csv");
        let mut rows = csv::Writer::from_writer(Vec::new());
        let mut written = rows.write_record(REASON_COLUMNS);
        for RejectReason {
            object: _,
            kind,
            code,
            field,
            count,
            example,
        } in reasons
        {
            let cells =
                [&format!("{kind:?}"), code, field, &count.to_string(), example].map(|cell| shield(cell).into_owned());
            written = written.and_then(|()| rows.write_record(cells));
        }
        written.map_err(|error| WorkspaceError::io(&path, error))?;
        let bytes = rows
            .into_inner()
            .map_err(|error| WorkspaceError::io(&path, error.into_error()))?;
        self.put_file(&path, bytes).await
    }
}

/// The results of an object, being written.
#[derive(Debug)]
pub struct ResultsWriter {
    /// In the order of [`ResultKind::ALL`].
    files: [ResultFile; 5],
}

impl ResultsWriter {
    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn push(&mut self, kind: ResultKind, row: &ResultRow) -> Result<(), WorkspaceError> {
        self.files[kind as usize].push(&row.cells()).await
    }

    /// Puts all files in place, those without rows too.
    ///
    /// # Errors
    /// When one cannot be written.
    pub async fn finish(self) -> Result<Vec<File>, WorkspaceError> {
        let mut files = Vec::new();
        for file in self.files {
            files.push(file.finish().await?);
        }
        Ok(files)
    }
}

#[derive(Debug)]
struct ResultFile {
    path: Path,
    out: BufWriter,
    lot: csv::Writer<Vec<u8>>,
    /// Bytes in `lot`, nearly.
    size: usize,
    digest: Sha256,
}

impl ResultFile {
    fn new(workspace: &Workspace, path: Path) -> Self {
        let out = BufWriter::with_capacity(Arc::clone(&workspace.store), path.clone(), PART).with_max_concurrency(1);
        let mut lot = csv::Writer::from_writer(Vec::new());
        lot.write_record(COLUMNS)
            .expect("writing to memory cannot fail, and all rows are of one length");
        Self {
            path,
            out,
            lot,
            size: 0,
            digest: Sha256::new(),
        }
    }

    async fn push(&mut self, cells: &[String; 7]) -> Result<(), WorkspaceError> {
        self.lot
            .write_record(cells)
            .map_err(|error| WorkspaceError::io(&self.path, error))?;
        self.size += cells.iter().map(|cell| cell.len() + 1).sum::<usize>();
        if self.size >= LOT {
            self.write_on().await?;
        }
        Ok(())
    }

    async fn write_on(&mut self) -> Result<(), WorkspaceError> {
        let lot = std::mem::replace(&mut self.lot, csv::Writer::from_writer(Vec::new()));
        self.size = 0;
        let bytes = lot
            .into_inner()
            .map_err(|error| WorkspaceError::io(&self.path, error.into_error()))?;
        self.digest.update(&bytes);
        let written = self.out.write_all(&bytes).await;
        written.map_err(|error| WorkspaceError::io(&self.path, error))
    }

    async fn finish(mut self) -> Result<File, WorkspaceError> {
        self.write_on().await?;
        let shut = self.out.shutdown().await;
        shut.map_err(|error| WorkspaceError::io(&self.path, error))?;
        Ok(File {
            path: self.path.to_string(),
            digest: format!("sha256:{}", hex(&self.digest.finalize())),
        })
    }
}
