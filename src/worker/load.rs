//! Load: one object into Odoo, with the effect of once, then every record read back.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinSet;

use super::{
    Job,
    error::{StepError, of_rpc},
    index::{Index, Kind, plain},
    lookups::{self, Finder, Known, Matched},
    outcome::Results,
    plan::Plan,
    reader::{Met, Reader, postpone},
    stock::Stock,
    tally::{Fate, Tally, most_frequent, totals},
    verify::{self, Verified},
};
use crate::{
    api::phase_run::{FailureReason, ObjectReport, ReasonKind, RejectReason},
    mapping::{Item, Mapping, Object, Outcome},
    model::{Digest, ExternalId, OdooModel, OdooValue, Rejection, SourceKey},
    odoo::{
        conflict::{Merge, beside, field_digest, keep_theirs},
        rpc::Rpc,
        upsert::{Op, Stop, Write, Writer, Written},
        verify::read_back,
    },
    workspace::{Entry, Former, Manifest, Outcome as Settled},
};

/// Records a batch.
const BATCH: usize = 400;
/// Records between two words on progress.
const PROGRESS: i64 = 100;

/// Where it is written which snapshot is in Odoo, whole and verified: its watermark.
pub const LOADED: &str = "loaded.json";

/// What an object's load gives.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Book and verification.
    pub report: ObjectReport,
    /// Why records were rejected, failed or differ.
    pub reasons: Vec<RejectReason>,
}

impl Loaded {
    /// Whether the book balances and every record was read back.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.report.book.balanced
            && self
                .report
                .verification
                .is_some_and(|verification| verification.verified)
    }
}

/// Carries the step out: the object of the PhaseRun.
///
/// # Errors
/// When the workspace, Odoo or the fence stops it; what was done is in the ledger, nothing is half done.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let manifest = job.snapshot().await?;
    let name = job.spec.object.clone().unwrap_or_default();
    let Some(object) = mapping.object(&name) else {
        return Err(StepError::permanent(
            FailureReason::PlanMissing,
            format!("the plan has no object {name}"),
        ));
    };
    let destination = job.destination().await?;
    let lock = destination.lock(job, &plan, &mapping).await?;
    let loaded = object_into_odoo(job, &destination, &plan, &mapping, object, &manifest, &lock).await?;
    let last = mapping.objects.last().is_some_and(|last| last.name == object.name);
    if last && loaded.is_sound() {
        // an object begins when all before it are verified: the snapshot is in Odoo, whole
        job.workspace.put_json(LOADED, &manifest.watermark).await?;
    }
    job.heart.update(|status| {
        status.totals = totals([&loaded.report.book]);
        status.objects = vec![loaded.report];
        status.reasons = loaded.reasons;
    });
    lock.end(job).await
}

/// Loads one object and reads it back.
///
/// # Errors
/// As [`run`].
pub async fn object_into_odoo(
    job: &Job,
    destination: &super::destination::Destination,
    plan: &Plan,
    mapping: &Mapping,
    object: &Object,
    manifest: &Manifest,
    lock: &super::destination::Lock,
) -> Result<Loaded, StepError> {
    let rpc = destination.rpc.clone();
    let mut index = Index::create(&job.scratch)?;
    let stock = Stock::before(job, &*rpc, plan, object).await?;
    lookups::load_identities(&mut index, &*rpc, &plan.external_id_module, object).await?;
    prepare_lookups(job, &mut index, &*rpc, plan, mapping, object, manifest).await?;
    lookups::load_candidates(&mut index, &*rpc, &plan.models, object).await?;
    read_ledger(job, &mut index, object).await?;

    let total = i64::try_from(manifest.count(&object.source_object)).unwrap_or(i64::MAX);
    let mut loader = Loader {
        job,
        object,
        module: &plan.external_id_module,
        index,
        tally: Tally::default(),
        results: Results::begin(&job.workspace, &object.name),
        writer: Arc::new(Writer::new(
            rpc.clone(),
            object.model.clone(),
            plan.external_id_module.clone(),
        )),
        rpc: rpc.clone(),
        uid: destination.uid,
        stock: stock.clone(),
        shards: vec![Vec::new(); destination.connections],
        in_flight: JoinSet::new(),
        total,
    };
    loader.pass(manifest).await?;
    let Loader {
        mut index,
        mut tally,
        results,
        ..
    } = loader;

    tally.book.deleted = deleted(&mut index, object)?;
    let verified = verify::object(
        job,
        destination,
        &plan.external_id_module,
        object,
        &mut index,
        lock,
        stock.mark,
    )
    .await?;
    stock.after(&*rpc, plan, object, &mut tally.book).await?;
    tally.book.balanced = crate::lifecycle::book::balances(&tally.book);
    let files = results.finish().await?;
    job.heart.update(|status| status.files.extend(files));
    Ok(finish(object, &tally, &verified))
}

