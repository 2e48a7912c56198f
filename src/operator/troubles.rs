//! Why a worker's pod does not start, or was killed: the thing named, and the command that shows it. Pure.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Event, Pod},
};
use kube::ResourceExt;

use crate::lifecycle::{JobSeen, Trouble};

/// What was seen around a Job that is not known to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Events of the Job and its pods.
    pub events: Vec<Event>,
    /// The claim that the pod mounts, where it does not exist.
    pub missing_claim: Option<String>,
}

/// Waiting reasons of a container that is on its way.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Events of a pod that say why it does not start, and are shown nowhere else.
const POD_EVENTS: [&str; 4] = [
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedCreatePodSandBox",
];
/// How a container ends that never ran the worker, or was killed from outside.
const KILLED: [&str; 4] = [
    "OOMKilled",
    "StartError",
    "ContainerCannotRun",
    "ContainerStatusUnknown",
];
/// Longest message that is passed on.
const MESSAGE_MAX: usize = 600;

/// How a Job and its pods stand.
pub(super) fn job_seen(job: Option<&Job>, pods: &[Pod]) -> JobSeen {
    let Some(job) = job else {
        return JobSeen::Absent;
    };
    if job.metadata.deletion_timestamp.is_some() {
        return JobSeen::Ending;
    }
    // `FailureTarget` and `SuccessCriteriaMet` come earlier, while the pod may still live
    if is(job, "Complete") {
        return JobSeen::Complete;
    }
    if is(job, "Failed") {
        return JobSeen::Failed(pods.iter().find_map(exit_code));
    }
    let ready = job.status.as_ref().and_then(|status| status.ready).unwrap_or(0) > 0;
    let started = pods.iter().filter_map(phase).any(|phase| phase != "Pending");
    if ready || started {
        JobSeen::Running
    } else {
        JobSeen::Pending
    }
}

fn is(job: &Job, condition: &str) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == condition && c.status == "True")
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn exit_code(pod: &Pod) -> Option<i32> {
    let terminated = containers(pod).find_map(|c| c.state.as_ref()?.terminated.as_ref())?;
    Some(terminated.exit_code)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten())
}

/// Every trouble of an attempt. What only an event shows counts while nothing newer disproves it.
pub(crate) fn troubles(namespace: &str, job: &str, seen: JobSeen, scene: &Scene) -> Vec<Trouble> {
    match seen {
        JobSeen::Pending => {}
        JobSeen::Failed(_) => return scene.pods.iter().flat_map(|pod| killed(namespace, pod)).collect(),
        JobSeen::Absent | JobSeen::Running | JobSeen::Complete | JobSeen::Ending => return Vec::new(),
    }
    let mut troubles = Vec::new();
    if let Some(claim) = &scene.missing_claim {
        troubles.push(Trouble {
            reason: "ClaimMissing".into(),
            message: format!("there is no PersistentVolumeClaim {claim} in namespace {namespace}: create it"),
            command: format!("kubectl -n {namespace} get persistentvolumeclaim {claim}"),
        });
    }
    if scene.pods.is_empty() {
        troubles.extend(not_created(namespace, job, &scene.events));
    }
    for pod in &scene.pods {
        // a pod that waits for a claim is unschedulable too: saying it twice helps nobody
        if scene.missing_claim.is_none() {
            troubles.extend(unschedulable(namespace, pod));
            troubles.extend(not_mounted(namespace, pod, &scene.events));
        }
        troubles.extend(containers(pod).filter_map(|container| waiting(namespace, pod, container)));
    }
    troubles
}

fn unschedulable(namespace: &str, pod: &Pod) -> Option<Trouble> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let refused = conditions
        .iter()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    Some(Trouble {
        reason: refused.reason.clone().unwrap_or_else(|| "Unschedulable".into()),
        message: format!(
            "no node takes pod {}: {}",
            pod.name_any(),
            cut(refused.message.as_deref().unwrap_or_default())
        ),
        command: describe(namespace, "pod", &pod.name_any()),
    })
}

