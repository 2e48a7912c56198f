//! Verify: every migrated record of an object is read back and compared field by field; then the sweep for orphans.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Job,
    destination::{Destination, Lock},
    error::StepError,
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
    mapping::{InOdoo, LineFields, Object, TargetField},
    model::{Line, OdooValue, Rejection, SourceKey},
    odoo::{
        conflict,
        lines::{self, FoundLine, WrittenLines},
        sweep,
        verify::{Comparison, RELINKED, ReadRecord, compare, read_back},
    },
};

/// Records a page of the read-back.
const PAGE: usize = 1_000;
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
    /// The same by key, until it is written to the results.
    told: Vec<(SourceKey, Rejection)>,
}

impl Verified {
    fn miss(&mut self, key: &SourceKey) {
        self.counts.missing_in_destination += 1;
        let gone = Rejection::new("Missing", "", "not in Odoo any more");
        self.tell(ReasonKind::Mismatched, gone, key);
    }

    fn edited(&mut self, object: &Object, key: &SourceKey, (fields, by_us): (Vec<String>, bool)) {
        if by_us {
            self.changed.push(key.clone());
        }
        let what = if by_us {
            "another value stands in Odoo than was written: a person's, or what Odoo made of writes to other records"
        } else {
            "a person's value stands in Odoo"
        };
        let reported = object.on_conflict == OnConflict::Report && !fields.is_empty();
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

/// How a record compares.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judged {
    Matching,
    /// A person's; the fields in which their value stands against the one mapped, and whether we wrote to it last.
    Edited(Vec<String>, bool),
    Mismatched(Vec<Rejection>),
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
    let total = i64::try_from(index.count(Kind::Wanted, &object.name)?).unwrap_or(i64::MAX);
    let mut after: Option<Vec<u8>> = None;
    let mut done = 0;
    let there = Look {
        destination,
        module,
        object,
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
            // nothing may change between the evidence and the switch
            unread.remove(&record.key);
            record.sent |= proof.is_open(&record) || job.spec.phase == Step::Cutover;
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
    Proof::end(job, &object, &mut verified).await?;
    let counts = &mut verified.counts;
    counts.verified = counts.mismatched == 0
        && counts.missing_in_destination == 0
        && counts.extra_in_destination == 0
        && counts.in_flight == 0
        && counts.orphans == 0;
    Ok(verified)
}

/// Fields that did not hold what was sent, with the digests of what was found in them: of Odoo's making, and no person's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instead {
    /// Of the record.
    pub fields: BTreeMap<String, String>,
    /// Of its lines, by their names.
    pub lines: WrittenLines,
}

/// What earlier passes proved of an object, kept in the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Everything that was written before was read back.
    proved: bool,
    /// An attempt broke off before it had read back what it wrote.
    #[serde(default)]
    broke_off: bool,
    /// Records that were not as they were written; `None`: too many to be named.
    mismatched: Option<BTreeMap<SourceKey, Instead>>,
    /// Keys of records that were proved and changed since, though we wrote to them last: to be looked at.
    #[serde(default)]
    changed: BTreeSet<SourceKey>,
}

impl Proof {
    /// Keys that are kept.
    const MOST: usize = 10_000;

    fn path(object: &Object) -> String {
        format!("proof/{}.json", object.name)
    }

    async fn before(job: &Job, object: &Object) -> Result<Self, StepError> {
        Ok(job.workspace.get_json(&Self::path(object)).await?.unwrap_or_default())
    }

    /// Writes are under way, and not proved until the end: should this attempt break off, the next one knows.
    ///
    /// Says which records are to be looked at, and what was found of them in place of what was sent.
    ///
    /// # Errors
    /// When the workspace fails.
    pub async fn begin(job: &Job, object: &Object) -> Result<BTreeMap<SourceKey, Instead>, StepError> {
        let before = Self::before(job, object).await?;
        let changed = before.changed.iter().map(|key| (key.clone(), Instead::default()));
        let mut doubtful: BTreeMap<SourceKey, Instead> = changed.collect();
        doubtful.extend(before.mismatched.clone().unwrap_or_default());
        let begun = Self {
            proved: false,
            broke_off: !before.proved,
            mismatched: before.mismatched,
            changed: before.changed,
        };
        job.workspace.put_json(&Self::path(object), &begun).await?;
        Ok(doubtful)
    }

    async fn end(job: &Job, object: &Object, verified: &mut Verified) -> Result<(), StepError> {
        let mismatched = std::mem::take(&mut verified.mismatched);
        let changed = std::mem::take(&mut verified.changed).into_iter().take(Self::MOST);
        let proof = Self {
            proved: true,
            broke_off: false,
            mismatched: (mismatched.len() <= Self::MOST).then(|| mismatched.into_iter().collect()),
            changed: changed.collect(),
        };
        Ok(job.workspace.put_json(&Self::path(object), &proof).await?)
    }

