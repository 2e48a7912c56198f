//! CSV tables for people, written row by row and put whole; read back row by row.
//!
//! They are made to be opened in a spreadsheet, and a value from the source must not become a formula there: a cell that
//! begins with `=`, `+`, `-`, `@` (wide ones too, and behind white space), a tab, a line end or an apostrophe gets an
//! apostrophe in front. Taking one leading apostrophe away gives every cell back as it was ([`unshield`]).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use csv_core::ReadRecordResult;
use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use super::{Workspace, WorkspaceError};
use crate::api::phase_run::File;
use crate::model::digest::hex;

/// Rows are written on in lots of this many bytes.
const LOT: usize = 64 << 10;
/// What the store may hold back of a file: the least size of a part in S3.
const PART: usize = 5 << 20;

/// A cell that no spreadsheet takes for a formula.
#[must_use]
pub fn shield(cell: &str) -> Cow<'_, str> {
    let formula = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\''];
    if cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(formula) {
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
    /// Begins a table. What readers see changes when it is finished.
    #[must_use]
    pub fn table<'a>(&self, path: &str, columns: impl IntoIterator<Item = &'a str>) -> TableWriter {
        TableWriter::new(self, Path::from(path), columns)
    }

    /// Reads a table from its header on; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_table(&self, path: &str) -> Result<Option<TableReader>, WorkspaceError> {
        let path = Path::from(path);
        let got = match self.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            got => got.map_err(|error| WorkspaceError::io(&path, error))?,
        };
        Ok(Some(TableReader {
            path,
            chunks: got.into_stream(),
            chunk: Bytes::new(),
            core: csv_core::Reader::new(),
            digest: Sha256::new(),
        }))
    }

    /// Keeps a file under another name too, or none where there is none.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub async fn keep_copy(&self, from: &str, to: &str) -> Result<(), WorkspaceError> {
        let (from, to) = (Path::from(from), Path::from(to));
        match self.store.copy(&from, &to).await {
            Err(object_store::Error::NotFound { .. }) => self.delete(&to).await,
            copied => copied.map_err(|error| WorkspaceError::io(&to, error)),
        }
    }
}

/// A table being written.
#[derive(Debug)]
pub struct TableWriter {
    path: Path,
    out: BufWriter,
    lot: csv::Writer<Vec<u8>>,
    /// Bytes in `lot`, nearly.
    size: usize,
    digest: Sha256,
}

impl TableWriter {
    pub(super) fn new<'a>(workspace: &Workspace, path: Path, columns: impl IntoIterator<Item = &'a str>) -> Self {
        let out = BufWriter::with_capacity(Arc::clone(&workspace.store), path.clone(), PART).with_max_concurrency(1);
        let mut lot = csv::Writer::from_writer(Vec::new());
        lot.write_record(columns.into_iter().map(|column| shield(column).into_owned()))
            .expect("writing to memory cannot fail, and all rows are of one length");
        Self {
            path,
            out,
            lot,
            size: 0,
            digest: Sha256::new(),
        }
    }

    /// Adds a row: a cell for every column.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn push(&mut self, cells: &[&str]) -> Result<(), WorkspaceError> {
        self.lot
            .write_record(cells.iter().map(|cell| shield(cell).into_owned()))
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

    /// Puts the table in place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn finish(mut self) -> Result<File, WorkspaceError> {
        self.write_on().await?;
        let shut = self.out.shutdown().await;
        shut.map_err(|error| WorkspaceError::io(&self.path, error))?;
        Ok(File {
            path: self.path.to_string(),
            digest: format!("sha256:{}", hex(&self.digest.finalize())),
        })
    }
}

/// A table being read.
pub struct TableReader {
    path: Path,
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    core: csv_core::Reader,
    digest: Sha256,
}

impl TableReader {
    /// The next row, the header first; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read, or is no text.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, WorkspaceError> {
        let (mut text, mut length) = (vec![0; 1 << 10], 0);
        let (mut ends, mut count) = (vec![0; 32], 0);
        let mut ended = false;
        loop {
            while self.chunk.is_empty() && !ended {
                match self.chunks.next().await {
                    Some(chunk) => {
                        self.chunk = chunk.map_err(|error| WorkspaceError::io(&self.path, error))?;
                        self.digest.update(&self.chunk);
                    }
                    None => ended = true,
                }
            }
            let (result, read, written, cells) =
                self.core
                    .read_record(&self.chunk, &mut text[length..], &mut ends[count..]);
            self.chunk.advance(read);
            length += written;
            count += cells;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => text.resize(text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::Record => break,
            }
        }
        let mut begin = 0;
        let mut row = Vec::with_capacity(count);
        for end in &ends[..count] {
            let cell = std::str::from_utf8(&text[begin..*end])
                .map_err(|_| WorkspaceError::damaged(&self.path, "it holds what is no text"))?;
            row.push(unshield(cell).to_owned());
            begin = *end;
        }
        Ok(Some(row))
    }

    /// The file as it was read; meant after the last row.
    #[must_use]
    pub fn file(self) -> File {
        File {
            path: self.path.to_string(),
            digest: format!("sha256:{}", hex(&self.digest.finalize())),
        }
    }
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
