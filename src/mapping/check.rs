//! What only shows when objects are looked at as a whole, or side by side: identity, order, traps of Odoo, what has no effect.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    LookupTarget, SourceShape, commercial,
    compile::{Compiler, Draft, on_source_delete},
    evaluate::{Source, Target},
    findings::hint,
    join,
    object::covers,
    path::Path,
    standing::exclude_each_other,
};
use crate::{
    api::mapping_spec::{Fidelity, Field, OnMissing, OnNew, OnSourceDelete, Platform},
    model::{Value, record::looks_like_data},
};

/// Names that one message lists.
const LISTED_MAX: usize = 20;

/// Source objects of a platform, which stand in until the source was looked at.
const fn documented(platform: Platform) -> &'static [&'static str] {
    match platform {
        Platform::Pipz => &[
            "contact",
            "company",
            "user",
            "pipeline",
            "stage",
            "deal",
            "event",
            "list",
            "list_member",
            "campaign",
            "segment",
            "automation",
        ],
    }
}

/// What is to be said of a source object that the platform does not document.
pub(super) fn undocumented(platform: Platform, name: &str) -> Option<String> {
    let known = documented(platform);
    let near = hint(name, known.iter().copied());
    (!known.contains(&name)).then(|| format!("{platform:?} has no source object {name} by its documents{near}"))
}

pub(super) fn all(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    documents(compiler, drafts);
    for draft in drafts {
        matching(compiler, draft);
        archiving(compiler, draft);
        names_of_source(compiler, draft);
        join::check_source(compiler, draft);
        traps(compiler, draft);
        unused_lets(compiler, draft);
    }
    unmapped(compiler, drafts);
    order(compiler, drafts);
    ambiguous(compiler, drafts);
    rows(compiler);
    unused_parameters(compiler);
}

/// A document has no records to match or to guard, and a file of its own.
fn documents(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    let mut written: BTreeMap<&str, &str> = BTreeMap::new();
    for draft in drafts {
        let Some(document) = draft.document else { continue };
        let spec = draft.spec;
        for (word, said) in [
            ("match", spec.match_on.is_some()),
            ("dedupe", spec.dedupe.is_some()),
            ("discover", spec.discover.is_some()),
            ("onNew", spec.on_new.is_some()),
            ("onConflict", spec.on_conflict.is_some()),
            ("onSourceDelete", spec.on_source_delete.is_some()),
        ] {
            if said {
                let message = format!("{word} is about records of Odoo, and {} becomes a document", spec.name);
                compiler
                    .findings
                    .error("TypeMismatch", &format!("{}.{word}", draft.path), message);
            }
        }
        let create = spec.destination.as_ref().and_then(|to| to.create.as_ref());
        if create.is_some_and(|create| create.access.is_some() || create.menu.is_some()) {
            let message = format!(
                "access and menu are those of a custom model, and {} becomes a document",
                spec.name
            );
            let path = format!("{}.destination.create", draft.path);
            compiler.findings.error("TypeMismatch", &path, message);
        }
        if let Some(other) = written.insert(document, &spec.name) {
            let message = format!("{other} writes the document {document} already: call it another");
            let path = format!("{}.destination.document", draft.path);
            compiler.findings.error("FieldClash", &path, message);
        }
    }
}

fn matching(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    let Some(object) = &draft.object else { return };
    for (word, entries) in [("match", &object.match_on), ("dedupe", &object.dedupe)] {
        for field in entries.iter().flatten() {
            let written = |entry: &&Field| entry.check != Some(true);
            if !draft
                .spec
                .fields
                .iter()
                .flatten()
                .filter(written)
                .any(|entry| entry.to == *field)
            {
                let near = hint(field, object.targets.iter().map(|target| target.name.as_str()));
                let message = format!("{word} names {field}, which is not mapped{near}");
                compiler
                    .findings
                    .error("MatchUnmapped", &format!("{}.{word}", draft.path), message);
            }
            let waits = |entry: &Field| entry.to == *field && entry.on_missing == Some(OnMissing::Defer);
            if word == "dedupe" && draft.spec.fields.iter().flatten().any(waits) {
                let message = format!("{field} may be left for a second pass: what is one must be told in the first");
                compiler
                    .findings
                    .error("TypeMismatch", &format!("{}.{word}", draft.path), message);
            }
        }
    }
}

/// What is to be archived must be able to be.
fn archiving(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    let model = compiler.world.models.models.get(draft.model);
    let lacks = model.is_some_and(|model| !model.fields.contains_key("active"));
    if lacks && on_source_delete(compiler.spec, draft.spec) == OnSourceDelete::Archive {
        let message = format!(
            "{} has no field active: its records can be kept or unlinked, not archived",
            draft.model
        );
        compiler
            .findings
            .error("UnknownField", &format!("{}.onSourceDelete", draft.path), message);
    }
}