    /// Whether a record may not be as it was written last.
    fn is_open(&self, wanted: &Wanted) -> bool {
        let named = self
            .mismatched
            .as_ref()
            .is_none_or(|keys| keys.contains_key(&wanted.key));
        named || (self.broke_off && wanted.of_this_run)
    }
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

    /// What stands in the fields that do not hold what was sent.
    fn instead(&self, id: i64, wanted: &Wanted, found: &Found) -> Instead {
        let mut instead = Instead::default();
        let Some(record) = found.records.get(&id) else {
            return instead;
        };
        for (name, value) in &wanted.values {
            let (OdooValue::Lines(wanted), Some(of)) = (value, self.object.lines.iter().find(|of| of.field == *name))
            else {
                instead
                    .fields
                    .extend(other(&self.object.model.0, &self.object.targets, record, (name, value)));
                continue;
            };
            let there = found
                .lines
                .get(name)
                .and_then(|found| found.get(&id))
                .into_iter()
                .flatten();
            for line in there {
                let wanted = wanted.iter().find(|wanted| line.name.as_ref() == Some(&wanted.name));
                let values = wanted.into_iter().flat_map(|line| &line.values);
                let others =
                    values.filter_map(|(name, value)| other(&of.model.0, &of.targets, &line.record, (name, value)));
                let others: BTreeMap<String, String> = others.collect();
                if let Some(name) = line.name.clone().filter(|_| !others.is_empty()) {
                    instead.lines.insert(name, others);
                }
            }
        }
        instead
    }

    fn judge(&self, id: i64, wanted: &Wanted, found: &Found, notes: &mut Vec<Rejection>) -> Option<Judged> {
        let lines = |field: &str| {
            let found = found.lines.get(field).and_then(|found| found.get(&id));
            found.map_or(&[][..], Vec::as_slice)
        };
        let record = found.records.get(&id)?;
        Some(judge(
            self.object,
            wanted,
            (record, &lines),
            self.destination.uid,
            notes,
        ))
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
            Some(Judged::Edited(fields, by_us)) => verified.edited(&look.object, &wanted.key, (fields, by_us)),
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
            Judged::Edited(fields, by_us) => verified.edited(&look.object, &wanted.key, (fields, by_us)),
            Judged::Mismatched(_) if moved(first) != moved(&second) => {
                verified.counts.in_flight += 1;
            }
            Judged::Mismatched(differences) => {
                verified.counts.mismatched += 1;
                let instead = look.instead(*id, wanted, &second);
                verified.mismatched.push((wanted.key.clone(), instead));
                for difference in differences {
                    verified.tell(ReasonKind::Mismatched, difference, &wanted.key);
                }
            }
        }
    }
    Ok(())
}

/// A field that has another value than this, and the digest of that.
fn other(
    model: &str,
    targets: &[TargetField],
    found: &ReadRecord,
    (name, value): (&String, &OdooValue),
) -> Option<(String, String)> {
    let target = targets.iter().find(|target| target.name == *name)?;
    let now = found.values.get(name)?;
    let differs = compare(target, model, value, now) == Comparison::Different;
    differs.then(|| (name.clone(), conflict::field_digest(model, target, now)))
}

/// The lines of a record that a field has.
type LinesOf<'a, 'b> = &'b dyn Fn(&str) -> &'a [FoundLine];

