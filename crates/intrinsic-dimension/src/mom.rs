use crate::{Aggregate, Estimate, IdError, KnnTable};

/// The method of moments (Amsaleg et al. 2018).
///
/// In locally uniform data of dimension m, T_j / T_k for j < k has the mean m/(m+1). With T̄ the mean distance to the
/// first k - 1 neighbors, m(x) = T̄ / (T_k - T̄).
///
/// ```
/// use rekindle_intrinsic_dimension::{KnnTable, Mom};
///
/// let table = KnnTable::from_distances(vec![1.0, 2.0, 4.0], 3)?;
/// assert_eq!(Mom::new().fit(&table)?.dimension, 1.5 / 2.5);
/// # Ok::<(), rekindle_intrinsic_dimension::IdError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mom {
    k: Option<usize>,
    aggregate: Aggregate,
    with_kth: bool,
}

impl Mom {
    /// All neighbors of the table, inverse mean.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Neighbors to use. Default all in the table.
    #[must_use]
    pub fn with_k(self, k: usize) -> Self {
        Self { k: Some(k), ..self }
    }

    /// Default [`Aggregate::InverseMean`].
    #[must_use]
    pub fn with_aggregate(self, aggregate: Aggregate) -> Self {
        Self { aggregate, ..self }
    }

    /// Let T̄ include T_k itself, as scikit-dimension does. That adds about (m+1)/(k-1) to the estimate. Default off.
    #[must_use]
    pub fn with_kth(self, with_kth: bool) -> Self {
        Self { with_kth, ..self }
    }

    /// The dimension of the rows of `table`.
    ///
    /// # Errors
    ///
    /// [`IdError::KTooSmall`] for k below 2, [`IdError::TableTooNarrow`], [`IdError::ZeroDistance`], [`IdError::Ties`] if the estimate is infinite.
    pub fn fit(&self, table: &KnnTable) -> Result<Estimate, IdError> {
        let k = self.k.unwrap_or(table.k());
        if k < 2 {
            return Err(IdError::KTooSmall { k, least: 2 });
        }
        table.require(k)?;
        table.require_positive()?;
        let inverse = |row| {
            let distances = &table.distances(row)[..k];
            let last = distances[k - 1];
            let counted = if self.with_kth { k } else { k - 1 };
            let gap: f64 = distances.iter().map(|distance| last - distance).sum();
            gap / distances[..counted].iter().sum::<f64>()
        };
        Estimate::of_inverses((0..table.n()).map(inverse).collect(), self.aggregate)
    }
}
