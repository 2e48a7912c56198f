//! The Odoo of a Migration: opened with its Secret, driven within its limits, locked while we write.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{
    Job,
    error::{StepError, of_rpc},
    heart::Pulse,
};
use crate::{
    api::phase_run::{Failure, FailureReason},
    mapping::Mapping,
    odoo::{
        json2::{Json2, Json2Options, Secret},
        limits::{LimitSettings, Limited},
        lock::{self, Acquired, Holder},
        memory::Memory,
        rpc::Rpc,
        sweep,
    },
};

/// The way to Odoo.
#[derive(Clone)]
pub enum Door {
    /// The server of the manifest, with a Secret mounted as a folder.
    Server {
        /// Folder with the file `apiKey`.
        secret: PathBuf,
        /// File with CA certificates; may be absent.
        ca: PathBuf,
    },
    /// An Odoo in memory.
    Memory(Arc<Memory>),
}

/// An Odoo that lets us in.
pub struct Destination {
    /// The connection.
    pub rpc: Arc<dyn Rpc>,
    /// Id of the API key's user: the migration user.
    pub uid: i64,
    /// Writers at once.
    pub connections: usize,
}

/// Time between two beats of the lock; it ages out in ten minutes.
const LOCK_BEAT: Duration = Duration::from_secs(60);
/// A call that runs longer is worth a word to people.
const SLOW: Duration = Duration::from_secs(10);

struct Watch(Arc<Limited>);

impl Pulse for Watch {
    fn oldest_call(&self) -> Option<Duration> {
        self.0.oldest_call()
    }

    fn trouble(&self) -> Option<Failure> {
        if let Some(error) = self.0.trouble() {
            return Some(of_rpc(&error).failure());
        }
        let age = self.0.oldest_call().filter(|age| *age >= SLOW)?;
        Some(Failure {
            reason: FailureReason::DestinationUnavailable,
            message: format!(
                "a call to Odoo has been running for {} s without an answer; it is given up at 120 s and read back",
                age.as_secs()
            ),
        })
    }
}

impl Destination {
    /// Opens the way to Odoo and asks who we are.
    ///
    /// # Errors
    /// When the Secret lacks its key, or Odoo does not let us in.
    pub async fn open(job: &Job) -> Result<Self, StepError> {
        let odoo = &job.migration.spec.destination.odoo;
        let wire: Arc<dyn Rpc> = match &job.door {
            Door::Memory(memory) => memory.clone(),
            Door::Server { secret, ca } => {
                let options = Json2Options {
                    url: odoo.url.clone(),
                    database: odoo.database.clone(),
                    api_key: api_key(secret, &odoo.secret_ref.name)?,
                    insecure: odoo.insecure,
                    ca_pem: certificates(ca, odoo.ca_bundle.is_some())?,
                };
                Arc::new(Json2::new(options)?)
            }
        };
        let settings = match job.door {
            Door::Memory(_) => LimitSettings::unlimited(),
            Door::Server { .. } => LimitSettings::of(&odoo.limits),
        };
        let connections = settings.connections;
        let limited = Arc::new(Limited::new(wire, settings));
        job.heart.watch(Arc::new(Watch(limited.clone())));
        // a server that does not answer is named within seconds, not after the patience of a long call
        let uid = tokio::time::timeout(SLOW, sweep::whoami(&*limited)).await.map_err(|_| {
            of_rpc(&crate::odoo::rpc::RpcError::Unknown {
                message: format!("no answer within {} s", SLOW.as_secs()),
            })
        })??;
        Ok(Self {
            rpc: limited,
            uid,
            connections,
        })
    }

    /// Takes the lock in Odoo, or refreshes ours. Called before the first write of a step.
    ///
    /// # Errors
    /// [`FailureReason::DestinationLock`] naming the holder; Odoo's.
    pub async fn lock(&self, job: &Job, mapping: &Mapping) -> Result<Lock, StepError> {
        let models: Vec<_> = {
            let mut models: Vec<_> = mapping.objects.iter().map(|object| object.model.clone()).collect();
            models.sort();
            models.dedup();
            models
        };
        let marks = sweep::marks(&*self.rpc, &models).await?;
        let me = holder(job, marks);
        match lock::acquire(&*self.rpc, &me, (job.now)(), job.spec.orders.unlock).await? {
            Acquired::Ours(holder) => Ok(Lock::start(self.rpc.clone(), job, holder)),
            Acquired::HeldBy(other) => Err(StepError {
                reason: FailureReason::DestinationLock,
                message: format!(
                    "another migration writes to this Odoo: {} (cluster {}, run {}, last sign of life {}); it waits its turn, or take over with: kubectl crmferry unlock migration/{} -n {}",
                    other.name, other.cluster, other.run, other.beat, job.migration_name(), job.namespace(),
                ),
                exit: crate::lifecycle::Exit::LockHeld,
            }),
        }
    }
}

