use burn::optim::SgdConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use rekindle_sam::{Adaptive, Direction, Sam, SamConfig, SamError};
use rekindle_shared::data::{Stream, Streams};
use serde::{Deserialize, Serialize};

/// A row of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum Method {
    /// The base optimizer alone, for `budget` times the steps: 2 gives it as many gradients as SAM.
    Sgd { budget: usize },
    /// The gradient at a random point at distance `rho` (appendix C.5).
    Random { rho: f64 },
    /// SAM; `micro_batch` samples are perturbed together, the whole batch where none is given.
    Sam { rho: f64, micro_batch: Option<usize> },
    /// ASAM by its authors' rule (Kwon et al., ICML 2021).
    Asam { rho: f64 },
}

impl Method {
    /// SAM that perturbs by the whole batch.
    pub(crate) fn sam(rho: f64) -> Self {
        Self::Sam { rho, micro_batch: None }
    }

    /// How many times the steps of the other rows it takes.
    pub(crate) fn budget(self) -> usize {
        match self {
            Self::Sgd { budget } => budget,
            _ => 1,
        }
    }

    /// Gradients in a run, in units of SGD's.
    pub(crate) fn cost(self) -> f64 {
        match self {
            Self::Sgd { budget } => budget as f64,
            Self::Random { .. } => 1.0,
            Self::Sam { .. } | Self::Asam { .. } => 2.0,
        }
    }

    /// The method around SGD, its noise drawn from the cell's stream for methods.
    pub(crate) fn init(self, sgd: &Sgd, streams: Streams) -> Result<Sam, SamError> {
        let config = SamConfig::new();
        let config = match self {
            Self::Sgd { .. } => config.with_rho(0.0),
            Self::Random { rho } => {
                config.with_rho(rho).with_direction(Direction::Random { seed: streams.seed_of(Stream::Method) })
            }
            Self::Sam { rho, micro_batch } => config.with_rho(rho).with_micro_batch(micro_batch),
            Self::Asam { rho } => config.with_rho(rho).with_adaptive(Some(Adaptive::default())),
        };
        config.init(sgd.optimizer())
    }
}

/// The base optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sgd {
    pub(crate) learning_rate: f64,
    pub(crate) momentum: f64,
    pub(crate) nesterov: bool,
    pub(crate) weight_decay: f64,
}

impl Sgd {
    fn optimizer(&self) -> burn::optim::ModuleOptimizer {
        let mut config = SgdConfig::new();
        if self.momentum > 0.0 {
            // Burn's default dampening is 0.1; the paper's optimizer has none.
            let momentum = MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0);
            config = config.with_momentum(Some(momentum.with_nesterov(self.nesterov)));
        }
        if self.weight_decay > 0.0 {
            config = config.with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay as f32)));
        }
        config.init()
    }

    /// The rate at `step` of `steps` on half a period of a cosine, from `learning_rate` to 0.
    pub(crate) fn cosine(&self, step: usize, steps: usize) -> f64 {
        let along = step as f64 / steps as f64;
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * along).cos())
    }
}
