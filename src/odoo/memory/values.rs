//! What a field keeps of a value that is sent, and what it answers when it is read.

use jiff::civil::{Date, DateTime};
use serde_json::{Value, json};

use super::{
    refusal::{self, Outcome},
    store::Store,
};

/// The type of a field, as Odoo names it.
pub(super) fn type_of(field: &Value) -> &str {
    field["type"].as_str().unwrap_or_default()
}

/// Whether a field holds several records.
pub(super) fn is_x2many(field: &Value) -> bool {
    matches!(type_of(field), "one2many" | "many2many")
}

pub(super) fn relation(field: &Value) -> &str {
    field["relation"].as_str().unwrap_or_default()
}

/// What the column of `model.name` keeps of a value; `Null` is empty. Not for x2many fields.
pub(super) fn column(store: &Store, (model, name): (&str, &str), field: &Value, value: Value) -> Outcome<Value> {
    if matches!(value, Value::Null) || (value == json!(false) && type_of(field) != "boolean") {
        return Ok(match type_of(field) {
            "integer" => json!(0),
            "float" | "monetary" => json!(0.0),
            _ => Value::Null,
        });
    }
    match type_of(field) {
        "char" | "text" => text(field, &value).map(Value::String),
        "html" => text(field, &value).map(|html| Value::String(sanitised(&html))),
        "integer" | "many2one_reference" => integer(&value).map(Value::from),
        "float" | "monetary" => float(&value),
        "boolean" => Ok(Value::Bool(is_true(&value))),
        "date" => date(&value),
        "datetime" => datetime(&value),
        "selection" => selection((model, name), field, value),
        "many2one" => many2one(store, model, name, field, &value),
        _ => Ok(value),
    }
}

fn text(field: &Value, value: &Value) -> Outcome<String> {
    // Odoo takes any value and writes it as Python prints it; what matters here is that it does not refuse.
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        other => other.to_string(),
    };
    if text.contains('\0') {
        return Err(refusal::value("A string literal cannot contain NUL (0x00) characters."));
    }
    let size = field["size"].as_u64().and_then(|size| usize::try_from(size).ok());
    Ok(size.map_or_else(|| text.clone(), |size| text.chars().take(size).collect()))
}

/// The one effect of Odoo's sanitiser that plain text meets: it becomes a paragraph. Text is not escaped, as there.
fn sanitised(html: &str) -> String {
    if html.trim().is_empty() || html.trim_start().starts_with('<') {
        return html.to_owned();
    }
    format!("<p>{}</p>", html.replace(" & ", " &amp; "))
}

fn integer(value: &Value) -> Outcome<i64> {
    let number = match value {
        Value::Bool(yes) => i64::from(*yes),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "Odoo cuts the fraction off, and the range is checked below"
            )]
            None => number.as_f64().unwrap_or(f64::MAX) as i64,
        },
        Value::String(text) => text
            .trim()
            .parse()
            .map_err(|_| not_a_number("int() with base 10", text))?,
        other => return Err(refusal::value(format!("int() argument must be a number, not {other}"))),
    };
    i32::try_from(number).map_err(|_| refusal::database("NumericValueOutOfRange", "integer out of range"))?;
    Ok(number)
}

fn not_a_number(what: &str, text: &str) -> crate::odoo::rpc::RpcError {
    refusal::value(format!("invalid literal for {what}: '{text}'"))
}

fn float(value: &Value) -> Outcome<Value> {
    let number = match value {
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::Number(number) => number.as_f64().unwrap_or_default(),
        Value::String(text) => text.trim().parse().map_err(|_| not_a_number("float()", text))?,
        other => {
            return Err(refusal::value(format!(
                "float() argument must be a number, not {other}"
            )));
        }
    };
    Ok(json!(number))
}

/// Python's idea of truth.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn date(value: &Value) -> Outcome<Value> {
    let text = value.as_str().unwrap_or_default();
    // Odoo cuts a time off in silence.
    let day: String = text.chars().take(10).collect();
    let parsed = Date::strptime("%Y-%m-%d", &day);
    parsed
        .map(|day| json!(day.to_string()))
        .map_err(|_| bad_format(text, "%Y-%m-%d"))
}

