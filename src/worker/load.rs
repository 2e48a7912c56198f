//! Load: one object into Odoo, with the effect of once, then every record read back.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{
    Job,
    contents::{self, InWorkspace},
    dedupe,
    destination::{Destination, Lock},
    document,
    error::StepError,
    extract,
    index::{Index, Kind, decode, encode},
    joins,
    loader::Loader,
    lookups::{self, Known},
    matches,
    outcome::Results,
    plan::Plan,
    recheck,
    stock::{Gone, Stock},
    tally::{Tally, by_weight, most_frequent, redact, totals},
    touched,
    verify::{self, Verified},
    waits::Waits,
};
use crate::{
    api::{
        migration::{ObjectState, ObjectStatus},
        phase_run::{FailureReason, Missing, ObjectReport, RejectReason},
    },
    lifecycle::book,
    mapping::{Goes, InOdoo, Mapping, Object},
    model::{Digest, ExternalId, OdooValue, SourceKey},
    odoo::{rpc::Rpc, upsert::Writer},
    workspace::{Entry, Manifest},
};

/// Where it is written which snapshot is in Odoo, whole and verified: its watermark.
pub const LOADED: &str = "loaded.json";

/// What an object's load gives.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Book and verification.
    pub report: ObjectReport,
    /// Why records were rejected, failed or differ.
    pub reasons: Vec<RejectReason>,
    /// What its records wait for in Odoo.
    pub queue: Vec<Missing>,
}

impl Loaded {
    /// Whether every record is accounted for, held ones among them, and everything was read back.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        book::adds_up(&self.report.book)
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
    let scene = Scene {
        job,
        destination: &destination,
        plan: &plan,
        mapping: &mapping,
        manifest: &manifest,
        lock: &lock,
    };
    let before = job.migration.status.as_ref();
    let states = before.map_or(&[][..], |before| before.objects.as_slice());
    let last_call = all_others_are_there(&mapping, object, states);
    let loaded = Box::pin(object_to_destination(&scene, object, last_call)).await?;
    let last = mapping.objects.last().is_some_and(|last| last.name == object.name);
    if last && loaded.is_sound() {
        // an object begins when all before it are verified: the snapshot is in Odoo, whole
        job.workspace.put_json(LOADED, &manifest.watermark).await?;
    }
    job.heart.update(|status| {
        status.totals = totals([&loaded.report.book]);
        status.objects = vec![loaded.report];
        status.reasons = loaded.reasons;
        status.queue = loaded.queue;
    });
    lock.end(job).await
}

/// Whether every other object is in Odoo: what is not found from now on does not come.
fn all_others_are_there(mapping: &Mapping, object: &Object, states: &[ObjectStatus]) -> bool {
    mapping
        .objects
        .iter()
        .filter(|other| other.name != object.name)
        .all(|other| {
            let loaded = |state| matches!(state, ObjectState::Verified | ObjectState::Open);
            states
                .iter()
                .any(|status| status.name == other.name && loaded(status.state))
        })
}

/// What every object is loaded with.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The job.
    pub job: &'a Job,
    /// The Odoo.
    pub destination: &'a Destination,
    /// The plan.
    pub plan: &'a Plan,
    /// The plan's mapping.
    pub mapping: &'a Mapping,
    /// The snapshot.
    pub manifest: &'a Manifest,
    /// The lock.
    pub lock: &'a Lock,
}

/// Loads one object to where it goes, and reads it back. At the `last_call` every other object is there: what was left open
/// is filled, or is not there.
///
/// # Errors
/// As [`run`].
pub async fn object_to_destination(scene: &Scene<'_>, object: &Object, last_call: bool) -> Result<Loaded, StepError> {
    match object.goes() {
        Goes::InOdoo(object) => object_into_odoo(scene, object, last_call).await,
        Goes::Document(document) => document::object_into_document(scene.job, object, document, scene.manifest).await,
    }
}

