//! Verify: every migrated record of an object is read back and compared field by field; then the sweep for orphans.

mod judge;
mod proof;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::judge::{Judged, judge};
pub use self::proof::{Instead, Proof};
use super::{
    Job,
    destination::{Destination, Lock},
    error::StepError,
    extract,
    index::{Index, IndexError, Kind, decode},
    outcome::Results,
    stock::Stock,
    tally::Tally,
};
use crate::{
    api::{
        counts::Verification,
        mapping_spec::OnConflict,
        phase_run::{FailureReason, ReasonKind, Step},
    },
    mapping::{InOdoo, Object},
    model::{OdooValue, Rejection, SourceKey},
    odoo::{
        conflict,
        lines::{self, FoundLine},
        sweep,
        verify::{ReadRecord, read_back},
    },
};

/// Records a page of the read-back.
const PAGE: usize = 1_000;
/// Orphans that are named.
const NAMED: usize = 20;
/// Identities a page of the index.
const NAMES: usize = 5_000;

/// What the read-back must find in a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Source key.
    pub key: SourceKey,
    /// The fields that are ours.
    pub values: Vec<(String, OdooValue)>,
    /// What Odoo must have computed from them.
    pub checks: Vec<(String, OdooValue)>,
    /// What was mapped for the fields that a person keeps.
    pub theirs: Vec<(String, OdooValue)>,
    /// It was sent in this pass: what differs now is not as it was written. What was proved before and differs by now was
    /// changed since.
    pub sent: bool,
    /// It was not proved since it was sent.
    #[serde(skip)]
    pub open: bool,
    /// The ledger says that it was written in this run.
    pub of_this_run: bool,
}

/// Counts and reasons of a verification.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// The counts.
    pub counts: Verification,
    /// What differs, and what is explained.
    pub tally: Tally,
    /// What differs, with what was found.
    mismatched: Vec<(SourceKey, Instead)>,
    /// Keys of what differs by now, though we wrote to it last.
    changed: Vec<SourceKey>,
    /// What stands in the place of ours where a person wrote last.
    theirs: Vec<(SourceKey, Instead)>,
    /// The same by key, until it is written to the results.
    told: Vec<(SourceKey, Rejection)>,
}

impl Verified {
    fn miss(&mut self, key: &SourceKey) {
        self.counts.missing_in_destination += 1;
        let gone = Rejection::new("Missing", "", "not in Odoo any more");
        self.tell(ReasonKind::Mismatched, gone, key);
    }

    fn edited(&mut self, object: &Object, key: &SourceKey, (fields, by_us): (Vec<String>, bool), instead: Instead) {
        if by_us {
            self.changed.push(key.clone());
        } else if !instead.is_empty() {
            self.theirs.push((key.clone(), instead));
        }
        let what = if by_us {
            "another value stands in Odoo than was written: a person's, or what Odoo made of writes to other records"
        } else {
            "a person's value stands in Odoo"
        };
        let reported = object.on_conflict == OnConflict::Report && !by_us && !fields.is_empty();
        self.counts.edited_by_user += 1;
        self.counts.conflicts += i64::from(reported);
        for field in fields {
            let code = if reported { "Conflict" } else { "Edited" };
            let note = Rejection::new(code, field, what);
            self.tell(ReasonKind::Noted, note, key);
        }
    }

    /// People made it one with the record of another key: what it has is theirs.
    fn merged(&mut self, key: &SourceKey) {
        self.counts.edited_by_user += 1;
        let note = Rejection::new(
            "Merged",
            "",
            "it has one record with another in Odoo: people made them one, or a run whose ledger was lost; its values are not written",
        );
        self.tell(ReasonKind::Noted, note, key);
    }

    fn tell(&mut self, kind: ReasonKind, rejection: Rejection, key: &SourceKey) {
        self.tally.reason(kind, &rejection, Some(key));
        self.told.push((key.clone(), rejection));
    }
}

