//! Joined rows: read once per object into the index, sorted there, and put on the records that find them.

use futures::StreamExt;

use super::{
    error::StepError,
    index::{Index, IndexError, Kind, decode, encode},
};
use crate::{
    mapping::{
        Mapping, Object,
        join::{Join, ROWS_MAX},
    },
    model::{Record, Rejection, SourceKey},
    workspace::{Line, Manifest, Workspace},
};

/// The rows that one text finds are a scope of their own; the text is escaped, so that it ends where it ends.
fn scope(object: &Object, join: &Join, text: &str) -> String {
    format!("{}|{}|{}", object.name, join.name, SourceKey::of_parts([text]))
}

/// Texts that rows have, and those that records asked for.
fn texts(object: &Object, join: &Join) -> String {
    format!("{}|{}|texts", object.name, join.name)
}

fn asked_for(object: &Object, join: &Join) -> String {
    format!("{}|{}|asked", object.name, join.name)
}

/// Remembers which rows a record asks for, be it used or not.
///
/// # Errors
/// When the scratch disk fails.
pub fn ask(index: &mut Index, object: &Object, record: &Record) -> Result<(), IndexError> {
    for join in object.joins() {
        if let Some(text) = Object::rows_text(join, record) {
            index.put(Kind::Done, &asked_for(object, join), text.as_bytes(), Vec::new())?;
        }
    }
    Ok(())
}

/// How many rows a text has.
fn count(bytes: &[u8]) -> Result<u64, IndexError> {
    let bytes = bytes.try_into().map_err(|_| IndexError::Entry(Kind::Done, "read"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Texts a page.
const PAGE: usize = 5_000;

/// The next rows, of at most a page, that no record asked for: what they name, and what is to be said of it. Rows that are
/// records of an object of their own are told there. `after` is where the last page ended.
///
/// # Errors
/// When the scratch disk fails.
pub fn unasked(
    index: &mut Index,
    mapping: &Mapping,
    object: &Object,
    after: &mut (usize, Option<Vec<u8>>),
) -> Result<Option<Vec<(SourceKey, Rejection)>>, IndexError> {
    let Some(join) = object.joins().get(after.0) else {
        return Ok(None);
    };
    if mapping.objects.iter().any(|other| other.source_object == join.object) {
        *after = (after.0 + 1, None);
        return Ok(Some(Vec::new()));
    }
    let page = index.page(Kind::Done, &texts(object, join), after.1.as_deref(), PAGE)?;
    *after = match page.last() {
        Some(last) => (after.0, Some(last.0.clone())),
        None => (after.0 + 1, None),
    };
    let mut unasked = Vec::new();
    for (text, rows) in page {
        if !index.has(Kind::Done, &asked_for(object, join), &text)? {
            let rows = count(&rows)?;
            let what = if text.is_empty() { "name" } else { "belong to" };
            let message = format!("{rows} rows of {} that {what} no {}", join.object, object.source_object);
            let key = SourceKey::of_parts([String::from_utf8_lossy(&text).as_ref()]);
            unasked.push((key, Rejection::new("NoOwner", join.name.as_str(), message)));
        }
    }
    Ok(Some(unasked))
}

/// Reads the rows of an object's joins.
///
/// # Errors
/// When the snapshot or the scratch disk fails.
pub async fn load(
    index: &mut Index,
    workspace: &Workspace,
    manifest: &Manifest,
    object: &Object,
) -> Result<(), StepError> {
    for join in object.joins() {
        let done = format!("{}|{}", object.name, join.name);
        if index.has(Kind::Done, &done, b"joined")? {
            continue;
        }
        let mut lines = workspace.read_object(manifest, &join.object);
        let mut place = 0_u64;
        while let Some(line) = lines.next().await {
            let Line::Record(record) = line? else { continue };
            let Some(row) = object.row(join, record) else { continue };
            place += 1;
            let of_text = texts(object, join);
            let before = index.get(Kind::Done, &of_text, row.text.as_bytes())?;
            let rows = before.map_or(Ok(0), |rows| count(&rows))? + 1;
            index.put(Kind::Done, &of_text, row.text.as_bytes(), rows.to_be_bytes().to_vec())?;
            let at = [row.order.sorting_bytes(), place.to_be_bytes().to_vec()].concat();
            index.put(
                Kind::Join,
                &scope(object, join, &row.text),
                &at,
                encode(Kind::Join, &row.value)?,
            )?;
        }
        index.put(Kind::Done, &done, b"joined", Vec::new())?;
    }
    Ok(index.flush()?)
}

/// A record with its rows, or why it cannot be used.
///
/// # Errors
/// When the scratch disk fails.
pub fn attach(index: &Index, object: &Object, mut record: Record) -> Result<Result<Record, Rejected>, IndexError> {
    for join in object.joins() {
        let rows = match Object::rows_text(join, &record) {
            None => Vec::new(),
            Some(text) => index.first(Kind::Join, &scope(object, join, &text), ROWS_MAX + 1)?,
        };
        let rows = rows
            .iter()
            .map(|row| decode(Kind::Join, row))
            .collect::<Result<_, _>>()?;
        if let Err(rejection) = object.put_rows(join, &mut record, rows) {
            return Ok(Err((object.bare_key(&record), rejection)));
        }
    }
    Ok(Ok(record))
}

/// Key and reason of a record that cannot be used.
pub type Rejected = (Option<SourceKey>, Rejection);
