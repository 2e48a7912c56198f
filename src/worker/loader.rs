//! One object on its way into Odoo: read, sifted, mapped, decided on, sent in batches, booked.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{
    Job,
    dedupe::{self, Place},
    error::StepError,
    index::{Index, Kind, encode},
    load::{content_digest, ledger_entry},
    lookups::{self, Finder, Known},
    matches::{self, Matched},
    outcome::{self, Results},
    reader::{Met, Reader, Turn, postpone},
    sender::{Done, End, Open, Prepared, Sender, Todo, stopped_by},
    stock::Stock,
    tally::{Fate, Tally, totals},
    verify,
    waits::Waits,
};
use crate::{
    api::{
        mapping_spec::{OnConflict, OnNew},
        phase_run::{FailureReason, ObjectReport, ReasonKind},
    },
    mapping::{Awaited, InOdoo, Item, Outcome},
    model::{ExternalId, OdooValue, Reference, Rejection, SourceKey},
    odoo::{
        conflict::field_digest,
        identity,
        lines::{self, WrittenLines},
        rpc::Rpc,
        upsert::{Op, Write, Writer, Written},
    },
    workspace::{Entry, Manifest, Outcome as Settled},
};

/// Records a batch.
const BATCH: usize = 400;
/// Records between two words on progress.
const PROGRESS: i64 = 100;

/// An object on its way.
pub(super) struct Loader<'a> {
    pub job: &'a Job,
    pub object: InOdoo<'a>,
    pub module: &'a str,
    pub index: Index,
    pub tally: Tally,
    pub results: Results,
    pub writer: Arc<Writer>,
    pub rpc: Arc<dyn Rpc>,
    pub uid: i64,
    pub stock: Stock,
    pub shards: Vec<Vec<Prepared>>,
    pub in_flight: JoinSet<Sent>,
    /// Shards with a batch in flight.
    pub busy: HashSet<usize>,
    /// Keys of an ordered object's records that are not in Odoo yet.
    pub under_way: HashSet<SourceKey>,
    /// Items of an ordered object that wait for those, at most a batch.
    pub parked: Vec<Item>,
    /// What they belong to: nothing of it may go before them.
    pub lanes: HashSet<i64>,
    /// Records to be named after those they are folded into.
    pub folded: Vec<Folded>,
    pub total: i64,
    /// Records that were refused without a key.
    pub keyless: i64,
    /// Every other object is in Odoo: what is not found now does not come.
    pub last_call: bool,
    /// Records with values to fill.
    pub to_fill: usize,
    /// What records wait for.
    pub waits: Waits,
}

/// A field and its value.
type FieldValue = (String, OdooValue);

/// Whether an item of an ordered object waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    No,
    /// Behind the earlier ones of its lane.
    InLane(i64),
    /// Until all before it is in Odoo.
    ForAll,
}

/// A record that is one with an earlier one.
pub(super) struct Folded {
    key: SourceKey,
    first: SourceKey,
    entry: String,
}

