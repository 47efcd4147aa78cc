//! Learning to tell two classes of a data set apart.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig, decay::WeightDecayConfig};
use burn::tensor::Device;
use rand::RngExt;
use rand::seq::index::sample;
use rekindle_harness::worker::{Context, Failure};
use rekindle_intrinsic_dimension::Points;
use rekindle_intrinsic_dimension::data::{self, ImageSize};
use rekindle_shared::data::{DeviceImages, ImageShape, LabeledImages, Normalization, Split, Stream, Streams};
use rekindle_shared::model::{Classifier, try_init_seeded};
use rekindle_shared::networks::{ResNet, ResNetConfig};
use serde::{Deserialize, Serialize};

use crate::sets::DataSet;

/// SGD as in the paper, but for the number of steps, which is the same whatever the number of images.
const STEPS: usize = 300;
const BATCH: usize = 32;
const LEARNING_RATE: f64 = 0.1;
const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f32 = 5e-4;
/// Test images of a class.
const N_TEST: usize = 900;
const COLOR: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// Two random classes of a data set, all images made 3 x 32 x 32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pairs {
    pub(crate) set: DataSet,
    /// Training images of a class.
    pub(crate) n: usize,
    /// Random pixels of each image that are overwritten with noise.
    pub(crate) noise_pixels: usize,
    /// A residual network of this depth and width.
    pub(crate) depth: usize,
    pub(crate) width: usize,
}

impl Pairs {
    /// Share of the test images that is classified right.
    pub(crate) fn accuracy(&self, context: &Context, device: &Device, seed: u64) -> Result<f64, Failure> {
        let streams = Streams::new(seed);
        let train = self.set.split(context, Split::Train)?;
        let classes = sample(&mut streams.stream(Stream::Tasks), train.n_classes(), 2).into_vec();
        let train = self.pair(&train, &classes, self.n, streams, 0)?;
        let test = self.pair(&self.set.split(context, Split::Test)?, &classes, N_TEST, streams, 1)?;
        let normalization = Normalization::of(&train);
        let train = DeviceImages::new(&train, &normalization, device)?;
        let test = DeviceImages::new(&test, &normalization, &device.clone().inner())?;
        let config =
            ResNetConfig::new().with_depth(self.depth).with_width(self.width).with_in_channels(3).with_n_classes(2);
        let model = try_init_seeded(streams.seed_of(Stream::Init), device, |device| config.init(device))?;
        let model = fit(model, &train, streams, device, context).valid();
        let mut right = 0;
        for batch in test.chunks(300) {
            let guesses = model.forward(batch.images).argmax(1).flatten::<1>(0, 1);
            right += guesses.equal(batch.labels).int().sum().try_into_scalar::<i64>()?;
        }
        Ok(right as f64 / test.len() as f64)
    }

    /// Up to `n` images of each class, the same number of both.
    fn pair(
        &self,
        images: &LabeledImages,
        classes: &[usize],
        n: usize,
        streams: Streams,
        part: u64,
    ) -> Result<LabeledImages, Failure> {
        let mut rng = streams.substream(Stream::Data, part);
        let counts = images.label_counts();
        let n = classes.iter().map(|&class| counts[class]).min().unwrap_or(0).min(n);
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for (label, &class) in classes.iter().enumerate() {
            let of_class = |row: &usize| images.labels()[*row] == class;
            let all: Vec<usize> = (0..images.len()).filter(of_class).collect();
            rows.extend(sample(&mut rng, all.len(), n).into_iter().map(|at| all[at]));
            labels.extend(vec![label; n]);
        }
        let images = images.subset(rows)?;
        let color = in_color(&images)?;
        let noise = streams.seed_of(Stream::Corruption).wrapping_add(part);
        let noisy = data::noise_pixels(&color, self.noise_pixels, 1, noise)?;
        Ok(LabeledImages::from_unit_floats(images.name(), COLOR, noisy.values(), labels, 2)?)
    }
}

/// `[n, 3 * 32 * 32]` in [0, 1]: resized by the nearest pixel, gray in three equal channels.
fn in_color(images: &LabeledImages) -> Result<Points<'static, f32>, Failure> {
    let shape = images.shape();
    let unit = images.pixels().iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    let points = Points::from_vec(unit, images.len(), shape.len())?;
    let from = ImageSize { channels: shape.channels, height: shape.height, width: shape.width };
    let resized = data::resize_nearest(&points, from, ImageSize { height: COLOR.height, width: COLOR.width, ..from })?;
    if shape.channels == COLOR.channels {
        return Ok(resized);
    }
    let thrice = (0..resized.n()).flat_map(|i| resized.row(i).repeat(3)).collect();
    Ok(Points::from_vec(thrice, resized.n(), COLOR.len())?)
}

/// Batches drawn with replacement; the learning rate falls to a tenth after half of the steps, and after three quarters.
fn fit(mut model: ResNet, train: &DeviceImages, streams: Streams, device: &Device, context: &Context) -> ResNet {
    let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
    let mut sgd = SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(Some(WeightDecayConfig::new(WEIGHT_DECAY)))
        .init();
    let loss = CrossEntropyLossConfig::new().init(device);
    let mut rng = streams.stream(Stream::Batches);
    for step in 0..STEPS {
        let rows: Vec<usize> = (0..BATCH).map(|_| rng.random_range(0..train.len())).collect();
        let batch = train.select(&rows);
        let grads = loss.forward(Classifier::forward(&model, batch.images), batch.labels).backward();
        let grads = GradientsParams::from_grads(grads, &model);
        let falls = i32::from(2 * step >= STEPS) + i32::from(4 * step >= 3 * STEPS);
        model = sgd.step(LEARNING_RATE * 0.1_f64.powi(falls), model, grads);
        context.progress(step + 1, STEPS);
    }
    model
}