/// Reads every record of the object back, then sweeps for orphans.
///
/// # Errors
/// When Odoo or the scratch disk fails.
#[expect(
    clippy::too_many_arguments,
    reason = "one caller, which has each of them by its name"
)]
pub async fn object(
    job: &Job,
    destination: &Destination,
    module: &str,
    object: InOdoo<'_>,
    index: &mut Index,
    results: &mut Results,
    lock: &Lock,
    stock: &Stock,
) -> Result<Verified, StepError> {
    let mut verified = Verified::default();
    let proof = Proof::before(job, &object).await?;
    // of those that are not to be read back now, as one that Odoo refused, it stays known
    let mut unread = proof.mismatched.clone().unwrap_or_default();
    let mut unread_edits = proof.edited.clone();
    let total = i64::try_from(index.count(Kind::Wanted, &object.name)?).unwrap_or(i64::MAX);
    let mut after: Option<Vec<u8>> = None;
    let mut done = 0;
    let there = Look {
        destination,
        module,
        object,
        // nothing may change between the evidence and the switch
        frozen: job.spec.phase == Step::Cutover,
        lines_stay: extract::is_any_short(job, object.joins().iter().map(|join| &join.object)).await?,
        edited: &proof.edited,
    };
    // lines come with their records
    let records = if object.lines.is_empty() { PAGE } else { PAGE / 10 };
    loop {
        let page = index.page(Kind::Wanted, &object.name, after.as_deref(), records)?;
        let Some(last) = page.last() else { break };
        after = Some(last.0.clone());
        done += i64::try_from(page.len()).unwrap_or(0);
        let mut wanted_here = Vec::with_capacity(page.len());
        for (place, bytes) in &page {
            let (id, mut record) = wanted(place, bytes)?;
            unread.remove(&record.key);
            unread_edits.remove(&record.key);
            record.open = proof.is_open(&record);
            let is_shared = index.has(Kind::Done, &shared(&object), &id.to_be_bytes())?;
            wanted_here.push((id, record, is_shared));
        }
        compare_page(there, &wanted_here, &mut verified).await?;
        for (key, told) in verified.told.drain(..) {
            results.note(&key, &told).await?;
        }
        progress(job, &object, done, total);
    }
    every_record_was_judged(&object.name, &verified.counts, total)?;
    verified.counts.extra_in_destination = extra(index, &object, stock)?;
    sweep_orphans(destination, module, object, lock, &mut verified).await?;
    verified.mismatched.extend(unread);
    verified.theirs.extend(unread_edits);
    Proof::end(job, &object, &mut verified, &proof).await?;
    let counts = &mut verified.counts;
    counts.verified = counts.mismatched == 0
        && counts.missing_in_destination == 0
        && counts.extra_in_destination == 0
        && counts.in_flight == 0
        && counts.orphans == 0;
    Ok(verified)
}

/// Where the index keeps what is wanted of a record: by its id in Odoo, then by its key.
#[must_use]
pub fn place_of(id: i64, key: &SourceKey) -> Vec<u8> {
    [&id.to_be_bytes()[..], key.0.as_bytes()].concat()
}

/// Scope of the ids that are wanted.
#[must_use]
pub fn arrived(object: &Object) -> String {
    format!("{}|arrived", object.name)
}

/// Scope of the ids that are wanted by several keys.
#[must_use]
pub fn shared(object: &Object) -> String {
    format!("{}|shared", object.name)
}

fn wanted(place: &[u8], bytes: &[u8]) -> Result<(i64, Wanted), IndexError> {
    let id = place.first_chunk().ok_or(IndexError::Entry(Kind::Wanted, "read"))?;
    Ok((i64::from_be_bytes(*id), decode(Kind::Wanted, bytes)?))
}

/// The proof holds only if each record that was to be read back is in exactly one count.
fn every_record_was_judged(object: &str, counts: &Verification, wanted: i64) -> Result<(), StepError> {
    let Verification {
        matching,
        mismatched,
        missing_in_destination,
        edited_by_user,
        in_flight,
        extra_in_destination: _,
        orphans: _,
        conflicts: _,
        verified: _,
    } = counts;
    let judged = matching + mismatched + missing_in_destination + edited_by_user + in_flight;
    if judged == wanted {
        return Ok(());
    }
    Err(StepError::permanent(
        FailureReason::Verification,
        format!("{object}: {wanted} records were to be read back, but {judged} were judged: nothing is proved"),
    ))
}

fn progress(job: &Job, object: &Object, done: i64, total: i64) {
    job.heart.update(|status| {
        "verify".clone_into(&mut status.progress.step);
        status.progress.object.clone_from(&object.name);
        status.progress.done = done;
        status.progress.total = total;
        status.progress.summary = format!("{} read back {done}/{total}", object.name);
    });
}