fn finish(object: &Object, tally: &Tally, verified: &Verified) -> Loaded {
    let mut reasons = tally.reasons(&object.name);
    reasons.extend(verified.tally.reasons(&object.name));
    most_frequent(&mut reasons);
    Loaded {
        report: ObjectReport {
            name: object.name.clone(),
            book: tally.book,
            verification: Some(verified.counts),
        },
        reasons,
    }
}

/// Everything that the object's lookups may find.
async fn prepare_lookups(
    job: &Job,
    index: &mut Index,
    rpc: &dyn Rpc,
    plan: &Plan,
    mapping: &Mapping,
    object: &Object,
    manifest: &Manifest,
) -> Result<(), StepError> {
    for target in object
        .lookup_objects()
        .into_iter()
        .filter_map(|name| mapping.object(name))
    {
        if target.name != object.name {
            lookups::load_identities(index, rpc, &plan.external_id_module, target).await?;
        }
    }
    lookups::load_object_paths(index, &job.workspace, manifest, mapping, object).await?;
    lookups::load_models(index, rpc, &plan.models, object).await?;
    if object.is_self_referring() {
        own_keys(job, index, object, manifest).await?;
    }
    Ok(())
}

/// Every key of an object that refers to itself: what may still come.
///
/// # Errors
/// When the snapshot or the scratch disk fails.
pub async fn own_keys(job: &Job, index: &mut Index, object: &Object, manifest: &Manifest) -> Result<(), StepError> {
    use futures::StreamExt;
    let mut lines = job.workspace.read_object(manifest, &object.source_object);
    while let Some(line) = lines.next().await {
        let crate::workspace::Line::Record(record) = line? else {
            continue;
        };
        for step in object.items(&Arc::new(record)) {
            if let crate::mapping::Step::Item(item) = step {
                index.put(Kind::Own, &object.name, item.key.0.as_bytes(), Vec::new())?;
            }
        }
    }
    Ok(())
}

/// The ledger into the index: the last entry of a key counts.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn read_ledger(job: &Job, index: &mut Index, object: &Object) -> Result<(), StepError> {
    use futures::StreamExt;
    let mut entries = job.workspace.ledger(&object.name);
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        index.put(Kind::Name, &object.name, entry.external_id.as_bytes(), Vec::new())?;
        index.put(Kind::Ledger, &object.name, entry.key.0.as_bytes(), plain(&entry))?;
    }
    Ok(())
}

/// The ledger's last entry of a key.
///
/// # Errors
/// When the scratch disk fails.
pub fn ledger_entry(index: &Index, object: &str, key: &SourceKey) -> Result<Option<Entry>, StepError> {
    let bytes = index.get(Kind::Ledger, object, key.0.as_bytes())?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Keys that have a record in Odoo and are no longer in the source.
fn deleted(index: &mut Index, object: &Object) -> Result<i64, StepError> {
    let mut after: Option<Vec<u8>> = None;
    let mut count = 0;
    loop {
        let page = index.page(Kind::Ledger, &object.name, after.as_deref(), 5_000)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.0.clone());
        for (key, bytes) in &page {
            let in_odoo = serde_json::from_slice::<Entry>(bytes).is_ok_and(|entry| entry.id.is_some());
            if in_odoo && !index.has(Kind::Seen, &object.name, key)? {
                count += 1;
            }
        }
    }
}

