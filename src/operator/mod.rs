//! The operator: carries out on a cluster what [`lifecycle::next`](crate::lifecycle) decides. It decides nothing itself,
//! reads no Secret, and never talks to Odoo.
//!
//! Start at [`migration`]: one pass, step by step.

mod apply;
mod build;
mod error;
mod guard;
mod http;
mod mappings;
mod metrics;
mod migration;
mod observe;
#[cfg(test)]
mod script;
mod settings;
pub(crate) mod troubles;

pub(crate) use build::{not_root, without_rights};
pub use error::Error;
pub use settings::{Args, Settings, WorkerSettings};

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{batch::v1::Job, core::v1::Pod},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        Controller,
        controller::{Action, Config},
        events::Reporter,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::{
    api::{LABEL_MANAGED_BY, LABEL_MIGRATION, MANAGED_BY, MappingSpec, Migration, OPERATOR, PhaseRun},
    chain::Chain,
};

/// Objects of one kind that are worked on at once in one namespace.
const CONCURRENCY: u16 = 8;
/// Changes within this are one.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Longest wait after a pass that failed, in seconds.
const BACKOFF_MAX: u64 = 60;

/// What a pass may use.
struct Context {
    client: Client,
    settings: Settings,
    reporter: Reporter,
    now: fn() -> Timestamp,
    metrics: metrics::Metrics,
    mappings: mappings::Mappings,
    verdicts: guard::Verdicts,
    failures: Mutex<HashMap<String, u32>>,
}

impl Context {
    /// The clock is given, so that tests can stop it.
    fn new(client: Client, settings: Settings, now: fn() -> Timestamp) -> Self {
        Self {
            client,
            settings,
            reporter: Reporter {
                controller: OPERATOR.into(),
                instance: None,
            },
            now,
            metrics: metrics::Metrics::new(),
            mappings: mappings::Mappings::default(),
            verdicts: guard::Verdicts::default(),
            failures: Mutex::default(),
        }
    }

    /// How often an object's passes failed in a row: counted up, or forgotten.
    fn failed(&self, object: &str, failed: bool) -> u32 {
        // counters have no half-done state: a poisoned lock is as good as any
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            let count = failures.entry(object.to_owned()).or_default();
            *count += 1;
            *count
        } else {
            failures.remove(object);
            0
        }
    }
}

/// Watches and reconciles until SIGTERM (or Ctrl-C); passes under way are finished.
///
/// # Errors
/// When there is no cluster to talk to, or probes cannot be served.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let shutdown = on_signal()?;
    let client = Client::try_default()
        .await
        .map_err(Error::kube("connect to the cluster"))?;
    let listen = settings.listen;
    let scopes: Vec<Option<String>> = match settings.watch_namespaces.as_slice() {
        [] => vec![None],
        named => named.iter().cloned().map(Some).collect(),
    };
    let context = Arc::new(Context::new(client, settings, Timestamp::now));
    let mut controllers = FuturesUnordered::new();
    let mut caches = Vec::new();
    for scope in scopes {
        let (migrations, store) = migrations(scope.as_deref(), &context, &shutdown);
        let (mapping_specs, specs) = mapping_specs(scope.as_deref(), &context, &shutdown);
        controllers.extend([migrations, mapping_specs]);
        caches.push(http::Caches {
            scope: scope.map_or_else(|| "all namespaces".into(), |name| format!("namespace {name}")),
            migrations: store,
            mapping_specs: specs,
        });
    }
    let site = http::serve(listen, context, caches, shutdown.clone());
    let work = async {
        while controllers.next().await.is_some() {}
        Ok(())
    };
    tokio::try_join!(site, work).map(|_| ())
}

/// Cancelled by SIGTERM or Ctrl-C.
fn on_signal() -> Result<CancellationToken, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()).map_err(Error::Signals)?,
        signal(SignalKind::interrupt()).map_err(Error::Signals)?,
    );
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop: finishing what is under way");
        shutdown.cancel();
    });
    Ok(token)
}

