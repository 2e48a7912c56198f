//! A record of Pipz, made flat: custom values from the four places where accounts keep them, under stable names. Pure.
//!
//! A custom field is called `contact_custom_<slug>` (`company_custom_…`), whatever place and spelling an account uses for
//! it: technical name, name without prefix, or label. What a slug has no letters for is told apart by a digest. Two fields of
//! one place that would have one name are two: `…_2`. Where several places have a value, the last one that is not empty
//! counts, in the order root, `fieldsets`, `custom_fields`, `custom_attributes`; of a field of Pipz itself that of the root,
//! so that nothing takes the place of an id.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use sha2::{Digest as _, Sha256};

use crate::model::{DeclaredField, Record, Value, digest::hex, record::is_empty};

/// What is never read into a record.
const NEVER: [&str; 3] = ["password", "cookie_id", "reader"];

/// Fields that Pipz itself has: at the root of a record their names mean them, and no custom field.
const STANDARD: &str = "address_1 address_2 average_order avatar birthdate birthday bounces city_name clicks companies company company_id \
    continent_code cookie_id count count_order country_code country_name creation_date currency device email email_status emails_received \
    emails_sent facebook first_order ga_campaign ga_content ga_medium ga_source ga_term gender geo_city_name geo_continent_code \
    geo_country_code geo_country_name geo_latitude geo_longitude geo_postal_code geo_region_name geo_state id industry interaction_count \
    ip_address is_online job_title language last_conversion last_conversion_date last_email_interaction_date last_event last_event_date \
    last_interaction_date last_order last_referer last_seen_ip last_session_date last_utm_campaign last_utm_content last_utm_medium \
    last_utm_source last_utm_term latitude linkedin longitude milestone_expire_date mobile_phone monthly_spend name no_response nps_date \
    nps_score number_of_employees opens optin optin_automation origin_detail origin_id os_family os_version owner_id page_views password \
    phone plan postal_code reader reader_type referer region_name remote_creation_date remote_id score session_count sign_up_date stage_id \
    state status tags time_spent timezone total_order twitter update_date updated_by utm_campaign utm_content utm_medium utm_source \
    utm_term uuid website";

/// The custom fields of an object, as far as they are declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Name to label.
    fields: BTreeMap<String, String>,
    /// Label, in lower case, to name.
    names: HashMap<String, String>,
}

impl Catalogue {
    /// Reads what `contactfields` answers: a list of `{name, label, group}`. What is not custom is left out.
    #[must_use]
    pub fn of_rows(kind: &str, rows: &[String]) -> Self {
        let mut catalogue = Self::default();
        for row in rows {
            let row: Value = serde_json::from_str(row).unwrap_or_default();
            if let Some(name) = row["name"].as_str() {
                catalogue.learn(kind, name, row["label"].as_str());
            }
        }
        catalogue
    }

    /// With the fields that a record names.
    #[must_use]
    pub fn with(&self, kind: &str, labels: &[(String, String)]) -> Cow<'_, Self> {
        let mut with = Cow::Borrowed(self);
        for (name, label) in labels {
            if !with.fields.contains_key(name) {
                with.to_mut().learn(kind, name, Some(label));
            }
        }
        with
    }

    /// Whether it names no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Takes a field in, if it is custom and new.
    pub fn learn(&mut self, kind: &str, name: &str, label: Option<&str>) {
        if !name.starts_with(&prefix(kind)) || self.fields.contains_key(name) {
            return;
        }
        let label = label.map(str::trim).filter(|label| !label.is_empty()).unwrap_or(name);
        self.names
            .entry(label.to_lowercase())
            .or_insert_with(|| name.to_owned());
        self.fields.insert(name.to_owned(), label.to_owned());
    }

    /// What is known of them, by name. Pipz tells no types.
    #[must_use]
    pub fn declared(&self) -> Vec<DeclaredField> {
        let declared = self.fields.iter().map(|(name, label)| DeclaredField {
            name: name.clone(),
            label: label.clone(),
            kind: None,
        });
        declared.collect()
    }
}

