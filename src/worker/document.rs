//! Document: an object whose records are handed over in a file instead of going into Odoo.
//!
//! The file is a function of the snapshot, written whole each time: a row for every record that is mapped, in the order
//! of its object. What the run found when it first came to the document is kept beside, so that every attempt and
//! every round of the run counts alike: a row whose key was not there is created, one that differs updated, else unchanged.

use std::collections::BTreeSet;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    Job,
    error::StepError,
    gone,
    index::{Index, Kind},
    load::Loaded,
    outcome::{self, Results},
    reader::{Reader, Turn},
    tally::{Fate, Tally, by_weight, most_frequent, redact, totals},
};
use crate::{
    api::{
        counts::{Book, Verification},
        phase_run::{FailureReason, File, Handover, ObjectReport, ReasonKind},
    },
    lifecycle::book,
    mapping::{Document, Found, Item, Lookups, Object, Outcome},
    model::{Digest, Fetched, OdooValue, SourceKey},
    workspace::{Line, Manifest, TableReader, TableWriter, Workspace},
};

/// First column: the key of the source record, as in the results.
const KEY: &str = "key";
/// Columns of a document that takes the fields of the source.
const COLUMNS_MAX: usize = 1_000;
/// Columns that a report names, and characters of each.
const TOLD: (usize, usize) = (40, 63);
/// Records between two words on progress.
const PROGRESS: i64 = 100;
/// Keys a page of the index.
const PAGE: usize = 5_000;

/// Writes the document of an object and reads it back.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn object_into_document(
    job: &Job,
    object: &Object,
    document: &Document,
    manifest: &Manifest,
) -> Result<Loaded, StepError> {
    let mut index = Index::create(&job.scratch)?;
    let before = Before::take(job, object, document).await?;
    let present_before = before.load(&job.workspace, object, &mut index).await?;
    let columns = columns(job, object, manifest).await?;
    let mut writing = Writing {
        job,
        object,
        index,
        tally: Tally::default(),
        results: Results::begin(&job.workspace, &object.name),
        table: job.workspace.table(&document.path(), header(&columns)),
        columns: &columns,
        total: i64::try_from(manifest.count(&object.source_object)).unwrap_or(i64::MAX),
    };
    writing.pass(manifest).await?;
    let Writing {
        mut index,
        mut tally,
        results,
        table,
        ..
    } = writing;
    let written = table.finish().await?;
    let seen = read_back(&job.workspace, object, document, &mut index).await?;
    stock(&mut tally.book, &mut index, object, present_before, seen.rows)?;
    let verification = seen.verification(written.digest == seen.file.digest);
    progress(
        job,
        object,
        "verify",
        &format!("read back {}/{}", seen.rows, seen.wanted),
        (seen.rows, seen.wanted),
    );
    let mut files = results.finish().await?;
    let mut reasons = tally.reasons(&object.name);
    by_weight(&mut reasons);
    files.push(job.workspace.put_reasons(&object.name, &reasons).await?);
    redact(&mut reasons, object.has_ids_for_keys());
    files.push(written);
    job.heart.update(|status| status.files.extend(files));
    let mut report = ObjectReport {
        name: object.name.clone(),
        book: tally.book,
        verification: Some(verification),
        document: Some(handover(document, &columns, seen.file)),
        ..ObjectReport::default()
    };
    most_frequent(&mut reasons, std::slice::from_mut(&mut report));
    Ok(Loaded {
        report,
        reasons,
        queue: Vec::new(),
    })
}

/// The document being written.
struct Writing<'a> {
    job: &'a Job,
    object: &'a Object,
    index: Index,
    tally: Tally,
    results: Results,
    table: TableWriter,
    columns: &'a [String],
    total: i64,
}

