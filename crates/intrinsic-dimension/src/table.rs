use crate::IdError;

/// Distances whose ratios are finite.
const DISTANCES: std::ops::RangeInclusive<f64> = 1e-150..=1e150;

/// The k nearest neighbors of each point: distances ascending, points themselves not among them, equals by index.
///
/// Made by [`Knn`](crate::Knn) or from arrays, and read by every estimator. A row may be an anchor or a query; the
/// neighbors come from the whole reference set. Points are numbered as the rows they were given in, also where
/// copies have been removed.
///
/// ```
/// use rekindle_intrinsic_dimension::{KnnTable, Mle};
///
/// // One point with neighbors at 1, 2 and 4.
/// let table = KnnTable::from_distances(vec![1.0, 2.0, 4.0], 3)?;
/// assert!((Mle::new().fit(&table)?.dimension - 0.961797).abs() < 1e-6);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KnnTable {
    pub(crate) dist: Vec<f64>,
    /// Empty if only distances are known.
    pub(crate) idx: Vec<u32>,
    pub(crate) k: usize,
    /// The point of each row; `None`: queries from elsewhere.
    pub(crate) rows: Option<Vec<usize>>,
    /// The points that neighbors come from, ascending.
    pub(crate) reference: Vec<usize>,
    /// Points given, copies included.
    pub(crate) n_points: usize,
    /// Points that equal an earlier one, left out or not.
    pub(crate) n_duplicates: usize,
}

impl KnnTable {
    /// From the distances and indices of all points, `[n, k]` each, row after row: row i is that of point i.
    ///
    /// # Errors
    ///
    /// [`IdError::KTooSmall`] for k = 0, [`IdError::Length`] if the arrays do not hold n rows of k,
    /// [`IdError::KTooLarge`] unless k < n, [`IdError::InvalidTable`] for a distance that is neither 0 nor between
    /// 1e-150 and 1e150, distances that descend, an index that is out of range, repeated or the point's own.
    pub fn from_arrays(dist: Vec<f64>, idx: Vec<u32>, k: usize) -> Result<Self, IdError> {
        let n = dist.len().checked_div(k).unwrap_or(0);
        Self::checked(dist, idx, k, (0..n).collect(), n)
    }

    /// From the distances and indices of some points, `anchors`, among `n_points`.
    ///
    /// # Errors
    ///
    /// As [`from_arrays`](Self::from_arrays), and [`IdError::IndexOutOfRange`] for an anchor that is no point.
    pub fn from_anchor_arrays(
        dist: Vec<f64>,
        idx: Vec<u32>,
        k: usize,
        anchors: Vec<usize>,
        n_points: usize,
    ) -> Result<Self, IdError> {
        if let Some(&index) = anchors.iter().find(|&&anchor| anchor >= n_points) {
            return Err(IdError::IndexOutOfRange { index, n: n_points });
        }
        Self::checked(dist, idx, k, anchors, n_points)
    }

    /// From distances alone, `[n, k]`. Estimators that have to know who the neighbors are refuse such a table.
    ///
    /// # Errors
    ///
    /// As [`from_arrays`](Self::from_arrays).
    pub fn from_distances(dist: Vec<f64>, k: usize) -> Result<Self, IdError> {
        let n = dist.len().checked_div(k).unwrap_or(0);
        check_lengths(dist.len(), n, k)?;
        check_distances(&dist, k)?;
        Ok(Self { dist, idx: Vec::new(), k, rows: None, reference: Vec::new(), n_points: n, n_duplicates: 0 })
    }

