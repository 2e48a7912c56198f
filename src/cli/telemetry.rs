//! Where logs go: JSON for what runs in a cluster, for people only what `RUST_LOG` asks for.

use tracing_subscriber::EnvFilter;

/// JSON logs on standard output, as clusters collect them.
pub fn cluster() {
    tracing_subscriber::fmt()
        .json()
        .with_span_list(false)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn")))
        .init();
}

/// Logs on standard error, none unless asked for: commands tell people what they must know.
pub fn people() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .init();
}
