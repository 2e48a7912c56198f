//! From a merged spec to a mapping, with everything that is wrong with it said at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Compiled, Mapping, Merged, SourceShape, World,
    cel::{Environment, Expression},
    check,
    created::{self, Created},
    discover, fields,
    findings::{Findings, hint},
    graph::{Graph, Need},
    join, names,
    object::{Destination, Document, KeyPart, Object, Plan},
    path::Path,
    read::Formats,
    rules::Domains,
    samples, standing,
};
use crate::{
    api::mapping_spec::{self as api, Fidelity, MappingSpecSpec, OnNew, Parameter, ParameterType},
    model::{OdooModel, Value, digest::canonical_json},
};

/// Largest spec that fits an object of the cluster with room for its status, in bytes.
const SPEC_MAX: usize = 900 << 10;

/// Compiles a spec and checks it against what is known of the source and of Odoo.
#[must_use]
pub fn compile(merged: &Merged, world: World<'_>) -> Compiled {
    let mut findings = Findings::default();
    let spec = &merged.spec;
    check_size(spec, &mut findings);
    let models = created::with_models(spec, world.models);
    let world = World {
        models: models.as_ref().unwrap_or(world.models),
        ..world
    };
    let formats = spec.source.as_ref().and_then(|source| source.formats.as_ref());
    let compatibility;
    let (mut unmapped, mut fields_read) = (BTreeMap::new(), BTreeMap::new());
    let mut expanded = None;
    let mapping = match Formats::new(formats) {
        Err(message) => {
            findings.error("BadFormat", "source.formats", message);
            compatibility = rows_kept(spec, &BTreeSet::new(), None);
            None
        }
        Ok(read) => {
            expanded = discovered(merged, world, &read, &mut findings);
            let merged = expanded.as_ref().unwrap_or(merged);
            let mut compiler = Compiler::new(merged, world, read, findings);
            let (mapping, active) = compiler.whole();
            findings = compiler.findings;
            (unmapped, fields_read) = (compiler.unmapped, compiler.read);
            compatibility = rows_kept(spec, &active, world.source);
            mapping
        }
    };
    let failed = findings.any_error();
    Compiled {
        mapping: mapping.filter(|_| !failed),
        spec: expanded.map(|merged| merged.spec),
        findings: findings.sorted(),
        unmapped,
        read: fields_read,
        compatibility,
        grade: (!failed).then(|| grade(compatibility)).flatten(),
    }
}

/// The spec with entries for the custom fields that objects discover; `None` where there are none.
fn discovered(merged: &Merged, world: World<'_>, formats: &Formats, findings: &mut Findings) -> Option<Merged> {
    let mut objects = merged.spec.objects.iter().flatten();
    let source = world
        .source
        .filter(|_| objects.any(|object| object.discover.is_some()))?;
    // what is wrong with the spec is said when all of it is compiled
    let mut compiler = Compiler::new(merged, world, formats.clone(), Findings::default());
    let drafts = compiler.drafts();
    let spec = discover::expand(&merged.spec, &drafts, source, world.models, findings)?;
    Some(Merged { spec, ..merged.clone() })
}

fn check_size(spec: &MappingSpecSpec, findings: &mut Findings) {
    let bytes = canonical_json(spec).map_or(0, |text| text.len());
    if bytes > SPEC_MAX {
        findings.error(
            "TooLarge",
            "",
            format!("the merged spec has {bytes} bytes; {SPEC_MAX} are the most"),
        );
    }
}

/// Rows that arrive one to one, of all rows: those that an object keeps, and, as far as the source is known, whose objects
/// all have something to read.
fn rows_kept(
    spec: &MappingSpecSpec,
    active: &BTreeSet<&str>,
    source: Option<&BTreeMap<String, SourceShape>>,
) -> (usize, usize) {
    let rows = spec.rows.as_deref().unwrap_or_default();
    let can_be_read = |name: &str| {
        let object = spec.objects.iter().flatten().find(|object| object.name == *name);
        let of = object.and_then(|object| object.source.as_ref()?.object.as_deref());
        source.is_none_or(|source| of.is_some_and(|of| source.contains_key(of)))
    };
    let kept = |row: &&api::Row| {
        let objects = row.objects.iter().flatten().map(String::as_str);
        let mut objects = objects.filter(|name| active.contains(name)).peekable();
        row.fidelity == Some(Fidelity::OneToOne) && objects.peek().is_some() && objects.all(can_be_read)
    };
    (rows.iter().filter(kept).count(), rows.len())
}

