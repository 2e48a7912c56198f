//! Probes and metrics.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use futures::FutureExt;
use kube::{core::DeserializeGuard, runtime::reflector::Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Context, Error};
use crate::api::{MappingSpec, Migration};

/// What one namespace's (or the whole cluster's) watches have cached.
pub(super) struct Caches {
    /// The namespace, or `all namespaces`.
    pub scope: String,
    pub migrations: Store<DeserializeGuard<Migration>>,
    pub mapping_specs: Store<DeserializeGuard<MappingSpec>>,
}

impl Caches {
    /// What was not listed yet.
    fn missing(&self) -> impl Iterator<Item = String> {
        let ready = [
            (
                "migrations",
                self.migrations.wait_until_ready().now_or_never().is_some(),
            ),
            (
                "mappingspecs",
                self.mapping_specs.wait_until_ready().now_or_never().is_some(),
            ),
        ];
        ready.into_iter().filter(|(_, ready)| !ready).map(|(what, _)| {
            format!(
                "{what} of {} are not listed yet: is the CRD installed, and may the operator list them?",
                self.scope
            )
        })
    }
}

struct Site {
    context: Arc<Context>,
    caches: Vec<Caches>,
}

/// Serves until told to stop.
pub(super) async fn serve(
    listen: SocketAddr,
    context: Arc<Context>,
    caches: Vec<Caches>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let site = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(Site { context, caches }));
    let listener = TcpListener::bind(listen).await.map_err(Error::Serve)?;
    tracing::info!(address = %listen, "serving probes and metrics");
    axum::serve(listener, site)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
        .map_err(Error::Serve)
}

async fn readyz(State(site): State<Arc<Site>>) -> (StatusCode, String) {
    let missing: Vec<_> = site.caches.iter().flat_map(Caches::missing).collect();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
    }
}

async fn metrics(State(site): State<Arc<Site>>) -> Result<([(&'static str, &'static str); 1], String), StatusCode> {
    let stored: Vec<_> = site
        .caches
        .iter()
        .flat_map(|caches| caches.migrations.state())
        .collect();
    let readable = stored.iter().filter_map(|guard| guard.0.as_ref().ok());
    let text = site
        .context
        .metrics
        .render(readable)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let kind = (
        "content-type",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    Ok(([kind], text))
}
