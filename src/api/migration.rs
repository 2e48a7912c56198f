//! `Migration`: one ferry, from a source account into one Odoo.

use k8s_openapi::apimachinery::pkg::{
    apis::meta::v1::{Condition, MicroTime, Time},
    util::intstr::IntOrString,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    counts::{Book, Progress, Verification},
    mapping_spec::Finding,
    phase_run::{CutoverFacts, Missing, Totals, is_zero},
};

/// One ferry: the CRM of one account into one Odoo.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "crmferry.io",
    version = "v1alpha1",
    kind = "Migration",
    namespaced,
    shortname = "mig",
    category = "crmferry",
    status = "MigrationStatus",
    derive = "PartialEq",
    doc = "One ferry: the CRM of one account into one Odoo, as a MappingSpec says.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress.summary"),
    printcolumn(name = "Read", type_ = "integer", json_path = ".status.totals.read"),
    printcolumn(name = "Loaded", type_ = "integer", json_path = ".status.totals.loaded"),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.totals.rejected"),
    printcolumn(name = "Waiting For", type_ = "string", json_path = ".status.waitingFor[0].what"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("the name may have 40 characters: names of Jobs are made from it"),
    validation = Rule::new("!has(oldSelf.status) || oldSelf.status.phase in ['Pending', 'Validating', 'Completed', 'Cancelled'] || (self.spec.source == oldSelf.spec.source && self.spec.mappingSpecRef == oldSelf.spec.mappingSpecRef && self.spec.workspace == oldSelf.spec.workspace && self.spec.mode == oldSelf.spec.mode)")
        .message("source, mappingSpecRef, workspace and mode are frozen while a run is under way: cancel it first (kubectl crmferry cancel)"),
    validation = Rule::new("!has(oldSelf.status) || oldSelf.status.phase in ['Pending', 'Validating', 'Completed', 'Cancelled'] || (self.spec.destination.odoo.url == oldSelf.spec.destination.odoo.url && self.spec.destination.odoo.database == oldSelf.spec.destination.odoo.database && self.spec.destination.odoo.secretRef == oldSelf.spec.destination.odoo.secretRef && self.spec.destination.odoo.insecure == oldSelf.spec.destination.odoo.insecure && has(self.spec.destination.odoo.caBundle) == has(oldSelf.spec.destination.odoo.caBundle) && (!has(self.spec.destination.odoo.caBundle) || self.spec.destination.odoo.caBundle == oldSelf.spec.destination.odoo.caBundle))")
        .message("destination (other than limits) is frozen while a run is under way: cancel it first (kubectl crmferry cancel)")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MigrationSpec {
    /// The MappingSpec, in the same namespace.
    pub mapping_spec_ref: LocalRef,
    /// Where records come from.
    pub source: Source,
    /// Where records go.
    pub destination: Destination,
    /// Where a run keeps its snapshot, ledger and results.
    pub workspace: Workspace,
    /// What is good enough. Nothing may be lost where not said.
    #[serde(default)]
    pub accept: Accept,
    /// When and how the cutover may happen.
    #[serde(default)]
    pub cutover: Cutover,
    /// What becomes of records whose owner Odoo does not have.
    #[serde(default)]
    pub owners: Owners,
    /// Migrate, or stop after the rehearsal.
    #[serde(default)]
    pub mode: Mode,
    /// Ends the running attempt and keeps the place.
    #[serde(default)]
    pub suspend: bool,
}

/// An object in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Where records come from. The platform is the mapping's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.files) || has(self.pipz)").message("records come from files, from an API (pipz), or from both: say at least one"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Short name of the source account; part of every external id. Immutable.
    #[schemars(length(min = 1, max = 30), regex(pattern = r"^[a-z0-9]{1,30}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the account is immutable: it is part of every external id"))]
    pub account: String,
    /// Export files in the workspace: alone, or beside an API for the objects that it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// The API of Pipz. Where it and a file both have an object, the API answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipz: Option<Pipz>,
    /// The content that `fetch` of a mapping names: how much of it, and from which hosts beside the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// Content that is fetched: files of the export folder, and links.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Content {
    /// Hosts that links may lead to, beside the source's own: `files.acme.com`, or with a port `files.acme.com:8443`. They are
    /// sent no keys. A link to any other host is not followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<String>,
    /// Largest content in MiB; 90 where not said. Odoo takes calls of up to 128 MiB, and base64 adds a third. What is larger is
    /// without counterpart, as onMissing of its field says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 95))]
    pub max_mebibytes: Option<i32>,
    /// Lets http and unverified TLS pass. For tests.
    #[serde(default)]
    pub insecure: bool,
}

