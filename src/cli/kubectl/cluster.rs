//! The cluster as kubectl would reach it, and what is read there.

use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::PartialObjectMeta,
};
use serde_json::Value;

use super::{error::Error, target};
use crate::api::{LABEL_MIGRATION, Migration, PLUGIN, PhaseRun};

/// How the cluster is reached, as kubectl has it.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Reach {
    /// Namespace; that of the context where not given.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Context of the kubeconfig; the current one where not given.
    #[arg(long, global = true, value_name = "CONTEXT")]
    context: Option<String>,
    /// Path of the kubeconfig; $KUBECONFIG or ~/.kube/config where not given.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A namespace of a cluster.
pub(super) struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig; does not call yet.
    pub async fn connect(reach: Reach) -> Result<Self, Error> {
        let options = KubeConfigOptions {
            context: reach.context,
            cluster: None,
            user: None,
        };
        // kube's own text names the causes already
        let unusable = |error: &dyn std::error::Error| {
            Error::Refused(format!(
                "no usable kubeconfig: {error}; give --kubeconfig FILE, or set KUBECONFIG"
            ))
        };
        let config = match (reach.kubeconfig, &options.context) {
            (Some(path), _) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unusable(&error))?;
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| unusable(&error))
            }
            (None, Some(_)) => Config::from_kubeconfig(&options)
                .await
                .map_err(|error| unusable(&error)),
            (None, None) => Config::infer().await.map_err(|error| unusable(&error)),
        }?;
        let namespace = reach.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self { client, namespace })
    }

    pub fn migrations(&self) -> Api<Migration> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Migration that is meant.
    pub async fn migration(&self, wanted: Option<&str>) -> Result<Migration, Error> {
        let name = match wanted {
            Some(text) => target::parse(text)?,
            None => target::only(self.names().await?, &self.namespace)?,
        };
        match self.get(&name).await {
            Err(error) if error.is_not_found() => {
                // who may get one by name need not be allowed to list them, but then the first error says it all
                let there = self.names().await.unwrap_or_default();
                let unknown = error.to_string().contains("does not know Crmferry's resources");
                Err(if unknown {
                    error
                } else {
                    target::absent(&name, there, &self.namespace)
                })
            }
            found => found,
        }
    }

    /// A Migration by its exact name.
    pub async fn get(&self, name: &str) -> Result<Migration, Error> {
        let read = self.migrations().get(name).await;
        read.map_err(Error::kube(format!("read migration/{name}")))
    }

    async fn names(&self) -> Result<Vec<String>, Error> {
        let api: Api<PartialObjectMeta<Migration>> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api.list_metadata(&ListParams::default()).await;
        let list = list.map_err(Error::kube(format!("list migrations in namespace {}", self.namespace)))?;
        Ok(list.iter().map(ResourceExt::name_any).collect())
    }

    /// The PhaseRuns of a Migration.
    pub async fn phase_runs(&self, migration: &str) -> Result<Vec<PhaseRun>, Error> {
        let api: Api<PhaseRun> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = ListParams::default().labels(&format!("{LABEL_MIGRATION}={migration}"));
        let list = api.list(&ours).await;
        Ok(list.map_err(Error::kube("list its PhaseRuns"))?.items)
    }

    /// Changes a Migration, as the plugin.
    pub async fn patch(&self, name: &str, patch: &Value) -> Result<Migration, Error> {
        let parameters = PatchParams {
            field_manager: Some(PLUGIN.into()),
            ..PatchParams::default()
        };
        let patched = self.migrations().patch(name, &parameters, &Patch::Merge(patch)).await;
        patched.map_err(Error::kube(format!("change migration/{name}")))
    }

    /// Who we are to the API server.
    pub async fn whoami(&self) -> Result<String, Error> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let review = review.map_err(Error::kube("ask who you are (SelfSubjectReview)"))?;
        let user = review.status.and_then(|status| status.user_info?.username);
        user.ok_or_else(|| Error::Refused("the API server does not say who you are".into()))
    }
}
