//! Reading an object's items from the snapshot, in their order, each key once.

use std::{path::Path as FilePath, sync::Arc};

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{
    error::StepError,
    index::{Index, Kind},
    joins,
};
use crate::{
    mapping::{Item, Object, Step, object::Order, path::Path},
    model::{Digest, Record, Rejection, SourceKey},
    workspace::{Line, Manifest, Workspace, WorkspaceError, sort_lines},
};

/// What reading met.
#[derive(Clone, Debug)]
pub enum Met {
    /// `where` refused it.
    Filtered,
    /// It cannot be used.
    Rejected(Option<SourceKey>, Rejection),
    /// A record with the key of an earlier one; and whether it differs from that.
    Duplicate(SourceKey, bool),
    /// An item to map.
    Item(Item),
}

/// Which items a reading gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Every one, for the first time.
    First,
    /// Those that waited for a record of their own object.
    Waiting,
    /// Those with values that were left open.
    Filling,
}

/// Reads the items of one object.
pub struct Reader<'a> {
    object: &'a Object,
    /// With their places in the export, from 1.
    lines: BoxStream<'static, Result<(u64, Line), WorkspaceError>>,
    turn: Turn,
}

impl<'a> Reader<'a> {
    /// Starts at the first record.
    ///
    /// # Errors
    /// When the records cannot be put in order.
    pub async fn open(
        workspace: &Workspace,
        manifest: &Manifest,
        object: &'a Object,
        scratch: &FilePath,
        index: &mut Index,
        turn: Turn,
    ) -> Result<Self, StepError> {
        joins::load(index, workspace, manifest, object).await?;
        let lines = in_order(workspace, manifest, object, scratch).await?;
        // what cannot be read of the rows is lost to this object too
        let joined = object
            .source_objects()
            .into_iter()
            .filter(|name| *name != object.source_object);
        let joined: Vec<_> = joined.map(|name| workspace.read_object(manifest, name)).collect();
        let broken = stream::iter(joined)
            .flatten()
            .try_filter(|line| std::future::ready(matches!(line, Line::Broken(_))))
            .map_ok(|line| (0, line));
        let lines = lines.chain(broken).boxed();
        Ok(Self { object, lines, turn })
    }

    /// What the next line of the snapshot gives; `None` at the end.
    ///
    /// # Errors
    /// When the snapshot or the scratch disk fails.
    pub async fn next(&mut self, index: &mut Index) -> Result<Option<Vec<Met>>, StepError> {
        let Some(line) = self.lines.next().await else {
            return Ok(None);
        };
        let (place, line) = line?;
        let record = match line {
            Line::Broken(_) if self.turn != Turn::First => return Ok(Some(Vec::new())),
            Line::Broken(rejection) => return Ok(Some(vec![Met::Rejected(None, rejection)])),
            Line::Record(record) => record,
        };
        // the elements of a list name the same thing again and again: that says nothing
        let print = if self.object.has_each() {
            String::new()
        } else {
            print_of(&record)?.to_string()
        };
        if self.turn == Turn::First {
            joins::ask(index, self.object, &record)?;
        }
        let steps = match joins::attach(index, self.object, record)? {
            Ok(record) => self.object.items(&Arc::new(record)),
            Err(_) if self.turn != Turn::First => Vec::new(),
            Err((key, rejection)) => {
                let met = first_look(index, self.object, Step::Rejected { key, rejection }, &print)?;
                return Ok(Some(vec![findable(met, place, &self.object.source_object)]));
            }
        };
        let mut met = Vec::with_capacity(steps.len());
        for step in steps {
            if self.turn == Turn::First {
                let met_now = first_look(index, self.object, step, &print)?;
                met.push(findable(met_now, place, &self.object.source_object));
            } else if let Step::Item(item) = step
                && take_postponed(index, self.object, &item.key, self.turn)?
            {
                met.push(Met::Item(item));
            }
        }
        Ok(Some(met))
    }
}

