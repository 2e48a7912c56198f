//! What earlier passes proved, and what they found otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Verified, Wanted};
use crate::{
    mapping::{InOdoo, Object, TargetField},
    model::{OdooValue, SourceKey},
    odoo::{
        conflict,
        lines::{FoundLine, WrittenLines},
        verify::{Comparison, ReadRecord, compare},
    },
    worker::{Job, error::StepError},
};

/// Fields that did not hold what was sent, with the digests of what was found in them: of Odoo's making, and no person's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    /// Of the record.
    pub fields: BTreeMap<String, String>,
    /// Of its lines, by their names.
    pub lines: WrittenLines,
    /// It was sent again, and the same was found.
    #[serde(default)]
    pub tried: bool,
}

/// What earlier passes proved of an object, kept in the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Everything that was written before was read back.
    proved: bool,
    /// An attempt broke off before it had read back what it wrote.
    #[serde(default)]
    broke_off: bool,
    /// Records that were not as they were written; `None`: too many to be named.
    pub(super) mismatched: Option<BTreeMap<SourceKey, Instead>>,
    /// Keys of records that were proved and changed since, though we wrote to them last: to be looked at.
    #[serde(default)]
    changed: BTreeSet<SourceKey>,
    /// What stood where a person wrote last: theirs, whoever writes to the record next.
    #[serde(default)]
    pub(super) edited: BTreeMap<SourceKey, Instead>,
}

impl Proof {
    /// Keys that are kept.
    const MOST: usize = 10_000;

    fn path(object: &Object) -> String {
        format!("proof/{}.json", object.name)
    }

    pub(super) async fn before(job: &Job, object: &Object) -> Result<Self, StepError> {
        Ok(job.workspace.get_json(&Self::path(object)).await?.unwrap_or_default())
    }

    /// Writes are under way, and not proved until the end: should this attempt break off, the next one knows.
    ///
    /// Says which records are to be looked at, and what was found of them in place of what was sent.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn begin(job: &Job, object: &Object) -> Result<BTreeMap<SourceKey, Instead>, StepError> {
        let before = Self::before(job, object).await?;
        let changed = before.changed.iter().map(|key| (key.clone(), Instead::default()));
        let mut doubtful: BTreeMap<SourceKey, Instead> = changed.collect();
        doubtful.extend(before.mismatched.clone().unwrap_or_default());
        let begun = Self {
            proved: false,
            broke_off: !before.proved,
            mismatched: before.mismatched,
            changed: before.changed,
            edited: before.edited,
        };
        job.workspace.put_json(&Self::path(object), &begun).await?;
        Ok(doubtful)
    }

    pub(super) async fn end(
        job: &Job,
        object: &Object,
        verified: &mut Verified,
        before: &Self,
    ) -> Result<(), StepError> {
        let mut mismatched = std::mem::take(&mut verified.mismatched);
        let known = |key: &SourceKey| before.mismatched.as_ref()?.get(key);
        for (key, instead) in &mut mismatched {
            match known(key) {
                // nothing was sent, so nothing new is known
                Some(known) if instead.is_empty() => *instead = known.clone(),
                Some(known) => {
                    instead.tried = (&known.fields, &known.lines) == (&instead.fields, &instead.lines);
                }
                None => {}
            }
        }
        let changed = std::mem::take(&mut verified.changed).into_iter().take(Self::MOST);
        let proof = Self {
            proved: true,
            broke_off: false,
            mismatched: (mismatched.len() <= Self::MOST).then(|| mismatched.into_iter().collect()),
            changed: changed.collect(),
            edited: std::mem::take(&mut verified.theirs)
                .into_iter()
                .take(Self::MOST)
                .collect(),
        };
        Ok(job.workspace.put_json(&Self::path(object), &proof).await?)
    }

    /// Whether a record may not be as it was written last.
    pub(super) fn is_open(&self, wanted: &Wanted) -> bool {
        let named = self
            .mismatched
            .as_ref()
            .is_none_or(|keys| keys.contains_key(&wanted.key));
        named || (self.broke_off && wanted.of_this_run)
    }
}

impl Instead {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.lines.is_empty()
    }

    /// What stands in the fields that do not hold what was sent; of lines in those that a user wrote last, or in all. What is
    /// linked is told one by one, and what others took away of it is known.
    pub(super) fn of(
        object: InOdoo<'_>,
        wanted: &Wanted,
        (found, lines): (&ReadRecord, LinesOf<'_, '_>),
        by: Option<i64>,
    ) -> Self {
        let mut instead = Self::default();
        for (name, value) in &wanted.values {
            let (OdooValue::Lines(wanted), Some(of)) = (value, object.lines.iter().find(|of| of.field == *name)) else {
                instead
                    .fields
                    .extend(other(&object.model.0, &object.targets, found, (name, value)));
                continue;
            };
            for line in lines(name)
                .iter()
                .filter(|line| by.is_none_or(|by| line.record.write_uid == by))
            {
                let wanted = wanted.iter().find(|wanted| line.name.as_ref() == Some(&wanted.name));
                let values = wanted.into_iter().flat_map(|line| &line.values);
                let others =
                    values.filter_map(|(name, value)| other(&of.model.0, &of.targets, &line.record, (name, value)));
                let others: BTreeMap<String, String> = others.collect();
                if let Some(name) = line.name.clone().filter(|_| !others.is_empty()) {
                    instead.lines.insert(name, others);
                }
            }
        }
        instead
    }
}

/// The lines of a record that a field has.
pub(super) type LinesOf<'a, 'b> = &'b dyn Fn(&str) -> &'a [FoundLine];

/// A field that has another value than this, and the digest of that.
fn other(
    model: &str,
    targets: &[TargetField],
    found: &ReadRecord,
    (name, value): (&String, &OdooValue),
) -> Option<(String, String)> {
    let target = targets.iter().find(|target| target.name == *name)?;
    let now = found
        .values
        .get(name)
        .filter(|now| !matches!(now, OdooValue::Links(_)))?;
    let differs = compare(target, model, value, now) == Comparison::Different;
    differs.then(|| (name.clone(), conflict::field_digest(model, target, now)))
}