/// A record that is mapped and decided on.
#[derive(Clone, Debug)]
struct Prepared {
    key: SourceKey,
    external_id: ExternalId,
    digest: String,
    values: Vec<(String, OdooValue)>,
    todo: Todo,
}

#[derive(Clone, Debug)]
enum Todo {
    Create,
    Adopt(i64),
    Compare {
        known: Known,
        id: i64,
        entry: Option<Entry>,
    },
}

/// A record that was written, or refused.
#[derive(Clone, Debug)]
struct Done {
    prepared: Prepared,
    end: End,
    /// Fields that a person keeps.
    kept: Vec<String>,
}

#[derive(Clone, Debug)]
enum End {
    Created(i64),
    Adopted(i64),
    Updated(i64),
    Untouched(i64),
    Failed(Rejection),
}

struct Loader<'a> {
    job: &'a Job,
    object: &'a Object,
    module: &'a str,
    index: Index,
    tally: Tally,
    results: Results,
    writer: Arc<Writer>,
    rpc: Arc<dyn Rpc>,
    uid: i64,
    stock: Stock,
    shards: Vec<Vec<Prepared>>,
    in_flight: JoinSet<Result<Vec<Done>, StepError>>,
    total: i64,
}

impl Loader<'_> {
    /// Reads the object as often as records wait for others of their own.
    async fn pass(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let mut waiting = self.reading(manifest, false, false).await?;
        while waiting > 0 {
            let before = waiting;
            waiting = self.reading(manifest, true, false).await?;
            if waiting == before {
                waiting = self.reading(manifest, true, true).await?;
            }
        }
        Ok(())
    }

    /// One reading; says how many records were postponed.
    async fn reading(&mut self, manifest: &Manifest, again: bool, last_call: bool) -> Result<usize, StepError> {
        let mut reader = Reader::open(&self.job.workspace, manifest, self.object, &self.job.scratch, again).await?;
        let mut postponed = 0;
        while let Some(met) = reader.next(&mut self.index).await? {
            for met in met {
                let Some(item) = self.sift(met).await? else { continue };
                postponed += usize::from(self.place(&item, last_call).await?);
            }
            self.progress("load");
        }
        self.send_all().await?;
        Ok(postponed)
    }

    /// Counts what needs no mapping.
    async fn sift(&mut self, met: Met) -> Result<Option<Item>, StepError> {
        match met {
            Met::Item(item) => return Ok(Some(item)),
            Met::Filtered => self.tally.count(Fate::Filtered),
            Met::Duplicate(key, differs) => {
                self.tally.count(Fate::Deduplicated);
                if differs {
                    let note = Rejection::new(
                        "DuplicateDiffers",
                        "",
                        "a later record with this key differs from the first",
                    );
                    self.tally.reason(ReasonKind::Noted, &note, Some(&key));
                    self.results.note(&key, &note).await?;
                }
            }
            Met::Rejected(key, rejection) => self.reject(key.as_ref(), &rejection).await?,
        }
        Ok(None)
    }

    async fn reject(&mut self, key: Option<&SourceKey>, rejection: &Rejection) -> Result<(), StepError> {
        self.tally.count(Fate::Rejected);
        self.tally.reason(ReasonKind::Rejected, rejection, key);
        self.results.rejected(key, rejection).await?;
        Ok(())
    }

    /// Maps an item and decides what to do with it; says whether it was postponed.
    async fn place(&mut self, item: &Item, last_call: bool) -> Result<bool, StepError> {
        let mut outcome = self.map(item, last_call)?;
        if matches!(outcome, Outcome::Later) && self.object.order_by.is_some() {
            // an earlier record is on its way: wait for it
            self.send_all().await?;
            outcome = self.map(item, true)?;
        }
        match outcome {
            Outcome::Later => {
                postpone(&mut self.index, self.object, &item.key)?;
                return Ok(true);
            }
            Outcome::Rejected(rejection) => self.reject(Some(&item.key), &rejection).await?,
            Outcome::Mapped(mapped) => {
                for note in &mapped.notes {
                    self.tally.reason(ReasonKind::Noted, note, Some(&item.key));
                    self.results.note(&item.key, note).await?;
                }
                self.decide(item.key.clone(), mapped.values).await?;
            }
        }
        Ok(false)
    }

    fn map(&mut self, item: &Item, last_call: bool) -> Result<Outcome, StepError> {
        let finder = Finder {
            module: self.module,
            object: self.object,
            only_earlier: self.object.order_by.is_some(),
            last_call,
            broken: std::cell::RefCell::new(None),
            index: &mut self.index,
        };
        let outcome = self.object.map(item, &finder);
        match finder.broken.into_inner() {
            Some(error) => Err(error.into()),
            None => Ok(outcome),
        }
    }

    async fn decide(&mut self, key: SourceKey, values: Vec<(String, OdooValue)>) -> Result<(), StepError> {
        let external_id = ExternalId::of(self.module, &self.object.name, &key);
        self.index
            .put(Kind::Name, &self.object.name, external_id.name.as_bytes(), Vec::new())?;
        let digest = content_digest(&values)?;
        let known = lookups::known(&self.index, &self.object.name, &external_id.name)?;
        let entry = ledger_entry(&self.index, &self.object.name, &key)?;
        let todo = match known.and_then(|known| Some((known, known.id?))) {
            Some((known, id)) => match entry {
                Some(entry) if entry.digest.as_deref() == Some(&digest) && entry.id == Some(id) => {
                    return self.unchanged(&key, &external_id, id, known, &entry, &values).await;
                }
                entry => Todo::Compare { known, id, entry },
            },
            None => match lookups::match_record(&mut self.index, self.object, &values)? {
                Matched::One(id) => Todo::Adopt(id),
                Matched::Nothing { ambiguous } => {
                    for entry in ambiguous {
                        let note =
                            Rejection::new("Ambiguous", entry, "several records in Odoo agree: none was adopted");
                        self.tally.reason(ReasonKind::Noted, &note, Some(&key));
                        self.results.note(&key, &note).await?;
                    }
                    if self.object.on_new == crate::api::mapping_spec::OnNew::Reject {
                        let fields: Vec<_> = self.object.match_on.iter().map(|entry| entry.join("+")).collect();
                        let rejection = Rejection::new(
                            "NotFound",
                            fields.join(", "),
                            "nothing in Odoo matches, and onNew is Reject",
                        );
                        return self.reject(Some(&key), &rejection).await;
                    }
                    Todo::Create
                }
            },
        };
        let shard = shard_of(&values, &self.object.model.0, self.shards.len());
        self.shards[shard].push(Prepared {
            key,
            external_id,
            digest,
            values,
            todo,
        });
        if self.shards[shard].len() >= BATCH {
            self.send(shard).await?;
        }
        Ok(())
    }

    async fn unchanged(
        &mut self,
        key: &SourceKey,
        external_id: &ExternalId,
        id: i64,
        known: Known,
        entry: &Entry,
        values: &[(String, OdooValue)],
    ) -> Result<(), StepError> {
        let fate = self.stock.fate(
            known,
            entry.run == self.job.spec.run && entry.outcome == Settled::Updated,
        );
        self.tally.count(fate);
        self.want(key, id, values, &entry.fields)?;
        self.results.succeeded(key, external_id, id, fate).await?;
        Ok(())
    }

    /// Remembers what the read-back must find: the fields that are ours.
    fn want(
        &mut self,
        key: &SourceKey,
        id: i64,
        values: &[(String, OdooValue)],
        ours: &BTreeMap<String, String>,
    ) -> Result<(), StepError> {
        let wanted = verify::Wanted {
            key: key.clone(),
            values: values
                .iter()
                .filter(|(field, _)| ours.contains_key(field))
                .cloned()
                .collect(),
            kept: values.len() - values.iter().filter(|(field, _)| ours.contains_key(field)).count(),
        };
        let bytes = serde_json::to_vec(&wanted).expect("wanted values are plain data");
        self.index
            .put(Kind::Wanted, &self.object.name, &id.to_be_bytes(), bytes)?;
        Ok(())
    }

    async fn send_all(&mut self) -> Result<(), StepError> {
        for shard in 0..self.shards.len() {
            self.send(shard).await?;
        }
        while let Some(done) = self.in_flight.join_next().await {
            self.settle(joined(done)?).await?;
        }
        Ok(())
    }

    /// Sends a shard's batch; one batch a connection is under way, so that the next is mapped meanwhile.
    async fn send(&mut self, shard: usize) -> Result<(), StepError> {
        if self.shards[shard].is_empty() {
            return Ok(());
        }
        while self.in_flight.len() >= self.shards.len() {
            if let Some(done) = self.in_flight.join_next().await {
                self.settle(joined(done)?).await?;
            }
        }
        let batch = std::mem::take(&mut self.shards[shard]);
        let sender = Sender {
            writer: self.writer.clone(),
            rpc: self.rpc.clone(),
            workspace: self.job.workspace.clone(),
            heart: self.job.heart.clone(),
            targets: self.object.targets.clone(),
            object: self.object.name.clone(),
            model: self.object.model.0.clone(),
            uid: self.uid,
        };
        self.in_flight.spawn(async move { sender.send(batch).await });
        Ok(())
    }

    /// Books a batch that is done: ledger first, then everything that can be made again from it.
    async fn settle(&mut self, batch: Vec<Done>) -> Result<(), StepError> {
        let entries: Vec<Entry> = batch.iter().filter_map(|done| self.entry_of(done)).collect();
        self.job.workspace.append_ledger(&self.object.name, &entries).await?;
        for done in batch {
            self.book(done).await?;
        }
        Ok(())
    }

    fn entry_of(&self, done: &Done) -> Option<Entry> {
        let (id, outcome) = match &done.end {
            End::Created(id) => (*id, Settled::Created),
            End::Adopted(id) => (*id, Settled::Adopted),
            End::Updated(id) => (*id, Settled::Updated),
            End::Untouched(id) => (*id, untouched(&done.prepared.todo, self.job.spec.run)),
            End::Failed(_) => return None,
        };
        Some(Entry {
            key: done.prepared.key.clone(),
            external_id: done.prepared.external_id.name.clone(),
            id: Some(id),
            outcome,
            digest: Some(done.prepared.digest.clone()),
            fields: ours(self.object, done),
            links: links(done),
            run: self.job.spec.run,
        })
    }

    async fn book(&mut self, done: Done) -> Result<(), StepError> {
        let prepared = &done.prepared;
        let (id, fate) = match (&done.end, &prepared.todo) {
            (End::Failed(rejection), _) => {
                self.tally.count(Fate::Failed);
                self.tally.reason(ReasonKind::Failed, rejection, Some(&prepared.key));
                self.results.failed(&prepared.key, rejection).await?;
                return Ok(());
            }
            (End::Adopted(id), _) => (*id, Fate::Adopted),
            (End::Updated(id), Todo::Compare { known, .. }) => (*id, self.stock.fate(*known, true)),
            (End::Untouched(id), Todo::Compare { known, entry, .. }) => {
                let before = entry.as_ref();
                let updated = before.is_some_and(|e| e.run == self.job.spec.run && e.outcome == Settled::Updated);
                (*id, self.stock.fate(*known, updated))
            }
            // made now; or its external id appeared meanwhile: made by an attempt of this run whose answer was lost
            (End::Created(id), _) | (End::Updated(id) | End::Untouched(id), Todo::Create | Todo::Adopt(_)) => {
                (*id, Fate::Created)
            }
        };
        self.tally.count(fate);
        let known = Known {
            id: Some(id),
            data_id: i64::MAX,
            noupdate: matches!(done.end, End::Adopted(_)),
        };
        lookups::note(&mut self.index, &self.object.name, &prepared.external_id.name, known)?;
        self.want(&prepared.key, id, &prepared.values, &ours(self.object, &done))?;
        self.results
            .succeeded(&prepared.key, &prepared.external_id, id, fate)
            .await?;
        Ok(())
    }

    fn progress(&self, step: &str) {
        let book = &self.tally.book;
        if book.read % PROGRESS != 0 {
            return;
        }
        let done = book.read;
        self.job.heart.update(|status| {
            status.progress.object.clone_from(&self.object.name);
            step.clone_into(&mut status.progress.step);
            status.progress.done = done;
            status.progress.total = self.total;
            status.progress.summary = format!("{} {done}/{}", self.object.name, self.total.max(done));
            status.totals = totals([book]);
            status.objects = vec![ObjectReport {
                name: self.object.name.clone(),
                book: *book,
                verification: None,
            }];
        });
    }
}

