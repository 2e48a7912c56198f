//! The order of objects: who needs whom, and in which order they are loaded.

use std::collections::{BTreeMap, BTreeSet};

/// Why an object must be loaded after another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// A field looks records of it up: path of the field.
    Lookup(String),
    /// `after` says so: path of the object.
    After(String),
}

/// Objects by number, and what each needs. Lookups of an object into itself are not part of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    needs: Vec<BTreeMap<usize, Need>>,
}

impl Graph {
    pub fn new(objects: usize) -> Self {
        Self {
            needs: vec![BTreeMap::new(); objects],
        }
    }

    /// `object` needs `other`. The first reason given stays.
    pub fn need(&mut self, object: usize, other: usize, need: Need) {
        if object != other {
            self.needs[object].entry(other).or_insert(need);
        }
    }

    /// Whether `object` needs `other`, directly or through others.
    pub fn reaches(&self, object: usize, other: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![object];
        while let Some(at) = open.pop() {
            for next in self.needs[at].keys() {
                if *next == other {
                    return true;
                }
                if seen.insert(*next) {
                    open.push(*next);
                }
            }
        }
        false
    }

    /// The load order: of those that are ready, the one that comes first in the spec.
    ///
    /// # Errors
    /// The shortest cycle: each object with the need that leads to the next, the last one's to the first.
    pub fn order(&self) -> Result<Vec<usize>, Vec<(usize, Need)>> {
        let mut order = Vec::with_capacity(self.needs.len());
        let mut done = vec![false; self.needs.len()];
        while order.len() < self.needs.len() {
            let ready = (0..self.needs.len()).find(|at| !done[*at] && self.needs[*at].keys().all(|other| done[*other]));
            let Some(next) = ready else {
                return Err(self.cycle(&done));
            };
            done[next] = true;
            order.push(next);
        }
        Ok(order)
    }

    /// Among the objects that are not done there is a cycle; the shortest, of the earliest object.
    fn cycle(&self, done: &[bool]) -> Vec<(usize, Need)> {
        (0..self.needs.len())
            .filter(|start| !done[*start])
            .filter_map(|start| self.back_to(start))
            .min_by_key(Vec::len)
            .unwrap_or_default()
    }

    fn back_to(&self, start: usize) -> Option<Vec<(usize, Need)>> {
        let mut paths = std::collections::VecDeque::from([(start, Vec::new())]);
        let mut seen = BTreeSet::new();
        while let Some((at, path)) = paths.pop_front() {
            for (next, need) in &self.needs[at] {
                let mut longer: Vec<(usize, Need)> = path.clone();
                longer.push((at, need.clone()));
                if *next == start {
                    return Some(longer);
                }
                if seen.insert(*next) {
                    paths.push_back((*next, longer));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(objects: usize, needs: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::new(objects);
        for (object, other) in needs {
            graph.need(*object, *other, Need::After(format!("{object}")));
        }
        graph
    }

    #[test]
    fn what_is_needed_comes_first_and_the_rest_keeps_its_order() {
        for (needs, wanted) in [
            (vec![], vec![0, 1, 2, 3]),
            (vec![(0, 3)], vec![1, 2, 3, 0]),
            (vec![(0, 2), (1, 3), (2, 1)], vec![3, 1, 2, 0]),
            (vec![(2, 2)], vec![0, 1, 2, 3]),
        ] {
            assert_eq!(graph(4, &needs).order(), Ok(wanted));
        }
    }

    #[test]
    fn the_shortest_cycle_is_named_and_nothing_that_only_leads_to_it() {
        let cycle = graph(5, &[(0, 1), (1, 2), (2, 3), (3, 1), (3, 2), (4, 0)])
            .order()
            .unwrap_err();
        assert_eq!(cycle.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn an_object_reaches_what_others_need_for_it() {
        let graph = graph(4, &[(0, 1), (1, 2)]);
        assert!(graph.reaches(0, 2));
        assert!(!graph.reaches(2, 0));
        assert!(!graph.reaches(0, 3));
    }
}
