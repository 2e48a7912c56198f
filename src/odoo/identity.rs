//! External ids: what says which record of Odoo is which record of the source (`ir.model.data`).

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::{
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{args, model::OdooModel};

const DATA: &str = "ir.model.data";
/// Rows asked for in one call.
const PAGE: usize = 5_000;
/// Names or ids listed in one call.
const LIST: usize = 1_000;

/// An external id of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name within the module, `<object>_<key>`.
    pub name: String,
    /// The record.
    pub res_id: i64,
    /// Id of the external id itself: grows with time.
    pub data_id: i64,
    /// The record was there before us: it was adopted.
    pub noupdate: bool,
}

/// Every external id `<object>_…` of a module that names a record of the model, in the order they were made. (Odoo's
/// `load` makes more of them, such as `teams_1_mail_alias`: they name records of other models.)
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn find_all(rpc: &dyn Rpc, module: &str, object: &str, model: &str) -> Result<Vec<Identity>, RpcError> {
    let prefix = format!("{object}_");
    let (mut found, mut last) = (Vec::new(), 0);
    loop {
        let answer = patience::call(
            rpc,
            DATA,
            "search_read",
            args!({
                // an underscore is a wildcard here, hence the check below
                "domain": [
                    ["module", "=", module], ["name", "=like", format!("{prefix}%")], ["model", "=", model],
                    ["id", ">", last],
                ],
                "fields": ["name", "res_id", "noupdate"], "order": "id", "limit": PAGE,
            }),
        )
        .await?;
        let rows = patience::rows(&answer, "search_read")?;
        let Some(end) = rows.last() else { return Ok(found) };
        last = patience::integer(end, "id")?;
        for row in rows {
            let name = patience::text(row, "name");
            if name.starts_with(&prefix) {
                found.push(Identity {
                    name: name.to_owned(),
                    res_id: patience::integer(row, "res_id")?,
                    data_id: patience::integer(row, "id")?,
                    noupdate: row
                        .get("noupdate")
                        .and_then(serde_json::Value::as_bool)
                        .unwrap_or(false),
                });
            }
        }
    }
}

/// The records that these external ids name; those that do not exist are left out.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn find(rpc: &dyn Rpc, module: &str, names: &[String]) -> Result<HashMap<String, i64>, RpcError> {
    let owners = owners(rpc, module, names).await?;
    Ok(owners.into_iter().map(|(name, (_, id))| (name, id)).collect())
}

/// As [`find`], with the model of each record.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn owners(
    rpc: &dyn Rpc,
    module: &str,
    names: &[String],
) -> Result<HashMap<String, (OdooModel, i64)>, RpcError> {
    let mut found = HashMap::with_capacity(names.len());
    for chunk in names.chunks(LIST) {
        let domain = json!([["module", "=", module], ["name", "in", chunk]]);
        let args = args!({"domain": domain, "fields": ["name", "model", "res_id"]});
        let answer = patience::call(rpc, DATA, "search_read", args).await?;
        for row in patience::rows(&answer, "search_read")? {
            let model = OdooModel(patience::text(row, "model").to_owned());
            found.insert(
                patience::text(row, "name").to_owned(),
                (model, patience::integer(row, "res_id")?),
            );
        }
    }
    Ok(found)
}

/// Of these records of a model those that external ids of other objects name.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn of_others(
    rpc: &dyn Rpc,
    module: &str,
    object: &str,
    model: &str,
    ids: &[i64],
) -> Result<BTreeSet<i64>, RpcError> {
    let ours = format!("{object}_");
    let mut found = BTreeSet::new();
    for chunk in ids.chunks(LIST) {
        let domain = json!([["module", "=", module], ["model", "=", model], ["res_id", "in", chunk]]);
        let answer = patience::call(
            rpc,
            DATA,
            "search_read",
            args!({"domain": domain, "fields": ["name", "res_id"]}),
        )
        .await?;
        for row in patience::rows(&answer, "search_read")? {
            if !patience::text(row, "name").starts_with(&ours) {
                found.insert(patience::integer(row, "res_id")?);
            }
        }
    }
    Ok(found)
}

/// Takes an external id away; its record stays.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn forget(rpc: &dyn Rpc, module: &str, name: &str) -> Result<(), RpcError> {
    let domain = json!([["module", "=", module], ["name", "=", name]]);
    let found = patience::call(rpc, DATA, "search", args!({"domain": domain})).await?;
    let ids = patience::ids(&found, "search")?;
    if !ids.is_empty() {
        rpc.call(DATA, "unlink", args!({"ids": ids})).await?;
    }
    Ok(())
}

/// How many records that external ids of the object name are there, archived or not. Several may name one.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn count_present(rpc: &dyn Rpc, module: &str, object: &str, model: &str) -> Result<i64, RpcError> {
    let named: BTreeSet<i64> = find_all(rpc, module, object, model)
        .await?
        .iter()
        .map(|identity| identity.res_id)
        .collect();
    let named: Vec<i64> = named.into_iter().collect();
    let mut count = 0;
    for chunk in named.chunks(LIST) {
        count += existing(rpc, model, chunk).await?.len();
    }
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Those of the ids (at most 5,000) that are records, archived or not.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub async fn existing(rpc: &dyn Rpc, model: &str, ids: &[i64]) -> Result<BTreeSet<i64>, RpcError> {
    let domain = json!([["id", "in", ids]]);
    let args = args!({"domain": domain, "context": {"active_test": false}});
    let answer = patience::call(rpc, model, "search", args).await?;
    Ok(patience::ids(&answer, "search")?.into_iter().collect())
}
