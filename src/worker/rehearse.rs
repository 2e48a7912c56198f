//! Rehearse: the whole transform without a write. Lookups see Odoo and what the run will make.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt;

use super::{
    Job, contents,
    dedupe::{self, Place},
    document::{self, Before},
    error::StepError,
    gone,
    index::{Index, Kind},
    joins,
    load::{content_digest, ledger_entry, read_ledger},
    lookups::{self, Finder, Known},
    matches::{self, Matched},
    outcome::{self, Results},
    plan::Plan,
    reader::{Met, Reader, Turn, postpone, waited_enough},
    schema::{OPTIONS, Options},
    tally::{Fate, Tally, by_weight, most_frequent, redact, totals},
    waits::Waits,
};
use crate::{
    api::{
        mapping_spec::{OnConflict, OnNew},
        phase_run::{ObjectReport, ReasonKind, RejectReason, Totals},
    },
    lifecycle::{book, queue},
    mapping::{Awaited, Found, Goes, InOdoo, Item, Lookups, Mapping, Object, Outcome, Step},
    model::{Content, ExternalId, Fetched, OdooValue, Reference, Rejection, SourceKey},
    odoo::rpc::Rpc,
    workspace::{Line, Manifest},
};

/// Carries the step out.
///
/// # Errors
/// When the workspace, the scratch disk or Odoo (which is only read) fails.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let manifest = job.snapshot().await?;
    let destination = job.destination().await?;
    let mut rehearsal = Rehearsal {
        job,
        plan: &plan,
        mapping: &mapping,
        index: Index::create(&job.scratch)?,
        stand_in: 0,
    };
    rehearsal.read_odoo(&*destination.rpc, &manifest).await?;
    let mut reports = Vec::new();
    let mut reasons = Vec::new();
    let mut open = Vec::new();
    for object in &mapping.objects {
        let run = rehearsal.object(object, &manifest).await?;
        reports.push(ObjectReport {
            name: object.name.clone(),
            book: run.tally.book,
            waiting: run.waits.waiting,
            ..ObjectReport::default()
        });
        job.heart.update(|status| {
            // nothing is loaded here: what would be is in the books
            status.totals = Totals {
                loaded: 0,
                ..totals(reports.iter().map(|report| &report.book))
            };
            status.objects.clone_from(&reports);
        });
        if run.to_fill > 0 {
            open.push((object, run));
        } else {
            run.end(job, object, &mut reasons, &mut reports).await?;
        }
    }
    // every record is foreseen: what was left open is found now, or it is not there
    for (object, mut run) in open {
        rehearsal
            .reading(object, &manifest, &mut run, Turn::Filling, true)
            .await?;
        run.end(job, object, &mut reasons, &mut reports).await?;
    }
    let options = options(job, &mapping, &manifest).await?;
    job.workspace.put_json(OPTIONS, &options).await?;
    Ok(())
}

