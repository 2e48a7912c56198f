//! The scope of a Migration, as discovery found it: what people read before they confirm. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde::Serialize;

use super::status::clean;
use crate::api::{
    mapping_spec::{Fidelity, Finding, Platform, Severity},
    phase_run::PlannedObject,
};

/// What discovery found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// Name of the Migration.
    pub migration: String,
    /// Platform records come from.
    pub platform: Platform,
    /// Account they come from.
    pub account: String,
    /// What the Odoo says of itself, and how it is called: `Odoo 19.0 over JSON-2`.
    pub odoo: String,
    /// `Community` or `Enterprise`.
    pub edition: &'static str,
    /// Rows that arrive one to one, of all rows.
    pub compatibility: (usize, usize),
    /// `A` to `D`; none while there is an Error.
    pub grade: Option<char>,
    /// Records of each source object.
    pub records: BTreeMap<String, i64>,
    /// Objects of which that is not counted: the source says so, or there are at least so many.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub about: BTreeSet<String>,
    /// Where each is read: an address of the API, or a file.
    pub read_from: BTreeMap<String, String>,
    /// What was promised, and what comes of it here.
    pub rows: Vec<Row>,
    /// Objects in load order.
    pub objects: Vec<InScope>,
    /// Fields of each source object that nothing reads or ignores.
    pub unmapped: BTreeMap<String, Vec<String>>,
    /// Findings, most severe first.
    pub findings: Vec<Finding>,
    /// Seconds that reading the source will take.
    pub reading_seconds: i64,
    /// Seconds that loading will take.
    pub estimate_seconds: i64,
}

/// An object of the mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InScope {
    /// Name and what its records become.
    #[serde(flatten)]
    pub planned: PlannedObject,
    /// Source object it reads.
    pub source: String,
    /// Fields it writes; none: every field of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<String>>,
    /// Custom fields among them that are made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub creates: Vec<String>,
    /// Fields that recognise a record already in Odoo, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adopts_by: Vec<String>,
    /// Records of its model in Odoo, whoever made them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<i64>,
}

/// A row of the mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What people call it.
    pub name: String,
    /// How faithfully it arrives.
    pub fidelity: Option<Fidelity>,
    /// Source objects that it is made of and that are there.
    pub reads: BTreeSet<String>,
    /// Source objects that it would be made of and that are not there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub lacks: BTreeSet<String>,
}