impl Loader<'_> {
    /// Reads the object as often as records wait for others of their own.
    pub async fn pass(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let mut waiting = self.reading(manifest, Turn::First, false).await?;
        while waiting > 0 {
            let before = waiting;
            waiting = self.reading(manifest, Turn::Waiting, false).await?;
            if waiting == before {
                waiting = self.reading(manifest, Turn::Waiting, true).await?;
            }
        }
        if self.to_fill > 0 {
            self.reading(manifest, Turn::Filling, true).await?;
        }
        Ok(())
    }

    /// One reading; says how many records were postponed.
    async fn reading(&mut self, manifest: &Manifest, turn: Turn, last_call: bool) -> Result<usize, StepError> {
        let object = self.object;
        let mut reader = Reader::open(
            &self.job.workspace,
            manifest,
            &object,
            &self.job.scratch,
            &mut self.index,
            turn,
        )
        .await?;
        let mut postponed = 0;
        while let Some(met) = reader.next(&mut self.index).await? {
            for met in met {
                self.keyless += i64::from(matches!(met, Met::Rejected(None, _)));
                let Some(item) = outcome::sift(&mut self.tally, &mut self.results, met).await? else {
                    continue;
                };
                postponed += self.place(&item, turn, last_call).await?;
            }
            self.progress("load");
        }
        Ok(postponed + self.release(turn).await?)
    }

    async fn reject(&mut self, key: Option<&SourceKey>, rejection: &Rejection) -> Result<(), StepError> {
        outcome::reject(&mut self.tally, &mut self.results, key, rejection).await
    }

    async fn hold(&mut self, key: &SourceKey, awaits: &[Awaited], why: &[Rejection]) -> Result<(), StepError> {
        let counts = (&mut self.tally, &mut self.results, &mut self.waits);
        outcome::hold(counts, &mut self.index, &self.object.name, key, (awaits, why)).await
    }

    /// Maps an item and decides what to do with it; says how many were postponed.
    async fn place(&mut self, item: &Item, turn: Turn, last_call: bool) -> Result<usize, StepError> {
        let mut postponed = 0;
        let mut outcome = self.map(item, turn, last_call)?;
        if self.object.order_by.is_some() && turn != Turn::Filling {
            match self.waits(item, &outcome, turn)? {
                Wait::No => {}
                Wait::InLane(lane) => {
                    self.lanes.insert(lane);
                    self.under_way.insert(item.key.clone());
                    self.parked.push(item.clone());
                    if self.parked.len() >= BATCH {
                        postponed += Box::pin(self.release(turn)).await?;
                    }
                    return Ok(postponed);
                }
                Wait::ForAll => {
                    postponed += Box::pin(self.release(turn)).await?;
                    outcome = self.map(item, turn, true)?;
                }
            }
        }
        match outcome {
            Outcome::Later => {
                postpone(&mut self.index, &self.object, &item.key, Turn::Waiting)?;
                return Ok(postponed + 1);
            }
            Outcome::Rejected(rejection) => self.reject(Some(&item.key), &rejection).await?,
            Outcome::Held(awaits) => self.hold(&item.key, &awaits, &[]).await?,
            Outcome::Mapped(mapped) => {
                let place = dedupe::place(&self.index, self.module, &self.object, &item.key, &mapped.values, turn)?;
                if place == Place::Wait {
                    postpone(&mut self.index, &self.object, &item.key, Turn::Waiting)?;
                    return Ok(postponed + 1);
                }
                let folded = matches!(place, Place::Folded(..));
                let open = match (mapped.deferred.is_empty() || folded, turn) {
                    (true, _) => Open::No,
                    (false, Turn::First | Turn::Waiting) => Open::Now,
                    (false, Turn::Filling) => Open::Later,
                };
                let deferred = mapped.deferred.iter().filter(|_| open == Open::Later);
                let deferred = deferred.map(|field| {
                    Rejection::new(
                        "Deferred",
                        field.as_str(),
                        "left open: what it refers to is not there yet",
                    )
                });
                if open != Open::Now {
                    self.waits.waits(&mapped.awaits);
                }
                // what is to be filled in this load is noted then
                let notes = mapped.notes.into_iter().filter(|_| open != Open::Now);
                for note in notes.chain(deferred) {
                    self.note(&item.key, &note).await?;
                }
                match place {
                    Place::Folded(first, entry) => {
                        self.fold(&item.key, first, entry).await?;
                        return Ok(postponed);
                    }
                    Place::Stays(first, entry) => self.note(&item.key, &dedupe::note(&first, &entry, true)).await?,
                    Place::Parted => self.part(&item.key).await?,
                    Place::First | Place::Wait => {}
                }
                self.decide(item.key.clone(), (mapped.values, mapped.checks), open)
                    .await?;
            }
        }
        Ok(postponed)
    }

    /// Whether an item must wait: for an earlier record that it refers to, or behind one of its own lane that waits.
    fn waits(&mut self, item: &Item, outcome: &Outcome, turn: Turn) -> Result<Wait, StepError> {
        let model = &self.object.model.0;
        Ok(match outcome {
            Outcome::Later => match self.map(item, turn, true)? {
                Outcome::Mapped(mapped) => lane_of(&mapped.values, model).map_or(Wait::ForAll, Wait::InLane),
                Outcome::Later | Outcome::Held(_) | Outcome::Rejected(_) => Wait::ForAll,
            },
            Outcome::Mapped(mapped) if !self.lanes.is_empty() => lane_of(&mapped.values, model)
                .filter(|lane| self.lanes.contains(lane))
                .map_or(Wait::No, Wait::InLane),
            Outcome::Mapped(_) | Outcome::Held(_) | Outcome::Rejected(_) => Wait::No,
        })
    }

    /// Sends what is before the items that wait, and then these, each behind what it waits for.
    async fn release(&mut self, turn: Turn) -> Result<usize, StepError> {
        let mut postponed = 0;
        loop {
            self.send_all().await?;
            if self.parked.is_empty() {
                return Ok(postponed);
            }
            self.lanes.clear();
            let parked = std::mem::take(&mut self.parked);
            for item in &parked {
                self.under_way.remove(&item.key);
            }
            for item in parked {
                postponed += self.place(&item, turn, false).await?;
            }
        }
    }

    async fn note(&mut self, key: &SourceKey, note: &Rejection) -> Result<(), StepError> {
        self.tally.reason(ReasonKind::Noted, note, Some(key));
        self.results.note(key, note).await
    }

    /// Leaves a record to be named after the one it is folded into, once that is in Odoo.
    async fn fold(&mut self, key: &SourceKey, first: SourceKey, entry: String) -> Result<(), StepError> {
        self.goes(key);
        self.folded.push(Folded {
            key: key.clone(),
            first,
            entry,
        });
        if self.folded.len() >= BATCH {
            self.send_all().await?;
        }
        Ok(())
    }

    /// A record that was folded into another and is one of its own now gives that one's name up.
    async fn part(&mut self, key: &SourceKey) -> Result<(), StepError> {
        let name = ExternalId::of(self.module, &self.object.name, key).name;
        if lookups::known(&self.index, &self.object.name, &name)?.is_none_or(|known| known.id.is_none()) {
            return Ok(());
        }
        if !self.job.heart.may_send() {
            return Err(StepError::stopped());
        }
        identity::forget(&*self.rpc, self.module, &name).await?;
        Ok(lookups::forget(&mut self.index, &self.object.name, &name)?)
    }

    /// Gives records that are folded into others their external ids.
    async fn name_folded(&mut self) -> Result<(), StepError> {
        let mut writes = Vec::new();
        let mut folded = Vec::new();
        for fold in std::mem::take(&mut self.folded) {
            self.under_way.remove(&fold.key);
            let external_id = ExternalId::of(self.module, &self.object.name, &fold.key);
            self.index
                .put(Kind::Name, &self.object.name, external_id.name.as_bytes(), Vec::new())?;
            let first = ExternalId::of(self.module, &self.object.name, &fold.first).name;
            let id = lookups::known(&self.index, &self.object.name, &first)?.and_then(|known| known.id);
            let Some(id) = id else {
                let text = format!("the record {} that it is folded into is not in Odoo", fold.first);
                let why = Rejection::new("NotFound", fold.entry.as_str(), text);
                if self.index.has(Kind::Held, &self.object.name, fold.first.0.as_bytes())? {
                    let awaited = Awaited {
                        object: self.object.name.clone(),
                        key: Some(fold.first),
                        why,
                    };
                    self.hold(&fold.key, &[awaited], &[]).await?;
                } else {
                    self.reject(Some(&fold.key), &why).await?;
                }
                continue;
            };
            let known = lookups::known(&self.index, &self.object.name, &external_id.name)?;
            if known.is_none_or(|known| known.id != Some(id)) {
                writes.push(Write {
                    key: fold.key.clone(),
                    external_id: external_id.clone(),
                    op: Op::Adopt {
                        id,
                        values: Vec::new(),
                        lines: Vec::new(),
                    },
                });
            }
            folded.push((fold, external_id, id));
        }
        let heart = self.job.heart.clone();
        let written = self.writer.write(writes, &move || heart.may_send()).await;
        let written = written.map_err(|interrupted| stopped_by(&interrupted.stop))?;
        let mut entries = Vec::new();
        for (fold, external_id, id) in folded {
            let failed = written.iter().find_map(|(key, written)| match written {
                Written::Failed(why) if *key == fold.key => Some(why),
                _ => None,
            });
            if let Some(why) = failed {
                self.tally.count(Fate::Failed);
                self.tally.reason(ReasonKind::Failed, why, Some(&fold.key));
                self.results.failed(&fold.key, why).await?;
                continue;
            }
            let known = Known {
                id: Some(id),
                data_id: i64::MAX,
                noupdate: true,
            };
            lookups::note(&mut self.index, &self.object.name, &external_id.name, known)?;
            self.tally.count(Fate::Deduplicated);
            self.note(&fold.key, &dedupe::note(&fold.first, &fold.entry, false))
                .await?;
            self.results
                .succeeded(&fold.key, &external_id, id, Fate::Deduplicated)
                .await?;
            let before = ledger_entry(&self.index, &self.object.name, &fold.key)?;
            if before.is_some_and(|entry| entry.outcome == Settled::Deduplicated && entry.id == Some(id)) {
                continue;
            }
            entries.push(Entry {
                key: fold.key,
                external_id: external_id.name,
                id: Some(id),
                outcome: Settled::Deduplicated,
                digest: None,
                fields: BTreeMap::new(),
                links: BTreeMap::new(),
                lines: BTreeMap::new(),
                run: self.job.spec.run,
            });
        }
        Ok(self.job.workspace.append_ledger(&self.object.name, &entries).await?)
    }

    fn map(&mut self, item: &Item, turn: Turn, last_call: bool) -> Result<Outcome, StepError> {
        let filling = turn == Turn::Filling;
        let finder = Finder {
            module: self.module,
            object: &self.object,
            under_way: (self.object.order_by.is_some() && !filling).then_some(&self.under_way),
            last_call,
            may_come: !(filling && self.last_call),
            owners: lookups::owners(&self.job.migration),
            own: &item.key,
            broken: std::cell::RefCell::new(None),
            index: &mut self.index,
        };
        let outcome = self.object.map(item, &finder);
        match finder.broken.into_inner() {
            Some(error) => Err(error.into()),
            None => Ok(outcome),
        }
    }

    async fn decide(
        &mut self,
        key: SourceKey,
        (values, checks): (Vec<FieldValue>, Vec<FieldValue>),
        open: Open,
    ) -> Result<(), StepError> {
        let external_id = ExternalId::of(self.module, &self.object.name, &key);
        self.index
            .put(Kind::Name, &self.object.name, external_id.name.as_bytes(), Vec::new())?;
        dedupe::remember(&mut self.index, &self.object, &key, &values)?;
        let digest = content_digest(&values)?;
        let known = lookups::known(&self.index, &self.object.name, &external_id.name)?;
        let entry = ledger_entry(&self.index, &self.object.name, &key)?;
        let todo = match known.and_then(|known| Some((known, known.id?))) {
            Some((known, id)) => match entry {
                // to overwrite what a person wrote, it must be looked at
                Some(entry)
                    if self.object.on_conflict != OnConflict::Overwrite
                        && entry.digest.as_deref() == Some(&digest)
                        && entry.id == Some(id) =>
                {
                    return self
                        .unchanged((&external_id, open), (id, known), &entry, (&values, checks))
                        .await;
                }
                entry => Todo::Compare {
                    known,
                    id,
                    entry: entry.map(Box::new),
                },
            },
            None => match matches::match_record(&mut self.index, &self.object, &values)? {
                Matched::One(id) => Todo::Adopt(id),
                Matched::Nothing { ambiguous } => {
                    for entry in ambiguous {
                        let note =
                            Rejection::new("Ambiguous", entry, "several records in Odoo agree: none was adopted");
                        self.tally.reason(ReasonKind::Noted, &note, Some(&key));
                        self.results.note(&key, &note).await?;
                    }
                    if self.object.on_new == OnNew::Hold {
                        let why = outcome::not_in_odoo(&self.object, &values);
                        return self.hold(&key, &[], &[why]).await;
                    }
                    if self.object.on_new == OnNew::Reject {
                        let fields: Vec<_> = self.object.match_on.iter().map(|entry| entry.join("+")).collect();
                        let rejection = Rejection::new(
                            "NotFound",
                            fields.join(", "),
                            "nothing in Odoo matches, and onNew is Reject",
                        );
                        return self.reject(Some(&key), &rejection).await;
                    }
                    if entry.as_ref().is_some_and(|entry| entry.id.is_some()) {
                        let note = Rejection::new("Remade", "", "somebody took it out of Odoo: it is made again");
                        self.note(&key, &note).await?;
                    }
                    Todo::Create
                }
            },
        };
        let shard = shard_of(&values, &self.object.model.0, self.shards.len());
        self.goes(&key);
        self.shards[shard].push(Prepared {
            key,
            external_id,
            digest,
            values,
            checks,
            todo,
            open,
        });
        if self.shards[shard].len() >= BATCH {
            self.send(shard).await?;
        }
        Ok(())
    }

    /// Notes that a record is on its way into Odoo: later ones of an ordered object wait for it.
    fn goes(&mut self, key: &SourceKey) {
        if self.object.order_by.is_some() && self.object.is_self_referring() {
            self.under_way.insert(key.clone());
        }
    }

    async fn unchanged(
        &mut self,
        (external_id, open): (&ExternalId, Open),
        (id, known): (i64, Known),
        entry: &Entry,
        (values, checks): (&[FieldValue], Vec<FieldValue>),
    ) -> Result<(), StepError> {
        let key = &entry.key;
        let fate = self.stock.fate(
            known,
            entry.run == self.job.spec.run && entry.outcome == Settled::Updated,
        );
        self.want(key, id, (values, checks), (&entry.fields, &entry.links))?;
        self.arrived((key, open), external_id, id, fate).await
    }

    /// Counts a record that is in Odoo, unless values of it are still to be filled.
    async fn arrived(
        &mut self,
        (key, open): (&SourceKey, Open),
        external_id: &ExternalId,
        id: i64,
        fate: Fate,
    ) -> Result<(), StepError> {
        match open {
            Open::No => {
                self.tally.count(fate);
                self.results.succeeded(key, external_id, id, fate).await?;
            }
            Open::Now => {
                self.to_fill += 1;
                postpone(&mut self.index, &self.object, key, Turn::Filling)?;
            }
            Open::Later => self.tally.count(Fate::Deferred),
        }
        Ok(())
    }

    /// Remembers what the read-back must find: the fields that are ours.
    fn want(
        &mut self,
        key: &SourceKey,
        id: i64,
        (values, checks): (&[FieldValue], Vec<FieldValue>),
        (ours, links): (&BTreeMap<String, String>, &BTreeMap<String, Vec<i64>>),
    ) -> Result<(), StepError> {
        let (ours, theirs): (Vec<_>, Vec<_>) = values.iter().cloned().partition(|(field, _)| ours.contains_key(field));
        let there = |(field, value): (String, OdooValue)| match (value, links.get(&field)) {
            // what a person took away is not to be found
            (OdooValue::Links(_), Some(ids)) => {
                let links = ids.iter().copied().map(Reference::Id).collect();
                (field, OdooValue::Links(links))
            }
            (value, _) => (field, value),
        };
        let wanted = verify::Wanted {
            key: key.clone(),
            values: ours.into_iter().map(there).collect(),
            checks,
            theirs,
        };
        // people may have made two records of ours one: each is to be found
        let place = verify::place_of(id, key);
        self.index
            .put(Kind::Wanted, &self.object.name, &place, encode(Kind::Wanted, &wanted)?)?;
        let arrived = verify::arrived(&self.object);
        if !self
            .index
            .put_first(Kind::Done, &arrived, &id.to_be_bytes(), key.0.clone().into_bytes())?
            && self.index.get(Kind::Done, &arrived, &id.to_be_bytes())?.as_deref() != Some(key.0.as_bytes())
        {
            let shared = verify::shared(&self.object);
            self.index.put(Kind::Done, &shared, &id.to_be_bytes(), Vec::new())?;
        }
        Ok(())
    }

    async fn send_all(&mut self) -> Result<(), StepError> {
        for shard in 0..self.shards.len() {
            self.send(shard).await?;
        }
        while let Some(done) = self.in_flight.join_next().await {
            self.settle(joined(done)?.1).await?;
        }
        self.busy.clear();
        self.name_folded().await
    }

    /// Sends a shard's batch; one batch a shard is under way, so that the next is mapped meanwhile and none overtakes another.
    async fn send(&mut self, shard: usize) -> Result<(), StepError> {
        if self.shards[shard].is_empty() {
            return Ok(());
        }
        let mut ended = Vec::new();
        while self.busy.contains(&shard)
            && let Some(done) = self.in_flight.join_next().await
        {
            let (of, done) = joined(done)?;
            self.busy.remove(&of);
            ended.push(done);
        }
        let batch = std::mem::take(&mut self.shards[shard]);
        let sender = Sender {
            writer: self.writer.clone(),
            rpc: self.rpc.clone(),
            workspace: self.job.workspace.clone(),
            heart: self.job.heart.clone(),
            targets: self.object.targets.clone(),
            lines: self.object.lines.clone(),
            module: self.module.to_owned(),
            object: self.object.name.clone(),
            model: self.object.model.0.clone(),
            uid: self.uid,
            overwrite: self.object.on_conflict == OnConflict::Overwrite,
            now: (self.job.now)(),
        };
        self.busy.insert(shard);
        self.in_flight
            .spawn(async move { Ok((shard, sender.send(batch).await?)) });
        // booked while Odoo is at the next one: the server is the limit and is not to wait for our disk
        for batch in ended {
            self.settle(batch).await?;
        }
        Ok(())
    }

    /// Books a batch that is done: ledger first, then everything that can be made again from it.
    async fn settle(&mut self, batch: Vec<Done>) -> Result<(), StepError> {
        let entries: Vec<Entry> = batch.iter().filter_map(|done| self.entry_of(done)).collect();
        self.job.workspace.append_ledger(&self.object.name, &entries).await?;
        if self.object.defers() {
            // the second pass meets them again
            for entry in &entries {
                let key = entry.key.0.as_bytes();
                let bytes = encode(Kind::Ledger, entry)?;
                self.index.put(Kind::Ledger, &self.object.name, key, bytes)?;
            }
        }
        for done in batch {
            self.under_way.remove(&done.prepared.key);
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
            lines: lines_written(self.object, done),
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
        let known = match (&done.end, &prepared.todo) {
            (End::Updated(_) | End::Untouched(_), Todo::Compare { known, .. }) => *known,
            _ => Known {
                id: Some(id),
                data_id: i64::MAX,
                noupdate: matches!(done.end, End::Adopted(_)),
            },
        };
        lookups::note(&mut self.index, &self.object.name, &prepared.external_id.name, known)?;
        self.want(
            &prepared.key,
            id,
            (&prepared.values, prepared.checks.clone()),
            (&ours(self.object, &done), &links(&done)),
        )?;
        if self.object.on_conflict == OnConflict::Overwrite {
            for field in &done.merge.conflicts {
                let note = Rejection::new(
                    "Overwritten",
                    field.as_str(),
                    "a person's value was written over; undo/ has it",
                );
                self.note(&prepared.key, &note).await?;
            }
        }
        self.arrived((&prepared.key, prepared.open), &prepared.external_id, id, fate)
            .await
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
                ..ObjectReport::default()
            }];
        });
    }
}

