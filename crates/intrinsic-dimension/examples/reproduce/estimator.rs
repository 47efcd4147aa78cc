//! The estimators by name, and the neighbors that each needs.

use rekindle_intrinsic_dimension::{
    Aggregate, Bootstrap, CorrelationIntegral, Duplicates, Estimate, GeoMle, GraphDistances, Gride, IdError, Knn,
    KnnTable, LocalPca, Mle, Mom, Normalizer, Pca, Points, Scalar, SpectrumRule, TwoNn,
};
use serde::{Deserialize, Serialize};

/// Neighbors of a local PCA.
const LOCAL_K: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Estimator {
    Mle {
        k: usize,
        normalizer: Divisor,
        mean: Mean,
    },
    /// Without the largest ratios, this share of them and one at least.
    TwoNn {
        discard: f64,
    },
    Gride {
        n1: usize,
        n2: usize,
    },
    GeoMle {
        relative_radii: bool,
    },
    Mom {
        k: usize,
    },
    CorrelationIntegral,
    GraphDistances {
        k: usize,
    },
    LocalPca,
    Pca {
        share: f64,
    },
}

/// What the sum of k - 1 logarithms is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Divisor {
    #[serde(rename = "k-1")]
    KMinus1,
    #[serde(rename = "k-2")]
    KMinus2,
}

/// What is averaged over the points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mean {
    Inverses,
    Dimensions,
}

/// A dimension, with its bootstrap interval where there are terms to resample.
pub(crate) struct Fit {
    pub(crate) dimension: f64,
    pub(crate) interval: Option<[f64; 2]>,
}

impl Estimator {
    /// The MLE as it should be.
    pub(crate) fn mle(k: usize) -> Self {
        Self::Mle { k, normalizer: Divisor::KMinus1, mean: Mean::Inverses }
    }

    /// As scikit-dimension has it.
    pub(crate) fn two_nn() -> Self {
        Self::TwoNn { discard: 0.1 }
    }

    pub(crate) fn fit<T: Scalar>(self, points: &Points<'_, T>, seed: u64) -> Result<Fit, IdError> {
        let table = |k| Knn::new(k).with_duplicates(Duplicates::Remove).search(points);
        let alone = |dimension| Ok(Fit { dimension, interval: None });
        match self {
            Self::Mle { k, normalizer, mean } => with_interval(&mle(&table(k)?, normalizer, mean)?, seed),
            Self::TwoNn { discard } => with_interval(&TwoNn::new().with_discard(discard).fit(&table(2)?)?, seed),
            Self::Gride { n1, n2 } => with_interval(&Gride::new(n1, n2).fit(&table(n2)?)?, seed),
            Self::GeoMle { relative_radii } => {
                let geo_mle = GeoMle::new().with_relative_radii(relative_radii).with_seed(seed);
                with_interval(&geo_mle.fit(&table(geo_mle.required_k(points.n()))?)?, seed)
            }
            Self::Mom { k } => with_interval(&Mom::new().fit(&table(k)?)?, seed),
            Self::LocalPca => {
                let local = LocalPca::new(SpectrumRule::FukunagaOlsen { alpha: 0.05 });
                with_interval(&local.fit(points, &table(LOCAL_K)?)?, seed)
            }
            Self::CorrelationIntegral => alone(CorrelationIntegral::new().fit(points, &table(20)?)?.dimension),
            Self::GraphDistances { k } => {
                // As the authors: the component of more than half of the points will do.
                let graph = GraphDistances::new().with_min_component(0.5);
                alone(graph.fit(&table(k)?, points.dim())?.dimension)
            }
            Self::Pca { share } => alone(Pca::new(SpectrumRule::Variance { share }).fit(points)?.dimension),
        }
    }
}

fn mle(table: &KnnTable, normalizer: Divisor, mean: Mean) -> Result<Estimate, IdError> {
    let normalizer = match normalizer {
        Divisor::KMinus1 => Normalizer::KMinus1,
        Divisor::KMinus2 => Normalizer::KMinus2,
    };
    let aggregate = match mean {
        Mean::Inverses => Aggregate::InverseMean,
        Mean::Dimensions => Aggregate::Mean,
    };
    Mle::new().with_normalizer(normalizer).with_aggregate(aggregate).fit(table)
}

fn with_interval(estimate: &Estimate, seed: u64) -> Result<Fit, IdError> {
    let interval = estimate.interval(&Bootstrap::new().with_reps(200).with_seed(seed))?;
    Ok(Fit { dimension: estimate.dimension, interval: Some([interval.low, interval.high]) })
}
