//! What the operator makes: PhaseRuns, Jobs, sealed evidence. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Capabilities, ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource,
            KeyToPath, ObjectFieldSelector, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec,
            PodTemplateSpec, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::OwnerReference},
};
use kube::{Resource, ResourceExt, api::ObjectMeta};

use super::{Error, WorkerSettings};
use crate::api::{
    self, EVIDENCE_KEY, LABEL_MANAGED_BY, LABEL_MIGRATION, LABEL_PHASE, MANAGED_BY, Migration, PhaseRun, PhaseRunSpec,
};

/// Name of the one container of a worker's pod.
pub(super) const CONTAINER: &str = "worker";
/// Size limit of `/tmp` in a worker's pod.
const TMP_SIZE: &str = "64Mi";

/// The PhaseRun of an attempt.
pub(super) fn phase_run(migration: &Migration, name: &str, spec: PhaseRunSpec) -> Result<PhaseRun, Error> {
    let labels = labels(migration, Some(spec.phase.word()));
    let mut phase_run = PhaseRun::new(name, spec);
    phase_run.metadata = child(migration, name, labels)?;
    Ok(phase_run)
}

/// The Job of an attempt: one Job, one pod; whether there is another attempt is decided elsewhere.
pub(super) fn job(
    migration: &Migration,
    name: &str,
    spec: &PhaseRunSpec,
    settings: &WorkerSettings,
) -> Result<Job, Error> {
    let labels = labels(migration, Some(spec.phase.word()));
    let mut pod_labels = settings.pod_labels.clone();
    // ours last: the operator finds its pods by them
    pod_labels.extend(labels.clone());
    Ok(Job {
        metadata: child(migration, name, labels)?,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            completions: Some(1),
            parallelism: Some(1),
            pod_replacement_policy: Some("Failed".into()),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    annotations: Some(settings.pod_annotations.clone()).filter(|a| !a.is_empty()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(migration, name, spec, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// Sealed evidence: can be read and deleted, never changed.
pub(super) fn evidence(migration: &Migration, name: &str, json: &str) -> Result<ConfigMap, Error> {
    Ok(ConfigMap {
        metadata: child(migration, name, labels(migration, None))?,
        immutable: Some(true),
        data: Some(BTreeMap::from([(EVIDENCE_KEY.to_owned(), json.to_owned())])),
        binary_data: None,
    })
}

fn child(migration: &Migration, name: &str, labels: BTreeMap<String, String>) -> Result<ObjectMeta, Error> {
    Ok(ObjectMeta {
        name: Some(name.to_owned()),
        namespace: migration.namespace(),
        labels: Some(labels),
        owner_references: Some(vec![owner(migration)?]),
        ..ObjectMeta::default()
    })
}

fn owner(migration: &Migration) -> Result<OwnerReference, Error> {
    migration
        .controller_owner_ref(&())
        .ok_or(Error::Incomplete("metadata.uid"))
}

fn labels(migration: &Migration, phase: Option<&str>) -> BTreeMap<String, String> {
    let name = migration.name_any();
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), MANAGED_BY.to_owned()),
        ("app.kubernetes.io/part-of".to_owned(), MANAGED_BY.to_owned()),
        (LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned()),
        ("app.kubernetes.io/instance".to_owned(), name.clone()),
        (LABEL_MIGRATION.to_owned(), name),
    ]);
    if let Some(phase) = phase {
        labels.insert("app.kubernetes.io/component".to_owned(), CONTAINER.to_owned());
        labels.insert(LABEL_PHASE.to_owned(), phase.to_owned());
    }
    labels
}

fn pod(migration: &Migration, name: &str, spec: &PhaseRunSpec, settings: &WorkerSettings) -> PodSpec {
    PodSpec {
        restart_policy: Some("Never".into()),
        service_account_name: Some(settings.service_account_name.clone()),
        termination_grace_period_seconds: Some(settings.termination_grace_period_seconds),
        enable_service_links: Some(false),
        image_pull_secrets: Some(settings.image_pull_secrets.clone()).filter(|s| !s.is_empty()),
        node_selector: Some(settings.node_selector.clone()).filter(|s| !s.is_empty()),
        tolerations: Some(settings.tolerations.clone()).filter(|t| !t.is_empty()),
        security_context: Some(not_root(settings.fs_group)),
        containers: vec![Container {
            name: CONTAINER.into(),
            image: Some(spec.image.clone()),
            image_pull_policy: settings.image_pull_policy.clone(),
            args: Some(vec!["worker".into(), "--phase-run".into(), name.to_owned()]),
            env: Some(environment(settings)),
            resources: Some(settings.resources.clone()),
            // the kubelet shows the last log lines of a failed worker in the pod's status
            termination_message_policy: Some("FallbackToLogsOnError".into()),
            security_context: Some(without_rights()),
            volume_mounts: Some(
                volumes(migration, settings)
                    .into_iter()
                    .map(|(_, mount)| mount)
                    .collect(),
            ),
            ..Container::default()
        }],
        volumes: Some(
            volumes(migration, settings)
                .into_iter()
                .map(|(volume, _)| volume)
                .collect(),
        ),
        ..PodSpec::default()
    }
}

/// What a pod of ours may: nothing that the restricted profile forbids. Its files are of the group, where there is one.
pub(crate) fn not_root(group: Option<i64>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        fs_group: group,
        fs_group_change_policy: group.map(|_| "OnRootMismatch".into()),
        seccomp_profile: Some(runtime_default()),
        ..PodSecurityContext::default()
    }
}

