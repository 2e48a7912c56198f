//! Records as calls have them: the arguments of `create`, `load` and `write`, and what `load` answers. Pure.

use serde_json::{Map, Value as Json, json};

use super::{
    lines::LineOp,
    patience,
    rpc::{Args, RpcError},
};
use crate::{
    args,
    model::{Content, OdooValue, Reference, Rejection},
};

/// The context of every write: nothing is sent, logged, subscribed, synchronised or re-encoded.
pub(super) fn quiet() -> Map<String, Json> {
    args!({
        "tracking_disable": true, "mail_create_nolog": true, "mail_create_nosubscribe": true, "mail_notrack": true,
        "no_reset_password": true, "mail_activity_quick_update": true, "no_mail_to_attendees": true,
        "image_no_postprocess": true, "_partners_skip_fields_sync": true,
    })
}

/// Content among values, which is filled in when the call is made: until then `null` keeps its place.
pub(super) fn contents(values: &[(String, OdooValue)]) -> Vec<(String, Content)> {
    let content = |(field, value): &(String, OdooValue)| match value {
        OdooValue::Content(content) => Some((field.clone(), content.clone())),
        _ => None,
    };
    values.iter().filter_map(content).collect()
}

fn one(field: &str, value: &OdooValue) -> Result<Json, Rejection> {
    match value {
        OdooValue::Content(_) => Ok(Json::Null),
        value => value.to_wire().ok_or_else(|| pending(field)),
    }
}

/// Values of a new record.
pub(super) fn whole(values: &[(String, OdooValue)]) -> Result<Map<String, Json>, Rejection> {
    values
        .iter()
        .map(|(field, value)| Ok((field.clone(), one(field, value)?)))
        .collect()
}

/// Values that change a record: links are added and taken away one by one, what people linked stays.
pub(super) fn changes(
    values: &[(String, OdooValue)],
    unlink: &[(String, Vec<i64>)],
    lines: &[(String, Vec<LineOp>)],
) -> Result<Map<String, Json>, Rejection> {
    let (mut all, mut commands): (_, Map<String, Json>) = (Map::new(), Map::new());
    let mut command = |field: &String, code: i64, id: i64| {
        let list = commands.entry(field.clone()).or_insert_with(|| json!([]));
        list.as_array_mut()
            .expect("made as a list one line above")
            .push(json!([code, id]));
    };
    for (field, value) in values {
        if let OdooValue::Links(links) = value {
            for link in links {
                command(field, 4, link.id().ok_or_else(|| pending(field))?);
            }
        } else {
            all.insert(field.clone(), one(field, value)?);
        }
    }
    for (field, ids) in unlink {
        for id in ids {
            command(field, 3, *id);
        }
    }
    all.extend(commands);
    for (field, ops) in lines {
        let commands = ops.iter().map(|op| line(field, op)).collect::<Result<Vec<_>, _>>()?;
        all.insert(field.clone(), Json::Array(commands));
    }
    Ok(all)
}

/// The command that changes a one2many.
fn line(field: &str, op: &LineOp) -> Result<Json, Rejection> {
    Ok(match op {
        LineOp::Add(line) => line.to_wire().ok_or_else(|| pending(field))?,
        LineOp::Change { id, values, unlink } => json!([1, id, changes(values, unlink, &[])?]),
        LineOp::Remove(id) => json!([2, id, 0]),
    })
}

fn pending(field: &str) -> Rejection {
    Rejection::new("Pending", field, "points to a record that is not in Odoo yet")
}

/// Arguments of `create` with external ids.
pub(super) fn create<'a>(rows: impl Iterator<Item = (&'a str, Map<String, Json>)>, module: &str) -> Args {
    let records: Vec<Json> = rows
        .map(|(name, mut values)| {
            values.insert("id".to_owned(), Json::from(name));
            Json::Object(values)
        })
        .collect();
    let mut context = quiet();
    context.insert("_import_current_module".to_owned(), Json::from(module));
    Args::from_iter([
        // moved, not copied: content may be among them
        ("vals_list".to_owned(), Json::Array(records)),
        ("context".to_owned(), Json::Object(context)),
    ])
}

/// Cells of a new record for `load`, by column. Links have a column of their own, so that ids are read as ids.
pub(super) fn cells(values: &[(String, OdooValue)]) -> Result<Map<String, Json>, Rejection> {
    values
        .iter()
        .map(|(field, value)| {
            let (column, text) = match value {
                OdooValue::Empty => (field.clone(), String::new()),
                OdooValue::Text(text) | OdooValue::Date(text) | OdooValue::DateTime(text) => {
                    (field.clone(), text.clone())
                }
                OdooValue::Integer(number) => (field.clone(), number.to_string()),
                OdooValue::Float(number) => (field.clone(), number.to_string()),
                OdooValue::Boolean(yes) => (field.clone(), u8::from(*yes).to_string()),
                OdooValue::Content(_) => return Ok((field.clone(), Json::Null)),
                OdooValue::Link(link) => (format!("{field}/.id"), ids(field, std::slice::from_ref(link))?),
                OdooValue::Links(links) if links.is_empty() => (field.clone(), String::new()),
                OdooValue::Links(links) => (format!("{field}/.id"), ids(field, links)?),
                OdooValue::Lines(_) => {
                    return Err(Rejection::new("NotWritten", field, "the model's load takes no lines"));
                }
            };
            Ok((column, Json::from(text)))
        })
        .collect()
}

