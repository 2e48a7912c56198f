//! From a record decided on to one in Odoo and in the books: in batches, each lane in its order.

use std::collections::BTreeMap;

use super::Loader;
use crate::{
    api::{
        mapping_spec::OnConflict,
        phase_run::{FailureReason, ReasonKind},
    },
    mapping::{InOdoo, commercial},
    model::{OdooValue, Reference, Rejection},
    odoo::{
        conflict::{self, field_digest},
        lines::{self, WrittenLines},
    },
    worker::{
        error::StepError,
        index::{Kind, encode},
        lookups::{self, Known},
        sender::{Done, End, Open, Sender, Todo},
        tally::Fate,
    },
    workspace::{Entry, Outcome as Settled},
};

impl Loader<'_> {
    pub(super) async fn send_all(&mut self) -> Result<(), StepError> {
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
    pub(super) async fn send(&mut self, shard: usize) -> Result<(), StepError> {
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
            computed: self.computed.clone(),
            defaults: self.defaults.clone(),
            touched: self.touched.clone(),
            lines: self.object.lines.clone(),
            module: self.module.to_owned(),
            object: self.object.name.clone(),
            model: self.object.model.0.clone(),
            uid: self.uid,
            overwrite: self.object.on_conflict == OnConflict::Overwrite,
            lines_stay: self.lines_stay,
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
    pub(super) async fn settle(&mut self, batch: Vec<Done>) -> Result<(), StepError> {
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
            theirs: done.merge.kept.iter().cloned().collect(),
            touched: done.touched,
            merged: done.prepared.merged,
            left: false,
            notes: self.notes_of(done),
            links: links(done),
            lines: lines_written(self.object, done),
            run: self.job.spec.run,
        })
    }

    /// What happened to a record in this run that does not happen again.
    fn notes_of(&self, done: &Done) -> Vec<Rejection> {
        let mut notes = done.prepared.notes.clone();
        for note in self.met(done) {
            if !notes
                .iter()
                .any(|known| (&known.code, &known.field) == (&note.code, &note.field))
            {
                notes.push(note);
            }
        }
        notes
    }

    /// What became of people's values, and of ours that Odoo had set otherwise.
    fn met(&self, done: &Done) -> Vec<Rejection> {
        let asked = self.object.on_conflict == OnConflict::Overwrite;
        // of lines some may be kept, and others written over
        let is_lines = |field: &String| self.object.lines.iter().any(|lines| lines.field == *field);
        let written_over = |field: &&String| asked && (is_lines(field) || !done.merge.kept.contains(field));
        let fields = done.merge.conflicts.iter().filter(written_over);
        let what = "a person's value was written over; undo/ has what there was";
        let left = done.merge.send.iter().filter(|(field, value)| {
            let is_wanted = done.prepared.values.iter().any(|(wanted, _)| wanted == field);
            commercial::is_one(field) && *value == OdooValue::Empty && !is_wanted
        });
        let left = left.map(|(field, _)| {
            let what = "taken away: below another company it would become that company's; undo/ has it";
            Rejection::new("CompanysField", field.as_str(), what)
        });
        fields
            .map(|field| Rejection::new("Overwritten", field.as_str(), what))
            .chain(left)
            .chain(done.again.iter().cloned())
            .collect()
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
        // what is to be filled may still be refused
        if prepared.open != Open::Now {
            self.want(
                &prepared.key,
                id,
                (&prepared.values, prepared.checks.clone()),
                (&ours(self.object, &done), &links(&done)),
                (
                    !matches!(done.end, End::Untouched(_)) || self.may_be_unproved(known),
                    prepared.entry().is_none_or(|entry| entry.run == self.job.spec.run),
                ),
            )?;
        }
        for note in self.met(&done) {
            self.note_once(&prepared.key, &note).await?;
        }
        self.arrived((&prepared.key, prepared.open), &prepared.external_id, id, fate)
            .await
    }
}

/// A batch that was sent, and the shard it is of.
pub type Sent = Result<(usize, Vec<Done>), StepError>;

pub(super) fn joined(done: Result<Sent, tokio::task::JoinError>) -> Sent {
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

/// Digests of the fields that are ours in this record.
fn ours(object: InOdoo<'_>, done: &Done) -> BTreeMap<String, String> {
    let values = done.prepared.values.iter();
    let mapped = |name: &str| done.prepared.values.iter().any(|(field, _)| field == name);
    let before = match &done.prepared.todo {
        Todo::Compare { entry: Some(entry), .. } => Some(&entry.fields),
        Todo::Compare { entry: None, .. } | Todo::Create | Todo::Adopt(_) => None,
    };
    // what the mapping has no more is still what we wrote
    let dropped = before.into_iter().flatten().filter(|(name, _)| !mapped(name));
    let dropped = dropped.map(|(name, digest)| (name.clone(), digest.clone()));
    values
        .filter(|(field, _)| !done.merge.kept.contains(field))
        .filter_map(|(field, value)| {
            let target = object.targets.iter().find(|target| target.name == *field)?;
            if let OdooValue::Links(links) = value {
                let still = done.merge.still_linked.get(field).into_iter().flatten().copied();
                let wanted = links.iter().filter_map(Reference::id).chain(still).collect();
                let by_people = done.merge.linked_by_people.get(field).cloned().unwrap_or_default();
                return Some((field.clone(), conflict::link_digest(&wanted, &by_people)));
            }
            let digest = field_digest(&object.model.0, target, value);
            let before = before.and_then(|fields| fields.get(field));
            let digest = match (done.forms.get(field), before) {
                (Some(found), _) if conflict::is_html(target) => conflict::with_form(&digest, found),
                (None, Some(before)) => conflict::with_form_of(&digest, before),
                _ => digest,
            };
            Some((field.clone(), digest))
        })
        .chain(dropped)
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
            // a line that a person changed or took away, and that the source has no more, is known on
            let before = done.prepared.entry().into_iter().flat_map(|entry| &entry.lines);
            for (name, fields) in before {
                if fields.is_empty() || done.kept_lines.iter().any(|(kept, _)| kept == name) {
                    written.entry(name.clone()).or_insert_with(|| fields.clone());
                }
            }
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
