use thiserror::Error;

/// Why data, a setting or a neighbor table was refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum IdError {
    /// There is no row or no column.
    #[error("points must have at least 1 row and 1 column, got {n} x {dim}")]
    Empty {
        /// Rows.
        n: usize,
        /// Columns.
        dim: usize,
    },
    /// The values do not fill the rows.
    #[error("{n} rows of {dim} columns need {} values, got {len}", .n * .dim)]
    Length {
        /// Rows.
        n: usize,
        /// Columns.
        dim: usize,
        /// Values given.
        len: usize,
    },
    /// Rows differ in length.
    #[error("every row must have the {expected} columns of the first, row {row} has {found}")]
    Ragged {
        /// The first row that differs.
        row: usize,
        /// Columns of row 0.
        expected: usize,
        /// Columns of this row.
        found: usize,
    },
    /// A value is NaN, infinite or too large to be squared.
    #[error("values must be finite and at most 1e150 in size, got {value} in row {row}, column {column}")]
    NotFinite {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// Fewer than three distinct points.
    #[error("at least 3 distinct points are needed, got {0}")]
    TooFewPoints(usize),
    /// All points coincide.
    #[error("all {0} points are equal, so there is no distance to measure")]
    Constant(usize),
    /// The points lie too close together for squares of their differences.
    #[error("the largest deviation from the mean is {0:e}, squares of less than 1e-140 vanish; scale the data up")]
    TooSmall(f64),
    /// Some rows are equal, under a policy that does not allow it.
    #[error(
        "{count} of {n} points are copies of an earlier one (first: {second} of {first}); remove them or choose another \
         policy than Duplicates::Error"
    )]
    Duplicates {
        /// Rows that equal an earlier row.
        count: usize,
        /// Rows.
        n: usize,
        /// A row that has a copy.
        first: usize,
        /// Its copy.
        second: usize,
    },
    /// Points at distance 0 where an estimator takes logarithms.
    #[error(
        "points with a neighbor at distance 0, whose logarithm is not finite: {0}; search with Duplicates::Remove or Duplicates::Skip"
    )]
    ZeroDistance(usize),
    /// All the neighbors used of some points are equally far, which makes their estimates infinite.
    #[error(
        "points with all the neighbors used at one distance, which makes the estimate infinite: {0}; use a larger k or the \
         inverse mean, and check that the data do not lie on a grid"
    )]
    Ties(usize),
    /// More neighbors than there are other points.
    #[error("k must be below the number of distinct points, got k = {k} with {n} points; use k <= {}", .n.saturating_sub(1))]
    KTooLarge {
        /// Neighbors asked for.
        k: usize,
        /// Points to find them among.
        n: usize,
    },
    /// Too few neighbors for the estimator.
    #[error("k must be at least {least} here, got {k}")]
    KTooSmall {
        /// Neighbors asked for.
        k: usize,
        /// The least that work.
        least: usize,
    },
    /// The table has fewer neighbors than the estimator reads.
    #[error("the estimator reads {wanted} neighbors and the table has {k}; search with k >= {wanted}")]
    TableTooNarrow {
        /// Neighbors the estimator reads.
        wanted: usize,
        /// Neighbors in the table.
        k: usize,
    },
    /// The table has distances and no indices.
    #[error("this needs to know which points the neighbors are; build the table by a search or with indices")]
    NoIndices,
    /// The table's rows are not the points of its reference set.
    #[error("this needs a row for every point of the reference set, the table has {rows} rows for {n} points")]
    NotAllPoints {
        /// Rows of the table.
        rows: usize,
        /// Points of the reference set.
        n: usize,
    },
    /// The table was not made from these points.
    #[error("the table's reference set has {table} points, the points given are {points}; give those it was made from")]
    OtherPoints {
        /// Points of the table's reference set.
        table: usize,
        /// Points given.
        points: usize,
    },
    /// Queries and reference set differ in dimension.
    #[error("queries must have the {reference} columns of the reference set, got {queries}")]
    Columns {
        /// Columns of the reference set.
        reference: usize,
        /// Columns of the queries.
        queries: usize,
    },
    /// An index points outside.
    #[error("index {index} is not below the number of points, {n}")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// Points.
        n: usize,
    },
    /// A precomputed table is not one of nearest neighbors.
    #[error("row {row} of the table {problem}")]
    InvalidTable {
        /// The first row at fault.
        row: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A setting is out of its range.
    #[error("{name} must be {rule}, got {value}")]
    InvalidSetting {
        /// Name of the setting.
        name: &'static str,
        /// What it has to be.
        rule: &'static str,
        /// What it is.
        value: f64,
    },
    /// The neighbor graph falls apart.
    #[error(
        "the graph of {k} neighbors is disconnected: its largest component has {largest} of {n} points; use a larger k, or \
         lower min_component to work on that component"
    )]
    Disconnected {
        /// Neighbors of each point in the graph.
        k: usize,
        /// Points in the largest component.
        largest: usize,
        /// Points.
        n: usize,
    },
    /// The most frequent graph distance cannot be that of a manifold.
    #[error(
        "the most frequent graph distance, {mode}, must be near the mean, {mean}, and above the longest edge, \
         {longest_edge}; use more points, a smaller k or other bins"
    )]
    NoMode {
        /// The most frequent distance.
        mode: f64,
        /// The mean distance.
        mean: f64,
        /// The longest edge of the graph.
        longest_edge: f64,
    },
    /// The distribution of graph distances has no usable flank.
    #[error(
        "{bins} bins are left of the mode of the graph distances, {least} are needed; the distribution is flat or too \
         coarse (a closed curve has no mode): use more points, more bins or another estimator"
    )]
    FlatDistances {
        /// Bins that could be used.
        bins: usize,
        /// Bins needed.
        least: usize,
    },
    /// An eigenvalue routine did not converge.
    #[error("the eigenvalues of a covariance matrix did not converge")]
    Eigenvalues,
    /// Threads could not be started.
    #[error("could not start {0} threads")]
    Threads(usize),
    /// A tensor could not be read from its device.
    #[cfg(feature = "burn")]
    #[error("a tensor could not be read from its device: {0}")]
    Device(String),
    /// An integer of a tensor has no equal in `f32`.
    #[cfg(feature = "burn")]
    #[error(
        "integers must be at most 2^24 in size to be `f32` exactly, got {value} in row {row}, column {column}; make a float tensor of them"
    )]
    NotExact {
        /// Row of the first such value.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A device multiplies in a way that says nothing about distances.
    #[cfg(feature = "burn")]
    #[error(
        "this device's products have {found:e} for {expected:e} {at}, and candidates can be told only where sums are \
         those of `f32`; search on the CPU, without `on`, or on another device"
    )]
    Products {
        /// Which product.
        at: &'static str,
        /// What it is, up to the rounding that is allowed for.
        expected: f64,
        /// What the device gave.
        found: f64,
    },
    /// Layers whose input was not seen.
    #[cfg(feature = "burn")]
    #[error(
        "no input of {} was seen: call them by `Layer::run`, take `capture_layers` (feature `capture`), or leave them out by \
         `LayerFeatures::of`", .0.join(", ")
    )]
    Unseen(Vec<String>),
    /// No layer is left to look at.
    #[cfg(feature = "burn")]
    #[error(
        "the model has no layer that was chosen and gets an input; `LayerFeatures::new` takes every Linear, Conv1d and Conv2d"
    )]
    NoLayers,
    /// A layer's input has no row for each sample.
    #[cfg(feature = "burn")]
    #[error(
        "the first dimension of a layer's input must be the {samples} samples of the batch, got {shape:?}; do not fold other \
         dimensions into it, or leave the layer out"
    )]
    NotSamples {
        /// Samples of the batch.
        samples: usize,
        /// Shape of the input.
        shape: Vec<usize>,
    },
    /// A layer got inputs of several sizes.
    #[cfg(feature = "burn")]
    #[error(
        "points must have the {expected} columns of the batches before, got {found}; use one size of images or sequences, or \
         `Positions::Mean`"
    )]
    Positions {
        /// Columns of the batches before.
        expected: usize,
        /// Columns of this batch.
        found: usize,
    },
    /// What is wrong with one of the layers.
    #[cfg(feature = "burn")]
    #[error("layer {path}: {error}")]
    Layer {
        /// Path of the layer in the model.
        path: String,
        /// What is wrong.
        error: Box<IdError>,
    },
}

/// `value` if `valid`, else the error that names the setting and its rule.
pub(crate) fn setting(name: &'static str, rule: &'static str, value: f64, valid: bool) -> Result<(), IdError> {
    if valid { Ok(()) } else { Err(IdError::InvalidSetting { name, rule, value }) }
}
