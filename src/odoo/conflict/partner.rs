//! What a partner below a company shares with it: Odoo copies an address and a tax number up and down.

use std::collections::BTreeMap;

use super::{Merge, field_digest, is_nothing};
use crate::{
    mapping::{TargetField, commercial},
    model::OdooValue,
};

/// The kind of an address that is shared with the company.
const CONTACT: &str = "contact";
/// One that keeps to itself.
const OTHER: &str = "other";

const ADDRESS: [(&str, &str); 6] = [
    ("street", "char"),
    ("street2", "char"),
    ("city", "char"),
    ("zip", "char"),
    ("state_id", "many2one"),
    ("country_id", "many2one"),
];

const STANDING: &[(&str, &str)] = &[
    ("type", "selection"),
    ("parent_id", "many2one"),
    ("is_company", "boolean"),
];

/// Fields that tell how a partner stands to its company.
pub(super) fn beside() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    ADDRESS.iter().chain(STANDING).chain(&commercial::FIELDS)
}

/// What a record is made with: a partner with an address of its own below a company keeps to itself.
#[must_use]
pub fn to_create(model: &str, values: &[(String, OdooValue)]) -> Vec<(String, OdooValue)> {
    let mut all = values.to_vec();
    let given = |field: &str| values.iter().any(|(name, value)| name == field && !is_nothing(value));
    let is_company = values.contains(&("is_company".to_owned(), OdooValue::Boolean(true)));
    if model == "res.partner"
        && !is_company
        && given("parent_id")
        && values.iter().all(|(name, _)| name != "type")
        && ADDRESS.iter().any(|(field, _)| given(field))
    {
        all.push(("type".to_owned(), OdooValue::Text(OTHER.to_owned())));
    }
    all
}

/// Whether no address was written last, as far as that is known.
fn is_not_ours(fields: &[TargetField], written_last: &BTreeMap<String, String>) -> bool {
    let of_address = fields.iter().filter(|field| is_of_address(&field.name));
    let blank = |field: &TargetField| field_digest("res.partner", field, &OdooValue::Empty);
    let mut known = of_address.filter_map(|field| Some((written_last.get(&field.name)?, blank(field))));
    // without a digest it is a person's
    known.all(|(last, blank)| last.is_empty() || *last == blank)
}

/// Whether a field is of a partner's address, which those below a company have from it.
#[must_use]
pub fn is_of_address(field: &str) -> bool {
    ADDRESS.iter().any(|(name, _)| *name == field)
}

/// Whether what stands in a field is the company's above.
pub(super) fn is_commercial(model: &str, field: &str, current: &BTreeMap<String, OdooValue>) -> bool {
    model == "res.partner"
        && commercial::is_one(field)
        && current.get("is_company") == Some(&OdooValue::Boolean(false))
        && current.get("parent_id").is_some_and(|parent| !is_nothing(parent))
}

/// Whether a record has the address of the one above it, which Odoo copies down whenever that changes.
pub(super) fn is_shared(model: &str, current: &BTreeMap<String, OdooValue>) -> bool {
    model == "res.partner"
        && current.get("type") == Some(&OdooValue::Text(CONTACT.to_owned()))
        && current.get("parent_id").is_some_and(|parent| !is_nothing(parent))
}

/// Whether a field for which nothing is wanted has the company's address.
#[must_use]
pub fn has_the_companys(model: &str, field: &str, wanted: &OdooValue, found: &BTreeMap<String, OdooValue>) -> bool {
    is_of_address(field) && is_nothing(wanted) && is_shared(model, found)
}

/// Whether a value that is not the one wanted is of our own making: the kind that keeps a partner's address.
#[must_use]
pub fn keeps_the_address(model: &str, field: &str, now: &OdooValue) -> bool {
    model == "res.partner" && field == "type" && *now == OdooValue::Text(OTHER.to_owned())
}

impl Merge {
    /// Sends along what a partner is to keep of its own, and what it is to leave to the company.
    pub(super) fn settle_with_the_company(
        &mut self,
        fields: &[TargetField],
        current: &BTreeMap<String, OdooValue>,
        wanted: &[(String, OdooValue)],
        written_last: &BTreeMap<String, String>,
    ) {
        let has_no_address = wanted
            .iter()
            .all(|(name, value)| !is_of_address(name) || is_nothing(value));
        let moves = self.send.iter().any(|(name, _)| name == "parent_id");
        let is_shared = is_shared("res.partner", current);
        if moves {
            self.leave_the_companys(current);
        }
        if moves && has_no_address && is_shared && is_not_ours(fields, written_last) {
            self.leave_the_address(current);
            return;
        }
        if is_shared {
            self.leave_the_rest(current, wanted);
        }
        self.keep_the_address(current);
    }

    /// One that goes to another company, or to none, leaves behind what it had of its company: Odoo would give it to that which
    /// has none, for all below it.
    fn leave_the_companys(&mut self, current: &BTreeMap<String, OdooValue>) {
        let company = |(name, value): &(String, OdooValue)| name == "is_company" && *value == OdooValue::Boolean(true);
        if current.get("is_company") != Some(&OdooValue::Boolean(false)) || self.send.iter().any(company) {
            return;
        }
        for (name, _) in commercial::FIELDS {
            let is_there = current.get(name).is_some_and(|value| !is_nothing(value));
            if is_there && self.send.iter().all(|(field, _)| field != name) {
                self.send.push((name.to_owned(), OdooValue::Empty));
                self.foreign.push(name.to_owned());
            }
        }
    }

    /// One that has its company's address and goes to another, or to none, leaves that address where it is: Odoo gives it the
    /// other's, and would give the other one this.
    fn leave_the_address(&mut self, current: &BTreeMap<String, OdooValue>) {
        for (name, _) in ADDRESS {
            self.send.retain(|(field, _)| field != name);
            if current.get(name).is_some_and(|value| !is_nothing(value)) {
                self.send.push((name.to_owned(), OdooValue::Empty));
            }
        }
    }

    /// One that has its company's address and is given its own keeps nothing of the company's, where nobody says what it is to be.
    fn leave_the_rest(&mut self, current: &BTreeMap<String, OdooValue>, wanted: &[(String, OdooValue)]) {
        let is_own = |(name, value): &(String, OdooValue)| is_of_address(name) && !is_nothing(value);
        if !self.send.iter().any(is_own) {
            return;
        }
        for (name, _) in ADDRESS {
            let is_mapped = wanted.iter().any(|(field, _)| field == name);
            if !is_mapped && current.get(name).is_some_and(|value| !is_nothing(value)) {
                self.send.push((name.to_owned(), OdooValue::Empty));
            }
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
            || text(sent("type"), CONTACT)
            || ADDRESS.iter().any(|(field, _)| sent(field).is_some());
        let has_address = ADDRESS.iter().any(|(field, _)| will_be(field).is_some())
            || ADDRESS
                .iter()
                .any(|(field, _)| current.get(*field).is_some_and(|value| !is_nothing(value)));
        if !touches || will_be("parent_id").is_none() || !has_address || !text(will_be("type"), CONTACT) {
            return;
        }
        let other = OdooValue::Text(OTHER.to_owned());
        for names in [&mut self.kept, &mut self.foreign] {
            names.retain(|name| name != "type");
        }
        if current.get("type") == Some(&other) {
            self.conflicts.retain(|name| name != "type");
        }
        self.send.retain(|(name, _)| name != "type");
        self.kept.push("type".to_owned());
        if current.get("type") != Some(&other) {
            self.send.push(("type".to_owned(), other));
            self.foreign.push("type".to_owned());
        }
    }
}
