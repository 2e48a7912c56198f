//! Tries a mapping: each expression on an empty record, and everything on samples of the source.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Found, Lookups, SourceShape, Step,
    compile::{Compiler, Draft},
    evaluate::{Evaluation, Source, Stop, Target},
    findings::Findings,
    join::Row,
    object::{Element, Object, Seen},
    read::read,
};
use crate::model::{Content, Fetched, Record, Reference, SourceKey, Value, record::is_empty};

/// Finds everything: what is looked up is not what is tried.
struct Anything;

impl Lookups for Anything {
    fn find(&self, _: usize, _: &str, _: &[Option<String>]) -> Found {
        Found::One(Reference::Id(1))
    }

    fn content(&self, _: &str) -> Option<Fetched> {
        Some(Fetched::Content(Content::default()))
    }
}

/// An empty record.
pub(super) fn nothing(each: bool) -> Seen {
    Seen {
        record: Arc::new(Record::new()),
        lets: Record::new(),
        each: each.then_some(Element {
            item: Value::Null,
            parent: Value::Null,
            index: 0,
        }),
        notes: Vec::new(),
    }
}

pub(super) fn try_all(compiler: &mut Compiler<'_>, drafts: &[Draft<'_>]) {
    let is_read = |name: &str| drafts.iter().any(|draft| draft.source_object == name);
    for (name, shape) in compiler.world.source.into_iter().flatten() {
        if let Some((broken, first)) = shape.broken.as_ref().filter(|_| is_read(name)) {
            let rows = if *broken == 1 { "row" } else { "rows" };
            let message = format!("{broken} {rows} cannot be read; the first: {first}");
            compiler
                .findings
                .warning("BrokenRows", &format!("source[{name}]"), message);
        }
    }
    for draft in drafts {
        let Some(object) = &draft.object else { continue };
        try_empty(object, draft, &mut compiler.findings);
        let Some(source) = compiler.world.source else { continue };
        if let Some(shape) = source.get(draft.source_object) {
            let samples = with_rows(object, source, &shape.samples);
            try_samples(object, draft, &samples, &mut compiler.findings);
        }
    }
}

/// Samples with what samples of the joined objects they find. A sample that cannot be used is left out.
fn with_rows(object: &Object, source: &BTreeMap<String, SourceShape>, samples: &[Record]) -> Vec<Record> {
    let mut joined = samples.to_vec();
    for join in object.joins() {
        let records = source.get(&join.object).into_iter().flat_map(|shape| &shape.samples);
        let mut rows: Vec<Row> = records.filter_map(|record| object.row(join, record.clone())).collect();
        rows.sort_by(|a, b| a.order.cmp(&b.order));
        joined.retain_mut(|record| {
            let text = Object::rows_text(join, record);
            let found = rows.iter().filter(|row| Some(&row.text) == text.as_ref());
            let found = found.map(|row| row.value.clone()).collect();
            object.put_rows(join, record, found).is_ok()
        });
    }
    joined
}

/// On an empty record null goes in and null comes out: an error is one of the expression.
fn try_empty(object: &Object, draft: &Draft<'_>, findings: &mut Findings) {
    let plan = &object.plan;
    let mut seen = nothing(draft.each);
    let mut failed = |place: String, message: String| {
        let message = format!("on a record without values: {message}");
        findings.error("CelType", &format!("{}.{place}", draft.path), message);
    };
    for (name, expression) in &plan.lets {
        let result = expression.evaluate(&plan.env, &seen.scope());
        match result {
            Ok(value) => {
                seen.lets.insert(name.clone(), value);
            }
            Err(message) => failed(format!("let.{name}"), message),
        }
    }
    for (join, filter) in plan.joins.iter().filter_map(|join| Some((join, join.filter.as_ref()?))) {
        if let Err(message) = filter.condition(&plan.env, &nothing(false).scope()) {
            failed(format!("source.join[{}].where", join.name), message);
        }
    }
    if let Some(filter) = &plan.filter
        && let Err(message) = filter.condition(&plan.env, &seen.scope())
    {
        failed("source.where".into(), message);
    }
    for (target, part) in plan
        .targets
        .iter()
        .flat_map(|target| target.parts.iter().map(move |part| (target, part)))
    {
        let Source::Cel(expression) = &part.source else {
            continue;
        };
        let place = format!("fields[{}].cel", part.label);
        match expression.evaluate(&plan.env, &seen.scope()) {
            Err(message) => failed(place, message),
            Ok(value)
                if part.values.is_none() && part.lookup.is_none() && !target.collects && !is_empty(Some(&value)) =>
            {
                if let Err(unreadable) = read(&target.ttype, &target.options, &plan.formats, &value) {
                    failed(
                        place,
                        format!("{} cannot take {value}: {}", target.name, unreadable.message),
                    );
                }
            }
            Ok(_) => {}
        }
    }
}

/// What went wrong at one place with one code: how often.
type Tally = BTreeMap<(String, String), usize>;

/// Counts only: values are people's.
fn try_samples(object: &Object, draft: &Draft<'_>, samples: &[Record], findings: &mut Findings) {
    let mut tally = Tally::new();
    let mut items = 0;
    for record in samples {
        for step in object.items(&Arc::new(record.clone())) {
            items += 1;
            match step {
                Step::Item(item) => {
                    for target in &object.plan.targets {
                        try_target(object, &item.seen().scope(), target, &mut tally);
                    }
                }
                Step::Rejected { rejection, .. } => {
                    let place = if rejection.field == "where" {
                        "source.where".into()
                    } else {
                        rejection.field
                    };
                    *tally.entry((place, rejection.code)).or_default() += 1;
                }
                Step::Filtered => {}
            }
        }
    }
    for ((place, code), count) in tally {
        report(draft, &place, &code, (count, items), findings);
    }
}

fn try_target(object: &Object, scope: &super::scope::Scope<'_>, target: &Target, tally: &mut Tally) {
    for part in &target.parts {
        let key = SourceKey(String::new());
        let mut evaluation = Evaluation::new(&object.plan, scope, &Anything, &key);
        let rejected = match evaluation.part(target, part) {
            Err(Stop::Rejected(rejection)) => Some(rejection),
            Ok(()) | Err(Stop::Later) => None,
        };
        for what in rejected.into_iter().chain(evaluation.notes) {
            *tally.entry((format!("fields[{}]", part.label), what.code)).or_default() += 1;
        }
    }
}

fn report(draft: &Draft<'_>, place: &str, code: &str, (count, items): (usize, usize), findings: &mut Findings) {
    let path = format!("{}.{place}", draft.path);
    let share = format!("{count} of {items} sampled");
    match code {
        "Expression" if count == items => {
            findings.error("CelType", &path, format!("the expression fails on {share} records"));
        }
        "Expression" => findings.warning("CelType", &path, format!("the expression fails on {share} records")),
        "NotInMap" => findings.warning(
            "ValuesIncomplete",
            &format!("{path}.values"),
            format!("{share} records have a value that is not in values"),
        ),
        "NotAnOption" => findings.warning(
            "OptionUnavailable",
            &path,
            format!("{share} records have a value that is no option of the field"),
        ),
        "NoKey" => findings.warning(
            "NoKey",
            &format!("{}.key", draft.path),
            format!("{share} records have no value at {place}"),
        ),
        "FractionCut" | "DigitsCut" | "LeapSecond" => findings.info(
            code,
            &path,
            format!("{share} records have a value that the field holds less exactly"),
        ),
        _ => findings.warning(
            "Unreadable",
            &path,
            format!("{share} records have a value that the field cannot take ({code})"),
        ),
    }
}
