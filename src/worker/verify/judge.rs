//! How a record compares with what it must hold. Pure.

use super::{
    Wanted,
    proof::{Instead, LinesOf},
};
use crate::{
    mapping::{InOdoo, LineFields, TargetField},
    model::{Line, OdooValue, Rejection},
    odoo::{
        conflict,
        lines::FoundLine,
        verify::{Comparison, RELINKED, ReadRecord, compare},
    },
};

/// How a record compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Matching,
    /// A person's; the fields in which their value stands against the one mapped, and whether we wrote to it last.
    Edited(Vec<String>, bool),
    Mismatched(Vec<Rejection>),
}

/// What is not as it was written.
#[derive(Default)]
struct Differences<'a> {
    /// What an earlier pass found to be a person's.
    known: Option<&'a Instead>,
    /// Lines that are not wanted may be: the source gave less than it has.
    lines_stay: bool,
    /// What only a write to this record, or to that line of it, makes.
    here: Vec<Rejection>,
    /// What a write to another record makes, too: a link that is taken away at its other end, a line that is.
    elsewhere: Vec<Rejection>,
    /// Fields of lines that others wrote last, and those that are known to be a person's.
    theirs: Vec<String>,
    /// There are links and lines beside ours.
    beside: bool,
    /// What is there in another form.
    notes: Vec<Rejection>,
}

/// Judges a record for the user `uid` that we are. `known` is what an earlier pass found to be a person's; `frozen`: nothing may
/// have changed since it was proved.
pub(super) fn judge(
    object: InOdoo<'_>,
    wanted: &Wanted,
    (found, lines): (&ReadRecord, LinesOf<'_, '_>),
    (uid, known, (frozen, lines_stay)): (i64, Option<&Instead>, (bool, bool)),
    notes: &mut Vec<Rejection>,
) -> Judged {
    let fields = object.read_back();
    let kept = wanted.theirs.iter().filter(|(name, value)| {
        let target = fields.iter().find(|target| target.name == *name);
        target.is_some_and(|field| !is_as_mapped(object, (field, value), (found, lines), (uid, lines_stay)))
    });
    let mut edited: Vec<String> = kept.map(|(name, _)| name.clone()).collect();
    let mut differences = Differences {
        known,
        lines_stay,
        ..Differences::default()
    };
    for value in &wanted.values {
        differences.of_field(object, &fields, value, (found, lines), uid);
    }
    edited.append(&mut differences.theirs);
    // what Odoo computes from values of which a person keeps some is theirs too
    if edited.is_empty() && !differences.beside {
        for value in &wanted.checks {
            differences.of_field(object, &fields, value, (found, lines), uid);
        }
    }
    notes.append(&mut differences.notes);
    let Differences {
        here,
        elsewhere,
        beside,
        ..
    } = differences;
    let by_us = found.write_uid == uid;
    if here.is_empty() && elsewhere.is_empty() {
        return if beside || !edited.is_empty() {
            Judged::Edited(edited, false)
        } else {
            Judged::Matching
        };
    }
    // a person's edit is theirs; what we sent and left differently is our fault
    let is_fault = by_us && (wanted.sent || wanted.open || frozen && !here.is_empty());
    let all = here.into_iter().chain(elsewhere);
    if is_fault {
        Judged::Mismatched(all.collect())
    } else {
        edited.extend(all.map(|difference| difference.field));
        Judged::Edited(edited, by_us)
    }
}

/// Whether a value that a person keeps is the one that was mapped.
fn is_as_mapped(
    object: InOdoo<'_>,
    (field, value): (&TargetField, &OdooValue),
    (found, lines): (&ReadRecord, LinesOf<'_, '_>),
    (uid, lines_stay): (i64, bool),
) -> bool {
    let (model, name) = (&object.model.0, &field.name);
    match (value, found.values.get(name).unwrap_or(&OdooValue::Empty)) {
        (OdooValue::Links(ours), OdooValue::Links(all)) => ours.iter().all(|link| all.contains(link)),
        (OdooValue::Lines(wanted), _) => object.lines.iter().find(|of| of.field == *name).is_none_or(|of| {
            let mut differences = Differences {
                lines_stay,
                ..Differences::default()
            };
            differences.of_lines(of, wanted, lines(name), uid);
            let Differences {
                here,
                elsewhere,
                theirs,
                beside,
                notes: _,
                known: _,
                lines_stay: _,
            } = differences;
            here.is_empty() && elsewhere.is_empty() && theirs.is_empty() && !beside
        }),
        (value, now) => {
            let compared = compare(field, model, value, now);
            // HTML that reads the same was kept for what a person changed in it
            let same = matches!(compared, Comparison::Explained(_)) && !conflict::is_html(field);
            compared == Comparison::Equal
                || same
                || conflict::keeps_the_address(model, name, now)
                || conflict::has_the_companys(model, name, value, &found.values)
        }
    }
}

