//! What Odoo keeps once for a company and all who are below it: whoever of them is given their own changes the company's.

use std::borrow::Cow;

use crate::model::{OdooValue, Rejection};

/// The fields, with their types.
pub const FIELDS: [(&str, &str); 3] = [
    ("vat", "char"),
    ("company_registry", "char"),
    ("industry_id", "many2one"),
];

/// Whether a field is one of them.
#[must_use]
pub fn is_one(field: &str) -> bool {
    FIELDS.iter().any(|(name, _)| *name == field)
}

/// Whether a value is the company's, of which a partner below it has none of its own.
fn is_companys(model: &str, values: &[(String, OdooValue)]) -> impl Fn(&str) -> bool + use<> {
    let value = |field: &str| values.iter().find(|(name, _)| name == field).map(|(_, value)| value);
    let is_below = matches!(value("parent_id"), Some(OdooValue::Link(_)));
    let is_company = value("is_company") == Some(&OdooValue::Boolean(true))
        || value("company_type") == Some(&OdooValue::Text("company".to_owned()));
    let has_a_companys = model == "res.partner" && is_below && !is_company;
    move |field| has_a_companys && is_one(field)
}

/// Says which values are not sent.
pub(super) fn note(model: &str, values: &[(String, OdooValue)], notes: &mut Vec<Rejection>) {
    let is_companys = is_companys(model, values);
    for (name, value) in values {
        if is_companys(name) && *value != OdooValue::Empty {
            let what = "not sent: in Odoo who is below a company has the company's; an x_ field takes it";
            notes.push(Rejection::new("CompanysField", name.as_str(), what));
        }
    }
}

/// What is sent of the values; records are matched and folded by all of them.
#[must_use]
pub fn sent<'v>(model: &str, values: &'v [(String, OdooValue)]) -> Cow<'v, [(String, OdooValue)]> {
    let is_companys = is_companys(model, values);
    if !values.iter().any(|(name, _)| is_companys(name)) {
        return Cow::Borrowed(values);
    }
    let own = values.iter().filter(|(name, _)| !is_companys(name));
    own.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;

    #[test]
    fn who_is_below_a_company_has_no_tax_number_of_their_own() {
        let parent = ("parent_id".to_owned(), OdooValue::Link(Reference::Id(3)));
        let vat = ("vat".to_owned(), OdooValue::Text("1".to_owned()));
        let company = ("is_company".to_owned(), OdooValue::Boolean(true));
        for (model, values, left) in [
            ("res.partner", vec![parent.clone(), vat.clone()], 1),
            ("res.partner", vec![vat.clone()], 1),
            (
                "res.partner",
                vec![("parent_id".to_owned(), OdooValue::Empty), vat.clone()],
                2,
            ),
            ("res.partner", vec![parent.clone(), vat.clone(), company], 3),
            ("res.users", vec![parent, vat], 2),
        ] {
            let mut notes = Vec::new();
            note(model, &values, &mut notes);
            assert_eq!(sent(model, &values).len(), left, "{model} {values:?}");
            assert_eq!(notes.len(), values.len() - left, "{model} {values:?}");
        }
    }
}
