//! Manifests as text: what the API server would refuse is refused here too, with the line and the nearest name.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{
    CustomResourceExt,
    core::cel::{CompiledSchema, Validator, compile_schema},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    nearest::nearest,
    yaml::{self, Key, Node, Shape},
};
use crate::api::{
    GROUP, MappingSpec, Migration, VERSION,
    mapping_spec::{Finding, Severity},
};

/// A document of a manifest.
#[derive(Clone, Debug)]
pub enum Document {
    /// A `MappingSpec`.
    MappingSpec(Box<MappingSpec>),
    /// A `Migration`.
    Migration(Box<Migration>),
    /// Anything else: not ours to judge.
    Other {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// The documents of a text; `place` (a file's name) opens every message.
///
/// # Errors
/// Everything that is wrong with them: syntax, unknown fields, values out of bounds, keys that some parsers change.
pub fn parse(text: &str, place: &str) -> Result<Vec<Document>, Vec<Finding>> {
    let nodes = yaml::documents(text).map_err(|broken| {
        vec![finding(
            "Syntax",
            "",
            format!("{place}:{}: {}", broken.line, broken.message),
        )]
    })?;
    let mut reading = Reading {
        place,
        prefix: "",
        findings: Vec::new(),
    };
    let documents: Vec<Document> = nodes.iter().filter_map(|node| reading.document(node)).collect();
    if reading.findings.is_empty() {
        Ok(documents)
    } else {
        Err(reading.findings)
    }
}

fn finding(code: &str, path: &str, message: String) -> Finding {
    super::findings::bounded(Severity::Error, code, path, message)
}

/// What a CRD asks of its objects.
struct Asked {
    schema: JSONSchemaProps,
    /// The rules in it (`x-kubernetes-validations`), run as the API server runs them.
    rules: CompiledSchema,
}

static MAPPING_SPEC: LazyLock<Option<Asked>> = LazyLock::new(asked::<MappingSpec>);
static MIGRATION: LazyLock<Option<Asked>> = LazyLock::new(asked::<Migration>);

fn asked<K: CustomResourceExt>() -> Option<Asked> {
    let version = K::crd().spec.versions.into_iter().next()?;
    let schema = version.schema?.open_api_v3_schema?;
    let rules = compile_schema(&serde_json::to_value(&schema).ok()?);
    Some(Asked { schema, rules })
}

struct Reading<'a> {
    place: &'a str,
    /// Left out of paths: findings of compiling have none.
    prefix: &'static str,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn document(&mut self, node: &Node) -> Option<Document> {
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        let kind = text("kind");
        let name = node
            .get("metadata")
            .and_then(|m| m.get("name"))
            .and_then(Node::text)
            .unwrap_or_default();
        if kind.is_empty() {
            self.say("Syntax", "", node.line, "a document needs apiVersion and kind");
            return None;
        }
        let (api_version, ours) = (text("apiVersion"), format!("{GROUP}/{VERSION}"));
        let asked = match kind.as_str() {
            "MappingSpec" => &*MAPPING_SPEC,
            "Migration" => &*MIGRATION,
            _ if api_version.split('/').next() == Some(GROUP) => {
                let near = nearest(&kind, ["MappingSpec", "Migration"]).unwrap_or_default();
                let message = if near.is_empty() {
                    format!("{GROUP} has no kind {kind} that people write; there are MappingSpec and Migration")
                } else {
                    format!("{GROUP} has no kind {kind}; did you mean {near}?")
                };
                self.say("Syntax", "kind", node.line, message);
                return None;
            }
            _ => {
                return Some(Document::Other {
                    kind,
                    name: name.to_owned(),
                });
            }
        };
        if api_version != ours {
            self.say(
                "Syntax",
                "apiVersion",
                node.line,
                format!("apiVersion of a {kind} is {ours}"),
            );
        }
        if name.is_empty() {
            self.say(
                "Syntax",
                "metadata.name",
                node.line,
                format!("a {kind} needs metadata.name"),
            );
        }
        self.prefix = if kind == "MappingSpec" { "spec." } else { "" };
        let before = self.findings.len();
        if let Some(Asked { schema, rules }) = asked {
            self.root(node, schema);
            if self.findings.len() == before {
                self.rules(node, rules);
            }
        }
        if self.findings.len() > before || name.is_empty() || api_version != ours {
            return None;
        }
        if kind == "MappingSpec" {
            self.typed(node).map(|spec| Document::MappingSpec(Box::new(spec)))
        } else {
            self.typed(node)
                .map(|migration| Document::Migration(Box::new(migration)))
        }
    }