impl Differences<'_> {
    fn of_field(
        &mut self,
        object: InOdoo<'_>,
        fields: &[TargetField],
        (name, value): &(String, OdooValue),
        (found, lines): (&ReadRecord, LinesOf<'_, '_>),
        uid: i64,
    ) {
        let Some(field) = fields.iter().find(|target| target.name == *name) else {
            return;
        };
        match (value, found.values.get(name).unwrap_or(&OdooValue::Empty)) {
            (OdooValue::Links(ours), OdooValue::Links(all)) => {
                if !ours.iter().all(|link| all.contains(link)) {
                    self.elsewhere.push(differs(name));
                } else if all.len() > ours.len() {
                    // what people linked beside ours is theirs
                    self.beside = true;
                }
            }
            (OdooValue::Lines(wanted), _) => {
                if let Some(of) = object.lines.iter().find(|of| of.field == *name) {
                    self.of_lines(of, wanted, lines(name), uid);
                }
            }
            (value, _) if conflict::has_the_companys(&object.model.0, name, value, &found.values) => {}
            (value, now) => {
                let known = self.known.and_then(|known| known.fields.get(name));
                self.of_value(
                    (field, &object.model.0, name),
                    (value, now),
                    found.write_uid == uid,
                    known,
                );
            }
        }
    }

    /// Compares one value with what was read back.
    fn of_value(
        &mut self,
        (field, model, label): (&TargetField, &str, &str),
        (value, now): (&OdooValue, &OdooValue),
        by_us: bool,
        known: Option<&String>,
    ) {
        match compare(field, model, value, now) {
            Comparison::Equal => {}
            Comparison::Explained(RELINKED) if !by_us => {
                let message = "a link or a picture is another one";
                self.here.push(Rejection::new("Differs", label, message));
            }
            Comparison::Explained(RELINKED) => {
                let message = "the text is there, but not every link or picture as it was";
                self.notes.push(Rejection::new(RELINKED, label, message));
            }
            Comparison::Explained(why) => self
                .notes
                .push(Rejection::new(why, label, "Odoo keeps it in another form")),
            Comparison::Different if known == Some(&conflict::field_digest(model, field, now)) => {
                self.theirs.push(label.to_owned());
            }
            Comparison::Different => self.here.push(differs(label)),
        }
    }

    /// Compares lines field by field. A line that we made and nothing names must not exist.
    fn of_lines(&mut self, of: &LineFields, wanted: &[Line], found: &[FoundLine], uid: i64) {
        let fields = of.read_back();
        for line in wanted {
            let Some(there) = found.iter().find(|found| found.name.as_ref() == Some(&line.name)) else {
                let message = "a line is not in Odoo any more";
                self.elsewhere
                    .push(Rejection::new("Missing", of.field.as_str(), message));
                continue;
            };
            let by_us = there.record.write_uid == uid;
            let before = self.here.len();
            for (name, value) in line.values.iter().chain(&line.checks) {
                if let Some(field) = fields.iter().find(|target| target.name == *name) {
                    let now = there.record.values.get(name).unwrap_or(&OdooValue::Empty);
                    let label = format!("{}.{name}", of.field);
                    let known = self.known.and_then(|known| known.lines.get(&line.name)?.get(name));
                    self.of_value((field, &of.model.0, &label), (value, now), by_us, known);
                }
            }
            if !by_us {
                let differences = self.here.drain(before..);
                self.theirs.extend(differences.map(|difference| difference.field));
            }
        }
        for line in found {
            let name = line.name.as_ref();
            if name.is_some_and(|name| wanted.iter().any(|line| line.name == *name)) {
                continue;
            }
            if line.made_by == Some(uid) && name.is_some() && self.lines_stay {
                continue;
            }
            if line.made_by == Some(uid) {
                let message = "a line that no line of the source is";
                self.here.push(Rejection::new("ExtraLine", of.field.as_str(), message));
            } else {
                self.beside = true;
            }
        }
    }
}

fn differs(label: &str) -> Rejection {
    Rejection::new("Differs", label, "what was read back is not what was written")
}
