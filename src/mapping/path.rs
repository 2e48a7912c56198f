//! Paths: where a value lies in a record. Evaluated without a copy wherever the value is in the record as it stands.

use std::{borrow::Cow, iter::Peekable, str::CharIndices};

use super::scope::Scope;
use crate::model::{Record, Value, record::is_empty};

/// What separates a list in text unless [`Path::with_separator`] says otherwise.
const SEPARATOR: &str = ",";
/// Bound of the schema, in characters.
const LENGTH_MAX: usize = 512;

/// A parsed path: alternatives of steps.
#[derive(Clone, Debug)]
pub struct Path {
    alternatives: Vec<Steps>,
    separator: String,
}

#[derive(Clone, Debug)]
struct Steps {
    root: Root,
    names: Vec<Name>,
}

/// What the first name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Root {
    /// A field of the record: the first of `names`.
    Field,
    Record,
    Item,
    Parent,
    Index,
    /// The element that a line is made of; nothing outside lines.
    Line,
}

#[derive(Clone, Debug)]
struct Name {
    text: String,
    /// Set where it may be a place in a list.
    place: Option<usize>,
}

/// An element that `each` goes over.
#[derive(Clone, Debug, PartialEq)]
pub struct Element<'a> {
    /// The element.
    pub item: Cow<'a, Value>,
    /// What holds it; null where that is the record itself.
    pub parent: Cow<'a, Value>,
    /// Its place in the list around it, from 0.
    pub index: i64,
}

impl Path {
    /// Parses `a.b.0 | "odd name" | record.item`.
    ///
    /// # Errors
    /// A sentence that names the place.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > LENGTH_MAX {
            return Err(format!("a path has {LENGTH_MAX} characters at most"));
        }
        let mut parser = Parser {
            text,
            rest: text.char_indices().peekable(),
        };
        let mut alternatives = vec![parser.steps()?];
        while let Some((place, character)) = parser.next_solid() {
            if character != '|' {
                return Err(parser.unexpected(place, character));
            }
            alternatives.push(parser.steps()?);
        }
        Ok(Self {
            alternatives,
            separator: SEPARATOR.to_owned(),
        })
    }

    /// The path with `formats.list`, at which text is split where a list is wanted.
    #[must_use]
    pub fn with_separator(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    /// The value of the first alternative that has one, else null.
    #[must_use]
    pub fn resolve<'a>(&self, scope: &Scope<'a>) -> Cow<'a, Value> {
        self.alternatives
            .iter()
            .map(|steps| steps.resolve(scope, &self.separator))
            .find(|value| !is_empty(Some(value)))
            .unwrap_or(Cow::Owned(Value::Null))
    }

    /// Every innermost element of the list at the path; a map gives `{key, value}`, text is split.
    #[must_use]
    pub fn each<'a>(&self, scope: &Scope<'a>) -> Vec<Element<'a>> {
        self.alternatives
            .iter()
            .map(|steps| steps.each(scope, &self.separator))
            .find(|elements| !elements.is_empty())
            .unwrap_or_default()
    }

    /// First names that are fields of the record (or lets), of every alternative.
    #[must_use]
    pub fn record_fields(&self) -> Vec<&str> {
        self.alternatives
            .iter()
            .filter(|steps| matches!(steps.root, Root::Field | Root::Record))
            .filter_map(|steps| steps.names.first().map(|name| name.text.as_str()))
            .collect()
    }

    /// The first alternative as it is written: names, dotted; `record.` in front of them says nothing.
    #[must_use]
    pub fn first_name(&self) -> Option<String> {
        self.names().into_iter().next()?
    }

    /// The alternatives as they are written; a whole record has no name.
    #[must_use]
    pub fn names(&self) -> Vec<Option<String>> {
        self.alternatives.iter().map(Steps::name).collect()
    }

    /// How many alternatives there are.
    #[must_use]
    pub fn alternatives(&self) -> usize {
        self.alternatives.len()
    }
}