/// What a container of ours may: nothing but write to its volumes.
pub(crate) fn without_rights() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".into(),
        localhost_profile: None,
    }
}

/// Who the pod is, then what the chart adds. Secrets come as files, never from here.
fn environment(settings: &WorkerSettings) -> Vec<EnvVar> {
    let field = |name: &str, path: &str| EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.into(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
    };
    let mut environment = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
    ];
    environment.extend(settings.env.iter().cloned());
    environment
}

/// Every volume and where it is mounted. Secret and CA bundle are optional, so that a worker can start and say what is
/// missing.
fn volumes(migration: &Migration, settings: &WorkerSettings) -> Vec<(Volume, VolumeMount)> {
    let odoo = &migration.spec.destination.odoo;
    let mut volumes = vec![
        mounted("workspace", api::WORKSPACE_DIR, false, |volume| {
            volume.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
                claim_name: migration.spec.workspace.persistent_volume_claim.claim_name.clone(),
                read_only: None,
            });
        }),
        mounted("odoo", api::ODOO_SECRET_DIR, true, |volume| {
            volume.secret = Some(SecretVolumeSource {
                secret_name: Some(odoo.secret_ref.name.clone()),
                optional: Some(true),
                default_mode: None,
                items: None,
            });
        }),
        mounted("scratch", api::SCRATCH_DIR, false, |volume| {
            volume.empty_dir = Some(sized(&settings.scratch_size));
        }),
        mounted("tmp", "/tmp", false, |volume| volume.empty_dir = Some(sized(TMP_SIZE))),
    ];
    if let Some(bundle) = &odoo.ca_bundle {
        let reference = &bundle.config_map_key_ref;
        volumes.push(mounted("ca", api::CA_DIR, true, |volume| {
            volume.config_map = Some(ConfigMapVolumeSource {
                name: reference.name.clone(),
                optional: Some(true),
                items: Some(vec![KeyToPath {
                    key: reference.key.clone(),
                    path: reference.key.clone(),
                    mode: None,
                }]),
                default_mode: None,
            });
        }));
    }
    volumes
}

