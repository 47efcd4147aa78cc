//! The nearest neighbors of a block of queries among a block of the reference set.

use std::ops::Range;

use pulp::Arch;

use crate::Scalar;
use crate::distance::squared_distance;
use crate::duplicates::equal;
use crate::frame::{Frame, Side};

/// The up to k nearest points seen so far: by distance, then by index.
#[derive(Debug)]
pub(crate) struct Nearest {
    k: usize,
    found: Vec<(f64, u32)>,
}

impl Nearest {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, found: Vec::with_capacity(k) }
    }

    /// The distance beyond which nothing is of interest.
    fn reach(&self) -> f64 {
        if self.found.len() < self.k { f64::INFINITY } else { self.found[self.k - 1].0 }
    }

    fn offer(&mut self, distance: f64, index: u32) {
        let at = self.found.partition_point(|&(d, i)| (d, i) < (distance, index));
        if at == self.k {
            return;
        }
        if self.found.len() == self.k {
            self.found.pop();
        }
        self.found.insert(at, (distance, index));
    }

    pub(crate) fn found(&self) -> &[(f64, u32)] {
        &self.found
    }
}

/// A lower bound on a squared distance, and the reference point within its block.
type Hit = (f32, u32);

/// What a scan needs to know of queries and reference set.
#[derive(Debug)]
pub(crate) struct Scan<'a, T: Scalar> {
    pub(crate) arch: Arch,
    pub(crate) frame: &'a Frame,
    pub(crate) queries: &'a Side<'a, T>,
    pub(crate) reference: &'a Side<'a, T>,
    /// The number in the reference set of each query that is one of its points.
    pub(crate) own: Option<&'a [u32]>,
    /// Do not count points that equal the query.
    pub(crate) skip_equal: bool,
    /// Points at most that equal a query and are not counted.
    pub(crate) uncounted: usize,
}

impl<T: Scalar> Scan<'_, T> {
    /// Brings `lists`, those of `queries`, up to date with a block of `reference`. `gram` is `[queries, reference]`.
    pub(crate) fn update(&self, gram: &[f32], queries: Range<usize>, reference: Range<usize>, lists: &mut [Nearest]) {
        // Captured by the closure as one reference, so that all of it is compiled for the vector unit.
        let mut block = Block { scan: self, gram, reference, hits: Vec::new(), bounds: Vec::new() };
        self.arch.dispatch(
            #[inline(always)]
            || {
                for (row, (query, list)) in queries.zip(lists).enumerate() {
                    block.update(row, query, list);
                }
            },
        );
    }
}

struct Block<'a, T: Scalar> {
    scan: &'a Scan<'a, T>,
    gram: &'a [f32],
    reference: Range<usize>,
    hits: Vec<Hit>,
    bounds: Vec<f32>,
}

impl<T: Scalar> Block<'_, T> {
    #[inline(always)]
    fn update(&mut self, row: usize, query: usize, list: &mut Nearest) {
        let Scan { frame, queries, reference, .. } = self.scan;
        let mut limit = frame.limit(list.reach());
        self.collect(row, queries.lower[query], limit);
        if self.hits.len() > 2 * list.k + self.scan.uncounted {
            limit = limit.min(self.upper_bound(row, queries.upper[query], list.k + self.scan.uncounted));
            self.hits.retain(|&(lower, _)| lower <= limit);
        }
        // The nearest first: the limit falls fastest, and nothing after the first that is too far can matter.
        self.hits.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let own = self.scan.own.map(|own| own[query]);
        for &(lower, column) in &self.hits {
            if lower > limit {
                break;
            }
            let index = self.reference.start + column as usize;
            if own == Some(index as u32) {
                continue;
            }
            let squared = squared_distance(queries.points.row(query), reference.points.row(index));
            // Where squares underflow, points differ at distance 0: those are kept, for estimators to refuse.
            if squared == 0.0 && self.scan.skip_equal && equal(queries.points.row(query), reference.points.row(index)) {
                continue;
            }
            list.offer(squared.sqrt(), index as u32);
            limit = limit.min(frame.limit(list.reach()));
        }
    }

    /// The columns of `row` whose lower bound is within `limit`.
    #[inline(always)]
    fn collect(&mut self, row: usize, own: f32, limit: f32) {
        const CHUNK: usize = 64;
        let lower = &self.scan.reference.lower[self.reference.clone()];
        let gram = &self.gram[row * lower.len()..][..lower.len()];
        self.hits.clear();
        let bound = |lower: f32, product: f32| (own + lower) - 2.0 * product;
        for (chunk, (gram, lower)) in gram.chunks(CHUNK).zip(lower.chunks(CHUNK)).enumerate() {
            let within = |(&product, &lower)| u32::from(bound(lower, product) <= limit);
            if gram.iter().zip(lower).map(within).sum::<u32>() == 0 {
                continue;
            }
            for (at, (&product, &lower)) in gram.iter().zip(lower).enumerate() {
                let bound = bound(lower, product);
                if bound <= limit {
                    self.hits.push((bound, (chunk * CHUNK + at) as u32));
                }
            }
        }
    }

    /// An upper bound on the squared distance of the `rank`-th nearest hit, the query itself not counted.
    #[inline(always)]
    fn upper_bound(&mut self, row: usize, own: f32, rank: usize) -> f32 {
        let upper = &self.scan.reference.upper[self.reference.clone()];
        let gram = &self.gram[row * upper.len()..][..upper.len()];
        self.bounds.clear();
        self.bounds.extend(self.hits.iter().map(|&(_, at)| (own + upper[at as usize]) - 2.0 * gram[at as usize]));
        // `rank` counts from 1 and the query may be among the hits, so this is one place further than needed at most.
        *self.bounds.select_nth_unstable_by(rank, f32::total_cmp).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_keeps_the_nearest_and_the_first_of_equals() {
        let mut list = Nearest::new(2);
        for (distance, index) in [(3.0, 0), (1.0, 9), (1.0, 4), (1.0, 7), (2.0, 1)] {
            list.offer(distance, index);
        }
        assert_eq!(list.found(), [(1.0, 4), (1.0, 7)]);
        assert_eq!(list.reach(), 1.0);
    }
}
