//! `PhaseRun`: one attempt of one phase. Made by the operator; its status is written by its pod alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    counts::{Book, Progress, Verification},
    mapping_spec::Finding,
};

/// One attempt of one phase of a Migration: one Job, one pod.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crmferry.io",
    version = "v1alpha1",
    kind = "PhaseRun",
    namespaced,
    shortname = "phr",
    category = "crmferry",
    status = "PhaseRunStatus",
    derive = "PartialEq",
    doc = "One attempt of one phase of a Migration: one Job, one pod. Made by the operator; its status is written by its pod alone.",
    printcolumn(name = "Migration", type_ = "string", json_path = ".spec.migration"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".spec.phase"),
    printcolumn(name = "Object", type_ = "string", json_path = ".spec.object"),
    printcolumn(name = "Attempt", type_ = "integer", json_path = ".spec.attempt"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(name = "Read", type_ = "integer", json_path = ".status.totals.read"),
    printcolumn(name = "Loaded", type_ = "integer", json_path = ".status.totals.loaded"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec").message("a PhaseRun's spec is immutable")
)]
#[serde(rename_all = "camelCase")]
pub struct PhaseRunSpec {
    /// Name of the Migration.
    #[schemars(length(min = 1, max = 253))]
    pub migration: String,
    /// Number of the run, from 1.
    #[schemars(range(min = 1))]
    pub run: i64,
    /// The step that the Job carries out.
    pub phase: Step,
    /// The object that is loaded; absent in steps that handle all objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub object: Option<String>,
    /// Number of the attempt within the run, from 1; never used twice.
    #[schemars(range(min = 1))]
    pub attempt: i64,
    /// Digest of the plan in the workspace; absent for `Discover`, which makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub plan_digest: Option<String>,
    /// Worker image of the run; empty where there is no cluster.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub image: String,
    /// What the verbs ask of this attempt.
    #[serde(default, skip_serializing_if = "Orders::is_none")]
    pub orders: Orders,
}

/// What the verbs ask of one attempt.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Orders {
    /// Take the lock in Odoo over from whoever holds it (`unlock`).
    pub unlock: bool,
    /// Read the source again and rebuild the ledger from Odoo (`retry from-extract`).
    pub rebuild: bool,
    /// Give the lock back and do nothing else (after `cancel`).
    pub release: bool,
}

impl Orders {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a Job does. One file of `src/worker/` each.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
pub enum Step {
    /// Probe source and destination, compile the plan, write scope and findings.
    Discover,
    /// Read every source object into the snapshot.
    Extract,
    /// Transform everything without a write.
    Rehearse,
    /// Make custom fields.
    Schema,
    /// Load one object and read it back.
    Load,
    /// One round: extract, load what changed, read it back.
    Delta,
    /// Drain, freeze, verify, switch.
    Cutover,
    /// Give the lock back after a cancel.
    Release,
}

impl Step {
    /// Every step, in the order of a run.
    pub const ALL: [Self; 8] = [
        Self::Discover,
        Self::Extract,
        Self::Rehearse,
        Self::Schema,
        Self::Load,
        Self::Delta,
        Self::Cutover,
        Self::Release,
    ];

    /// The word in names of Jobs and in `crmferry worker <word>`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Extract => "extract",
            Self::Rehearse => "rehearse",
            Self::Schema => "schema",
            Self::Load => "load",
            Self::Delta => "delta",
            Self::Cutover => "cutover",
            Self::Release => "release",
        }
    }
}

/// What the pod of an attempt reports.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PhaseRunStatus {
    /// Written every 5 seconds while the pod works. Judged by when it was seen to change, not by its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<MicroTime>,
    /// Version of the worker.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub worker_version: String,
    /// How far the attempt is.
    #[serde(default)]
    pub progress: Progress,
    /// The objects this attempt handled, in load order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub objects: Vec<ObjectReport>,
    /// Sums over the objects.
    #[serde(default)]
    pub totals: Totals,
    /// The most frequent reasons for rejected and failed records, then for what arrived differently; how many more there
    /// are is in `objects[].moreReasons`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub reasons: Vec<RejectReason>,
    /// What the objects reported here wait for in Odoo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub queue: Vec<Missing>,
    /// How the attempt ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why the attempt did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What `Discover` found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
    /// What was found in the source since the last snapshot (`Extract`, `Delta`, `Cutover`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Delta>,
    /// Steps of the cutover that this attempt has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutover: Option<CutoverFacts>,
    /// Files written to the workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 800))]
    pub files: Vec<File>,
}

