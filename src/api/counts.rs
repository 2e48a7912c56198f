//! The books: how many records went where, and what reading them back found.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The counts of one object. Flow, in source records (items, with `each`) of this run:
/// `read = filtered + rejected + deduplicated + mapped`, and
/// `mapped = created + adopted + updated + unchanged + deferred + held + failed + unprocessed`.
/// Stock, counted in Odoo: `present = presentBefore + created + adopted - removed`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!self.balanced || (self.read == self.filtered + self.rejected + self.deduplicated + self.mapped && self.mapped == self.created + self.adopted + self.updated + self.unchanged + self.failed && self.deferred == 0 && self.held == 0 && self.unprocessed == 0)")
    .message("a book marked balanced does not balance"))]
#[serde(rename_all = "camelCase")]
pub struct Book {
    /// Records (items) read from the snapshot.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub read: i64,
    /// Refused by `where`.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub filtered: i64,
    /// Refused by the mapping, or unreadable in the source.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub rejected: i64,
    /// Folded into an earlier record with the same key.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub deduplicated: i64,
    /// Became a record of the destination model.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub mapped: i64,
    /// Created in Odoo.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub created: i64,
    /// Found in Odoo and taken over.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub adopted: i64,
    /// Changed in Odoo.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub updated: i64,
    /// Already in Odoo as mapped: not sent.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub unchanged: i64,
    /// Written without a value that a second pass fills (`onMissing: Defer`).
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub deferred: i64,
    /// Waits until somebody makes it in Odoo (`onNew: Hold`), or what it refers to (`onMissing: Hold`).
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub held: i64,
    /// Refused by Odoo.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub failed: i64,
    /// Not reached yet.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub unprocessed: i64,
    /// Keys that the source no longer has, or that `where` no longer lets in; `onSourceDelete` says what became of their
    /// records.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub deleted: i64,
    /// Records of this object in Odoo before this run, and those made earlier in it that this reading did not bring.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub present_before: i64,
    /// Records of this object in Odoo now.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub present: i64,
    /// Records of this object that were there before this run and are not any more.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub removed: i64,
    /// Whether every equation holds.
    #[serde(default)]
    pub balanced: bool,
}

/// What reading every migrated record back found.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Verification {
    /// Equal in every mapped field.
    #[schemars(range(min = 0))]
    pub matching: i64,
    /// At least one field differs without an explanation.
    #[schemars(range(min = 0))]
    pub mismatched: i64,
    /// Written, but not there any more.
    #[schemars(range(min = 0))]
    pub missing_in_destination: i64,
    /// There under an external id of this object, but in no ledger.
    #[schemars(range(min = 0))]
    pub extra_in_destination: i64,
    /// Differs because a person changed it.
    #[schemars(range(min = 0))]
    pub edited_by_user: i64,
    /// Of those, where a person's value stands against the mapped one and the object says `onConflict: Report`.
    #[schemars(range(min = 0))]
    pub conflicts: i64,
    /// Changed while it was read.
    #[schemars(range(min = 0))]
    pub in_flight: i64,
    /// Made by the migration user, without an external id: must not exist.
    #[schemars(range(min = 0))]
    pub orphans: i64,
    /// Whether every record was read back and nothing is wrong with any.
    pub verified: bool,
}

/// How far an attempt is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// The object at work, empty in steps that have none.
    #[schemars(length(max = 63))]
    pub object: String,
    /// What is done to it: `extract`, `map`, `load`, `verify` and the like.
    #[schemars(length(max = 63))]
    pub step: String,
    /// Records done.
    #[schemars(range(min = 0))]
    pub done: i64,
    /// Records in all, 0 while unknown.
    #[schemars(range(min = 0))]
    pub total: i64,
    /// Seconds that the oldest running call to Odoo has taken so far.
    #[schemars(range(min = 0))]
    pub call_seconds: i64,
    /// `<object> <done>/<total>`, for people.
    #[schemars(length(max = 160))]
    pub summary: String,
}
