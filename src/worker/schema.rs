//! Schema: custom models and fields, before any record is sent.

use std::collections::BTreeMap;

use super::{Job, error::StepError, touched};
use crate::{
    api::phase_run::FailureReason,
    mapping::{CustomField, CustomModel, Mapping},
    odoo::{
        custom_models,
        schema::{Ensured, ensure},
    },
};

/// Where the rehearsal leaves the options that Selection fields met.
pub const OPTIONS: &str = "rehearsal/options.json";

/// Options met, by `<model>.<field>`: value to label.
pub type Options = BTreeMap<String, BTreeMap<String, String>>;

/// Carries the step out.
///
/// # Errors
/// When a field exists with another type, or Odoo fails.
pub async fn run(job: &Job) -> Result<(), StepError> {
    let plan = job.plan().await?;
    let mapping = plan.compiled()?;
    let met: Options = job.workspace.get_json(OPTIONS).await?.unwrap_or_default();
    let destination = job.destination().await?;
    let lock = destination.lock(job, &plan, &mapping).await?;
    make(job, &*destination.rpc, &mapping, &met).await?;
    touched::look(job, &destination, &mapping).await?;
    lock.end(job).await
}

/// Makes the custom models and fields of the mapping; what is there already stays.
///
/// # Errors
/// As [`run`].
pub async fn make(
    job: &Job,
    rpc: &dyn crate::odoo::rpc::Rpc,
    mapping: &Mapping,
    met: &Options,
) -> Result<(), StepError> {
    let models: BTreeMap<&str, &CustomModel> = mapping
        .objects
        .iter()
        .filter_map(|object| object.custom_model.as_ref())
        .map(|model| (model.model.0.as_str(), model))
        .collect();
    let models: Vec<CustomModel> = models.into_values().cloned().collect();
    custom_models::ensure(rpc, &models).await?;
    let fields = fields(mapping, met);
    let total = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    let ensured = ensure(rpc, &fields).await?;
    let clashes: Vec<String> = ensured
        .iter()
        .filter_map(|(field, ensured)| match ensured {
            Ensured::Clash(why) => Some(format!("{}.{}: {why}", field.model, field.name)),
            Ensured::Made | Ensured::Existed | Ensured::OptionsAdded => None,
        })
        .collect();
    if !clashes.is_empty() {
        return Err(StepError::permanent(
            FailureReason::Preflight,
            format!("custom fields clash: {}", clashes.join("; ")),
        ));
    }
    job.heart.update(|status| {
        "schema".clone_into(&mut status.progress.step);
        status.progress.done = total;
        status.progress.total = total;
        status.progress.summary = match models.len() {
            0 => format!("{total} custom fields"),
            made => format!("{made} custom models, {total} custom fields"),
        };
    });
    Ok(())
}

/// The custom fields with the options that the rehearsal met.
fn fields(mapping: &Mapping, met: &Options) -> Vec<CustomField> {
    let fields = mapping
        .objects
        .iter()
        .flat_map(|object| object.custom_fields.iter().cloned());
    fields
        .map(|mut field| {
            if field.options.is_empty()
                && let Some(options) = met.get(&format!("{}.{}", field.model, field.name))
            {
                field.options.clone_from(options);
            }
            field
        })
        .collect()
}
