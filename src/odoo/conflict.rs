//! What may be written over what a person did: the policies `KeepTheirs` (and `Report`) and `Overwrite`. Pure.

mod partner;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest as _, Sha256};

pub use self::partner::{has_the_companys, is_of_address, keeps_the_address, to_create};
use self::partner::{is_commercial, is_shared};
use super::{content, html::Seen, verify};
use crate::{
    mapping::TargetField,
    model::{Content, OdooValue, Reference, digest::hex},
};

/// Fields beside the mapped ones that [`merge`] wants to see of a record of this model: a partner's address and
/// kind, because filling its parent would replace the address; whether an opportunity is lost, because a won stage would
/// make it active.
fn beside(model: &str) -> Vec<TargetField> {
    let field = |(name, ttype): &(&str, &str)| TargetField::new(name, ttype);
    if model == "res.partner" {
        partner::beside().map(field).collect()
    } else if model == "crm.lead" {
        vec![field(&(ACTIVE, "boolean"))]
    } else {
        Vec::new()
    }
}

/// Mapped fields, and those beside them.
#[must_use]
pub fn with_beside(model: &str, fields: &[TargetField]) -> Vec<TargetField> {
    let mut all = fields.to_vec();
    let beside = beside(model).into_iter();
    all.extend(beside.filter(|field| fields.iter().all(|mapped| mapped.name != field.name)));
    all
}

const ACTIVE: &str = "active";
/// What makes of a lost opportunity one that is not lost, and goes with it.
const OUTCOME: [&str; 4] = ["stage_id", "probability", "lost_reason_id", "date_closed"];

/// What to send of the values wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merge {
    /// What changes, fit for `Op::Update` and `Op::Adopt`: of a many2many the links to add.
    pub send: Vec<(String, OdooValue)>,
    /// Links of a many2many to take away.
    pub unlink: Vec<(String, Vec<i64>)>,
    /// Fields that stay as they are: not ours, and not to be compared with what was wanted.
    pub kept: Vec<String>,
    /// Of every other many2many the links wanted that are there now; what a person took away is not among them.
    pub links: BTreeMap<String, Vec<i64>>,
    /// Of those the links that a person had made before us: they stay when the source has them no more.
    pub linked_by_people: BTreeMap<String, BTreeSet<i64>>,
    /// Of those the links that the source does not give, and that it may have: they stay, and stay ours.
    pub still_linked: BTreeMap<String, BTreeSet<i64>>,
    /// Fields in which a value of a person's stood against the one wanted: kept or, where that was asked for, overwritten.
    pub conflicts: Vec<String>,
    /// Fields that change and whose value was not the one written last: the former value is worth keeping.
    pub foreign: Vec<String>,
}

