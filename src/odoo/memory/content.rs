//! Content: attachments, and the binary fields of other models, which Odoo keeps in attachments too. What proves a content is
//! kept of all, the bytes of small ones alone: a dry run of a company's files must not fill the memory.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Call,
    domain::Domain,
    refusal::{self, Outcome},
    store::{Row, Store},
    values::{is_true, type_of},
};
use crate::model::Content;

pub(super) const ATTACHMENT: &str = "ir.attachment";
/// Bytes up to which a content is kept.
const KEPT: usize = 64 << 10;

/// Whether Odoo keeps the field's value in an attachment.
pub(super) fn is_kept_apart(model: &str, field: &Value) -> bool {
    model != ATTACHMENT && type_of(field) == "binary" && is_true(&field["store"])
}

/// Turns what is sent for an attachment into what is kept of it. `is_new`: it has no content yet.
pub(super) fn take(vals: &mut Row, is_new: bool) {
    for kept_by_odoo in ["checksum", "file_size", "store_fname"] {
        vals.remove(kept_by_odoo);
    }
    let (raw, datas) = (vals.remove("raw"), vals.remove("datas"));
    if raw.is_none() && datas.is_none() {
        return;
    }
    let text = |value: &Option<Value>| {
        let text = value.as_ref().and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let bytes = match (text(&raw), text(&datas)) {
        // as text it is its own content
        (Some(raw), _) => raw.into_bytes(),
        (None, Some(datas)) => decoded(&datas),
        (None, None) if is_new => return,
        (None, None) => Vec::new(),
    };
    let content = Content::of(&bytes);
    vals.insert("checksum".to_owned(), json!(content.sha1));
    vals.insert("file_size".to_owned(), json!(content.size));
    let kept = (!bytes.is_empty() && bytes.len() <= KEPT).then(|| STANDARD.encode(&bytes));
    vals.insert("db_datas".to_owned(), json!(kept));
}

/// As Python decodes: what is no character of base64 is left out, and so is what is no whole group.
fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_else(|_| {
        let mut plain: String = text
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
            .collect();
        plain.truncate(plain.len() / 4 * 4);
        STANDARD.decode(plain).unwrap_or_default()
    })
}

/// Gives a binary field its content.
pub(super) fn set(store: &mut Store, call: &Call, (model, id, field): (&str, i64, &str), value: Value) {
    let there = store.stored(model, id, field).as_i64();
    let mut row = Row::from_iter([("datas".to_owned(), value)]);
    take(&mut row, there.is_none());
    let empty = row.get("file_size").is_none_or(|size| *size == json!(0));
    if empty {
        if let Some(attachment) = there {
            store.remove(ATTACHMENT, attachment);
        }
        store.patch(model, id, [(field.to_owned(), Value::Null)]);
        return;
    }
    for written in ["write_date", "create_date"] {
        row.insert(written.to_owned(), json!(call.now));
    }
    for writer in ["write_uid", "create_uid"] {
        row.insert(writer.to_owned(), json!(call.uid));
    }
    if let Some(attachment) = there {
        store.patch(ATTACHMENT, attachment, row);
        return;
    }
    row.retain(|_, value| !value.is_null());
    for (name, value) in [
        ("name", json!(field)),
        ("type", json!("binary")),
        ("res_model", json!(model)),
        ("res_field", json!(field)),
        ("res_id", json!(id)),
    ] {
        row.insert(name.to_owned(), value);
    }
    let attachment = store.next_id(ATTACHMENT);
    store.put(ATTACHMENT, attachment, row);
    store.patch(model, id, [(field.to_owned(), json!(attachment))]);
}

/// The content of a binary field, in base64.
pub(super) fn get(store: &Store, model: &str, id: i64, field: &str) -> Value {
    if model == ATTACHMENT {
        // an attachment without content has an empty one
        return match store.stored(ATTACHMENT, id, "db_datas") {
            Value::Null => json!(""),
            datas => datas.clone(),
        };
    }
    let attachment = store.stored(model, id, field).as_i64();
    attachment.map_or(Value::Null, |id| store.stored(ATTACHMENT, id, "db_datas").clone())
}

/// Refuses to read content that is not kept.
pub(super) fn check_kept(store: &Store, model: &str, id: i64, field: &str) -> Outcome<()> {
    let attachment = match (model, field) {
        (ATTACHMENT, "datas" | "raw") => Some(id),
        _ if store
            .field(model, field)
            .is_some_and(|field| is_kept_apart(model, field)) =>
        {
            store.stored(model, id, field).as_i64()
        }
        _ => None,
    };
    let size = attachment.and_then(|id| store.stored(ATTACHMENT, id, "file_size").as_u64());
    match size {
        Some(size) if size > KEPT as u64 => Err(refusal::value(format!(
            "the odoo in memory keeps no content of more than {} KiB",
            KEPT >> 10
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Whether a search hides an attachment: the content of fields is shown to who asks for it.
pub(super) fn hides(model: &str, domain: &Domain, row: &Row) -> bool {
    model == ATTACHMENT && row.contains_key("res_field") && !domain.mentions("res_field") && !domain.mentions("id")
}

/// The attachments of records that go.
pub(super) fn of_records(store: &Store, model: &str, ids: &[i64]) -> Vec<i64> {
    let of = |row: &Row| {
        row.get("res_model").and_then(Value::as_str) == Some(model)
            && row
                .get("res_id")
                .and_then(Value::as_i64)
                .is_some_and(|id| ids.contains(&id))
    };
    store
        .rows(ATTACHMENT)
        .filter(|(_, row)| of(row))
        .map(|(id, _)| id)
        .collect()
}
