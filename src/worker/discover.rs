//! Discover: probes source and destination, compiles the plan against what is really there, writes scope and findings.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Job,
    destination::Destination,
    error::{StepError, bounded},
    extract,
    plan::Plan,
};
use crate::{
    api::{
        mapping_spec::{Finding, Lookup, MappingSpecSpec, Object, Severity},
        migration::Profile,
        phase_run::{FailureReason, PlanReport, PlannedObject},
    },
    args,
    lifecycle::{size, verbs::Command},
    mapping::{
        Compiled, Goes, Mapping, Merged, SourceShape, World, compile,
        discover::{self, Candidate, Observed},
        merge,
        read::Formats,
    },
    model::{DeclaredField, Digest, Record},
    odoo::{
        custom_models,
        models::{self, Models},
    },
    report::scope,
    source::{Lacking, Preflight, Sample, Source, SourceError, SourceObject},
    workspace::Marker,
};

/// Records of a source object that expressions are tried on.
const SAMPLES: usize = 1_000;

/// Findings that a report has room for; all are in the scope.
const FINDINGS: usize = 20;

/// Carries the step out.
///
/// # Errors
/// `ExportMissing` while there is nothing to read; `Preflight` where a finding is an Error; the edges' own.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let merged = mapping_spec(job).await?;
    let module = module(job, &merged);
    claim(job, &merged, &module).await?;
    let Looked {
        seen: source,
        findings: told,
    } = look_at_source(job, &merged).await?;
    let destination = job.destination().await?;
    let version = destination.rpc.version().await?;
    let odoo = format!("Odoo {version} {}", destination.spoken);
    let models = look_at_odoo(&destination, &merged.spec).await?;
    let shapes = source
        .iter()
        .map(|(name, seen)| (name.clone(), seen.shape.clone()))
        .collect();
    let world = World {
        models: &models,
        odoo_known: true,
        source: Some(&shapes),
    };
    let Compiled {
        mut findings,
        mapping,
        spec,
        compatibility,
        grade,
    } = compile::compile(&merged, world);
    findings.extend(untried(&version));
    if let Some(mapping) = &mapping {
        findings.extend(rights(&destination, mapping, &models).await?);
        findings.extend(groups_and_menus(&destination, mapping).await?);
    }
    findings.extend(told);
    // what the source lacks first: the status has room for the first few alone
    let place = |finding: &Finding| !finding.path.starts_with("source[");
    findings.sort_by(|a, b| (a.severity, place(a), &a.path, &a.code).cmp(&(b.severity, place(b), &b.path, &b.code)));

    let plan = Plan {
        worker_version: env!("CARGO_PKG_VERSION").into(),
        platform: merged.platform,
        account: job.migration.spec.source.account.clone(),
        external_id_module: module,
        mapping_digest: merged.digest.clone(),
        models: trimmed(&models, &merged.spec),
        live: source
            .iter()
            .filter(|(_, seen)| seen.live)
            .map(|(name, _)| name.clone())
            .collect(),
        // with what was discovered: it is pinned with the rest
        spec: spec.unwrap_or_else(|| merged.spec.clone()),
    };
    let counts = source.iter().map(|(name, seen)| (name.clone(), seen.records)).collect();
    let seconds = estimate(job, mapping.as_ref(), &counts);
    let scope = scope::Scope {
        migration: job.migration_name().to_owned(),
        platform: plan.platform,
        account: plan.account.clone(),
        odoo: odoo.clone(),
        compatibility,
        grade,
        records: counts,
        about: source
            .iter()
            .filter(|(_, seen)| !seen.exact)
            .map(|(name, _)| name.clone())
            .collect(),
        objects: planned(mapping.as_ref()),
        findings: findings.clone(),
        estimate_seconds: seconds,
    };
    let mut files = vec![
        job.workspace
            .put_file("results/scope.md", scope::markdown(&scope).into_bytes())
            .await?,
    ];
    files.push(
        job.workspace
            .put_file("results/scope.json", scope::json(&scope).into_bytes())
            .await?,
    );
    let errors: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    let refusal = (!errors.is_empty()).then(|| preflight(&errors));
    let digest = store(job, &plan).await?;
    size::few(&mut findings, FINDINGS);
    job.heart.update(|status| {
        status.files = files;
        status.plan = Some(PlanReport {
            digest: digest.to_string(),
            mapping_digest: merged.digest.to_string(),
            odoo: bounded(&odoo, 512),
            objects: planned(mapping.as_ref()),
            findings,
            estimate_seconds: seconds,
        });
    });
    refusal.map_or(Ok(()), Err)
}