/// Names that the source has, as far as it is known.
fn names_of_source(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    if draft.source_object.is_empty() {
        return;
    }
    let path = format!("{}.source.object", draft.path);
    let name = draft.source_object;
    let Some(source) = compiler.world.source else {
        if let Some(message) = undocumented(compiler.merged.platform, name) {
            compiler.findings.warning("UnknownSource", &path, message);
        }
        return;
    };
    let Some(shape) = source.get(name) else {
        let near = hint(name, source.keys().map(String::as_str));
        compiler.findings.warning(
            "UnknownSource",
            &path,
            format!(
                "the source has no object {name}{near}: nothing of it moves, and what refers to it finds nothing; if there is an \
                 export of it, push it as {name}.csv or {name}.jsonl"
            ),
        );
        return;
    };
    let lets = draft.lets.keys().map(|name| ("let", *name, format!("let.{name}")));
    let joins = joined(draft).map(|name| ("join", name, format!("source.join[{name}]")));
    for (what, name, place) in lets.chain(joins) {
        if shape.fields.iter().any(|field| field == name) {
            let message = format!("the {what} {name} hides a source field of that name: call it another");
            compiler
                .findings
                .error("HiddenField", &format!("{}.{place}", draft.path), message);
        }
    }
    for (place, fields) in &draft.sources {
        unknown_fields(compiler, draft, shape, place, fields);
    }
}

/// Names of the lists that joins put on the record.
fn joined<'a>(draft: &Draft<'a>) -> impl Iterator<Item = &'a str> {
    let joins = draft.spec.source.as_ref().and_then(|source| source.join.as_deref());
    joins.unwrap_or_default().iter().map(|join| join.name.as_str())
}

/// A path or expression none of whose fields the source has.
fn unknown_fields(compiler: &mut Compiler<'_>, draft: &Draft<'_>, shape: &SourceShape, place: &str, fields: &[String]) {
    let known = |name: &String| {
        draft.lets.contains_key(name.as_str()) || shape.fields.contains(name) || joined(draft).any(|join| join == name)
    };
    let Some(first) = fields.first().filter(|_| !fields.iter().any(known)) else {
        return;
    };
    let names = shape.fields.iter().map(String::as_str);
    let near = hint(first, names.filter(|name| !looks_like_data(name)));
    let names = fields.join(", ");
    compiler.findings.warning(
        "UnknownSource",
        place,
        format!("{} has no field {names}{near}", draft.source_object),
    );
}

/// Fields of the source that no object reads and none ignores.
fn unmapped(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    let Some(source) = compiler.world.source else { return };
    let mut objects: BTreeMap<&str, Vec<&Draft<'_>>> = BTreeMap::new();
    for draft in drafts {
        objects.entry(draft.source_object).or_default().push(draft);
    }
    for (name, readers) in objects {
        let Some(shape) = source.get(name) else { continue };
        let mut used: BTreeSet<&str> = readers
            .iter()
            .flat_map(|draft| &draft.used)
            .map(String::as_str)
            .collect();
        let of_joins = drafts
            .iter()
            .flat_map(|draft| &draft.joined)
            .filter(|(object, ..)| object == name);
        used.extend(of_joins.flat_map(|(.., fields)| fields).map(String::as_str));
        let by = looked_up_by(drafts, &readers);
        used.extend(by.iter().map(String::as_str));
        let ignored: Vec<&String> = readers
            .iter()
            .flat_map(|draft| draft.spec.ignore.iter().flatten())
            .collect();
        let read = used.iter().map(|field| (*field).to_owned()).collect();
        compiler.read.insert(name.to_owned(), read);
        let fields = shape.fields.iter().map(String::as_str);
        let left: Vec<&str> = fields
            .filter(|field| !used.contains(field) && !ignored.iter().any(|pattern| covers(pattern, field)))
            .collect();
        // whoever reads most of it is where the rest would be mapped
        let most = readers.iter().rev().max_by_key(|draft| draft.used.len());
        let Some(first) = most.filter(|_| !left.is_empty()) else {
            continue;
        };
        if left.len() == shape.fields.len() && left.iter().any(|name| looks_like_data(name)) {
            no_header(compiler, &first.path, shape);
            continue;
        }
        let names = left.iter().filter(|field| !looks_like_data(field));
        let names = names.map(|field| (*field).to_owned()).collect();
        compiler.unmapped.insert(name.to_owned(), names);
        let message = format!("fields of {name} that nothing maps or ignores: {}", listed(&left));
        compiler.findings.warning("UnmappedSource", &first.path, message);
    }
    for draft in drafts {
        let Some(shape) = source.get(draft.source_object) else {
            continue;
        };
        for pattern in draft.spec.ignore.iter().flatten() {
            if !shape.fields.iter().any(|field| covers(pattern, field)) {
                let message = format!("{} has no field that ignore {pattern} covers", draft.source_object);
                compiler
                    .findings
                    .info("Unused", &format!("{}.ignore", draft.path), message);
            }
        }
    }
}

