//! Records of one object that are one by their mapped values: the first is written, later ones lead to it.

use super::{
    error::StepError,
    index::{Index, IndexError, Kind},
    load::ledger_entry,
    lookups,
    reader::Turn,
};
use crate::{
    mapping::{Object, compare},
    model::{ExternalId, OdooValue, Rejection, SourceKey},
    workspace::Outcome,
};

/// What a record is to those that came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first of its kind.
    First,
    /// The record of this key, by this entry of `dedupe`.
    Folded(SourceKey, String),
    /// It agrees with the record of this key, but has a record of its own in Odoo since an earlier run: it stays.
    Stays(SourceKey, String),
    /// What it is one with may come later: what it was folded into in an earlier run, or, where it has no record yet, any
    /// that has. Look again at the end.
    Wait,
    /// It was folded in an earlier run, and is a record of its own now.
    Parted,
}

fn scope(object: &Object, entry: &[String]) -> String {
    format!("{}|{}", object.name, entry.join("+"))
}

/// The text of an entry; `None` where a field is empty.
fn text(object: &Object, entry: &[String], values: &[(String, OdooValue)]) -> Option<String> {
    let texts: Option<Vec<String>> = entry
        .iter()
        .map(|name| {
            let (_, value) = values.iter().find(|(field, _)| field == name)?;
            let target = object.targets.iter().find(|target| target.name == *name)?;
            compare::normal(&target.ttype, name, value)
        })
        .collect();
    Some(texts?.join("\u{0}"))
}

/// Notes whether earlier runs left records in Odoo. Then one without a record (it was held or rejected, or is new) may be one
/// with any that has, and waits until all were looked at: to be made beside them would double it.
///
/// # Errors
/// When the scratch disk fails.
pub fn begin(index: &mut Index, object: &Object) -> Result<(), IndexError> {
    if !object.dedupe.is_empty() && !index.page(Kind::Identity, &object.name, None, 1)?.is_empty() {
        index.put(Kind::Dedupe, &object.name, b"", Vec::new())?;
    }
    Ok(())
}

/// What a record is to those that came before it. After the first turn every record was looked at once.
///
/// # Errors
/// When the scratch disk fails.
pub fn place(
    index: &Index,
    module: &str,
    object: &Object,
    key: &SourceKey,
    values: &[(String, OdooValue)],
    turn: Turn,
) -> Result<Place, StepError> {
    let id_of = |key: &SourceKey| -> Result<Option<i64>, IndexError> {
        let name = ExternalId::of(module, &object.name, key).name;
        Ok(lookups::known(index, &object.name, &name)?.and_then(|known| known.id))
    };
    let own = id_of(key)?;
    // what is filled was told apart before
    if turn == Turn::Filling || object.dedupe.is_empty() && own.is_none() {
        return Ok(Place::First);
    }
    // a record that was parted by an attempt that ended before its ledger has another id by now
    let folded = ledger_entry(index, &object.name, key)?
        .is_some_and(|entry| entry.outcome == Outcome::Deduplicated && (own.is_none() || own == entry.id));
    for entry in &object.dedupe {
        let Some(text) = text(object, entry, values) else {
            continue;
        };
        let first = index.get(Kind::Dedupe, &scope(object, entry), text.as_bytes())?;
        let Some(first) = first.map(|first| SourceKey(String::from_utf8_lossy(&first).into_owned())) else {
            continue;
        };
        if first == *key {
            continue;
        }
        let has_its_own = own.is_some() && !folded && own != id_of(&first)?;
        let entry = entry.join("+");
        return Ok(if has_its_own {
            Place::Stays(first, entry)
        } else {
            Place::Folded(first, entry)
        });
    }
    let homeless = own.is_none() && index.has(Kind::Dedupe, &object.name, b"")?;
    Ok(match turn {
        Turn::First if folded || homeless => Place::Wait,
        Turn::Waiting if folded => Place::Parted,
        _ => Place::First,
    })
}

/// Remembers a record that later ones may be.
///
/// # Errors
/// When the scratch disk fails.
pub fn remember(
    index: &mut Index,
    object: &Object,
    key: &SourceKey,
    values: &[(String, OdooValue)],
) -> Result<(), IndexError> {
    for entry in &object.dedupe {
        if let Some(text) = text(object, entry, values) {
            let first = key.0.clone().into_bytes();
            index.put_first(Kind::Dedupe, &scope(object, entry), text.as_bytes(), first)?;
        }
    }
    Ok(())
}

/// What is listed of a record that agrees with an earlier one.
#[must_use]
pub fn note(first: &SourceKey, entry: &str, stays: bool) -> Rejection {
    let (code, what) = if stays {
        ("DuplicateStays", "has a record of its own in Odoo and keeps it")
    } else {
        ("Deduplicated", "leads to the record of that one")
    };
    Rejection::new(
        code,
        entry,
        format!("agrees with the record {first} on {entry}, and {what}"),
    )
}