/// One object in an attempt.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Name of the object in the mapping.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its counts.
    #[serde(default)]
    pub book: Book,
    /// What the read-back found; absent where nothing was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Held records that wait for another one, rather than to be made in Odoo themselves.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub waiting: i64,
    /// The document that its records became, where they became one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Handover>,
    /// Reasons of the object that are not frequent enough to be among `reasons`.
    #[serde(default, skip_serializing_if = "MoreReasons::is_none")]
    pub more_reasons: MoreReasons,
}

/// A record that is not in Odoo and that people make there, or what of it records wait for. Never a value of a record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Object that the missing record is of, or the model in Odoo.
    #[schemars(length(max = 128))]
    pub object: String,
    /// Its key in the source; empty for those that are not named: keys that are no ids, records the source lacks, and those
    /// that there is no room for. `results/<object>/held.csv` and `noted.csv` have them all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub key: String,
    /// Object of the records that wait for it; empty where it is counted itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub by: String,
    /// How many.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub records: i64,
}

impl Missing {
    /// The object whose load counts it.
    #[must_use]
    pub fn who_counts(&self) -> &str {
        if self.by.is_empty() { &self.object } else { &self.by }
    }
}

/// Whether a count says nothing.
#[must_use]
pub const fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// A document that is handed over: what it is, never what is in it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// Its title.
    #[schemars(length(max = 256))]
    pub label: String,
    /// What it is for, and what to do with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub help: Option<String>,
    /// Its first columns, after the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 40), inner(length(max = 63)))]
    pub columns: Vec<String>,
    /// How many columns it has, the key not counted.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub width: i64,
    /// The file, as it was read back.
    pub file: File,
}

/// What is not named one by one; `results/<object>/reasons.csv` has all of it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct MoreReasons {
    /// Reasons that are not named.
    #[schemars(range(min = 0))]
    pub kinds: i64,
    /// What they count, in all.
    #[schemars(range(min = 0))]
    pub count: i64,
}

impl MoreReasons {
    /// Whether every reason is named.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// One more that is not named.
    pub const fn add(&mut self, count: i64) {
        self.kinds = self.kinds.saturating_add(1);
        self.count = self.count.saturating_add(count);
    }
}

/// Sums over objects.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Totals {
    /// Records read.
    #[schemars(range(min = 0))]
    pub read: i64,
    /// Created, adopted, updated or unchanged.
    #[schemars(range(min = 0))]
    pub loaded: i64,
    /// Rejected or failed.
    #[schemars(range(min = 0))]
    pub rejected: i64,
}

/// Why records were rejected or failed, and how many.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RejectReason {
    /// Object of the mapping.
    #[schemars(length(max = 63))]
    pub object: String,
    /// What became of the records.
    #[serde(default)]
    pub kind: ReasonKind,
    /// What is wrong, a closed word such as `NotFound`.
    #[schemars(length(max = 63))]
    pub code: String,
    /// Destination field (or source column) it is about; may be empty. `*`, here and in `code`, is any of those that are
    /// not counted apart, once there are very many.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub field: String,
    /// Records with it.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Source key of one such record; empty where the object's keys are values (a name, an address) rather than ids: then
    /// `results/<object>/` has it.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub example: String,
}

/// What became of the records that a reason counts.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub enum ReasonKind {
    /// The mapping refused them, or they could not be read.
    #[default]
    Rejected,
    /// Odoo refused them.
    Failed,
    /// They differ at read-back, or are missing.
    Mismatched,
    /// They arrived, but not quite as in the source.
    Noted,
    /// They wait until somebody makes a record in Odoo.
    Held,
}

/// How an attempt ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum Outcome {
    /// The step is done.
    Done,
    /// Ended in order, but not all of it is done (a book over `accept`, a round that left bounds).
    Partial,
    /// Could not go on; see `failure`.
    Failed,
    /// Told to stop.
    Stopped,
}

