//! Content of binary fields: read back as size and checksum, never as bytes where Odoo keeps those beside them; sent as base64
//! that is made when its call is.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json, json};

use super::{
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{
    args,
    model::{Content, OdooValue},
};

/// Bytes of content in one call, unless a single one is larger.
pub(super) const CALL_BYTES: u64 = 8 << 20;
/// Where Odoo keeps content.
const ATTACHMENT: &str = "ir.attachment";
/// What Odoo keeps of the content of an attachment.
pub(super) const PROOF: [&str; 2] = ["checksum", "file_size"];

/// Where the bytes of content are.
#[async_trait]
pub trait Contents: Send + Sync {
    /// The bytes, in base64.
    async fn base64(&self, content: &Content) -> Result<String, Unread>;
}

/// Content whose bytes cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("content cannot be read")]
pub struct Unread(#[source] pub Box<dyn Error + Send + Sync>);

/// Where there is no content: what asks for some is a defect of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoContents;

#[async_trait]
impl Contents for NoContents {
    async fn base64(&self, _: &Content) -> Result<String, Unread> {
        Err(Unread("there is no content here".into()))
    }
}

/// Whether the field is the content of the record itself, with its proof in fields beside it.
pub(super) fn is_own(model: &str, field: &str) -> bool {
    matches!(model, ATTACHMENT | "product.document") && matches!(field, "datas" | "raw")
}

/// What the field is called in a call: `raw` takes bytes, which no wire carries.
pub(super) fn sent_as<'a>(model: &str, field: &'a str) -> &'a str {
    if is_own(model, field) { "datas" } else { field }
}

/// What an attachment was read with.
pub(super) fn of_row(row: &Map<String, Json>) -> OdooValue {
    let size = row.get("file_size").and_then(Json::as_u64).unwrap_or(0);
    if size == 0 {
        return OdooValue::Empty;
    }
    OdooValue::Content(Content::in_odoo(patience::text(row, "checksum").to_owned(), size))
}

/// What a value is as content; `None` where it is none.
pub(super) fn of(value: &OdooValue) -> Option<Content> {
    match value {
        OdooValue::Content(content) => Some(content.clone()),
        OdooValue::Text(text) => Content::of_base64(text),
        OdooValue::Empty
        | OdooValue::Integer(_)
        | OdooValue::Float(_)
        | OdooValue::Boolean(_)
        | OdooValue::Date(_)
        | OdooValue::DateTime(_)
        | OdooValue::Link(_)
        | OdooValue::Links(_)
        | OdooValue::Lines(_) => None,
    }
}

/// The content of binary fields of records. Odoo keeps most of it in attachments, which have its checksum; what lies
/// elsewhere is read, one by one.
///
/// # Errors
/// When Odoo does not answer, or refuses.
pub(super) async fn of_fields(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[&str],
    ids: &[i64],
) -> Result<BTreeMap<(i64, String), OdooValue>, RpcError> {
    let mut found = BTreeMap::new();
    if fields.is_empty() || ids.is_empty() {
        return Ok(found);
    }
    let domain = json!([
        ["res_model", "=", model],
        ["res_field", "in", fields],
        ["res_id", "in", ids]
    ]);
    let args = args!({"domain": domain, "fields": ["res_id", "res_field", "checksum", "file_size"], "load": null});
    let answer = patience::call(rpc, ATTACHMENT, "search_read", args).await?;
    for row in patience::rows(&answer, "search_read")? {
        let at = (
            patience::integer(row, "res_id")?,
            patience::text(row, "res_field").to_owned(),
        );
        found.insert(at, of_row(row));
    }
    let at = |id: &i64, field: &&str| (*id, (*field).to_owned());
    let without = |id: &&i64| fields.iter().any(|field| !found.contains_key(&at(id, field)));
    let rest: Vec<i64> = ids.iter().filter(without).copied().collect();
    for (id, field) in elsewhere(rpc, model, fields, &rest).await? {
        if !found.contains_key(&(id, field.clone())) {
            let bytes = bytes(rpc, model, id, &field).await?;
            found.insert((id, field), OdooValue::Content(without_name(&Content::of(&bytes))));
        }
    }
    Ok(found)
}

/// As Odoo tells it: it has no bytes of ours.
fn without_name(content: &Content) -> Content {
    Content::in_odoo(content.sha1.clone(), content.size)
}

/// Fields that have content, told without its bytes.
async fn elsewhere(
    rpc: &dyn Rpc,
    model: &str,
    fields: &[&str],
    ids: &[i64],
) -> Result<BTreeSet<(i64, String)>, RpcError> {
    let mut found = BTreeSet::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let args = args!({
        "domain": [["id", "in", ids]], "fields": fields, "load": null,
        "context": {"active_test": false, "bin_size": true},
    });
    let answer = patience::call(rpc, model, "search_read", args).await?;
    for row in patience::rows(&answer, "search_read")? {
        let id = patience::integer(row, "id")?;
        let there = fields.iter().filter(|field| !patience::text(row, field).is_empty());
        found.extend(there.map(|field| (id, (*field).to_owned())));
    }
    Ok(found)
}

/// The bytes of a field, as they are now.
///
/// # Errors
/// When Odoo does not answer, refuses, or answers no base64.
pub async fn bytes(rpc: &dyn Rpc, model: &str, id: i64, field: &str) -> Result<Vec<u8>, RpcError> {
    let field = sent_as(model, field);
    let args = args!({
        "domain": [["id", "=", id]], "fields": [field], "load": null,
        "context": {"active_test": false, "bin_size": false},
    });
    let answer = patience::call(rpc, model, "search_read", args).await?;
    let rows = patience::rows(&answer, "search_read")?;
    let text = rows.first().map_or("", |row| patience::text(row, field));
    STANDARD.decode(text).map_err(|_| patience::odd("search_read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_is_what_its_checksum_says_and_one_of_no_size_is_empty() {
        let row = |json: Json| json.as_object().cloned().unwrap();
        let found = of_row(&row(json!({"checksum": "ab", "file_size": 2})));
        assert_eq!(found, OdooValue::Content(Content::in_odoo("ab".to_owned(), 2)));
        assert_eq!(
            of_row(&row(json!({"checksum": false, "file_size": 0}))),
            OdooValue::Empty
        );
    }

    #[test]
    fn raw_is_sent_as_base64_and_other_fields_by_their_names() {
        assert_eq!(sent_as("ir.attachment", "raw"), "datas");
        assert_eq!(sent_as("product.document", "datas"), "datas");
        assert_eq!(sent_as("res.partner", "image_1920"), "image_1920");
    }
}
