#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bootstrap;
mod correlation;
mod curve;
pub mod data;
mod distance;
mod duplicates;
mod engine;
mod error;
mod estimate;
mod frame;
mod geo_mle;
mod graph;
mod gride;
mod knn;
mod mle;
mod mom;
mod nearest;
mod pca;
mod points;
mod spectrum;
mod table;
#[cfg(feature = "burn")]
mod tensor;
mod two_nn;

pub use bootstrap::{Bootstrap, Interval};
pub use correlation::{Correlation, CorrelationIntegral, count_pairs};
pub use curve::{Curve, CurvePoint};
pub use duplicates::Duplicates;
pub use error::IdError;
pub use estimate::{Aggregate, Estimate};
pub use geo_mle::GeoMle;
pub use graph::{GraphDimension, GraphDistances};
pub use gride::Gride;
pub use knn::{Knn, Progress};
pub use mle::{Mle, Normalizer};
pub use mom::Mom;
pub use pca::{LocalPca, Pca, Spectrum};
pub use points::{Points, Scalar};
pub use spectrum::SpectrumRule;
pub use table::KnnTable;
#[cfg(feature = "burn")]
pub use tensor::{DeviceKnn, LayerFeatures, Positions};
pub use two_nn::{TwoNn, TwoNnMethod};
