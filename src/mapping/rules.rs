//! Rule trees: the conditions of a segment or an automation, read into one shape whatever the source calls its keys, then
//! told as text or said as a domain of Odoo. Total: what cannot be read stays in the tree as it is, and is told.

mod comparators;
mod domain;

pub(super) use domain::Domains;

use serde_json::json;

use super::{
    path::{Path, as_list, json_cell},
    read::canonical_text,
    scope::Scope,
};
use crate::model::{Record, Value, digest::canonical_json, record::is_empty};

/// Deepest nesting of groups; what lies deeper is kept as JSON text.
const DEPTH_MAX: usize = 32;

/// Where a node of the source has what.
#[derive(Debug)]
pub(super) struct Shape {
    children: Path,
    operator: Path,
    field: Path,
    comparator: Path,
    value: Path,
    separator: String,
}

/// How the parts of a group belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// All of them.
    And,
    /// At least one.
    Or,
    /// None of them.
    Not,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Group(Op, Vec<Rule>),
    /// A condition; without a field where the node could not be read.
    Leaf {
        field: Option<String>,
        is: Option<String>,
        value: Value,
    },
}

impl Shape {
    /// A shape from the names of its keys; a key that is not named is called as we call it.
    ///
    /// # Errors
    /// A key that no node has, a path that cannot be read.
    pub fn new(entries: &[(String, String)], separator: &str) -> Result<Self, String> {
        const KEYS: [&str; 5] = ["children", "operator", "field", "comparator", "value"];
        // a computed key or path is a person's data: no error repeats it
        if entries.iter().any(|(key, _)| !KEYS.contains(&key.as_str())) {
            return Err(format!("the shape names another key than {}", KEYS.join(", ")));
        }
        let path = |key: &str| {
            let named = entries.iter().find(|(name, _)| name == key);
            let text = named.map_or(key, |(_, path)| path);
            let path = Path::parse(text).map_err(|_| format!("{key} of the shape is no path"))?;
            Ok::<_, String>(path.with_separator(separator))
        };
        Ok(Self {
            children: path("children")?,
            operator: path("operator")?,
            field: path("field")?,
            comparator: path("comparator")?,
            value: path("value")?,
            separator: separator.to_owned(),
        })
    }

    /// What a node has at a path; `None` where it is empty.
    fn at(path: &Path, node: &Record) -> Option<Value> {
        let scope = Scope {
            record: node,
            lets: &Record::new(),
            each: None,
            line: None,
        };
        let value = path.resolve(&scope);
        (!is_empty(Some(&value))).then(|| value.into_owned())
    }

    fn is_node(&self, map: &Record) -> bool {
        [&self.children, &self.field, &self.comparator]
            .into_iter()
            .any(|path| Self::at(path, map).is_some())
    }

    /// The nodes below: of a list its elements, of a map itself, or its values where it only names them.
    fn below(&self, children: Value) -> Vec<Value> {
        match children {
            Value::Object(map) if !self.is_node(&map) => map.into_iter().map(|(_, node)| node).collect(),
            other => as_list(&other, &self.separator),
        }
    }

    fn read(&self, node: Value, depth: usize) -> Rule {
        if depth >= DEPTH_MAX {
            return Rule::unread(Value::String(json_text(&node)));
        }
        match node {
            Value::Array(list) => {
                let list = list.into_iter().filter(|node| !is_empty(Some(node)));
                Rule::Group(Op::And, list.map(|node| self.read(node, depth + 1)).collect())
            }
            Value::Object(map) => self.read_map(map, depth),
            Value::String(text) => match json_cell(&text) {
                Some(cell) => self.read(cell, depth),
                None => Rule::unread(Value::String(text)),
            },
            other => Rule::unread(other),
        }
    }

