//! Why a step could not go on, in the closed words of `FailureReason`, and how the process ends.

use std::path::Path;

use crate::{
    api::phase_run::{Failure, FailureReason},
    chain::Chain,
    lifecycle::Exit,
    odoo::rpc::RpcError,
    source::SourceError,
    workspace::{self, WorkspaceError},
};

use super::{home::HomeError, index::IndexError};

/// Why a step could not go on. The message names the thing and what to do; no secret, no person's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// The closed word.
    pub reason: FailureReason,
    /// For people.
    pub message: String,
    /// How the process ends.
    pub exit: Exit,
}

impl StepError {
    /// Another attempt would end the same way.
    pub fn permanent(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::new(reason, Exit::Permanent, message)
    }

    /// A setting, a Secret or the workspace must be mended first.
    pub fn configuration(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::new(reason, Exit::Configuration, message)
    }

    /// Worth another attempt.
    pub fn retry(reason: FailureReason, message: impl Into<String>) -> Self {
        Self::new(reason, Exit::Retry, message)
    }

    /// Told to stop, or fenced.
    #[must_use]
    pub fn stopped() -> Self {
        Self::new(FailureReason::Fenced, Exit::Stopped, "told to stop; the place is kept")
    }

    fn new(reason: FailureReason, exit: Exit, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            exit,
        }
    }

    /// What the PhaseRun says.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure {
            reason: self.reason,
            message: bounded(&self.message, 1024),
        }
    }
}

/// At most `max` characters.
#[must_use]
pub fn bounded(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

/// What a failing call means for the step, and what to do about it.
#[must_use]
pub fn of_rpc(error: &RpcError) -> StepError {
    use FailureReason as Reason;
    match error {
        RpcError::Unauthorized => StepError::configuration(
            Reason::DestinationUnauthorized,
            "Odoo refuses the API key (401): put a valid one into the key apiKey of the destination's Secret (over XML-RPC its user's name into login, or a valid password), then retry",
        ),
        RpcError::Forbidden { message } => StepError::configuration(
            Reason::DestinationForbidden,
            format!(
                "Odoo forbids the API key's user what the migration needs (403): {message}; give the user the right, then retry"
            ),
        ),
        RpcError::NotFound { message } => StepError::configuration(
            Reason::DestinationNotFound,
            format!(
                "Odoo does not know what was asked for (404): {message}; check url and database, and that the server is an Odoo"
            ),
        ),
        RpcError::Missing { .. } => StepError::retry(
            Reason::DestinationUnavailable,
            "a record that was there a moment ago is gone from Odoo: somebody else removes records; it is tried again",
        ),
        RpcError::Rejected { name, .. } => StepError::permanent(
            Reason::Internal,
            format!("Odoo refused a call that carries no record ({name}): see the worker's log"),
        ),
        RpcError::Conflict => StepError::retry(
            Reason::DestinationUnavailable,
            "Odoo could not serialise a call in five tries; it is tried again",
        ),
        RpcError::Throttled { .. } => StepError::retry(
            Reason::DestinationUnavailable,
            "Odoo asks for patience (429) for longer than we wait; it is tried again, lower callsPerMinute if this stays",
        ),
        RpcError::Unreachable { message } => StepError::retry(
            Reason::DestinationUnavailable,
            format!(
                "Odoo cannot be reached: {message}; check url, network and that the server runs, it is tried again"
            ),
        ),
        RpcError::Unknown { message } => StepError::retry(
            Reason::DestinationUnavailable,
            format!(
                "Odoo gives no usable answer: {message}; check the server and what stands before it, it is tried again"
            ),
        ),
    }
}

/// A key that is not there, in words, and the keys to make, where this attempt lives: in a namespace, or
/// on a laptop. `folder` is where the Secret lies.
#[must_use]
pub fn secret_missing(
    whose: &str,
    folder: &Path,
    secret: &str,
    (key, keys): (&str, &[&str]),
    namespace: Option<&str>,
) -> StepError {
    let how = if let Some(namespace) = namespace {
        let files = keys.join("=FILE --from-file=");
        format!(
            "make it with: kubectl create secret generic {secret} -n {namespace} --from-file={files}=FILE --dry-run=client -o yaml | kubectl apply -f -"
        )
    } else {
        // the last is the one that is not there
        let file = keys.last().copied().unwrap_or_default();
        format!("write it into the file {}", folder.join(file).display())
    };
    StepError::configuration(
        FailureReason::SecretMissing,
        format!("{whose} needs the key {key}, in the Secret {secret}: {how}"),
    )
}

impl From<RpcError> for StepError {
    fn from(error: RpcError) -> Self {
        of_rpc(&error)
    }
}

impl From<IndexError> for StepError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Full(_) => Self::configuration(FailureReason::WorkspaceNotWritable, error.to_string()),
            IndexError::Disk(_) => Self::retry(FailureReason::Internal, error.to_string()),
            IndexError::Entry(..) => Self::permanent(FailureReason::Internal, error.to_string()),
        }
    }
}

