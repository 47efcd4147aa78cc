//! A cell: an estimate of the kernel or of attention, a learner, a translator, or a measurement.

use burn::tensor::Device;
use rekindle_harness::worker::{Context, Failure, Outcome};
use rekindle_harness::{Cell, CellConfig};
use serde::{Deserialize, Serialize};

use crate::decoding::{Decoding, Overtaking};
use crate::language::Language;
use crate::learner::Learner;
use crate::norms::Norms;
use crate::scores::Scores;
use crate::speed::{Scaling, Speed};
use crate::translation::{DecodingSpeed, Translation};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub(crate) enum Config {
    /// The error of scores by the number of directions.
    Scores(Scores),
    /// What unit norm is for.
    Norms(Norms),
    /// The switching chain.
    Learner(Learner),
    /// Time and memory at one length.
    Speed(Speed),
    /// Where linear attention overtakes softmax.
    Scaling(Scaling),
    /// Time and memory of a decoded token after so many.
    Decoding(Decoding),
    /// Where decoding with a state overtakes a cache.
    Overtaking(Overtaking),
    /// A language model.
    Language(Language),
    /// Multi30k, German to English.
    Translation(Translation),
    /// Tokens a second of such a translator.
    TranslationSpeed(DecodingSpeed),
}

impl Config {
    /// About in seconds.
    fn cost(&self) -> f64 {
        match self {
            Self::Scores(_) | Self::Norms(_) => 0.2,
            Self::Learner(learner) => learner.cost(),
            Self::Speed(_) => 0.5,
            Self::Scaling(_) => 2.0,
            Self::Decoding(_) => 0.3,
            Self::Overtaking(_) => 2.0,
            Self::Language(language) => language.cost(),
            Self::Translation(translation) => translation.cost(),
            Self::TranslationSpeed(speed) => speed.cost(),
        }
    }

    fn measures(&self) -> bool {
        matches!(
            self,
            Self::Speed(_) | Self::Scaling(_) | Self::Decoding(_) | Self::Overtaking(_) | Self::TranslationSpeed(_)
        )
    }

    fn data(&self) -> Option<&str> {
        match self {
            Self::Language(language) => Some(&language.text),
            Self::Translation(_) | Self::TranslationSpeed(_) => Some("multi30k"),
            _ => None,
        }
    }
}

impl CellConfig for Config {
    fn describe(&self, cell: Cell) -> Cell {
        let cell = cell.costs(self.cost()).reads(self.data().as_slice());
        if self.measures() { cell.exclusive() } else { cell }
    }
}

pub(crate) fn run(cell: &Cell, context: &Context, device: &Device) -> Result<Outcome, Failure> {
    match cell.config()? {
        Config::Scores(scores) => scores.run(cell.seed, device),
        Config::Norms(norms) => norms.run(cell.seed, device),
        Config::Learner(learner) => learner.run(cell.seed, context, &device.clone().autodiff()),
        Config::Speed(speed) => speed.run(cell.seed, device),
        Config::Scaling(scaling) => scaling.run(cell.seed, device),
        Config::Decoding(decoding) => decoding.run(cell.seed, device),
        Config::Overtaking(overtaking) => overtaking.run(cell.seed, device),
        Config::Language(language) => language.run(cell.seed, context, &device.clone().autodiff()),
        Config::Translation(translation) => translation.run(cell.seed, context, &device.clone().autodiff()),
        Config::TranslationSpeed(speed) => speed.run(cell.seed, context, device),
    }
}