/// A batch that was sent, and the shard it is of.
pub(super) type Sent = Result<(usize, Vec<Done>), StepError>;

fn joined(done: Result<Sent, tokio::task::JoinError>) -> Sent {
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
        Todo::Compare { entry: Some(entry), .. } if entry.run == run && entry.outcome != Settled::Archived => {
            entry.outcome
        }
        Todo::Compare { .. } | Todo::Create | Todo::Adopt(_) => Settled::Unchanged,
    }
}

/// Rows of one lane go through one writer, won leads through the first.
fn shard_of(values: &[(String, OdooValue)], model: &str, shards: usize) -> usize {
    if shards <= 1 {
        return 0;
    }
    let won = |(field, value): &(String, OdooValue)| field == "probability" && *value == OdooValue::Float(100.0);
    if model == "crm.lead" && values.iter().any(won) {
        return 0;
    }
    usize::try_from(lane_of(values, model).unwrap_or(0)).unwrap_or(0) % shards
}

/// What a record belongs to: a message to the record it is about, whose chatter shows messages in the order they are made;
/// any other to its parent, whose row in Odoo they share.
fn lane_of(values: &[(String, OdooValue)], model: &str) -> Option<i64> {
    let get = |name: &str| values.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let owner = if model == "mail.message" {
        get("res_id")
    } else {
        get("parent_id").or_else(|| get("partner_id"))
    };
    match owner {
        Some(OdooValue::Link(reference)) => reference.id(),
        _ => None,
    }
}