/// Where is looked, and at what.
#[derive(Clone, Copy)]
struct Look<'a> {
    destination: &'a Destination,
    module: &'a str,
    object: InOdoo<'a>,
    /// Nothing may have changed since it was proved.
    frozen: bool,
    /// Lines that the source did not give may be there.
    lines_stay: bool,
    /// What earlier passes found to be a person's.
    edited: &'a BTreeMap<SourceKey, Instead>,
}

/// Records as they are in Odoo, and their lines by field.
struct Found {
    records: BTreeMap<i64, ReadRecord>,
    lines: BTreeMap<String, BTreeMap<i64, Vec<FoundLine>>>,
}

impl Look<'_> {
    async fn read(&self, ids: &[i64]) -> Result<Found, StepError> {
        let (rpc, object) = (&*self.destination.rpc, self.object);
        let fields = conflict::with_beside(&object.model.0, &object.read_back());
        let records = read_back(rpc, &object.model.0, &fields, ids).await?;
        let mut lines = BTreeMap::new();
        for of in &object.lines {
            lines.insert(of.field.clone(), lines::read(rpc, self.module, of, &records).await?);
        }
        Ok(Found { records, lines })
    }

    fn judge(&self, id: i64, wanted: &Wanted, found: &Found, notes: &mut Vec<Rejection>) -> Option<Judged> {
        let record = found.records.get(&id)?;
        let lines = |field: &str| found.lines_of(field, id);
        let known = self.edited.get(&wanted.key);
        let who = (self.destination.uid, known, (self.frozen, self.lines_stay));
        Some(judge(self.object, wanted, (record, &lines), who, notes))
    }

    /// What stands in the place of what was sent.
    fn instead(&self, id: i64, wanted: &Wanted, found: &Found, by: Option<i64>) -> Instead {
        let lines = |field: &str| found.lines_of(field, id);
        let record = found.records.get(&id);
        record.map_or_else(Instead::default, |record| {
            Instead::of(self.object, wanted, (record, &lines), by)
        })
    }
}

impl Found {
    fn lines_of(&self, field: &str, id: i64) -> &[FoundLine] {
        let found = self.lines.get(field).and_then(|found| found.get(&id));
        found.map_or(&[][..], Vec::as_slice)
    }
}

/// A record by its id, what it must hold, and whether several keys lead to it.
type Sought = (i64, Wanted, bool);

async fn compare_page(look: Look<'_>, wanted: &[Sought], verified: &mut Verified) -> Result<(), StepError> {
    let mut ids: Vec<i64> = wanted.iter().map(|(id, ..)| *id).collect();
    ids.dedup();
    let found = look.read(&ids).await?;
    let mut doubtful = Vec::new();
    for sought @ (id, wanted, is_shared) in wanted {
        let mut notes = Vec::new();
        let judged = look.judge(*id, wanted, &found, &mut notes);
        for note in notes {
            verified.tell(ReasonKind::Noted, note, &wanted.key);
        }
        match judged {
            None => verified.miss(&wanted.key),
            Some(Judged::Matching) => verified.counts.matching += 1,
            Some(Judged::Edited(..) | Judged::Mismatched(_)) if *is_shared => verified.merged(&wanted.key),
            Some(Judged::Edited(fields, by_us)) => {
                let instead = look.instead(*id, wanted, &found, None);
                verified.edited(&look.object, &wanted.key, (fields, by_us), instead);
            }
            Some(Judged::Mismatched(_)) => doubtful.push(sought),
        }
    }
    if !doubtful.is_empty() {
        look_twice(look, &found, &doubtful, verified).await?;
    }
    Ok(())
}

/// A record that differs is read once more: one that changed in between was in flight.
async fn look_twice(
    look: Look<'_>,
    first: &Found,
    doubtful: &[&Sought],
    verified: &mut Verified,
) -> Result<(), StepError> {
    let ids: Vec<i64> = doubtful.iter().map(|(id, ..)| *id).collect();
    let second = look.read(&ids).await?;
    for (id, wanted, _) in doubtful {
        // what is explained was counted at the first look
        let Some(judged) = look.judge(*id, wanted, &second, &mut Vec::new()) else {
            verified.miss(&wanted.key);
            continue;
        };
        let moved = |found: &Found| found.records.get(id).map(|record| record.write_date.clone());
        match judged {
            Judged::Matching => verified.counts.matching += 1,
            Judged::Edited(fields, by_us) => {
                let instead = look.instead(*id, wanted, &second, None);
                verified.edited(&look.object, &wanted.key, (fields, by_us), instead);
            }
            Judged::Mismatched(_) if moved(first) != moved(&second) => {
                verified.counts.in_flight += 1;
            }
            Judged::Mismatched(differences) => {
                verified.counts.mismatched += 1;
                // where nothing was sent, a person may have written it
                let sent = wanted
                    .sent
                    .then(|| look.instead(*id, wanted, &second, Some(look.destination.uid)));
                let instead = sent.unwrap_or_default();
                verified.mismatched.push((wanted.key.clone(), instead));
                for difference in differences {
                    verified.tell(ReasonKind::Mismatched, difference, &wanted.key);
                }
            }
        }
    }
    Ok(())
}