fn mounted(name: &str, path: &str, read_only: bool, source: impl FnOnce(&mut Volume)) -> (Volume, VolumeMount) {
    let mut volume = Volume {
        name: name.into(),
        ..Volume::default()
    };
    source(&mut volume);
    let mount = VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn sized(limit: &str) -> EmptyDirVolumeSource {
    EmptyDirVolumeSource {
        size_limit: Some(Quantity(limit.to_owned())),
        medium: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::script::migration, *};
    use crate::api::phase_run::{Orders, Step};

    fn built(settings: &WorkerSettings) -> serde_json::Value {
        let spec = PhaseRunSpec {
            migration: "acme".into(),
            run: 1,
            phase: Step::Extract,
            object: None,
            attempt: 1,
            plan_digest: None,
            image: "crmferry:pinned".into(),
            orders: Orders::default(),
        };
        let job = job(&migration(&json!(null)), "acme-extract-r1a1", &spec, settings).unwrap();
        serde_json::to_value(job).unwrap()
    }

    #[test]
    fn a_pod_has_no_right_it_does_not_need_and_sees_secrets_as_files_alone() {
        let job = built(&WorkerSettings::default());
        let pod = &job["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(container["image"], "crmferry:pinned");
        assert_eq!(
            container["env"]
                .as_array()
                .unwrap()
                .iter()
                .map(|v| v["name"].as_str().unwrap())
                .collect::<Vec<_>>(),
            ["POD_NAME", "POD_NAMESPACE"]
        );
        assert!(!job.to_string().contains("secretKeyRef"));
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mounts: Vec<_> = mounts
            .iter()
            .map(|m| (m["mountPath"].as_str().unwrap(), m["readOnly"] == true))
            .collect();
        assert_eq!(
            mounts,
            [
                ("/workspace", false),
                ("/secrets/odoo", true),
                ("/scratch", false),
                ("/tmp", false),
                ("/ca", true)
            ]
        );
        assert_eq!(
            pod["volumes"][1]["secret"],
            json!({"secretName": "odoo", "optional": true})
        );
        assert_eq!(pod["volumes"][2]["emptyDir"]["sizeLimit"], "2Gi");
    }

    #[test]
    fn every_setting_of_the_chart_reaches_the_pod_and_none_hides_it_from_the_operator() {
        let settings: WorkerSettings = serde_saphyr::from_str(
            "serviceAccountName: w\nimagePullPolicy: Always\nimagePullSecrets: [{name: pull}]\n\
             nodeSelector: {disk: ssd}\ntolerations: [{key: crm}]\npodLabels: {team: crm, crmferry.io/migration: x}\n\
             podAnnotations: {a: b}\nenv: [{name: HTTPS_PROXY, value: p}]\nfsGroup: 7\n\
             terminationGracePeriodSeconds: 9\nscratchSize: 1Gi\nresources: {limits: {memory: 256Mi}}\n",
        )
        .unwrap();
        let job = built(&settings);
        let template = &job["spec"]["template"];
        let pod = &template["spec"];
        for (found, wanted) in [
            (&pod["serviceAccountName"], json!("w")),
            (&pod["containers"][0]["imagePullPolicy"], json!("Always")),
            (&pod["imagePullSecrets"], json!([{"name": "pull"}])),
            (&pod["nodeSelector"], json!({"disk": "ssd"})),
            (&pod["tolerations"], json!([{"key": "crm"}])),
            (&template["metadata"]["labels"]["team"], json!("crm")),
            (&template["metadata"]["labels"][LABEL_MIGRATION], json!("acme")),
            (&template["metadata"]["annotations"], json!({"a": "b"})),
            (&pod["containers"][0]["env"][2]["name"], json!("HTTPS_PROXY")),
            (&pod["securityContext"]["fsGroup"], json!(7)),
            (&pod["terminationGracePeriodSeconds"], json!(9)),
            (&pod["volumes"][2]["emptyDir"]["sizeLimit"], json!("1Gi")),
            (&pod["containers"][0]["resources"]["limits"]["memory"], json!("256Mi")),
        ] {
            assert_eq!(found, &wanted);
        }
    }
}
