//! The records that lookups and matches may find: read from Odoo once per step into the index.

pub mod models;

use std::{cell::RefCell, collections::HashSet, sync::Arc};

use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    contents,
    error::StepError,
    index::{Index, IndexError, Kind, decode, encode},
    joins, reader,
};
use crate::{
    api::{Migration, mapping_spec::OnMissing, migration::OwnersMissing},
    mapping::{
        Found, InOdoo, LookupSpec, LookupTarget, Lookups, Mapping, Object, Step, Take, TargetField, compare, path::Path,
    },
    model::{ExternalId, Fetched, OdooValue, Reference, SourceKey},
    odoo::{
        identity,
        models::is_custom,
        rpc::{Rpc, RpcError},
        verify,
    },
    workspace::{Line, Manifest, Workspace},
};

/// Records a page of `search_read`.
pub const PAGE: i64 = 2_000;
/// Records a page, where one field of each is read.
const TAKES: usize = 5_000;
/// What stands in the index for several records that agree.
const SEVERAL: &[u8] = b"several";

/// A record's identity as the index keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Id in Odoo; `None` while the record is only predicted.
    pub id: Option<i64>,
    /// Id of its row in `ir.model.data`: grows with time.
    pub data_id: i64,
    /// Its external id was written at adoption.
    pub noupdate: bool,
}

/// What the steps put into the index, and read from it while a record is mapped.
pub struct Finder<'a> {
    /// The index.
    pub index: &'a mut Index,
    /// Module of the external ids.
    pub module: &'a str,
    /// The object at work.
    pub object: &'a Object,
    /// With `orderBy`, where its own records are found only if they came earlier: those that did and are not in Odoo yet.
    pub under_way: Option<&'a HashSet<SourceKey>>,
    /// No record of the object itself will come any more: what is not there now is not there.
    pub last_call: bool,
    /// What other objects make, or what this one makes later, may still come.
    pub may_come: bool,
    /// What a lookup without a word of its own does whose owner is missing.
    pub owners: OnMissing,
    /// The record that is mapped: it never finds itself.
    pub own: &'a SourceKey,
    /// An index that failed while a record was mapped.
    pub broken: RefCell<Option<IndexError>>,
}

impl Lookups for Finder<'_> {
    fn find(&self, lookup: usize, value: &str, within: &[Option<String>]) -> Found {
        let Some(spec) = self.object.lookups.get(lookup) else {
            return Found::None;
        };
        self.seek(spec, value, within).unwrap_or_else(|error| {
            // the record is not lost: the step stops on this before it counts anything
            self.broken.borrow_mut().get_or_insert(error);
            Found::None
        })
    }

    fn content(&self, reference: &str) -> Option<Fetched> {
        contents::known(self.index, reference).unwrap_or_else(|error| {
            self.broken.borrow_mut().get_or_insert(error);
            None
        })
    }

    fn may_come(&self) -> bool {
        self.may_come
    }

    fn owners(&self) -> OnMissing {
        self.owners
    }
}

impl Finder<'_> {
    fn seek(&self, spec: &LookupSpec, value: &str, within: &[Option<String>]) -> Result<Found, IndexError> {
        let found = self.find_record(spec, value, within)?;
        match &spec.take {
            Some(take) => self.go_on(take, found),
            None => Ok(found),
        }
    }

    /// From a record that was found to the one that a field of it names.
    fn go_on(&self, take: &Take, found: Found) -> Result<Found, IndexError> {
        Ok(match found {
            Found::One(Reference::Id(id)) => {
                let taken = self.index.get(Kind::Take, &take_scope(take), &id.to_be_bytes())?;
                let taken = taken.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
                taken.map_or(Found::None, |id| Found::One(Reference::Id(id)))
            }
            // Odoo will make it with the record: it has no external id of its own
            Found::One(Reference::Pending(external)) => Found::One(Reference::Pending(ExternalId {
                name: format!("{}.{}", external.name, take.field),
                ..external
            })),
            other => other,
        })
    }

    fn find_record(&self, spec: &LookupSpec, value: &str, within: &[Option<String>]) -> Result<Found, IndexError> {
        match &spec.target {
            LookupTarget::Object { object, by: None } => self.by_key(object, &SourceKey(value.to_owned())),
            LookupTarget::Object { object, by: Some(by) } => {
                let Some(text) = compare::normal_text(by, value) else {
                    return Ok(Found::None);
                };
                match self
                    .index
                    .get(Kind::Lookup, &object_scope(object, by), text.as_bytes())?
                {
                    Some(key) => {
                        let key = SourceKey(String::from_utf8_lossy(&key).into_owned());
                        if *object == self.object.name && key == *self.own {
                            return Ok(Found::Itself);
                        }
                        self.by_key(object, &key)
                    }
                    None => Ok(Found::None),
                }
            }
            LookupTarget::Model {
                model,
                by,
                within: fields,
            } => {
                let Some(text) = composite(by, value, fields, within) else {
                    return Ok(Found::None);
                };
                let scope = model_scope(&model.0, by, fields);
                Ok(match self.index.get(Kind::Lookup, &scope, text.as_bytes())? {
                    None => Found::None,
                    Some(bytes) if bytes == SEVERAL => Found::Several,
                    Some(bytes) => Found::One(decode(Kind::Lookup, &bytes)?),
                })
            }
        }
    }

    fn id_of_own(&self) -> Result<Option<i64>, IndexError> {
        let name = ExternalId::of(self.module, &self.object.name, self.own).name;
        Ok(known(self.index, &self.object.name, &name)?.and_then(|known| known.id))
    }

    fn by_key(&self, object: &str, key: &SourceKey) -> Result<Found, IndexError> {
        if object == self.object.name && key == self.own {
            return Ok(Found::None);
        }
        let external = ExternalId::of(self.module, object, key);
        if let Some(known) = known(self.index, object, &external.name)? {
            if known.id.is_some()
                && object == self.object.name
                && !self.object.dedupe.is_empty()
                && self.id_of_own()? == known.id
            {
                // folded into it
                return Ok(Found::None);
            }
            return Ok(Found::One(known.id.map_or(Reference::Pending(external), Reference::Id)));
        }
        if self.index.has(Kind::Held, object, key.0.as_bytes())? {
            return Ok(Found::Held(key.clone()));
        }
        let comes = object == self.object.name
            && !self.last_call
            && match self.under_way {
                Some(under_way) => under_way.contains(key),
                None => self.index.has(Kind::Own, object, key.0.as_bytes())?,
            };
        Ok(if comes { Found::Later } else { Found::None })
    }
}

