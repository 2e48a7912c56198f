//! What may be written over what a person did: the policies `KeepTheirs` (and `Report`) and `Overwrite`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{content, verify};
use crate::{
    mapping::TargetField,
    model::{Content, OdooValue, Reference, digest::hex},
};

/// Fields beside the mapped ones that [`merge`] wants to see of a record of this model: a partner's address and
/// kind, because filling its parent would replace the address; whether an opportunity is lost, because a won stage would
/// make it active.
#[must_use]
pub fn beside(model: &str) -> Vec<TargetField> {
    let field = |(name, ttype): &(&str, &str)| TargetField {
        name: (*name).to_owned(),
        ttype: (*ttype).to_owned(),
    };
    if model == "res.partner" {
        ADDRESS
            .iter()
            .chain(&[("type", "selection"), ("parent_id", "many2one")])
            .map(field)
            .collect()
    } else if model == "crm.lead" {
        vec![field(&(ACTIVE, "boolean"))]
    } else {
        Vec::new()
    }
}

const ACTIVE: &str = "active";
/// What makes of a lost opportunity one that is not lost, and goes with it.
const OUTCOME: [&str; 4] = ["stage_id", "probability", "lost_reason_id", "date_closed"];

const ADDRESS: [(&str, &str); 6] = [
    ("street", "char"),
    ("street2", "char"),
    ("city", "char"),
    ("zip", "char"),
    ("state_id", "many2one"),
    ("country_id", "many2one"),
];

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
    /// Fields in which a value of a person's stood against the one wanted: kept or, where that was asked for, overwritten.
    pub conflicts: Vec<String>,
    /// Fields that change and whose value was not the one written last: the former value is worth keeping.
    pub foreign: Vec<String>,
}

