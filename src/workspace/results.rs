//! Results for people: `results/<object>/{succeeded,failed,rejected,unprocessed,noted,held}.csv`, and `reasons.csv`, which
//! counts what the last five say why.
//!
//! Rows are keyed by source key, never by position.

use object_store::path::Path;

use super::table::{TableReader, TableWriter};
use super::{Outcome, Workspace, WorkspaceError};
use crate::api::phase_run::{File, RejectReason};

const COLUMNS: [&str; 7] = ["key", "external_id", "id", "outcome", "code", "field", "message"];
const REASON_COLUMNS: [&str; 5] = ["outcome", "code", "field", "count", "example"];

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
    /// Records that wait until somebody makes one in Odoo.
    Held,
}

impl ResultKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Succeeded,
        Self::Failed,
        Self::Rejected,
        Self::Unprocessed,
        Self::Noted,
        Self::Held,
    ];

    const fn file_name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded.csv",
            Self::Failed => "failed.csv",
            Self::Rejected => "rejected.csv",
            Self::Unprocessed => "unprocessed.csv",
            Self::Noted => "noted.csv",
            Self::Held => "held.csv",
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
        [key, external_id, &id, &outcome, code, field, message].map(String::clone)
    }
}

impl Workspace {
    /// Begins the results of an object. What readers see changes when they are finished.
    #[must_use]
    pub fn results(&self, object: &str) -> ResultsWriter {
        let dir = Path::from("results").join(object);
        ResultsWriter {
            files: ResultKind::ALL.map(|kind| TableWriter::new(self, dir.clone().join(kind.file_name()), COLUMNS)),
        }
    }

    /// Keys of the records of an object that are held, each as often as there is something it waits for.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn held(&self, object: &str) -> Result<Option<TableReader>, WorkspaceError> {
        let path = Path::from("results").join(object).join(ResultKind::Held.file_name());
        let Some(mut table) = self.read_table(path.as_ref()).await? else {
            return Ok(None);
        };
        let header = table.next().await?;
        Ok(header.is_some().then_some(table))
    }

    /// Writes why records of an object were left out or arrived differently, in the order given.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn put_reasons(&self, object: &str, reasons: &[RejectReason]) -> Result<File, WorkspaceError> {
        let mut table = self.table(&format!("results/{object}/reasons.csv"), REASON_COLUMNS);
        for RejectReason {
            object: _,
            kind,
            code,
            field,
            count,
            example,
        } in reasons
        {
            let cells = [&format!("{kind:?}"), code, field, &count.to_string(), example];
            table.push(&cells.map(String::as_str)).await?;
        }
        table.finish().await
    }
}

/// The results of an object, being written.
#[derive(Debug)]
pub struct ResultsWriter {
    /// In the order of [`ResultKind::ALL`].
    files: [TableWriter; 6],
}

impl ResultsWriter {
    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn push(&mut self, kind: ResultKind, row: &ResultRow) -> Result<(), WorkspaceError> {
        self.files[kind as usize]
            .push(&row.cells().each_ref().map(String::as_str))
            .await
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