impl Writing<'_> {
    async fn pass(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let (job, object) = (self.job, self.object);
        let mut reader = Reader::open(
            &job.workspace,
            manifest,
            object,
            &job.scratch,
            &mut self.index,
            Turn::First,
        )
        .await?;
        while let Some(met) = reader.next(&mut self.index).await? {
            for met in met {
                if let Some(item) = outcome::sift(&mut self.tally, &mut self.results, met).await? {
                    self.place(&item).await?;
                }
            }
            self.progress();
        }
        Ok(())
    }

    async fn place(&mut self, item: &Item) -> Result<(), StepError> {
        match self.object.map(item, &Nothing) {
            Outcome::Mapped(mapped) => {
                for note in &mapped.notes {
                    self.tally.reason(ReasonKind::Noted, note, Some(&item.key));
                    self.results.note(&item.key, note).await?;
                }
                self.write(&item.key, &mapped.values).await?;
            }
            Outcome::Rejected(rejection) => {
                outcome::reject(&mut self.tally, &mut self.results, Some(&item.key), &rejection).await?;
            }
            // nothing is looked up, so nothing is waited for
            Outcome::Later | Outcome::Held(_) => self.tally.count(Fate::Unprocessed),
        }
        Ok(())
    }

    async fn write(&mut self, key: &SourceKey, values: &[(String, OdooValue)]) -> Result<(), StepError> {
        let mut cells = vec![key.0.as_str()];
        for column in self.columns {
            let value = values.iter().find(|(name, _)| name == column);
            cells.push(value.map_or("", |(_, value)| text(value)));
        }
        let digest = digest_of(values)?;
        let fate = fate(&self.index, self.object, key, &digest)?;
        self.table.push(&cells).await?;
        self.index
            .put(Kind::Wanted, &self.object.name, key.0.as_bytes(), digest.into_bytes())?;
        self.tally.count(fate);
        self.results.written(key, fate).await
    }

    fn progress(&self) {
        let book = self.tally.book;
        if book.read % PROGRESS != 0 {
            return;
        }
        let (done, total) = (book.read, self.total.max(book.read));
        progress(
            self.job,
            self.object,
            "write",
            &format!("{done}/{total}"),
            (done, total),
        );
        self.job.heart.update(|status| status.totals = totals([&book]));
    }
}

fn progress(job: &Job, object: &Object, step: &str, words: &str, (done, total): (i64, i64)) {
    job.heart.update(|status| {
        status.progress.object.clone_from(&object.name);
        step.clone_into(&mut status.progress.step);
        status.progress.done = done;
        status.progress.total = total;
        status.progress.summary = format!("{} {words}", object.name);
    });
}

/// What became of a row in this run: the rehearsal predicts it so too.
///
/// # Errors
/// When the scratch disk fails.
pub fn fate(index: &Index, object: &Object, key: &SourceKey, digest: &str) -> Result<Fate, StepError> {
    Ok(match index.get(Kind::Ledger, &object.name, key.0.as_bytes())? {
        None => Fate::Created,
        Some(before) if before == digest.as_bytes() => Fate::Unchanged,
        Some(_) => Fate::Updated,
    })
}

/// Digest of the row that values make.
///
/// # Errors
/// Never for texts.
pub fn digest_of(values: &[(String, OdooValue)]) -> Result<String, StepError> {
    row_digest(values.iter().map(|(name, value)| (name.as_str(), text(value))))
}

/// Digest of a row: columns without a value are not part of it, nor is their order.
fn row_digest<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Result<String, StepError> {
    let content: BTreeSet<(&str, &str)> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
    let digest =
        Digest::of_json(&content).map_err(|error| StepError::permanent(FailureReason::Internal, error.to_string()))?;
    Ok(digest.to_string())
}

/// The cells of a row under their columns, but for the key.
fn named<'a>(columns: &'a [String], row: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let cells = row.iter().map(String::as_str);
    columns.iter().map(String::as_str).zip(cells).skip(1)
}

/// A value of a column, which is text.
fn text(value: &OdooValue) -> &str {
    match value {
        OdooValue::Text(text) | OdooValue::Date(text) | OdooValue::DateTime(text) => text,
        OdooValue::Empty
        | OdooValue::Integer(_)
        | OdooValue::Float(_)
        | OdooValue::Boolean(_)
        | OdooValue::Content(_)
        | OdooValue::Link(_)
        | OdooValue::Links(_)
        | OdooValue::Lines(_) => "",
    }
}

fn header(columns: &[String]) -> impl Iterator<Item = &str> {
    std::iter::once(KEY).chain(columns.iter().map(String::as_str))
}

/// The columns: those of the mapping, else every field of the source in the order they first come.
async fn columns(job: &Job, object: &Object, manifest: &Manifest) -> Result<Vec<String>, StepError> {
    if let Some(columns) = object.columns() {
        return Ok(columns);
    }
    let mut columns: Vec<String> = Vec::new();
    let mut met: BTreeSet<String> = BTreeSet::new();
    let mut lines = job.workspace.read_object(manifest, &object.source_object);
    while let Some(line) = lines.next().await {
        let Line::Record(record) = line? else { continue };
        for name in object.fields_of(&record) {
            if !met.contains(name) {
                met.insert(name.to_owned());
                columns.push(name.to_owned());
            }
        }
        if columns.len() > COLUMNS_MAX {
            return Err(StepError::permanent(
                FailureReason::Preflight,
                format!(
                    "{} has more than {COLUMNS_MAX} fields: name those that its document is to have",
                    object.source_object
                ),
            ));
        }
    }
    Ok(columns)
}

/// The document as it was when this run first came to it.
pub struct Before {
    /// The table that holds it.
    path: String,
}

/// Which run it was kept for.
#[derive(Serialize, Deserialize)]
struct Kept {
    run: i64,
}