impl Steps {
    fn name(&self) -> Option<String> {
        let root = match self.root {
            Root::Field | Root::Record => None,
            Root::Item => Some("item"),
            Root::Parent => Some("parent"),
            Root::Index => Some("index"),
            Root::Line => Some("line"),
        };
        let names = self.names.iter().map(|name| name.text.as_str());
        let all: Vec<&str> = root.into_iter().chain(names).collect();
        (!all.is_empty()).then(|| all.join("."))
    }

    fn resolve<'a>(&self, scope: &Scope<'a>, separator: &str) -> Cow<'a, Value> {
        let (start, names) = self.start(scope);
        names.iter().fold(start, |value, name| step(value, name, separator))
    }

    fn each<'a>(&self, scope: &Scope<'a>, separator: &str) -> Vec<Element<'a>> {
        let (start, names) = self.start(scope);
        let mut holders = vec![(start, Cow::Owned(Value::Null))];
        for name in names {
            holders = holders
                .into_iter()
                .flat_map(|(value, parent)| into_lists(value, parent, name))
                .map(|(value, parent)| (step(value.clone(), name, separator), parent.unwrap_or(value)))
                .collect();
        }
        holders
            .into_iter()
            .flat_map(|(list, parent)| {
                elements(list, separator)
                    .into_iter()
                    .zip(0..)
                    .map(move |(item, index)| Element {
                        item,
                        parent: parent.clone(),
                        index,
                    })
            })
            .collect()
    }

    /// The value of the first name, and the names that go on from it.
    fn start<'a>(&self, scope: &Scope<'a>) -> (Cow<'a, Value>, &[Name]) {
        let null = || Cow::Owned(Value::Null);
        let value = match self.root {
            Root::Field | Root::Record => match self.names.split_first() {
                Some((name, names)) => {
                    return (scope.field(&name.text).map_or_else(null, Cow::Borrowed), names);
                }
                None => Cow::Owned(Value::Object(whole(scope))),
            },
            Root::Item => scope.each.map_or_else(null, |each| Cow::Borrowed(each.item)),
            Root::Parent => scope.each.map_or_else(null, |each| Cow::Borrowed(each.parent)),
            Root::Index => scope.place().map_or_else(null, |index| Cow::Owned(Value::from(index))),
            Root::Line => scope.line.map_or_else(null, |line| Cow::Borrowed(line.item)),
        };
        (value, &self.names)
    }
}

/// The record with its lets.
pub(super) fn whole(scope: &Scope<'_>) -> Record {
    let mut record = scope.record.clone();
    for (name, value) in scope.lets {
        record.insert(name.clone(), value.clone());
    }
    record
}

/// The values that a name steps from: a list (unless the name is a place in it) is each of its elements.
/// The parent is `None` where it is the value stepped from.
fn into_lists<'a>(
    value: Cow<'a, Value>,
    parent: Cow<'a, Value>,
    name: &Name,
) -> Vec<(Cow<'a, Value>, Option<Cow<'a, Value>>)> {
    if name.place.is_some() {
        return vec![(value, Some(parent))];
    }
    match value {
        Cow::Borrowed(Value::Array(list)) => list.iter().map(|element| (Cow::Borrowed(element), None)).collect(),
        Cow::Owned(Value::Array(list)) => list.into_iter().map(|element| (Cow::Owned(element), None)).collect(),
        other => vec![(other, None)],
    }
}

/// One step: into a map by name, into a list by place or into each element, into nothing never.
fn step<'a>(value: Cow<'a, Value>, name: &Name, separator: &str) -> Cow<'a, Value> {
    let null = Cow::Owned(Value::Null);
    match (value, name.place) {
        (Cow::Borrowed(Value::Object(map)), _) => map.get(&name.text).map_or(null, Cow::Borrowed),
        (Cow::Owned(Value::Object(mut map)), _) => map.remove(&name.text).map_or(null, Cow::Owned),
        (Cow::Borrowed(Value::Array(list)), Some(place)) => list.get(place).map_or(null, Cow::Borrowed),
        (Cow::Owned(Value::Array(mut list)), Some(place)) => {
            if place < list.len() {
                Cow::Owned(list.swap_remove(place))
            } else {
                null
            }
        }
        (list, None) if list.is_array() => {
            let each = elements(list, separator).into_iter();
            Cow::Owned(Value::Array(
                each.flat_map(|element| match step(element, name, separator).into_owned() {
                    Value::Array(inner) => inner,
                    other if is_empty(Some(&other)) => Vec::new(),
                    other => vec![other],
                })
                .collect(),
            ))
        }
        (text, Some(place)) if text.is_string() => {
            let mut pieces = as_list(&text, separator);
            if place < pieces.len() {
                Cow::Owned(pieces.swap_remove(place))
            } else {
                null
            }
        }
        _ => null,
    }
}

