//! A cell: an estimate of the kernel or of attention, a learner, or a measurement.

use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, CellConfig};
use serde::{Deserialize, Serialize};

use crate::classify::Classify;
use crate::decoding::Decoding;
use crate::estimate::Estimate;
use crate::kernel::Scores;
use crate::language::{Conversion, Language};
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
    /// A language model.
    Language(Language),
    /// Softmax turned into a Performer.
    Conversion(Conversion),
    /// Sequences of pixels.
    Classify(Classify),
    /// The next token after so many.
    Decoding(Decoding),
}

impl Config {
    /// About in seconds.
    fn cost(&self) -> f64 {
        match self {
            Self::Scores(_) | Self::Estimate(_) => 0.2,
            Self::Recall(_) => 8.0,
            Self::Speed(_) => 0.5,
            Self::Scaling(_) => 2.0,
            Self::Language(_) => 250.0,
            Self::Conversion(_) => 200.0,
            Self::Classify(_) => 400.0,
            Self::Decoding(_) => 5.0,
        }
    }

    fn measures(&self) -> bool {
        matches!(self, Self::Speed(_) | Self::Scaling(_) | Self::Decoding(_))
    }
}

impl CellConfig for Config {
    fn describe(&self, cell: Cell) -> Cell {
        let cell = cell.costs(self.cost());
        let cell = match self {
            Self::Language(Language { text: data, .. }) | Self::Conversion(Conversion { text: data, .. }) => {
                cell.reads(&[data])
            }
            Self::Classify(Classify { data, .. }) => cell.reads(&[data]),
            _ => cell,
        };
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
        Config::Language(language) => language.run(cell.seed, context, &device.clone().autodiff()),
        Config::Conversion(conversion) => conversion.run(cell.seed, context, &device.clone().autodiff()),
        Config::Classify(classify) => classify.run(cell.seed, context, &device.clone().autodiff()),
        Config::Decoding(decoding) => decoding.run(cell.seed, device),
    }
}
