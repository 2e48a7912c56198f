//! `load`: rows of text with external ids, all or nothing, with messages instead of errors.

use serde_json::{Value, json};

use super::{
    Call,
    read::display_name,
    refusal::{self, Outcome},
    store::{Row, Store},
    values::{column, options, relation, type_of},
    write::{insert, write},
};
use crate::odoo::rpc::RpcError;

/// Errors after which the rest of a call is not looked at.
const ENOUGH: usize = 10;

/// What a column of the import fills.
#[derive(Debug)]
enum Column {
    ExternalId,
    DatabaseId,
    Field(String, By),
    /// A column of the records of a one2many.
    Line(String, Box<Self>),
}

/// How a column names the other side of a relation.
#[derive(Clone, Copy, Debug)]
enum By {
    Text,
    ExternalId,
    DatabaseId,
}

/// Why a cell does not fit, and its field.
struct Misfit {
    field: Option<(String, String)>,
    message: String,
}

/// Imports rows; answers `{ids, messages, nextrow}`. Where there is a message, nothing is kept.
pub(super) fn load(store: &mut Store, call: &Call, model: &str, fields: &[String], data: &Value) -> Outcome<Value> {
    store.model(model)?;
    let columns = fields
        .iter()
        .map(|field| parse(store, model, field))
        .collect::<Outcome<Vec<_>>>()?;
    let columns: Vec<&Column> = columns.iter().collect();
    let (mut ids, mut messages) = (Vec::new(), Vec::new());
    let rows: Vec<Vec<String>> = data
        .as_array()
        .into_iter()
        .flatten()
        .map(cells)
        .collect::<Outcome<_>>()?;
    for (number, rows) in rows.chunk_by(|_, next| goes_on(&columns, next)).enumerate() {
        let converted = convert(store, call, model, &columns, rows);
        let done = converted.and_then(|record| {
            if messages.is_empty() {
                record.write(store, call, model)
            } else {
                Ok(0)
            }
        });
        match done {
            Ok(id) => ids.push(id),
            Err(misfit) => messages.push(misfit.message_of(number)),
        }
        if messages.len() >= ENOUGH {
            break;
        }
    }
    if messages.is_empty() {
        return Ok(json!({"ids": ids, "messages": [], "nextrow": 0}));
    }
    store.end(false);
    Ok(json!({"ids": false, "messages": messages, "nextrow": 0}))
}

fn parse(store: &Store, model: &str, text: &str) -> Outcome<Column> {
    let unknown = || refusal::value(format!("Invalid field name '{text}'"));
    let (name, by) = match text.split_once('/') {
        None if text == "id" => return Ok(Column::ExternalId),
        None if text == ".id" => return Ok(Column::DatabaseId),
        None => (text, By::Text),
        Some((name, "id")) if !is_lines(store, model, name) => (name, By::ExternalId),
        Some((name, ".id")) if !is_lines(store, model, name) => (name, By::DatabaseId),
        Some((name, rest)) if is_lines(store, model, name) => {
            let of = store.field(model, name).map_or("", relation).to_owned();
            return Ok(Column::Line(name.to_owned(), Box::new(parse(store, &of, rest)?)));
        }
        Some(_) => return Err(unknown()),
    };
    store.field(model, name).ok_or_else(unknown)?;
    Ok(Column::Field(name.to_owned(), by))
}

fn is_lines(store: &Store, model: &str, name: &str) -> bool {
    store
        .field(model, name)
        .is_some_and(|field| type_of(field) == "one2many")
}

/// Whether a row is of the record above it: it says nothing but lines.
fn goes_on(columns: &[&Column], row: &[String]) -> bool {
    let says = |(column, cell): (&&Column, &String)| !cell.is_empty() && !matches!(column, Column::Line(..));
    !columns.iter().zip(row).any(says)
}