fn judge(
    object: InOdoo<'_>,
    wanted: &Wanted,
    (found, lines): (&ReadRecord, LinesOf<'_, '_>),
    uid: i64,
    notes: &mut Vec<Rejection>,
) -> Judged {
    let (mut differences, mut edited) = (Vec::new(), Vec::new());
    let mut theirs = false;
    let fields = object.read_back();
    let now = |name: &str| found.values.get(name).unwrap_or(&OdooValue::Empty);
    let target = |name: &str| fields.iter().find(|target| target.name == *name);
    for (name, value) in &wanted.theirs {
        let Some(field) = target(name) else { continue };
        let there = match (value, now(name)) {
            (OdooValue::Links(ours), OdooValue::Links(all)) => ours.iter().all(|link| all.contains(link)),
            (OdooValue::Lines(wanted), _) => object.lines.iter().find(|of| of.field == *name).is_none_or(|of| {
                let mut differences = Vec::new();
                let others = judge_lines(of, wanted, lines(name), uid, &mut differences, &mut Vec::new());
                !others && differences.is_empty()
            }),
            (value, now) => {
                let compared = compare(field, &object.model.0, value, now);
                // HTML that reads the same was kept for what a person changed in it
                let same = matches!(compared, Comparison::Explained(_)) && !conflict::is_html(field);
                compared == Comparison::Equal
                    || same
                    || conflict::keeps_the_address(&object.model.0, name, now)
                    || conflict::has_the_companys(&object.model.0, name, value, &found.values)
            }
        };
        if !there {
            edited.push(name.clone());
        }
    }
    // what Odoo computes from values of which a person keeps some is theirs too
    let checks = wanted.checks.iter().filter(|_| edited.is_empty());
    for (name, value) in wanted.values.iter().chain(checks) {
        let Some(field) = target(name) else { continue };
        let now = now(name);
        if let (OdooValue::Links(ours), OdooValue::Links(all)) = (value, now)
            && ours.iter().all(|link| all.contains(link))
        {
            // what people linked beside ours is theirs
            theirs |= all.len() > ours.len();
            continue;
        }
        if let OdooValue::Lines(wanted) = value {
            if let Some(of) = object.lines.iter().find(|of| of.field == *name) {
                theirs |= judge_lines(of, wanted, lines(name), uid, &mut differences, notes);
            }
            continue;
        }
        if conflict::has_the_companys(&object.model.0, name, value, &found.values) {
            continue;
        }
        let by_us = found.write_uid == uid;
        hold_against(
            field,
            &object.model.0,
            name,
            (value, now, by_us),
            &mut differences,
            notes,
        );
    }
    let by_us = found.write_uid == uid;
    if differences.is_empty() {
        return if theirs || !edited.is_empty() {
            Judged::Edited(edited, false)
        } else {
            Judged::Matching
        };
    }
    // a person's edit is theirs; what we sent and left differently is our fault
    if by_us && wanted.sent {
        Judged::Mismatched(differences)
    } else {
        edited.extend(differences.into_iter().map(|difference| difference.field));
        Judged::Edited(edited, by_us)
    }
}

/// Compares one value with what was read back.
fn hold_against(
    field: &TargetField,
    model: &str,
    label: &str,
    (value, now, by_us): (&OdooValue, &OdooValue, bool),
    differences: &mut Vec<Rejection>,
    notes: &mut Vec<Rejection>,
) {
    match compare(field, model, value, now) {
        Comparison::Equal => {}
        Comparison::Explained(RELINKED) if !by_us => {
            differences.push(Rejection::new("Differs", label, "a link or a picture is another one"));
        }
        Comparison::Explained(RELINKED) => {
            let message = "the text is there, but not every link or picture as it was";
            notes.push(Rejection::new(RELINKED, label, message));
        }
        Comparison::Explained(why) => notes.push(Rejection::new(why, label, "Odoo keeps it in another form")),
        Comparison::Different => {
            let message = "what was read back is not what was written";
            differences.push(Rejection::new("Differs", label, message));
        }
    }
}

/// Compares lines field by field; says whether some are a person's. A line that we made and nothing names must not exist.
fn judge_lines(
    of: &LineFields,
    wanted: &[Line],
    found: &[FoundLine],
    uid: i64,
    differences: &mut Vec<Rejection>,
    notes: &mut Vec<Rejection>,
) -> bool {
    let fields = of.read_back();
    for line in wanted {
        let Some(there) = found.iter().find(|found| found.name.as_ref() == Some(&line.name)) else {
            differences.push(Rejection::new(
                "Missing",
                of.field.as_str(),
                "a line is not in Odoo any more",
            ));
            continue;
        };
        for (name, value) in line.values.iter().chain(&line.checks) {
            let Some(field) = fields.iter().find(|target| target.name == *name) else {
                continue;
            };
            let now = there.record.values.get(name).unwrap_or(&OdooValue::Empty);
            let label = format!("{}.{name}", of.field);
            let by_us = there.record.write_uid == uid;
            hold_against(field, &of.model.0, &label, (value, now, by_us), differences, notes);
        }
    }
    let mut theirs = false;
    for line in found {
        let ours = line
            .name
            .as_ref()
            .is_some_and(|name| wanted.iter().any(|line| line.name == *name));
        if !ours && line.record.write_uid == uid {
            differences.push(Rejection::new(
                "ExtraLine",
                of.field.as_str(),
                "a line that no line of the source is",
            ));
        }
        theirs |= !ours && line.record.write_uid != uid;
    }
    theirs
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
        left = ?left.iter().take(20).collect::<Vec<_>>(),
        "records without an external id"
    );
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
