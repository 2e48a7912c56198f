//! Records of one object that are one by their mapped values: the first is written, later ones lead to it.

use super::{
    error::StepError,
    gone,
    index::{Index, IndexError, Kind, decode, encode},
    load::ledger_entry,
    lookups::{self, Known},
    reader::Turn,
};
use crate::{
    mapping::{Object, compare},
    model::{ExternalId, OdooValue, Rejection, SourceKey},
    workspace::{Entry, Outcome},
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
    /// It was folded in an earlier run, and agrees with that record no more: it gets one of its own.
    Parted,
    /// The source no longer has the record of this key, into which it was folded in an earlier run: that one's record in
    /// Odoo is its own from now on.
    Heir(SourceKey),
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

/// Whose the records in Odoo are, by their ids.
fn owners(object: &Object) -> String {
    format!("{}|owners", object.name)
}

/// Keys whose values are known this time.
fn told(object: &Object) -> String {
    format!("{}|told", object.name)
}

/// Names of records that were folded into others, as far as the ledger does not tell.
fn named_after(object: &Object) -> String {
    format!("{}|named", object.name)
}

/// Entries a page.
const PAGE: usize = 5_000;

/// Notes what earlier runs left in Odoo: records, and whose they are. Then one without a record (it was held or rejected, or
/// is new) may be one with any that has, and waits until all were looked at: to be made beside them would double it.
///
/// # Errors
/// When the scratch disk fails.
pub fn begin(index: &mut Index, module: &str, object: &Object) -> Result<(), StepError> {
    if object.dedupe.is_empty() || index.page(Kind::Identity, &object.name, None, 1)?.is_empty() {
        return Ok(());
    }
    index.put(Kind::Dedupe, &object.name, b"", Vec::new())?;
    owners_by_ledger(index, object)?;
    owners_by_name(index, module, object)
}

fn owners_by_ledger(index: &mut Index, object: &Object) -> Result<(), StepError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = index.page(Kind::Ledger, &object.name, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.0.clone());
        for (key, bytes) in &page {
            let entry: Entry = decode(Kind::Ledger, bytes)?;
            let Some(id) = entry.id.filter(|_| entry.outcome != Outcome::Deduplicated) else {
                continue;
            };
            // an earlier owner is gone from the source
            let before = index.get(Kind::Dedupe, &owners(object), &id.to_be_bytes())?;
            let before = before.map(|before| ledger_entry(index, &object.name, &as_key(before)));
            if before
                .transpose()?
                .flatten()
                .is_none_or(|before| before.run <= entry.run)
            {
                index.put(Kind::Dedupe, &owners(object), &id.to_be_bytes(), key.clone())?;
            }
        }
    }
}

/// What the ledger does not tell (a lost workspace) the names do: a record is whose it was made for, and those that were
/// named after it later were folded into it.
fn owners_by_name(index: &mut Index, module: &str, object: &Object) -> Result<(), StepError> {
    for of_the_made in [true, false] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = index.page(Kind::Identity, &object.name, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.0.clone());
            for (name, bytes) in &page {
                let known: Known = decode(Kind::Identity, bytes)?;
                let Some(id) = known.id.filter(|_| known.noupdate != of_the_made) else {
                    continue;
                };
                if index.has(Kind::Name, &object.name, name)? {
                    continue;
                }
                let owner = index.get(Kind::Dedupe, &owners(object), &id.to_be_bytes())?.map(as_key);
                match (of_the_made, owner) {
                    (true, None) => {
                        let key = ExternalId::key_in(&object.name, &String::from_utf8_lossy(name));
                        let Some(key) = key else { continue };
                        index.put(Kind::Dedupe, &owners(object), &id.to_be_bytes(), key.0.into_bytes())?;
                    }
                    (false, Some(owner)) => {
                        let owner = ExternalId::of(module, &object.name, &owner).name;
                        let owner = lookups::known(index, &object.name, &owner)?;
                        if owner.is_some_and(|owner| owner.id == known.id && owner.data_id < known.data_id) {
                            index.put(Kind::Dedupe, &named_after(object), name, Vec::new())?;
                        }
                    }
                    (true, Some(_)) | (false, None) => {}
                }
            }
        }
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
    let name_of = |key: &SourceKey| ExternalId::of(module, &object.name, key).name;
    let id_of = |key: &SourceKey| -> Result<Option<i64>, IndexError> {
        Ok(lookups::known(index, &object.name, &name_of(key))?.and_then(|known| known.id))
    };
    let own = id_of(key)?;
    // what is filled was told apart before
    if turn == Turn::Filling || object.dedupe.is_empty() && own.is_none() {
        return Ok(Place::First);
    }
    // a record that was parted by an attempt that ended before its ledger has another id by now
    let folded = match ledger_entry(index, &object.name, key)? {
        Some(entry) => entry.outcome == Outcome::Deduplicated && (own.is_none() || own == entry.id),
        None => index.has(Kind::Dedupe, &named_after(object), name_of(key).as_bytes())?,
    };
    for entry in &object.dedupe {
        let Some(text) = text(object, entry, values) else {
            continue;
        };
        let first = index.get(Kind::Dedupe, &scope(object, entry), text.as_bytes())?;
        let Some(first) = first.map(as_key) else {
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
    if turn == Turn::First {
        return Ok(if folded || homeless { Place::Wait } else { Place::First });
    }
    let Some(id) = own.filter(|_| folded) else {
        return Ok(Place::First);
    };
    // the mapping folds nothing any more
    if object.dedupe.is_empty() {
        return Ok(Place::Parted);
    }
    let Some(owner) = index.get(Kind::Dedupe, &owners(object), &id.to_be_bytes())? else {
        return Ok(Place::First);
    };
    let (agrees_no_more, met) = (
        index.has(Kind::Dedupe, &told(object), &owner)?,
        gone::is_met(index, object, &owner)?,
    );
    let owner = as_key(owner);
    Ok(match (agrees_no_more, met) {
        (true, _) => Place::Parted,
        // what it would say is not known this time: it was refused, or is held
        (false, true) => Place::Folded(owner, object.dedupe[0].join("+")),
        (false, false) => Place::Heir(owner),
    })
}

fn as_key(bytes: Vec<u8>) -> SourceKey {
    SourceKey(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Hands over to a record what the ledger has of the one that the source no longer has: what was written last is written
/// over, what people wrote is theirs.
///
/// # Errors
/// When the scratch disk fails.
pub fn inherit(
    index: &mut Index,
    module: &str,
    object: &Object,
    key: &SourceKey,
    owner: &SourceKey,
) -> Result<(), StepError> {
    let name = ExternalId::of(module, &object.name, owner).name;
    let Some(id) = lookups::known(index, &object.name, &name)?.and_then(|known| known.id) else {
        return Ok(());
    };
    let heir = key.0.clone().into_bytes();
    index.put(Kind::Dedupe, &owners(object), &id.to_be_bytes(), heir)?;
    let Some(entry) = ledger_entry(index, &object.name, owner)? else {
        return Ok(());
    };
    let entry = Entry {
        key: key.clone(),
        external_id: ExternalId::of(module, &object.name, key).name,
        digest: None,
        ..entry
    };
    let bytes = encode(Kind::Ledger, &entry)?;
    Ok(index.put(Kind::Ledger, &object.name, key.0.as_bytes(), bytes)?)
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
    if !object.dedupe.is_empty() {
        index.put(Kind::Dedupe, &told(object), key.0.as_bytes(), Vec::new())?;
    }
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