fn waiting(namespace: &str, pod: &Pod, container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .clone()
        .filter(|reason| !ON_ITS_WAY.contains(&reason.as_str()))?;
    let about = if reason.contains("Image") {
        format!("image {} of pod {}", container.image, pod.name_any())
    } else {
        format!("pod {}", pod.name_any())
    };
    Some(Trouble {
        message: format!("{about}: {}", cut(waiting.message.as_deref().unwrap_or(&reason))),
        reason,
        command: describe(namespace, "pod", &pod.name_any()),
    })
}

fn not_mounted(namespace: &str, pod: &Pod, events: &[Event]) -> Option<Trouble> {
    let event = latest(events, &POD_EVENTS, pod.uid().as_deref())?;
    Some(Trouble {
        reason: event.reason.clone().unwrap_or_default(),
        message: format!(
            "pod {}: {}",
            pod.name_any(),
            cut(event.message.as_deref().unwrap_or_default())
        ),
        command: describe(namespace, "pod", &pod.name_any()),
    })
}

/// The Job could not create its pod: a quota, an admission policy, a missing service account.
fn not_created(namespace: &str, job: &str, events: &[Event]) -> Option<Trouble> {
    let event = latest(events, &["FailedCreate"], None)?;
    let message = event.message.as_deref().unwrap_or_default();
    let command = if message.contains("quota") {
        format!("kubectl -n {namespace} describe resourcequota")
    } else {
        describe(namespace, "job", job)
    };
    Some(Trouble {
        reason: "FailedCreate".into(),
        message: format!("job {job} cannot create its pod: {}", cut(message)),
        command,
    })
}

fn killed(namespace: &str, pod: &Pod) -> Vec<Trouble> {
    let evicted = pod.status.as_ref().filter(|status| status.reason.is_some());
    let evicted = evicted.map(|status| (status.reason.clone(), status.message.clone()));
    let ended = containers(pod).filter_map(|container| {
        let terminated = container.state.as_ref()?.terminated.as_ref()?;
        let reason = terminated
            .reason
            .clone()
            .filter(|reason| KILLED.contains(&reason.as_str()));
        Some((Some(reason?), terminated.message.clone()))
    });
    let trouble = |(reason, message): (Option<String>, Option<String>)| Trouble {
        message: format!(
            "pod {} was ended from outside: {}",
            pod.name_any(),
            cut(message.as_deref().or(reason.as_deref()).unwrap_or_default())
        ),
        reason: reason.unwrap_or_default(),
        command: describe(namespace, "pod", &pod.name_any()),
    };
    evicted.into_iter().chain(ended).map(trouble).collect()
}

/// The newest event with one of these reasons, about the object with this uid where one is given.
fn latest<'a>(events: &'a [Event], reasons: &[&str], uid: Option<&str>) -> Option<&'a Event> {
    let about = |event: &&Event| uid.is_none() || event.involved_object.uid.as_deref() == uid;
    let fits = |event: &&Event| event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason));
    let time = |event: &&Event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| event.event_time.as_ref().map(|time| time.0))
    };
    events.iter().filter(about).filter(fits).max_by_key(time)
}

fn describe(namespace: &str, kind: &str, name: &str) -> String {
    format!("kubectl -n {namespace} describe {kind} {name}")
}