/// The identity that an object's external id stands for.
///
/// # Errors
/// When the scratch disk cannot be read.
pub fn known(index: &Index, object: &str, name: &str) -> Result<Option<Known>, IndexError> {
    index.value(Kind::Identity, object, name.as_bytes())
}

/// Notes an identity.
///
/// # Errors
/// When the scratch disk cannot be written.
pub fn note(index: &mut Index, object: &str, name: &str, known: Known) -> Result<(), IndexError> {
    index.put(Kind::Identity, object, name.as_bytes(), encode(Kind::Identity, &known)?)
}

/// Forgets an identity.
///
/// # Errors
/// When the scratch disk cannot be written.
pub fn forget(index: &mut Index, object: &str, name: &str) -> Result<(), IndexError> {
    let nobody = Known {
        id: None,
        data_id: 0,
        noupdate: false,
    };
    note(index, object, name, nobody)
}

fn object_scope(object: &str, by: &str) -> String {
    format!("{object}|{by}")
}

fn model_scope(model: &str, by: &str, within: &[String]) -> String {
    format!("{model}|{by}|{}", within.join(","))
}

/// The text under which a record of a model is found: its value and what narrows it.
fn composite(by: &str, value: &str, fields: &[String], within: &[Option<String>]) -> Option<String> {
    let mut text = if by == "id" {
        value.to_owned()
    } else {
        compare::normal_text(by, value)?
    };
    for (field, value) in fields.iter().zip(within) {
        text.push('\u{0}');
        text.push_str(&compare::normal_text(field, value.as_deref()?)?);
    }
    Some(text)
}

/// Reads the identities of an object into the index.
///
/// # Errors
/// When Odoo or the scratch disk fails.
pub async fn load_identities(
    index: &mut Index,
    rpc: &dyn Rpc,
    module: &str,
    object: InOdoo<'_>,
) -> Result<i64, StepError> {
    let mut count = 0;
    for identity in identity::find_all(rpc, module, &object.name, &object.model.0).await? {
        let found = Known {
            id: Some(identity.res_id),
            data_id: identity.data_id,
            noupdate: identity.noupdate,
        };
        note(index, &object.name, &identity.name, found)?;
        count += 1;
    }
    Ok(count)
}

/// What a Migration says of owners, as the language has it.
#[must_use]
pub const fn owners(migration: &Migration) -> OnMissing {
    match migration.spec.owners.on_missing {
        OwnersMissing::Hold => OnMissing::Hold,
        OwnersMissing::Empty => OnMissing::Empty,
        OwnersMissing::Reject => OnMissing::Reject,
    }
}

/// Reads which records of an object are held: its last load or rehearsal told.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn load_held(index: &mut Index, workspace: &Workspace, object: &str) -> Result<(), StepError> {
    let Some(mut table) = workspace.held(object).await? else {
        return Ok(());
    };
    while let Some(row) = table.next().await? {
        if let Some(key) = row.first() {
            index.put(Kind::Held, object, key.as_bytes(), Vec::new())?;
        }
    }
    Ok(())
}

