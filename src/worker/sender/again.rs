//! What Odoo set otherwise than it was sent, once more.

use std::collections::BTreeMap;

use super::{End, Met, Now, Prepared, Sender, former, stopped_by};
use crate::{
    model::{ExternalId, OdooModel, OdooValue, Rejection, SourceKey},
    odoo::{
        conflict::{self, Merge},
        upsert::{Op, Write, Written},
        verify::read_back,
    },
    worker::error::StepError,
    workspace::{Former, Why},
};

/// Fields with their values.
type Values = Vec<(String, OdooValue)>;

impl Sender {
    /// Odoo sets fields over what it is sent with others: the close date with a stage, a state with a project. What a record
    /// that was changed does not hold by now is sent once more, by itself: the values wanted, and those that were to stay.
    /// What Odoo refuses of it is told; a person's value that is lost to it is kept in the undo log.
    pub(super) async fn send_again(
        &self,
        batch: &[Prepared],
        ends: &BTreeMap<SourceKey, (End, Met)>,
        before: &Now,
    ) -> Result<BTreeMap<SourceKey, Vec<Rejection>>, StepError> {
        let mut told: BTreeMap<SourceKey, Vec<Rejection>> = BTreeMap::new();
        let changed: Vec<(&Prepared, i64, &Merge)> = batch
            .iter()
            .filter_map(|prepared| match ends.get(&prepared.key)? {
                (End::Updated(id) | End::Adopted(id), Met { merge, .. }) => Some((prepared, *id, merge)),
                (End::Created(_) | End::Untouched(_) | End::Failed(_), _) => None,
            })
            .collect();
        let ids: BTreeMap<&SourceKey, (i64, &ExternalId)> = changed
            .iter()
            .map(|(prepared, id, _)| (&prepared.key, (*id, &prepared.external_id)))
            .collect();
        let displaced = self.displaced(&changed, before).await?;
        let theirs: Vec<_> = changed
            .iter()
            .copied()
            .filter(|(prepared, ..)| {
                displaced
                    .get(&prepared.key)
                    .is_some_and(|(_, theirs)| !theirs.is_empty())
            })
            .collect();
        let (mut wanted, mut kept) = (Vec::new(), Vec::new());
        for (key, (ours, theirs)) in displaced {
            let Some((id, external_id)) = ids.get(&key) else {
                continue;
            };
            // apart: a person's value may be one that Odoo does not take with ours
            for (values, writes) in [(ours, &mut wanted), (theirs, &mut kept)] {
                if !values.is_empty() {
                    writes.push(Write {
                        key: key.clone(),
                        external_id: (*external_id).clone(),
                        op: Op::Update {
                            id: *id,
                            values,
                            unlink: Vec::new(),
                            lines: Vec::new(),
                        },
                    });
                }
            }
        }
        // theirs first: what is ours is to stand
        for writes in [kept, wanted] {
            let heart = self.heart.clone();
            let written = self.writer.write(writes, &move || heart.may_send()).await;
            for (key, written) in written.map_err(|interrupted| stopped_by(&interrupted.stop))? {
                if let Written::Failed(refused) = written {
                    told.entry(key).or_default().push(refused);
                }
            }
        }
        let mut undo = Vec::new();
        for (key, (_, lost)) in self.displaced(&theirs, before).await? {
            let Some((id, _)) = ids.get(&key).filter(|_| !lost.is_empty()) else {
                continue;
            };
            let notes = told.entry(key.clone()).or_default();
            let what = "Odoo sets it with what the source has changed; undo/ has the value that a person had given";
            notes.extend(
                lost.iter()
                    .map(|(field, _)| Rejection::new("Overwritten", field.as_str(), what)),
            );
            undo.push(Former {
                key,
                id: *id,
                model: OdooModel(self.model.clone()),
                fields: former(lost.iter().map(|(field, value)| (field, value))),
                when: Some(self.now),
                why: Why::Written,
            });
        }
        self.workspace.append_undo(&self.object, &undo).await?;
        Ok(told)
    }

    /// What records do not hold by now of what was wanted, and of what was to stay as it was.
    async fn displaced(
        &self,
        changed: &[(&Prepared, i64, &Merge)],
        before: &Now,
    ) -> Result<BTreeMap<SourceKey, (Values, Values)>, StepError> {
        let ids: Vec<i64> = changed.iter().map(|(_, id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let fields = conflict::with_beside(&self.model, &self.targets);
        let found = read_back(&*self.rpc, &self.model, &fields, &ids).await?;
        let of_record = |(prepared, id, merge): &(&Prepared, i64, &Merge)| {
            // what a person wrote meanwhile is theirs
            let record = found.get(id).filter(|record| record.write_uid == self.uid)?;
            let was = before.records.get(id).map(|record| &record.values);
            let values = (&prepared.values[..], *merge);
            let values = conflict::displaced(&self.model, &self.targets, values, was, &record.values);
            let (theirs, ours) = values.into_iter().partition(|(name, _)| merge.kept.contains(name));
            Some((prepared.key.clone(), (ours, theirs)))
        };
        Ok(changed.iter().filter_map(of_record).collect())
    }
}
