//! A walk over a list by `limit` and `offset`, while the list may change. Pure.
//!
//! Each page begins with the last row of the page before (the *anchor*): where it does not, rows have shifted and some may
//! have slipped by, so the walk begins anew at the end, taking only rows that are new, until nothing shifts in a round. On a
//! list that shifts all the time, the second round over known rows that brings nothing new is the last. A page that is cut
//! short is no end: only an empty page is.

/// Rounds after which a list that never holds still is taken as it is. What slips by even then is new or moved, and the
/// next delta meets it.
const ROUNDS: u32 = 6;
/// Pages in a row that bring nothing new, after which the first round gives up on an end.
const BARREN: u32 = 3;
/// Pages of rows beyond twice the rows known, after which a further round gives up on an end.
const BEYOND: u64 = 10;

/// Where a walk stands.
#[derive(Clone, Debug)]
pub struct Walk {
    limit: u64,
    /// Rows passed in this round.
    taken: u64,
    /// Id of the last row passed, if the next page can begin with it.
    anchor: Option<String>,
    /// The page that is awaited begins before the end of the one before.
    anchored: bool,
    round: u32,
    /// Rows shifted in this round.
    shifted: bool,
    /// New rows in this round.
    fresh: u64,
    /// New rows in all.
    known: u64,
    barren: u32,
    /// Ids of the last page, and how often it came in a row.
    last: (Vec<String>, u32),
    /// Ids of the first page, while every page is the same.
    same: Option<Vec<String>>,
    pages: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another page.
    Ask,
    /// The list is read.
    Over,
    /// It has no end: whatever the offset, there are rows, and always the same.
    Endless,
}

