//! Records as calls have them: the arguments of `create`, `load` and `write`, and what `load` answers. Pure.

use serde_json::{Map, Value as Json, json};

use super::{
    lines::LineOp,
    patience,
    rpc::{Args, RpcError},
};
use crate::{
    args,
    model::{Content, Line, OdooValue, Reference, Rejection},
};

/// The context of every write: nothing is sent, logged, subscribed, synchronised or re-encoded.
pub(super) fn quiet() -> Map<String, Json> {
    args!({
        "tracking_disable": true, "mail_create_nolog": true, "mail_create_nosubscribe": true, "mail_notrack": true,
        "mail_auto_subscribe_no_notify": true,
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

/// Cells of a new record for `load`, by column. Links have a column of their own, so that ids are read as ids; lines are
/// a list of theirs, until [`load`] lays them under each other.
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
                OdooValue::Lines(lines) => {
                    return Ok((field.clone(), lines_cells(field, lines)?));
                }
            };
            Ok((column, Json::from(text)))
        })
        .collect()
}

fn lines_cells(field: &str, lines: &[Line]) -> Result<Json, Rejection> {
    let mut all = Vec::with_capacity(lines.len());
    for line in lines {
        let mut cells = cells(&line.values)?;
        cells.insert("id".to_owned(), Json::from(line.name.as_str()));
        all.push(cells);
    }
    if all.windows(2).any(|two| !two[0].keys().eq(two[1].keys())) {
        let message = "lines that fill different fields cannot be imported together: say onEmpty: Clear";
        return Err(Rejection::new("NotWritten", field, message));
    }
    Ok(all.into_iter().map(Json::Object).collect())
}

fn ids(field: &str, links: &[Reference]) -> Result<String, Rejection> {
    let ids: Option<Vec<String>> = links.iter().map(|link| link.id().map(|id| id.to_string())).collect();
    Ok(ids.ok_or_else(|| pending(field))?.join(","))
}

/// Arguments of `load`; all records have the [`columns`] of the first. The first line of each one2many stands in the row of its
/// record, the others in rows below it that say nothing else.
pub(super) fn load<'a>(records: impl Iterator<Item = (&'a str, Map<String, Json>)>, module: &str) -> Args {
    let (mut places, mut data) = (Vec::new(), Vec::new());
    for (name, cells) in records {
        if places.is_empty() {
            places = columns(&cells);
            places.insert(0, ("id".to_owned(), None));
        }
        let lines = |cell: &Json| cell.as_array().map_or(0, Vec::len);
        let rows = cells.values().map(lines).fold(1, usize::max);
        for row in 0..rows {
            let cell = |(field, column): &(String, Option<String>)| match column {
                None if row > 0 => None,
                None if field == "id" => Some(Json::from(name)),
                None => cells.get(field).cloned(),
                Some(column) => cells.get(field)?.get(row)?.get(column).cloned(),
            };
            let cells = places.iter().map(|place| cell(place).unwrap_or_else(|| Json::from("")));
            data.push(Json::Array(cells.collect()));
        }
    }
    let fields: Vec<String> = places
        .into_iter()
        .map(|(field, column)| column.map_or_else(|| field.clone(), |column| format!("{field}/{column}")))
        .collect();
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

/// What a record fills: fields, and the columns of its lines. Those of one call must be the same: an empty cell empties.
pub(super) fn columns(cells: &Map<String, Json>) -> Vec<(String, Option<String>)> {
    let mut columns = Vec::new();
    for (field, cell) in cells {
        match cell.as_array() {
            None => columns.push((field.clone(), None)),
            Some(lines) => {
                let names = lines.first().and_then(Json::as_object).into_iter().flat_map(Map::keys);
                columns.extend(names.map(|name| (field.clone(), Some(name.clone()))));
            }
        }
    }
    columns
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
    fn lines_of_load_stand_in_the_rows_of_their_record_and_below() {
        let line = |name: &str, values: Vec<(String, OdooValue)>| Line {
            name: name.to_owned(),
            values,
            checks: Vec::new(),
        };
        let user = |id| vec![field("user_id", OdooValue::Link(Reference::Id(id)))];
        let team = |name: &str, lines: Vec<Line>| {
            cells(&[
                field("name", OdooValue::Text(name.to_owned())),
                field("crm_team_member_ids", OdooValue::Lines(lines)),
            ])
        };
        let two = team("Vendas", vec![line("t1_a", user(7)), line("t1_b", user(8))]).unwrap();
        let one = team("Lojas", vec![line("t2_a", user(9))]).unwrap();
        assert_eq!(columns(&two), columns(&one));
        assert_ne!(columns(&two), columns(&team("Nova", vec![]).unwrap()));
        let args = load([("t1", two), ("t2", one)].into_iter(), "m");
        assert_eq!(
            (&args["fields"], &args["data"]),
            (
                &json!([
                    "id",
                    "crm_team_member_ids/id",
                    "crm_team_member_ids/user_id/.id",
                    "name"
                ]),
                &json!([
                    ["t1", "t1_a", "7", "Vendas"],
                    ["", "t1_b", "8", ""],
                    ["t2", "t2_a", "9", "Lojas"]
                ])
            )
        );
        let refused = team("Vendas", vec![line("a", user(7)), line("b", vec![])]).unwrap_err();
        assert_eq!(refused.field, "crm_team_member_ids");
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