fn joined(done: Result<Result<Vec<Done>, StepError>, tokio::task::JoinError>) -> Result<Vec<Done>, StepError> {
    done.unwrap_or_else(|error| {
        Err(StepError::retry(
            FailureReason::Internal,
            format!("a writer ended: {error}"),
        ))
    })
}

/// What the ledger keeps of a record that needed nothing: an earlier attempt of the run may have changed it.
fn untouched(todo: &Todo, run: i64) -> Settled {
    match todo {
        Todo::Compare { entry: Some(entry), .. } if entry.run == run => entry.outcome,
        Todo::Compare { .. } | Todo::Create | Todo::Adopt(_) => Settled::Unchanged,
    }
}

/// Digest of a record's mapped values: a record whose digest is the ledger's is not sent.
///
/// # Errors
/// Never for values, which are plain data.
pub fn content_digest(values: &[(String, OdooValue)]) -> Result<String, StepError> {
    let json =
        serde_json::to_vec(values).map_err(|error| StepError::permanent(FailureReason::Internal, error.to_string()))?;
    Ok(Digest::of(&json).to_string())
}

/// Rows of one parent go through one writer (they share its row in Odoo), won leads through the first.
fn shard_of(values: &[(String, OdooValue)], model: &str, shards: usize) -> usize {
    if shards <= 1 {
        return 0;
    }
    let get = |name: &str| values.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    if model == "crm.lead" && get("probability") == Some(&OdooValue::Float(100.0)) {
        return 0;
    }
    match get("parent_id").or_else(|| get("partner_id")) {
        Some(OdooValue::Link(reference)) => usize::try_from(reference.id().unwrap_or(0)).unwrap_or(0) % shards,
        _ => 0,
    }
}