/// One line, short enough for a status.
fn cut(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_MAX) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene as a real cluster showed it.
    #[derive(serde::Deserialize)]
    struct Seen {
        job: Job,
        pods: Vec<Pod>,
        events: Vec<Event>,
    }

    fn scenes() -> std::collections::BTreeMap<String, Seen> {
        serde_json::from_str(include_str!("../../tests/fixtures/troubles.json")).unwrap()
    }

    type Row = (&'static str, JobSeen, &'static str, &'static str, &'static str);

    /// Scene, how the Job stands, and what reason, message and command are to hold.
    const TABLE: [Row; 13] = [
        (
            "claim-missing",
            JobSeen::Pending,
            "ClaimMissing",
            "PersistentVolumeClaim exports",
            "get persistentvolumeclaim exports",
        ),
        (
            "image-missing",
            JobSeen::Pending,
            "ErrImagePull",
            "image localhost/nothing:1",
            "describe pod",
        ),
        (
            "image-never",
            JobSeen::Pending,
            "ErrImageNeverPull",
            "image localhost/nothing:1",
            "describe pod",
        ),
        (
            "image-invalid",
            JobSeen::Pending,
            "InvalidImageName",
            "image localhost/No:::1",
            "describe pod",
        ),
        (
            "unschedulable",
            JobSeen::Pending,
            "Unschedulable",
            "node affinity/selector",
            "describe pod",
        ),
        (
            "root-image",
            JobSeen::Pending,
            "CreateContainerConfigError",
            "image will run as root",
            "describe pod",
        ),
        (
            "failed-mount",
            JobSeen::Pending,
            "FailedMount",
            "is not a directory",
            "describe pod",
        ),
        (
            "no-service-account",
            JobSeen::Pending,
            "FailedCreate",
            "serviceaccount \"nobody-here\" not found",
            "describe job",
        ),
        (
            "quota",
            JobSeen::Pending,
            "FailedCreate",
            "exceeded quota: none",
            "describe resourcequota",
        ),
        (
            "absent",
            JobSeen::Failed(Some(128)),
            "StartError",
            "/bin/nothing",
            "describe pod",
        ),
        (
            "hungry",
            JobSeen::Failed(Some(137)),
            "OOMKilled",
            "OOMKilled",
            "describe pod",
        ),
        ("exit20", JobSeen::Failed(Some(20)), "", "", ""),
        ("sleeps", JobSeen::Running, "", "", ""),
    ];

    #[test]
    fn every_scene_of_a_real_cluster_names_the_thing_and_the_command() {
        let mut scenes = scenes();
        for (name, wanted, reason, message, command) in TABLE {
            let Seen { job, pods, events } = scenes.remove(name).unwrap();
            let scene = Scene {
                pods,
                events,
                missing_claim: (name == "claim-missing").then(|| "exports".to_owned()),
            };
            let seen = job_seen(Some(&job), &scene.pods);
            assert_eq!(seen, wanted, "{name}");
            let found = troubles("ferry", "acme-discover-r1a1", seen, &scene);
            let reasons: Vec<_> = found.iter().map(|trouble| trouble.reason.as_str()).collect();
            assert_eq!(reasons, if reason.is_empty() { vec![] } else { vec![reason] }, "{name}");
            for trouble in found {
                assert!(trouble.message.contains(message), "{name}: {}", trouble.message);
                assert!(trouble.command.contains(command), "{name}: {}", trouble.command);
                assert!(trouble.message.chars().count() <= 1024, "{name}");
            }
        }
        assert!(scenes.is_empty(), "every scene is in the table");
    }

    #[test]
    fn a_job_that_goes_is_ending_and_one_whose_pod_only_ended_still_runs() {
        let mut scenes = scenes();
        let Seen { mut job, pods, .. } = scenes.remove("exit20").unwrap();
        job.status = Some(k8s_openapi::api::batch::v1::JobStatus::default());
        assert_eq!(job_seen(Some(&job), &pods), JobSeen::Running);
        assert_eq!(job_seen(Some(&job), &[]), JobSeen::Pending);
        job.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        assert_eq!(job_seen(Some(&job), &pods), JobSeen::Ending);
        assert_eq!(job_seen(None, &pods), JobSeen::Absent);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("a\n  b"), "a b");
        assert_eq!(cut(&"é".repeat(700)).chars().count(), MESSAGE_MAX + 1);
    }
}
