//! `crmferry report`: the report of a workspace, made anew from what lies in it.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Output,
    error::{Error, Exit},
    local::{Folder, Identity},
};
use crate::{
    api::{Migration, MigrationStatus, PhaseRunStatus},
    report::whole::{self, Facts, Report},
};

/// Arguments of `crmferry report`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the workspace.
    #[arg(short, long, value_name = "DIR")]
    pub workspace: PathBuf,
    /// How it is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Carries the command out.
///
/// # Errors
/// When the folder is no workspace.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let report = of(&Folder::new(&args.workspace))?;
    super::print(&match args.output {
        Output::Text => whole::markdown(&report),
        Output::Json => whole::json(&report),
    });
    Ok(Exit::Completed)
}

/// The report of a folder.
///
/// # Errors
/// When it is no workspace, or damaged.
pub fn of(folder: &Folder) -> Result<Report, Error> {
    let Some(identity) = folder.identity()? else {
        return Err(Error::Usage(format!(
            "{} is no workspace of crmferry run",
            folder.path("").display()
        )));
    };
    let migration = migration(&identity, folder.status()?, BTreeMap::new());
    let runs = folder.phase_runs()?;
    let runs: Vec<(String, PhaseRunStatus)> = runs
        .into_iter()
        .map(|run| (run.metadata.name.unwrap_or_default(), run.status.unwrap_or_default()))
        .collect();
    Ok(whole::report(Facts {
        migration: &migration,
        phase_runs: &runs,
        laptop: true,
        memory: identity.destination == "memory",
    }))
}

/// The Migration as an API server would show it.
#[must_use]
pub fn migration(
    identity: &Identity,
    status: Option<MigrationStatus>,
    annotations: BTreeMap<String, String>,
) -> Migration {
    let mut migration = Migration::new(&identity.name, identity.spec.clone());
    migration.metadata.namespace = Some(identity.namespace.clone());
    migration.metadata.uid = Some(identity.uid.clone());
    migration.metadata.generation = Some(identity.generation);
    migration.metadata.annotations = Some(annotations);
    migration.status = status;
    migration
}

/// Writes the report into the folder.
///
/// # Errors
/// When it cannot be made or written.
pub fn write(folder: &Folder) -> Result<Report, Error> {
    let report = of(folder)?;
    folder.put("report.md", whole::markdown(&report).as_bytes())?;
    folder.put("report.json", whole::json(&report).as_bytes())?;
    Ok(report)
}
