//! How many records a core maps in a second, with expressions and without, and how much memory that takes.
//!
//! `cargo bench --bench transform [records]`

use std::{fmt::Write as _, sync::Arc, time::Instant};

use crmferry::{
    mapping::{
        Found, Lookups, Object, Outcome, Step, World,
        compile::compile,
        document::{self, Document},
        merge,
    },
    model::{Record, Reference},
    odoo::models,
};

/// Finds one record for every value.
struct Anything;

impl Lookups for Anything {
    fn content(&self, _: &str) -> Option<crmferry::model::Fetched> {
        None
    }

    fn find(&self, lookup: usize, _: &str, _: &[Option<String>]) -> Found {
        Found::One(Reference::Id(i64::try_from(lookup).unwrap_or_default() + 1))
    }
}

const EXPRESSIONS: [&str; 5] = [
    "lower(record.email)",
    "compact([record.utm_source, record.utm_medium]).join(\" / \")",
    "record.city != null && record.company_id != null ? \"other\" : \"contact\"",
    "first([record.title, record.job]) + \"!\"",
    "html(record.comment)",
];

/// 25 fields: 20 of text and numbers, 3 lookups, 2 that are read; with as many of them by expression as asked.
fn spec(expressions: usize) -> String {
    let mut fields = String::from(
        "- {to: name, from: name}\n- {to: email, from: email | mail}\n- {to: phone, from: phone}\n- {to: function, from: job}\n\
         - {to: street, from: street}\n- {to: street2, from: street2}\n- {to: city, from: city}\n- {to: zip, from: zip}\n\
         - {to: website, from: website}\n- {to: ref, from: remote_id}\n- {to: is_company, constant: \"false\"}\n\
         - {to: type, from: type, values: {a: other, \"*\": contact}, default: contact}\n\
         - {to: parent_id, from: company_id, lookup: {object: contacts}}\n\
         - {to: country_id, from: country, lookup: {model: res.country, by: code}}\n\
         - {to: category_id, from: tags, lookup: {model: res.partner.category}}\n\
         - {to: x_created, from: created, create: {type: DateTime}}\n- {to: x_score, from: score, create: {type: Float}}\n",
    );
    for at in 0..8 {
        let source = EXPRESSIONS.get(at).filter(|_| at < expressions);
        let source = source.map_or_else(|| format!("from: extra{at}"), |cel| format!("cel: '{cel}'"));
        writeln!(fields, "- {{to: x_extra{at}, {source}, create: {{type: Char}}}}")
            .expect("writing to a String cannot fail");
    }
    let fields = fields
        .lines()
        .fold(String::new(), |all, line| all + "    " + line + "\n");
    format!(
        "apiVersion: crmferry.io/v1alpha1\nkind: MappingSpec\nmetadata: {{name: bench}}\nspec:\n  source: {{platform: Pipz}}\n  objects:\n  \
         - name: contacts\n    source: {{object: contact}}\n    key: [id]\n    destination: {{model: res.partner}}\n    fields:\n{fields}"
    )
}

fn object(expressions: usize) -> Object {
    let mut documents = document::parse(&spec(expressions), "bench").expect("the spec is well formed");
    let Document::MappingSpec(spec) = documents.remove(0) else {
        unreachable!("the document is a MappingSpec")
    };
    let merged = merge::resolve(&spec.spec).expect("nothing to merge");
    let world = World {
        models: models::bundled(),
        odoo_known: false,
        source: None,
    };
    let compiled = compile(&merged, world);
    let mapping = compiled.mapping.expect("the spec has no errors");
    mapping.objects.into_iter().next().expect("there is one object")
}

fn record(number: u32) -> Record {
    let mut record = Record::new();
    for (name, value) in [
        ("name", "José da Silva"),
        ("email", "Jose.Silva@Example.com"),
        ("phone", "+55 81 99999-0000"),
        ("job", "Diretor"),
        ("street", "Rua da Aurora 100"),
        ("street2", "Sala 2"),
        ("city", "Recife"),
        ("zip", "50050-000"),
        ("website", "https://example.com"),
        ("remote_id", "r-1"),
        ("type", "a"),
        ("company_id", "17"),
        ("country", "BR"),
        ("tags", "vip, novo"),
        ("created", "2024-01-31T12:00:00-03:00"),
        ("score", "12.5"),
        ("utm_source", "google"),
        ("utm_medium", "cpc"),
        ("comment", "a & b"),
    ] {
        record.insert(name.into(), value.into());
    }
    for at in 0..8 {
        record.insert(format!("extra{at}"), format!("value {at}").into());
    }
    record.insert("id".into(), number.to_string().into());
    record
}

fn main() {
    let records = std::env::args()
        .find_map(|argument| argument.parse::<u32>().ok())
        .unwrap_or(200_000);
    for expressions in [0, 5] {
        let object = object(expressions);
        let (mut mapped, mut spent) = (0_u32, std::time::Duration::ZERO);
        for number in 0..records {
            let record = Arc::new(record(number));
            let begun = Instant::now();
            for step in object.items(&record) {
                if let Step::Item(item) = step
                    && let Outcome::Mapped(values) = object.map(&item, &Anything)
                {
                    mapped += u32::from(!values.values.is_empty());
                }
            }
            spent += begun.elapsed();
        }
        assert_eq!(mapped, records, "every record is mapped");
        println!(
            "{expressions} expressions: {:.0} records/s",
            f64::from(records) / spent.as_secs_f64()
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("peak memory: {}", line.trim_start_matches("VmHWM:").trim());
    }
}