fn prefix(kind: &str) -> String {
    format!("{kind}_custom_")
}

/// A record made flat, and the custom fields that it names with a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flat {
    /// The record.
    pub record: Record,
    /// Name and label.
    pub labels: Vec<(String, String)>,
}

/// Makes a record flat. What stands in `fieldsets` and the like and cannot be understood stays there.
#[must_use]
pub fn flatten(kind: &str, record: Record, catalogue: &Catalogue) -> Flat {
    let mut flat = Flatten {
        kind,
        catalogue,
        labels: HashMap::new(),
        taken: HashMap::new(),
        flat: Flat::default(),
    };
    let mut containers: [Option<Value>; 3] = [None, None, None];
    for (name, value) in record {
        match name.as_str() {
            "fieldsets" => containers[0] = Some(value),
            "custom_fields" => containers[1] = Some(value),
            "custom_attributes" => containers[2] = Some(value),
            _ => {
                let name = flat.root_name(&name).unwrap_or(name);
                flat.put(name, value);
            }
        }
    }
    let [fieldsets, fields, attributes] = containers;
    let left = fieldsets.and_then(|value| flat.fieldsets(value));
    flat.keep("fieldsets", left);
    for (name, value) in [("custom_fields", fields), ("custom_attributes", attributes)] {
        flat.taken.clear();
        let left = value.and_then(|value| flat.map(value));
        flat.keep(name, left);
    }
    flat.flat
}

struct Flatten<'a> {
    kind: &'a str,
    catalogue: &'a Catalogue,
    /// Labels of this record's fieldsets, in lower case, to names.
    labels: HashMap<String, String>,
    /// Names of the fields of one place, and how each is spelt there; nothing where it has a label alone.
    taken: HashMap<String, Option<String>>,
    flat: Flat,
}

