//! Custom models, made before their fields. Idempotent: what is there is used, and what it lacks is added.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::{
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{api::mapping_spec::Access, args, mapping::CustomModel};

/// May always do all: whoever makes models is one of them.
const ADMINISTRATORS: &str = "base.group_system";

/// The records that external ids name; those that Odoo lacks are left out.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn named(
    rpc: &dyn Rpc,
    model: &str,
    names: impl IntoIterator<Item = &str>,
) -> Result<BTreeMap<String, i64>, RpcError> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let tails: Vec<&str> = names.iter().filter_map(|name| Some(name.split_once('.')?.1)).collect();
    let domain = json!([["model", "=", model], ["name", "in", tails]]);
    let args = args!({"domain": domain, "fields": ["module", "name", "res_id"]});
    let answer = patience::call(rpc, "ir.model.data", "search_read", args).await?;
    let mut found = BTreeMap::new();
    for row in patience::rows(&answer, "search_read")? {
        let name = format!("{}.{}", patience::text(row, "module"), patience::text(row, "name"));
        if names.contains(name.as_str()) {
            found.insert(name, patience::integer(row, "res_id")?);
        }
    }
    Ok(found)
}

/// Makes the models that are missing, with their rights and menus; says which of them it made.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn ensure(rpc: &dyn Rpc, models: &[CustomModel]) -> Result<Vec<String>, RpcError> {
    let mut made = Vec::new();
    for model in models {
        let mut tries = 0;
        loop {
            // looking again is what settles a call without an answer
            match once(rpc, model).await {
                Ok(new) => {
                    made.extend(new.then(|| model.model.0.clone()));
                    break;
                }
                Err(error) => match patience::wait_to_repeat(&error, tries) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
            }
            tries += 1;
        }
    }
    Ok(made)
}

async fn once(rpc: &dyn Rpc, model: &CustomModel) -> Result<bool, RpcError> {
    let groups = named(
        rpc,
        "res.groups",
        model.access.keys().map(String::as_str).chain([ADMINISTRATORS]),
    )
    .await?;
    let rules = rules(model, &groups);
    let name = model.model.0.as_str();
    let there = first(rpc, "ir.model", json!([["model", "=", name]])).await?;
    if let Some(id) = there {
        let known = granted(rpc, id).await?;
        let missing: Vec<Json> = rules
            .into_iter()
            .filter(|rule| rule["group_id"].as_i64().is_none_or(|group| !known.contains(&group)))
            .map(|mut rule| {
                rule.insert("model_id".to_owned(), json!(id));
                Json::Object(rule)
            })
            .collect();
        if !missing.is_empty() {
            create(rpc, "ir.model.access", json!(missing)).await?;
        }
    } else {
        let access: Vec<Json> = rules.into_iter().map(|rule| json!([0, 0, rule])).collect();
        let mut values = args!({"name": model.label, "model": name, "access_ids": access});
        if !model.help.is_empty() {
            values.insert("info".to_owned(), Json::from(model.help.as_str()));
        }
        create(rpc, "ir.model", json!([values])).await?;
    }
    if let Some(menu) = &model.menu {
        place(rpc, model, menu).await?;
    }
    Ok(there.is_none())
}

/// The rights that the model's groups need, as values of `ir.model.access`.
fn rules(model: &CustomModel, groups: &BTreeMap<String, i64>) -> Vec<Map<String, Json>> {
    let said = model.access.iter().map(|(group, access)| (group.as_str(), *access));
    let all = said
        .filter(|(group, _)| *group != ADMINISTRATORS)
        .chain([(ADMINISTRATORS, Access::Full)]);
    all.filter_map(|(group, access)| {
        let full = access == Access::Full;
        Some(args!({
            "name": format!("{} {group}", model.model), "group_id": groups.get(group)?,
            "perm_read": true, "perm_write": full, "perm_create": full, "perm_unlink": full,
        }))
    })
    .collect()
}

/// Groups that have rights on a model.
async fn granted(rpc: &dyn Rpc, model: i64) -> Result<BTreeSet<i64>, RpcError> {
    let args = args!({"domain": [["model_id", "=", model]], "fields": ["group_id"], "load": null});
    let answer = patience::call(rpc, "ir.model.access", "search_read", args).await?;
    let rows = patience::rows(&answer, "search_read")?.into_iter();
    Ok(rows
        .filter_map(|row| super::verify::link(row.get("group_id")?))
        .collect())
}

/// Puts the model below a menu.
async fn place(rpc: &dyn Rpc, model: &CustomModel, menu: &str) -> Result<(), RpcError> {
    let name = model.model.0.as_str();
    let Some(parent) = named(rpc, "ir.ui.menu", [menu]).await?.remove(menu) else {
        return Ok(());
    };
    let window = "ir.actions.act_window";
    let of_model = || json!([["res_model", "=", name]]);
    let action = if let Some(action) = first(rpc, window, of_model()).await? {
        action
    } else {
        let values = json!([{"name": model.label, "res_model": name, "view_mode": "list,form"}]);
        create(rpc, window, values).await?;
        first(rpc, window, of_model())
            .await?
            .ok_or_else(|| patience::odd("create"))?
    };
    let target = format!("{window},{action}");
    let domain = json!([["parent_id", "=", parent], ["name", "=", model.label]]);
    if first(rpc, "ir.ui.menu", domain).await?.is_none() {
        let values = json!([{"name": model.label, "parent_id": parent, "action": target}]);
        create(rpc, "ir.ui.menu", values).await?;
    }
    Ok(())
}

async fn first(rpc: &dyn Rpc, model: &str, domain: Json) -> Result<Option<i64>, RpcError> {
    let args = args!({"domain": domain, "order": "id", "limit": 1, "context": {"active_test": false}});
    let found = patience::call(rpc, model, "search", args).await?;
    Ok(patience::ids(&found, "search")?.first().copied())
}

async fn create(rpc: &dyn Rpc, model: &str, records: Json) -> Result<(), RpcError> {
    rpc.call(model, "create", args!({"vals_list": records}))
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OdooModel;

    #[test]
    fn every_group_gets_what_was_said_and_administrators_all() {
        let model = CustomModel {
            model: OdooModel("x_pipz_campaign".into()),
            label: "Campaigns".into(),
            help: String::new(),
            access: BTreeMap::from([
                ("base.group_user".into(), Access::Read),
                ("base.group_system".into(), Access::Read),
                ("gone.group".into(), Access::Full),
            ]),
            menu: None,
        };
        let groups = BTreeMap::from([("base.group_user".to_owned(), 1), ("base.group_system".to_owned(), 4)]);
        let rights: Vec<_> = rules(&model, &groups)
            .iter()
            .map(|rule| {
                (
                    rule["group_id"].clone(),
                    rule["perm_read"].clone(),
                    rule["perm_unlink"].clone(),
                )
            })
            .collect();
        assert_eq!(
            rights,
            [
                (json!(1), json!(true), json!(false)),
                (json!(4), json!(true), json!(true))
            ]
        );
    }
}
