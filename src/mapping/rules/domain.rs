//! A rule tree as a domain of Odoo, through the fields of an object: said whole and exactly, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde_json::json;

use super::{Op, Rule, comparators::Is};
use crate::{
    api::mapping_spec::{Field, MappingSpecSpec, Object, OnMissing},
    mapping::{
        path::{Path, as_list},
        read::{Formats, Moment, canonical_text, moment, read},
    },
    model::{Value, record::is_empty},
    odoo::models::Models,
};

/// What the objects of a spec can say, by name; `None` for one that becomes no model.
#[derive(Clone, Debug, Default)]
pub(in crate::mapping) struct Domains(BTreeMap<String, Option<Words>>);

/// What an object can say.
#[derive(Clone, Debug)]
struct Words {
    /// What tells its records from those of other objects with its model: fields, and the constants in them.
    own: Vec<(Through, Value)>,
    fields: Vec<Through>,
    /// It has no records in this run.
    stands_down: bool,
}

/// A field of an object, as the way from a name of the source to a condition in Odoo.
#[derive(Clone, Debug)]
struct Through {
    /// A name of the source that it is taken from.
    name: String,
    /// Field of the model; of a reference, the dotted way to the name of what it refers to.
    path: String,
    ttype: String,
    /// A many2one or many2many.
    refers: bool,
    many: bool,
    /// Those of a selection that Odoo has by itself, value and label.
    options: Vec<(String, String)>,
    values: BTreeMap<String, String>,
    keeps: bool,
    /// Why it can say nothing.
    mute: Option<String>,
}

/// A domain.
#[derive(Clone, Debug, PartialEq)]
enum Domain {
    All(Vec<Domain>),
    Any(Vec<Domain>),
    Not(Box<Domain>),
    Leaf(String, &'static str, Value),
}

impl Domains {
    /// `standing`: the objects that take part in this run.
    pub fn new(spec: &MappingSpecSpec, models: &Models, standing: &BTreeMap<&str, bool>) -> Self {
        let objects = spec.objects.iter().flatten();
        let names = Names { spec, models, standing };
        let of = |object: &Object| {
            let model = object.destination.as_ref()?.model.as_deref()?;
            let fields = object.fields.iter().flatten().filter(|field| is_written(field));
            let own = |field| {
                let constant = own_constant(object, field, model, spec)?;
                Some((
                    Through::new(String::new(), field, model, &names)?,
                    Value::from(constant),
                ))
            };
            Some(Words {
                own: fields.clone().filter_map(own).collect(),
                fields: fields.flat_map(|field| alternatives(field, model, &names)).collect(),
                stands_down: standing.get(object.name.as_str()) == Some(&false),
            })
        };
        Self(objects.map(|object| (object.name.clone(), of(object))).collect())
    }

