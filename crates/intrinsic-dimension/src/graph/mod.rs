mod fit;
mod paths;

use crate::error::setting;
use crate::{IdError, KnnTable};

/// The estimator from distances along the neighbor graph (Granata and Carnevale 2016).
///
/// Shortest paths in the graph of the k nearest neighbors stand for geodesics. Left of their most frequent length r_max
/// the distances of any manifold are taken to be distributed as on a sphere, p(r) ∝ sin^(m-1)(π r / (2 r_max)), and m is
/// fitted to the histogram. r_max and the width of the flank come from parabolas through the log counts.
///
/// Time is O(n² log n) and more: some thousand points at most. The authors' code of the paper draws 1,000 at random;
/// here subsample with [`Points::select`](crate::Points::select) if needed.
///
/// ```
/// use rekindle_intrinsic_dimension::{GraphDistances, Knn, data};
///
/// let table = Knn::new(4).search(&data::fibonacci_sphere(1500)?)?;
/// let graph = GraphDistances::new().fit(&table, 3)?;
/// assert!((graph.dimension - 2.0).abs() < 0.2);
/// assert_eq!(graph.integer, 2);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphDistances {
    k: Option<usize>,
    bins: usize,
    min_component: f64,
}

/// A dimension from graph distances.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphDimension {
    /// From least squares ("D_fit").
    pub dimension: f64,
    /// The integer between 1 and the columns of the data with the smallest residual ("D_min").
    pub integer: usize,
    /// The most frequent distance, refined.
    pub r_max: f64,
    /// The bins fitted: centers and counts of pairs.
    pub bins: Vec<(f64, u64)>,
    /// Points of the component that distances were measured in.
    pub n_connected: usize,
}

impl Default for GraphDistances {
    fn default() -> Self {
        Self { k: None, bins: 50, min_component: 1.0 }
    }
}

impl GraphDistances {
    /// All neighbors of the table, 50 bins, a connected graph.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Neighbors that each point is joined to. The paper's code has 3. Default all in the table.
    #[must_use]
    pub fn with_k(self, k: usize) -> Self {
        Self { k: Some(k), ..self }
    }

    /// Bins of the histogram. Default 50.
    #[must_use]
    pub fn with_bins(self, bins: usize) -> Self {
        Self { bins, ..self }
    }

    /// Share of the points that the largest component must have; the others are left out. Default 1.
    ///
    /// The authors go on with more than one half.
    #[must_use]
    pub fn with_min_component(self, share: f64) -> Self {
        Self { min_component: share, ..self }
    }

    /// The dimension of the graph of `table`; `dim` is the number of columns of the data.
    ///
    /// # Errors
    ///
    /// [`IdError::NoIndices`], [`IdError::NotAllPoints`], [`IdError::TableTooNarrow`], [`IdError::InvalidSetting`];
    /// [`IdError::Disconnected`]; [`IdError::NoMode`] or [`IdError::FlatDistances`] if the histogram has no flank to fit.
    pub fn fit(&self, table: &KnnTable, dim: usize) -> Result<GraphDimension, IdError> {
        let k = self.k.unwrap_or(table.k());
        setting("k", "at least 1", k as f64, k >= 1)?;
        setting("bins", "at least 8", self.bins as f64, self.bins >= 8)?;
        let share = self.min_component;
        setting("min_component", "above 0 and at most 1", share, share > 0.0 && share <= 1.0)?;
        setting("dim", "at least 1", dim as f64, dim >= 1)?;
        table.require_indices()?;
        table.require(k)?;
        if table.rows.as_ref() != Some(&table.reference) {
            return Err(IdError::NotAllPoints { rows: table.n(), n: table.n_reference() });
        }
        let graph = paths::Graph::new(table, k);
        let component = graph.largest_component();
        let (largest, n) = (component.len(), table.n());
        if (largest as f64) < share * n as f64 {
            return Err(IdError::Disconnected { k, largest, n });
        }
        let histogram = paths::Histogram::new(&graph, &component, self.bins);
        let fit = fit::Flank::find(&histogram)?;
        let slope = fit.slope();
        Ok(GraphDimension {
            dimension: slope + 1.0,
            // The residual is a parabola in m, so its best integer is the nearest.
            integer: slope.round().clamp(0.0, (dim - 1) as f64) as usize + 1,
            r_max: fit.r_max,
            bins: fit.bins,
            n_connected: largest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Knn, Points, data};

    /// The values of the authors' recipe on the same points, from its steps in NumPy and SciPy; k = 3..8.
    #[test]
    fn the_two_sphere_gives_the_values_of_the_authors_recipe() {
        let table = Knn::new(8).search(&data::fibonacci_sphere(1500).unwrap()).unwrap();
        for (k, expected) in (3..=8).zip([2.075, 2.122, 2.064, 2.065, 2.067, 2.065]) {
            let graph = GraphDistances::new().with_k(k).fit(&table, 3).unwrap();
            assert!((graph.dimension - expected).abs() < 0.001, "k = {k}: {} != {expected}", graph.dimension);
            assert_eq!((graph.integer, graph.n_connected), (2, 1500));
        }
    }

    #[test]
    fn a_random_five_sphere_has_dimension_six_by_this_estimator() {
        // The authors' recipe gives 5.2 to 6.3 over five seeds and k = 3..8.
        let table = Knn::new(8).search(&data::sphere(1000, 5, 0).unwrap()).unwrap();
        for k in [3, 4, 5, 6, 8] {
            let graph = GraphDistances::new().with_k(k).fit(&table, 6).unwrap();
            assert!(5.2 < graph.dimension && graph.dimension < 6.4, "k = {k}: {}", graph.dimension);
            assert_eq!(graph.integer, (graph.dimension.round() as usize).min(6), "k = {k}");
        }
    }

    #[test]
    fn a_circle_has_no_mode() {
        let angle = |i: u32| f64::from(i) * std::f64::consts::TAU / 600.0;
        let circle: Vec<f64> = (0..600).map(angle).flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let table = Knn::new(4).search(&Points::new(&circle, 600, 2).unwrap()).unwrap();
        for k in [2, 3, 4] {
            let error = GraphDistances::new().with_k(k).fit(&table, 2).err();
            assert!(matches!(error, Some(IdError::FlatDistances { .. } | IdError::NoMode { .. })), "{error:?}");
        }
    }

    #[test]
    fn a_graph_in_pieces_is_refused() {
        let line: Vec<f64> = (0..20).map(|i| f64::from(i) + if i < 8 { 0.0 } else { 100.0 }).collect();
        let table = Knn::new(2).search(&Points::new(&line, 20, 1).unwrap()).unwrap();
        let refused = Some(IdError::Disconnected { k: 2, largest: 12, n: 20 });
        assert_eq!(GraphDistances::new().fit(&table, 1).err(), refused);
    }
}
