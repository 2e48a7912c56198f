//! Discover: probes source and destination, compiles the plan against what is really there, writes scope and findings.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    Job,
    destination::Destination,
    error::{StepError, bounded},
    estimate, extract,
    plan::Plan,
    preflight,
};
use crate::{
    api::{
        mapping_spec::{Finding, Lookup, MappingSpecSpec, Object, Row, Severity},
        phase_run::{FailureReason, File, PlanReport, PlannedObject},
    },
    lifecycle::{book, size, verbs::Command},
    mapping::{
        Compiled, Goes, Mapping, Merged, SourceShape, World, compile,
        discover::{self, Candidate, Observed},
        merge,
        read::Formats,
    },
    model::{DeclaredField, Digest, Record, record::is_empty},
    odoo::models::{self, Models},
    report::scope,
    source::{Lacking, Preflight, Sample, Source, SourceError, SourceObject, Ways},
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
    // before an export is waited for: a key that is wrong is to be known before gigabytes are pushed
    let destination = job.destination().await?;
    let version = destination.rpc.version().await?;
    let Looked {
        seen: source,
        findings: told,
    } = look_at_source(job, &merged).await?;
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
        unmapped,
        read,
    } = compile::compile(&merged, world);
    let met = preflight::look(job, &destination, &merged.spec, mapping.as_ref(), &models).await?;
    findings.extend(preflight::findings(
        &job.migration.spec.destination.odoo,
        &version,
        mapping.as_ref(),
        &met,
    ));
    findings.extend(told);
    let has = |name: &str| merged.spec.objects.iter().flatten().any(|object| object.name == name);
    findings.extend(book::unknown_bounds(&job.migration.spec.accept, has));
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
        live: live(&source),
        fields: filled(&source),
        looked_at: looked_at(&source),
        counted: counted(&source),
        read,
        // with what was discovered: it is pinned with the rest
        spec: spec.unwrap_or_else(|| merged.spec.clone()),
    };
    let counts = source.iter().map(|(name, seen)| (name.clone(), seen.records)).collect();
    let on_a_cluster = job.cluster_namespace().is_some();
    let seconds = estimate::loading(
        mapping.as_ref(),
        &counts,
        destination.calls_per_minute,
        met.pace,
        on_a_cluster,
    );
    let scope = scope::Scope {
        migration: job.migration_name().to_owned(),
        platform: plan.platform,
        account: plan.account.clone(),
        odoo: odoo.clone(),
        edition: met.edition,
        compatibility,
        grade,
        records: counts,
        about: about(&source),
        read_from: read_from(&source),
        rows: rows(&plan.spec, mapping.as_ref(), &source),
        objects: in_scope(mapping.as_ref(), &met.present),
        unmapped,
        findings: findings.clone(),
        reading_seconds: source.values().map(Seen::seconds).sum(),
        estimate_seconds: seconds,
    };
    let files = write_scope(job, &scope).await?;
    let refusal = refusal(&findings);
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

/// The objects that the API offers, and how they are read.
fn live(source: &BTreeMap<String, Seen>) -> Ways {
    let live = source.iter().filter(|(_, seen)| seen.live);
    live.map(|(name, seen)| (name.clone(), seen.ways.clone())).collect()
}

/// The fields of each source object, with how many of the records looked at have a value.
fn filled(source: &BTreeMap<String, Seen>) -> BTreeMap<String, BTreeMap<String, u64>> {
    let of_object = |shape: &SourceShape| {
        let mut fields: BTreeMap<String, u64> = shape.fields.iter().map(|field| (field.clone(), 0)).collect();
        for (field, value) in shape.samples.iter().flatten() {
            if let Some(count) = fields.get_mut(field).filter(|_| !is_empty(Some(value))) {
                *count += 1;
            }
        }
        fields
    };
    let objects = source.iter();
    objects
        .map(|(name, seen)| (name.clone(), of_object(&seen.shape)))
        .collect()
}

/// How many records of each were looked at.
fn looked_at(source: &BTreeMap<String, Seen>) -> BTreeMap<String, u64> {
    let looked_at = |(name, seen): (&String, &Seen)| (name.clone(), seen.shape.samples.len() as u64);
    source.iter().map(looked_at).collect()
}

/// Those whose records were not counted.
fn about(source: &BTreeMap<String, Seen>) -> BTreeSet<String> {
    let about = source.iter().filter(|(_, seen)| !seen.exact);
    about.map(|(name, _)| name.clone()).collect()
}

/// Where each is read.
fn read_from(source: &BTreeMap<String, Seen>) -> BTreeMap<String, String> {
    let place = |(name, seen): (&String, &Seen)| (name.clone(), seen.shape.place.clone());
    source.iter().map(place).collect()
}

