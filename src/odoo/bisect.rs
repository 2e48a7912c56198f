//! Which rows of a refused batch are the bad ones: the order in which groups of rows are sent. Pure.
//!
//! A group that Odoo refused is halved. If its first half is taken, the second must hold the bad row: it is not sent
//! whole to learn that again. A row is called bad only when it was sent alone, so Odoo's sentence is about it.

use std::ops::Range;

/// Rows that travel together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Places of the rows in the batch.
    pub rows: Range<usize>,
    /// How often it was sent without a usable answer.
    pub unanswered: u32,
    /// It is bad if the group before it, its other half, is taken.
    heir: bool,
    /// A bad row is in it.
    bad: bool,
}

/// The groups still to send, the next one last.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// Begins with these groups, in this order.
    pub fn new(groups: impl IntoIterator<Item = Range<usize>, IntoIter: DoubleEndedIterator>) -> Self {
        let whole = |rows| Group {
            rows,
            unanswered: 0,
            heir: false,
            bad: false,
        };
        Self(
            groups
                .into_iter()
                .rev()
                .filter(|rows| !rows.is_empty())
                .map(whole)
                .collect(),
        )
    }

    /// The next group to send. Its fate is told by one of `taken`, `refused`, `again`, `unanswered`.
    pub fn next(&mut self) -> Option<Group> {
        let mut group = self.0.pop()?;
        while group.bad && group.rows.len() > 1 {
            group = self.halve(&group, true);
        }
        Some(group)
    }

    /// Odoo took the group.
    pub fn taken(&mut self) {
        if let Some(other) = self.0.last_mut().filter(|other| other.heir) {
            other.heir = false;
            other.bad = true;
        }
    }

    /// Odoo refused the group. `true`: it is one row, and the bad one.
    pub fn refused(&mut self, group: Group) -> bool {
        if let Some(other) = self.0.last_mut() {
            other.heir = false;
        }
        if group.rows.len() > 1 {
            self.0.push(Group { bad: true, ..group });
            return false;
        }
        true
    }

    /// The group is sent again as it is.
    pub fn again(&mut self, group: Group) {
        self.0.push(group);
    }

    /// Part of the group was carried out by other means; these runs of rows are left to send.
    pub fn left(&mut self, runs: impl IntoIterator<Item = Range<usize>, IntoIter: DoubleEndedIterator>) {
        self.0.extend(Self::new(runs).0);
    }

    /// Whether Odoo did it is known by now: it did not. The group is sent once more, then in halves. `true`: it is one
    /// row that never gets an answer.
    pub fn unanswered(&mut self, mut group: Group) -> bool {
        group.unanswered += 1;
        match (group.unanswered, group.rows.len()) {
            (1, _) | (2, 1) => self.0.push(group),
            (_, 1) => return true,
            _ => {
                if let Some(other) = self.0.last_mut() {
                    other.heir = false;
                }
                let first = self.halve(&group, false);
                self.0.push(first);
            }
        }
        false
    }

    /// Puts the second half back and gives the first.
    fn halve(&mut self, group: &Group, heir: bool) -> Group {
        let middle = group.rows.start + group.rows.len().div_ceil(2);
        let half = |rows, heir| Group {
            rows,
            // of a group that never got an answer: sent once, not twice, before it is halved in turn
            unanswered: group.unanswered.min(1),
            heir,
            bad: false,
        };
        self.0.push(half(middle..group.rows.end, heir));
        half(group.rows.start..middle, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Plays an Odoo that refuses groups with a bad row: which rows went in, which were called bad, with how many calls.
    fn play(rows: usize, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut groups, mut taken, mut refused, mut calls) =
            (Groups::new(std::iter::once(0..rows)), vec![], vec![], 0);
        while let Some(group) = groups.next() {
            calls += 1;
            if bad.iter().any(|row| group.rows.contains(row)) {
                if groups.refused(group.clone()) {
                    refused.extend(group.rows);
                }
            } else {
                taken.extend(group.rows.clone());
                groups.taken();
            }
        }
        (taken, refused, calls)
    }

    #[test]
    fn one_bad_row_of_256_costs_ten_calls_or_fewer() {
        for bad in [0, 100, 255] {
            let (taken, refused, calls) = play(256, &[bad]);
            assert_eq!((taken.len(), refused), (255, vec![bad]));
            assert!(calls <= 17, "{bad}: {calls}");
        }
        assert_eq!(play(256, &[255]).2, 10, "what must be bad is not sent whole again");
    }

    #[test]
    fn a_group_without_an_answer_is_sent_again_then_halved_down_to_the_row() {
        let mut groups = Groups::new(std::iter::once(0..2));
        let mut sent = vec![];
        while let Some(group) = groups.next() {
            sent.push(group.rows.clone());
            if group.rows.contains(&1) {
                if groups.unanswered(group) {
                    sent.push(9..9);
                }
            } else {
                groups.taken();
            }
        }
        assert_eq!(sent, [0..2, 0..2, 0..1, 1..2, 1..2, 9..9]);
    }

    proptest! {
        #[test]
        fn exactly_the_bad_rows_stay_out(rows in 1_usize..300, seeds in proptest::collection::vec(0_usize..300, 0..9)) {
            let mut bad: Vec<usize> = seeds.into_iter().filter(|row| *row < rows).collect();
            bad.sort_unstable();
            bad.dedup();
            let (taken, refused, _) = play(rows, &bad);
            prop_assert_eq!(&refused, &bad);
            let good: Vec<usize> = (0..rows).filter(|row| !bad.contains(row)).collect();
            prop_assert_eq!(taken, good);
        }
    }
}
