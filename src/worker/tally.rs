//! Counting: every source record once, by its last outcome, with the reasons. Pure.

use std::collections::BTreeMap;

use crate::{
    api::{
        counts::Book,
        phase_run::{ObjectReport, ReasonKind, RejectReason, Totals},
    },
    model::{Rejection, SourceKey},
};

/// Most reasons that a report names: of losses, of what waits, of notes. Room that one leaves is for the others.
const REASONS: [usize; 3] = [10, 4, 6];
/// Reasons that are counted apart; hostile data could else make the tally grow without bound.
const KINDS: usize = 500;
/// Stands for the fields, and at last for the codes, that are not counted apart.
const ANY: &str = "*";

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
    /// Waits for a record that is not in Odoo.
    Held,
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
            Fate::Held => (1, &mut book.held),
            Fate::Unprocessed => (1, &mut book.unprocessed),
        };
        *counter += 1;
        book.mapped += mapped;
    }

    /// Remembers why a record was rejected or failed, or what was allowed to differ.
    pub fn reason(&mut self, kind: ReasonKind, rejection: &Rejection, key: Option<&SourceKey>) {
        let place = self.place(kind, &rejection.code, &rejection.field);
        let (count, _) = self
            .reasons
            .entry(place)
            .or_insert_with(|| (0, key.map_or_else(String::new, |key| key.0.chars().take(128).collect())));
        *count += 1;
    }

    /// Where a reason is counted: apart, or with all others of its code, or with all others.
    fn place(&self, kind: ReasonKind, code: &str, field: &str) -> (ReasonKind, String, String) {
        let places = [(code, field, KINDS), (code, ANY, 2 * KINDS), (ANY, ANY, usize::MAX)];
        let place = places.into_iter().find_map(|(code, field, room)| {
            let place = (kind, code.to_owned(), field.to_owned());
            (self.reasons.len() < room || self.reasons.contains_key(&place)).then_some(place)
        });
        place.unwrap_or_else(|| (kind, ANY.to_owned(), ANY.to_owned()))
    }

    /// Every reason, in no order that counts.
    #[must_use]
    pub fn reasons(&self, object: &str) -> Vec<RejectReason> {
        self.reasons
            .iter()
            .map(|((kind, code, field), (count, example))| RejectReason {
                kind: *kind,
                object: object.to_owned(),
                code: code.chars().take(63).collect(),
                field: field.chars().take(128).collect(),
                count: *count,
                example: example.clone(),
            })
            .collect()
    }
}

/// Losses, what waits, notes.
const fn rank(reason: &RejectReason) -> usize {
    match reason.kind {
        ReasonKind::Rejected | ReasonKind::Failed | ReasonKind::Mismatched => 0,
        ReasonKind::Held => 1,
        ReasonKind::Noted => 2,
    }
}

/// Orders reasons: losses before what waits before notes, then by frequency.
pub fn by_weight(reasons: &mut [RejectReason]) {
    reasons.sort_by(|a, b| {
        (rank(a), b.count, &a.object, &a.code, &a.field).cmp(&(rank(b), a.count, &b.object, &b.code, &b.field))
    });
}

/// Takes the examples away where keys are values of records: those are for the workspace alone.
pub fn redact(reasons: &mut [RejectReason], keys_are_ids: bool) {
    for reason in reasons.iter_mut().filter(|_| !keys_are_ids) {
        reason.example.clear();
    }
}

