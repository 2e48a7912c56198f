//! The Odoo of a Migration: opened with its Secret, driven within its limits, locked while we write.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Job,
    error::{StepError, of_rpc, secret_missing},
    heart::{Heart, Pulse},
    plan::Plan,
};
use crate::{
    api::phase_run::{Failure, FailureReason},
    lifecycle::{Exit, verbs::Command},
    mapping::Mapping,
    model::OdooModel,
    odoo::{
        choose::{Choice, Words, choose},
        http::{Secret, Server},
        json2::Json2,
        limits::{LimitSettings, Limited},
        lock::{self, Acquired, Beat, Held, Holder},
        memory::Memory,
        rpc::{Args, Rpc, RpcError},
        sweep,
        xmlrpc::XmlRpc,
    },
};

/// The way to Odoo.
#[derive(Clone)]
pub enum Door {
    /// The server of the manifest, with a Secret mounted as a folder.
    Server {
        /// Folder with the files `apiKey`, `login`, `password`, as many as there are.
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
    /// How it is called, and why so: `over JSON-2`, `over XML-RPC: the server has no JSON-2 (…)`.
    pub spoken: String,
    /// Id of the API key's user: the migration user.
    pub uid: i64,
    /// Writers at once.
    pub connections: usize,
    /// The limit of calls that is kept to.
    pub calls_per_minute: Option<u32>,
}

/// Time between two beats of the lock; it ages out in ten minutes.
const LOCK_BEAT: Duration = Duration::from_mins(1);
/// A call without an answer for so long is given up: what became of it is read back.
const CALL: Duration = Duration::from_mins(2);
/// A call that runs longer is worth a word to people.
const SLOW: Duration = Duration::from_secs(10);

/// The connection, with what is wrong with it right now: people hear of trouble while it is still worked around.
struct Watched {
    limited: Limited,
    trouble: Mutex<Option<RpcError>>,
}

#[async_trait]
impl Rpc for Watched {
    async fn call(&self, model: &str, method: &str, args: Args) -> Result<Value, RpcError> {
        let result = self.limited.call(model, method, args).await;
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = match &result {
            // refused data is a matter of records, not of the server
            Ok(_) | Err(RpcError::Rejected { .. } | RpcError::Missing { .. } | RpcError::NotFound { .. }) => None,
            Err(error) => Some(error.clone()),
        };
        result
    }