/// The elements of what is at `each`; a map gives `{key, value}`.
fn elements<'a>(value: Cow<'a, Value>, separator: &str) -> Vec<Cow<'a, Value>> {
    let parsed = match &*value {
        Value::String(text) => json_cell(text).map(Cow::Owned),
        _ => None,
    };
    match parsed.unwrap_or(value) {
        Cow::Borrowed(Value::Array(list)) => list
            .iter()
            .filter(|item| !is_empty(Some(item)))
            .map(Cow::Borrowed)
            .collect(),
        Cow::Borrowed(Value::Object(map)) => map.clone().into_iter().map(pair).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(pair).collect(),
        other => as_list(&other, separator).into_iter().map(Cow::Owned).collect(),
    }
}

fn pair<'a>((key, value): (String, Value)) -> Cow<'a, Value> {
    let mut pair = Record::new();
    pair.insert("key".to_owned(), Value::String(key));
    pair.insert("value".to_owned(), value);
    Cow::Owned(Value::Object(pair))
}

/// A value where a list is wanted. Text is split at `separator` (pieces trimmed, blanks dropped) unless it is a JSON
/// list or map; empty elements are nothing; any other value is a list of one.
#[must_use]
pub fn as_list(value: &Value, separator: &str) -> Vec<Value> {
    match value {
        Value::Array(list) => list.iter().filter(|item| !is_empty(Some(item))).cloned().collect(),
        Value::String(text) => match json_cell(text) {
            Some(Value::Array(list)) => list.into_iter().filter(|item| !is_empty(Some(item))).collect(),
            Some(map) => vec![map],
            None => text
                .split(separator)
                .map(str::trim)
                .filter(|piece| !piece.is_empty())
                .map(Value::from)
                .collect(),
        },
        other if is_empty(Some(other)) => Vec::new(),
        other => vec![other.clone()],
    }
}

/// The path of a field, whatever its name.
pub(super) fn quoted(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{name}\"")
}

/// A cell of a CSV file that is a JSON list or map.
pub(super) fn json_cell(text: &str) -> Option<Value> {
    let trimmed = text.trim();
    let bracketed =
        (trimmed.starts_with('[') && trimmed.ends_with(']')) || (trimmed.starts_with('{') && trimmed.ends_with('}'));
    bracketed.then(|| serde_json::from_str(trimmed).ok()).flatten()
}

struct Parser<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
}

