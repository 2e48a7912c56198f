//! What can go wrong in the operator.

use std::path::PathBuf;

/// What can go wrong in the operator.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The API server always sets it; an object without it was not read from one.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
    /// The stored object does not fit the types.
    #[error("the object cannot be read: {0}")]
    Unreadable(String),
    /// A child's name is taken by an object of somebody else.
    #[error("{kind} {name} exists and is not ours: delete or rename it")]
    Foreign {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A call to the API server failed.
    #[error("failed to {action}")]
    Kube {
        /// What was being done.
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server refuses a status: a defect of ours.
    #[error("the API server refuses the status: {0}")]
    StatusRefused(String),
    /// The worker settings cannot be read.
    #[error("failed to read the worker settings {path}")]
    ReadSettings {
        /// Their file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The worker settings are no valid YAML or hold something unknown.
    #[error("the worker settings {path} are invalid")]
    InvalidSettings {
        /// Their file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// Probes and metrics cannot be served.
    #[error("failed to serve probes and metrics")]
    Serve(#[source] std::io::Error),
    /// Signals cannot be listened to.
    #[error("failed to listen for signals")]
    Signals(#[source] std::io::Error),
}

impl Error {
    /// For `map_err`: what was being done when the API server said no.
    pub(super) fn kube(action: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Kube {
            action,
            source: Box::new(source),
        }
    }

    /// Word of a closed list, for metrics.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::Unreadable(_) => "Unreadable",
            Self::Foreign { .. } => "Foreign",
            Self::Kube { .. } => "KubeApi",
            Self::StatusRefused(_) => "StatusRefused",
            Self::ReadSettings { .. } | Self::InvalidSettings { .. } => "Settings",
            Self::Serve(_) => "Serve",
            Self::Signals(_) => "Signals",
        }
    }

    /// Whether only a change of the object helps, which wakes us anyway.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Incomplete(_) | Self::Unreadable(_))
    }
}