fn preflight(errors: &[&Finding]) -> StepError {
    let first: Vec<String> = errors
        .iter()
        .take(3)
        .map(|finding| format!("{}: {}", finding.path, finding.message))
        .collect();
    let more = if errors.len() > 3 {
        format!(" (and {} more)", errors.len() - 3)
    } else {
        String::new()
    };
    StepError::configuration(
        FailureReason::Preflight,
        bounded(&format!("{}{more}", first.join("; ")), 1_000),
    )
}

async fn store(job: &Job, plan: &Plan) -> Result<Digest, StepError> {
    let json = crate::model::digest::canonical_json(plan)
        .map_err(|error| StepError::permanent(FailureReason::Internal, error.to_string()))?;
    Ok(job.workspace.put_plan(&json).await?)
}

async fn mapping_spec(job: &Job) -> Result<Merged, StepError> {
    let name = &job.migration.spec.mapping_spec_ref.name;
    let Some(spec) = job.home.mapping_spec(name).await? else {
        return Err(StepError::retry(
            FailureReason::Preflight,
            format!("the MappingSpec {name} is gone"),
        ));
    };
    merge::resolve(&spec.spec).map_err(|findings| preflight(&findings.iter().collect::<Vec<_>>()))
}

fn module(job: &Job, merged: &Merged) -> String {
    let spec = &job.migration.spec;
    let given = spec.destination.odoo.external_id_module.clone();
    given.unwrap_or_else(|| format!("crmferry_{}_{}", merged.platform.word(), spec.source.account))
}

async fn claim(job: &Job, merged: &Merged, module: &str) -> Result<(), StepError> {
    let marker = Marker {
        account: job.migration.spec.source.account.clone(),
        platform: merged.platform.word().to_owned(),
        module: module.to_owned(),
        migration: job.migration.metadata.uid.clone().unwrap_or_default(),
    };
    job.workspace.claim(&marker).await?;
    Ok(())
}

/// What was seen of a source object.
/// What was seen of a source object.
pub struct Seen {
    /// Its fields, with samples.
    pub shape: SourceShape,
    /// How many records it has.
    pub records: i64,
    /// Every record was counted.
    pub exact: bool,
    /// An API has it.
    pub live: bool,
}

/// What was seen of the source, and what is to be said of it.
struct Looked {
    seen: BTreeMap<String, Seen>,
    findings: Vec<Finding>,
}

async fn look_at_source(job: &Job, merged: &Merged) -> Result<Looked, StepError> {
    let source = extract::source(job)?;
    let objects = source.objects().await?;
    let Preflight { mut findings, lacking } = source.preflight().await?;
    if objects.is_empty() {
        return Err(nothing_there(job, &lacking));
    }
    findings.extend(exports_needed(
        job.migration.spec.source.files_path(),
        &merged.spec,
        &objects,
        &lacking,
    ));
    let mut seen = BTreeMap::new();
    for object in objects {
        let name = object.name.clone();
        job.heart.update(|status| {
            "look at the source".clone_into(&mut status.progress.step);
            status.progress.object.clone_from(&name);
            status.progress.summary = format!("looks at {name}");
        });
        seen.insert(name, look_at(&*source, object, Some(merged)).await?);
    }
    Ok(Looked { seen, findings })
}

/// Neither a file nor the API has anything.
fn nothing_there(job: &Job, lacking: &[Lacking]) -> StepError {
    let refused = lacking
        .iter()
        .find(|lacking| lacking.name == "contact")
        .or_else(|| lacking.first());
    let api = refused.map(|lacking| {
        format!(
            "the API offers nothing ({}: {}): is its url right?",
            lacking.name, lacking.why
        )
    });
    let Some(path) = job.migration.spec.source.files_path() else {
        return StepError::configuration(FailureReason::SourceUnavailable, api.unwrap_or_default());
    };
    let push = format!("there is no export in {path} yet: {}", job.command(Command::Push));
    let message = api.map_or_else(|| push.clone(), |api| format!("{api}; {push}"));
    StepError::configuration(FailureReason::ExportMissing, message)
}

