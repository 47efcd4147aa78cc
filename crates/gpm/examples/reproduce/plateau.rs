//! The stopping rule of the authors' code: a smaller learning rate where the validation loss stands still, and the best weights.

use serde::{Deserialize, Serialize};

/// When the learning rate falls, and when training ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlateauConfig {
    /// Epochs without a lower validation loss before the rate falls.
    pub(crate) patience: usize,
    /// What the rate is divided by.
    pub(crate) factor: f64,
    /// Training ends when the rate would fall below it.
    pub(crate) least_rate: f64,
}

/// The rate of one task, epoch by epoch, and the best model so far.
pub(crate) struct Plateau<M> {
    config: PlateauConfig,
    rate: f64,
    left: usize,
    best: f64,
    model: Option<M>,
}

impl<M> Plateau<M> {
    pub(crate) fn new(config: PlateauConfig, rate: f64) -> Self {
        Self { config, rate, left: config.patience, best: f64::INFINITY, model: None }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes note of an epoch's validation loss; whether training goes on.
    pub(crate) fn after(&mut self, loss: f64, model: impl FnOnce() -> M) -> bool {
        if loss < self.best {
            (self.best, self.model, self.left) = (loss, Some(model()), self.config.patience);
            return true;
        }
        self.left -= 1;
        if self.left == 0 {
            self.rate /= self.config.factor;
            self.left = self.config.patience;
        }
        self.rate >= self.config.least_rate
    }

    /// The model with the lowest validation loss; none if no loss was a number.
    pub(crate) fn best(self) -> Option<M> {
        self.model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_where_the_loss_stands_still_and_the_best_model_comes_back() {
        let config = PlateauConfig { patience: 2, factor: 2.0, least_rate: 0.03 };
        let mut plateau = Plateau::new(config, 0.1);
        for (epoch, (loss, rate, goes_on)) in [
            (3.0, 0.1, true),
            (2.0, 0.1, true),
            (2.5, 0.1, true),
            (2.0, 0.05, true),
            (1.0, 0.05, true),
            (f64::NAN, 0.05, true),
            (1.0, 0.025, false),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(plateau.after(loss, || epoch), goes_on, "epoch {epoch}");
            assert_eq!(plateau.rate(), rate, "epoch {epoch}");
        }
        assert_eq!(plateau.best(), Some(4));
    }
}
