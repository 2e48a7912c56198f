//! After `retry from-extract` the truth is in Odoo: every record is compared with what is there, whatever the ledger says
//! of it. The ledger stays, for it alone knows what we wrote last and what therefore is a person's.

use std::collections::BTreeSet;

use futures::TryStreamExt;

use super::{Job, error::StepError};
use crate::{mapping::Mapping, workspace::WorkspaceError};

/// The objects that are still to be compared.
const RECHECK: &str = "recheck.json";

/// Asks for it. A ledger that is damaged goes, with all others: they are built again from Odoo.
///
/// # Errors
/// When the workspace fails.
pub async fn everything(job: &Job, mapping: &Mapping) -> Result<(), StepError> {
    let objects: BTreeSet<String> = mapping.in_odoo().map(|object| object.name.clone()).collect();
    for object in &objects {
        match job.workspace.ledger(object).try_for_each(|_| async { Ok(()) }).await {
            Ok(()) => {}
            Err(WorkspaceError::Damaged { .. }) => {
                job.workspace.drop_ledgers().await?;
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(job.workspace.put_json(RECHECK, &objects).await?)
}

/// Whether an object is to be compared, record by record.
///
/// # Errors
/// When the workspace fails.
pub async fn is_due(job: &Job, object: &str) -> Result<bool, StepError> {
    Ok(waiting(job).await?.contains(object))
}

/// The object was compared.
///
/// # Errors
/// When the workspace fails.
pub async fn done(job: &Job, object: &str) -> Result<(), StepError> {
    let mut waiting = waiting(job).await?;
    if waiting.remove(object) {
        job.workspace.put_json(RECHECK, &waiting).await?;
    }
    Ok(())
}

async fn waiting(job: &Job) -> Result<BTreeSet<String>, StepError> {
    Ok(job.workspace.get_json(RECHECK).await?.unwrap_or_default())
}