    async fn version(&self) -> Result<String, RpcError> {
        self.limited.version().await
    }
}

impl Watched {
    fn last_trouble(&self) -> Option<RpcError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Pulse for Watched {
    fn oldest_call(&self) -> Option<Duration> {
        self.limited.oldest_call()
    }

    fn trouble(&self) -> Option<Failure> {
        if let Some(error) = self.last_trouble() {
            return Some(of_rpc(&error).failure());
        }
        let age = self.limited.oldest_call().filter(|age| *age >= SLOW)?;
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
    /// Opens the way to Odoo over the API that it has, and asks who we are.
    ///
    /// # Errors
    /// When the Secret lacks a key, or Odoo does not let us in.
    pub async fn open(job: &Job) -> Result<Self, StepError> {
        let odoo = &job.migration.spec.destination.odoo;
        let (secret, ca) = match &job.door {
            Door::Memory(memory) => return Ok(Self::enter(job, memory.clone(), "in memory").await?),
            Door::Server { secret, ca } => (secret, ca),
        };
        let words = words(secret);
        let server = Server {
            url: odoo.url.clone(),
            database: odoo.database.clone(),
            insecure: odoo.insecure,
            ca_pem: certificates(ca, odoo.ca_bundle.is_some())?,
            timeout: CALL,
        };
        let mut json2 = None;
        loop {
            match choose(&words, json2.as_ref())? {
                Choice::Json2(key) => match Self::enter(job, Arc::new(Json2::new(&server, &key)?), "over JSON-2").await
                {
                    Ok(entered) => return Ok(entered),
                    Err(error) => json2 = Some(error),
                },
                Choice::XmlRpc(login, why) => {
                    let wire = Arc::new(XmlRpc::new(&server, login)?);
                    return Ok(Self::enter(job, wire, &format!("over XML-RPC: {why}")).await?);
                }
                Choice::Missing(key, keys) => {
                    if json2.is_some() {
                        // a wrong url or database is to be mended first
                        XmlRpc::look(&server).await?;
                    }
                    let told = (key, keys);
                    return Err(missing(job, secret, told));
                }
            }
        }
    }

    /// Goes in by this wire, within the limits.
    async fn enter(job: &Job, wire: Arc<dyn Rpc>, spoken: &str) -> Result<Self, RpcError> {
        let limits = LimitSettings::of(&job.migration.spec.destination.odoo.limits);
        let settings = match job.door {
            // as many writers as in earnest, but nothing needs to be spared in memory
            Door::Memory(_) => LimitSettings {
                calls_per_minute: None,
                adaptive: false,
                ..limits
            },
            Door::Server { .. } => limits,
        };
        let (connections, calls_per_minute) = (settings.connections, settings.calls_per_minute);
        let watched = Arc::new(Watched {
            limited: Limited::new(wire, settings),
            trouble: Mutex::new(None),
        });
        job.heart.watch(watched.clone());
        // a server that does not answer is named within seconds, not after the patience of a long call
        let Ok(uid) = tokio::time::timeout(SLOW, sweep::whoami(&*watched)).await else {
            let silence = || RpcError::Unknown {
                message: format!("no answer within {} s", SLOW.as_secs()),
            };
            return Err(watched.last_trouble().unwrap_or_else(silence));
        };
        let uid = uid?;
        Ok(Self {
            rpc: watched,
            spoken: spoken.to_owned(),
            uid,
            connections,
            calls_per_minute,
        })
    }

    /// Takes the lock in Odoo, or refreshes ours. Called before the first write of a step.
    ///
    /// # Errors
    /// [`FailureReason::DestinationLock`] naming the holder; Odoo's.
    pub async fn lock(&self, job: &Job, plan: &Plan, mapping: &Mapping) -> Result<Lock, StepError> {
        let me = holder(job);
        let held = match lock::acquire(&*self.rpc, &me, (job.now)(), job.spec.orders.unlock).await? {
            Acquired::Ours(held) => held,
            Acquired::HeldBy(other) => return Err(held_by(job, &other)),
        };
        let models: BTreeSet<OdooModel> = mapping.in_odoo().map(|object| object.model.clone()).collect();
        let models: Vec<OdooModel> = models.into_iter().collect();
        let marks = lock::marks(&*self.rpc, &plan.external_id_module, &models).await?;
        Ok(Lock::start(self.rpc.clone(), job, held, marks))
    }
}

fn held_by(job: &Job, other: &Holder) -> StepError {
    StepError {
        reason: FailureReason::DestinationLock,
        message: format!(
            "another migration has the lock of this Odoo: {} (cluster {}, run {}, last sign of life {}); it waits its turn (a lock without a sign of life is no more after {} minutes), or take over with: {}",
            other.name,
            other.cluster,
            other.run,
            other.beat,
            lock::AGES_OUT.as_mins(),
            job.command(Command::Request("unlock")),
        ),
        exit: Exit::LockHeld,
    }
}

fn holder(job: &Job) -> Holder {
    Holder {
        cluster: job.place.clone(),
        name: format!("{}/{}", job.namespace(), job.migration_name()),
        uid: job.migration.metadata.uid.clone().unwrap_or_default(),
        run: job.spec.run,
        beat: (job.now)(),
    }
}

/// The lock while it is ours; beaten until it ends.
pub struct Lock {
    rpc: Arc<dyn Rpc>,
    held: Held,
    me: Holder,
    marks: BTreeMap<String, i64>,
    beating: JoinHandle<()>,
}

impl Lock {
    fn start(rpc: Arc<dyn Rpc>, job: &Job, held: Held, marks: BTreeMap<String, i64>) -> Self {
        let me = holder(job);
        let beating = tokio::spawn(beat_on(
            rpc.clone(),
            held,
            me.clone(),
            job.heart.clone(),
            job.stop.clone(),
            job.now,
        ));
        Self {
            rpc,
            held,
            me,
            marks,
            beating,
        }
    }

    /// Highest id of a model when the first run first took the lock: what is above may be an orphan.
    #[must_use]
    pub fn mark(&self, model: &str) -> i64 {
        self.marks.get(model).copied().unwrap_or(i64::MAX)
    }

    /// At a step's end: kept for the next step, unless somebody waits for it.
    ///
    /// # Errors
    /// When Odoo fails.
    pub async fn end(self, job: &Job) -> Result<(), StepError> {
        match lock::beat(&*self.rpc, self.held, &self.me, (job.now)()).await? {
            Beat::Held { wanted: Some(_) } => self.release().await,
            Beat::Held { wanted: None } | Beat::Lost => Ok(()),
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// When Odoo fails.
    pub async fn release(self) -> Result<(), StepError> {
        self.beating.abort();
        lock::release(&*self.rpc, self.held).await?;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

/// Beats the lock; one that was taken over stops the step.
async fn beat_on(
    rpc: Arc<dyn Rpc>,
    held: Held,
    me: Holder,
    heart: Heart,
    stop: CancellationToken,
    now: fn() -> Timestamp,
) {
    loop {
        tokio::time::sleep(LOCK_BEAT).await;
        if !heart.may_send() {
            return;
        }
        match lock::beat(&*rpc, held, &me, now()).await {
            Ok(Beat::Held { .. }) => {}
            Ok(Beat::Lost) => {
                tracing::error!("the lock in Odoo was taken over: nothing more is written");
                stop.cancel();
                return;
            }
            Err(error) => tracing::warn!(%error, "the lock in Odoo was not beaten"),
        }
    }
}

/// Gives the lock back when told to stop, if it is ours and Odoo answers soon.
pub async fn give_back_on_stop(job: &Job) {
    if job.heart.fenced() {
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
    // ours is refreshed, another's is left alone
    if let Acquired::Ours(held) = lock::acquire(&*destination.rpc, &holder(job), (job.now)(), false).await? {
        lock::release(&*destination.rpc, held).await?;
    }
    Ok(())
}

/// What the mounted Secret holds; a file that is empty counts as absent.
fn words(folder: &Path) -> Words {
    let word = |key: &str| {
        let text = std::fs::read_to_string(folder.join(key)).ok()?;
        Some(Secret::new(&text)).filter(|_| !text.trim().is_empty())
    };
    Words {
        api_key: word("apiKey"),
        login: word("login"),
        password: word("password"),
    }
}

fn missing(job: &Job, folder: &Path, keys: (&str, &[&str])) -> StepError {
    let secret = &job.migration.spec.destination.odoo.secret_ref.name;
    secret_missing("odoo", folder, secret, keys, job.cluster_namespace())
}

fn certificates(file: &Path, wanted: bool) -> Result<Option<Vec<u8>>, StepError> {
    if !wanted {
        return Ok(None);
    }
    std::fs::read(file).map(Some).map_err(|_| {
        StepError::configuration(
            FailureReason::SecretMissing,
            format!(
                "the CA bundle is not there ({}): make the key that destination.odoo.caBundle names",
                file.display()
            ),
        )
    })
}