/// Keeps the twenty reasons that weigh most, of losses, of what waits and of notes some each: a thousand values that were
/// emptied are not to hide behind twenty records that were rejected one by one. The reports of their objects say how many
/// others there were.
pub fn most_frequent(reasons: &mut Vec<RejectReason>, reports: &mut [ObjectReport]) {
    by_weight(reasons);
    let mut room = REASONS;
    let mut keeps: Vec<bool> = Vec::with_capacity(reasons.len());
    for reason in reasons.iter() {
        let room: &mut usize = &mut room[rank(reason)];
        keeps.push(*room > 0);
        *room = room.saturating_sub(1);
    }
    let mut left: usize = room.iter().sum();
    for keep in keeps.iter_mut().filter(|keep| !**keep) {
        *keep = left > 0;
        left = left.saturating_sub(1);
    }
    let mut keeps = keeps.into_iter();
    reasons.retain(|reason| {
        let keep = keeps.next().unwrap_or(false);
        let report = reports.iter_mut().find(|report| report.name == reason.object);
        if let Some(report) = report.filter(|_| !keep) {
            report.more_reasons.add(reason.count);
        }
        keep
    });
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
            Fate::Held,
            Fate::Unprocessed,
        ];
        for fate in fates {
            tally.count(fate);
        }
        let book = tally.book;
        assert_eq!(book.read, 10);
        assert_eq!(
            book.read,
            book.filtered + book.rejected + book.deduplicated + book.mapped
        );
        let flow =
            book.created + book.adopted + book.updated + book.unchanged + book.failed + book.held + book.unprocessed;
        assert_eq!(book.mapped, flow);
        assert_eq!(totals([&book, &book]).loaded, 8);
    }

    #[test]
    fn a_key_that_is_a_value_of_a_record_is_no_example() {
        let told = |keys_are_ids| {
            let mut tally = Tally::default();
            let rejection = Rejection::new("Empty", "name", "it is empty");
            tally.reason(ReasonKind::Rejected, &rejection, Some(&SourceKey("Ana's shop".into())));
            let mut reasons = tally.reasons("companies");
            redact(&mut reasons, keys_are_ids);
            reasons.remove(0).example
        };
        assert_eq!((told(true).as_str(), told(false).as_str()), ("Ana's shop", ""));
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
        let mut reasons = tally.reasons("contacts");
        by_weight(&mut reasons);
        assert_eq!(reasons[0].code, "NotFound");
        assert_eq!((reasons[0].count, reasons[0].example.as_str()), (2, "7"));
        assert!(
            reasons.iter().all(|reason| !reason.code.contains("value")),
            "values stay out of reports"
        );
    }

    fn reported(object: &str, kinds: usize) -> (Vec<RejectReason>, ObjectReport) {
        let mut tally = Tally::default();
        for kind in 0..kinds {
            for _ in 0..=kind {
                let rejection = Rejection::new("NotFound", format!("x_{kind:03}"), "");
                tally.reason(ReasonKind::Rejected, &rejection, None);
            }
        }
        let report = ObjectReport {
            name: object.into(),
            ..ObjectReport::default()
        };
        (tally.reasons(object), report)
    }

    #[test]
    fn a_round_names_the_twenty_most_frequent_reasons_and_says_of_each_object_how_many_more_there_are() {
        let (mut all, mut reports) = (Vec::new(), Vec::new());
        for (object, kinds) in [("companies", 1), ("contacts", 15), ("deals", 15)] {
            let (reasons, report) = reported(object, kinds);
            all.extend(reasons);
            reports.push(report);
            most_frequent(&mut all, &mut reports);
        }
        assert_eq!(all.len(), 20);
        let more: Vec<_> = reports.iter().map(|report| report.more_reasons).collect();
        let named: i64 = all.iter().map(|reason| reason.count).sum();
        assert_eq!(more.iter().map(|more| more.kinds).sum::<i64>() + 20, 31, "{more:?}");
        assert_eq!(
            more.iter().map(|more| more.count).sum::<i64>() + named,
            1 + 2 * 120,
            "{more:?}"
        );
        assert_eq!(
            (more[0].kinds, more[0].count),
            (1, 1),
            "the rare one of the first object is told"
        );
    }

    #[test]
    fn notes_are_named_beside_many_rare_losses() {
        let mut tally = Tally::default();
        for kind in 0..30 {
            tally.reason(
                ReasonKind::Rejected,
                &Rejection::new("Empty", format!("x_{kind}"), ""),
                None,
            );
        }
        for (kind, field) in [(ReasonKind::Noted, "parent_id"), (ReasonKind::Held, "user_id")] {
            for _ in 0..78 {
                tally.reason(kind, &Rejection::new("NotFound", field, ""), None);
            }
        }
        let mut reasons = tally.reasons("contacts");
        let mut reports = [ObjectReport {
            name: "contacts".into(),
            ..ObjectReport::default()
        }];
        most_frequent(&mut reasons, &mut reports);
        assert_eq!((reasons.len(), reports[0].more_reasons.kinds), (20, 12));
        let named: Vec<_> = reasons.iter().map(|reason| reason.field.as_str()).collect();
        assert!(named.contains(&"parent_id") && named.contains(&"user_id"), "{named:?}");
    }

    #[test]
    fn more_reasons_than_there_is_room_for_are_counted_together() {
        let mut tally = Tally::default();
        for code in ["Unreadable", "NotFound"] {
            for field in 0..2 * KINDS {
                let rejection = Rejection::new(code, format!("x_{field}"), "");
                tally.reason(ReasonKind::Noted, &rejection, None);
            }
        }
        for code in 0..3 * KINDS {
            tally.reason(ReasonKind::Failed, &Rejection::new(format!("Code{code}"), "", ""), None);
        }
        let reasons = tally.reasons("contacts");
        assert_eq!(
            reasons.iter().map(|reason| reason.count).sum::<i64>(),
            7 * i64::try_from(KINDS).unwrap()
        );
        assert!(reasons.len() <= 2 * KINDS + 4, "{}", reasons.len());
        assert!(
            reasons
                .iter()
                .any(|reason| (reason.code.as_str(), reason.field.as_str()) == ("Unreadable", ANY))
        );
    }
}
