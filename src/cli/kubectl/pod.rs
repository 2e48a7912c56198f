//! The short-lived pod that has the workspace mounted: how it is made, and what to do when it does not start. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{
            Container, PersistentVolumeClaimVolumeSource, Pod, PodSpec, ResourceRequirements, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{ResourceExt, api::ObjectMeta};

use super::error::Error;
use crate::{
    api::{LABEL_MIGRATION, MANAGED_BY, Migration, WORKSPACE_DIR},
    lifecycle::Trouble,
    operator::{WorkerSettings, not_root, without_rights},
};

/// Our program in the image, as `deploy/Dockerfile` has it: `exec` knows no entry point.
pub(super) const PROGRAM: &str = "/usr/local/bin/crmferry";
/// Name of the pod's one container.
pub(super) const CONTAINER: &str = "transfer";
/// Seconds after which the pod ends whatever happens to us.
pub(super) const LONGEST: i64 = 6 * 3600;
/// Group of the worker's files where the operator's settings cannot be read: the image's.
const GROUP: i64 = 65_532;
/// The operator's flag that names the image of workers.
const IMAGE_FLAG: &str = "--worker-image=";

/// How pods of workers are made here, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// Image of workers.
    pub image: Option<String>,
    /// Settings of workers.
    pub settings: Option<WorkerSettings>,
}

/// Image of workers and the ConfigMap with their settings, as an operator's Deployment names them.
pub(super) fn operator_says(deployment: &Deployment) -> Option<(String, Option<String>)> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let mut arguments = pod
        .containers
        .iter()
        .flat_map(|container| container.args.iter().flatten());
    let image = arguments.find_map(|argument| argument.strip_prefix(IMAGE_FLAG))?;
    let mut volumes = pod.volumes.iter().flatten().filter(|volume| volume.name == "settings");
    let settings = volumes.find_map(|volume| Some(volume.config_map.as_ref()?.name.clone()));
    Some((image.to_owned(), settings))
}

/// The image to use: the one asked for, the one of the run, the one new runs would have.
///
/// # Errors
/// Where none is known.
pub(super) fn image(asked: Option<&str>, migration: &Migration, known: &Known) -> Result<String, Error> {
    let pinned = migration.status.as_ref().and_then(|status| status.worker.as_ref());
    let pinned = pinned
        .map(|worker| worker.image.as_str())
        .filter(|image| !image.is_empty());
    asked.or(pinned).or(known.image.as_deref()).map(str::to_owned).ok_or_else(|| {
        Error::Refused(
            "which image? The Migration has pinned none yet and the operator's Deployment cannot be read: give --image IMAGE, \
             the one that the chart installs"
                .into(),
        )
    })
}

/// The pod. It does nothing itself: it is there to be exec'd into.
pub(super) fn build(migration: &Migration, verb: &str, image: &str, known: &Known) -> Pod {
    let settings = known.settings.clone().unwrap_or_else(|| WorkerSettings {
        fs_group: Some(GROUP),
        ..WorkerSettings::default()
    });
    let name = migration.name_any();
    let claim = migration.spec.workspace.persistent_volume_claim.claim_name.clone();
    let labels = [
        ("app.kubernetes.io/name", MANAGED_BY),
        ("app.kubernetes.io/part-of", MANAGED_BY),
        ("app.kubernetes.io/component", CONTAINER),
        ("app.kubernetes.io/instance", &name),
        (LABEL_MIGRATION, &name),
    ];
    let mut all: BTreeMap<String, String> = settings.pod_labels;
    all.extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-{verb}-")),
            namespace: migration.namespace(),
            labels: Some(all),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            active_deadline_seconds: Some(LONGEST),
            restart_policy: Some("Never".into()),
            termination_grace_period_seconds: Some(2),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: Some(settings.image_pull_secrets).filter(|secrets| !secrets.is_empty()),
            node_selector: Some(settings.node_selector).filter(|selector| !selector.is_empty()),
            tolerations: Some(settings.tolerations).filter(|tolerations| !tolerations.is_empty()),
            security_context: Some(not_root(settings.fs_group)),
            containers: vec![container(image, settings.image_pull_policy)],
            volumes: Some(vec![Volume {
                name: "workspace".into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim,
                    read_only: None,
                }),
                ..Volume::default()
            }]),
            ..PodSpec::default()
        }),
        status: None,
    }
}

