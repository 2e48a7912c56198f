//! Records that the source no longer has, or that `where` no longer lets in: kept, archived or removed, as
//! `onSourceDelete` says, and listed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::StepError,
    extract,
    index::{Index, Kind, decode},
    loader::Loader,
    lookups::{self, Known},
    sender::{active, former, stopped_by},
    verify,
};
use crate::{
    api::{mapping_spec::OnSourceDelete, phase_run::ReasonKind},
    lifecycle::book::vanished_too_many,
    mapping::{Object, TargetField},
    model::{ExternalId, OdooModel, OdooValue, Rejection, SourceKey},
    odoo::{
        identity, remove, sweep,
        upsert::{Op, Write, Written},
        verify::{ReadRecord, read_back},
    },
    workspace::{Entry, Former, Outcome as Settled, Why},
};

/// Ledger entries a page of the index.
const PAGE: usize = 5_000;
/// Records that are archived or removed together.
const BATCH: usize = 400;
/// Records that are removed between two looks at the fence: where one does not go, each is tried by itself.
const FEW: usize = 10;

/// A record of the ledger whose key was not met in the source.
struct Lost {
    key: SourceKey,
    entry: Entry,
    id: i64,
}

/// What the ledger has that the source does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Keys with a record in Odoo.
    pub alive: i64,
    /// Keys that the source no longer has and that have a record in Odoo.
    pub gone: i64,
    /// Of those, keys that were not seen to after they went.
    pub fresh: i64,
    /// Keys whose record this run removed, since the source lost them.
    pub removed: i64,
}

/// Counts, by the ledger in the index, once every record of the source was met.
///
/// # Errors
/// When the scratch disk fails.
pub(super) fn count(index: &mut Index, object: &Object, run: i64) -> Result<Count, StepError> {
    let mut count = Count::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = index.page(Kind::Ledger, &object.name, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.0.clone());
        for (key, bytes) in &page {
            let entry: Entry = decode(Kind::Ledger, bytes)?;
            let gone = !is_met(index, object, key)?;
            if entry.id.is_none() {
                count.removed += i64::from(gone && entry.outcome == Settled::Unlinked && entry.run == run);
                continue;
            }
            count.gone += i64::from(gone);
            // those of others go with nothing
            if entry.outcome != Settled::Deduplicated {
                count.alive += 1;
                count.fresh += i64::from(gone && entry.outcome != Settled::Archived && !entry.left);
            }
        }
    }
}

/// How many rows of a document in the index have a key that was not met.
///
/// # Errors
/// When the scratch disk fails.
pub(super) fn rows(index: &mut Index, object: &Object) -> Result<i64, StepError> {
    let mut gone = 0;
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = index.page(Kind::Ledger, &object.name, after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { return Ok(gone) };
        after = Some(last.0.clone());
        for (key, _) in &page {
            gone += i64::from(!is_met(index, object, key)?);
        }
    }
}

/// Whether a key was met in the source, be it that its record was refused.
///
/// # Errors
/// When the scratch disk fails.
pub(super) fn is_met(index: &Index, object: &Object, key: &[u8]) -> Result<bool, StepError> {
    Ok(index.has(Kind::Seen, &object.name, key)? || index.has(Kind::Refused, &object.name, key)?)
}

/// Scope of the ids that keys lead to which the source has.
fn living(object: &Object) -> String {
    format!("{}|living", object.name)
}

/// Why nothing is archived or removed, whatever was asked for.
fn held_back(count: Count, keyless: i64, is_short: bool) -> Option<&'static str> {
    if is_short {
        return Some("kept: the source announced more records than it gave");
    }
    if keyless > 0 {
        return Some("kept: records without a readable key may be these");
    }
    vanished_too_many(count.alive, count.fresh).then_some("kept: more than 5 % went at once")
}

