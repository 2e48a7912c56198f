//! One object on its way into Odoo: read, sifted, mapped, decided on, sent in batches, booked.

mod booking;
mod folding;
mod lanes;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use tokio::task::JoinSet;

use self::{
    booking::Sent,
    folding::Folded,
    lanes::{lane_of, shard_of},
};
use super::{
    Job,
    dedupe::{self, Place},
    error::StepError,
    index::{Index, Kind, decode, encode},
    joins,
    load::{content_digest, ledger_entry},
    lookups::{self, Finder, Known},
    matches::{self, Matched},
    outcome::{self, Results},
    reader::{Met, Reader, Turn, postpone, waited_enough},
    sender::{self, Open, Prepared, Todo},
    stock::Stock,
    tally::{Fate, Tally, totals},
    verify,
    waits::Waits,
};
use crate::{
    api::{
        mapping_spec::{OnConflict, OnNew},
        phase_run::{ObjectReport, ReasonKind},
    },
    mapping::{Awaited, InOdoo, Item, Mapping, Outcome, commercial},
    model::{ExternalId, OdooValue, Reference, Rejection, SourceKey},
    odoo::{conflict::Computed, rpc::Rpc, upsert::Writer},
    workspace::{Entry, Manifest, Outcome as Settled},
};

/// Records a batch.
const BATCH: usize = 400;
/// Records between two words on progress.
const PROGRESS: i64 = 100;

/// An object on its way.
pub(super) struct Loader<'a> {
    pub job: &'a Job,
    pub mapping: &'a Mapping,
    pub object: InOdoo<'a>,
    pub module: &'a str,
    pub index: Index,
    pub tally: Tally,
    pub results: Results,
    pub writer: Arc<Writer>,
    /// Fields that Odoo computes from others.
    pub computed: Arc<[Computed]>,
    /// What Odoo gives fields where nothing is sent.
    pub defaults: Arc<BTreeMap<String, OdooValue>>,
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
    /// Lines that the source has no more stay: it gave less than it has.
    pub lines_stay: bool,
    /// Every record is compared with what is there, be it as it was written last.
    pub recheck: bool,
    /// Records that are not as they were written, or changed since they were proved: compared, though the source says the
    /// same.
    pub doubtful: BTreeMap<SourceKey, verify::Instead>,
    /// Records that somebody else wrote to, whoever Odoo names as the last.
    pub touched: Arc<BTreeSet<i64>>,
    /// Records with values to fill.
    pub to_fill: usize,
    /// What records wait for.
    pub waits: Waits,
}