    /// `{domain, missing}`: the domain as Odoo writes it, null unless all of the tree can be said; what cannot.
    ///
    /// # Errors
    /// An object that is not there, or becomes no model.
    pub fn say(&self, tree: Option<&Value>, object: &str, formats: &Formats) -> Result<Value, String> {
        let words = match self.0.get(object) {
            // a computed name is a person's data: no error repeats it
            None => {
                let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
                return Err(format!(
                    "there is no object of this name; there are {}",
                    names.join(", ")
                ));
            }
            Some(None) => return Err(format!("{object} becomes no model of Odoo")),
            Some(Some(words)) => words,
        };
        let Some(tree) = tree else { return Ok(Value::Null) };
        let mut missing = Vec::new();
        if words.stands_down {
            missing.push(format!("{object} stands down"));
        }
        let saying = Saying { words, formats };
        let own = saying.own(&mut missing);
        let said = saying.rule(&Rule::of(tree, 0), &mut missing);
        let domain = said.filter(|_| missing.is_empty()).map(|said| said.among(own).text());
        Ok(json!({"domain": domain, "missing": missing}))
    }
}

impl Through {
    fn new(name: String, field: &Field, model: &str, names: &Names<'_>) -> Option<Self> {
        let ttype = ttype(field, model, names.models)?;
        let known = names.models.field(model, &field.to).filter(|_| field.create.is_none());
        let refers = matches!(ttype.as_str(), "many2one" | "many2many");
        let mut through = Self {
            name,
            path: field.to.clone(),
            refers,
            many: ttype == "many2many",
            ttype,
            // one that the mapping makes gets the options that its values need
            options: known.map(|known| known.selection.clone()).unwrap_or_default(),
            values: field.values.clone().unwrap_or_default(),
            keeps: field.lookup.is_some() || field.on_missing == Some(OnMissing::Keep),
            mute: field
                .default
                .as_ref()
                .map(|_| format!("in {} an empty value became another", field.to)),
        };
        if refers {
            match names.of(field) {
                Some((name, ttype)) => {
                    through.path = format!("{}.{name}", field.to);
                    through.ttype = ttype;
                }
                None => through.mute = Some(format!("no field of Odoo has what {} is looked up by", field.to)),
            }
        }
        Some(through)
    }
}

/// A field through each name that it is taken from; but for the first, others may have had their say in a record.
fn alternatives(field: &Field, model: &str, names: &Names<'_>) -> Vec<Through> {
    let path = field.from.as_deref().and_then(|from| Path::parse(from).ok());
    let mut all: Vec<Through> = path
        .iter()
        .flat_map(Path::names)
        .flatten()
        .filter_map(|name| Through::new(name, field, model, names))
        .collect();
    if let Some((first, later)) = all.split_first_mut() {
        for one in later {
            one.mute = Some(format!("{} takes it only where {} is not there", field.to, first.name));
        }
    }
    all
}

/// The constant of a field in which another object with the model has another constant.
fn own_constant(object: &Object, field: &Field, model: &str, spec: &MappingSpecSpec) -> Option<String> {
    let only = |object: &Object| {
        let mut entries = object.fields.iter().flatten().filter(|entry| entry.to == field.to);
        let constant = entries.next().filter(|entry| entry.lookup.is_none())?.constant.clone();
        constant.filter(|_| entries.next().is_none())
    };
    let constant = only(object)?;
    let others = spec.objects.iter().flatten().filter(|other| {
        let to = other.destination.as_ref().and_then(|to| to.model.as_deref());
        to == Some(model)
    });
    let differs = others.filter_map(only).any(|other| other != constant);
    differs.then_some(constant)
}

/// Where references are found.
struct Names<'a> {
    spec: &'a MappingSpecSpec,
    models: &'a Models,
    standing: &'a BTreeMap<&'a str, bool>,
}

impl Names<'_> {
    /// The field by which a reference is found, of the model it refers to: the name of what it refers to.
    fn of(&self, field: &Field) -> Option<(String, String)> {
        let lookup = field.lookup.as_ref()?;
        if lookup.take.is_some() || lookup.kind.is_some() {
            // it leads on to another record, or to one of several models
            return None;
        }
        let plain = |name: &str, ttype: &str| {
            matches!(ttype, "char" | "text" | "selection").then(|| (name.to_owned(), ttype.to_owned()))
        };
        if let Some(model) = &lookup.model {
            let by = lookup.by.as_deref().unwrap_or("name");
            return plain(by, &self.models.field(model, by)?.ttype);
        }
        let object = lookup.object.as_ref()?;
        let target = self.spec.objects.iter().flatten().find(|known| known.name == *object)?;
        if target.otherwise.is_some() || self.standing.get(object.as_str()) == Some(&false) {
            return None;
        }
        let by = match (&lookup.by, target.key.as_deref()) {
            (Some(by), _) => first_name(by)?,
            (None, Some([key])) => first_name(key)?,
            (None, _) => return None,
        };
        let model = target.destination.as_ref()?.model.as_deref()?;
        let fields = target.fields.iter().flatten().filter(|field| is_written(field));
        fields
            .filter(|field| field.values.is_none() && field.default.is_none() && field.lookup.is_none())
            .filter(|field| field.from.as_deref().and_then(first_name).as_ref() == Some(&by))
            .find_map(|field| plain(&field.to, &ttype(field, model, self.models)?))
    }
}