/// Reads what an object's lookups by a path of another object's source need: the first record with each value.
///
/// # Errors
/// When the snapshot or the scratch disk fails.
pub async fn load_object_paths(
    index: &mut Index,
    workspace: &Workspace,
    manifest: &Manifest,
    mapping: &Mapping,
    object: &Object,
    scratch: &std::path::Path,
) -> Result<(), StepError> {
    for spec in &object.lookups {
        let LookupTarget::Object {
            object: target,
            by: Some(by),
        } = &spec.target
        else {
            continue;
        };
        let scope = object_scope(target, by);
        if index.has(Kind::Done, &scope, b"loaded")? {
            continue;
        }
        let (Some(target), Ok(path)) = (mapping.object(target), Path::parse(by)) else {
            continue;
        };
        joins::load(index, workspace, manifest, target).await?;
        let mut lines = reader::in_order(workspace, manifest, target, scratch).await?;
        while let Some(line) = lines.next().await {
            let (_, Line::Record(record)) = line? else { continue };
            let Ok(record) = joins::attach(index, target, record)? else {
                continue;
            };
            for step in target.items(&Arc::new(record)) {
                let Step::Item(item) = step else { continue };
                let text = item.text_at(&path).and_then(|text| compare::normal_text(by, &text));
                if let Some(text) = text {
                    index.put_first(Kind::Lookup, &scope, text.as_bytes(), item.key.0.clone().into_bytes())?;
                }
            }
        }
        index.put(Kind::Done, &scope, b"loaded", Vec::new())?;
    }
    Ok(())
}

fn take_scope(take: &Take) -> String {
    format!("{}|{}", take.model, take.field)
}

/// Reads what the fields that an object's lookups go on through hold.
///
/// # Errors
/// When Odoo or the scratch disk fails.
pub async fn load_takes(index: &mut Index, rpc: &dyn Rpc, object: &Object) -> Result<(), StepError> {
    for take in object.lookups.iter().filter_map(|spec| spec.take.as_ref()) {
        let scope = take_scope(take);
        if index.has(Kind::Done, &scope, b"taken")? {
            continue;
        }
        let field = TargetField::new(&take.field, "many2one");
        let mut after = 0;
        loop {
            let page = match verify::page(rpc, &take.model.0, std::slice::from_ref(&field), after, TAKES).await {
                Err(RpcError::NotFound { .. }) if is_custom(&take.model.0) => break,
                page => page?,
            };
            let Some((last, _)) = page.last_key_value() else { break };
            after = *last;
            for (id, record) in &page {
                if let Some(OdooValue::Link(Reference::Id(taken))) = record.values.get(&take.field) {
                    index.put(Kind::Take, &scope, &id.to_be_bytes(), taken.to_be_bytes().to_vec())?;
                }
            }
        }
        index.put(Kind::Done, &scope, b"taken", Vec::new())?;
    }
    Ok(())
}

/// Puts a record under a text; a second one makes it "several".
fn put_found(index: &mut Index, scope: &str, text: &str, reference: &Reference) -> Result<(), IndexError> {
    let bytes = encode(Kind::Lookup, reference)?;
    match index.get(Kind::Lookup, scope, text.as_bytes())? {
        None => index.put(Kind::Lookup, scope, text.as_bytes(), bytes),
        Some(before) if before == bytes => Ok(()),
        Some(_) => index.put(Kind::Lookup, scope, text.as_bytes(), SEVERAL.to_vec()),
    }
}

/// In a rehearsal: lookups into models see the record that the run will make.
///
/// # Errors
/// When the scratch disk fails.
pub fn foresee(
    index: &mut Index,
    mapping: &Mapping,
    maker: InOdoo<'_>,
    external: &ExternalId,
    values: &[(String, OdooValue)],
) -> Result<(), IndexError> {
    let value = |name: &str| values.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let ttype = |name: &str| {
        maker
            .targets
            .iter()
            .find(|t| t.name == name)
            .map_or("char", |t| t.ttype.as_str())
    };
    for spec in mapping.objects.iter().flat_map(|object| &object.lookups) {
        let LookupTarget::Model { model, by, within } = &spec.target else {
            continue;
        };
        if model != maker.model {
            continue;
        }
        let scope = model_scope(&model.0, by, within);
        if by == "id" {
            put_found(
                index,
                &scope,
                &external.to_string(),
                &Reference::Pending(external.clone()),
            )?;
            continue;
        }
        let fields: Vec<&str> = std::iter::once(by.as_str())
            .chain(within.iter().map(String::as_str))
            .collect();
        let parts: Option<Vec<String>> = fields
            .iter()
            .map(|field| value(field).and_then(|value| compare::normal(ttype(field), field, value)))
            .collect();
        if let Some(parts) = parts {
            put_found(
                index,
                &scope,
                &parts.join("\u{0}"),
                &Reference::Pending(external.clone()),
            )?;
        }
    }
    Ok(())
}
