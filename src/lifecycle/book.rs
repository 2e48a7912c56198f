//! The books: whether they balance, whether they are good enough. The flag in a book is never trusted alone.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::{
    Book, Verification,
    mapping_spec::{Finding, Severity},
    migration::{Accept, AcceptObject, ObjectState, ObjectStatus, Owners, OwnersMissing},
    phase_run::{FailureReason, Totals},
};

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind: `BookUnbalanced`, `Orphans`, `Verification`, `Acceptance` or `Internal`.
    pub reason: FailureReason,
    /// The object, and what about it.
    pub message: String,
}

/// Whether the flow equations hold: every record read is counted exactly once.
#[must_use]
pub fn flow_holds(book: &Book) -> bool {
    total([book.filtered, book.rejected, book.deduplicated, book.mapped]) == i128::from(book.read)
        && total([
            book.created,
            book.adopted,
            book.updated,
            book.unchanged,
            book.deferred,
            book.held,
            book.failed,
            book.unprocessed,
        ]) == i128::from(book.mapped)
}

/// Whether the stock equation holds: Odoo has what the books say.
#[must_use]
pub fn stock_holds(book: &Book) -> bool {
    total([book.present_before, book.created, book.adopted]) - i128::from(book.removed) == i128::from(book.present)
}

/// Of the held records of an object those that stand in the way: what waits for another record does in any case, what
/// is itself missing in Odoo only while `owners` says Hold.
#[must_use]
pub const fn in_the_way(held: i64, waiting: i64, owners: Owners) -> i64 {
    match owners.on_missing {
        OwnersMissing::Hold => held,
        OwnersMissing::Empty | OwnersMissing::Reject => waiting,
    }
}

/// Whether every record is accounted for, held ones among them: nothing is open, nothing negative, every equation holds.
#[must_use]
pub fn adds_up(book: &Book) -> bool {
    no_count_is_negative(book) && flow_holds(book) && stock_holds(book) && book.deferred == 0 && book.unprocessed == 0
}

/// Whether a book balances: it adds up, and nothing is held. What `balanced` must say.
#[must_use]
pub fn balances(book: &Book) -> bool {
    adds_up(book) && book.held == 0
}

/// Records that arrived.
#[must_use]
pub const fn loaded(book: &Book) -> i64 {
    book.created
        .saturating_add(book.adopted)
        .saturating_add(book.updated)
        .saturating_add(book.unchanged)
}

/// Whether so much vanished from the source that the export must have been cut off: more than 5 % of what there was.
#[must_use]
pub fn vanished_too_many(before: i64, gone: i64) -> bool {
    i128::from(gone) * 20 > i128::from(before)
}

/// The bounds of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds<'a> {
    /// Records the mapping may reject.
    pub rejected: Option<&'a IntOrString>,
    /// Records Odoo may refuse.
    pub failed: Option<&'a IntOrString>,
    /// Records that may differ at read-back.
    pub mismatched: Option<&'a IntOrString>,
    /// Records in which a person's value may stand where `onConflict: Report` asks first.
    pub conflicts: Option<&'a IntOrString>,
}

/// The bounds of an object: its own where it has them, else the general ones.
#[must_use]
pub fn bounds<'a>(accept: &'a Accept, object: &str) -> Bounds<'a> {
    let own = accept.objects.iter().find(|bounds| bounds.name == object);
    Bounds {
        rejected: own.and_then(|own| own.rejected.as_ref()).or(accept.rejected.as_ref()),
        failed: own.and_then(|own| own.failed.as_ref()).or(accept.failed.as_ref()),
        mismatched: own
            .and_then(|own| own.mismatched.as_ref())
            .or(accept.mismatched.as_ref()),
        conflicts: own.and_then(|own| own.conflicts.as_ref()).or(accept.conflicts.as_ref()),
    }
}

/// Whether `count` of `read` records is within a bound: a count, or a share such as `1%`. No bound is 0, and so is one
/// that cannot be read.
#[must_use]
pub fn within(count: i64, read: i64, bound: Option<&IntOrString>) -> bool {
    let allowed = match bound {
        None => 0,
        Some(IntOrString::Int(records)) => i64::from(*records),
        Some(IntOrString::String(share)) => {
            let Some(thousandths) = thousandths_of_percent(share) else {
                return count <= 0;
            };
            return i128::from(count) * 100_000 <= i128::from(read) * i128::from(thousandths);
        }
    };
    count <= allowed
}

