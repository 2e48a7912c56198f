//! A Migration's life: which step comes next, evidence, gates, the fence, the books. Pure: the clock is an argument.
//!
//! [`next`] looks at what was observed and says what the status becomes and which effects follow. The operator carries
//! effects out on a cluster, `crmferry run` on a laptop; neither decides anything.
//!
//! Start at [`next`](mod@next): it reads like a list. [`phase`] is the table of phases, [`attempt`] judges what became of
//! an attempt, [`gate`] and [`evidence`] are what a person passes, [`book`] is what must balance, [`fence`] keeps two
//! writers apart, [`verbs`] are what people ask for, [`conditions`] what they are told.

pub mod attempt;
pub mod book;
pub mod conditions;
pub mod evidence;
pub mod fence;
pub mod gate;
pub mod names;
pub mod next;
pub mod phase;
pub mod queue;
mod reports;
mod requests;
mod run;
pub mod size;
pub mod verbs;

#[cfg(test)]
mod tests;

pub use next::next;

use jiff::SignedDuration;

use crate::api::{Migration, MigrationStatus, PhaseRunSpec, PhaseRunStatus, mapping_spec::Finding};

/// Everything [`next`] may look at.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The Migration as read, with its status.
    pub migration: Migration,
    /// Its MappingSpec, compiled against the bundled description of Odoo.
    pub mapping: MappingSeen,
    /// The PhaseRun, Job and pod of `status.attempt`, where there is one.
    pub attempt: AttemptSeen,
    /// Whether admission control guards approvals. The executor asks in every pass that begins with a gate that is
    /// Waiting, Approved or Unguarded; `None` where none is, or the question could not be answered: then no gate is
    /// passed. On a laptop it is not looked at.
    pub guarded: Option<bool>,
    /// The evidence that the gate which is open to approvals names, read in every pass that begins with one; `None` where
    /// none is. A gate is passed on evidence alone that was seen to be there.
    pub evidence: Option<EvidenceSeen>,
    /// Image a new run pins for its workers; empty on a laptop.
    pub worker_image: String,
    /// Version of the program that decides.
    pub version: String,
    /// There is no cluster: no admission control, and other commands in `waitingFor`.
    pub laptop: bool,
    /// Names of evidence found to exist with other content (an operator that was killed between storing and writing
    /// status, and a spec that changed then): they are passed over. Empty but for that.
    pub taken: Vec<String>,
}

/// Sealed evidence as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceSeen {
    /// The name that the gate gives it.
    pub name: String,
    /// Digest of exactly the bytes that are there; `None` where there are none.
    pub digest: Option<String>,
    /// It is this Migration's, and nobody can change it any more.
    pub sealed: bool,
}

/// The MappingSpec as seen.
#[derive(Clone, Debug, PartialEq)]
pub enum MappingSeen {
    /// There is none of that name.
    Absent,
    /// It has Errors.
    Invalid(Vec<Finding>),
    /// It compiles.
    Valid {
        /// Digest of the merged spec.
        digest: String,
    },
}

/// The attempt of `status.attempt` as seen in the cluster, or in the laptop's workspace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptSeen {
    /// The PhaseRun exists.
    pub phase_run: Option<PhaseRunSeen>,
    /// Its Job.
    pub job: JobSeen,
    /// Why its pod does not start: thing and sentence. Empty while all is well.
    pub troubles: Vec<Trouble>,
}

/// A PhaseRun as seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PhaseRunSeen {
    /// Its status.
    pub status: PhaseRunStatus,
    /// It was closed: its attempt is superseded.
    pub closed: bool,
}

/// A Job and its pod as seen. While any pod of it lives, it is never `Absent`, `Complete` or `Failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobSeen {
    /// There is none, and no pod of it.
    #[default]
    Absent,
    /// It is there, its pod does not run yet.
    Pending,
    /// Its pod runs (or is about to end).
    Running,
    /// Complete.
    Complete,
    /// Failed, with the worker's exit code where it is known. Its pod is terminal or gone.
    Failed(Option<i32>),
    /// It is being deleted and its pod is not gone yet.
    Ending,
}

/// Why a pod does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Kubernetes' reason, such as `ImagePullBackOff`.
    pub reason: String,
    /// The thing named, and what to do.
    pub message: String,
    /// The command that shows or mends it.
    pub command: String,
}

/// What follows from what was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Next {
    /// The status to write. Evidence ([`Effect::Seal`]) is stored before it, all other effects follow after it.
    pub status: MigrationStatus,
    /// What to do.
    pub effects: Vec<Effect>,
    /// When to look again at the latest, where nothing else would wake us.
    pub look_again: Option<SignedDuration>,
}

/// Something to do to the world. Every effect may be carried out twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store sealed evidence under this name; there already with the same content is success.
    Seal {
        /// Gate.
        gate: String,
        /// `<migration>-evidence-<gate>-<n>`.
        name: String,
        /// Canonical JSON; its SHA-256 is the evidence digest.
        json: String,
    },
    /// Create PhaseRun and Job of an attempt.
    Start {
        /// Name of both.
        name: String,
        /// Spec of the PhaseRun.
        spec: PhaseRunSpec,
    },
    /// End the Job (its pod gets SIGTERM).
    Stop {
        /// Name of Job and PhaseRun.
        name: String,
        /// Close the PhaseRun too: the attempt is superseded while its pod may still live.
        close: bool,
    },
    /// Tell people.
    Announce {
        /// `Warning` rather than `Normal`.
        warning: bool,
        /// PascalCase reason.
        reason: String,
        /// Sentence.
        note: String,
    },
    /// Delete PhaseRuns of this Migration beyond the last three of each step and object.
    Prune,
}

/// How the program of a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; the PhaseRun says so too.
    Done,
    /// Worth another attempt.
    Retry,
    /// Another attempt would end the same way.
    Permanent,
    /// A Secret, the workspace or a setting is wrong.
    Configuration,
    /// Odoo's lock is held by another run.
    LockHeld,
    /// Told to stop, or fenced.
    Stopped,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Retry => 10,
            Self::Permanent => 20,
            Self::Configuration => 30,
            Self::LockHeld => 40,
            Self::Stopped => 75,
        }
    }

    /// The exit a code stands for; anything unknown (137, 139) is worth another attempt.
    #[must_use]
    pub const fn from_code(code: i32) -> Self {
        match code {
            0 => Self::Done,
            20 => Self::Permanent,
            30 => Self::Configuration,
            40 => Self::LockHeld,
            75 => Self::Stopped,
            _ => Self::Retry,
        }
    }
}
