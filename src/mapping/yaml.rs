//! YAML text to values that remember their line, read as the API server's client reads it: plain scalars by YAML 1.1.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

/// Longest text that is read at all.
const BYTES_MAX: usize = 4 << 20;
/// Values in all documents, aliases expanded.
const NODES_MAX: usize = 200_000;
/// Deepest nesting.
const DEPTH_MAX: usize = 64;

/// A value and the line it begins at (from 1).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub line: usize,
    pub shape: Shape,
    /// Values in it, itself included.
    size: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Shape {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub text: String,
    pub line: usize,
    /// YAML 1.1 reads it as no text (`no`, `010`, `~`): a parser may turn it into another key without a word.
    pub not_text: bool,
}

/// Why text is no YAML that can be used: the line, and a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub line: usize,
    pub message: String,
}

impl Node {
    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Shape::Map(entries) = &self.shape else { return None };
        entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// What lies at a path such as `spec.objects[0].name`, as far as it is there.
    pub fn below(&self, path: &str) -> &Self {
        let mut found = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match &found.shape {
                Shape::List(items) => step
                    .trim_end_matches(']')
                    .parse::<usize>()
                    .ok()
                    .and_then(|place| items.get(place)),
                _ => found.get(step),
            };
            let Some(next) = next else { break };
            found = next;
        }
        found
    }

    /// The text, where this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.shape {
            Shape::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value without its lines.
    pub fn to_json(&self) -> Value {
        match &self.shape {
            Shape::Scalar(value) => value.clone(),
            Shape::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Shape::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Every document of the text that is not empty.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Broken> {
    if text.len() > BYTES_MAX {
        return broken(1, format!("the text has {} bytes; {BYTES_MAX} are read", text.len()));
    }
    let mut building = Building::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Broken {
            line: error.marker().line(),
            message: error.info(),
        })?;
        building.event(event, span.start.line())?;
    }
    Ok(building.documents)
}

fn broken<T>(line: usize, message: impl Into<String>) -> Result<T, Broken> {
    Err(Broken {
        line,
        message: message.into(),
    })
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    key: Option<Key>,
    anchor: usize,
}

#[derive(Default)]
struct Building {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl Building {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), Broken> {
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                broken(line, "tags (!!str and the like) are not read; quote the text instead")
            }
            Event::Scalar(text, style, anchor, None) => {
                let plain = style == ScalarStyle::Plain;
                if let Some(key) = self.key_wanted() {
                    *key = Some(Key {
                        not_text: plain && !plain_value(&text).is_string(),
                        text: text.into_owned(),
                        line,
                    });
                    return Ok(());
                }
                self.grow(1, line)?;
                let value = if plain {
                    plain_value(&text)
                } else {
                    Value::String(text.into_owned())
                };
                self.finished(node(line, Shape::Scalar(value)), anchor)
            }
            Event::SequenceStart(_, anchor, None) => self.begin(line, Shape::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, None) => self.begin(line, Shape::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.finished(open.node, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(known) => {
                    let copy = known.clone();
                    self.grow(copy.size, line)?;
                    self.finished(copy, 0)
                }
                None => broken(line, "an alias stands inside the value it names"),
            },
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The place of the next key, where a map is open and wants one.
    fn key_wanted(&mut self) -> Option<&mut Option<Key>> {
        match self.open.last_mut() {
            Some(open) if open.key.is_none() && matches!(open.node.shape, Shape::Map(_)) => Some(&mut open.key),
            _ => None,
        }
    }

    fn begin(&mut self, line: usize, shape: Shape, anchor: usize) -> Result<(), Broken> {
        if self.key_wanted().is_some() {
            return broken(line, "a key must be text");
        }
        if self.open.len() >= DEPTH_MAX {
            return broken(line, format!("values are nested deeper than {DEPTH_MAX}"));
        }
        self.grow(1, line)?;
        self.open.push(Open {
            node: node(line, shape),
            key: None,
            anchor,
        });
        Ok(())
    }

    fn grow(&mut self, by: usize, line: usize) -> Result<(), Broken> {
        self.nodes += by;
        if self.nodes > NODES_MAX {
            return broken(
                line,
                format!("the text holds more than {NODES_MAX} values, aliases expanded"),
            );
        }
        Ok(())
    }

    fn finished(&mut self, node: Node, anchor: usize) -> Result<(), Broken> {
        let line = node.line;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if !matches!(node.shape, Shape::Scalar(Value::Null)) {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.node.size += node.size;
        match &mut open.node.shape {
            Shape::List(items) => items.push(node),
            Shape::Map(entries) => {
                let Some(key) = open.key.take() else {
                    return broken(line, "a key must be text");
                };
                if let Some((first, _)) = entries.iter().find(|(known, _)| known.text == key.text) {
                    return broken(
                        key.line,
                        format!("the key {} is there twice; first in line {}", key.text, first.line),
                    );
                }
                entries.push((key, node));
            }
            Shape::Scalar(_) => {}
        }
        Ok(())
    }
}

const fn node(line: usize, shape: Shape) -> Node {
    Node { line, shape, size: 1 }
}

/// What YAML 1.1 makes of a plain scalar.
pub(super) fn plain_value(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Value::Bool(false),
        // JSON has neither infinity nor "not a number": they are no text, and no value
        "" | "~" | "null" | "Null" | "NULL" | ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => Value::Null,
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.replace('_', "");
    let (sign, body) = match digits.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let radix = |prefix: &str, radix| {
        body.strip_prefix(prefix)
            .map(|rest| i64::from_str_radix(rest, radix).ok())
    };
    if let Some(whole) = radix("0x", 16).or_else(|| radix("0b", 2)).or_else(|| radix("0o", 8)) {
        return whole.map(|whole| Number::from(sign * whole));
    }
    if body.len() > 1 && body.starts_with('0') && body.bytes().all(|b| b.is_ascii_digit()) {
        // a leading zero is octal, or a float where it cannot be
        if let Ok(whole) = i64::from_str_radix(body, 8) {
            return Some(Number::from(sign * whole));
        }
    }
    if let Ok(whole) = body.parse::<i64>() {
        return Some(Number::from(sign * whole));
    }
    let float = body
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = if float { body.parse().ok()? } else { return None };
    Number::from_f64(f64::from(i32::try_from(sign).unwrap_or(1)) * value)
}