impl Content {
    /// Most bytes of one content.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        const USUAL: u64 = 90;
        let said = self.max_mebibytes.and_then(|most| u64::try_from(most).ok());
        said.unwrap_or(USUAL) << 20
    }
}

impl Source {
    /// Folder of the export files below the Migration's folder, where there are any.
    #[must_use]
    pub fn files_path(&self) -> Option<&str> {
        self.files.as_ref().map(|files| files.path.as_str())
    }

    /// The API that is asked, by its word in the spec, and the Secret it is asked with.
    #[must_use]
    pub fn api(&self) -> Option<(&'static str, &LocalRef)> {
        self.pipz.as_ref().map(|pipz| ("pipz", &pipz.secret_ref))
    }
}

/// The API of a Pipz account.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.insecure || !has(self.url) || self.url.startsWith('https://')").message("url must begin with https:// unless insecure is true"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipz {
    /// Base address; `https://<account>.pipz.io` where not said. `/api/v1` follows it unless it has a path of its own, such as
    /// `https://api.pipz.io/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"))]
    pub url: Option<String>,
    /// Secret with the keys `apiKey` and `apiSecret`.
    pub secret_ref: LocalRef,
    /// How the keys are sent.
    #[serde(default)]
    pub authentication: Authentication,
    /// Calls per minute; 120 where not said. Fewer are made while the server is under strain or asks for patience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub calls_per_minute: Option<i32>,
    /// Lets http and unverified TLS pass. For tests.
    #[serde(default)]
    pub insecure: bool,
}

/// How keys are sent.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Authentication {
    /// In the query of each address.
    #[default]
    Query,
    /// As user and password of HTTP Basic.
    Basic,
}

/// Export files in the workspace: one CSV or JSON Lines file per source object, named after it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Files {
    /// Folder below the Migration's folder in the workspace, such as `exports/`.
    #[serde(default = "default_files_path")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"))]
    #[x_kube(validation = Rule::new("!self.contains('..')").message("the path may not contain '..'"))]
    #[x_kube(validation = Rule::new(format!("!self.matches('^({})(/|$)')", super::RUNS_OWN.join("|"))).message("runs keep files of their own in that folder: choose another, such as exports/"))]
    pub path: String,
}

fn default_files_path() -> String {
    "exports/".into()
}

/// Where records go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// An Odoo server.
    pub odoo: Odoo,
}

/// An Odoo server: called over JSON-2 (Odoo 19 or later) where it has that, else over XML-RPC.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("self.insecure || self.url.startsWith('https://')").message("url must begin with https:// unless insecure is true"))]
#[x_kube(validation = Rule::new("has(self.externalIdModule) == has(oldSelf.externalIdModule) && (!has(self.externalIdModule) || self.externalIdModule == oldSelf.externalIdModule)").message("externalIdModule is immutable: it is part of every external id"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Odoo {
    /// Base address, such as `https://acme.odoo.com`.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$"))]
    pub url: String,
    /// Database.
    #[schemars(length(min = 1, max = 128))]
    pub database: String,
    /// Secret with the key `apiKey`; over XML-RPC with `login` beside it, or with `login` and `password`.
    pub secret_ref: LocalRef,
    /// Lets http and unverified TLS pass. For tests.
    #[serde(default)]
    pub insecure: bool,
    /// Module of the external ids in `ir.model.data`; `crmferry_<platform>_<account>` where not said. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 60), regex(pattern = r"^crmferry_[a-z0-9_]+$"))]
    pub external_id_module: Option<String>,
    /// How hard the server may be driven.
    #[serde(default)]
    pub limits: Limits,
    /// CA certificates (PEM) the server's certificate is checked against, beside the well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// CA certificates in a ConfigMap.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaBundle {
    /// The key of a ConfigMap.
    pub config_map_key_ref: KeyRef,
}

