use burn::config::Config;
use burn::optim::ModuleOptimizer;
use serde::{Deserialize, Serialize};

use crate::{Ascent, RhoSchedule, Sam, SamError, Selector};

/// Hyper-parameters of SAM; the defaults are those of the paper's CIFAR-10 runs (§3.1, Table 6).
///
/// ```
/// use rekindle_sam::{Adaptive, RhoSchedule, SamConfig, Selector};
///
/// // ASAM with the radius of its authors, biases held still, the radius falling to 0 in 10,000 steps.
/// let config = SamConfig::new()
///     .with_rho(0.5)
///     .with_adaptive(Some(Adaptive::default()))
///     .with_exclude(vec![Selector::Biases])
///     .with_schedule(RhoSchedule::Cosine { from: 1.0, to: 0.0, steps: 10_000 });
/// assert!(config.ascent().is_ok());
/// ```
#[derive(Config, Debug)]
pub struct SamConfig {
    /// Radius ρ of the ball around the weights, in units of the weights; `0` is the base optimizer. Default 0.05.
    ///
    /// The paper uses 0.05 on CIFAR-10 and ImageNet, 0.1 on CIFAR-100; ASAM wants about ten times as much.
    #[config(default = 0.05)]
    pub rho: f64,
    /// The norm that measures the ball: p in Eq. 1. Default L2.
    #[config(default = "Norm::L2")]
    pub norm: Norm,
    /// Measure the ball in units of each weight's own size (ASAM). Default off.
    pub adaptive: Option<Adaptive>,
    /// Where in the ball to look: the gradient's direction, or a random one as a baseline. Default the gradient's.
    #[config(default = "Direction::Gradient")]
    pub direction: Direction,
    /// Factor on every radius, by step. Default constant.
    #[config(default = "RhoSchedule::Constant")]
    pub schedule: RhoSchedule,
    /// Perturb at steps 0, k, 2k, …, and take a plain step of the base optimizer between. Default 1.
    #[config(default = 1)]
    pub every: u64,
    /// Samples in each group that is perturbed on its own (m-sharpness, §4.1). Default the whole batch.
    pub micro_batch: Option<usize>,
    /// Radii of their own for some parameters, under the one global norm; the last match counts. Default none.
    #[config(default = "Vec::new()")]
    pub groups: Vec<RhoGroup>,
    /// Parameters that are neither moved nor counted in the norm; stronger than `groups`. Default none.
    #[config(default = "Vec::new()")]
    pub exclude: Vec<Selector>,
    /// Re-seed the model's devices before every pass from this seed, so that both passes draw the same dropout masks.
    ///
    /// The authors' code gives both passes one key. Burn's generator is one for the whole process, so this **changes
    /// the stream of everything else that draws from it**; that is why it is off by default, and the masks differ.
    pub same_masks: Option<u64>,
}

impl SamConfig {
    /// SAM around `optimizer`, which takes the outer step: any optimizer of Burn, or one of your own.
    ///
    /// # Errors
    ///
    /// As [`ascent`](Self::ascent).
    pub fn init(&self, optimizer: impl Into<ModuleOptimizer>) -> Result<Sam, SamError> {
        Ok(Sam::new(self.ascent()?, optimizer.into()))
    }

    /// The part of SAM that comes before the outer step, for loops that own their optimizer.
    ///
    /// # Errors
    ///
    /// A radius, `eta` or a factor of the schedule that is negative or not finite, a `micro_batch`, `every` or
    /// schedule length of 0, an adaptive scaling together with a random direction.
    pub fn ascent(&self) -> Result<Ascent, SamError> {
        for rho in self.groups.iter().map(|group| group.rho).chain([self.rho]) {
            validate_rho(rho)?;
        }
        if let Some(Adaptive::Weights { eta }) = self.adaptive
            && !(eta.is_finite() && eta >= 0.0)
        {
            return Err(SamError::InvalidEta(eta));
        }
        if self.adaptive.is_some() && matches!(self.direction, Direction::Random { .. }) {
            return Err(SamError::AdaptiveRandom);
        }
        self.schedule.validate()?;
        if self.every == 0 {
            return Err(SamError::InvalidEvery);
        }
        if self.micro_batch == Some(0) {
            return Err(SamError::EmptyMicroBatch);
        }
        Ok(Ascent::new(self.clone()))
    }
}

pub(crate) fn validate_rho(rho: f64) -> Result<(), SamError> {
    if rho.is_finite() && rho >= 0.0 { Ok(()) } else { Err(SamError::InvalidRho(rho)) }
}