/// Merges the values wanted into a record as it is now.
///
/// `fields` are the types of the mapped fields, `current` has them and those of [`beside`]. A value is ours to change if
/// it is the one written last (`written_last`, by [`field_digest`]; an empty digest: a person's); any other is theirs: only
/// emptiness is filled, unless `overwrite` is asked for. With no digest at all (a ledger that was lost) the values of a record that we made are ours,
/// those of an adopted one theirs: pass `adopted` for a record that a person wrote last, too.
#[must_use]
pub fn merge(
    model: &str,
    fields: &[TargetField],
    current: &BTreeMap<String, OdooValue>,
    wanted: &[(String, OdooValue)],
    written_last: &BTreeMap<String, String>,
    adopted: bool,
    overwrite: bool,
) -> Merge {
    let mut merge = Merge::default();
    let has_no_address = wanted
        .iter()
        .all(|(name, value)| !is_of_address(name) || is_nothing(value));
    let all = wanted;
    let mut companys = Vec::new();
    for (name, wanted) in all {
        let field = fields.iter().find(|field| field.name == *name);
        let field = field.cloned().unwrap_or_else(|| TargetField::new(name, ""));
        let now = current.get(name).unwrap_or(&OdooValue::Empty);
        let last = written_last.get(name).map(String::as_str);
        let unknown_is_ours = written_last.is_empty() && !adopted;
        let below = is_of_address(name) && is_shared(model, current);
        let is_companys = below && last.is_none_or(|last| last == field_digest(model, &field, &OdooValue::Empty));
        // a person's address there is the company's, too
        let is_kept = is_companys || below && last == Some("");
        let differs = || !is_there(model, &field, wanted, now, None);
        if is_commercial(model, name, current) {
            // the company's: who leaves it, or becomes one, gets back their own
            if differs() {
                companys.push((name.clone(), wanted.clone()));
            }
        } else if is_kept && has_no_address && differs() {
            // written as empty, unless it is a person's
            if !is_companys {
                merge.kept.push(name.clone());
            }
        } else if is_companys && !has_no_address && !written_last.is_empty() && !adopted && differs() {
            merge.send.push((name.clone(), wanted.clone()));
        } else if matches!(wanted, OdooValue::Lines(_)) {
            // line by line: `lines::merge`
        } else if let OdooValue::Links(wanted) = wanted {
            merge.links(name, now, wanted, last, unknown_is_ours, overwrite);
        } else if is_there(model, &field, wanted, now, last) {
            // nothing to do
        } else if last.map_or(unknown_is_ours, |last| is_written(model, &field, now, last)) {
            merge.send.push((name.clone(), wanted.clone()));
            if last.is_none() {
                merge.foreign.push(name.clone());
            }
        } else if is_blank(&field, now) || overwrite {
            merge.send.push((name.clone(), wanted.clone()));
            merge.foreign.push(name.clone());
            if !is_blank(&field, now) {
                merge.conflicts.push(name.clone());
            }
        } else {
            merge.kept.push(name.clone());
            merge.conflicts.push(name.clone());
        }
    }
    let sends = |name: &str, value: OdooValue| merge.send.contains(&(name.to_owned(), value));
    if sends("parent_id", OdooValue::Empty)
        || sends("is_company", OdooValue::Boolean(true))
        || sends("company_type", OdooValue::Text("company".to_owned()))
    {
        merge.send.append(&mut companys);
    }
    merge.kept.extend(companys.into_iter().map(|(name, _)| name));
    match model {
        "res.partner" => merge.settle_with_the_company(fields, current, all, written_last),
        "crm.lead" => merge.keep_the_loss(current, all),
        _ => {}
    }
    merge
}

/// What a record does not hold after a write, though it was wanted or was to stay as it `was`. Links, lines and content,
/// which are sent in part, are left out.
#[must_use]
pub fn displaced(
    model: &str,
    fields: &[TargetField],
    (wanted, merge): (&[(String, OdooValue)], &Merge),
    was: Option<&BTreeMap<String, OdooValue>>,
    found: &BTreeMap<String, OdooValue>,
) -> Vec<(String, OdooValue)> {
    let whole = fields
        .iter()
        .filter(|field| !matches!(field.ttype.as_str(), "many2many" | "one2many" | "binary"));
    let displaced = whole.filter_map(|field| {
        let (_, value) = wanted.iter().find(|(name, _)| *name == field.name)?;
        let value = if merge.kept.contains(&field.name) {
            was?.get(&field.name)?
        } else {
            value
        };
        let now = found.get(&field.name)?;
        // below a company it is the company's: written here it would go up
        if is_of_address(&field.name) && is_shared(model, found) {
            return None;
        }
        let is_pending = matches!(value, OdooValue::Link(link) if link.id().is_none());
        let sent = merge
            .send
            .iter()
            .find(|(name, _)| *name == field.name)
            .map(|(_, value)| value);
        let holds = |value: &OdooValue| verify::compare(field, model, value, now) != verify::Comparison::Different;
        (!is_pending && !holds(value) && !sent.is_some_and(|sent| sent != value && holds(sent)))
            .then(|| (field.name.clone(), value.clone()))
    });
    displaced.collect()
}

/// A field, and those of the record that Odoo computes it from.
pub type Computed = (String, Vec<String>);

