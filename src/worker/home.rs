//! Where an attempt lives: what it reads of its Migration and where it reports. A cluster, or a laptop's folder.

use async_trait::async_trait;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::api::{CLOSED, MappingSpec, Migration, PhaseRun, PhaseRunStatus, WORKER};

/// What an attempt may ask of the place it lives in.
#[async_trait]
pub trait Home: Send + Sync {
    /// The Migration as it is now.
    async fn migration(&self) -> Result<Migration, HomeError>;
    /// The MappingSpec of that name; `None` where there is none.
    async fn mapping_spec(&self, name: &str) -> Result<Option<MappingSpec>, HomeError>;
    /// Writes the attempt's status whole.
    async fn publish(&self, status: &PhaseRunStatus) -> Result<Published, HomeError>;
    /// Whether there is no cluster: `crmferry run` is all there is.
    fn is_laptop(&self) -> bool {
        false
    }
}

/// How a report was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It was stored.
    Accepted,
    /// The attempt was superseded: it must stop.
    Closed,
}

/// The place could not be reached, or refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The API server.
    #[error("failed to {action}")]
    Kube {
        /// What was being done.
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server does not know what a report says.
    #[error(
        "the API server refuses the report of this worker ({what}): the CRDs are most likely older than worker {}: \
         install those of its version (helm upgrade, or crmferry crds | kubectl apply --server-side -f -), then retry",
        env!("CARGO_PKG_VERSION")
    )]
    Refused {
        /// The fields it is about, without values.
        what: String,
    },
    /// The laptop's folder.
    #[error("failed to {action}")]
    Folder {
        /// What was being done.
        action: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A pod's home: its PhaseRun on the API server.
pub struct ClusterHome {
    migrations: Api<Migration>,
    mapping_specs: Api<MappingSpec>,
    phase_runs: Api<PhaseRun>,
    migration: String,
    phase_run: String,
}

fn kube_error(action: &'static str) -> impl FnOnce(kube::Error) -> HomeError {
    move |source| HomeError::Kube {
        action,
        source: Box::new(source),
    }
}

impl ClusterHome {
    /// Finds the PhaseRun this pod was made for.
    ///
    /// # Errors
    /// When the API server cannot be asked, or has no such PhaseRun.
    pub async fn open(client: Client, namespace: &str, phase_run: &str) -> Result<(Self, PhaseRun), HomeError> {
        let phase_runs = Api::<PhaseRun>::namespaced(client.clone(), namespace);
        let found = phase_runs
            .get(phase_run)
            .await
            .map_err(kube_error("get the PhaseRun"))?;
        let home = Self {
            migrations: Api::namespaced(client.clone(), namespace),
            mapping_specs: Api::namespaced(client, namespace),
            phase_runs,
            migration: found.spec.migration.clone(),
            phase_run: phase_run.to_owned(),
        };
        Ok((home, found))
    }
}

#[async_trait]
impl Home for ClusterHome {
    async fn migration(&self) -> Result<Migration, HomeError> {
        let get = self.migrations.get(&self.migration);
        get.await.map_err(kube_error("get the Migration"))
    }

    async fn mapping_spec(&self, name: &str) -> Result<Option<MappingSpec>, HomeError> {
        let get = self.mapping_specs.get_opt(name);
        get.await.map_err(kube_error("get the MappingSpec"))
    }

    async fn publish(&self, status: &PhaseRunStatus) -> Result<Published, HomeError> {
        let patch = Patch::Apply(json!({
            "apiVersion": "crmferry.io/v1alpha1", "kind": "PhaseRun", "status": status,
        }));
        let params = PatchParams::apply(WORKER).force();
        match self.phase_runs.patch_status(&self.phase_run, &params, &patch).await {
            Ok(stored) => Ok(judge(&stored)),
            // the policy denies the status of a closed PhaseRun; a deleted one has no successor to wait for either
            Err(kube::Error::Api(refusal))
                if refusal.is_forbidden() || refusal.is_not_found() || refusal.is_invalid() =>
            {
                self.refused(refusal).await
            }
            Err(kube::Error::Api(refusal)) => Err(unwritten(refusal)),
            Err(error) => Err(kube_error("write the PhaseRun's status")(error)),
        }
    }
}

impl ClusterHome {
    /// A refusal means "closed" only if the PhaseRun says so or is gone; else it is an error like any other.
    async fn refused(&self, refusal: Box<kube::core::Status>) -> Result<Published, HomeError> {
        match self.phase_runs.get_opt(&self.phase_run).await {
            Ok(None) => Ok(Published::Closed),
            Ok(Some(found)) if judge(&found) == Published::Closed => Ok(Published::Closed),
            Ok(Some(_)) | Err(_) => Err(unwritten(refusal)),
        }
    }
}

fn unwritten(refusal: Box<kube::core::Status>) -> HomeError {
    match unknown_to_crd(&refusal) {
        Some(what) => HomeError::Refused { what },
        None => kube_error("write the PhaseRun's status")(kube::Error::Api(refusal)),
    }
}

/// The fields that the CRD on the API server does not know or not allow, where a refusal is about those.
fn unknown_to_crd(refusal: &kube::core::Status) -> Option<String> {
    // an applied field without schema is no validation error, but one of typing
    if let Some((before, _)) = refusal.message.split_once(": field not declared in schema") {
        return before.rsplit(' ').next().map(str::to_owned);
    }
    // the messages of the causes quote values: fields only
    let causes = refusal.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).take(3).collect();
    refusal.is_invalid().then(|| fields.join(", "))
}

fn judge(phase_run: &PhaseRun) -> Published {
    let annotations = phase_run.metadata.annotations.as_ref();
    if annotations.is_some_and(|a| a.contains_key(CLOSED)) {
        Published::Closed
    } else {
        Published::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: serde_json::Value) -> kube::core::Status {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_report_that_an_older_crd_does_not_know_is_told_by_its_fields_and_never_by_its_values() {
        let word = refusal(json!({
            "status": "Failure", "code": 422, "reason": "Invalid",
            "message": "PhaseRun \"acme\" is invalid: status.reasons[0].example: Invalid value: \"ana@acme.com\"",
            "details": {"causes": [{"reason": "FieldValueInvalid", "message": "ana@acme.com", "field": "status.reasons[0].example"}]},
        }));
        assert_eq!(unknown_to_crd(&word).as_deref(), Some("status.reasons[0].example"));
        let field = refusal(json!({
            "status": "Failure", "code": 500, "reason": "InternalError",
            "message": "failed to create typed patch object (crm/acme; crmferry.io/v1alpha1, Kind=PhaseRun): .status.objects[0].moreReasons: field not declared in schema",
        }));
        assert_eq!(
            unknown_to_crd(&field).as_deref(),
            Some(".status.objects[0].moreReasons")
        );
        for (code, reason) in [(403, "Forbidden"), (409, "Conflict"), (500, "InternalError")] {
            let other = refusal(json!({"status": "Failure", "code": code, "reason": reason, "message": "no"}));
            assert_eq!(unknown_to_crd(&other), None, "{reason}");
        }
        let told = unwritten(Box::new(field)).to_string();
        assert!(
            told.contains("CRDs are most likely older") && told.contains("helm upgrade"),
            "{told}"
        );
    }
}
