//! How commands fail, and the exit code of each way.

use std::{io, path::PathBuf, process::ExitCode};

use crate::{api::mapping_spec::Finding, workspace::WorkspaceError};

/// The exit codes of all commands but `worker`: one place, told in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Completed,
    /// Something failed that is not in this list.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A gate waits for a person.
    AwaitingApproval,
    /// It cannot go on by itself.
    Stalled,
    /// A manifest is invalid.
    Invalid,
    /// Told to stop; the same command goes on.
    Stopped,
}

/// What `--help` says of them.
pub const EXIT_CODES: &str = "Exit codes:
  0   completed
  1   failed for another reason
  2   the command line makes no sense
  3   a gate waits for approval
  4   stalled: the reason and the command that helps are printed
  5   a manifest is invalid
  75  told to stop; the same command goes on";

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::AwaitingApproval => 3,
            Self::Stalled => 4,
            Self::Invalid => 5,
            Self::Stopped => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manifest is invalid.
    #[error("{}", listed(.0))]
    Invalid(Vec<Finding>),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file or folder.
    #[error("failed to {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of a workspace is not what was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A status that somebody changed: it says which gates a run has passed.
    #[error(
        "{} is not what was written, so nothing is carried out on it: put back what was there, or begin anew in \
         another workspace",
        path.display()
    )]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// Something outside: the cluster, the source.
    #[error("failed to {action}")]
    Outside {
        /// What was being done.
        action: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// An [`Error::Io`] over a path.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// An [`Error::Outside`].
    pub fn outside<E: Into<Box<dyn std::error::Error + Send + Sync>>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Outside {
            action,
            source: source.into(),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Invalid(_) => Exit::Invalid,
            Self::Usage(_) => Exit::Usage,
            Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Edited { .. }
            | Self::Workspace(_)
            | Self::Outside { .. } => Exit::Failed,
        }
    }
}

/// A finding on a line.
#[must_use]
pub fn finding_line(finding: &Finding) -> String {
    let Finding {
        severity,
        code,
        path,
        message,
    } = finding;
    let severity = format!("{severity:?}").to_lowercase();
    let place = if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    };
    format!("{severity:<7} {code}: {place}{message}")
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(finding_line).collect::<Vec<_>>().join("\n")
}