/// A key of an object in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// How hard the server may be driven.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The kind of hosting.
    #[serde(default)]
    pub profile: Profile,
    /// Connections at once; overrides the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub connections: Option<i32>,
    /// Calls per minute; overrides the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60000))]
    pub calls_per_minute: Option<i32>,
}

/// The kind of hosting.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Profile {
    /// Odoo Online and Odoo.sh: one call a second on one connection, as their policy asks.
    #[default]
    Online,
    /// One's own server: as fast as it stays healthy.
    SelfHosted,
}

/// Where a run keeps its snapshot, ledger and results.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workspace {
    /// A claim of one's own; everything lies below `<namespace>/<name>/` in it.
    pub persistent_volume_claim: Claim,
}

/// A PersistentVolumeClaim in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claim {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub claim_name: String,
}

/// What is good enough, for each object: a count, or a share of what it read. 0 where not said.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Accept {
    /// Records the mapping may reject: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub rejected: Option<IntOrString>,
    /// Records Odoo may refuse: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub failed: Option<IntOrString>,
    /// Records that may differ at read-back: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub mismatched: Option<IntOrString>,
    /// Records in which a person's value may stand against the source's, where the mapping says `onConflict: Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub conflicts: Option<IntOrString>,
    /// Objects with bounds of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub objects: Vec<AcceptObject>,
}

/// Bounds of one object; what is not said is taken from the general ones.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptObject {
    /// Object of the mapping.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Records the mapping may reject: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub rejected: Option<IntOrString>,
    /// Records Odoo may refuse: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub failed: Option<IntOrString>,
    /// Records that may differ at read-back: a count, such as `10`, or a share of what the object read, such as `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub mismatched: Option<IntOrString>,
    /// Records in which a person's value may stand against the source's, where the mapping says `onConflict: Report`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Bound>")]
    pub conflicts: Option<IntOrString>,
}

/// Schema of a count or a share: `5` or `"1%"`.
struct Bound;

impl JsonSchema for Bound {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bound".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": r"^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$",
            "maxLength": 8,
            "minimum": 0
        })
    }
    fn inline_schema() -> bool {
        true
    }
}

/// Owners: records of objects with `onNew: Hold`, which people make in Odoo.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owners {
    /// What a lookup without an `onMissing` of its own does while the owner is not in Odoo.
    #[serde(default)]
    pub on_missing: OwnersMissing,
}

/// What a record does whose owner is not in Odoo.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OwnersMissing {
    /// It waits for its owner; the gate `cutover` stays shut as long as an owner is missing.
    #[default]
    Hold,
    /// It arrives without, noted, and is filled when the owner appears.
    Empty,
    /// It is rejected.
    Reject,
}

/// When and how the cutover may happen.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cutover {
    /// The window it may happen in; any time where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Source records that may have changed since the last round when the cutover begins.
    #[serde(default = "default_max_delta")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub max_delta: i64,
    /// Time between two rounds of synchronising, such as `15m` or `1h`.
    #[serde(default = "default_every")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?$"))]
    #[x_kube(validation = Rule::new("size(self) > 0 && duration(self) >= duration('1s')").message("every is a time such as 15m"))]
    pub every: String,
}

impl Default for Cutover {
    fn default() -> Self {
        Self {
            window: None,
            max_delta: default_max_delta(),
            every: default_every(),
        }
    }
}

const fn default_max_delta() -> i64 {
    1000
}

fn default_every() -> String {
    "15m".into()
}

/// A span of time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter").message("notBefore must lie before notAfter"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// Not after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}

/// How far a Migration goes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    /// All the way.
    #[default]
    Migrate,
    /// Up to the rehearsal: nothing is written to Odoo.
    DryRun,
}