/// The lines of an object's source, with their places in the export, in the order in which they are loaded.
///
/// # Errors
/// When they cannot be put in order.
pub async fn in_order(
    workspace: &Workspace,
    manifest: &Manifest,
    object: &Object,
    scratch: &FilePath,
) -> Result<BoxStream<'static, Result<(u64, Line), WorkspaceError>>, WorkspaceError> {
    let lines = workspace.read_object(manifest, &object.source_object).enumerate();
    let lines = lines.map(|(before, line)| Ok((before as u64 + 1, line?))).boxed();
    let Some(Ok(path)) = object.order_by.as_deref().map(Path::parse) else {
        return Ok(lines);
    };
    let sorted = object.clone();
    let keyed = lines.map_ok(move |line| match &line.1 {
        Line::Record(record) => (sorted.order_of(record, &path), line),
        Line::Broken(_) => (Order::Nothing, line),
    });
    sort_lines(keyed, scratch, SORT_BYTES).await
}

/// Bytes of lines that are sorted in memory.
const SORT_BYTES: usize = 16 << 20;

fn first_look(index: &mut Index, object: &Object, step: Step, print: &str) -> Result<Met, StepError> {
    Ok(match step {
        Step::Filtered => Met::Filtered,
        Step::Rejected { key, rejection } => {
            if let Some(key) = &key {
                index.put(Kind::Refused, &object.name, key.0.as_bytes(), Vec::new())?;
            }
            Met::Rejected(key, rejection)
        }
        Step::Item(item) => {
            let text = item.key.0.as_bytes();
            if let Some(before) = index.get(Kind::Seen, &object.name, text)? {
                return Ok(Met::Duplicate(item.key.clone(), before != print.as_bytes()));
            }
            index.put(Kind::Seen, &object.name, text, print.as_bytes().to_vec())?;
            Met::Item(item)
        }
    })
}

/// A record without a key is found by its place in the export.
fn findable(met: Met, place: u64, source_object: &str) -> Met {
    match met {
        Met::Rejected(None, mut rejection) => {
            rejection.message = format!("{} (record {place} of {source_object})", rejection.message);
            Met::Rejected(None, rejection)
        }
        met => met,
    }
}

const TAKEN: &[u8] = b"";

impl Turn {
    const fn mark(self) -> &'static [u8] {
        match self {
            Self::First => TAKEN,
            Self::Waiting => b"w",
            Self::Filling => b"f",
        }
    }
}

/// Readings of an object after which what can be filled later waits for others of its own no longer: a ladder of a thousand
/// rungs, the lowest first, would take a thousand readings.
const WAVES: usize = 8;

/// Whether records that wait for others of their own object are written as they are: nothing more comes, or what comes can
/// be filled.
#[must_use]
pub const fn waited_enough(defers: bool, waves: usize, before: usize, waiting: usize) -> bool {
    waiting == before || (defers && waves >= WAVES)
}

/// Leaves an item for a later turn.
///
/// # Errors
/// When the scratch disk fails.
pub fn postpone(index: &mut Index, object: &Object, key: &SourceKey, to: Turn) -> Result<(), StepError> {
    Ok(index.put(Kind::Postponed, &object.name, key.0.as_bytes(), to.mark().to_vec())?)
}

fn take_postponed(index: &mut Index, object: &Object, key: &SourceKey, turn: Turn) -> Result<bool, StepError> {
    let text = key.0.as_bytes();
    let waits = index
        .get(Kind::Postponed, &object.name, text)?
        .is_some_and(|value| value == turn.mark());
    if waits {
        index.put(Kind::Postponed, &object.name, text, TAKEN.to_vec())?;
    }
    Ok(waits)
}

/// A record's digest: how two snapshots are compared.
///
/// # Errors
/// Never for a record, whose keys are text.
pub fn print_of(record: &Record) -> Result<Digest, StepError> {
    Digest::of_json(record)
        .map_err(|error| StepError::permanent(crate::api::phase_run::FailureReason::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ladder_is_not_read_rung_by_rung_where_what_is_missing_can_be_filled() {
        for (defers, waves, before, waiting, enough) in [
            (true, 1, 1_000, 999, false),
            (true, 8, 993, 992, true),
            (false, 8, 993, 992, false),
            (false, 1, 7, 7, true),
        ] {
            assert_eq!(
                waited_enough(defers, waves, before, waiting),
                enough,
                "{defers} {waves} {before} {waiting}"
            );
        }
    }
}