impl Flatten<'_> {
    /// Puts a value under a name, unless it is empty and there is one.
    fn put(&mut self, name: String, value: Value) {
        if self.is_never_read(&name) {
            return;
        }
        let record = &mut self.flat.record;
        let is_custom = name.starts_with(&prefix(self.kind));
        let takes_place = match record.get(&name) {
            None => true,
            Some(there) => !is_empty(Some(&value)) && (is_custom || is_empty(Some(there))),
        };
        if takes_place {
            record.insert(name, value);
        }
    }

    fn is_never_read(&self, name: &str) -> bool {
        let bare = name.strip_prefix(&prefix(self.kind)).unwrap_or(name);
        NEVER.contains(&slug(bare).as_str())
    }

    fn keep(&mut self, name: &str, left: Option<Value>) {
        if let Some(left) = left.filter(|left| !is_empty(Some(left))) {
            self.put(name.to_owned(), left);
        }
    }

    /// The values of a list of fieldsets, or of a map to them; gives back what is none.
    fn fieldsets(&mut self, value: Value) -> Option<Value> {
        let sets = match value {
            Value::Array(sets) => sets,
            Value::Object(sets) => sets.into_iter().map(|(_, set)| set).collect(),
            other => return Some(other),
        };
        let mut left = Vec::new();
        for mut set in sets {
            match set.get_mut("fields").map(Value::take) {
                Some(Value::Array(fields)) => left.extend(fields.into_iter().filter_map(|field| self.field(field))),
                Some(Value::Object(fields)) => {
                    left.extend(fields.into_iter().filter_map(|(_, field)| self.field(field)));
                }
                Some(Value::Null) => {}
                Some(_) | None => left.push(set),
            }
        }
        left.retain(|left| !is_empty(Some(left)));
        (!left.is_empty()).then_some(Value::Array(left))
    }

    /// One field of a fieldset: `{name, label, value}`; gives back what is none.
    fn field(&mut self, mut field: Value) -> Option<Value> {
        let text = |word: &str| {
            field[word]
                .as_str()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let (name, label) = (text("name"), text("label"));
        let (Some(spelt), true) = (name.clone().or_else(|| label.clone()), field.get("value").is_some()) else {
            return Some(field);
        };
        let name = self.own_name(&spelt, name.as_deref(), &field["value"]);
        let is_custom = name.starts_with(&prefix(self.kind)) && !self.is_never_read(&name);
        if let Some(label) = label.filter(|_| is_custom) {
            self.labels.entry(label.to_lowercase()).or_insert_with(|| name.clone());
            self.flat.labels.push((name.clone(), label));
        }
        let value = field["value"].take();
        self.put(name, value);
        None
    }

    /// The values of a map from names to values; gives back what is none.
    fn map(&mut self, value: Value) -> Option<Value> {
        match value {
            Value::Object(fields) => {
                for (spelt, value) in fields {
                    let name = self.own_name(&spelt, Some(&spelt), &value);
                    if name != spelt && name.starts_with(&prefix(self.kind)) && !self.is_never_read(&name) {
                        self.flat.labels.push((name.clone(), spelt));
                    }
                    self.put(name, value);
                }
                None
            }
            Value::Array(fields) => {
                let left: Vec<Value> = fields.into_iter().filter_map(|field| self.field(field)).collect();
                (!left.is_empty()).then_some(Value::Array(left))
            }
            other => Some(other),
        }
    }

    /// The name of a field that may not be that of another in the same place: `named` is what both would be called if they
    /// were one, which they are only with one value.
    fn own_name(&mut self, spelt: &str, named: Option<&str>, value: &Value) -> String {
        let name = self.custom_name(spelt);
        if !name.starts_with(&prefix(self.kind)) || self.is_never_read(&name) {
            return name;
        }
        let mut number = 1;
        loop {
            let own = if number == 1 {
                name.clone()
            } else {
                format!("{name}_{number}")
            };
            let is_free = match self.taken.get(&own) {
                None => true,
                Some(None) => false,
                Some(Some(other)) if named != Some(other) => false,
                Some(Some(_)) => {
                    let there = self.flat.record.get(&own);
                    is_empty(Some(value)) || is_empty(there) || there == Some(value)
                }
            };
            if is_free {
                self.taken.insert(own.clone(), named.map(str::to_owned));
                return own;
            }
            number += 1;
        }
    }

    /// The stable name of what stands among custom values.
    fn custom_name(&self, spelt: &str) -> String {
        let kind = self.kind;
        if spelt.starts_with(&prefix(kind)) {
            return spelt.to_owned();
        }
        // a field of Pipz itself: contact_name is name
        if let Some(standard) = spelt.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_')) {
            return standard.to_owned();
        }
        self.by_label(spelt)
            .unwrap_or_else(|| format!("{}{}", prefix(kind), own_slug(spelt)))
    }

    /// The stable name of a custom field at the root; `None`: it keeps its name.
    fn root_name(&self, spelt: &str) -> Option<String> {
        if STANDARD.split_ascii_whitespace().any(|name| name == spelt) {
            return None;
        }
        let known = |name: &String| self.catalogue.fields.contains_key(name);
        self.by_label(spelt)
            .or_else(|| Some(format!("{}{}", prefix(self.kind), own_slug(spelt))).filter(known))
    }

    fn by_label(&self, label: &str) -> Option<String> {
        let label = label.trim().to_lowercase();
        self.catalogue
            .names
            .get(&label)
            .or_else(|| self.labels.get(&label))
            .cloned()
    }
}