impl From<HomeError> for StepError {
    fn from(error: HomeError) -> Self {
        Self::retry(FailureReason::Internal, Chain(&error).to_string())
    }
}

impl From<SourceError> for StepError {
    fn from(error: SourceError) -> Self {
        let message = Chain(&error).to_string();
        match error {
            SourceError::Missing { .. } => Self::configuration(FailureReason::ExportMissing, message),
            SourceError::Unusable { .. } => Self::configuration(FailureReason::SourceUnavailable, message),
            SourceError::Io { .. } | SourceError::Unavailable { .. } => {
                Self::retry(FailureReason::SourceUnavailable, message)
            }
            SourceError::Unauthorized { .. } => Self::configuration(FailureReason::SourceUnauthorized, message),
            SourceError::SecretMissing { .. } => Self::configuration(FailureReason::SecretMissing, message),
        }
    }
}

impl From<WorkspaceError> for StepError {
    fn from(error: WorkspaceError) -> Self {
        let message = Chain(&error).to_string();
        match error {
            WorkspaceError::NotWritable { .. } => Self::configuration(FailureReason::WorkspaceNotWritable, message),
            WorkspaceError::Foreign { .. } => Self::configuration(FailureReason::WorkspaceForeign, message),
            WorkspaceError::Damaged { .. } => Self::configuration(FailureReason::WorkspaceLost, message),
            WorkspaceError::Io { source, .. } if workspace::lasts(&source) => Self::configuration(
                FailureReason::WorkspaceNotWritable,
                format!("{message}: free space, or let the worker write there"),
            ),
            WorkspaceError::Locked { .. } | WorkspaceError::Io { .. } => {
                Self::retry(FailureReason::WorkspaceNotWritable, message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_workspace_that_is_full_or_read_only_stalls_at_once_and_a_hiccup_is_tried_again() {
        let os = io::Error::from_raw_os_error;
        let in_store = |code| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(os(code)),
        };
        let errors = [
            ("no space left", io::Error::other(in_store(28)), Exit::Configuration),
            ("quota exceeded", io::Error::other(in_store(122)), Exit::Configuration),
            (
                "read-only",
                io::Error::other(io::Error::other(in_store(30))),
                Exit::Configuration,
            ),
            ("not ours", io::Error::other(os(13)), Exit::Configuration),
            ("input/output error", io::Error::other(in_store(5)), Exit::Retry),
            ("anything", io::Error::other("it would not"), Exit::Retry),
        ];
        for (what, source, exit) in errors {
            let path = "ledger/contacts".to_owned();
            let error = StepError::from(WorkspaceError::Io { path, source });
            assert_eq!(
                (error.reason, error.exit),
                (FailureReason::WorkspaceNotWritable, exit),
                "{what}"
            );
            assert!(error.message.contains("ledger/contacts"), "{error}");
        }
    }
}
