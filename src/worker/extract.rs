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
    api::{
        mapping_spec::{Finding, Severity},
        phase_run::{Delta, FailureReason, UNPLANNED},
    },
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
    if before.is_none() {
        changes.expect(&plan.fields, &wanted);
        changes.looked_at.clone_from(&plan.looked_at);
        changes.counted.clone_from(&plan.counted);
    }
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
    notes.findings.extend(changes.unplanned(&plan.fields, &plan.read));
    if !plan.live.is_empty() {
        notes.store(job).await?;
    }
    job.workspace.put_json(SHORT, &notes.fewer()).await?;
    // whoever asked for reading again after that means it
    if let Some(shrunk) = changes.shrunk(&plan.read).filter(|_| !job.spec.orders.rebuild) {
        writer.discard().await?;
        return Err(StepError::permanent(FailureReason::SourceShrunk, shrunk));
    }
    let first = before.is_none();
    let manifest = match before {
        Some(before) if changes.quiet() && !content.any => {
            writer.discard().await?;
            before
        }
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

/// The source objects of which the last reading gave fewer records than it announced.
const SHORT: &str = "snapshot-short.json";

/// Whether the last reading gave fewer records of any of these source objects than it announced: what is not there may still be.
///
/// # Errors
/// When the workspace cannot be read.
pub async fn is_any_short<'o>(job: &Job, objects: impl IntoIterator<Item = &'o String>) -> Result<bool, StepError> {
    let short: BTreeSet<String> = job.workspace.get_json(SHORT).await?.unwrap_or_default();
    Ok(objects.into_iter().any(|object| short.contains(object)))
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
    /// How many records were looked at to know what had values before, where there is no snapshot.
    looked_at: BTreeMap<String, u64>,
    /// How many records discovery counted, where there is no snapshot.
    counted: BTreeMap<String, u64>,
    /// How many records fewer an object has.
    fewer: BTreeMap<String, u64>,
    /// Records with a value, by object and field: in the snapshot before, and now.
    filled: BTreeMap<(String, String), (u64, u64)>,
}

/// Values of a field from which on it is odd that most of them go at once.
const MANY: u64 = 20;
/// Values of a field from which on it is odd that all of them go.
const FEW: u64 = 5;

