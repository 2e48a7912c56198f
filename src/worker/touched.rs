//! Records that somebody else wrote to, as far as a run can see before it writes itself. Odoo names the last writer only,
//! and what it computes or copies from a record of ours to another makes that us.

use std::collections::BTreeSet;

use super::{Job, destination::Destination, error::StepError};
use crate::{mapping::Mapping, model::OdooModel, odoo::sweep};

fn path(model: &str) -> String {
    format!("touched/{model}.json")
}

/// Looks, before anything is written, which records that we made were written by others.
///
/// # Errors
/// When Odoo or the workspace fails.
pub async fn look(job: &Job, destination: &Destination, mapping: &Mapping) -> Result<(), StepError> {
    let models: BTreeSet<&OdooModel> = mapping.in_odoo().map(|object| object.model).collect();
    for OdooModel(model) in models {
        let mut touched = of(job, model).await?;
        let before = touched.len();
        touched.extend(sweep::written_by_others(&*destination.rpc, model, destination.uid).await?);
        if touched.len() > before {
            job.workspace.put_json(&path(model), &touched).await?;
        }
    }
    Ok(())
}

/// Ids of the records of a model that somebody else wrote to.
///
/// # Errors
/// When the workspace fails.
pub async fn of(job: &Job, model: &str) -> Result<BTreeSet<i64>, StepError> {
    Ok(job.workspace.get_json(&path(model)).await?.unwrap_or_default())
}