impl Merge {
    /// Sends along what Odoo would compute anew from what is sent, over what is there: the value wanted, or the one that
    /// stays as it is. What nobody wants and nobody but Odoo made (`untouched`) is computed anew.
    pub fn hold(
        &mut self,
        computed: &[Computed],
        current: &BTreeMap<String, OdooValue>,
        wanted: &[(String, OdooValue)],
        untouched: bool,
    ) {
        let mut rest: Vec<&Computed> = computed.iter().collect();
        loop {
            let sent = |name: &String| {
                self.send.iter().any(|(field, _)| field == name) || self.unlink.iter().any(|(field, _)| field == name)
            };
            let next = rest
                .iter()
                .position(|(field, from)| !sent(field) && from.iter().any(sent));
            let Some((field, _)) = next.map(|at| rest.swap_remove(at)) else {
                return;
            };
            let ours = wanted.iter().find(|(name, _)| name == field).map(|(_, value)| value);
            let value = ours
                .filter(|_| !self.kept.contains(field))
                .or_else(|| current.get(field).filter(|_| ours.is_some() || !untouched));
            if let Some(value) = value {
                self.send.push((field.clone(), value.clone()));
            }
        }
    }

    /// Three ways: what we linked last, what is linked now, what is wanted. What people linked stays, whatever is asked.
    fn links(
        &mut self,
        name: &str,
        now: &OdooValue,
        wanted: &[Reference],
        last: Option<&str>,
        ours: bool,
        overwrite: bool,
    ) {
        let now: BTreeSet<i64> = ids(now);
        let all: BTreeSet<i64> = wanted.iter().filter_map(Reference::id).collect();
        let pending = wanted.iter().filter(|link| link.id().is_none()).cloned();
        let (known, by_people) = last.map_or_else(Default::default, links_of);
        let last: BTreeSet<i64> = match known {
            Some(last) => last,
            None if ours => now.clone(),
            None if now.is_empty() || overwrite || all.is_subset(&now) => BTreeSet::new(),
            // theirs, since there is something
            None => {
                self.kept.push(name.to_owned());
                self.conflicts.push(name.to_owned());
                return;
            }
        };
        let taken_away = |id: &i64| last.contains(id) && !now.contains(id);
        let add: Vec<i64> = all
            .iter()
            .filter(|id| !now.contains(id) && (overwrite || !taken_away(id)))
            .copied()
            .collect();
        let remove: Vec<i64> = last
            .iter()
            .filter(|id| !all.contains(id) && now.contains(id) && !by_people.contains(id))
            .copied()
            .collect();
        if all.iter().any(taken_away) {
            self.conflicts.push(name.to_owned());
        }
        if now != last && !(add.is_empty() && remove.is_empty()) {
            self.foreign.push(name.to_owned());
        }
        let before_us = |id: &&i64| now.contains(id) && (by_people.contains(id) || !last.contains(id));
        let by_people: BTreeSet<i64> = all.iter().filter(before_us).copied().collect();
        if !by_people.is_empty() {
            self.linked_by_people.insert(name.to_owned(), by_people);
        }
        let there = all.iter().filter(|id| now.contains(id) || add.contains(id));
        self.links.insert(name.to_owned(), there.copied().collect());
        let add: Vec<Reference> = add.into_iter().map(Reference::Id).chain(pending).collect();
        if !add.is_empty() {
            self.send.push((name.to_owned(), OdooValue::Links(add)));
        }
        if !remove.is_empty() {
            self.unlink.push((name.to_owned(), remove));
        }
    }

    /// An opportunity that a person marked lost stays where they left it: a won stage would make it active again.
    fn keep_the_loss(&mut self, current: &BTreeMap<String, OdooValue>, wanted: &[(String, OdooValue)]) {
        let is_lost = current.get(ACTIVE) == Some(&OdooValue::Boolean(false));
        let by_the_source = wanted
            .iter()
            .any(|(field, value)| field == ACTIVE && *value == OdooValue::Boolean(false));
        if !is_lost || by_the_source || self.send.iter().any(|(field, _)| field == ACTIVE) {
            return;
        }
        let sent = std::mem::take(&mut self.send);
        let (theirs, ours): (Vec<_>, Vec<_>) = sent
            .into_iter()
            .partition(|(field, _)| OUTCOME.contains(&field.as_str()));
        self.send = ours;
        self.foreign.retain(|field| !OUTCOME.contains(&field.as_str()));
        for (field, _) in theirs {
            self.conflicts.retain(|conflict| *conflict != field);
            self.kept.push(field.clone());
            self.conflicts.push(field);
        }
    }