/// Whether a field lost too many of its values at once, beside those that went with `gone` records.
const fn emptied(before: u64, after: u64, gone: u64) -> bool {
    let lost = before.saturating_sub(after).saturating_sub(gone);
    (lost >= FEW && after == 0) || (lost >= MANY && lost * 2 > before)
}

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

    /// Before there is a snapshot, discovery knows what had values.
    fn expect(&mut self, planned: &BTreeMap<String, BTreeMap<String, u64>>, wanted: &BTreeSet<&str>) {
        for (object, fields) in planned.iter().filter(|(object, _)| wanted.contains(object.as_str())) {
            for (field, values) in fields.iter().filter(|(_, values)| **values > 0) {
                self.filled.insert((object.clone(), field.clone()), (*values, 0));
            }
        }
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
        self.fewer.insert(name.to_owned(), before.saturating_sub(after));
        // of fewer records fewer; of more no more, since those at the beginning are not like all others
        if let Some(looked_at) = self.looked_at.get(name).filter(|looked_at| **looked_at > after) {
            let of_object = self.filled.iter_mut().filter(|((object, _), _)| object == name);
            for (_, (values, _)) in of_object {
                *values = *values * after / looked_at;
            }
        }
        self.before += before;
        self.after += after;
        let before = self.counted.get(name).copied().unwrap_or(before);
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

    /// Whether another field that is read has as many values more: a column of another name.
    fn is_elsewhere(&self, object: &str, lost: u64, read: &BTreeMap<String, BTreeSet<String>>) -> bool {
        let mut others = self
            .filled
            .iter()
            .filter(|((of, field), _)| of == object && read.get(of).is_some_and(|fields| fields.contains(field)));
        others.any(|(_, (before, after))| after.saturating_sub(*before) >= lost)
    }

    /// Fields with values now that discovery did not see and nothing reads. Of an object that it did not see at all nothing is
    /// known.
    fn unplanned(
        &self,
        planned: &BTreeMap<String, BTreeMap<String, u64>>,
        read: &BTreeMap<String, BTreeSet<String>>,
    ) -> Vec<Finding> {
        let mut came: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((object, field), (_, now)) in &self.filled {
            let is_new = planned.get(object).is_some_and(|fields| !fields.contains_key(field));
            if *now > 0 && is_new && read.get(object).is_none_or(|fields| !fields.contains(field)) {
                let words = format!("{field} ({now} records have a value)");
                came.entry(object).or_default().push(words);
            }
        }
        let finding = |(object, fields): (&str, Vec<String>)| Finding {
            severity: Severity::Warning,
            code: UNPLANNED.into(),
            path: format!("source[{object}]"),
            message: format!(
                "discovery did not see {}, and nothing reads it: it does not move; replan to look again",
                bounded(&fields.join(", "), 600)
            ),
        };
        came.into_iter().map(finding).collect()
    }

    /// Why it may have been read with less than there is; fields that nothing reads may come and go.
    fn shrunk(&self, read: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
        if !self.shrunk.is_empty() {
            return Some(format!(
                "more than 5 % vanished from the source: {}; was it cut off?",
                self.shrunk.join(", ")
            ));
        }
        let emptied = self.filled.iter().filter(|((object, field), (before, after))| {
            let is_read = read.get(object).is_none_or(|fields| fields.contains(field));
            let gone = self.fewer.get(object).copied().unwrap_or(0);
            is_read && emptied(*before, *after, gone) && !self.is_elsewhere(object, before - after, read)
        });
        let emptied: Vec<String> = emptied
            .map(|((object, field), (before, after))| {
                format!("{object}.{field} ({before} records had a value, {after} have)")
            })
            .collect();
        (!emptied.is_empty()).then(|| {
            format!(
                "fields of the source lost their values at once: {}; was it read with less?",
                bounded(&emptied.join(", "), 600)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_loses_most_of_its_values_at_once_is_odd() {
        for (before, after, gone, odd) in [
            (4, 0, 0, false),
            (5, 0, 0, true),
            (5, 0, 1, false),
            (6, 0, 6, false),
            (19, 1, 0, false),
            (20, 0, 0, true),
            (40, 20, 0, false),
            (40, 19, 0, true),
            (1_000, 600, 0, false),
            (0, 9, 0, false),
        ] {
            assert_eq!(emptied(before, after, gone), odd, "{before} {after} {gone}");
        }
    }

    #[test]
    fn the_first_records_of_a_source_that_discovery_saw_are_no_measure_for_all() {
        for (now, odd) in [(10_000, false), (1_000, false), (30, false)] {
            let mut changes = Changes::default();
            let planned = BTreeMap::from([("event".to_owned(), BTreeMap::from([("url".to_owned(), 1_000)]))]);
            changes.expect(&planned, &BTreeSet::from(["event"]));
            changes.looked_at.insert("event".to_owned(), 1_000);
            let with_url: Line = Line::Record(serde_json::from_value(json!({"url": "u"})).unwrap());
            for _ in 0..now.min(1_000) {
                changes.fill("event", &with_url, true);
            }
            changes.end("event", 0, now);
            assert_eq!(changes.shrunk(&BTreeMap::new()).is_some(), odd, "{now}");
        }
    }

    #[test]
    fn what_discovery_counted_and_the_first_reading_does_not_give_is_odd() {
        for (now, odd) in [(120, false), (115, false), (3, true), (0, true), (500, false)] {
            let mut changes = Changes::default();
            changes.counted.insert("contact".to_owned(), 120);
            changes.end("contact", 0, now);
            assert_eq!(changes.shrunk(&BTreeMap::new()).is_some(), odd, "{now}");
        }
    }

    #[test]
    fn fields_are_compared_with_those_that_discovery_saw_and_the_mapping_reads() {
        let planned = BTreeMap::from([(
            "contact".to_owned(),
            BTreeMap::from([("id", 9), ("phone", 9), ("score", 9), ("fax", 0)].map(|(name, of)| (name.to_owned(), of))),
        )]);
        let read = BTreeMap::from([(
            "contact".to_owned(),
            BTreeSet::from(["phone", "named"].map(str::to_owned)),
        )]);
        let mut changes = Changes::default();
        changes.expect(&planned, &BTreeSet::from(["contact"]));
        for id in 0..9 {
            let record = json!({"id": id, "phone": "", "fax": "f", "novo": "n", "named": if id < 3 { "n" } else { "" }, "none": null});
            let line = Line::Record(serde_json::from_value(record).unwrap());
            changes.fill("contact", &line, true);
            changes.fill("other", &line, true);
        }
        let told = changes.unplanned(&planned, &read);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]
                .message
                .contains("discovery did not see novo (9 records have a value), and"),
            "{told:?}"
        );
        let shrunk = changes.shrunk(&read).unwrap();
        assert!(
            shrunk.contains("at once: contact.phone (9 records had a value, 0 have);"),
            "{shrunk}"
        );
    }
}
