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
            Ok(Some(_)) | Err(_) => Err(kube_error("write the PhaseRun's status")(kube::Error::Api(refusal))),
        }
    }
}

fn judge(phase_run: &PhaseRun) -> Published {
    let annotations = phase_run.metadata.annotations.as_ref();
    if annotations.is_some_and(|a| a.contains_key(CLOSED)) {
        Published::Closed
    } else {
        Published::Accepted
    }
}