/// External ids of the object that appeared in this run and that neither the ledger nor this pass knows. (Older ones are
/// records that the source no longer has.)
fn extra(index: &mut Index, object: &Object, stock: &Stock) -> Result<i64, StepError> {
    let mut after: Option<Vec<u8>> = None;
    let mut count = 0;
    loop {
        let page = index.page(Kind::Identity, &object.name, after.as_deref(), NAMES)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.0.clone());
        for (name, bytes) in &page {
            let there = stock.is_in_ledger(decode(Kind::Identity, bytes)?);
            if there && !index.has(Kind::Name, &object.name, name)? {
                count += 1;
            }
        }
    }
}

async fn sweep_orphans(
    destination: &Destination,
    module: &str,
    object: InOdoo<'_>,
    lock: &Lock,
    verified: &mut Verified,
) -> Result<(), StepError> {
    let model = &object.model.0;
    let orphans = sweep::orphans(&*destination.rpc, model, lock.mark(model), destination.uid).await?;
    if orphans.is_empty() {
        return Ok(());
    }
    let swept = sweep::remove_twins(
        &*destination.rpc,
        model,
        &object.targets,
        (module, &object.name),
        &orphans,
        destination.uid,
    )
    .await?;
    let own = sweep::odoos_own(&*destination.rpc, model, &swept.left).await?;
    let left: Vec<i64> = swept.left.into_iter().filter(|id| !own.contains(id)).collect();
    tracing::warn!(
        model,
        removed = swept.removed.len(),
        left = ?left.iter().take(NAMED).collect::<Vec<_>>(),
        "records without an external id"
    );
    if !left.is_empty() {
        let ids: Vec<String> = left.iter().take(NAMED).map(i64::to_string).collect();
        let orphan = Rejection::new("Orphan", model.as_str(), "it has no external id");
        let named = SourceKey(ids.join(", "));
        for _ in &left {
            verified.tally.reason(ReasonKind::Mismatched, &orphan, Some(&named));
        }
    }
    verified.counts.orphans = i64::try_from(left.len()).unwrap_or(i64::MAX);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_does_not_decode_is_an_error_and_no_record_less() {
        let good = Wanted {
            key: SourceKey("7".into()),
            values: vec![("name".into(), OdooValue::Text("Ana".into()))],
            checks: Vec::new(),
            theirs: Vec::new(),
            sent: true,
            open: false,
            of_this_run: true,
        };
        let bytes = serde_json::to_vec(&good).unwrap();
        assert_eq!(wanted(&place_of(9, &good.key), &bytes).unwrap(), (9, good));
        assert!(wanted(&9_i64.to_be_bytes(), &bytes[1..]).is_err());
        assert!(wanted(&9_i64.to_be_bytes(), b"").is_err());
        assert!(wanted(b"9", &bytes).is_err());
        // a number that JSON has no word for must not pass for one that was read back
        let odd = [("amount", OdooValue::Float(f64::NAN))];
        assert!(decode::<Vec<(String, OdooValue)>>(Kind::Wanted, &serde_json::to_vec(&odd).unwrap()).is_err());
    }

    #[test]
    fn a_record_in_no_count_or_in_two_breaks_the_proof() {
        let counts = Verification {
            matching: 5,
            mismatched: 1,
            missing_in_destination: 1,
            edited_by_user: 2,
            conflicts: 1,
            in_flight: 1,
            extra_in_destination: 4,
            orphans: 4,
            verified: false,
        };
        assert_eq!(every_record_was_judged("contacts", &counts, 10), Ok(()));
        for wanted in [9, 11] {
            let error = every_record_was_judged("contacts", &counts, wanted).unwrap_err();
            assert_eq!(error.reason, FailureReason::Verification, "{error}");
        }
    }
}
