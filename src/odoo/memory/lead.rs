//! Leads: the rules of the won stage, the dates Odoo keeps, and the contact whose e-mail address a lead overwrites.

use serde_json::{Value, json};

use super::{
    Call,
    partner::ADDRESS,
    refusal::{self, Outcome},
    store::{Row, Store},
    values::is_true,
    write::touch,
};

const MODEL: &str = "crm.lead";
const PARTNER: &str = "res.partner";

/// Lead's field and partner's: written on the one, they are written on the other.
const SHARED: [(&str, &str); 2] = [("email_from", "email"), ("phone", "phone")];

pub(super) fn before_create(store: &Store, call: &Call, vals: &mut Row) {
    if vals.get("user_id").is_some_and(is_true) {
        let team = first(store, "crm.team");
        vals.entry("team_id").or_insert(team);
        vals.entry("date_open").or_insert_with(|| json!(call.now));
        vals.entry("company_id").or_insert(json!(1));
    }
    vals.entry("stage_id").or_insert_with(|| first(store, "crm.stage"));
    vals.entry("date_last_stage_update").or_insert_with(|| json!(call.now));
    let won = is_won(store, vals.get("stage_id"));
    vals.entry("probability")
        .or_insert(if won { json!(100.0) } else { json!(0.0) });
    let archived = vals.get("active").is_some_and(|active| !is_true(active));
    if won && !archived {
        vals.entry("date_closed").or_insert_with(|| json!(call.now));
    } else if won && !vals.contains_key("date_closed") {
        // An archived lead is a lost one unless its probability says otherwise.
        vals.insert("date_closed".to_owned(), json!(call.now));
    }
    fill_from_partner(store, vals);
}

pub(super) fn before_write(store: &Store, call: &Call, id: i64, vals: &mut Row) {
    let restaged = vals
        .get("stage_id")
        .is_some_and(|stage| stage != store.stored(MODEL, id, "stage_id"));
    if restaged {
        let won = is_won(store, vals.get("stage_id"));
        if won {
            vals.insert("probability".to_owned(), json!(100.0));
        }
        // Dates sent beside a new stage are lost: Odoo sets its own.
        vals.insert("date_last_stage_update".to_owned(), json!(call.now));
        vals.insert(
            "date_closed".to_owned(),
            if won { json!(call.now) } else { Value::Null },
        );
    } else if !vals.contains_key("date_closed") {
        let probability = vals.get("probability").and_then(Value::as_f64);
        let archives = vals.get("active").is_some_and(|active| !is_true(active));
        if probability.is_some_and(|probability| probability >= 100.0) || archives {
            vals.insert("date_closed".to_owned(), json!(call.now));
        } else if probability.is_some_and(|probability| probability > 0.0) {
            vals.insert("date_closed".to_owned(), Value::Null);
        }
    }
    if vals
        .get("user_id")
        .is_some_and(|user| user != store.stored(MODEL, id, "user_id"))
    {
        vals.entry("date_open").or_insert_with(|| json!(call.now));
    }
}

/// Shares what is shared with the contact, and judges the lead.
pub(super) fn after_change(store: &mut Store, call: &Call, id: i64, sent: &Row) -> Outcome<()> {
    if let Some(partner) = store.stored(MODEL, id, "partner_id").as_i64() {
        for (own, theirs) in SHARED {
            if sent.get(own).is_some_and(is_true) {
                overwrite(store, call, (id, own), (partner, theirs));
            }
        }
    }
    judge(store, id)
}

fn overwrite(store: &mut Store, call: &Call, (lead, own): (i64, &str), (partner, theirs): (i64, &str)) {
    let value = store.stored(MODEL, lead, own).clone();
    if store.stored(PARTNER, partner, theirs) == &value {
        return;
    }
    store.patch(PARTNER, partner, [(theirs.to_owned(), value.clone())]);
    touch(store, call, PARTNER, partner);
    let link = json!(partner);
    let others: Vec<i64> = store
        .rows(MODEL)
        .filter(|(other, row)| *other != lead && row.get("partner_id") == Some(&link))
        .map(|(other, _)| other)
        .collect();
    for other in others {
        store.patch(MODEL, other, [(own.to_owned(), value.clone())]);
        touch(store, call, MODEL, other);
    }
}

/// Won, lost or pending; a lead in a won stage must be won.
fn judge(store: &mut Store, id: i64) -> Outcome<()> {
    let probability = store.stored(MODEL, id, "probability").as_f64().unwrap_or_default();
    let won_stage = is_won(store, Some(store.stored(MODEL, id, "stage_id")));
    if won_stage && probability < 100.0 {
        return Err(refusal::validation(
            "A lead in a Won stage cannot be lost. Move it to another stage first.",
        ));
    }
    let active = is_true(store.stored(MODEL, id, "active"));
    let status = match (won_stage, active) {
        (true, _) => "won",
        (false, false) if probability == 0.0 => "lost",
        _ => "pending",
    };
    store.patch(MODEL, id, [("won_status".to_owned(), json!(status))]);
    Ok(())
}

fn is_won(store: &Store, stage: Option<&Value>) -> bool {
    let id = stage.and_then(Value::as_i64);
    id.is_some_and(|id| is_true(store.stored("crm.stage", id, "is_won")))
}

/// The active record that comes first.
fn first(store: &Store, model: &str) -> Value {
    let hides = store.field(model, "active").is_some();
    let place = |id: i64| store.stored(model, id, "sequence").as_i64().unwrap_or_default();
    let active = store
        .rows(model)
        .filter(|(_, row)| !hides || row.get("active").is_some_and(is_true));
    active
        .map(|(id, _)| (place(id), id))
        .min()
        .map_or(Value::Null, |(_, id)| json!(id))
}

/// What a lead is not told it takes from its contact.
fn fill_from_partner(store: &Store, vals: &mut Row) {
    let Some(partner) = vals.get("partner_id").and_then(Value::as_i64) else {
        return;
    };
    let theirs = |field: &str| store.stored(PARTNER, partner, field).clone();
    for (own, shared) in SHARED
        .into_iter()
        .chain([("function", "function"), ("website", "website")])
    {
        if !vals.get(own).is_some_and(is_true) {
            vals.insert(own.to_owned(), theirs(shared));
        }
    }
    let company = if is_true(&theirs("is_company")) {
        theirs("name")
    } else {
        vals.entry("contact_name").or_insert_with(|| theirs("name"));
        theirs("parent_id")
            .as_i64()
            .map_or(Value::Null, |id| store.stored(PARTNER, id, "name").clone())
    };
    vals.entry("partner_name").or_insert(company);
    if !ADDRESS.iter().any(|field| vals.get(*field).is_some_and(is_true)) {
        for field in ADDRESS {
            vals.insert(field.to_owned(), theirs(field));
        }
    }
}