    /// The rules that go beyond a schema; only what fits its schema is put to them. What a change may not do is asked where
    /// there is something to change.
    fn rules(&mut self, node: &Node, rules: &CompiledSchema) {
        for broken in Validator::new()
            .validate_compiled(rules, &node.to_json(), None)
            .err()
            .into_iter()
            .flatten()
        {
            let line = node.below(&broken.field_path).line;
            self.say("Syntax", &broken.field_path, line, &broken.message);
        }
    }

    fn typed<T: DeserializeOwned>(&mut self, node: &Node) -> Option<T> {
        match serde_json::from_value(node.to_json()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.say("Syntax", "", node.line, error.to_string());
                None
            }
        }
    }

    fn say(&mut self, code: &str, path: &str, line: usize, message: impl AsRef<str>) {
        let path = path.strip_prefix(self.prefix).unwrap_or(path);
        self.findings.push(finding(
            code,
            path,
            format!("{}:{line}: {}", self.place, message.as_ref()),
        ));
    }

    fn root(&mut self, node: &Node, schema: &JSONSchemaProps) {
        let Shape::Map(entries) = &node.shape else { return };
        let known = schema.properties.as_ref();
        for (key, value) in entries {
            match (key.text.as_str(), known.and_then(|p| p.get(&key.text))) {
                ("apiVersion" | "kind" | "metadata", _) => {}
                (_, Some(schema)) => self.value(value, schema, &key.text),
                (_, None) => self.unknown(key, "", ["metadata", "spec"].into_iter()),
            }
        }
        if node.get("spec").is_none() {
            self.say("Syntax", "spec", node.line, "spec is not there");
        }
    }

    fn unknown<'k>(&mut self, key: &Key, path: &str, known: impl Iterator<Item = &'k str> + Clone) {
        let path = join(path, &key.text);
        let hint = nearest(&key.text, known.clone()).map_or_else(
            || format!("; there are {}", known.collect::<Vec<_>>().join(", ")),
            |name| format!("; did you mean {name}?"),
        );
        self.say(
            "UnknownField",
            &path,
            key.line,
            format!("unknown field {}{hint}", key.text),
        );
    }

    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) {
        match &node.shape {
            Shape::Scalar(Value::Null) => {
                self.say(
                    "Syntax",
                    path,
                    node.line,
                    format!("{path} has no value: leave it out, or write \"\" for empty text"),
                );
            }
            Shape::Scalar(value) => self.scalar(value, node.line, schema, path),
            Shape::List(items) => self.list(items, node.line, schema, path),
            Shape::Map(entries) => self.map(entries, node.line, schema, path),
        }
    }

    fn scalar(&mut self, value: &Value, line: usize, schema: &JSONSchemaProps, path: &str) {
        let wanted = schema.type_.as_deref().unwrap_or_default();
        let fits = match value {
            Value::String(_) => wanted == "string",
            Value::Bool(_) => wanted == "boolean",
            Value::Number(number) => wanted == "number" || wanted == "integer" && number.is_i64(),
            _ => false,
        } || schema.x_kubernetes_int_or_string == Some(true) && (value.is_string() || value.is_i64());
        if !fits {
            let hint = if wanted == "string" { ": quote it" } else { "" };
            let is = wording(wanted);
            self.say(
                "Syntax",
                path,
                line,
                format!("{path} is {is}, and {value} is not{hint}"),
            );
            return;
        }
        if let Some(options) = &schema.enum_ {
            let options: Vec<&str> = options.iter().filter_map(|option| option.0.as_str()).collect();
            let text = value.as_str().unwrap_or_default();
            if !options.contains(&text) {
                let all = options.join(", ");
                let hint = nearest(text, options).map_or_else(String::new, |name| format!("; did you mean {name}?"));
                self.say(
                    "Syntax",
                    path,
                    line,
                    format!("{path} is one of {all}, and {text} is not{hint}"),
                );
            }
            return;
        }
        if let Some(message) = out_of_bounds(value, schema) {
            self.say("Syntax", path, line, format!("{path} {message}"));
        }
    }

    fn list(&mut self, items: &[Node], line: usize, schema: &JSONSchemaProps, path: &str) {
        let Some(JSONSchemaPropsOrArray::Schema(of)) = &schema.items else {
            let is = wording(schema.type_.as_deref().unwrap_or_default());
            self.say("Syntax", path, line, format!("{path} is {is}, and a list is not"));
            return;
        };
        self.count(items.len(), (schema.min_items, schema.max_items), "entries", line, path);
        let set = schema.x_kubernetes_list_type.as_deref() == Some("set");
        let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
        let mut seen: Vec<String> = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let id = identity(item, keys);
            let label = id.clone().unwrap_or_else(|| place.to_string());
            let id = id.or_else(|| item.text().filter(|_| set).map(str::to_owned));
            if let Some(id) = id {
                if seen.contains(&id) {
                    self.say("Syntax", path, item.line, format!("{id} is there twice in {path}"));
                }
                seen.push(id);
            }
            self.value(item, of, &format!("{path}[{label}]"));
        }
    }

    fn count(&mut self, count: usize, (min, max): (Option<i64>, Option<i64>), what: &str, line: usize, path: &str) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if max.is_some_and(|max| count > max) {
            self.say(
                "Syntax",
                path,
                line,
                format!("{path} has {count} {what}; {} are the most", max.unwrap_or_default()),
            );
        }
        if min.is_some_and(|min| count < min) {
            self.say(
                "Syntax",
                path,
                line,
                format!("{path} has {count} {what}; {} are the least", min.unwrap_or_default()),
            );
        }
    }

    fn map(&mut self, entries: &[(Key, Node)], line: usize, schema: &JSONSchemaProps, path: &str) {
        if let Some(properties) = &schema.properties {
            for (key, value) in entries {
                match properties.get(&key.text) {
                    Some(schema) => self.value(value, schema, &join(path, &key.text)),
                    None => self.unknown(key, path, properties.keys().map(String::as_str)),
                }
            }
            for name in schema.required.iter().flatten() {
                if !entries.iter().any(|(key, _)| key.text == *name) {
                    self.say("Syntax", path, line, format!("{path} needs {name}"));
                }
            }
        } else if let Some(JSONSchemaPropsOrBool::Schema(of)) = &schema.additional_properties {
            self.count(entries.len(), (None, schema.max_properties), "entries", line, path);
            for (key, value) in entries {
                if key.not_text {
                    let message = format!("the key {} is no text for every parser of YAML: quote it", key.text);
                    self.say("Syntax", path, key.line, message);
                }
                self.value(value, of, &join(path, &key.text));
            }
        } else if schema.type_.as_deref() != Some("object") {
            let is = wording(schema.type_.as_deref().unwrap_or_default());
            self.say("Syntax", path, line, format!("{path} is {is}, and a map is not"));
        }
    }
}

