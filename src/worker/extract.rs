//! Extract: every source object that the plan reads, as it comes, into a snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::StreamExt;

use super::{
    Job, contents,
    error::{StepError, bounded, secret_missing},
    index::{Index, Kind},
    notes::Notes,
    plan::Plan,
    reader::print_of,
    recheck,
};
use crate::{
    api::phase_run::{Delta, FailureReason},
    lifecycle::book,
    mapping::{Mapping, Object},
    model::record::is_empty,
    source::{Item, Source, SourceError, both::Both, files::FilesSource},
    workspace::{Line, Manifest},
};

/// Carries the step out.
///
/// # Errors
/// When the source, the workspace or the scratch disk fails, or too much vanished from the source.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    if job.spec.orders.rebuild {
        recheck::everything(job, &mapping).await?;
    }
    let (manifest, delta) = snapshot(job, &plan, &mapping).await?;
    job.heart.update(|status| {
        status.delta = Some(delta);
        status.totals.read = i64::try_from(manifest.total()).unwrap_or(i64::MAX);
    });
    Ok(())
}

/// Where the Migration's records come from: export files, an API, or both.
///
/// # Errors
/// When the path of the files leaves the workspace, or the API cannot be opened.
pub fn source(job: &Job) -> Result<Arc<dyn Source>, StepError> {
    let spec = &job.migration.spec.source;
    let files = match spec.files_path() {
        None => None,
        Some(path) => Some(FilesSource::of(job.workspace.exports(path)?)),
    };
    let api = job.apis.open(spec, &job.scratch).map_err(|error| match error {
        SourceError::SecretMissing { key } => {
            let (api, secret) = spec
                .api()
                .map_or(("the source", ""), |(api, secret)| (api, &secret.name));
            secret_missing(api, &job.apis.secrets, secret, (&key, &[&key]), job.cluster_namespace())
        }
        error => error.into(),
    })?;
    let source: Arc<dyn Source> = match (api, files) {
        (Some(api), Some(files)) => Arc::new(Both { api, files }),
        (Some(api), None) => api,
        (None, Some(files)) => Arc::new(files),
        (None, None) => {
            return Err(StepError::configuration(
                FailureReason::SourceUnavailable,
                "the source has neither files nor an API: add source.files to the Migration",
            ));
        }
    };
    job.heart.watch_source(source.clone());
    Ok(source)
}

/// Reads the source into a new snapshot and says how it differs from the one before. Where nothing differs the one
/// before stays.
///
/// # Errors
/// As [`run`].
pub async fn snapshot(job: &Job, plan: &Plan, mapping: &Mapping) -> Result<(Manifest, Delta), StepError> {
    let source = source(job)?;
    source.pin(&plan.live);
    let there: BTreeSet<String> = source.objects().await?.into_iter().map(|object| object.name).collect();
    let wanted: BTreeSet<&str> = mapping.objects.iter().flat_map(Object::source_objects).collect();
    still_offered(job, plan, &*source, &there, &wanted).await?;
    let before = job.workspace.latest_snapshot().await?;
    let mut index = Index::create(&job.scratch)?;
    let mut changes = Changes::default();
    let mut notes = Notes::default();
    let mut writer = job.workspace.begin_snapshot().await?;
    let mut read = 0_i64;
    for name in wanted {
        if let Some(before) = &before {
            remember(job, &mut index, before, name, &mut changes).await?;
        }
        let mut object = writer.object(name);
        let mut count = 0_u64;
        if there.contains(name) {
            let mut items = source.read(name).await?;
            while let Some(item) = items.next().await {
                let line = match item? {
                    Item::Record(record) => Line::Record(record),
                    Item::Broken(rejection) => Line::Broken(rejection),
                };
                changes.meet(&mut index, name, &line)?;
                changes.fill(name, &line, true);
                object.push(&line).await?;
                count += 1;
                read += 1;
                if read % PROGRESS == 0 {
                    notes.take(name, source.notes());
                    progress(job, name, read, &notes);
                }
            }
        }
        notes.take(name, source.notes());
        object.finish().await?;
        changes.end(name, before.as_ref().map_or(0, |before| before.count(name)), count);
    }
    let content = contents::fetch_all(job, &*source, mapping, &mut writer, before.as_ref()).await?;
    progress(job, "", read, &notes);
    if !plan.live.is_empty() {
        notes.store(job).await?;
    }
    // whoever asked for reading again after that means it
    if let Some(shrunk) = changes.shrunk().filter(|_| !job.spec.orders.rebuild) {
        return Err(StepError::permanent(FailureReason::SourceShrunk, shrunk));
    }
    let first = before.is_none();
    let manifest = match before {
        Some(before) if changes.quiet() && !content.any => before,
        Some(_) | None => {
            let manifest = writer.finish().await?;
            job.workspace.prune_snapshots(2).await?;
            manifest
        }
    };
    let delta = Delta {
        changed: if first { 0 } else { changes.changed + content.changed },
        gone: if first { 0 } else { changes.gone() },
        watermark: manifest.watermark.to_string(),
        findings: notes.findings,
    };
    Ok((manifest, delta))
}

/// Records between two words on how far it is: an API may give two a second.
const PROGRESS: i64 = 20;

