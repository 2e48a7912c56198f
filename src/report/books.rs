//! The table of books: one line an object, one for all of them, and what has no column because it is 0 when all is well.
//! For terminals and for Markdown. Pure.

use std::fmt::Write as _;

use super::{
    ink::{Ink, paint},
    status::clean,
};
use crate::api::{Verification, migration::ObjectStatus};

/// A count of an object; `None` where nothing was read back.
type Count = fn(&ObjectStatus) -> Option<i64>;

/// What is counted, as people say it.
const COUNTS: [(&str, Count); 16] = [
    ("read", |object| Some(object.book.read)),
    ("filtered", |object| Some(object.book.filtered)),
    ("rejected", |object| Some(object.book.rejected)),
    ("dedup", |object| Some(object.book.deduplicated)),
    ("created", |object| Some(object.book.created)),
    ("adopted", |object| Some(object.book.adopted)),
    ("updated", |object| Some(object.book.updated)),
    ("unchanged", |object| Some(object.book.unchanged)),
    ("failed", |object| Some(object.book.failed)),
    ("deleted", |object| Some(object.book.deleted)),
    ("present", |object| Some(object.book.present)),
    ("verified", |object| proof(object, |found| found.matching)),
    ("mismatched", |object| proof(object, |found| found.mismatched)),
    ("missing", |object| proof(object, |found| found.missing_in_destination)),
    ("edited", |object| proof(object, |found| found.edited_by_user)),
    ("orphans", |object| proof(object, |found| found.orphans)),
];
/// Of those, the ones that should be 0.
const BAD: [&str; 5] = ["rejected", "failed", "mismatched", "missing", "orphans"];

fn proof(object: &ObjectStatus, count: fn(&Verification) -> i64) -> Option<i64> {
    object.verification.as_ref().map(count)
}

/// One line of the table.
struct Row {
    name: String,
    becomes: String,
    state: String,
    counts: Vec<Option<i64>>,
}

/// One row an object, and their sum where there are several.
fn rows(objects: &[ObjectStatus]) -> Vec<Row> {
    let mut rows: Vec<Row> = objects
        .iter()
        .map(|object| Row {
            name: clean(&object.name),
            becomes: clean(object.destination()),
            state: format!("{:?}", object.state),
            counts: COUNTS.iter().map(|(_, count)| count(object)).collect(),
        })
        .collect();
    if objects.len() > 1 {
        let sum = |(_, count): &(&str, Count)| {
            let counts = objects.iter().filter_map(count);
            counts.reduce(i64::saturating_add)
        };
        rows.push(Row {
            name: "all".into(),
            becomes: String::new(),
            state: String::new(),
            counts: COUNTS.iter().map(sum).collect(),
        });
    }
    rows
}

fn digits(count: Option<i64>) -> String {
    count.map_or_else(|| "-".into(), |count| count.to_string())
}

/// The table for a terminal: columns aligned, two spaces before each.
#[must_use]
pub fn text(objects: &[ObjectStatus], colour: bool) -> String {
    let rows = rows(objects);
    let width = |heading: &str, cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0).max(heading.len());
    let name_width = width("object", &mut rows.iter().map(|row| row.name.chars().count()));
    let state_width = width("state", &mut rows.iter().map(|row| row.state.len()));
    let mut heading = format!("  {:name_width$}  {:state_width$}", "object", "state");
    let mut widths = Vec::with_capacity(COUNTS.len());
    for (place, (text, _)) in COUNTS.iter().enumerate() {
        let width = width(text, &mut rows.iter().map(|row| digits(row.counts[place]).len()));
        put(&mut heading, format_args!("  {text:>width$}"));
        widths.push(width);
    }
    let mut table = paint(colour, Ink::Dim, &heading) + "\n";
    for row in &rows {
        let mut line = format!("  {:name_width$}  {:state_width$}", row.name, row.state);
        for (((heading, _), width), count) in COUNTS.iter().zip(&widths).zip(&row.counts) {
            let cell = format!("{:>width$}", digits(*count));
            let alarming = BAD.contains(heading) && count.is_some_and(|count| count > 0);
            let cell = if alarming { paint(colour, Ink::Red, &cell) } else { cell };
            put(&mut line, format_args!("  {cell}"));
        }
        table.extend([line.trim_end(), "\n"]);
    }
    for note in notes(objects) {
        table.extend(["  ", &note, "\n"]);
    }
    table
}