impl Before {
    /// Keeps it, or finds what an earlier attempt of the run kept.
    async fn take(job: &Job, object: &Object, document: &Document) -> Result<Self, StepError> {
        let before = Self::find(job, object, document).await?;
        let copy = copy_path(object);
        if before.path != copy {
            job.workspace.keep_copy(&before.path, &copy).await?;
            job.workspace
                .put_json(&kept_path(object), &Kept { run: job.spec.run })
                .await?;
        }
        Ok(Self { path: copy })
    }

    /// Where it is, whether it was kept for this run or not.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn find(job: &Job, object: &Object, document: &Document) -> Result<Self, StepError> {
        let kept: Option<Kept> = job.workspace.get_json(&kept_path(object)).await?;
        let ours = kept.is_some_and(|kept| kept.run == job.spec.run);
        let path = if ours { copy_path(object) } else { document.path() };
        Ok(Self { path })
    }

    /// Its rows into the index; how many there are.
    ///
    /// # Errors
    /// When the workspace or the scratch disk fails.
    pub async fn load(&self, workspace: &Workspace, object: &Object, index: &mut Index) -> Result<i64, StepError> {
        let Some(mut table) = workspace.read_table(&self.path).await? else {
            return Ok(0);
        };
        let columns = table.next().await?.unwrap_or_default();
        let mut count = 0;
        while let Some(row) = table.next().await? {
            let Some(key) = row.first() else { continue };
            let digest = row_digest(named(&columns, &row))?;
            index.put(Kind::Ledger, &object.name, key.as_bytes(), digest.into_bytes())?;
            count += 1;
        }
        Ok(count)
    }
}

fn copy_path(object: &Object) -> String {
    format!("stock/{}.document.csv", object.name)
}

fn kept_path(object: &Object) -> String {
    format!("stock/{}.document.json", object.name)
}

/// What reading the file back found.
struct Seen {
    file: File,
    rows: i64,
    matching: i64,
    mismatched: i64,
    extra: i64,
    wanted: i64,
}

impl Seen {
    fn verification(&self, same_bytes: bool) -> Verification {
        let missing = self.wanted - self.matching - self.mismatched;
        Verification {
            matching: self.matching,
            mismatched: self.mismatched,
            missing_in_destination: missing,
            extra_in_destination: self.extra,
            verified: same_bytes && self.mismatched == 0 && missing == 0 && self.extra == 0,
            ..Verification::default()
        }
    }
}

async fn read_back(
    workspace: &Workspace,
    object: &Object,
    document: &Document,
    index: &mut Index,
) -> Result<Seen, StepError> {
    let path = document.path();
    let gone = || StepError::permanent(FailureReason::Verification, format!("{path} is not there any more"));
    let mut table: TableReader = workspace.read_table(&path).await?.ok_or_else(gone)?;
    let columns = table.next().await?.unwrap_or_default();
    let (mut rows, mut matching, mut mismatched, mut extra) = (0, 0, 0, 0);
    while let Some(row) = table.next().await? {
        rows += 1;
        let key = row.first().map_or("", String::as_str);
        let digest = row_digest(named(&columns, &row))?;
        match index.get(Kind::Wanted, &object.name, key.as_bytes())? {
            None => extra += 1,
            Some(wanted) if wanted == digest.as_bytes() => matching += 1,
            Some(_) => mismatched += 1,
        }
    }
    Ok(Seen {
        file: table.file(),
        rows,
        matching,
        mismatched,
        extra,
        wanted: i64::try_from(index.count(Kind::Wanted, &object.name)?).unwrap_or(i64::MAX),
    })
}

/// Rows before and now; those that went, and those of them that the source no longer has.
fn stock(book: &mut Book, index: &mut Index, object: &Object, before: i64, now: i64) -> Result<(), StepError> {
    book.present_before = before;
    book.present = now;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = index.page(Kind::Ledger, &object.name, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.0.clone());
        for (key, _) in &page {
            book.removed += i64::from(!index.has(Kind::Wanted, &object.name, key)?);
            book.deleted += i64::from(!gone::is_met(index, object, key)?);
        }
    }
    book.balanced = book::balances(book);
    Ok(())
}

fn handover(document: &Document, columns: &[String], file: File) -> Handover {
    let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
    Handover {
        label: cut(&document.label, 256),
        help: document.help.as_deref().map(|help| cut(help, 1_024)),
        columns: columns.iter().take(TOLD.0).map(|column| cut(column, TOLD.1)).collect(),
        width: i64::try_from(columns.len()).unwrap_or(i64::MAX),
        file,
    }
}

/// A document looks nothing up.
struct Nothing;

impl Lookups for Nothing {
    fn find(&self, _lookup: usize, _value: &str, _within: &[Option<String>]) -> Found {
        Found::None
    }

    fn content(&self, _: &str) -> Option<Fetched> {
        None
    }
}