/// Digests of the fields that are ours in this record. Links are ours one by one, whatever people link beside them.
fn ours(object: &Object, done: &Done) -> BTreeMap<String, String> {
    let values = done.prepared.values.iter();
    values
        .filter(|(field, value)| matches!(value, OdooValue::Links(_)) || !done.kept.contains(field))
        .filter_map(|(field, value)| {
            let target = object.targets.iter().find(|target| target.name == *field)?;
            Some((field.clone(), field_digest(&object.model.0, target, value)))
        })
        .collect()
}

fn links(done: &Done) -> BTreeMap<String, Vec<i64>> {
    let values = done.prepared.values.iter();
    values
        .filter_map(|(field, value)| match value {
            OdooValue::Links(links) => Some((
                field.clone(),
                links.iter().filter_map(crate::model::Reference::id).collect(),
            )),
            _ => None,
        })
        .collect()
}

/// What one batch in flight needs.
struct Sender {
    writer: Arc<Writer>,
    rpc: Arc<dyn Rpc>,
    workspace: crate::workspace::Workspace,
    heart: super::heart::Heart,
    targets: Vec<crate::mapping::TargetField>,
    object: String,
    model: String,
    uid: i64,
}

impl Sender {
    async fn send(self, batch: Vec<Prepared>) -> Result<Vec<Done>, StepError> {
        let current = self.current(&batch).await?;
        let mut undo = Vec::new();
        let mut writes = Vec::new();
        let mut ends: BTreeMap<SourceKey, (End, Vec<String>)> = BTreeMap::new();
        for prepared in &batch {
            let (op, kept) = self.operation(prepared, &current, &mut undo);
            let id = match prepared.todo {
                Todo::Compare { id, .. } | Todo::Adopt(id) => id,
                Todo::Create => 0,
            };
            ends.insert(prepared.key.clone(), (End::Untouched(id), kept));
            writes.extend(op.map(|op| Write {
                key: prepared.key.clone(),
                external_id: prepared.external_id.clone(),
                op,
            }));
        }
        self.workspace.append_undo(&self.object, &undo).await?;
        let heart = self.heart.clone();
        let written = match self.writer.write(writes, &move || heart.may_send()).await {
            Ok(written) => written,
            Err(interrupted) => return Err(stopped_by(&interrupted.stop)),
        };
        for (key, written) in written {
            if let Some((end, _)) = ends.get_mut(&key) {
                *end = match written {
                    Written::Created(id) => End::Created(id),
                    Written::Updated(id) => End::Updated(id),
                    Written::Adopted(id) => End::Adopted(id),
                    Written::Failed(rejection) => End::Failed(rejection),
                };
            }
        }
        Ok(batch
            .into_iter()
            .filter_map(|prepared| {
                let (end, kept) = ends.remove(&prepared.key)?;
                Some(Done { prepared, end, kept })
            })
            .collect())
    }