type Running<K> = (BoxFuture<'static, ()>, Store<DeserializeGuard<K>>);

/// The controller of Migrations. Children and pods are watched by metadata alone: a pass reads what it needs afresh.
fn migrations(scope: Option<&str>, context: &Arc<Context>, shutdown: &CancellationToken) -> Running<Migration> {
    let client = &context.client;
    let ours = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={MANAGED_BY}"));
    let controller = Controller::new(
        api::<DeserializeGuard<Migration>>(client, scope),
        watcher::Config::default(),
    );
    let store = controller.store();
    let users = store.clone();
    let running = controller
        .with_config(Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .owns(api::<PartialObjectMeta<Job>>(client, scope), ours.clone())
        .owns(api::<PartialObjectMeta<PhaseRun>>(client, scope), ours.clone())
        .watches(api::<PartialObjectMeta<Pod>>(client, scope), ours, |pod| {
            let name = pod.labels().get(LABEL_MIGRATION)?;
            Some(ObjectRef::new(name).within(&pod.namespace()?))
        })
        .watches(
            api::<PartialObjectMeta<MappingSpec>>(client, scope),
            watcher::Config::default(),
            move |spec| {
                let concerned = |user: &DeserializeGuard<Migration>| {
                    user.namespace() == spec.namespace()
                        && user
                            .0
                            .as_ref()
                            .is_ok_and(|user| user.spec.mapping_spec_ref.name == spec.name_any())
                };
                users
                    .state_filter(concerned)
                    .into_iter()
                    .map(|migration| ObjectRef::from_obj(&*migration))
            },
        )
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(reconcile_migration, error_policy, context.clone())
        .for_each(async |_| ());
    (Box::pin(running), store)
}

/// The controller of MappingSpecs: their status alone.
fn mapping_specs(scope: Option<&str>, context: &Arc<Context>, shutdown: &CancellationToken) -> Running<MappingSpec> {
    let specs = api::<DeserializeGuard<MappingSpec>>(&context.client, scope);
    let controller = Controller::new(specs, watcher::Config::default());
    let store = controller.store();
    let running = controller
        .with_config(Config::default().debounce(DEBOUNCE).concurrency(CONCURRENCY))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(reconcile_mapping_spec, error_policy, context.clone())
        .for_each(async |_| ());
    (Box::pin(running), store)
}

fn api<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    }
}

async fn reconcile_migration(object: Arc<DeserializeGuard<Migration>>, context: Arc<Context>) -> Result<Action, Error> {
    // on the heap: what a pass keeps across its waits is too much for every stack frame above it
    let pass = Box::pin(async {
        match &object.0 {
            Ok(migration) => migration::reconcile(migration, &context).await,
            Err(invalid) => Err(Error::Unreadable(invalid.error.clone())),
        }
    });
    watched(&*object, "Migration", &context, pass).await
}

async fn reconcile_mapping_spec(
    object: Arc<DeserializeGuard<MappingSpec>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let pass = async {
        match &object.0 {
            Ok(spec) => mappings::reconcile(spec, &context)
                .await
                .map(|()| Action::await_change()),
            Err(invalid) => Err(Error::Unreadable(invalid.error.clone())),
        }
    };
    watched(&*object, "MappingSpec", &context, pass).await
}

/// Logs and measures a pass.
async fn watched<K: Resource>(
    object: &K,
    kind: &'static str,
    context: &Context,
    pass: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let generation = object.meta().generation;
    let span = info_span!("reconcile", kind, namespace, object = object.name_any(), generation);
    async {
        let started = Instant::now();
        let result = pass.await;
        let word = result.as_ref().map_or_else(Error::category, |_| "Ok");
        context.metrics.reconciled(kind, word, started.elapsed());
        match &result {
            Ok(_) => {
                context.failed(&key(object), false);
            }
            Err(error) if error.is_permanent() => tracing::error!(error = %Chain(error), "reconcile failed"),
            Err(error) => tracing::warn!(error = %Chain(error), "reconcile failed"),
        }
        result
    }
    .instrument(span)
    .await
}

fn key(object: &impl Resource) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

/// Each object backs off for itself: 2, 4, 8, … seconds.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the controller's")]
fn error_policy<K: Resource>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action {
    if error.is_permanent() {
        return Action::await_change();
    }
    Action::requeue(backoff(context.failed(&key(&*object), true)))
}

fn backoff(failures: u32) -> Duration {
    Duration::from_secs(2_u64.saturating_pow(failures).min(BACKOFF_MAX))
}