/// What the API offered at discovery and offers no more is not empty: nothing is read then. Whoever asks for reading again
/// after that means it.
async fn still_offered(
    job: &Job,
    plan: &Plan,
    source: &dyn Source,
    there: &BTreeSet<String>,
    wanted: &BTreeSet<&str>,
) -> Result<(), StepError> {
    let mut lost = plan
        .live
        .keys()
        .filter(|name| wanted.contains(name.as_str()) && !there.contains(*name));
    let Some(name) = lost.next().filter(|_| !job.spec.orders.rebuild) else {
        return Ok(());
    };
    let lacking = source.preflight().await?.lacking;
    let why = lacking.iter().find(|lacking| lacking.name == *name);
    let why = why.map_or_else(String::new, |lacking| format!(" ({})", lacking.why));
    Err(StepError::retry(
        FailureReason::SourceUnavailable,
        format!(
            "the API offered {name} at discovery and does not now{why}: it is tried again; retry from-extract where it is meant"
        ),
    ))
}

fn progress(job: &Job, object: &str, read: i64, notes: &Notes) {
    job.heart.update(|status| {
        "extract".clone_into(&mut status.progress.step);
        object.clone_into(&mut status.progress.object);
        status.progress.done = read;
        status.progress.summary = format!("{read} read{}", notes.words());
        status.totals.read = read;
    });
}

/// The digests of a source object's records in the snapshot before, with how often each occurs.
async fn remember(
    job: &Job,
    index: &mut Index,
    before: &Manifest,
    name: &str,
    changes: &mut Changes,
) -> Result<(), StepError> {
    let mut lines = job.workspace.read_object(before, name);
    while let Some(line) = lines.next().await {
        let line = line?;
        changes.fill(name, &line, false);
        let text = line_print(&line)?;
        let count = count_at(index, name, &text)? + 1;
        index.put(Kind::Digest, name, text.as_bytes(), count.to_be_bytes().to_vec())?;
    }
    Ok(())
}

fn count_at(index: &Index, name: &str, text: &str) -> Result<u64, StepError> {
    let bytes = index.get(Kind::Digest, name, text.as_bytes())?;
    Ok(bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes))
}

fn line_print(line: &Line) -> Result<String, StepError> {
    Ok(match line {
        Line::Record(record) => print_of(record)?.to_string(),
        // a broken line is the same if it is broken at the same place in the same way
        Line::Broken(rejection) => format!("{} {}", rejection.code, rejection.message),
    })
}

/// How a reading differs from the snapshot before.
#[derive(Clone, Debug, Default)]
struct Changes {
    changed: i64,
    /// Records of the snapshot before that were met again, by object.
    kept: BTreeMap<String, u64>,
    before: u64,
    after: u64,
    vanished: i64,
    shrunk: Vec<String>,
    /// Records with a value, by object and field: in the snapshot before, and now.
    filled: BTreeMap<(String, String), (u64, u64)>,
}

/// Records that had a value in a field, from which on it is odd that none has any more.
const MANY: u64 = 20;

impl Changes {
    fn meet(&mut self, index: &mut Index, name: &str, line: &Line) -> Result<(), StepError> {
        let text = line_print(line)?;
        match count_at(index, name, &text)? {
            0 => self.changed += 1,
            left => {
                index.put(Kind::Digest, name, text.as_bytes(), (left - 1).to_be_bytes().to_vec())?;
                *self.kept.entry(name.to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Counts the fields of a record that have values, in the snapshot before or now.
    fn fill(&mut self, name: &str, line: &Line, now: bool) {
        let Line::Record(record) = line else { return };
        for (field, value) in record {
            if is_empty(Some(value)) {
                continue;
            }
            let key = (name.to_owned(), field.clone());
            let (before, after) = self.filled.entry(key).or_default();
            *(if now { after } else { before }) += 1;
        }
    }

    fn end(&mut self, name: &str, before: u64, after: u64) {
        let kept = self.kept.get(name).copied().unwrap_or(0);
        self.vanished += i64::try_from(before - kept).unwrap_or(i64::MAX);
        self.before += before;
        self.after += after;
        if book::vanished_too_many(
            i64::try_from(before).unwrap_or(i64::MAX),
            i64::try_from(before.saturating_sub(after)).unwrap_or(i64::MAX),
        ) {
            self.shrunk
                .push(format!("{name} went from {before} to {after} records"));
        }
    }

    /// Records that are gone: those not met again, less those that changed in place.
    fn gone(&self) -> i64 {
        (self.vanished - self.changed).max(0)
    }

    fn quiet(&self) -> bool {
        self.changed == 0 && self.vanished == 0
    }

    fn shrunk(&self) -> Option<String> {
        if !self.shrunk.is_empty() {
            return Some(format!(
                "more than 5 % vanished from the source: {}; was it cut off?",
                self.shrunk.join(", ")
            ));
        }
        let emptied = self
            .filled
            .iter()
            .filter(|(_, (before, after))| *before >= MANY && *after == 0);
        let emptied: Vec<String> = emptied
            .map(|((object, field), (before, _))| format!("{object}.{field} ({before} records had a value)"))
            .collect();
        (!emptied.is_empty()).then(|| {
            format!(
                "fields of the source are empty in every record at once: {}; was it read with less?",
                bounded(&emptied.join(", "), 600)
            )
        })
    }
}
