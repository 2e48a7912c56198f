//! Before the first pass: whose folder it is, what changed since, exports, what is asked for.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::BuildHasher,
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

use crate::{
    api::{Migration, MigrationSpec, MigrationStatus, Phase},
    cli::{
        error::Error,
        kubectl::transfer,
        local::{Folder, Identity},
        manifests,
    },
};

/// The identity of a folder with the manifest as it is now. What is to be cancelled ends as it began: whatever became of
/// its manifest is for the next run.
///
/// # Errors
/// [`Error::Usage`] where the folder is another Migration's; [`Error::Invalid`] where the manifest changes what is frozen.
pub fn identify(
    found: Option<Identity>,
    manifest: &Migration,
    namespace: &str,
    destination: &str,
    status: Option<&MigrationStatus>,
    cancels: bool,
) -> Result<Identity, Error> {
    let name = manifest.metadata.name.clone().unwrap_or_default();
    let Some(mut identity) = found else {
        return Ok(Identity {
            uid: uid(),
            namespace: namespace.to_owned(),
            name,
            generation: 1,
            spec: manifest.spec.clone(),
            destination: destination.to_owned(),
            pushed: None,
        });
    };
    if (identity.namespace.as_str(), identity.name.as_str()) != (namespace, name.as_str()) {
        return Err(Error::Usage(format!(
            "the workspace is that of migration {}/{}, not of {namespace}/{name}: give another --workspace",
            identity.namespace, identity.name
        )));
    }
    if identity.destination != destination {
        return Err(Error::Usage(format!(
            "the workspace was begun with --destination {}, and what it keeps speaks of that Odoo: give another \
             --workspace for --destination {destination}",
            identity.destination
        )));
    }
    if cancels {
        return Ok(identity);
    }
    if let Some(what) = frozen_change(&identity.spec, &manifest.spec, status) {
        return Err(Error::Invalid(vec![manifests::error(
            "Frozen",
            "spec",
            what.to_owned(),
        )]));
    }
    if identity.spec != manifest.spec {
        identity.spec = manifest.spec.clone();
        identity.generation += 1;
    }
    Ok(identity)
}

/// What the CRD's transition rules would refuse.
fn frozen_change(old: &MigrationSpec, new: &MigrationSpec, status: Option<&MigrationStatus>) -> Option<&'static str> {
    let (before, after) = (&old.destination.odoo, &new.destination.odoo);
    if old.source.account != new.source.account || before.external_id_module != after.external_id_module {
        return Some(
            "source.account and externalIdModule are immutable: they are part of every external id; another account takes another --workspace",
        );
    }
    let free = status.is_none_or(|status| {
        matches!(
            status.phase,
            Phase::Pending | Phase::Validating | Phase::Completed | Phase::Cancelled
        )
    });
    if free {
        return None;
    }
    let same = |spec: &MigrationSpec| {
        (
            spec.source.clone(),
            spec.mapping_spec_ref.clone(),
            spec.workspace.clone(),
            spec.mode,
        )
    };
    if same(old) != same(new) {
        return Some(
            "source, mappingSpecRef, workspace and mode are frozen while a run is under way: cancel it first (--cancel)",
        );
    }
    let (mut before, mut after) = (before.clone(), after.clone());
    before.limits = crate::api::migration::Limits::default();
    after.limits = crate::api::migration::Limits::default();
    (before != after)
        .then_some("destination (other than limits) is frozen while a run is under way: cancel it first (--cancel)")
}