/// Merges the values wanted into a record as it is now.
///
/// `fields` are the types of the mapped fields, `current` has them and those of [`beside`]. A value is ours to change if
/// it is the one written last (`written_last`, by [`field_digest`]); any other is theirs: only emptiness is filled, unless
/// `overwrite` is asked for. With no digest at all (a ledger that was lost) the values of a record that we made are ours,
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
    for (name, wanted) in wanted {
        let ttype = fields
            .iter()
            .find(|field| field.name == *name)
            .map_or("", |field| field.ttype.as_str());
        let field = TargetField {
            name: name.clone(),
            ttype: ttype.to_owned(),
        };
        let now = current.get(name).unwrap_or(&OdooValue::Empty);
        let last = written_last.get(name).map(String::as_str);
        let unknown_is_ours = written_last.is_empty() && !adopted;
        if matches!(wanted, OdooValue::Lines(_)) {
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
    match model {
        "res.partner" => merge.keep_the_address(current),
        "crm.lead" => merge.keep_the_loss(current, wanted),
        _ => {}
    }
    merge
}

/// A field, and those of the record that Odoo computes it from.
pub type Computed = (String, Vec<String>);

impl Merge {
    /// Sends along what Odoo would compute anew from what is sent, over what is there: the value wanted, or the one that
    /// stays as it is.
    pub fn hold(
        &mut self,
        computed: &[Computed],
        current: &BTreeMap<String, OdooValue>,
        wanted: &[(String, OdooValue)],
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
                .or_else(|| current.get(field));
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
        let known: Option<BTreeSet<i64>> = last.and_then(|text| serde_json::from_str(text).ok());
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
            .filter(|id| !all.contains(id) && now.contains(id))
            .copied()
            .collect();
        if all.iter().any(taken_away) {
            self.conflicts.push(name.to_owned());
        }
        if now != last && !(add.is_empty() && remove.is_empty()) {
            self.foreign.push(name.to_owned());
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

    /// A partner of type `contact` shares its parent's address: given a parent, or made a contact again, it loses its own;
    /// given a street, it changes the company's. As `other` it keeps to itself, if that is said in the same call.
    fn keep_the_address(&mut self, current: &BTreeMap<String, OdooValue>) {
        let sent = |field: &str| self.send.iter().find(|(name, _)| name == field).map(|(_, value)| value);
        let will_be = |field: &str| {
            sent(field)
                .or_else(|| current.get(field))
                .filter(|value| !is_nothing(value))
        };
        let text = |value: Option<&OdooValue>, word: &str| matches!(value, Some(OdooValue::Text(text)) if text == word);
        let touches = sent("parent_id").is_some()
            || text(sent("type"), "contact")
            || ADDRESS.iter().any(|(field, _)| sent(field).is_some());
        let has_address = ADDRESS.iter().any(|(field, _)| will_be(field).is_some())
            || ADDRESS
                .iter()
                .any(|(field, _)| current.get(*field).is_some_and(|value| !is_nothing(value)));
        if !touches || will_be("parent_id").is_none() || !has_address || !text(will_be("type"), "contact") {
            return;
        }
        let other = OdooValue::Text(OTHER.to_owned());
        for names in [&mut self.kept, &mut self.conflicts, &mut self.foreign] {
            names.retain(|name| name != "type");
        }
        self.send.retain(|(name, _)| name != "type");
        self.kept.push("type".to_owned());
        if current.get("type") != Some(&other) {
            self.send.push(("type".to_owned(), other));
            self.foreign.push("type".to_owned());
        }
    }
}

const OTHER: &str = "other";

/// Whether a value that is not the one wanted is of our own making: the kind that keeps a partner's address.
#[must_use]
pub fn keeps_the_address(model: &str, field: &str, now: &OdooValue) -> bool {
    model == "res.partner" && field == "type" && *now == OdooValue::Text(OTHER.to_owned())
}

/// Whether the value wanted is there. What Odoo made of an earlier value that differs by a little is not.
fn is_there(model: &str, field: &TargetField, wanted: &OdooValue, now: &OdooValue, last: Option<&str>) -> bool {
    match verify::compare(field, model, wanted, now) {
        verify::Comparison::Equal => true,
        verify::Comparison::Explained(_) => {
            last.is_none_or(|last| without_form(field, last) == field_digest(model, field, wanted))
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

/// Null, blank, 0 of a number; a boolean or a selection never is.
fn is_blank(field: &TargetField, value: &OdooValue) -> bool {
    match value {
        _ if matches!(field.ttype.as_str(), "boolean" | "selection") => false,
        OdooValue::Text(text) if field.ttype == "html" => verify::visible(text).is_empty(),
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
        "html" => verify::visible(text),
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
fn is_written(model: &str, field: &TargetField, found: &OdooValue, digest: &str) -> bool {
    if is_html(field) {
        let found_digest = field_digest(model, field, found);
        let seen = |digest: &str| digest.split('.').next().map(str::to_owned);
        return match (digest.split('.').nth(2), found) {
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
mod tests {
    use super::*;

    #[test]
    fn a_link_that_changes_is_sent_and_one_that_a_person_changed_stays() {
        let (html, model) = (field("comment"), "res.partner");
        let (sent, form) = (
            text("<a href=\"https://old.example\">Site</a>"),
            text("<p><a href=\"https://old.example\">Site</a></p>"),
        );
        let digest = field_digest(model, &html, &sent);
        let known = BTreeMap::from([("comment".to_owned(), with_form(&digest, &form))]);
        let merged = |now: &OdooValue, wanted: &str, last: &BTreeMap<String, String>| {
            let (current, wanted) = (BTreeMap::from([("comment".to_owned(), now.clone())]), text(wanted));
            super::merge(
                model,
                std::slice::from_ref(&html),
                &current,
                &[("comment".to_owned(), wanted)],
                last,
                false,
                false,
            )
        };
        let (new_link, new_text) = ("<a href=\"https://new.example\">Site</a>", "<p>Other</p>");
        let edited = text("<p><a href=\"https://person.example\">Site</a></p>");
        let OdooValue::Text(as_sent) = &sent else {
            unreachable!()
        };
        assert_eq!(merged(&form, as_sent, &known), Merge::default());
        assert_eq!(merged(&form, new_link, &known).send.len(), 1);
        assert_eq!(merged(&form, new_text, &known).send.len(), 1);
        assert_eq!(
            merged(&edited, as_sent, &known),
            Merge::default(),
            "nothing is wanted that is not there"
        );
        assert_eq!(merged(&edited, new_link, &known).kept, ["comment"]);
        assert_eq!(merged(&edited, new_text, &known).kept, ["comment"]);
        // as long as nobody looked at what Odoo made of it, what is to be seen decides
        let unknown = BTreeMap::from([("comment".to_owned(), digest.clone())]);
        assert_eq!(merged(&form, new_link, &unknown).send.len(), 1);
        assert_eq!(with_form_of(&digest, &known["comment"]), known["comment"]);
        assert_eq!(with_form_of("1.5", "1.5"), "1.5");
    }

    #[test]
    fn an_opportunity_that_a_person_marked_lost_is_not_made_active_by_a_won_stage() {
        let field = |name: &str, ttype: &str| TargetField {
            name: name.to_owned(),
            ttype: ttype.to_owned(),
        };
        let fields = [
            field("name", "char"),
            field("stage_id", "many2one"),
            field(ACTIVE, "boolean"),
        ];
        let stage = |id| OdooValue::Link(Reference::Id(id));
        let values_of = |stage_id, active| {
            vec![
                ("name".to_owned(), text("Deal")),
                ("stage_id".to_owned(), stage(stage_id)),
                (ACTIVE.to_owned(), OdooValue::Boolean(active)),
            ]
        };
        let last: BTreeMap<String, String> = values_of(1, true)
            .iter()
            .zip(&fields)
            .map(|((name, value), field)| (name.clone(), field_digest("crm.lead", field, value)))
            .collect();
        let merged = |now: bool, wanted: bool| {
            let current = values_of(1, now).into_iter().collect();
            super::merge(
                "crm.lead",
                &fields,
                &current,
                &values_of(4, wanted),
                &last,
                false,
                false,
            )
        };
        let lost_by_a_person = merged(false, true);
        assert_eq!(lost_by_a_person.send, []);
        assert_eq!(lost_by_a_person.kept, [ACTIVE, "stage_id"]);
        assert_eq!(merged(true, true).send, [("stage_id".to_owned(), stage(4))]);
        assert_eq!(merged(false, false).send, [("stage_id".to_owned(), stage(4))]);
    }

    #[test]
    fn what_odoo_would_compute_anew_is_sent_along_with_the_value_that_is_to_stay() {
        let wanted = [
            ("lang".to_owned(), OdooValue::Empty),
            ("user_id".to_owned(), text("ours")),
            ("team_id".to_owned(), text("team")),
            ("function".to_owned(), text("same")),
        ];
        let current = BTreeMap::from([("user_id".to_owned(), text("theirs"))]);
        let from = |field: &str, of: &str| (field.to_owned(), vec![of.to_owned()]);
        let computed = [
            from("team_id", "user_id"),
            from("user_id", "parent_id"),
            from("lang", "parent_id"),
            from("function", "name"),
        ];
        let mut merge = Merge {
            send: vec![("parent_id".to_owned(), OdooValue::Link(Reference::Id(7)))],
            kept: vec!["user_id".to_owned()],
            ..Merge::default()
        };
        merge.hold(&computed, &current, &wanted);
        merge.send.sort_by(|a, b| a.0.cmp(&b.0));
        let sent: Vec<_> = merge.send[..2].iter().chain(&merge.send[3..]).cloned().collect();
        assert_eq!(
            sent,
            [
                ("lang".to_owned(), OdooValue::Empty),
                ("parent_id".to_owned(), OdooValue::Link(Reference::Id(7))),
                ("user_id".to_owned(), text("theirs")),
            ]
        );
        assert_eq!(merge.send[2], ("team_id".to_owned(), text("team")));
        let mut nothing = Merge::default();
        nothing.hold(&computed, &current, &wanted);
        assert_eq!(nothing, Merge::default());
    }

    fn text(text: &str) -> OdooValue {
        OdooValue::Text(text.to_owned())
    }

    fn links(ids: &[i64]) -> OdooValue {
        OdooValue::Links(ids.iter().copied().map(Reference::Id).collect())
    }

    const FIELDS: [(&str, &str); 9] = [
        ("name", "char"),
        ("comment", "html"),
        ("color", "integer"),
        ("active", "boolean"),
        ("type", "selection"),
        ("category_id", "many2many"),
        ("latitude", "float"),
        ("parent_id", "many2one"),
        ("website", "char"),
    ];

    fn field(name: &str) -> TargetField {
        let ttype = FIELDS.iter().find(|(other, _)| *other == name).unwrap().1;
        TargetField {
            name: name.to_owned(),
            ttype: ttype.to_owned(),
        }
    }

    fn merge(name: &str, now: OdooValue, wanted: OdooValue, last: Option<&OdooValue>, adopted: bool) -> Merge {
        merge_by(name, now, wanted, last, adopted, false)
    }

    fn merge_by(
        name: &str,
        now: OdooValue,
        wanted: OdooValue,
        last: Option<&OdooValue>,
        adopted: bool,
        overwrite: bool,
    ) -> Merge {
        let fields: Vec<TargetField> = FIELDS.iter().map(|(name, _)| field(name)).collect();
        let current = BTreeMap::from([(name.to_owned(), now)]);
        // a record whose ledger is not lost has a digest of something
        let mut digests: BTreeMap<String, String> = last
            .iter()
            .map(|last| (name.to_owned(), field_digest("res.partner", &field(name), last)))
            .collect();
        if !adopted {
            digests.insert("other".to_owned(), "0".to_owned());
        }
        super::merge(
            "res.partner",
            &fields,
            &current,
            &[(name.to_owned(), wanted)],
            &digests,
            adopted,
            overwrite,
        )
    }

    #[test]
    fn what_was_written_last_changes_emptiness_is_filled_and_the_rest_is_theirs() {
        let (none, float) = (|| OdooValue::Empty, OdooValue::Float);
        for (name, now, wanted, last, adopted, sent, kept) in [
            ("name", text("a"), text("b"), Some(text("a")), false, true, false),
            ("name", text("x"), text("b"), Some(text("a")), false, false, true),
            ("name", text("b"), text("b"), Some(text("a")), false, false, false),
            ("name", text("  "), text("b"), Some(text("a")), false, true, false),
            ("name", text("x"), text("b"), None, true, false, true),
            ("name", none(), text("b"), None, true, true, false),
            ("name", text("x"), none(), None, true, false, true),
            ("name", text("a"), none(), Some(text("a")), true, true, false),
            (
                "comment",
                text("<p>a</p>"),
                text("b"),
                Some(text("a")),
                false,
                true,
                false,
            ),
            ("comment", text("<p><br></p>"), text("b"), None, true, true, false),
            (
                "color",
                OdooValue::Integer(0),
                OdooValue::Integer(3),
                None,
                true,
                true,
                false,
            ),
            (
                "active",
                OdooValue::Boolean(false),
                OdooValue::Boolean(true),
                None,
                true,
                false,
                true,
            ),
            ("type", none(), text("other"), None, true, false, true),
            (
                "latitude",
                float(1.23),
                float(2.0),
                Some(float(1.234_567)),
                false,
                true,
                false,
            ),
            (
                "latitude",
                float(1.23),
                float(1.229),
                Some(float(1.234_567)),
                false,
                true,
                false,
            ),
            (
                "latitude",
                float(1.23),
                float(1.234_567),
                Some(float(1.234_567)),
                false,
                false,
                false,
            ),
            ("latitude", float(0.0), float(1.0), Some(none()), false, true, false),
            (
                "website",
                text("http://a.br"),
                text("b.br"),
                Some(text("a.br")),
                false,
                true,
                false,
            ),
        ] {
            let case = format!("{name}: {now:?} {wanted:?} {last:?}");
            let merge = merge(name, now, wanted, last.as_ref(), adopted);
            assert_eq!(
                (merge.send.len(), merge.kept.len()),
                (usize::from(sent), usize::from(kept)),
                "{case}"
            );
        }
    }

    #[test]
    fn what_is_theirs_is_overwritten_only_where_that_is_asked_for_and_its_former_value_is_worth_keeping() {
        let none = || OdooValue::Empty;
        for (name, now, wanted, last, sent, conflicts, foreign) in [
            ("name", text("a"), text("b"), Some(text("a")), true, false, false),
            ("name", text("x"), text("b"), Some(text("a")), true, true, true),
            ("name", text("x"), text("b"), None, true, true, true),
            ("name", none(), text("b"), None, true, false, true),
            ("name", text("x"), none(), None, true, true, true),
            ("name", text("b"), text("b"), None, false, false, false),
            // 9 is a person's, 2 was taken away by a person
            (
                "category_id",
                links(&[1, 9]),
                links(&[1, 2]),
                Some(links(&[1, 2])),
                true,
                true,
                true,
            ),
            ("category_id", links(&[9]), links(&[1]), None, true, false, true),
            ("category_id", links(&[9]), links(&[]), None, false, false, false),
        ] {
            let case = format!("{name}: {now:?} {wanted:?} {last:?}");
            let merge = merge_by(name, now, wanted, last.as_ref(), true, true);
            assert_eq!(
                (
                    !merge.send.is_empty(),
                    !merge.conflicts.is_empty(),
                    !merge.foreign.is_empty()
                ),
                (sent, conflicts, foreign),
                "{case}: {merge:?}"
            );
            assert!(merge.unlink.is_empty() && merge.kept.is_empty(), "{case}");
        }
    }

    #[test]
    fn links_are_merged_three_ways() {
        for (now, wanted, last, add, remove, there) in [
            (
                vec![1, 2],
                vec![1, 3],
                Some(vec![1, 2]),
                vec![3],
                vec![2],
                Some(vec![1, 3]),
            ),
            // 9 is a person's, 2 was taken away by a person
            (
                vec![1, 9],
                vec![1, 2, 3],
                Some(vec![1, 2]),
                vec![3],
                vec![],
                Some(vec![1, 3]),
            ),
            (vec![9], vec![1], None, vec![], vec![], None),
            (vec![1, 9], vec![1], None, vec![], vec![], Some(vec![1])),
            (vec![], vec![1], None, vec![1], vec![], Some(vec![1])),
            (vec![1], vec![1], None, vec![], vec![], Some(vec![1])),
            (vec![1], vec![], Some(vec![1]), vec![], vec![1], Some(vec![])),
        ] {
            let case = format!("{now:?} {wanted:?} {last:?}");
            let conflict = there.as_ref() != Some(&wanted);
            let merge = merge(
                "category_id",
                links(&now),
                links(&wanted),
                last.as_deref().map(links).as_ref(),
                true,
            );
            let sent: Vec<OdooValue> = merge.send.into_iter().map(|(_, value)| value).collect();
            let unlinked: Vec<i64> = merge.unlink.into_iter().flat_map(|(_, ids)| ids).collect();
            let add = if add.is_empty() { vec![] } else { vec![links(&add)] };
            assert_eq!((sent, unlinked), (add, remove), "{case}");
            assert_eq!(merge.links.get("category_id"), there.as_ref(), "{case}");
            assert_eq!(merge.kept.is_empty(), there.is_some(), "{case}");
            assert_eq!(!merge.conflicts.is_empty(), conflict, "{case}");
        }
    }

    #[test]
    fn a_partner_that_keeps_its_address_as_other_is_not_made_a_contact_again() {
        let current = BTreeMap::from([
            ("street".to_owned(), text("Rua 1")),
            ("type".to_owned(), text("other")),
            ("parent_id".to_owned(), OdooValue::Link(Reference::Id(7))),
        ]);
        let wanted = [("type".to_owned(), text("contact"))];
        let merge = super::merge(
            "res.partner",
            &[field("type")],
            &current,
            &wanted,
            &BTreeMap::new(),
            true,
            true,
        );
        assert_eq!(
            merge,
            Merge {
                kept: vec!["type".to_owned()],
                ..Merge::default()
            }
        );
        assert!(keeps_the_address("res.partner", "type", &text("other")));
    }

    #[test]
    fn a_lost_ledger_makes_the_values_of_our_records_ours_and_of_adopted_ones_theirs() {
        let current = BTreeMap::from([("name".to_owned(), text("x"))]);
        let wanted = [("name".to_owned(), text("b"))];
        for (adopted, sent) in [(false, 1), (true, 0)] {
            let merge = super::merge(
                "crm.tag",
                &[field("name")],
                &current,
                &wanted,
                &BTreeMap::new(),
                adopted,
                false,
            );
            assert_eq!(merge.send.len(), sent);
        }
    }

    #[test]
    fn a_contact_with_an_address_of_its_own_becomes_other_when_it_gets_a_parent() {
        let parent = [("parent_id".to_owned(), OdooValue::Link(Reference::Id(7)))];
        let other = ("type".to_owned(), text("other"));
        for (model, street, kind, becomes_other) in [
            ("res.partner", "Rua 1", "contact", true),
            ("res.partner", "", "contact", false),
            ("res.partner", "Rua 1", "invoice", false),
            ("crm.lead", "Rua 1", "contact", false),
        ] {
            let current = BTreeMap::from([("street".to_owned(), text(street)), ("type".to_owned(), text(kind))]);
            let fields = [field("parent_id")];
            let merge = super::merge(model, &fields, &current, &parent, &BTreeMap::new(), true, false);
            assert_eq!(merge.send.contains(&other), becomes_other, "{model} {street} {kind}");
            let former = merge.foreign.contains(&"type".to_owned());
            assert_eq!(former, becomes_other, "what it was is kept: {merge:?}");
            assert_eq!(merge.kept, if becomes_other { vec!["type".to_owned()] } else { vec![] });
        }
    }

    #[test]
    fn a_digest_knows_a_value_again_as_odoo_gives_it_back() {
        for (name, written, read) in [
            ("comment", text("a & b"), text("<p>a &amp; b</p>")),
            ("website", text("a.br"), text("http://a.br")),
            ("name", text("a "), text("a")),
            ("name", OdooValue::Empty, text("")),
            ("color", OdooValue::Empty, OdooValue::Integer(0)),
            ("active", OdooValue::Empty, OdooValue::Boolean(false)),
            ("category_id", links(&[3, 1]), links(&[1, 3])),
        ] {
            let digest = field_digest("res.partner", &field(name), &written);
            let last = BTreeMap::from([(name.to_owned(), digest)]);
            let again = super::merge(
                "res.partner",
                &[field(name)],
                &BTreeMap::from([(name.to_owned(), read)]),
                &[(name.to_owned(), written)],
                &last,
                false,
                false,
            );
            assert_eq!((again.send, again.kept), (vec![], vec![]), "{name}");
        }
        assert_eq!(field_digest("res.partner", &field("name"), &text("a")).len(), 16);
    }
}