/// What is only compared is nothing that Odoo is known to hold.
fn is_written(field: &Field) -> bool {
    field.check != Some(true)
}

fn first_name(path: &str) -> Option<String> {
    Path::parse(path).ok()?.first_name()
}

fn ttype(field: &Field, model: &str, models: &Models) -> Option<String> {
    let made = field.create.as_ref().map(|create| create.type_.ttype().to_owned());
    models.field(model, &field.to).map(|known| known.ttype.clone()).or(made)
}

/// The tree being said.
struct Saying<'a> {
    words: &'a Words,
    formats: &'a Formats,
}

impl Saying<'_> {
    /// The conditions that tell the object's records from those of others.
    fn own(&self, missing: &mut Vec<String>) -> Vec<Domain> {
        let mut own = Vec::new();
        for (through, constant) in &self.words.own {
            match self.equal(through, std::slice::from_ref(constant)) {
                Ok(domain) => own.push(domain),
                Err(why) => missing.push(why),
            }
        }
        own
    }

    fn rule(&self, rule: &Rule, missing: &mut Vec<String>) -> Option<Domain> {
        match rule {
            Rule::Group(_, parts) if parts.is_empty() => {
                missing.push("a group without conditions".into());
                None
            }
            Rule::Group(op, parts) => {
                let said: Vec<Option<Domain>> = parts.iter().map(|part| self.rule(part, missing)).collect();
                let parts = said.into_iter().collect::<Option<Vec<_>>>()?;
                Some(match op {
                    Op::And => Domain::All(parts),
                    Op::Or => Domain::Any(parts),
                    Op::Not => Domain::Not(Box::new(Domain::Any(parts))),
                })
            }
            Rule::Leaf { field, is, value } => match self.leaf(field.as_deref(), is.as_deref(), value) {
                Ok(domain) => Some(domain),
                Err(why) => {
                    missing.push(format!("{}: {why}", rule.words()));
                    None
                }
            },
        }
    }

    /// The first field that can say it; else why the first cannot.
    fn leaf(&self, field: Option<&str>, is: Option<&str>, value: &Value) -> Result<Domain, String> {
        let name = field.ok_or("the condition could not be read")?.trim();
        let folded = name.to_lowercase();
        let fields = self.words.fields.iter();
        let exact = fields.clone().filter(|through| through.name == name);
        let nearly = fields.filter(|through| through.name != name && through.name.to_lowercase() == folded);
        let mut why = None;
        for through in exact.chain(nearly) {
            match self.through(through, is, value) {
                Ok(domain) => return Ok(domain),
                Err(reason) => _ = why.get_or_insert(reason),
            }
        }
        Err(why.unwrap_or_else(|| format!("no field is mapped from {name}")))
    }

    fn through(&self, through: &Through, is: Option<&str>, value: &Value) -> Result<Domain, String> {
        if let Some(why) = &through.mute {
            return Err(why.clone());
        }
        let word = is.ok_or("it has no comparator")?;
        let (is, denied) = Is::parse(word).ok_or_else(|| format!("Odoo has no counterpart of {word}"))?;
        let list = match value {
            Value::String(_) if matches!(is, Is::Between) => as_list(value, self.formats.list()),
            Value::Array(list) => list.clone(),
            one if is_empty(Some(one)) => Vec::new(),
            one => vec![one.clone()],
        };
        if list
            .iter()
            .any(|value| value.is_object() || value.is_array() || value.is_null())
        {
            return Err("its value is neither one nor a list".into());
        }
        // an element of a list is what the link is to
        let is = if through.many && is == Is::Contains {
            Is::Equal
        } else {
            is
        };
        let list = through.mapped(is, list)?;
        let said = match is {
            Is::Empty if list.is_empty() => through.empty(),
            Is::Empty => Err("being empty takes no value".into()),
            Is::Yes => through.yes(&list),
            Is::Equal => self.equal(through, &list),
            Is::Contains | Is::Begins | Is::Ends => through.like(is, &list),
            Is::Greater | Is::GreaterOrEqual | Is::Less | Is::LessOrEqual => self.ordered(through, is, &list),
            Is::Between => match &list[..] {
                [from, to] => Ok(Domain::All(vec![
                    self.ordered(through, Is::GreaterOrEqual, std::slice::from_ref(from))?,
                    self.ordered(through, Is::LessOrEqual, std::slice::from_ref(to))?,
                ])),
                _ => Err("between takes two values".into()),
            },
        }?;
        Ok(if denied { said.denied(through.refers) } else { said })
    }

    fn equal(&self, through: &Through, list: &[Value]) -> Result<Domain, String> {
        if list.is_empty() {
            return Err("it has no value".into());
        }
        let spans: Vec<Span> = list
            .iter()
            .map(|value| self.span(through, value))
            .collect::<Result<_, _>>()?;
        if let Ok(points) = spans.iter().map(Span::point).collect::<Result<Vec<Value>, ()>>() {
            let path = through.path.clone();
            return Ok(match &points[..] {
                [one] => Domain::Leaf(path, "=", one.clone()),
                several => Domain::Leaf(path, "in", Value::from(several)),
            });
        }
        let days = spans.into_iter().map(|span| {
            Domain::All(vec![
                Domain::Leaf(through.path.clone(), ">=", span.from),
                Domain::Leaf(through.path.clone(), "<", span.before.unwrap_or(Value::Null)),
            ])
        });
        Ok(Domain::Any(days.collect()))
    }

    fn ordered(&self, through: &Through, is: Is, list: &[Value]) -> Result<Domain, String> {
        let [value] = list else {
            return Err("it takes one value".into());
        };
        if !matches!(
            through.ttype.as_str(),
            "integer" | "float" | "monetary" | "date" | "datetime"
        ) {
            return Err(format!("{} has no order in Odoo", through.path));
        }
        let Span { from, before } = self.span(through, value)?;
        let (operator, value) = match (is, before) {
            (Is::Greater, Some(end)) => (">=", end),
            (Is::LessOrEqual, Some(end)) => ("<", end),
            (Is::Greater, None) => (">", from),
            (Is::LessOrEqual, None) => ("<=", from),
            (Is::Less, _) => ("<", from),
            (_, _) => (">=", from),
        };
        Ok(Domain::Leaf(through.path.clone(), operator, value))
    }

    /// A value as the field holds it; a day, where the field holds points in time, is from its midnight to the next.
    fn span(&self, through: &Through, value: &Value) -> Result<Span, String> {
        let cannot = || format!("{} cannot hold its value", through.path);
        let point = |value: &Value| match read(&through.ttype, &through.options, self.formats, value) {
            Ok(done) if done.note.is_none() => done.value.to_wire().ok_or_else(cannot),
            Ok(_) | Err(_) => Err(cannot()),
        };
        match through.ttype.as_str() {
            "html" | "binary" => return Err(format!("{} is not compared whole", through.path)),
            "datetime" => {
                if let Ok(Moment::Day(day)) = moment(self.formats, value) {
                    let midnight = |day: Date| point(&Value::from(day.to_string()));
                    let next = day.tomorrow().map_err(|_| cannot())?;
                    return Ok(Span {
                        from: midnight(day)?,
                        before: Some(midnight(next)?),
                    });
                }
            }
            _ => {}
        }
        Ok(Span {
            from: point(value)?,
            before: None,
        })
    }
}