/// The table in Markdown.
#[must_use]
pub fn markdown(objects: &[ObjectStatus]) -> String {
    let headings: Vec<&str> = COUNTS.iter().map(|(heading, _)| *heading).collect();
    let mut table = format!(
        "| object | becomes | state | {} |\n|---|---|---|{}\n",
        headings.join(" | "),
        "---:|".repeat(COUNTS.len())
    );
    for row in rows(objects) {
        let counts: Vec<String> = row.counts.into_iter().map(digits).collect();
        put(
            &mut table,
            format_args!(
                "| {} | {} | {} | {} |\n",
                row.name,
                row.becomes,
                row.state,
                counts.join(" | ")
            ),
        );
    }
    for (place, note) in notes(objects).into_iter().enumerate() {
        put(
            &mut table,
            format_args!("{}- {note}\n", if place == 0 { "\n" } else { "" }),
        );
    }
    table
}

/// Counts that have no column because they are 0 when all is well.
fn notes(objects: &[ObjectStatus]) -> Vec<String> {
    let of = |object: &ObjectStatus| {
        let (book, proof) = (&object.book, object.verification.unwrap_or_default());
        let removed = if object.document.is_some() {
            "gone from the document"
        } else {
            "removed from Odoo"
        };
        let said: Vec<String> = [
            (book.deferred, "deferred"),
            (book.held, "held until what they need is in Odoo"),
            (book.unprocessed, "not reached yet"),
            (book.deleted, "gone from the source"),
            (book.removed, removed),
            (
                proof.extra_in_destination,
                "in Odoo under our external ids but in no ledger",
            ),
            (proof.conflicts, "in conflict with a person's value"),
            (proof.in_flight, "changed while they were read back"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        (!said.is_empty()).then(|| format!("{}: {}", clean(&object.name), said.join(", ")))
    };
    objects.iter().filter_map(of).collect()
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Book, migration::ObjectState};

    fn object(name: &str, created: i64, verification: Option<Verification>) -> ObjectStatus {
        ObjectStatus {
            name: name.into(),
            model: Some("res.partner".into()),
            document: None,
            state: ObjectState::Loading,
            book: Book {
                read: created + 2,
                rejected: 2,
                mapped: created,
                created,
                deleted: 3,
                ..Book::default()
            },
            verification,
            waiting: 0,
            phase_run: String::new(),
        }
    }

    #[test]
    fn the_table_is_aligned_and_sums_what_it_shows() {
        let found = Verification {
            matching: 9,
            verified: true,
            ..Verification::default()
        };
        let table = text(
            &[object("companies", 9, Some(found)), object("contacts", 1_000, None)],
            false,
        );
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].starts_with("  object     state    read  filtered  rejected"),
            "{table}"
        );
        let cells: Vec<&str> = lines[3].split_whitespace().collect();
        assert_eq!(
            (cells[..4].to_vec(), cells[10], cells[12]),
            (vec!["all", "1013", "0", "4"], "6", "9")
        );
        assert!(lines[2].ends_with('-'), "{table}");
        assert!(
            lines[..4]
                .iter()
                .all(|line| line.chars().count() == lines[0].chars().count()),
            "{table}"
        );
        assert_eq!(lines[4], "  companies: 3 gone from the source");
    }

    #[test]
    fn a_document_is_called_by_its_file_and_keeps_nothing_in_odoo() {
        let document = ObjectStatus {
            model: None,
            document: Some("handover/segments.csv".into()),
            ..object("segments", 9, None)
        };
        let markdown = markdown(&[document]);
        assert!(
            markdown.contains("| segments | handover/segments.csv | Loading |"),
            "{markdown}"
        );
        assert!(markdown.ends_with("- segments: 3 gone from the source\n"), "{markdown}");
    }

    #[test]
    fn a_single_object_needs_no_sum_and_both_forms_say_the_same() {
        let one = [object("companies", 9, None)];
        let (text, markdown) = (text(&one, false), markdown(&one));
        assert_eq!((text.lines().count(), markdown.lines().count()), (3, 5));
        let words = |line: &str| {
            line.replace(['|'], " ")
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (mut plain, marked) = (
            words(text.lines().nth(1).unwrap()),
            words(markdown.lines().nth(2).unwrap()),
        );
        plain.insert(1, "res.partner".into());
        assert_eq!(plain, marked);
    }

    #[test]
    fn what_should_be_nothing_is_red() {
        let table = text(&[object("companies", 9, None)], true);
        assert!(table.contains("\x1b[31m       2\x1b[0m"), "{table:?}");
    }
}
