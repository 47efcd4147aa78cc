use burn::module::ParamId;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::penalty::Anchor;
use super::{Ewc, EwcConfig};
use crate::continual::ContinualError;

/// What [`Ewc`] keeps between tasks, to be written to a file.
///
/// It refers to parameters by their identifiers, which the model's record keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EwcState {
    config: EwcConfig,
    n_tasks: usize,
    constant: f64,
    parameters: Vec<Protected>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Protected {
    id: ParamId,
    fisher: Vec<f32>,
    center: Vec<f32>,
}

impl Ewc {
    /// The state, in single precision.
    pub fn to_state(&self) -> EwcState {
        let values = |tensor: &Tensor<1>| tensor.clone().into_data().iter::<f32>().collect();
        let protected = |anchor: &Anchor| Protected {
            id: anchor.id,
            fisher: values(&anchor.fisher),
            center: values(&anchor.center),
        };
        EwcState {
            config: self.config.clone(),
            n_tasks: self.n_tasks,
            constant: self.constant,
            parameters: self.anchors.iter().map(protected).collect(),
        }
    }

    /// EWC as it was, with what it keeps on `device`.
    ///
    /// # Errors
    ///
    /// [`ContinualError::InvalidState`] for numbers that [`add`](Self::add) can't have left, [`ContinualError::Config`] as
    /// [`EwcConfig::init`].
    pub fn from_state(state: &EwcState, device: &Device) -> Result<Self, ContinualError> {
        let mut ewc = state.config.init()?;
        if !(state.constant >= 0.0 && state.constant.is_finite()) {
            return Err(ContinualError::InvalidState("its constant is negative or not finite"));
        }
        if state.n_tasks == 0 && !state.parameters.is_empty() {
            return Err(ContinualError::InvalidState("it protects parameters before the first task"));
        }
        let device = device.clone().inner();
        for Protected { id, fisher, center } in &state.parameters {
            if fisher.len() != center.len() {
                return Err(ContinualError::InvalidState("a parameter has more of one number than of the other"));
            }
            if !fisher.iter().all(|value| *value >= 0.0 && value.is_finite()) {
                return Err(ContinualError::InvalidState("its Fisher information is negative or not finite"));
            }
            if !center.iter().all(|value| value.is_finite()) {
                return Err(ContinualError::InvalidState("a weight is not finite"));
            }
            let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
            ewc.anchors.push(Anchor { id: *id, fisher: tensor(fisher), center: tensor(center) });
        }
        (ewc.n_tasks, ewc.constant) = (state.n_tasks, state.constant);
        Ok(ewc)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;

    use super::*;
    use crate::continual::FisherConfig;
    use crate::model::init_seeded;

    #[test]
    fn a_state_gives_the_same_penalty_to_the_bit() {
        let device = Device::flex().autodiff();
        let init = |seed| init_seeded(seed, &device, |device| LinearConfig::new(3, 2).init(device));
        let (model, moved) = (init(1), init(2));
        let mut ewc = EwcConfig::new(3.0).init().unwrap();
        for _ in 0..2 {
            let input = Tensor::<2>::ones([1, 3], &device);
            let fisher = FisherConfig::new(1).estimate(&model, |model, _| model.forward(input.clone()).sum());
            ewc.add(&model, fisher.unwrap()).unwrap();
        }
        let text = serde_json::to_string(&ewc.to_state()).unwrap();
        let read = Ewc::from_state(&serde_json::from_str(&text).unwrap(), &device).unwrap();
        assert_eq!((read.to_state(), read.n_tasks(), read.bytes()), (ewc.to_state(), 2, ewc.bytes()));
        // The moved model stands for the same one, trained on.
        let mut trained = model.clone();
        trained.weight = burn::module::Param::initialized(model.weight.id, moved.weight.val());
        let penalty = |ewc: &Ewc| ewc.penalty(&trained).unwrap().into_scalar::<f32>();
        assert!(penalty(&ewc) > 0.0);
        assert_eq!(penalty(&read).to_bits(), penalty(&ewc).to_bits());
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let read = |text: &str| Ewc::from_state(&serde_json::from_str(text).unwrap(), &Device::flex()).err();
        let state = |fisher: &str, center: &str, n_tasks: usize| {
            let id = serde_json::to_string(&ParamId::from(7)).unwrap();
            format!(
                r#"{{"config":{{"lambda":1.0,"decay":null}},"n_tasks":{n_tasks},"constant":0.0,
                "parameters":[{{"id":{id},"fisher":{fisher},"center":{center}}}]}}"#
            )
        };
        assert_eq!(read(&state("[1.0]", "[2.0]", 1)), None);
        for text in [state("[1.0]", "[]", 1), state("[-1.0]", "[2.0]", 1), state("[1.0]", "[2.0]", 0)] {
            assert!(matches!(read(&text), Some(ContinualError::InvalidState(_))), "{text}");
        }
        let text = state("[1.0]", "[2.0]", 1).replace("1.0,\"decay\"", "-1.0,\"decay\"");
        assert!(matches!(read(&text), Some(ContinualError::Config { name: "lambda", .. })));
    }
}
