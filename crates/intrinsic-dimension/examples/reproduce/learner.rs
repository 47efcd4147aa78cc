//! What learns the classes, and how many it gets right.

use rekindle_harness::worker::Failure;
use rekindle_intrinsic_dimension::{Duplicates, Knn};
use serde::{Deserialize, Serialize};

use crate::labels::Labeled;
use crate::network::Network;

/// SGD as in the paper's networks, with as many steps for every number of images.
const STEPS: usize = 800;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Learner {
    /// One hidden layer.
    Perceptron { hidden: usize },
    /// Logistic regression: the same without the hidden layer.
    Logistic,
    /// The majority of the nearest training images.
    Neighbors { k: usize },
}

impl Learner {
    /// Share of the test images that is classified right.
    pub(crate) fn accuracy(self, train: &Labeled, test: &Labeled, seed: u64) -> Result<f64, Failure> {
        let guesses = match self {
            Self::Perceptron { hidden } => network(&[hidden], train, test, seed),
            Self::Logistic => network(&[], train, test, seed),
            Self::Neighbors { k } => {
                let search = Knn::new(k).with_duplicates(Duplicates::Keep);
                let table = search.search_queries(&train.images, &test.images)?;
                let votes = |row: usize| {
                    let neighbors = &table.all_neighbors()[row * k..(row + 1) * k];
                    neighbors.iter().filter(|&&i| train.classes[i as usize]).count()
                };
                (0..table.n()).map(|row| 2 * votes(row) > k).collect()
            }
        };
        let right = guesses.iter().zip(&test.classes).filter(|(guess, class)| guess == class).count();
        Ok(right as f64 / guesses.len() as f64)
    }
}

fn network(hidden: &[usize], train: &Labeled, test: &Labeled, seed: u64) -> Vec<bool> {
    let (mut inputs, dim) = (train.images.values().to_vec(), train.images.dim());
    let n = train.images.n() as f32;
    let mut means = vec![0.0; dim];
    inputs.chunks(dim).for_each(|row| means.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / n));
    let center = |values: &mut [f32]| {
        values.chunks_mut(dim).for_each(|row| row.iter_mut().zip(&means).for_each(|(x, mean)| *x -= mean));
    };
    center(&mut inputs);
    // One scale for all pixels.
    let scale = (inputs.iter().map(|x| x * x).sum::<f32>() / inputs.len() as f32).sqrt();
    inputs.iter_mut().for_each(|x| *x /= scale);
    let mut tests = test.images.values().to_vec();
    center(&mut tests);
    tests.iter_mut().for_each(|x| *x /= scale);
    let mut network = Network::new(dim, hidden, seed);
    network.train(&inputs, &train.classes, STEPS, seed);
    network.logits(&tests).iter().map(|logit| *logit > 0.0).collect()
}
