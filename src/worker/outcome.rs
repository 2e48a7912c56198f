//! What became of records, for people: rows of the results files.

use std::collections::BTreeSet;

use super::{
    error::StepError,
    index::{Index, Kind},
    reader::Met,
    tally::{Fate, Tally},
    waits::Waits,
};
use crate::{
    api::phase_run::{File, ReasonKind},
    mapping::{Awaited, Item, Object},
    model::{ExternalId, OdooValue, Rejection, SourceKey},
    workspace::{Outcome, ResultKind, ResultRow, ResultsWriter, Workspace},
};

/// The results files of an object, while it is handled.
pub struct Results(ResultsWriter);

impl Results {
    /// Begins the files of an object.
    #[must_use]
    pub fn begin(workspace: &Workspace, object: &str) -> Self {
        Self(workspace.results(object))
    }

    /// A record that is in Odoo as it should be.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn succeeded(
        &mut self,
        key: &SourceKey,
        external: &ExternalId,
        id: i64,
        fate: Fate,
    ) -> Result<(), StepError> {
        let row = ResultRow {
            key: key.0.clone(),
            external_id: external.name.clone(),
            id: Some(id),
            outcome: word(fate),
            ..ResultRow::default()
        };
        Ok(self.0.push(ResultKind::Succeeded, &row).await?)
    }

    /// A record that is a row of a document.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn written(&mut self, key: &SourceKey, fate: Fate) -> Result<(), StepError> {
        let row = ResultRow {
            key: key.0.clone(),
            outcome: word(fate),
            ..ResultRow::default()
        };
        Ok(self.0.push(ResultKind::Succeeded, &row).await?)
    }

    /// A record that Odoo refused.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn failed(&mut self, key: &SourceKey, rejection: &Rejection) -> Result<(), StepError> {
        Ok(self
            .0
            .push(ResultKind::Failed, &refusal(Some(key), rejection, Outcome::Failed))
            .await?)
    }

    /// A record that the mapping refused, or that could not be read.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn rejected(&mut self, key: Option<&SourceKey>, rejection: &Rejection) -> Result<(), StepError> {
        Ok(self
            .0
            .push(ResultKind::Rejected, &refusal(key, rejection, Outcome::Rejected))
            .await?)
    }

    /// A record that waits for one that is not in Odoo.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn held(&mut self, key: &SourceKey, why: &Rejection) -> Result<(), StepError> {
        Ok(self
            .0
            .push(ResultKind::Held, &refusal(Some(key), why, Outcome::Held))
            .await?)
    }

    /// A departure from the source that is allowed.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn note(&mut self, key: &SourceKey, note: &Rejection) -> Result<(), StepError> {
        let row = ResultRow {
            key: key.0.clone(),
            code: note.code.clone(),
            field: note.field.clone(),
            message: note.message.clone(),
            ..ResultRow::default()
        };
        Ok(self.0.push(ResultKind::Noted, &row).await?)
    }

    /// Puts the files in place.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn finish(self) -> Result<Vec<File>, StepError> {
        Ok(self.0.finish().await?)
    }
}

/// Counts and lists a record that the mapping refused.
///
/// # Errors
/// When the workspace fails.
pub async fn reject(
    tally: &mut Tally,
    results: &mut Results,
    key: Option<&SourceKey>,
    rejection: &Rejection,
) -> Result<(), StepError> {
    tally.count(Fate::Rejected);
    tally.reason(ReasonKind::Rejected, rejection, key);
    results.rejected(key, rejection).await
}

/// Counts and lists a record that waits: for others, or, where it `awaits` none, to be made in Odoo itself.
///
/// # Errors
/// When the workspace or the scratch disk fails.
pub async fn hold(
    (tally, results, waits): (&mut Tally, &mut Results, &mut Waits),
    index: &mut Index,
    object: &str,
    key: &SourceKey,
    (awaits, why): (&[Awaited], &[Rejection]),
) -> Result<(), StepError> {
    tally.count(Fate::Held);
    index.put(Kind::Held, object, key.0.as_bytes(), Vec::new())?;
    if awaits.is_empty() {
        waits.is_missing(key);
    } else {
        waits.waits(awaits);
        waits.waiting += 1;
    }
    for why in awaits.iter().map(|awaited| &awaited.why).chain(why) {
        tally.reason(ReasonKind::Held, why, Some(key));
        results.held(key, why).await?;
    }
    Ok(())
}

/// Why a record is held that nothing in Odoo matches, with what to look for.
#[must_use]
pub fn not_in_odoo(object: &Object, values: &[(String, OdooValue)]) -> Rejection {
    let entries: Vec<_> = object.match_on.iter().map(|entry| entry.join("+")).collect();
    let fields: BTreeSet<&String> = object.match_on.iter().flatten().collect();
    let texts = fields.into_iter().filter_map(|field| {
        let (_, value) = values.iter().find(|(name, _)| name == field)?;
        match value {
            OdooValue::Text(text) => Some(format!("{field} {text}")),
            _ => None,
        }
    });
    let message = format!(
        "nothing in Odoo matches ({}), and onNew is Hold: make it there",
        texts.collect::<Vec<_>>().join(", ")
    );
    Rejection::new("NotInOdoo", entries.join(", "), message)
}

/// Counts what needs no mapping; what does is given back.
///
/// # Errors
/// When the workspace fails.
pub async fn sift(tally: &mut Tally, results: &mut Results, met: Met) -> Result<Option<Item>, StepError> {
    match met {
        Met::Item(item) => return Ok(Some(item)),
        Met::Filtered => tally.count(Fate::Filtered),
        Met::Duplicate(key, differs) => {
            tally.count(Fate::Deduplicated);
            if differs {
                let note = Rejection::new(
                    "DuplicateDiffers",
                    "",
                    "a later record with this key differs from the first",
                );
                tally.reason(ReasonKind::Noted, &note, Some(&key));
                results.note(&key, &note).await?;
            }
        }
        Met::Rejected(key, rejection) => reject(tally, results, key.as_ref(), &rejection).await?,
    }
    Ok(None)
}

fn refusal(key: Option<&SourceKey>, rejection: &Rejection, outcome: Outcome) -> ResultRow {
    ResultRow {
        key: key.map(|key| key.0.clone()).unwrap_or_default(),
        outcome: Some(outcome),
        code: rejection.code.clone(),
        field: rejection.field.clone(),
        message: rejection.message.clone(),
        ..ResultRow::default()
    }
}

const fn word(fate: Fate) -> Option<Outcome> {
    Some(match fate {
        Fate::Created => Outcome::Created,
        Fate::Adopted => Outcome::Adopted,
        Fate::Updated => Outcome::Updated,
        Fate::Unchanged => Outcome::Unchanged,
        Fate::Rejected => Outcome::Rejected,
        Fate::Failed => Outcome::Failed,
        Fate::Deduplicated => Outcome::Deduplicated,
        Fate::Held => Outcome::Held,
        Fate::Filtered | Fate::Deferred | Fate::Unprocessed => return None,
    })
}