/// What the mapping reads and nobody offers.
fn exports_needed(
    files: Option<&str>,
    spec: &MappingSpecSpec,
    objects: &[SourceObject],
    lacking: &[Lacking],
) -> Vec<Finding> {
    let wanted: BTreeSet<&str> = spec.objects.iter().flatten().flat_map(source_objects).collect();
    let missing = lacking.iter().filter(|lacking| {
        wanted.contains(lacking.name.as_str()) && !objects.iter().any(|object| object.name == lacking.name)
    });
    missing
        .map(|Lacking { name, why, columns }| {
            let place = match files {
                Some(path) => format!("push it into {path} as {name}.csv or {name}.jsonl"),
                None => format!("give the Migration source.files and push it as {name}.csv or {name}.jsonl"),
            };
            Finding {
                severity: Severity::Warning,
                code: "ExportNeeded".into(),
                path: format!("source[{name}]"),
                message: format!(
                    "the API does not offer {name} ({why}), so nothing of it moves: export it, {place}, with the columns {}",
                    columns.join(", ")
                ),
            }
        })
        .collect()
}

/// Looks at a source object; what its custom fields hold only where an object of the spec discovers them.
///
/// # Errors
/// When the source cannot be read.
pub async fn look_at(source: &dyn Source, object: SourceObject, merged: Option<&Merged>) -> Result<Seen, SourceError> {
    let formats = merged
        .filter(|merged| discovers(&merged.spec, &object.name))
        .and_then(|merged| {
            let source = merged.spec.source.as_ref();
            Formats::new(source.and_then(|source| source.formats.as_ref())).ok()
        });
    let mut values = BTreeMap::new();
    let mut see = |record: &Record| {
        if let Some(formats) = &formats {
            discover::observe(&mut values, formats, record);
        }
    };
    let sample = source
        .sample(&object.name, SAMPLES, formats.is_some().then_some(&mut see))
        .await?;
    let (records, exact, live) = (sample.count, sample.exact, object.live);
    let shape = shape(object, sample, formats.map(|_| values));
    Ok(Seen {
        shape,
        records,
        exact,
        live,
    })
}

/// The shape of an object: the fields that are declared, and where an API told of one row only, those of all samples.
fn shape(object: SourceObject, sample: Sample, values: Option<BTreeMap<String, Observed>>) -> SourceShape {
    let mut fields = object.fields;
    let mut known: BTreeSet<String> = fields.iter().cloned().collect();
    let names = sample.custom.iter().map(|field| &field.name);
    let names = names.chain(sample.records.iter().flat_map(Record::keys));
    for name in names {
        if known.insert(name.clone()) {
            fields.push(name.clone());
        }
    }
    let of_file = |name: &String| DeclaredField {
        name: name.clone(),
        ..DeclaredField::default()
    };
    let declared = match (&values, object.live) {
        (None, _) => Vec::new(),
        (Some(_), true) => sample.custom,
        (Some(_), false) => fields.iter().map(of_file).collect(),
    };
    let mut values = values.unwrap_or_default();
    let custom = declared.into_iter().map(|declared| Candidate {
        seen: values.remove(&declared.name).unwrap_or_default(),
        declared,
    });
    SourceShape {
        place: object.place,
        custom: custom.collect(),
        fields,
        samples: sample.records,
        whole: sample.exact,
    }
}

/// The source objects that an object of a spec reads, those it joins too.
fn source_objects(object: &Object) -> impl Iterator<Item = &str> {
    let source = object.source.iter();
    source.flat_map(|source| {
        let joined = source.join.iter().flatten();
        let joined = joined.filter_map(|join| join.object.as_deref());
        source.object.as_deref().into_iter().chain(joined)
    })
}

/// Whether an object that reads this source object discovers custom fields.
fn discovers(spec: &MappingSpecSpec, name: &str) -> bool {
    spec.objects.iter().flatten().any(|object| {
        let reads = object.source.as_ref().and_then(|source| source.object.as_deref()) == Some(name);
        reads && object.discover.is_some()
    })
}

