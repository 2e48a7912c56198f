//! What lookups into models of Odoo may find: read from Odoo once per step into the index.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{PAGE, model_scope, put_found};
use crate::{
    args,
    mapping::{LookupTarget, Object, compare},
    model::{OdooValue, Reference},
    odoo::{
        models::{Models, is_custom},
        rpc::{Args, Rpc, RpcError},
        verify,
    },
    worker::{
        error::StepError,
        index::{Index, Kind},
    },
};

/// Reads what an object's lookups into models need.
///
/// # Errors
/// When Odoo or the scratch disk fails.
pub async fn load(index: &mut Index, rpc: &dyn Rpc, models: &Models, object: &Object) -> Result<(), StepError> {
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
