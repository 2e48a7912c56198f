//! Records that are one with an earlier one: named after it, once that is in Odoo.

use std::collections::{BTreeMap, BTreeSet};

use super::{BATCH, Loader};
use crate::{
    api::phase_run::ReasonKind,
    mapping::Awaited,
    model::{ExternalId, Rejection, SourceKey},
    odoo::{
        identity,
        upsert::{Op, Write, Written},
    },
    worker::{
        dedupe,
        error::StepError,
        index::Kind,
        load::ledger_entry,
        lookups::{self, Known},
        sender::stopped_by,
        tally::Fate,
    },
    workspace::{Entry, Outcome as Settled},
};

/// A record that is one with an earlier one.
pub struct Folded {
    key: SourceKey,
    first: SourceKey,
    entry: String,
}

impl Loader<'_> {
    /// Leaves a record to be named after the one it is folded into, once that is in Odoo.
    pub(super) async fn fold(&mut self, key: &SourceKey, first: SourceKey, entry: String) -> Result<(), StepError> {
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
    pub(super) async fn part(&mut self, key: &SourceKey) -> Result<(), StepError> {
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
    pub(super) async fn name_folded(&mut self) -> Result<(), StepError> {
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
            let mut known = lookups::known(&self.index, &self.object.name, &external_id.name)?;
            if known.is_some_and(|known| known.id.is_some_and(|other| other != id)) {
                // what it was folded into before is another's alone now
                self.part(&fold.key).await?;
                known = None;
            }
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
                theirs: BTreeSet::new(),
                touched: false,
                merged: false,
                left: false,
                notes: Vec::new(),
                links: BTreeMap::new(),
                lines: BTreeMap::new(),
                run: self.job.spec.run,
            });
        }
        Ok(self.job.workspace.append_ledger(&self.object.name, &entries).await?)
    }
}
