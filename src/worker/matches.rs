//! The records in Odoo that a new record may be: read once per step into the index, taken one by one.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    Job,
    error::StepError,
    index::{Index, IndexError, Kind, decode, encode},
    lookups::{self, Known, PAGE},
};
use crate::{
    api::mapping_spec::OnSourceDelete,
    args,
    mapping::{InOdoo, Mapping, Object, compare},
    model::{OdooValue, Reference},
    odoo::{models::Models, rpc::Rpc, verify},
    workspace::Outcome,
};

/// A record of the model that may be adopted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id in Odoo; 0 for one that another object of the run will make.
    pub id: i64,
    /// Whether it is active.
    pub active: bool,
    /// Its links, by field, where the entry of `match` asks for links.
    pub links: BTreeMap<String, Vec<i64>>,
}

fn match_scope(object: &Object, entry: usize) -> String {
    format!("{}|{entry}", object.name)
}

fn is_links(ttype: &str) -> bool {
    ttype == "many2many" || ttype == "one2many"
}

/// Reads every record of the model that the object does not own yet: whom a new record may be.
///
/// # Errors
/// When Odoo or the scratch disk fails.
pub async fn load_candidates(
    index: &mut Index,
    rpc: &dyn Rpc,
    models: &Models,
    object: InOdoo<'_>,
) -> Result<(), StepError> {
    let model = &object.model.0;
    // custom fields may not be made yet: nothing in Odoo can agree on them then
    let exists = |field: &String| models.field(model, field).is_some() || !is_custom(&object, field);
    let mut fields: Vec<String> = object
        .match_on
        .iter()
        .flatten()
        .filter(|field| exists(field))
        .cloned()
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    mark_taken(index, &object)?;
    let has_active = models.field(model, "active").is_some();
    if has_active {
        fields.push("active".into());
    }
    fields.sort();
    fields.dedup();
    let mut after = 0;
    loop {
        let args = args!({"domain": [["id", ">", after]], "fields": fields, "limit": PAGE, "order": "id",
                          "context": {"active_test": false}});
        let rows = lookups::models::rows(rpc, model, args).await?;
        let Some(last) = rows.last().and_then(|row| row["id"].as_i64()) else {
            return Ok(());
        };
        after = last;
        for row in &rows {
            let id = row["id"].as_i64().unwrap_or(0);
            if index.has(Kind::Taken, &object.name, &id.to_be_bytes())? {
                continue;
            }
            let active = !has_active || row["active"].as_bool().unwrap_or(true);
            let value = |field: &str| {
                row.get(field)
                    .map(|json| verify::decode(&ttype_of(&object, field), json))
            };
            add_candidates(index, &object, id, active, &value, &|field| ttype_of(&object, field))?;
        }
    }
}

fn ttype_of(object: &Object, field: &str) -> String {
    let target = object.targets.iter().find(|target| target.name == field);
    target.map_or_else(|| "char".to_owned(), |target| target.ttype.clone())
}

fn is_custom(object: &Object, field: &str) -> bool {
    object.custom_fields.iter().any(|custom| custom.name == field)
}

fn mark_taken(index: &mut Index, object: &Object) -> Result<(), IndexError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = index.page(Kind::Identity, &object.name, after.as_deref(), 5_000)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.0.clone());
        for (_, bytes) in &page {
            if let Some(id) = decode::<Known>(Kind::Identity, bytes)?.id {
                index.put(Kind::Taken, &object.name, &id.to_be_bytes(), Vec::new())?;
            }
        }
    }
}

fn add_candidates(
    index: &mut Index,
    object: &Object,
    id: i64,
    active: bool,
    value: &dyn Fn(&str) -> Option<OdooValue>,
    ttype: &dyn Fn(&str) -> String,
) -> Result<(), IndexError> {
    for (place, entry) in object.match_on.iter().enumerate() {
        let Some((text, links)) = match_text(entry, value, ttype) else {
            continue;
        };
        let scope = match_scope(object, place);
        let mut candidates = candidates_at(index, &scope, &text)?;
        candidates.push(Candidate { id, active, links });
        index.put(Kind::Match, &scope, text.as_bytes(), encode(Kind::Match, &candidates)?)?;
    }
    Ok(())
}

type Links = BTreeMap<String, Vec<i64>>;

