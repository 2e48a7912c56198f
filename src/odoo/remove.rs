//! Taking records away: what still hangs on them, or refers to them, is looked for first. Odoo would empty most
//! references, and delete messages and files along with their record, without a word.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::{
    models::{self, Models},
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{args, mapping::TargetField};

/// Records asked about in one call.
pub const CHUNK: usize = 500;

/// What hangs on a record by its model's name and its id: goes with it.
const HANGS: [(&str, &str); 3] = [
    ("mail.message", "model"),
    ("mail.activity", "res_model"),
    ("ir.attachment", "res_model"),
];

const MANY: &str = "many2many";

/// A field of a model that points to records of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pointer {
    model: String,
    field: String,
    ttype: String,
}

/// Fields of described models that point to `model`, but for those that Odoo keeps itself.
fn described(models: &Models, model: &str) -> BTreeSet<Pointer> {
    let all = models.models.iter().flat_map(|(owner, described)| {
        let fields = described.fields.iter();
        fields.map(move |(name, field)| (owner, name, field))
    });
    all.filter(|(_, name, field)| {
        field.relation.as_deref() == Some(model)
            && field.store
            && matches!(field.ttype.as_str(), "many2one" | "many2many")
            && !models::KEPT_BY_ODOO.contains(&name.as_str())
    })
    .map(|(owner, name, field)| Pointer {
        model: owner.clone(),
        field: name.clone(),
        ttype: field.ttype.clone(),
    })
    .collect()
}

/// The same as this Odoo tells it, its custom fields and further modules with it.
async fn told(rpc: &dyn Rpc, model: &str) -> Result<BTreeSet<Pointer>, RpcError> {
    let args = args!({
        "domain": [["relation", "=", model], ["store", "=", true], ["ttype", "in", ["many2one", "many2many"]]],
        "fields": ["model", "name", "ttype"],
    });
    let answer = patience::call(rpc, "ir.model.fields", "search_read", args).await?;
    let rows = patience::rows(&answer, "search_read")?.into_iter();
    Ok(rows
        .map(|row| Pointer {
            model: patience::text(row, "model").to_owned(),
            field: patience::text(row, "name").to_owned(),
            ttype: patience::text(row, "ttype").to_owned(),
        })
        .filter(|pointer| !models::KEPT_BY_ODOO.contains(&pointer.field.as_str()))
        .collect())
}

/// Those of the records (at most [`CHUNK`]) that something refers to, that have a second external id, or that carry
/// messages, activities or files. Links in the fields `ours` are their own and hold nothing.
///
/// # Errors
/// When Odoo does not answer, or does not let us look.
pub async fn in_use(rpc: &dyn Rpc, model: &str, ours: &[TargetField], ids: &[i64]) -> Result<BTreeSet<i64>, RpcError> {
    let bundled = models::bundled();
    // the other side of a link of ours
    let other_side: BTreeSet<&str> = ours
        .iter()
        .filter(|field| field.ttype == MANY)
        .filter_map(|field| bundled.field(model, &field.name)?.relation.as_deref())
        .collect();
    let mut used = BTreeSet::new();
    for (owner, field) in HANGS {
        let domain = json!([[field, "=", model], ["res_id", "in", ids]]);
        for row in rows(rpc, owner, domain, "res_id").await? {
            used.extend(row["res_id"].as_i64());
        }
    }
    let mut names: BTreeMap<i64, usize> = BTreeMap::new();
    let domain = json!([["model", "=", model], ["res_id", "in", ids]]);
    for row in rows(rpc, "ir.model.data", domain, "res_id").await? {
        *names.entry(row["res_id"].as_i64().unwrap_or_default()).or_default() += 1;
    }
    // a second name: another object of ours, or a module of Odoo's, has it too
    used.extend(names.into_iter().filter(|(_, names)| *names > 1).map(|(id, _)| id));
    let pointers: BTreeSet<Pointer> = described(bundled, model)
        .into_iter()
        .chain(told(rpc, model).await?)
        .filter(|pointer| pointer.ttype != MANY || !other_side.contains(pointer.model.as_str()))
        .collect();
    for Pointer {
        model: owner, field, ..
    } in &pointers
    {
        for row in rows(rpc, owner, json!([[field, "in", ids]]), field).await? {
            let itself = row["id"].as_i64().filter(|_| owner == model);
            let points: Vec<i64> = match &row[field.as_str()] {
                Json::Array(list) => list.iter().filter_map(Json::as_i64).collect(),
                one => one.as_i64().into_iter().collect(),
            };
            used.extend(points.into_iter().filter(|id| Some(*id) != itself && ids.contains(id)));
        }
    }
    Ok(used)
}

/// Rows with one field; none where this Odoo lacks the model or the field.
async fn rows(rpc: &dyn Rpc, model: &str, domain: Json, field: &str) -> Result<Vec<Json>, RpcError> {
    let args = args!({"domain": domain, "fields": [field], "load": null, "context": {"active_test": false}});
    match patience::call(rpc, model, "search_read", args).await {
        Ok(Json::Array(rows)) => Ok(rows),
        Ok(_) => Err(patience::odd("search_read")),
        Err(RpcError::Rejected { .. } | RpcError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::odoo::memory::Memory;

    #[test]
    fn fields_that_point_to_a_model_are_found_and_who_wrote_a_record_is_none() {
        let pointers = described(models::bundled(), "res.users");
        let has = |model: &str, field: &str| pointers.iter().any(|p| p.model == model && p.field == field);
        assert!(has("crm.lead", "user_id") && has("project.task", "user_ids"));
        assert!(!has("crm.lead", "write_uid") && !has("crm.lead", "create_uid"));
    }

    #[tokio::test]
    async fn a_record_with_children_leads_messages_files_or_a_second_name_is_in_use() {
        let memory = Arc::new(Memory::new());
        let call = async |model: &str, vals: Json| {
            let made = memory
                .call(model, "create", args!({"vals_list": [vals]}))
                .await
                .unwrap();
            made[0].as_i64().unwrap()
        };
        let mut ids = Vec::new();
        for name in [
            "parent",
            "of a lead",
            "tagged",
            "talked to",
            "with a file",
            "twice ours",
            "alone",
        ] {
            ids.push(call("res.partner", json!({"name": name})).await);
        }
        call("res.partner", json!({"name": "child", "parent_id": ids[0]})).await;
        call("crm.lead", json!({"name": "lead", "partner_id": ids[1]})).await;
        call(
            "res.partner.category",
            json!({"name": "tag", "partner_ids": [[6, 0, [ids[2]]]]}),
        )
        .await;
        call(
            "mail.message",
            json!({"model": "res.partner", "res_id": ids[3], "body": "x"}),
        )
        .await;
        call(
            "ir.attachment",
            json!({"name": "f", "res_model": "res.partner", "res_id": ids[4]}),
        )
        .await;
        for (module, id) in [("crmferry_a", ids[5]), ("crmferry_b", ids[5]), ("crmferry_a", ids[6])] {
            let name = json!({"module": module, "name": format!("x_{id}"), "model": "res.partner", "res_id": id});
            call("ir.model.data", name).await;
        }
        let used = in_use(&*memory, "res.partner", &[], &ids).await.unwrap();
        assert_eq!(used, ids[..6].iter().copied().collect());
        let tags = TargetField {
            name: "category_id".into(),
            ttype: "many2many".into(),
        };
        let used = in_use(&*memory, "res.partner", &[tags], &ids[2..3]).await.unwrap();
        assert!(used.is_empty(), "its own tags do not hold it");
    }
}