/// A value, or all from one up to another.
struct Span {
    from: Value,
    before: Option<Value>,
}

impl Span {
    fn point(&self) -> Result<Value, ()> {
        self.before.is_none().then(|| self.from.clone()).ok_or(())
    }
}

impl Through {
    /// The values of the source through the value map, where Odoo can then tell them from all others.
    fn mapped(&self, is: Is, list: Vec<Value>) -> Result<Vec<Value>, String> {
        if self.values.is_empty() || matches!(is, Is::Empty | Is::Yes) {
            return Ok(list);
        }
        if is != Is::Equal {
            return Err(format!("the values of {} were replaced", self.path));
        }
        let said: BTreeSet<String> = list.iter().map(canonical_text).collect();
        let mut mapped = Vec::new();
        for text in &said {
            match self.values.get(text) {
                Some(to) if !to.trim().is_empty() => mapped.push(to.clone()),
                None if self.keeps && !self.values.contains_key("*") => mapped.push(text.clone()),
                _ => return Err(format!("{} does not keep this value", self.path)),
            }
        }
        let other = self
            .values
            .iter()
            .find(|(from, to)| mapped.contains(to) && !said.contains(*from));
        if other.is_some() {
            return Err(format!("in {} other values became the same", self.path));
        }
        mapped.sort_unstable();
        mapped.dedup();
        Ok(mapped.into_iter().map(Value::from).collect())
    }

