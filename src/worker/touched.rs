//! Records that somebody else wrote to, as far as a run can see before it writes itself. Odoo names the last writer only,
//! and what it computes or copies from a record of ours to another makes that us.

use std::collections::BTreeSet;

use super::{Job, destination::Destination, error::StepError};
use crate::{
    api::mapping_spec::OnSourceDelete,
    mapping::{Mapping, Object},
    odoo::{identity, verify},
};

fn path(object: &str) -> String {
    format!("touched/{object}.json")
}

/// Looks, before anything is written, which records of the objects that may lose some were written by others.
///
/// # Errors
/// When Odoo or the workspace fails.
pub async fn look(job: &Job, destination: &Destination, module: &str, mapping: &Mapping) -> Result<(), StepError> {
    let may_lose = |object: &Object| object.on_source_delete == OnSourceDelete::Unlink;
    for object in mapping.in_odoo().filter(|object| may_lose(object)) {
        let (rpc, model) = (&*destination.rpc, &object.model.0);
        let ours = identity::find_all(rpc, module, &object.name, model).await?;
        let ids: Vec<i64> = ours.iter().map(|identity| identity.res_id).collect();
        let mut touched = of(job, &object).await?;
        touched.extend(verify::written_by_others(rpc, model, &ids, destination.uid).await?);
        job.workspace.put_json(&path(&object.name), &touched).await?;
    }
    Ok(())
}

/// Ids of the records of an object that somebody else wrote to.
///
/// # Errors
/// When the workspace fails.
pub async fn of(job: &Job, object: &Object) -> Result<BTreeSet<i64>, StepError> {
    Ok(job.workspace.get_json(&path(&object.name)).await?.unwrap_or_default())
}
