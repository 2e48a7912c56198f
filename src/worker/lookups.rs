//! The records that lookups and matches may find: read from Odoo once per step into the index.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    contents,
    error::StepError,
    index::{Index, IndexError, Kind, decode, encode},
    joins, reader,
};
use crate::{
    api::{Migration, mapping_spec::OnMissing, migration::OwnersMissing},
    args,
    mapping::{
        Found, InOdoo, LookupSpec, LookupTarget, Lookups, Mapping, Object, Step, Take, TargetField, compare, path::Path,
    },
    model::{ExternalId, Fetched, OdooValue, Reference, SourceKey},
    odoo::{
        identity,
        models::{Models, is_custom},
        rpc::{Args, Rpc, RpcError},
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

    fn by_key(&self, object: &str, key: &SourceKey) -> Result<Found, IndexError> {
        if object == self.object.name && key == self.own {
            return Ok(Found::None);
        }
        let external = ExternalId::of(self.module, object, key);
        if let Some(known) = known(self.index, object, &external.name)? {
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

/// Reads what an object's lookups into models need.
///
/// # Errors
/// When Odoo or the scratch disk fails.
pub async fn load_models(index: &mut Index, rpc: &dyn Rpc, models: &Models, object: &Object) -> Result<(), StepError> {
    for spec in &object.lookups {
        let LookupTarget::Model { model, by, within } = &spec.target else {
            continue;
        };
        let scope = model_scope(&model.0, by, within);
        if index.has(Kind::Done, &scope, b"loaded")? {
            continue;
        }
        if by == "id" {
            load_external_ids(index, rpc, &model.0, &scope).await?;
        } else {
            load_model(index, rpc, models, &model.0, by, within).await?;
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
        let field = TargetField {
            name: take.field.clone(),
            ttype: "many2one".into(),
        };
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

async fn load_external_ids(index: &mut Index, rpc: &dyn Rpc, model: &str, scope: &str) -> Result<(), StepError> {
    let mut after = 0;
    loop {
        let answer = rpc
            .call(
                "ir.model.data",
                "search_read",
                args!({"domain": [["model", "=", model], ["id", ">", after]], "fields": ["module", "name", "res_id"],
                       "limit": PAGE, "order": "id"}),
            )
            .await?;
        let rows = answer.as_array().cloned().unwrap_or_default();
        let Some(last) = rows.last().and_then(|row| row["id"].as_i64()) else {
            return Ok(());
        };
        after = last;
        for row in &rows {
            let name = format!(
                "{}.{}",
                row["module"].as_str().unwrap_or(""),
                row["name"].as_str().unwrap_or("")
            );
            put_found(index, scope, &name, &Reference::Id(row["res_id"].as_i64().unwrap_or(0)))?;
        }
    }
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

async fn load_model(
    index: &mut Index,
    rpc: &dyn Rpc,
    models: &Models,
    model: &str,
    by: &str,
    within: &[String],
) -> Result<(), StepError> {
    let Some(ttype) = type_of(rpc, models, model, by).await? else {
        return Ok(());
    };
    let scope = model_scope(model, by, within);
    let mut narrowings = Vec::new();
    for field in within {
        let Some(narrowing) = narrowing(rpc, models, model, field).await? else {
            return Ok(());
        };
        narrowings.push(narrowing);
    }
    let has_active = models.field(model, "active").is_some();
    let mut fields: Vec<&str> = vec![by];
    fields.extend(narrowings.iter().map(|narrowing| narrowing.field.as_str()));
    let translated = models.field(model, by).is_some_and(|field| field.translate);
    let languages = if translated {
        languages(rpc).await?
    } else {
        vec!["en_US".to_owned()]
    };
    // archived records count only where no active one agrees
    for active in if has_active { &[true, false][..] } else { &[true][..] } {
        let mut texts = Vec::new();
        for language in &languages {
            let mut after = 0;
            loop {
                let mut domain = vec![json!(["id", ">", after])];
                if has_active {
                    domain.push(json!(["active", "=", active]));
                }
                let args = args!({"domain": domain, "fields": fields, "limit": PAGE, "order": "id",
                                  "context": {"active_test": false, "lang": language}});
                let rows = rows(rpc, model, args).await?;
                let Some(last) = rows.last().and_then(|row| row["id"].as_i64()) else {
                    break;
                };
                after = last;
                for row in &rows {
                    texts.extend(row_texts((by, &ttype), &narrowings, row));
                }
            }
        }
        for (text, id) in texts {
            let archived_twin = !active && index.has(Kind::Taken, &scope, text.as_bytes())?;
            if !archived_twin {
                put_found(index, &scope, &text, &Reference::Id(id))?;
            }
            if *active {
                index.put(Kind::Taken, &scope, text.as_bytes(), Vec::new())?;
            }
        }
    }
    Ok(())
}

/// What `search_read` answers. A custom model that is not made yet has no records.
///
/// # Errors
/// When Odoo fails.
pub async fn rows(rpc: &dyn Rpc, model: &str, args: Args) -> Result<Vec<Value>, RpcError> {
    match rpc.call(model, "search_read", args).await {
        Err(RpcError::NotFound { .. }) if is_custom(model) => Ok(Vec::new()),
        Ok(Value::Array(rows)) => Ok(rows),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The type of a field; `None` while it is still to be made. What the run makes is not in the plan's description.
async fn type_of(rpc: &dyn Rpc, models: &Models, model: &str, field: &str) -> Result<Option<String>, StepError> {
    if let Some(known) = models.field(model, field) {
        return Ok(Some(known.ttype.clone()));
    }
    if !is_custom(field) || !models.models.contains_key(model) {
        return Ok(Some("char".to_owned()));
    }
    let said = rpc
        .call(
            model,
            "fields_get",
            args!({"allfields": [field], "attributes": ["type"]}),
        )
        .await?;
    Ok(said[field]["type"].as_str().map(str::to_owned))
}

/// A field that narrows a lookup, and the texts its ids stand for where it is dotted.
struct Narrowing {
    field: String,
    ttype: String,
    texts: Option<BTreeMap<i64, String>>,
    dotted: String,
}

/// `None` while one of its fields is still to be made.
async fn narrowing(rpc: &dyn Rpc, models: &Models, model: &str, path: &str) -> Result<Option<Narrowing>, StepError> {
    let (field, rest) = path
        .split_once('.')
        .map_or((path, None), |(field, rest)| (field, Some(rest)));
    let Some(ttype) = type_of(rpc, models, model, field).await? else {
        return Ok(None);
    };
    let texts = match rest {
        None => None,
        Some(rest) => {
            let relation = models.field(model, field).and_then(|field| field.relation.as_deref());
            let Some(texts) = texts_of(rpc, models, relation.unwrap_or_default(), rest).await? else {
                return Ok(None);
            };
            Some(texts)
        }
    };
    Ok(Some(Narrowing {
        field: field.to_owned(),
        ttype,
        texts,
        dotted: path.to_owned(),
    }))
}

/// What the records of a model have in a field, as text; `None` while the field is still to be made.
async fn texts_of(
    rpc: &dyn Rpc,
    models: &Models,
    model: &str,
    field: &str,
) -> Result<Option<BTreeMap<i64, String>>, StepError> {
    let Some(ttype) = type_of(rpc, models, model, field).await? else {
        return Ok(None);
    };
    let (mut texts, mut after) = (BTreeMap::new(), 0);
    loop {
        let args = args!({"domain": [["id", ">", after]], "fields": [field], "limit": PAGE, "order": "id",
                          "context": {"active_test": false}});
        let answer = rpc.call(model, "search_read", args).await?;
        let rows = answer.as_array().cloned().unwrap_or_default();
        let Some(last) = rows.last().and_then(|row| row["id"].as_i64()) else {
            return Ok(Some(texts));
        };
        after = last;
        for row in &rows {
            let text = compare::normal(&ttype, field, &verify::decode(&ttype, &row[field]));
            if let (Some(id), Some(text)) = (row["id"].as_i64(), text) {
                texts.insert(id, text);
            }
        }
    }
}

/// Every text under which a row is found: one, or several where a narrowing field holds several records.
fn row_texts((by, ttype): (&str, &str), narrowings: &[Narrowing], row: &Value) -> Vec<(String, i64)> {
    let (Some(id), Some(text)) = (
        row["id"].as_i64(),
        compare::normal(ttype, by, &verify::decode(ttype, &row[by])),
    ) else {
        return Vec::new();
    };
    let mut texts = vec![text];
    for narrowing in narrowings {
        let value = verify::decode(&narrowing.ttype, &row[&narrowing.field]);
        let options: Vec<String> = match (&narrowing.texts, value) {
            (Some(known), OdooValue::Link(Reference::Id(id))) => known.get(&id).cloned().into_iter().collect(),
            (Some(known), OdooValue::Links(ids)) => ids
                .iter()
                .filter_map(Reference::id)
                .filter_map(|id| known.get(&id).cloned())
                .collect(),
            (_, value) => compare::normal(&narrowing.ttype, &narrowing.dotted, &value)
                .into_iter()
                .collect(),
        };
        texts = texts
            .iter()
            .flat_map(|text| options.iter().map(move |option| format!("{text}\u{0}{option}")))
            .collect();
    }
    texts.into_iter().map(|text| (text, id)).collect()
}

async fn languages(rpc: &dyn Rpc) -> Result<Vec<String>, StepError> {
    let answer = rpc
        .call(
            "res.lang",
            "search_read",
            args!({"domain": [["active", "=", true]], "fields": ["code"]}),
        )
        .await?;
    let rows = answer.as_array().cloned().unwrap_or_default();
    let mut codes: Vec<String> = rows
        .iter()
        .filter_map(|row| row["code"].as_str().map(str::to_owned))
        .collect();
    if codes.is_empty() {
        codes.push("en_US".into());
    }
    Ok(codes)
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