/// A slug that no name of other letters has: those of another script, of which a slug has none, are told apart by a digest.
fn own_slug(label: &str) -> String {
    let slug = slug(label);
    let is_said = |letter: char| !letter.is_alphanumeric() || plain(letter).is_some();
    if !slug.is_empty() && label.to_lowercase().chars().all(is_said) {
        return slug;
    }
    let digest = hex(&Sha256::digest(label.trim().to_lowercase().as_bytes()));
    let parts = [slug.as_str(), &digest[..8]];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// A name in `a` to `z`, `0` to `9` and `_`, as Pipz makes them from labels.
fn slug(label: &str) -> String {
    let mut slug = String::new();
    for c in label.to_lowercase().chars() {
        let plain = plain(c).unwrap_or('_');
        if plain != '_' || (!slug.is_empty() && !slug.ends_with('_')) {
            slug.push(plain);
        }
    }
    slug.trim_end_matches('_').to_owned()
}

/// A letter as slugs have it, if they do.
const fn plain(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='z' | '0'..='9' => letter,
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(record: Value) -> Value {
        let rows = [
            json!({"name": "contact_custom_codigo", "label": "Código Alumni", "group": "Custom"}).to_string(),
            json!({"name": "contact_name", "label": "Nome", "group": "Details"}).to_string(),
            "null".to_owned(),
        ];
        let catalogue = Catalogue::of_rows("contact", &rows);
        Value::Object(flatten("contact", serde_json::from_value(record).unwrap(), &catalogue).record)
    }

    #[test]
    fn a_custom_value_is_found_wherever_and_however_it_is_spelt() {
        let field = json!({"name": "contact_custom_codigo", "label": "Código Alumni", "value": "A-1"});
        let by_label = json!({"label": "Código Alumni", "value": "A-1"});
        for record in [
            json!({"contact_custom_codigo": "A-1"}),
            json!({"Código Alumni": "A-1"}),
            json!({"codigo": "A-1"}),
            json!({"fieldsets": [{"fields": [field]}]}),
            json!({"fieldsets": {"1": {"fields": [by_label]}, "2": {"fields": []}}}),
            json!({"fieldsets": {"1": {"fields": {"x": field}}}}),
            json!({"custom_fields": {"contact_custom_codigo": "A-1"}}),
            json!({"custom_fields": [field]}),
            json!({"custom_attributes": {"codigo": "A-1"}}),
            json!({"custom_attributes": {"código alumni": "A-1"}, "fieldsets": null}),
        ] {
            assert_eq!(
                flat(record.clone()),
                json!({"contact_custom_codigo": "A-1"}),
                "{record}"
            );
        }
    }

    #[test]
    fn the_last_value_that_is_not_empty_counts() {
        let field = |value: Value| json!([{"fields": [{"name": "contact_custom_codigo", "value": value}]}]);
        for (record, wanted) in [
            (
                json!({"contact_custom_codigo": "root", "fieldsets": field(json!("set"))}),
                "set",
            ),
            (
                json!({"contact_custom_codigo": "root", "fieldsets": field(json!(null))}),
                "root",
            ),
            (
                json!({"fieldsets": field(json!("set")), "custom_attributes": {"codigo": " "}}),
                "set",
            ),
            (
                json!({"custom_fields": {"codigo": "fields"}, "custom_attributes": {"codigo": "attributes"}}),
                "attributes",
            ),
        ] {
            assert_eq!(
                flat(record.clone()),
                json!({"contact_custom_codigo": wanted}),
                "{record}"
            );
        }
        assert_eq!(
            flat(json!({"fieldsets": field(json!(null))})),
            json!({"contact_custom_codigo": null})
        );
    }

    #[test]
    fn standard_fields_in_fieldsets_are_themselves_and_what_nobody_knows_stays() {
        let record = json!({
            "name": null, "company": "ACME", "zz": {"a": 1}, "password": "p", "cookie_id": "c", "reader": "r",
            "fieldsets": [
                {"fields": [{"name": "contact_name", "value": "Maria"}, {"name": "contact_password", "value": "p"}, {"odd": 1}]},
                {"title": "no fields"}, 7
            ],
            "Password": "p",
            "custom_attributes": {"A b": 1, "a-b": 2, "password": "p", "contact_custom_password": "p", "Cookie ID": "c", "contact_name": "Other", "contact_company": "Other"},
        });
        let wanted = json!({
            "name": "Maria", "company": "ACME", "zz": {"a": 1},
            "fieldsets": [{"odd": 1}, {"title": "no fields"}, 7],
            "contact_custom_a_b": 1, "contact_custom_a_b_2": 2,
        });
        assert_eq!(flat(record), wanted);
    }

    #[test]
    fn nothing_takes_the_place_of_an_id_and_two_fields_of_one_label_are_two() {
        let record = json!({"id": 5, "fieldsets": [
            {"fields": [{"name": "contact_id", "value": 999}, {"label": "Dup", "value": "a"}, {"label": "dup", "value": "b"}]}
        ]});
        let wanted = json!({"id": 5, "contact_custom_dup": "a", "contact_custom_dup_2": "b"});
        assert_eq!(flat(record), wanted);
    }

    #[test]
    fn two_fields_of_one_name_are_two_and_none_is_a_field_of_pipz_itself() {
        let named = |name: &str, value: &str| json!({"name": name, "value": value});
        for (record, wanted) in [
            (
                json!({"fieldsets": [{"fields": [named("preço", "A"), named("preco", "B")]}]}),
                json!({"contact_custom_preco": "A", "contact_custom_preco_2": "B"}),
            ),
            (
                json!({"fieldsets": [{"fields": [named("obs", "P")]}, {"fields": [named("obs", "Q"), named("obs", "P"), named("obs", "")]}]}),
                json!({"contact_custom_obs": "P", "contact_custom_obs_2": "Q"}),
            ),
            (
                json!({"fieldsets": [{"fields": [{"label": "Obs", "value": "u"}, {"name": "obs", "label": "Other", "value": "n"}]}]}),
                json!({"contact_custom_obs": "u", "contact_custom_obs_2": "n"}),
            ),
            (
                json!({"email": "", "custom_fields": {"contact_custom_email": "A", "email": "B"}}),
                json!({"email": "", "contact_custom_email": "A", "contact_custom_email_2": "B"}),
            ),
            // one field in two places
            (
                json!({"fieldsets": [{"fields": [{"label": "Obs", "value": "1"}]}], "custom_fields": [{"label": "Obs", "value": "2"}]}),
                json!({"contact_custom_obs": "2"}),
            ),
        ] {
            assert_eq!(flat(record.clone()), wanted, "{record}");
        }
    }

    #[test]
    fn names_of_another_script_are_told_apart() {
        let names: Vec<String> = ["Адрес 1", "Телефон 1", "адрес 1", "日本", "Preço 1"]
            .map(own_slug)
            .to_vec();
        assert_eq!(names[0], names[2]);
        assert!(names[0].starts_with("1_") && names[0] != names[1]);
        assert!(names[3].len() == 8 && names[4] == "preco_1");
    }

    #[test]
    fn labels_are_learnt_from_fieldsets_where_no_catalogue_tells() {
        let mut catalogue = Catalogue::default();
        let record = json!({"fieldsets": [{"fields": [{"name": "contact_custom_x1", "label": "Nível ☕", "value": 1}]}], "custom_attributes": {"nível ☕": 2}});
        let flat = flatten("contact", serde_json::from_value(record).unwrap(), &catalogue);
        assert_eq!(Value::Object(flat.record), json!({"contact_custom_x1": 2}));
        for (name, label) in flat.labels {
            catalogue.learn("contact", &name, Some(&label));
        }
        let declared = catalogue.declared();
        assert_eq!(
            (declared[0].name.as_str(), declared[0].label.as_str()),
            ("contact_custom_x1", "Nível ☕")
        );
        assert_eq!(slug(" Data de Nascimento (cônjuge)? "), "data_de_nascimento_conjuge");
    }
}