/// `1.25%` → 1250.
fn thousandths_of_percent(share: &str) -> Option<i64> {
    let number = share.strip_suffix('%')?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 3 {
        return None;
    }
    let digits = format!("{whole}{fraction:0<3}");
    let value = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())??;
    (value <= 100_000).then_some(value)
}

/// Judges an object by its prediction.
///
/// # Errors
/// With what is wrong.
pub fn judge_prediction(object: &ObjectStatus, accept: &Accept) -> Result<(), Fault> {
    if object.state == ObjectState::Planned {
        return fault(FailureReason::Internal, object, "the rehearsal has not reported it");
    }
    if !flow_holds(&object.book) || !no_count_is_negative(&object.book) {
        return fault(FailureReason::BookUnbalanced, object, flow_text(&object.book));
    }
    judge_acceptance(object, accept)
}

/// Objects of which nothing was read: what refers to them finds nothing.
#[must_use]
pub fn nothing_read(objects: &[ObjectStatus]) -> Option<String> {
    const NAMED: usize = 5;
    let names: Vec<&str> = objects
        .iter()
        .filter(|object| object.book.read == 0)
        .map(|object| object.name.as_str())
        .collect();
    let more = names.len().saturating_sub(NAMED);
    let first = names[..names.len() - more].join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("nothing was read of {first}")),
        (false, more) => Some(format!("nothing was read of {first} and {more} more")),
    }
}

/// Judges an object by what was loaded and read back.
///
/// # Errors
/// With what is wrong, the gravest first.
pub fn judge(object: &ObjectStatus, accept: &Accept, owners: Owners) -> Result<(), Fault> {
    let book = &object.book;
    // with records held no book is called balanced
    let called_so = book.balanced || book.held > 0;
    if !called_so || !adds_up(book) {
        let text = if !flow_holds(book) || book.deferred != 0 || book.unprocessed != 0 {
            flow_text(book)
        } else if stock_holds(book) {
            "the worker does not call its book balanced".into()
        } else {
            format!(
                "Odoo has {} records, but {} before + {} created + {} adopted - {} removed is another number",
                book.present, book.present_before, book.created, book.adopted, book.removed
            )
        };
        return fault(FailureReason::BookUnbalanced, object, text);
    }
    // A clean verification may have been left out of a status that grew too large: the state stands for it.
    if let Some(verification) = &object.verification {
        judge_verification(&object.name, &object.book, verification, accept)?;
    } else if object.state != ObjectState::Verified {
        return fault(FailureReason::Verification, object, "nothing was read back");
    }
    judge_acceptance(object, accept)?;
    if in_the_way(book.held, object.waiting, owners) > 0 {
        let text = held_text(book.held, object.waiting);
        return fault(FailureReason::Held, object, text);
    }
    Ok(())
}

/// How many are held, and for what.
#[must_use]
pub fn held_text(held: i64, waiting: i64) -> String {
    match (held - waiting, waiting) {
        (missing, 0) => format!("{missing} records wait until somebody makes them in Odoo"),
        (0, waiting) => format!("{waiting} records wait for others that are not in Odoo"),
        (missing, waiting) => {
            format!("{missing} records wait until somebody makes them in Odoo, {waiting} for others that are not there")
        }
    }
}

/// Whether nothing is wrong with an object but that values of it wait for objects that come later, or that records of it
/// are held.
#[must_use]
pub fn only_waits(object: &ObjectStatus, accept: &Accept, owners: Owners) -> bool {
    let mut filled = object.clone();
    let book = &mut filled.book;
    let waiting = std::mem::take(&mut book.deferred);
    // those that wait are in Odoo, made in this run or before
    let made = total([book.present, book.removed]) - total([book.present_before, book.created, book.adopted]);
    let Ok(made) = i64::try_from(made) else { return false };
    if !(0..=waiting).contains(&made) {
        return false;
    }
    book.created += made;
    book.unchanged += waiting - made;
    book.balanced |= waiting > 0;
    match judge(&filled, accept, owners) {
        Ok(()) => waiting > 0,
        Err(fault) => fault.reason == FailureReason::Held,
    }
}