impl Loader<'_> {
    /// Sees to the records whose keys are gone. Gives how many of them this run removed.
    pub async fn see_to_the_gone(&mut self) -> Result<i64, StepError> {
        let count = count(&mut self.index, &self.object, self.job.spec.run)?;
        let mut removed = count.removed;
        let policy = self.object.on_source_delete;
        let is_short = extract::is_any_short(self.job, [&self.object.source_object]).await?;
        let held_back = held_back(count, self.keyless, is_short).filter(|_| policy != OnSourceDelete::Keep);
        let mut after: Option<Vec<u8>> = None;
        if count.gone == 0 {
            return Ok(removed);
        }
        self.remember_the_living()?;
        loop {
            let page = self
                .index
                .page(Kind::Ledger, &self.object.name, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.0.clone());
            let (mut folded, mut in_odoo) = (Vec::new(), Vec::new());
            for lost in self.lost(&page)? {
                if self.leads_to_anothers(&lost)? {
                    folded.push(lost);
                } else {
                    in_odoo.push(lost);
                }
            }
            self.no_longer_theirs(&folded).await?;
            // theirs is the record of another key
            self.told(
                &folded,
                "Deleted",
                "gone from the source; it led to the record of another",
            )
            .await?;
            for lost in in_odoo.chunks(BATCH) {
                match (policy, held_back) {
                    (OnSourceDelete::Keep, _) => self.told(lost, "Deleted", "gone from the source; kept").await?,
                    (_, Some(why)) => self.told(lost, "Deleted", why).await?,
                    (OnSourceDelete::Archive, None) => self.archive(lost).await?,
                    (OnSourceDelete::Unlink, None) => removed += self.unlink(lost).await?,
                }
            }
        }
        Ok(removed)
    }

    /// Whether the record that a lost key leads to is the record of one that the source has: folded, or made one by people.
    fn leads_to_anothers(&self, lost: &Lost) -> Result<bool, StepError> {
        let place = lost.id.to_be_bytes();
        let has = |scope: &str| self.index.has(Kind::Done, scope, &place);
        Ok(lost.entry.outcome == Settled::Deduplicated
            || has(&verify::arrived(&self.object))?
            || has(&living(&self.object))?)
    }

    /// Remembers the records of keys that the source has, be it that nothing of them was written now.
    fn remember_the_living(&mut self) -> Result<(), StepError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .index
                .page(Kind::Ledger, &self.object.name, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.0.clone());
            for (key, bytes) in &page {
                let entry: Entry = decode(Kind::Ledger, bytes)?;
                if let Some(id) = entry.id
                    && is_met(&self.index, &self.object, key)?
                {
                    let scope = living(&self.object);
                    self.index.put(Kind::Done, &scope, &id.to_be_bytes(), Vec::new())?;
                }
            }
        }
    }

    /// Whose record another has inherited owns nothing, should the source have them again.
    async fn no_longer_theirs(&mut self, folded: &[Lost]) -> Result<(), StepError> {
        // those that people made one stay so, should the source have them again
        let is_folded = |lost: &&Lost| !self.object.dedupe.is_empty() && lost.entry.outcome != Settled::Deduplicated;
        let owned = folded.iter().filter(is_folded);
        let entries: Vec<Entry> = owned
            .map(|lost| Entry {
                fields: BTreeMap::new(),
                links: BTreeMap::new(),
                lines: BTreeMap::new(),
                ..self.settled(lost, Some(lost.id), Settled::Deduplicated)
            })
            .collect();
        Ok(self.job.workspace.append_ledger(&self.object.name, &entries).await?)
    }

    fn lost(&self, page: &[(Vec<u8>, Vec<u8>)]) -> Result<Vec<Lost>, StepError> {
        let mut lost = Vec::new();
        for (key, bytes) in page {
            let entry: Entry = decode(Kind::Ledger, bytes)?;
            let Some(id) = entry.id else { continue };
            if !is_met(&self.index, &self.object, key)? {
                let key = entry.key.clone();
                lost.push(Lost { key, entry, id });
            }
        }
        Ok(lost)
    }

    async fn told(&mut self, lost: &[Lost], code: &str, message: &str) -> Result<(), StepError> {
        for lost in lost {
            self.tell(&lost.key, code, message).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, key: &SourceKey, code: &str, message: &str) -> Result<(), StepError> {
        let note = Rejection::new(code, "", message);
        self.tally.reason(ReasonKind::Noted, &note, Some(key));
        self.results.note(key, &note).await?;
        Ok(())
    }

    async fn read(&mut self, lost: &[Lost], fields: &[TargetField]) -> Result<BTreeMap<i64, ReadRecord>, StepError> {
        let ids: Vec<i64> = lost.iter().map(|lost| lost.id).collect();
        Ok(read_back(&*self.rpc, &self.object.model.0, fields, &ids).await?)
    }

    fn former(&self, lost: &Lost, record: &ReadRecord, why: Why) -> Former {
        Former {
            key: lost.key.clone(),
            model: OdooModel(self.object.model.0.clone()),
            id: lost.id,
            fields: former(record.values.iter()),
            when: Some((self.job.now)()),
            why,
        }
    }

    /// Archives them. What was archived once is left as people have it.
    async fn archive(&mut self, lost: &[Lost]) -> Result<(), StepError> {
        let (field, archived) = (active(), OdooValue::Boolean(false));
        let name = field.name.clone();
        let there = self.read(lost, &[field]).await?;
        let ids: Vec<i64> = lost.iter().map(|lost| lost.id).collect();
        let others =
            identity::of_others(&*self.rpc, self.module, &self.object.name, &self.object.model.0, &ids).await?;
        let (mut undo, mut writes) = (Vec::new(), Vec::new());
        for lost in lost {
            if others.contains(&lost.id) {
                self.tell(&lost.key, "Deleted", "kept: it is the record of another object too")
                    .await?;
            } else if lost.entry.outcome == Settled::Archived {
                self.tell(&lost.key, "Archived", "gone from the source; archived")
                    .await?;
            } else if let Some(record) = there.get(&lost.id).filter(|record| record.values[&name] != archived) {
                undo.push(self.former(lost, record, Why::Archived));
                let external_id = ExternalId::of(self.module, &self.object.name, &lost.key);
                let (id, values) = (lost.id, vec![(name.clone(), archived.clone())]);
                let op = Op::Update {
                    id,
                    values,
                    unlink: Vec::new(),
                    lines: Vec::new(),
                };
                writes.push(Write {
                    key: lost.key.clone(),
                    external_id,
                    op,
                });
            } else {
                self.tell(&lost.key, "Deleted", "gone from the source; not active in Odoo")
                    .await?;
            }
        }
        self.job.workspace.append_undo(&self.object.name, &undo).await?;
        let heart = self.job.heart.clone();
        let written = self.writer.write(writes, &move || heart.may_send()).await;
        let written = written.map_err(|interrupted| stopped_by(&interrupted.stop))?;
        let mut entries = Vec::new();
        for (key, written) in written {
            let Some(lost) = lost.iter().find(|lost| lost.key == key) else {
                continue;
            };
            if let Written::Failed(rejection) = written {
                let message = format!("kept: {}", rejection.message);
                self.tell(&key, "Deleted", &message).await?;
                continue;
            }
            entries.push(self.settled(lost, Some(lost.id), Settled::Archived));
            self.tell(&key, "Archived", "gone from the source; archived").await?;
        }
        Ok(self.job.workspace.append_ledger(&self.object.name, &entries).await?)
    }

    /// Removes those that this migration made, that nobody wrote since, and on which nothing hangs. Gives how many went.
    async fn unlink(&mut self, lost: &[Lost]) -> Result<i64, StepError> {
        let object = self.object;
        let there = self.read(lost, &object.targets).await?;
        let (mut free, mut entries) = (Vec::new(), Vec::new());
        for lost in lost {
            let known = lookups::known(&self.index, &self.object.name, &lost.entry.external_id)?;
            match (there.get(&lost.id), known) {
                (Some(record), Some(known))
                    if !known.noupdate
                        && record.write_uid == self.uid
                        && !lost.entry.touched
                        && !self.touched.contains(&lost.id) =>
                {
                    free.push((lost, record, known));
                }
                (Some(_), Some(known)) if known.noupdate => {
                    self.tell(&lost.key, "Deleted", "kept: it was in Odoo before").await?;
                    entries.extend(left(lost));
                }
                (Some(_), _) => {
                    self.tell(&lost.key, "Deleted", "kept: a person changed it").await?;
                    entries.extend(left(lost));
                }
                (None, _) => {
                    self.tell(&lost.key, "Deleted", "gone from the source and from Odoo")
                        .await?;
                }
            }
        }
        let ids: Vec<i64> = free.iter().map(|(lost, ..)| lost.id).collect();
        let model = &self.object.model.0;
        let used = if ids.is_empty() {
            BTreeSet::new()
        } else {
            remove::in_use(&*self.rpc, model, &self.object.targets, &ids).await?
        };
        let free_ids: Vec<i64> = ids.iter().filter(|id| !used.contains(id)).copied().collect();
        let undo: Vec<Former> = free
            .iter()
            .filter(|(lost, ..)| free_ids.contains(&lost.id))
            .map(|(lost, record, _)| self.former(lost, record, Why::Unlinked))
            .collect();
        self.job.workspace.append_undo(&self.object.name, &undo).await?;
        let mut gone = Vec::new();
        for few in free_ids.chunks(FEW) {
            if !self.job.heart.may_send() {
                return Err(StepError::stopped());
            }
            gone.extend(sweep::unlink(&*self.rpc, model, few).await?);
        }
        for (lost, _, known) in &free {
            if gone.contains(&lost.id) {
                entries.push(self.settled(lost, None, Settled::Unlinked));
                let known = Known { id: None, ..*known };
                lookups::note(&mut self.index, &self.object.name, &lost.entry.external_id, known)?;
                self.tell(&lost.key, "Unlinked", "gone from the source; removed")
                    .await?;
            } else {
                self.tell(&lost.key, "Deleted", "kept: other records refer to it, or hang on it")
                    .await?;
                entries.extend(left(lost));
            }
        }
        self.job.workspace.append_ledger(&self.object.name, &entries).await?;
        Ok(i64::try_from(gone.len()).unwrap_or(i64::MAX))
    }

    fn settled(&self, lost: &Lost, id: Option<i64>, outcome: Settled) -> Entry {
        Entry {
            id,
            outcome,
            digest: None,
            run: self.job.spec.run,
            ..lost.entry.clone()
        }
    }
}

/// What the ledger keeps of one that stays although its removal was asked for: it does not go anew in every run.
fn left(lost: &Lost) -> Option<Entry> {
    (!lost.entry.left).then(|| Entry {
        left: true,
        ..lost.entry.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_away_when_too_much_went_or_when_it_cannot_be_told_what_went() {
        let count = |alive, fresh| Count {
            alive,
            fresh,
            gone: fresh + 7,
            removed: 0,
        };
        for (count, keyless, held) in [
            (count(100, 5), 0, false),
            (count(100, 6), 0, true),
            (count(100, 1), 1, true),
            (count(0, 0), 0, false),
        ] {
            assert_eq!(held_back(count, keyless, false).is_some(), held, "{count:?} {keyless}");
            assert!(held_back(count, keyless, true).is_some());
        }
    }
}