/// A from 80 %, B from 50 %, C from 25 %, D below; none without rows.
const fn grade((kept, of): (usize, usize)) -> Option<char> {
    match (kept * 100).checked_div(of) {
        None => None,
        Some(80..) => Some('A'),
        Some(50..) => Some('B'),
        Some(25..) => Some('C'),
        Some(_) => Some('D'),
    }
}

/// Which names an expression may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sees {
    /// `when`: the run, no record.
    Run,
    /// A record; the element where `each` is, the line in lines.
    Record { each: bool, line: bool },
}

impl Sees {
    /// A record alone.
    pub const RECORD: Self = Self::Record {
        each: false,
        line: false,
    };
}

/// An object as far as it is compiled.
pub(super) struct Draft<'a> {
    pub spec: &'a api::Object,
    /// `objects[deals]`.
    pub path: String,
    pub source_object: &'a str,
    /// The model it makes records of; empty where there is none.
    pub model: &'a str,
    /// The document it becomes instead.
    pub document: Option<&'a str>,
    pub each: bool,
    /// What is compiled now is of a line.
    pub in_line: bool,
    /// Names of lets, with those whose value is what `key([…])` gave.
    pub lets: BTreeMap<&'a str, bool>,
    /// Fields of the record that a path or an expression reads (lets among them).
    pub used: BTreeSet<String>,
    /// Paths and expressions, with the record fields each may find its value in: one must exist.
    pub sources: Vec<(String, Vec<String>)>,
    /// The same of joined rows, with the source object they are of.
    pub joined: Vec<(String, String, Vec<String>)>,
    pub object: Option<Object>,
}

