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
    let without_records = abstract_models(rpc).await?;
    Ok(rows
        .filter(|row| !without_records.contains(patience::text(row, "model")))
        .map(|row| Pointer {
            model: patience::text(row, "model").to_owned(),
            field: patience::text(row, "name").to_owned(),
            ttype: patience::text(row, "ttype").to_owned(),
        })
        .filter(|pointer| !models::KEPT_BY_ODOO.contains(&pointer.field.as_str()))
        .collect())
}

/// Models that have fields and no records: nobody may search them.
async fn abstract_models(rpc: &dyn Rpc) -> Result<BTreeSet<String>, RpcError> {
    let args = args!({"domain": [["abstract", "=", true]], "fields": ["model"]});
    match patience::call(rpc, "ir.model", "search_read", args).await {
        Ok(answer) => {
            let rows = patience::rows(&answer, "search_read")?.into_iter();
            Ok(rows.map(|row| patience::text(row, "model").to_owned()).collect())
        }
        // an Odoo that does not tell them apart
        Err(RpcError::Rejected { .. }) => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Those of the records (at most [`CHUNK`]) that something refers to, that have a second external id, or that carry
/// messages, activities or files. Links in the fields `ours` are their own and hold nothing. All of them, where Odoo has a
/// field that points to them and refuses to search it.
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
    let told = told(rpc, model).await?;
    let held = |pointer: &Pointer| pointer.ttype != MANY || !other_side.contains(pointer.model.as_str());
    let pointers: BTreeSet<Pointer> = described(bundled, model)
        .union(&told)
        .filter(|p| held(p))
        .cloned()
        .collect();
    for pointer in &pointers {
        let Pointer {
            model: owner, field, ..
        } = pointer;
        let found = match rows(rpc, owner, json!([[field, "in", ids]]), field).await {
            Ok(rows) => rows,
            Err(error) => match meaning(&error, told.contains(pointer)) {
                Refused::Lacking => continue,
                Refused::Unknown => {
                    used.extend(ids);
                    continue;
                }
                Refused::Trouble => return Err(error),
            },
        };
        for row in found {
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

/// What it means that a field could not be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// There is no such field: nothing refers by it.
    Lacking,
    /// It may be that one of the records is referred to.
    Unknown,
    /// Odoo does not answer.
    Trouble,
}

/// What a refusal means, of a field that Odoo `told` of or that only the bundled description has.
fn meaning(error: &RpcError, told: bool) -> Refused {
    match error {
        // a report of Odoo's that is said to be stored and has no such column
        RpcError::Rejected { name, .. } if name.ends_with(".UndefinedColumn") || name.ends_with(".UndefinedTable") => {
            Refused::Lacking
        }
        RpcError::Rejected { .. } | RpcError::NotFound { .. } if !told => Refused::Lacking,
        RpcError::Rejected { .. } | RpcError::NotFound { .. } | RpcError::Forbidden { .. } => Refused::Unknown,
        _ => Refused::Trouble,
    }
}

/// Rows with one field. A refusal is no answer: it must not pass for none.
async fn rows(rpc: &dyn Rpc, model: &str, domain: Json, field: &str) -> Result<Vec<Json>, RpcError> {
    let args = args!({"domain": domain, "fields": [field], "load": null, "context": {"active_test": false}});
    match patience::call(rpc, model, "search_read", args).await? {
        Json::Array(rows) => Ok(rows),
        _ => Err(patience::odd("search_read")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::odoo::{memory::Memory, rpc::Args};

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
        let tags = TargetField::new("category_id", "many2many");
        let used = in_use(&*memory, "res.partner", &[tags], &ids[2..3]).await.unwrap();
        assert!(used.is_empty(), "its own tags do not hold it");
    }

    /// An Odoo that refuses to search some models.
    struct Refusing(Memory, &'static [&'static str]);

    #[async_trait]
    impl Rpc for Refusing {
        async fn call(&self, model: &str, method: &str, args: Args) -> Result<Json, RpcError> {
            if method == "search_read" && self.1.contains(&model) {
                return Err(RpcError::Rejected {
                    name: "builtins.ValueError".into(),
                    message: "no".into(),
                });
            }
            self.0.call(model, method, args).await
        }

        async fn version(&self) -> Result<String, RpcError> {
            self.0.version().await
        }
    }

    #[tokio::test]
    async fn a_search_that_is_refused_stops_and_is_not_taken_for_nobody() {
        for refused in [
            &["mail.message"],
            &["ir.attachment"],
            &["ir.model.data"],
            &["ir.model.fields"],
        ] {
            let odoo = Refusing(Memory::new(), refused);
            let answer = in_use(&odoo, "res.partner", &[], &[1]).await;
            assert!(
                matches!(answer, Err(RpcError::Rejected { .. })),
                "{refused:?}: {answer:?}"
            );
        }
    }

    #[test]
    fn only_a_field_that_is_not_there_can_be_passed_over() {
        let rejected = |name: &str| RpcError::Rejected {
            name: name.to_owned(),
            message: String::new(),
        };
        let forbidden = RpcError::Forbidden { message: String::new() };
        for (error, told, meant) in [
            (rejected("builtins.ValueError"), false, Refused::Lacking),
            (rejected("builtins.ValueError"), true, Refused::Unknown),
            (rejected("psycopg2.errors.UndefinedColumn"), true, Refused::Lacking),
            (rejected("psycopg2.errors.UndefinedTable"), false, Refused::Lacking),
            (forbidden.clone(), true, Refused::Unknown),
            (forbidden, false, Refused::Unknown),
            (RpcError::Unauthorized, false, Refused::Trouble),
        ] {
            assert_eq!(meaning(&error, told), meant, "{error} {told}");
        }
    }

    #[tokio::test]
    async fn where_a_field_that_points_there_cannot_be_searched_nothing_is_free() {
        let memory = Memory::new();
        let models = args!({"domain": [["model", "=", "project.task"]], "fields": ["id"]});
        let task = memory.call("ir.model", "search_read", models).await.unwrap();
        let field = json!({"name": "x_customer", "model_id": task[0]["id"], "ttype": "many2one", "relation": "res.partner",
                               "field_description": "Customer", "state": "manual"});
        let made = memory.call("ir.model.fields", "create", args!({"vals_list": [field]}));
        made.await.unwrap();
        let odoo = Refusing(memory, &["project.task"]);
        let answer = in_use(&odoo, "res.partner", &[], &[1, 2]).await.unwrap();
        assert_eq!(answer, BTreeSet::from([1, 2]));
    }

    #[tokio::test]
    async fn what_only_the_bundled_description_has_may_be_lacking() {
        // this Odoo tells of no field of project.task: the app is not installed
        let told = told(&Memory::new(), "res.users").await.unwrap();
        assert!(!told.iter().any(|pointer| pointer.model == "project.task"), "{told:?}");
        let odoo = Refusing(Memory::new(), &["project.task"]);
        assert!(in_use(&odoo, "res.users", &[], &[1]).await.is_ok());
    }
}