/// How many records each has, where they were counted.
fn counted(source: &BTreeMap<String, Seen>) -> BTreeMap<String, u64> {
    let exact = source.iter().filter(|(_, seen)| seen.exact);
    exact
        .map(|(name, seen)| (name.clone(), u64::try_from(seen.records).unwrap_or(0)))
        .collect()
}

/// Why nothing can go on, where a finding is an Error.
fn refusal(findings: &[Finding]) -> Option<StepError> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let errors: Vec<&Finding> = errors.collect();
    (!errors.is_empty()).then(|| refused(&errors))
}

async fn write_scope(job: &Job, scope: &scope::Scope) -> Result<Vec<File>, StepError> {
    let mut files = Vec::new();
    for (path, text) in [
        ("results/scope.md", scope::markdown(scope)),
        ("results/scope.json", scope::json(scope)),
    ] {
        files.push(job.workspace.put_file(path, text.into_bytes()).await?);
    }
    Ok(files)
}

fn refused(errors: &[&Finding]) -> StepError {
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
    merge::resolve(&spec.spec).map_err(|findings| refused(&findings.iter().collect::<Vec<_>>()))
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
pub struct Seen {
    /// Its fields, with samples.
    pub shape: SourceShape,
    /// How many records it has.
    pub records: i64,
    /// Every record was counted.
    pub exact: bool,
    /// An API has it.
    pub live: bool,
    /// How that is read.
    pub ways: BTreeSet<String>,
    /// How long looking took.
    took: Duration,
    /// Records that were looked at meanwhile.
    looked_at: i64,
}

impl Seen {
    /// Seconds that reading all of it will take, at the pace of the look.
    fn seconds(&self) -> i64 {
        estimate::reading(self.records, self.looked_at, self.took)
    }
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
        .map(
            |Lacking {
                 name,
                 why,
                 documented,
                 failing,
                 columns,
             }| {
                let place = match files {
                    Some(path) => format!("push it into {path} as {name}.csv or {name}.jsonl"),
                    None => format!("give the Migration source.files and push it as {name}.csv or {name}.jsonl"),
                };
                let (severity, doubt) = if *documented {
                    (Severity::Error, ", which every account has: is its url right? If so,")
                } else if *failing {
                    (Severity::Error, ": retry when it answers. If it never does,")
                } else {
                    (Severity::Warning, ", so nothing of it moves:")
                };
                Finding {
                    severity,
                    code: "ExportNeeded".into(),
                    path: format!("source[{name}]"),
                    message: format!(
                        "the API does not offer {name} ({why}){doubt} export it, {place}, with the columns {}",
                        columns.join(", ")
                    ),
                }
            },
        )
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
    let begun = Instant::now();
    let sample = source
        .sample(&object.name, SAMPLES, formats.is_some().then_some(&mut see))
        .await?;
    let took = begun.elapsed();
    let (records, exact, live) = (sample.count, sample.exact, object.live);
    let ways = object.ways.clone();
    let looked_at = if exact {
        records
    } else {
        i64::try_from(sample.records.len()).unwrap_or(records)
    };
    let shape = shape(object, sample, formats.map(|_| values));
    Ok(Seen {
        shape,
        records,
        exact,
        live,
        ways,
        took,
        looked_at,
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
        broken: sample.broken,
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

/// What comes of each row: of objects that stand down nothing does.
fn rows(spec: &MappingSpecSpec, mapping: Option<&Mapping>, source: &BTreeMap<String, Seen>) -> Vec<scope::Row> {
    let reads = |row: &Row| -> (BTreeSet<String>, BTreeSet<String>) {
        let objects = row.objects.iter().flatten();
        let objects = objects.filter_map(|name| mapping?.object(name));
        let names = objects.map(|object| object.source_object.clone());
        names.partition(|name| source.contains_key(name))
    };
    let rows = spec.rows.iter().flatten();
    rows.map(|row| {
        let (reads, lacks) = reads(row);
        scope::Row {
            name: row.name.clone(),
            fidelity: row.fidelity,
            reads,
            lacks,
        }
    })
    .collect()
}

/// What people read of each object before they confirm.
fn in_scope(mapping: Option<&Mapping>, present: &BTreeMap<String, i64>) -> Vec<scope::InScope> {
    let objects = mapping.into_iter().flat_map(|mapping| &mapping.objects);
    let told = objects.zip(planned(mapping)).map(|(object, planned)| scope::InScope {
        source: object.source_object.clone(),
        fields: object.columns(),
        creates: object.custom_fields.iter().map(|field| field.name.clone()).collect(),
        adopts_by: object.match_on.iter().map(|fields| fields.join("+")).collect(),
        present: planned.model.as_ref().and_then(|model| present.get(model).copied()),
        planned,
    });
    told.collect()
}