fn cells(row: &Value) -> Outcome<Vec<String>> {
    let cells = row.as_array().into_iter().flatten();
    let text = |cell: &Value| {
        cell.as_str().map(str::to_owned).ok_or_else(|| RpcError::Rejected {
            name: "builtins.AttributeError".to_owned(),
            message: "an import takes texts alone".to_owned(),
        })
    };
    cells.map(text).collect()
}

/// A record, understood: its first row, and lines of all.
#[derive(Default)]
struct Record {
    name: Option<String>,
    id: Option<i64>,
    vals: Row,
}

fn convert(
    store: &Store,
    call: &Call,
    model: &str,
    columns: &[&Column],
    rows: &[Vec<String>],
) -> Result<Record, Misfit> {
    let mut record = Record::default();
    for (column, cell) in columns.iter().zip(&rows[0]) {
        match column {
            Column::Line(name, _) if record.vals.contains_key(name) => {}
            Column::Line(name, _) => {
                let lines = lines(store, call, model, name, columns, rows)?;
                record.vals.insert(name.clone(), lines);
            }
            Column::ExternalId if cell.is_empty() => {}
            Column::ExternalId if cell.contains('.') => record.name = Some(cell.clone()),
            Column::ExternalId => {
                let module = call.text("module").unwrap_or("__import__");
                record.name = Some(format!("{module}.{cell}"));
            }
            Column::DatabaseId => record.id = Some(database_id(store, model, cell).map_err(Misfit::plain)?),
            Column::Field(name, by) => {
                let field = store.field(model, name).unwrap_or(&Value::Null);
                let value = value_of(store, (model, name), field, *by, cell);
                let value = value.map_err(|message| Misfit::at(name, label(field), message))?;
                record.vals.insert(name.clone(), value);
            }
        }
    }
    Ok(record)
}

/// The lines of a record, as commands; one that is named in our module already is changed.
fn lines(
    store: &Store,
    call: &Call,
    model: &str,
    name: &str,
    columns: &[&Column],
    rows: &[Vec<String>],
) -> Result<Value, Misfit> {
    let of = store.field(model, name).map_or("", relation).to_owned();
    let mut commands = Vec::new();
    for row in rows {
        let (mut inner, mut cells) = (Vec::new(), Vec::new());
        for (column, cell) in columns.iter().zip(row) {
            match column {
                Column::Line(field, column) if field == name => {
                    inner.push(&**column);
                    cells.push(cell.clone());
                }
                _ => {}
            }
        }
        if cells.iter().all(String::is_empty) {
            continue;
        }
        let line = convert(store, call, &of, &inner, &[cells])?;
        let known = line.name.as_deref().and_then(|name| store.named(name));
        commands.push(if let Some((_, _, id)) = known {
            json!([1, id, line.vals])
        } else {
            let mut vals = line.vals;
            vals.extend(line.name.map(|name| ("id".to_owned(), json!(name))));
            json!([0, 0, vals])
        });
    }
    Ok(Value::Array(commands))
}

impl Record {
    fn write(self, store: &mut Store, call: &Call, model: &str) -> Result<i64, Misfit> {
        let known = match &self.name {
            Some(name) => store.named(name).filter(|(_, _, id)| store.row(model, *id).is_some()),
            None => None,
        };
        if let Some((_, other, _)) = known.filter(|(_, other, _)| *other != model) {
            return Err(Misfit::plain(format!("the external id belongs to a record of {other}")));
        }
        if let Some(id) = self.id.or_else(|| known.map(|(_, _, id)| id)) {
            write(store, call, model, &[id], &Value::Object(self.vals)).map_err(Misfit::from)?;
            return Ok(id);
        }
        let id = insert(store, call, model, self.vals).map_err(Misfit::from)?;
        if let Some(name) = self.name {
            store.name_record(&name, model, id, &call.now);
            if let Some(alias) = store.stored(model, id, "alias_id").as_i64() {
                store.name_record(&format!("{name}_mail_alias"), "mail.alias", alias, &call.now);
            }
        }
        Ok(id)
    }
}

