//! `push` and `results`: files to and from the workspace, through a short-lived pod with the user's own rights.

mod channel;

use std::{
    fs,
    io::{IsTerminal, stderr},
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{AttachParams, AttachedProcess, DeleteParams, ListParams, PostParams},
    core::PartialObjectMeta,
};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::channel::{deliver, fetch};
use super::{
    Cluster, Error,
    pod::{self, CONTAINER, Known, PROGRAM, Standing},
    transfer::{self, TransferError},
};
use crate::{
    api::{MANAGED_BY, Migration, PUSHED, migration::Phase},
    lifecycle::{
        JobSeen, Trouble,
        verbs::{Command, Target, command},
    },
    operator::troubles::{Scene, troubles},
};

/// How long the pod may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks at it.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes that travel at once.
const CHUNK: usize = 1 << 16;

/// Brings export files into the workspace.
pub(super) async fn push(
    cluster: &Cluster,
    migration: &Migration,
    folder: &Path,
    image: Option<&str>,
) -> Result<(), Error> {
    let parcels = transfer::list(folder, None)?;
    let (files, bytes) = (parcels.len(), parcels.iter().map(|parcel| parcel.size).sum());
    let path = migration.spec.source.files_path().ok_or_else(|| {
        Error::Usage(
            "the Migration has no source.files: records come from the API alone, and there is nothing to push".into(),
        )
    })?;
    let bar = progress(&format!("pushing {files} files"), Some(bytes));
    let told = bar.clone();
    let (kept, at) = with_pod(cluster, migration, "push", image, async |pods, name| {
        let command = ["pod-receive", &home(migration), path];
        let process = exec(pods, name, &command).await?;
        deliver(process, parcels, told).await
    })
    .await?;
    bar.finish_and_clear();
    let annotations = json!({"metadata": {"annotations": {PUSHED: at.to_string()}}});
    let migration = cluster.patch(&migration.name_any(), &annotations).await?;
    println!(
        "{files} files ({}) are in {} of claim {}: {}",
        size(kept.bytes()),
        path,
        migration.spec.workspace.persistent_volume_claim.claim_name,
        kept.digest()
    );
    let phase = migration.status.as_ref().map_or(Phase::Pending, |status| status.phase);
    let target = Target {
        name: &migration.name_any(),
        namespace: &migration.namespace().unwrap_or_default(),
        laptop: false,
    };
    let conditions = migration.status.iter().flat_map(|status| &status.conditions);
    let stands = conditions
        .clone()
        .any(|condition| condition.type_ == "Stalled" && condition.status == "True");
    if let Some(when) = read_when(phase, stands, target) {
        println!("{when}");
    }
    Ok(())
}

/// When a run that has read an export already comes to what was pushed since.
fn read_when(phase: Phase, stands: bool, target: Target<'_>) -> Option<String> {
    let anew = |verb| command(Command::Request(verb), target);
    match phase {
        Phase::Extracting | Phase::Rehearsing | Phase::AwaitingMapping | Phase::PreparingSchema | Phase::Loading
            if stands =>
        {
            Some(format!(
                "The run stands still on what it has read. To begin again from these files: {}",
                anew("retry from-extract")
            ))
        }
        Phase::Pending | Phase::Validating | Phase::Discovering => None,
        Phase::Extracting | Phase::Rehearsing | Phase::AwaitingMapping | Phase::PreparingSchema | Phase::Loading => {
            Some(format!(
                "The run goes on with what it has read; a round before the cutover brings what differs. To begin again from these \
             files: {}",
                anew("retry from-extract")
            ))
        }
        Phase::Synchronising => Some("A round reads them now.".to_owned()),
        Phase::CuttingOver => Some("The cutover reads them, unless it is past that.".to_owned()),
        Phase::Completed | Phase::Cancelled => Some(format!("The run is over. To read them: {}", anew("rerun"))),
    }
}

/// Brings results out of the workspace.
pub(super) async fn results(
    cluster: &Cluster,
    migration: &Migration,
    into: &Path,
    all: bool,
    image: Option<&str>,
) -> Result<(), Error> {
    for folder in transfer::RESULTS {
        free(into, folder)?;
    }
    let local = |source| TransferError::Io {
        path: into.to_path_buf(),
        source,
    };
    fs::create_dir_all(into).map_err(local)?;
    let beside = tempfile::Builder::new()
        .prefix(".crmferry-")
        .tempdir_in(into)
        .map_err(local)?;
    let arrived = beside.path().join("arrived");
    let bar = progress("fetching", None);
    let told = bar.clone();
    let place = arrived.clone();
    let (manifest, _) = with_pod(cluster, migration, "results", image, async |pods, name| {
        let home = home(migration);
        let command = if all {
            vec!["pod-send", &home, "--all"]
        } else {
            vec!["pod-send", &home]
        };
        let process = exec(pods, name, &command).await?;
        fetch(process, place, told).await
    })
    .await?;
    bar.finish_and_clear();
    settle(&arrived, into)?;
    println!(
        "{} files ({}) are in {}: {}",
        manifest.files(),
        size(manifest.bytes()),
        into.display(),
        manifest.digest()
    );
    Ok(())
}