impl Row {
    /// What comes of it, in words.
    fn arrives(&self) -> String {
        let names = |set: &BTreeSet<String>| clean(&set.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        match (self.reads.is_empty(), self.lacks.is_empty()) {
            (true, true) => "nothing keeps it".into(),
            (true, false) => format!("nothing to read: no {}", names(&self.lacks)),
            (false, lacks_nothing) => {
                let how = match self.fidelity {
                    Some(Fidelity::OneToOne) => "one to one",
                    Some(Fidelity::OneToMany) => "one to many",
                    Some(Fidelity::Lossy) => "with losses",
                    Some(Fidelity::Inventory) => "as an inventory",
                    None => "somehow",
                };
                if lacks_nothing {
                    how.into()
                } else {
                    format!("{how}, without {}", names(&self.lacks))
                }
            }
        }
    }
}

/// The scope as JSON.
#[must_use]
pub fn json(scope: &Scope) -> String {
    super::pretty(scope)
}

/// The scope as Markdown.
#[must_use]
pub fn markdown(scope: &Scope) -> String {
    let mut text = String::new();
    let (one_to_one, rows) = scope.compatibility;
    let none = if rows == 0 {
        "none without rows"
    } else {
        "none while there are Errors"
    };
    let grade = scope.grade.map_or_else(|| none.to_owned(), |grade| grade.to_string());
    let odoo = &scope.odoo;
    let lines = [
        format!("# Scope of {}\n", scope.migration),
        format!(
            "- from {:?}, account {}, to {odoo}, {} edition",
            scope.platform,
            clean(&scope.account),
            scope.edition
        ),
        format!("- compatibility: {one_to_one} of {rows} rows arrive one to one; grade {grade}"),
        format!(
            "- reading will take about {}, loading about {}, at the pace that was measured\n",
            duration(scope.reading_seconds),
            duration(scope.estimate_seconds)
        ),
        "## Source\n\n| object | records | read from |\n|---|---:|---|".to_owned(),
    ];
    for line in lines {
        writeln!(text, "{line}").expect("writing to a String cannot fail");
    }
    for (object, records) in &scope.records {
        let about = if scope.about.contains(object) { "about " } else { "" };
        let from = scope.read_from.get(object).map(|from| clean(from)).unwrap_or_default();
        writeln!(text, "| {} | {about}{records} | {from} |", clean(object)).expect("writing to a String cannot fail");
    }
    text.push_str("\n## Rows\n\n| row | arrives |\n|---|---|\n");
    for row in &scope.rows {
        writeln!(text, "| {} | {} |", clean(&row.name), row.arrives()).expect("writing to a String cannot fail");
    }
    objects(&mut text, &scope.objects);
    fields(&mut text, scope);
    text.push_str("\n## Findings\n\n");
    if scope.findings.is_empty() {
        text.push_str("None.\n");
    }
    for severity in [Severity::Error, Severity::Warning, Severity::Info] {
        for finding in scope.findings.iter().filter(|finding| finding.severity == severity) {
            let Finding {
                code, path, message, ..
            } = finding;
            writeln!(text, "- {severity:?} {code} `{path}`: {message}").expect("writing to a String cannot fail");
        }
    }
    text
}

fn objects(text: &mut String, objects: &[InScope]) {
    text.push_str(
        "\n## Objects, in load order\n\n| object | reads | becomes | in Odoo now | adopts by |\n|---|---|---|---:|---|\n",
    );
    for object in objects {
        let present = object.present.map(|present| present.to_string()).unwrap_or_default();
        let cells = [
            object.planned.name.as_str(),
            &object.source,
            object.planned.destination(),
            &present,
            &object.adopts_by.join(", then "),
        ]
        .map(clean);
        writeln!(text, "| {} |", cells.join(" | ")).expect("writing to a String cannot fail");
    }
}

/// What becomes of fields: written, made before any record, left behind.
fn fields(text: &mut String, scope: &Scope) {
    text.push_str("\n## Fields\n\n");
    for object in &scope.objects {
        let written = object.fields.as_ref().map_or_else(
            || "every field of the source".to_owned(),
            |fields| format!("{} fields: {}", fields.len(), clean(&fields.join(", "))),
        );
        writeln!(text, "- {}: {written}", clean(&object.planned.name)).expect("writing to a String cannot fail");
        if !object.creates.is_empty() {
            let made = clean(&object.creates.join(", "));
            writeln!(text, "  - made before any record: {made}").expect("writing to a String cannot fail");
        }
    }
    for (object, left) in &scope.unmapped {
        let left = clean(&left.join(", "));
        writeln!(text, "- left behind of {}: {left}", clean(object)).expect("writing to a String cannot fail");
    }
}

/// Seconds for people: `45 s`, `12 min`, `3.5 h`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    match seconds {
        ..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{}.{} h", seconds / 3_600, seconds % 3_600 / 360),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (seconds, wanted) in [
            (1, "1 s"),
            (89, "89 s"),
            (90, "2 min"),
            (5_399, "90 min"),
            (12_600, "3.5 h"),
        ] {
            assert_eq!(duration(seconds), wanted);
        }
    }

    #[test]
    fn errors_come_before_warnings() {
        let finding = |severity, message: &str| Finding {
            severity,
            code: "UnknownField".into(),
            path: "objects[deals]".into(),
            message: message.into(),
        };
        let scope = Scope {
            migration: "acme".into(),
            platform: Platform::Pipz,
            account: "acme".into(),
            odoo: "Odoo 19.0 over JSON-2".into(),
            compatibility: (7, 12),
            grade: None,
            records: BTreeMap::from([("contact".into(), 3), ("deal".into(), 9)]),
            about: BTreeSet::from(["deal".into()]),
            read_from: BTreeMap::from([("contact".into(), "https://acme.pipz.io/api/v1/contact/".into())]),
            rows: vec![
                Row {
                    name: "Contact".into(),
                    fidelity: Some(Fidelity::OneToOne),
                    reads: BTreeSet::from(["contact".into()]),
                    lacks: BTreeSet::new(),
                },
                Row {
                    name: "Deal".into(),
                    fidelity: Some(Fidelity::OneToOne),
                    reads: BTreeSet::new(),
                    lacks: BTreeSet::from(["deal".into()]),
                },
                Row {
                    name: "Tag".into(),
                    fidelity: Some(Fidelity::Lossy),
                    reads: BTreeSet::from(["contact".into()]),
                    lacks: BTreeSet::from(["deal".into()]),
                },
            ],
            edition: "Community",
            objects: vec![InScope {
                planned: PlannedObject {
                    name: "deals".into(),
                    model: Some("crm.lead".into()),
                    document: None,
                },
                source: "deal".into(),
                fields: Some(vec!["name".into(), "x_pipz_id".into()]),
                creates: vec!["x_pipz_id".into()],
                adopts_by: vec!["name+partner_id".into()],
                present: Some(7),
            }],
            unmapped: BTreeMap::from([("deal".into(), vec!["a|b\n# c".into(), "d".into()])]),
            reading_seconds: 5,
            findings: vec![finding(Severity::Warning, "later"), finding(Severity::Error, "first")],
            estimate_seconds: 60,
        };
        let text = markdown(&scope);
        assert!(text.find("first").unwrap() < text.find("later").unwrap());
        assert!(text.contains("| contact | 3 | https://acme.pipz.io/api/v1/contact/ |") && text.contains("7 of 12"));
        assert!(text.contains("| deal | about 9 |  |"));
        let rows =
            "| Contact | one to one |\n| Deal | nothing to read: no deal |\n| Tag | with losses, without deal |\n";
        assert!(text.contains(rows), "{text}");
        assert!(text.contains("to Odoo 19.0 over JSON-2, Community edition"));
        assert!(text.contains("reading will take about 5 s, loading about 60 s"));
        assert!(text.contains("| deals | deal | crm.lead | 7 | name+partner_id |"));
        assert!(text.contains("- deals: 2 fields: name, x_pipz_id\n  - made before any record: x_pipz_id\n"));
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("- left behind of deal: "))
                .count(),
            1
        );
        assert!(!text.contains("\n# c"), "{text}");
    }
}