impl Misfit {
    const fn plain(message: String) -> Self {
        Self { field: None, message }
    }

    fn at(name: &str, label: &str, message: String) -> Self {
        Self {
            field: Some((name.to_owned(), label.to_owned())),
            message,
        }
    }

    fn message_of(self, row: usize) -> Value {
        let rows = json!({"from": row, "to": row});
        let mut message = json!({"rows": rows, "type": "error", "record": row, "message": self.message});
        if let Some((name, label)) = self.field {
            message["field"] = json!(name);
            message["field_name"] = json!(label);
        }
        message
    }
}

impl From<RpcError> for Misfit {
    fn from(error: RpcError) -> Self {
        Self::plain(match error {
            RpcError::Rejected { message, .. } | RpcError::Missing { message } => message
                .trim_start_matches("The operation cannot be completed: ")
                .to_owned(),
            other => other.to_string(),
        })
    }
}

fn label(field: &Value) -> &str {
    field["string"].as_str().unwrap_or_default()
}

fn value_of(store: &Store, place: (&str, &str), field: &Value, by: By, cell: &str) -> Result<Value, String> {
    if cell.is_empty() {
        return Ok(json!(false));
    }
    let label = label(field);
    match type_of(field) {
        "boolean" => match cell.to_lowercase().as_str() {
            "1" | "true" | "yes" => Ok(json!(true)),
            "0" | "false" | "no" => Ok(json!(false)),
            _ => Err(format!("Unknown value '{cell}' for boolean field '{label}'")),
        },
        "integer" => cell
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| not_seen_as(cell, "an integer", label)),
        "float" | "monetary" => cell
            .parse::<f64>()
            .map(Value::from)
            .map_err(|_| not_seen_as(cell, "a number", label)),
        kind @ ("date" | "datetime") => {
            let kept = column(store, place, field, json!(cell));
            kept.map_err(|_| not_seen_as(cell, &format!("a valid {kind}"), label))
        }
        "selection" => {
            option(field, cell).ok_or_else(|| format!("Value '{cell}' not found in selection field '{label}'"))
        }
        "many2one" => related(store, field, by, cell).map(Value::from),
        "many2many" => {
            let ids = cell
                .split(',')
                .map(|cell| related(store, field, by, cell.trim()))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(json!([[6, 0, ids]]))
        }
        _ => Ok(json!(cell)),
    }
}

fn not_seen_as(cell: &str, what: &str, label: &str) -> String {
    format!("'{cell}' does not seem to be {what} for field '{label}'")
}

/// By value, or by label.
fn option(field: &Value, cell: &str) -> Option<Value> {
    let found = options(field).find(|(value, label)| *value == cell || label.eq_ignore_ascii_case(cell));
    found.map(|(value, _)| json!(value))
}

fn related(store: &Store, field: &Value, by: By, cell: &str) -> Result<i64, String> {
    let model = relation(field);
    let none = |what: &str| {
        format!(
            "No matching record found for {what} '{cell}' in field '{}'",
            label(field)
        )
    };
    match by {
        By::ExternalId => {
            let named = store
                .named(cell)
                .filter(|(_, other, id)| *other == model && store.row(model, *id).is_some());
            named.map(|(_, _, id)| id).ok_or_else(|| none("external id"))
        }
        By::DatabaseId => database_id(store, model, cell),
        By::Text => {
            let mut rows = store.rows(model).map(|(id, _)| id);
            rows.find(|id| display_name(store, model, *id) == cell)
                .ok_or_else(|| none("name"))
        }
    }
}

fn database_id(store: &Store, model: &str, cell: &str) -> Result<i64, String> {
    let id = cell.parse::<i64>().ok().filter(|id| store.row(model, *id).is_some());
    id.ok_or_else(|| format!("No matching record found for database id '{cell}'"))
}
