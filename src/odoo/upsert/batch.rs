//! A batch, sorted by what is to be sent, and how it is put into calls. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use serde_json::{Map, Value as Json, json};

use super::{Done, Op, Write, Written};
use crate::{
    model::{Content, OdooModel, Rejection, SourceKey},
    odoo::{content::CALL_BYTES, wire},
};

/// One row of a call.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub key: SourceKey,
    /// Name of the external id.
    pub name: String,
    /// The record; 0 while it is not made.
    pub id: i64,
    pub values: Map<String, Json>,
    /// Content that takes its place among the values when they are sent.
    pub contents: Vec<(String, Content)>,
    pub then: Then,
}

/// What an updated row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Updated,
    /// Adopted earlier: it has its name.
    Adopted,
    /// Still to get its name.
    Named,
}

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Create,
    Load,
    Update,
    /// External ids for adopted records.
    Name,
}

/// A batch, sorted by what is to be sent.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub create: Vec<Row>,
    pub update: Vec<Row>,
    pub name: Vec<Row>,
    pub done: Done,
}

impl Sorted {
    /// `found`: the external ids of the batch that are there.
    pub fn of(batch: Vec<Write>, found: &HashMap<String, (OdooModel, i64)>, model: &OdooModel, way: Way) -> Self {
        let (mut sorted, mut seen) = (Self::default(), HashSet::new());
        for Write { key, external_id, op } in batch {
            if !seen.insert(external_id.name.clone()) {
                let twice = Rejection::new("Duplicate", "", format!("{external_id} comes twice in one batch"));
                sorted.done.push((key, Written::Failed(twice)));
                continue;
            }
            let put = match found.get(&external_id.name) {
                // creating it again would move the name in silence
                Some((other, id)) if other != model => Err(taken(other, *id)),
                there => sorted.put(&key, external_id.name, op, there.map(|(_, id)| *id), way),
            };
            if let Err(why) = put {
                sorted.done.push((key, Written::Failed(why)));
            }
        }
        sorted
    }

    fn put(&mut self, key: &SourceKey, name: String, op: Op, there: Option<i64>, way: Way) -> Result<(), Rejection> {
        let row = |id, values, contents, then| Row {
            key: key.clone(),
            name,
            id,
            values,
            contents,
            then,
        };
        match (op, there) {
            (Op::Create(values), None) => {
                let contents = wire::contents(&values);
                let values = if way == Way::Load {
                    wire::cells(&values)
                } else {
                    wire::whole(&values)
                };
                self.create.push(row(0, values?, contents, Then::Updated));
            }
            (Op::Create(values), Some(id)) => {
                let contents = wire::contents(&values);
                self.update
                    .push(row(id, wire::changes(&values, &[], &[])?, contents, Then::Updated));
            }
            (
                Op::Update {
                    id,
                    values,
                    unlink,
                    lines,
                },
                _,
            ) => {
                let contents = wire::contents(&values);
                let values = wire::changes(&values, &unlink, &lines)?;
                self.update.push(row(id, values, contents, Then::Updated));
            }
            (Op::Adopt { id, .. }, Some(other)) if other != id => return Err(taken("record", other)),
            (Op::Adopt { id, values, lines }, there) => {
                let then = if there.is_some() { Then::Adopted } else { Then::Named };
                let contents = wire::contents(&values);
                let row = row(id, wire::changes(&values, &[], &lines)?, contents, then);
                if there.is_none() {
                    self.name.push(row.clone());
                }
                self.update.push(row);
            }
        }
        Ok(())
    }
}

pub(super) fn taken(what: impl std::fmt::Display, id: i64) -> Rejection {
    Rejection::new(
        "IdentityTaken",
        "",
        format!("the external id names {what} {id} already"),
    )
}

/// All rows in one call.
pub(super) fn whole(rows: &[Row]) -> Vec<Range<usize>> {
    std::iter::once(0..rows.len()).collect()
}

/// Bytes of content of rows.
pub(super) fn weight(rows: &[Row]) -> u64 {
    let contents = rows.iter().flat_map(|row| &row.contents);
    contents.map(|(_, content)| content.size).sum()
}

/// Calls of no more content than one may carry, unless a single row has more.
pub(super) fn of_bounded_weight(rows: &[Row], calls: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut bounded = Vec::with_capacity(calls.len());
    for call in calls {
        let (mut start, mut sum) = (call.start, 0);
        for place in call.clone() {
            let more = weight(&rows[place..=place]);
            if place > start && sum + more > CALL_BYTES {
                bounded.push(start..place);
                (start, sum) = (place, 0);
            }
            sum += more;
        }
        bounded.push(start..call.end);
    }
    bounded
}

/// Runs of rows that were not found; the first row is at `start`.
pub(super) fn absent(found: &[Option<i64>], start: usize) -> Vec<Range<usize>> {
    let mut place = start;
    found
        .chunk_by(|a, b| a.is_some() == b.is_some())
        .filter_map(|run| {
            let rows = place..place + run.len();
            place = rows.end;
            run[0].is_none().then_some(rows)
        })
        .collect()
}

/// Runs of rows with the same columns: an empty cell of `load` is an empty value, not an absent one.
pub(super) fn same_fields(rows: &[Row]) -> Vec<Range<usize>> {
    let mut start = 0;
    rows.chunk_by(|a, b| wire::columns(&a.values) == wire::columns(&b.values))
        .map(|run| {
            let range = start..start + run.len();
            start = range.end;
            range
        })
        .collect()
}

/// Rows in calls in which no record comes twice, in order.
pub(super) fn once_each<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let (mut calls, mut nth): (Vec<Vec<&Row>>, HashMap<i64, usize>) = (Vec::new(), HashMap::new());
    for row in rows {
        let place = nth.entry(row.id).or_default();
        if calls.len() == *place {
            calls.push(Vec::new());
        }
        calls[*place].push(row);
        *place += 1;
    }
    calls
}

/// Records that get equal values, for servers that write one set of values a call.
pub(super) fn by_values<'a>(rows: &[&'a Row]) -> Vec<(&'a Row, Vec<i64>)> {
    let mut groups: BTreeMap<String, (&Row, Vec<i64>)> = BTreeMap::new();
    for row in rows {
        let text = json!([row.values, row.contents]).to_string();
        groups.entry(text).or_insert((row, Vec::new())).1.push(row.id);
    }
    groups.into_values().collect()
}
