//! Custom fields, made before data. Idempotent: what is there and fits is used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    patience,
    rpc::{Rpc, RpcError},
};
use crate::{
    api::mapping_spec::FieldType,
    args,
    mapping::CustomField,
    model::{OdooModel, digest::hex},
};

/// What became of a custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was made.
    Made,
    /// It was there.
    Existed,
    /// It was there, and got options that it lacked.
    OptionsAdded,
    /// It cannot be had: why, and what helps.
    Clash(String),
}

/// What Odoo has.
#[derive(Debug, Default)]
struct Existing {
    /// Model to id.
    models: BTreeMap<String, i64>,
    /// Model and field to the field.
    fields: BTreeMap<(String, String), ExistingField>,
    /// Model to the field that names the currency of an amount.
    currencies: BTreeMap<String, &'static str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ExistingField {
    id: i64,
    ttype: String,
    relation: Option<String>,
    options: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
enum Plan {
    Make(Map<String, Json>),
    /// Records of `ir.model.fields.selection`.
    AddOptions(Vec<Json>),
    Nothing,
    Clash(String),
}

/// Makes the fields that are missing, and adds the options that are. The answer has one entry per model and name, in
/// the order of first mention; options of several mentions add up.
///
/// # Errors
/// When Odoo does not answer, or refuses for another reason than a field.
pub async fn ensure(rpc: &dyn Rpc, fields: &[CustomField]) -> Result<Vec<(CustomField, Ensured)>, RpcError> {
    let mut tries = 0;
    loop {
        // looking again is what settles a call without an answer
        match once(rpc, merged(fields)).await {
            Ok(all) => return Ok(all),
            Err(error) => match patience::wait_to_repeat(&error, tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
        }
        tries += 1;
    }
}

type Wanted = Vec<(CustomField, Option<String>)>;

async fn once(rpc: &dyn Rpc, fields: Wanted) -> Result<Vec<(CustomField, Ensured)>, RpcError> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let existing = look(rpc, fields.iter().map(|(field, _)| field)).await?;
    let plans: Vec<(CustomField, Plan)> = fields
        .into_iter()
        .map(|(field, clash)| {
            let plan = clash.map_or_else(|| plan(&field, &existing), Plan::Clash);
            (field, plan)
        })
        .collect();
    let new: Vec<Map<String, Json>> = plans.iter().filter_map(|(_, plan)| plan.made().cloned()).collect();
    let mut made = make(rpc, &new).await?.into_iter();
    let mut all = Vec::with_capacity(plans.len());
    for (field, plan) in plans {
        let ensured = match plan {
            Plan::Make(_) => made.next().expect("one for each field to make"),
            Plan::AddOptions(options) => match add_options(rpc, &options).await {
                Ok(()) => Ensured::OptionsAdded,
                Err(RpcError::Rejected { message, .. }) => Ensured::Clash(format!("Odoo refuses an option: {message}")),
                Err(error) => return Err(error),
            },
            Plan::Nothing => Ensured::Existed,
            Plan::Clash(why) => Ensured::Clash(why),
        };
        all.push((field, ensured));
    }
    Ok(all)
}

impl Plan {
    const fn made(&self) -> Option<&Map<String, Json>> {
        match self {
            Self::Make(values) => Some(values),
            Self::AddOptions(_) | Self::Nothing | Self::Clash(_) => None,
        }
    }
}

/// One entry per model and name, with a clash where the mentions disagree.
fn merged(fields: &[CustomField]) -> Wanted {
    let mut all: Wanted = Vec::new();
    for field in fields {
        match all
            .iter_mut()
            .find(|(other, _)| other.model == field.model && other.name == field.name)
        {
            None => all.push((field.clone(), None)),
            Some((other, clash)) if other.type_ != field.type_ => {
                let (one, two) = (other.type_.ttype(), field.type_.ttype());
                *clash = Some(format!(
                    "{} is created as {one} and as {two}: choose one type",
                    field.name
                ));
            }
            Some((other, _)) => {
                for (value, label) in &field.options {
                    other.options.entry(value.clone()).or_insert_with(|| label.clone());
                }
            }
        }
    }
    all
}

fn plan(field: &CustomField, existing: &Existing) -> Plan {
    let CustomField {
        model,
        name,
        type_,
        label,
        help,
        options,
        relation,
    } = field;
    let Some(model_id) = existing.models.get(&model.0) else {
        return Plan::Clash(format!("Odoo has no model {model}"));
    };
    if let Some(there) = existing.fields.get(&(model.0.clone(), name.clone())) {
        return fit(field, there);
    }
    let label = if label.is_empty() { name } else { label };
    let mut values = args!({
        "name": name, "model_id": model_id, "ttype": type_.ttype(), "field_description": label, "state": "manual",
    });
    if !help.is_empty() {
        values.insert("help".to_owned(), Json::from(help.as_str()));
    }
    if *type_ == FieldType::Selection {
        let options: Vec<Json> = options
            .iter()
            .enumerate()
            .map(|(place, (value, label))| json!([0, 0, {"value": value, "name": label, "sequence": place}]))
            .collect();
        values.insert("selection_ids".to_owned(), Json::from(options));
    }
    if let Some(relation) = relation {
        values.insert("relation".to_owned(), Json::from(relation.0.as_str()));
    }
    if *type_ == FieldType::Many2many {
        values.insert("relation_table".to_owned(), Json::from(relation_table(model, name)));
    }
    if *type_ == FieldType::Monetary {
        let Some(currency) = existing.currencies.get(&model.0) else {
            return Plan::Clash(format!(
                "{model} has neither {} nor {}, which an amount needs: create a Float instead",
                CURRENCIES[0], CURRENCIES[1]
            ));
        };
        values.insert("currency_field".to_owned(), Json::from(*currency));
    }
    Plan::Make(values)
}

/// The table of a many2many. Without it Odoo lets two fields between the same models share one, links and all.
fn relation_table(model: &OdooModel, field: &str) -> String {
    let digest = hex(&Sha256::digest(format!("{model}.{field}").as_bytes()));
    format!("x_links_{}", &digest[..24])
}

/// Fields that may name the currency of an amount.
const CURRENCIES: [&str; 2] = ["currency_id", "company_currency"];

fn fit(field: &CustomField, there: &ExistingField) -> Plan {
    if there.ttype != field.type_.ttype() {
        return Plan::Clash(format!(
            "{} exists in {} as {}, not {}: use another name",
            field.name,
            field.model,
            there.ttype,
            field.type_.ttype()
        ));
    }
    let relation = field.relation.as_ref().map(|relation| relation.0.as_str());
    if let Some(other) = there.relation.as_deref().filter(|other| Some(*other) != relation) {
        return Plan::Clash(format!(
            "{} exists in {} and refers to {other}: use another name",
            field.name, field.model
        ));
    }
    let missing: Vec<Json> = field
        .options
        .iter()
        .filter(|(value, _)| field.type_ == FieldType::Selection && !there.options.contains(*value))
        .enumerate()
        .map(|(place, (value, label))| {
            json!({"field_id": there.id, "value": value, "name": label, "sequence": there.options.len() + place})
        })
        .collect();
    if missing.is_empty() {
        Plan::Nothing
    } else {
        Plan::AddOptions(missing)
    }
}

async fn look(rpc: &dyn Rpc, fields: impl Iterator<Item = &CustomField>) -> Result<Existing, RpcError> {
    let (mut models, mut names, mut amounts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for field in fields {
        models.insert(field.model.0.as_str());
        names.insert(field.name.as_str());
        if field.type_ == FieldType::Monetary {
            amounts.insert(field.model.0.as_str());
        }
    }
    let mut existing = Existing::default();
    let args = args!({"domain": [["model", "in", models]], "fields": ["model"]});
    let answer = patience::call(rpc, "ir.model", "search_read", args).await?;
    for row in patience::rows(&answer, "search_read")? {
        existing
            .models
            .insert(patience::text(row, "model").to_owned(), patience::integer(row, "id")?);
    }
    let args = args!({
        "domain": [["model", "in", models], ["name", "in", names]], "fields": ["model", "name", "ttype", "relation"],
    });
    let answer = patience::call(rpc, "ir.model.fields", "search_read", args).await?;
    let mut selections = BTreeMap::new();
    for row in patience::rows(&answer, "search_read")? {
        let key = (
            patience::text(row, "model").to_owned(),
            patience::text(row, "name").to_owned(),
        );
        let field = ExistingField {
            id: patience::integer(row, "id")?,
            ttype: patience::text(row, "ttype").to_owned(),
            relation: Some(patience::text(row, "relation").to_owned()).filter(|relation| !relation.is_empty()),
            options: BTreeSet::new(),
        };
        if field.ttype == "selection" {
            selections.insert(field.id, key.clone());
        }
        existing.fields.insert(key, field);
    }
    for model in amounts {
        if existing.models.contains_key(model) {
            look_for_currency(rpc, model, &mut existing).await?;
        }
    }
    if selections.is_empty() {
        return Ok(existing);
    }
    let ids: Vec<&i64> = selections.keys().collect();
    let args = args!({"domain": [["field_id", "in", ids]], "fields": ["field_id", "value"], "load": null});
    let answer = patience::call(rpc, "ir.model.fields.selection", "search_read", args).await?;
    for row in patience::rows(&answer, "search_read")? {
        let field = row
            .get("field_id")
            .and_then(super::verify::link)
            .and_then(|id| selections.get(&id));
        if let Some(field) = field.and_then(|key| existing.fields.get_mut(key)) {
            field.options.insert(patience::text(row, "value").to_owned());
        }
    }
    Ok(existing)
}

async fn look_for_currency(rpc: &dyn Rpc, model: &str, existing: &mut Existing) -> Result<(), RpcError> {
    let args = args!({"allfields": CURRENCIES, "attributes": ["type"]});
    let answer = patience::call(rpc, model, "fields_get", args).await?;
    for name in CURRENCIES {
        if answer[name]["type"] == "many2one" {
            existing.currencies.entry(model.to_owned()).or_insert(name);
        }
    }
    Ok(())
}

/// Makes fields in one call or, if that is refused, each in its own. One answer for each.
async fn make(rpc: &dyn Rpc, fields: &[Map<String, Json>]) -> Result<Vec<Ensured>, RpcError> {
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    match create(rpc, FIELDS, json!(fields)).await {
        Err(RpcError::Rejected { .. }) => {}
        answer => return answer.map(|()| vec![Ensured::Made; fields.len()]),
    }
    let mut all = Vec::with_capacity(fields.len());
    for field in fields {
        all.push(match create(rpc, FIELDS, json!([field])).await {
            Ok(()) => Ensured::Made,
            Err(RpcError::Rejected { message, .. }) => Ensured::Clash(format!("Odoo refuses the field: {message}")),
            Err(error) => return Err(error),
        });
    }
    Ok(all)
}

const FIELDS: &str = "ir.model.fields";

async fn add_options(rpc: &dyn Rpc, options: &[Json]) -> Result<(), RpcError> {
    create(rpc, "ir.model.fields.selection", json!(options)).await
}

async fn create(rpc: &dyn Rpc, model: &str, records: Json) -> Result<(), RpcError> {
    rpc.call(model, "create", args!({"vals_list": records}))
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, type_: FieldType, options: &[&str]) -> CustomField {
        CustomField {
            model: OdooModel("crm.lead".to_owned()),
            name: name.to_owned(),
            type_,
            label: String::new(),
            help: String::new(),
            options: options
                .iter()
                .map(|value| ((*value).to_owned(), value.to_uppercase()))
                .collect(),
            relation: None,
        }
    }

    fn existing(fields: &[(&str, &str, &[&str])]) -> Existing {
        let entry = |(name, ttype, options): &(&str, &str, &[&str])| {
            let field = ExistingField {
                id: 9,
                ttype: (*ttype).to_owned(),
                relation: None,
                options: options.iter().map(|value| (*value).to_owned()).collect(),
            };
            (("crm.lead".to_owned(), (*name).to_owned()), field)
        };
        Existing {
            models: BTreeMap::from([("crm.lead".to_owned(), 3)]),
            fields: fields.iter().map(entry).collect(),
            currencies: BTreeMap::new(),
        }
    }

    #[test]
    fn a_field_of_two_objects_is_one_with_the_options_of_both() {
        let fields = [
            field("x_a", FieldType::Selection, &["1"]),
            field("x_a", FieldType::Selection, &["2"]),
        ];
        let all = merged(&fields);
        assert_eq!((all.len(), all[0].0.options.len(), &all[0].1), (1, 2, &None));
        let all = merged(&[field("x_a", FieldType::Char, &[]), field("x_a", FieldType::Text, &[])]);
        assert!(all[0].1.as_ref().unwrap().contains("as char and as text"));
    }

    #[test]
    fn what_exists_is_used_if_it_fits() {
        let selection = |options| field("x_a", FieldType::Selection, options);
        let there = existing(&[("x_a", "selection", &["1"])]);
        assert_eq!(plan(&selection(&["1"]), &there), Plan::Nothing);
        let Plan::AddOptions(added) = plan(&selection(&["1", "2"]), &there) else {
            panic!("must add")
        };
        assert_eq!(
            added,
            [json!({"field_id": 9, "value": "2", "name": "2", "sequence": 1})]
        );
        let Plan::Clash(why) = plan(&field("x_a", FieldType::Char, &[]), &there) else {
            panic!("must clash")
        };
        assert_eq!(why, "x_a exists in crm.lead as selection, not char: use another name");
    }

    #[test]
    fn an_amount_takes_the_currency_that_the_model_has() {
        let amount = field("x_m", FieldType::Monetary, &[]);
        let mut company = existing(&[]);
        company.currencies.insert("crm.lead".to_owned(), "company_currency");
        let Plan::Make(values) = plan(&amount, &company) else {
            panic!("must make")
        };
        assert_eq!(values["currency_field"], "company_currency");
        assert!(matches!(plan(&amount, &existing(&[])), Plan::Clash(why) if why.contains("create a Float instead")));
    }

    #[test]
    fn a_model_that_odoo_lacks_is_said() {
        let nowhere = plan(&field("x_a", FieldType::Char, &[]), &Existing::default());
        assert_eq!(nowhere, Plan::Clash("Odoo has no model crm.lead".to_owned()));
    }
}