/// The text of an entry of `match`, and the links it asks for; `None` where a field is empty.
fn match_text(
    entry: &[String],
    value: &dyn Fn(&str) -> Option<OdooValue>,
    ttype: &dyn Fn(&str) -> String,
) -> Option<(String, Links)> {
    let mut text = Vec::new();
    let mut links = BTreeMap::new();
    for field in entry {
        let value = value(field)?;
        let ttype = ttype(field);
        if is_links(&ttype) {
            let OdooValue::Links(ids) = value else { return None };
            links.insert(field.clone(), ids.iter().filter_map(Reference::id).collect());
        } else {
            text.push(compare::normal(&ttype, field, &value)?);
        }
    }
    Some((text.join("\u{0}"), links))
}

fn candidates_at(index: &Index, scope: &str, text: &str) -> Result<Vec<Candidate>, IndexError> {
    Ok(index.value(Kind::Match, scope, text.as_bytes())?.unwrap_or_default())
}

/// What `match` found for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// Exactly one record, which is now taken.
    One {
        /// Its id in Odoo; 0 for one that another object of the run will make.
        id: i64,
        /// Whether it is active.
        active: bool,
    },
    /// None; and whether some entry found several.
    Nothing {
        /// Entries of `match` that found several records, as text.
        ambiguous: Vec<String>,
    },
}

/// Finds the record in Odoo that a new record is.
///
/// # Errors
/// When the scratch disk fails.
pub fn match_record(index: &mut Index, object: &Object, values: &[(String, OdooValue)]) -> Result<Matched, IndexError> {
    let value = |name: &str| {
        values
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
    };
    let ttype = |name: &str| ttype_of(object, name);
    let mut ambiguous = Vec::new();
    for (place, entry) in object.match_on.iter().enumerate() {
        let Some((text, links)) = match_text(entry, &value, &ttype) else {
            continue;
        };
        let mut free = Vec::new();
        for candidate in candidates_at(index, &match_scope(object, place), &text)? {
            if !index.has(Kind::Taken, &object.name, &candidate.id.to_be_bytes())? && contains(&candidate.links, &links)
            {
                free.push(candidate);
            }
        }
        if free.iter().any(|candidate| candidate.active) {
            free.retain(|candidate| candidate.active);
        }
        match free.as_slice() {
            [] => {}
            [one] => {
                index.put(Kind::Taken, &object.name, &one.id.to_be_bytes(), Vec::new())?;
                let (id, active) = (one.id, one.active);
                return Ok(Matched::One { id, active });
            }
            _ => ambiguous.push(entry.join("+")),
        }
    }
    Ok(Matched::Nothing { ambiguous })
}

fn contains(theirs: &Links, ours: &Links) -> bool {
    ours.iter().all(|(field, ids)| {
        ids.iter()
            .all(|id| theirs.get(field).is_some_and(|theirs| theirs.contains(id)))
    })
}

/// Notes which records were archived because another object's source lost them: one of those that this object has now is
/// active again.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn load_archived(
    job: &Job,
    index: &mut Index,
    mapping: &Mapping,
    object: InOdoo<'_>,
) -> Result<(), StepError> {
    let archives = |other: &InOdoo<'_>| {
        other.name != object.name && other.model == object.model && other.on_source_delete == OnSourceDelete::Archive
    };
    if object.match_on.is_empty() {
        return Ok(());
    }
    for other in mapping.in_odoo().filter(archives) {
        let mut entries = job.workspace.ledger(&other.name);
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            if let Some(id) = entry.id {
                let is_archived = vec![u8::from(entry.outcome == Outcome::Archived)];
                index.put(Kind::Done, &archived_scope(&object), &id.to_be_bytes(), is_archived)?;
            }
        }
    }
    Ok(())
}

fn archived_scope(object: &Object) -> String {
    format!("{}|archived", object.name)
}

/// Whether a record was archived because another object's source lost it.
///
/// # Errors
/// When the scratch disk fails.
pub fn is_archived_by_us(index: &Index, object: &Object, id: i64) -> Result<bool, IndexError> {
    let archived = index.get(Kind::Done, &archived_scope(object), &id.to_be_bytes())?;
    Ok(archived.is_some_and(|archived| archived == [1]))
}

/// In a rehearsal: a record that one object will make may be adopted by another of the same model.
///
/// # Errors
/// When the scratch disk fails.
pub fn foresee_candidate(
    index: &mut Index,
    mapping: &Mapping,
    maker: InOdoo<'_>,
    stand_in: i64,
    values: &[(String, OdooValue)],
) -> Result<(), IndexError> {
    let value = |name: &str| {
        values
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.clone())
    };
    let ttype = |name: &str| ttype_of(&maker, name);
    for object in mapping
        .in_odoo()
        .filter(|o| o.name != maker.name && o.model == maker.model)
    {
        add_candidates(index, &object, stand_in, true, &value, &ttype)?;
    }
    Ok(())
}
