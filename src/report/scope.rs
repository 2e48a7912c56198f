//! The scope of a Migration, as discovery found it: what people read before they confirm. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde::Serialize;

use crate::api::{
    mapping_spec::{Finding, Platform, Severity},
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
    /// Rows that arrive one to one, of all rows.
    pub compatibility: (usize, usize),
    /// `A` to `D`; none while there is an Error.
    pub grade: Option<char>,
    /// Records of each source object.
    pub records: BTreeMap<String, i64>,
    /// Objects of which that is not counted: the source says so, or there are at least so many.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub about: BTreeSet<String>,
    /// Objects in load order.
    pub objects: Vec<PlannedObject>,
    /// Findings, most severe first.
    pub findings: Vec<Finding>,
    /// Seconds that loading will take.
    pub estimate_seconds: i64,
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
    let grade = scope
        .grade
        .map_or_else(|| "none while there are Errors".to_owned(), |grade| grade.to_string());
    let odoo = &scope.odoo;
    let lines = [
        format!("# Scope of {}\n", scope.migration),
        format!("- from {:?}, account {}, to {odoo}", scope.platform, scope.account),
        format!("- compatibility: {one_to_one} of {rows} rows arrive one to one; grade {grade}"),
        format!("- loading will take about {}\n", duration(scope.estimate_seconds)),
        "## Source\n\n| object | records |\n|---|---:|".to_owned(),
    ];
    for line in lines {
        writeln!(text, "{line}").expect("writing to a String cannot fail");
    }
    for (object, records) in &scope.records {
        let about = if scope.about.contains(object) { "about " } else { "" };
        writeln!(text, "| {object} | {about}{records} |").expect("writing to a String cannot fail");
    }
    text.push_str("\n## Objects, in load order\n\n| object | becomes |\n|---|---|\n");
    for object in &scope.objects {
        writeln!(text, "| {} | {} |", object.name, object.destination()).expect("writing to a String cannot fail");
    }
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
            objects: Vec::new(),
            findings: vec![finding(Severity::Warning, "later"), finding(Severity::Error, "first")],
            estimate_seconds: 60,
        };
        let text = markdown(&scope);
        assert!(text.find("first").unwrap() < text.find("later").unwrap());
        assert!(text.contains("| contact | 3 |") && text.contains("| deal | about 9 |") && text.contains("7 of 12"));
        assert!(text.contains("to Odoo 19.0 over JSON-2"));
    }
}