    async fn current(&self, batch: &[Prepared]) -> Result<BTreeMap<i64, crate::odoo::verify::ReadRecord>, StepError> {
        let ids: Vec<i64> = batch
            .iter()
            .filter_map(|prepared| match prepared.todo {
                Todo::Compare { id, .. } | Todo::Adopt(id) => Some(id),
                Todo::Create => None,
            })
            .collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut fields = self.targets.clone();
        for field in beside(&self.model) {
            if !fields.iter().any(|mapped| mapped.name == field.name) {
                fields.push(field);
            }
        }
        Ok(read_back(&*self.rpc, &self.model, &fields, &ids).await?)
    }

    /// What to send for a record; nothing where Odoo has it already.
    fn operation(
        &self,
        prepared: &Prepared,
        current: &BTreeMap<i64, crate::odoo::verify::ReadRecord>,
        undo: &mut Vec<Former>,
    ) -> (Option<Op>, Vec<String>) {
        let (id, adopt) = match &prepared.todo {
            Todo::Create => return (Some(Op::Create(prepared.values.clone())), Vec::new()),
            Todo::Adopt(id) => (*id, true),
            Todo::Compare { id, .. } => (*id, false),
        };
        let Some(now) = current.get(&id) else {
            // gone since the step began: the external id went with it
            return (Some(Op::Create(prepared.values.clone())), Vec::new());
        };
        let (last, adopted) = written_last(prepared, now, self.uid);
        let merge = keep_theirs(
            &self.model,
            &self.targets,
            &now.values,
            &prepared.values,
            &last,
            adopted,
        );
        if adopt {
            undo.push(Former {
                key: prepared.key.clone(),
                id,
                model: OdooModel(self.model.clone()),
                fields: former(&now.values),
            });
            return (Some(Op::Adopt { id, values: merge.send }), merge.kept);
        }
        if merge.send.is_empty() && merge.unlink.is_empty() {
            return (None, merge.kept);
        }
        let Merge { send, unlink, kept } = merge;
        (
            Some(Op::Update {
                id,
                values: send,
                unlink,
            }),
            kept,
        )
    }
}

/// Values as Odoo gave them, for the undo log.
fn former(values: &BTreeMap<String, OdooValue>) -> crate::model::Record {
    let wire = values
        .iter()
        .filter_map(|(field, value)| Some((field.clone(), value.to_wire()?)));
    wire.collect()
}

fn stopped_by(stop: &Stop) -> StepError {
    match stop {
        Stop::Fenced => StepError::stopped(),
        Stop::Rpc(error) => of_rpc(error),
    }
}

/// What we wrote last, and whether the values of the record are theirs where that is not known. Without a ledger (a lost
/// workspace) a record that we made and nobody wrote since is ours.
fn written_last(
    prepared: &Prepared,
    now: &crate::odoo::verify::ReadRecord,
    uid: i64,
) -> (BTreeMap<String, String>, bool) {
    match &prepared.todo {
        Todo::Compare {
            entry: Some(entry),
            known,
            ..
        } => (entry.fields.clone(), known.noupdate),
        Todo::Compare { entry: None, known, .. } => (BTreeMap::new(), known.noupdate || now.write_uid != uid),
        Todo::Adopt(_) | Todo::Create => (BTreeMap::new(), true),
    }
}