/// Why an attempt could not go on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A closed word, such as `SecretMissing`: becomes the reason of the condition `Stalled`.
    pub reason: FailureReason,
    /// What happened, with the thing named, and what to do. Never a secret, never a person's data.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The closed list of reasons an attempt may end with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
pub enum FailureReason {
    /// No export there yet: waits, does not stall.
    ExportMissing,
    /// An Error finding at discovery.
    Preflight,
    /// A Secret or a key of it is missing.
    SecretMissing,
    /// The workspace cannot be written.
    WorkspaceNotWritable,
    /// The workspace belongs to another Migration or account.
    WorkspaceForeign,
    /// The workspace was there in an earlier phase and is not now.
    WorkspaceLost,
    /// The source cannot be read.
    SourceUnavailable,
    /// The source's API refuses the keys.
    SourceUnauthorized,
    /// More than 5 % vanished from the source.
    SourceShrunk,
    /// Rejects, failures or mismatches over `accept`.
    Acceptance,
    /// Odoo's lock is held by another run.
    DestinationLock,
    /// Odoo refuses the key.
    DestinationUnauthorized,
    /// Odoo refuses what the key's user may not do.
    DestinationForbidden,
    /// Odoo does not know the database, the model or the API.
    DestinationNotFound,
    /// Odoo does not answer, or not sensibly.
    DestinationUnavailable,
    /// A book does not balance.
    BookUnbalanced,
    /// The read-back found a difference.
    Verification,
    /// Records without an external id that cannot be explained.
    Orphans,
    /// Records are held until somebody makes what they wait for in Odoo.
    Held,
    /// The source would not become quiet, or left the bounds of the evidence.
    NotQuiet,
    /// The plan in the workspace is not the one of this run.
    PlanMissing,
    /// The fence: no accepted heartbeat for too long, or the attempt was closed.
    Fenced,
    /// A defect of ours.
    Internal,
}

/// What discovery fixed for the run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// SHA-256 of the plan document in the workspace, `sha256:<hex>`.
    #[schemars(length(max = 80))]
    pub digest: String,
    /// Digest of the merged mapping it was compiled from.
    #[schemars(length(max = 80))]
    pub mapping_digest: String,
    /// The Odoo as it names itself, the API it is called over, and why that one.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub odoo: String,
    /// Objects in load order, those that stand down left out.
    #[schemars(length(max = 100))]
    pub objects: Vec<PlannedObject>,
    /// What discovery has to say, most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub findings: Vec<Finding>,
    /// Seconds that loading is expected to take at the measured pace.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub estimate_seconds: i64,
}

/// One object of the plan.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedObject {
    /// Name in the mapping.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Odoo model that its records become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub model: Option<String>,
    /// File of the document that its records become instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub document: Option<String>,
}

impl PlannedObject {
    /// What its records become, for tables: the model, or the document's file.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.model.as_deref().or(self.document.as_deref()).unwrap_or_default()
    }
}

/// Code of what tells that a source announced more records than it gave.
pub const FEWER: &str = "FewerThanAnnounced";
/// Code of what tells that fields came which discovery did not see.
pub const UNPLANNED: &str = "UnplannedFields";

/// How the source differs from the snapshot before.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// Source records that are new or changed.
    #[schemars(range(min = 0))]
    pub changed: i64,
    /// Source records that are gone.
    #[schemars(range(min = 0))]
    pub gone: i64,
    /// Digest of the snapshot that was read: the watermark.
    #[schemars(length(max = 80))]
    pub watermark: String,
    /// What may mean that something of the source does not move: `FewerThanAnnounced`, `UnplannedFields`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub findings: Vec<Finding>,
}

/// The steps of the cutover, each recorded once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CutoverFacts {
    /// A last delta was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<MicroTime>,
    /// One more delta was empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<MicroTime>,
    /// Every record was read back once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<MicroTime>,
    /// Recorded as switched, the lock given back. Nothing is undone from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<MicroTime>,
}

/// A file in the workspace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Path in the workspace.
    #[schemars(length(max = 512))]
    pub path: String,
    /// `sha256:<hex>` of its content.
    #[schemars(length(max = 80))]
    pub digest: String,
}
