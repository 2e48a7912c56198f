//! `crmferry worker`: what a Job runs. Its exit codes are those of [`crate::lifecycle::Exit`].

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use kube::Client;

use super::{error::Error, signals};
use crate::{
    api::{CA_DIR, ODOO_SECRET_DIR, SCRATCH_DIR, SOURCE_SECRET_DIR, WORKSPACE_DIR},
    chain::Chain,
    lifecycle::Exit,
    source::Apis,
    worker::{
        self, Start,
        destination::Door,
        home::{ClusterHome, Home},
    },
    workspace::Workspace,
};

/// Arguments of `crmferry worker`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// PhaseRun to carry out.
    #[arg(long, value_name = "NAME")]
    pub phase_run: String,
    /// Its namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Folder of the workspace.
    #[arg(long, value_name = "DIR", default_value = WORKSPACE_DIR)]
    pub workspace: PathBuf,
    /// Folder of Odoo's Secret, a file a key.
    #[arg(long, value_name = "DIR", default_value = ODOO_SECRET_DIR)]
    pub secrets: PathBuf,
    /// Folder of the Secret of the source's API, a file a key.
    #[arg(long, value_name = "DIR", default_value = SOURCE_SECRET_DIR)]
    pub source_secrets: PathBuf,
    /// Folder of the CA certificates.
    #[arg(long, value_name = "DIR", default_value = CA_DIR)]
    pub ca: PathBuf,
    /// Folder for what is thrown away.
    #[arg(long, value_name = "DIR", default_value = SCRATCH_DIR)]
    pub scratch: PathBuf,
    /// What the lock in Odoo calls this cluster.
    #[arg(long, env = "CRMFERRY_CLUSTER", value_name = "NAME", default_value = "kubernetes")]
    pub cluster: String,
}

/// Carries one attempt out, and says how the process ends.
pub async fn run(args: Args) -> Exit {
    match start(args).await {
        Ok(start) => worker::run(start).await,
        Err(error) => {
            // without a PhaseRun there is nowhere to report: the pod's log is all there is
            tracing::error!(error = %Chain(&error), "the worker cannot start");
            match error {
                Error::Workspace(_) => Exit::Configuration,
                _ => Exit::Retry,
            }
        }
    }
}

async fn start(args: Args) -> Result<Start, Error> {
    let stop = signals::stop().map_err(Error::outside("listen to signals"))?;
    let client = Client::try_default()
        .await
        .map_err(Error::outside("connect to the cluster"))?;
    let opened = ClusterHome::open(client, &args.namespace, &args.phase_run).await;
    let (home, phase_run) = opened.map_err(Error::outside("read the PhaseRun"))?;
    let migration = home.migration().await.map_err(Error::outside("read the Migration"))?;
    let key = migration
        .spec
        .destination
        .odoo
        .ca_bundle
        .map(|bundle| bundle.config_map_key_ref.key);
    let workspace = Workspace::local(&args.workspace, &args.namespace, &phase_run.spec.migration)?;
    Ok(Start {
        home: Arc::new(home),
        name: args.phase_run,
        spec: phase_run.spec,
        workspace,
        door: Door::Server {
            secret: args.secrets,
            ca: args.ca.join(key.unwrap_or_default()),
        },
        apis: Apis::new(args.source_secrets),
        scratch: args.scratch,
        stop,
        now: Timestamp::now,
        place: args.cluster,
    })
}