/// Where a Migration is. Conditions say how it fares there.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
pub enum Phase {
    /// Accepted.
    #[default]
    Pending,
    /// The mapping is compiled.
    Validating,
    /// Source and destination are probed.
    Discovering,
    /// The source is read into the snapshot.
    Extracting,
    /// The whole transform, without a write.
    Rehearsing,
    /// Waits for the gate `mapping`.
    AwaitingMapping,
    /// Custom fields are made.
    PreparingSchema,
    /// Objects are loaded, one after the other.
    Loading,
    /// Rounds of delta; waits for the gate `cutover`.
    Synchronising,
    /// Drain, freeze, verify, switch.
    CuttingOver,
    /// Done.
    Completed,
    /// Given up; what is in Odoo stays.
    Cancelled,
}

/// What the operator observed, decided and counted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MigrationStatus {
    /// Generation this status was computed from; -1 before the first look.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where the Migration is; conditions say how it fares.
    #[serde(default)]
    pub phase: Phase,
    /// Ready, Reconciling, Stalled, `MappingConfirmed`, Reconciled, `CutOver`, Completed, `MappingDrifted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Number of the run, from 1; 0 before the first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub run: i64,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When the phase was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Time>,
    /// The plan that is pinned for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PinnedPlan>,
    /// The worker that is pinned for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<PinnedWorker>,
    /// The attempt at work, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Attempts made in this run; the next one's number is one more.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub attempts: i64,
    /// How far the attempt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Every object of the plan, in load order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub objects: Vec<ObjectStatus>,
    /// What is waited for in Odoo: records that people make there, and how many records wait for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub queue: Vec<Missing>,
    /// What the rehearsal went by where owners are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed_owners: Option<OwnersMissing>,
    /// Sums over the objects.
    #[serde(default)]
    pub totals: Totals,
    /// The points that only a person passes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub gates: Vec<Gate>,
    /// What stands in the way, and the command that ends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub waiting_for: Vec<Waiting>,
    /// What discovery had to say, most severe first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub findings: Vec<Finding>,
    /// Seconds that loading is expected to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub estimate_seconds: Option<i64>,
    /// Digest of the snapshot that everything so far was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub watermark: Option<String>,
    /// The last round of synchronising.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// The steps of the cutover, each recorded once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutover: Option<CutoverFacts>,
    /// The last verb, and the answer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_request: Option<Answer>,
    /// When `cancel` was accepted; absent again once the Migration is Cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelling: Option<Time>,
    /// What the verbs ask of the next attempt.
    #[serde(default, skip_serializing_if = "super::phase_run::Orders::is_none")]
    pub orders: super::phase_run::Orders,
    /// The last five runs that ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<PastRun>,
}

/// The status an object is born with: without one, kstatus takes an object for finished.
pub(super) fn initial_status() -> serde_json::Value {
    serde_json::json!({"observedGeneration": -1, "phase": "Pending"})
}

/// The plan that is pinned for the run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PinnedPlan {
    /// Digest of the plan document in the workspace.
    #[schemars(length(max = 80))]
    pub digest: String,
    /// Digest of the merged mapping it was made from.
    #[schemars(length(max = 80))]
    pub mapping_digest: String,
    /// The Odoo as it names itself, the API it is called over, and why that one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub odoo: String,
}

/// The worker that is pinned for the run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PinnedWorker {
    /// Version that made the plan.
    #[schemars(length(max = 64))]
    pub version: String,
    /// Image; empty where there is no cluster.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub image: String,
}

/// The attempt at work, or the last one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Name of its PhaseRun and Job.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its number in the run.
    #[schemars(range(min = 1))]
    pub number: i64,
    /// What it does.
    pub step: super::phase_run::Step,
    /// The object it loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub object: Option<String>,
    /// What the verbs ask of it.
    #[serde(default, skip_serializing_if = "super::phase_run::Orders::is_none")]
    pub orders: super::phase_run::Orders,
    /// When it was decided on.
    pub since: Time,
    /// Attempts at the same step in a row that got no further; 0 for the first.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub fruitless: i64,
    /// The most records that an attempt at this step has got to.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub furthest: i64,
    /// When it was seen to have ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// The heartbeat last seen, and when it was seen to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat: Option<Beat>,
    /// When its pod was first seen to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Time>,
    /// When it was told to end. From then on it is never started again, and what it reports moves no phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Time>,
    /// What became of it; there as soon as `ended` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// What became of an attempt. Judged once.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// What follows from it.
    pub verdict: Verdict,
    /// A word, such as `SecretMissing`; empty where all went well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What follows from how an attempt ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Verdict {
    /// The step is done.
    Done,
    /// It ended in order, but left something open.
    Partial,
    /// Another attempt follows after a while.
    Retry,
    /// Somebody else has to move first; looked at again every 15 seconds. Consumes no attempt.
    Waiting,
    /// A person has to act.
    Stalled,
    /// It was told to end, or is to be made anew: another attempt follows at once.
    Stopped,
}

