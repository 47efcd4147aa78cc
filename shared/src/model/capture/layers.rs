use std::collections::HashMap;

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::module::Module;
use burn::tensor::kind::Autodiff;
use burn::tensor::{Device, Tensor};

use super::weights::{Call, Form, followed};
use super::{Recording, Replay, ReplayError, without_panic};
use crate::model::{LayerInput, Observation, layer_weights};

/// The output of `forward` and the inputs of the layers that it calls, as [`observe`](crate::model::observe) gives them,
/// of any module as it is, third-party ones included.
///
/// It records the operations of the forward pass without computing them, then carries them out and reads the input of
/// each one that multiplies by a weight of the model: linear layers, also those inside Burn's attention, transformer and
/// recurrent modules, convolutions over one and two dimensions, and products with a matrix `[in, out]` of a type of
/// one's own. They come in the order of the calls. [`observe`](crate::model::observe) does the same at the speed of the
/// device, for networks that call their layers by [`Layer::run`](crate::model::Layer::run): use it where you can change
/// the network, and this where you can't.
///
/// - Output and inputs are on the device of `input`, without a gradient.
/// - Each call passes all weights through the host and computes on the CPU with `flex` and Burn's own operations,
///   whatever the model's device. There, inputs are those of `observe` bit for bit where that uses Burn's own
///   operations too.
/// - The network is in evaluation mode: dropout is off and running statistics stay as they are.
/// - Views of a weight are followed. One that is also used in another way is not observed at all, since its layer's
///   input is not all that multiplies it: transposed (an embedding that also decodes), as the left factor, merged with
///   low-rank factors, scaled, cut or looked up. [`require_observed`](crate::model::require_observed) names what is missing.
/// - `forward` uses the model and the input that it is given. Other tensors that it needs are moved to the device of
///   that input inside of it.
/// - Quantized weights can't be recorded. Neither can a `forward` that reads tensors back: it panics inside of this
///   function, which catches that; the panic hook still reports it on standard error, and a program built with
///   `panic = "abort"` ends.
///
/// # Shapes
///
/// - inputs: as in [`LayerInput`]
///
/// # Errors
///
/// [`ReplayError`], by the reason.
///
/// ```
/// use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
/// use burn::tensor::{Device, Tensor};
/// use rekindle_shared::model::{capture_layers, require_observed};
///
/// let device = Device::flex();
/// let encoder = TransformerEncoderConfig::new(8, 16, 2, 1).init(&device);
/// let sequences = Tensor::<3>::ones([2, 5, 8], &device);
/// let forward = |encoder: &TransformerEncoder, x| encoder.forward(TransformerEncoderInput::new(x));
/// let (output, seen) = capture_layers(&encoder, sequences, forward)?;
/// assert_eq!(output.dims(), [2, 5, 8]);
/// assert_eq!(seen.len(), 6);
/// require_observed(&encoder, &seen, |_| true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn capture_layers<M: Module, const D: usize, K: Autodiff, const R: usize>(
    model: &M,
    input: Tensor<D, K>,
    forward: impl FnOnce(&M, Tensor<D, K>) -> Tensor<R>,
) -> Result<(Tensor<R>, Vec<Observation>), ReplayError> {
    let device = input.device();
    let ranks: HashMap<_, _> = layer_weights(model).into_iter().map(|weight| (weight.id, weight.shape.len())).collect();
    let (output, seen) = without_panic(|| {
        let Recording { graph, parameters, output } = Recording::of(model, input, forward)?;
        let weights = parameters.into_iter().filter_map(|(id, weight)| Some((id, weight, *ranks.get(&weight)?)));
        let weights = followed(weights, &graph.graph.operations);
        let mut replay = Replay::from_values(graph.values);
        let mut seen = Vec::new();
        for operation in graph.graph.operations {
            if let Some(call) = Call::of(&operation)
                && let Some(weight) = weights.get(&call.weight.id)
                && let shape = call.input.shape.to_vec()
                && let Some(input) = input_of(call, &mut replay, &device)
            {
                seen.push(Observation { weight: *weight, shape, input });
            }
            replay.carry_out(operation);
        }
        let output = replay.float(&output).ok_or(ReplayError::NotRecorded)?;
        Ok((Tensor::<R>::from_primitive::<Flex>(output).into_data(), seen))
    })?;
    let dtype = output.dtype();
    Ok((Tensor::from_data(output, (&device, dtype)), seen))
}

/// The input of a call, which is about to be carried out; none if it is no float tensor.
fn input_of(call: Call<'_>, replay: &mut Replay, device: &Device) -> Option<LayerInput> {
    let device = device.clone().inner();
    let value = replay.float(call.input)?;
    Some(match call.form {
        Form::Linear | Form::Product => {
            let (width, leading) = call.input.shape.split_last()?;
            let rows = Flex::float_reshape(value, [leading.iter().product(), *width].into());
            LayerInput::Linear(Tensor::from_primitive::<Flex>(rows).to_device(&device))
        }
        Form::Conv1d(geometry) => {
            LayerInput::Conv1d(Tensor::from_primitive::<Flex>(value).to_device(&device), geometry)
        }
        Form::Conv2d(geometry) => {
            LayerInput::Conv2d(Tensor::from_primitive::<Flex>(value).to_device(&device), geometry)
        }
    })
}