    /// Takes no link away: the source gave less than it has. Ours stay ours.
    pub fn keep_links(&mut self) {
        for (field, links) in std::mem::take(&mut self.unlink) {
            self.still_linked.entry(field).or_default().extend(links);
        }
    }
}

/// Whether the value wanted is there. What Odoo made of an earlier value that differs by a little is not; HTML is there as
/// long as it is what Odoo made of this text or, where nobody knows what that was, reads and leads like it.
fn is_there(model: &str, field: &TargetField, wanted: &OdooValue, now: &OdooValue, last: Option<&str>) -> bool {
    match verify::compare(field, model, wanted, now) {
        verify::Comparison::Equal => true,
        verify::Comparison::Explained(why) => {
            let is_as_made = match (last.and_then(|last| form_of(field, last)), now) {
                (Some(form), OdooValue::Text(now)) => form == short(now),
                (None | Some(_), _) => why != verify::RELINKED,
            };
            is_as_made && last.is_none_or(|last| without_form(field, last) == field_digest(model, field, wanted))
        }
        verify::Comparison::Different => false,
    }
}

fn is_nothing(value: &OdooValue) -> bool {
    verify::is_nothing(value)
}

fn ids(value: &OdooValue) -> BTreeSet<i64> {
    match value {
        OdooValue::Links(links) => links.iter().filter_map(Reference::id).collect(),
        OdooValue::Empty
        | OdooValue::Text(_)
        | OdooValue::Integer(_)
        | OdooValue::Float(_)
        | OdooValue::Boolean(_)
        | OdooValue::Date(_)
        | OdooValue::DateTime(_)
        | OdooValue::Content(_)
        | OdooValue::Link(_)
        | OdooValue::Lines(_) => BTreeSet::new(),
    }
}

/// Null, blank, 0 of a number; a boolean never is.
pub(super) fn is_blank(field: &TargetField, value: &OdooValue) -> bool {
    match value {
        _ if field.ttype == "boolean" => false,
        OdooValue::Text(text) if is_html(field) => Seen::of(text).is_blank,
        OdooValue::Text(text) => text.trim().is_empty(),
        OdooValue::Integer(number) => *number == 0,
        OdooValue::Float(number) => *number == 0.0,
        OdooValue::Empty
        | OdooValue::Boolean(_)
        | OdooValue::Date(_)
        | OdooValue::DateTime(_)
        | OdooValue::Content(_)
        | OdooValue::Link(_)
        | OdooValue::Links(_)
        | OdooValue::Lines(_) => is_nothing(value),
    }
}

/// What the ledger keeps of links: all that were wanted, and those of them that people had made before us.
#[must_use]
pub fn link_digest(wanted: &BTreeSet<i64>, by_people: &BTreeSet<i64>) -> String {
    if by_people.is_empty() {
        return json!(wanted).to_string();
    }
    format!("{}-{}", json!(wanted), json!(by_people))
}

fn links_of(digest: &str) -> (Option<BTreeSet<i64>>, BTreeSet<i64>) {
    let (wanted, by_people) = digest.split_once('-').unwrap_or((digest, "[]"));
    let set = |text: &str| serde_json::from_str(text).ok();
    (set(wanted), set(by_people).unwrap_or_default())
}

