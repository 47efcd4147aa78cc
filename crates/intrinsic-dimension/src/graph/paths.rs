use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::KnnTable;

/// The undirected graph that joins each point with its nearest neighbors.
#[derive(Debug)]
pub(crate) struct Graph {
    edges: Vec<Vec<(u32, f64)>>,
    /// Length of the longest edge.
    pub(crate) longest: f64,
}

impl Graph {
    pub(crate) fn new(table: &KnnTable, k: usize) -> Self {
        let mut edges = vec![Vec::new(); table.n()];
        let mut longest = 0.0_f64;
        for row in 0..table.n() {
            let neighbors = table.neighbors(row).expect("the caller saw that there are indices");
            for (&point, &length) in neighbors.iter().zip(table.distances(row)).take(k) {
                let other =
                    table.reference.binary_search(&(point as usize)).expect("neighbors are of the reference set");
                edges[row].push((other as u32, length));
                edges[other].push((row as u32, length));
                longest = longest.max(length);
            }
        }
        Self { edges, longest }
    }

    /// The points of the largest component, ascending; the first of equals.
    pub(crate) fn largest_component(&self) -> Vec<u32> {
        let mut seen = vec![false; self.edges.len()];
        let mut largest = Vec::new();
        for start in 0..self.edges.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut component = vec![start as u32];
            let mut next = 0;
            while next < component.len() {
                for &(other, _) in &self.edges[component[next] as usize] {
                    if !std::mem::replace(&mut seen[other as usize], true) {
                        component.push(other);
                    }
                }
                next += 1;
            }
            if component.len() > largest.len() {
                largest = component;
            }
        }
        largest.sort_unstable();
        largest
    }

    /// Lengths of the shortest paths from `source` to all points (Dijkstra).
    fn distances(&self, source: u32) -> Vec<f64> {
        let mut distances = vec![f64::INFINITY; self.edges.len()];
        distances[source as usize] = 0.0;
        let mut queue = BinaryHeap::from([Reached { distance: 0.0, point: source }]);
        while let Some(Reached { distance, point }) = queue.pop() {
            if distance > distances[point as usize] {
                continue;
            }
            for &(other, length) in &self.edges[point as usize] {
                let through = distance + length;
                if through < distances[other as usize] {
                    distances[other as usize] = through;
                    queue.push(Reached { distance: through, point: other });
                }
            }
        }
        distances
    }
}

/// A point at the end of a path; the greatest is the nearest, for the heap.
#[derive(Debug, PartialEq)]
struct Reached {
    distance: f64,
    point: u32,
}

impl Eq for Reached {}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        other.distance.total_cmp(&self.distance).then(other.point.cmp(&self.point))
    }
}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The distribution of the distances between all pairs of points of a component.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) centers: Vec<f64>,
    pub(crate) counts: Vec<u64>,
    pub(crate) width: f64,
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    /// The longest edge: below it a path is a single edge, and its length no geodesic.
    pub(crate) longest_edge: f64,
}

impl Histogram {
    /// Paths are computed twice, first for their range: distances of all pairs would need O(n²) memory.
    pub(crate) fn new(graph: &Graph, component: &[u32], n_bins: usize) -> Self {
        let later = |at: usize| {
            let distances = graph.distances(component[at]);
            component[at + 1..].iter().map(|&other| distances[other as usize]).collect::<Vec<_>>()
        };
        let of_point = |at| {
            let start = (f64::INFINITY, 0.0_f64, 0.0, 0.0);
            later(at)
                .iter()
                .fold(start, |(low, high, sum, squares), d| (d.min(low), d.max(high), sum + d, squares + d * d))
        };
        let parts: Vec<_> = (0..component.len()).into_par_iter().map(of_point).collect();
        // In the order of the points, so that sums do not depend on threads.
        let (low, high, sum, squares) = parts.into_iter().fold((f64::INFINITY, 0.0_f64, 0.0, 0.0), |all, part| {
            (part.0.min(all.0), part.1.max(all.1), all.2 + part.2, all.3 + part.3)
        });
        let pairs = (component.len() * (component.len() - 1) / 2) as f64;
        let width = (high - low) / n_bins as f64;
        let count = |mut counts: Vec<u64>, at| {
            for distance in later(at) {
                counts[(((distance - low) / width) as usize).min(n_bins - 1)] += 1;
            }
            counts
        };
        let add = |mut a: Vec<u64>, b: Vec<u64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        let zeros = || vec![0; n_bins];
        Self {
            counts: (0..component.len()).into_par_iter().fold(zeros, count).reduce(zeros, add),
            centers: (0..n_bins).map(|bin| low + (bin as f64 + 0.5) * width).collect(),
            width,
            mean: sum / pairs,
            deviation: (squares / pairs - (sum / pairs).powi(2)).max(0.0).sqrt(),
            longest_edge: graph.longest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, Points};

    #[test]
    fn paths_on_a_line_add_up() {
        let table = Knn::new(1).search(&Points::new(&[0.0, 1.0, 2.5, 4.5, 5.0], 5, 1).unwrap()).unwrap();
        let graph = Graph::new(&table, 1);
        assert_eq!(graph.distances(0), [0.0, 1.0, 2.5, f64::INFINITY, f64::INFINITY]);
        assert_eq!(graph.largest_component(), [0, 1, 2]);
        let histogram = Histogram::new(&graph, &[0, 1, 2], 3);
        assert_eq!(histogram.counts, [1, 1, 1]);
        assert_eq!((histogram.width, histogram.longest_edge), (0.5, 1.5));
        assert!((histogram.mean - 5.0 / 3.0).abs() < 1e-12);
    }
}