/// The models that a spec names, and those its lookups go through.
fn named_models(spec: &MappingSpecSpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in spec.objects.iter().flatten() {
        names.extend(
            object
                .destination
                .as_ref()
                .and_then(|destination| destination.model.clone()),
        );
        for field in object.fields.iter().flatten() {
            names.extend(field.create.as_ref().and_then(|create| create.relation.clone()));
        }
    }
    names.extend(lookups(spec).filter_map(|lookup| lookup.model.clone()));
    names
}

/// Every lookup of a spec, those of lines too.
fn lookups(spec: &MappingSpecSpec) -> impl Iterator<Item = &Lookup> {
    let fields = spec
        .objects
        .iter()
        .flatten()
        .flat_map(|object| object.fields.iter().flatten());
    fields.flat_map(|field| {
        let lines = field.fields.iter().flatten().filter_map(|line| line.lookup.as_ref());
        field.lookup.iter().chain(lines)
    })
}

/// Models of the lines that a spec writes.
fn line_models<'a>(spec: &'a MappingSpecSpec, found: &'a Models) -> impl Iterator<Item = String> + 'a {
    spec.objects.iter().flatten().flat_map(move |object| {
        let model = object
            .destination
            .as_ref()
            .and_then(|to| to.model.as_deref())
            .unwrap_or_default();
        let lines = object.fields.iter().flatten().filter(|field| field.each.is_some());
        lines.filter_map(move |field| found.field(model, &field.to)?.relation.clone())
    })
}

async fn look_at_odoo(destination: &Destination, spec: &MappingSpecSpec) -> Result<Models, StepError> {
    let names = named_models(spec);
    let mut found = models::fetch(&*destination.rpc, names.iter().map(String::as_str)).await?;
    // dotted conditions of lookups look one relation further
    let further: BTreeSet<String> = lookups(spec)
        .filter_map(|lookup| Some((lookup.model.as_deref()?, lookup.within.as_ref()?)))
        .flat_map(|(model, within)| within.keys().map(move |path| (model, path)))
        .filter_map(|(model, path)| found.field(model, path.split_once('.')?.0)?.relation.clone())
        .chain(line_models(spec, &found))
        .filter(|model| !found.models.contains_key(model))
        .collect();
    if !further.is_empty() {
        let more = models::fetch(&*destination.rpc, further.iter().map(String::as_str)).await?;
        found.models.extend(more.models);
    }
    Ok(found)
}

/// Only what the plan needs: models that it names.
fn trimmed(models: &Models, spec: &MappingSpecSpec) -> Models {
    let names = named_models(spec);
    let relations: BTreeSet<String> = names
        .iter()
        .filter_map(|name| models.models.get(name))
        .flat_map(|model| model.fields.values().filter_map(|field| field.relation.clone()))
        .collect();
    Models {
        models: models
            .models
            .iter()
            .filter(|(name, _)| names.contains(*name) || relations.contains(*name))
            .map(|(name, model)| (name.clone(), model.clone()))
            .collect(),
        modules: models.modules.clone(),
    }
}

/// Whether the migration user may do what the plan needs.
async fn rights(destination: &Destination, mapping: &Mapping, models: &Models) -> Result<Vec<Finding>, StepError> {
    let mut findings = Vec::new();
    let mut asked = BTreeSet::new();
    let mut needed: Vec<(String, &str)> = vec![
        ("ir.model.data".into(), "create"),
        ("ir.config_parameter".into(), "create"),
    ];
    if mapping.objects.iter().any(|object| !object.custom_fields.is_empty()) {
        needed.push(("ir.model.fields".into(), "create"));
    }
    for object in mapping.in_odoo() {
        if let Some(model) = &object.custom_model {
            needed.extend(["ir.model", "ir.model.access"].map(|model| (model.into(), "create")));
            if model.menu.is_some() {
                needed.extend(["ir.actions.act_window", "ir.ui.menu"].map(|model| (model.into(), "create")));
            }
            if !models.models.contains_key(&model.model.0) {
                // whoever may make it may fill it
                continue;
            }
        }
        let operations: &[&str] = match object.on_new {
            crate::api::mapping_spec::OnNew::Create => &["read", "create", "write"],
            crate::api::mapping_spec::OnNew::Hold | crate::api::mapping_spec::OnNew::Reject => &["read", "write"],
        };
        needed.extend(operations.iter().map(|operation| (object.model.0.clone(), *operation)));
        let of_lines = ["read", "create", "write", "unlink"];
        needed.extend(
            object
                .lines
                .iter()
                .flat_map(|lines| of_lines.map(|operation| (lines.model.0.clone(), operation))),
        );
    }
    for (model, operation) in needed {
        if !asked.insert((model.clone(), operation)) {
            continue;
        }
        let may = destination
            .rpc
            .call(&model, "has_access", args!({"ids": [], "operation": operation}))
            .await?;
        if may.as_bool() != Some(true) {
            findings.push(Finding {
                severity: Severity::Error,
                code: "MissingRight".into(),
                path: model.clone(),
                message: format!("the API key's user may not {operation} {model}: give the user a role that may"),
            });
        }
    }
    Ok(findings)
}