fn datetime(value: &Value) -> Outcome<Value> {
    let text = value.as_str().unwrap_or_default();
    let parsed = match text.len() {
        10 => Date::strptime("%Y-%m-%d", text).map(|day| day.at(0, 0, 0, 0)),
        _ => DateTime::strptime("%Y-%m-%d %H:%M:%S", text),
    };
    let parsed = parsed.map_err(|_| bad_format(text, "%Y-%m-%d %H:%M:%S"))?;
    Ok(json!(parsed.strftime("%Y-%m-%d %H:%M:%S").to_string()))
}

fn bad_format(text: &str, format: &str) -> crate::odoo::rpc::RpcError {
    refusal::value(format!("time data '{text}' does not match format '{format}'"))
}

/// The options of a selection.
pub(super) fn options(field: &Value) -> impl Iterator<Item = (&str, &str)> {
    let pairs = field["selection"].as_array().into_iter().flatten();
    pairs.filter_map(|pair| Some((pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)))
}

fn selection((model, name): (&str, &str), field: &Value, value: Value) -> Outcome<Value> {
    let known = value
        .as_str()
        .is_some_and(|value| options(field).any(|(option, _)| option == value));
    // Options that a server computes are not in the description; such a field keeps what it gets.
    if known || options(field).next().is_none() {
        return Ok(value);
    }
    Err(refusal::value(format!(
        "Wrong value for {model}.{name}: '{}'",
        value.as_str().unwrap_or(&value.to_string())
    )))
}

fn many2one(store: &Store, model: &str, name: &str, field: &Value, value: &Value) -> Outcome<Value> {
    let id = match value {
        Value::String(text) => text.parse().map_err(|_| {
            refusal::database(
                "InvalidTextRepresentation",
                format!("invalid input syntax for type integer: \"{text}\""),
            )
        })?,
        other => integer(other)?,
    };
    // A model that is not described here has no records here: its ids are taken as they are.
    let known = store.model(relation(field)).is_ok();
    if known && store.row(relation(field), id).is_none() {
        return Err(refusal::referenced(model, name));
    }
    Ok(json!(id))
}

/// What a client is answered for a stored value: Odoo's `false` for empty.
pub(super) fn answered(field: &Value, value: Value) -> Value {
    if !value.is_null() {
        return value;
    }
    match type_of(field) {
        "integer" | "many2one_reference" => json!(0),
        "float" | "monetary" => json!(0.0),
        "one2many" | "many2many" => json!([]),
        _ => json!(false),
    }
}

/// A change of an x2many field.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Create(Value),
    Update(i64, Value),
    Delete(i64),
    Unlink(i64),
    Link(i64),
    Clear,
    Set(Vec<i64>),
}

/// Reads the value sent for an x2many field: commands, or a list of ids.
pub(super) fn commands(model: &str, name: &str, value: &Value) -> Outcome<Vec<Command>> {
    let wrong = || {
        refusal::value(format!(
            "Wrong value for {model}.{name}: {}",
            value.as_str().unwrap_or_default()
        ))
    };
    match value {
        Value::Null | Value::Bool(false) => Ok(vec![Command::Clear]),
        Value::Array(items) if items.iter().all(Value::is_i64) && !items.is_empty() => {
            Ok(vec![Command::Set(items.iter().filter_map(Value::as_i64).collect())])
        }
        Value::Array(items) => items.iter().map(|item| command(item).ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn command(item: &Value) -> Option<Command> {
    let id = || item.get(1)?.as_i64();
    Some(match item.get(0)?.as_i64()? {
        0 => Command::Create(item.get(2)?.clone()),
        1 => Command::Update(id()?, item.get(2)?.clone()),
        2 => Command::Delete(id()?),
        3 => Command::Unlink(id()?),
        4 => Command::Link(id()?),
        5 => Command::Clear,
        6 => Command::Set(item.get(2)?.as_array()?.iter().filter_map(Value::as_i64).collect()),
        _ => return None,
    })
}
