//! How long a migration will take, from what was measured of source and destination. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::mapping::Mapping;

/// How fast an Odoo answers: the time for a row that it reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace(Duration);

impl Pace {
    /// A page of rows took so long.
    #[must_use]
    pub fn of(rows: usize, took: Duration) -> Self {
        Self(took / u32::try_from(rows.max(1)).unwrap_or(u32::MAX))
    }
}

/// Rows that Odoo reads in the time in which it takes a record in, and it is read back and compared: 80 on a real Odoo 19
/// (0.024 ms and 1.9 ms).
const ROWS_A_RECORD: i64 = 80;
/// Records of a batch that is made.
const BATCH: i64 = 400;
/// Records of a page that is read back.
const PAGE: i64 = 1_000;
/// Seconds that the Job of an object takes on a cluster to begin and to end.
const JOB: i64 = 5;
/// Calls for each object beside those: names, candidates, marks.
const BESIDE: i64 = 10;

/// Seconds that loading will take: what Odoo needs for the records, or what the limit of calls leaves, whichever is more.
#[must_use]
pub fn loading(
    mapping: Option<&Mapping>,
    counts: &BTreeMap<String, i64>,
    calls_per_minute: Option<u32>,
    pace: Pace,
    on_a_cluster: bool,
) -> i64 {
    let objects = mapping.into_iter().flat_map(Mapping::in_odoo);
    let records: Vec<i64> = objects
        .map(|object| counts.get(&object.source_object).copied().unwrap_or(0))
        .collect();
    let jobs = i64::try_from(records.len()).unwrap_or(i64::MAX / JOB);
    seconds(records.into_iter(), calls_per_minute, pace) + if on_a_cluster { jobs * JOB } else { 0 }
}

fn seconds(objects: impl Iterator<Item = i64>, calls_per_minute: Option<u32>, Pace(row): Pace) -> i64 {
    let (mut records, mut calls) = (0, 0);
    for count in objects {
        records += count;
        calls += (count + BATCH - 1) / BATCH + (count + PAGE - 1) / PAGE + BESIDE;
    }
    let work = times(row, records * ROWS_A_RECORD, 1);
    let allowed = calls_per_minute.map_or(0, |limit| calls * 60 / i64::from(limit.max(1)));
    work.max(allowed) + 1
}

/// Seconds that reading all records of a source object will take, of which some were looked at in that time.
#[must_use]
pub fn reading(records: i64, looked_at: i64, took: Duration) -> i64 {
    if looked_at <= 0 {
        0
    } else {
        times(took, records, looked_at)
    }
}

/// Whole seconds of a time taken `by / of` times.
fn times(time: Duration, by: i64, of: i64) -> i64 {
    let nanos = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
    let seconds = nanos.saturating_mul(i128::from(by)) / i128::from(of.max(1)) / 1_000_000_000;
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loading_takes_what_the_server_needs_or_what_its_limit_leaves() {
        let quick = Pace::of(1_000, Duration::from_millis(24));
        let slow = Pace::of(1_000, Duration::from_millis(240));
        for (records, limit, pace, wanted) in [
            (vec![], None, quick, 1),
            (vec![100_000], None, quick, 193),
            (vec![60_000, 40_000], None, quick, 193),
            (vec![100_000], None, slow, 1_921),
            // 250 batches, 100 pages and 10 calls at one a second
            (vec![100_000], Some(60), quick, 361),
            (vec![100_000], Some(60), slow, 1_921),
            (vec![100_000], Some(0), Pace::of(0, Duration::ZERO), 21_601),
        ] {
            assert_eq!(
                seconds(records.iter().copied(), limit, pace),
                wanted,
                "{records:?} {limit:?}"
            );
        }
    }

    #[test]
    fn reading_goes_on_at_the_pace_of_the_look() {
        let took = Duration::from_secs(5);
        assert_eq!(reading(50_000, 1_000, took), 250);
        assert_eq!(reading(1_000, 1_000, took), 5);
        assert_eq!(reading(0, 0, took), 0);
        assert_eq!(reading(i64::MAX, 1, Duration::MAX), i64::MAX);
    }
}