/// Judges an object before the cutover: as [`judge`], and no conflict is left that nobody decided on.
///
/// # Errors
/// With what is wrong, the gravest first.
pub fn judge_for_cutover(object: &ObjectStatus, accept: &Accept, owners: Owners) -> Result<(), Fault> {
    judge(object, accept, owners)?;
    let found = object.verification.map_or(0, |seen| seen.conflicts);
    let bound = bounds(accept, &object.name).conflicts;
    if within(found, object.book.read, bound) {
        return Ok(());
    }
    let text = format!(
        "in {found} records a person's value stands against the source's (Conflict in results/{}/noted.csv), accepted \
         are {}: raise accept.conflicts to keep them, or change onConflict and replan",
        object.name,
        bound_text(bound)
    );
    fault(FailureReason::Acceptance, object, text)
}

fn orphans_text(seen: &Verification) -> String {
    format!(
        "{} records without an external id that cannot be explained; results/<object>/reasons.csv names their ids",
        seen.orphans
    )
}

fn read_back_text(book: &Book, seen: &Verification) -> String {
    format!(
        "read back: {} differ, {} missing, {} too many, {} changed meanwhile, {} of {} equal",
        seen.mismatched,
        seen.missing_in_destination,
        seen.extra_in_destination,
        seen.in_flight,
        seen.matching,
        loaded(book)
    )
}

/// What is wrong with the read-back of an object at the cutover, judged as in loading.
#[must_use]
pub fn unsound(name: &str, book: &Book, seen: Option<&Verification>, accept: &Accept) -> Option<Fault> {
    let (reason, text) = match seen {
        None => (FailureReason::Verification, "was not read back".to_owned()),
        Some(seen) if !adds_up(book) => (FailureReason::Verification, read_back_text(book, seen)),
        Some(seen) => return judge_verification(name, book, seen, accept).err(),
    };
    let message = format!("{name}: {text}");
    Some(Fault { reason, message })
}

fn judge_verification(name: &str, book: &Book, seen: &Verification, accept: &Accept) -> Result<(), Fault> {
    let fault = |reason, text: String| {
        let message = format!("{name}: {text}");
        Err(Fault { reason, message })
    };
    if seen.orphans != 0 {
        return fault(FailureReason::Orphans, orphans_text(seen));
    }
    let read_back = total([seen.matching, seen.mismatched, seen.edited_by_user]);
    let clean = seen.missing_in_destination == 0 && seen.extra_in_destination == 0 && seen.in_flight == 0;
    // `verified` is false as soon as one record differs; differences that are accepted are for `accept` to judge.
    let only_accepted_differences = seen.mismatched > 0
        && within(seen.mismatched, book.read, bounds(accept, name).mismatched)
        && read_back >= i128::from(loaded(book));
    if clean && (seen.verified || only_accepted_differences) {
        return Ok(());
    }
    let reason = if clean && seen.mismatched > 0 {
        FailureReason::Acceptance
    } else {
        FailureReason::Verification
    };
    fault(reason, read_back_text(book, seen))
}

fn judge_acceptance(object: &ObjectStatus, accept: &Accept) -> Result<(), Fault> {
    let (book, bounds) = (&object.book, bounds(accept, &object.name));
    let mismatched = object.verification.map_or(0, |seen| seen.mismatched);
    for (what, count, bound) in [
        ("rejected", book.rejected, bounds.rejected),
        ("failed", book.failed, bounds.failed),
        ("mismatched", mismatched, bounds.mismatched),
    ] {
        if !within(count, book.read, bound) {
            let text = format!(
                "{count} of {} records {what}, accepted are {}",
                book.read,
                bound_text(bound)
            );
            return fault(FailureReason::Acceptance, object, text);
        }
    }
    Ok(())
}

fn bound_text(bound: Option<&IntOrString>) -> String {
    match bound {
        None => "0".into(),
        Some(IntOrString::Int(records)) => records.to_string(),
        Some(IntOrString::String(share)) => share.clone(),
    }
}

