//! What the chart tells the operator.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, ResourceRequirements, Toleration};
use serde::Deserialize;

use super::Error;

/// Arguments of `crmferry operator`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Namespaces to watch, separated by commas; all of them where none is given.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Image that Jobs run.
    #[arg(long, value_name = "IMAGE")]
    pub worker_image: String,
    /// File with the settings of worker pods (YAML or JSON); the defaults where not given.
    #[arg(long, value_name = "FILE")]
    pub worker_settings: Option<PathBuf>,
    /// Address that probes and metrics are served at.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
}

/// What the operator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespaces to watch; empty means all.
    pub watch_namespaces: Vec<String>,
    /// Image that Jobs of a new run use.
    pub worker_image: String,
    /// How worker pods are made.
    pub worker: WorkerSettings,
    /// Address that probes and metrics are served at.
    pub listen: SocketAddr,
}

impl Settings {
    /// The settings that arguments stand for; reads the file they name.
    ///
    /// # Errors
    /// When that file cannot be read or is invalid.
    pub fn load(args: Args) -> Result<Self, Error> {
        let worker = match args.worker_settings {
            None => WorkerSettings::default(),
            Some(path) => match std::fs::read_to_string(&path) {
                Err(source) => return Err(Error::ReadSettings { path, source }),
                Ok(text) => serde_saphyr::from_str(&text).map_err(|source| Error::InvalidSettings {
                    path,
                    source: Box::new(source),
                })?,
            },
        };
        let named = args.watch_namespaces.into_iter().filter(|name| !name.is_empty());
        Ok(Self {
            watch_namespaces: named.collect(),
            worker_image: args.worker_image,
            worker,
            listen: args.listen,
        })
    }
}

/// How worker pods are made: the chart's `worker`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Service account of worker pods.
    pub service_account_name: String,
    /// Requests and limits.
    pub resources: ResourceRequirements,
    /// When the image is pulled.
    pub image_pull_policy: Option<String>,
    /// Secrets the image is pulled with.
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Labels a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Further labels of pods.
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of pods.
    pub pod_annotations: BTreeMap<String, String>,
    /// Further environment variables.
    pub env: Vec<EnvVar>,
    /// Group that owns the volumes.
    pub fs_group: Option<i64>,
    /// Seconds between SIGTERM and SIGKILL.
    pub termination_grace_period_seconds: i64,
    /// Size limit of the pod-local scratch.
    pub scratch_size: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            service_account_name: "crmferry-worker".into(),
            resources: ResourceRequirements::default(),
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            pod_labels: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            env: Vec::new(),
            fs_group: None,
            termination_grace_period_seconds: 30,
            scratch_size: "2Gi".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_yaml_and_from_json_and_nothing_unknown_passes() {
        let yaml = "resources: {limits: {memory: 256Mi}}\ntolerations: [{key: a, operator: Exists}]\nfsGroup: 65532\n";
        let settings: WorkerSettings = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(settings.fs_group, Some(65532));
        assert_eq!(settings.termination_grace_period_seconds, 30);
        assert_eq!(settings.tolerations[0].key.as_deref(), Some("a"));
        let json = r#"{"podLabels": {"team": "crm"}, "env": [{"name": "RUST_LOG", "value": "debug"}]}"#;
        let settings: WorkerSettings = serde_saphyr::from_str(json).unwrap();
        assert_eq!(settings.env[0].name, "RUST_LOG");
        assert!(serde_saphyr::from_str::<WorkerSettings>("colour: red\n").is_err());
        assert_eq!(
            serde_saphyr::from_str::<WorkerSettings>("{}").unwrap(),
            WorkerSettings::default()
        );
    }
}