pub(super) struct Compiler<'a> {
    pub spec: &'a MappingSpecSpec,
    pub merged: &'a Merged,
    pub world: World<'a>,
    pub env: Arc<Environment>,
    pub formats: Arc<Formats>,
    pub findings: Findings,
    /// Custom fields that the mapping makes.
    pub created: Arc<Created>,
    /// Objects by name; false: stands down.
    pub standing: BTreeMap<&'a str, bool>,
    pub graph: Graph,
    pub used_params: BTreeSet<String>,
    /// Fields of each source object that nothing reads or ignores.
    pub unmapped: BTreeMap<String, Vec<String>>,
    pub read: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Compiler<'a> {
    fn new(merged: &'a Merged, world: World<'a>, formats: Formats, mut findings: Findings) -> Self {
        let spec = &merged.spec;
        let params = parameters(spec, &mut findings);
        let installed = world.odoo_known.then(|| world.models.modules.iter().cloned().collect());
        Self {
            spec,
            merged,
            world,
            env: Arc::new(Environment::new(params, formats.clone(), installed)),
            formats: Arc::new(formats),
            findings,
            created: Arc::default(),
            standing: BTreeMap::new(),
            graph: Graph::new(spec.objects.as_ref().map_or(0, Vec::len)),
            used_params: BTreeSet::new(),
            unmapped: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    /// The mapping, as far as there is one, and the names of the objects that do not stand down.
    fn whole(&mut self) -> (Option<Mapping>, BTreeSet<&'a str>) {
        let objects = self.spec.objects.as_deref().unwrap_or_default();
        if objects.is_empty() {
            self.findings.error("Incomplete", "objects", "the spec has no objects");
        }
        let drafts = self.drafts();
        let order = self.order(&drafts);
        check::all(self, &drafts);
        samples::try_all(self, &drafts);
        let active = drafts.iter().map(|draft| draft.spec.name.as_str()).collect();
        let mapping = order.map(|order| Mapping {
            objects: order
                .into_iter()
                .filter_map(|at| {
                    drafts
                        .iter()
                        .find(|draft| draft.spec.name == objects[at].name)?
                        .object
                        .clone()
                })
                .collect(),
        });
        (mapping, active)
    }

    /// The objects that take part, each as far as it can be compiled by itself.
    fn drafts(&mut self) -> Vec<Draft<'a>> {
        let objects = self.spec.objects.as_deref().unwrap_or_default();
        self.standing = standing::standing(self);
        let domains = Domains::new(self.spec, self.world.models, &self.standing);
        self.env = Arc::new(Environment::clone(&self.env).with_domains(domains));
        let active: Vec<&api::Object> = objects
            .iter()
            .filter(|object| self.standing[object.name.as_str()])
            .collect();
        self.created = Arc::new(created::collect(&active, self.world.models, &mut self.findings));
        let mut drafts: Vec<Draft<'a>> = Vec::with_capacity(active.len());
        for object in &active {
            let draft = self.object(object, &active);
            drafts.push(draft);
        }
        drafts
    }

    /// An expression whose names are all there.
    pub fn expression(&mut self, text: &str, path: &str, sees: Sees) -> Option<Expression> {
        let expression = match self.env.compile(text) {
            Ok(expression) => expression,
            Err(problem) => {
                self.findings.error(problem.code, path, problem.message);
                return None;
            }
        };
        for name in &expression.variables() {
            let problem = match (name.as_str(), sees) {
                ("params", _)
                | ("record", Sees::Record { .. })
                | ("item" | "parent" | "index", Sees::Record { each: true, .. })
                | ("line" | "index", Sees::Record { line: true, .. }) => continue,
                ("item" | "parent" | "index", Sees::Record { .. }) => format!("{name} is only there with each"),
                ("line", Sees::Record { .. }) => format!("{name} is only there in lines of a one2many"),
                ("record" | "item" | "parent" | "index" | "line", Sees::Run) => {
                    format!("when sees params and installed(module), and {name} is of a record")
                }
                _ => format!(
                    "there is no variable {name}{}",
                    hint(name, ["record", "params", "item", "parent", "index", "line"])
                ),
            };
            self.findings.error("CelName", path, problem);
        }
        if expression.uses_installed() && sees != Sees::Run {
            self.findings.error("CelName", path, "installed is only there in when");
        }
        for name in &expression.params() {
            self.used_params.insert(name.clone());
            let known = || {
                self.spec
                    .parameters
                    .iter()
                    .flatten()
                    .map(|parameter| parameter.name.as_str())
            };
            if !known().any(|parameter| parameter == name) {
                let near = hint(name, known());
                self.findings
                    .error("UnknownParameter", path, format!("there is no parameter {name}{near}"));
            }
        }
        Some(expression)
    }

    /// A path whose first names are there.
    pub fn path(&mut self, text: &str, place: &str, sees: Sees) -> Option<Path> {
        match Path::parse(text) {
            Err(message) => {
                self.findings.error("BadPath", place, message);
                None
            }
            Ok(path) => {
                for name in names::reserved(text) {
                    let there = match (name, sees) {
                        (_, Sees::Run) => false,
                        ("line", Sees::Record { line, .. }) => line,
                        ("index", Sees::Record { each, line }) => each || line,
                        (_, Sees::Record { each, .. }) => each,
                    };
                    if !there {
                        let with = if name == "line" {
                            "in lines of a one2many"
                        } else {
                            "with each"
                        };
                        let message = format!("{name} is only there {with}; a field of that name is record.{name}");
                        self.findings.error("BadPath", place, message);
                    }
                }
                Some(path.with_separator(self.formats.list()))
            }
        }
    }

    fn object(&mut self, spec: &'a api::Object, active: &[&api::Object]) -> Draft<'a> {
        let path = format!("objects[{}]", spec.name);
        let source = spec.source.as_ref();
        let destination = spec.destination.as_ref();
        let mut draft = Draft {
            spec,
            source_object: source.and_then(|source| source.object.as_deref()).unwrap_or_default(),
            model: destination.and_then(|to| to.model.as_deref()).unwrap_or_default(),
            document: destination.and_then(|to| to.document.as_deref()),
            each: source.is_some_and(|source| source.each.is_some()),
            in_line: false,
            lets: BTreeMap::new(),
            used: BTreeSet::new(),
            sources: Vec::new(),
            joined: Vec::new(),
            object: None,
            path,
        };
        self.incomplete(&draft);
        let mut plan = Plan {
            object: spec.name.clone(),
            env: Arc::clone(&self.env),
            formats: Arc::clone(&self.formats),
            joins: Vec::new(),
            each: None,
            lets: Vec::new(),
            filter: None,
            key: Vec::new(),
            targets: Vec::new(),
            every_field_but: None,
        };
        self.every_field(&mut draft, &mut plan);
        self.reading(&mut draft, &mut plan);
        self.key(&mut draft, &mut plan);
        self.after(&draft);
        let fields = fields::compile(self, &mut draft);
        plan.targets = fields.plans;
        draft.object = Some(Object {
            name: spec.name.clone(),
            destination: becomes(&draft),
            source_object: draft.source_object.to_owned(),
            order_by: source.and_then(|source| source.order_by.clone()),
            on_new: spec.on_new.unwrap_or_default(),
            on_conflict: spec.on_conflict.or(self.spec.on_conflict).unwrap_or_default(),
            on_source_delete: on_source_delete(self.spec, spec),
            match_on: joined_by_plus(spec.match_on.as_deref()),
            dedupe: joined_by_plus(spec.dedupe.as_deref()),
            targets: fields.targets,
            checks: fields.checks,
            lines: fields.lines,
            lookups: fields.lookups,
            custom_model: created::model(spec, active, &mut self.findings),
            custom_fields: fields.custom,
            plan: Arc::new(plan),
        });
        draft
    }

    /// A document without fields gets every source field.
    fn every_field(&self, draft: &mut Draft<'a>, plan: &mut Plan) {
        if draft.document.is_none() || !draft.spec.fields.as_deref().unwrap_or_default().is_empty() {
            return;
        }
        plan.every_field_but = Some(draft.spec.ignore.clone().unwrap_or_default());
        let shape = self.world.source.and_then(|source| source.get(draft.source_object));
        draft
            .used
            .extend(shape.into_iter().flat_map(|shape| shape.fields.iter().cloned()));
    }

    fn incomplete(&mut self, draft: &Draft<'_>) {
        let name = &draft.spec.name;
        if draft.document.is_some() && !draft.model.is_empty() {
            let message = format!("{name} becomes one of destination.model, destination.document");
            self.findings
                .error("Incomplete", &format!("{}.destination", draft.path), message);
        }
        let mut say = |what: &str, path: &str, why: String| {
            self.findings.error(
                "Incomplete",
                &format!("{}.{path}", draft.path),
                format!("{name} has no {what}: {why}"),
            );
        };
        if draft.source_object.is_empty() {
            // a word that a catalogue entry does not have is a new object
            let others = self.spec.objects.iter().flatten().map(|object| object.name.as_str());
            let near = hint(name, others.filter(|other| other != name));
            let why = format!("say source.object, the source object it reads{near}");
            say("source", "source.object", why);
        }
        if draft.spec.key.as_deref().unwrap_or_default().is_empty() {
            say("key", "key", "say key, the paths that identify a record".into());
        }
        if draft.model.is_empty() && draft.document.is_none() {
            say(
                "destination",
                "destination.model",
                "say destination.model, the Odoo model its records become, or destination.document".into(),
            );
        }
        if draft.document.is_none() && draft.spec.fields.as_deref().unwrap_or_default().is_empty() {
            say("fields", "fields", "say what is written".into());
        }
        let on_new = draft.spec.on_new.unwrap_or_default();
        if on_new != OnNew::Create && draft.spec.match_on.as_deref().unwrap_or_default().is_empty() {
            say(
                "match",
                "match",
                format!("with onNew: {on_new:?} only records that match are taken"),
            );
        }
    }

    /// Join, each, let, where, orderBy.
    fn reading(&mut self, draft: &mut Draft<'a>, plan: &mut Plan) {
        let Some(source) = &draft.spec.source else { return };
        plan.joins = join::compile(self, draft);
        if let Some(text) = &source.each {
            plan.each = self.used_path(draft, text, "source.each", Sees::RECORD);
        }
        self.lets(draft, plan);
        if let Some(text) = &source.filter {
            plan.filter = self.used_expression(draft, text, "source.where");
        }
        if let Some(text) = &source.order_by {
            self.used_path(draft, text, "source.orderBy", draft.sees());
        }
    }

    pub fn used_path(&mut self, draft: &mut Draft<'_>, text: &str, place: &str, sees: Sees) -> Option<Path> {
        let place = format!("{}.{place}", draft.path);
        let path = self.path(text, &place, sees)?;
        draft.uses(place, path.record_fields().into_iter().map(str::to_owned).collect());
        Some(path)
    }

    pub fn used_expression(&mut self, draft: &mut Draft<'_>, text: &str, place: &str) -> Option<Expression> {
        let place = format!("{}.{place}", draft.path);
        let expression = self.expression(text, &place, draft.sees())?;
        draft.uses(place, expression.record_fields().into_iter().collect());
        Some(expression)
    }

    /// Lets, those first that others need.
    fn lets(&mut self, draft: &mut Draft<'a>, plan: &mut Plan) {
        let lets = draft.spec.lets.iter().flatten();
        let mut open: Vec<(&'a String, Expression)> = Vec::new();
        for (name, text) in lets {
            draft.lets.insert(name, names::calls_key(text));
            if !names::is_identifier(name) {
                let path = format!("{}.let.{name}", draft.path);
                self.findings
                    .error("CelName", &path, format!("{name} is no name that CEL can say"));
            }
            if let Some(expression) = self.used_expression(draft, text, &format!("let.{name}")) {
                open.push((name, expression));
            }
        }
        while !open.is_empty() {
            let ready = open.iter().position(|(_, expression)| {
                !open
                    .iter()
                    .any(|(other, _)| expression.record_fields().contains(other.as_str()))
            });
            let Some(ready) = ready else {
                let names: Vec<&str> = open.iter().map(|(name, _)| name.as_str()).collect();
                let path = format!("{}.let", draft.path);
                self.findings.error(
                    "Cycle",
                    &path,
                    format!("these lets need each other: {}", names.join(", ")),
                );
                return;
            };
            let (name, expression) = open.remove(ready);
            plan.lets.push((name.clone(), expression));
        }
    }

    fn key(&mut self, draft: &mut Draft<'a>, plan: &mut Plan) {
        for text in draft.spec.key.iter().flatten() {
            if let Some(path) = self.used_path(draft, text, "key", draft.sees()) {
                let canonical = draft.gives_key(&path);
                plan.key.push(KeyPart {
                    path,
                    text: text.clone(),
                    canonical,
                });
            }
        }
    }

    fn after(&mut self, draft: &Draft<'_>) {
        for name in draft.spec.after.iter().flatten() {
            self.need(draft, name, &Need::After(format!("{}.after", draft.path)));
        }
    }

    /// Notes that the object needs another; false where there is none of that name.
    pub fn need(&mut self, draft: &Draft<'_>, name: &str, need: &Need) -> bool {
        let (Need::After(path) | Need::Lookup(path)) = need;
        if !self.knows(name, path) {
            return false;
        }
        let objects = self.spec.objects.as_deref().unwrap_or_default();
        let place = |wanted: &str| objects.iter().position(|object| object.name == wanted);
        if let Some(object) = place(&draft.spec.name) {
            // whichever of them runs
            for other in standing::chain(self.spec, name).filter_map(place) {
                self.graph.need(object, other, need.clone());
            }
        }
        true
    }

    /// Whether there is an object of that name; a finding where there is none.
    pub fn knows(&mut self, name: &str, path: &str) -> bool {
        let objects = self.spec.objects.as_deref().unwrap_or_default();
        let known = objects.iter().any(|object| object.name == name);
        if !known {
            let near = hint(name, objects.iter().map(|object| object.name.as_str()));
            self.findings
                .error("UnknownObject", path, format!("there is no object {name}{near}"));
        }
        known
    }

    fn order(&mut self, drafts: &[Draft<'_>]) -> Option<Vec<usize>> {
        let objects = self.spec.objects.as_deref().unwrap_or_default();
        let cycle = match self.graph.order() {
            Ok(order) => return Some(order),
            Err(cycle) => cycle,
        };
        let name = |at: usize| objects[at].name.as_str();
        let steps: Vec<String> = cycle
            .iter()
            .enumerate()
            .map(|(place, (at, need))| {
                let next = cycle[(place + 1) % cycle.len()].0;
                let (Need::Lookup(by) | Need::After(by)) = need;
                format!("{} needs {} ({by})", name(*at), name(next))
            })
            .collect();
        let first = cycle.first().map_or("", |(at, _)| name(*at));
        let path = drafts
            .iter()
            .find(|draft| draft.spec.name == first)
            .map_or("objects", |draft| &draft.path);
        self.findings.error(
            "Cycle",
            path,
            format!(
                "these objects need each other: {}; onMissing: Defer on one of the lookups leaves its value for a second pass",
                steps.join(", ")
            ),
        );
        None
    }
}

impl Draft<'_> {
    /// What paths and expressions see at this point.
    pub const fn sees(&self) -> Sees {
        Sees::Record {
            each: self.each,
            line: self.in_line,
        }
    }

    /// A path of the spec without the object's.
    pub fn place<'b>(&self, path: &'b str) -> &'b str {
        path.strip_prefix(&self.path)
            .map_or(path, |rest| rest.trim_start_matches('.'))
    }

    pub fn uses(&mut self, place: String, fields: Vec<String>) {
        self.used.extend(fields.iter().cloned());
        self.sources.push((place, fields));
    }

    /// Whether the path leads to a let that is what `key([…])` gave.
    pub fn gives_key(&self, path: &Path) -> bool {
        path.record_fields()
            .into_iter()
            .any(|name| self.lets.get(name) == Some(&true))
    }
}