fn ids(field: &str, links: &[Reference]) -> Result<String, Rejection> {
    let ids: Option<Vec<String>> = links.iter().map(|link| link.id().map(|id| id.to_string())).collect();
    Ok(ids.ok_or_else(|| pending(field))?.join(","))
}

/// Arguments of `load`; all rows have the columns of the first.
pub(super) fn load<'a>(rows: impl Iterator<Item = (&'a str, Map<String, Json>)>, module: &str) -> Args {
    let (mut fields, mut data): (Vec<String>, Vec<Json>) = (Vec::new(), Vec::new());
    for (name, cells) in rows {
        if fields.is_empty() {
            fields = std::iter::once("id".to_owned()).chain(cells.keys().cloned()).collect();
        }
        data.push(Json::Array(
            std::iter::once(Json::from(name))
                .chain(cells.into_iter().map(|(_, cell)| cell))
                .collect(),
        ));
    }
    let mut context = quiet();
    context.insert("module".to_owned(), Json::from(module));
    // `load` reads times in the user's zone otherwise
    context.insert("tz".to_owned(), Json::from("UTC"));
    Args::from_iter([
        ("fields".to_owned(), Json::from(fields)),
        ("data".to_owned(), Json::Array(data)),
        ("context".to_owned(), Json::Object(context)),
    ])
}

/// What `load` says: the records, or why it took none. It answers 200 either way.
pub(super) fn loaded(answer: &Json) -> Result<Vec<i64>, RpcError> {
    if let Some(records) = answer.get("ids").filter(|records| records.is_array()) {
        return patience::ids(records, "load");
    }
    let messages = answer
        .get("messages")
        .and_then(Json::as_array)
        .ok_or_else(|| patience::odd("load"))?;
    let sentences: Vec<&str> = messages
        .iter()
        .filter_map(|message| message.get("message").and_then(Json::as_str))
        .collect();
    if sentences
        .iter()
        .any(|sentence| sentence.contains("could not serialize access"))
    {
        return Err(RpcError::Conflict);
    }
    Err(RpcError::Rejected {
        name: "LoadError".to_owned(),
        message: sentences.first().copied().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: OdooValue) -> (String, OdooValue) {
        (name.to_owned(), value)
    }

    #[test]
    fn an_update_links_and_unlinks_one_by_one() {
        let values = [
            field(
                "category_id",
                OdooValue::Links(vec![Reference::Id(1), Reference::Id(2)]),
            ),
            field("name", OdooValue::Empty),
            field("empty_ids", OdooValue::Links(vec![])),
        ];
        let sent = changes(&values, &[("category_id".to_owned(), vec![7])], &[]).unwrap();
        assert_eq!(
            Json::Object(sent),
            json!({"category_id": [[4, 1], [4, 2], [3, 7]], "name": false})
        );
    }

    #[test]
    fn what_points_to_nothing_yet_is_not_sent() {
        let pending = Reference::Pending(crate::model::ExternalId {
            module: "m".to_owned(),
            name: "n".to_owned(),
        });
        let values = [field("parent_id", OdooValue::Link(pending))];
        for why in [
            whole(&values).unwrap_err(),
            changes(&values, &[], &[]).unwrap_err(),
            cells(&values).unwrap_err(),
        ] {
            assert_eq!((why.code.as_str(), why.field.as_str()), ("Pending", "parent_id"));
        }
    }

    #[test]
    fn load_gets_text_and_links_by_id() {
        let cells = cells(&[
            field("name", OdooValue::Text("Vendas".to_owned())),
            field("user_id", OdooValue::Link(Reference::Id(2))),
            field("active", OdooValue::Boolean(true)),
            field(
                "favorite_user_ids",
                OdooValue::Links(vec![Reference::Id(2), Reference::Id(3)]),
            ),
            field("note", OdooValue::Empty),
        ])
        .unwrap();
        let args = load([("teams_1", cells)].into_iter(), "m");
        assert_eq!(
            args["fields"],
            json!(["id", "active", "favorite_user_ids/.id", "name", "note", "user_id/.id"])
        );
        assert_eq!(args["data"], json!([["teams_1", "1", "2,3", "Vendas", "", "2"]]));
        assert_eq!(args["context"]["module"], "m");
    }

    #[test]
    fn load_says_in_a_200_that_it_refuses() {
        assert_eq!(loaded(&json!({"ids": [4], "messages": []})), Ok(vec![4]));
        let refused = loaded(&json!({"ids": false, "messages": [{"type": "error", "message": "no"}]}));
        assert!(matches!(refused, Err(RpcError::Rejected { message, .. }) if message == "no"));
        let busy = json!({"ids": false, "messages": [{"message": "could not serialize access due to"}]});
        assert_eq!(loaded(&busy), Err(RpcError::Conflict));
    }
}