impl Parser<'_> {
    fn steps(&mut self) -> Result<Steps, String> {
        let (first, quoted) = self.name()?;
        let root = match first.text.as_str() {
            _ if quoted => Root::Field,
            "record" => Root::Record,
            "item" => Root::Item,
            "parent" => Root::Parent,
            "index" => Root::Index,
            "line" => Root::Line,
            _ => Root::Field,
        };
        let mut names = Vec::new();
        if root == Root::Field {
            names.push(first);
        }
        while self.rest.next_if(|(_, character)| *character == '.').is_some() {
            names.push(self.name()?.0);
        }
        Ok(Steps { root, names })
    }

    /// A name, and whether it was quoted.
    fn name(&mut self) -> Result<(Name, bool), String> {
        match self.next_solid() {
            Some((place, '"')) => self.quoted(place).map(|text| (Name { text, place: None }, true)),
            Some((_, character)) if plain(character) => {
                let mut text = String::from(character);
                while let Some((_, character)) = self.rest.next_if(|(_, character)| plain(*character)) {
                    text.push(character);
                }
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let place = digits.then(|| text.parse().ok()).flatten();
                Ok((Name { text, place }, false))
            }
            Some((place, character)) => Err(self.unexpected(place, character)),
            None => Err("a path ends where a name should be".to_owned()),
        }
    }

    /// The rest of a quoted name; `\"` is a quote, `\\` a backslash.
    fn quoted(&mut self, start: usize) -> Result<String, String> {
        let mut text = String::new();
        while let Some((_, character)) = self.rest.next() {
            match character {
                '"' if text.is_empty() => return Err(format!("an empty name at character {}", self.count(start))),
                '"' => return Ok(text),
                '\\' => text.extend(self.rest.next().map(|(_, escaped)| escaped)),
                other => text.push(other),
            }
        }
        Err(format!("the quote at character {} is not closed", self.count(start)))
    }

    fn next_solid(&mut self) -> Option<(usize, char)> {
        while self.rest.next_if(|(_, character)| character.is_whitespace()).is_some() {}
        self.rest.next()
    }

    fn unexpected(&self, place: usize, character: char) -> String {
        format!(
            "unexpected {character:?} at character {} of the path; names with anything but letters, digits, _ - $ @ \
             stand in double quotes",
            self.count(place)
        )
    }

    /// Place in characters, from 1.
    fn count(&self, place: usize) -> usize {
        self.text[..place].chars().count() + 1
    }
}

/// What a name without quotes is made of.
fn plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '$' | '@') || is_mark(character)
}

