//! The queue: what people have to make in Odoo, and how many records wait for each. Pure.

use std::collections::BTreeMap;

use crate::api::{
    migration::{Owners, OwnersMissing, Phase},
    phase_run::Missing,
};

/// Stands for the objects that wait, where there are more than rows.
pub const ANYBODY: &str = "*";
/// Most rows of a status.
pub const MOST: usize = 60;

/// Puts the queue in order: what is missing before what waits for it, the most awaited first.
pub fn order(queue: &mut [Missing]) {
    queue.sort_by(|a, b| {
        let place = |missing: &Missing| (!missing.by.is_empty(), missing.key.is_empty());
        (place(a), b.records, &a.object, &a.key, &a.by).cmp(&(place(b), a.records, &b.object, &b.key, &b.by))
    });
}

/// Keeps `most` rows. The others lose their keys, then the object they are of; no count is lost where there is room for a row
/// of each object that waits.
pub fn truncate(queue: &mut Vec<Missing>, most: usize) {
    if queue.len() <= most {
        return;
    }
    order(queue);
    let mut rest: BTreeMap<(String, String), i64> = BTreeMap::new();
    let mut named = Vec::new();
    for (place, missing) in queue.drain(..).enumerate() {
        if place < most / 2 && !missing.key.is_empty() {
            named.push(missing);
        } else {
            *rest.entry((missing.object, missing.by)).or_default() += missing.records;
        }
    }
    if named.len() + rest.len() > most {
        // more objects than rows: by what is waited for alone
        let mut less = BTreeMap::new();
        for ((object, _), records) in rest {
            *less.entry((object, String::from(ANYBODY))).or_default() += records;
        }
        rest = less;
    }
    named.extend(rest.into_iter().map(row));
    named.truncate(most);
    *queue = named;
}

fn row(((object, by), records): ((String, String), i64)) -> Missing {
    Missing {
        object,
        key: String::new(),
        by,
        records,
    }
}

/// The queue without keys: for what may name no record.
#[must_use]
pub fn nameless(queue: &[Missing]) -> Vec<Missing> {
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for missing in queue {
        *counts.entry((missing.object.clone(), missing.by.clone())).or_default() += missing.records;
    }
    counts.into_iter().map(row).collect()
}

/// One record that is missing in Odoo, or several that are not named, and how many records wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited<'a> {
    /// Object, or model of Odoo.
    pub object: &'a str,
    /// Key; empty for those that are not named.
    pub key: &'a str,
    /// How many records are missing, as far as the object itself counts them.
    pub missing: i64,
    /// How many records wait for them.
    pub waiting: i64,
}

/// The queue by what is missing: the most awaited first, what is not named at the end of its object.
#[must_use]
pub fn awaited(queue: &[Missing]) -> Vec<Awaited<'_>> {
    let mut all: BTreeMap<(&str, &str), Awaited<'_>> = BTreeMap::new();
    for Missing {
        object,
        key,
        by,
        records,
    } in queue
    {
        let row = all.entry((object, key)).or_insert_with(|| Awaited {
            object,
            key,
            ..Awaited::default()
        });
        let count = if by.is_empty() {
            &mut row.missing
        } else {
            &mut row.waiting
        };
        *count = count.saturating_add(*records);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by(|a, b| {
        (a.key.is_empty(), b.waiting, a.object, a.key).cmp(&(b.key.is_empty(), a.waiting, b.object, b.key))
    });
    all
}

/// What waits, a sentence for each object, without keys: `users: 2 missing in Odoo, 12 records wait for them`.
#[must_use]
pub fn sentences(queue: &[Missing]) -> Vec<String> {
    let all = awaited(queue);
    let mut objects: Vec<&str> = all.iter().map(|row| row.object).collect();
    objects.sort_unstable();
    objects.dedup();
    let told = objects.into_iter().map(|object| {
        let rows: Vec<_> = all.iter().filter(|row| row.object == object).collect();
        let missing: i64 = rows.iter().map(|row| row.missing).sum();
        let waiting: i64 = rows.iter().map(|row| row.waiting).sum();
        match (missing, waiting) {
            (0, 1) => format!("{object}: 1 record waits for one that is not in Odoo"),
            (0, waiting) => format!("{object}: {waiting} records wait for some that are not in Odoo"),
            (missing, 0) => format!("{object}: {missing} missing in Odoo"),
            (missing, 1) => format!("{object}: {missing} missing in Odoo, 1 record waits for them"),
            (missing, waiting) => format!("{object}: {missing} missing in Odoo, {waiting} records wait for them"),
        }
    });
    told.collect()
}

/// What waits, and what to do about it.
#[must_use]
pub fn message(queue: &[Missing], owners: Owners, every: &str, phase: Phase) -> Option<String> {
    let words = sentences(queue).join("; ");
    if words.is_empty() {
        return None;
    }
    let again = if phase == Phase::Synchronising {
        format!("looked for again every {every}, at once with retry")
    } else {
        "looked for again when they are loaded".to_owned()
    };
    let otherwise = match owners.on_missing {
        OwnersMissing::Hold => ", or set spec.owners.onMissing",
        OwnersMissing::Empty | OwnersMissing::Reject => "",
    };
    Some(format!(
        "{words}: create them in Odoo ({again}){otherwise}; results/<object>/held.csv names them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(object: &str, key: &str, by: &str, records: i64) -> Missing {
        Missing {
            object: object.into(),
            key: key.into(),
            by: by.into(),
            records,
        }
    }

    #[test]
    fn the_queue_says_who_is_missing_and_how_many_wait_for_each() {
        let queue = [
            row("users", "7", "", 1),
            row("users", "9", "", 1),
            row("users", "9", "contacts", 12),
            row("users", "9", "deals", 3),
            row("users", "", "contacts", 2),
            row("contacts", "", "deals", 4),
        ];
        let all = awaited(&queue);
        assert_eq!((all[0].key, all[0].missing, all[0].waiting), ("9", 1, 15));
        assert_eq!((all[1].key, all[1].missing, all[1].waiting), ("7", 1, 0));
        assert_eq!(
            sentences(&queue),
            [
                "contacts: 4 records wait for some that are not in Odoo",
                "users: 2 missing in Odoo, 17 records wait for them"
            ]
        );
        assert_eq!(message(&[], Owners::default(), "15m", Phase::Synchronising), None);
        let held = message(&queue[..2], Owners::default(), "15m", Phase::Synchronising).unwrap();
        assert!(
            held.contains("every 15m") && held.contains("set spec.owners.onMissing"),
            "{held}"
        );
    }

    #[test]
    fn a_queue_that_is_cut_keeps_every_count_and_the_most_awaited_names() {
        let mut queue: Vec<_> = (0..200).map(|n| row("users", &n.to_string(), "contacts", n)).collect();
        queue.push(row("users", "3", "", 1));
        let all: i64 = queue.iter().map(|row| row.records).sum();
        truncate(&mut queue, 10);
        assert!(queue.len() <= 10, "{queue:?}");
        assert_eq!(queue.iter().map(|row| row.records).sum::<i64>(), all);
        assert!(queue.iter().any(|row| row.key == "199"), "{queue:?}");
        let mut wide: Vec<_> = (0..90).map(|n| row("users", "1", &format!("o{n}"), 1)).collect();
        truncate(&mut wide, 60);
        assert_eq!(
            (wide.len() <= 60, wide.iter().map(|row| row.records).sum::<i64>()),
            (true, 90)
        );
    }
}