    fn checked(dist: Vec<f64>, idx: Vec<u32>, k: usize, rows: Vec<usize>, n: usize) -> Result<Self, IdError> {
        check_lengths(dist.len(), rows.len(), k)?;
        check_lengths(idx.len(), rows.len(), k)?;
        if k >= n {
            return Err(IdError::KTooLarge { k, n });
        }
        check_distances(&dist, k)?;
        for (row, (idx, &point)) in idx.chunks(k).zip(&rows).enumerate() {
            let invalid = |problem| Err(IdError::InvalidTable { row, problem });
            let mut sorted = idx.to_vec();
            sorted.sort_unstable();
            if sorted[k - 1] as usize >= n {
                return invalid("has an index that is not below the number of points");
            }
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                return invalid("names a neighbor twice");
            }
            if sorted.binary_search(&(point as u32)).is_ok() {
                return invalid("names the point itself; leave it out of its neighbors");
            }
        }
        Ok(Self { dist, idx, k, rows: Some(rows), reference: (0..n).collect(), n_points: n, n_duplicates: 0 })
    }

    /// Rows.
    #[must_use]
    pub fn n(&self) -> usize {
        self.dist.len() / self.k
    }

    /// Neighbors in a row.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Points among which neighbors were looked for; 0 if only distances are known.
    #[must_use]
    pub fn n_reference(&self) -> usize {
        self.reference.len()
    }

    /// Points of the reference set that equal an earlier one, whatever became of them; 0 for a table from arrays, which
    /// does not know the points.
    #[must_use]
    pub fn n_duplicates(&self) -> usize {
        self.n_duplicates
    }

    /// Distances of row `i`, ascending.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`n`](Self::n).
    #[must_use]
    pub fn distances(&self, i: usize) -> &[f64] {
        &self.dist[i * self.k..(i + 1) * self.k]
    }

    /// The neighbors of row `i`, nearest first, if they are known.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`n`](Self::n).
    #[must_use]
    pub fn neighbors(&self, i: usize) -> Option<&[u32]> {
        assert!(i < self.n(), "row {i} of {}", self.n());
        self.idx.get(i * self.k..(i + 1) * self.k)
    }

    /// The point that row `i` belongs to; `None` for queries from elsewhere and tables of distances.
    #[must_use]
    pub fn point(&self, i: usize) -> Option<usize> {
        self.rows.as_ref().map(|rows| rows[i])
    }

    /// All distances, `[n, k]`.
    #[must_use]
    pub fn all_distances(&self) -> &[f64] {
        &self.dist
    }

    /// All neighbors, `[n, k]`; empty if only distances are known.
    #[must_use]
    pub fn all_neighbors(&self) -> &[u32] {
        &self.idx
    }

    /// Refuses a table whose rows hold fewer than `wanted` neighbors.
    pub(crate) fn require(&self, wanted: usize) -> Result<(), IdError> {
        if wanted <= self.k { Ok(()) } else { Err(IdError::TableTooNarrow { wanted, k: self.k }) }
    }

    pub(crate) fn require_indices(&self) -> Result<(), IdError> {
        if self.idx.is_empty() { Err(IdError::NoIndices) } else { Ok(()) }
    }

    /// Refuses points that the table was not made from.
    pub(crate) fn require_points(&self, n: usize) -> Result<(), IdError> {
        self.require_indices()?;
        if n == self.n_points { Ok(()) } else { Err(IdError::OtherPoints { table: self.n_points, points: n }) }
    }

    /// Refuses zero distances.
    pub(crate) fn require_positive(&self) -> Result<(), IdError> {
        let zeros = self.dist.chunks(self.k).filter(|row| row[0] == 0.0).count();
        if zeros == 0 { Ok(()) } else { Err(IdError::ZeroDistance(zeros)) }
    }
}

fn check_lengths(len: usize, n: usize, k: usize) -> Result<(), IdError> {
    if k == 0 {
        return Err(IdError::KTooSmall { k, least: 1 });
    }
    if n == 0 {
        return Err(IdError::Empty { n, dim: k });
    }
    if n.checked_mul(k) == Some(len) { Ok(()) } else { Err(IdError::Length { n, dim: k, len }) }
}

fn check_distances(dist: &[f64], k: usize) -> Result<(), IdError> {
    for (row, dist) in dist.chunks(k).enumerate() {
        let invalid = |problem| Err(IdError::InvalidTable { row, problem });
        if dist.iter().any(|d| *d != 0.0 && !DISTANCES.contains(d)) {
            return invalid("has a distance that is neither 0 nor between 1e-150 and 1e150");
        }
        if dist.windows(2).any(|pair| pair[0] > pair[1]) {
            return invalid("has distances that do not ascend");
        }
    }
    Ok(())
}