    fn read_map(&self, map: Record, depth: usize) -> Rule {
        let text = |path| Self::at(path, &map).map(|value| canonical_text(&value));
        let (field, is) = (text(&self.field), text(&self.comparator));
        let own = field.map(|field| Rule::Leaf {
            field: Some(field),
            is,
            value: Self::at(&self.value, &map).unwrap_or(Value::Null),
        });
        // a node that is both is one level more
        let depth = depth + usize::from(own.is_some());
        let group = Self::at(&self.children, &map).map(|children| {
            let below = self.below(children);
            let word = text(&self.operator);
            match word.as_deref().map_or(Some(Op::And), Op::parse) {
                Some(op) => Rule::Group(op, below.into_iter().map(|node| self.read(node, depth + 1)).collect()),
                // how its parts belong together is not for us to guess
                None => Rule::Leaf {
                    field: None,
                    is: word,
                    value: Value::Array(below),
                },
            }
        });
        match (own, group) {
            (Some(own), Some(group)) => Rule::Group(Op::And, vec![own, group]),
            (Some(rule), None) | (None, Some(rule)) => rule,
            (None, None) => Rule::unread(Value::Object(map)),
        }
    }
}

impl Op {
    fn parse(word: &str) -> Option<Self> {
        let word: String = word.to_lowercase().chars().filter(|c| !" _-".contains(*c)).collect();
        Some(match word.as_str() {
            "and" | "all" | "allof" | "matchall" | "every" | "must" | "e" | "&" | "&&" | "и" => Self::And,
            "or" | "any" | "anyof" | "matchany" | "some" | "should" | "ou" | "|" | "||" | "или" => Self::Or,
            "not" | "none" | "noneof" | "nor" | "mustnot" | "não" | "nao" | "!" | "не" => Self::Not,
            _ => return None,
        })
    }

    const fn word(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
        }
    }
}

impl Rule {
    const fn unread(value: Value) -> Self {
        Self::Leaf {
            field: None,
            is: None,
            value,
        }
    }

    /// A node of a tree as `tree` gives it.
    fn of(node: &Value, depth: usize) -> Self {
        let op = node["op"].as_str().and_then(Op::parse);
        match (op, &node["of"]) {
            _ if depth > DEPTH_MAX => Self::unread(Value::String(json_text(node))),
            (Some(op), of) if node.is_object() => {
                let parts = of.as_array().into_iter().flatten();
                Self::Group(op, parts.map(|part| Self::of(part, depth + 1)).collect())
            }
            _ => {
                let text = |key: &str| {
                    let value = &node[key];
                    (!is_empty(Some(value))).then(|| canonical_text(value))
                };
                match (text("field"), text("is")) {
                    (None, None) if node["value"].is_null() => Self::unread(node.clone()),
                    (field, is) => Self::Leaf {
                        field,
                        is,
                        value: node["value"].clone(),
                    },
                }
            }
        }
    }

    fn into_json(self) -> Value {
        match self {
            Self::Group(op, parts) => {
                let of: Vec<Value> = parts.into_iter().map(Self::into_json).collect();
                json!({"op": op.word(), "of": of})
            }
            Self::Leaf { field, is, value } => json!({"field": field, "is": is, "value": value}),
        }
    }

    fn outline(&self, indent: usize, text: &mut String) {
        let line = |text: &mut String, line: &str| {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&"  ".repeat(indent));
            text.push_str(line);
        };
        match self {
            Self::Group(op, parts) => {
                let word = match op {
                    Op::And => "all of",
                    Op::Or => "any of",
                    Op::Not => "none of",
                };
                line(
                    text,
                    if parts.is_empty() {
                        "a group without conditions"
                    } else {
                        word
                    },
                );
                for part in parts {
                    part.outline(indent + 1, text);
                }
            }
            Self::Leaf { .. } => line(text, &self.words()),
        }
    }

    /// A condition in one line.
    fn words(&self) -> String {
        let Self::Leaf { field, is, value } = self else {
            return String::new();
        };
        let value = (!is_empty(Some(value))).then(|| canonical_text(value));
        let words: Vec<String> = [field.clone(), is.clone(), value].into_iter().flatten().collect();
        words.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The tree of what a source has: `{op, of}` and `{field, is, value}`.
pub(super) fn tree(value: Value, shape: &Shape) -> Value {
    shape.read(value, 0).into_json()
}

/// A tree as indented text.
pub(super) fn outline(tree: &Value) -> String {
    let mut text = String::new();
    Rule::of(tree, 0).outline(0, &mut text);
    text
}

fn json_text(value: &Value) -> String {
    canonical_json(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
