//! What may go to Odoo side by side. Pure.

use crate::model::OdooValue;

/// Rows of one lane go through one writer, won leads through the first.
pub(super) fn shard_of(values: &[(String, OdooValue)], model: &str, shards: usize) -> usize {
    if shards <= 1 {
        return 0;
    }
    let won = |(field, value): &(String, OdooValue)| field == "probability" && *value == OdooValue::Float(100.0);
    if model == "crm.lead" && values.iter().any(won) {
        return 0;
    }
    usize::try_from(lane_of(values, model).unwrap_or(0)).unwrap_or(0) % shards
}

/// What a record belongs to: a message to the record it is about, whose chatter shows messages in the order they are made;
/// any other to its parent, whose row in Odoo they share.
pub(super) fn lane_of(values: &[(String, OdooValue)], model: &str) -> Option<i64> {
    let get = |name: &str| values.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    let owner = if model == "mail.message" {
        get("res_id")
    } else {
        get("parent_id").or_else(|| get("partner_id"))
    };
    match owner {
        Some(OdooValue::Link(reference)) => reference.id(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;

    fn link(field: &str, id: i64) -> (String, OdooValue) {
        (field.to_owned(), OdooValue::Link(Reference::Id(id)))
    }

    #[test]
    fn rows_of_one_parent_go_through_one_writer_and_won_leads_through_the_first() {
        let won = || ("probability".to_owned(), OdooValue::Float(100.0));
        let even = || ("probability".to_owned(), OdooValue::Float(50.0));
        for (model, values, lane, shard) in [
            ("res.partner", vec![link("parent_id", 7)], Some(7), 3),
            (
                "res.partner",
                vec![link("parent_id", 7), link("partner_id", 9)],
                Some(7),
                3,
            ),
            ("crm.lead", vec![link("partner_id", 9)], Some(9), 1),
            ("crm.lead", vec![link("partner_id", 9), even()], Some(9), 1),
            ("crm.lead", vec![link("partner_id", 9), won()], Some(9), 0),
            (
                "mail.message",
                vec![link("res_id", 6), link("parent_id", 7)],
                Some(6),
                2,
            ),
            ("mail.message", vec![link("parent_id", 7)], None, 0),
            ("res.partner", vec![("parent_id".to_owned(), OdooValue::Empty)], None, 0),
        ] {
            assert_eq!(lane_of(&values, model), lane, "{model} {values:?}");
            assert_eq!(shard_of(&values, model, 4), shard, "{model} {values:?}");
            assert_eq!(shard_of(&values, model, 1), 0, "{model} {values:?}");
        }
    }
}