/// What the ledger keeps of a written value, to know it again when it is read back. Links are their sorted ids and a
/// fraction is itself, because part of the first may change and Odoo rounds the second; all else is 16 hex digits. HTML,
/// which Odoo rewrites, has them twice, of what is to be seen and of the source's own text; [`with_form`] adds those of what
/// Odoo made of it.
#[must_use]
pub fn field_digest(model: &str, field: &TargetField, value: &OdooValue) -> String {
    match value {
        OdooValue::Links(_) => json!(ids(value)).to_string(),
        OdooValue::Float(number) => number.to_string(),
        value => {
            let seen = short(&json!(normal(model, field, value)).to_string());
            match value {
                OdooValue::Text(text) if is_html(field) => format!("{seen}.{}", short(text)),
                _ => seen,
            }
        }
    }
}

fn short(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..16].to_owned()
}

/// Whether Odoo rewrites what is sent.
#[must_use]
pub fn is_html(field: &TargetField) -> bool {
    field.ttype == "html"
}

/// The digest of HTML with what Odoo made of it: by that it is known whether a person changed a link or a picture.
#[must_use]
pub fn with_form(digest: &str, found: &OdooValue) -> String {
    match (digest.split('.').count(), found) {
        (2, OdooValue::Text(found)) => format!("{digest}.{}", short(found)),
        _ => digest.to_owned(),
    }
}

/// The digest of HTML with what an earlier one says that Odoo made of it.
#[must_use]
pub fn with_form_of(digest: &str, earlier: &str) -> String {
    match earlier.split('.').nth(2) {
        Some(form) if digest.split('.').count() == 2 => format!("{digest}.{form}"),
        _ => digest.to_owned(),
    }
}

/// Digest of what Odoo made of HTML, where that is known.
fn form_of<'d>(field: &TargetField, digest: &'d str) -> Option<&'d str> {
    digest.split('.').nth(2).filter(|_| is_html(field))
}

fn without_form<'d>(field: &TargetField, digest: &'d str) -> &'d str {
    let form = digest.match_indices('.').nth(1).filter(|_| is_html(field));
    form.map_or(digest, |(at, _)| &digest[..at])
}

/// One of the values that Odoo does not tell apart from this one.
fn normal(model: &str, field: &TargetField, value: &OdooValue) -> OdooValue {
    if field.ttype == "binary" {
        // as it is read back, however it was given
        return match content::of(value).filter(|content| content.size > 0) {
            Some(content) => OdooValue::Content(Content::in_odoo(content.sha1, content.size)),
            None => OdooValue::Empty,
        };
    }
    let text = match value {
        OdooValue::Text(text) => text.as_str(),
        OdooValue::Empty if field.ttype == "boolean" => return OdooValue::Boolean(false),
        OdooValue::Empty if field.ttype == "integer" => return OdooValue::Integer(0),
        OdooValue::Empty => "",
        other => return other.clone(),
    };
    let text = match field.ttype.as_str() {
        "html" => Seen::of(text).whole(),
        "selection" => text.to_owned(),
        _ if verify::is_website(model, &field.name) && !text.trim().is_empty() => verify::with_scheme(text.trim()),
        _ => text.trim().to_owned(),
    };
    if text.is_empty() {
        OdooValue::Empty
    } else {
        OdooValue::Text(text)
    }
}

/// Whether the value found is the one whose digest was kept.
#[must_use]
pub fn is_written(model: &str, field: &TargetField, found: &OdooValue, digest: &str) -> bool {
    if is_html(field) {
        let found_digest = field_digest(model, field, found);
        let seen = |digest: &str| digest.split('.').next().map(str::to_owned);
        return match (form_of(field, digest), found) {
            (Some(form), OdooValue::Text(found)) => form == short(found),
            _ => seen(&found_digest) == seen(digest),
        };
    }
    match (found, digest.parse::<f64>()) {
        (OdooValue::Float(found), Ok(wanted)) => {
            let wanted = OdooValue::Float(wanted);
            verify::compare(field, model, &wanted, &OdooValue::Float(*found)) != verify::Comparison::Different
        }
        (OdooValue::Float(found), Err(_)) if *found == 0.0 => field_digest(model, field, &OdooValue::Empty) == digest,
        _ => field_digest(model, field, found) == digest,
    }
}

#[cfg(test)]
mod tests;