impl Walk {
    /// At the beginning of a list that is asked for `limit` rows at a time.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: 0,
            anchor: None,
            anchored: false,
            round: 1,
            shifted: false,
            fresh: 0,
            known: 0,
            barren: 0,
            last: (Vec::new(), 0),
            same: None,
            pages: 0,
        }
    }

    /// Where the next page begins.
    pub const fn offset(&mut self) -> u64 {
        self.anchored = self.anchor.is_some() && self.taken > 0;
        if self.anchored { self.taken - 1 } else { self.taken }
    }

    /// Whether the page that is awaited begins with a row that was there: nothing but an error keeps it from coming.
    #[must_use]
    pub const fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Whether this is the first round: a row that was met before is a repetition only there.
    #[must_use]
    pub const fn is_first_round(&self) -> bool {
        self.round == 1
    }

    /// Whether a page is the first one once more, and every page so far was: the source does not page, and no row of it is
    /// a repetition.
    #[must_use]
    pub fn is_same(&self, ids: &[String]) -> bool {
        self.same.as_deref() == Some(ids)
    }

    /// New rows so far.
    #[must_use]
    pub const fn known(&self) -> u64 {
        self.known
    }

    /// How many of a page's first rows are the anchor: 1 or 0.
    #[must_use]
    pub fn overlap(&self, ids: &[String]) -> usize {
        usize::from(self.anchored && ids.first() == self.anchor.as_ref())
    }

    /// Takes a page in: the ids of its rows, and how many of them behind the anchor were new.
    pub fn met(&mut self, ids: &[String], new: u64) -> Next {
        self.pages += 1;
        let overlap = self.overlap(ids);
        if self.anchored && overlap == 0 {
            // also where nothing came: the list is shorter than it was
            self.shifted = true;
        }
        if ids.is_empty() {
            return self.end_of_round();
        }
        let rows = (ids.len() - overlap) as u64;
        self.fresh += new;
        self.known += new;
        self.taken += rows;
        if self.round == 1 && new < rows {
            self.shifted = true;
        }
        // a page that holds the anchor alone may be cut short: asked once more, beyond it. Pages of one row have no overlap.
        self.anchor = ids.last().filter(|_| ids.len() > 1).cloned();
        match &self.same {
            None if self.pages == 1 => self.same = Some(ids.to_vec()),
            Some(first) if first != ids => self.same = None,
            _ => {}
        }
        self.barren = if new > 0 || rows == 0 { 0 } else { self.barren + 1 };
        if self.round == 1 && self.barren >= BARREN {
            // the first page again and again, and not as many rows as were asked for: the source does not page
            if self.same.is_some() && ids.len() as u64 != self.limit {
                return Next::Over;
            }
            return self.end_of_round();
        }
        self.last = match std::mem::take(&mut self.last) {
            (before, times) if before == ids => (before, times + 1),
            _ => (ids.to_vec(), 1),
        };
        if self.round > 1 && self.last.1 > BARREN && self.same.is_none() {
            // beyond its end the source gives its last page again
            return self.end_of_round();
        }
        if self.round > 1 && self.taken > 2 * self.known + BEYOND * self.limit {
            return Next::Endless;
        }
        Next::Ask
    }

    fn end_of_round(&mut self) -> Next {
        if !self.shifted || (self.round > 2 && self.fresh == 0) || self.round >= ROUNDS {
            return Next::Over;
        }
        self.round += 1;
        self.shifted = false;
        self.fresh = 0;
        self.taken = 0;
        self.barren = 0;
        self.anchor = None;
        Next::Ask
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What a walk gives over a list that `serve` hands out and changes: the new rows in order, pages asked, how it ended.
    fn walk(limit: u64, mut serve: impl FnMut(u64, u64) -> Vec<u32>) -> (Vec<u32>, u64, Next) {
        let (mut walk, mut seen, mut got, mut asked) = (Walk::new(limit), BTreeSet::new(), Vec::new(), 0);
        loop {
            let offset = walk.offset();
            asked += 1;
            let page = serve(offset, asked);
            let ids: Vec<String> = page.iter().map(u32::to_string).collect();
            let mut new = 0;
            for id in &page[walk.overlap(&ids)..] {
                if seen.insert(*id) {
                    got.push(*id);
                    new += 1;
                }
            }
            match walk.met(&ids, new) {
                Next::Ask => assert!(asked < 10_000, "it never ends"),
                end => return (got, asked, end),
            }
        }
    }

    fn slice(list: &[u32], offset: u64, limit: u64) -> Vec<u32> {
        list.iter()
            .skip(usize::try_from(offset).unwrap())
            .take(usize::try_from(limit).unwrap())
            .copied()
            .collect()
    }

    #[test]
    fn a_list_that_holds_still_is_read_once_whatever_the_cap() {
        for count in [0, 1, 2, 9, 10, 11, 19, 100] {
            for cap in [1, 2, 3, 7, 10, 1000] {
                let list: Vec<u32> = (0..count).collect();
                let (got, asked, end) = walk(10, |offset, _| slice(&list, offset, cap.min(10)));
                assert_eq!((got, end), (list, Next::Over), "{count} rows by {cap}");
                let pages = u64::from(count) / (cap.min(10) - 1).max(1) + 3;
                assert!(asked <= pages, "{count} rows by {cap}: {asked} pages");
            }
        }
    }

    #[test]
    fn a_list_that_gives_its_last_page_again_beyond_its_end_has_one() {
        for (count, limit) in [(25_u32, 10_u64), (30, 10), (101, 7)] {
            let list: Vec<u32> = (0..count).collect();
            let furthest = u64::from(count) - limit;
            let (got, _, end) = walk(limit, |offset, _| slice(&list, offset.min(furthest), limit));
            assert_eq!((got, end), (list, Next::Over), "{count} by {limit}");
        }
    }

    #[test]
    fn rows_that_slip_by_when_one_is_deleted_are_met_in_a_second_round() {
        let mut list: Vec<u32> = (0..30).collect();
        let (got, ..) = walk(10, |offset, asked| {
            if asked == 2 {
                list.remove(3); // row 10 and the anchor move forward
            }
            slice(&list, offset, 10)
        });
        assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), (0..30).collect());
    }

    #[test]
    fn a_row_that_moves_to_the_front_behind_our_back_is_met() {
        let mut list: Vec<u32> = (0..30).collect();
        let (got, ..) = walk(10, |offset, asked| {
            if asked == 3 {
                list.retain(|id| *id != 27);
                list.insert(0, 27);
            }
            slice(&list, offset, 10)
        });
        assert_eq!(got.iter().copied().collect::<BTreeSet<_>>(), (0..30).collect());
        assert_eq!(got.len(), 30);
    }

    #[test]
    fn repeated_and_cut_pages_lose_nothing() {
        let list: Vec<u32> = (0..50).collect();
        for (repeated, rows) in [(2, 10), (3, 1), (4, 0), (6, 5)] {
            let (got, _, end) = walk(10, |offset, asked| {
                if asked == repeated && rows == 10 {
                    return slice(&list, offset.saturating_sub(9), 10);
                }
                slice(&list, offset, if asked == repeated { rows } else { 10 })
            });
            let all: BTreeSet<u32> = got.iter().copied().collect();
            // an empty page in the middle is an end, but it came where the anchor was due
            assert_eq!(
                (all, got.len(), end),
                ((0..50).collect(), 50, Next::Over),
                "{repeated} {rows}"
            );
        }
    }

    #[test]
    fn a_source_that_does_not_page_is_read_once_and_one_that_repeats_for_ever_is_told() {
        let (got, asked, end) = walk(10, |_, _| vec![1, 2, 3]);
        assert_eq!((got, end), (vec![1, 2, 3], Next::Over));
        assert!(asked <= 4, "{asked}");
        let (_, _, end) = walk(10, |_, _| (0..10).collect());
        assert_eq!(end, Next::Endless);
    }

    proptest! {
        #[test]
        fn what_is_there_all_the_time_is_met_once(
            count in 0_u32..60,
            cap in 2_u64..12,
            changes in prop::collection::btree_map(1_u64..25, (0_usize..60, 0_usize..60, 0_u8..3), 0..3),
        ) {
            let mut list: Vec<u32> = (0..count).collect();
            let (mut fresh, mut gone) = (1000, BTreeSet::new());
            let (got, _, end) = walk(10, |offset, asked| {
                // one change between two pages: two that undo each other's shift cannot be told
                if let Some((from, to, what)) = changes.get(&asked).filter(|_| !list.is_empty()) {
                    let from = from % list.len();
                    match what {
                        0 => drop(gone.insert(list.remove(from))),
                        1 => {
                            list.insert(from, fresh);
                            fresh += 1;
                        }
                        _ => {
                            let id = list.remove(from);
                            let to = to % (list.len() + 1);
                            list.insert(to, id);
                        }
                    }
                }
                slice(&list, offset, cap.min(10))
            });
            prop_assert_eq!(end, Next::Over);
            let all: BTreeSet<u32> = got.iter().copied().collect();
            prop_assert_eq!(all.len(), got.len(), "twice");
            for id in (0..count).filter(|id| !gone.contains(id)) {
                prop_assert!(all.contains(&id), "{} is lost", id);
            }
        }
    }
}