/// The distinct values that Selection fields without options meet in the snapshot.
///
/// # Errors
/// When the snapshot cannot be read.
pub async fn options(job: &Job, mapping: &Mapping, manifest: &Manifest) -> Result<Options, StepError> {
    let mut options = Options::new();
    let mut index = Index::create(&job.scratch)?;
    for object in mapping.in_odoo().filter(|object| object.collects_options()) {
        joins::load(&mut index, &job.workspace, manifest, &object).await?;
        let mut lines = job.workspace.read_object(manifest, &object.source_object);
        while let Some(line) = lines.next().await {
            let Line::Record(record) = line? else { continue };
            let Ok(record) = joins::attach(&index, &object, record)? else {
                continue;
            };
            for step in object.items(&Arc::new(record)) {
                let Step::Item(item) = step else { continue };
                let Outcome::Mapped(mapped) = object.map(&item, &AnyRecord) else {
                    continue;
                };
                for (field, value) in object.options_met(&mapped) {
                    let of = options.entry(format!("{}.{field}", object.model)).or_default();
                    of.entry(value.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
        }
    }
    Ok(options)
}

/// Finds a record for every value: options do not depend on which.
struct AnyRecord;

impl Lookups for AnyRecord {
    fn find(&self, _lookup: usize, _value: &str, _within: &[Option<String>]) -> Found {
        Found::One(Reference::Id(1))
    }

    fn content(&self, _: &str) -> Option<Fetched> {
        Some(Fetched::Content(Content::default()))
    }
}

struct Rehearsal<'a> {
    job: &'a Job,
    plan: &'a Plan,
    mapping: &'a Mapping,
    index: Index,
    /// Stands for the next record that the run will make: negative, so that it is no id of Odoo.
    stand_in: i64,
}

impl Rehearsal<'_> {
    /// Identities, lookups and ledgers of every object, before the first is rehearsed.
    async fn read_odoo(&mut self, rpc: &dyn Rpc, manifest: &Manifest) -> Result<(), StepError> {
        for object in self.mapping.in_odoo() {
            let module = &self.plan.external_id_module;
            lookups::load_identities(&mut self.index, rpc, module, object).await?;
            lookups::models::load(&mut self.index, rpc, &self.plan.models, &object).await?;
            lookups::load_takes(&mut self.index, rpc, &object).await?;
            contents::load(&mut self.index, &self.job.workspace, manifest, &object).await?;
            let workspace = &self.job.workspace;
            lookups::load_object_paths(
                &mut self.index,
                workspace,
                manifest,
                self.mapping,
                &object,
                &self.job.scratch,
            )
            .await?;
            read_ledger(self.job, &mut self.index, &object).await?;
        }
        for object in self.mapping.in_odoo() {
            matches::load_candidates(&mut self.index, rpc, &self.plan.models, object).await?;
        }
        Ok(())
    }

    async fn object(&mut self, object: &Object, manifest: &Manifest) -> Result<Run, StepError> {
        let mut run = Run {
            waits: Waits::of(self.mapping, &object.name),
            tally: Tally::default(),
            results: Results::begin(&self.job.workspace, &object.name),
            total: i64::try_from(manifest.count(&object.source_object)).unwrap_or(i64::MAX),
            to_fill: 0,
        };
        if let Goes::Document(document) = object.goes() {
            let before = Before::find(self.job, object, document).await?;
            before.load(&self.job.workspace, object, &mut self.index).await?;
        }
        if object.is_self_referring() {
            super::load::own_keys(self.job, &mut self.index, object, manifest).await?;
        }
        dedupe::begin(&mut self.index, &self.plan.external_id_module, object)?;
        let mut waiting = self.reading(object, manifest, &mut run, Turn::First, false).await?;
        let mut after = (0, None);
        while let Some(rows) = joins::unasked(&mut self.index, self.mapping, object, &mut after)? {
            for (key, note) in rows {
                run.note(&key, &note).await?;
            }
        }
        let mut waves = 0;
        while waiting > 0 {
            let before = waiting;
            waves += 1;
            waiting = self.reading(object, manifest, &mut run, Turn::Waiting, false).await?;
            if waited_enough(object.defers(), waves, before, waiting) {
                waiting = self.reading(object, manifest, &mut run, Turn::Waiting, true).await?;
            }
        }
        run.tally.book.deleted = match object.goes() {
            Goes::InOdoo(_) => gone::count(&mut self.index, object, self.job.spec.run)?.gone,
            Goes::Document(_) => gone::rows(&mut self.index, object)?,
        };
        run.tally.book.balanced = book::flow_holds(&run.tally.book) && run.tally.book.held == 0;
        Ok(run)
    }

    async fn reading(
        &mut self,
        object: &Object,
        manifest: &Manifest,
        run: &mut Run,
        turn: Turn,
        last_call: bool,
    ) -> Result<usize, StepError> {
        let mut reader = Reader::open(
            &self.job.workspace,
            manifest,
            object,
            &self.job.scratch,
            &mut self.index,
            turn,
        )
        .await?;
        let mut postponed = 0;
        while let Some(met) = reader.next(&mut self.index).await? {
            for met in met {
                match met {
                    Met::Item(item) => {
                        postponed += usize::from(self.place(object, &item, run, (turn, last_call)).await?);
                    }
                    Met::Filtered => run.tally.count(Fate::Filtered),
                    Met::Duplicate(..) => run.tally.count(Fate::Deduplicated),
                    Met::Rejected(key, rejection) => run.reject(key.as_ref(), &rejection).await?,
                }
            }
            run.progress(self.job, object);
        }
        Ok(postponed)
    }

    fn map(&mut self, object: &Object, item: &Item, (turn, last_call): (Turn, bool)) -> Result<Outcome, StepError> {
        let filling = turn == Turn::Filling;
        let none = HashSet::new();
        let finder = Finder {
            module: &self.plan.external_id_module,
            object,
            // what is foreseen is there at once: an earlier record that is not has been refused
            under_way: (object.order_by.is_some() && !filling).then_some(&none),
            last_call,
            may_come: !filling,
            owners: lookups::owners(&self.job.migration),
            own: &item.key,
            broken: std::cell::RefCell::new(None),
            index: &mut self.index,
        };
        let outcome = object.map(item, &finder);
        match finder.broken.into_inner() {
            Some(error) => Err(error.into()),
            None => Ok(outcome),
        }
    }

    /// As the load does.
    fn remember_one_that_waits(&mut self, object: &Object, item: &Item, turn: Turn) -> Result<(), StepError> {
        let name = ExternalId::of(&self.plan.external_id_module, &object.name, &item.key).name;
        if turn == Turn::First
            && !object.dedupe.is_empty()
            && lookups::known(&self.index, &object.name, &name)?.is_some_and(|known| known.id.is_some())
            && let Outcome::Mapped(mapped) = self.map(object, item, (turn, true))?
        {
            dedupe::remember(&mut self.index, object, &item.key, &mapped.values)?;
        }
        Ok(())
    }

    async fn place(
        &mut self,
        object: &Object,
        item: &Item,
        run: &mut Run,
        (turn, last_call): (Turn, bool),
    ) -> Result<bool, StepError> {
        let filling = turn == Turn::Filling;
        let outcome = self.map(object, item, (turn, last_call))?;
        match outcome {
            Outcome::Later => {
                self.remember_one_that_waits(object, item, turn)?;
                postpone(&mut self.index, object, &item.key, Turn::Waiting)?;
                return Ok(true);
            }
            Outcome::Rejected(rejection) => run.reject(Some(&item.key), &rejection).await?,
            Outcome::Held(awaits) => run.hold(&mut self.index, object, &item.key, (&awaits, &[])).await?,
            Outcome::Mapped(mapped) => {
                let module = &self.plan.external_id_module;
                let place = dedupe::place(&self.index, module, object, &item.key, &mapped.values, turn)?;
                if place == Place::Wait {
                    postpone(&mut self.index, object, &item.key, Turn::Waiting)?;
                    return Ok(true);
                }
                let to_fill = !mapped.deferred.is_empty() && !matches!(place, Place::Folded(..));
                if to_fill {
                    run.to_fill += 1;
                    postpone(&mut self.index, object, &item.key, Turn::Filling)?;
                }
                if !to_fill {
                    run.waits.waits(&mapped.awaits);
                }
                for note in mapped.notes.iter().filter(|_| !to_fill) {
                    run.note(&item.key, note).await?;
                }
                if filling {
                    return Ok(false);
                }
                match place {
                    Place::Folded(first, entry) if self.index.has(Kind::Held, &object.name, first.0.as_bytes())? => {
                        let text = format!("the record {first} that it is folded into is not in Odoo");
                        let awaited = Awaited {
                            object: object.name.clone(),
                            key: Some(first),
                            why: Rejection::new("NotFound", entry, text),
                        };
                        run.hold(&mut self.index, object, &item.key, (&[awaited], &[])).await?;
                        return Ok(false);
                    }
                    Place::Folded(first, entry) => {
                        run.note(&item.key, &dedupe::note(&first, &entry, false)).await?;
                        run.tally.count(Fate::Deduplicated);
                        self.lead_to(object, &item.key, &first)?;
                        return Ok(false);
                    }
                    Place::Stays(first, entry) => run.note(&item.key, &dedupe::note(&first, &entry, true)).await?,
                    Place::Parted => {
                        let name = ExternalId::of(module, &object.name, &item.key).name;
                        lookups::forget(&mut self.index, &object.name, &name)?;
                    }
                    Place::Heir(owner) => dedupe::inherit(&mut self.index, module, object, &item.key, &owner)?,
                    Place::First | Place::Wait => {}
                }
                dedupe::remember(&mut self.index, object, &item.key, &mapped.values)?;
                match object.goes() {
                    Goes::InOdoo(object) => self.predict(object, &item.key, &mapped.values, run).await?,
                    Goes::Document(_) => {
                        let digest = document::digest_of(&mapped.values)?;
                        run.tally
                            .count(document::fate(&self.index, object, &item.key, &digest)?);
                    }
                }
            }
        }
        Ok(false)
    }

    /// What the load will do with a record, and what later lookups will find of it.
    async fn predict(
        &mut self,
        object: InOdoo<'_>,
        key: &SourceKey,
        values: &[(String, OdooValue)],
        run: &mut Run,
    ) -> Result<(), StepError> {
        let external = ExternalId::of(&self.plan.external_id_module, &object.name, key);
        let known = lookups::known(&self.index, &object.name, &external.name)?;
        if known.is_some_and(|known| known.id.is_some()) {
            let digest = content_digest(values)?;
            let same =
                ledger_entry(&self.index, &object.name, key)?.is_some_and(|e| e.digest.as_deref() == Some(&digest));
            run.tally.count(if same { Fate::Unchanged } else { Fate::Updated });
            if object.on_conflict == OnConflict::Overwrite {
                let note = Rejection::new("MayOverwrite", "", "what people changed in it is written over");
                run.note(key, &note).await?;
            }
            return Ok(());
        }
        match matches::match_record(&mut self.index, &object, values)? {
            Matched::One { id, .. } => {
                run.tally.count(Fate::Adopted);
                // one that the run itself will make has no id yet
                self.note(&object, &external, (id > 0).then_some(id), true)?;
            }
            Matched::Nothing { ambiguous } => {
                for entry in ambiguous {
                    let note = Rejection::new(
                        "Ambiguous",
                        entry,
                        "several records in Odoo agree: none will be adopted",
                    );
                    run.tally.reason(ReasonKind::Noted, &note, Some(key));
                    run.results.note(key, &note).await?;
                }
                if object.on_new == OnNew::Hold {
                    let why = outcome::not_in_odoo(&object, values);
                    return run.hold(&mut self.index, &object, key, (&[], &[why])).await;
                }
                if object.on_new == OnNew::Reject {
                    let fields: Vec<_> = object.match_on.iter().map(|entry| entry.join("+")).collect();
                    let why = Rejection::new(
                        "NotFound",
                        fields.join(", "),
                        "nothing in Odoo matches, and onNew is Reject",
                    );
                    return run.reject(Some(key), &why).await;
                }
                run.tally.count(Fate::Created);
                self.note(&object, &external, None, false)?;
                self.stand_in -= 1;
                lookups::foresee(&mut self.index, self.mapping, object, &external, values)?;
                matches::foresee_candidate(&mut self.index, self.mapping, object, self.stand_in, values)?;
            }
        }
        Ok(())
    }

    /// Lookups by the key of a folded record find what it is folded into.
    fn lead_to(&mut self, object: &Object, key: &SourceKey, first: &SourceKey) -> Result<(), StepError> {
        let of = |key| ExternalId::of(&self.plan.external_id_module, &object.name, key);
        let (external, first) = (of(key), of(first));
        let id = lookups::known(&self.index, &object.name, &first.name)?.and_then(|known| known.id);
        self.note(object, &external, id, true)
    }

    fn note(
        &mut self,
        object: &Object,
        external: &ExternalId,
        id: Option<i64>,
        noupdate: bool,
    ) -> Result<(), StepError> {
        let known = Known {
            id,
            data_id: i64::MAX,
            noupdate,
        };
        Ok(lookups::note(&mut self.index, &object.name, &external.name, known)?)
    }
}

/// The counting of one object.
struct Run {
    tally: Tally,
    results: Results,
    total: i64,
    /// Records with values left open.
    to_fill: usize,
    /// What records wait for.
    waits: Waits,
}

impl Run {
    async fn end(
        self,
        job: &Job,
        object: &Object,
        reasons: &mut Vec<RejectReason>,
        reports: &mut [ObjectReport],
    ) -> Result<(), StepError> {
        let mut told = self.tally.reasons(&object.name);
        by_weight(&mut told);
        let mut files = self.results.finish().await?;
        files.push(job.workspace.put_reasons(&object.name, &told).await?);
        redact(&mut told, object.has_ids_for_keys());
        reasons.extend(told);
        most_frequent(reasons, reports);
        job.heart.update(|status| {
            status.objects = reports.to_vec();
            status.reasons.clone_from(reasons);
            status.files.extend(files);
            status.queue.extend(self.waits.rows());
            queue::truncate(&mut status.queue, queue::MOST);
        });
        Ok(())
    }

    async fn hold(
        &mut self,
        index: &mut Index,
        object: &Object,
        key: &SourceKey,
        why: (&[Awaited], &[Rejection]),
    ) -> Result<(), StepError> {
        let counts = (&mut self.tally, &mut self.results, &mut self.waits);
        outcome::hold(counts, index, &object.name, key, why).await
    }

    async fn reject(&mut self, key: Option<&SourceKey>, rejection: &Rejection) -> Result<(), StepError> {
        outcome::reject(&mut self.tally, &mut self.results, key, rejection).await
    }

    async fn note(&mut self, key: &SourceKey, note: &Rejection) -> Result<(), StepError> {
        self.tally.reason(ReasonKind::Noted, note, Some(key));
        self.results.note(key, note).await
    }

    fn progress(&self, job: &Job, object: &Object) {
        let done = self.tally.book.read;
        if done % 1_000 != 0 {
            return;
        }
        job.heart.update(|status| {
            "rehearse".clone_into(&mut status.progress.step);
            status.progress.object.clone_from(&object.name);
            status.progress.done = done;
            status.progress.total = self.total;
            status.progress.summary = format!("{} rehearsed {done}/{}", object.name, self.total.max(done));
        });
    }
}
