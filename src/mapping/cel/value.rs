//! Values of an expression. What comes from data is borrowed, and its empties are null.

use std::{borrow::Cow, cmp::Ordering};

use crate::model::{Record, Value, record::is_empty};

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    List(List<'a>),
    Map(Map<'a>),
    /// What `type()` gives.
    Type(&'static str),
}

/// A list, of data or computed.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Data(&'a [Value]),
    Own(Vec<Val<'a>>),
}

/// A map, of data or computed.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    Data(&'a Record),
    Own(Vec<(Val<'a>, Val<'a>)>),
}

impl<'a> Val<'a> {
    /// A value of the data. Whole numbers beyond 64 bits stay exact as text.
    pub(super) fn data(value: &'a Value) -> Self {
        if is_empty(Some(value)) {
            return Self::Null;
        }
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(number) => Self::number(number),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(list) => Self::List(List::Data(list)),
            Value::Object(map) => Self::Map(Map::Data(map)),
        }
    }

    /// A value of its own; its empties are null as those of the data are.
    pub(super) fn owned(value: Value) -> Self {
        if is_empty(Some(&value)) {
            return Self::Null;
        }
        match value {
            Value::String(text) => Self::text(text),
            Value::Array(list) => Self::list(list.into_iter().map(Self::owned).collect()),
            Value::Object(map) => {
                let entries = map.into_iter();
                Self::Map(Map::Own(
                    entries
                        .map(|(key, value)| (Self::text(key), Self::owned(value)))
                        .collect(),
                ))
            }
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(yes),
            Value::Number(number) => Self::number(&number),
        }
    }

    fn number(number: &serde_json::Number) -> Self {
        match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Self::Int(whole),
            (None, Some(double)) if number.is_f64() => Self::Double(double),
            _ => Self::text(number.to_string()),
        }
    }

    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(list: Vec<Val<'a>>) -> Self {
        Self::List(List::Own(list))
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Nothing, as the language has it: null, blank text, an empty list or map.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(list) => list.len() == 0,
            Self::Map(map) => map.len() == 0,
            Self::Bool(_) | Self::Int(_) | Self::Double(_) | Self::Type(_) => false,
        }
    }

    /// The name of its type.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
        }
    }

    /// What copying it costs, in units of about one small value.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => 1 + text.len() / 16,
            Self::List(List::Own(list)) => 1 + list.iter().map(Val::weight).sum::<usize>(),
            Self::Map(Map::Own(map)) => {
                1 + map
                    .iter()
                    .map(|(key, value)| key.weight() + value.weight())
                    .sum::<usize>()
            }
            _ => 1,
        }
    }

    /// Equality: the empty are one value, whole numbers equal doubles, values of different types differ.
    pub(super) fn equals(&self, other: &Val<'_>) -> bool {
        match (self, other) {
            (Self::Bool(a), Val::Bool(b)) => a == b,
            (Self::Text(a), Val::Text(b)) if a == b => true,
            (Self::Int(_) | Self::Double(_), Val::Int(_) | Val::Double(_)) => {
                self.compare(other) == Some(Ordering::Equal)
            }
            (Self::Type(a), Val::Type(b)) => a == b,
            (Self::List(a), Val::List(b)) if a.len() == b.len() => a.iter().zip(b.iter()).all(|(a, b)| a.equals(&b)),
            (Self::Map(a), Val::Map(b)) if a.len() == b.len() => a.keys().all(|key| a.get(&key).equals(&b.get(&key))),
            _ => self.is_empty() && other.is_empty(),
        }
    }

    /// Order of two numbers, texts or booleans; `None` where they have none.
    pub(super) fn compare(&self, other: &Val<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Val::Int(b)) => Some(a.cmp(b)),
            (Self::Double(a), Val::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Val::Double(b)) => mixed(*a, *b),
            (Self::Double(a), Val::Int(b)) => mixed(*b, *a).map(Ordering::reverse),
            (Self::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The value as JSON, as fields read it.
    pub(super) fn into_json(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(yes) => Value::Bool(yes),
            Self::Int(number) => Value::from(number),
            Self::Double(number) => serde_json::Number::from_f64(number)
                .map(Value::Number)
                .ok_or("the result is not a finite number")?,
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(List::Data(list)) => Value::Array(list.to_vec()),
            Self::List(List::Own(list)) => list.into_iter().map(Val::into_json).collect::<Result<_, _>>()?,
            Self::Map(Map::Data(map)) => Value::Object(map.clone()),
            Self::Map(Map::Own(map)) => map
                .into_iter()
                .map(|(key, value)| {
                    Ok((
                        key.scalar_text().ok_or("the key of a map has no text")?,
                        value.into_json()?,
                    ))
                })
                .collect::<Result<Record, String>>()
                .map(Value::Object)?,
            Self::Type(_) => return Err("a type is not a value for a field".to_owned()),
        })
    }

    /// Canonical text of a scalar.
    pub(super) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Bool(yes) => Some(yes.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Double(number) => Some(crate::mapping::compare::canonical_float(*number)),
            Self::Text(text) => Some(text.to_string()),
            Self::Type(name) => Some((*name).to_owned()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// Order of a whole number and a double, exact beyond 2^53.
fn mixed(whole: i64, double: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= LIMIT {
        Some(Ordering::Less)
    } else if double < -LIMIT {
        Some(Ordering::Greater)
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "within 64 bits; the fraction is looked at next"
        )]
        let floor = double.floor() as i64;
        Some(whole.cmp(&floor).then_with(|| {
            if double.fract() == 0.0 {
                Ordering::Equal
            } else {
                Ordering::Less
            }
        }))
    }
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data(list) => list.len(),
            Self::Own(list) => list.len(),
        }
    }

    /// The element at a place; null where there is none.
    pub(super) fn take(self, place: i64) -> Val<'a> {
        let Ok(place) = usize::try_from(place) else {
            return Val::Null;
        };
        match self {
            Self::Data(list) => list.get(place).map_or(Val::Null, Val::data),
            Self::Own(mut list) if place < list.len() => list.swap_remove(place),
            Self::Own(_) => Val::Null,
        }
    }

    pub(super) fn iter<'s>(&'s self) -> Box<dyn Iterator<Item = Val<'s>> + 's> {
        match self {
            Self::Data(list) => Box::new(list.iter().map(Val::data)),
            Self::Own(list) => Box::new(list.iter().cloned()),
        }
    }

    pub(super) fn into_vec(self) -> Vec<Val<'a>> {
        match self {
            Self::Data(list) => list.iter().map(Val::data).collect(),
            Self::Own(list) => list,
        }
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data(map) => map.len(),
            Self::Own(map) => map.len(),
        }
    }

    /// The value of a key; null where there is none.
    pub(super) fn get(&self, key: &Val<'_>) -> Val<'a> {
        match (self, key) {
            (Self::Data(map), Val::Text(key)) => map.get(key.as_ref()).map_or(Val::Null, Val::data),
            (Self::Data(_), _) => Val::Null,
            (Self::Own(map), key) => {
                let found = map.iter().find(|(candidate, _)| candidate.equals(key));
                found.map_or(Val::Null, |(_, value)| value.clone())
            }
        }
    }

    pub(super) fn keys<'s>(&'s self) -> Box<dyn Iterator<Item = Val<'a>> + 's> {
        match self {
            Self::Data(map) => Box::new(map.keys().map(|key| Val::text(key.as_str()))),
            Self::Own(map) => Box::new(map.iter().map(|(key, _)| key.clone())),
        }
    }
}