/// Digests of the fields that are ours in this record.
fn ours(object: InOdoo<'_>, done: &Done) -> BTreeMap<String, String> {
    let values = done.prepared.values.iter();
    values
        .filter(|(field, _)| !done.merge.kept.contains(field))
        .filter_map(|(field, value)| {
            let target = object.targets.iter().find(|target| target.name == *field)?;
            Some((field.clone(), field_digest(&object.model.0, target, value)))
        })
        .collect()
}

fn lines_written(object: InOdoo<'_>, done: &Done) -> WrittenLines {
    let mut written = WrittenLines::new();
    for (field, value) in &done.prepared.values {
        if let OdooValue::Lines(wanted) = value
            && let Some(lines) = object.lines.iter().find(|lines| lines.field == *field)
            && (done.merge.kept.iter().all(|kept| kept != field) || !done.kept_lines.is_empty())
        {
            written.extend(lines::digests(lines, wanted, &done.kept_lines));
        }
    }
    written
}

/// Of every many2many that is ours the links that are there now: ours one by one, whatever people link beside them.
fn links(done: &Done) -> BTreeMap<String, Vec<i64>> {
    let values = done.prepared.values.iter();
    values
        .filter(|(field, _)| !done.merge.kept.contains(field))
        .filter_map(|(field, value)| {
            let OdooValue::Links(links) = value else { return None };
            let there = done.merge.links.get(field).cloned();
            let all = || links.iter().filter_map(Reference::id).collect();
            Some((field.clone(), there.unwrap_or_else(all)))
        })
        .collect()
}