/// A combining accent, as decomposed headers have them.
fn is_mark(character: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::mapping::scope::Each;

    fn record() -> Record {
        let value = json!({
            "name": "Ana", "blank": "  ", "zero": 0, "item": "field", "Data de criação": "2024", "a.b": 1, "día": 2,
            "lines": [{"product": "x", "qty": 1}, {"product": ""}, {"product": "z"}],
            "pictures": ["p0", "p1"], "tags": " a , b,, c ", "cell": "[\"x\", \"y\"]", "map": {"k1": 1, "k2": {"in": 2}},
            "questions": [{"options": ["a", "b"]}, {"options": []}, {"options": ["c"]}], "0": "zeroth",
        });
        value.as_object().unwrap().clone()
    }

    fn resolve(path: &str) -> Value {
        let (record, lets) = (record(), json!({"key": "computed"}).as_object().unwrap().clone());
        let (item, parent) = (json!({"id": 7}), json!({"id": 8}));
        let each = Some(Each {
            item: &item,
            parent: &parent,
            index: 3,
        });
        let scope = Scope {
            record: &record,
            lets: &lets,
            each,
            line: None,
        };
        Path::parse(path).unwrap().resolve(&scope).into_owned()
    }

    #[test]
    fn a_path_gives_the_value_it_points_to() {
        for (path, wanted) in [
            ("name", json!("Ana")),
            ("key", json!("computed")),
            ("missing", json!(null)),
            ("blank", json!(null)),
            ("zero", json!(0)),
            ("missing | blank | name", json!("Ana")),
            ("zero|name", json!(0)),
            ("\"Data de criação\"", json!("2024")),
            ("\"a.b\"", json!(1)),
            ("día", json!(2)),
            ("a.b", json!(null)),
            ("name.first", json!(null)),
            ("lines.product", json!(["x", "z"])),
            ("lines.0.product", json!("x")),
            ("lines.9.product", json!(null)),
            ("pictures.1", json!("p1")),
            ("tags.2", json!("c")),
            ("tags.3", json!(null)),
            ("cell.1", json!("y")),
            ("map.k2.in", json!(2)),
            ("questions.options", json!(["a", "b", "c"])),
            ("questions.options.0", json!("a")),
            ("item.id", json!(7)),
            ("parent.id", json!(8)),
            ("index", json!(3)),
            ("line.id", json!(null)),
            ("record.item", json!("field")),
            ("\"item\"", json!("field")),
            ("record.name", json!("Ana")),
            ("0", json!("zeroth")),
        ] {
            assert_eq!(resolve(path), wanted, "{path}");
        }
        assert_eq!(resolve("record")["key"], json!("computed"));
    }

    #[test]
    fn a_plain_field_is_borrowed() {
        let (record, lets) = (record(), Record::new());
        let scope = Scope {
            record: &record,
            lets: &lets,
            each: None,
            line: None,
        };
        for path in ["name", "map.k2.in", "lines.0.product", "missing | pictures.1"] {
            assert!(
                matches!(Path::parse(path).unwrap().resolve(&scope), Cow::Borrowed(_)),
                "{path}"
            );
        }
    }

    #[test]
    fn each_goes_over_innermost_elements_with_what_holds_them() {
        let (record, lets) = (record(), Record::new());
        let scope = Scope {
            record: &record,
            lets: &lets,
            each: None,
            line: None,
        };
        let each = |path: &str| -> Vec<(Value, Value, i64)> {
            let elements = Path::parse(path).unwrap().each(&scope);
            let triple = |e: Element<'_>| (e.item.into_owned(), e.parent.into_owned(), e.index);
            elements.into_iter().map(triple).collect()
        };
        let null = json!(null);
        assert_eq!(
            each("pictures"),
            [(json!("p0"), null.clone(), 0), (json!("p1"), null.clone(), 1)]
        );
        assert_eq!(each("tags").len(), 3);
        assert_eq!(each("cell")[1].0, json!("y"));
        assert_eq!(each("missing"), []);
        assert_eq!(each("missing | name"), [(json!("Ana"), null.clone(), 0)]);
        assert_eq!(each("map")[0].0, json!({"key": "k1", "value": 1}));
        let holder = json!({"options": ["a", "b"]});
        assert_eq!(
            each("questions.options"),
            [
                (json!("a"), holder.clone(), 0),
                (json!("b"), holder, 1),
                (json!("c"), json!({"options": ["c"]}), 0)
            ]
        );
        assert_eq!(each("lines.0")[0].0, json!({"key": "product", "value": "x"}));
    }

    #[test]
    fn a_list_is_read_from_what_is_there() {
        for (value, wanted) in [
            (json!(null), json!([])),
            (json!("a; b;;c"), json!(["a", "b", "c"])),
            (json!("[1, null, \"\"]"), json!([1])),
            (json!("[not json]"), json!(["[not json]"])),
            (json!("{\"a\":1}"), json!([{"a": 1}])),
            (json!(["a", null, "", 0]), json!(["a", 0])),
            (json!({"a": 1}), json!([{"a": 1}])),
            (json!(5), json!([5])),
            (json!(false), json!([false])),
        ] {
            assert_eq!(Value::from(as_list(&value, ";")), wanted, "{value}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_place() {
        for (path, wanted) in [
            ("", "ends where a name"),
            ("a.", "ends where a name"),
            ("a |", "ends where a name"),
            ("a || b", "'|' at character 4"),
            ("a b", "'b' at character 3"),
            ("lines[0]", "'[' at character 6"),
            ("\"open", "quote at character 1"),
            ("a.\"\"", "empty name at character 3"),
            ("é.(", "'(' at character 3"),
        ] {
            let error = Path::parse(path).unwrap_err();
            assert!(error.contains(wanted), "{path}: {error}");
        }
        assert!(Path::parse(&"a".repeat(513)).is_err());
    }

    #[test]
    fn a_path_tells_the_fields_it_reads() {
        let path = Path::parse("a.b | item.c | record.d | \"e f\"").unwrap();
        assert_eq!(path.record_fields(), ["a", "d", "e f"]);
        assert_eq!(path.alternatives(), 4);
    }

    proptest! {
        #[test]
        fn parsing_and_resolving_never_panic(text in "[a-z0-9.|\" é\\\\\\[-]{0,24}") {
            if let Ok(path) = Path::parse(&text) {
                let (record, lets) = (record(), Record::new());
                let scope = Scope { record: &record, lets: &lets, each: None, line: None };
                prop_assert!(path.each(&scope).len() < 10);
                prop_assert!(path.resolve(&scope).is_null() || path.alternatives() > 0);
            }
        }
    }
}