fn holder(job: &Job, marks: BTreeMap<String, i64>) -> Holder {
    Holder {
        cluster: match job.door {
            Door::Memory(_) => "laptop".into(),
            Door::Server { .. } => std::env::var("CRMFERRY_CLUSTER").unwrap_or_else(|_| "kubernetes".into()),
        },
        name: format!("{}/{}", job.namespace(), job.migration_name()),
        uid: job.migration.metadata.uid.clone().unwrap_or_default(),
        run: job.spec.run,
        beat: (job.now)(),
        marks,
        waiting: None,
    }
}

/// The lock while it is ours; beaten until it ends.
pub struct Lock {
    rpc: Arc<dyn Rpc>,
    holder: Holder,
    beating: JoinHandle<()>,
}

impl Lock {
    fn start(rpc: Arc<dyn Rpc>, job: &Job, holder: Holder) -> Self {
        let beating = {
            let (rpc, holder, heart, now) = (rpc.clone(), holder.clone(), job.heart.clone(), job.now);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LOCK_BEAT).await;
                    if !heart.may_send() {
                        return;
                    }
                    if let Err(error) = lock::beat(&*rpc, &holder, now()).await {
                        tracing::warn!(%error, "the lock in Odoo was not beaten");
                    }
                }
            })
        };
        Self { rpc, holder, beating }
    }

    /// Highest ids of the models when the first run first took the lock: what is above may be an orphan.
    #[must_use]
    pub fn mark(&self, model: &str) -> i64 {
        self.holder.marks.get(model).copied().unwrap_or(i64::MAX)
    }

    /// At a step's end: kept for the next step, unless somebody waits for it.
    ///
    /// # Errors
    /// When Odoo fails.
    pub async fn end(self, job: &Job) -> Result<(), StepError> {
        if lock::wanted(&*self.rpc, &self.holder).await? {
            self.release().await?;
        } else {
            lock::beat(&*self.rpc, &self.holder, (job.now)()).await?;
        }
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When Odoo fails.
    pub async fn release(self) -> Result<(), StepError> {
        self.beating.abort();
        lock::release(&*self.rpc, &self.holder).await?;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Gives the lock back when told to stop, if it is ours and Odoo answers soon.
pub async fn give_back_on_stop(job: &Job) {
    if !super::release::may_hold_lock(job.spec.phase) || job.heart.fenced() {
        return;
    }
    match tokio::time::timeout(SLOW, release(job)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the lock in Odoo was not given back; it ages out in 10 minutes"),
        Err(_) => tracing::warn!("the lock in Odoo was not given back in time; it ages out in 10 minutes"),
    }
}

/// Gives the lock back if it is ours.
///
/// # Errors
/// When Odoo fails.
pub async fn release(job: &Job) -> Result<(), StepError> {
    let destination = Destination::open(job).await?;
    lock::release(&*destination.rpc, &holder(job, BTreeMap::new())).await?;
    Ok(())
}

fn api_key(folder: &Path, secret: &str) -> Result<Secret, StepError> {
    let read = std::fs::read_to_string(folder.join("apiKey"));
    let key = read.ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    key.map(Secret::new).ok_or_else(|| {
        StepError::configuration(
            FailureReason::SecretMissing,
            format!("odoo needs the key apiKey in the Secret {secret}: make it with: kubectl create secret generic {secret} --from-file=apiKey=FILE"),
        )
    })
}

fn certificates(file: &Path, wanted: bool) -> Result<Option<Vec<u8>>, StepError> {
    if !wanted {
        return Ok(None);
    }
    std::fs::read(file).map(Some).map_err(|_| {
        StepError::configuration(
            FailureReason::SecretMissing,
            "the CA bundle is not there: make the ConfigMap and the key that destination.odoo.caBundle names",
        )
    })
}
