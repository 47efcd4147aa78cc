//! A cell: an estimate of drawn points, or a learner of drawn images.

use std::collections::BTreeMap;

use rekindle_harness::worker::{Failure, Outcome};
use rekindle_harness::{Cell, Results};
use serde::{Deserialize, Serialize};

use crate::estimator::Estimator;
use crate::labels;
use crate::learner::Learner;
use crate::samples::{Images, Samples};

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
}

pub(crate) fn run(cell: &Cell) -> Result<Outcome, Failure> {
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
    }
    Ok(Outcome { results: Results { metrics, ..Results::default() }, ..Outcome::default() })
}