/// Bounds of objects that the mapping does not have.
#[must_use]
pub fn unknown_bounds(accept: &Accept, known: impl Fn(&str) -> bool) -> Vec<Finding> {
    let unknown = accept
        .objects
        .iter()
        .enumerate()
        .filter(|(_, bounds)| !known(&bounds.name));
    let finding = |(place, bounds): (usize, &AcceptObject)| Finding {
        severity: Severity::Warning,
        code: "UnknownObject".into(),
        path: format!("spec.accept.objects[{place}].name"),
        message: format!("the mapping has no object {}: this bound is of nothing", bounds.name),
    };
    unknown.map(finding).collect()
}

/// Sums over objects. What is only predicted counts as read and rejected, not as loaded.
#[must_use]
pub fn totals(objects: &[ObjectStatus]) -> Totals {
    objects.iter().fold(Totals::default(), |sum, object| {
        let real = matches!(
            object.state,
            ObjectState::Loading | ObjectState::Open | ObjectState::Verified
        );
        Totals {
            read: sum.read.saturating_add(object.book.read),
            loaded: sum.loaded.saturating_add(if real { loaded(&object.book) } else { 0 }),
            rejected: sum
                .rejected
                .saturating_add(object.book.rejected)
                .saturating_add(object.book.failed),
        }
    })
}

fn fault(reason: FailureReason, object: &ObjectStatus, text: impl std::fmt::Display) -> Result<(), Fault> {
    Err(Fault {
        reason,
        message: format!("{}: {text}", object.name),
    })
}

fn flow_text(book: &Book) -> String {
    format!(
        "read {} = filtered {} + rejected {} + deduplicated {} + mapped {}; mapped = created {} + adopted {} + updated \
         {} + unchanged {} + held {} + failed {}, with deferred {} and unprocessed {}: this must add up, the last two to 0",
        book.read,
        book.filtered,
        book.rejected,
        book.deduplicated,
        book.mapped,
        book.created,
        book.adopted,
        book.updated,
        book.unchanged,
        book.held,
        book.failed,
        book.deferred,
        book.unprocessed
    )
}

fn total<const N: usize>(counts: [i64; N]) -> i128 {
    counts.into_iter().map(i128::from).sum()
}