/// Moves what arrived to where it is wanted; nothing that is there is touched.
fn settle(arrived: &Path, into: &Path) -> Result<(), Error> {
    let local = |source| TransferError::Io {
        path: into.to_path_buf(),
        source,
    };
    let entries: Vec<_> = fs::read_dir(arrived)
        .map_err(local)?
        .collect::<Result<_, _>>()
        .map_err(local)?;
    for entry in &entries {
        free(into, &entry.file_name().to_string_lossy())?;
    }
    for entry in entries {
        fs::rename(entry.path(), into.join(entry.file_name())).map_err(local)?;
    }
    Ok(())
}

fn free(into: &Path, name: &str) -> Result<(), Error> {
    let place = into.join(name);
    if place.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} is there already: give another folder with -o, or remove it",
        place.display()
    )))
}

/// Where everything of a Migration lies in its workspace.
fn home(migration: &Migration) -> String {
    format!("{}/{}", migration.namespace().unwrap_or_default(), migration.name_any())
}

/// Does something in a pod that has the claim, and deletes the pod whatever comes of it. The time is the cluster's, when
/// it was done.
async fn with_pod<T>(
    cluster: &Cluster,
    migration: &Migration,
    verb: &str,
    image: Option<&str>,
    work: impl AsyncFnOnce(&Api<Pod>, &str) -> Result<T, Error>,
) -> Result<(T, Timestamp), Error> {
    let known = known(cluster).await;
    let image = pod::image(image, migration, &known)?;
    // from here on a signal ends us in order
    let mut signals = Signals::listen()?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let wanted = pod::build(migration, verb, &image, &known);
    let made = pods.create(&PostParams::default(), &wanted).await;
    let made = made.map_err(Error::kube("create the pod that has the workspace"))?;
    let (name, clock) = (made.name_any(), Instant::now());
    let outcome = tokio::select! {
        outcome = async {
            started(cluster, migration, &pods, &name).await?;
            work(&pods, &name).await
        } => outcome,
        () = signals.any() => Err(Error::Refused("stopped: nothing was replaced".into())),
    };
    if let Err(error) = pods.delete(&name, &DeleteParams::default()).await {
        let error = Error::kube(format!("delete pod/{name} (it ends by itself)"))(error);
        eprintln!("warning: {error}");
    }
    let created = made
        .metadata
        .creation_timestamp
        .map_or_else(Timestamp::now, |time| time.0);
    let elapsed = SignedDuration::try_from(clock.elapsed()).unwrap_or_default();
    let outcome = outcome.map_err(|error| match &error {
        Error::Refused(said) => pod::outdated(said, &image).map_or(error, Error::Refused),
        _ => error,
    });
    Ok((outcome?, created.saturating_add(elapsed).unwrap_or(created)))
}

/// Ctrl-C and SIGTERM.
struct Signals(Signal, Signal);

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|error| Error::Refused(format!("cannot listen to signals: {error}")));
        Ok(Self(listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?))
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// How pods of workers are made, as far as we may read it: the operator's Deployment here or anywhere, and its settings.
async fn known(cluster: &Cluster) -> Known {
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/name={MANAGED_BY}"));
    let apis: [Api<Deployment>; 2] = [
        Api::namespaced(cluster.client.clone(), &cluster.namespace),
        Api::all(cluster.client.clone()),
    ];
    for api in apis {
        let Ok(list) = api.list(&ours).await else { continue };
        let said = |found: &Deployment| Some((found.namespace()?, pod::operator_says(found)?));
        let Some((namespace, (image, settings))) = list.iter().find_map(said) else {
            continue;
        };
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &namespace);
        let text = match settings {
            Some(name) => maps
                .get(&name)
                .await
                .ok()
                .and_then(|map| map.data?.remove("worker.yaml")),
            None => None,
        };
        return Known {
            image: Some(image),
            settings: text.and_then(|text| serde_saphyr::from_str(&text).ok()),
        };
    }
    Known::default()
}