/// The norm ‖ε‖ₚ of Eq. 1, taken over all the parameters together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Norm {
    /// p = 2: ε̂ = ρ g / ‖g‖₂. The paper's choice.
    #[default]
    L2,
    /// p = ∞: ε̂ = ρ sign(g). Worse than p = 2 in the paper (appendix C.5).
    LInf,
}

/// The scaling T of ASAM (Kwon et al., ICML 2021): the ball is ‖T⁻¹ε‖ ≤ ρ, and ε̂ = ρ T² g / ‖T g‖₂ for p = 2.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Adaptive {
    /// T = |w| + η on weights and norm scales, 1 on everything else: the ASAM authors' code.
    Weights {
        /// The offset η that lets a weight of 0 move; the authors use 0.01.
        eta: f64,
    },
    /// T = |w| on every parameter: `adaptive=True` of the PyTorch port davda54/sam. A parameter of 0 never moves.
    Everything,
}

impl Default for Adaptive {
    /// The ASAM authors' rule with their η = 0.01.
    fn default() -> Self {
        Self::Weights { eta: 0.01 }
    }
}

/// The direction of the perturbation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// That of the steepest ascent: SAM.
    #[default]
    Gradient,
    /// A random one, uniform over directions (p = 2) or signs (p = ∞), with the same length: the baseline of
    /// appendix C.5. It takes one pass, at w + ε, and running statistics are those of that pass.
    ///
    /// Drawn on the host from this seed, the step and the group, so that it repeats and disturbs no other stream.
    Random {
        /// Seed of the noise.
        seed: u64,
    },
}

/// A radius for some of the parameters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RhoGroup {
    /// The parameters.
    pub select: Selector,
    /// Their radius; `0` keeps them in the norm and where they are.
    pub rho: f64,
}

impl RhoGroup {
    /// Gives the parameters that `select` means the radius `rho`.
    pub fn new(select: impl Into<Selector>, rho: f64) -> Self {
        Self { select: select.into(), rho }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::SgdConfig;

    use super::*;

    fn refusal(config: SamConfig) -> Option<SamError> {
        config.init(SgdConfig::new().init()).err()
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let config = SamConfig::new;
        assert_eq!(refusal(config()), None);
        assert_eq!(refusal(config().with_rho(-0.1)), Some(SamError::InvalidRho(-0.1)));
        assert_eq!(refusal(config().with_rho(f64::INFINITY)), Some(SamError::InvalidRho(f64::INFINITY)));
        assert!(matches!(refusal(config().with_rho(f64::NAN)), Some(SamError::InvalidRho(rho)) if rho.is_nan()));
        let group = RhoGroup::new(Selector::Biases, -1.0);
        assert_eq!(refusal(config().with_groups(vec![group])), Some(SamError::InvalidRho(-1.0)));
        let adaptive = |eta| config().with_adaptive(Some(Adaptive::Weights { eta }));
        assert_eq!(refusal(adaptive(-0.01)), Some(SamError::InvalidEta(-0.01)));
        assert!(matches!(refusal(adaptive(f64::NAN)), Some(SamError::InvalidEta(_))));
        assert_eq!(
            refusal(adaptive(0.0).with_direction(Direction::Random { seed: 1 })),
            Some(SamError::AdaptiveRandom)
        );
        assert_eq!(refusal(config().with_every(0)), Some(SamError::InvalidEvery));
        assert_eq!(refusal(config().with_micro_batch(Some(0))), Some(SamError::EmptyMicroBatch));
    }

    #[test]
    fn defaults_are_the_papers() {
        let config = SamConfig::new();
        assert_eq!((config.rho, config.norm, config.every), (0.05, Norm::L2, 1));
        assert!(config.adaptive.is_none() && config.micro_batch.is_none() && config.same_masks.is_none());
        assert_eq!(Adaptive::default(), Adaptive::Weights { eta: 0.01 });
    }

    #[test]
    fn a_config_survives_json() {
        let config = SamConfig::new()
            .with_adaptive(Some(Adaptive::Everything))
            .with_groups(vec![RhoGroup::new(Selector::Norms, 0.2)])
            .with_exclude(vec![burn::module::ParamGroup::from_predicate("head").into()])
            .with_schedule(RhoSchedule::Linear { from: 0.0, to: 1.0, steps: 10 });
        let json = serde_json::to_string(&config).unwrap();
        let back: SamConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}