fn no_count_is_negative(book: &Book) -> bool {
    [
        book.read,
        book.filtered,
        book.rejected,
        book.deduplicated,
        book.mapped,
        book.created,
        book.adopted,
        book.updated,
        book.unchanged,
        book.deferred,
        book.held,
        book.failed,
        book.unprocessed,
        book.deleted,
        book.present_before,
        book.present,
        book.removed,
    ]
    .iter()
    .all(|count| *count >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> ObjectStatus {
        ObjectStatus {
            name: "contacts".into(),
            state: ObjectState::Loading,
            book: Book {
                read: 100,
                rejected: 1,
                filtered: 9,
                mapped: 90,
                created: 80,
                adopted: 10,
                present_before: 5,
                present: 95,
                balanced: true,
                ..Book::default()
            },
            verification: Some(Verification {
                matching: 90,
                verified: true,
                ..Verification::default()
            }),
            ..ObjectStatus::default()
        }
    }

    fn accept(rejected: &str) -> Accept {
        Accept {
            rejected: Some(IntOrString::String(rejected.into())),
            ..Accept::default()
        }
    }

    fn reason(change: impl FnOnce(&mut ObjectStatus)) -> Option<FailureReason> {
        let mut object = good();
        change(&mut object);
        judge(&object, &accept("1%"), Owners::default())
            .err()
            .map(|fault| fault.reason)
    }

    #[test]
    fn a_good_object_passes_and_each_fault_has_its_reason() {
        use FailureReason::{Acceptance, BookUnbalanced, Orphans, Verification as Differs};
        assert_eq!(reason(|_| ()), None);
        assert_eq!(reason(|o| o.book.balanced = false), Some(BookUnbalanced));
        assert_eq!(
            reason(|o| o.book.read = 101),
            Some(BookUnbalanced),
            "the flag is not trusted"
        );
        assert_eq!(reason(|o| o.book.present = 94), Some(BookUnbalanced));
        assert_eq!(
            reason(|o| {
                o.book.created = 79;
                o.book.unprocessed = 1;
                o.book.present = 94;
            }),
            Some(BookUnbalanced)
        );
        assert_eq!(
            reason(|o| {
                o.book.rejected = 2;
                o.book.filtered = 8;
            }),
            Some(Acceptance)
        );
        assert_eq!(
            reason(|o| {
                o.book.created = 79;
                o.book.failed = 1;
                o.book.present = 94;
            }),
            Some(Acceptance)
        );
        assert_eq!(reason(|o| o.verification = None), Some(Differs));
        assert_eq!(
            reason(|o| o.verification.as_mut().unwrap().verified = false),
            Some(Differs)
        );
        assert_eq!(
            reason(|o| o.verification.as_mut().unwrap().missing_in_destination = 1),
            Some(Differs)
        );
        assert_eq!(reason(|o| o.verification.as_mut().unwrap().orphans = 1), Some(Orphans));
        assert_eq!(
            reason(|o| o.verification.as_mut().unwrap().mismatched = 1),
            Some(Acceptance)
        );
        assert_eq!(
            reason(|o| {
                o.book.filtered = -1;
                o.book.rejected = 11;
            }),
            Some(BookUnbalanced)
        );
    }

    #[test]
    fn differences_within_accept_do_not_hold_an_object_up_if_all_was_read_back() {
        let mut object = good();
        object.verification = Some(Verification {
            matching: 88,
            mismatched: 2,
            verified: false,
            ..Verification::default()
        });
        let mut accept = accept("1%");
        assert!(judge(&object, &accept, Owners::default()).is_err());
        accept.mismatched = Some(IntOrString::Int(2));
        assert_eq!(judge(&object, &accept, Owners::default()), Ok(()));
        let at_cutover =
            |object: &ObjectStatus| unsound("contacts", &object.book, object.verification.as_ref(), &accept);
        assert_eq!(at_cutover(&object), None, "the cutover judges as loading did");
        object.verification.as_mut().unwrap().matching = 80;
        let fault = judge(&object, &accept, Owners::default()).unwrap_err();
        assert_eq!(fault.reason, FailureReason::Acceptance);
        assert_eq!(at_cutover(&object), Some(fault));
    }

    #[test]
    fn a_share_is_exact_and_what_cannot_be_read_is_zero() {
        for (count, read, bound, good) in [
            (1, 100, "1%", true),
            (2, 199, "1%", false),
            (2, 200, "1%", true),
            (1, 1000, "0.1%", true),
            (1, 999, "0.1%", false),
            (5, 5, "100%", true),
            (0, 0, "1%", true),
            (1, 100, "many", false),
            (1, 100, "101%", false),
            (1, 100, "%", false),
            (0, 100, "many", true),
        ] {
            let bound = IntOrString::String(bound.into());
            assert_eq!(
                within(count, read, Some(&bound)),
                good,
                "{count} of {read} within {bound:?}"
            );
        }
        assert!(within(3, 0, Some(&IntOrString::Int(3))) && !within(4, 0, Some(&IntOrString::Int(3))));
        assert!(within(0, 9, None) && !within(1, 9, None));
    }

    #[test]
    fn an_object_whose_values_wait_is_told_from_one_that_does_not_balance() {
        let waiting = |change: fn(&mut ObjectStatus)| {
            let mut object = good();
            object.book.created = 75;
            object.book.deferred = 5;
            object.book.balanced = false;
            change(&mut object);
            only_waits(&object, &accept("1%"), Owners::default())
        };
        assert!(waiting(|_| ()), "all five were made");
        assert!(waiting(|o| o.book.present = 92), "three of them were there before");
        assert!(!waiting(|o| o.book.present = 96) && !waiting(|o| o.book.present = 89));
        assert!(!waiting(|o| o.book.read = 101));
        assert!(!waiting(|o| o.verification = None));
        assert!(!waiting(|o| {
            o.book.deferred = 0;
            o.book.created = 80;
        }));
    }

    #[test]
    fn held_records_stand_in_the_way_as_owners_say_and_those_that_wait_for_others_always_do() {
        let of = |on_missing| Owners { on_missing };
        for (held, waiting, hold, empty) in [(0, 0, true, true), (5, 0, false, true), (5, 1, false, false)] {
            let mut object = good();
            object.book.created -= held;
            object.book.present -= held;
            (object.book.held, object.waiting) = (held, waiting);
            object.book.balanced = held == 0;
            assert_eq!(balances(&object.book), held == 0);
            for (owners, fine) in [
                (OwnersMissing::Hold, hold),
                (OwnersMissing::Empty, empty),
                (OwnersMissing::Reject, empty),
            ] {
                let judged = judge(&object, &accept("1%"), of(owners)).map_err(|fault| fault.reason);
                let wanted = if fine { Ok(()) } else { Err(FailureReason::Held) };
                assert_eq!(judged, wanted, "{held} {waiting} {owners:?}");
                assert_eq!(only_waits(&object, &accept("1%"), of(owners)), !fine);
            }
            // nothing else is excused by it
            object.book.present += 1;
            assert_eq!(
                judge(&object, &accept("1%"), of(OwnersMissing::Empty))
                    .unwrap_err()
                    .reason,
                FailureReason::BookUnbalanced
            );
            assert!(!only_waits(&object, &accept("1%"), of(OwnersMissing::Hold)));
        }
    }

    #[test]
    fn conflicts_hold_the_cutover_up_and_not_the_load_until_they_are_accepted() {
        let mut object = good();
        object.verification.as_mut().unwrap().conflicts = 2;
        let mut accept = accept("1%");
        assert_eq!(judge(&object, &accept, Owners::default()), Ok(()));
        let fault = judge_for_cutover(&object, &accept, Owners::default()).unwrap_err();
        assert_eq!(fault.reason, FailureReason::Acceptance);
        assert!(fault.message.contains("results/contacts/noted.csv"), "{fault:?}");
        accept.conflicts = Some(IntOrString::Int(2));
        assert_eq!(judge_for_cutover(&object, &accept, Owners::default()), Ok(()));
        object.book.present = 0;
        assert_eq!(
            judge_for_cutover(&object, &accept, Owners::default())
                .unwrap_err()
                .reason,
            FailureReason::BookUnbalanced
        );
    }

    #[test]
    fn an_objects_own_bound_goes_before_the_general_one() {
        let mut accept = accept("1%");
        accept.failed = Some(IntOrString::Int(7));
        accept.objects.push(crate::api::migration::AcceptObject {
            name: "users".into(),
            rejected: Some(IntOrString::String("100%".into())),
            ..Default::default()
        });
        assert_eq!(bounds(&accept, "users").rejected, accept.objects[0].rejected.as_ref());
        assert_eq!(bounds(&accept, "users").failed, Some(&IntOrString::Int(7)));
        assert_eq!(bounds(&accept, "deals").rejected, accept.rejected.as_ref());
        assert_eq!(unknown_bounds(&accept, |name| name == "users"), []);
        let told = unknown_bounds(&accept, |name| name == "user");
        assert_eq!(told[0].path, "spec.accept.objects[0].name");
    }

    #[test]
    fn more_than_five_percent_gone_is_a_cut_off_export() {
        assert!(!vanished_too_many(100, 5) && vanished_too_many(100, 6) && vanished_too_many(0, 1));
        assert!(!vanished_too_many(0, 0));
    }

    #[test]
    fn objects_of_which_nothing_was_read_are_named() {
        let object = |name: &str, read| ObjectStatus {
            name: name.into(),
            book: Book {
                read,
                ..Book::default()
            },
            ..ObjectStatus::default()
        };
        let said = |list: &[(&str, i64)]| {
            let objects: Vec<_> = list.iter().map(|(name, read)| object(name, *read)).collect();
            nothing_read(&objects)
        };
        assert_eq!(said(&[("a", 1)]), None);
        assert_eq!(
            said(&[("a", 0), ("b", 2), ("c", 0)]).unwrap(),
            "nothing was read of a, c"
        );
        let many = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, 0));
        assert_eq!(said(&many).unwrap(), "nothing was read of a, b, c, d, e and 2 more");
    }

    #[test]
    fn a_prediction_needs_no_read_back_but_must_add_up_and_be_accepted() {
        let mut object = ObjectStatus {
            state: ObjectState::Rehearsed,
            verification: None,
            ..good()
        };
        object.book.present = 0;
        object.book.balanced = false;
        assert_eq!(judge_prediction(&object, &accept("1%")), Ok(()));
        assert_eq!(
            judge_prediction(&object, &accept("0.5%")).unwrap_err().reason,
            FailureReason::Acceptance
        );
        object.book.read += 1;
        assert_eq!(
            judge_prediction(&object, &accept("1%")).unwrap_err().reason,
            FailureReason::BookUnbalanced
        );
    }
}
