//! Functions of documents and templates: `tree`, `outline`, `domain`, `qweb`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{
    evaluate::{Evaluated, Run},
    functions::{arguments, entries},
    value::Val,
};
use crate::{
    mapping::rules::{self, Shape},
    model::Value,
};

/// Any nesting as `{op, of}` and `{field, is, value}`. The shape is looked at before the value: a wrong one shows at once.
pub(super) fn tree<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [value, shape] = arguments(args)?;
    let shape = Shape::new(&entries(shape)?, run.environment.formats.list())?;
    if value.is_empty() {
        return Ok(Val::Null);
    }
    let value = paid(run, value)?;
    Ok(Val::owned(rules::tree(value, &shape)))
}

pub(super) fn outline<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [tree] = arguments(args)?;
    let tree = paid(run, tree)?;
    Ok(Val::text(rules::outline(&tree)))
}

pub(super) fn domain<'a>(run: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [tree, object] = arguments(args)?;
    let Val::Text(object) = object else {
        return Err(format!("takes the name of an object, not {}", object.type_name()));
    };
    let tree = if tree.is_empty() { None } else { Some(paid(run, tree)?) };
    let environment = run.environment;
    let said = environment.domains.say(tree.as_ref(), &object, &environment.formats)?;
    Ok(Val::owned(said))
}

/// The value as JSON, with what going through it costs.
fn paid(run: &Run<'_>, value: Val<'_>) -> Result<Value, String> {
    let value = value.into_json()?;
    run.spend(weight(&value))?;
    Ok(value)
}

/// In units of about one small value: a node is looked at by five paths.
fn weight(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(weight).sum::<usize>(),
        Value::Object(map) => 8 + map.values().map(weight).sum::<usize>(),
        Value::String(text) => 1 + text.len() / 16,
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// `{{ x }}` as `<t t-out="x"/>`; in an attribute, where no tag can stand, the attribute becomes one that is evaluated.
pub(super) fn qweb<'a>(_: &Run<'a>, args: Vec<Val<'a>>) -> Evaluated<'a> {
    let [html] = arguments(args)?;
    let Val::Text(html) = html else {
        return Err(format!("takes string, not {}", html.type_name()));
    };
    let mut out = String::with_capacity(html.len() + 64);
    let mut rest = html.as_ref();
    while let Some(at) = rest.find(['<', '{']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with("<!--") {
            let end = rest.find("-->").map_or(rest.len(), |end| end + 3);
            out.push_str(&rest[..end]);
            end
        } else if let Some(end) = tag_end(rest) {
            tag(&rest[..end], &mut out);
            end
        } else if let Some((expression, end)) = placeholder(rest) {
            out.push_str("<t t-out=\"");
            escape(expression, &mut out);
            out.push_str("\"/>");
            end
        } else {
            // either is one byte long
            out.push_str(&rest[..1]);
            1
        };
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Ok(Val::text(out))
}

/// `{{ x }}` at the beginning of the text: what stands in it, and its length.
fn placeholder(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix("{{")?;
    let end = inner.find("}}")?;
    let expression = inner[..end].trim();
    (!expression.is_empty()).then_some((expression, end + 4))
}

fn escape(expression: &str, out: &mut String) {
    for character in expression.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

/// Length of the opening tag that the text begins with; a `>` in quotes does not end it.
fn tag_end(text: &str) -> Option<usize> {
    let name = text.strip_prefix('<')?;
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let mut quote = None;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, '>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A tag: attributes that hold `{{ x }}` become `t-attf-…`, which keeps the braces.
fn tag(text: &str, out: &mut String) {
    static ATTRIBUTE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(\s)([A-Za-z_:][\w:.-]*)(\s*=\s*(?:"[^"]*"|'[^']*'))"#).ok());
    let Some(attribute) = ATTRIBUTE.as_ref().filter(|_| text.contains("{{")) else {
        out.push_str(text);
        return;
    };
    let evaluated = attribute.replace_all(text, |found: &Captures<'_>| {
        let (space, name, value) = (&found[1], &found[2], &found[3]);
        let held = value
            .match_indices("{{")
            .any(|(at, _)| placeholder(&value[at..]).is_some());
        let prefix = if held && !name.starts_with("t-") { "t-attf-" } else { "" };
        format!("{space}{prefix}{name}{value}")
    });
    out.push_str(&evaluated);
}