/// A word of caution about an Odoo of another version than the one that everything here was tried on.
fn untried(version: &str) -> Option<Finding> {
    let major = version
        .trim_start_matches("saas~")
        .split('.')
        .next()
        .unwrap_or_default();
    (major != "19").then(|| Finding {
        severity: Severity::Warning,
        code: "UntriedVersion".into(),
        path: "destination.odoo".into(),
        message: format!(
            "this is Odoo {}, and nothing but Odoo 19 was tried: rehearse against a copy of it, and look at the results before people work with them",
            bounded(version, 60)
        ),
    })
}

/// Groups and menus that custom models name and that Odoo lacks.
async fn groups_and_menus(destination: &Destination, mapping: &Mapping) -> Result<Vec<Finding>, StepError> {
    let mut findings = Vec::new();
    for object in &mapping.objects {
        let Some(model) = &object.custom_model else { continue };
        let groups: Vec<&str> = model.access.keys().map(String::as_str).collect();
        let menus: Vec<&str> = model.menu.as_deref().into_iter().collect();
        for (of, names, what) in [("res.groups", groups, "group of users"), ("ir.ui.menu", menus, "menu")] {
            let found = custom_models::named(&*destination.rpc, of, names.iter().copied()).await?;
            findings.extend(
                names
                    .iter()
                    .filter(|name| !found.contains_key(**name))
                    .map(|name| Finding {
                        severity: Severity::Error,
                        code: "UnknownObject".into(),
                        path: format!("objects[{}].destination.create", object.name),
                        message: format!("Odoo has no {what} {name}: name one by its external id, or leave it out"),
                    }),
            );
        }
    }
    Ok(findings)
}

fn planned(mapping: Option<&Mapping>) -> Vec<PlannedObject> {
    mapping
        .into_iter()
        .flat_map(|mapping| &mapping.objects)
        .map(|object| PlannedObject {
            name: object.name.clone(),
            model: object.in_odoo().map(|object| object.model.0.clone()),
            document: match object.goes() {
                Goes::Document(document) => Some(document.path()),
                Goes::InOdoo(_) => None,
            },
        })
        .collect()
}

/// Seconds that loading will take: records an object, at the pace measured on real servers.
fn estimate(job: &Job, mapping: Option<&Mapping>, counts: &BTreeMap<String, i64>) -> i64 {
    let objects = mapping.into_iter().flat_map(Mapping::in_odoo);
    let records: i64 = objects
        .map(|object| counts.get(&object.source_object).copied().unwrap_or(0))
        .sum();
    match job.migration.spec.destination.odoo.limits.profile {
        // one call a second; a record takes part in a batch of 400 and in a read-back of 1,000
        Profile::Online => records / 400 + records / 1_000 + 1,
        Profile::SelfHosted => records / 500 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odoo_of_a_version_that_was_not_tried_is_a_warning() {
        for (version, warned) in [
            ("19.0", false),
            ("19.0+e", false),
            ("19.0-20261101", false),
            ("saas~19.1", false),
            ("saas~18.4+e", true),
            ("18.0", true),
            ("14.0-20231205", true),
            ("20.0", true),
            ("9.0", true),
            ("", true),
        ] {
            let finding = untried(version);
            assert_eq!(finding.is_some(), warned, "{version}");
            assert!(finding.is_none_or(|finding| finding.severity == Severity::Warning));
        }
    }
}
