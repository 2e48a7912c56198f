//! Search domains: Polish notation, dotted paths, the operators of Odoo 19 that a client needs.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    read::{cell, display_name, linked},
    refusal::{self, Outcome},
    store::Store,
    values::{is_true, is_x2many, relation, type_of},
};

/// A domain, checked against a model.
#[derive(Debug)]
pub(super) enum Domain {
    All(Vec<Domain>),
    Any(Vec<Domain>),
    Not(Box<Domain>),
    Leaf(Leaf),
}

/// One condition.
#[derive(Debug)]
pub(super) struct Leaf {
    path: Vec<String>,
    operator: Operator,
    operand: Value,
    /// The operand of `in`, for long lists: canonical texts.
    members: HashSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Like { wrapped: bool, folded: bool },
    NotLike { wrapped: bool, folded: bool },
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl Domain {
    /// Reads a domain; refuses unknown fields, operators and bad nesting as Odoo does.
    pub(super) fn parse(store: &Store, model: &str, domain: &Value) -> Outcome<Self> {
        let malformed = || refusal::value(format!("Domain() malformed domain {domain}"));
        let items = domain.as_array().ok_or_else(malformed)?;
        let mut stack: Vec<Self> = Vec::new();
        for item in items.iter().rev() {
            let node = match item {
                Value::String(sign) if sign == "!" => Self::Not(Box::new(stack.pop().ok_or_else(malformed)?)),
                Value::String(sign) if sign == "&" || sign == "|" => {
                    let both = vec![stack.pop().ok_or_else(malformed)?, stack.pop().ok_or_else(malformed)?];
                    if sign == "&" { Self::All(both) } else { Self::Any(both) }
                }
                Value::Array(leaf) if leaf.len() == 3 => Self::condition(store, model, leaf)?,
                _ => return Err(malformed()),
            };
            stack.push(node);
        }
        Ok(Self::All(stack))
    }

    fn condition(store: &Store, model: &str, leaf: &[Value]) -> Outcome<Self> {
        let (field, operator, operand) = (&leaf[0], leaf[1].as_str().unwrap_or_default(), leaf[2].clone());
        let shown = || format!("('{}', '{operator}', {operand})", field.as_str().unwrap_or_default());
        if let Some(constant) = field.as_i64() {
            return Ok(if constant == 1 {
                Self::All(Vec::new())
            } else {
                Self::Any(Vec::new())
            });
        }
        let path: Vec<String> = field
            .as_str()
            .unwrap_or_default()
            .split('.')
            .map(str::to_owned)
            .collect();
        check_path(store, model, &path, &shown)?;
        let operator = Operator::parse(operator, &operand)
            .ok_or_else(|| refusal::value(format!("Invalid operator in condition {}", shown())))?;
        let operand = match (operator, operand) {
            (Operator::In | Operator::NotIn, Value::Array(items)) => Value::Array(items),
            (Operator::In | Operator::NotIn, one) => json!([one]),
            (_, other) => other,
        };
        let members = operand.as_array().into_iter().flatten().map(canonical).collect();
        Ok(Self::Leaf(Leaf {
            path,
            operator,
            operand,
            members,
        }))
    }

    /// Whether the domain looks at a field of the model itself.
    pub(super) fn mentions(&self, field: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.mentions(field)),
            Self::Not(part) => part.mentions(field),
            Self::Leaf(leaf) => leaf.path.len() == 1 && leaf.path[0] == field,
        }
    }

    /// Whether a record is in it.
    pub(super) fn holds(&self, store: &Store, model: &str, id: i64) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(store, model, id)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(store, model, id)),
            Self::Not(part) => !part.holds(store, model, id),
            Self::Leaf(leaf) => leaf.holds(store, model, id, &leaf.path),
        }
    }
}

impl Operator {
    fn parse(text: &str, operand: &Value) -> Option<Self> {
        let like = |wrapped, folded| Self::Like { wrapped, folded };
        let unlike = |wrapped, folded| Self::NotLike { wrapped, folded };
        Some(match text {
            "=" | "==" | "in" => Self::In,
            "!=" | "<>" | "not in" => Self::NotIn,
            "like" => like(true, false),
            "ilike" => like(true, true),
            "=like" => like(false, false),
            "=ilike" => like(false, true),
            "not like" => unlike(true, false),
            "not ilike" => unlike(true, true),
            // An order needs a scalar; Odoo refuses lists and emptiness here too.
            "<" | "<=" | ">" | ">=" if operand.is_array() || operand.is_null() => return None,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::More,
            ">=" => Self::MoreOrEqual,
            _ => return None,
        })
    }
}

fn check_path(store: &Store, model: &str, path: &[String], shown: &dyn Fn() -> String) -> Outcome<()> {
    let mut at = model.to_owned();
    for (step, name) in path.iter().enumerate() {
        let field = store.field(&at, name).ok_or_else(|| {
            refusal::value(format!(
                "Invalid field {model}.{} in condition {}",
                path.join("."),
                shown()
            ))
        })?;
        if model == "ir.model.data" && matches!(name.as_str(), "complete_name" | "reference") {
            return Err(refusal::value(format!(
                "Cannot convert {model}.{name} to SQL because it is not stored"
            )));
        }
        if step + 1 < path.len() {
            at = relation(field).to_owned();
        }
    }
    Ok(())
}