/// Fields that lookups of any object read in the records of these.
fn looked_up_by(drafts: &[Draft<'_>], readers: &[&Draft<'_>]) -> Vec<String> {
    let lookups = drafts
        .iter()
        .filter_map(|draft| draft.object.as_ref())
        .flat_map(|object| &object.lookups);
    lookups
        .filter_map(|lookup| match &lookup.target {
            LookupTarget::Object { object, by: Some(by) }
                if readers.iter().any(|reader| reader.spec.name == *object) =>
            {
                Path::parse(by).ok()
            }
            _ => None,
        })
        .flat_map(|path| path.record_fields().into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Names for a finding, which everyone may read: those that look like people's data are only counted.
fn listed(names: &[&str]) -> String {
    let (data, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| looks_like_data(name));
    let mut shown = names.iter().take(LISTED_MAX).copied().collect::<Vec<_>>();
    let more = format!("{} more", names.len().saturating_sub(LISTED_MAX));
    let masked = format!("{} that look like data", data.len());
    shown.extend((names.len() > LISTED_MAX).then_some(more.as_str()));
    shown.extend((!data.is_empty()).then_some(masked.as_str()));
    shown.join(", ")
}

/// None of the names is known, and some look like data: the first record has been taken for the header.
fn no_header(compiler: &mut Compiler<'_>, path: &str, shape: &SourceShape) {
    let data = shape.fields.iter().filter(|name| looks_like_data(name)).count();
    let message = format!(
        "{} seems to have no header: {data} of the {} names in its first line look like data, and none is mapped or \
         ignored; put a line with the names of the fields before it (no name is shown here, it may be a person's)",
        shape.place,
        shape.fields.len()
    );
    compiler
        .findings
        .warning("NoHeader", &format!("{path}.source.object"), message);
}

/// Objects that write one model must be ordered where one of them matches what is there.
fn order(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    let place = |name: &str| {
        compiler
            .spec
            .objects
            .iter()
            .flatten()
            .position(|object| object.name == name)
    };
    let matches = |draft: &Draft<'_>| draft.spec.match_on.as_ref().is_some_and(|entries| !entries.is_empty());
    let mut found = Vec::new();
    for (at, one) in drafts.iter().enumerate() {
        for other in &drafts[at + 1..] {
            let (Some(a), Some(b)) = (place(&one.spec.name), place(&other.spec.name)) else {
                continue;
            };
            let shared = !one.model.is_empty()
                && one.model == other.model
                && (matches(one) || matches(other))
                && !exclude_each_other(compiler.spec, &one.spec.name, &other.spec.name);
            if !shared || compiler.graph.reaches(a, b) || compiler.graph.reaches(b, a) {
                continue;
            }
            let later = if matches(other) { other } else { one };
            let earlier = if matches(other) { one } else { other };
            let message = format!(
                "{} and {} both write {}, and {} matches what is there: say which comes first, such as after: [{}]",
                one.spec.name, other.spec.name, one.model, later.spec.name, earlier.spec.name
            );
            found.push((format!("{}.after", later.path), message));
        }
    }
    for (path, message) in found {
        compiler.findings.error("OrderMissing", &path, message);
    }
    for draft in drafts.iter().filter(|draft| draft.model == "mail.message") {
        if draft
            .spec
            .source
            .as_ref()
            .is_none_or(|source| source.order_by.is_none())
        {
            let message = "Odoo shows messages in the order they are made: say source.orderBy";
            compiler
                .findings
                .error("HistoryUnordered", &format!("{}.source.orderBy", draft.path), message);
        }
    }
}

/// A lookup into a model in which the mapping itself makes records may find several.
fn ambiguous(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    for object in drafts.iter().filter_map(|draft| draft.object.as_ref()) {
        for lookup in &object.lookups {
            let LookupTarget::Model { model, by, within } = &lookup.target else {
                continue;
            };
            let maker = drafts
                .iter()
                .find(|draft| draft.model == model.0 && draft.spec.on_new.unwrap_or_default() == OnNew::Create)
                .filter(|_| by != "id" && within.is_empty());
            if let Some(maker) = maker {
                let name = &maker.spec.name;
                let message =
                    format!("{name} makes records of {model} too, so {by} may name several: look it up in {name}");
                let path = format!("objects[{}].fields[{}].lookup", object.name, lookup.field);
                compiler.findings.warning("Ambiguous", &path, message);
            }
        }
    }
}

/// What Odoo would do to the data.
fn traps(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    let Some(object) = &draft.object else { return };
    let targets = &object.plan.targets;
    let target = |name: &str| targets.iter().find(|target| target.name == name);
    let has = |name: &str| target(name).is_some();
    let mut trap = |field: &str, message: &str| {
        compiler
            .findings
            .warning("Trap", &format!("{}.fields[{field}]", draft.path), message);
    };
    match draft.model {
        "crm.lead" => {
            for field in ["email_from", "phone"]
                .into_iter()
                .filter(|field| has(field) && has("partner_id"))
            {
                let message = "Odoo writes it over the contact of the lead: keep it in an x_ field";
                trap(field, message);
            }
            if has("stage_id") && !has("probability") {
                trap(
                    "stage_id",
                    "Odoo refuses a lead in a won stage without probability 100: map probability",
                );
            }
        }
        "res.partner" => {
            let address = ["street", "street2", "city", "zip", "state_id", "country_id"]
                .into_iter()
                .find(|field| has(field));
            let contact = target("type").is_none_or(|target| always(target, "contact"));
            for (field, _) in commercial::FIELDS {
                if has(field) && has("parent_id") {
                    let message = "below a company Odoo keeps one for both, so it is not sent: map it on companies, or into an x_ field";
                    trap(field, message);
                }
            }
            if let Some(address) = address.filter(|_| has("parent_id") && contact) {
                let message =
                    "below a company Odoo keeps one address for both: map type to other where the contact has its own";
                trap(address, message);
            }
        }
        "sale.order" if !has("validity_date") => {
            trap(
                "validity_date",
                "Odoo sets it to 30 days from now: map it, or empty it with an entry without a source",
            );
        }
        _ => {}
    }
    may_send(compiler, draft, targets);
}

/// Whether the field is this constant and nothing else.
fn always(target: &Target, text: &str) -> bool {
    target
        .parts
        .iter()
        .all(|part| matches!(&part.source, Source::Constant(Value::String(constant)) if constant == text))
}

/// A state in which Odoo would send something.
fn may_send(compiler: &mut Compiler<'_>, draft: &Draft<'_>, targets: &[Target]) {
    let sending: &[&str] = match draft.model {
        "mailing.mailing" => &["in_queue", "sending"],
        "mail.mail" | "sms.sms" => &["outgoing", "pending", "process"],
        _ => return,
    };
    for part in targets
        .iter()
        .filter(|target| target.name == "state")
        .flat_map(|target| &target.parts)
    {
        let constant = match &part.source {
            Source::Constant(value) => Some(value),
            _ => None,
        };
        let mapped = part
            .values
            .iter()
            .flat_map(|values| values.known.values().chain(&values.any_other));
        for text in constant
            .into_iter()
            .chain(&part.default)
            .chain(mapped)
            .filter_map(Value::as_str)
        {
            if sending.contains(&text) {
                let message = format!("a {} in the state {text} would be sent", draft.model);
                compiler
                    .findings
                    .error("MaySend", &format!("{}.fields[{}]", draft.path, part.label), message);
            }
        }
    }
}

fn rows(compiler: &mut Compiler<'_>) {
    let known: Vec<&str> = compiler
        .spec
        .objects
        .iter()
        .flatten()
        .map(|object| object.name.as_str())
        .collect();
    for row in compiler.spec.rows.iter().flatten() {
        let path = format!("rows[{}]", row.name);
        for name in row
            .objects
            .iter()
            .flatten()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let near = hint(name, known.iter().copied());
            compiler
                .findings
                .error("UnknownObject", &path, format!("there is no object {name}{near}"));
        }
        if row.fidelity.is_none() {
            let all = [
                Fidelity::OneToOne,
                Fidelity::OneToMany,
                Fidelity::Lossy,
                Fidelity::Inventory,
            ];
            let all = all.map(|fidelity| format!("{fidelity:?}")).join(", ");
            compiler.findings.error(
                "Incomplete",
                &path,
                format!("the row {} has no fidelity: say one of {all}", row.name),
            );
        }
        if row.objects.as_deref().unwrap_or_default().is_empty() {
            compiler
                .findings
                .info("Unused", &path, format!("no object keeps the row {}", row.name));
        }
    }
}

fn unused_lets(compiler: &mut Compiler<'_>, draft: &Draft<'_>) {
    for name in draft.lets.keys().filter(|name| !draft.used.contains(**name)) {
        let message = format!("nothing uses the let {name}");
        compiler
            .findings
            .info("Unused", &format!("{}.let.{name}", draft.path), message);
    }
}

fn unused_parameters(compiler: &mut Compiler<'_>) {
    for parameter in compiler.spec.parameters.iter().flatten() {
        if !compiler.used_params.contains(&parameter.name) {
            let message = format!("nothing uses the parameter {}", parameter.name);
            compiler
                .findings
                .info("Unused", &format!("parameters[{}]", parameter.name), message);
        }
    }
}
