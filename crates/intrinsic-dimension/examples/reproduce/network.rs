//! A perceptron for two classes, trained by SGD with momentum and weight decay.
//!
//! Written out here, so that the smoke tier is built without Burn.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// As in the paper but for the learning rate, which is 0.1 there, with batch norm.
const LEARNING_RATE: f32 = 0.02;
const MOMENTUM: f32 = 0.9;
const WEIGHT_DECAY: f32 = 5e-4;
const BATCH: usize = 32;

/// y = x W + b, with the velocities of both.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// `[inputs + 1, outputs]`, the last row the bias.
    weights: Vec<f32>,
    velocities: Vec<f32>,
}

/// Linear layers with ReLU between them and one output, the logit of the second class.
pub(crate) struct Network {
    layers: Vec<Layer>,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, rng: &mut ChaCha8Rng) -> Self {
        let deviation = (2.0 / inputs as f32).sqrt();
        let mut weights: Vec<f32> =
            (0..inputs * outputs).map(|_| deviation * rng.sample::<f32, _>(StandardNormal)).collect();
        weights.resize((inputs + 1) * outputs, 0.0);
        Self { inputs, outputs, velocities: vec![0.0; weights.len()], weights }
    }

    fn matrix(&self) -> MatRef<'_, f32> {
        MatRef::from_row_major_slice(&self.weights[..self.inputs * self.outputs], self.inputs, self.outputs)
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.inputs;
        let mut y = self.weights[self.inputs * self.outputs..].repeat(n);
        let target = MatMut::from_row_major_slice_mut(&mut y, n, self.outputs);
        let x = MatRef::from_row_major_slice(x, n, self.inputs);
        matmul(target, Accum::Add, x, self.matrix(), 1.0, Par::Seq);
        y
    }

    /// The gradient at the inputs, before the weights take their step.
    fn backward(&mut self, x: &[f32], gradient: &[f32], learning_rate: f32) -> Vec<f32> {
        let n = x.len() / self.inputs;
        let mut before = vec![0.0; x.len()];
        let outer = MatRef::from_row_major_slice(gradient, n, self.outputs);
        let target = MatMut::from_row_major_slice_mut(&mut before, n, self.inputs);
        matmul(target, Accum::Replace, outer, self.matrix().transpose(), 1.0, Par::Seq);

        let mut of_weights = vec![0.0; self.weights.len()];
        let (weights, biases) = of_weights.split_at_mut(self.inputs * self.outputs);
        let target = MatMut::from_row_major_slice_mut(weights, self.inputs, self.outputs);
        let x = MatRef::from_row_major_slice(x, n, self.inputs);
        matmul(target, Accum::Replace, x.transpose(), outer, 1.0, Par::Seq);
        gradient.chunks(self.outputs).for_each(|row| biases.iter_mut().zip(row).for_each(|(sum, g)| *sum += g));

        for ((weight, velocity), gradient) in self.weights.iter_mut().zip(&mut self.velocities).zip(of_weights) {
            *velocity = MOMENTUM * *velocity + gradient + WEIGHT_DECAY * *weight;
            *weight -= learning_rate * *velocity;
        }
        before
    }
}

impl Network {
    pub(crate) fn new(inputs: usize, hidden: &[usize], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let widths: Vec<usize> = [&[inputs], hidden, &[1]].concat();
        Self { layers: widths.windows(2).map(|pair| Layer::new(pair[0], pair[1], &mut rng)).collect() }
    }

    /// Batches drawn with replacement; the learning rate falls to a tenth after half of the steps, and after three quarters.
    pub(crate) fn train(&mut self, inputs: &[f32], classes: &[bool], steps: usize, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2);
        let dim = self.layers[0].inputs;
        for step in 0..steps {
            let rows: Vec<usize> = (0..BATCH).map(|_| rng.random_range(0..classes.len())).collect();
            let batch: Vec<f32> = rows.iter().flat_map(|&i| inputs[i * dim..(i + 1) * dim].iter().copied()).collect();
            let falls = i32::from(2 * step >= steps) + i32::from(4 * step >= 3 * steps);
            let classes: Vec<bool> = rows.iter().map(|&i| classes[i]).collect();
            self.step(batch, &classes, LEARNING_RATE * 0.1_f32.powi(falls));
        }
    }

    /// One step down the mean cross-entropy of a batch.
    fn step(&mut self, batch: Vec<f32>, classes: &[bool], learning_rate: f32) {
        let mut activations = vec![batch];
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let mut y = layer.forward(&activations[i]);
            if i < last {
                y.iter_mut().for_each(|y| *y = y.max(0.0));
            }
            activations.push(y);
        }
        let logits = activations.pop().expect("the last layer has outputs");
        let error = |(logit, class): (&f32, &bool)| 1.0 / (1.0 + (-logit).exp()) - f32::from(u8::from(*class));
        let mut gradient: Vec<f32> =
            logits.iter().zip(classes).map(|pair| error(pair) / classes.len() as f32).collect();
        for (layer, x) in self.layers.iter_mut().zip(&activations).rev() {
            gradient = layer.backward(x, &gradient, learning_rate);
            // Inputs that ReLU has cut are 0. At the network's own inputs the gradient is not used.
            gradient.iter_mut().zip(x).filter(|(_, x)| **x <= 0.0).for_each(|(g, _)| *g = 0.0);
        }
    }

    pub(crate) fn logits(&self, inputs: &[f32]) -> Vec<f32> {
        let mut x = inputs.to_vec();
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x);
            if i < last {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exclusive or: a hidden layer learns it, a linear classifier cannot.
    #[test]
    fn a_hidden_layer_learns_what_a_linear_classifier_cannot() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let inputs: Vec<f32> = (0..800).map(|_| rng.sample(StandardNormal)).collect();
        let classes: Vec<bool> = inputs.chunks(2).map(|x| x[0] * x[1] > 0.0).collect();
        let accuracy = |hidden: &[usize]| {
            let mut network = Network::new(2, hidden, 0);
            network.train(&inputs, &classes, 2000, 0);
            let right =
                network.logits(&inputs).iter().zip(&classes).filter(|(y, class)| (**y > 0.0) == **class).count();
            right as f64 / 400.0
        };
        let (deep, linear) = (accuracy(&[32]), accuracy(&[]));
        assert!(deep > 0.93 && linear < 0.65, "{deep} {linear}");
    }

    /// The step of one weight is that of the loss's difference quotient.
    #[test]
    fn a_step_goes_down_the_gradient() {
        let batch = vec![0.3, -0.7, 1.1, 0.4];
        let classes = [true, false];
        let loss = |network: &Network| {
            let of = |(y, class): (&f32, &bool)| {
                let y = f64::from(if *class { -*y } else { *y });
                y.exp().ln_1p()
            };
            network.logits(&batch).iter().zip(&classes).map(of).sum::<f64>() / 2.0
        };
        for (layer, weight) in [(0, 0), (0, 5), (1, 1), (1, 4)] {
            let shifted = |by: f32| {
                let mut network = Network::new(2, &[4], 3);
                network.layers[layer].weights[weight] += by;
                loss(&network)
            };
            let slope = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            let mut network = Network::new(2, &[4], 3);
            let before = network.layers[layer].weights[weight];
            network.step(batch.clone(), &classes, 1.0);
            let stepped = f64::from(before - network.layers[layer].weights[weight] - WEIGHT_DECAY * before);
            assert!((stepped - slope).abs() < 1e-3, "layer {layer}, weight {weight}: {stepped} != {slope}");
        }
    }
}