/// Whether people made a record one with another: its external id is led to that.
fn is_merged(entry: &Entry, id: i64) -> bool {
    entry.merged || entry.outcome != Settled::Deduplicated && entry.id.is_some_and(|was| was != id)
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

impl Loader<'_> {
    /// Reads the object as often as records wait for others of their own.
    pub async fn pass(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let mut waiting = self.reading(manifest, Turn::First, false).await?;
        let mut waves = 0;
        while waiting > 0 {
            let before = waiting;
            waves += 1;
            waiting = self.reading(manifest, Turn::Waiting, false).await?;
            if waited_enough(self.object.defers(), waves, before, waiting) {
                waiting = self.reading(manifest, Turn::Waiting, true).await?;
            }
        }
        self.note_rows_of_nobody().await?;
        if self.to_fill > 0 {
            self.reading(manifest, Turn::Filling, true).await?;
        }
        Ok(())
    }

    /// Notes rows of other objects that no record asked for.
    async fn note_rows_of_nobody(&mut self) -> Result<(), StepError> {
        let mut after = (0, None);
        while let Some(rows) = joins::unasked(&mut self.index, self.mapping, &self.object, &mut after)? {
            for (key, note) in rows {
                self.note(&key, &note).await?;
            }
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
                self.remember_one_that_waits(item, turn)?;
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
                    Place::Heir(owner) => {
                        dedupe::inherit(&mut self.index, self.module, &self.object, &item.key, &owner)?;
                    }
                    Place::First | Place::Wait => {}
                }
                self.decide(item.key.clone(), (mapped.values, mapped.checks), open)
                    .await?;
            }
        }
        Ok(postponed)
    }

    /// What has a record is one that others may be, though it waits for a parent itself.
    fn remember_one_that_waits(&mut self, item: &Item, turn: Turn) -> Result<(), StepError> {
        let name = ExternalId::of(self.module, &self.object.name, &item.key).name;
        let has_one = || lookups::known(&self.index, &self.object.name, &name);
        if turn == Turn::First
            && !self.object.dedupe.is_empty()
            && has_one()?.is_some_and(|known| known.id.is_some())
            && let Outcome::Mapped(mapped) = self.map(item, turn, true)?
        {
            dedupe::remember(&mut self.index, &self.object, &item.key, &mapped.values)?;
        }
        Ok(())
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

    /// Notes what happens once in a run, however often the record is looked at.
    async fn note_once(&mut self, key: &SourceKey, note: &Rejection) -> Result<(), StepError> {
        let what = format!("{key}|{}|{}", note.code, note.field);
        let scope = format!("{}|noted", self.object.name);
        if self.index.put_first(Kind::Done, &scope, what.as_bytes(), Vec::new())? {
            self.note(key, note).await?;
        }
        Ok(())
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
        let sent = commercial::sent(&self.object.model.0, &values);
        let digest = content_digest(&sent)?;
        let known = lookups::known(&self.index, &self.object.name, &external_id.name)?;
        let entry = ledger_entry(&self.index, &self.object.name, &key)?;
        // an entry that is not of this run tells of an earlier one
        let told = entry.as_ref().filter(|entry| entry.run == self.job.spec.run);
        let mut notes = told.map_or_else(Vec::new, |entry| entry.notes.clone());
        for note in notes.clone() {
            self.note_once(&key, &note).await?;
        }
        let mut revived = entry.as_ref().is_some_and(|entry| entry.outcome == Settled::Archived);
        let mut merged = false;
        let todo = if let Some((known, id)) = known.and_then(|known| Some((known, known.id?))) {
            merged = entry.as_ref().is_some_and(|entry| is_merged(entry, id));
            // of those that people made one that which stayed is written over what others have; else whose values are there
            let may_write = self.object.on_conflict != OnConflict::Overwrite
                || !(merged && self.is_anothers(id, &external_id)?) && self.is_first_at(id, &key)?;
            // to overwrite what a person wrote, it must be looked at
            let may_skip = self.object.on_conflict != OnConflict::Overwrite
                && !self.recheck
                && self.doubtful.get(&key).is_none_or(|doubt| doubt.tried);
            let is_same = |entry: &Entry| {
                may_skip && entry.digest.as_deref() == Some(&digest) && entry.id == Some(id) && !entry.left
            };
            match entry {
                Some(entry) if !may_write || is_same(&entry) => {
                    let values = (&sent[..], checks);
                    return self.unchanged((&external_id, open), (id, known), &entry, values).await;
                }
                entry => Todo::Compare {
                    known,
                    id,
                    entry: entry.map(Box::new),
                },
            }
        } else {
            let changing = (&mut notes, &mut revived);
            let Some(todo) = self.meet(&key, &values, entry.as_ref(), changing).await? else {
                return Ok(());
            };
            todo
        };
        for note in notes.clone() {
            self.note_once(&key, &note).await?;
        }
        let shard = shard_of(&sent, &self.object.model.0, self.shards.len());
        self.goes(&key);
        let values = match sent {
            Cow::Owned(own) => own,
            Cow::Borrowed(_) => values,
        };
        let instead = self.doubtful.get(&key).cloned().unwrap_or_default();
        self.shards[shard].push(Prepared {
            key,
            external_id,
            digest,
            values,
            checks,
            todo,
            open,
            merged,
            notes,
            revived,
            instead,
        });
        if self.shards[shard].len() >= BATCH {
            self.send(shard).await?;
        }
        Ok(())
    }

    /// What to do with a record that has none in Odoo; nothing where it is held or rejected.
    async fn meet(
        &mut self,
        key: &SourceKey,
        values: &[FieldValue],
        entry: Option<&Entry>,
        (notes, revived): (&mut Vec<Rejection>, &mut bool),
    ) -> Result<Option<Todo>, StepError> {
        let ambiguous = match matches::match_record(&mut self.index, &self.object, values)? {
            Matched::One { id, active } => {
                let writes_active = values.iter().any(|(field, _)| *field == sender::active().name);
                *revived = !active && matches::is_archived_by_us(&self.index, &self.object, id)?;
                if !active && !*revived && !writes_active {
                    notes.push(Rejection::new(
                        "AdoptedArchived",
                        "active",
                        "it is archived in Odoo, and stays so",
                    ));
                }
                return Ok(Some(Todo::Adopt(id)));
            }
            Matched::Nothing { ambiguous } => ambiguous,
        };
        for entry in ambiguous {
            let what = "several records in Odoo agree: none was adopted";
            let note = Rejection::new("Ambiguous", entry, what);
            // also where the record is then held or rejected
            self.note_once(key, &note).await?;
            notes.push(note);
        }
        if self.object.on_new == OnNew::Hold {
            let why = outcome::not_in_odoo(&self.object, values);
            self.hold(key, &[], &[why]).await?;
            return Ok(None);
        }
        if self.object.on_new == OnNew::Reject {
            let fields: Vec<_> = self.object.match_on.iter().map(|entry| entry.join("+")).collect();
            let why = Rejection::new(
                "NotFound",
                fields.join(", "),
                "nothing in Odoo matches, and onNew is Reject",
            );
            self.reject(Some(key), &why).await?;
            return Ok(None);
        }
        if entry.is_some_and(|entry| entry.id.is_some() && entry.outcome != Settled::Deduplicated) {
            notes.push(Rejection::new(
                "Remade",
                "",
                "somebody took it out of Odoo: it is made again",
            ));
        }
        Ok(Some(Todo::Create))
    }

    /// Whether a record in Odoo is that of another external id, too.
    fn is_anothers(&mut self, id: i64, own: &ExternalId) -> Result<bool, StepError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .index
                .page(Kind::Identity, &self.object.name, after.as_deref(), BATCH)?;
            let Some(last) = page.last() else { return Ok(false) };
            after = Some(last.0.clone());
            for (name, bytes) in &page {
                let known: Known = decode(Kind::Identity, bytes)?;
                if known.id == Some(id) && name != own.name.as_bytes() {
                    return Ok(true);
                }
            }
        }
    }

    /// Whether no other record of this pass has this one in Odoo.
    fn is_first_at(&mut self, id: i64, key: &SourceKey) -> Result<bool, StepError> {
        let scope = format!("{}|first", self.object.name);
        let place = id.to_be_bytes();
        let own = key.0.as_bytes();
        Ok(self.index.put_first(Kind::Done, &scope, &place, own.to_vec())?
            || self.index.get(Kind::Done, &scope, &place)?.as_deref() == Some(own))
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
        if open != Open::Now {
            let sent = (self.may_be_unproved(known), entry.run == self.job.spec.run);
            self.want(key, id, (values, checks), (&entry.fields, &entry.links), sent)?;
        }
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

    /// What is made of an object that fills its records later may have been sent in this pass, and need nothing now.
    fn may_be_unproved(&self, known: Known) -> bool {
        self.object.defers() && known.data_id > self.stock.mark
    }

    /// Remembers what the read-back must find: the fields that are ours.
    fn want(
        &mut self,
        key: &SourceKey,
        id: i64,
        (values, checks): (&[FieldValue], Vec<FieldValue>),
        (ours, links): (&BTreeMap<String, String>, &BTreeMap<String, Vec<i64>>),
        (sent, of_this_run): (bool, bool),
    ) -> Result<(), StepError> {
        let (ours, theirs): (Vec<_>, Vec<_>) = values.iter().cloned().partition(|(field, _)| ours.contains_key(field));
        let mut theirs = theirs;
        for (field, value) in &ours {
            // a person took some of them away
            if let (OdooValue::Links(all), Some(there)) = (value, links.get(field)) {
                let all: Vec<i64> = all.iter().filter_map(Reference::id).collect();
                if all.iter().any(|id| !there.contains(id)) {
                    let all = all.into_iter().map(Reference::Id).collect();
                    theirs.push((field.clone(), OdooValue::Links(all)));
                }
            }
        }
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
            sent,
            open: false,
            of_this_run,
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