/// 128 bits that nobody else has, as uids are written.
fn uid() -> String {
    let bits = || RandomState::new().hash_one(Timestamp::now().as_nanosecond());
    let (high, low) = (bits(), bits());
    let hex = format!("{high:016x}{low:016x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// Copies an export folder into the workspace: beside first, then renamed whole.
///
/// # Errors
/// When there is nothing to copy, or something cannot be copied.
pub fn push(folder: &Folder, path: &str, exports: &Path) -> Result<(), Error> {
    let target = folder.path(clean(path)?);
    if fs::canonicalize(exports).is_ok_and(|from| fs::canonicalize(&target).is_ok_and(|to| from == to)) {
        return Err(Error::Usage(
            "--exports is the workspace's own folder: leave it out".into(),
        ));
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = target.with_file_name(&name);
    name.push(".old");
    let old = target.with_file_name(&name);
    remove(&beside)?;
    let own = fs::canonicalize(folder.path("")).map_err(Error::io("read", folder.path("")))?;
    // the workspace may lie in the folder
    let parcels = transfer::list(exports, Some(&own)).map_err(|error| Error::Usage(error.to_string()))?;
    for parcel in parcels {
        let to = beside.join(&parcel.name);
        let place = to.parent().unwrap_or(&beside);
        fs::create_dir_all(place).map_err(Error::io("make", place))?;
        fs::copy(&parcel.path, &to).map_err(Error::io("copy", &parcel.path))?;
    }
    remove(&old)?;
    if target.exists() {
        fs::rename(&target, &old).map_err(Error::io("rename", &target))?;
    }
    fs::rename(&beside, &target).map_err(Error::io("rename", &beside))?;
    remove(&old)
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// A path below the workspace.
fn clean(path: &str) -> Result<PathBuf, Error> {
    let parts: PathBuf = Path::new(path)
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    let below = !parts.as_os_str().is_empty() && parts.components().all(|part| matches!(part, Component::Normal(_)));
    if below {
        Ok(parts)
    } else {
        Err(Error::Usage(format!(
            "source.files.path {path} is no folder of the workspace"
        )))
    }
}

/// The request annotation: what was asked for; on a workspace whose run is over, the next run; where exports were missed,
/// another look at once.
#[must_use]
pub fn request(asked: Option<&str>, status: Option<&MigrationStatus>, now: Timestamp) -> Option<String> {
    let over = status.is_some_and(|status| matches!(status.phase, Phase::Completed | Phase::Cancelled));
    let missed = status.is_some_and(|status| status.waiting_for.iter().any(|wait| wait.what == "ExportMissing"));
    let verb = asked
        .or_else(|| over.then_some("rerun"))
        .or_else(|| missed.then_some("retry"))?;
    Some(format!("{verb} {}", now.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::migration::Mode,
        cli::{error::Exit, run::tests::manifest},
    };

    fn status(phase: Phase) -> MigrationStatus {
        MigrationStatus {
            phase,
            ..MigrationStatus::default()
        }
    }

    fn identity() -> Identity {
        identify(None, &manifest(), "crm", "memory", None, false).unwrap()
    }

    #[test]
    fn a_folder_keeps_its_uid_and_counts_changes_of_the_spec() {
        let first = identity();
        let again = identify(Some(first.clone()), &manifest(), "crm", "memory", None, false).unwrap();
        assert_eq!(again, first);
        let mut changed = manifest();
        changed.spec.cutover.max_delta = 5;
        let later = identify(
            Some(first.clone()),
            &changed,
            "crm",
            "memory",
            Some(&status(Phase::Loading)),
            false,
        )
        .unwrap();
        assert_eq!((later.generation, later.uid), (2, first.uid));
        assert_ne!(identity().uid, identity().uid);
    }

    #[test]
    fn a_folder_is_refused_to_another_migration_and_to_another_odoo() {
        for (namespace, destination) in [("other", "memory"), ("crm", "odoo")] {
            let refused = identify(Some(identity()), &manifest(), namespace, destination, None, true).unwrap_err();
            assert!(refused.to_string().contains("--workspace"), "{refused}");
        }
    }

    #[test]
    fn a_manifest_that_changes_what_is_frozen_is_refused_and_does_not_stand_in_the_way_of_a_cancel() {
        let mut changed = manifest();
        changed.spec.destination.odoo.url = "https://other.example".into();
        let status = status(Phase::Discovering);
        let with = |cancels| identify(Some(identity()), &changed, "crm", "memory", Some(&status), cancels);
        let refused = with(false).unwrap_err();
        assert_eq!(refused.exit(), Exit::Invalid);
        assert!(refused.to_string().contains("--cancel"), "{refused}");
        assert_eq!(with(true).unwrap().spec, manifest().spec);
    }

    #[test]
    fn what_the_crd_freezes_is_frozen_here_too() {
        let frozen = |change: fn(&mut MigrationSpec), phase| {
            let mut new = manifest();
            change(&mut new.spec);
            frozen_change(&manifest().spec, &new.spec, Some(&status(phase))).is_some()
        };
        assert!(frozen(|spec| spec.mode = Mode::DryRun, Phase::Loading));
        assert!(!frozen(|spec| spec.mode = Mode::DryRun, Phase::Completed));
        assert!(frozen(
            |spec| spec.destination.odoo.database = "x".into(),
            Phase::Loading
        ));
        assert!(!frozen(
            |spec| spec.destination.odoo.limits.connections = Some(2),
            Phase::Loading
        ));
        assert!(!frozen(|spec| spec.suspend = true, Phase::Loading));
        assert!(frozen(|spec| spec.source.account = "x".into(), Phase::Completed));
    }

    #[test]
    fn a_run_that_is_over_is_followed_by_the_next_unless_something_else_is_asked() {
        let now = Timestamp::from_second(1).unwrap();
        let loading = status(Phase::Loading);
        assert_eq!(
            request(None, Some(&status(Phase::Completed)), now).as_deref(),
            Some("rerun 1000")
        );
        assert_eq!(request(None, Some(&loading), now), None);
        assert_eq!(request(None, None, now), None);
        assert_eq!(
            request(Some("retry from-extract"), Some(&loading), now).as_deref(),
            Some("retry from-extract 1000")
        );
    }

    #[test]
    fn exports_are_replaced_whole() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Folder::new(to.path());
        fs::write(from.path().join("a.csv"), "id\n1\n").unwrap();
        push(&folder, "exports/", from.path()).unwrap();
        fs::remove_file(from.path().join("a.csv")).unwrap();
        assert!(push(&folder, "exports/", from.path()).is_err());
        assert!(to.path().join("exports/a.csv").exists());
        fs::write(from.path().join("b.csv"), "id\n1\n").unwrap();
        push(&folder, "exports/", from.path()).unwrap();
        assert!(!to.path().join("exports/a.csv").exists());
        assert!(to.path().join("exports/b.csv").exists());
        assert!(push(&folder, "../exports", from.path()).is_err());
    }

    #[test]
    fn what_lies_deeper_in_an_export_folder_comes_along_and_the_workspace_does_not() {
        let from = tempfile::tempdir().unwrap();
        let (deep, workspace) = (from.path().join("files/2025"), from.path().join("ws"));
        for made in [&deep, &workspace] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(deep.join("a.pdf"), "a").unwrap();
        push(&Folder::new(&workspace), "exports/", from.path()).unwrap();
        assert_eq!(fs::read(workspace.join("exports/files/2025/a.pdf")).unwrap(), b"a");
        assert!(!workspace.join("exports/ws").exists());
        for link in [deep.join("out"), from.path().join("out")] {
            std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
            let refused = push(&Folder::new(&workspace), "exports/", from.path()).unwrap_err();
            assert!(refused.to_string().contains("links are not followed"), "{refused}");
            fs::remove_file(&link).unwrap();
        }
        assert!(
            workspace.join("exports/files/2025/a.pdf").exists(),
            "what was there stays"
        );
    }
}