/// Waits until the pod can be used.
async fn started(cluster: &Cluster, migration: &Migration, pods: &Api<Pod>, name: &str) -> Result<(), Error> {
    let begun = Instant::now();
    let mut noted = String::new();
    loop {
        let seen = pods
            .get(name)
            .await
            .map_err(Error::kube(format!("look at pod/{name}")))?;
        match pod::standing(&seen) {
            Standing::Ready => return Ok(()),
            Standing::Over(why) => return Err(Error::Refused(format!("pod/{name} ended at once: {why}"))),
            Standing::Starting => {}
        }
        let found = first_trouble(cluster, migration, seen).await;
        let advice = found
            .as_ref()
            .map(|trouble| pod::advise(trouble, &migration.name_any(), &cluster.namespace));
        if begun.elapsed() > PATIENCE || found.as_ref().is_some_and(pod::is_lasting) {
            return Err(Error::Refused(advice.unwrap_or_else(|| {
                format!(
                    "pod/{name} has not started within {} s, and nothing says why: kubectl describe pod {name} -n {}",
                    PATIENCE.as_secs(),
                    cluster.namespace
                )
            })));
        }
        if let Some(advice) = advice.filter(|advice| *advice != noted) {
            eprintln!("waiting: {advice}");
            noted = advice;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why the pod does not start, as far as we may see it.
async fn first_trouble(cluster: &Cluster, migration: &Migration, pod: Pod) -> Option<Trouble> {
    let claim = &migration.spec.workspace.persistent_volume_claim.claim_name;
    let claims: Api<PartialObjectMeta<PersistentVolumeClaim>> =
        Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let missing = claims.get_metadata_opt(claim).await.is_ok_and(|found| found.is_none());
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let about = ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any()));
    let events = events.list(&about).await.map(|list| list.items).unwrap_or_default();
    let scene = Scene {
        pods: vec![pod],
        events,
        missing_claim: missing.then(|| claim.clone()),
    };
    troubles(&cluster.namespace, "", JobSeen::Pending, &scene)
        .into_iter()
        .next()
}

async fn exec(pods: &Api<Pod>, name: &str, command: &[&str]) -> Result<AttachedProcess, Error> {
    let parameters = AttachParams::default()
        .container(CONTAINER)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .max_stdin_buf_size(CHUNK)
        .max_stdout_buf_size(CHUNK);
    let command: Vec<&str> = [PROGRAM].iter().chain(command).copied().collect();
    let process = pods.exec(name, command, &parameters).await;
    process.map_err(Error::kube(format!("run a command in pod/{name}")))
}

/// A bar on a terminal; a line elsewhere.
fn progress(what: &str, bytes: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        eprintln!("{what}");
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {bytes} {bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).expect("a constant template that a test renders");
    bar.with_style(style).with_message(what.to_owned())
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_pushes_is_told_when_the_run_comes_to_it() {
        let target = Target {
            name: "acme",
            namespace: "crm",
            laptop: false,
        };
        for (phase, wanted) in [
            (Phase::Discovering, None),
            (
                Phase::AwaitingMapping,
                Some("kubectl crmferry retry migration/acme from-extract -n crm"),
            ),
            (Phase::Synchronising, Some("now.")),
            (Phase::Completed, Some("kubectl crmferry rerun migration/acme -n crm")),
        ] {
            let stands = read_when(phase, true, target).is_some_and(|when| when.contains("stands still"));
            assert_eq!(stands, phase == Phase::AwaitingMapping);
            let when = read_when(phase, false, target);
            assert_eq!(when.is_some(), wanted.is_some(), "{phase:?}");
            assert!(
                when.unwrap_or_default().ends_with(wanted.unwrap_or_default()),
                "{phase:?}"
            );
        }
    }

    #[test]
    fn what_arrived_is_settled_beside_what_is_there_and_replaces_nothing() {
        let (arrived, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(arrived.path().join("results")).unwrap();
        fs::write(into.path().join("mine"), "mine").unwrap();
        settle(arrived.path(), into.path()).unwrap();
        assert!(into.path().join("results").is_dir());
        fs::create_dir(arrived.path().join("results")).unwrap();
        let refused = settle(arrived.path(), into.path()).unwrap_err();
        assert!(refused.to_string().contains("is there already"), "{refused}");
    }

    #[test]
    fn the_bar_s_templates_are_valid() {
        for template in [
            "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            "{msg} {bytes} {bytes_per_sec}",
        ] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