async fn object_into_odoo(scene: &Scene<'_>, object: InOdoo<'_>, last_call: bool) -> Result<Loaded, StepError> {
    let Scene {
        job,
        destination,
        plan,
        mapping,
        manifest,
        lock,
    } = *scene;
    let rpc = destination.rpc.clone();
    let mut index = Index::create(&job.scratch)?;
    let ledger_is_empty = read_ledger(job, &mut index, &object).await? == 0;
    let stock = Stock::before(job, &*rpc, plan, object, ledger_is_empty).await?;
    lookups::load_identities(&mut index, &*rpc, &plan.external_id_module, object).await?;
    dedupe::begin(&mut index, &plan.external_id_module, &object)?;
    prepare_lookups(job, &mut index, &*rpc, plan, mapping, &object, manifest).await?;
    matches::load_candidates(&mut index, &*rpc, &plan.models, object).await?;
    matches::load_archived(job, &mut index, mapping, object).await?;

    let total = i64::try_from(manifest.count(&object.source_object)).unwrap_or(i64::MAX);
    let mut loader = Loader {
        job,
        mapping,
        object,
        module: &plan.external_id_module,
        index,
        tally: Tally::default(),
        results: Results::begin(&job.workspace, &object.name),
        writer: Arc::new(
            Writer::new(rpc.clone(), object.model.clone(), plan.external_id_module.clone())
                .with_contents(Arc::new(InWorkspace(job.workspace.clone()))),
        ),
        computed: plan.models.computed(&object.model.0, &object.targets),
        defaults: plan.models.defaults(&object.model.0, &object.targets),
        rpc: rpc.clone(),
        uid: destination.uid,
        stock: stock.clone(),
        shards: vec![Vec::new(); destination.connections],
        in_flight: JoinSet::new(),
        busy: HashSet::new(),
        under_way: HashSet::new(),
        parked: Vec::new(),
        lanes: HashSet::new(),
        folded: Vec::new(),
        total,
        keyless: 0,
        last_call,
        lines_stay: extract::is_any_short(job, object.joins().iter().map(|join| &join.object)).await?,
        recheck: recheck::is_due(job, &object.name).await?,
        doubtful: BTreeMap::new(),
        touched: Arc::new(touched::of(job, &object.model.0).await?),
        to_fill: 0,
        waits: Waits::of(mapping, &object.name),
    };
    loader.doubtful = verify::Proof::begin(job, &object).await?;
    loader.pass(manifest).await?;
    recheck::done(job, &object.name).await?;
    let removed = loader.see_to_the_gone().await?;
    let Loader {
        mut index,
        mut tally,
        mut results,
        waits,
        ..
    } = loader;

    let gone = gone(&mut index, &plan.external_id_module, &object, &stock, removed)?;
    let verified = verify::object(
        job,
        destination,
        &plan.external_id_module,
        object,
        &mut index,
        &mut results,
        lock,
        &stock,
    )
    .await?;
    stock.after(&*rpc, plan, object, gone, &mut tally.book).await?;
    tally.book.balanced = book::balances(&tally.book);
    let mut files = results.finish().await?;
    let mut reasons = tally.reasons(&object.name);
    reasons.extend(verified.tally.reasons(&object.name));
    by_weight(&mut reasons);
    files.push(job.workspace.put_reasons(&object.name, &reasons).await?);
    redact(&mut reasons, object.has_ids_for_keys());
    job.heart.update(|status| {
        // an object that is loaded a second time replaces its files
        status
            .files
            .retain(|file| files.iter().all(|new| new.path != file.path));
        status.files.extend(files);
    });
    Ok(finish(&object, &tally, &verified, &waits, reasons))
}