fn container(image: &str, pull_policy: Option<String>) -> Container {
    let quantities = |cpu: &str, memory: &str| {
        let pairs = [("cpu", cpu), ("memory", memory)];
        Some(
            pairs
                .map(|(name, text)| (name.to_owned(), Quantity(text.to_owned())))
                .into(),
        )
    };
    Container {
        name: CONTAINER.into(),
        image: Some(image.to_owned()),
        image_pull_policy: pull_policy,
        command: Some(vec![
            PROGRAM.into(),
            "pod-idle".into(),
            "--seconds".into(),
            LONGEST.to_string(),
        ]),
        resources: Some(ResourceRequirements {
            requests: quantities("10m", "32Mi"),
            limits: quantities("1", "128Mi"),
            claims: None,
        }),
        security_context: Some(without_rights()),
        volume_mounts: Some(vec![VolumeMount {
            name: "workspace".into(),
            mount_path: WORKSPACE_DIR.into(),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// How a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can be exec'd into.
    Ready,
    /// It is on its way.
    Starting,
    /// It is over, for whatever it says.
    Over(String),
}

pub(super) fn standing(pod: &Pod) -> Standing {
    let Some(status) = &pod.status else {
        return Standing::Starting;
    };
    let containers = || status.container_statuses.iter().flatten();
    match status.phase.as_deref() {
        Some("Running") if containers().any(|container| container.ready) => Standing::Ready,
        Some(phase @ ("Succeeded" | "Failed")) => {
            let terminated = containers().find_map(|container| container.state.as_ref()?.terminated.as_ref());
            let told = [
                status.reason.clone(),
                status.message.clone(),
                terminated.and_then(|ended| ended.reason.clone()),
                terminated.and_then(|ended| ended.message.clone()),
                // as the parser of arguments ends: it has no other way to tell, unless the log is read
                terminated
                    .filter(|ended| ended.exit_code == 2)
                    .map(|_| "unrecognized subcommand pod-idle".to_owned()),
            ];
            let told: Vec<String> = told.into_iter().flatten().collect();
            let why = if told.is_empty() {
                phase.to_owned()
            } else {
                told.join(": ")
            };
            Standing::Over(why)
        }
        _ => Standing::Starting,
    }
}

/// What it means that our program in the image does not understand what is asked of it, or is not there.
pub(super) fn outdated(said: &str, image: &str) -> Option<String> {
    let unknown = ["unrecognized subcommand", "unexpected argument", "StartError"];
    unknown.iter().any(|words| said.contains(words)).then(|| {
        format!(
            "the image {image} does not understand this kubectl-crmferry ({}): it is of another version; use the plugin \
             of the image's version, or give --image with an image of this one ({})",
            env!("CARGO_PKG_VERSION"),
            said.lines().next().unwrap_or_default()
        )
    })
}

/// Whether waiting longer cannot help.
pub(super) fn is_lasting(trouble: &Trouble) -> bool {
    let image = trouble.reason.contains("Image") && trouble.reason != "ErrImagePull";
    let config = [
        "ClaimMissing",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ];
    image || config.contains(&trouble.reason.as_str())
}

/// A trouble, what to do about it, and the command that shows more.
pub(super) fn advise(trouble: &Trouble, migration: &str, namespace: &str) -> String {
    let Trouble {
        reason,
        message,
        command,
    } = trouble;
    let in_use = message.contains("ReadWriteOncePod") || message.contains("Multi-Attach");
    let advice = if in_use {
        format!(
            "another pod, such as a worker at work, has the claim: wait for it, or pause the Migration meanwhile \
             (kubectl crmferry pause migration/{migration} -n {namespace})"
        )
    } else if reason.contains("Image") {
        "give --image with an image that the nodes can pull".into()
    } else {
        match reason.as_str() {
            "ClaimMissing" => format!("spec.workspace of migration/{migration} names it"),
            "Unschedulable" => "make room on a node, or let the claim be bound".into(),
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => "see to the volume behind the claim".into(),
            _ => "see what the cluster says about it".into(),
        }
    };
    format!("{reason}: {message}; {advice} (more: {command})")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::kubectl::testing::migration;

    fn deployment(args: &Value) -> Deployment {
        serde_json::from_value(json!({"spec": {"selector": {}, "template": {"spec": {
            "containers": [{"name": "operator", "args": args}],
            "volumes": [{"name": "settings", "configMap": {"name": "crmferry-worker"}}]}}}}))
        .unwrap()
    }

    #[test]
    fn the_image_is_the_one_asked_for_or_pinned_or_the_operator_s() {
        let said = operator_says(&deployment(&json!(["operator", "--worker-image=crmferry:2"])));
        assert_eq!(said, Some(("crmferry:2".into(), Some("crmferry-worker".into()))));
        assert_eq!(operator_says(&deployment(&json!(["serve"]))), None);
        let known = Known {
            image: Some("crmferry:2".into()),
            settings: None,
        };
        let pinned = migration(&json!({"worker": {"version": "1", "image": "crmferry:1"}}));
        let laptop = migration(&json!({"worker": {"version": "1", "image": ""}}));
        for (asked, migration, known, wanted) in [
            (Some("mine"), &pinned, &known, Some("mine")),
            (None, &pinned, &known, Some("crmferry:1")),
            (None, &laptop, &known, Some("crmferry:2")),
            (None, &laptop, &Known::default(), None),
        ] {
            assert_eq!(image(asked, migration, known).ok().as_deref(), wanted);
        }
    }

    #[test]
    fn the_pod_passes_the_restricted_profile_and_has_no_right_at_all() {
        let pod = serde_json::to_value(build(&migration(&json!({})), "push", "crmferry:1", &Known::default())).unwrap();
        let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
        for (found, wanted) in [
            (&pod["metadata"]["generateName"], json!("acme-push-")),
            (&spec["automountServiceAccountToken"], json!(false)),
            (&spec["activeDeadlineSeconds"], json!(LONGEST)),
            (&spec["restartPolicy"], json!("Never")),
            (&spec["securityContext"]["runAsNonRoot"], json!(true)),
            (&spec["securityContext"]["fsGroup"], json!(GROUP)),
            (
                &spec["securityContext"]["seccompProfile"]["type"],
                json!("RuntimeDefault"),
            ),
            (
                &spec["volumes"],
                json!([{"name": "workspace", "persistentVolumeClaim": {"claimName": "ferry"}}]),
            ),
            (&container["securityContext"]["allowPrivilegeEscalation"], json!(false)),
            (&container["securityContext"]["readOnlyRootFilesystem"], json!(true)),
            (&container["securityContext"]["capabilities"], json!({"drop": ["ALL"]})),
            (
                &container["volumeMounts"],
                json!([{"name": "workspace", "mountPath": "/workspace"}]),
            ),
        ] {
            assert_eq!(found, &wanted);
        }
        assert!(
            pod["metadata"]["labels"].get("app.kubernetes.io/managed-by").is_none(),
            "the operator's own pods only"
        );
    }

    #[test]
    fn settings_of_workers_hold_for_the_pod_too() {
        let settings = serde_saphyr::from_str(
            "imagePullSecrets: [{name: pull}]\nfsGroup: 7\nnodeSelector: {disk: ssd}\npodLabels: {team: crm}\n\
             imagePullPolicy: Never\ntolerations: [{key: crm}]\n",
        )
        .unwrap();
        let known = Known {
            image: None,
            settings: Some(settings),
        };
        let pod = serde_json::to_value(build(&migration(&json!({})), "push", "i", &known)).unwrap();
        for (found, wanted) in [
            (&pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}])),
            (&pod["spec"]["securityContext"]["fsGroup"], json!(7)),
            (&pod["spec"]["nodeSelector"], json!({"disk": "ssd"})),
            (&pod["spec"]["tolerations"], json!([{"key": "crm"}])),
            (&pod["metadata"]["labels"]["team"], json!("crm")),
            (&pod["spec"]["containers"][0]["imagePullPolicy"], json!("Never")),
        ] {
            assert_eq!(found, &wanted);
        }
    }

    #[test]
    fn a_pod_is_ready_when_its_container_runs_and_over_when_it_ended() {
        let pod = |status: Value| -> Pod { serde_json::from_value(json!({"status": status})).unwrap() };
        let state = |ready: bool| json!({"name": "t", "image": "i", "imageID": "", "ready": ready, "restartCount": 0});
        assert_eq!(standing(&Pod::default()), Standing::Starting);
        assert_eq!(standing(&pod(json!({"phase": "Pending"}))), Standing::Starting);
        assert_eq!(
            standing(&pod(json!({"phase": "Running", "containerStatuses": [state(false)]}))),
            Standing::Starting
        );
        assert_eq!(
            standing(&pod(json!({"phase": "Running", "containerStatuses": [state(true)]}))),
            Standing::Ready
        );
        let mut ended = state(false);
        ended["state"] = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}});
        let over = standing(&pod(json!({"phase": "Failed", "containerStatuses": [ended]})));
        assert_eq!(over, Standing::Over("StartError: no such file".into()));
        assert_eq!(
            standing(&pod(json!({"phase": "Succeeded"}))),
            Standing::Over("Succeeded".into())
        );
    }

    #[test]
    fn an_image_of_another_version_is_named_with_what_to_do() {
        let mut ended = json!({"name": "t", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
        ended["state"] = json!({"terminated": {"exitCode": 2, "reason": "Error"}});
        let pod: Pod =
            serde_json::from_value(json!({"status": {"phase": "Failed", "containerStatuses": [ended]}})).unwrap();
        let Standing::Over(why) = standing(&pod) else {
            panic!("it is over")
        };
        let clap = "error: unrecognized subcommand 'pod-receive'\n\nUsage: crmferry [OPTIONS]";
        for said in [
            why.as_str(),
            clap,
            "error: unexpected argument '--all' found",
            "StartError: no such file",
        ] {
            let told = outdated(said, "crmferry:0.0.9").unwrap();
            assert!(
                told.contains("crmferry:0.0.9") && told.contains("--image") && !told.contains('\n'),
                "{told}"
            );
        }
        assert_eq!(outdated("exports/ is not a folder", "crmferry:0.0.9"), None);
    }

    #[test]
    fn every_trouble_comes_with_what_to_do() {
        for (reason, message, lasting, wanted) in [
            (
                "Unschedulable",
                "no node takes pod x: node has pod using PersistentVolumeClaim with the same name and \
              ReadWriteOncePod access mode",
                false,
                "kubectl crmferry pause migration/acme -n crm",
            ),
            (
                "Unschedulable",
                "no node takes pod x: insufficient cpu",
                false,
                "make room",
            ),
            ("ErrImagePull", "image x", false, "--image"),
            ("ImagePullBackOff", "image x", true, "--image"),
            ("ErrImageNeverPull", "image x", true, "--image"),
            (
                "ClaimMissing",
                "there is no claim",
                true,
                "spec.workspace of migration/acme",
            ),
            ("FailedMount", "no such folder", false, "see to the volume"),
            ("CreateContainerError", "what", true, "what the cluster says"),
        ] {
            let trouble = Trouble {
                reason: reason.into(),
                message: message.into(),
                command: "kubectl describe".into(),
            };
            assert_eq!(is_lasting(&trouble), lasting, "{reason}");
            let advice = advise(&trouble, "acme", "crm");
            assert!(
                advice.contains(wanted) && advice.contains(message) && advice.ends_with("(more: kubectl describe)")
            );
        }
    }
}