    fn empty(&self) -> Result<Domain, String> {
        match self.ttype.as_str() {
            "boolean" | "integer" | "float" | "monetary" => Err(format!("{} is never empty in Odoo", self.path)),
            _ => {
                // of a reference: that there is none
                let own = self
                    .path
                    .split('.')
                    .next()
                    .filter(|_| self.refers)
                    .unwrap_or(&self.path);
                Ok(Domain::Leaf(own.to_owned(), "=", Value::Bool(false)))
            }
        }
    }

    fn yes(&self, list: &[Value]) -> Result<Domain, String> {
        match (self.ttype.as_str(), list) {
            ("boolean", []) => Ok(Domain::Leaf(self.path.clone(), "=", Value::Bool(true))),
            ("boolean", _) => Err("it takes no value".into()),
            _ => Err(format!("{} is not yes or no", self.path)),
        }
    }

    fn like(&self, is: Is, list: &[Value]) -> Result<Domain, String> {
        if !matches!(self.ttype.as_str(), "char" | "text" | "html") {
            return Err(format!("{} is no text in Odoo", self.path));
        }
        let [value] = list else {
            return Err("it takes one value".into());
        };
        let mut literal = String::new();
        for character in canonical_text(value).chars() {
            if matches!(character, '%' | '_' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        let (operator, pattern) = match is {
            Is::Begins => ("=ilike", format!("{literal}%")),
            Is::Ends => ("=ilike", format!("%{literal}")),
            _ => ("ilike", literal),
        };
        Ok(Domain::Leaf(self.path.clone(), operator, Value::from(pattern)))
    }
}

impl Domain {
    /// It, and other conditions before it.
    fn among(self, mut others: Vec<Self>) -> Self {
        match self {
            Self::All(parts) => others.extend(parts),
            other => others.push(other),
        }
        Self::All(others)
    }

    /// The contrary. Of a reference not by the operator: `!=` would find any other link.
    fn denied(self, refers: bool) -> Self {
        match self {
            Self::Leaf(path, operator @ ("=" | "in" | "ilike"), value) if !refers || value == Value::Bool(false) => {
                let contrary = match operator {
                    "=" => "!=",
                    "in" => "not in",
                    _ => "not ilike",
                };
                Self::Leaf(path, contrary, value)
            }
            other => Self::Not(Box::new(other)),
        }
    }

    /// As Odoo writes domains: a list of Python, operators first.
    fn text(&self) -> String {
        let mut items = Vec::new();
        match self {
            // the parts of a domain are all of them anyway
            Self::All(parts) => {
                for part in parts {
                    part.items(&mut items);
                }
            }
            other => other.items(&mut items),
        }
        format!("[{}]", items.join(", "))
    }

    fn items(&self, items: &mut Vec<String>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let sign = if matches!(self, Self::All(_)) { "'&'" } else { "'|'" };
                items.extend(std::iter::repeat_n(sign.to_owned(), parts.len().saturating_sub(1)));
                for part in parts {
                    part.items(items);
                }
            }
            Self::Not(part) => {
                items.push("'!'".into());
                part.items(items);
            }
            Self::Leaf(path, operator, value) => {
                items.push(format!("('{path}', '{operator}', {})", python(value)));
            }
        }
    }
}

/// A literal of Python: JSON's, but for its own words.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Array(list) => format!("[{}]", list.iter().map(python).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
