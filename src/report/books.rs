//! The table of books: one line an object, one for all of them. For terminals and for Markdown. Pure.

use std::fmt::Write as _;

use crate::api::{
    Book,
    migration::{ObjectState, ObjectStatus},
};

/// Headings, as people say them.
const HEADINGS: [&str; 12] = [
    "object",
    "becomes",
    "read",
    "filtered",
    "rejected",
    "dedup",
    "created",
    "adopted",
    "updated",
    "unchanged",
    "failed",
    "verified",
];
/// Columns that are text; all others are counts.
const TEXTS: usize = 2;

/// The table for a terminal: columns aligned, two spaces between them.
#[must_use]
pub fn text(objects: &[ObjectStatus]) -> String {
    let rows = rows(objects);
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(HEADINGS[column].len())
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < TEXTS {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut table = line(HEADINGS.map(|heading| heading).to_vec()).to_uppercase();
    for row in &rows {
        table += &line(row.iter().map(String::as_str).collect());
    }
    table
}

/// The table in Markdown.
#[must_use]
pub fn markdown(objects: &[ObjectStatus]) -> String {
    let mut table = format!(
        "| {} |\n|---|---|{}\n",
        HEADINGS.join(" | "),
        "---:|".repeat(HEADINGS.len() - TEXTS)
    );
    for row in rows(objects) {
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

/// One row an object, and their sum where there are several.
fn rows(objects: &[ObjectStatus]) -> Vec<[String; 12]> {
    let mut rows: Vec<_> = objects
        .iter()
        .map(|object| row(&object.name, object.destination(), &object.book, verified(object)))
        .collect();
    if objects.len() > 1 {
        let all = objects.iter().all(|object| verified(object) == "yes");
        rows.push(row("all", "", &sum(objects), if all { "yes" } else { "" }));
    }
    rows
}

fn row(name: &str, destination: &str, book: &Book, verified: &str) -> [String; 12] {
    let Book {
        read,
        filtered,
        rejected,
        deduplicated,
        created,
        adopted,
        updated,
        unchanged,
        failed,
        mapped: _,
        deferred: _,
        unprocessed: _,
        deleted: _,
        present_before: _,
        present: _,
        removed: _,
        balanced: _,
    } = book;
    let count = ToString::to_string;
    [
        name.to_owned(),
        destination.to_owned(),
        count(read),
        count(filtered),
        count(rejected),
        count(deduplicated),
        count(created),
        count(adopted),
        count(updated),
        count(unchanged),
        count(failed),
        verified.to_owned(),
    ]
}

/// Whether every record of an object was read back and is as it should be. `-` where none was read back yet.
#[must_use]
pub fn verified(object: &ObjectStatus) -> &'static str {
    match (object.state, &object.verification) {
        (ObjectState::Verified, None) => "yes",
        (ObjectState::Planned | ObjectState::Rehearsed | ObjectState::Loading, None) => "-",
        (_, Some(found)) if found.verified => "yes",
        (_, Some(_)) => "no",
    }
}

fn sum(objects: &[ObjectStatus]) -> Book {
    objects
        .iter()
        .fold(Book::default(), |sum, ObjectStatus { book, .. }| Book {
            read: sum.read.saturating_add(book.read),
            filtered: sum.filtered.saturating_add(book.filtered),
            rejected: sum.rejected.saturating_add(book.rejected),
            deduplicated: sum.deduplicated.saturating_add(book.deduplicated),
            created: sum.created.saturating_add(book.created),
            adopted: sum.adopted.saturating_add(book.adopted),
            updated: sum.updated.saturating_add(book.updated),
            unchanged: sum.unchanged.saturating_add(book.unchanged),
            failed: sum.failed.saturating_add(book.failed),
            ..sum
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Verification;

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
                ..Book::default()
            },
            verification,
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
        let table = text(&[object("companies", 9, Some(found)), object("contacts", 1_000, None)]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].starts_with("OBJECT     BECOMES      READ  FILTERED  REJECTED"),
            "{table}"
        );
        assert!(lines[1].ends_with("yes") && lines[2].ends_with('-'), "{table}");
        assert_eq!(
            lines[3].split_whitespace().collect::<Vec<_>>()[..4],
            ["all", "1013", "0", "4"]
        );
        assert!(
            lines[..3]
                .iter()
                .all(|line| line.chars().count() == lines[0].chars().count()),
            "{table}"
        );
    }

    #[test]
    fn a_single_object_needs_no_sum() {
        assert_eq!(markdown(&[object("companies", 9, None)]).lines().count(), 3);
    }

    #[test]
    fn a_difference_shows_as_not_verified_and_a_state_stands_for_what_was_left_out() {
        let broken = object(
            "a",
            1,
            Some(Verification {
                mismatched: 1,
                ..Verification::default()
            }),
        );
        assert_eq!(verified(&broken), "no");
        assert_eq!(
            verified(&ObjectStatus {
                state: ObjectState::Verified,
                ..object("a", 1, None)
            }),
            "yes"
        );
    }
}
