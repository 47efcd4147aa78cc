//! A cell: an estimate of the kernel or of attention, a learner, or a measurement.

use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, CellConfig};
use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::kernel::Scores;
use crate::recall::Recall;
use crate::speed::{Scaling, Speed};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub(crate) enum Config {
    /// The error of one score.
    Scores(Scores),
    /// The error of attention's output.
    Estimate(Estimate),
    Recall(Recall),
    /// Time and memory at one length.
    Speed(Speed),
    /// Where linear attention overtakes softmax.
    Scaling(Scaling),
}

impl Config {
    /// About in seconds.
    fn cost(&self) -> f64 {
        match self {
            Self::Scores(_) | Self::Estimate(_) => 0.2,
            Self::Recall(_) => 8.0,
            Self::Speed(_) => 0.5,
            Self::Scaling(_) => 2.0,
        }
    }

    fn measures(&self) -> bool {
        matches!(self, Self::Speed(_) | Self::Scaling(_))
    }
}

impl CellConfig for Config {
    fn describe(&self, cell: Cell) -> Cell {
        let cell = cell.costs(self.cost());
        if self.measures() { cell.exclusive() } else { cell }
    }
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    match cell.config()? {
        Config::Scores(scores) => scores.run(cell.seed, device),
        Config::Estimate(estimate) => estimate.run(cell.seed, device),
        Config::Recall(recall) => recall.run(cell.seed, context, &device.clone().autodiff()),
        Config::Speed(speed) => speed.run(cell.seed, device),
        Config::Scaling(scaling) => scaling.run(cell.seed, device),
    }
}