/// A heartbeat, judged by when it was seen to change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Beat {
    /// Its value.
    pub value: MicroTime,
    /// When the operator saw it first.
    pub seen: Time,
}

/// One object of the plan.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
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
    /// How far it is.
    #[serde(default)]
    pub state: ObjectState,
    /// Its counts: predicted ones until it is loaded.
    #[serde(default)]
    pub book: Book,
    /// What reading it back found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Held records that wait for another one, rather than to be made in Odoo themselves.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub waiting: i64,
    /// The PhaseRun that counted last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub phase_run: String,
}

impl ObjectStatus {
    /// What its records become, for tables: the model, or the document's file.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.model.as_deref().or(self.document.as_deref()).unwrap_or_default()
    }
}

/// How far an object is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ObjectState {
    /// Nothing is known of it yet.
    #[default]
    Planned,
    /// Its book is predicted.
    Rehearsed,
    /// It is being loaded.
    Loading,
    /// It was loaded and read back; values of it wait for objects that come later, or records of it are held.
    Open,
    /// Its book balances and every record was read back.
    Verified,
}

/// A point that only a person passes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// `mapping` or `cutover`.
    #[schemars(length(max = 32))]
    pub name: String,
    /// How it stands.
    pub state: GateState,
    /// Digest of the sealed evidence: what an approval names.
    #[serde(default)]
    #[schemars(length(max = 80))]
    pub evidence_digest: String,
    /// Where to read the evidence: name of a ConfigMap.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub evidence: String,
    /// How often evidence was sealed for this gate in this Migration's life.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub sealed: i64,
    /// When the evidence was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub approved_by: Option<String>,
    /// Why it is stale or unguarded, or was sealed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// The approval that was seen while nothing guarded it: void for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub void: Option<String>,
    /// Digest of what the evidence stands on: Migration, run, spec, plan and worker. Another one makes the gate stale.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub basis: String,
    /// The round of synchronising that had ended when the evidence was sealed or became stale.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub round: i64,
}

/// How a gate stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum GateState {
    /// Evidence is sealed; nobody has approved it yet.
    Waiting,
    /// Approved, not carried out yet.
    Approved,
    /// What was sealed no longer holds; new evidence is sealed next.
    Stale,
    /// No admission policy guards approvals: the gate stays shut.
    Unguarded,
    /// Carried out.
    Passed,
}

/// What stands in the way.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// A word, such as `Approval` or `SecretMissing`.
    #[schemars(length(max = 63))]
    pub what: String,
    /// The thing named.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Since when.
    pub since: Time,
    /// The command that ends it.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub command: String,
}

/// A round of synchronising.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// Number of the round in this run, from 1.
    #[schemars(range(min = 0))]
    pub number: i64,
    /// When it ended.
    pub ended: Time,
    /// Source records that were new or changed.
    #[schemars(range(min = 0))]
    pub changed: i64,
    /// Source records that were gone.
    #[schemars(range(min = 0))]
    pub gone: i64,
}

/// The last verb, and the answer to it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The annotation as it was read.
    #[schemars(length(max = 256))]
    pub request: String,
    /// Whether it was carried out.
    pub accepted: bool,
    /// What was done, or why not.
    #[schemars(length(max = 512))]
    pub message: String,
    /// When.
    pub at: Time,
}

/// A run that ended.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// Its number.
    #[schemars(range(min = 1))]
    pub run: i64,
    /// Completed or Cancelled.
    pub phase: Phase,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Time,
    /// Its sums.
    #[serde(default)]
    pub totals: Totals,
    /// The plan it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub plan: Option<String>,
}