/// What names an entry of a list: its name, or `to` and `part`.
fn identity(item: &Node, keys: &[String]) -> Option<String> {
    let mut parts = keys
        .iter()
        .map(|key| item.get(key).and_then(Node::text).unwrap_or_default());
    let first = parts.next().filter(|name| !name.is_empty())?;
    Some(
        parts
            .filter(|part| !part.is_empty())
            .fold(first.to_owned(), |id, part| format!("{id}/{part}")),
    )
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn wording(type_: &str) -> &'static str {
    match type_ {
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a map",
        _ => "a count or a share",
    }
}

fn out_of_bounds(value: &Value, schema: &JSONSchemaProps) -> Option<String> {
    if let Value::Number(number) = value {
        let number = number.as_f64()?;
        if let Some(max) = schema.maximum.filter(|max| number > *max) {
            return Some(format!("is at most {max}, and {value} is not"));
        }
        return schema
            .minimum
            .filter(|min| number < *min)
            .map(|min| format!("is at least {min}, and {value} is not"));
    }
    let text = value.as_str()?;
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(max) = schema.max_length.filter(|max| length > *max) {
        return Some(format!("has {length} characters; {max} are the most"));
    }
    if schema.min_length.is_some_and(|min| length < min) {
        return Some("may not be empty".into());
    }
    let pattern = schema.pattern.as_deref()?;
    // a pattern of our own schema that does not compile is found by the schema's tests
    let matches = regex::Regex::new(pattern).ok()?.is_match(text);
    (!matches).then(|| format!("must match {pattern}, and {text} does not"))
}

#[cfg(test)]
mod tests;
