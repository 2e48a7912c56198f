//! The plan: the compiled mapping with everything it was compiled against, stored once and pinned for the run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        mapping_spec::{MappingSpecSpec, Platform},
        phase_run::FailureReason,
    },
    mapping::{Mapping, Merged, World, compile},
    model::Digest,
    odoo::models::Models,
    source::Ways,
};

use super::error::StepError;

/// The plan document of a run, `plan/<digest>.json` in the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of the worker that made it.
    pub worker_version: String,
    /// Platform records come from.
    pub platform: Platform,
    /// Account they come from.
    pub account: String,
    /// Module of the external ids.
    pub external_id_module: String,
    /// Digest of the merged mapping.
    pub mapping_digest: Digest,
    /// The merged mapping.
    pub spec: MappingSpecSpec,
    /// Odoo's models as they were found, those that the mapping names.
    pub models: Models,
    /// Source objects that the API offered, and how they are read: one that it offers no more is no empty one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub live: Ways,
    /// Fields of the source objects that discovery saw, with how many of the records that it looked at have a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many records of each discovery looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub looked_at: BTreeMap<String, u64>,
    /// How many records each has, where discovery counted them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, u64>,
    /// Fields that the mapping reads, of the source objects that its objects are of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub read: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// The mapping, compiled again.
    ///
    /// # Errors
    /// When this program compiles it no more: it was made by another version.
    pub fn compiled(&self) -> Result<Mapping, StepError> {
        let merged = Merged {
            spec: self.spec.clone(),
            digest: self.mapping_digest.clone(),
            platform: self.platform,
        };
        let world = World {
            models: &self.models,
            odoo_known: true,
            source: None,
        };
        compile::compile(&merged, world).mapping.ok_or_else(|| {
            StepError::permanent(
                FailureReason::PlanMissing,
                format!(
                    "the plan was made by worker {} and does not compile here: replan",
                    self.worker_version
                ),
            )
        })
    }
}