fn finish(
    object: &Object,
    tally: &Tally,
    verified: &Verified,
    waits: &Waits,
    mut reasons: Vec<RejectReason>,
) -> Loaded {
    let mut report = ObjectReport {
        name: object.name.clone(),
        book: tally.book,
        verification: Some(verified.counts),
        waiting: waits.waiting,
        ..ObjectReport::default()
    };
    most_frequent(&mut reasons, std::slice::from_mut(&mut report));
    Loaded {
        report,
        reasons,
        queue: waits.rows(),
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
        .filter_map(|name| mapping.object(name)?.in_odoo())
    {
        if target.name != object.name {
            lookups::load_identities(index, rpc, &plan.external_id_module, target).await?;
            lookups::load_held(index, &job.workspace, &target.name).await?;
        }
    }
    lookups::load_object_paths(index, &job.workspace, manifest, mapping, object, &job.scratch).await?;
    lookups::models::load(index, rpc, &plan.models, object).await?;
    lookups::load_takes(index, rpc, object).await?;
    contents::load(index, &job.workspace, manifest, object).await?;
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
    joins::load(index, &job.workspace, manifest, object).await?;
    let mut lines = job.workspace.read_object(manifest, &object.source_object);
    while let Some(line) = lines.next().await {
        let crate::workspace::Line::Record(record) = line? else {
            continue;
        };
        let Ok(record) = joins::attach(index, object, record)? else {
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

/// The ledger into the index: the last entry of a key counts. Says how many entries it has.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn read_ledger(job: &Job, index: &mut Index, object: &Object) -> Result<u64, StepError> {
    use futures::StreamExt;
    let mut entries = job.workspace.ledger(&object.name);
    let mut count = 0;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        count += 1;
        index.put(Kind::Name, &object.name, entry.external_id.as_bytes(), Vec::new())?;
        index.put(
            Kind::Ledger,
            &object.name,
            entry.key.0.as_bytes(),
            encode(Kind::Ledger, &entry)?,
        )?;
    }
    Ok(count)
}

/// The ledger's last entry of a key.
///
/// # Errors
/// When the scratch disk fails.
pub fn ledger_entry(index: &Index, object: &str, key: &SourceKey) -> Result<Option<Entry>, StepError> {
    Ok(index.value(Kind::Ledger, object, key.0.as_bytes())?)
}

/// Counts the records of the object in Odoo whose keys are no longer in the source, with those `removed` for it. External
/// ids tell of them, the ledger only of those made after it was begun: others of this run are for the verification.
fn gone(index: &mut Index, module: &str, object: &Object, stock: &Stock, removed: i64) -> Result<Gone, StepError> {
    const PAGE: usize = 5_000;
    for kind in [Kind::Seen, Kind::Refused] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = index.page(kind, &object.name, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.0.clone());
            for (key, _) in &page {
                let key = SourceKey(String::from_utf8_lossy(key).into_owned());
                let name = ExternalId::of(module, &object.name, &key).name;
                index.put(Kind::Met, &object.name, name.as_bytes(), Vec::new())?;
            }
        }
    }
    // several names may be of one record (`dedupe`): those from before this run first, so that it counts once
    let records = format!("{}|gone", object.name);
    let mut gone = Gone {
        all: removed,
        ..Gone::default()
    };
    for of_before in [true, false] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = index.page(Kind::Identity, &object.name, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.0.clone());
            for (name, bytes) in &page {
                let known: Known = decode(Kind::Identity, bytes)?;
                let told = !stock.is_in_ledger(known) || index.has(Kind::Name, &object.name, name)?;
                // without an id it was removed in this pass
                let Some(id) = known.id.filter(|_| told && (known.data_id <= stock.mark) == of_before) else {
                    continue;
                };
                gone.all += i64::from(!index.has(Kind::Met, &object.name, name)?);
                let first = index.put_first(Kind::Done, &records, &id.to_be_bytes(), Vec::new())?;
                // what was refused meanwhile is in no count of the flow either
                let arrived = index.has(Kind::Done, &verify::arrived(object), &id.to_be_bytes())?;
                gone.of_this_run += i64::from(!of_before && first && !arrived);
            }
        }
    }
    Ok(gone)
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
