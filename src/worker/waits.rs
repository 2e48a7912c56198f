//! What of an object waits for people to make records in Odoo. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::phase_run::Missing,
    lifecycle::queue,
    mapping::{Awaited, Mapping},
    model::SourceKey,
};

/// Records that are counted apart; more are counted together, so that memory stays flat.
const APART: usize = 1_000;
/// Longest key that a status takes.
const KEY_MAX: usize = 128;

/// What records of one object wait for.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    object: String,
    /// Objects whose keys are ids, and no values of records: they may be named.
    named: BTreeSet<String>,
    /// What is missing, and who waits for it → how many.
    rows: BTreeMap<(String, String, String), i64>,
    /// Held records that wait for others.
    pub waiting: i64,
}

impl Waits {
    /// Of an object of the mapping.
    #[must_use]
    pub fn of(mapping: &Mapping, object: &str) -> Self {
        let with_ids = mapping.objects.iter().filter(|object| object.has_ids_for_keys());
        Self {
            object: object.to_owned(),
            named: with_ids.map(|object| object.name.clone()).collect(),
            ..Self::default()
        }
    }

    /// A record of the object is missing in Odoo itself.
    pub fn is_missing(&mut self, key: &SourceKey) {
        let object = self.object.clone();
        self.count(object, Some(key), String::new());
    }

    /// A record, or values of it, wait: it is counted once for each thing it waits for.
    pub fn waits(&mut self, awaits: &[Awaited]) {
        let what: BTreeSet<_> = awaits
            .iter()
            .map(|awaited| (awaited.object.clone(), awaited.key.as_ref()))
            .collect();
        for (object, key) in what {
            let by = self.object.clone();
            self.count(object, key, by);
        }
    }

    fn count(&mut self, object: String, key: Option<&SourceKey>, by: String) {
        let key = key.filter(|key| self.named.contains(&object) && key.0.len() <= KEY_MAX);
        let mut row = (object, key.map_or_else(String::new, |key| key.0.clone()), by);
        if self.rows.len() >= APART && !self.rows.contains_key(&row) {
            row.1.clear();
        }
        *self.rows.entry(row).or_default() += 1;
    }

    /// For the report.
    #[must_use]
    pub fn rows(&self) -> Vec<Missing> {
        let rows = self.rows.iter().map(|((object, key, by), records)| Missing {
            object: object.clone(),
            key: key.clone(),
            by: by.clone(),
            records: *records,
        });
        let mut rows: Vec<_> = rows.collect();
        queue::truncate(&mut rows, queue::MOST);
        rows
    }
}
