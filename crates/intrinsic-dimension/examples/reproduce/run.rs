//! A cell: an estimate of points or images, or a learner of images, drawn or of data sets.

use std::collections::BTreeMap;

use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, CellConfig, Results};
use rekindle_shared::backend;
use serde::{Deserialize, Serialize};

use crate::estimator::Estimator;
use crate::labels;
use crate::learner::Learner;
use crate::pairs::Pairs;
use crate::real::{self, Part};
use crate::samples::{Images, Samples};
use crate::sets::DataSet;

/// Test images of a learner.
const N_TEST: usize = 1000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub(crate) enum Config {
    Estimate {
        samples: Samples,
        n: usize,
        estimator: Estimator,
        /// What the estimate is compared with.
        d: usize,
        /// The same estimator with k = 3 on the same points gives the growth since k = 3.
        from: Option<Estimator>,
    },
    Learn {
        images: Images,
        n: usize,
        learner: Learner,
    },
    /// The maximum likelihood estimates of images of a data set.
    Images(real::Images),
    /// Another estimator on them.
    Other {
        part: Part,
        estimator: Estimator,
    },
    /// A network that learns two classes of a data set.
    Pairs(Pairs),
}

impl Config {
    pub(crate) fn estimate(samples: Samples, n: usize, estimator: Estimator, d: usize) -> Self {
        Self::Estimate { samples, n, estimator, d, from: None }
    }

    /// What is read; none for drawn data.
    fn data_set(&self) -> Option<DataSet> {
        match self {
            Self::Estimate { .. } | Self::Learn { .. } => None,
            Self::Images(images) => Some(images.part.set),
            Self::Other { part, .. } => Some(part.set),
            Self::Pairs(pairs) => Some(pairs.set),
        }
    }

    /// About in seconds.
    fn cost(&self) -> f64 {
        match self {
            Self::Estimate { .. } | Self::Learn { .. } => 0.1,
            Self::Pairs(_) => 20.0,
            Self::Images(images) if images.part.class.is_some() => 1.0,
            Self::Images(_) | Self::Other { .. } => 60.0,
        }
    }
}

impl CellConfig for Config {
    fn describe(&self, cell: Cell) -> Cell {
        cell.costs(self.cost()).reads(self.data_set().map(DataSet::name).as_slice())
    }
}

pub(crate) fn run(cell: &Cell, context: &Context) -> Result<Outcome, Failure> {
    let mut metrics = BTreeMap::new();
    let mut add = |name: &str, value: f64| metrics.insert(name.to_owned(), value);
    match cell.config()? {
        Config::Estimate { samples, n, estimator, d, from } => {
            let points = samples.draw(n, cell.seed)?;
            let fit = estimator.fit(&points, cell.seed)?;
            add("dimension", fit.dimension);
            add("relative", fit.dimension / d as f64);
            if let Some([low, high]) = fit.interval {
                add("interval", high - low);
            }
            if let Some(from) = from {
                add("growth", fit.dimension / from.fit(&points, cell.seed)?.dimension);
            }
        }
        Config::Learn { images, n, learner } => {
            let [train, test] = labels::draw(images, n, N_TEST, cell.seed)?;
            add("test_accuracy", learner.accuracy(&train, &test, cell.seed)?);
        }
        Config::Images(images) => return images.estimate(context, cell.seed),
        Config::Other { part, estimator } => return part.estimate(estimator, context, cell.seed),
        Config::Pairs(pairs) => {
            let device = backend::open(&context.backend).map_err(Failure::backend)?.autodiff();
            add("test_accuracy", pairs.accuracy(context, &device, cell.seed)?);
        }
    }
    Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
}
