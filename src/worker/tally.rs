//! Counting: every source record once, by its last outcome, with the reasons. Pure.

use std::collections::BTreeMap;

use crate::{
    api::{
        counts::Book,
        phase_run::{ReasonKind, RejectReason, Totals},
    },
    model::{Rejection, SourceKey},
};

/// Most reasons that a report names.
const REASONS: usize = 20;
/// Reasons that are counted apart; hostile data could else make the tally grow without bound.
const KINDS: usize = 500;

/// What became of one source record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Refused by `where`.
    Filtered,
    /// Refused by the mapping, or unreadable.
    Rejected,
    /// Folded into an earlier record with its key.
    Deduplicated,
    /// Made in Odoo in this run.
    Created,
    /// Found in Odoo and taken over in this run.
    Adopted,
    /// Changed in Odoo in this run.
    Updated,
    /// In Odoo as mapped.
    Unchanged,
    /// Refused by Odoo.
    Failed,
    /// Written with a value left open.
    Deferred,
    /// Not reached.
    Unprocessed,
}

/// The counts of one object while it is handled.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The flow so far.
    pub book: Book,
    reasons: BTreeMap<(ReasonKind, String, String), (i64, String)>,
}

impl Tally {
    /// Counts a record.
    pub fn count(&mut self, fate: Fate) {
        let book = &mut self.book;
        book.read += 1;
        let (mapped, counter) = match fate {
            Fate::Filtered => (0, &mut book.filtered),
            Fate::Rejected => (0, &mut book.rejected),
            Fate::Deduplicated => (0, &mut book.deduplicated),
            Fate::Created => (1, &mut book.created),
            Fate::Adopted => (1, &mut book.adopted),
            Fate::Updated => (1, &mut book.updated),
            Fate::Unchanged => (1, &mut book.unchanged),
            Fate::Failed => (1, &mut book.failed),
            Fate::Deferred => (1, &mut book.deferred),
            Fate::Unprocessed => (1, &mut book.unprocessed),
        };
        *counter += 1;
        book.mapped += mapped;
    }

    /// Remembers why a record was rejected or failed, or what was allowed to differ.
    pub fn reason(&mut self, kind: ReasonKind, rejection: &Rejection, key: Option<&SourceKey>) {
        let of = (kind, rejection.code.clone(), rejection.field.clone());
        if self.reasons.len() >= KINDS && !self.reasons.contains_key(&of) {
            return;
        }
        let (count, _) = self
            .reasons
            .entry(of)
            .or_insert_with(|| (0, key.map_or_else(String::new, |key| key.0.chars().take(128).collect())));
        *count += 1;
    }

    /// The most frequent reasons, for the report.
    #[must_use]
    pub fn reasons(&self, object: &str) -> Vec<RejectReason> {
        let mut reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|((kind, code, field), (count, example))| RejectReason {
                kind: *kind,
                object: object.to_owned(),
                code: code.chars().take(63).collect(),
                field: field.chars().take(128).collect(),
                count: *count,
                example: example.clone(),
            })
            .collect();
        most_frequent(&mut reasons);
        reasons
    }
}

/// Orders reasons, losses before notes and then by frequency, and keeps the first twenty.
pub fn most_frequent(reasons: &mut Vec<RejectReason>) {
    reasons.sort_by(|a, b| {
        let noted = |reason: &RejectReason| reason.kind == ReasonKind::Noted;
        (noted(a), b.count, &a.object, &a.code, &a.field).cmp(&(noted(b), a.count, &b.object, &b.code, &b.field))
    });
    reasons.truncate(REASONS);
}

/// Sums over books.
#[must_use]
pub fn totals<'a>(books: impl IntoIterator<Item = &'a Book>) -> Totals {
    books.into_iter().fold(Totals::default(), |sum, book| Totals {
        read: sum.read + book.read,
        loaded: sum.loaded + book.created + book.adopted + book.updated + book.unchanged,
        rejected: sum.rejected + book.rejected + book.failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_is_counted_once_and_the_flow_balances() {
        let mut tally = Tally::default();
        let fates = [
            Fate::Filtered,
            Fate::Rejected,
            Fate::Deduplicated,
            Fate::Created,
            Fate::Adopted,
            Fate::Updated,
            Fate::Unchanged,
            Fate::Failed,
            Fate::Unprocessed,
        ];
        for fate in fates {
            tally.count(fate);
        }
        let book = tally.book;
        assert_eq!(book.read, 9);
        assert_eq!(
            book.read,
            book.filtered + book.rejected + book.deduplicated + book.mapped
        );
        let flow = book.created + book.adopted + book.updated + book.unchanged + book.failed + book.unprocessed;
        assert_eq!(book.mapped, flow);
        assert_eq!(totals([&book, &book]).loaded, 8);
    }

    #[test]
    fn reasons_come_most_frequent_first_with_one_example() {
        let mut tally = Tally::default();
        let key = SourceKey("7".into());
        for code in ["NotFound", "Empty", "NotFound"] {
            tally.reason(
                ReasonKind::Rejected,
                &Rejection::new(code, "parent_id", "value"),
                Some(&key),
            );
        }
        let reasons = tally.reasons("contacts");
        assert_eq!(reasons[0].code, "NotFound");
        assert_eq!((reasons[0].count, reasons[0].example.as_str()), (2, "7"));
        assert!(
            reasons.iter().all(|reason| !reason.code.contains("value")),
            "values stay out of reports"
        );
    }
}