/// The object's policy, or the spec's.
pub(super) fn on_source_delete(spec: &MappingSpecSpec, object: &api::Object) -> api::OnSourceDelete {
    object.on_source_delete.or(spec.on_source_delete).unwrap_or_default()
}

/// What the records of an object become; a model without a name where a finding has said that there is none.
fn becomes(draft: &Draft<'_>) -> Destination {
    let Some(name) = draft.document else {
        return Destination::Model(OdooModel(draft.model.to_owned()));
    };
    let create = draft.spec.destination.as_ref().and_then(|to| to.create.as_ref());
    Destination::Document(Document {
        name: name.to_owned(),
        label: create
            .and_then(|create| create.label.clone())
            .unwrap_or_else(|| name.to_owned()),
        help: create.and_then(|create| create.help.clone()),
    })
}

/// Entries of `match` and `dedupe`: fields joined by `+`.
fn joined_by_plus(entries: Option<&[String]>) -> Vec<Vec<String>> {
    let entries = entries.unwrap_or_default().iter();
    entries
        .map(|entry| entry.split('+').map(|field| field.trim().to_owned()).collect())
        .collect()
}

fn parameters(spec: &MappingSpecSpec, findings: &mut Findings) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for parameter in spec.parameters.iter().flatten() {
        match parameter_value(parameter) {
            Ok(value) => {
                values.insert(parameter.name.clone(), value);
            }
            Err((code, message)) => {
                let path = format!("parameters[{}]", parameter.name);
                findings.error(code, &path, format!("the parameter {} {message}", parameter.name));
            }
        }
    }
    values
}

fn parameter_value(parameter: &Parameter) -> Result<Value, (&'static str, String)> {
    let Some(type_) = parameter.type_ else {
        return Err((
            "Incomplete",
            "has no type: say String, Integer, Decimal, Boolean or Map".into(),
        ));
    };
    if type_ == ParameterType::Map {
        return match (&parameter.entries, &parameter.value) {
            (Some(entries), None) => Ok(entries
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
                .collect()),
            _ => Err(("Incomplete", "is a Map: say entries, and no value".into())),
        };
    }
    let (Some(text), None) = (&parameter.value, &parameter.entries) else {
        return Err(("Incomplete", format!("is a {type_:?}: say value, and no entries")));
    };
    let value = match type_ {
        ParameterType::String | ParameterType::Map => Some(Value::from(text.as_str())),
        ParameterType::Integer => text.parse::<i64>().ok().map(Value::from),
        ParameterType::Decimal => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number),
        ParameterType::Boolean => text.parse::<bool>().ok().map(Value::from),
    };
    value.ok_or_else(|| ("TypeMismatch", format!("is a {type_:?}, and {text:?} is none")))
}

#[cfg(test)]
mod tests;