impl Leaf {
    fn holds(&self, store: &Store, model: &str, id: i64, path: &[String]) -> bool {
        let Some((name, rest)) = path.split_first() else {
            return false;
        };
        let Some(field) = store.field(model, name) else {
            return false;
        };
        let value = cell(store, model, id, name);
        if !rest.is_empty() {
            return linked(&value).any(|other| self.holds(store, relation(field), other, rest));
        }
        match self.operator {
            Operator::In => self.includes(store, field, &value),
            Operator::NotIn => !self.includes(store, field, &value),
            Operator::Like { wrapped, folded } => self.is_like(store, field, &value, wrapped, folded),
            Operator::NotLike { wrapped, folded } => !self.is_like(store, field, &value, wrapped, folded),
            Operator::Less | Operator::LessOrEqual | Operator::More | Operator::MoreOrEqual => self.is_ordered(&value),
        }
    }

    fn includes(&self, store: &Store, field: &Value, value: &Value) -> bool {
        if is_x2many(field) || type_of(field) == "many2one" {
            let mut ids = linked(value).peekable();
            if ids.peek().is_none() {
                return self.members.contains("false");
            }
            return ids.any(|id| self.members.contains(&id.to_string()) || self.is_named(store, relation(field), id));
        }
        if type_of(field) == "boolean" {
            let truth = is_true(value);
            return self
                .operand
                .as_array()
                .into_iter()
                .flatten()
                .any(|item| is_true(item) == truth);
        }
        let stored = canonical(value);
        // Odoo's empty value of a number or a text is found with it.
        let also = match type_of(field) {
            "integer" | "float" | "monetary" if value.is_null() => "0",
            _ => "",
        };
        self.members.contains(&stored) || (!also.is_empty() && self.members.contains(also))
    }

    /// A text instead of an id stands for the other record's name.
    fn is_named(&self, store: &Store, model: &str, id: i64) -> bool {
        let mut texts = self
            .operand
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .peekable();
        texts.peek().is_some() && {
            let name = display_name(store, model, id);
            texts.any(|text| text == name)
        }
    }

    fn is_like(&self, store: &Store, field: &Value, value: &Value, wrapped: bool, folded: bool) -> bool {
        let operand = self
            .operand
            .as_str()
            .map_or_else(|| self.operand.to_string(), str::to_owned);
        let pattern = if wrapped { format!("%{operand}%") } else { operand };
        if is_x2many(field) || type_of(field) == "many2one" {
            return linked(value).any(|id| matches(&pattern, &display_name(store, relation(field), id), folded));
        }
        match value {
            Value::String(text) => matches(&pattern, text, folded),
            Value::Null => false,
            other => matches(&pattern, &other.to_string(), folded),
        }
    }

    fn is_ordered(&self, value: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (value, &self.operand) {
            (Value::String(stored), Value::String(sought)) => stored.as_str().cmp(padded(sought, stored).as_str()),
            (stored, sought) => {
                let (Some(stored), Some(sought)) = (stored.as_f64(), number(sought)) else {
                    return false;
                };
                let Some(order) = stored.partial_cmp(&sought) else {
                    return false;
                };
                order
            }
        };
        match self.operator {
            Operator::Less => order == Less,
            Operator::LessOrEqual => order != Greater,
            Operator::More => order == Greater,
            Operator::MoreOrEqual => order != Less || order == Equal,
            _ => false,
        }
    }
}

/// A day against a point in time means its midnight.
fn padded(sought: &str, stored: &str) -> String {
    if sought.len() == 10 && stored.len() == 19 {
        format!("{sought} 00:00:00")
    } else {
        sought.to_owned()
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// One spelling for equal values: `1` and `1.0` are equal, empty is `false`.
fn canonical(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => "false".to_owned(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| number.to_string()),
        Value::String(text) => format!("\"{text}"),
        other => other.to_string(),
    }
}

/// SQL's `LIKE`: `%` any text, `_` one character, `\` takes their meaning away.
fn matches(pattern: &str, text: &str, folded: bool) -> bool {
    let (pattern, text) = if folded {
        (pattern.to_lowercase(), text.to_lowercase())
    } else {
        (pattern.into(), text.into())
    };
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The place of the last `%`, and how far the text was then: on a mismatch it takes in one more character.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p, t));
                p += 1;
            }
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => (p, t) = (p + 2, t + 1),
            Some(c) if *c == '_' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, taken)) = back else { return false };
                back = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_that_of_sql() {
        for (pattern, text, folded, expected) in [
            ("%ana%", "banana", false, true),
            ("%Ana%", "banana", false, false),
            ("%ANA%", "banana", true, true),
            ("b_nana", "banana", false, true),
            ("%a%b%c", "xaxxbxxbc", false, true),
            ("50\\%", "50%", false, true),
            ("50\\%", "500", false, false),
            ("%ÇÃ%", "ação", true, true),
            ("", "", false, true),
            ("%", "", false, true),
            ("a", "", false, false),
        ] {
            assert_eq!(matches(pattern, text, folded), expected, "{pattern} {text}");
        }
    }
}
